//! Another Plan while requests run: nothing is lost, and the limit holds.

use std::collections::HashSet;
use std::net::TcpListener;
use std::thread;

use idleway::config::Plan;
use idleway::{Gateway, NotReloaded};

use crate::harness::*;

/// Handle the gateway with this configuration.
fn try_reload(gateway: &Gateway, config: &str) -> Result<(), NotReloaded> {
    let plan = Plan::from_toml(&format!("threads = 2\n{config}"), "test.toml");
    let plan = plan.unwrap_or_else(|faults| panic!("{faults}"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(gateway.handle().reload(plan))
}

#[track_caller]
pub(crate) fn reload(gateway: &Gateway, config: &str) {
    try_reload(gateway, config).unwrap();
}

fn gated(gate: &Gate, name: &'static str) -> Backend {
    let door = gate.door();
    Backend::new(move |visit| {
        visit.body()?;
        if visit.path().starts_with("/gated") {
            door.pass()?;
        }
        visit.answer(name)
    })
}

/// The path of the request that the backend answers with its name.
fn answer_of(gateway: &Gateway, path: &str) -> String {
    ask(gateway, get(path)).text().to_owned()
}

#[test]
fn backends_come_and_go_and_routes_change() {
    let [a, b] = ["a", "b"].map(Backend::answering);
    let gateway = gateway(&[&a], "");
    assert_eq!(answer_of(&gateway, "/"), "a");
    reload(&gateway, &format!("backends = [{:?}]", b.url()));
    assert_eq!(answer_of(&gateway, "/"), "b");
    let both = format!(
        "pools.x.backends = [{:?}]\npools.y.backends = [{:?}]\n\
         routes = [{{ path = \"/x\", pool = \"x\" }}, {{ path = \"/y\", pool = \"y\" }}]",
        a.url(),
        b.url()
    );
    reload(&gateway, &both);
    assert_eq!((answer_of(&gateway, "/x"), answer_of(&gateway, "/y")), ("a".to_owned(), "b".to_owned()));
    assert_eq!(ask(&gateway, get("/")).status(), 404);
    let names: Vec<_> = gateway.pools().into_iter().map(|pool| pool.name).collect();
    eventually("pools of this Plan alone", || {
        gateway.pools().into_iter().map(|pool| pool.name).collect::<Vec<_>>() == ["x", "y"]
    });
    assert!(names.starts_with(&["x".to_owned(), "y".to_owned()]), "{names:?}");
}

/// A kept connection of a client goes by the Plan that is in force when its next request begins.
#[test]
fn a_connection_outlives_the_plan_it_came_under() {
    let [a, b] = ["a", "b"].map(Backend::answering);
    let gateway = gateway(&[&a], "");
    let mut client = Client::asking(&gateway, get("/"));
    assert_eq!(client.answer().text(), "a");
    reload(&gateway, &format!("backends = [{:?}]", b.url()));
    client.send(get("/"));
    assert_eq!(client.answer().text(), "b");
}

#[test]
fn a_backend_that_is_removed_finishes_its_work_and_gets_none() {
    let gate = Gate::new();
    let [a, b] = ["a", "b"].map(|name| gated(&gate, name));
    let gateway = gateway(&[&a], "");
    let mut running = Client::asking(&gateway, get("/gated"));
    a.until_at_work();
    reload(&gateway, &format!("backends = [{:?}]", b.url()));
    assert_eq!(gateway.slots().busy, 1, "what runs keeps its count");
    assert_eq!(answer_of(&gateway, "/"), "b");
    gate.open();
    assert_eq!(running.answer().text(), "a");
    until_all_idle(&gateway, 1);
    assert_eq!(a.paths(), ["/gated"]);
}

/// The address is in the file again before it was quiet: its Slot is not given twice.
#[test]
fn a_backend_that_comes_back_has_its_count_still() {
    let gate = Gate::new();
    let [a, b] = ["a", "b"].map(|name| gated(&gate, name));
    let gateway = gateway(&[&a], "");
    let mut running = Client::asking(&gateway, get("/gated"));
    a.until_at_work();
    reload(&gateway, &format!("backends = [{:?}]", b.url()));
    reload(&gateway, &format!("backends = [{:?}]", a.url()));
    assert_eq!(ask(&gateway, get("/")).status(), 503, "its one Slot is taken");
    gate.open();
    assert_eq!(running.answer().text(), "a");
    until_all_idle(&gateway, 1);
    assert_eq!(answer_of(&gateway, "/"), "a");
    assert_eq!(a.seen().peak, 1);
}

/// The pool has another name: the address is new there, and its Slot is taken all the same until the old pool's work is
/// done.
#[test]
fn a_backend_that_changes_pools_takes_its_work_along() {
    let gate = Gate::new();
    let a = gated(&gate, "a");
    let config = |name: &str| {
        format!(
            "pools.{name}.backends = [{:?}]\npools.{name}.queue = {{ length = 9, wait = \"60s\" }}\n\
             routes = [{{ pool = {name:?} }}]",
            a.url()
        )
    };
    let gateway = start(&config("x"));
    let mut running = Client::asking(&gateway, get("/gated"));
    a.until_at_work();
    let mut waiting = Client::asking(&gateway, get("/waiting"));
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
    reload(&gateway, &config("y"));
    // Whoever was in line has found the line of the new pool.
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
    reload(&gateway, &config("z"));
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
    // And back, before the first was quiet.
    reload(&gateway, &config("x"));
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
    assert_eq!(a.paths(), ["/gated"]);
    gate.open();
    assert_eq!((running.answer().text(), waiting.answer().text()), ("a", "a"));
    until_all_idle(&gateway, 1);
    assert_eq!((a.paths().len(), a.seen().peak), (2, 1));
    eventually("one pool", || gateway.pools().len() == 1);
}

/// `localhost` is another text, and the same socket.
#[test]
fn a_backend_that_is_spelled_anew_takes_its_work_along() {
    let gate = Gate::new();
    let a = gated(&gate, "a");
    let named = format!("backends = [\"http://localhost:{}\"]", a.port());
    let gateway = start(&named);
    let mut running = Client::asking(&gateway, get("/gated"));
    a.until_at_work();
    reload(&gateway, &format!("backends = [{:?}]", a.url()));
    assert_eq!(ask(&gateway, get("/")).status(), 503, "its one Slot is taken");
    gate.open();
    assert_eq!(running.answer().text(), "a");
    eventually("an idle Slot", || ask(&gateway, get("/")).status() == 200);
    assert_eq!(a.seen().peak, 1);
}

/// Whatever the way from one spelling to another, and whatever stands in line meanwhile.
#[test]
fn however_a_backend_is_spelled_it_is_one_and_serves_on() {
    let spelled = |port: u16, kind: usize, pool: &str| {
        let backends = match kind {
            0 => format!("[\"http://127.0.0.1:{port}\"]"),
            1 => format!("[\"http://localhost:{port}\"]"),
            _ => format!("[{{ url = \"http://localhost:{port}\", resolve = \"all\" }}]"),
        };
        format!("[pools.{pool}]\nbackends = {backends}\nqueue = {{ length = 10, wait = \"60s\" }}")
    };
    let ways = (0..6).flat_map(|one| (0..6).map(move |two| (one, two)));
    for (one, two) in ways.filter(|(one, two)| one != two) {
        for three in (0..6).filter(|three| *three != two) {
            let gate = Gate::new();
            let backend = gated(&gate, "a");
            let spelled = |way: usize| spelled(backend.port(), way % 3, ["one", "two"][way / 3]);
            let gateway = start(&spelled(one));
            let mut running = Client::asking(&gateway, get("/gated/running"));
            backend.until_at_work();
            reload(&gateway, &spelled(two));
            let mut waiting = Client::asking(&gateway, get("/waiting"));
            until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
            reload(&gateway, &spelled(three));
            let mut another = Client::asking(&gateway, get("/another"));
            until_slots(&gateway, "two in line", |slots| slots.waiting == 2);
            gate.open();
            for client in [&mut running, &mut waiting, &mut another] {
                assert_eq!(client.answer().text(), "a", "{one} {two} {three}");
            }
            assert_eq!(backend.seen().peak, 1, "{one} {two} {three}");
        }
    }
}

#[test]
fn slots_and_the_line_grow_and_shrink() {
    let gate = Gate::new();
    let door = gate.door();
    let a = Backend::of(3, move |visit| {
        door.pass()?;
        visit.answer("a")
    });
    let config = |slots: u32, length: u32| {
        format!(
            "backends = [{{ url = {:?}, slots = {slots} }}]\nqueue = {{ length = {length}, wait = \"60s\" }}",
            a.url()
        )
    };
    let gateway = start(&config(1, 4));
    let mut clients: Vec<_> = (0..5).map(|_| Client::asking(&gateway, get("/"))).collect();
    until_slots(&gateway, "four in line", |slots| (slots.busy, slots.waiting) == (1, 4));
    reload(&gateway, &config(3, 1));
    until_slots(&gateway, "two more at work", |slots| (slots.busy, slots.waiting) == (3, 2));
    a.until("three at work", |seen| seen.at_work == 3);
    assert_eq!(ask(&gateway, get("/")).status(), 503, "the line is full for newcomers");
    reload(&gateway, &config(1, 4));
    gate.pass_one();
    gate.pass_one();
    until_slots(&gateway, "one at work", |slots| (slots.busy, slots.waiting) == (1, 2));
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().text(), "a");
    }
    until_all_idle(&gateway, 1);
    assert_eq!(a.seen().peak, 3);
}

