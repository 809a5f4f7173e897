//! One request at work on one backend: the connection, the Slot, and how far both sides have come.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use idleway_core::{Kept, Outcome, Permit, Time, Until};
use idleway_h1::{BodyReader, Framing, HeadReader, Limits, ResponseHead};

use super::evidence::Reached;
use super::frame::Outgoing;
use super::upload::{Announced, Upload};
use crate::edits::Edits;
use crate::net::wire::{Body, Content, ReadFault};
use crate::net::{BackendConnection, BodyFault, Client, scratch_size};

/// Interim responses a backend may send before its response.
const MOST_INTERIM: u32 = 16;
/// Room for a head, so that writing a usual one moves nothing.
pub(super) const USUAL_HEAD: usize = 1024;
/// Bytes of trailers a backend may send.
const MOST_TRAILERS: usize = 16 * 1024;

/// What is at work on a backend.
///
/// Whoever has it decides when the Slot is free: by [`Exchange::end`] when the backend has ended its response
/// or closed. Dropped in any other way, `linger` takes over (see [`super::at_work::AtWork`]).
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) connection: Box<BackendConnection>,
    pub(super) permit: Permit<Box<BackendConnection>>,
    reader: HeadReader,
    body: Option<BodyReader>,
    to_head: bool,
    interim: u32,
    /// Bytes the kernel had taken on this connection before this exchange, and what this one has handed to it.
    before: u64,
    head_length: u64,
    handed: u64,
    outgoing: Outgoing,
    upload: Sending,
    reusable: bool,
    unreadable: bool,
    /// The backend was told that the first part of its response has arrived.
    acknowledged: bool,
    keeps: Option<Duration>,
}

/// How far the request's body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// There is more to come from the client.
    Streaming,
    /// All of it has been handed to the connection.
    Whole,
    /// The backend takes no more; its response may be there already.
    Refused,
}

/// What ended a wait for the backend's response head.
#[derive(Debug)]
pub(super) enum ResponseFault {
    /// The backend closed or reset the connection.
    Closed(Option<io::Error>),
    Nonsense(String),
}

impl Exchange {
    /// Takes the connection and the Slot into use. From here on a request may be at work.
    pub(super) fn new(
        mut permit: Permit<Box<BackendConnection>>,
        connection: Box<BackendConnection>,
        to_head: bool,
        announced: Announced,
    ) -> Self {
        permit.started();
        Self {
            before: connection.wire.outbox().written(),
            connection,
            permit,
            reader: HeadReader::new(Limits { fields: idleway_h1::MAX_FIELDS, ..Limits::default() }),
            body: None,
            to_head,
            interim: 0,
            head_length: 0,
            handed: 0,
            outgoing: match announced {
                Announced::Chunked => Outgoing::Chunked { trailers: true },
                _ => Outgoing::Plain,
            },
            upload: Sending::Streaming,
            reusable: true,
            unreadable: false,
            acknowledged: false,
            keeps: None,
        }
    }

    /// Sends the head and what there is of the body, in one system call where the kernel takes it. What `edits` drop
    /// from the head they drop from trailers.
    pub(super) fn send(&mut self, write_head: impl FnOnce(&mut Vec<u8>), upload: &Upload, edits: &Edits) {
        let tail = self.connection.wire.tail();
        let before = tail.len();
        tail.reserve(USUAL_HEAD);
        write_head(tail);
        self.head_length = (tail.len() - before) as u64;
        let end = upload.complete.then_some(upload.trailers.as_ref());
        let pieces = [IoSlice::new(&upload.buffer)];
        let pieces = if upload.buffer.is_empty() { &[] } else { &pieces[..] };
        self.handed += self.head_length;
        self.upload = if upload.complete { Sending::Whole } else { Sending::Streaming };
        if self.hand_on(&Content { pieces, end }, edits).is_err() {
            self.upload = Sending::Refused;
        }
    }

    fn hand_on(&mut self, content: &Content<'_>, edits: &Edits) -> io::Result<()> {
        let Self { connection, handed, outgoing, .. } = self;
        outgoing.write(content, edits, |slices| {
            *handed += slices.iter().map(|slice| slice.len() as u64).sum::<u64>();
            connection.wire.send(slices)
        })
    }

    /// How far the request has come.
    pub(super) fn reached(&self) -> Reached {
        let written = self.connection.wire.outbox().written() - self.before;
        match written {
            _ if self.body.is_some() => Reached::ResponseBegun,
            0 => Reached::NothingWritten,
            _ if written < self.head_length => Reached::HeadIncomplete,
            _ if written < self.handed || self.upload != Sending::Whole => Reached::HeadComplete,
            _ => Reached::AllWritten,
        }
    }

    /// How far the request's body has come.
    pub(super) fn upload(&self) -> Sending {
        self.upload
    }

    /// Bytes the backend's connection has taken, for measuring its progress.
    pub(super) fn written(&self) -> u64 {
        self.connection.wire.outbox().written()
    }

    /// Whether bytes wait that the backend does not take.
    pub(super) fn is_blocked(&self) -> bool {
        !self.connection.wire.outbox().is_empty()
    }

