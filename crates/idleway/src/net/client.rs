//! A client's HTTP/1.1 connection: its requests in order, and whether it is still there.

mod presence;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use idleway_h1::{BodyReader, Framing, HeadReader, Refusal, RequestHead, Trailers, Version};
use tokio::sync::futures::Notified;

use self::presence::Question;
use super::clock::Clock;
use super::core::CoreHandle;
use super::outbox::Outbox;
use super::transport::{Approach, Transport};
use super::wire::{Body, Content, ReadFault, Wire};
use crate::config::Fin;
use crate::error::Reject;

/// A rest of a body up to this size is read and thrown away to keep the connection.
const SMALL_REST: u64 = 64 * 1024;
/// What is read and thrown away of a larger rest before the connection is closed, and for how long: without
/// it the client's stack would answer our close with a reset and throw our answer away.
const LARGE_REST: usize = 1024 * 1024;
const PARTING: Duration = Duration::from_secs(2);

/// What a client may ask of our memory and patience; taken from the Plan anew for each request.
#[derive(Debug, Clone)]
pub(crate) struct ClientLimits {
    pub(crate) head: idleway_h1::Limits,
    /// How long a connection may stay without a request.
    pub(crate) keep_alive: Duration,
    /// How long a head may take from its first byte to its last.
    pub(crate) head_timeout: Duration,
    /// Bytes of a body.
    pub(crate) body: Option<u64>,
    /// The longest silence while a body is sent, and while an answer is taken.
    pub(crate) read: Duration,
    pub(crate) write: Duration,
    /// What a FIN means that comes before the answer.
    pub(crate) fin: Fin,
}

/// What a wait for the next request brought.
#[derive(Debug)]
pub(crate) enum Next {
    Request(Box<RequestHead>),
    /// No request comes any more: the client closed, or was silent for too long.
    Over,
    /// Not a byte of another request has come, and the gateway stops or hands over.
    Leaving,
    /// What came is no request.
    Refused(Refusal),
    /// The head began but did not end in time.
    TooSlow,
}

/// A client's connection on its way from one process to another.
#[derive(Debug)]
pub struct Passed {
    /// The connection itself.
    pub stream: std::net::TcpStream,
    /// What was read from it and not answered: whole requests or the beginning of one.
    pub read: Vec<u8>,
    /// Since when the first of these waits, where it was whole and had its turn.
    pub waiting: Option<Waiting>,
}

/// A request that has its turn, and no Slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// When its head had come.
    pub arrived: Instant,
    /// Since when it stands in line, if it does.
    pub in_line: Option<Instant>,
}

/// What another process has had of a connection before.
#[derive(Debug, Default)]
pub(crate) struct Already {
    pub(crate) read: Vec<u8>,
    pub(crate) waiting: Option<Waiting>,
}

/// The client has gone: how it showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Departed {
    /// FIN, where that counts as gone or what was asked about it says so.
    Closed,
    Reset,
}

/// Why a request body cannot be read to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BodyFault {
    Departed(Departed),
    /// No byte for the time of `client.read`.
    Silent,
    TooLarge {
        /// Bytes that it may have.
        limit: u64,
    },
    Refused(Refusal),
    /// The side that was to take it failed.
    Sink,
}

/// A client's connection and the request that is at its turn.
#[derive(Debug)]
pub(crate) struct Client {
    wire: Wire<Approach>,
    clock: Clock,
    peer: SocketAddr,
    /// The peer's address as text: every request needs it.
    address: Arc<str>,
    core: Arc<CoreHandle>,
    body: BodyReader,
    body_received: u64,
    body_limit: u64,
    owes_continue: bool,
    /// Bytes that the client had acknowledged when it was last asked.
    acknowledged: u64,
    fin: Fin,
    /// It speaks an HTTP that has interim responses.
    knows_interim: bool,
    /// The answer's head has begun: no interim response may follow.
    answering: bool,
    /// Its FIN has come, and is not taken for a departure.
    question: Option<Box<Question>>,
    /// Of the request that was put back.
    waiting: Option<Waiting>,
}

