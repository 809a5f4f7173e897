//! Whether a client is still there.
//!
//! RST says that it is not, in every phase. FIN alone says nothing: close and half-close look alike until something is
//! written. So a client that has sent FIN is asked, by an interim response that means no more than "wait on": a closed
//! socket answers it with RST, a half-closed one takes it. Once the answer's head has gone out nothing can be asked any
//! more; then the answer itself is the question, and where there is nothing to write TCP's keep-alive: a closed socket
//! is forgotten by its system after a while (Linux: a minute), which then answers that with RST, too.

use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::super::transport::{Approach, Transport};
use super::super::wire::{ReadFault, Wire};
use super::{Client, Departed};
use crate::config::Fin;

/// Bytes of the next requests that may be read while one is at work.
const AHEAD: usize = 16 * 1024;

/// RFC 2518 section 10.1: the request was taken and is not done yet.
const QUESTION: &[u8] = b"HTTP/1.1 102 Processing\r\n\r\n";
/// How long after the question is looked for the reset, at first; twice as long each time after that.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LONGEST_LOOK: Duration = Duration::from_secs(1);
/// A client that half-closed and closes later sends nothing by itself: it is asked again.
const AGAIN: Duration = Duration::from_secs(15);
/// How long a Slot may stand by for what a client answers; where the system does not tell what has been
/// acknowledged, that long in any case.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
const UNTOLD: Duration = Duration::from_millis(100);

