//! What an application adds to the way of each request: before it joins the line, and after its answer.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use idleway_h1::{Field, HeadReader, Known, Limits, MAX_FIELDS, MAX_HEAD, RequestHead, Version};

use crate::edits::{EditFault, Edits};
use crate::error::Reject;
use crate::message::Request;

/// What an application adds to each request's way through the gateway.
///
/// [`Hook::arrived`] is asked before the request takes a route, and so before it waits for a Slot: it may let the request
/// pass, change it, choose its pool or refuse it. [`Hook::answered`] is told how it ended, also where the client left or
/// the gateway stopped. Both are called for every request that could be read as one; for the rest there is the log.
///
/// ```
/// use http::StatusCode;
/// use idleway::{Answered, Arrival, Denial, Hook, Verdict};
///
/// /// Nobody comes in without the word.
/// struct Password(String);
///
/// impl Hook for Password {
///     fn arrived<'a>(&'a self, arrival: &'a mut Arrival<'_>) -> Verdict<'a> {
///         Box::pin(async move {
///             match arrival.header("x-password") {
///                 Some(word) if word == self.0.as_bytes() => Ok(()),
///                 _ => Err(Denial::new(StatusCode::UNAUTHORIZED, "Say the word.")),
///             }
///         })
///     }
/// }
/// # let _ = Password("friend".to_owned());
/// ```
pub trait Hook: Send + Sync + 'static {
    /// Looks at a request whose head has arrived, and whose body may not have. The client is watched meanwhile: when it
    /// leaves, the future is dropped. There is no other bound on how long it may take. One that panics is answered 500.
    ///
    /// # Errors
    /// The request is refused with this.
    fn arrived<'a>(&'a self, arrival: &'a mut Arrival<'_>) -> Verdict<'a> {
        let _ = arrival;
        Box::pin(ready(Ok(())))
    }

    /// Hears how a request ended, after its answer and before the next request of its connection; to be quick, since it
    /// holds up whatever else runs on its core.
    fn answered(&self, answered: &Answered<'_>) {
        let _ = answered;
    }
}

/// What [`Hook::arrived`] comes to.
pub type Verdict<'a> = Pin<Box<dyn Future<Output = Result<(), Denial>> + Send + 'a>>;

/// Several hooks, asked in their order; the first that refuses a request is the last that is asked.
pub(crate) struct All(pub(crate) Vec<Arc<dyn Hook>>);

impl Hook for All {
    fn arrived<'a>(&'a self, arrival: &'a mut Arrival<'_>) -> Verdict<'a> {
        Box::pin(async move {
            for hook in &self.0 {
                hook.arrived(arrival).await?;
            }
            Ok(())
        })
    }

    fn answered(&self, answered: &Answered<'_>) {
        self.0.iter().for_each(|hook| hook.answered(answered));
    }
}

impl fmt::Debug for dyn Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// A request that has arrived, and what is to become of it.
#[derive(Debug)]
pub struct Arrival<'r> {
    request: &'r Request,
    edits: Edits,
    path: Option<String>,
    pool: Option<String>,
    labels: Vec<(String, String)>,
}

impl<'r> Arrival<'r> {
    pub(crate) fn new(request: &'r Request) -> Self {
        Self { request, edits: Edits::of_request(), path: None, pool: None, labels: Vec::new() }
    }

    /// What names the request in logs, answers and backends: the client's own `X-Request-Id`, or a new one.
    pub fn id(&self) -> &str {
        self.request.id.as_str()
    }

    /// Whom it comes from: the other side of the connection, which may be a proxy.
    pub fn peer(&self) -> SocketAddr {
        self.request.peer
    }

    /// Its method.
    pub fn method(&self) -> &str {
        self.request.head.method()
    }

    /// Host and port as the request names them; may be empty.
    pub fn authority(&self) -> &str {
        self.request.head.authority()
    }

