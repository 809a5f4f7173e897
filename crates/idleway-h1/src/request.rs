//! The head of a request and what it means.

use std::borrow::Cow;
use std::fmt;
use std::mem::MaybeUninit;

use crate::connection::Connection;
use crate::fault;
use crate::field::{FieldIter, Fields, Span, elements};
use crate::framing::{Declared, Framing};
use crate::head::Version;
use crate::known::Known;
use crate::limits::{Limits, MAX_FIELDS};
use crate::refusal::{Refusal, RefusalReason};
use crate::target::{Target, is_authority};

/// The head of a request: a copy of its bytes, where its fields are, and its meaning. It borrows nothing.
#[derive(Clone)]
pub struct RequestHead {
    fields: Fields,
    method: Span,
    target: Span,
    path: Span,
    authority: Span,
    version: Version,
    framing: Framing,
    connection: Connection,
    expects_continue: bool,
}

impl RequestHead {
    /// Reads `head`, from the first byte of its request line to the empty line, which [`Scan`](crate::scan::Scan)
    /// has found: all its lines end with CRLF, and none is empty or folded.
    pub(crate) fn read(head: &[u8], limits: &Limits) -> Result<Self, Refusal> {
        let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut tokens = httparse::Request::new(&mut []);
        let whole = tokens.parse_with_uninit_headers(head, &mut room);
        let (Ok(httparse::Status::Complete(_)), Some(method), Some(target_text), Some(minor)) =
            (whole, tokens.method, tokens.path, tokens.version)
        else {
            return Err(fault::in_request(head));
        };
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        let target_span = Span::within(head, target_text.as_bytes());
        let target_at = target_span.range().start;
        if target_text.len() > limits.target {
            return Err(Refusal::new(RefusalReason::TargetTooLong, target_at));
        }
        if method.eq_ignore_ascii_case("CONNECT") || method.eq_ignore_ascii_case("TRACE") {
            return Err(Refusal::new(RefusalReason::MethodNotAllowed, 0));
        }
        let target = Target::read(method, target_text.as_bytes())
            .map_err(|fault| fault.shifted(target_at.try_into().unwrap_or(u64::MAX)))?;
        let (bytes, path) = with_path(head, &target, target_at);
        let fields = Fields::new(&bytes, head, tokens.headers);

        let host = host(&fields, version)?;
        let authority = target.authority.map_or(host, |range| Span::new(range).moved(target_at));
        let connection = Connection::read(&fields)?;
        let framing = Declared::read(&fields, version)?.framing(Framing::Empty);
        let expects_continue = expects_continue(&fields)?
            && version == Version::Http11
            && !matches!(framing, Framing::Empty | Framing::Length(0));
        let method = Span::within(head, method.as_bytes());
        Ok(Self {
            fields,
            method,
            target: target_span,
            path,
            authority,
            version,
            framing,
            connection,
            expects_continue,
        })
    }

    /// The head as it was received, from the first byte of the request line to the empty line.
    #[must_use]
    pub fn as_received(&self) -> &[u8] {
        let bytes = self.fields.bytes();
        // Behind it may stand what the reader needed of its own.
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        &bytes[..end]
    }

    /// The method: a token, as received, never `CONNECT` or `TRACE`.
    #[must_use]
    pub fn method(&self) -> &str {
        self.fields.text(self.method)
    }

    /// The target as received: in origin form, in absolute form, or `*`.
    #[must_use]
    pub fn target(&self) -> &str {
        self.fields.text(self.target)
    }

    /// Path and query in the form that a backend is sent: it begins with `/`, or is `*` for `OPTIONS` (3.2).
    #[must_use]
    pub fn path(&self) -> &str {
        self.fields.text(self.path)
    }

    /// Host and port that the request is for: of the target if it is absolute, else of `Host` (3.2.2). A valid
    /// `host[:port]` in the client's letters, or empty for HTTP/1.0 without `Host`.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.fields.text(self.authority)
    }

    /// The version of the client.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where the body ends; never [`Framing::UntilClose`].
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the client would send another request on this connection.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.connection.persists(self.version)
    }

    /// Whether the client waits for `100 Continue` before it sends its body: never without one, nor in HTTP/1.0.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
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

    /// Whether `Connection` names the field, so that it must not be forwarded (RFC 9110, 7.6.1).
    ///
    /// `close` and `keep-alive` name no field here; `Keep-Alive` is [hop-by-hop](Known::is_hop_by_hop) by itself.
    #[must_use]
    pub fn nominated(&self, name: &str) -> bool {
        self.connection.nominates(&self.fields, name)
    }
}

/// The head with its path in it: where the target leaves it out, it is put behind the head.
fn with_path<'a>(head: &'a [u8], target: &Target, target_at: usize) -> (Cow<'a, [u8]>, Span) {
    let given = Span::new(target.path.clone()).moved(target_at);
    if target.path_prefix.is_empty() {
        return (Cow::Borrowed(head), given);
    }
    let longer = [head, target.path_prefix.as_bytes(), &head[given.range()]].concat();
    let path = Span::new(head.len()..longer.len());
    (Cow::Owned(longer), path)
}

/// The place of the one valid `Host`; empty if an HTTP/1.0 request has none.
fn host(fields: &Fields, version: Version) -> Result<Span, Refusal> {
    let mut hosts = fields.all(Known::Host);
    let host = match hosts.next() {
        Some((at, host)) if is_authority(host) => Span::new(at..at + host.len()),
        Some((at, _)) => return Err(Refusal::new(RefusalReason::BadHost, at)),
        None if version == Version::Http10 => Span::default(),
        None => return Err(Refusal::new(RefusalReason::MissingHost, 0)),
    };
    match hosts.next() {
        Some((at, _)) => Err(Refusal::new(RefusalReason::RepeatedHost, at)),
        None => Ok(host),
    }
}

fn expects_continue(fields: &Fields) -> Result<bool, Refusal> {
    let mut expects = false;
    for (at, value) in fields.all(Known::Expect) {
        if !elements(value).all(|expectation| expectation.eq_ignore_ascii_case(b"100-continue")) {
            return Err(Refusal::new(RefusalReason::UnknownExpectation, at));
        }
        expects |= elements(value).next().is_some();
    }
    Ok(expects)
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method())
            .field("target", &self.target())
            .field("version", &self.version)
            .field("framing", &self.framing)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
