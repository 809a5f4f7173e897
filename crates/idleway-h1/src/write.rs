//! Heads and chunks, written.

use std::fmt;
use std::io::Write;

use crate::field::{Field, is_token};

/// Writes one head, always of HTTP/1.1, behind what is in a buffer.
///
/// No caller can split a message with it: a CR, LF or NUL in a value is written as a space (RFC 9110, 5.5).
///
/// ```
/// let mut out = Vec::new();
/// idleway_h1::HeadWriter::response(&mut out, 503, "Service Unavailable").number("Retry-After", 3).end();
/// assert_eq!(out, b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\n\r\n");
/// ```
#[derive(Debug)]
#[must_use = "a head ends with `end`"]
pub struct HeadWriter<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> HeadWriter<'a> {
    /// Begins a request. Method and path are as a [`RequestHead`](crate::RequestHead) has them.
    pub fn request(out: &'a mut Vec<u8>, method: &str, path: &str) -> Self {
        debug_assert!(is_token(method.as_bytes()), "a method is a token: {method:?}");
        debug_assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "not a path: {path:?}");
        for part in [method, " ", path, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        Self { out }
    }

    /// Begins a response. `status` has three digits; `reason` is a backend's or [`reason_phrase`].
    pub fn response(out: &'a mut Vec<u8>, status: u16, reason: impl AsRef<[u8]>) -> Self {
        debug_assert!((100..=599).contains(&status), "not a status: {status}");
        out.extend_from_slice(b"HTTP/1.1 ");
        push_number(out, status.into());
        out.push(b' ');
        push_line(out, reason.as_ref());
        Self { out }
    }

    /// Adds a field. `name` is a token.
    pub fn field(&mut self, name: &str, value: impl AsRef<[u8]>) -> &mut Self {
        self.name(name);
        push_line(self.out, value.as_ref());
        self
    }

    /// Adds a field as it was read from another head.
    pub fn copy(&mut self, field: &Field<'_>) -> &mut Self {
        match field.line {
            // Every byte of it has been looked at by the reader: it cannot split the message.
            Some(line) => self.out.extend_from_slice(line),
            None => return self.field(field.name, field.value),
        }
        self
    }

    /// Adds a field whose value is formatted in place: `format_args!("{} idleway", "1.1")`.
    pub fn field_fmt(&mut self, name: &str, value: fmt::Arguments<'_>) -> &mut Self {
        self.name(name);
        let start = self.out.len();
        let written = self.out.write_fmt(value);
        debug_assert!(written.is_ok(), "a value failed to format itself");
        end_line(self.out, start);
        self
    }

    /// Adds a field whose value is a number, like `Content-Length`.
    pub fn number(&mut self, name: &str, value: u64) -> &mut Self {
        self.name(name);
        push_number(self.out, value);
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// Ends the head.
    pub fn end(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }

    fn name(&mut self, name: &str) {
        push_name(self.out, name);
    }
}

/// The line before the data of a chunk; [`CHUNK_SUFFIX`] goes behind the data.
#[derive(Clone, Copy, Debug)]
pub struct ChunkPrefix {
    bytes: [u8; Self::MAX],
    start: usize,
}

/// Goes behind the data of each chunk.
pub const CHUNK_SUFFIX: &[u8] = b"\r\n";

/// Ends a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The line before `len` bytes of data, which must not be none: an empty chunk would end the body.
#[must_use]
pub fn chunk_prefix(len: usize) -> ChunkPrefix {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    debug_assert!(len > 0, "an empty chunk ends the body");
    let mut bytes = [0; ChunkPrefix::MAX];
    let mut start = ChunkPrefix::MAX - CHUNK_SUFFIX.len();
    bytes[start..].copy_from_slice(CHUNK_SUFFIX);
    let mut rest = len;
    loop {
        start -= 1;
        bytes[start] = DIGITS[rest % 16];
        rest /= 16;
        if rest == 0 {
            return ChunkPrefix { bytes, start };
        }
    }
}

/// Ends a chunked body with these trailers.
#[expect(single_use_lifetimes, reason = "the language has no anonymous lifetime in this place yet")]
pub fn last_chunk_with<'a>(out: &mut Vec<u8>, trailers: impl IntoIterator<Item = Field<'a>>) {
    out.extend_from_slice(b"0\r\n");
    for field in trailers {
        push_name(out, field.name);
        push_line(out, field.value);
    }
    out.extend_from_slice(b"\r\n");
}

impl ChunkPrefix {
    /// The digits of any `usize`, and CRLF.
    const MAX: usize = usize::BITS as usize / 4 + 2;
}

impl AsRef<[u8]> for ChunkPrefix {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

fn push_name(out: &mut Vec<u8>, name: &str) {
    debug_assert!(is_token(name.as_bytes()), "a field name is a token: {name:?}");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
}

fn push_line(out: &mut Vec<u8>, value: &[u8]) {
    let start = out.len();
    out.extend_from_slice(value);
    end_line(out, start);
}

/// Ends the line whose last part begins at `start`, once nothing in that part ends it earlier.
fn end_line(out: &mut Vec<u8>, start: usize) {
    let splits = |byte: u8| matches!(byte, b'\r' | b'\n' | 0);
    let value = &mut out[start..];
    // No early exit: so the compiler looks at many bytes at once.
    if value.iter().fold(false, |any, byte| any | splits(*byte)) {
        value.iter_mut().filter(|byte| splits(**byte)).for_each(|byte| *byte = b' ');
    }
    out.extend_from_slice(b"\r\n");
}

fn push_number(out: &mut Vec<u8>, mut number: u64) {
    const DIGITS: &[u8; 10] = b"0123456789";
    let mut bytes = [0; 20];
    let mut start = bytes.len();
    loop {
        start -= 1;
        bytes[start] = DIGITS[usize::try_from(number % 10).unwrap_or(0)];
        number /= 10;
        if number == 0 {
            out.extend_from_slice(&bytes[start..]);
            return;
        }
    }
}

/// The reason phrase that is registered for a status; empty for others.
#[must_use]
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "",
    }
}
