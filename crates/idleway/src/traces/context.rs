//! Which trace a request belongs to: `traceparent` (W3C Trace Context, section 3.2).

use idleway_h1::{Known, RequestHead};

use crate::message::RandomHex;

/// `00-<32 hex>-<16 hex>-<2 hex>`
pub(crate) type TraceParent = [u8; 55];

/// Recorded by whoever has written it, of the flags.
const RECORDED: u8 = 1;

/// What a `traceparent` says.
pub(super) struct Read {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    pub(super) is_recorded: bool,
}

/// The `traceparent` of a request, if it has a sound one that is not meant for this hop alone.
pub(crate) fn parent_of(head: &RequestHead) -> Option<&[u8]> {
    let value = head.get(Known::Traceparent)?;
    (is_sound(value) && !head.nominated("traceparent")).then_some(value)
}

/// Begun here, and recorded by nobody yet.
pub(crate) fn begun() -> TraceParent {
    let ids = RandomHex::<48>::new();
    let (trace, span) = ids.as_str().as_bytes().split_at(32);
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    text[3..35].copy_from_slice(trace);
    text[36..52].copy_from_slice(span);
    text
}

/// Ids not all zero (section 3.2.2); later versions may be longer.
fn is_sound(value: &[u8]) -> bool {
    let hex = |bytes: &[u8]| bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let some = |bytes: &[u8]| hex(bytes) && bytes.iter().any(|byte| *byte != b'0');
    value.len() >= 55
        && (value.len() == 55 || (value[55] == b'-' && !value.starts_with(b"00")))
        && hex(&value[..2])
        && !value.starts_with(b"ff")
        && [2, 35, 52].iter().all(|dash| value[*dash] == b'-')
        && some(&value[3..35])
        && some(&value[36..52])
        && hex(&value[53..55])
}

pub(super) fn read(parent: &[u8]) -> Option<Read> {
    let [flags] = bytes(parent.get(53..55)?)?;
    Some(Read {
        trace: bytes(parent.get(3..35)?)?,
        span: bytes(parent.get(36..52)?)?,
        is_recorded: flags & RECORDED != 0,
    })
}

/// Recorded here, and whose child the receiver is.
pub(super) fn write(trace: &[u8; 16], span: &[u8; 8]) -> TraceParent {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
    write_hex(&mut text[3..35], trace);
    write_hex(&mut text[36..52], span);
    text
}

fn bytes<const N: usize>(hex: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (own, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        *own = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn write_hex(out: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sound_traceparent_is_one() {
        let sound = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_sound(sound.as_bytes()) && is_sound(&begun()));
        assert!(is_sound(format!("01{}-later", &sound[2..]).as_bytes()));
        let zero = "0".repeat(32);
        for odd in [
            String::new(),
            sound[..54].to_owned(),
            format!("{sound}-x"),
            format!("ff{}", &sound[2..]),
            sound.to_uppercase(),
            format!("00-{zero}-00f067aa0ba902b7-01"),
        ] {
            assert!(!is_sound(odd.as_bytes()), "{odd}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = write(&[0xab; 16], &[1; 8]);
        let read = read(&text).unwrap();
        assert!(is_sound(&text) && read.is_recorded);
        assert_eq!((read.trace, read.span), ([0xab; 16], [1; 8]));
    }
}
