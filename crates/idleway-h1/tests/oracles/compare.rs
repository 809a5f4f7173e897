//! Ours beside the naive reader, and beside itself in pieces.
//!
//! The fuzz targets take this file in as well: it knows nothing of tests.

use crate::message::{Kind, Outcome};
use crate::{ours, reference};

/// Both read the same, or ours refuses with a fault that the naive reader found too.
pub(crate) fn assert_same_as_reference(kind: Kind, bytes: &[u8]) {
    let shown = bytes.escape_ascii();
    match (ours::read(kind, bytes, &[]), reference::read(kind, bytes)) {
        (Outcome::Read(ours), Outcome::Read(reference)) => assert_eq!(ours, reference, "{shown}"),
        (Outcome::NoHead, Outcome::NoHead) => {}
        (Outcome::Refused(refusal), Outcome::Refused(faults)) => {
            assert!(faults.contains(&refusal.reason), "{refusal:?} is none of {faults:?}: {shown}");
            let status = if kind == Kind::Request { refusal.reason.status() } else { refusal.status };
            assert_eq!(refusal.status, status, "{shown}");
        }
        (ours, Outcome::Refused(faults)) => unreachable!("{ours:?}, but {faults:?}: {shown}"),
        (ours, Outcome::Read(reference)) => unreachable!("{ours:?}, but {reference:?}: {shown}"),
        (ours, Outcome::NoHead) => unreachable!("{ours:?}, but no head yet: {shown}"),
    }
}

/// Cut once at every place, and cut at every place at once.
pub(crate) fn assert_pieces_change_nothing(kind: Kind, bytes: &[u8]) {
    let whole = ours::read(kind, bytes, &[]);
    for cut in 0..=bytes.len() {
        assert_eq!(ours::read(kind, bytes, &[cut]), whole, "cut at {cut}: {}", bytes.escape_ascii());
    }
    let everywhere: Vec<usize> = (0..=bytes.len()).collect();
    assert_eq!(ours::read(kind, bytes, &everywhere), whole, "byte by byte: {}", bytes.escape_ascii());
}
