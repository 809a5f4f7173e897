//! What became of requests, as spans for OpenTelemetry: one of the gateway's own for each request that is recorded, and one for
//! each attempt on a backend below it.

mod context;
mod protobuf;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) use self::context::{TraceParent, begun, parent_of};
pub(crate) use self::protobuf::encode;
use crate::message::random_u64;

/// The longest text of an attribute, in bytes.
const LONGEST: usize = 512;

/// The methods that may stand in the name of a span (the semantic conventions for HTTP): there are few names.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// A request that is recorded.
#[derive(Debug)]
pub(crate) struct Trace {
    trace: [u8; 16],
    /// The span of whoever has sent the request.
    parent: Option<[u8; 8]>,
    span: [u8; 8],
    attempts: Vec<Attempt>,
}

#[derive(Debug)]
struct Attempt {
    span: [u8; 8],
    backend: String,
    /// When it had its Slot, and how long it had waited for it.
    granted: Instant,
    waited: Duration,
    ended: Option<Instant>,
    status: Option<u16>,
    fault: Option<&'static str>,
}

/// A request as the gateway has seen it, when it has ended.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    /// Without the query, in which secrets may stand.
    pub(crate) path: &'a str,
    pub(crate) route: Option<&'a str>,
    pub(crate) pool: Option<&'a str>,
    pub(crate) client: &'a str,
    pub(crate) id: &'a str,
    /// 0 where there was no answer.
    pub(crate) status: u16,
    /// What went wrong, in a word and in a sentence.
    pub(crate) fault: Option<&'static str>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) arrived: Instant,
    /// Since when it stood in line, if it was there at its end.
    pub(crate) in_line: Option<Instant>,
}

