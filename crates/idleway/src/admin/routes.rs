//! Which request is for what.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, COOKIE, HeaderValue, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use serde::Deserialize;
use serde_json::json;

use super::answer::{self, Answer, Problem};
use super::leash::Leash;
use super::past::Errors;
use super::sessions::Rights;
use super::status::{PoolStatus, Pools, Ready, Status};
use super::{BODY, BODY_TIME, Desk, guard, orders, page};
use crate::config::AdminToken;
use crate::control::process;
use crate::gateway::Handle;

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Livez,
    Readyz,
    Metrics,
    Status,
    Pools,
    Pool,
    Backend,
    Mode,
    Slots,
    PlannedSlots,
    Reload,
    Errors,
    Events,
    Watch,
    Session,
    SignIn,
    SignOut,
}

/// Every path there is, with its method; `{…}` stands for one segment.
const ROUTES: &[(&str, &str, Wanted)] = &[
    ("GET", "/livez", Wanted::Livez),
    ("GET", "/readyz", Wanted::Readyz),
    ("GET", "/metrics", Wanted::Metrics),
    ("GET", "/v1/status", Wanted::Status),
    ("GET", "/v1/pools", Wanted::Pools),
    ("GET", "/v1/pools/{pool}", Wanted::Pool),
    ("GET", "/v1/pools/{pool}/backends/{backend}", Wanted::Backend),
    ("PUT", "/v1/pools/{pool}/backends/{backend}/mode", Wanted::Mode),
    ("PUT", "/v1/pools/{pool}/backends/{backend}/slots", Wanted::Slots),
    ("DELETE", "/v1/pools/{pool}/backends/{backend}/slots", Wanted::PlannedSlots),
    ("POST", "/v1/reload", Wanted::Reload),
    ("GET", "/v1/errors", Wanted::Errors),
    ("GET", "/v1/events", Wanted::Events),
    ("GET", "/v1/watch", Wanted::Watch),
    ("GET", "/v1/session", Wanted::Session),
    ("POST", "/v1/session", Wanted::SignIn),
    ("DELETE", "/v1/session", Wanted::SignOut),
];

/// The one page of a request: what goes wrong is a problem, and becomes an answer here.
///
/// `leash`: what its connection ends by.
pub(super) async fn answer(
    desk: &Desk,
    peer: SocketAddr,
    leash: &Arc<Leash>,
    request: Request<Incoming>,
) -> Answer {
    served(desk, peer, leash, request).await.unwrap_or_else(|problem| problem.answer())
}

async fn served(
    desk: &Desk,
    peer: SocketAddr,
    leash: &Arc<Leash>,
    request: Request<Incoming>,
) -> Result<Answer, Problem> {
    // What everybody may have, since it tells nothing.
    if let Some(file) = page::find(request.method(), request.uri().path()) {
        return Ok(file);
    }
    let snapshot = desk.gateway.live().snapshot();
    let token = snapshot.plan.admin.token.as_ref().or(desk.token.as_ref());
    if let Ok((Wanted::SignIn, _)) = find(request.method(), request.uri().path()) {
        let outcome = sign_in(desk, token, request).await;
        orders::note(peer, "POST /v1/session", &[], &outcome);
        return outcome;
    }
    if let Err(problem) = guard::admit(&request, peer, token, &desk.sessions) {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            tracing::debug!(%peer, problem = problem.name(), "the admin API refuses to tell");
            return Err(problem);
        }
        let refused = Err(problem);
        orders::note::<Answer>(peer, &what(&request), &[], &refused);
        return refused;
    }
    let (wanted, names) = find(request.method(), request.uri().path())?;
    if let Wanted::Mode | Wanted::Slots | Wanted::PlannedSlots | Wanted::Reload = wanted {
        return ordered(desk, peer, wanted, &names, request).await;
    }
    match wanted {
        // Whoever asks for the head alone does not look on.
        Wanted::Watch if request.method() == Method::HEAD => {
            Ok(answer::text("text/event-stream", String::new()))
        }
        Wanted::Watch => {
            let watching = desk.viewers.admit(leash, request.headers().get(COOKIE).cloned());
            watching.map(answer::stream).ok_or(Problem::Viewers)
        }
        Wanted::Session => {
            let may_change = token.and_then(|token| desk.sessions.of(request.headers(), token));
            let may_change = may_change == Some(Rights::Change);
            Ok(answer::json(
                StatusCode::OK,
                &json!({ "may_change": may_change, "has_token": token.is_some() }),
            ))
        }
        Wanted::SignOut => {
            desk.sessions.close(request.headers());
            request.headers().get(COOKIE).into_iter().for_each(|cookie| desk.viewers.dismiss_by(cookie));
            Ok(answer::json(StatusCode::OK, &json!({ "may_change": false })))
        }
        _ => looked_at(desk, wanted, &names, request.uri().query()).await,
    }
}