    /// Path and query, or `*`; as it is to be, where it was changed.
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or_else(|| self.request.head.path())
    }

    /// The value of the first field of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All fields: name and value; as they are to be, where they were changed.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let stay = self.request.head.fields().filter(|field| !self.edits.drops(field));
        stay.map(|field| (field.name, field.value)).chain(self.edits.written())
    }

    /// Sets a field, in place of all of this name and of those that an application may take for it (`X_User` for `X-User`).
    /// Everything behind the hook sees it as if it had come: the route, the pool's `fair_by`, the backend. (Of `Forwarded` and
    /// `X-Forwarded-*` the backend alone: routes do not go by what an untrusted peer could have said.) No trailer of this name
    /// goes on.
    ///
    /// # Errors
    /// Name or value are none, or the field is the gateway's own: what frames the message, or belongs to one connection.
    pub fn set_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), EditFault> {
        self.edits.set(name, value)
    }

    /// Removes all fields of this name, and those that an application may take for it.
    ///
    /// # Errors
    /// The name is none, or the gateway's own.
    pub fn remove_header(&mut self, name: &str) -> Result<(), EditFault> {
        self.edits.remove(name)
    }

    /// Sets path and query, before a route is looked for.
    ///
    /// # Errors
    /// The text is no path that can be sent (RFC 9112 section 3.2.1).
    pub fn set_path(&mut self, path: impl Into<String>) -> Result<(), EditFault> {
        let path = path.into();
        if !idleway_h1::is_path(path.as_bytes()) {
            return Err(EditFault::NotAPath);
        }
        self.path = Some(path);
        Ok(())
    }

    /// Sends it to the pool of this name with that pool's settings, whatever the routes say. Where there is none it is
    /// answered 404.
    pub fn set_pool(&mut self, name: impl Into<String>) {
        self.pool = Some(name.into());
    }

    /// Has the request's line in the log, and [`Answered::labels`], say this of it.
    pub fn label(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.labels.push((name.into(), value.into()));
    }

    /// What the hook has made of it; not what it changed, where it was refused.
    pub(crate) fn changes(self, refused: Option<Reject>) -> Changes {
        let is_changed = refused.is_none() && (self.path.is_some() || !self.edits.is_empty());
        match is_changed.then(|| self.rebuilt()).transpose() {
            Ok(request) => {
                Changes { request, edits: self.edits, pool: self.pool, labels: self.labels, refused }
            }
            Err(reject) => Changes { labels: self.labels, refused: Some(reject), ..Changes::default() },
        }
    }

    /// Written and read anew: nothing that a hook does gets past the strictness of the reader.
    fn rebuilt(&self) -> Result<Request, Reject> {
        let head = &self.request.head;
        let version = if head.version() == Version::Http10 { "1.0" } else { "1.1" };
        let mut text = format!("{} {} HTTP/{version}\r\n", head.method(), self.path()).into_bytes();
        let mut field = |name: &str, value: &[u8]| {
            [name.as_bytes(), b": ", value, b"\r\n"].iter().for_each(|part| text.extend_from_slice(part));
        };
        if head.get(Known::Host).is_some() || !head.authority().is_empty() {
            field("Host", head.authority().as_bytes());
        }
        // What the client nominated as its connection's alone goes already here (RFC 9110 section 7.6.1): otherwise it could
        // take away what a hook sets.
        // But what the gateway itself goes by stays: where the body ends, whether a word is awaited, whether trailers are.
        let stays = |field: &Field<'_>| match field.known {
            Known::Host | Known::Connection => false,
            Known::ContentLength | Known::TransferEncoding | Known::Te | Known::Expect => true,
            _ => !head.nominated(field.name) && !self.edits.drops(field),
        };
        head.fields().filter(stays).for_each(|kept| field(kept.name, kept.value));
        self.edits.written().for_each(|(name, value)| field(name, value));
        match (head.version(), head.keep_alive()) {
            (_, false) => field("Connection", b"close"),
            (Version::Http10, true) => field("Connection", b"keep-alive"),
            (_, true) => {}
        }
        text.extend_from_slice(b"\r\n");
        let limits = Limits { head: MAX_HEAD, target: MAX_HEAD, fields: MAX_FIELDS };
        let read: Option<(RequestHead, usize)> =
            HeadReader::new(limits).request(&text).map_err(Reject::Refused)?;
        let Some((head, _)) = read else {
            return Err(Reject::Internal { why: "a hook left half a head".to_owned() });
        };
        Ok(self.request.with_head(Box::new(head)))
    }
}

/// What a hook has made of a request.
#[derive(Debug)]
pub(crate) struct Changes {
    /// Where it is not as it came.
    pub(crate) request: Option<Request>,
    /// To be made once more to what a backend gets: no trailer undoes them, and what only the gateway may say of a client
    /// the hook may say, too.
    pub(crate) edits: Edits,
    pub(crate) pool: Option<String>,
    pub(crate) labels: Vec<(String, String)>,
    /// It goes no further, and this is why.
    pub(crate) refused: Option<Reject>,
}

