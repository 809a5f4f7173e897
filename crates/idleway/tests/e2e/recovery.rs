//! Backends that die and come back: how soon they are out, who finds them again, and how much they get at first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use idleway::Gateway;

use crate::harness::*;

/// What is promised of a dead backend under traffic.
const OUT_WITHIN: Duration = Duration::from_secs(1);

/// A backend of so many Slots that works behind a gate, and answers what else it is asked for at once.
fn working(slots: usize, gate: &Gate) -> Backend {
    let door = gate.door();
    Backend::of(slots, move |visit| {
        if visit.path().starts_with("/work") {
            door.pass()?;
        }
        visit.answer("done")
    })
}

#[test]
fn a_killed_backend_is_out_within_a_second_and_found_again_without_any_request() {
    let mut mortal = Backend::answering("mortal");
    let others = [Backend::answering("other"), Backend::answering("other")];
    let gateway =
        gateway(&[&mortal, &others[0], &others[1]], "queue = { length = 10 }\nretry = { floor = 1000 }");
    under_traffic(gateway.address(), 4, "/", || {
        mortal.until("a part of the work", |seen| seen.heads.len() >= 20);
        let killed = Instant::now();
        mortal.kill();
        eventually("it is out", || gateway.backends().up == 2);
        assert!(killed.elapsed() < OUT_WITHIN, "it was out after {:?}", killed.elapsed());
        others[0].until("the work of two", |seen| seen.heads.len() >= 100);
    });
    eventually("that it is told of", || gateway.totals().downs == 1);
    let heads = mortal.seen().heads.len();
    let accepted = mortal.seen().accepted;
    mortal.restart();
    eventually("it is found", || gateway.backends().up == 3);
    mortal.until("the connect that found it", |seen| seen.accepted == accepted + 1);
    assert_eq!(mortal.seen().heads.len(), heads, "no request was spent on it");
}

#[test]
fn who_is_in_line_when_all_backends_die_is_served_by_the_first_that_returns() {
    let gate = Gate::new();
    let mut backends = [working(1, &gate), working(1, &gate)];
    let gateway = gateway(
        &[&backends[0], &backends[1]],
        "queue = { length = 20, wait = \"60s\" }\nhealth = { slow_start = \"0\" }",
    );
    let mut at_work = [(); 2].map(|()| Client::asking(&gateway, post("/work", "x")));
    backends.iter().for_each(Backend::until_at_work);
    let mut in_line: Vec<_> = (0..8).map(|_| Client::asking(&gateway, post("/work", "x"))).collect();
    until_slots(&gateway, "all in line", |slots| slots.waiting == 8);
    backends.iter_mut().for_each(Backend::kill);
    assert_eq!(at_work.each_mut().map(|client| client.answer().status()), [502, 502]);
    eventually("all are out", || gateway.backends().up == 0);
    until_slots(&gateway, "no attempt under way", |slots| slots.busy == 0);
    // Those who were given the Slots of the dead, and found them dead, have had their turn.
    let waiting = usize::try_from(gateway.slots().waiting).unwrap();
    assert!(waiting >= 6, "{waiting} are left");
    for _ in 0..3 {
        let newcomer = ask(&gateway, post("/work", "x"));
        assert_eq!((newcomer.status(), newcomer.reason().as_str()), (503, "no-backend-up"));
        assert!(newcomer.retry_after() >= 1);
    }
    gate.open();
    backends[1].restart();
    let statuses: Vec<_> = in_line.iter_mut().map(|client| client.answer().status()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), waiting, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 502)), "{statuses:?}");
    assert_eq!(gateway.backends().up, 1);
}

/// A gateway before one backend of four Slots, which has died and come back.
fn returned(gate: &Gate, slow_start: &str) -> (Backend, Gateway) {
    let mut backend = working(4, gate);
    backend.kill();
    let gateway = start(&format!(
        "backends = [{{ url = {:?}, slots = 4 }}]\nqueue = {{ length = 20, wait = \"60s\" }}\n\
         health = {{ slow_start = \"{slow_start}\" }}",
        backend.url()
    ));
    // Who would not wait for its return is told that it is gone.
    assert_eq!(ask(&gateway, head_of("GET", "/", "Prefer: wait=0\r\n")).status(), 502);
    assert_eq!(gateway.backends().up, 0);
    backend.restart();
    eventually("it is found", || gateway.backends().up == 1);
    (backend, gateway)
}

