//! Routes that answer by themselves.

use crate::harness::*;

const ANSWERS: &str = r#"
[[routes]]
exact = "/healthz"
answer = { body = "ok" }
response = { set = { "Cache-Control" = "no-store" } }
[[routes]]
path = "/gone"
answer = { status = 410, body = "{\"gone\":true}", type = "application/json" }
[[routes]]
path = "/nothing"
answer = { status = 204 }
[[routes]]
path = "/small"
answer = {}
max_body = "5B"
[[routes]]
path = "/moved"
redirect = { to = "https://new.example" }
[[routes]]
path = "/old"
redirect = { to = "/new", status = 308 }
response = { add = { "X-Why" = "renamed" } }
[[routes]]
path = "/root"
redirect = { to = "/", status = 301 }
"#;

#[test]
fn a_route_answers_by_itself_and_needs_no_pool() {
    let gateway = start(ANSWERS);
    let mut client = Client::of(&gateway);
    for (path, status, kind, body) in [
        ("/healthz?x", 200, Some("text/plain; charset=utf-8"), "ok"),
        ("/gone/for/good", 410, Some("application/json"), "{\"gone\":true}"),
        ("/nothing", 204, None, ""),
        ("/small", 200, None, ""),
    ] {
        client.send(get(path));
        let answer = client.answer();
        assert_eq!(
            (answer.status(), answer.field("Content-Type"), answer.text()),
            (status, kind, body),
            "{path}"
        );
        assert_eq!(answer.field("Content-Length").is_none(), status == 204, "{path}");
        assert!(answer.field("Date").is_some() && answer.field("X-Request-Id").is_some(), "{path}");
        assert_eq!(answer.field("Proxy-Status"), None, "{path}");
    }
    client.send(get("/healthz"));
    assert_eq!(client.answer().field("Cache-Control"), Some("no-store"));
    client.send(get("/healthz/x"));
    assert_eq!(client.answer().status(), 404);
}

#[test]
fn head_has_the_length_and_not_the_body() {
    let gateway = start(ANSWERS);
    let mut client = Client::of(&gateway);
    for (path, length) in [("/healthz", "2"), ("/gone", "13"), ("/moved", "0")] {
        client.send(head_of("HEAD", path, ""));
        let answer = client.try_answer("HEAD").unwrap();
        assert_eq!((answer.field("Content-Length"), answer.text()), (Some(length), ""), "{path}");
    }
    // Nothing of a body has stayed behind.
    client.send(get("/healthz"));
    assert_eq!(client.answer().text(), "ok");
}

#[test]
fn the_connection_is_kept_as_long_as_the_client_keeps_it() {
    let gateway = start(ANSWERS);
    let mut client = Client::of(&gateway);
    // Bodies are read away, in one piece with the next request or not.
    for _ in 0..2 {
        client.send(post("/healthz", &"x".repeat(10_000)) + &post("/gone", "y"));
        assert_eq!(client.answer().text(), "ok");
        assert_eq!(client.answer().status(), 410);
    }
    client.send(head_of("GET", "/healthz", "Connection: close\r\n"));
    assert_eq!(client.answer().field("Connection"), Some("close"));
    client.sees_fin();
    let mut old = Client::asking(&gateway, "GET /healthz HTTP/1.0\r\n\r\n");
    let answer = old.answer();
    assert_eq!((answer.text(), answer.field("Connection")), ("ok", Some("close")));
    old.sees_fin();
    let mut old = Client::of(&gateway);
    for _ in 0..2 {
        old.send("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(old.answer().field("Connection"), Some("keep-alive"));
    }
}

#[test]
fn a_body_is_bounded_and_not_asked_for() {
    let gateway = start(ANSWERS);
    assert_eq!(ask(&gateway, post("/small", "12345")).status(), 200);
    let refused = ask(&gateway, post("/small", "123456"));
    assert_eq!((refused.status(), refused.reason().as_str()), (413, "body-too-large"));
    // Whoever waits for a word before it sends gets the answer instead of it.
    let mut client = Client::asking(
        &gateway,
        head_of("POST", "/healthz", "Content-Length: 9\r\nExpect: 100-continue\r\n"),
    );
    let answer = client.answer();
    assert_eq!((answer.status(), answer.field("Connection")), (200, Some("close")));
}

#[test]
fn a_redirect_takes_path_and_query_along() {
    let gateway = start(ANSWERS);
    let mut client = Client::of(&gateway);
    for (method, target, status, location) in [
        ("GET", "/moved", 307, "https://new.example/moved"),
        ("POST", "/moved/a%20b?x=1&y=%2F", 307, "https://new.example/moved/a%20b?x=1&y=%2F"),
        ("GET", "http://other.example/moved", 307, "https://new.example/moved"),
        ("GET", "/old", 308, "/new"),
        ("GET", "/old/x?q", 308, "/new/x?q"),
        ("GET", "/root/x", 301, "/x"),
        ("GET", "/root", 301, "/"),
    ] {
        client
            .send(format!("{method} {target} HTTP/1.1\r\nHost: other.example\r\nContent-Length: 0\r\n\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status(), answer.field("Location")), (status, Some(location)), "{target}");
        assert_eq!(answer.field("Content-Length"), Some("0"), "{target}");
    }
    client.send(get("/old/x"));
    assert_eq!(client.answer().field("X-Why"), Some("renamed"));
}

#[test]
fn no_path_makes_a_redirect_lead_to_another_host() {
    let gateway = start(ANSWERS);
    for target in [
        "/root//evil.example",
        "/root//evil.example/%2e%2e",
        "/root/..//evil.example",
        "/root/;//evil.example",
        "/root/%2e%2e//evil.example/root/",
    ] {
        let answer = ask(&gateway, get(target));
        if answer.status() == 404 {
            continue;
        }
        let location = answer.field("Location").unwrap();
        assert!(location.starts_with('/') && !location.starts_with("//"), "{target}: {location}");
    }
    assert_eq!(ask(&gateway, get("/root//evil.example")).status(), 404);
    // What could split a head never gets that far, or stays an escape.
    assert_eq!(
        ask(&gateway, get("/root/a%0d%0aSet-Cookie:%20b")).field("Location"),
        Some("/a%0d%0aSet-Cookie:%20b")
    );
    for target in ["/root/\\evil.example", "/root/a\rSet-Cookie:b", "/root/a\nX:y", "/root/a\0"] {
        assert_eq!(ask(&gateway, get(target)).status(), 400, "{target:?}");
    }
}

/// Neither a Slot nor a place in line.
#[test]
fn a_busy_pool_does_not_matter() {
    let mut line = Line::new(
        "queue = { length = 1, wait = \"90s\" }\n[[routes]]\npath = \"/healthz\"\nanswer = { body = \"ok\" }\n",
    );
    let mut waits = line.join(get("/second"));
    assert_eq!(ask(&line.gateway, get("/healthz")).text(), "ok");
    assert_eq!((line.gateway.slots().busy, line.gateway.slots().waiting), (1, 1));
    line.gate.open();
    assert_eq!((line.first.answer().status(), waits.answer().status()), (200, 200));
    assert_eq!(line.backend.paths(), ["/first", "/second"]);
}
