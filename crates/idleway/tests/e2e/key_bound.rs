//! `slots_per_key`: how many Slots one key may have at once, whatever stands idle.

use std::collections::HashMap;

use idleway::Gateway;

use crate::harness::*;

const LINE: &str = "queue = { length = 20, wait = \"90s\" }\n";
const BY_KEY: &str = "fair_by = \"header:x-api-key\"\nslots_per_key = 1\n";

/// A backend of two Slots; what it does for a key ends when the gate of that key lets it.
struct Shared {
    gates: HashMap<&'static str, Gate>,
    backend: Backend,
    gateway: Gateway,
}

impl Shared {
    fn new(config: &str) -> Self {
        let gates: HashMap<&str, Gate> = ["a", "b", "c"].map(|key| (key, Gate::new())).into();
        let doors: HashMap<&str, _> = gates.iter().map(|(key, gate)| (*key, gate.door())).collect();
        let backend = Backend::of(2, move |visit| {
            doors[&visit.path()[1..2]].pass()?;
            visit.answer("done")
        });
        let config = format!("backends = [{{ url = \"{}\", slots = 2 }}]\n{config}", backend.url());
        let gateway = start(&config);
        Self { gates, backend, gateway }
    }

    /// A client whose request for this path, which begins with its key, is at work.
    #[track_caller]
    fn at_work(&self, path: &str) -> Client {
        let client = self.asks(path);
        self.serves(path);
        client
    }

    /// The same, in line.
    #[track_caller]
    fn in_line(&self, path: &str) -> Client {
        let before = self.gateway.slots().waiting;
        let client = self.asks(path);
        until_slots(&self.gateway, "one more in line", |slots| slots.waiting == before + 1);
        client
    }

    fn asks(&self, path: &str) -> Client {
        Client::asking(&self.gateway, of(path))
    }

    #[track_caller]
    fn serves(&self, path: &str) {
        self.backend.until(path, |seen| seen.heads.iter().any(|head| head.word(1) == path));
    }

    fn end(self, clients: impl IntoIterator<Item = Client>) {
        self.gates.values().for_each(Gate::open);
        clients.into_iter().for_each(|mut client| assert_eq!(client.answer().status(), 200));
        until_all_idle(&self.gateway, 2);
    }
}

fn of(path: &str) -> String {
    head_of("GET", path, &format!("X-Api-Key: {}\r\n", &path[1..2]))
}

#[test]
fn without_a_queue_a_key_at_its_bound_is_refused_beside_an_idle_slot() {
    let shared = Shared::new(BY_KEY);
    let first = shared.at_work("/a0");
    let refused = ask(&shared.gateway, of("/a1"));
    assert_eq!((refused.status(), refused.reason().as_str()), (429, "key-busy"));
    assert!(refused.retry_after() >= 1);
    let other = shared.at_work("/b0");
    // Now there is none for anybody.
    assert_eq!(ask(&shared.gateway, of("/c0")).reason(), "busy");
    shared.gates["a"].pass_one();
    until_slots(&shared.gateway, "one is idle", |slots| slots.idle == 1);
    let next = shared.at_work("/a2");
    assert_eq!(shared.backend.paths(), ["/a0", "/b0", "/a2"]);
    shared.end([first, other, next]);
}

#[test]
fn who_would_not_wait_is_told_that_its_key_is_busy() {
    let shared = Shared::new(&format!("{LINE}{BY_KEY}"));
    let first = shared.at_work("/a0");
    let hasty = head_of("GET", "/a1", "X-Api-Key: a\r\nPrefer: wait=0\r\n");
    let refused = ask(&shared.gateway, hasty);
    assert_eq!((refused.status(), refused.reason().as_str()), (429, "key-busy"));
    assert_eq!(refused.field("Preference-Applied"), Some("wait=0"));
    shared.end([first]);
}

