//! The last minutes of each pool, in points a few seconds apart.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::past::unix_seconds;
use crate::live::Live;
use crate::metrics::Spread;

/// A point stands for so long, and so many are kept: 15 minutes.
const STEP: Duration = Duration::from_secs(5);
const KEPT: usize = 180;
/// Of so many pools, by their names: what is kept is bounded.
const POOLS: usize = 256;

/// What requests of a pool came to within a step: when it was over, how many there were, how many of them were refused for want of a
/// Slot, how many failed, the time to the first byte of the answer (p50, p95, p99, in seconds, where there was one), and how many
/// Slots were taken and requests waited at its end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Point(f64, u64, u64, u64, Option<f64>, Option<f64>, Option<f64>, u64, u64);

#[derive(Debug, Default)]
pub(super) struct History(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    round: u64,
    pools: BTreeMap<String, Past>,
}

#[derive(Debug, Default)]
struct Past {
    points: VecDeque<Point>,
    sums: Sums,
}

/// What was counted of a pool since the start.
#[derive(Debug, Clone, Default)]
struct Sums {
    requests: u64,
    refused: u64,
    failed: u64,
    first_bytes: Spread,
}

impl History {
    /// Notes a point of each pool now and then, for as long as it is polled.
    pub(super) async fn keep(&self, live: &Live) {
        self.note(live, false);
        let mut steps = tokio::time::interval(STEP);
        steps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        steps.tick().await;
        loop {
            steps.tick().await;
            self.note(live, true);
        }
    }

    fn note(&self, live: &Live, is_point: bool) {
        let snapshot = live.snapshot();
        let mut sums: BTreeMap<&str, Sums> = BTreeMap::new();
        let series = snapshot.distinct_series();
        for series in series.iter().filter(|series| !series.pool.is_empty()) {
            let sums = sums.entry(&series.pool).or_default();
            for (code, count) in series.codes() {
                sums.requests += count;
                sums.failed += if code.starts_with('5') { count } else { 0 };
            }
            // The status was a good one, and the answer was none.
            sums.failed += series.cut();
            for (reason, count) in series.rejected().filter(|(reason, _)| is_refusal(reason)) {
                sums.refused += count;
                // What was refused is told as that, and not as failed too.
                sums.failed = sums.failed.saturating_sub(if reason == "key-busy" { 0 } else { count });
            }
            sums.first_bytes.add(&series.first_bytes());
        }
        let at = unix_seconds(SystemTime::now());
        let mut kept = self.kept();
        kept.pools.retain(|name, _| snapshot.pools().iter().any(|pool| pool.name == *name));
        for pool in snapshot.pools().iter().take(POOLS) {
            let counts = pool.slots.counts();
            let now = sums.remove(pool.name.as_str()).unwrap_or_default();
            let past = kept.pools.entry(pool.name.clone()).or_default();
            if is_point {
                let taken = counts.busy + counts.lingering + counts.resting;
                past.points.push_back(now.since(&past.sums, at, taken, counts.waiting));
                if past.points.len() > KEPT {
                    past.points.pop_front();
                }
            }
            past.sums = now;
        }
        kept.round += u64::from(is_point);
    }

    /// How many points there were.
    pub(super) fn round(&self) -> u64 {
        self.kept().round
    }

    /// All that is kept, by pool.
    pub(super) fn all(&self) -> BTreeMap<String, Vec<Point>> {
        let all = |past: &Past| past.points.iter().copied().collect();
        self.kept().pools.iter().map(|(name, past)| (name.clone(), all(past))).collect()
    }

    /// The last point of each pool.
    pub(super) fn last(&self) -> BTreeMap<String, Vec<Point>> {
        let last = |past: &Past| past.points.back().copied().into_iter().collect();
        self.kept().pools.iter().map(|(name, past)| (name.clone(), last(past))).collect()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the gateway said so since it had no Slot to give.
fn is_refusal(reason: &str) -> bool {
    matches!(
        reason,
        "busy"
            | "queue-full"
            | "key-busy"
            | "displaced"
            | "wait-over"
            | "too-late"
            | "no-backend-up"
            | "draining"
            | "no-slot"
    )
}

impl Sums {
    /// What came since then. A count that is smaller than it was has begun anew.
    fn since(&self, before: &Self, at: f64, taken: u64, waiting: u64) -> Point {
        let more = |now: u64, before: u64| if now < before { now } else { now - before };
        let first_bytes = self.first_bytes.since(&before.first_bytes);
        Point(
            at,
            more(self.requests, before.requests),
            more(self.refused, before.refused),
            more(self.failed, before.failed),
            first_bytes.quantile(0.5),
            first_bytes.quantile(0.95),
            first_bytes.quantile(0.99),
            taken,
            waiting,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_what_came_since_the_one_before() {
        let before = Sums { requests: 10, refused: 2, failed: 1, ..Sums::default() };
        let now = Sums { requests: 15, refused: 2, failed: 4, ..Sums::default() };
        assert_eq!(now.since(&before, 7.0, 3, 1), Point(7.0, 5, 0, 3, None, None, None, 3, 1));
        // Other series than before, after a reload.
        let anew = Sums { requests: 4, ..Sums::default() };
        assert_eq!(anew.since(&now, 12.0, 0, 0), Point(12.0, 4, 0, 0, None, None, None, 0, 0));
    }
}
