//! Probes: they take a Slot as requests do, so that busy is never taken for sick; and what their answers do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use crate::harness::*;

/// How many probes it has seen.
fn probes(backend: &Backend) -> usize {
    backend.paths().iter().filter(|path| *path == "/healthz").count()
}

/// Waits until it has seen so many more probes: the clock of these tests.
#[track_caller]
fn until_probed(backend: &Backend, more: usize) {
    let before = probes(backend);
    let is_probe = |head: &&Head| head.word(1) == "/healthz";
    backend.until("more probes", |seen| seen.heads.iter().filter(is_probe).count() >= before + more);
}

/// A backend that answers probes at once, and works behind a gate.
fn well(gate: &Gate) -> Backend {
    let door = gate.door();
    Backend::new(move |visit| {
        if visit.path() != "/healthz" {
            door.pass()?;
        }
        visit.answer("well")
    })
}

/// A backend that answers each probe with the status that is set, once the gate lets it.
fn told(gate: &Gate, status: &Arc<AtomicU16>) -> Backend {
    let (door, status) = (gate.door(), Arc::clone(status));
    Backend::new(move |visit| {
        door.pass()?;
        let status = status.load(Ordering::SeqCst);
        visit.finish(format!("HTTP/1.1 {status} Told\r\nContent-Length: 0\r\n\r\n"))
    })
}

/// Its complete heads, its connections, and those of them at once at most.
fn evidence(backend: &Backend) -> (usize, usize, usize) {
    let seen = backend.seen();
    (seen.heads.len(), seen.accepted, seen.most_open)
}

fn up(gateway: &idleway::Gateway) -> u64 {
    gateway.backends().up
}

/// Neither does a request that meets a probe on the only Slot have to go: the pool has no queue.
#[test]
fn requests_and_probes_share_the_one_connection_and_never_meet() {
    let backend = Backend::answering("well");
    let more = "keep_idle = \"1h\"\nhealth = { path = \"/healthz\", every = \"2ms\", timeout = \"10s\" }";
    let gateway = gateway(&[&backend], more);
    let mut client = Client::of(&gateway);
    while backend.seen().heads.len() < 400 || probes(&backend) < 50 {
        client.send(get("/"));
        assert_eq!(client.answer().status(), 200);
    }
    let seen = backend.seen();
    assert_eq!((seen.accepted, seen.most_open, seen.peak), (1, 1, 1));
    assert!(seen.heads.len() >= 400);
    drop(seen);
    assert_eq!(gateway.totals().probes_failed, 0);
}

#[test]
fn a_request_that_meets_a_probe_on_the_only_slot_waits_for_its_end() {
    let gate = Gate::new();
    let backend = told(&gate, &Arc::new(AtomicU16::new(200)));
    let gateway =
        gateway(&[&backend], "health = { path = \"/healthz\", every = \"10ms\", timeout = \"10s\" }");
    // A machine that is at work on other things may take longer than such a request waits: then once more.
    eventually("a request that was served behind a probe", || {
        backend.until_at_work();
        let mut client = Client::asking(&gateway, get("/"));
        let mut is_refused = false;
        eventually("a request in line, or refused", || {
            is_refused = !client.wire.is_silent();
            is_refused || gateway.slots().waiting == 1
        });
        // The probe, and then the request.
        gate.pass_one();
        backend.until("the request, or another probe", |seen| seen.at_work == 0 || seen.heads.len() > 1);
        gate.pass_one();
        client.answer().status() == 200
    });
    gate.open();
    assert!(backend.paths().contains(&"/".to_owned()));
}

#[test]
fn busy_is_not_sick() {
    let gate = Gate::new();
    let backends = [well(&gate), well(&gate)];
    let more = "health = { path = \"/healthz\", every = \"5ms\", timeout = \"10s\", fall = 1 }";
    let gateway = gateway(&[&backends[0], &backends[1]], more);
    let mut client = Client::asking(&gateway, get("/work"));
    let is_working = |backend: &Backend| backend.paths().contains(&"/work".to_owned());
    eventually("one at work", || backends.iter().any(is_working));
    let (busy, idle) = if is_working(&backends[0]) { (0, 1) } else { (1, 0) };
    let (before, accepted, _) = evidence(&backends[busy]);
    // The other one's probes tell the time.
    until_probed(&backends[idle], 20);
    assert_eq!(evidence(&backends[busy]), (before, accepted, 1));
    assert_eq!((up(&gateway), gateway.totals().downs, gateway.totals().probes_failed), (2, 0, 0));
    gate.open();
    assert_eq!(client.answer().status(), 200);
    until_probed(&backends[busy], 2);
}

