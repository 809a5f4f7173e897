//! Where a body ends (section 6.3).

use crate::field::{Fields, elements, is_token, trim};
use crate::head::Version;
use crate::known::Known;
use crate::refusal::{Refusal, RefusalReason};

/// How the end of a body is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// There is no body.
    Empty,
    /// So many bytes, perhaps none.
    Length(u64),
    /// Chunks, the last of which has no data.
    Chunked,
    /// All until the backend closes; of responses only.
    UntilClose,
}

/// What the fields say of the body's length, whether or not the message has a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Declared {
    Nothing,
    Length(u64),
    Chunked,
}

impl Declared {
    /// Reads `Content-Length` and `Transfer-Encoding`.
    pub(crate) fn read(fields: &Fields, version: Version) -> Result<Self, Refusal> {
        let length = only(fields, Known::ContentLength, RefusalReason::RepeatedContentLength)?;
        let coding = only(fields, Known::TransferEncoding, RefusalReason::RepeatedTransferEncoding)?;
        match (length, coding) {
            (None, None) => Ok(Self::Nothing),
            (Some((at, value)), None) => match content_length(value) {
                Some(length) => Ok(Self::Length(length)),
                None => Err(Refusal::new(RefusalReason::BadContentLength, at)),
            },
            (None, Some((at, _))) if version == Version::Http10 => {
                Err(Refusal::new(RefusalReason::TransferEncodingInHttp10, at))
            }
            (None, Some((_, value))) if value.eq_ignore_ascii_case(b"chunked") => Ok(Self::Chunked),
            (None, Some((at, value))) => Err(Refusal::new(odd_coding(value), at)),
            (Some(_), Some((at, _))) => Err(Refusal::new(RefusalReason::LengthAndTransferEncoding, at)),
        }
    }

    /// The framing of a message that may have a body; `otherwise` if no field says.
    pub(crate) fn framing(self, otherwise: Framing) -> Framing {
        match self {
            Self::Nothing => otherwise,
            Self::Length(length) => Framing::Length(length),
            Self::Chunked => Framing::Chunked,
        }
    }
}

/// The field's place and value if it occurs once.
fn only(fields: &Fields, known: Known, repeated: RefusalReason) -> Result<Option<(usize, &[u8])>, Refusal> {
    let mut all = fields.all(known);
    let first = all.next();
    match all.next() {
        Some((at, _)) => Err(Refusal::new(repeated, at)),
        None => Ok(first),
    }
}

/// Digits alone, and no more than what programs with signed numbers can hold: they read what we pass on.
fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: i64 = str::from_utf8(value).ok()?.parse().ok()?;
    u64::try_from(length).ok()
}

/// Unknown codings are "not implemented"; all else that is not exactly `chunked` is malformed.
fn odd_coding(value: &[u8]) -> RefusalReason {
    let mut chunked = 0;
    let mut unknown = 0;
    for coding in elements(value) {
        let name = coding.split(|byte| *byte == b';').next().map_or(coding, trim);
        if name.eq_ignore_ascii_case(b"chunked") {
            chunked += 1;
        } else if is_token(name) {
            unknown += 1;
        } else {
            return RefusalReason::BadTransferEncoding;
        }
    }
    if chunked <= 1 && unknown > 0 {
        RefusalReason::UnknownTransferCoding
    } else {
        RefusalReason::BadTransferEncoding
    }
}
