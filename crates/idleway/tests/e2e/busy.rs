//! Answers by which a backend says that it is busy (`busy_status`): the request goes elsewhere, the backend rests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::harness::*;

/// The backends serve in turn, beginning with the first, where none keeps a connection.
const NAMED: &str = "busy_status = [429, 503]\nkeep_alive = false\n";

/// A backend that reads its request and says this status, with these fields.
fn saying(status: u16, fields: &str) -> Backend {
    let answer = format!("HTTP/1.1 {status} Busy\r\n{fields}Content-Length: 4\r\n\r\nbusy");
    Backend::new(move |visit| {
        visit.body()?;
        visit.finish(&answer)
    })
}

/// A backend that answers with the body that it was sent.
fn echoing() -> Backend {
    Backend::new(|visit| {
        let body = visit.body()?;
        visit.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()))?;
        visit.finish(body)
    })
}

#[test]
fn a_busy_backend_passes_any_request_on_and_rests_and_its_health_is_not_hurt() {
    let gateways = ["GET", "DELETE", "PUT", "POST", "PATCH"].map(|method| {
        let (busy, sound) =
            (saying(if method == "PUT" { 429 } else { 503 }, "Retry-After: 9\r\n"), echoing());
        let gateway = gateway(&[&busy, &sound], &format!("{NAMED}health = {{ failures = 1 }}"));
        let length = if method == "GET" { String::new() } else { "Content-Length: 5\r\n".to_owned() };
        let body = if method == "GET" { "" } else { "hello" };
        for _ in 0..3 {
            let answer = ask(&gateway, head_of(method, "/", &length) + body);
            assert_eq!((answer.status(), answer.text()), (200, body), "{method}");
            until_slots(&gateway, "one idle, one resting", |slots| slots.idle == 1 && slots.resting == 1);
        }
        assert_eq!(
            (busy.seen().heads.len(), sound.seen().heads.len()),
            (1, 3),
            "it was asked while it rested"
        );
        gateway
    });
    for gateway in gateways {
        assert_eq!(gateway.backends().up, 2);
        let totals = gateway.totals();
        assert_eq!((totals.backend_busy, totals.retries, totals.downs), (1, 1, 0));
    }
}

#[test]
fn a_busy_backend_rests_as_long_as_it_says_and_at_most_busy_rest_max() {
    let date = |seconds| httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds));
    let cases = [
        ("Retry-After: 7\r\n".to_owned(), 7..=7),
        // Of a date the parts of a second are lost.
        (format!("Retry-After: {}\r\n", date(8)), 5..=8),
        (format!("Retry-After: {}\r\n", date(3600)), 9..=9),
        ("Retry-After: 3600\r\n".to_owned(), 9..=9),
        ("Retry-After: 0\r\n".to_owned(), 1..=1),
        ("Retry-After: soon\r\n".to_owned(), 1..=1),
        (String::new(), 1..=1),
    ];
    for (fields, expected) in cases {
        let busy = saying(503, &fields);
        let gateway =
            gateway(&[&busy], &format!("{NAMED}busy_rest_max = \"9s\"\nretry = {{ attempts = 1 }}"));
        let answer = ask(&gateway, post("/", "x"));
        assert_eq!((answer.status(), answer.reason().as_str()), (503, "backend-busy"), "{fields:?}");
        assert!(expected.contains(&answer.retry_after()), "{fields:?}: {:?}", answer.head);
    }
}

#[test]
fn a_busy_backend_is_asked_again_when_its_rest_is_over_and_not_before() {
    for (fields, max, least) in [
        ("", "10s", Duration::from_secs(1)),
        ("Retry-After: 1\r\n", "10s", Duration::from_secs(1)),
        ("Retry-After: 3600\r\n", "300ms", Duration::from_millis(300)),
    ] {
        let (busy, sound) = (saying(503, fields), echoing());
        let gateway = gateway(&[&busy, &sound], &format!("{NAMED}busy_rest_max = {max:?}"));
        let since = Instant::now();
        for round in 1..=2 {
            eventually("the busy one is asked", || {
                assert_eq!(ask(&gateway, post("/", "x")).status(), 200, "the sound one serves meanwhile");
                busy.seen().heads.len() == round
            });
        }
        assert!(since.elapsed() >= least, "{fields:?}: asked after {:?}", since.elapsed());
    }
}

/// Its body is gone: the client itself has to come again. The backend rests all the same.
#[test]
fn a_busy_answer_to_a_body_that_has_streamed_passes_through() {
    let (busy, sound) = (saying(503, "Retry-After: 9\r\n"), echoing());
    let gateway = gateway(&[&busy, &sound], &format!("{NAMED}request_buffer = \"1KiB\""));
    let answer = ask(&gateway, post("/", &"x".repeat(100_000)));
    assert_eq!((answer.status(), answer.text(), answer.field("Retry-After")), (503, "busy", Some("9")));
    assert_eq!(answer.field("Proxy-Status"), None, "it is the backend's own");
    until_slots(&gateway, "one idle, one resting", |slots| slots.idle == 1 && slots.resting == 1);
    let totals = gateway.totals();
    assert_eq!((totals.backend_busy, totals.retries), (1, 0));
    for _ in 0..3 {
        assert_eq!(ask(&gateway, post("/", "x")).text(), "x");
        until_slots(&gateway, "nothing busy", |slots| slots.busy == 0);
    }
    assert_eq!((busy.seen().heads.len(), gateway.backends().up), (1, 2));
}

