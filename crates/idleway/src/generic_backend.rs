//! The generic backend: does one thing at a time, and is its own witness.
//!
//! It stands for the backends that Idleway is for. `POST /process` with a JSON body takes a while and answers
//! `{"message":"Processed successfully","data":…}`. Like them it does not notice a client that leaves: what was begun
//! is done to its end. It counts how much it does at once, from the moment a request is complete to just before its
//! answer is written, refuses what is over its limit (or works on that too: [`Over`]), and shows the count at
//! `GET /witness`.

mod work;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::IgnoredAny;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::config;

pub use work::{Witness, Work};

/// Connections at once; further ones wait to be accepted.
const CONNECTIONS: usize = 1024;
/// Bytes of a request body.
const BODY: usize = 16 << 20;

/// How a [`GenericBackend`] works.
#[derive(Debug, Clone, Copy)]
pub struct GenericBackendOptions {
    /// Requests it may work on at once.
    pub slots: u32,
    /// How long it works on each; `?delay=250ms` asks for another time.
    pub delay: Duration,
    /// What becomes of a request that comes while every slot is at work.
    pub over: Over,
}

impl Default for GenericBackendOptions {
    /// One at a time, three seconds each; what is over that is refused.
    fn default() -> Self {
        GenericBackendOptions { slots: 1, delay: Duration::from_secs(3), over: Over::Refuse }
    }
}

/// What becomes of a request that comes while every slot is at work. It is counted either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// It is answered 500: whoever broke the limit notices at once.
    Refuse,
    /// It is worked on beside the others: the count shows how far the limit was broken.
    Work,
}

/// A backend that listens, to be [`run`](GenericBackend::run).
#[derive(Debug)]
pub struct GenericBackend {
    listener: TcpListener,
    address: SocketAddr,
    delay: Duration,
    work: Arc<Work>,
}

impl GenericBackend {
    /// Listens on the address; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(address: SocketAddr, options: GenericBackendOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(GenericBackend {
            listener,
            address,
            delay: options.delay,
            work: Arc::new(Work::new(options.slots, options.over)),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has done, as it would say itself; to be kept while it runs.
    pub fn work(&self) -> Arc<Work> {
        Arc::clone(&self.work)
    }

    /// Serves until `shutdown`; then its listener and connections close at once, as those of a process that dies.
    /// Work that was begun goes on.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let serve = async {
            let free = Arc::new(Semaphore::new(CONNECTIONS));
            let mut connections = JoinSet::new();
            while let Ok(one) = Arc::clone(&free).acquire_owned().await {
                while connections.try_join_next().is_some() {}
                // Accepting fails for one connection, or for a while when files run out: the next may do better.
                let Ok((stream, _)) = self.listener.accept().await else {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                let (work, delay) = (Arc::clone(&self.work), self.delay);
                connections.spawn(async move {
                    serve_connection(stream, work, delay).await;
                    drop(one);
                });
            }
        };
        tokio::select! {
            () = serve => {}
            () = shutdown => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, work: Arc<Work>, delay: Duration) {
    let service = service_fn(move |request| {
        let work = Arc::clone(&work);
        async move { Ok::<_, Infallible>(answer(request, work, delay).await) }
    });
    // An error is a client that left or spoke nonsense: nobody is there to be told.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

type Answer = Response<Full<Bytes>>;

async fn answer(request: Request<Incoming>, work: Arc<Work>, delay: Duration) -> Answer {
    let path = request.uri().path().to_owned();
    match (path.as_str(), request.method()) {
        ("/process", &Method::POST) => process(request, work, delay).await,
        ("/process", _) => not_allowed("POST"),
        ("/", _) => json(StatusCode::OK, &About::of(&work)),
        ("/witness", &Method::GET | &Method::HEAD) => json(StatusCode::OK, &work.witness()),
        ("/witness", _) => not_allowed("GET, HEAD"),
        _ => error(StatusCode::NOT_FOUND, "there is /process, /witness and /"),
    }
}

async fn process(request: Request<Incoming>, work: Arc<Work>, delay: Duration) -> Answer {
    let delay = match asked_delay(request.uri().query()) {
        Ok(asked) => asked.unwrap_or(delay),
        Err(problem) => return error(StatusCode::BAD_REQUEST, &problem),
    };
    let id = request_id(&request);
    let body = match Limited::new(request.into_body(), BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(problem) if problem.is::<http_body_util::LengthLimitError>() => {
            return error(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
        }
        Err(_) => return error(StatusCode::BAD_REQUEST, "the body was cut short"),
    };
    let text = std::str::from_utf8(&body).unwrap_or_default();
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return error(StatusCode::BAD_REQUEST, "the body is not JSON");
    }
    let answer = format!("{{\"message\":\"Processed successfully\",\"data\":{}}}", compact(text));

    let at_work = match work.begin(id) {
        Ok(at_work) => at_work,
        Err(problem) => return error(StatusCode::INTERNAL_SERVER_ERROR, &problem),
    };
    // A task of its own: when the client leaves, hyper drops this future, but what was begun is done to its end.
    let done = tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        drop(at_work);
    });
    match done.await {
        Ok(()) => json_text(StatusCode::OK, answer),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "the work was cancelled"),
    }
}

/// JSON without the blanks between its tokens; otherwise as it came: no number is rounded, no key moved.
fn compact(json: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    let token = |c: &char| {
        let blank = !in_text && c.is_ascii_whitespace();
        in_text ^= *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        !blank
    };
    json.chars().filter(token).collect()
}

fn asked_delay(query: Option<&str>) -> Result<Option<Duration>, String> {
    asked(query, "delay=").map(config::duration).transpose().map_err(|fault| fault.message)
}

/// The query comes first: some gateways write their own id over that in the field.
fn request_id(request: &Request<Incoming>) -> Option<String> {
    let field =
        || Some(String::from_utf8_lossy(request.headers().get("x-request-id")?.as_bytes()).into_owned());
    asked(request.uri().query(), "id=").map(str::to_owned).or_else(field)
}

fn asked<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    query?.split('&').find_map(|part| part.strip_prefix(name))
}

#[derive(Serialize)]
struct About {
    about: &'static str,
    slots: u32,
    now: u32,
}

impl About {
    fn of(work: &Work) -> Self {
        let about = "a generic backend of Idleway: POST JSON to /process, see /witness";
        About { about, slots: work.slots, now: work.now() }
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
}

fn not_allowed(methods: &'static str) -> Answer {
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "not with this method");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

fn error(status: StatusCode, error: &str) -> Answer {
    json(status, &Problem { error })
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_string(value) {
        Ok(text) => json_text(status, text),
        Err(problem) => json_text(StatusCode::INTERNAL_SERVER_ERROR, format!("{{\"error\":\"{problem}\"}}")),
    }
}

fn json_text(status: StatusCode, mut text: String) -> Answer {
    text.push('\n');
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blanks_between_tokens_go() {
        assert_eq!(
            compact("\n{ \"b \\\" \": [1.10, 2 ],\t\"a\" : \"\\\\\" } "),
            r#"{"b \" ":[1.10,2],"a":"\\"}"#
        );
    }

    #[test]
    fn a_delay_can_be_asked_for() {
        assert_eq!(asked_delay(None), Ok(None));
        assert_eq!(asked_delay(Some("x=1&delay=250ms")), Ok(Some(Duration::from_millis(250))));
        assert!(asked_delay(Some("delay=soon")).is_err());
    }
}
