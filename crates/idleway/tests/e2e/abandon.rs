//! Work that nobody waits for: left to end, told to stop, or given up for lost. The Slot is free by what the
//! backend did.

use std::io;
use std::net::Shutdown;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tracing::field::{Field, Visit as Look};
use tracing::{Event, Metadata, Subscriber, span};

use crate::harness::*;

/// A backend that works on one connection at a time, as a synchronous worker does: the next one is not looked at
/// before this one has ended.
fn one_at_a_time(script: impl Fn(&mut Visit<'_>) -> io::Result<()> + Send + Sync + 'static) -> Backend {
    let turn = Mutex::new(());
    Backend::raw(move |connection| {
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut visit) = connection.request()? else { return Ok(()) };
        script(&mut visit)
    })
}

/// Told to stop, the backend takes its time: until it has closed, nobody else gets its Slot.
#[test]
fn a_cancelled_backend_sees_a_fin_and_is_idle_when_it_has_closed() {
    for by_reset in [false, true] {
        let gate = Gate::new();
        let door = gate.door();
        let backend = Backend::new(move |visit| {
            if visit.path() == "/next" {
                return visit.answer("next");
            }
            // Until the gateway has no more to say.
            visit.wire.until_end()?;
            visit.tell(1);
            door.pass()?;
            if by_reset {
                SockRef::from(&visit.wire.stream).set_linger(Some(Duration::ZERO))?;
            }
            visit.close()
        });
        let gateway = gateway(&[&backend], "timeout = \"30ms\"\nabandon = \"cancel\"\ncancel_wait = \"60s\"");
        assert_eq!(ask(&gateway, get("/first")).status(), 504);
        backend.until("the FIN", |seen| seen.told == 1);
        assert_eq!(gateway.slots().lingering, 1);
        assert_eq!(ask(&gateway, get("/refused")).status(), 503);
        gate.open();
        until_all_idle(&gateway, 1);
        assert_eq!(ask(&gateway, get("/next")).text(), "next");
        assert_eq!(backend.paths(), ["/first", "/next"]);
    }
}

/// That it was told to stop does not make it idle: its Slot rests, and its own end is the proof.
#[test]
fn a_backend_that_does_not_stop_rests_until_its_own_end() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("done")
    });
    let gateway = gateway(
        &[&backend],
        "timeout = \"30ms\"\nabandon = \"cancel\"\ncancel_wait = \"10ms\"\nqueue = { length = 1, wait = \"60s\" }",
    );
    assert_eq!(ask(&gateway, get("/first")).status(), 504);
    until_slots(&gateway, "the slot rests", |slots| slots.resting == 1);
    let mut waiting = Client::asking(&gateway, get("/waiting"));
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
    assert_eq!(backend.paths(), ["/first"]);
    gate.open();
    assert_eq!(waiting.answer().status(), 200);
    assert_eq!(backend.paths(), ["/first", "/waiting"]);
}

/// A client that leaves is as good a reason to stop as a timeout.
#[test]
fn a_client_that_leaves_cancels_where_that_is_the_choice() {
    let backend = Backend::new(|visit| {
        visit.wire.until_end()?;
        visit.close()
    });
    let gateway = gateway(&[&backend], "abandon = \"cancel\"");
    let leaving = Client::asking(&gateway, get("/left"));
    backend.until_at_work();
    leaving.reset();
    until_all_idle(&gateway, 1);
}

#[test]
fn a_route_says_itself_what_becomes_of_its_work() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        if visit.path() == "/cancel" {
            visit.wire.until_end()?;
            return visit.close();
        }
        visit.wire.stream.set_read_timeout(Some(Duration::from_millis(50)))?;
        let seen = visit.wire.until_end().map(|_| ()).map_err(|error| error.kind());
        assert_eq!(seen, Err(io::ErrorKind::WouldBlock), "no FIN for work that may linger");
        door.pass()?;
        visit.close()
    });
    let gateway = gateway(
        &[&backend],
        "timeout = \"30ms\"\nroutes = [{ path = \"/cancel\", abandon = \"cancel\" }, { path = \"/\" }]",
    );
    assert_eq!(ask(&gateway, get("/cancel")).status(), 504);
    until_all_idle(&gateway, 1);
    assert_eq!(ask(&gateway, get("/linger")).status(), 504);
    until_slots(&gateway, "the slot lingers", |slots| slots.lingering == 1);
    gate.open();
    until_all_idle(&gateway, 1);
}