#[test]
fn a_status_that_is_not_named_passes_through_untouched() {
    for (status, named) in [(503, ""), (429, ""), (503, "busy_status = [429]"), (429, "busy_status = [503]")]
    {
        let (busy, sound) = (saying(status, "Retry-After: 9\r\n"), echoing());
        let gateway = gateway(&[&busy, &sound], &format!("keep_alive = false\n{named}"));
        for request in [get("/"), post("/", "x")] {
            let answer = ask(&gateway, &request);
            assert_eq!((answer.status(), answer.text()), (status, "busy"), "{named:?}");
            assert_eq!((answer.field("Retry-After"), answer.field("Proxy-Status")), (Some("9"), None));
            until_all_idle(&gateway, 2);
            // The other one's turn.
            assert_eq!(ask(&gateway, &request).status(), 200);
            until_all_idle(&gateway, 2);
        }
        let totals = gateway.totals();
        assert_eq!((totals.backend_busy, totals.retries), (0, 0));
    }
}

#[test]
fn where_all_are_busy_the_request_is_told_so_and_when_to_come_back() {
    for (attempts, reason) in [(2, "backend-busy"), (3, "busy")] {
        let is_busy = Arc::new(AtomicBool::new(false));
        let backends = [(); 2].map(|()| {
            let is_busy = Arc::clone(&is_busy);
            Backend::new(move |visit| {
                if !is_busy.load(Ordering::SeqCst) {
                    return visit.answer("done");
                }
                visit.body()?;
                visit.finish("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")
            })
        });
        let gateway = gateway(
            &[&backends[0], &backends[1]],
            &format!("{NAMED}retry = {{ attempts = {attempts} }}\nhealth = {{ failures = 1 }}"),
        );
        // How long work takes is known then, so that it can be told when a Slot is free.
        assert_eq!(ask(&gateway, post("/", "x")).text(), "done");
        until_all_idle(&gateway, 2);
        is_busy.store(true, Ordering::SeqCst);
        for (round, reason) in [reason, "busy", "busy"].into_iter().enumerate() {
            let answer = ask(&gateway, post("/", "x"));
            assert_eq!((answer.status(), answer.reason().as_str()), (503, reason), "round {round}");
            assert!((6..=15).contains(&answer.retry_after()), "round {round}: {:?}", answer.head);
        }
        let asked: usize = backends.iter().map(|backend| backend.seen().heads.len()).sum();
        assert_eq!(asked, 3, "each was asked once, and not while it rested");
        assert_eq!((gateway.backends().up, gateway.totals().backend_busy), (2, 2));
    }
}

#[test]
fn in_line_a_request_waits_for_the_end_of_the_rest() {
    let was_asked = AtomicBool::new(false);
    let backend = Backend::new(move |visit| {
        if was_asked.swap(true, Ordering::SeqCst) {
            return visit.answer("done");
        }
        visit.body()?;
        visit.finish("HTTP/1.1 503 Busy\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n")
    });
    let gateway = gateway(
        &[&backend],
        "busy_status = [503]\nbusy_rest_max = \"100ms\"\nqueue = { length = 5, wait = \"60s\" }",
    );
    let mut first = Client::asking(&gateway, post("/first", "x"));
    backend.until("its first request", |seen| !seen.heads.is_empty());
    let mut second = Client::asking(&gateway, post("/second", "x"));
    assert_eq!((first.answer().text(), second.answer().text()), ("done", "done"));
    assert_eq!(backend.paths(), ["/first", "/first", "/second"], "who was there before is served before");
    assert_eq!(backend.seen().accepted, 1, "the answer was read to its end, and its connection kept");
    until_all_idle(&gateway, 1);
}

/// The word of a status is that nothing ran, not that the answer has ended.
#[test]
fn a_busy_answer_without_an_end_holds_its_slot_and_the_request_goes_on() {
    let gate = Gate::new();
    let door = gate.door();
    let busy = Backend::new(move |visit| {
        visit.body()?;
        visit.write("HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbu")?;
        door.pass()?;
        visit.finish("sy")
    });
    let sound = echoing();
    let gateway = gateway(&[&busy, &sound], NAMED);
    for _ in 0..4 {
        assert_eq!(ask(&gateway, post("/", "x")).text(), "x");
        until_slots(&gateway, "nothing busy", |slots| slots.busy == 0);
        assert_eq!(gateway.slots().idle, 1, "its answer has not ended");
    }
    assert_eq!(busy.seen().heads.len(), 1);
    gate.open();
    until_all_idle(&gateway, 2);
}