impl Client {
    pub(crate) fn new(
        stream: impl Into<Approach>,
        peer: SocketAddr,
        core: Arc<CoreHandle>,
        first: Duration,
    ) -> Self {
        Self {
            wire: Wire::new(stream.into()),
            clock: Clock::new(first),
            address: peer.ip().to_canonical().to_string().into(),
            peer,
            core,
            body: BodyReader::new(Framing::Empty, 0),
            body_received: 0,
            body_limit: u64::MAX,
            owes_continue: false,
            acknowledged: 0,
            fin: Fin::default(),
            knows_interim: false,
            answering: false,
            question: None,
            waiting: None,
        }
    }

    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The peer's address as text, without its port.
    pub(crate) fn address(&self) -> &Arc<str> {
        &self.address
    }

    pub(crate) fn core(&self) -> &Arc<CoreHandle> {
        &self.core
    }

    /// The one clock of the connection, for whoever has the connection's turn.
    pub(crate) fn clock(&mut self) -> &mut Clock {
        &mut self.clock
    }

    /// Waits for the next request. `leave` resolves when the gateway stops: then an idle connection ends.
    pub(crate) async fn next_request(
        &mut self,
        limits: &ClientLimits,
        mut leave: Pin<&mut Notified<'_>>,
    ) -> Next {
        let mut reader = HeadReader::new(limits.head);
        self.wire.rest();
        let mut begun = self.wire.inbox_len() > 0;
        self.clock.set_after(if begun { limits.head_timeout } else { limits.keep_alive });
        let mut has_looked = false;
        poll_fn(|cx| {
            loop {
                match self.wire.poll_head(cx, |bytes| reader.request(bytes)) {
                    Poll::Ready(Ok(head)) => return Poll::Ready(self.begin(head, limits)),
                    Poll::Ready(Err(ReadFault::Refused(refusal))) => {
                        return Poll::Ready(Next::Refused(refusal));
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Next::Over),
                    Poll::Pending => {}
                }
                if !begun && self.wire.inbox_len() > 0 {
                    begun = true;
                    self.clock.set_after(limits.head_timeout);
                }
                if begun || !(leave.as_mut().poll(cx).is_ready() || self.core.wants_no_idle()) {
                    ready!(self.clock.poll_over(cx));
                    return Poll::Ready(if begun { Next::TooSlow } else { Next::Over });
                }
                // What has come already is served: of a new connection the event loop may not have told yet.
                if std::mem::replace(&mut has_looked, true) {
                    return Poll::Ready(Next::Leaving);
                }
                self.wire.look_itself();
            }
        })
        .await
    }

    fn begin(&mut self, head: RequestHead, limits: &ClientLimits) -> Next {
        self.body = BodyReader::new(head.framing(), limits.head.head);
        self.body_received = 0;
        self.body_limit = limits.body.unwrap_or(u64::MAX);
        self.owes_continue = head.expects_continue();
        self.fin = limits.fin;
        self.knows_interim = head.version() != Version::Http10;
        self.answering = false;
        self.question = None;
        Next::Request(Box::new(head))
    }

    /// The request at its turn is to be read again, as if it had not been: its head, and so much of its body.
    pub(crate) fn put_back(&mut self, request: Vec<u8>, waiting: Option<Waiting>) {
        self.wire.put_back(request);
        self.waiting = waiting;
    }

    /// Since when the request at its turn waits, where it was put back.
    pub(crate) fn take_waiting(&mut self) -> Option<Waiting> {
        self.waiting.take()
    }

    /// The connection, for another process, with what was read of it and not answered; none where it has failed, or is
    /// no socket.
    pub(crate) async fn hand_over(mut self, silence: Duration) -> Option<Passed> {
        self.flush(silence).await.ok()?;
        let waiting = self.waiting;
        match self.wire.into_parts() {
            (Approach::Tcp(stream), read) => Some(Passed { stream: stream.into_std().ok()?, read, waiting }),
            (Approach::Pipe(..), _) => None,
        }
    }

    /// The body of the request at its turn may have so many bytes.
    pub(crate) fn limit_body(&mut self, limit: Option<u64>) {
        self.body_limit = limit.unwrap_or(u64::MAX);
    }

    /// Whether the whole body has been read.
    pub(crate) fn body_is_read(&self) -> bool {
        self.body.is_done()
    }

    /// Bytes of the body that have been read.
    pub(crate) fn body_received(&self) -> u64 {
        self.body_received
    }

    /// The client waits for a word before it sends its body (RFC 9110 section 10.1.1).
    pub(crate) fn awaits_continue(&self) -> bool {
        self.owes_continue
    }

