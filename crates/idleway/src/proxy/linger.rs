//! A Slot whose request nobody waits for any more.
//!
//! A client that leaves, a timeout that fires, a future that is dropped or a task that panics does not make a
//! backend idle: one-thread backends work on, whatever becomes of the connection. So the Slot lingers, until
//! the backend itself ends its response or closes.

use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use idleway_core::{Outcome, Permit};
use tokio::runtime::Handle;

use super::evidence::Reached;
use super::exchange::{Exchange, ResponseFault, Sending};
use crate::live::now;
use crate::net::wire::{Body, ReadFault};
use crate::net::{BackendConnection, scratch_size};

/// An Exchange that is not over.
///
/// Taken apart by [`AtWork::over`] once the backend has ended its work; dropped in any other way, it lingers.
#[derive(Debug)]
pub(super) struct AtWork {
    exchange: Option<Exchange>,
    keep_alive: bool,
    rest: Duration,
}

impl AtWork {
    /// `rest`: for how long the Slot rests where nothing can tell whether the backend is still at work.
    pub(super) fn new(exchange: Exchange, keep_alive: bool, rest: Duration) -> Self {
        Self { exchange: Some(exchange), keep_alive, rest }
    }

    /// The backend has ended its response or closed: the Slot is free.
    pub(super) fn over(self, outcome: Outcome) {
        let keep_alive = self.keep_alive;
        self.into_exchange().end(outcome, keep_alive);
    }

    /// The backend has closed: nothing is at work, and the Slot is wanted for a new connection.
    pub(super) fn closed(self) -> Permit<Box<BackendConnection>> {
        self.into_exchange().closed()
    }

    #[expect(clippy::expect_used, reason = "only what ends this value takes the exchange")]
    fn into_exchange(mut self) -> Exchange {
        self.exchange.take().expect("at work")
    }
}

impl Deref for AtWork {
    type Target = Exchange;

    #[expect(clippy::expect_used, reason = "only what ends this value takes the exchange")]
    fn deref(&self) -> &Exchange {
        self.exchange.as_ref().expect("at work")
    }
}

impl DerefMut for AtWork {
    #[expect(clippy::expect_used, reason = "only what ends this value takes the exchange")]
    fn deref_mut(&mut self) -> &mut Exchange {
        self.exchange.as_mut().expect("at work")
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let Some(mut exchange) = self.exchange.take() else {
            return;
        };
        if exchange.reached() < Reached::HeadComplete {
            exchange.abandon_unread();
            return;
        }
        // Without a runtime nobody can watch the connection: dropping the Permit puts the Slot to rest.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        exchange.permit.linger();
        runtime.spawn(linger(exchange, self.keep_alive, self.rest));
    }
}

/// A rest of a streaming response above this, or of unknown length, is not worth reading for the connection.
const LONG_REST: u64 = 1024 * 1024;

/// Reads what still comes and throws it away. Its end is the backend's: no clock runs here, only TCP's own for
/// a host that has vanished.
async fn linger(mut exchange: Exchange, keep_alive: bool, rest: Duration) {
    exchange.connection.watch_for_vanished_host();
    let mut gave_up = exchange.upload() == Sending::Streaming;
    // A backend that waits for the rest of the body has to be told that it will never come.
    if gave_up || streams(&exchange) {
        exchange.shut_down_writing();
    }
    let end = poll_fn(|cx| poll_end(cx, &mut exchange)).await;
    if end == End::Unreadable {
        // Where its messages end can no longer be told: only its own close can. It gets a moment for that, and
        // is told then that we have no more to say.
        let closed = tokio::time::timeout(OWN_CLOSE, poll_fn(|cx| poll_closed(cx, &mut exchange))).await;
        if closed.is_err() {
            gave_up = true;
            exchange.shut_down_writing();
            poll_fn(|cx| poll_closed(cx, &mut exchange)).await;
        }
    }
    if end != End::Answered && gave_up && !exchange.is_answered() {
        // It closed because we did, and said nothing: its handler may have given up, or be at work still.
        tracing::info!(?rest, "a backend closed after us without an answer: its slot rests");
        exchange.rest_until(now() + rest);
    } else {
        exchange.end(Outcome::Ignored, keep_alive);
    }
}

/// How long a backend whose answer cannot be read may take to close by itself.
const OWN_CLOSE: Duration = Duration::from_secs(1);

/// What the backend did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It ended its response.
    Answered,
    /// It closed or reset the connection.
    Closed,
    /// It said what cannot be read.
    Unreadable,
}

/// Whether much of the response is still to come, or nobody knows how much: its handler streams to nobody, may
/// notice that we have no more to say, and stop.
fn streams(exchange: &Exchange) -> bool {
    exchange.is_answered() && exchange.rest().is_none_or(|rest| rest > LONG_REST)
}

/// Reads on to the end of the response.
fn poll_end(cx: &mut Context<'_>, exchange: &mut Exchange) -> Poll<End> {
    if exchange.upload() == Sending::Whole {
        // What the kernel had not taken yet still belongs to the request. Pending or failed: reading tells.
        let _ = exchange.connection.wire.poll_flush(cx);
    }
    if exchange.is_unreadable() {
        return Poll::Ready(End::Unreadable);
    }
    if !exchange.is_answered() {
        match ready!(exchange.poll_response(cx, |_| {})) {
            Ok(_) if streams(exchange) => exchange.shut_down_writing(),
            Ok(_) => {}
            Err(ResponseFault::Closed(_)) => return Poll::Ready(End::Closed),
            Err(ResponseFault::Nonsense(_)) => return Poll::Ready(End::Unreadable),
        }
    }
    loop {
        match ready!(exchange.poll_body(cx, scratch_size(), |_| Ok(()))) {
            Ok(Body::Some) => {}
            Ok(Body::Done(..)) => return Poll::Ready(End::Answered),
            Err(ReadFault::Refused(_)) => return Poll::Ready(End::Unreadable),
            Err(_) => return Poll::Ready(End::Closed),
        }
    }
}

/// Reads on to the end of the connection.
fn poll_closed(cx: &mut Context<'_>, exchange: &mut Exchange) -> Poll<()> {
    loop {
        match ready!(exchange.connection.wire.poll_discard(cx)) {
            Ok(bytes) if bytes > 0 => {}
            _ => return Poll::Ready(()),
        }
    }
}
