//! Health by what the pool's own requests meet: who is taken out, who is not, and how one comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use idleway::Gateway;

use crate::harness::*;

/// The backends serve in turn, beginning with the first.
const IN_TURN: &str = "keep_alive = false\n";

const MENDED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nmended";

/// A backend that closes without an answer while `is_broken`, and the switch.
fn breaking(slots: usize) -> (Backend, Arc<AtomicBool>) {
    let is_broken = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&is_broken);
    let backend = Backend::of(slots, move |visit| {
        visit.body()?;
        if is_broken.load(Ordering::SeqCst) { visit.close() } else { visit.finish(MENDED) }
    });
    (backend, switch)
}

/// Asks until so many of the backends are up.
#[track_caller]
fn ask_until_up(gateway: &Gateway, up: u64) {
    eventually("that many up", || {
        assert_eq!(ask(gateway, get("/")).status(), 200, "a GET is told nothing of it");
        gateway.backends().up == up
    });
}

#[test]
fn three_broken_exchanges_in_a_row_take_a_backend_out_and_one_request_brings_it_back() {
    let (broken, is_broken) = breaking(1);
    let sound = Backend::answering("sound");
    let gateway = gateway(&[&broken, &sound], &format!("{IN_TURN}health = {{ pause = \"300ms\" }}"));
    ask_until_up(&gateway, 1);
    assert_eq!(broken.seen().heads.len(), 3);
    eventually("its fall is counted", || gateway.totals().downs == 1);
    is_broken.store(false, Ordering::SeqCst);
    ask_until_up(&gateway, 2);
    assert_eq!(broken.seen().heads.len(), 4, "the one that tried it");
    assert_eq!(gateway.totals().downs, 1);
    until_all_idle(&gateway, 2);
}

/// It has two Slots. While it is tried only one of them is used, although the other backend is busy.
#[test]
fn while_one_request_tries_a_backend_no_other_does() {
    let (gate, visits) = (Gate::new(), AtomicUsize::new(0));
    let door = gate.door();
    let tried = Backend::of(2, move |visit| {
        if visits.fetch_add(1, Ordering::SeqCst) < 3 {
            return visit.close();
        }
        door.pass()?;
        visit.answer("mended")
    });
    let held = Gate::new();
    let holding = held.door();
    let sound = Backend::new(move |visit| {
        if visit.path() == "/held" {
            holding.pass()?;
        }
        visit.answer("sound")
    });
    let gateway = start(&format!(
        "backends = [{{ url = {:?}, slots = 2 }}, {:?}]\n{IN_TURN}health = {{ pause = \"10ms\" }}",
        tried.url(),
        sound.url()
    ));
    ask_until_up(&gateway, 1);
    let mut trial = None;
    eventually("a trial", || {
        let mut client = Client::asking(&gateway, get("/"));
        eventually("it is somewhere", || tried.seen().heads.len() == 4 || !client.wire.is_silent());
        if tried.seen().heads.len() == 4 {
            trial = Some(client);
        } else {
            assert_eq!(client.answer().text(), "sound");
        }
        trial.is_some()
    });
    let mut busy = Client::asking(&gateway, get("/held"));
    sound.until_at_work();
    for _ in 0..3 {
        assert_eq!(ask(&gateway, get("/")).reason(), "busy");
    }
    assert_eq!((tried.seen().heads.len(), gateway.backends().up), (4, 1));
    held.open();
    assert_eq!(busy.answer().text(), "sound");
    gate.open();
    assert_eq!(trial.unwrap().answer().text(), "mended");
    assert_eq!(gateway.backends().up, 2);
    until_all_idle(&gateway, 3);
}

#[test]
fn a_success_between_broken_exchanges_keeps_a_backend_in() {
    let visits = AtomicUsize::new(0);
    let moody = Backend::new(move |visit| {
        if visits.fetch_add(1, Ordering::SeqCst) % 3 < 2 { visit.close() } else { visit.answer("sound") }
    });
    let sound = Backend::answering("sound");
    let gateway = gateway(&[&moody, &sound], &format!("{IN_TURN}health = {{ outlier = \"0%\" }}"));
    while moody.seen().heads.len() < 12 {
        assert_eq!(ask(&gateway, get("/")).text(), "sound");
        until_all_idle(&gateway, 2);
        assert_eq!(gateway.backends().up, 2);
    }
    assert_eq!(gateway.totals().downs, 0);
}

#[test]
fn that_a_kept_connection_breaks_when_it_is_used_again_says_nothing_of_its_backend() {
    let backend = Backend::raw(|connection| {
        let Some(mut visit) = connection.request()? else { return Ok(()) };
        visit.answer("sound")?;
        drop(visit);
        // What comes next is left unread.
        connection.wire.comes_more()?;
        connection.wire.reset_at_close();
        Ok(())
    });
    let gateway = gateway(&[&backend], "health = { failures = 1 }\nretry = { attempts = 1 }");
    let mut client = Client::of(&gateway);
    for nth in 1..=20 {
        client.send(get("/"));
        assert_eq!(client.answer().text(), "sound", "request {nth}");
        until_all_idle(&gateway, 1);
        assert_eq!(backend.seen().accepted, nth, "each kept connection broke");
    }
    assert_eq!((gateway.totals().downs, gateway.totals().retries, gateway.backends().up), (0, 0, 1));
}