impl Default for Changes {
    fn default() -> Self {
        Self { request: None, edits: Edits::of_request(), pool: None, labels: Vec::new(), refused: None }
    }
}

/// A hook's refusal: the answer that the client gets instead of a backend's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    pub(crate) status: u16,
    pub(crate) title: Cow<'static, str>,
    pub(crate) detail: Option<String>,
    pub(crate) fields: Edits,
}

impl Denial {
    /// An answer of this status, from 300 to 599 (any other becomes 500), and a sentence for whoever gets it.
    pub fn new(status: StatusCode, title: impl Into<Cow<'static, str>>) -> Self {
        let status = status.as_u16();
        let status = if (300..=599).contains(&status) { status } else { 500 };
        Self { status, title: title.into(), detail: None, fields: Edits::of_response() }
    }

    /// Adds what happened, for whoever has to mend it; it goes into the answer and the log.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// Adds a field to the answer, such as `WWW-Authenticate` or `Location`.
    ///
    /// # Errors
    /// Name or value are none, or the field is the gateway's own to write: also `Content-Type` and `Proxy-Status`, since the
    /// body is its own.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, EditFault> {
        if matches!(Known::of(name), Known::ContentType | Known::ProxyStatus) {
            return Err(EditFault::Owned);
        }
        self.fields.add(name, value)?;
        Ok(self)
    }
}

/// What a hook wanted to change cannot be changed: with `?` that is a refusal, by 500.
impl From<EditFault> for Denial {
    fn from(fault: EditFault) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The request cannot be passed on.")
            .detail(fault.to_string())
    }
}