/// HEAD has no body, whatever its length says: the connection serves on.
#[test]
fn a_probe_asks_as_it_is_configured() {
    let teapot = || Backend::new(|visit| visit.finish("HTTP/1.1 418 Teapot\r\nContent-Length: 9\r\n\r\n"));
    let (usual, special) = (Backend::answering("well"), teapot());
    let health = |keys: &str| format!("health = {{ every = \"2ms\", timeout = \"10s\", fall = 1, {keys} }}");
    let usual_gateway = gateway(&[&usual], &health("path = \"/healthz\""));
    let keys =
        "path = \"/ready?deep=1\", method = \"HEAD\", host = \"app.internal\", status = [\"204\", \"4xx\"]";
    let special_gateway = gateway(&[&special], &health(keys));
    for (backend, gateway, line, host) in [
        (&usual, &usual_gateway, "GET /healthz HTTP/1.1", &usual.url()["http://".len()..]),
        (&special, &special_gateway, "HEAD /ready?deep=1 HTTP/1.1", "app.internal"),
    ] {
        eventually("good probes", || gateway.totals().probes_succeeded >= 5);
        let seen = backend.seen();
        assert!(seen.heads.iter().all(|head| head.line == line), "{:?}", seen.heads);
        let is_as_told = |head: &Head| {
            head.fields.one("Host") == Some(host)
                && head.fields.one("Connection").is_none()
                && head.fields.one("User-Agent").is_some_and(|agent| agent.starts_with("idleway/"))
        };
        assert!(seen.heads.iter().all(is_as_told), "{:?}", seen.heads);
        assert_eq!((seen.accepted, seen.most_open), (1, 1));
        drop(seen);
        assert_eq!((up(gateway), gateway.totals().probes_failed), (1, 0));
    }
}

#[test]
fn an_answer_outside_the_range_is_no_good_one() {
    let moved = || {
        let answer = "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n";
        Backend::new(move |visit| visit.finish(answer))
    };
    let (bad, good) = (moved(), moved());
    let health = |status: &str| {
        format!(
            "health = {{ path = \"/healthz\", every = \"5ms\", timeout = \"10s\", status = \"{status}\" }}"
        )
    };
    let (strict, usual) = (gateway(&[&bad], &health("200-299")), gateway(&[&good], &health("200-399")));
    eventually("it is down", || up(&strict) == 0);
    until_probed(&good, 5);
    assert_eq!((up(&usual), usual.totals().probes_failed), (1, 0));
}

#[test]
fn fall_bad_answers_take_a_backend_out_and_rise_good_ones_bring_it_back() {
    let (gate, status) = (Gate::new(), Arc::new(AtomicU16::new(200)));
    let backend = told(&gate, &status);
    let health =
        "path = \"/healthz\", every = \"5ms\", timeout = \"10s\", fall = 3, rise = 2, panic = \"0%\"";
    let gateway = gateway(&[&backend], &format!("health = {{ {health} }}"));
    backend.until_at_work();
    // One answer; the next probe, which stands at the gate, says that it was heard.
    let probe_answered = |told: u16| {
        status.store(told, Ordering::SeqCst);
        let before = probes(&backend);
        gate.pass_one();
        backend.until("the next probe", |seen| seen.heads.len() > before);
        up(&gateway)
    };
    assert_eq!([500, 404, 200, 500, 503].map(probe_answered), [1; 5], "not three in a row");
    assert_eq!(gateway.totals().downs, 0);
    assert_eq!(probe_answered(500), 0);
    let refused = ask(&gateway, get("/"));
    assert_eq!((refused.status(), refused.reason().as_str()), (503, "no-backend-up"));
    assert!(refused.retry_after() >= 1);
    assert_eq!([200, 500, 204].map(probe_answered), [0; 3], "not two in a row");
    assert_eq!(probe_answered(200), 1);
    let totals = gateway.totals();
    assert_eq!((totals.downs, totals.probes_failed, totals.probes_succeeded), (1, 6, 4));
    gate.open();
    assert_eq!(ask(&gateway, get("/")).status(), 200);
}