/// A span, ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Span {
    trace: [u8; 16],
    span: [u8; 8],
    parent: Option<[u8; 8]>,
    name: String,
    kind: Kind,
    /// In nanoseconds since 1970.
    start: u64,
    end: u64,
    attributes: Vec<(&'static str, Value)>,
    events: Vec<Event>,
    /// It went wrong, and how.
    error: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Event {
    at: u64,
    name: &'static str,
    attributes: Vec<(&'static str, Value)>,
}

/// As OTLP numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Server = 2,
    Client = 3,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
    Float(f64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        let mut end = text.len().min(LONGEST);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self::Text(text[..end].to_owned())
    }
}

impl Trace {
    /// A request that came with this `traceparent`, which is a sound one. What its sender records is recorded here too, and
    /// nothing else of what it sends; of the requests without one, this share in percent.
    pub(crate) fn begin(parent: Option<&[u8]>, share: u32) -> Option<Box<Self>> {
        let (trace, parent) = match parent {
            Some(parent) => {
                let read = context::read(parent)?;
                read.is_recorded.then_some((read.trace, Some(read.span)))?
            }
            None => {
                (random_u64() % 100 < u64::from(share)).then_some(())?;
                let halves = [random_u64().max(1).to_be_bytes(), random_u64().to_be_bytes()];
                let mut trace = [0; 16];
                trace.copy_from_slice(halves.as_flattened());
                (trace, None)
            }
        };
        Some(Box::new(Self { trace, parent, span: new_span(), attempts: Vec::new() }))
    }

    /// Another attempt has its Slot.
    pub(crate) fn granted(&mut self, backend: &str, granted: Instant, waited: Duration) {
        self.end_attempt(granted, None);
        let (backend, ended, status, fault) = (backend.to_owned(), None, None, None);
        self.attempts.push(Attempt { span: new_span(), backend, granted, waited, ended, status, fault });
    }

    /// What the backend of the last attempt is told.
    pub(crate) fn parent_of_backend(&self) -> TraceParent {
        context::write(&self.trace, self.attempts.last().map_or(&self.span, |last| &last.span))
    }

    /// The backend's answer has begun.
    pub(crate) fn answered(&mut self, status: u16) {
        if let Some(last) = self.attempts.last_mut() {
            last.status.get_or_insert(status);
        }
    }

    /// The last attempt has ended, unless it had before; with this fault, if with any.
    pub(crate) fn attempt_ended(&mut self, fault: Option<&'static str>) {
        self.end_attempt(Instant::now(), fault);
    }

    fn end_attempt(&mut self, at: Instant, fault: Option<&'static str>) {
        if let Some(last) = self.attempts.last_mut()
            && last.ended.is_none()
        {
            last.ended = Some(at);
            last.fault = fault;
        }
    }

    /// All its spans; the request has ended.
    pub(crate) fn end(mut self, told: &Told<'_>) -> Vec<Span> {
        self.attempt_ended(None);
        let clock = Clock::now();
        let mut spans = Vec::with_capacity(1 + self.attempts.len());
        spans.push(self.own(told, &clock));
        spans.extend(self.attempts.iter().map(|attempt| self.of_attempt(attempt, told, &clock)));
        spans
    }

    fn own(&self, told: &Told<'_>, clock: &Clock) -> Span {
        let mut attributes = method(told.method);
        attributes.extend([
            ("url.scheme", "http".into()),
            ("url.path", told.path.into()),
            ("server.address", told.host.into()),
            ("client.address", told.client.into()),
            ("idleway.request.id", told.id.into()),
        ]);
        attributes.extend(told.route.map(|route| ("http.route", route.into())));
        attributes.extend(told.pool.map(|pool| ("idleway.pool", pool.into())));
        attributes.extend(status(told.status));
        // A refusal of what was wrong with the request itself is no error of a server.
        let is_error = !(100..500).contains(&told.status) || matches!(told.fault, Some("cut"));
        attributes.extend(told.fault.map(|fault| ("error.type", fault.into())));
        let mut events = Vec::new();
        for attempt in &self.attempts {
            if !attempt.waited.is_zero() {
                events.push(queued(clock.at(attempt.granted - attempt.waited)));
            }
            let wait = Value::Float(attempt.waited.as_secs_f64());
            let attributes =
                vec![("idleway.backend", attempt.backend.as_str().into()), ("idleway.queue.wait", wait)];
            let at = clock.at(attempt.granted);
            events.push(Event { at, name: "idleway.slot.granted", attributes });
        }
        events.extend(told.in_line.map(|since| queued(clock.at(since))));
        let verb = verb(told.method);
        Span {
            trace: self.trace,
            span: self.span,
            parent: self.parent,
            name: told.route.map_or_else(|| verb.to_owned(), |route| format!("{verb} {route}")),
            kind: Kind::Server,
            start: clock.at(told.arrived),
            end: clock.at(clock.now),
            attributes,
            events,
            error: is_error.then(|| told.reason.unwrap_or_default().to_owned()),
        }
    }

    fn of_attempt(&self, attempt: &Attempt, told: &Told<'_>, clock: &Clock) -> Span {
        let (host, port) = attempt.backend.rsplit_once(':').unwrap_or((&attempt.backend, ""));
        let mut attributes = method(told.method);
        attributes.push(("server.address", host.trim_matches(['[', ']']).into()));
        attributes.extend(port.parse().map(|port| ("server.port", Value::Number(port))));
        attributes.extend(attempt.status.and_then(status));
        attributes.extend(attempt.fault.map(|fault| ("error.type", fault.into())));
        let is_error = attempt.fault.is_some() || attempt.status.is_some_and(|status| status >= 400);
        Span {
            trace: self.trace,
            span: attempt.span,
            parent: Some(self.span),
            name: verb(told.method).to_owned(),
            kind: Kind::Client,
            start: clock.at(attempt.granted),
            end: clock.at(attempt.ended.unwrap_or(clock.now)),
            attributes,
            events: Vec::new(),
            error: is_error.then(String::new),
        }
    }
}

/// The one present of a request's spans, on both clocks.
struct Clock {
    now: Instant,
    since_1970: Duration,
}

impl Clock {
    fn now() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { now: Instant::now(), since_1970 }
    }

    /// Nanoseconds since 1970.
    fn at(&self, at: Instant) -> u64 {
        let nanos = self.since_1970.saturating_sub(self.now.saturating_duration_since(at)).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

fn queued(at: u64) -> Event {
    Event { at, name: "idleway.queued", attributes: Vec::new() }
}

fn verb(method: &str) -> &str {
    if METHODS.contains(&method) { method } else { "HTTP" }
}

fn method(method: &str) -> Vec<(&'static str, Value)> {
    match METHODS.contains(&method) {
        true => vec![("http.request.method", method.into())],
        false => {
            vec![("http.request.method", "_OTHER".into()), ("http.request.method_original", method.into())]
        }
    }
}

fn status(status: u16) -> Option<(&'static str, Value)> {
    (status > 0).then(|| ("http.response.status_code", Value::Number(status.into())))
}

/// Not zero, which stands for none.
fn new_span() -> [u8; 8] {
    random_u64().max(1).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_the_sender_records_is_recorded() {
        let trace = Trace::begin(Some(RECORDED), 0).unwrap();
        assert_eq!(trace.parent, Some([0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]));
        let not = [&RECORDED[..54], b"0"].concat();
        assert!(Trace::begin(Some(&not), 100).is_none());
        assert!(Trace::begin(None, 0).is_none() && Trace::begin(None, 100).is_some());
    }

    #[test]
    fn an_attempt_tells_its_backend_whose_child_it_is() {
        let mut trace = Trace::begin(Some(RECORDED), 0).unwrap();
        trace.granted("127.0.0.1:80", Instant::now(), Duration::ZERO);
        let told = context::read(&trace.parent_of_backend()).unwrap();
        assert_eq!((told.trace, told.span), (trace.trace, trace.attempts[0].span));
        assert!(told.is_recorded);
    }

    #[test]
    fn the_first_end_of_an_attempt_counts() {
        let mut trace = Trace::begin(Some(RECORDED), 0).unwrap();
        trace.granted("127.0.0.1:80", Instant::now(), Duration::ZERO);
        trace.attempt_ended(Some("backend-closed"));
        trace.attempt_ended(Some("queue-full"));
        assert_eq!(trace.attempts[0].fault, Some("backend-closed"));
    }
}