    /// Says the word, if it is owed and the client has not gone on without it.
    pub(crate) fn send_continue(&mut self) {
        let waits = self.body_received == 0 && self.wire.inbox_len() == 0;
        if std::mem::take(&mut self.owes_continue) && waits {
            // A client that is gone shows at the next read.
            let _ = self.wire.send(&[IoSlice::new(b"HTTP/1.1 100 Continue\r\n\r\n")]);
        }
    }

    /// Reads content of the body once, at most `room` bytes, and hands it to `take`.
    pub(crate) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
        mut take: impl FnMut(Content<'_>) -> io::Result<()>,
    ) -> Poll<Result<Body, BodyFault>> {
        let Self { wire, body, body_received, .. } = self;
        let result = ready!(wire.poll_body(cx, body, room, |content| {
            // Counted also where `take` fails: what has been read once cannot be read again.
            *body_received += content.length() as u64;
            take(content)
        }));
        let body = result.map_err(|fault| match fault {
            ReadFault::Cut => BodyFault::Departed(Departed::Closed),
            ReadFault::Broken(_) => BodyFault::Departed(Departed::Reset),
            ReadFault::Refused(refusal) => BodyFault::Refused(refusal),
            ReadFault::Sink(_) => BodyFault::Sink,
        })?;
        if self.body_received > self.body_limit {
            return Poll::Ready(Err(BodyFault::TooLarge { limit: self.body_limit }));
        }
        Poll::Ready(Ok(body))
    }

    /// Reads the body into `buffer` until it is complete or `bound` bytes are there; its trailers, if it is
    /// complete and has some. [`BodyFault::Silent`] also where `deadline` comes first.
    pub(crate) async fn buffer_body(
        &mut self,
        buffer: &mut Vec<u8>,
        bound: usize,
        silence: Duration,
        deadline: Option<Instant>,
    ) -> Result<Option<Trailers>, BodyFault> {
        let until = || {
            let silent = Instant::now() + silence;
            deadline.map_or(silent, |deadline| deadline.min(silent))
        };
        self.clock.set(until());
        poll_fn(|cx| {
            while buffer.len() < bound {
                let room = bound - buffer.len();
                let result = self.poll_body(cx, room, |content| {
                    content.pieces.iter().for_each(|piece| buffer.extend_from_slice(piece));
                    Ok(())
                });
                match result {
                    Poll::Ready(Ok(Body::Some)) => self.clock.set(until()),
                    Poll::Ready(Ok(Body::Done(trailers))) => return Poll::Ready(Ok(trailers)),
                    Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                    Poll::Pending => {
                        ready!(self.clock.poll_over(cx));
                        return Poll::Ready(Err(BodyFault::Silent));
                    }
                }
            }
            Poll::Ready(Ok(None))
        })
        .await
    }