/// By the token, or by the key of an address that works once.
async fn sign_in(
    desk: &Desk,
    token: Option<&AdminToken>,
    request: Request<Incoming>,
) -> Result<Answer, Problem> {
    guard::admit_stranger(&request)?;
    let token = token.ok_or(Problem::NoToken)?;
    let SignIn { key } = orders::read(&read(request, true).await?)?;
    let session = desk.sessions.open(&key, token)?;
    let mut answer = answer::json(StatusCode::OK, &json!({ "may_change": true, "proof": session.proof }));
    let cookie = HeaderValue::from_str(&session.cookie).map_err(|_| Problem::NoRandom)?;
    answer.headers_mut().insert(SET_COOKIE, cookie);
    Ok(answer)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    key: String,
}

/// What only looks.
async fn looked_at(
    desk: &Desk,
    wanted: Wanted,
    names: &[String],
    query: Option<&str>,
) -> Result<Answer, Problem> {
    let live = desk.gateway.live();
    Ok(match wanted {
        Wanted::Livez => {
            let silent = desk.gateway.silent_cores().await;
            let status = if silent.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            answer::json(status, &json!({ "live": silent.is_empty(), "silent_cores": silent }))
        }
        Wanted::Readyz => {
            let readiness = Ready::of(live);
            let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            answer::json(status, &readiness)
        }
        Wanted::Metrics => answer::text(Handle::METRICS_TYPE, desk.gateway.metrics() + &process()),
        Wanted::Status => answer::json(StatusCode::OK, &Status::of(desk)),
        Wanted::Pools => answer::json(StatusCode::OK, &Pools::of(live)),
        Wanted::Errors => answer::json(StatusCode::OK, &Errors::of(&live.failures)),
        Wanted::Events => {
            let after = query.and_then(|query| query.split('&').find_map(|part| part.strip_prefix("after=")));
            let after = after.map_or(Ok(0), str::parse);
            let after = after.map_err(|_| Problem::Body("`after` is the number of an event".to_owned()))?;
            answer::json(StatusCode::OK, &json!({ "events": desk.journal.after(after) }))
        }
        Wanted::Backend => {
            let [pool, backend] = names else { return Err(Problem::NotFound) };
            answer::json(StatusCode::OK, &orders::look(desk, pool, backend)?)
        }
        _ => {
            let name = names.first().map_or("", String::as_str);
            let pool = PoolStatus::named(live, name).ok_or_else(|| Problem::NoPool(name.to_owned()))?;
            answer::json(StatusCode::OK, &pool)
        }
    })
}

/// What changes something.
async fn ordered(
    desk: &Desk,
    peer: SocketAddr,
    wanted: Wanted,
    names: &[String],
    request: Request<Incoming>,
) -> Result<Answer, Problem> {
    let what = what(&request);
    let mut body = Vec::new();
    let outcome = match read(request, matches!(wanted, Wanted::Mode | Wanted::Slots)).await {
        Err(problem) => Err(problem),
        Ok(read) => {
            body = read;
            match (wanted, names) {
                (Wanted::Mode, [pool, backend]) => orders::set_mode(desk, pool, backend, &body)
                    .map(|told| answer::json(StatusCode::OK, &told)),
                (Wanted::Slots, [pool, backend]) => {
                    let told = orders::set_slots(desk, pool, backend, &body).await;
                    told.map(|told| answer::json(StatusCode::OK, &told))
                }
                (Wanted::PlannedSlots, [pool, backend]) => {
                    let told = orders::forget_slots(desk, pool, backend).await;
                    told.map(|told| answer::json(StatusCode::OK, &told))
                }
                _ => {
                    let done = orders::reload(desk).await;
                    done.map(|()| answer::json(StatusCode::OK, &json!({ "reloaded": true })))
                }
            }
        }
    };
    orders::note(peer, &what, &body, &outcome);
    outcome
}