#[test]
fn what_cannot_change_is_named_and_nothing_else_does() {
    let [a, b] = ["a", "b"].map(Backend::answering);
    let gateway = gateway(&[&a], "");
    let plan = Plan::from_toml(&format!("threads = 3\nbackends = [{:?}]", b.url()), "test.toml").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let refused = runtime.block_on(gateway.handle().reload(plan)).unwrap_err();
    assert_eq!(refused, NotReloaded::NeedsRestart(vec!["threads"]));
    assert_eq!(refused.to_string(), "`threads` cannot change without a restart");
    let refused =
        try_reload(&gateway, &format!("handover = \"/path\"\nbackends = [{:?}]", b.url())).unwrap_err();
    assert_eq!(refused, NotReloaded::NeedsRestart(vec!["handover"]));
    assert_eq!(answer_of(&gateway, "/"), "a");
}

#[test]
fn who_stops_is_not_reloaded() {
    let gate = Gate::new();
    let a = gated(&gate, "a");
    let gateway = gateway(&[&a], "");
    let (reloads, address) = (gateway.handle(), gateway.address());
    let mut running = Client::asking(&gateway, get("/gated"));
    a.until_at_work();
    let mut idle = Client::connect(address);
    let stopping = thread::spawn(move || gateway.shutdown());
    idle.sees_fin();
    let plan = Plan::from_toml(&format!("threads = 2\nbackends = [{:?}]", a.url()), "test.toml").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(reloads.reload(plan)), Err(NotReloaded::Stopping));
    gate.open();
    assert_eq!(running.answer().text(), "a");
    assert_eq!(stopping.join().unwrap().cut, 0);
}

