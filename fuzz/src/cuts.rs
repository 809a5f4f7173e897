//! In which pieces bytes arrive: as the bytes themselves decide, so that an input is the same input each time.

/// Up to five places, in order, some of them twice.
pub(crate) fn few(data: &[u8]) -> Vec<usize> {
    // FNV-1a.
    let mut hash = data
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, byte| (h ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let mut next = |below: u64| {
        hash = hash.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        usize::try_from((hash >> 33) % below).unwrap_or(0)
    };
    let places = data.len() as u64 + 1;
    let mut cuts: Vec<usize> = (0..=next(5)).map(|_| next(places)).collect();
    cuts.sort_unstable();
    cuts
}

/// Every place: byte by byte.
pub(crate) fn all(data: &[u8]) -> Vec<usize> {
    (0..=data.len()).collect()
}
