//! Who may ask.
//!
//! A browser on this machine reaches the API too, whatever page it shows. Three things keep pages of others out. `Host` has to
//! be an address or `localhost`, unless the token is there: a name of theirs that suddenly leads here (DNS rebinding) is none. What a browser says of
//! where a request comes from (`Origin`, `Sec-Fetch-Site`) has to be this very origin. And a change needs the token in
//! `Authorization`, which no browser sends by itself, or a session (`sessions`). No answer has a CORS field.

use std::net::{IpAddr, SocketAddr};

use http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use http::{HeaderMap, Method, Request};
use subtle::ConstantTimeEq;

use super::answer::Problem;
use super::sessions::{Rights, Sessions};
use crate::config::AdminToken;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What proxies say of the requests that they pass on.
const PROXIED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Whether this request is listened to at all.
pub(super) fn admit<B>(
    request: &Request<B>,
    peer: SocketAddr,
    token: Option<&AdminToken>,
    sessions: &Sessions,
) -> Result<(), Problem> {
    let headers = request.headers();
    let host = host(request)?;
    let session = token.and_then(|token| sessions.of(headers, token));
    // Whoever has the token is no page that was lured here: it may ask by any name.
    if session.is_none() && token.is_none_or(|token| has(headers, token).is_err()) && !is_local(host) {
        return Err(Problem::Host);
    }
    same_origin(headers, host)?;
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    // A proxy on this machine speaks for anybody.
    let is_from_here =
        peer.ip().to_canonical().is_loopback() && !PROXIED.iter().any(|name| headers.contains_key(*name));
    if changes || !is_from_here {
        let token = token.ok_or(Problem::NoToken)?;
        if !session.is_some_and(|rights| rights == Rights::Change || !changes) {
            has(headers, token)?;
        }
    }
    Ok(())
}

/// Whether somebody who has neither token nor session may try to have one: no page of somebody else.
pub(super) fn admit_stranger<B>(request: &Request<B>) -> Result<(), Problem> {
    same_origin(request.headers(), host(request)?)
}

/// The one `Host` (of the target, if that has one, it has to be the same).
fn host<B>(request: &Request<B>) -> Result<&str, Problem> {
    let host = one(request.headers(), &HOST).ok().flatten().ok_or(Problem::Host)?;
    let of_target = request.uri().authority();
    let is_one = of_target.is_none_or(|authority| authority.as_str().eq_ignore_ascii_case(host));
    if is_one { Ok(host) } else { Err(Problem::Host) }
}

fn is_local(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, rest)) => match (name.parse::<std::net::Ipv6Addr>(), rest) {
            (Ok(_), "") => return true,
            (Ok(_), rest) => return rest.strip_prefix(':').is_some_and(is_port),
            (Err(_), _) => return false,
        },
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let is_name = name.eq_ignore_ascii_case("localhost") || matches!(name.parse(), Ok(IpAddr::V4(_)));
    is_name && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

fn same_origin(headers: &HeaderMap, host: &str) -> Result<(), Problem> {
    let site = one(headers, &SEC_FETCH_SITE)?;
    // `same-site` is another port of this machine, where anything may listen.
    let is_from_here = site.is_none_or(|site| matches!(site, "same-origin" | "none"));
    let origin = one(headers, &ORIGIN)?;
    let is_ours = origin.is_none_or(|origin| {
        origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host))
    });
    if is_from_here && is_ours { Ok(()) } else { Err(Problem::CrossSite) }
}

/// Takes as long for a token that is nearly right as for any other of its length.
fn has(headers: &HeaderMap, token: &AdminToken) -> Result<(), Problem> {
    let said = one(headers, &AUTHORIZATION).ok().flatten().ok_or(Problem::Token)?;
    // RFC 9110 section 11.1: whatever the case of the scheme.
    let (scheme, said) = said.split_once(' ').ok_or(Problem::Token)?;
    let is_it = said.trim_matches(' ').as_bytes().ct_eq(token.as_str().as_bytes());
    if scheme.eq_ignore_ascii_case("Bearer") && bool::from(is_it) { Ok(()) } else { Err(Problem::Token) }
}