    /// Relays the body as it comes from the client, at the pace of the slower side.
    ///
    /// Ready when there is nothing more to relay. A backend that takes no more is no fault yet: it may have
    /// answered already.
    pub(super) fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client,
        edits: &Edits,
    ) -> Poll<Result<(), BodyFault>> {
        loop {
            if self.upload == Sending::Refused {
                return Poll::Ready(Ok(()));
            }
            match self.connection.wire.poll_flush(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    self.upload = Sending::Refused;
                    continue;
                }
            }
            if self.upload == Sending::Whole {
                return Poll::Ready(Ok(()));
            }
            match ready!(client.poll_body(cx, scratch_size(), |content| self.hand_on(&content, edits))) {
                Ok(Body::Some) => {}
                Ok(Body::Done(..)) => self.upload = Sending::Whole,
                Err(BodyFault::Sink) => self.upload = Sending::Refused,
                Err(fault) => return Poll::Ready(Err(fault)),
            }
        }
    }

    /// Waits for the response's head. Interim ones are given to `interim` and do not end the wait.
    pub(super) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        mut interim: impl FnMut(&ResponseHead),
    ) -> Poll<Result<ResponseHead, ResponseFault>> {
        loop {
            let Self { connection, reader, to_head, .. } = self;
            let head = ready!(connection.wire.poll_head(cx, |bytes| reader.response(bytes, *to_head)));
            let head = head.map_err(|fault| self.fault(fault))?;
            if head.status() == 101 {
                return Poll::Ready(Err(self.nonsense("an unasked 101".to_owned())));
            }
            if head.is_interim() {
                self.interim += 1;
                if self.interim > MOST_INTERIM {
                    let why = format!("more than {MOST_INTERIM} interim responses");
                    return Poll::Ready(Err(self.nonsense(why)));
                }
                interim(&head);
                continue;
            }
            self.body = Some(BodyReader::new(head.framing(), MOST_TRAILERS));
            self.reusable &= head.keep_alive() && head.framing() != Framing::UntilClose;
            self.keeps = head.keep_alive_timeout();
            return Poll::Ready(Ok(head));
        }
    }

    fn fault(&mut self, fault: ReadFault) -> ResponseFault {
        self.reusable = false;
        match fault {
            ReadFault::Cut => ResponseFault::Closed(None),
            ReadFault::Broken(error) | ReadFault::Sink(error) => ResponseFault::Closed(Some(error)),
            ReadFault::Refused(refusal) => self.nonsense(refusal.to_string()),
        }
    }

    fn nonsense(&mut self, why: String) -> ResponseFault {
        self.reusable = false;
        self.unreadable = true;
        ResponseFault::Nonsense(why)
    }

    /// Reads from the response's body, at most `room` bytes, and hands its content to `take`.
    pub(super) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        take: impl FnMut(Content<'_>) -> io::Result<()>,
    ) -> Poll<Result<Body, ReadFault>> {
        let Some(body) = &mut self.body else {
            return Poll::Pending;
        };
        let Poll::Ready(result) = self.connection.wire.poll_body(cx, body, room, take) else {
            if !std::mem::replace(&mut self.acknowledged, true) {
                self.connection.acknowledge();
            }
            return Poll::Pending;
        };
        self.reusable &= result.is_ok();
        self.unreadable |= matches!(result, Err(ReadFault::Refused(_)));
        Poll::Ready(result)
    }

    /// Sends FIN: the backend learns that no more will come, and may stop. Nothing else is sent on it after that.
    pub(super) fn shut_down_writing(&mut self) {
        self.reusable = false;
        self.connection.shut_down_writing();
    }

    /// The response has begun: its head has been read.
    pub(super) fn is_answered(&self) -> bool {
        self.body.is_some()
    }

    /// What is known to be left of the response, in bytes.
    pub(super) fn rest(&self) -> Option<u64> {
        self.body.as_ref().and_then(BodyReader::remaining)
    }

    /// The backend has ended its response or closed: the Slot is free, and its connection is kept if both
    /// messages are complete and the backend will take another request on it.
    pub(super) fn end(self, outcome: Outcome, keep_alive: bool) {
        if self.is_lost() {
            // TCP gave the connection up. That says nothing of what the backend does.
            self.permit.report(outcome);
            return self.permit.rest(Until::Proof);
        }
        let (permit, kept) = self.into_parts(keep_alive);
        permit.finish(outcome, kept);
    }

    /// The backend said that it is busy, and that nothing ran: it rests.
    pub(super) fn withhold(self, until: Time, keep_alive: bool) {
        let (permit, kept) = self.into_parts(keep_alive);
        permit.withhold(until, kept);
    }

    fn into_parts(
        mut self,
        keep_alive: bool,
    ) -> (Permit<Box<BackendConnection>>, Option<Kept<Box<BackendConnection>>>) {
        let complete = self.body.as_ref().is_some_and(BodyReader::is_done) && self.upload == Sending::Whole;
        let silent = self.connection.wire.inbox_len() == 0 && self.connection.wire.outbox().is_empty();
        let kept = (keep_alive && self.reusable && complete && silent).then(|| {
            self.connection.park(self.keeps);
            Kept { core: self.connection.core(), connection: self.connection }
        });
        (self.permit, kept)
    }

    /// The backend has closed: the Slot without its connection.
    pub(super) fn closed(mut self) -> Permit<Box<BackendConnection>> {
        self.permit.ended();
        self.permit
    }

    /// Nobody knows whether the backend is still at work: the Slot rests.
    pub(super) fn rest_until(self, time: Time) {
        self.permit.rest(Until::Time(time));
    }

    /// Closes the connection, whatever the backend does: whether that ends its work it can no longer tell us.
    pub(super) fn close(self) -> Permit<Box<BackendConnection>> {
        self.permit
    }

    /// Nothing can have run: the Slot is free, the connection is not used again.
    pub(super) fn abandon_unread(self) {
        self.permit.finish(Outcome::Ignored, None);
    }

    /// The connection ended, and not by what the backend did.
    pub(super) fn is_lost(&self) -> bool {
        self.connection.wire.is_lost()
    }

    /// Where the backend's messages end can no longer be told.
    pub(super) fn is_unreadable(&self) -> bool {
        self.unreadable
    }
}
