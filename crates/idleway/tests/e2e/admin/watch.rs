//! The stream for whoever looks on, and who may sign in at the page.

use std::io;

use super::*;
use crate::reload::reload;

/// Somebody who looks on.
pub(super) struct Watch(Client, Vec<u8>);

impl Watch {
    pub(super) fn of(desk: &Desk) -> Self {
        let mut client = Client::connect(desk.address());
        client.send(format!("GET /v1/watch HTTP/1.1\r\nHost: {}\r\n\r\n", desk.address()));
        let head = client.head();
        assert!(head.line.starts_with("HTTP/1.1 200"), "{head:?}");
        assert_eq!(head.fields.one("Content-Type"), Some("text/event-stream"));
        Self(client, Vec::new())
    }

    /// The next message: its kind, and what it tells.
    pub(super) fn next(&mut self) -> (String, Value) {
        self.try_next().expect("the stream goes on")
    }

    /// The same; none at the end.
    fn try_next(&mut self) -> Option<(String, Value)> {
        loop {
            let text = String::from_utf8_lossy(&self.1).into_owned();
            if let Some((message, _)) = text.split_once("\n\n") {
                self.1.drain(..message.len() + 2);
                let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                return Some((field("event: ").to_owned(), serde_json::from_str(field("data: ")).unwrap()));
            }
            match self.0.wire.chunk() {
                Ok(chunk) => self.1.extend(chunk?),
                Err(error) => {
                    let is_silent =
                        matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                    assert!(!is_silent, "it goes on, and nothing comes");
                    return None;
                }
            }
        }
    }

    /// Reads on until something is told that is so.
    fn until(&mut self, is_so: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (kind, told) = self.next();
            assert_eq!(kind, "change");
            if is_so(&told) {
                return told;
            }
        }
    }
}

fn only<'a>(told: &'a Value, name: &str) -> &'a Value {
    told[name]["default"].as_object().and_then(|all| all.values().next()).unwrap_or(&Value::Null)
}

#[test]
fn who_looks_on_is_told_everything_and_then_what_changes() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("done")
    });
    let gateway = gateway(&[&backend], "queue = { length = 5, wait = \"60s\" }");
    let desk = Desk::of(&gateway);
    let (mut one, mut other) = (Watch::of(&desk), Watch::of(&desk));
    for watch in [&mut one, &mut other] {
        let (kind, told) = watch.next();
        assert_eq!((kind.as_str(), &told["gateway"]["ready"]), ("whole", &true.into()));
        assert_eq!(
            (&only(&told, "backends")["name"], &told["pools"]["default"]["up"]),
            (&name(&backend).into(), &1.into())
        );
    }
    let mut client = Client::asking(&gateway, post("/work?secret=1", "x"));
    backend.until_at_work();
    let mut since = Vec::new();
    for watch in [&mut one, &mut other] {
        let told = watch.until(|told| only(told, "backends")["slots"]["busy"] == 1);
        let work = &only(&told, "backends")["work"][0];
        assert_eq!(
            (&work["state"], &work["method"], &work["route"]),
            (&"busy".into(), &"POST".into(), &"/".into())
        );
        assert!(!told.to_string().contains("secret") && told.get("gateway").is_none(), "{told}");
        since.push(work["since_unix_seconds"].clone());
    }
    assert_eq!(since[0], since[1]);
    let waiting = Client::asking(&gateway, get("/"));
    one.until(|told| told["pools"]["default"]["queue"]["waiting"] == 1);
    // What runs is no news, however long it does: the one who waits is.
    drop(waiting);
    one.until(|told| told["pools"]["default"]["queue"]["waiting"] == 0);
    gate.open();
    assert_eq!(client.answer().text(), "done");
    one.until(|told| only(told, "backends")["slots"]["idle"] == 1);
    // Each five seconds a point says what they came to.
    let told = one.until(|told| told["points"]["default"].is_array());
    assert!(told["points"]["default"][0][1].as_u64().unwrap() >= 1, "{told}");
    assert_eq!(desk.mode(&backend, "drain").status(), 200);
    let told = one.until(|told| told["events"].is_array());
    assert_eq!(told["events"][0]["kind"], "mode_set");
}

/// Whoever looks on by a word that counts no more is asked for another one.
#[test]
fn a_new_token_ends_what_was_begun_with_the_old_one() {
    let backend = Backend::answering("a");
    let plan = |token: &str| format!("backends = [\"{}\"]\nadmin_token = \"{token}\"\n", backend.url());
    let gateway = start(&plan("the-token-of-before"));
    let desk = Desk::of(&gateway);
    let mut watch = Watch::of(&desk);
    assert_eq!(watch.next().0, "whole");
    reload(&gateway, &plan("the-token-of-before"));
    watch.until(|told| told["events"].is_array());
    reload(&gateway, &plan("the-token-of-now"));
    assert!((0..10).any(|_| watch.try_next().is_none()), "it goes on");
    assert_eq!(Watch::of(&desk).next().0, "whole");
}