#[test]
fn in_line_a_key_at_its_bound_is_passed_over() {
    let shared = Shared::new(&format!("{LINE}{BY_KEY}"));
    let mut clients = vec![shared.at_work("/a0"), shared.in_line("/a1")];
    // A newcomer of another key finds the Slot idle, before whoever waits.
    clients.push(shared.at_work("/b0"));
    clients.push(shared.in_line("/a2"));
    clients.push(shared.in_line("/c0"));
    shared.gates["b"].pass_one();
    shared.serves("/c0");
    assert_eq!(shared.gateway.slots().waiting, 2);
    // With nobody else in line a Slot may stay idle beside it.
    shared.gates["c"].pass_one();
    until_slots(&shared.gateway, "one is idle", |slots| slots.idle == 1 && slots.waiting == 2);
    shared.gates["a"].pass_one();
    shared.serves("/a1");
    assert_eq!(shared.gateway.slots().waiting, 1);
    assert_eq!(shared.backend.paths(), ["/a0", "/b0", "/c0", "/a1"]);
    shared.end(clients);
}

/// Whichever of the two is nearer to its turn: only the key whose Slot was freed may take it.
#[test]
fn a_key_is_served_when_its_own_slot_is_free_though_another_is_before_it() {
    for key in ["a", "b"] {
        let shared = Shared::new(&format!("{LINE}{BY_KEY}"));
        let clients = ["/a0", "/b0"].map(|path| shared.at_work(path));
        let waiting = ["/b1", "/a1"].map(|path| shared.in_line(path));
        shared.gates[key].pass_one();
        shared.serves(&format!("/{key}1"));
        assert_eq!(shared.gateway.slots().waiting, 1);
        assert_eq!(shared.backend.paths().len(), 3);
        shared.end(clients.into_iter().chain(waiting));
    }
}

/// Its client is gone, but it has the Slot until the backend is done.
#[test]
fn work_that_lingers_counts() {
    let shared = Shared::new(BY_KEY);
    let leaving = shared.at_work("/a0");
    leaving.reset();
    until_slots(&shared.gateway, "the slot lingers", |slots| slots.lingering == 1);
    assert_eq!(ask(&shared.gateway, of("/a1")).reason(), "key-busy");
    shared.gates["a"].pass_one();
    until_all_idle(&shared.gateway, 2);
    let next = shared.at_work("/a2");
    shared.end([next]);
}

/// Who left the line holds nothing of the bound, and neither does who waits.
#[test]
fn whoever_leaves_the_line_gives_nothing_away() {
    let shared = Shared::new(&format!("{LINE}{BY_KEY}"));
    let first = shared.at_work("/a0");
    let leaving = shared.in_line("/a1");
    let behind = shared.in_line("/a2");
    leaving.reset();
    until_slots(&shared.gateway, "one has left", |slots| slots.waiting == 1);
    shared.gates["a"].pass_one();
    shared.serves("/a2");
    assert_eq!(shared.backend.paths(), ["/a0", "/a2"]);
    shared.end([first, behind]);
}

fn from(address: &str, path: &str) -> String {
    head_of("GET", path, &format!("X-Forwarded-For: {address}\r\n"))
}

/// The key of an address shows in its bound: another address has another.
#[test]
fn behind_a_trusted_proxy_the_clients_address_is_the_key() {
    let shared = Shared::new("trusted = [\"127.0.0.1\"]\nfair_by = \"ip\"\nslots_per_key = 1\n");
    let first = Client::asking(&shared.gateway, from("192.0.2.1", "/a0"));
    shared.serves("/a0");
    // What stands before the last address that is not trusted, anybody may have written.
    for address in ["192.0.2.1", "198.51.100.7, 192.0.2.1", "192.0.2.1, 127.0.0.1"] {
        assert_eq!(ask(&shared.gateway, from(address, "/refused")).reason(), "key-busy", "{address}");
    }
    let other = Client::asking(&shared.gateway, from("192.0.2.2", "/b0"));
    shared.serves("/b0");
    shared.end([first, other]);
}

#[test]
fn a_stranger_does_not_choose_its_address() {
    let shared = Shared::new("trusted = [\"10.0.0.0/8\"]\nfair_by = \"ip\"\nslots_per_key = 1\n");
    let first = Client::asking(&shared.gateway, from("192.0.2.1", "/a0"));
    shared.serves("/a0");
    for address in ["192.0.2.2", "10.0.0.1"] {
        assert_eq!(ask(&shared.gateway, from(address, "/refused")).reason(), "key-busy", "{address}");
    }
    shared.end([first]);
}
