//! The head of a response and what it means.

use std::fmt;
use std::mem::MaybeUninit;
use std::time::Duration;

use crate::connection::Connection;
use crate::fault;
use crate::field::{FieldIter, Fields, Span, elements, trim};
use crate::framing::{Declared, Framing};
use crate::head::Version;
use crate::known::Known;
use crate::limits::MAX_FIELDS;
use crate::refusal::{Refusal, RefusalReason};

/// The head of a response: a copy of its bytes, where its fields are, and its meaning. It borrows nothing.
#[derive(Clone)]
pub struct ResponseHead {
    fields: Fields,
    status: u16,
    reason: Span,
    version: Version,
    declared: Declared,
    framing: Framing,
    connection: Connection,
}

impl ResponseHead {
    /// Reads `head`, which [`Scan`](crate::scan::Scan) has found: all its lines end with CRLF, and none is empty
    /// or folded.
    pub(crate) fn read(head: &[u8], to_head_method: bool) -> Result<Self, Refusal> {
        let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut tokens = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let whole = parser.parse_response_with_uninit_headers(&mut tokens, head, &mut room);
        let (Ok(httparse::Status::Complete(_)), Some(status), Some(minor)) =
            (whole, tokens.code, tokens.version)
        else {
            return Err(fault::in_response(head));
        };
        if !(100..=599).contains(&status) {
            return Err(Refusal::new(RefusalReason::BadStatus, STATUS_AT));
        }
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        let fields = Fields::new(head, head, tokens.headers);
        let connection = Connection::read(&fields)?;
        let declared = Declared::read(&fields, version)?;
        if status < 200 && !matches!(declared, Declared::Nothing | Declared::Length(0)) {
            return Err(Refusal::new(RefusalReason::InterimWithBody, STATUS_AT));
        }
        let framing = if to_head_method || status < 200 || matches!(status, 204 | 304) {
            Framing::Empty
        } else {
            declared.framing(Framing::UntilClose)
        };
        Ok(Self { fields, status, reason: reason(head), version, declared, framing, connection })
    }

    /// The status, 100-599.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase, often empty.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        &self.fields.bytes()[self.reason.range()]
    }

    /// Whether it is one of those that come before the response itself (1xx); 101 ends the HTTP of a connection.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        self.status < 200
    }

    /// The version of the backend.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where the body ends: [`Framing::Empty`] for `HEAD`, 1xx, 204 and 304 whatever the fields say (6.3).
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The `Content-Length`, which for `HEAD` and 304 is that of a body which does not come.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        match self.declared {
            Declared::Length(length) => Some(length),
            Declared::Nothing | Declared::Chunked => None,
        }
    }

    /// Whether the connection may carry another request once this response has ended.
    ///
    /// Not after a 204 that announces a body either: what follows it could be taken for the next response.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        let odd = self.status == 204 && !matches!(self.declared, Declared::Nothing | Declared::Length(0));
        self.connection.persists(self.version) && self.framing != Framing::UntilClose && !odd
    }

    /// How long the backend keeps the connection open while nothing is sent: `Keep-Alive: timeout=N`, in seconds
    /// (RFC 2068, 19.7.1.1).
    #[must_use]
    pub fn keep_alive_timeout(&self) -> Option<Duration> {
        let seconds =
            self.fields.all(Known::KeepAlive).flat_map(|(_, value)| elements(value)).find_map(timeout);
        seconds.map(Duration::from_secs)
    }

    /// All fields in their order.
    #[must_use]
    pub fn fields(&self) -> FieldIter<'_> {
        self.fields.iter()
    }

    /// The value of the first such field.
    #[must_use]
    pub fn get(&self, known: Known) -> Option<&[u8]> {
        self.fields.first(known)
    }

    /// Whether `Connection` names the field, as [`RequestHead::nominated`](crate::RequestHead::nominated).
    #[must_use]
    pub fn nominated(&self, name: &str) -> bool {
        self.connection.nominates(&self.fields, name)
    }
}

/// Where the status begins in `HTTP/1.1 200 OK`.
const STATUS_AT: usize = 9;

/// The place of the reason phrase; a status line may end without even the space before it.
fn reason(head: &[u8]) -> Span {
    let end = head.iter().position(|byte| *byte == b'\r').unwrap_or(head.len());
    let start = STATUS_AT + "200 ".len();
    Span::new(start.min(end)..end)
}

/// The seconds of a `timeout=N` parameter.
fn timeout(parameter: &[u8]) -> Option<u64> {
    let (name, value) = parameter.split_at_checked("timeout".len())?;
    let value = trim(trim(value).strip_prefix(b"=")?);
    let digits = value.iter().all(u8::is_ascii_digit);
    let seconds = str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()?;
    name.eq_ignore_ascii_case(b"timeout").then_some(seconds)
}

impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status", &self.status)
            .field("version", &self.version)
            .field("framing", &self.framing)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