#[test]
fn a_backend_that_returns_gets_one_more_slot_with_each_success() {
    let gate = Gate::new();
    let (backend, gateway) = returned(&gate, "1h");
    let mut clients: Vec<_> = (0..12).map(|_| Client::asking(&gateway, get("/work"))).collect();
    for open in 1..=4 {
        // One was served for each Slot but the first.
        let in_line = 12 - open - (open - 1);
        until_slots(&gateway, "its open slots at work, the others in line", |slots| {
            (slots.busy, slots.idle, slots.waiting) == (open, 4 - open, in_line)
        });
        backend.until("all of them", |seen| seen.at_work as u64 == open);
        gate.pass_one();
    }
    gate.open();
    assert!(clients.iter_mut().all(|client| client.answer().status() == 200));
    assert_eq!(backend.seen().peak, 4);
}

#[test]
fn a_backend_that_returns_gets_its_slots_with_time_too() {
    let gate = Gate::new();
    let (backend, gateway) = returned(&gate, "400ms");
    let mut clients: Vec<_> = (0..6).map(|_| Client::asking(&gateway, get("/work"))).collect();
    // None has ended: only time opens them.
    backend.until("four at work", |seen| seen.at_work == 4);
    until_slots(&gateway, "two in line", |slots| slots.waiting == 2);
    gate.open();
    assert!(clients.iter_mut().all(|client| client.answer().status() == 200));
}

/// It was taken out by its probes while it worked on what nobody waits for; that work counts when it is back.
#[test]
fn what_lingers_counts_where_slots_come_back_one_by_one() {
    let (gate, status) = (Gate::new(), Arc::new(AtomicU16::new(200)));
    let (door, told) = (gate.door(), Arc::clone(&status));
    let backend = Backend::of(4, move |visit| {
        if visit.path() == "/healthz" {
            let status = told.load(Ordering::SeqCst);
            return visit.finish(format!("HTTP/1.1 {status} Told\r\nContent-Length: 0\r\n\r\n"));
        }
        door.pass()?;
        visit.answer("done")
    });
    let gateway = start(&format!(
        "backends = [{{ url = {:?}, slots = 4 }}]\nqueue = {{ length = 20, wait = \"60s\" }}\n\
         health = {{ path = \"/healthz\", every = \"10ms\", timeout = \"10s\", fall = 1, slow_start = \"400ms\", panic = \"0%\" }}",
        backend.url()
    ));
    for _ in 0..2 {
        let lingering = gateway.slots().lingering;
        let client = Client::asking(&gateway, get("/work"));
        until_slots(&gateway, "it at work", |slots| slots.busy > 0);
        backend.until("it", |seen| {
            seen.heads.iter().filter(|head| head.word(1) == "/work").count() as u64 == lingering + 1
        });
        client.leave(true);
        until_slots(&gateway, "it lingers", |slots| slots.lingering == lingering + 1);
    }
    status.store(500, Ordering::SeqCst);
    eventually("it is out", || gateway.backends().up == 0);
    status.store(200, Ordering::SeqCst);
    eventually("it is back", || gateway.backends().up == 1);
    let mut clients: Vec<_> = (0..4).map(|_| Client::asking(&gateway, get("/work"))).collect();
    // The backend fails whoever comes as the fifth, and its end fails the test.
    until_slots(&gateway, "four at work", |slots| (slots.lingering, slots.busy, slots.waiting) == (2, 2, 2));
    gate.open();
    assert!(clients.iter_mut().all(|client| client.answer().status() == 200));
    assert_eq!(backend.seen().peak, 4);
}

