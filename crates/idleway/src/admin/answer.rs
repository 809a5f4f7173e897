//! Answers, and problems as RFC 9457 has them.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use http_body_util::{Either, Full};
use serde::Serialize;
use serde_json::json;

use super::board::Watching;

/// Where the problems are described; each is an anchor there.
const TYPES: &str = "https://github.com/idleway/idleway/blob/main/docs/admin.md#";

pub(super) type Answer = Response<Either<Full<Bytes>, Watching>>;

/// Why something is not done. Each has a name, which its `type` ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// `Host` is a name that anybody may have pointed at this machine.
    Host,
    /// A web page of somebody else asks.
    CrossSite,
    /// The token is missing or wrong.
    Token,
    /// There is no token by which anything could be changed.
    NoToken,
    /// Nothing has this path.
    NotFound,
    /// No pool has this name.
    NoPool(String),
    /// The pool has no backend of this name.
    NoBackend(String),
    /// These methods are what the path takes.
    Method(String),
    /// The body is no JSON.
    MediaType,
    TooLarge,
    TooSlow,
    /// The body is not what is meant.
    Body(String),
    /// What was in force stays.
    NotReloaded(String),
    /// This program cannot reload.
    NoReload,
    /// The gateway stops, or has stopped.
    Stopping,
    /// It is neither the token nor a key that was not used yet.
    Key,
    /// So many look on already.
    Viewers,
    /// The system has no random numbers.
    NoRandom,
}

impl Problem {
    fn told(&self) -> (StatusCode, &'static str, &'static str, String) {
        let text = str::to_owned;
        match self {
            Self::Host => (
                StatusCode::MISDIRECTED_REQUEST,
                "host",
                "Ask by an address or `localhost`",
                text(
                    "`Host` has to be an IP address or `localhost`, since anybody may point a name at this machine",
                ),
            ),
            Self::CrossSite => (
                StatusCode::FORBIDDEN,
                "cross-site",
                "No web page of somebody else may ask",
                text(
                    "`Origin` or `Sec-Fetch-Site` says that the request comes from a page of another origin",
                ),
            ),
            Self::Token => (
                StatusCode::UNAUTHORIZED,
                "token",
                "The token is missing or wrong",
                text("send it as `Authorization: Bearer TOKEN`; the log says where it stands"),
            ),
            Self::NoToken => (
                StatusCode::FORBIDDEN,
                "no-token",
                "There is no token, so nothing can be changed",
                text("set `admin_token` in the configuration"),
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "not-found",
                "There is nothing here",
                text("docs/admin.md lists all paths"),
            ),
            Self::NoPool(pool) => (
                StatusCode::NOT_FOUND,
                "no-pool",
                "There is no such pool",
                format!("no pool is called `{pool}`"),
            ),
            Self::NoBackend(backend) => (
                StatusCode::NOT_FOUND,
                "no-backend",
                "There is no such backend",
                format!("the pool has no backend `{backend}`: it is named by its host and port"),
            ),
            Self::Method(methods) => {
                (StatusCode::METHOD_NOT_ALLOWED, "method", "Not with this method", format!("with {methods}"))
            }
            Self::MediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media-type",
                "The body has to be JSON",
                text("send it with `Content-Type: application/json`"),
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "The body is too large",
                format!("at most {} KiB", super::BODY >> 10),
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "too-slow",
                "The body took too long",
                format!("at most {:?}", super::BODY_TIME),
            ),
            Self::Body(why) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "body", "The body is not what is meant", why.clone())
            }
            Self::NotReloaded(why) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "not-reloaded",
                "Not reloaded: what is in force stays",
                why.clone(),
            ),
            Self::NoReload => (
                StatusCode::NOT_IMPLEMENTED,
                "no-reload",
                "There is nothing to reload from",
                text("the program that runs this gateway does not read its configuration again"),
            ),
            Self::Key => (
                StatusCode::FORBIDDEN,
                "key",
                "That is neither the token nor a key that still works",
                text("a key works once and for an hour; the log says where the token stands"),
            ),
            Self::Viewers => (
                StatusCode::SERVICE_UNAVAILABLE,
                "viewers",
                "Too many look on already",
                text("close another dashboard"),
            ),
            Self::NoRandom => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "no-random",
                "The system has no random numbers",
                text("nobody can sign in; the token works all the same"),
            ),
            Self::Stopping => (
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "The gateway is stopping",
                text("nothing is changed any more"),
            ),
        }
    }

    /// Its name, as in its `type`.
    pub(super) fn name(&self) -> &'static str {
        self.told().1
    }

    pub(super) fn answer(&self) -> Answer {
        let (status, name, title, detail) = self.told();
        let body = json!({
            "type": format!("{TYPES}{name}"),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
        });
        let mut answer = written(status, "application/problem+json", body.to_string());
        let field = match self {
            Self::Token => Some((WWW_AUTHENTICATE, "Bearer realm=\"idleway\"")),
            Self::Method(methods) => Some((ALLOW, methods.as_str())),
            _ => None,
        };
        if let Some((name, value)) = field
            && let Ok(value) = HeaderValue::from_str(value)
        {
            answer.headers_mut().insert(name, value);
        }
        answer
    }
}

/// An answer with this in it.
pub(super) fn json(status: StatusCode, told: &impl Serialize) -> Answer {
    match serde_json::to_string(told) {
        Ok(text) => written(status, "application/json", text),
        // Shapes of texts and numbers: there is nothing that could not be written.
        Err(_) => written(StatusCode::INTERNAL_SERVER_ERROR, "application/json", "{}".to_owned()),
    }
}

/// An answer with this text, which ends its last line.
pub(super) fn text(kind: &'static str, text: String) -> Answer {
    written(StatusCode::OK, kind, text)
}

/// A file of the page, which a browser may run and show.
pub(super) fn file(kind: &'static str, text: &'static str) -> Answer {
    // Nothing from anywhere else, nothing that stands in the page itself, and in no frame.
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                          base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let mut answer = Response::new(Either::Left(Full::from(text)));
    let fields = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-cache"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("content-security-policy"), POLICY),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fields {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// Messages, for as long as somebody looks on.
pub(super) fn stream(watching: Watching) -> Answer {
    let mut answer = written(StatusCode::OK, "text/event-stream", String::new());
    *answer.body_mut() = Either::Right(watching);
    // A proxy that would wait for the end is told not to.
    answer.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    answer
}

fn written(status: StatusCode, kind: &'static str, mut text: String) -> Answer {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut answer = Response::new(Either::Left(Full::from(text)));
    *answer.status_mut() = status;
    let fields = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        // A browser shows it as what it is, and in no frame.
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("content-security-policy"), "default-src 'none'; frame-ancestors 'none'"),
    ];
    for (name, value) in fields {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
