//! A line before one Slot, one step at a time.

use idleway::Gateway;

use super::{Backend, Client, Gate, gateway, get, until_slots};

/// A backend of one Slot behind a gate, a gateway with a line before it, and a request at work.
pub(crate) struct Line {
    pub(crate) gate: Gate,
    pub(crate) backend: Backend,
    pub(crate) gateway: Gateway,
    pub(crate) first: Client,
}

impl Line {
    /// `config` is TOML of the pool, its `queue` among it.
    pub(crate) fn new(config: &str) -> Self {
        Self::behind(get("/first"), config)
    }

    /// The same, with this request at work.
    pub(crate) fn behind(first: String, config: &str) -> Self {
        let gate = Gate::new();
        let door = gate.door();
        let backend = Backend::new(move |visit| {
            visit.body()?;
            door.pass()?;
            let path = visit.path().to_owned();
            visit.finish(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()))
        });
        let gateway = gateway(&[&backend], config);
        let first = Client::asking(&gateway, first);
        backend.until_at_work();
        Self { gate, backend, gateway, first }
    }

    /// A client whose request stands in line from now on, together with all before it.
    #[track_caller]
    pub(crate) fn join(&self, request: impl AsRef<[u8]>) -> Client {
        let before = self.gateway.slots().waiting;
        let client = Client::asking(&self.gateway, request);
        until_slots(&self.gateway, "one more in line", |slots| slots.waiting == before + 1);
        client
    }

    /// Lets the request at work end; answers whose turn it is then, by the path.
    #[track_caller]
    pub(crate) fn next(&self) -> String {
        let served = self.backend.seen().heads.len();
        self.gate.pass_one();
        self.backend.until("the next request", |seen| seen.heads.len() > served);
        self.backend.paths().swap_remove(served)
    }

    /// Whose turn it is so many times, one after the other.
    #[track_caller]
    pub(crate) fn next_of(&self, requests: usize) -> Vec<String> {
        (0..requests).map(|_| self.next()).collect()
    }
}
