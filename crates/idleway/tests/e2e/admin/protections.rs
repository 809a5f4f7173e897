//! Who is not listened to.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;

fn setting() -> (Backend, Gateway) {
    let backend = Backend::answering("x");
    let gateway = gateway(&[&backend], "");
    (backend, gateway)
}

#[test]
fn a_name_that_was_pointed_here_is_not_listened_to() {
    let (_backend, gateway) = setting();
    let desk = Desk::of(&gateway);
    let ask = |head: String| {
        let mut client = Client::connect(desk.address());
        client.send(head);
        client.try_answer("GET").unwrap()
    };
    for host in ["evil.example", "127.0.0.1.evil.example:5001", "localhost.", "idleway", ""] {
        for path in ["/v1/status", "/livez", "/readyz", "/nothing"] {
            let answer = ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!((answer.status(), problem(&answer).as_str()), (421, "host"), "{host} {path}");
        }
    }
    for head in [
        "GET /livez HTTP/1.1\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        assert_eq!(problem(&ask(head.to_owned())), "host", "{head}");
    }
    for head in ["Host: localhost", "Host: LOCALHOST:1", "Host: [::1]:5001", "host: 192.168.0.7"] {
        assert_eq!(ask(format!("GET /livez HTTP/1.1\r\n{head}\r\n\r\n")).status(), 200, "{head}");
    }
    assert_eq!(
        ask("GET http://localhost/livez HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()).status(),
        200
    );
}

#[test]
fn a_page_of_somebody_else_learns_nothing_and_changes_nothing() {
    let (backend, gateway) = setting();
    let desk = Desk::of(&gateway);
    let own = format!("http://{}", desk.address());
    let path = format!("PUT /v1/pools/default/backends/{}/mode", name(&backend));
    let with_token = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
    for field in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://localhost:3000\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: none\r\nSec-Fetch-Site: none\r\n",
    ] {
        let answer = desk.ask("GET /v1/status", field, "");
        assert_eq!((answer.status(), problem(&answer).as_str()), (403, "cross-site"), "{field}");
        // A page that has got hold of the token is still one of somebody else.
        let answer = desk.ask(&path, &format!("{field}{with_token}"), "{\"mode\":\"drain\"}");
        assert_eq!(problem(&answer), "cross-site", "{field}");
        // Whatever is asked before, no answer lets the page read it.
        let answer = desk.ask("OPTIONS /v1/status", field, "");
        assert_eq!(problem(&answer), "cross-site");
        assert_eq!(answer.field("Access-Control-Allow-Origin"), None);
    }
    assert_eq!(desk.backend()["mode"], "ready");
    let answer = desk.ask("GET /v1/status", &format!("Origin: {own}\r\nSec-Fetch-Site: same-origin\r\n"), "");
    assert_eq!(answer.status(), 200);
    for field in ["Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Vary"] {
        assert_eq!(answer.field(field), None);
    }
    assert_eq!(answer.field("Cache-Control"), Some("no-store"));
    assert_eq!(answer.field("X-Content-Type-Options"), Some("nosniff"));
}

#[test]
fn nothing_is_changed_without_the_token() {
    let (backend, gateway) = setting();
    let desk = Desk::of(&gateway);
    let mode = format!("PUT /v1/pools/default/backends/{}/mode", name(&backend));
    let slots = format!("PUT /v1/pools/default/backends/{}/slots", name(&backend));
    let other = TOKEN.replace('0', "1");
    let wrong = [
        String::new(),
        format!("Authorization: Bearer {other}\r\n"),
        format!("Authorization: Bearer {TOKEN}0\r\n"),
        format!("Authorization: Bearer {}\r\n", &TOKEN[1..]),
        "Authorization: Bearer \r\n".to_owned(),
        "Authorization: Bearer\r\n".to_owned(),
        format!("Authorization: Basic {TOKEN}\r\n"),
        format!("Authorization: {TOKEN}\r\n"),
        format!("Cookie: token={TOKEN}\r\n"),
        format!("Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}\r\n"),
    ];
    for fields in &wrong {
        for (line, body) in [
            (mode.as_str(), "{\"mode\":\"drain\"}"),
            (slots.as_str(), "{\"slots\":2}"),
            ("POST /v1/reload", ""),
            ("DELETE /v1/status", ""),
            ("POST /nothing", ""),
        ] {
            let answer = desk.ask(line, &format!("{fields}Content-Type: application/json\r\n"), body);
            assert_eq!((answer.status(), problem(&answer).as_str()), (401, "token"), "{line} {fields}");
            assert_eq!(answer.field("WWW-Authenticate"), Some("Bearer realm=\"idleway\""));
        }
    }
    let now = desk.backend();
    assert_eq!((&now["mode"], &now["slots"]["all"]), (&"ready".into(), &1.into()));
    // In the target it would stand in logs: it is not looked for there.
    assert_eq!(desk.ask(&format!("{mode}?token={TOKEN}"), "", "").status(), 401);
}

#[test]
fn a_form_changes_nothing_even_with_the_token() {
    let (backend, gateway) = setting();
    let desk = Desk::of(&gateway);
    let path = format!("/v1/pools/default/backends/{}/mode", name(&backend));
    let authorized = format!("Authorization: Bearer {TOKEN}\r\n");
    for kind in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
    ] {
        let fields = if kind.is_empty() {
            authorized.clone()
        } else {
            format!("{authorized}Content-Type: {kind}\r\n")
        };
        assert_eq!(
            problem(&desk.ask(&format!("PUT {path}"), &fields, "{\"mode\":\"drain\"}")),
            "media-type",
            "{kind}"
        );
        let answer = desk.ask(&format!("POST {path}"), &fields, "mode=drain");
        assert_eq!((problem(&answer).as_str(), answer.field("Allow")), ("method", Some("PUT")));
    }
    assert_eq!(desk.backend()["mode"], "ready");
}