#[test]
fn an_answer_that_breaks_off_has_failed() {
    let backend = Backend::new(|visit| {
        visit.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")?;
        Err(io::ErrorKind::ConnectionAborted.into())
    });
    let gateway = gateway(&[&backend], "");
    let desk = Desk::of(&gateway);
    let mut watch = Watch::of(&desk);
    assert!(Client::asking(&gateway, get("/")).try_answer("GET").is_err());
    let told = watch.next().1;
    let failed = |told: &Value| {
        told["points"]["default"].as_array().is_some_and(|all| all.iter().any(|point| point[3] == 1))
    };
    if !failed(&told) {
        watch.until(failed);
    }
    let page = desk.get("/metrics");
    assert!(
        page.text().contains("idleway_answers_cut_total{route=\"/\",pool=\"default\"} 1"),
        "{}",
        page.text()
    );
}

/// Also before anybody could have asked.
#[test]
fn what_has_happened_since_the_start_is_told() {
    let gateway = gateway(&[&Backend::dead()], "");
    assert_eq!(ask(&gateway, get("/")).status(), 502);
    let desk = Desk::of(&gateway);
    eventually("it is told", || desk.told("/v1/events")["events"][0]["kind"] == "backend_down");
}

#[test]
fn there_is_a_bound_on_those_who_look_on() {
    let gateway = gateway(&[&Backend::answering("a")], "");
    let desk = Desk::of(&gateway);
    let all: Vec<_> = (0..32).map(|_| Watch::of(&desk)).collect();
    assert_eq!(problem(&desk.get("/v1/watch")), "viewers");
    drop(all);
    eventually("another has a place", || {
        let mut client = Client::connect(desk.address());
        client.send(format!("GET /v1/watch HTTP/1.1\r\nHost: {}\r\n\r\n", desk.address()));
        client.head().line.starts_with("HTTP/1.1 200")
    });
}

#[test]
fn the_page_is_everybodys_and_allows_nothing_from_anywhere_else() {
    let gateway = gateway(&[&Backend::answering("a")], "");
    let desk = Desk::of(&gateway);
    for path in ["/", "/page/app.js", "/page/style.css", "/page/icon.svg"] {
        let answer = desk.get(path);
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.field("Content-Security-Policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';")
                && !policy.contains("unsafe")
        );
        assert_eq!(answer.field("X-Content-Type-Options"), Some("nosniff"));
    }
    assert_eq!(problem(&desk.get("/page/")), "not-found");
    assert_eq!(problem(&desk.order("POST /", "")), "not-found");
}

#[test]
fn an_invitation_works_once_and_a_session_needs_its_proof_to_change_something() {
    let backend = Backend::answering("a");
    let gateway = gateway(&[&backend], "");
    let desk = Desk::of(&gateway);
    let key = desk.admin.invite().unwrap();
    let json = "Content-Type: application/json\r\n";
    let sign_in = |key: &str, more: &str| {
        desk.ask("POST /v1/session", &format!("{json}{more}"), &format!("{{\"key\":\"{key}\"}}"))
    };
    assert_eq!(
        problem(&sign_in(&key, "Origin: http://evil.example\r\n")),
        "cross-site",
        "and it is not used up"
    );
    let answer = sign_in(&key, "");
    let cookie = answer.field("Set-Cookie").unwrap().to_owned();
    let port = desk.address().port();
    assert!(
        cookie.starts_with(&format!("idleway-{port}="))
            && cookie.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"),
        "{cookie}"
    );
    assert_eq!(problem(&sign_in(&key, "")), "key");
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    let proof = format!("X-Idleway-Session: {}\r\n", answer.json()["proof"].as_str().unwrap());
    let line = format!("PUT /v1/pools/default/backends/{}/mode", name(&backend));
    let order = |fields: &str| desk.ask(&line, &format!("{json}{fields}"), "{\"mode\":\"drain\"}");
    assert_eq!(problem(&order(&cookie)), "token", "a browser sends the cookie by itself");
    assert_eq!(problem(&order(&proof)), "token");
    assert_eq!(problem(&order(&format!("{cookie}{proof}Origin: http://evil.example\r\n"))), "cross-site");
    assert_eq!(order(&format!("{cookie}{proof}")).json()["mode"], "drain");
    // A proxy asks for somebody else: who has signed in may look through it.
    let proxied = "X-Forwarded-For: 10.0.0.1\r\n";
    assert_eq!(problem(&desk.ask("GET /v1/status", proxied, "")), "token");
    assert_eq!(desk.ask("GET /v1/status", &format!("{proxied}{cookie}"), "").status(), 200);
    let told = |fields: &str| desk.ask("GET /v1/session", fields, "").json()["may_change"].clone();
    assert_eq!((told(&cookie), told(&format!("{cookie}{proof}"))), (false.into(), true.into()));
    assert_eq!(desk.ask("DELETE /v1/session", &format!("{cookie}{proof}"), "").status(), 200);
    assert_eq!(problem(&order(&format!("{cookie}{proof}"))), "token");
}
