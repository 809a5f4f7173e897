//! One gateway, a backend that dies as it is told to and one that is sound, and two clients.

use std::io;

use idleway::{Gateway, SlotCounts};

use super::death::{Death, Fate, Met, mortal};
use crate::harness::*;

const BODY: &str = "hello";

/// What kind of request is sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) method: &'static str,
    path: &'static str,
    fields: &'static str,
    /// It may run twice.
    pub(super) is_repeatable: bool,
}

pub(super) const GET: Kind = Kind { method: "GET", path: "/", fields: "", is_repeatable: true };
pub(super) const PUT: Kind = Kind { method: "PUT", ..GET };
pub(super) const POST: Kind = Kind { method: "POST", is_repeatable: false, ..GET };
/// Its key means something where its route says so.
pub(super) const KEYED: Kind = Kind { path: "/keyed", is_repeatable: true, ..WITH_KEY };
pub(super) const WITH_KEY: Kind = Kind { fields: "Idempotency-Key: \"k\"\r\n", ..POST };

impl Kind {
    /// Its bytes, and those of them that are sent once the first are on their way to a backend.
    fn request(&self, id: &str, streams: bool) -> (String, &'static str) {
        let (framing, first, rest) = match (self.method, streams) {
            ("GET", _) => ("", "", ""),
            (_, false) => ("Content-Length: 5\r\n", BODY, ""),
            (_, true) => ("Transfer-Encoding: chunked\r\n", "2\r\nhe\r\n", "3\r\nllo\r\n0\r\n\r\n"),
        };
        let Self { method, path, fields, .. } = self;
        (head_of(method, path, &format!("X-Request-Id: {id}\r\n{fields}{framing}")) + first, rest)
    }
}

/// How a world is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Making {
    /// The connection that dies has served a request before.
    pub(super) is_reused: bool,
    /// A body does not fit the buffer: the rest of it streams, in chunks.
    pub(super) streams: bool,
}

pub(super) struct World {
    making: Making,
    fate: Fate,
    mortal: Backend,
    sound: Backend,
    gate: Gate,
    gateway: Gateway,
    clients: [Client; 2],
    /// Whose last request the mortal one has served: on its core the mortal one's connection is.
    near: usize,
    sent: usize,
}

/// What came of a request that met its death.
#[derive(Debug)]
pub(super) struct Told {
    /// Nothing where it is visibly cut.
    pub(super) answer: Option<Response>,
    pub(super) met: Met,
    /// How often it has run on the backend that dies, and on the sound one.
    pub(super) ran: [u32; 2],
}

impl World {
    pub(super) fn new(making: Making) -> Self {
        let (fate, gate) = (Fate::default(), Gate::new());
        let serving = |name: &'static str| {
            let door = gate.door();
            move |visit: &mut Visit<'_>| serve(visit, name, &door)
        };
        let mortal = mortal(fate.clone(), serving("mortal"));
        let sound = Backend::new(serving("sound"));
        let gateway = gateway(
            &[&mortal, &sound],
            &format!(
                "keep_alive = {}\nrequest_buffer = {:?}\naccess_log = false\n\
                 retry = {{ budget = \"100%\", floor = 1000 }}\n\
                 health = {{ failures = 1000, outlier = \"0%\" }}\n\
                 [[routes]]\npath = \"/\"\n[[routes]]\npath = \"/keyed\"\nidempotency_key = true",
                making.is_reused,
                if making.streams { "2B" } else { "64KiB" },
            ),
        );
        let clients = [(); 2].map(|()| Client::of(&gateway));
        Self { making, fate, mortal, sound, gate, gateway, clients, near: 0, sent: 0 }
    }

    /// A request whose backend dies like this. Before it, and after it at the latest with the next one, each of the
    /// two backends serves a request.
    #[track_caller]
    pub(super) fn meets(&mut self, kind: Kind, death: &Death) -> Told {
        self.each_serves();
        self.fate.order(death.clone());
        // The backends serve in turn: within two requests one meets the other.
        for _ in 0..4 {
            self.sent += 1;
            let id = format!("id-{:05}", self.sent);
            let answer = self.ask(kind, &id);
            if self.fate.shows() {
                let met = self.fate.lift();
                let ran = [&self.mortal, &self.sound].map(|backend| runs(backend, &id));
                return Told { answer, met, ran };
            }
            assert_eq!(answer.expect("an answer").text(), "sound");
            until_all_idle(&self.gateway, 2);
        }
        panic!("no request met its death");
    }

    /// No Slot is lost: with both idle, two requests at once are at work, one on each.
    #[track_caller]
    pub(super) fn each_serves(&mut self) {
        until_all_idle(&self.gateway, 2);
        // A connect that was reset at once has failed: then a probe has to find the backend again.
        eventually("both up", || self.gateway.backends().up == 2);
        until_all_idle(&self.gateway, 2);
        for client in &mut self.clients {
            client.send(get("/plain"));
        }
        self.mortal.until_at_work();
        self.sound.until_at_work();
        self.gate.pass_one();
        self.gate.pass_one();
        let by = [0, 1].map(|nth| self.clients[nth].answer().text().to_owned());
        self.near = usize::from(by[1] == "mortal");
        assert_ne!(by[0], by[1], "one backend has served both");
        until_all_idle(&self.gateway, 2);
    }

    fn ask(&mut self, kind: Kind, id: &str) -> Option<Response> {
        let client = &mut self.clients[self.near];
        let (first, rest) = kind.request(id, self.making.streams);
        client.send(first);
        if !rest.is_empty() {
            let is_on_its_way = |slots: SlotCounts| slots.busy == 1 || self.fate.shows();
            until_slots(&self.gateway, "the request on its way", is_on_its_way);
            client.send(rest);
        }
        let answer = client.try_answer(kind.method).ok();
        if answer.as_ref().is_none_or(|answer| answer.field("Connection") == Some("close")) {
            *client = Client::of(&self.gateway);
        }
        answer
    }
}

/// What a backend does while it is sound.
fn serve(visit: &mut Visit<'_>, name: &str, door: &Door) -> io::Result<()> {
    if visit.path() == "/plain" {
        door.pass()?;
        return visit.answer(name);
    }
    let body = visit.body()?;
    let whole = if visit.method() == "GET" { "" } else { BODY };
    assert_eq!(String::from_utf8_lossy(&body), whole, "a body with a hole");
    visit.finish(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()))
}

fn runs(backend: &Backend, id: &str) -> u32 {
    backend.seen().executions.get(id).copied().unwrap_or(0)
}
