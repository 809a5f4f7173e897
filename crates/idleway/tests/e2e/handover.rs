//! One gateway takes the place of another: nothing is lost, and the limit holds across the two.

use std::net::TcpListener;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use idleway::config::Plan;
use idleway::{Bequeathed, Drained, Gateway, Passed, Taken, Waiting};

use crate::admin::Desk;
use crate::harness::*;

const LINE: &str = "queue = { length = 20, wait = \"60s\" }";

/// Gateways that follow one another on one socket.
struct Succession {
    socket: TcpListener,
    gateway: Gateway,
    config: String,
    /// What becomes of those before.
    leaving: Vec<JoinHandle<Drained>>,
}

impl Succession {
    fn start(config: String) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let gateway = Gateway::start(plan(&config), socket.try_clone().unwrap()).unwrap();
        Self { socket, gateway, config, leaving: Vec::new() }
    }

    /// Another one takes the place of this one, and has begun when this returns.
    fn next(&mut self) {
        let builder = Gateway::builder(plan(&self.config));
        let (next, mut heritage) = builder.inherit(self.socket.try_clone().unwrap()).unwrap();
        let before = std::mem::replace(&mut self.gateway, next);
        let mut bequest = before.handle().bequeath().expect("one heir");
        assert!(before.handle().bequeath().is_none(), "a second heir");
        let (begun, has_begun) = std::sync::mpsc::sync_channel(1);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                while let Some(bequeathed) = bequest.next().await {
                    let is_all = matches!(bequeathed, Bequeathed::AllMoved);
                    heritage.take(bequeathed).await;
                    if is_all {
                        begun.send(()).unwrap();
                    }
                }
                heritage.end().await;
            });
        });
        self.leaving.push(thread::spawn(move || before.shutdown()));
        has_begun.recv_timeout(PATIENCE).expect("the word to begin");
    }
}

fn plan(config: &str) -> Plan {
    Plan::from_toml(&format!("threads = 2\n{config}"), "test.toml").unwrap()
}

fn taken(backend: &str, slots: u32) -> Taken {
    Taken { backend: backend.to_owned(), addresses: Vec::new(), slots }
}

fn gated(gate: &Gate) -> Backend {
    let door = gate.door();
    Backend::new(move |visit| {
        let body = visit.body()?;
        door.pass()?;
        let text = format!("{} {}", visit.path(), body.len());
        visit.finish(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()))
    })
}

/// What runs ends where it began; who waits and who is idle goes over, and none of them notices.
#[test]
fn what_runs_is_finished_and_who_waits_or_is_idle_goes_over() {
    let gate = Gate::new();
    let backend = gated(&gate);
    let mut gateways = Succession::start(format!("backends = [{:?}]\n{LINE}", backend.url()));
    let mut idle = Client::asking(&gateways.gateway, get("/first"));
    gate.pass_one();
    assert_eq!(idle.answer().text(), "/first 0");
    let mut running = Client::asking(&gateways.gateway, post("/running", "x"));
    backend.until_at_work();
    let mut waiting = Client::asking(&gateways.gateway, post("/waiting", "body"));
    until_slots(&gateways.gateway, "one in line", |slots| slots.waiting == 1);
    gateways.next();
    let gateway = &gateways.gateway;
    until_slots(gateway, "its Slot is taken elsewhere", |slots| {
        (slots.idle, slots.resting, slots.waiting) == (0, 1, 1)
    });
    idle.send(get("/second"));
    until_slots(gateway, "two in line", |slots| slots.waiting == 2);
    assert_eq!(backend.paths(), ["/first", "/running"]);
    gate.open();
    assert_eq!(running.answer().text(), "/running 1");
    assert_eq!(waiting.answer().text(), "/waiting 4");
    assert_eq!(idle.answer().text(), "/second 0");
    // They stay connected: with the new one.
    for client in [&mut running, &mut waiting, &mut idle] {
        client.send(get("/again"));
        assert_eq!(client.answer().text(), "/again 0");
    }
    until_all_idle(&gateways.gateway, 1);
    for leaving in gateways.leaving {
        let Drained { cut, abandoned, .. } = leaving.join().unwrap();
        assert_eq!((cut, abandoned), (0, 0));
    }
    assert_eq!(backend.seen().peak, 1);
}