/// A hung backend is found by the silence of its one probe, and never sent a second one beside it.
#[test]
fn a_probe_without_an_answer_is_followed_by_none_until_the_answer_has_come() {
    let (gate, status) = (Gate::new(), Arc::new(AtomicU16::new(200)));
    let backend = told(&gate, &status);
    let health = "path = \"/healthz\", every = \"20ms\", timeout = \"20ms\", fall = 3, panic = \"0%\"";
    let gateway = gateway(&[&backend], &format!("health = {{ {health} }}"));
    until_slots(&gateway, "the slot lingers", |slots| slots.lingering == 1);
    eventually("it is down", || up(&gateway) == 0 && gateway.totals().downs == 1);
    assert!(gateway.totals().probes_failed >= 3, "each interval counts as one");
    eventually("further intervals", || gateway.totals().probes_failed >= 8);
    assert_eq!((gateway.totals().downs, backend.seen().heads.len()), (1, 1));
    assert_eq!(ask(&gateway, get("/")).reason(), "no-backend-up");
    // What came late was judged when it did not come; the Slot is free by it all the same.
    gate.pass_one();
    backend.until("another probe", |seen| seen.heads.len() == 2);
    assert_eq!((up(&gateway), gateway.totals().probes_succeeded), (0, 0));
    assert_eq!(backend.seen().accepted, 1, "the connection was kept");
    gate.open();
    eventually("it is up", || up(&gateway) == 1);
    eventually("it serves", || ask(&gateway, get("/")).status() == 200);
    assert_eq!(evidence(&backend).2, 1);
}

#[test]
fn a_probe_that_crosses_the_close_of_a_kept_connection_is_repeated_on_a_fresh_one() {
    // Each connection serves one request, and does not say so before it has read the next.
    let backend = Backend::raw(|connection| {
        if let Some(mut visit) = connection.request()? {
            visit.answer("well")?;
        }
        connection.request().map(|_| ())
    });
    let more =
        "keep_idle = \"1h\"\nhealth = { path = \"/healthz\", every = \"5ms\", timeout = \"10s\", fall = 1 }";
    let gateway = gateway(&[&backend], more);
    eventually("good probes", || gateway.totals().probes_succeeded >= 10);
    assert_eq!((gateway.totals().probes_failed, up(&gateway)), (0, 1));
    let seen = backend.seen();
    assert!(seen.heads.len() >= 19, "none was repeated: {}", seen.heads.len());
    assert_eq!((seen.peak, seen.most_open), (1, 1));
}

#[test]
fn a_probe_of_a_backend_that_closes_without_an_answer_has_failed() {
    let backend = Backend::new(|visit| {
        visit.body()?;
        visit.close()
    });
    let more = "health = { path = \"/healthz\", every = \"5ms\", timeout = \"10s\", fall = 3 }";
    let gateway = gateway(&[&backend], more);
    eventually("it is down", || up(&gateway) == 0 && gateway.totals().downs == 1);
    assert!(gateway.totals().probes_failed >= 3);
    eventually("further probes", || gateway.totals().probes_failed >= 6);
    assert_eq!((gateway.totals().downs, backend.seen().most_open), (1, 1));
}

/// What is no HTTP says nothing of what goes on behind it, so the Slot waits for the backend's own end or a proof.
#[test]
fn a_probe_that_is_answered_nonsense_has_failed() {
    // Does it close, and does it answer anything else.
    for (closes, is_else_well) in [(true, false), (false, true), (false, false)] {
        let backend = Backend::new(move |visit| {
            if is_else_well && visit.path() != "/healthz" {
                return visit.answer("well");
            }
            visit.finish("SSH-2.0-OpenSSH_9.2\r\n\r\n")?;
            if closes { visit.close() } else { Ok(()) }
        });
        let more =
            "timeout = \"50ms\"\nhealth = { path = \"/healthz\", every = \"10ms\", timeout = \"10s\" }";
        let gateway = gateway(&[&backend], more);
        eventually("it is down", || gateway.totals().downs == 1);
        assert!(gateway.totals().probes_failed >= 2);
        assert_eq!(evidence(&backend).2, 1);
    }
}

