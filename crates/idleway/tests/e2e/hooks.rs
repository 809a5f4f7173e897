//! What an application adds to the way of each request.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use idleway::{Answered, Arrival, Denial, Gateway, Hook, Plan, Verdict};
use tokio::sync::Notify;

use crate::harness::{Backend, Client, Gate, ask, eventually, get, until_all_idle, until_slots};

fn start(config: &str, hook: impl Hook) -> Gateway {
    let plan = Plan::from_toml(&format!("threads = 2\n{config}"), "test.toml");
    let plan = plan.unwrap_or_else(|faults| panic!("{faults}"));
    Gateway::builder(plan).hook(hook).start(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap()
}

fn gateway(backend: &Backend, more: &str, hook: impl Hook) -> Gateway {
    start(&format!("backends = [\"{}\"]\n{more}", backend.url()), hook)
}

/// Does with each arrival what a test says.
struct Does<F>(F);

impl<F: Fn(&mut Arrival<'_>) -> Result<(), Denial> + Send + Sync + 'static> Hook for Does<F> {
    fn arrived<'a>(&'a self, arrival: &'a mut Arrival<'_>) -> Verdict<'a> {
        Box::pin(async move { (self.0)(arrival) })
    }
}

/// Notes how requests ended: `status pool backends-tried reason labels`.
#[derive(Default, Clone)]
struct Ledger(Arc<Mutex<Vec<String>>>);

impl Hook for Ledger {
    fn answered(&self, answered: &Answered<'_>) {
        let Answered { status, pool, attempts, reason, labels, .. } = answered;
        let entry = format!("{status:?} {pool:?} {attempts} {reason:?} {labels:?}");
        self.0.lock().unwrap().push(entry);
    }
}

impl Ledger {
    #[track_caller]
    fn comes_to(&self, expected: &[&str]) {
        eventually("as many entries", || self.0.lock().unwrap().len() >= expected.len());
        assert_eq!(*self.0.lock().unwrap(), expected);
    }
}

#[test]
fn a_refusal_is_the_answer_and_no_backend_hears_of_it() {
    let backend = Backend::answering("ok");
    let gateway = gateway(
        &backend,
        "",
        Does(|arrival: &mut Arrival<'_>| match arrival.header("authorization") {
            Some(b"Bearer good") => Ok(()),
            _ => Err(Denial::new(StatusCode::UNAUTHORIZED, "Who are you?")
                .detail("no bearer token that is known")
                .header("WWW-Authenticate", "Bearer")?),
        }),
    );
    let mut client = Client::asking(&gateway, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    let denied = client.answer();
    assert_eq!((denied.status(), denied.reason().as_str()), (401, "denied"));
    assert_eq!(denied.field("WWW-Authenticate"), Some("Bearer"));
    assert_eq!(denied.json()["title"], "Who are you?");
    assert_eq!(denied.json()["detail"], "no bearer token that is known");
    assert!(denied.field("Proxy-Status").unwrap().contains("http_request_denied"));
    // The connection serves on.
    client.send("GET /in HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer good\r\n\r\n");
    assert_eq!(client.answer().text(), "ok");
    assert_eq!(backend.paths(), ["/in"]);
}

#[test]
fn what_a_hook_changes_counts_for_all_that_follows() {
    let (named, other) = (Backend::answering("named"), Backend::answering("other"));
    let config = format!(
        "[pools.named]\nbackends = [\"{}\"]\n[pools.other]\nbackends = [\"{}\"]\n\
         [[routes]]\npath = \"/old\"\npool = \"named\"\n[[routes]]\npath = \"/new\"\npool = \"other\"\n",
        named.url(),
        other.url()
    );
    let gateway = start(
        &config,
        Does(|arrival: &mut Arrival<'_>| {
            arrival.set_header("x-user", "me").unwrap();
            arrival.remove_header("authorization").unwrap();
            if arrival.path() == "/old?x" {
                arrival.set_path("/new?y").unwrap();
            }
            if arrival.header("x-pool").is_some() {
                arrival.set_pool("named");
            }
            if arrival.header("x-nowhere").is_some() {
                arrival.set_pool("nowhere");
            }
            Ok(())
        }),
    );
    let ask = |path: &str, fields: &str| {
        ask(&gateway, format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close, x-user\r\n{fields}\r\n"))
    };
    assert_eq!(
        ask("/old?x", "X-User: root\r\nX_User: root\r\nAuthorization: Basic secret\r\n").text(),
        "other"
    );
    let head = other.seen().heads[0].clone();
    assert_eq!((head.word(1), head.fields.one("x-user")), ("/new?y", Some("me")));
    assert_eq!((head.fields.one("x_user"), head.fields.one("authorization")), (None, None));
    assert_eq!(ask("/new", "X-Pool: yes\r\n").text(), "named");
    assert_eq!(named.paths(), ["/new"]);
    assert_eq!(ask("/new", "X-Nowhere: yes\r\n").reason(), "no-route");
}