/// Nobody is there to send it to, and it stays in line as it would have before.
#[test]
fn who_waits_for_a_drained_backend_waits_on() {
    let gate = Gate::new();
    let backend = gated(&gate);
    let mut gateways = Succession::start(format!("backends = [{:?}]\n{LINE}", backend.url()));
    let mut running = Client::asking(&gateways.gateway, get("/running"));
    backend.until_at_work();
    let mut waiting = Client::asking(&gateways.gateway, get("/waiting"));
    until_slots(&gateways.gateway, "one in line", |slots| slots.waiting == 1);
    assert_eq!(Desk::of(&gateways.gateway).mode(&backend, "drain").status(), 200);
    gateways.next();
    gate.open();
    assert_eq!(running.answer().text(), "/running 0");
    // Who comes now is told the truth, and who stood in line before is in line still.
    assert_eq!(ask(&gateways.gateway, get("/newcomer")).status(), 503);
    until_slots(&gateways.gateway, "one in line", |slots| (slots.waiting, slots.idle) == (1, 1));
    assert_eq!(Desk::of(&gateways.gateway).mode(&backend, "ready").status(), 200);
    assert_eq!(waiting.answer().text(), "/waiting 0");
    assert_eq!(backend.paths(), ["/running", "/waiting"]);
}

/// A client that sends its body when it is told to, one that sends chunks, one that has only begun its head, and one
/// that has sent half of its body.
#[test]
fn requests_in_every_stage_before_they_run_go_over() {
    let gate = Gate::new();
    let backend = gated(&gate);
    let mut gateways = Succession::start(format!("backends = [{:?}]\n{LINE}", backend.url()));
    let mut running = Client::asking(&gateways.gateway, get("/running"));
    backend.until_at_work();
    let connect = |text: &str| {
        let mut client = Client::connect(gateways.gateway.address());
        client.wire.write(text).unwrap();
        client
    };
    let mut expecting =
        connect("POST /expecting HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    let mut chunked = connect(
        "POST /chunked HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    until_slots(&gateways.gateway, "two in line", |slots| slots.waiting == 2);
    let mut partial = connect("POST /partial HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc");
    let mut begun = connect("GET /begun HTT");
    gateways.next();
    until_slots(&gateways.gateway, "two in line", |slots| slots.waiting == 2);
    begun.wire.write("P/1.1\r\nHost: h\r\n\r\n").unwrap();
    partial.wire.write("def").unwrap();
    until_slots(&gateways.gateway, "four in line", |slots| slots.waiting == 4);
    gate.open();
    assert_eq!(running.answer().text(), "/running 0");
    assert_eq!(expecting.head().word(1), "100");
    expecting.wire.write("xyz").unwrap();
    assert_eq!(expecting.try_answer("POST").unwrap().text(), "/expecting 3");
    assert_eq!(chunked.try_answer("POST").unwrap().text(), "/chunked 5");
    assert_eq!(partial.try_answer("POST").unwrap().text(), "/partial 6");
    assert_eq!(begun.try_answer("GET").unwrap().text(), "/begun 0");
    assert_eq!(backend.seen().peak, 1);
}

/// Whoever stood in line is served before whoever comes later, and in the order in which they had come.
#[test]
fn those_who_stand_in_line_keep_their_places() {
    const WAITING: usize = 8;
    let gate = Gate::new();
    let backend = gated(&gate);
    let mut gateways = Succession::start(format!("backends = [{:?}]\n{LINE}", backend.url()));
    let mut clients = vec![Client::asking(&gateways.gateway, get("/running"))];
    backend.until_at_work();
    for nth in 1..=WAITING {
        clients.push(Client::asking(&gateways.gateway, get(&format!("/{nth}"))));
        until_slots(&gateways.gateway, "another in line", |slots| slots.waiting == nth as u64);
    }
    for nth in 1..=2 {
        gateways.next();
        clients.push(Client::asking(&gateways.gateway, get(&format!("/later/{nth}"))));
        until_slots(&gateways.gateway, "all in line", |slots| slots.waiting == (WAITING + nth) as u64);
    }
    gate.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.answer().status(), 200));
    let expected: Vec<_> = std::iter::once("/running".to_owned())
        .chain((1..=WAITING).map(|nth| format!("/{nth}")))
        .chain((1..=2).map(|nth| format!("/later/{nth}")))
        .collect();
    assert_eq!(backend.paths(), expected);
}

/// A connection on its way, with this request that has been waited for, and the client at its other end.
fn passed(path: &str, waiting: Option<Waiting>) -> (Client, Bequeathed) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::connect(listener.local_addr().unwrap());
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let read = head_of("GET", path, "Connection: close\r\n").into();
    (client, Bequeathed::Client(Passed { stream, read, waiting }))
}