/// A pause lies between two connects to the same backend, however many are dead.
#[test]
fn many_dead_backends_do_not_make_the_prober_spin() {
    let dead: Vec<Backend> = (0..50).map(|_| Backend::dead()).collect();
    let gateway = gateway(&dead.iter().collect::<Vec<_>>(), "retry = { attempts = 50, floor = 100000 }");
    eventually("all are out", || {
        assert_eq!(ask(&gateway, get("/")).status() / 100, 5);
        gateway.backends().up == 0
    });
    let (since, before) = (Instant::now(), gateway.totals().probes_failed);
    eventually("more connects", || gateway.totals().probes_failed >= before + 200);
    spend(Duration::from_millis(500));
    let connects = gateway.totals().probes_failed - before;
    // The shortest pause is 100 ms less a fifth.
    let most = 50 * (since.elapsed().as_millis() / 80 + 1);
    assert!(u128::from(connects) <= most, "{connects} connects in {:?}", since.elapsed());
}

/// A probe that knocks in vain may still be out when the next one is due; whoever has to wait for its end waits.
#[test]
fn a_host_that_has_vanished_stops_nobody_while_it_is_probed() {
    let probed = |keys: &str| format!("health = {{ every = \"5ms\", pause = \"20ms\", {keys} }}");
    for health in [
        String::new(),
        probed("tcp = true"),
        probed("path = \"/healthz\""),
        probed("tcp = true, dedicated = true"),
        probed("path = \"/healthz\", dedicated = true"),
    ] {
        let (deaf, alive) = (Deaf::new(), Backend::of(usize::MAX, |visit| visit.answer("alive")));
        let gateway = start(&format!(
            "backends = [{:?}, {{ url = {:?}, slots = 8 }}]\nconnect_timeout = \"100ms\"\n{health}",
            deaf.url(),
            alive.url()
        ));
        // As many as there are on both cores.
        let mut clients: Vec<_> = (0..4).map(|_| Client::of(&gateway)).collect();
        eventually("it is out, and was probed often", || {
            for client in &mut clients {
                client.send(get("/"));
                assert_eq!(client.answer().status(), 200, "{health}");
            }
            gateway.totals().probes_failed >= 10
        });
        assert_eq!(gateway.backends().up, 1, "{health}");
    }
}

/// The short form of a long run: jobs that last far longer than a probe may, on backends that can do nothing beside.
#[test]
fn long_jobs_eject_nobody_and_a_dead_backend_is_out_within_a_second() {
    let job = |slots| {
        Backend::of(slots, |visit| {
            if visit.path() != "/healthz" {
                spend(Duration::from_secs(3));
            }
            visit.answer("done")
        })
    };
    let (narrow, mut mortal, wide) = (job(1), job(1), job(4));
    // The promise is about work of 3 s, and not about how soon a busy machine answers a probe.
    let gateway = start(&format!(
        "backends = [{:?}, {:?}, {{ url = {:?}, slots = 4 }}]\nqueue = {{ length = 50, wait = \"60s\" }}\n\
         retry = {{ floor = 1000 }}\n\
         health = {{ path = \"/healthz\", every = \"100ms\", timeout = \"500ms\", fall = 2 }}",
        narrow.url(),
        mortal.url(),
        wide.url()
    ));
    let probes = |backend: &Backend| backend.paths().iter().filter(|path| *path == "/healthz").count();
    eventually("probes while all are idle", || {
        [&narrow, &mortal, &wide].iter().all(|backend| probes(backend) > 0)
    });
    // More clients than there are Slots: from now on none is idle.
    under_traffic(gateway.address(), 9, "/job", || {
        until_slots(&gateway, "all slots busy", |slots| slots.busy == 6);
        let at_work = [&narrow, &mortal, &wide].map(probes);
        for backend in [&narrow, &mortal, &wide] {
            backend.until("its third job", |seen| {
                seen.heads.iter().filter(|head| head.word(1) == "/job").count() >= 3
            });
        }
        assert_eq!((gateway.totals().downs, gateway.backends().up), (0, 3));
        let since = [&narrow, &mortal, &wide].map(probes);
        // One that had begun before may have been counted after.
        assert!(since.iter().zip(at_work).all(|(since, then)| *since <= then + 1), "{at_work:?} {since:?}");
        let killed = Instant::now();
        mortal.kill();
        eventually("it is out", || gateway.backends().up == 2);
        assert!(killed.elapsed() < OUT_WITHIN, "it was out after {:?}", killed.elapsed());
    });
    eventually("that it is told of", || gateway.totals().downs == 1);
}
