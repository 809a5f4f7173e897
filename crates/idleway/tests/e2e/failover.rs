//! Trying again: how often, on whom, for whom, and what is told when it does not help.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::*;

/// The backends serve in turn, beginning with the first, and none is taken out.
const IN_TURN: &str = "keep_alive = false\nhealth = { failures = 1000, outlier = \"0%\" }\n";

/// A backend that reads each request and closes without an answer.
fn closing() -> Backend {
    Backend::new(|visit| {
        visit.body()?;
        visit.close()
    })
}

/// How many requests these backends have had.
fn asked(backends: &[Backend]) -> usize {
    backends.iter().map(|backend| backend.seen().heads.len()).sum()
}

#[test]
fn a_request_is_tried_as_often_as_attempts_says_and_not_once_more() {
    for attempts in 1..=4 {
        let backends = [(); 5].map(|()| closing());
        let all: Vec<&Backend> = backends.iter().collect();
        let gateway = gateway(&all, &format!("{IN_TURN}retry = {{ attempts = {attempts} }}"));
        let answer = ask(&gateway, get("/"));
        assert_eq!((answer.status(), answer.reason().as_str()), (502, "backend-closed"));
        assert_eq!(asked(&backends), attempts);
        assert!(backends.iter().all(|backend| backend.seen().heads.len() <= 1), "one was tried twice");
        assert_eq!(gateway.totals().retries, attempts as u64 - 1);
        until_all_idle(&gateway, 5);
    }
}

#[test]
fn what_may_run_twice_is_tried_again_by_its_method_or_by_a_key_that_means_something() {
    let key = "Idempotency-Key: \"k\"\r\n";
    for (method, path, fields, is_repeated) in [
        ("GET", "/", "", true),
        ("OPTIONS", "/", "", true),
        ("PUT", "/", "", true),
        ("DELETE", "/", "", true),
        ("POST", "/", "", false),
        ("PATCH", "/", "", false),
        ("POST", "/", key, true),
        ("PATCH", "/", key, true),
        ("POST", "/plain", key, false),
    ] {
        let (closing, sound) = (closing(), Backend::answering("sound"));
        let routes = "[[routes]]\npath = \"/\"\n[[routes]]\npath = \"/plain\"\nidempotency_key = false";
        let gateway = gateway(&[&closing, &sound], &format!("{IN_TURN}idempotency_key = true\n{routes}"));
        let fields = format!("{fields}Content-Length: 5\r\n");
        let answer = ask(&gateway, head_of(method, path, &fields) + "hello");
        let expected = if is_repeated { 200 } else { 502 };
        assert_eq!(answer.status(), expected, "{method} {path} {fields:?}");
        assert_eq!(sound.seen().heads.len(), usize::from(is_repeated), "{method} {path} {fields:?}");
        until_all_idle(&gateway, 2);
    }
}

#[test]
fn without_a_budget_nothing_is_tried_again_and_the_reason_is_the_failures_own() {
    for (first, reason) in [(closing(), "backend-closed"), (Backend::dead(), "backend-unreachable")] {
        let sound = Backend::answering("sound");
        let gateway =
            gateway(&[&first, &sound], &format!("{IN_TURN}retry = {{ budget = \"0%\", floor = 0 }}"));
        let answer = ask(&gateway, get("/"));
        assert_eq!((answer.status(), answer.reason().as_str()), (502, reason));
        assert!(sound.seen().heads.is_empty());
        assert_eq!(gateway.totals().retries, 0, "none was made");
        until_all_idle(&gateway, 2);
    }
}

/// One a second over the nine to seventeen seconds that are looked at, and none for the requests themselves.
#[test]
fn when_the_budget_is_spent_the_others_are_told_what_failed() {
    let (closing, sound) = (closing(), Backend::answering("sound"));
    let gateway = gateway(&[&closing, &sound], &format!("{IN_TURN}retry = {{ budget = \"0%\", floor = 1 }}"));
    let mut failed = 0;
    while failed < 4 {
        let answer = ask(&gateway, get("/"));
        if answer.status() == 502 {
            assert_eq!(answer.reason(), "backend-closed");
            failed += 1;
        }
        until_all_idle(&gateway, 2);
    }
    let retries = usize::try_from(gateway.totals().retries).unwrap();
    assert_eq!(closing.seen().heads.len(), retries + failed, "each that failed was not tried again");
    assert!(retries >= 8, "{retries}");
}