#[test]
fn a_gateway_without_a_token_is_only_looked_at() {
    let (backend, gateway) = setting();
    let desk = Desk::with(&gateway, |options| options.token = None);
    assert_eq!(desk.get("/v1/status").status(), 200);
    assert_eq!(problem(&desk.mode(&backend, "drain")), "no-token");
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let refused = Admin::start(gateway.handle(), listener, Options::default()).unwrap_err();
    assert!(refused.to_string().contains("needs a token"), "{refused}");
}

#[test]
fn the_token_of_the_file_is_the_one_that_counts() {
    let backend = Backend::answering("x");
    let gateway = gateway(&[&backend], "admin_token = \"the-token-of-the-file\"");
    let desk = Desk::of(&gateway);
    assert_eq!(problem(&desk.mode(&backend, "drain")), "token");
    let line = format!("PUT /v1/pools/default/backends/{}/mode", name(&backend));
    let fields = "Authorization: Bearer the-token-of-the-file\r\nContent-Type: application/json\r\n";
    assert_eq!(desk.ask(&line, fields, "{\"mode\":\"drain\"}").status(), 200);
}

#[test]
fn a_body_that_is_too_large_is_not_read() {
    let (backend, gateway) = setting();
    let desk = Desk::of(&gateway);
    let head = format!(
        "PUT /v1/pools/default/backends/{}/mode HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {TOKEN}\r\n",
        name(&backend)
    );
    let mut client = Client::connect(desk.address());
    client.send(format!("{head}Content-Length: 99999999999\r\n\r\n"));
    assert_eq!(problem(&client.try_answer("PUT").unwrap()), "too-large");
    // One that does not say how large it is is read so far and no further.
    let mut client = Client::connect(desk.address());
    client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"));
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    (0..17).for_each(|_| client.send(&chunk));
    assert_eq!(problem(&client.try_answer("PUT").unwrap()), "too-large");
    assert_eq!(desk.backend()["mode"], "ready");
    let blanks = " ".repeat((64 << 10) - 16);
    assert_eq!(
        desk.order(
            &format!("PUT /v1/pools/default/backends/{}/mode", name(&backend)),
            &format!("{{\"mode\":\"drain\"}}{blanks}")
        )
        .status(),
        200
    );
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let (_backend, gateway) = setting();
    let desk = Desk::of(&gateway);
    let mut client = Client::connect(desk.address());
    client.send(format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(64 << 10)));
    assert!(matches!(client.try_answer("GET").map(|answer| answer.status()), Ok(431) | Err(_)));
    assert_eq!(desk.get("/livez").status(), 200);
}

#[test]
fn no_more_than_so_many_connections_are_served_at_once() {
    let (_backend, gateway) = setting();
    let desk = Desk::of(&gateway);
    // Each has shown that it is served, and stays.
    let mut served: Vec<_> = (0..64)
        .map(|_| {
            let mut client = Client::connect(desk.address());
            client.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(client.try_answer("GET").unwrap().status(), 200);
            client
        })
        .collect();
    // Who says nothing gives way to the next one, the oldest first; the others are served on.
    let mut late = Client::connect(desk.address());
    late.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(late.try_answer("GET").unwrap().status(), 200);
    let mut oldest = served.remove(0);
    oldest.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(oldest.try_answer("GET").is_err());
    for client in &mut served {
        client.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(client.try_answer("GET").unwrap().status(), 200);
    }
}

/// Those at work keep their places; the next one has the first that is free.
#[test]
fn who_is_at_work_gives_way_to_nobody() {
    let (_backend, gateway) = setting();
    let desk = Desk::of(&gateway);
    let head = "PUT /v1/pools/default/backends/x/mode HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Expect: 100-continue\r\nConnection: close\r\nContent-Length: 16\r\n";
    let mut at_work: Vec<_> = (0..64)
        .map(|_| {
            let mut stream = TcpStream::connect(desk.address()).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            write!(stream, "{head}Authorization: Bearer {TOKEN}\r\n\r\n").unwrap();
            let mut interim = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
            stream.read_exact(&mut interim).unwrap();
            assert!(interim.starts_with(b"HTTP/1.1 100"));
            stream
        })
        .collect();
    let mut late = Client::connect(desk.address());
    late.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let end = |stream: &mut TcpStream| {
        stream.write_all(b"{\"mode\":\"ready\"}").unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        assert!(told.starts_with("HTTP/1.1 404"), "{told}");
    };
    end(&mut at_work[0]);
    assert_eq!(late.try_answer("GET").unwrap().status(), 200);
    at_work[1..].iter_mut().for_each(end);
}

#[test]
fn a_slow_head_keeps_nobody_out_and_is_cut() {
    let (_backend, gateway) = setting();
    let desk = Desk::of(&gateway);
    let mut slow: Vec<_> = (0..64)
        .map(|_| {
            let mut stream = TcpStream::connect(desk.address()).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: local").unwrap();
            stream
        })
        .collect();
    // All places are taken, and nobody waits for that.
    assert_eq!(desk.get("/livez").status(), 200);
    let mut last = slow.pop().unwrap();
    last.write_all(b"host\r\nConnection: close\r\n\r\n").unwrap();
    let mut told = String::new();
    last.read_to_string(&mut told).unwrap();
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    // They become free by themselves.
    for stream in &mut slow {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = stream.read_to_end(&mut rest);
        assert!(!String::from_utf8_lossy(&rest).starts_with("HTTP/1.1 200"));
    }
}
