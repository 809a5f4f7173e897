//! What is counted beside the Slots themselves.

mod code;
mod desired;
mod histogram;
mod page;
mod series;
#[cfg(feature = "admin")]
mod spread;

use std::sync::atomic::{AtomicU64, Ordering};

use idleway_core::{Cause, Outcome};

use crate::error::Reject;

pub(crate) use self::desired::desired;
pub(crate) use self::histogram::Histogram;
pub(crate) use self::page::{MEDIA_TYPE, Page};
pub(crate) use self::series::{Ended, Phase, Series};
#[cfg(feature = "admin")]
pub(crate) use self::spread::Spread;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Counts one more; answers how many there are now.
    pub(crate) fn increment(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn add(&self, many: u64) {
        self.0.fetch_add(many, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a pool counts.
#[derive(Debug, Default)]
pub(crate) struct PoolMetrics {
    /// Slots whose abandoned work outlasted `linger` (`idleway_linger_expired_total`).
    pub(crate) linger_expired: Counter,
    /// Answers that came whole after their client had been told 504 (`idleway_late_answers_total`).
    pub(crate) late_answers: Counter,
    /// Requests that were tried again (`idleway_retries_total{reason}`).
    pub(crate) retries: Retries,
    /// Probes by what they found (`idleway_probes_total{outcome}`).
    pub(crate) probes: Probes,
    /// How often a backend was taken out (`idleway_backend_downs_total{cause}`).
    pub(crate) downs: Downs,
    /// Pieces of work that took far longer than usual (`idleway_overdue_total`).
    pub(crate) overdue: Counter,
    /// Answers by which a backend said that it is busy (`idleway_backend_busy_total`).
    pub(crate) backend_busy: Counter,
}

/// Why a request was tried again.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    /// No connection.
    pub(crate) unreachable: Counter,
    /// The connection ended before the answer began.
    pub(crate) closed: Counter,
    /// What came was no answer.
    pub(crate) nonsense: Counter,
    /// The backend said that it is busy.
    pub(crate) busy: Counter,
    /// Anything else.
    pub(crate) other: Counter,
    /// Not tried again, since too many were lately (`idleway_retries_refused_total`).
    pub(crate) refused: Counter,
}

impl Retries {
    /// Those for this reason.
    pub(crate) fn of(&self, reject: &Reject) -> &Counter {
        match reject {
            Reject::BackendUnreachable { .. } => &self.unreachable,
            Reject::BackendClosed { .. } => &self.closed,
            Reject::BackendNonsense { .. } => &self.nonsense,
            Reject::BackendBusy { .. } => &self.busy,
            _ => &self.other,
        }
    }

    /// All of them.
    pub(crate) fn sum(&self) -> u64 {
        let Self { unreachable, closed, nonsense, busy, other, refused: _ } = self;
        [unreachable, closed, nonsense, busy, other].into_iter().map(Counter::count).sum()
    }
}

/// What probes found.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    pub(crate) succeeded: Counter,
    pub(crate) failed: Counter,
}

impl Probes {
    /// Counts what says something about the backend.
    pub(crate) fn count(&self, outcome: Outcome) {
        match outcome {
            Outcome::Success => _ = self.succeeded.increment(),
            Outcome::Ignored => {}
            _ => _ = self.failed.increment(),
        }
    }
}

/// Why backends were taken out.
#[derive(Debug, Default)]
pub(crate) struct Downs {
    pub(crate) unreachable: Counter,
    pub(crate) failures: Counter,
    pub(crate) outlier: Counter,
    pub(crate) probes: Counter,
}

impl Downs {
    /// All of them.
    pub(crate) fn sum(&self) -> u64 {
        let Self { unreachable, failures, outlier, probes } = self;
        [unreachable, failures, outlier, probes].into_iter().map(Counter::count).sum()
    }

    pub(crate) fn count(&self, cause: Cause) {
        match cause {
            Cause::Unreachable => _ = self.unreachable.increment(),
            Cause::Failures => _ = self.failures.increment(),
            Cause::Outlier => _ = self.outlier.increment(),
            Cause::ProbesFailed => _ = self.probes.increment(),
            _ => {}
        }
    }
}