/// The socket changes under traffic: who had connected to the one before is served, and who comes finds the new one.
#[test]
fn the_listener_changes() {
    let a = Backend::answering("a");
    let gateway = gateway(&[&a], "");
    let before = gateway.address();
    let mut kept = Client::asking(&gateway, get("/"));
    assert_eq!(kept.answer().text(), "a");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let after = listener.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(gateway.handle().listen_on(listener)).unwrap();
    assert_eq!(gateway.address(), after);
    assert_eq!(ask(&gateway, get("/")).text(), "a");
    kept.send(get("/"));
    assert_eq!(kept.answer().text(), "a");
    eventually("a socket that listens no more", || std::net::TcpStream::connect(before).is_err());
}

/// Two hundred Plans under traffic: backends added, removed, moved to another pool and back, Slots raised and lowered.
/// Whoever asks is served, and no backend ever has more at work than it can do.
#[test]
fn two_hundred_reloads_under_traffic_lose_nothing() {
    const RELOADS: u32 = 200;
    let backends: Vec<_> = (0..5).map(|_| Backend::of(2, |visit| visit.answer("a"))).collect();
    let config = |round: u32| {
        // One of them is in every Plan, in one of two pools; the others come and go.
        let listed: Vec<_> = (0..5).filter(|nth| *nth == 0 || round >> (nth - 1) & 1 == 1).collect();
        let slots = 1 + round / 16 % 2;
        let (first, second): (Vec<u32>, Vec<u32>) =
            listed.into_iter().partition(|nth| *nth == 0 || !(nth + round).is_multiple_of(3));
        let pool = |name: &str, of: &[u32]| {
            let urls: Vec<_> = of.iter().map(|nth| backends[*nth as usize].url()).collect();
            format!(
                "[pools.{name}]\nbackends = {urls:?}\nslots = {slots}\nqueue = {{ length = {}, wait = \"60s\" }}\n",
                20 + round % 7
            )
        };
        // Now and then the pool of the route has another name.
        let main = ["main", "other"][(round / 5 % 2) as usize];
        let mut text = pool(main, &first);
        if !second.is_empty() {
            text += &pool("aside", &second);
            text += "[[routes]]\npath = \"/aside\"\npool = \"aside\"\n";
        }
        format!("{text}[[routes]]\npool = {main:?}\n")
    };
    let gateway = start(&config(0));
    under_traffic(gateway.address(), 8, "/", || {
        for round in 1..=RELOADS {
            reload(&gateway, &config(round));
        }
    });
    for backend in &backends {
        let seen = backend.seen();
        assert!(seen.overlaps.is_empty() && seen.faults.is_empty(), "{:?} {:?}", seen.overlaps, seen.faults);
        assert!(seen.executions.values().all(|times| *times == 1));
    }
    let keys: HashSet<_> = gateway.pools().into_iter().map(|pool| pool.name).collect();
    assert!(keys.len() <= 3, "{keys:?}");
    eventually("nothing left of earlier Plans", || {
        let slots = gateway.slots();
        let now: u64 =
            gateway.pools().iter().flat_map(|pool| &pool.backends).map(|backend| backend.slots.idle).sum();
        (slots.busy, slots.waiting, slots.resting, slots.lingering) == (0, 0, 0, 0) && now == slots.idle
    });
}

/// Half of the Slots of a backend are lowered away while both are at work, and raised again: the limit of the Plan in force
/// holds for whoever begins under it.
#[test]
fn lowering_and_raising_while_at_work_never_exceeds_what_was_ordered() {
    let gate = Gate::new();
    let door = gate.door();
    let a = Backend::of(2, move |visit| {
        door.pass()?;
        visit.answer("a")
    });
    let config = |slots: u32| {
        format!(
            "backends = [{{ url = {:?}, slots = {slots} }}]\nqueue = {{ length = 9, wait = \"60s\" }}",
            a.url()
        )
    };
    let gateway = start(&config(2));
    let mut clients: Vec<_> = (0..6).map(|_| Client::asking(&gateway, get("/"))).collect();
    until_slots(&gateway, "two at work", |slots| (slots.busy, slots.waiting) == (2, 4));
    for slots in [1, 2, 1, 2, 1] {
        reload(&gateway, &config(slots));
        assert_eq!(gateway.slots().busy, 2);
    }
    gate.pass_one();
    until_slots(&gateway, "one that nobody followed", |slots| (slots.busy, slots.waiting) == (1, 4));
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().text(), "a");
    }
    assert!(a.seen().overlaps.is_empty());
}
