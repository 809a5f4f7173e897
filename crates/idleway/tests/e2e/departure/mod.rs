//! A client that leaves is noticed wherever its request is, and one that only half-closes is not taken for one that
//! left.

mod at_work;
mod behind;
mod in_line;
mod programs;
mod streaming;

use idleway::Gateway;
use idleway::config::Fin;

use crate::harness::*;

/// What a client is sent whose FIN has come before its answer.
const QUESTION: &str = "HTTP/1.1 102 Processing";

/// How a client stops sending.
#[derive(Debug, Clone, Copy)]
enum Way {
    Reset,
    Closed,
    HalfClosed,
}

impl Way {
    /// What is left of the client: one that only half-closed reads on.
    fn leave(self, client: Client) -> Option<Client> {
        match self {
            Self::Reset => client.reset(),
            Self::Closed => drop(client),
            Self::HalfClosed => {
                client.half_close();
                return Some(client);
            }
        }
        None
    }
}

/// A backend of one Slot that answers behind a gate with the path, and a gateway before it.
struct Scene {
    gate: Gate,
    backend: Backend,
    gateway: Gateway,
}

impl Scene {
    fn new(fin: Fin) -> Self {
        Self::with(fin, "")
    }

    fn with_line(fin: Fin) -> Self {
        Self::with(fin, "queue = { length = 5, wait = \"60s\" }")
    }

    fn with(fin: Fin, more: &str) -> Self {
        let gate = Gate::new();
        let door = gate.door();
        let backend = Backend::new(move |visit| {
            visit.body()?;
            door.pass()?;
            let path = visit.path().to_owned();
            let content = if visit.method() == "HEAD" { "" } else { &path };
            visit.finish(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", path.len()))
        });
        let gateway = gateway_where(fin, &backend, more);
        Self { gate, backend, gateway }
    }

    /// A client whose request the backend works on.
    fn at_work(&self) -> Client {
        let client = Client::asking(&self.gateway, get("/first"));
        self.backend.until_at_work();
        client
    }

    /// A client whose request stands in line.
    fn in_line(&self, request: impl AsRef<[u8]>) -> Client {
        let before = self.gateway.slots().waiting;
        let client = Client::asking(&self.gateway, request);
        until_slots(&self.gateway, "one more in line", |slots| slots.waiting == before + 1);
        client
    }
}

/// A gateway that takes a FIN for this.
fn gateway_where(fin: Fin, backend: &Backend, more: &str) -> Gateway {
    let fin = match fin {
        Fin::Ask => "ask",
        Fin::Gone => "gone",
        Fin::Answer => "answer",
    };
    gateway(&[backend], &format!("{more}\n[client]\nfin = \"{fin}\""))
}

/// Each core has looked at its sockets since: what had come before has been seen.
fn rounds(gateway: &Gateway) {
    // Each goes to the core that has the fewest: among so many, some to every core.
    let mut clients: Vec<Client> = (0..6).map(|_| Client::asking(gateway, "nonsense\r\n\r\n")).collect();
    for client in &mut clients {
        assert_eq!(client.answer().status(), 400);
    }
}

/// The rest of the line moves up: a place in a full line is free at once.
#[test]
fn a_place_in_line_is_free_when_its_client_leaves() {
    let scene = Scene::with(Fin::Ask, "queue = { length = 1, wait = \"60s\" }");
    let (mut first, leaving) = (scene.at_work(), scene.in_line(get("/left")));
    assert_eq!(ask(&scene.gateway, get("/refused")).status(), 503);
    drop(leaving);
    until_slots(&scene.gateway, "nobody in line", |slots| slots.waiting == 0);
    let mut next = scene.in_line(get("/next"));
    scene.gate.open();
    assert_eq!(first.answer().status(), 200);
    assert_eq!(next.answer().status(), 200);
}

/// A client that left before its small body was complete never asked for a Slot.
#[test]
fn a_request_that_never_became_complete_reaches_no_backend() {
    let backend = Backend::answering("body");
    let gateway = gateway(&[&backend], "");
    let whole = post("/left", "a small body");
    for by_reset in [false, true] {
        for cut in [1, 20, whole.len() - 13, whole.len() - 12, whole.len() - 1] {
            let client = Client::asking(&gateway, &whole[..cut]);
            client.leave(by_reset);
        }
    }
    assert_eq!(ask(&gateway, get("/next")).status(), 200);
    assert_eq!(backend.paths(), ["/next"]);
}