#[test]
fn backends_that_break_everything_still_get_all_there_is_where_there_are_no_others() {
    for count in [1, 2] {
        let backends: Vec<Backend> = (0..count).map(|_| breaking(1).0).collect();
        let gateway = gateway(&backends.iter().collect::<Vec<_>>(), IN_TURN);
        for nth in 1..=8 {
            let answer = ask(&gateway, post("/", "x"));
            assert_eq!((answer.status(), answer.reason().as_str()), (502, "backend-closed"), "request {nth}");
        }
        let asked: usize = backends.iter().map(|backend| backend.seen().heads.len()).sum();
        assert_eq!(asked, 8);
        assert_eq!(gateway.backends().up, 0, "the test shows nothing");
        until_all_idle(&gateway, count);
    }
}

#[test]
fn where_no_backend_can_be_reached_one_is_told_so_at_once_and_when_to_come_back() {
    let mut backends = [Backend::answering("alive"), Backend::answering("alive")];
    backends.iter_mut().for_each(Backend::kill);
    let gateway =
        gateway(&[&backends[0], &backends[1]], "queue = { length = 5, wait = \"60s\" }\nkeep_alive = false");
    // Who finds it out has tried both; it would not wait for one of them.
    let first = ask(&gateway, head_of("POST", "/", "Prefer: wait=0\r\nContent-Length: 1\r\n") + "x");
    assert_eq!((first.status(), first.reason().as_str()), (502, "backend-unreachable"));
    assert_eq!(gateway.backends().up, 0);
    for _ in 0..5 {
        // Nobody waits in line for it: the wait is longer than the client's patience.
        let answer = ask(&gateway, post("/", "x"));
        assert_eq!((answer.status(), answer.reason().as_str()), (503, "no-backend-up"));
        assert!(answer.retry_after() >= 1, "{:?}", answer.head);
    }
    eventually("both falls are counted", || gateway.totals().downs >= 2);
    backends.iter_mut().for_each(Backend::restart);
    eventually("they are found", || gateway.backends().up == 2);
    assert_eq!(ask(&gateway, post("/", "x")).text(), "alive");
    until_all_idle(&gateway, 2);
}

#[test]
fn those_in_line_are_served_when_their_backend_is_there_again_without_another_request() {
    let gate = Gate::new();
    let door = gate.door();
    let mut backend = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("alive")
    });
    let gateway = gateway(&[&backend], "queue = { length = 9, wait = \"60s\" }");
    let mut first = Client::asking(&gateway, post("/", "x"));
    backend.until_at_work();
    let mut waiting: Vec<Client> = (0..4).map(|_| Client::asking(&gateway, post("/", "x"))).collect();
    until_slots(&gateway, "four in line", |slots| slots.waiting == 4);
    backend.kill();
    gate.open();
    assert_eq!(first.answer().reason(), "backend-closed");
    // One of them finds out that it is gone. Nothing was written: it waits with the others, before them.
    eventually("it is out", || gateway.backends().up == 0);
    until_slots(&gateway, "four in line, nobody served", |slots| slots.waiting == 4 && slots.busy == 0);
    backend.restart();
    for client in &mut waiting {
        assert_eq!(client.answer().text(), "alive");
    }
    until_all_idle(&gateway, 1);
}

/// A backend that answers everything with this status.
fn answering(status: u16) -> Backend {
    Backend::new(move |visit| {
        visit.body()?;
        visit.finish(format!("HTTP/1.1 {status} Said\r\nContent-Length: 0\r\n\r\n"))
    })
}

#[test]
fn of_three_backends_the_one_whose_answers_alone_are_errors_is_taken_out() {
    for status in [500, 502, 504] {
        let backends = [answering(status), answering(200), answering(200)];
        let gateway = gateway(
            &backends.each_ref(),
            &format!("{IN_TURN}health = {{ pause = \"1h\", pause_max = \"1h\" }}"),
        );
        for _ in 0..60 {
            assert!([status, 200].contains(&ask(&gateway, get("/")).status()));
            until_all_idle(&gateway, 3);
        }
        assert_eq!(gateway.backends().up, 2, "{status}");
        eventually("its fall is counted", || gateway.totals().downs == 1);
        assert!(
            (10..=15).contains(&backends[0].seen().heads.len()),
            "{} asked",
            backends[0].seen().heads.len()
        );
        assert_eq!(gateway.totals().retries, 0, "an answer is passed on, whatever it says");
    }
}

#[test]
fn backends_whose_answers_are_errors_alike_stay_and_so_do_those_that_refuse() {
    for statuses in [[500; 3], [503, 200, 200], [404, 200, 200], [501, 200, 200]] {
        let backends = statuses.map(answering);
        let gateway = gateway(&backends.each_ref(), IN_TURN);
        for _ in 0..60 {
            assert!(statuses.contains(&ask(&gateway, get("/")).status()));
            until_all_idle(&gateway, 3);
        }
        assert_eq!((gateway.backends().up, gateway.totals().downs), (3, 0), "{statuses:?}");
        assert_eq!(backends.each_ref().map(|backend| backend.seen().heads.len()), [20; 3], "{statuses:?}");
    }
}