/// A wait and a deadline are those of the request, whatever processes it meets.
#[test]
fn the_clocks_of_who_waits_go_on() {
    let backend = Backend::answering("too late");
    let socket = || TcpListener::bind("127.0.0.1:0").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let before = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
    for (more, reason) in [
        ("queue = { length = 9, wait = \"1s\" }", "wait-over"),
        ("deadline = \"1s\"\nqueue = { length = 9, wait = \"60s\" }", "deadline-over"),
    ] {
        let config = format!("backends = [{:?}]\n{more}", backend.url());
        let (_gateway, mut heritage) = Gateway::builder(plan(&config)).inherit(socket()).unwrap();
        let (mut client, arrival) = passed("/", Some(Waiting { arrived: before, in_line: Some(before) }));
        runtime.block_on(async {
            heritage.take(Bequeathed::Held(taken(backend.url().trim_start_matches("http://"), 1))).await;
            for told in [Bequeathed::AllTold, arrival, Bequeathed::AllMoved] {
                heritage.take(told).await;
            }
        });
        assert_eq!(client.answer().reason(), reason);
        runtime.block_on(heritage.end());
    }
    assert!(backend.paths().iter().all(|path| path == "/"), "at most a proof");
}

/// Of the two places the acceptor keeps one for whoever comes next.
///
/// Whoever has no place yet does not keep the word from being heard that a Slot is free, for which those wait who have one.
#[test]
fn a_full_house_hears_what_the_one_before_tells() {
    let backend = Backend::answering("done");
    let config = format!("backends = [{:?}]\n{LINE}\n[limits]\nconnections = 2", backend.url());
    let name = backend.url().trim_start_matches("http://").to_owned();
    let (gateway, mut heritage) =
        Gateway::builder(plan(&config)).inherit(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ([mut one, mut other], arrivals): ([_; 2], Vec<_>) = {
        let (one, first) = passed("/one", None);
        let (other, second) = passed("/other", None);
        ([one, other], vec![first, second])
    };
    runtime.block_on(async {
        heritage.take(Bequeathed::Held(taken(&name, 1))).await;
        heritage.take(Bequeathed::AllTold).await;
        heritage.take(Bequeathed::AllMoved).await;
        for arrival in arrivals {
            heritage.take(arrival).await;
        }
    });
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
    runtime.block_on(heritage.take(Bequeathed::Held(taken(&name, 0))));
    for client in [&mut one, &mut other] {
        assert_eq!(client.answer().text(), "done");
    }
    runtime.block_on(heritage.end());
}

/// Nobody is there to say what the one before has still: its backends prove that they are idle.
#[test]
fn a_process_that_ends_without_a_word_is_not_believed_to_be_idle() {
    let gate = Gate::new();
    let backend = gated(&gate);
    let config = format!("backends = [{:?}]\n{LINE}", backend.url());
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let (gateway, mut heritage) = Gateway::builder(plan(&config)).inherit(socket).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let name = backend.url().trim_start_matches("http://").to_owned();
        heritage.take(Bequeathed::Held(taken(&name, 1))).await;
        heritage.take(Bequeathed::AllTold).await;
        heritage.take(Bequeathed::AllMoved).await;
    });
    let mut client = Client::asking(&gateway, get("/work"));
    until_slots(&gateway, "one in line", |slots| (slots.resting, slots.waiting) == (1, 1));
    assert!(backend.paths().is_empty());
    runtime.block_on(heritage.end());
    backend.until_at_work();
    assert_eq!(backend.paths(), ["/"], "the proof");
    gate.open();
    assert_eq!(client.answer().text(), "/work 0");
}

/// However the newer one's file spells it, it is the same backend.
#[test]
fn a_backend_that_is_spelled_anew_is_busy_still() {
    let spellings = |port: u16| {
        [
            format!("backends = [\"http://127.0.0.1:{port}\"]\n{LINE}"),
            format!("backends = [\"http://localhost:{port}\"]\n{LINE}"),
            format!("resolve = \"all\"\nbackends = [\"http://localhost:{port}\"]\n{LINE}"),
        ]
    };
    for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 0), (0, 2)] {
        let gate = Gate::new();
        let backend = gated(&gate);
        let spellings = spellings(backend.port());
        let mut gateways = Succession::start(spellings[from].clone());
        let mut running = Client::asking(&gateways.gateway, get("/running"));
        backend.until_at_work();
        gateways.config.clone_from(&spellings[to]);
        gateways.next();
        let mut waiting = Client::asking(&gateways.gateway, get("/waiting"));
        until_slots(&gateways.gateway, "one in line", |slots| slots.waiting == 1);
        // By another reload, too.
        crate::reload::reload(&gateways.gateway, &spellings[from]);
        gate.open();
        assert_eq!((running.answer().text(), waiting.answer().text()), ("/running 0", "/waiting 0"));
        assert_eq!(backend.seen().peak, 1, "{from} {to}");
    }
}

