//! A request at work, however its task ends.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use idleway_core::{Outcome, Permit, Time};
use tokio::runtime::Handle;

use super::Way;
use super::evidence::Reached;
use super::exchange::Exchange;
use super::linger::{Abandoned, outlast};
use crate::config::Abandon;
use crate::live::{Backend, LivePool};
use crate::metrics::Series;
use crate::net::BackendConnection;

/// An Exchange that is not over.
///
/// Taken apart by [`AtWork::over`] once the backend has ended its work. Dropped in any other way (the client left,
/// a time is over, the future was dropped, the task panicked) it is abandoned: a task of its own watches the
/// backend to its end, and until then the Slot is not free.
#[derive(Debug)]
pub(super) struct AtWork<'a> {
    exchange: Option<Exchange>,
    pool: &'a Arc<LivePool>,
    backend: &'a Arc<Backend>,
    abandon: Abandon,
    timeout: Duration,
    /// Where the time of its work is counted, and since when that runs: when it got its Slot.
    series: &'a Arc<Series>,
    granted: Instant,
    /// When the client was told 504.
    told: Option<Instant>,
}

impl<'a> AtWork<'a> {
    pub(super) fn new(
        exchange: Exchange,
        way: &Way<'a>,
        backend: &'a Arc<Backend>,
        granted: Instant,
    ) -> Self {
        let Way { pool, series, abandon, timeout, .. } = *way;
        Self { exchange: Some(exchange), pool, backend, abandon, timeout, series, granted, told: None }
    }

    /// The backend has ended its response or closed: the Slot is free.
    pub(super) fn over(self, outcome: Outcome) {
        let keep_alive = self.pool.plan.keep_alive;
        self.series.served(self.granted.elapsed());
        self.into_exchange().end(outcome, keep_alive);
    }

    /// The backend said that it is busy, and that nothing ran: it rests until then.
    pub(super) fn withhold(self, until: Time) {
        let keep_alive = self.pool.plan.keep_alive;
        self.into_exchange().withhold(until, keep_alive);
    }

    /// The backend has closed: nothing is at work, and the Slot is wanted for a new connection.
    pub(super) fn closed(self) -> Permit<Box<BackendConnection>> {
        self.into_exchange().closed()
    }

    /// The backend was silent for longer than `timeout`: the client is told 504, and the work is abandoned.
    pub(super) fn overdue(mut self) {
        self.permit.report(Outcome::Silent);
        self.told = Some(Instant::now());
    }

    /// What the backend sends is no answer, or has ceased to be one; what it does with the request nobody knows.
    pub(super) fn unreadable(self) {
        self.permit.report(Outcome::Failure);
    }

    #[expect(clippy::expect_used, reason = "only what ends this value takes the exchange")]
    fn into_exchange(mut self) -> Exchange {
        self.exchange.take().expect("at work")
    }
}

impl Deref for AtWork<'_> {
    type Target = Exchange;

    #[expect(clippy::expect_used, reason = "only what ends this value takes the exchange")]
    fn deref(&self) -> &Exchange {
        self.exchange.as_ref().expect("at work")
    }
}

impl DerefMut for AtWork<'_> {
    #[expect(clippy::expect_used, reason = "only what ends this value takes the exchange")]
    fn deref_mut(&mut self) -> &mut Exchange {
        self.exchange.as_mut().expect("at work")
    }
}

impl Drop for AtWork<'_> {
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
        runtime.spawn(outlast(Abandoned {
            exchange,
            pool: Arc::clone(self.pool),
            backend: Arc::clone(self.backend),
            abandon: self.abandon,
            timeout: self.timeout,
            series: Arc::clone(self.series),
            granted: self.granted,
            told: self.told,
        }));
    }
}
