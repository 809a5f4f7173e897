//! The differences between h11 and us that are known, each with its reason.

use idleway_h1::RefusalReason::{self, *};
use idleway_h1::Version;

use crate::message::{End, Outcome};

use super::theirs::{Reading, Theirs};

/// We refuse, h11 reads (or waits for more, where we refuse at once).
const WE_ARE_STRICTER: &[(RefusalReason, &str)] = &[
    (BareCr, "h11 finds lines by LF and has CR in chunk extensions; others end the line at the CR"),
    (BareLf, "h11 takes LF for the end of a line, as 2.2 allows; others do not"),
    (
        ControlByte,
        "h11 lets all but NUL, CR, LF and some space into values, and finds them when the head is whole",
    ),
    (ObsFold, "h11 unfolds; 5.2 lets a server refuse"),
    (HeadTooLarge, "h11's only limit is that of its buffer"),
    (TooManyFields, "h11's only limit is that of its buffer"),
    (TargetTooLong, "h11's only limit is that of its buffer"),
    (TrailersTooLarge, "h11's only limit is that of its buffer"),
    (MethodNotAllowed, "h11 leaves methods to its user; a gateway does neither CONNECT nor TRACE"),
    (BadTarget, "h11 leaves targets to its user"),
    (BadHost, "h11 leaves hosts to its user"),
    (UnsupportedVersion, "h11 reads any version as it reads 1.1"),
    (
        RepeatedContentLength,
        "h11 takes equal lengths for one, as RFC 9110, 8.6 allows; others take the first or last",
    ),
    (
        BadContentLength,
        "h11 takes a list of equal lengths for one, as RFC 9110, 8.6 allows, and 2^63 for a length",
    ),
    (TransferEncodingInHttp10, "h11 reads the chunks; 6.1 calls the framing faulty"),
    (LengthAndTransferEncoding, "h11 lets chunks win, as 6.3 allows; others let the length win"),
    (TooManyConnectionOptions, "a bound on our own work"),
    (UnknownExpectation, "h11 leaves other expectations to its user; RFC 9110, 10.1.1 allows 417"),
    (BadStatus, "h11 reads 6xx to 9xx as final responses"),
    (InterimWithBody, "h11 reads no body there, whatever is announced; a backend that sends one loses us"),
    (BadChunkSize, "h11 takes 20 digits, and space behind them"),
    (BadChunkExtension, "h11 passes over anything but line ends in an extension"),
    (ChunkExtensionTooLong, "h11's only limit is that of its buffer"),
    (ChunkOverhead, "a bound on our own work"),
    (ForbiddenTrailer, "h11 leaves trailers to its user"),
];

/// Whether bytes are such that a difference shows.
type Shows = fn(&[u8]) -> bool;

/// What h11 makes of what we read.
type Change = fn(&mut Reading);

/// We read, h11 refuses: the beginning of its words, and whether the bytes are such that it does.
const H11_IS_STRICTER: &[(&str, Shows, &str)] = &[
    (
        "no request line received",
        |bytes| bytes.starts_with(b"\r\n"),
        "2.2 asks servers to pass over one empty line",
    ),
    (
        "illegal request line",
        |bytes| !bytes.contains(&b'\n'),
        "h11 looks at the first byte; we wait for the head",
    ),
    (
        "bad Content-Length",
        |bytes| contains(bytes, b": 00000"),
        "h11 takes 20 digits; 8.6 of RFC 9110 any number",
    ),
    (
        "illegal chunk header",
        |bytes| contains(bytes, b"\t;") || contains(bytes, b" ;"),
        "7.1.1 allows space before an extension",
    ),
    (
        "Received server _SWITCH_UPGRADE event",
        |bytes| contains(bytes, b" 101"),
        "h11 knows what was asked; here the reader's user does",
    ),
];

/// Both read, and h11 shows something else: what it shows instead.
const SHOWN_DIFFERENTLY: &[(&str, Change, &str)] = &[
    ("small letters", coding_in_small_letters, "h11 writes transfer codings in small letters"),
    ("HTTP/1.0 closes", http10_closes, "h11 does not know Keep-Alive in HTTP/1.0"),
    ("204 with a body", odd_204_keeps, "we close where a 204 announces a body, in case one comes"),
    ("cut short closes", cut_off_closes, "we leave it to our user to see that the body did not end"),
    (
        "interim keeps",
        interim_keeps,
        "h11 judges with the final response alone; our user reads the next head whatever an interim one says",
    ),
];

/// The known differences that explain why the two do not agree; none if they do not.
pub(crate) fn between(ours: &Outcome, theirs: &Theirs, bytes: &[u8]) -> Vec<String> {
    match (ours, theirs) {
        (Outcome::Refused(refusal), Theirs::Read(_) | Theirs::NoHead) => {
            let known = WE_ARE_STRICTER.iter().any(|(reason, _)| *reason == refusal.reason);
            Vec::from_iter(known.then(|| format!("{:?}", refusal.reason)))
        }
        (Outcome::Read(_) | Outcome::NoHead, Theirs::Refused(_, words)) => {
            let known = |(start, shows, _): &&(&str, Shows, &str)| words.starts_with(start) && shows(bytes);
            Vec::from_iter(H11_IS_STRICTER.iter().find(known).map(|(start, ..)| (*start).to_owned()))
        }
        (Outcome::Read(ours), Theirs::Read(theirs)) => {
            let mut shown = Reading::of(ours);
            let mut names = Vec::new();
            for (name, show, _) in SHOWN_DIFFERENTLY {
                let before = shown.clone();
                show(&mut shown);
                if shown != before {
                    names.push((*name).to_owned());
                }
            }
            if shown == *theirs { names } else { Vec::new() }
        }
        _ => Vec::new(),
    }
}

/// All of them.
pub(crate) fn names() -> impl Iterator<Item = String> {
    let reasons = WE_ARE_STRICTER.iter().map(|(reason, _)| format!("{reason:?}"));
    let refusals = H11_IS_STRICTER.iter().map(|(start, ..)| (*start).to_owned());
    let shown = SHOWN_DIFFERENTLY.iter().map(|(name, ..)| (*name).to_owned());
    reasons.chain(refusals).chain(shown)
}

fn coding_in_small_letters(reading: &mut Reading) {
    for (name, value) in &mut reading.fields {
        if name == "transfer-encoding" {
            value.make_ascii_lowercase();
        }
    }
}

fn http10_closes(reading: &mut Reading) {
    reading.keep_alive &= reading.version == Version::Http11;
}

fn odd_204_keeps(reading: &mut Reading) {
    let close = reading.fields.iter().any(|(name, value)| name == "connection" && contains(value, b"close"));
    let odd = reading.start.0 == b"204" && reading.version == Version::Http11 && !close;
    reading.keep_alive |= odd;
}

fn interim_keeps(reading: &mut Reading) {
    reading.keep_alive |= reading.start.0.starts_with(b"1");
}

fn cut_off_closes(reading: &mut Reading) {
    reading.keep_alive &= reading.end == End::Complete;
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