impl Client {
    /// Runs `work` as long as the client is there.
    pub(crate) async fn stays_for<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Departed> {
        let mut work = std::pin::pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            self.poll_departed(cx).map(Err)
        })
        .await
    }

    /// It has sent FIN, and was asked what it means by that.
    pub(crate) fn was_asked(&self) -> bool {
        self.question.is_some()
    }

    /// Makes sure, with a Slot in hand, that the client has not left while it stood in line: where it has sent FIN it is
    /// asked now or was asked a moment ago, and what it answers is waited for, a second at most.
    pub(crate) async fn confirm(&mut self) -> Result<(), Departed> {
        if let Some(question) = &mut self.question {
            question.refresh();
        }
        self.wire.look_again();
        poll_fn(|cx| {
            if let Poll::Ready(departed) = self.poll_departed(cx) {
                return Poll::Ready(Err(departed));
            }
            let Some(question) = &self.question else {
                return Poll::Ready(Ok(()));
            };
            // In this order: a reset throws away what is unacknowledged, too.
            let answered = question.is_answered(&self.wire);
            if self.wire.has_failed() {
                return Poll::Ready(Err(question.departed()));
            }
            if answered { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    /// Ready when the client has gone. What it sends beyond the request is read ahead within a bound; more of
    /// the body stays where it is.
    pub(crate) fn poll_departed(&mut self, cx: &mut Context<'_>) -> Poll<Departed> {
        if self.question.is_none() {
            let departed = ready!(self.poll_end(cx));
            if departed == Departed::Reset || self.is_gone_by_fin() {
                return Poll::Ready(departed);
            }
            self.wire.stream().keep_alive(AGAIN);
        }
        let asks = self.fin == Fin::Ask && !self.answering;
        self.question.get_or_insert_default().poll_departed(cx, &mut self.wire, asks)
    }

    /// Ready at the end of what the client sends.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Departed> {
        let end = if self.body_stands_before() {
            self.wire.poll_end_behind(cx)
        } else {
            self.wire.poll_gone(cx, AHEAD)
        };
        end.map(|fault| match fault {
            ReadFault::Cut => Departed::Closed,
            _ => Departed::Reset,
        })
    }

    /// A part of the body has been read, and the rest is not to be read now.
    fn body_stands_before(&self) -> bool {
        !self.body_is_read() && self.body_received > 0
    }

    /// What a FIN means that has come.
    fn is_gone_by_fin(&self) -> bool {
        let departed = match self.fin {
            Fin::Gone => true,
            Fin::Ask => !self.answering && !self.knows_interim,
            Fin::Answer => false,
        };
        departed || self.can_never_be_whole()
    }

    /// All that will ever come has been read, and it is less than the request's body.
    fn can_never_be_whole(&self) -> bool {
        let held = self.wire.inbox_len();
        if self.body_is_read() || self.body_stands_before() || held >= AHEAD {
            return false;
        }
        self.body.remaining().map_or(held == 0, |rest| rest > held as u64)
    }
}

/// A client has sent FIN: what is done to learn whether it is there.
///
/// The event loop tells nothing new about a connection whose FIN it has told, so the kernel is asked from time to time.
#[derive(Debug, Default)]
pub(super) struct Question {
    /// Until the next look; none before the first.
    sleep: Option<Pin<Box<Sleep>>>,
    pause: Duration,
    put: Option<Instant>,
}

impl Question {
    fn poll_departed(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut Wire<Approach>,
        asks: bool,
    ) -> Poll<Departed> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
            }
            if asks && self.is_due() {
                self.put(wire);
            }
            // On one machine the reset is there as soon as the question has been written.
            if wire.has_failed() {
                return Poll::Ready(self.departed());
            }
            self.pause = (self.pause * 2).clamp(FIRST_LOOK, LONGEST_LOOK);
            self.sleep = Some(Box::pin(tokio::time::sleep(self.pause)));
        }
    }

    /// Asks again without delay, unless it has been asked just now.
    fn refresh(&mut self) {
        if self.put.is_some_and(|put| put.elapsed() >= ANSWERED_WITHIN) {
            *self = Self::default();
        }
    }

    fn is_due(&self) -> bool {
        self.put.is_none_or(|put| put.elapsed() >= AGAIN)
    }

    fn put(&mut self, wire: &mut Wire<Approach>) {
        self.put = Some(Instant::now());
        self.pause = Duration::ZERO;
        // What waits there already asks as well as this would; and a client that takes nothing is not to fill it.
        if wire.outbox().is_empty() {
            // Where it fails the connection has failed, which is looked at next.
            let _ = wire.send(&[IoSlice::new(QUESTION)]);
        }
    }

    /// Whether the other side's system, which resets where the socket is closed, has taken the question.
    fn is_answered(&self, wire: &Wire<Approach>) -> bool {
        let Some(put) = self.put else { return true };
        match wire.stream().unacknowledged() {
            Some(0) if wire.outbox().is_empty() => true,
            Some(_) => put.elapsed() >= ANSWERED_WITHIN,
            None => put.elapsed() >= UNTOLD,
        }
    }

    /// How it shows that the connection has failed.
    fn departed(&self) -> Departed {
        if self.put.is_some() { Departed::Closed } else { Departed::Reset }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::Shutdown;
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;
    use crate::net::{ClientLimits, Cores, Next};

    const LONG: Duration = Duration::from_secs(60);

    /// A client whose request has been read, and its own end of the connection.
    async fn client(cores: &Cores, request: &str) -> (Client, std::net::TcpStream) {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut theirs = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        theirs.write_all(request.as_bytes()).unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let mut client = Client::new(stream, peer, Arc::clone(cores.first()), LONG);
        let limits = ClientLimits {
            head: idleway_h1::Limits::default(),
            keep_alive: LONG,
            head_timeout: LONG,
            body: None,
            read: LONG,
            write: LONG,
            fin: Fin::Ask,
        };
        let leave = Notify::new();
        let next = client.next_request(&limits, std::pin::pin!(leave.notified())).await;
        assert!(matches!(next, Next::Request(_)), "{next:?}");
        (client, theirs)
    }

    /// Waits until the kernel has the FIN, without the event loop's being told.
    fn until_fin(client: &Client) {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let Approach::Tcp(stream) = client.wire.stream() else { panic!("it came by a socket") };
        let peek = |byte: &mut _| socket2::SockRef::from(stream).peek(byte);
        while peek(&mut byte).is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            std::thread::yield_now();
        }
    }

    /// A test that waits for longer has failed.
    async fn in_time<T>(wait: impl Future<Output = T>) -> T {
        tokio::time::timeout(LONG / 6, wait).await.unwrap()
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    #[tokio::test]
    async fn who_left_in_the_moment_of_the_grant_is_found_out() {
        let cores = Cores::start(1).unwrap();
        let (mut client, theirs) = client(&cores, GET).await;
        drop(theirs);
        until_fin(&client);
        assert_eq!(in_time(client.confirm()).await, Err(Departed::Closed));
        cores.stop();
    }

    #[tokio::test]
    async fn who_is_there_is_confirmed_without_a_word() {
        let cores = Cores::start(1).unwrap();
        let (mut client, mut theirs) = client(&cores, GET).await;
        in_time(client.confirm()).await.unwrap();
        theirs.set_nonblocking(true).unwrap();
        assert_eq!(theirs.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        cores.stop();
    }

    /// The second close sends nothing by itself.
    #[tokio::test]
    async fn who_half_closed_and_has_closed_since_is_asked_again() {
        let cores = Cores::start(1).unwrap();
        for at_the_grant in [false, true] {
            let (mut client, mut theirs) = client(&cores, GET).await;
            theirs.shutdown(Shutdown::Write).unwrap();
            until_fin(&client);
            in_time(client.confirm()).await.unwrap();
            let mut question = vec![0; QUESTION.len()];
            theirs.set_read_timeout(Some(LONG / 6)).unwrap();
            theirs.read_exact(&mut question).unwrap();
            assert_eq!(question, QUESTION);
            drop(theirs);
            // As if the time had passed.
            let put = if at_the_grant { ANSWERED_WITHIN } else { AGAIN };
            client.question.as_mut().unwrap().put = Instant::now().checked_sub(put);
            let departed = if at_the_grant {
                in_time(client.confirm()).await.unwrap_err()
            } else {
                in_time(poll_fn(|cx| client.poll_departed(cx))).await
            };
            assert_eq!(departed, Departed::Closed);
        }
        cores.stop();
    }

    /// What it was sent before stands in the way of the question, as with a network that delays it.
    #[tokio::test]
    async fn a_question_that_has_not_arrived_is_waited_for() {
        let cores = Cores::start(1).unwrap();
        let (mut client, mut theirs) = client(&cores, GET).await;
        let filling = vec![b'x'; 64 * 1024];
        while client.outbox().is_empty() {
            client.send(&[IoSlice::new(&filling)]).unwrap();
        }
        theirs.shutdown(Shutdown::Write).unwrap();
        until_fin(&client);
        let mut confirm = Box::pin(client.confirm());
        assert!(poll_fn(|cx| Poll::Ready(confirm.as_mut().poll(cx))).await.is_pending());
        // With unread bytes: by RST.
        theirs.read_exact(&mut [0]).unwrap();
        drop(theirs);
        assert_eq!(in_time(confirm).await, Err(Departed::Closed));
        cores.stop();
    }
}
