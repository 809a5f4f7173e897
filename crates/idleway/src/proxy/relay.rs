//! Both bodies of an exchange on their way, each at the pace of the slower side.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use idleway_h1::{HeadWriter, ResponseHead, Version, reason_phrase};

use super::Way;
use super::exchange::{Exchange, ResponseFault, Sending};
use super::frame::Outgoing;
use super::headers;
use super::pace::{Over, Pace, Waiting};
use crate::edits::Edits;
use crate::message::Request;
use crate::net::wire::{Body, ReadFault};
use crate::net::{BodyFault, Budget, Client, Departed, Share, scratch_size};

/// One exchange between a client and a backend, once the request's head is on its way.
pub(super) struct Relay<'a, 'p> {
    client: &'a mut Client,
    work: &'a mut Exchange,
    pace: &'a mut Pace<'p>,
    request: &'a Request,
    way: &'a Way<'a>,
    sent: u64,
}

/// What broke an exchange.
#[derive(Debug)]
pub(super) enum Broken {
    Departed(Departed),
    /// The client's body cannot be read to its end.
    Upload(BodyFault),
    Response(ResponseFault),
    Over(Over),
}

impl<'a, 'p> Relay<'a, 'p> {
    pub(super) fn new(
        client: &'a mut Client,
        work: &'a mut Exchange,
        pace: &'a mut Pace<'p>,
        request: &'a Request,
        way: &'a Way<'a>,
    ) -> Self {
        Self { client, work, pace, request, way, sent: 0 }
    }

    /// Bytes of content handed to the client.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Relays the request's body and waits for the response's head.
    pub(super) async fn response(&mut self) -> Result<ResponseHead, Broken> {
        poll_fn(|cx| self.poll_response(cx)).await
    }

    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Broken>> {
        let waiting = self.poll_upload(cx)?;
        let Self { client, work, request, way, .. } = self;
        let response =
            work.poll_response(cx, |interim| forward_interim(client, request, interim, way.response));
        if let Poll::Ready(response) = response {
            return Poll::Ready(response.map_err(Broken::Response));
        }
        self.poll_departed(cx)?;
        let over = ready!(self.pace.poll_over(cx, self.client.clock(), waiting));
        Poll::Ready(Err(Broken::Over(over)))
    }

