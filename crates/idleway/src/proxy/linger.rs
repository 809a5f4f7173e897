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
use crate::metrics::Series;
use crate::net::scratch_size;
use crate::net::wire::{Body, ReadFault};

/// Work that nobody waits for any more.
#[derive(Debug)]
pub(super) struct Abandoned {
    pub(super) exchange: Exchange,
    pub(super) pool: Arc<LivePool>,
    pub(super) backend: Arc<Backend>,
    pub(super) abandon: Abandon,
    /// The longest silence of a backend that still works on it, as far as anyone knows.
    pub(super) timeout: Duration,
    /// Where the time of its work is counted, and when it got its Slot.
    pub(super) series: Arc<Series>,
    pub(super) granted: Instant,
    /// When the client was told 504, if it was.
    pub(super) told: Option<Instant>,
}

/// No more than so many bytes are read of an answer that nobody waits for.
const LONG_REST: u64 = 1024 * 1024;

/// How long a backend whose answer cannot be read may take to close by itself.
const OWN_CLOSE: Duration = Duration::from_secs(1);

/// What is known of a backend whose work nobody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It has ended its response, or closed the connection while our side was open: nothing is at work.
    Ended,
    /// It closed because we did, and has not ended its answer: its handler may have given up, or be at work still.
    ClosedAfterUs,
    /// Its answer has no end that is worth waiting for, and was cancelled: its handler may notice that, or be at
    /// work still.
    Cancelled,
}

/// Reads what still comes and throws it away, until the Slot's fate is known. No clock of ours runs here but those
/// that were ordered; a host that has vanished is found by TCP's own.
pub(super) async fn outlast(mut work: Abandoned) {
    work.exchange.connection.watch_for_vanished_host();
    let verdict = match work.pool.plan.linger {
        None => Some(work.watch().await),
        Some(bound) => timeout(bound, work.watch()).await.ok(),
    };
    work.series.served(work.granted.elapsed());
    let (pool, backend) = (&work.pool.plan, &work.backend.name);
    if let Some(told) = work.told.filter(|_| work.exchange.is_answered()) {
        work.pool.tell_of_late_answer(told.elapsed(), work.timeout);
    }
    match verdict {
        Some(Verdict::Ended) => work.exchange.end(Outcome::Ignored, pool.keep_alive),
        Some(Verdict::ClosedAfterUs) => {
            tracing::info!(
                pool = %pool.name, %backend, rest = ?work.timeout,
                "a backend closed after us before its answer had ended: its slot rests"
            );
            work.exchange.rest_until(now() + work.timeout);
        }
        Some(Verdict::Cancelled) => {
            tracing::info!(
                pool = %pool.name, %backend,
                "an answer to nobody was cut: its slot rests until a probe succeeds"
            );
            let mut permit = work.exchange.close();
            permit.doubt();
            // Its next write fails. A handler that writes at least that often has noticed then.
            sleep(pool.cancel_wait).await;
            permit.rest(Until::Proof);
        }
        None => {
            work.pool.metrics.linger_expired.increment();
            tracing::warn!(
                pool = %pool.name, %backend, linger = ?pool.linger,
                "abandoned work outlasted `linger`: its slot rests until a probe succeeds"
            );
            work.exchange.close().rest(Until::Proof);
        }
    }
}

impl Abandoned {
    async fn watch(&mut self) -> Verdict {
        let Self { exchange, pool, backend, abandon, timeout: silence, .. } = self;
        let gave_up = exchange.upload() == Sending::Streaming;
        let cancels = *abandon == Abandon::Cancel;
        // A backend that waits for the rest of the body has to be told that it will never come.
        if gave_up || cancels {
            exchange.shut_down_writing();
        }
        let patience = if cancels { Duration::ZERO } else { *silence };
        let mut end = None;
        if cancels {
            end = timeout(pool.plan.cancel_wait, until_end(exchange, patience)).await.ok();
            if end.is_none() {
                // It has not stopped. Its own end still frees the Slot, whenever that comes.
                exchange.permit.doubt();
                tracing::info!(
                    pool = %pool.plan.name, backend = %backend.name, cancel_wait = ?pool.plan.cancel_wait,
                    "a backend did not stop when it was told to: its slot rests until it ends"
                );
            }
        }
        let end = match end {
            Some(end) => end,
            None => until_end(exchange, patience).await,
        };
        match end {
            // That closing stops its work is what `cancel` says.
            End::Closed if gave_up && !cancels => Verdict::ClosedAfterUs,
            End::Answered | End::Closed => Verdict::Ended,
            End::Streams => cancel_stream(exchange, cancels, pool.plan.cancel_wait).await,
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
    /// Its response is long, or nobody knows how long, and has not ended in time.
    Streams,
    /// It said what cannot be read.
    Unreadable,
}

/// Reads on to the end of the response. One of which the end is not in sight is given `patience`, and a mebibyte.
async fn until_end(exchange: &mut Exchange, patience: Duration) -> End {
    if let Some(end) = poll_fn(|cx| poll_begun(cx, exchange)).await {
        return end;
    }
    // Beyond a known end nothing comes; up to it, it may take its time.
    let patience = match exchange.rest() {
        Some(rest) if rest > LONG_REST => return End::Streams,
        Some(_) => Duration::MAX,
        None => patience,
    };
    let mut left = LONG_REST + 1;
    timeout(patience, poll_fn(|cx| poll_rest(cx, exchange, &mut left))).await.unwrap_or(End::Streams)
}

/// Reads a short rest of a response that nobody wants to its end, so that its connection can be used again. What is not
/// over in a moment, or `within` the time, is left; answers whether the backend has ended it.
pub(super) async fn discard_rest(exchange: &mut Exchange, within: Duration) -> bool {
    let mut left = LONG_REST + 1;
    let end = timeout(within.min(OWN_CLOSE), poll_fn(|cx| poll_rest(cx, exchange, &mut left))).await;
    matches!(end, Ok(End::Answered | End::Closed))
}

/// A handler that writes notices that nobody reads: some at our FIN, others not before the connection is closed.
/// Some servers close at our FIN whatever their handler does: only `cancel` takes that for its end.
async fn cancel_stream(exchange: &mut Exchange, closing_stops: bool, wait: Duration) -> Verdict {
    exchange.shut_down_writing();
    let mut left = u64::MAX;
    match timeout(wait, poll_fn(|cx| poll_rest(cx, exchange, &mut left))).await {
        Ok(End::Answered) => Verdict::Ended,
        Ok(End::Closed) if closing_stops => Verdict::Ended,
        _ => Verdict::Cancelled,
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
    if after_us && !exchange.is_answered() { Verdict::ClosedAfterUs } else { Verdict::Ended }
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

/// Reads on to the end of a response that has begun, or until what is `left` to be read of it has come.
fn poll_rest(cx: &mut Context<'_>, exchange: &mut Exchange, left: &mut u64) -> Poll<End> {
    loop {
        let read = exchange.poll_body(cx, scratch_size(), |content| {
            *left = left.saturating_sub(content.length() as u64);
            Ok(())
        });
        match ready!(read) {
            Ok(Body::Some) if *left == 0 => return Poll::Ready(End::Streams),
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