/// What a process has told of, before it went without a word, is passed on as what it is: nobody's, and to be proved.
#[test]
fn what_is_in_doubt_is_proved_by_the_last_one() {
    let gate = Gate::new();
    let backend = gated(&gate);
    let config = format!("backends = [{:?}]\n{LINE}", backend.url());
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let (middle, mut heritage) =
        Gateway::builder(plan(&config)).inherit(socket.try_clone().unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let name = backend.url().trim_start_matches("http://").to_owned();
    runtime.block_on(async {
        heritage.take(Bequeathed::Held(taken(&name, 1))).await;
        heritage.take(Bequeathed::AllTold).await;
        heritage.take(Bequeathed::AllMoved).await;
    });
    let mut gateways = Succession { socket, gateway: middle, config, leaving: Vec::new() };
    gateways.next();
    let mut client = Client::asking(&gateways.gateway, get("/work"));
    until_slots(&gateways.gateway, "one in line", |slots| (slots.resting, slots.waiting) == (1, 1));
    assert!(backend.paths().is_empty());
    // The first one is gone.
    runtime.block_on(heritage.end());
    gate.open();
    assert_eq!(client.answer().text(), "/work 0");
    assert_eq!(backend.paths(), ["/", "/work"], "the proof first");
}

/// What was ordered of a backend is no less true since another process runs.
#[cfg(feature = "admin")]
#[test]
fn orders_go_over() {
    let [a, b] = ["a", "b"].map(Backend::answering);
    let mut gateways = Succession::start(format!("backends = [{:?}, {:?}]\n{LINE}", a.url(), b.url()));
    let desk = Desk::of(&gateways.gateway);
    assert_eq!(desk.mode(&a, "maintenance").status(), 200);
    let path = format!("PUT /v1/pools/default/backends/{}/slots", b.url().trim_start_matches("http://"));
    assert_eq!(desk.order(&path, "{\"slots\":3}").status(), 200);
    gateways.next();
    gateways.next();
    let told = Desk::of(&gateways.gateway).told("/v1/pools/default");
    let backends = &told["backends"];
    assert_eq!((&backends[0]["mode"], &backends[1]["mode"]), (&"maintenance".into(), &"ready".into()));
    assert_eq!((&backends[0]["slots"]["all"], &backends[1]["slots"]["all"]), (&1.into(), &3.into()));
    for _ in 0..3 {
        assert_eq!(ask(&gateways.gateway, get("/")).text(), "b");
    }
}

/// A part of the truth may be less than the whole: what the one before gave back while it was asked it may have taken again.
#[test]
fn nothing_is_idle_before_all_has_been_told() {
    let backend = Backend::answering("a");
    let config = format!("backends = [{:?}]\n{LINE}", backend.url());
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let (gateway, mut heritage) = Gateway::builder(plan(&config)).inherit(socket).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let backend = backend.url().trim_start_matches("http://").to_owned();
    runtime.block_on(async {
        heritage.take(Bequeathed::Held(taken(&backend, 0))).await;
        // What is told is done in order.
        gateway.handle().reload(plan(&config)).await.unwrap();
    });
    assert_eq!((gateway.slots().idle, gateway.slots().resting), (0, 1));
    runtime.block_on(heritage.take(Bequeathed::AllTold));
    runtime.block_on(heritage.take(Bequeathed::AllMoved));
    assert_eq!(gateway.slots().idle, 1);
    assert_eq!(ask(&gateway, get("/")).text(), "a");
    runtime.block_on(heritage.end());
}

/// Twenty of them, under clients that keep their connections and clients that do not.
#[test]
fn twenty_in_a_row_under_traffic_lose_nothing() {
    let backends: Vec<_> = (0..3).map(|_| Backend::new(|visit| visit.answer("a"))).collect();
    let urls: Vec<_> = backends.iter().map(Backend::url).collect();
    let mut gateways = Succession::start(format!("backends = {urls:?}\n{LINE}"));
    let address = gateways.gateway.address();
    let mut afresh = 0;
    under_traffic(address, 8, "/", || {
        for _ in 0..20 {
            gateways.next();
            for _ in 0..10 {
                let mut client = Client::connect(address);
                client.send(get("/"));
                assert_eq!(client.answer().status(), 200);
                afresh += 1;
            }
        }
    });
    assert_eq!(afresh, 200);
    for backend in &backends {
        let seen = backend.seen();
        assert!(seen.overlaps.is_empty() && seen.faults.is_empty(), "{:?} {:?}", seen.overlaps, seen.faults);
        assert!(seen.executions.values().all(|times| *times == 1));
    }
    for leaving in gateways.leaving {
        let Drained { cut, abandoned, .. } = leaving.join().unwrap();
        assert_eq!((cut, abandoned), (0, 0));
    }
    until_all_idle(&gateways.gateway, 3);
}
