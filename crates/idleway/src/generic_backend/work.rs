//! What a generic backend has done, counted by itself.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::Over;

/// Request ids that are remembered, and the bytes of the longest.
const REMEMBERED: usize = 10_000;
const LONGEST_ID: usize = 200;

/// What a backend does and has done.
#[derive(Debug)]
pub struct Work {
    pub(super) slots: u32,
    over: Over,
    count: Mutex<Count>,
}

#[derive(Debug, Default)]
struct Count {
    now: u32,
    peak: u32,
    overlaps: u64,
    executions: u64,
    of_request: HashMap<String, u32>,
    /// The ids of `of_request`, the oldest first.
    ids: VecDeque<String>,
}

/// The count of one moment, as `/witness` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// What it may work on at once.
    pub slots: u32,
    /// What it works on now.
    pub now: u32,
    /// The most it was ever asked to work on at once; above `slots`, the limit was broken.
    pub peak: u32,
    /// Requests that came while every slot was at work.
    pub overlaps: u64,
    /// Requests that were begun.
    pub executions: u64,
    /// How often each of the last 10,000 request ids (`?id=`, else `X-Request-Id`) was begun.
    pub requests: HashMap<String, u32>,
}

impl Work {
    pub(super) fn new(slots: u32, over: Over) -> Self {
        Work { slots, over, count: Mutex::default() }
    }

    /// The count of this moment.
    pub fn witness(&self) -> Witness {
        let count = self.lock();
        Witness {
            slots: self.slots,
            now: count.now,
            peak: count.peak,
            overlaps: count.overlaps,
            executions: count.executions,
            requests: count.of_request.clone(),
        }
    }

    /// What it works on now.
    pub fn now(&self) -> u32 {
        self.lock().now
    }

    /// How often the request of this id was begun, as far as it is remembered.
    pub fn begun(&self, id: &str) -> u32 {
        self.lock().of_request.get(id).copied().unwrap_or(0)
    }

    /// Takes a slot for one request, by its id.
    pub(super) fn begin(self: Arc<Self>, id: Option<String>) -> Result<AtWork, String> {
        let mut count = self.lock();
        let asked = count.now + 1;
        count.peak = count.peak.max(asked);
        if asked > self.slots {
            count.overlaps += 1;
            if self.over == Over::Refuse {
                return Err(format!("over the limit: {asked} at once, {} allowed", self.slots));
            }
        }
        count.now = asked;
        count.executions += 1;
        if let Some(id) = id.filter(|id| id.len() <= LONGEST_ID) {
            count.remember(id);
        }
        drop(count);
        Ok(AtWork(self))
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    fn remember(&mut self, id: String) {
        if let Some(times) = self.of_request.get_mut(&id) {
            *times += 1;
            return;
        }
        if self.ids.len() == REMEMBERED
            && let Some(oldest) = self.ids.pop_front()
        {
            self.of_request.remove(&oldest);
        }
        self.ids.push_back(id.clone());
        self.of_request.insert(id, 1);
    }
}

/// One request at work; dropped just before its answer is written.
#[derive(Debug)]
pub(super) struct AtWork(Arc<Work>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.lock().now -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_limit_is_refused_and_counted() {
        let work = Arc::new(Work::new(1, Over::Refuse));
        let first = Arc::clone(&work).begin(Some("a".to_owned())).unwrap();
        let second = Arc::clone(&work).begin(Some("b".to_owned()));
        assert_eq!(second.unwrap_err(), "over the limit: 2 at once, 1 allowed");
        drop(first);
        let third = Arc::clone(&work).begin(Some("a".to_owned())).unwrap();
        let expected = Witness {
            slots: 1,
            now: 1,
            peak: 2,
            overlaps: 1,
            executions: 2,
            requests: HashMap::from([("a".to_owned(), 2)]),
        };
        assert_eq!(work.witness(), expected);
        drop(third);
        assert_eq!(work.witness().now, 0);
    }

    #[test]
    fn what_is_over_the_limit_may_be_worked_on_and_is_counted() {
        let work = Arc::new(Work::new(1, Over::Work));
        let both = ["a", "b"].map(|id| Arc::clone(&work).begin(Some(id.to_owned())).unwrap());
        let Witness { now, peak, overlaps, executions, .. } = work.witness();
        assert_eq!((now, peak, overlaps, executions), (2, 2, 1, 2));
        drop(both);
        assert_eq!((work.now(), work.begun("a"), work.begun("c")), (0, 1, 0));
    }

    #[test]
    fn only_the_last_request_ids_are_remembered() {
        let work = Arc::new(Work::new(1, Over::Refuse));
        for id in 0..=REMEMBERED {
            drop(Arc::clone(&work).begin(Some(id.to_string())).unwrap());
        }
        drop(Arc::clone(&work).begin(Some("x".repeat(LONGEST_ID + 1))).unwrap());
        let requests = work.witness().requests;
        assert_eq!((requests.len(), requests.get("0"), requests.get("1")), (REMEMBERED, None, Some(&1)));
        assert_eq!(work.lock().ids.len(), REMEMBERED);
    }
}
