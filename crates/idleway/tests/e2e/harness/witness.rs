//! What a backend has seen: its own count of what it works on, and the rest of the evidence.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::PATIENCE;
use super::wire::Head;

/// The evidence of one backend, over all its lives.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Counts lives: what a killed one still does is no work.
    pub(crate) life: u32,
    /// Requests from their complete head to just before the last write.
    pub(crate) at_work: usize,
    pub(crate) peak: usize,
    /// Requests that came while as many as the limit were at work.
    pub(crate) overlaps: Vec<String>,
    /// Complete heads, by `X-Request-Id`.
    pub(crate) executions: HashMap<String, u32>,
    /// All complete heads, in the order in which they came.
    pub(crate) heads: Vec<Head>,
    /// Connections since the beginning, those of them that have ended, and at once at most.
    pub(crate) accepted: usize,
    pub(crate) closed: usize,
    pub(crate) most_open: usize,
    /// Steps that scripts have told of.
    pub(crate) told: usize,
    /// Scripts that failed.
    pub(crate) faults: Vec<String>,
}

impl Witness {
    /// Also after a test has failed while it looked.
    pub(crate) fn look(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        let result = change(&mut self.look());
        self.changed.notify_all();
        result
    }

    /// Waits until this has been seen.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, condition: impl Fn(&Seen) -> bool) {
        let (seen, waited) =
            self.changed.wait_timeout_while(self.look(), PATIENCE, |seen| !condition(seen)).unwrap();
        let (heads, at_work) = (seen.heads.len(), seen.at_work);
        drop(seen);
        assert!(!waited.timed_out(), "the backend never saw: {what} ({heads} heads, {at_work} at work)");
    }
}
