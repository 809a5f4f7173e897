//! A pool, as it was told: its slots, its line, and what requests came to in the last minutes.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::backend::{Backend, Slots};

/// So many points are kept: as many as there are columns for.
const KEPT: usize = 180;
/// Rates are those of so many points, a quarter of a minute: of fewer they jump.
const RECENT: usize = 3;
/// A time to an answer that is older than so many points is none any more.
const LASTS: usize = 12;
/// A point stands for so long, in seconds, where nothing says otherwise.
const STEP: f64 = 5.0;

#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    pub(super) slots: Slots,
    pub(super) queue: Queue,
    /// How long a newcomer would wait, in seconds.
    pub(super) estimate: Option<f64>,
    pub(super) backends: BTreeMap<u64, Backend>,
    points: VecDeque<Point>,
}

/// The line.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    pub(super) length: u64,
    pub(super) waiting: u64,
    pub(super) longest_wait: Option<f64>,
}

/// What requests came to within a few seconds.
#[derive(Debug, Clone, Copy)]
struct Point {
    at: f64,
    requests: f64,
    refused: f64,
    failed: f64,
    latency: Option<[f64; 3]>,
}

/// How many requests, in a second or altogether.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rates {
    pub(super) requests: f64,
    pub(super) refused: f64,
    pub(super) failed: f64,
}

impl Pool {
    /// Takes in how it stands; its backends and its points are told apart from it.
    pub(super) fn see(&mut self, told: &Value) {
        let (queue, number) = (&told["queue"], |value: &Value| value.as_u64().unwrap_or_default());
        self.slots = Slots::of(&told["slots"]);
        self.queue = Queue {
            length: number(&queue["length"]),
            waiting: number(&queue["waiting"]),
            longest_wait: queue["longest_wait_seconds"].as_f64(),
        };
        self.estimate = told["estimate"]["wait_seconds"].as_f64();
    }

    /// Takes in a point.
    pub(super) fn note(&mut self, told: &Value) {
        let number = |nth: usize| told[nth].as_f64();
        let Some(at) = number(0) else { return };
        let latency = [number(4), number(5), number(6)];
        self.points.push_back(Point {
            at,
            requests: number(1).unwrap_or_default(),
            refused: number(2).unwrap_or_default(),
            failed: number(3).unwrap_or_default(),
            latency: if let [Some(p50), Some(p95), Some(p99)] = latency {
                Some([p50, p95, p99])
            } else {
                None
            },
        });
        if self.points.len() > KEPT {
            self.points.pop_front();
        }
    }

    /// None where nothing has been told yet.
    pub(super) fn rates(&self) -> Option<Rates> {
        let sums = self.recent();
        let seconds: f64 = (0..self.points.len()).rev().take(RECENT).map(|nth| self.step(nth)).sum();
        (seconds > 0.0).then(|| Rates {
            requests: sums.requests / seconds,
            refused: sums.refused / seconds,
            failed: sums.failed / seconds,
        })
    }

    /// How many there were in the last quarter of a minute.
    pub(super) fn recent(&self) -> Rates {
        let mut sums = Rates::default();
        for point in self.points.iter().rev().take(RECENT) {
            sums.requests += point.requests;
            sums.refused += point.refused;
            sums.failed += point.failed;
        }
        sums
    }

    /// Whether requests fare badly: some were refused or have failed just now, or they wait and no slot is there for them.
    pub(super) fn fares_badly(&self, now: f64) -> bool {
        let recent = self.recent();
        let has_idle = || self.backends.values().any(|backend| backend.has_idle(now));
        recent.refused > 0.0 || recent.failed > 0.0 || (self.queue.waiting > 0 && !has_idle())
    }

    /// How long the point stands for.
    fn step(&self, nth: usize) -> f64 {
        let at = |nth: usize| self.points.get(nth).map(|point| point.at);
        let since = nth.checked_sub(1).and_then(at).zip(at(nth)).map(|(before, at)| at - before);
        since.filter(|step| *step > 0.0).unwrap_or(STEP)
    }

    /// The time to the first byte of an answer, in seconds: p50, p95 and p99 of the last point that has had one.
    pub(super) fn latency(&self) -> Option<[f64; 3]> {
        self.points.iter().rev().take(LASTS).find_map(|point| point.latency)
    }

    /// Requests of the last points, the newest at the end: so many of them.
    pub(super) fn requests(&self, count: usize) -> impl Iterator<Item = f64> {
        let skipped = self.points.len().saturating_sub(count);
        self.points.iter().skip(skipped).map(|point| point.requests)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rates_are_those_of_the_last_points() {
        let mut pool = Pool::default();
        assert_eq!(pool.rates(), None);
        pool.note(&json!([100.0, 20, 0, 0, null, null, null, 0, 0]));
        let of = |requests, refused, failed| Some(Rates { requests, refused, failed });
        assert_eq!(pool.rates(), of(4.0, 0.0, 0.0));
        pool.note(&json!([110.0, 10, 3, 6, 0.1, 0.2, 0.3, 0, 0]));
        assert_eq!(pool.rates(), of(2.0, 0.2, 0.4));
        assert_eq!(pool.latency(), Some([0.1, 0.2, 0.3]));
        (0..200).for_each(|nth| pool.note(&json!([115 + 5 * nth, 0, 0, 0, null, null, null, 0, 0])));
        assert_eq!((pool.rates(), pool.latency()), (of(0.0, 0.0, 0.0), None));
        assert_eq!(pool.requests(4).count(), 4);
        assert_eq!(pool.requests(1000).count(), KEPT);
    }

    #[test]
    fn requests_fare_badly_where_they_end_or_wait_in_vain() {
        let pool = |waiting: u64, backend: Value| {
            let mut pool = Pool::default();
            pool.see(&json!({ "queue": { "waiting": waiting } }));
            pool.backends.insert(1, Backend::of(&backend));
            pool
        };
        let idle = json!({ "idle": 1 });
        for (waiting, backend, is_bad) in [
            (0, json!({ "slots": { "busy": 1 } }), false),
            (1, json!({ "slots": { "busy": 1 } }), true),
            // It is about to have it.
            (1, json!({ "slots": idle }), false),
            (1, json!({ "slots": idle, "health": "down" }), true),
            (1, json!({ "slots": idle, "mode": "drain" }), true),
            (1, json!({ "slots": idle, "rests_until_unix_seconds": 101.0 }), true),
            (1, json!({ "slots": idle, "rests_until_unix_seconds": 99.0 }), false),
        ] {
            assert_eq!(pool(waiting, backend.clone()).fares_badly(100.0), is_bad, "{waiting} {backend}");
        }
        for (refused, failed) in [(1, 0), (0, 1)] {
            let mut pool = pool(0, json!({ "slots": idle }));
            pool.note(&json!([100, 9, refused, failed]));
            assert!(pool.fares_badly(100.0));
            // Within 15 s.
            (0..RECENT).for_each(|nth| pool.note(&json!([105 + 5 * nth, 9, 0, 0])));
            assert!(!pool.fares_badly(115.0));
        }
    }
}