    /// Relays what there is of the request's body; tells whom the exchange waits for as far as that goes.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<Waiting, Broken> {
        let (taken, received) = (self.work.written(), self.client.body_received());
        let relayed = self.work.poll_upload(cx, self.client, &self.way.rewrite.fields);
        if self.client.body_received() > received {
            self.pace.client_moved(self.client.body_received() - received);
        }
        if self.work.written() > taken {
            self.pace.moved();
        }
        match relayed {
            Poll::Ready(Err(BodyFault::Departed(departed))) => Err(Broken::Departed(departed)),
            Poll::Ready(Err(fault)) => Err(Broken::Upload(fault)),
            Poll::Pending if !self.work.is_blocked() => Ok(Waiting::ClientSends),
            _ => Ok(Waiting::Backend),
        }
    }

    /// Watches the client, except while the body itself is waited for: then reading it tells.
    fn poll_departed(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        let reads_body = self.work.upload() == Sending::Streaming && !self.work.is_blocked();
        if !reads_body && let Poll::Ready(departed) = self.client.poll_departed(cx) {
            return Err(Broken::Departed(departed));
        }
        Ok(())
    }

    /// Relays the response's body. Ready when its last byte has been read: what remains for the client, at most
    /// `bound` bytes, is in its outbox, with the end unwritten. `share` is what that takes of the memory for
    /// bodies.
    pub(super) async fn body(
        &mut self,
        outgoing: Outgoing,
        bound: usize,
        budget: &Arc<Budget>,
        share: &mut Option<Share>,
    ) -> Result<(), Broken> {
        poll_fn(|cx| self.poll_body(cx, outgoing, bound, budget, share)).await
    }

    fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: Outgoing,
        bound: usize,
        budget: &Arc<Budget>,
        share: &mut Option<Share>,
    ) -> Poll<Result<(), Broken>> {
        // The response may begin before the request's body ends: then the backend may wait for more of that.
        let unsent = self.work.upload() == Sending::Streaming || self.work.is_blocked();
        let unless_full = if unsent { self.poll_upload(cx)? } else { Waiting::Backend };
        let mut waiting = unless_full;
        loop {
            let taken = self.client.outbox().written();
            let room = room(self.client.outbox().len(), bound, budget, share);
            if room == 0 {
                waiting = Waiting::ClientTakes;
            } else {
                let Self { client, work, sent, pace, way, .. } = self;
                let read = work.poll_body(cx, room, |content| {
                    *sent += content.length() as u64;
                    let last = content.end.is_some();
                    outgoing.write(&content, way.response, |slices| {
                        // The last of it is written once the Slot has been given back: whoever has the whole
                        // answer must not find its Slot still busy.
                        if last {
                            client.hold(slices);
                            return Ok(());
                        }
                        client.send(slices).map_err(|_| io::ErrorKind::BrokenPipe.into())
                    })
                });
                match read {
                    Poll::Ready(Ok(Body::Done(..))) => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(Body::Some)) => {
                        pace.moved();
                        pace.client_moved(client.outbox().written() - taken);
                        continue;
                    }
                    Poll::Ready(Err(fault)) => return Poll::Ready(Err(broken(fault))),
                    Poll::Pending => {}
                }
            }
            let flushed = self.client.poll_flush(cx);
            if let Poll::Ready(Err(departed)) = flushed {
                return Poll::Ready(Err(Broken::Departed(departed)));
            }
            let taken = self.client.outbox().written() - taken;
            if taken > 0 {
                self.pace.client_moved(taken);
                if room == 0 {
                    waiting = unless_full;
                    continue;
                }
            }
            break;
        }
        self.poll_departed(cx)?;
        loop {
            let over = ready!(self.pace.poll_over(cx, self.client.clock(), waiting));
            // The kernel holds megabytes for a slow client: that it takes no more for a while says nothing.
            if over == Over::ClientTakes && self.pace.is_kept(self.client.newly_acknowledged()) {
                self.pace.moved();
                continue;
            }
            return Poll::Ready(Err(Broken::Over(over)));
        }
    }
}

/// How much may be read for a client that has `held` bytes still to take. Beyond one read's worth it needs a
/// share of the memory for bodies; without one the backend goes at the client's pace.
fn room(held: usize, bound: usize, budget: &Arc<Budget>, share: &mut Option<Share>) -> usize {
    let unshared = bound.min(scratch_size());
    if share.is_none() && held >= unshared && bound > unshared {
        *share = budget.share(bound - unshared);
    }
    let bound = if share.is_some() { bound } else { unshared };
    bound.saturating_sub(held)
}

fn broken(fault: ReadFault) -> Broken {
    match fault {
        ReadFault::Cut => Broken::Response(ResponseFault::Closed(None)),
        ReadFault::Broken(error) => Broken::Response(ResponseFault::Closed(Some(error))),
        ReadFault::Refused(refusal) => Broken::Response(ResponseFault::Nonsense(refusal.to_string())),
        ReadFault::Sink(_) => Broken::Departed(Departed::Reset),
    }
}

/// 103 is for clients that know interim responses (RFC 8297 section 3); 100 and 102 are ours to send.
fn forward_interim(client: &mut Client, request: &Request, interim: &ResponseHead, edits: &Edits) {
    if interim.status() != 103 || request.head.version() == Version::Http10 {
        return;
    }
    let mut writer = HeadWriter::response(client.interim(), 103, reason_phrase(103));
    headers::copy_end_to_end(&mut writer, interim, edits);
    writer.end();
    // A client that is gone shows where it is watched.
    let _ = client.send(&[]);
}
