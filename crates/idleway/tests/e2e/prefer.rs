//! `Prefer: wait=N` (RFC 7240): how long a request waits in line is its own word, within what the pool allows.

use crate::harness::*;

fn preferring(path: &str, preferences: &str) -> String {
    head_of("GET", path, &format!("Prefer: {preferences}\r\n"))
}

fn applied(response: &Response) -> Option<&str> {
    response.field("Preference-Applied")
}

/// Whoever joined later and says nothing has waited as long as the pool says, and is gone.
#[test]
fn a_request_may_wait_longer_than_the_pool_says() {
    let mut line = Line::new("queue = { length = 5, wait = \"50ms\", wait_max = \"90s\" }");
    let mut patient = line.join(preferring("/patient", "wait=60"));
    let other = ask(&line.gateway, get("/other"));
    assert_eq!((other.reason().as_str(), applied(&other)), ("wait-over", None));
    assert_eq!(line.gateway.slots().waiting, 1);
    line.gate.open();
    let served = patient.answer();
    assert_eq!((served.text(), applied(&served)), ("/patient", Some("wait=60")));
    assert_eq!(applied(&line.first.answer()), None);
    assert_eq!(line.backend.paths(), ["/first", "/patient"]);
}

#[test]
fn a_request_may_wait_for_a_shorter_time() {
    let mut line = Line::new("queue = { length = 5, wait = \"90s\" }");
    let mut patient = line.join(get("/patient"));
    let refused = ask(&line.gateway, preferring("/hasty", "wait=1"));
    assert_eq!((refused.reason().as_str(), applied(&refused)), ("wait-over", Some("wait=1")));
    assert_eq!(line.gateway.slots().waiting, 1);
    line.gate.open();
    assert_eq!(patient.answer().status(), 200);
    assert_eq!(line.first.answer().status(), 200);
    assert_eq!(line.backend.paths(), ["/first", "/patient"]);
}

#[test]
fn nobody_waits_longer_than_the_pool_allows() {
    let line = Line::new("queue = { length = 5, wait = \"10ms\", wait_max = \"50ms\" }");
    let refused = ask(&line.gateway, preferring("/", "wait=3600"));
    // The field has whole seconds alone.
    assert_eq!((refused.reason().as_str(), applied(&refused)), ("wait-over", Some("wait=1")));
}

/// With room in line, and with a pool that lets requests wait for minutes.
#[test]
fn no_wait_is_a_refusal_at_once_or_a_slot_at_once() {
    let mut line = Line::new("queue = { length = 5, wait = \"90s\" }");
    for preferences in ["wait=0", "respond-async, WAIT=0; x=y, wait=60"] {
        let refused = ask(&line.gateway, preferring("/hasty", preferences));
        assert_eq!((refused.status(), refused.reason().as_str()), (503, "busy"));
        assert_eq!(applied(&refused), Some("wait=0"));
        assert!(refused.retry_after() >= 1);
    }
    line.gate.open();
    assert_eq!(line.first.answer().status(), 200);
    until_all_idle(&line.gateway, 1);
    let served = ask(&line.gateway, preferring("/idle", "wait=0"));
    assert_eq!((served.text(), applied(&served)), ("/idle", Some("wait=0")));
    assert_eq!(line.backend.paths(), ["/first", "/idle"]);
}

/// Of several preferences of one name the first counts, in whichever field it stands.
#[test]
fn the_wait_is_found_among_other_preferences() {
    let mut line = Line::new("queue = { length = 5, wait = \"10ms\", wait_max = \"90s\" }");
    let mut waiting = [
        (line.join(preferring("/1", "return=minimal, wait = \"80\"; x=1, wait=0")), "wait=80"),
        (line.join(preferring("/2", "handling=lenient\r\nPrefer: wait=70\r\nPrefer: wait=0")), "wait=70"),
    ];
    line.gate.open();
    assert_eq!(line.first.answer().status(), 200);
    for (client, expected) in &mut waiting {
        assert_eq!(applied(&client.answer()), Some(*expected));
    }
}

#[test]
fn what_is_no_wait_is_ignored() {
    let line = Line::new("queue = { length = 5, wait = \"10ms\", wait_max = \"90s\" }");
    for preferences in ["wait", "wait=", "wait=soon", "wait=-1", "wait=1.5", "respond-async", "x=\"wait=60\""]
    {
        let refused = ask(&line.gateway, preferring("/", preferences));
        assert_eq!((refused.reason().as_str(), applied(&refused)), ("wait-over", None), "{preferences}");
    }
}

/// Nothing was done about it, so nothing is claimed.
#[test]
fn without_a_queue_no_wait_is_applied_but_none() {
    let line = Line::new("");
    for (preferences, expected) in [("wait=60", None), ("wait=0", Some("wait=0"))] {
        let refused = ask(&line.gateway, preferring("/", preferences));
        assert_eq!((refused.reason().as_str(), applied(&refused)), ("busy", expected));
    }
}

/// It may mean more to the backend than to the gateway; and what the backend says of it stays.
#[test]
fn preferences_reach_the_backend_and_its_word_stays() {
    let backend = Backend::new(|visit| {
        let prefer = visit.head.fields.all("Prefer").join("; ");
        assert_eq!(prefer, "respond-async, wait=5; return=minimal");
        visit.finish("HTTP/1.1 200 OK\r\nPreference-Applied: return=minimal\r\nContent-Length: 0\r\n\r\n")
    });
    let gateway = gateway(&[&backend], "queue = { length = 5, wait = \"60s\" }");
    let served = ask(&gateway, preferring("/", "respond-async, wait=5\r\nPrefer: return=minimal"));
    assert_eq!(served.status(), 200);
    assert_eq!(served.head.fields.all("Preference-Applied"), ["return=minimal", "wait=5"]);
}