/// The value of a field; twice is as bad as nonsense, since who reads the other one may be fooled.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Problem::CrossSite),
        (Some(_), Some(_)) => Err(Problem::CrossSite),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn asked(method: &str, peer: &str, fields: &[(&str, &str)]) -> Result<(), Problem> {
        let mut request = Request::builder().method(method).uri("/v1/status");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let token = AdminToken::new(TOKEN);
        admit(&request.body(()).unwrap(), peer.parse().unwrap(), token.as_ref(), &Sessions::new(5001))
    }

    fn get(fields: &[(&str, &str)]) -> Result<(), Problem> {
        asked("GET", "127.0.0.1:1", fields)
    }

    #[test]
    fn a_host_is_an_address_or_localhost() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:5001",
            "localhost:5001",
            "LOCALHOST",
            "[::1]",
            "[::1]:5001",
            "10.0.0.7:80",
        ] {
            assert_eq!(get(&[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "",
            ":",
            "evil.example",
            "evil.example:5001",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1:",
            "127.0.0.1:x",
            "127.0.0.1:+1",
            "127.0.0.1:99999",
            "a@127.0.0.1",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[evil]:1",
            "127.1",
            "0x7f.0.0.1",
            "localhost:5001:5001",
            "localhost.",
        ] {
            assert_eq!(get(&[("host", host)]), Err(Problem::Host), "{host}");
        }
        assert_eq!(get(&[]), Err(Problem::Host));
        assert_eq!(get(&[("host", "localhost"), ("host", "evil.example")]), Err(Problem::Host));
    }

    #[test]
    fn a_page_of_somebody_else_asks_in_vain() {
        let host = ("host", "127.0.0.1:5001");
        for fields in [
            &[("origin", "http://127.0.0.1:5001")][..],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
        ] {
            assert_eq!(get(&[&[host], fields].concat()), Ok(()), "{fields:?}");
        }
        for fields in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "https://127.0.0.1:5001")],
            &[("origin", "http://127.0.0.1:5002")],
            &[("origin", "http://127.0.0.1:5001"), ("origin", "http://evil.example")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("origin", "http://127.0.0.1:5001"), ("sec-fetch-site", "cross-site")],
        ] {
            assert_eq!(get(&[&[host], fields].concat()), Err(Problem::CrossSite), "{fields:?}");
        }
    }

    #[test]
    fn changes_and_strangers_need_the_token() {
        let host = ("host", "127.0.0.1:5001");
        let right = format!("Bearer {TOKEN}");
        for (method, peer) in [
            ("PUT", "127.0.0.1:1"),
            ("POST", "[::1]:1"),
            ("DELETE", "127.0.0.1:1"),
            ("GET", "10.0.0.1:1"),
            ("GET", "[::ffff:10.0.0.1]:1"),
        ] {
            let with = |said: &str| asked(method, peer, &[host, ("authorization", said)]);
            assert_eq!(with(&right), Ok(()));
            assert_eq!(with(&right.replace("Bearer", "bearer")), Ok(()));
            assert_eq!(asked(method, peer, &[host]), Err(Problem::Token), "{method} {peer}");
            let wrong = [
                format!("Bearer {}", TOKEN.replace('0', "1")),
                format!("{right}0"),
                right[..right.len() - 1].to_owned(),
                right.to_uppercase(),
                format!("Basic {TOKEN}"),
                TOKEN.to_owned(),
                "Bearer".to_owned(),
                "Bearer ".to_owned(),
                String::new(),
            ];
            for wrong in wrong {
                assert_eq!(with(&wrong), Err(Problem::Token), "{wrong}");
            }
            let twice = [host, ("authorization", &right), ("authorization", &right)];
            assert_eq!(asked(method, peer, &twice), Err(Problem::Token));
        }
        assert_eq!(asked("GET", "[::ffff:127.0.0.1]:1", &[host]), Ok(()));
        // A proxy on this machine asks for somebody else.
        for (name, value) in [
            ("x-forwarded-for", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("via", "1.1 a"),
            ("x-real-ip", ""),
        ] {
            assert_eq!(get(&[host, (name, value)]), Err(Problem::Token), "{name}");
            assert_eq!(get(&[host, (name, value), ("authorization", &right)]), Ok(()), "{name}");
        }
        // Whoever has the token asks by what name it likes; a page without it does not.
        let name = ("host", "metrics.example:5001");
        assert_eq!(get(&[name, ("authorization", &right)]), Ok(()));
        assert_eq!(get(&[name, ("authorization", "Bearer x")]), Err(Problem::Host));
        let nobody = Request::builder().method("PUT").header("host", "[::1]").header("authorization", right);
        let (nobody, sessions) = (nobody.body(()).unwrap(), Sessions::new(5001));
        let admitted = admit(&nobody, "[::1]:1".parse().unwrap(), None, &sessions);
        assert_eq!(admitted, Err(Problem::NoToken));
    }
}
