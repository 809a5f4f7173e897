//! The gateway stops: nobody new, what runs is finished, within a bound.

use std::io;
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;

use idleway::Gateway;

use crate::harness::*;

fn working(gate: &Gate) -> Backend {
    let door = gate.door();
    Backend::new(move |visit| {
        visit.body()?;
        if visit.path() == "/gated" {
            door.pass()?;
        }
        visit.finish("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
    })
}

/// Begins to stop, and returns once an idle connection has seen it. All Slots are taken.
fn begin_to_stop(gateway: Gateway) -> thread::JoinHandle<idleway::Drained> {
    let mut idle = Client::asking(&gateway, get("/"));
    assert_eq!(idle.answer().status(), 503);
    let stopping = thread::spawn(move || gateway.shutdown());
    idle.sees_fin();
    stopping
}

#[test]
fn idle_connections_end_what_runs_is_finished_and_nobody_new_is_taken() {
    let gate = Gate::new();
    let backend = working(&gate);
    let gateway = gateway(&[&backend], "queue = { length = 5, wait = \"60s\" }");
    let address = gateway.address();
    let mut kept = Client::asking(&gateway, get("/"));
    assert_eq!(kept.answer().field("Connection"), None);
    until_all_idle(&gateway, 1);
    let mut running = Client::asking(&gateway, post("/gated", "x"));
    backend.until_at_work();
    let mut waiting = Client::asking(&gateway, post("/waiting", "x"));
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);

    let stopping = thread::spawn(move || gateway.shutdown());
    kept.sees_fin();
    eventually("a socket that listens no more", || {
        TcpStream::connect(address).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    });
    assert!(!stopping.is_finished(), "it did not wait for what runs");
    gate.open();
    for client in [&mut running, &mut waiting] {
        let answer = client.answer();
        assert_eq!((answer.text(), answer.field("Connection")), ("done", Some("close")));
        client.sees_fin();
    }
    assert_eq!(stopping.join().unwrap().cut, 0);
    assert_eq!(backend.paths(), ["/", "/gated", "/waiting"]);
}

#[test]
fn an_answer_that_streams_is_finished() {
    let gate = Gate::new();
    let backend = Backend::in_two_halves(gate.door());
    let gateway = gateway(&[&backend], "");
    let mut client = Client::asking(&gateway, get("/"));
    client.head();
    let stopping = begin_to_stop(gateway);
    gate.open();
    assert_eq!(client.wire.exactly(8).unwrap(), b"halfhalf");
    client.sees_fin();
    assert_eq!(stopping.join().unwrap().cut, 0);
}

#[test]
fn what_does_not_end_in_time_is_cut_and_counted() {
    let gate = Gate::new();
    let backends = [working(&gate), working(&gate)];
    let gateway = gateway(&[&backends[0], &backends[1]], "drain_timeout = \"100ms\"");
    let mut clients = [(); 2].map(|()| Client::asking(&gateway, get("/gated")));
    backends.iter().for_each(Backend::until_at_work);
    let (done, drained) = mpsc::sync_channel(1);
    thread::spawn(move || done.send(gateway.shutdown()));
    let drained = drained.recv_timeout(PATIENCE).expect("an end within the bound");
    assert_eq!(drained.cut, 2);
    for client in &mut clients {
        assert!(client.try_answer("GET").is_err(), "a complete answer of a backend that gave none");
    }
}

/// It blocks, but on whatever thread it is called.
#[test]
fn it_may_be_stopped_from_inside_a_runtime() {
    let backend = Backend::answering("body");
    let gateway = gateway(&[&backend], "");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(async { gateway.shutdown() }).cut, 0);
}

/// Whoever has not run by then can be told so.
#[test]
fn who_is_in_line_when_the_time_is_over_gets_an_answer() {
    let gate = Gate::new();
    let backend = working(&gate);
    let gateway = gateway(&[&backend], "drain_timeout = \"50ms\"\nqueue = { length = 5, wait = \"60s\" }");
    let _running = Client::asking(&gateway, get("/gated"));
    backend.until_at_work();
    let mut waiting = Client::asking(&gateway, post("/waiting", "x"));
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
    let stopping = thread::spawn(move || gateway.shutdown());
    let answer = waiting.answer();
    assert_eq!((answer.status(), answer.field("Connection")), (503, Some("close")));
    assert!(answer.json()["type"].as_str().unwrap().ends_with("#draining"));
    assert_eq!(stopping.join().unwrap().cut, 1);
    assert_eq!(backend.paths(), ["/gated"]);
}

/// A gateway that is started next would send its first request beside it.
#[test]
fn work_that_nobody_waits_for_is_waited_for() {
    let gate = Gate::new();
    let backend = working(&gate);
    let gateway = gateway(&[&backend], "");
    let leaving = Client::asking(&gateway, post("/gated", "x"));
    backend.until_at_work();
    leaving.reset();
    until_slots(&gateway, "the slot lingers", |slots| slots.lingering == 1);
    let stopping = begin_to_stop(gateway);
    assert_eq!(backend.seen().at_work, 1);
    assert!(!stopping.is_finished(), "it did not wait for abandoned work");
    gate.open();
    let drained = stopping.join().unwrap();
    assert_eq!((drained.cut, drained.abandoned), (0, 0));
    assert_eq!(backend.seen().at_work, 0);
}

#[test]
fn what_is_still_abandoned_at_the_end_is_told() {
    let never = Gate::new();
    let backend = working(&never);
    let gateway = gateway(&[&backend], "drain_timeout = \"50ms\"");
    let leaving = Client::asking(&gateway, post("/gated", "x"));
    backend.until_at_work();
    leaving.reset();
    until_slots(&gateway, "the slot lingers", |slots| slots.lingering == 1);
    assert_eq!(gateway.shutdown().abandoned, 1);
}

/// Blocks the thread it is called on, which no hook may.
struct StandsStill(Door);

impl idleway::Hook for StandsStill {
    fn answered(&self, _: &idleway::Answered<'_>) {
        // What came of it is nobody's business here.
        let _ = self.0.pass();
    }
}

/// Whatever an application does: who was told to stop comes to an end, and says that it did not end in order.
#[test]
fn a_core_that_stands_still_does_not_keep_the_program_from_its_end() {
    let gate = Gate::new();
    let backend = Backend::answering("done");
    let config = format!("threads = 1\ndrain_timeout = \"10ms\"\nbackends = [{:?}]", backend.url());
    let plan = idleway::Plan::from_toml(&config, "test.toml").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = Gateway::builder(plan).hook(StandsStill(gate.door())).start(listener).unwrap();
    let handle = gateway.handle();
    let mut client = Client::asking(&gateway, get("/"));
    assert_eq!(client.answer().text(), "done");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    eventually("a core that stands still", || runtime.block_on(handle.silent_cores()) == [0]);
    let stop = idleway::Stop::catch().unwrap();
    stop.wish().stop();
    assert_eq!(stop.end(gateway), None);
    gate.open();
}

/// Also of a request that has come and that nobody has looked at yet.
#[test]
fn whoever_has_asked_is_answered() {
    const CLIENTS: usize = 100;
    for _ in 0..5 {
        let backend = Backend::of(CLIENTS, |visit| visit.answer("done"));
        let gateway = gateway(&[&backend], &format!("slots = {CLIENTS}"));
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::asking(&gateway, get("/"))).collect();
        let stopping = thread::spawn(move || gateway.shutdown());
        clients.iter_mut().for_each(|client| assert_eq!(client.answer().text(), "done"));
        assert_eq!(stopping.join().unwrap().cut, 0);
    }
}