/// `linger` is a bound on patience, not on the limit: until a probe is answered nobody gets the Slot.
#[test]
fn work_that_outlasts_its_bound_rests_until_a_probe_succeeds() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = one_at_a_time(move |visit| {
        if visit.path() == "/first" {
            door.pass()?;
        }
        visit.answer("done")
    });
    let gateway = gateway(
        &[&backend],
        "timeout = \"30ms\"\nlinger = \"20ms\"\nqueue = { length = 1, wait = \"60s\" }\nkeep_alive = false",
    );
    assert_eq!(ask(&gateway, get("/first")).status(), 504);
    let mut waiting = Client::asking(&gateway, get("/waiting"));
    backend.until("the probe's connection", |seen| seen.accepted == 2);
    assert_eq!(gateway.totals().linger_expired, 1);
    assert_eq!(gateway.slots().waiting, 1);
    assert_eq!(backend.paths(), ["/first"]);
    gate.open();
    assert_eq!(waiting.answer().text(), "done");
    assert_eq!(backend.paths(), ["/first", "/", "/waiting"]);
    until_all_idle(&gateway, 1);
}

/// A backend that was killed meanwhile proves nothing before it is back.
#[test]
fn a_probe_is_repeated_until_the_backend_answers() {
    let gate = Gate::new();
    let door = gate.door();
    let mut backend = one_at_a_time(move |visit| {
        if visit.path() == "/first" {
            visit.write("HTTP/1.1 200 OK\r\n\r\n")?;
            while visit.write("more").is_ok() {}
            visit.tell(1);
            door.pass()?;
        }
        visit.answer("done")
    });
    let gateway = gateway(&[&backend], "cancel_wait = \"10ms\"\nkeep_alive = false");
    let mut leaving = Client::asking(&gateway, get("/first"));
    leaving.head();
    leaving.reset();
    backend.until("the cut", |seen| seen.told == 1);
    backend.kill();
    gate.open();
    assert_eq!(ask(&gateway, get("/refused")).status(), 503);
    backend.restart();
    until_all_idle(&gateway, 1);
    assert_eq!(backend.paths(), ["/first", "/"]);
}

/// A handler that streams to nobody and takes no notice of a FIN is ended by the close; then a probe says when.
#[test]
fn a_stream_to_nobody_is_cut_and_its_slot_proved() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = one_at_a_time(move |visit| {
        if visit.path() != "/stream" {
            return visit.answer("done");
        }
        visit.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        while visit.write("4\r\nmore\r\n").is_ok() {}
        visit.tell(1);
        door.pass()?;
        visit.close()
    });
    let gateway = gateway(&[&backend], "cancel_wait = \"10ms\"\nkeep_alive = false");
    let mut leaving = Client::asking(&gateway, get("/stream"));
    leaving.head();
    leaving.wire.chunk().unwrap();
    leaving.reset();
    backend.until("the cut", |seen| seen.told == 1);
    assert_eq!(ask(&gateway, get("/refused")).status(), 503);
    gate.open();
    until_all_idle(&gateway, 1);
    assert_eq!(ask(&gateway, get("/next")).text(), "done");
    assert_eq!(backend.paths(), ["/stream", "/", "/next"]);
}

/// Its end is not in sight when it begins, and comes all the same: nothing is cancelled before that.
#[test]
fn a_late_answer_in_chunks_is_read_to_its_end() {
    let (begins, ends) = (Gate::new(), Gate::new());
    let (begin, end) = (begins.door(), ends.door());
    let backend = Backend::new(move |visit| {
        if visit.path() != "/late" {
            return visit.answer("next");
        }
        begin.pass()?;
        visit.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")?;
        end.pass()?;
        assert!(visit.wire.is_silent(), "a FIN for an answer that is coming");
        visit.finish("0\r\n\r\n")
    });
    let gateway = gateway(&[&backend], "deadline = \"30ms\"");
    assert_eq!(ask(&gateway, get("/late")).status(), 504);
    begins.open();
    assert_eq!(ask(&gateway, get("/refused")).status(), 503);
    assert_eq!(gateway.slots().lingering, 1);
    ends.open();
    until_all_idle(&gateway, 1);
    assert_eq!(ask(&gateway, get("/next")).text(), "next");
    assert_eq!(backend.seen().accepted, 1, "the connection was kept");
}

