//! The requests that went wrong last.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::SystemTime;

/// So many are kept.
const KEPT: usize = 256;

/// The last of them.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    kept: VecDeque<Arc<Failure>>,
    /// How many there were.
    count: u64,
}

/// A request that went wrong.
#[derive(Debug)]
pub(crate) struct Failure {
    /// When it ended.
    pub(crate) at: SystemTime,
    pub(crate) id: String,
    pub(crate) client: String,
    pub(crate) method: String,
    /// Without the query, in which secrets may stand; cut where it is long.
    pub(crate) path: String,
    /// What the client was answered; none where it was nothing.
    pub(crate) status: Option<u16>,
    pub(crate) pool: Option<String>,
    pub(crate) backend: Option<String>,
    /// In the log's words; none where the answer was the backend's own.
    pub(crate) reason: Option<String>,
}

impl Failures {
    /// Keeps one more, if it is one. No request waits for that: while others note theirs it may be missed.
    pub(crate) fn note(&self, failure: Option<Failure>) {
        let Some(failure) = failure.map(Arc::new) else { return };
        let mut last = match self.0.try_lock() {
            Ok(last) => last,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        last.count += 1;
        let oldest = if last.kept.len() < KEPT { None } else { last.kept.pop_front() };
        last.kept.push_back(failure);
        drop(last);
        drop(oldest);
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// Those that are kept, the last one first, and how many there were.
    pub(crate) fn last(&self) -> (Vec<Arc<Failure>>, u64) {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (last.kept.iter().rev().cloned().collect(), last.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(id: u64) -> Option<Failure> {
        Some(Failure {
            at: SystemTime::UNIX_EPOCH,
            id: id.to_string(),
            client: String::new(),
            method: String::new(),
            path: String::new(),
            status: None,
            pool: None,
            backend: None,
            reason: None,
        })
    }

    #[test]
    fn the_last_ones_are_kept_and_no_more() {
        let failures = Failures::default();
        (0..1000).for_each(|id| failures.note(failure(id)));
        failures.note(None);
        let (last, count) = failures.last();
        let ids: Vec<_> = last.iter().map(|failure| failure.id.parse::<u64>().unwrap()).collect();
        assert_eq!(ids, (1000 - KEPT as u64..1000).rev().collect::<Vec<_>>());
        assert_eq!(count, 1000);
    }
}
