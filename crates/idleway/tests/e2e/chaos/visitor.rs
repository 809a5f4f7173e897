//! A client in the chaos: polite for the most part, else slow or gone.

use std::io;
use std::thread;

use idleway::Gateway;

use super::dice::Dice;
use crate::harness::*;

/// What stands in a large answer: more than the buffers between backend and client take at once.
const LARGE: usize = 400 * 1024;

pub(super) struct Visitor<'a> {
    gateway: &'a Gateway,
    dice: Dice,
    number: usize,
    kept: Option<Client>,
}

/// What a client knows of its request.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) id: String,
    pub(super) is_idempotent: bool,
    pub(super) ending: Ending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Ending {
    /// 200, with its own body.
    Served,
    /// 503.
    Refused,
    /// 502: the backend died over it.
    Failed,
    /// The answer began and broke off.
    Cut,
    LeftMidRequest,
    LeftWaiting,
    LeftMidAnswer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Polite,
    SlowSender,
    SlowReader,
    LeavesMidRequest,
    LeavesWaiting,
    LeavesMidAnswer,
}

struct Request {
    bytes: Vec<u8>,
    /// Bytes of the answer.
    expected: usize,
}

/// The body of the answer to this request.
pub(super) fn body(id: &str, bytes: usize) -> Vec<u8> {
    let mut body = id.repeat(bytes / id.len() + 1).into_bytes();
    body.truncate(bytes);
    body
}

impl<'a> Visitor<'a> {
    pub(super) fn new(gateway: &'a Gateway, dice: Dice, number: usize) -> Self {
        Self { gateway, dice, number, kept: None }
    }

    /// One request, to its end or to this client's departure.
    pub(super) fn visit(&mut self, nth: usize) -> Told {
        let id = format!("{}-{nth}.", self.number);
        let manner = match self.dice.below(100) {
            0..2 => Manner::LeavesMidRequest,
            2..4 => Manner::LeavesWaiting,
            4 => Manner::LeavesMidAnswer,
            5 => Manner::SlowSender,
            6 => Manner::SlowReader,
            _ => Manner::Polite,
        };
        let is_idempotent = manner != Manner::LeavesMidRequest && self.dice.below(3) == 0;
        let request = self.request(&id, is_idempotent, manner);
        let ending = match manner {
            Manner::Polite | Manner::SlowSender | Manner::SlowReader => self.stay(&id, &request, manner),
            Manner::LeavesMidRequest => {
                let sent = 1 + self.dice.below(request.bytes.len() - 1);
                self.leave(&request.bytes[..sent], false);
                Ending::LeftMidRequest
            }
            Manner::LeavesWaiting => {
                self.leave(&request.bytes, false);
                Ending::LeftWaiting
            }
            Manner::LeavesMidAnswer => {
                self.leave(&request.bytes, true);
                Ending::LeftMidAnswer
            }
        };
        Told { id, is_idempotent, ending }
    }

    fn request(&mut self, id: &str, is_idempotent: bool, manner: Manner) -> Request {
        let micros = self.dice.below(2000);
        let large = matches!(manner, Manner::SlowReader | Manner::LeavesMidAnswer);
        let expected = if large { LARGE } else { 1 + self.dice.below(2000) };
        let framing = ["length", "length", "chunked", "close"][self.dice.below(4)];
        let path = format!("/{micros}/{expected}/{framing}");
        let named = format!("X-Request-Id: {id}\r\n");
        let text = match (is_idempotent, self.dice.below(2)) {
            (true, _) => head_of("GET", &path, &named),
            (false, 0) => head_of("POST", &path, &format!("{named}Content-Length: {}\r\n", id.len())) + id,
            (false, _) => {
                head_of("POST", &path, &format!("{named}Transfer-Encoding: chunked\r\n"))
                    + &format!("{:x}\r\n{id}\r\n0\r\n\r\n", id.len())
            }
        };
        Request { bytes: text.into_bytes(), expected }
    }

    /// Sends the request and reads the answer, whatever it is.
    fn stay(&mut self, id: &str, request: &Request, manner: Manner) -> Ending {
        if manner == Manner::SlowReader {
            self.kept = Some(Client::with_small_window(self.gateway));
        }
        let mut client = self.kept.take().unwrap_or_else(|| Client::of(self.gateway));
        match manner {
            Manner::SlowSender => {
                for byte in &request.bytes {
                    client.send([*byte]);
                    thread::yield_now();
                }
            }
            _ => client.send(&request.bytes),
        }
        let head = client.wire.head();
        let head = head.unwrap().unwrap_or_else(|| panic!("{id}: no answer"));
        let body_read = match manner {
            Manner::SlowReader if head.length().is_some() => read_slowly(&mut client, head.length().unwrap()),
            _ => client.wire.body(&head).map(|(body, _)| body),
        };
        let Ok(content) = body_read else {
            return Ending::Cut;
        };
        if head.fields.one("Connection").is_none() {
            self.kept = Some(client);
        }
        match head.word(1) {
            "200" => {
                assert!(content == body(id, request.expected), "{id}: another answer, or a part of it");
                Ending::Served
            }
            "503" => Ending::Refused,
            "502" => Ending::Failed,
            _ => panic!("{id}: {head:?}"),
        }
    }

    /// Sends these bytes and is gone, by FIN or by RST, before the answer or in it.
    fn leave(&mut self, bytes: &[u8], mid_answer: bool) {
        let mut client = self.kept.take().unwrap_or_else(|| Client::of(self.gateway));
        client.send(bytes);
        if mid_answer {
            // Whatever it is: it is not read to its end.
            let _ = client.wire.exactly(1);
        }
        client.leave(self.dice.below(2) == 0);
    }
}

fn read_slowly(client: &mut Client, mut bytes: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(bytes);
    while bytes > 0 {
        let part = bytes.min(4096);
        content.extend(client.wire.exactly(part)?);
        bytes -= part;
        thread::yield_now();
    }
    Ok(content)
}