    /// Where the answer's head is written, to leave with the next [`Client::send`].
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        self.answering = true;
        self.wire.tail()
    }

    /// Where the head of an interim response is written, to leave with the next [`Client::send`].
    pub(crate) fn interim(&mut self) -> &mut Vec<u8> {
        self.wire.tail()
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        self.wire.outbox()
    }

    /// Writes what waits and then `parts`.
    ///
    /// # Errors
    /// The client has gone.
    pub(crate) fn send(&mut self, parts: &[IoSlice<'_>]) -> Result<(), Departed> {
        self.wire.send(parts).map_err(|_| Departed::Reset)
    }

    /// Has `parts` written with the next [`Client::send`] or flush, not before.
    pub(crate) fn hold(&mut self, parts: &[IoSlice<'_>]) {
        let tail = self.wire.tail();
        parts.iter().for_each(|part| tail.extend_from_slice(part));
    }

    /// The gateway itself answers: who comes from within this program finds the reason beside the answer.
    pub(crate) fn tell(&self, reject: &Reject) {
        self.wire.stream().tell(reject);
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Departed>> {
        self.wire.poll_flush(cx).map_err(|_| Departed::Reset)
    }

    /// Bytes that the client has acknowledged since this was last asked; 0 where the system does not tell.
    pub(crate) fn newly_acknowledged(&mut self) -> u64 {
        let Some(held) = self.wire.stream().unacknowledged() else { return 0 };
        let acknowledged = self.outbox().written().saturating_sub(held);
        acknowledged.saturating_sub(std::mem::replace(&mut self.acknowledged, acknowledged))
    }

    /// Waits until the client has taken all that was sent to it, or takes nothing for `silence`.
    pub(crate) async fn flush(&mut self, silence: Duration) -> Result<(), Departed> {
        self.send(&[])?;
        if self.outbox().is_empty() {
            return Ok(());
        }
        self.clock.set_after(silence);
        let mut seen = self.outbox().written();
        poll_fn(|cx| {
            if let Poll::Ready(result) = self.poll_flush(cx) {
                return Poll::Ready(result);
            }
            if self.outbox().written() > seen {
                seen = self.outbox().written();
                self.clock.set_after(silence);
            }
            ready!(self.clock.poll_over(cx));
            if self.newly_acknowledged() == 0 {
                return Poll::Ready(Err(Departed::Closed));
            }
            // The kernel took nothing, for it holds much; the client does.
            self.clock.set_after(silence);
            self.clock.poll_over(cx).map(|()| Err(Departed::Closed))
        })
        .await
    }

    /// Whether what is unread of the body is so little that it is read and thrown away to keep the
    /// connection. Not where the client waits for a word: it may send the body or not.
    pub(crate) fn can_discard_body(&self) -> bool {
        let small = self.body.remaining().is_some_and(|rest| rest <= SMALL_REST);
        self.body.is_done() || (small && !self.owes_continue)
    }

    /// Throws the small rest of the body away.
    pub(crate) async fn discard_body(&mut self, silence: Duration) -> Result<(), BodyFault> {
        self.clock.set_after(silence);
        poll_fn(|cx| {
            while !self.body.is_done() {
                match self.poll_body(cx, usize::MAX, |_| Ok(())) {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                    Poll::Pending => {
                        ready!(self.clock.poll_over(cx));
                        return Poll::Ready(Err(BodyFault::Silent));
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Ends the connection so that the client gets all that was written: FIN, and what it still sends is read
    /// for a while, since a reset would overtake the answer.
    pub(crate) async fn close(mut self, silence: Duration) {
        if self.flush(silence).await.is_err() {
            return;
        }
        if self.wire.stream().shut_down_writing().is_err() {
            return;
        }
        if self.body.is_done() && self.wire.inbox_len() == 0 {
            return;
        }
        let until = Instant::now() + PARTING;
        self.clock.set(until);
        let mut discarded = 0;
        poll_fn(|cx| {
            while discarded < LARGE_REST {
                match self.wire.poll_discard(cx) {
                    Poll::Ready(Ok(bytes)) if bytes > 0 => discarded += bytes,
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return self.clock.poll_over(cx),
                }
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Ends the connection by a reset: the only way to show a client that reads until the close that its
    /// answer is cut.
    pub(crate) fn reset(self) {
        self.wire.stream().reset_at_close();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::net::Cores;

    /// Otherwise the request could be repeated without them.
    #[tokio::test]
    async fn what_was_read_for_a_taker_that_failed_counts_as_read() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut sender = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        sender.write_all(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody").unwrap();
        sender.write_all(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let cores = Cores::start(1).unwrap();
        let long = Duration::from_secs(60);
        let mut client = Client::new(stream, peer, Arc::clone(cores.first()), long);
        let limits = ClientLimits {
            head: idleway_h1::Limits::default(),
            keep_alive: long,
            head_timeout: long,
            body: None,
            read: long,
            write: long,
            fin: Fin::Ask,
        };
        let leave = tokio::sync::Notify::new();
        let next = client.next_request(&limits, std::pin::pin!(leave.notified())).await;
        assert!(matches!(next, Next::Request(_)), "{next:?}");
        let fails = |_: Content<'_>| Err(io::ErrorKind::BrokenPipe.into());
        let fault = poll_fn(|cx| client.poll_body(cx, usize::MAX, fails)).await;
        assert!(matches!(fault, Err(BodyFault::Sink)), "{fault:?}");
        assert_eq!(client.body_received(), 4);
        // And what stands behind them is the next request.
        let next = client.next_request(&limits, std::pin::pin!(leave.notified())).await;
        assert!(matches!(&next, Next::Request(head) if head.path() == "/next"), "{next:?}");
        cores.stop();
    }
}
