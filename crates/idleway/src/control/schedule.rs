//! When each backend of a pool is probed: evenly spread in time, however many there are; and each in its turn where not all
//! can be probed at once.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::time::{Duration, Instant};

use idleway_core::BackendKey;

/// The next probe of each backend, the earliest first.
#[derive(Debug)]
pub(super) struct Schedule {
    every: Duration,
    due: BinaryHeap<Reverse<(Instant, BackendKey)>>,
    known: HashSet<BackendKey>,
    /// How many were ever added.
    added: u64,
}

/// The golden ratio in parts of 2^64: its multiples fall evenly into a circle, however many there are.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Schedule {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, due: BinaryHeap::new(), known: HashSet::new(), added: 0 }
    }

    /// From now on these are probed: those that are new for the first time within one interval.
    pub(super) fn set(&mut self, now: Instant, keys: HashSet<BackendKey>) {
        let mut new: Vec<_> = keys.difference(&self.known).copied().collect();
        new.sort_unstable();
        for key in new {
            let part = self.added.wrapping_mul(GOLDEN) as f64 / u64::MAX as f64;
            self.added += 1;
            self.due.push(Reverse((now + self.every.mul_f64(part), key)));
        }
        self.due.retain(|Reverse((_, key))| keys.contains(key));
        self.known = keys;
    }

    /// When something is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// One that is due, which will be due again after an interval.
    pub(super) fn pop(&mut self, now: Instant) -> Option<BackendKey> {
        while self.next().is_some_and(|at| at <= now) {
            let Reverse((at, key)) = self.due.pop()?;
            if self.known.contains(&key) {
                // Where it came late it keeps its place in the circle, unless that is past.
                let next = at + self.every;
                self.due.push(Reverse((if next > now { next } else { now + self.every }, key)));
                return Some(key);
            }
        }
        None
    }
}

/// Whose turn it is among backends that come and go: each has one before any has another.
#[derive(Debug, Default)]
pub(super) struct Turn(u64);

impl Turn {
    /// The next one. `from` answers the first backend at or after a key.
    pub(super) fn next(&mut self, from: impl Fn(BackendKey) -> Option<BackendKey>) -> Option<BackendKey> {
        let key = from(BackendKey(self.0)).or_else(|| from(BackendKey(0)))?;
        self.0 = key.0.wrapping_add(1);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const EVERY: Duration = Duration::from_secs(2);

    fn keys(count: u64) -> HashSet<BackendKey> {
        (0..count).map(BackendKey).collect()
    }

    #[test]
    fn a_thousand_backends_are_not_probed_in_one_beat() {
        let start = Instant::now();
        let mut schedule = Schedule::new(EVERY);
        schedule.set(start, keys(1000));
        for round in 0..3 {
            for beat in 0..200 {
                let now = start + EVERY * round + Duration::from_millis(10) * (beat + 1);
                let due = std::iter::from_fn(|| schedule.pop(now)).count();
                assert!((3..=7).contains(&due), "{due} within 10 ms, where 5 would be even");
            }
        }
    }

    #[test]
    fn each_is_probed_once_an_interval_and_the_gone_are_not() {
        let start = Instant::now();
        let mut schedule = Schedule::new(EVERY);
        schedule.set(start, keys(3));
        let mut round = |to: Duration| {
            let mut probed: Vec<_> =
                std::iter::from_fn(|| schedule.pop(start + to)).map(|key| key.0).collect();
            probed.sort_unstable();
            if to == EVERY {
                schedule.set(start + to, HashSet::from([BackendKey(1), BackendKey(7)]));
            }
            probed
        };
        assert_eq!(round(EVERY), [0, 1, 2]);
        assert_eq!(round(2 * EVERY), [1, 7]);
        assert_eq!(round(3 * EVERY), [1, 7]);
    }

    #[test]
    fn who_was_forgotten_for_long_is_probed_once_and_not_for_each_missed_turn() {
        let start = Instant::now();
        let mut schedule = Schedule::new(EVERY);
        schedule.set(start, keys(1));
        assert_eq!(schedule.pop(start + 100 * EVERY), Some(BackendKey(0)));
        assert_eq!(schedule.pop(start + 100 * EVERY), None);
        assert_eq!(schedule.next(), Some(start + 101 * EVERY));
    }

    /// Those that come back at once keep nobody from his turn.
    #[test]
    fn each_has_a_turn_before_any_has_another() {
        let mut turn = Turn::default();
        let waiting: BTreeSet<_> = [3, 5, 9, u64::MAX].map(BackendKey).into();
        let mut next = || turn.next(|key| waiting.range(key..).next().copied()).map(|key| key.0);
        assert_eq!([(); 6].map(|()| next()), [3, 5, 9, u64::MAX, 3, 5].map(Some));
        assert_eq!(turn.next(|_| None), None);
    }
}