/// Method and path, for the log.
fn what(request: &Request<Incoming>) -> String {
    const SHOWN: usize = 256;
    let path = request.uri().path();
    format!("{} {}", request.method(), path.get(..SHOWN).unwrap_or(path))
}

/// The body of an order.
async fn read(request: Request<Incoming>, is_needed: bool) -> Result<Vec<u8>, Problem> {
    // A form of a web page cannot say that it is JSON.
    if is_needed && !is_json(request.headers()) {
        return Err(Problem::MediaType);
    }
    if request.body().size_hint().lower() > BODY as u64 {
        return Err(Problem::TooLarge);
    }
    let body = Limited::new(request.into_body(), BODY).collect();
    match tokio::time::timeout(BODY_TIME, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::TooLarge),
        Ok(Err(error)) => Err(Problem::Body(format!("it was cut short: {error}"))),
        Err(_) => Err(Problem::TooSlow),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// What is at this path, and the names in it.
fn find(method: &Method, path: &str) -> Result<(Wanted, Vec<String>), Problem> {
    let mut others = Vec::new();
    for (own, pattern, wanted) in ROUTES {
        let Some(names) = names(pattern, path) else { continue };
        if method == own || (method == Method::HEAD && *own == "GET") {
            return Ok((*wanted, names));
        }
        others.push(if *own == "GET" { "GET, HEAD" } else { own });
    }
    Err(if others.is_empty() { Problem::NotFound } else { Problem::Method(others.join(", ")) })
}

/// What stands in the path for `{…}`, where it is one of this pattern.
fn names(pattern: &str, path: &str) -> Option<Vec<String>> {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    let mut names = Vec::new();
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return Some(names),
            (Some(own), Some(segment)) if own.starts_with('{') => names.push(decoded(segment)?),
            (Some(own), Some(segment)) if own == segment => {}
            _ => return None,
        }
    }
}

/// Without percent-encodings (RFC 3986 section 2.1).
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut parts = segment.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_path_has_one_meaning() {
        let get = |path| find(&Method::GET, path);
        assert_eq!(get("/v1/pools/a%2Fb"), Ok((Wanted::Pool, vec!["a/b".to_owned()])));
        assert_eq!(find(&Method::HEAD, "/livez"), Ok((Wanted::Livez, Vec::new())));
        let path = "/v1/pools/p/backends/%5B::1%5D:80/mode";
        assert_eq!(find(&Method::PUT, path), Ok((Wanted::Mode, vec!["p".to_owned(), "[::1]:80".to_owned()])));
        assert_eq!(get(path), Err(Problem::Method("PUT".to_owned())));
        assert_eq!(find(&Method::POST, "/readyz"), Err(Problem::Method("GET, HEAD".to_owned())));
        for path in [
            "",
            "*",
            "/v1",
            "/livez/",
            "//livez",
            "/v1/pools/",
            "/v1/pools/%zz",
            "/v1/pools/%+1",
            "/v1/pools/%ff",
            "/v1/pools/a/b",
            "/V1/status",
        ] {
            assert_eq!(get(path), Err(Problem::NotFound), "{path}");
        }
    }

    #[test]
    fn the_document_and_the_routes_are_the_same() {
        let document = include_str!("../../../../docs/openapi.json");
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        let methods = ["get", "put", "post", "delete", "patch", "head", "options", "trace"];
        let mut told = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in methods.iter().filter(|method| item.get(**method).is_some()) {
                assert!(told.insert((method.to_uppercase(), path.clone())));
            }
        }
        let own = ROUTES.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()));
        assert_eq!(told, own.collect());
    }
}
