//! This crate's readers, used as a connection uses them: fed what arrives, keeping only what they did not consume.

use idleway_h1::{
    BodyReader, Event, Field, FieldIter, HeadReader, Limits, Refusal, RequestHead, ResponseHead,
};

use crate::message::{End, Kind, Message, Outcome, Start};

/// Bytes of trailers that are accepted.
pub(crate) const TRAILER_LIMIT: usize = 100;

/// Small enough for the tests to go beyond them.
pub(crate) const LIMITS: Limits = Limits { head: 1000, target: 100, fields: 12 };

/// Reads `bytes` as they arrive when they are cut at `cuts`, and then the end of input.
pub(crate) fn read(kind: Kind, bytes: &[u8], cuts: &[usize]) -> Outcome {
    let mut connection = Connection::new(kind);
    let ends = cuts.iter().copied().chain([bytes.len()]);
    let mut start = 0;
    for end in ends {
        if let Err(refusal) = connection.arrive(&bytes[start..end]) {
            return Outcome::Refused(refusal);
        }
        start = end;
    }
    connection.end()
}

struct Connection {
    kind: Kind,
    reader: HeadReader,
    unread: Vec<u8>,
    message: Option<(Message, BodyReader)>,
}

impl Connection {
    fn new(kind: Kind) -> Self {
        Self { kind, reader: HeadReader::new(LIMITS), unread: Vec::new(), message: None }
    }

    fn arrive(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        self.unread.extend_from_slice(piece);
        if self.message.is_none() {
            self.read_head()?;
        }
        while let Some((message, body)) = &mut self.message {
            let step = body.next(&self.unread)?;
            assert!(step.consumed <= self.unread.len(), "a reader consumed what was not there");
            message.length += step.consumed;
            match step.event {
                Event::NeedMore => {
                    assert_eq!(step.consumed, self.unread.len(), "more is needed only when nothing is left");
                    self.unread.clear();
                    break;
                }
                Event::Data(range) => {
                    assert!(!range.is_empty() && range.end == step.consumed, "odd data {range:?}");
                    message.body.extend_from_slice(&self.unread[range]);
                }
                Event::Done(trailers) => {
                    assert!(body.is_done() && body.remaining() == Some(0));
                    if let Some(trailers) = trailers {
                        message.trailers = owned(trailers.fields());
                    }
                    self.unread.drain(..step.consumed);
                    break;
                }
            }
            self.unread.drain(..step.consumed);
        }
        Ok(())
    }

    fn read_head(&mut self) -> Result<(), Refusal> {
        let read = match self.kind {
            Kind::Request => self.reader.request(&self.unread)?.map(|(head, used)| (request(&head), used)),
            Kind::Response => {
                self.reader.response(&self.unread, false)?.map(|(head, used)| (response(&head), used))
            }
            Kind::ResponseToHead => {
                self.reader.response(&self.unread, true)?.map(|(head, used)| (response(&head), used))
            }
        };
        if let Some((mut message, used)) = read {
            message.length = used;
            self.unread.drain(..used);
            let body = BodyReader::new(message.framing, TRAILER_LIMIT);
            self.message = Some((message, body));
        }
        Ok(())
    }

    fn end(self) -> Outcome {
        let Some((mut message, mut body)) = self.message else {
            return Outcome::NoHead;
        };
        message.end = if body.end_of_input().is_ok() { End::Complete } else { End::Truncated };
        assert_eq!(body.is_done(), message.end == End::Complete);
        Outcome::Read(Box::new(message))
    }
}

pub(crate) fn request(head: &RequestHead) -> Message {
    Message {
        start: Start::Request {
            method: head.method().to_owned(),
            target: head.target().to_owned(),
            path: head.path().to_owned(),
            authority: head.authority().to_owned(),
            expects_continue: head.expects_continue(),
        },
        version: head.version(),
        framing: head.framing(),
        keep_alive: head.keep_alive(),
        fields: owned(head.fields()),
        body: Vec::new(),
        trailers: Vec::new(),
        end: End::Complete,
        length: 0,
    }
}

pub(crate) fn response(head: &ResponseHead) -> Message {
    Message {
        start: Start::Response { status: head.status(), reason: head.reason().to_owned() },
        version: head.version(),
        framing: head.framing(),
        keep_alive: head.keep_alive(),
        fields: owned(head.fields()),
        body: Vec::new(),
        trailers: Vec::new(),
        end: End::Complete,
        length: 0,
    }
}

fn owned(fields: FieldIter<'_>) -> Vec<(String, Vec<u8>)> {
    fields.map(|Field { name, value, .. }| (name.to_owned(), value.to_owned())).collect()
}