#[test]
fn a_request_that_is_tried_again_waits_no_longer_than_its_deadline() {
    let gate = Gate::new();
    let door = gate.door();
    let closing = Backend::new(|visit| match visit.path() {
        "/held" => visit.answer("done"),
        _ => visit.close(),
    });
    let busy = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("done")
    });
    let gateway = gateway(
        &[&busy, &closing],
        &format!("{IN_TURN}queue = {{ length = 5, wait = \"60s\" }}\ndeadline_header = \"x-deadline\""),
    );
    let mut held = Client::asking(&gateway, get("/held"));
    busy.until_at_work();
    let answer = ask(&gateway, head_of("GET", "/", "X-Deadline: 300ms\r\n"));
    assert_eq!((answer.status(), answer.reason().as_str()), (504, "deadline-over"));
    assert_eq!((closing.seen().heads.len(), busy.seen().heads.len()), (1, 1));
    assert_eq!(gateway.slots().waiting, 0);
    gate.open();
    assert_eq!(held.answer().status(), 200);
    until_all_idle(&gateway, 2);
}

#[test]
fn a_request_that_is_tried_again_waits_before_those_that_have_waited_longer() {
    let (dying, serving) = (Gate::new(), Gate::new());
    let (death, door) = (dying.door(), serving.door());
    let mortal = Backend::new(move |visit| {
        death.pass()?;
        visit.close()
    });
    let sound = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("done")
    });
    let gateway = gateway(&[&mortal, &sound], &format!("{IN_TURN}queue = {{ length = 9, wait = \"60s\" }}"));
    let mut first = Client::asking(&gateway, get("/first"));
    mortal.until_at_work();
    let mut others = vec![Client::asking(&gateway, get("/second"))];
    sound.until_at_work();
    for (nth, path) in ["/third", "/fourth"].into_iter().enumerate() {
        others.push(Client::asking(&gateway, get(path)));
        until_slots(&gateway, "one more in line", |slots| slots.waiting == nth as u64 + 1);
    }
    dying.pass_one();
    // The mortal one has taken who stood first in line; the first stands before the last now.
    mortal.until("the third request", |seen| seen.heads.len() == 2);
    until_slots(&gateway, "the first in line again", |slots| slots.waiting == 2);
    serving.pass_one();
    sound.until("its next request", |seen| seen.heads.len() == 2);
    assert_eq!(sound.paths(), ["/second", "/first"]);
    serving.open();
    dying.open();
    assert_eq!(first.answer().status(), 200);
    assert!(others.iter_mut().all(|client| client.answer().status() == 200));
    until_all_idle(&gateway, 2);
}

#[test]
fn an_answer_that_is_no_http_costs_a_get_nothing_and_a_post_its_answer() {
    for nonsense in ["SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"] {
        let odd = Backend::new(move |visit| {
            visit.body()?;
            visit.finish(nonsense)?;
            visit.close()
        });
        let sound = Backend::answering("sound");
        let gateway = gateway(&[&odd, &sound], IN_TURN);
        assert_eq!(ask(&gateway, get("/")).text(), "sound");
        until_all_idle(&gateway, 2);
        let answer = ask(&gateway, post("/", "x"));
        assert_eq!((answer.status(), answer.reason().as_str()), (502, "backend-nonsense"));
        assert_eq!(sound.seen().heads.len(), 1, "the POST went there too");
        assert_eq!(gateway.totals().retries, 1);
        until_all_idle(&gateway, 2);
    }
}

/// Its only Slot rests for a moment, which costs nobody a refusal.
#[test]
fn a_get_whose_only_backend_breaks_off_is_tried_there_again() {
    for (broken, status, asked) in [(1, 200, 2), (2, 200, 3), (3, 502, 3)] {
        let visits = AtomicUsize::new(0);
        let backend = Backend::new(move |visit| {
            if visits.fetch_add(1, Ordering::SeqCst) < broken { visit.close() } else { visit.answer("done") }
        });
        let gateway = gateway(&[&backend], IN_TURN);
        let answer = ask(&gateway, get("/"));
        assert_eq!(answer.status(), status, "{broken} times");
        if status == 502 {
            assert_eq!(answer.reason(), "backend-closed");
        }
        assert_eq!(backend.seen().heads.len(), asked, "{broken} times");
        until_all_idle(&gateway, 1);
    }
}