/// `fair_by` and the like read what the hook has written, not what the client has.
#[test]
fn a_hook_says_in_whose_name_a_request_comes() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::of(2, move |visit| {
        door.pass()?;
        visit.answer("ok")
    });
    let gateway = gateway(
        &backend,
        "slots = 2\nfair_by = \"header:x-user\"\nslots_per_key = 1",
        Does(|arrival: &mut Arrival<'_>| {
            arrival.set_header("x-user", "one and the same").unwrap();
            Ok(())
        }),
    );
    let mut first = Client::asking(&gateway, "GET / HTTP/1.1\r\nHost: a\r\nX-User: a\r\n\r\n");
    backend.until_at_work();
    let second = ask(&gateway, "GET / HTTP/1.1\r\nHost: a\r\nX-User: b\r\n\r\n");
    assert_eq!((second.status(), second.reason().as_str()), (429, "key-busy"));
    gate.open();
    assert_eq!(first.answer().text(), "ok");
}

/// An authenticating gateway says in such fields who it is; and what a hook says, no trailer may undo.
#[test]
fn a_hook_may_say_what_a_client_may_not() {
    let backend = Backend::new(|visit| {
        let head = visit.head.clone();
        let (_, trailers) = visit.wire.body(&head)?;
        let told = format!("{:?} {:?}", trailers.one("x-user"), trailers.one("x-sum"));
        visit.finish(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{told}", told.len()))
    });
    let gateway = gateway(
        &backend,
        "request_buffer = \"0\"",
        Does(|arrival: &mut Arrival<'_>| {
            arrival.set_header("x-user", "nobody")?;
            arrival.set_header("x-forwarded-user", "me")?;
            arrival.set_header("x-forwarded-proto", "https")?;
            Ok(())
        }),
    );
    let request = "POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-User: root\r\nTransfer-Encoding: chunked\r\n\r\n\
                   1\r\nx\r\n0\r\nX-User: root\r\nX_User: root\r\nX-Sum: 1\r\n\r\n";
    assert_eq!(ask(&gateway, request).text(), "None Some(\"1\")");
    let head = backend.seen().heads[0].clone();
    assert_eq!(head.fields.one("x-user"), Some("nobody"));
    assert_eq!(head.fields.one("x-forwarded-user"), Some("me"));
    assert_eq!(head.fields.one("x-forwarded-proto"), Some("https"));
}

#[test]
fn a_change_takes_no_trailers_from_those_who_want_them() {
    let backend = Backend::new(|visit| {
        visit.body()?;
        assert_eq!(visit.head.fields.one("TE"), Some("trailers"));
        visit.finish("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 42\r\n\r\n")
    });
    let set = |arrival: &mut Arrival<'_>| Ok(arrival.set_header("x-user", "me")?);
    let gateway = gateway(&backend, "", Does(set));
    let answer = ask(&gateway, "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    assert_eq!((answer.text(), answer.trailers.one("X-Sum")), ("x", Some("42")));
}

/// Its body would be the beginning of the next answer.
#[test]
fn a_denial_that_has_no_body_has_none() {
    let backend = Backend::answering("ok");
    let deny = |arrival: &mut Arrival<'_>| match arrival.path() {
        "/same" => Err(Denial::new(StatusCode::NOT_MODIFIED, "The same.")),
        _ => Ok(()),
    };
    let gateway = gateway(&backend, "", Does(deny));
    let mut client = Client::asking(&gateway, "GET /same HTTP/1.1\r\nHost: a\r\n\r\n");
    let same = client.answer();
    assert_eq!((same.status(), same.field("Content-Length")), (304, None));
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().text(), "ok");
}

