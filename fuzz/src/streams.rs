//! All that comes on one connection: requests in a pipeline; interim responses, the final one, the next.

use idleway_h1::{BodyReader, Event, HeadReader, Refusal};

use crate::message::{End, Kind, Message, Outcome, Start};
use crate::ours::{LIMITS, TRAILER_LIMIT};
use crate::{cuts, ours, reference};

pub(crate) fn check(data: &[u8]) {
    for kind in [Kind::Request, Kind::Response, Kind::ResponseToHead] {
        let whole = read(kind, data, &[]);
        for cuts in [cuts::few(data), cuts::all(data)] {
            assert_eq!(read(kind, data, &cuts), whole, "cut at {cuts:?}");
        }
        check_each(kind, data, &whole);
    }
}

/// What came on a connection.
#[derive(PartialEq, Debug)]
struct Stream {
    messages: Vec<Message>,
    refusal: Option<Refusal>,
}

/// Reads until the bytes or the connection end.
fn read(kind: Kind, data: &[u8], cuts: &[usize]) -> Stream {
    let mut connection = Connection {
        kind,
        heads: HeadReader::new(LIMITS),
        body: None,
        unread: Vec::new(),
        stream: Stream { messages: Vec::new(), refusal: None },
    };
    let mut start = 0;
    for &end in cuts.iter().chain([&data.len()]) {
        connection.unread.extend_from_slice(&data[start..end]);
        start = end;
        if connection.stream.refusal.is_none() {
            connection.stream.refusal = connection.read_on().err();
        }
    }
    let (read, left) =
        (connection.stream.messages.iter().map(|message| message.length), connection.unread.len());
    if connection.stream.refusal.is_none() {
        assert_eq!(read.sum::<usize>() + left, data.len(), "bytes are lost");
    }
    connection.ended()
}

struct Connection {
    kind: Kind,
    heads: HeadReader,
    /// Of the last message, until it has ended.
    body: Option<BodyReader>,
    unread: Vec<u8>,
    stream: Stream,
}

impl Connection {
    fn read_on(&mut self) -> Result<(), Refusal> {
        loop {
            if self.body.is_none() && !self.read_head()? {
                return Ok(());
            }
            let (Some(body), Some(message)) = (&mut self.body, self.stream.messages.last_mut()) else {
                return Ok(());
            };
            let step = body.next(&self.unread)?;
            message.length += step.consumed;
            let mut more = false;
            match step.event {
                Event::NeedMore => more = true,
                Event::Data(range) => message.body.extend_from_slice(&self.unread[range]),
                Event::Done(trailers) => {
                    let fields = trailers.iter().flat_map(|trailers| trailers.fields());
                    message.trailers =
                        fields.map(|field| (field.name.to_owned(), field.value.to_owned())).collect();
                    message.end = End::Complete;
                    self.body = None;
                }
            }
            self.unread.drain(..step.consumed);
            if more {
                return Ok(());
            }
        }
    }

    /// False where the next head has not come wholly.
    fn read_head(&mut self) -> Result<bool, Refusal> {
        let read = match self.kind {
            Kind::Request => {
                self.heads.request(&self.unread)?.map(|(head, used)| (ours::request(&head), used))
            }
            kind => self
                .heads
                .response(&self.unread, kind == Kind::ResponseToHead)?
                .map(|(head, used)| (ours::response(&head), used)),
        };
        let Some((mut message, used)) = read else { return Ok(false) };
        self.unread.drain(..used);
        self.body = Some(BodyReader::new(message.framing, TRAILER_LIMIT));
        message.length = used;
        message.end = End::Truncated;
        self.stream.messages.push(message);
        Ok(true)
    }

    fn ended(mut self) -> Stream {
        if let (Some(mut body), Some(message)) = (self.body, self.stream.messages.last_mut()) {
            if self.stream.refusal.is_some() {
                // How much of its framing was read before the fault depends on when it came.
                message.length = 0;
            } else if body.end_of_input().is_ok() {
                message.end = End::Complete;
            }
        }
        self.stream
    }
}

/// Each message is the one that a reader of its bytes alone sees, be it ours or the naive one; the next begins where
/// it ends.
fn check_each(kind: Kind, data: &[u8], stream: &Stream) {
    let mut rest = data;
    for (index, message) in stream.messages.iter().enumerate() {
        let is_last = index + 1 == stream.messages.len();
        if is_last && let Some(refusal) = &stream.refusal {
            // Either the body of this one was refused, or the next head.
            if let Outcome::Refused(faults) = reference::read(kind, rest) {
                assert!(faults.contains(&refusal.reason), "{refusal:?} is none of {faults:?}");
                return;
            }
        }
        let naive = reference::read(kind, rest);
        assert!(naive == Outcome::Read(Box::new(message.clone())), "{message:?}, but {}", shown(&naive));
        assert_eq!(ours::read(kind, rest, &[]), Outcome::Read(Box::new(message.clone())));
        if let Start::Response { status, .. } = message.start {
            assert!(status >= 200 || message.body.is_empty(), "an interim response with a body");
        }
        rest = &rest[message.length..];
    }
    match (&stream.refusal, reference::read(kind, rest)) {
        (Some(refusal), Outcome::Refused(faults)) => assert!(faults.contains(&refusal.reason), "{refusal:?}"),
        (None, Outcome::NoHead) => {}
        // Nothing follows what ends with its connection.
        (None, _) if rest.is_empty() => {}
        (refusal, other) => unreachable!("{refusal:?}, but the naive reader: {}", shown(&other)),
    }
}

fn shown(outcome: &Outcome<std::collections::HashSet<idleway_h1::RefusalReason>>) -> String {
    match outcome {
        Outcome::NoHead => "no head".to_owned(),
        Outcome::Refused(faults) => format!("{faults:?}"),
        Outcome::Read(message) => format!("{message:?}"),
    }
}
