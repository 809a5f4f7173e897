//! What is counted beside the Slots themselves.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Counts one more; answers how many there are now.
    pub(crate) fn increment(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
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
}
