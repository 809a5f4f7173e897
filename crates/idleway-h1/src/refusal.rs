//! Why a message was not read.

use std::error::Error;
use std::fmt;

/// A message that is refused: what is wrong, where, and what its sender is told.
///
/// Whatever the reason, the connection cannot be read any further: where the next message would begin is unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What is wrong.
    pub reason: RefusalReason,
    /// Where, in bytes from the start of the head (for a [`BodyReader`](crate::BodyReader): of the body).
    pub offset: u64,
    /// The status for the client: 4xx or 5xx by the reason; 502 for whatever a backend sent.
    pub status: u16,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $status:literal, $text:literal;)+) => {
        /// What is wrong with a message. The words of [`fmt::Display`] are fit for a client and a log.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum RefusalReason { $($(#[doc = $doc])+ $name,)+ }

        impl RefusalReason {
            /// All of them, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The status for a request with this fault.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

reasons! {
    /// A CR that no LF follows (2.2).
    BareCr = 400, "a CR without LF";
    /// An LF that no CR precedes (2.2).
    BareLf = 400, "an LF without CR";
    /// NUL, another control character or DEL.
    ControlByte = 400, "a control character";
    /// A line that goes on in the next one (5.2).
    ObsFold = 400, "a folded line";
    /// More than one empty line before a request (2.2), or any before a response.
    EmptyLines = 400, "empty lines before the message";
    /// The head is larger than [`Limits::head`](crate::Limits::head).
    HeadTooLarge = 431, "the head is too large";
    /// More field lines than [`Limits::fields`](crate::Limits::fields).
    TooManyFields = 431, "too many fields";
    /// The target is longer than [`Limits::target`](crate::Limits::target).
    TargetTooLong = 414, "the request target is too long";
    /// Not method, target and version with one space between (3).
    BadRequestLine = 400, "a malformed request line";
    /// The method is no token.
    BadMethod = 400, "a malformed method";
    /// `CONNECT` and `TRACE`, in any case of letters: a gateway does neither. The answer needs an `Allow` field.
    MethodNotAllowed = 405, "a method that is not allowed";
    /// None of the forms of section 3.2, or bytes that no target may hold.
    BadTarget = 400, "a malformed request target";
    /// Not `HTTP/`, digit, dot, digit.
    BadVersion = 400, "a malformed HTTP version";
    /// A version other than HTTP/1.0 and HTTP/1.1.
    UnsupportedVersion = 505, "an unsupported HTTP version";
    /// A field line without a colon.
    MissingColon = 400, "a field line without colon";
    /// Space between a field's name and its colon (5.1).
    SpaceBeforeColon = 400, "space before a colon";
    /// A field name that is no token.
    BadFieldName = 400, "a malformed field name";
    /// HTTP/1.1 without `Host` (3.2).
    MissingHost = 400, "no Host field";
    /// More than one `Host`.
    RepeatedHost = 400, "more than one Host field";
    /// A host that is empty or is none, or a port that is none.
    BadHost = 400, "a malformed host";
    /// More than one `Content-Length`, even the same.
    RepeatedContentLength = 400, "more than one Content-Length";
    /// A `Content-Length` that is not digits alone, or above 2^63 - 1.
    BadContentLength = 400, "a malformed Content-Length";
    /// More than one `Transfer-Encoding`.
    RepeatedTransferEncoding = 400, "more than one Transfer-Encoding";
    /// A `Transfer-Encoding` that is no list of codings, or names `chunked` not exactly once.
    BadTransferEncoding = 400, "a malformed Transfer-Encoding";
    /// A transfer coding other than `chunked`.
    UnknownTransferCoding = 501, "an unknown transfer coding";
    /// `Transfer-Encoding` in HTTP/1.0 (6.1).
    TransferEncodingInHttp10 = 400, "Transfer-Encoding in HTTP/1.0";
    /// Both `Content-Length` and `Transfer-Encoding` (6.3).
    LengthAndTransferEncoding = 400, "both Content-Length and Transfer-Encoding";
    /// More options in `Connection` than any client has reason to send.
    TooManyConnectionOptions = 400, "too many Connection options";
    /// An `Expect` other than `100-continue` (RFC 9110, 10.1.1).
    UnknownExpectation = 417, "an unknown expectation";
    /// A status line that is none (4).
    BadStatusLine = 400, "a malformed status line";
    /// A status outside 100-599.
    BadStatus = 400, "a status outside 100-599";
    /// An interim response that announces a body.
    InterimWithBody = 400, "an interim response with a body";
    /// A chunk size that is not 1-15 hexadecimal digits, or what follows them is neither an extension nor CRLF (7.1).
    BadChunkSize = 400, "a malformed chunk size";
    /// A chunk extension with a control character.
    BadChunkExtension = 400, "a malformed chunk extension";
    /// A chunk extension of more than 256 bytes.
    ChunkExtensionTooLong = 400, "a chunk extension that is too long";
    /// Data that goes on where a chunk must end with CRLF.
    BadChunkEnd = 400, "a chunk longer than its size";
    /// Far more bytes of chunk framing than of data.
    ChunkOverhead = 400, "too much chunk framing for the data";
    /// A trailer section larger than its limit.
    TrailersTooLarge = 431, "trailers are too large";
    /// `Content-Length`, `Transfer-Encoding` or `Host` among the trailers (RFC 9110, 6.5.1).
    ForbiddenTrailer = 400, "a framing field in trailers";
    /// The input ended inside a body.
    Truncated = 400, "a body that was cut short";
}

impl Refusal {
    pub(crate) fn new(reason: RefusalReason, offset: usize) -> Self {
        // usize is at most 64 bits wide on every platform of Rust's.
        Self { reason, offset: u64::try_from(offset).unwrap_or(u64::MAX), status: reason.status() }
    }

    /// The same fault in what a backend sent: the client is told 502.
    #[must_use]
    pub fn in_response(self) -> Self {
        Self { status: 502, ..self }
    }

    /// The same fault, seen from a place that lies `by` bytes earlier.
    pub(crate) fn shifted(self, by: u64) -> Self {
        Self { offset: self.offset.saturating_add(by), ..self }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.reason, self.offset)
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Error for Refusal {}
