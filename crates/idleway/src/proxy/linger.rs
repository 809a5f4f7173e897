//! A Slot whose request nobody waits for any more.
//!
//! A client that leaves, a timeout that fires, a future that is dropped or a task that panics does not make a
//! backend idle: one-thread backends work on, whatever becomes of the connection. So the Slot is free by what the
//! backend does, whether it is left to work on ([`Abandon::Linger`]) or told to stop ([`Abandon::Cancel`]).

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use idleway_core::{Outcome, Until};
use tokio::time::{sleep, timeout};

use super::exchange::{Exchange, ResponseFault, Sending};
use crate::config::Abandon;
use crate::live::{Backend, LivePool, now};
use crate::net::scratch_size;
use crate::net::wire::{Body, ReadFault};

/// Work that nobody waits for any more.
#[derive(Debug)]
pub(super) struct Abandoned {
    pub(super) exchange: Exchange,
    pub(super) pool: Arc<LivePool>,
    pub(super) backend: Arc<Backend>,
    pub(super) abandon: Abandon,
    /// When the client was told 504, if it was.
    pub(super) told: Option<Instant>,
}

/// A rest of a streaming response above this, or of unknown length, is not worth reading for the connection.
const LONG_REST: u64 = 1024 * 1024;

/// How long a backend whose answer cannot be read may take to close by itself.
const OWN_CLOSE: Duration = Duration::from_secs(1);

/// What is known of a backend whose work nobody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It has ended its response.
    Answered,
    /// It has closed or reset the connection: nothing is at work.
    Closed,
    /// It closed because we did, and said nothing: its handler may have given up, or be at work still.
    ClosedAfterUs,
    /// It writes to nobody and takes no notice of our FIN.
    Deaf,
}

/// Reads what still comes and throws it away, until the Slot's fate is known. No clock of ours runs here but those
/// that were ordered; a host that has vanished is found by TCP's own.
pub(super) async fn outlast(mut work: Abandoned) {
    work.exchange.connection.watch_for_vanished_host();
    let verdict = match work.pool.plan.linger {
        None => Some(work.watch().await),
        Some(bound) => timeout(bound, work.watch()).await.ok(),
    };
    match verdict {
        Some(Verdict::Answered) => {
            if let Some(told) = work.told {
                work.pool.tell_of_late_answer(told.elapsed());
            }
            work.exchange.end(Outcome::Ignored, work.pool.plan.keep_alive);
        }
        Some(Verdict::Closed) => work.exchange.end(Outcome::Ignored, false),
        Some(Verdict::ClosedAfterUs) => {
            let rest = work.pool.plan.timeout;
            tracing::info!(
                pool = %work.pool.plan.name, backend = %work.backend.name, ?rest,
                "a backend closed after us without an answer: its slot rests"
            );
            work.exchange.rest_until(now() + rest);
        }
        Some(Verdict::Deaf) => {
            let mut permit = work.exchange.close();
            permit.doubt();
            // Its next write fails. A handler that writes at least that often has noticed then.
            sleep(work.pool.plan.cancel_wait).await;
            permit.rest(Until::Proof);
        }
        None => {
            work.pool.metrics.linger_expired.increment();
            tracing::warn!(
                pool = %work.pool.plan.name, backend = %work.backend.name, linger = ?work.pool.plan.linger,
                "abandoned work outlasted `linger`: its slot rests until a probe succeeds"
            );
            work.exchange.close().rest(Until::Proof);
        }
    }
}

impl Abandoned {
    async fn watch(&mut self) -> Verdict {
        let Self { exchange, pool, abandon, .. } = self;
        let gave_up = exchange.upload() == Sending::Streaming;
        // A backend that waits for the rest of the body has to be told that it will never come.
        if gave_up || *abandon == Abandon::Cancel {
            exchange.shut_down_writing();
        }
        let mut end = None;
        if *abandon == Abandon::Cancel {
            end = timeout(pool.plan.cancel_wait, until_end(exchange)).await.ok();
            if end.is_none() {
                // It has not stopped. Its own end still frees the Slot, whenever that comes.
                exchange.permit.doubt();
            }
        }
        let end = match end {
            Some(end) => end,
            None => until_end(exchange).await,
        };
        match end {
            End::Answered => Verdict::Answered,
            // That closing stops its work is what `cancel` says.
            End::Closed if gave_up && !exchange.is_answered() && *abandon == Abandon::Linger => {
                Verdict::ClosedAfterUs
            }
            End::Closed => Verdict::Closed,
            End::Streams => cancel_stream(exchange, pool.plan.cancel_wait).await,
            End::Unreadable => outwait(exchange, gave_up).await,
        }
    }
}

/// What the backend did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It ended its response.
    Answered,
    /// It closed or reset the connection.
    Closed,
    /// Much of its response is still to come, or nobody knows how much.
    Streams,
    /// It said what cannot be read.
    Unreadable,
}

/// Reads on to the end of the response, or to the beginning of a long one.
async fn until_end(exchange: &mut Exchange) -> End {
    if let Some(end) = poll_fn(|cx| poll_begun(cx, exchange)).await {
        return end;
    }
    if exchange.rest().is_none_or(|rest| rest > LONG_REST) {
        return End::Streams;
    }
    poll_fn(|cx| poll_rest(cx, exchange)).await
}

/// A handler that writes notices that nobody reads: some at our FIN, others not before the connection is closed.
async fn cancel_stream(exchange: &mut Exchange, wait: Duration) -> Verdict {
    exchange.shut_down_writing();
    match timeout(wait, poll_fn(|cx| poll_rest(cx, exchange))).await {
        Ok(End::Answered) => Verdict::Answered,
        Ok(End::Closed) => Verdict::Closed,
        Ok(End::Streams | End::Unreadable) | Err(_) => Verdict::Deaf,
    }
}

/// Where the backend's messages end can no longer be told: only its own close can. It gets a moment for that, and is
/// told then that we have no more to say.
async fn outwait(exchange: &mut Exchange, gave_up: bool) -> Verdict {
    let closed = timeout(OWN_CLOSE, poll_fn(|cx| poll_closed(cx, exchange))).await;
    if closed.is_err() {
        exchange.shut_down_writing();
        poll_fn(|cx| poll_closed(cx, exchange)).await;
    }
    let after_us = gave_up || closed.is_err();
    if after_us && !exchange.is_answered() { Verdict::ClosedAfterUs } else { Verdict::Closed }
}

/// Waits for the response to begin; ready with what came instead.
fn poll_begun(cx: &mut Context<'_>, exchange: &mut Exchange) -> Poll<Option<End>> {
    if exchange.upload() == Sending::Whole {
        // What the kernel had not taken yet still belongs to the request. Pending or failed: reading tells.
        let _ = exchange.connection.wire.poll_flush(cx);
    }
    if exchange.is_unreadable() {
        return Poll::Ready(Some(End::Unreadable));
    }
    if exchange.is_answered() {
        return Poll::Ready(None);
    }
    Poll::Ready(match ready!(exchange.poll_response(cx, |_| {})) {
        Ok(_) => None,
        Err(ResponseFault::Closed(_)) => Some(End::Closed),
        Err(ResponseFault::Nonsense(_)) => Some(End::Unreadable),
    })
}

/// Reads on to the end of a response that has begun.
fn poll_rest(cx: &mut Context<'_>, exchange: &mut Exchange) -> Poll<End> {
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