#[test]
fn a_probe_by_tcp_connects_afresh_in_place_of_the_kept_connection_and_sends_nothing() {
    let mut backend = Backend::answering("well");
    let more = "health = { tcp = true, every = \"5ms\", timeout = \"10s\", slow_start = \"0\" }";
    let gateway = gateway(&[&backend], more);
    for _ in 0..20 {
        assert_eq!(ask(&gateway, get("/")).status(), 200);
        let before = backend.seen().accepted;
        backend.until("two more connects", |seen| seen.accepted >= before + 2);
    }
    let (heads, _, most_open) = evidence(&backend);
    assert_eq!((heads, most_open), (20, 1));
    assert_eq!((up(&gateway), gateway.totals().probes_failed), (1, 0));
    // It is found dead and alive with no request at all.
    backend.kill();
    eventually("it is down", || up(&gateway) == 0);
    backend.restart();
    eventually("it is up", || up(&gateway) == 1);
    assert_eq!(ask(&gateway, get("/")).status(), 200);
    assert_eq!(backend.seen().heads.len(), 21);
}

/// The health endpoint of such a backend answers beside its work.
#[test]
fn a_dedicated_probe_goes_out_beside_the_work_and_finds_a_backend_that_hangs() {
    let (work, health, hangs) = (Gate::new(), Gate::new(), Arc::new(AtomicBool::new(false)));
    let (work_door, health_door, is_hung) = (work.door(), health.door(), Arc::clone(&hangs));
    let backend = Backend::of(usize::MAX, move |visit| {
        match visit.path() {
            "/healthz" if is_hung.load(Ordering::SeqCst) => health_door.pass()?,
            "/healthz" => {}
            _ => work_door.pass()?,
        }
        visit.answer("well")
    });
    let keys = "path = \"/healthz\", every = \"10ms\", timeout = \"200ms\", fall = 2, dedicated = true";
    let more = format!("health = {{ {keys}, panic = \"0%\" }}");
    let gateway = gateway(&[&backend], &more);
    let mut client = Client::asking(&gateway, get("/work"));
    until_slots(&gateway, "the slot busy", |slots| slots.busy == 1);
    let before = gateway.totals().probes_succeeded;
    eventually("good probes beside the work", || gateway.totals().probes_succeeded >= before + 5);
    let seen = backend.seen();
    assert!(seen.most_open >= 2, "it had a connection of its own");
    let is_closed = |head: &&Head| head.fields.one("Connection") == Some("close");
    assert!(seen.heads.iter().filter(|head| head.word(1) == "/healthz").all(|head| is_closed(&head)));
    drop(seen);
    // Now the endpoint is as dead as the work.
    hangs.store(true, Ordering::SeqCst);
    eventually("it is down", || up(&gateway) == 0);
    assert_eq!(gateway.slots().busy, 1);
    assert_eq!(ask(&gateway, get("/")).reason(), "no-backend-up");
    hangs.store(false, Ordering::SeqCst);
    eventually("it is up", || up(&gateway) == 1);
    assert_eq!(gateway.slots().busy, 1);
    work.open();
    assert_eq!(client.answer().status(), 200);
}

#[test]
fn where_no_connection_is_kept_a_probe_keeps_none() {
    let backend = Backend::answering("well");
    let more = "keep_alive = false\nhealth = { path = \"/healthz\", every = \"5ms\", timeout = \"10s\" }";
    let gateway = gateway(&[&backend], more);
    for _ in 0..10 {
        assert_eq!(ask(&gateway, get("/")).status(), 200);
        until_probed(&backend, 2);
    }
    let seen = backend.seen();
    assert!(seen.heads.iter().all(|head| head.fields.one("Connection") == Some("close")), "{:?}", seen.heads);
    // One may have been accepted whose head has not come yet.
    assert!(seen.accepted.abs_diff(seen.heads.len()) <= 1);
    assert_eq!((seen.peak, seen.most_open), (1, 1));
}