/// How a request ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Answered<'a> {
    /// What names it in logs, answers and backends.
    pub id: &'a str,
    /// Whom it came from.
    pub peer: SocketAddr,
    /// Its method.
    pub method: &'a str,
    /// Its target as it came.
    pub target: &'a str,
    /// The status of its answer; none where its client left before there was one.
    pub status: Option<u16>,
    /// Its pool.
    pub pool: Option<&'a str>,
    /// The backend that it was tried on last, as host and port.
    pub backend: Option<&'a str>,
    /// How many backends were tried.
    pub attempts: u32,
    /// How long it stood in line, all in all.
    pub waited: Duration,
    /// From its arrival to the first byte of a backend's answer.
    pub first_byte: Option<Duration>,
    /// From its arrival to its end.
    pub total: Duration,
    /// Bytes of its body that were read.
    pub received: u64,
    /// Bytes of its answer's body that were passed on.
    pub sent: u64,
    /// Why it did not end with the whole answer of a backend, where it did not, as in the log.
    pub reason: Option<&'a str>,
    /// What [`Arrival::label`] said of it.
    pub labels: &'a [(String, String)],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Request {
        let (head, _) = HeadReader::new(Limits::default()).request(text.as_bytes()).unwrap().unwrap();
        Request::new(Box::new(head), "10.0.0.1:4000".parse().unwrap(), Arc::from("10.0.0.1"), false)
    }

    const REQUEST: &str =
        "POST /a?b HTTP/1.1\r\nHost: h:1\r\nX-One: 1\r\nx_one: 2\r\nX-Two: 3\r\nContent-Length: 4\r\n\r\n";

    #[test]
    fn what_is_not_changed_stays_what_it_was() {
        let request = request(REQUEST);
        let arrival = Arrival::new(&request);
        assert_eq!((arrival.method(), arrival.authority(), arrival.path()), ("POST", "h:1", "/a?b"));
        assert_eq!(arrival.header("X-ONE"), Some(&b"1"[..]));
        let changes = arrival.changes(None);
        assert!(changes.request.is_none() && changes.pool.is_none() && changes.labels.is_empty());
    }

    #[test]
    fn changes_are_seen_as_if_the_request_had_come_with_them() {
        let request = request(REQUEST);
        let mut arrival = Arrival::new(&request);
        arrival.set_header("x-one", "new").unwrap();
        arrival.remove_header("x-two").unwrap();
        arrival.set_path("/other?x=1").unwrap();
        arrival.set_pool("p");
        arrival.label("user", "me");
        assert_eq!((arrival.path(), arrival.header("X-One")), ("/other?x=1", Some(&b"new"[..])));
        assert_eq!(arrival.header("X-Two"), None);
        let id = arrival.id().to_owned();
        let changes = arrival.changes(None);
        let changed = changes.request.unwrap();
        let fields: Vec<_> = changed.head.fields().map(|field| (field.name, field.value)).collect();
        let expected: [(&str, &[u8]); 3] = [("Host", b"h:1"), ("Content-Length", b"4"), ("x-one", b"new")];
        assert_eq!(fields, expected);
        assert_eq!(
            (changed.head.path(), changed.head.framing()),
            ("/other?x=1", idleway_h1::Framing::Length(4))
        );
        assert_eq!((changed.id.as_str(), changed.arrived), (id.as_str(), request.arrived));
        assert_eq!(changes.pool.as_deref(), Some("p"));
        assert_eq!(changes.labels, [("user".to_owned(), "me".to_owned())]);
    }

    #[test]
    fn nothing_that_frames_a_message_can_be_changed() {
        let request = request(REQUEST);
        let mut arrival = Arrival::new(&request);
        for reserved in [
            "content-length",
            "transfer-encoding",
            "connection",
            "host",
            "expect",
            "te",
            "x-request-id",
            "via",
        ] {
            assert_eq!(arrival.set_header(reserved, "1"), Err(EditFault::Owned), "{reserved}");
            assert_eq!(arrival.remove_header(reserved), Err(EditFault::Owned), "{reserved}");
        }
        for odd in ["", "a", "*", "/a b", "/a\r\nX: y", "/ä", "/a#b"] {
            assert!(arrival.set_path(odd).is_err(), "{odd:?}");
        }
        assert!(arrival.changes(None).request.is_none());
    }

    /// A client that nominates a field has it removed on the way (RFC 9110 section 7.6.1).
    #[test]
    fn no_client_takes_away_what_a_hook_has_set() {
        let request =
            request("GET / HTTP/1.1\r\nHost: h\r\nConnection: close, x-user\r\nX-User: admin\r\n\r\n");
        let mut arrival = Arrival::new(&request);
        arrival.set_header("x-user", "nobody").unwrap();
        let changed = arrival.changes(None).request.unwrap();
        assert!(!changed.head.nominated("x-user") && !changed.head.keep_alive());
        let users = changed.head.fields().filter(|field| field.name.eq_ignore_ascii_case("x-user"));
        assert_eq!(users.map(|field| field.value).collect::<Vec<_>>(), [b"nobody"]);
    }

    #[test]
    fn where_a_body_ends_stays_whatever_the_client_nominates() {
        for (line, framing) in [
            ("Content-Length: 4", idleway_h1::Framing::Length(4)),
            ("Transfer-Encoding: chunked", idleway_h1::Framing::Chunked),
        ] {
            let name = line.split(':').next().unwrap();
            let text = format!("POST / HTTP/1.1\r\nHost: h\r\nConnection: {name}\r\n{line}\r\n\r\n");
            let request = request(&text);
            let mut arrival = Arrival::new(&request);
            arrival.set_header("x-user", "me").unwrap();
            let changed = arrival.changes(None).request.unwrap();
            assert_eq!((changed.head.framing(), request.head.framing()), (framing, framing), "{line}");
        }
    }

    #[test]
    fn what_has_become_too_large_is_refused() {
        let request = request(REQUEST);
        let mut arrival = Arrival::new(&request);
        for count in 0..=MAX_FIELDS {
            arrival.set_header(&format!("x-{count}"), "1").unwrap();
        }
        assert_eq!(arrival.changes(None).refused.unwrap().status(), 431);
    }

    #[test]
    fn a_denial_has_a_status_that_is_no_success() {
        let status = |code| Denial::new(StatusCode::from_u16(code).unwrap(), "no").status;
        assert_eq!([200, 100, 302, 401, 599, 600].map(status), [500, 500, 302, 401, 599, 500]);
        let denial = || Denial::new(StatusCode::FORBIDDEN, "no");
        for owned in ["Content-Length", "content-type", "Proxy-Status"] {
            assert_eq!(denial().header(owned, "0"), Err(EditFault::Owned), "{owned}");
        }
        assert!(denial().header("Location", "/\r\nX: y").is_err());
        let with = denial().header("www-authenticate", "Basic").unwrap();
        assert_eq!(with.fields.written().count(), 1);
    }
}