#[test]
fn each_request_is_told_once_when_it_has_ended() {
    let backend = Backend::answering("ok");
    let ledger = Ledger::default();
    let plan = Plan::from_toml(&format!("backends = [\"{}\"]", backend.url()), "test.toml").unwrap();
    let gateway = Gateway::builder(plan)
        .hook(Does(|arrival: &mut Arrival<'_>| {
            arrival.label("user", "me");
            if arrival.path() == "/no" { Err(Denial::new(StatusCode::FORBIDDEN, "No.")) } else { Ok(()) }
        }))
        .hook(ledger.clone())
        .start(TcpListener::bind("127.0.0.1:0").unwrap())
        .unwrap();
    assert_eq!(ask(&gateway, get("/")).text(), "ok");
    assert_eq!(ask(&gateway, get("/no")).status(), 403);
    ledger.comes_to(&[
        r#"Some(200) Some("default") 1 None [("user", "me")]"#,
        r#"Some(403) None 0 Some("denied: No.") [("user", "me")]"#,
    ]);
}

#[test]
fn a_client_that_leaves_while_the_hook_thinks_is_told_of_too() {
    /// Thinks without end.
    struct Thinks(Arc<Notify>, Ledger);
    impl Hook for Thinks {
        fn arrived<'a>(&'a self, _: &'a mut Arrival<'_>) -> Verdict<'a> {
            self.0.notify_one();
            Box::pin(std::future::pending())
        }
        fn answered(&self, answered: &Answered<'_>) {
            self.1.answered(answered);
        }
    }
    let backend = Backend::answering("ok");
    let (thinks, ledger) = (Arc::new(Notify::new()), Ledger::default());
    let gateway = gateway(&backend, "", Thinks(Arc::clone(&thinks), ledger.clone()));
    let client = Client::asking(&gateway, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(thinks.notified());
    client.reset();
    ledger.comes_to(&[r#"None None 0 Some("departed: the client's side has reset the connection") []"#]);
    assert_eq!(gateway.slots().busy, 0);
}

#[test]
fn a_hook_that_panics_costs_its_request_alone() {
    struct Panics;
    impl Hook for Panics {
        fn arrived<'a>(&'a self, arrival: &'a mut Arrival<'_>) -> Verdict<'a> {
            assert!(arrival.path() != "/at-once", "as the test wants it");
            Box::pin(async {
                tokio::task::yield_now().await;
                assert!(arrival.path() != "/later", "as the test wants it");
                Ok(())
            })
        }
        fn answered(&self, answered: &Answered<'_>) {
            assert!(answered.target != "/after", "as the test wants it");
        }
    }
    let backend = Backend::answering("ok");
    let gateway = gateway(&backend, "", Panics);
    let mut client = Client::of(&gateway);
    for (path, status) in [("/at-once", 500), ("/later", 500), ("/after", 200), ("/", 200)] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answer = client.answer();
        assert_eq!(answer.status(), status, "{path}");
        if status == 500 {
            assert_eq!(answer.reason(), "internal");
        }
    }
    until_all_idle(&gateway, 1);
}

/// The time that a hook takes is nobody's Slot.
#[test]
fn a_request_that_a_hook_looks_at_holds_no_slot() {
    struct Waits(Arc<Notify>, Arc<Notify>);
    impl Hook for Waits {
        fn arrived<'a>(&'a self, arrival: &'a mut Arrival<'_>) -> Verdict<'a> {
            Box::pin(async {
                if arrival.path() == "/slow" {
                    self.0.notify_one();
                    self.1.notified().await;
                }
                Ok(())
            })
        }
    }
    let backend = Backend::answering("ok");
    let (began, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let gateway = gateway(&backend, "", Waits(Arc::clone(&began), Arc::clone(&goes_on)));
    let mut slow = Client::asking(&gateway, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(began.notified());
    until_slots(&gateway, "the slot is idle", |slots| slots.idle == 1);
    assert_eq!(ask(&gateway, get("/quick")).text(), "ok");
    goes_on.notify_one();
    assert_eq!(slow.answer().text(), "ok");
}

#[tokio::test]
async fn a_gateway_serves_as_a_task_until_it_is_told() {
    let backend = Backend::answering("ok");
    let plan = Plan::from_urls(&[backend.url()]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stop = Arc::new(Notify::new());
    let told = Arc::clone(&stop);
    let serving = tokio::spawn(async move {
        Gateway::builder(plan).serve(listener, async move { told.notified().await }).await
    });
    let answer = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(address);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.answer().text().to_owned()
    });
    assert_eq!(answer.await.unwrap(), "ok");
    stop.notify_one();
    let drained = tokio::time::timeout(Duration::from_secs(20), serving).await.unwrap().unwrap().unwrap();
    assert_eq!((drained.cut, drained.abandoned), (0, 0));
    let refused = std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}