/// An event loop closes at our FIN, and its task goes on: that it closed after us proves nothing.
#[test]
fn a_server_that_closes_at_our_fin_is_not_idle_for_that() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = one_at_a_time(move |visit| {
        if visit.path() == "/stream" {
            visit.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmore\r\n")?;
            visit.wire.until_end()?;
            visit.wire.stream.shutdown(Shutdown::Both)?;
            visit.tell(1);
            door.pass()?;
            return visit.close();
        }
        visit.answer("done")
    });
    let gateway = gateway(&[&backend], "timeout = \"30ms\"\ncancel_wait = \"10ms\"\nkeep_alive = false");
    let mut leaving = Client::asking(&gateway, get("/stream"));
    leaving.head();
    leaving.reset();
    backend.until("the FIN", |seen| seen.told == 1);
    backend.until("the probe's connection", |seen| seen.accepted == 2);
    assert_eq!(ask(&gateway, get("/refused")).status(), 503);
    assert_eq!(backend.paths(), ["/stream"]);
    gate.open();
    until_all_idle(&gateway, 1);
    assert_eq!(backend.paths(), ["/stream", "/"]);
}

/// Also a backend with threads to spare, which answers a probe whatever else it does, gets no second request as long as
/// its handler writes now and then.
#[test]
fn a_handler_that_writes_notices_before_its_slot_is_proved() {
    let backend = Backend::new(move |visit| {
        if visit.path() != "/stream" {
            return visit.answer("done");
        }
        visit.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        while visit.write("4\r\nmore\r\n").is_ok() {
            spend(Duration::from_millis(300));
        }
        visit.close()
    });
    let gateway = gateway(&[&backend], "timeout = \"600ms\"\ncancel_wait = \"1s\"");
    let mut leaving = Client::asking(&gateway, get("/stream"));
    leaving.head();
    leaving.reset();
    until_all_idle(&gateway, 1);
    assert_eq!(backend.paths(), ["/stream", "/"]);
}

/// Whoever raises `timeout` in time has read it in the log; the count says how often it would have helped.
#[test]
fn answers_that_come_after_their_504_are_counted() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("late")
    });
    let gateway = gateway(&[&backend], "timeout = \"20ms\"");
    for late in 1..=3 {
        assert_eq!(ask(&gateway, get("/")).status(), 504);
        gate.pass_one();
        until_all_idle(&gateway, 1);
        assert_eq!(gateway.totals().late_answers, late);
    }
}

/// For backends that work on after their response: the Slot rests, its connection stays.
#[test]
fn a_slot_settles_after_each_response() {
    let backend = Backend::answering("done");
    let long = gateway(&[&backend], "settle = \"1h\"");
    assert_eq!(ask(&long, get("/first")).status(), 200);
    until_slots(&long, "the slot rests", |slots| slots.resting == 1);
    assert_eq!(ask(&long, get("/refused")).status(), 503);
    let other = Backend::answering("done");
    let short = gateway(&[&other], "settle = \"5ms\"\nqueue = { length = 1, wait = \"60s\" }");
    for _ in 0..3 {
        assert_eq!(ask(&short, get("/")).status(), 200);
    }
    assert_eq!(other.seen().accepted, 1, "the connection was kept through the rest");
}

/// A subscriber that panics when a request for `/bomb` has been handed to its backend: in the very task that carries
/// the request, at the worst moment.
struct Bomb;

impl Subscriber for Bomb {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "idleway::proxy::attempt" && *metadata.level() == tracing::Level::TRACE
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Fuse);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Fuse;

impl Look for Fuse {
    fn record_str(&mut self, field: &Field, value: &str) {
        assert!(field.name() != "path" || value != "/bomb", "the bomb");
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[test]
fn a_task_that_panics_neither_loses_its_slot_nor_frees_it_early() {
    static ARMED: Once = Once::new();
    ARMED.call_once(|| tracing::subscriber::set_global_default(Bomb).unwrap());
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        if visit.path() == "/bomb" {
            door.pass()?;
        }
        visit.answer("done")
    });
    let gateway = gateway(&[&backend], "");
    let mut client = Client::asking(&gateway, get("/bomb"));
    backend.until_at_work();
    client.sees_fin();
    until_slots(&gateway, "the slot lingers", |slots| slots.lingering == 1 && slots.busy == 0);
    assert_eq!(ask(&gateway, get("/refused")).status(), 503);
    gate.open();
    until_all_idle(&gateway, 1);
    assert_eq!(ask(&gateway, get("/next")).text(), "done");
}
