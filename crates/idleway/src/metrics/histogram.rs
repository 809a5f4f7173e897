//! How long things take, counted in buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in seconds: one layout for all that is measured, from a cache's answer to a long
/// piece of work. What takes longer than the last is in a bucket without a bound.
pub(crate) const BOUNDS: [f64; 18] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
    600.0,
];

const NANOS: [u64; BOUNDS.len()] = {
    const MICROS: [u64; BOUNDS.len()] = [
        1_000,
        2_500,
        5_000,
        10_000,
        25_000,
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        30_000_000,
        60_000_000,
        120_000_000,
        300_000_000,
        600_000_000,
    ];
    let mut nanos = [0; BOUNDS.len()];
    let mut nth = 0;
    while nth < nanos.len() {
        nanos[nth] = MICROS[nth] * 1_000;
        nth += 1;
    }
    nanos
};

/// One core's part of a histogram.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Buckets {
    pub(super) fn add(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = NANOS.partition_point(|bound| *bound < nanos);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// A histogram as it stands: how many took at most as long as each bound, all of them, and how long together.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Histogram {
    /// By [`BOUNDS`], each with those of the bounds before it.
    pub(crate) within: [u64; BOUNDS.len()],
    pub(crate) count: u64,
    /// In seconds.
    pub(crate) sum: f64,
}

impl Histogram {
    pub(super) fn of(parts: &[&Buckets]) -> Self {
        let mut counts = [0; BOUNDS.len() + 1];
        let mut nanos = 0u64;
        for part in parts {
            counts
                .iter_mut()
                .zip(&part.counts)
                .for_each(|(sum, count)| *sum += count.load(Ordering::Relaxed));
            nanos = nanos.wrapping_add(part.nanos.load(Ordering::Relaxed));
        }
        let mut histogram = Self { sum: Duration::from_nanos(nanos).as_secs_f64(), ..Self::default() };
        for (within, count) in histogram.within.iter_mut().zip(counts) {
            histogram.count += count;
            *within = histogram.count;
        }
        // The sum of what is shown: a count that came meanwhile is in the next look.
        histogram.count += counts[BOUNDS.len()];
        histogram
    }
}

/// For whoever looks on.
#[cfg(any(feature = "admin", test))]
impl Histogram {
    /// Adds another one to it.
    pub(crate) fn add(&mut self, other: &Self) {
        self.within.iter_mut().zip(other.within).for_each(|(own, other)| *own += other);
        self.count += other.count;
        self.sum += other.sum;
    }

    /// What came since then; all of it, where less was counted since then than before, and so it has begun anew.
    pub(crate) fn since(&self, before: &Self) -> Self {
        if self.count < before.count {
            return self.clone();
        }
        let mut since = self.clone();
        since
            .within
            .iter_mut()
            .zip(before.within)
            .for_each(|(own, before)| *own = own.saturating_sub(before));
        since.count -= before.count;
        since.sum -= before.sum;
        since
    }

    /// The time in seconds within which this share of them was, from 0 to 1, as well as the buckets tell it: those of a
    /// bucket are taken to be spread evenly over it. None where there are none.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "an estimate; exact up to 2^53")]
        let exact = |count: u64| count as f64;
        let rank = exact(self.count) * share;
        let (mut bound_before, mut within_before) = (0.0, 0);
        for (bound, within) in BOUNDS.iter().zip(self.within) {
            if within > within_before && exact(within) >= rank {
                let part = (rank - exact(within_before)) / exact(within - within_before);
                return Some(bound_before + (bound - bound_before) * part.max(0.0));
            }
            (bound_before, within_before) = (*bound, within);
        }
        // Longer than the last bound: nobody knows by how much.
        (self.count > 0).then_some(bound_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_the_same_in_both_units() {
        for (seconds, nanos) in BOUNDS.iter().zip(NANOS) {
            assert_eq!(Duration::from_secs_f64(*seconds), Duration::from_nanos(nanos));
        }
        assert!(NANOS.is_sorted());
    }

    #[test]
    fn a_quantile_lies_where_the_buckets_say() {
        let parts = Buckets::default();
        let before = Histogram::of(&[&parts]);
        assert_eq!(before.quantile(0.5), None);
        (0..90).for_each(|_| parts.add(Duration::from_millis(40)));
        (0..10).for_each(|_| parts.add(Duration::from_secs(2)));
        let all = Histogram::of(&[&parts]);
        let within = |share, from: f64, to: f64| {
            let time = all.quantile(share).unwrap();
            assert!((from..=to).contains(&time), "{share}: {time}");
        };
        within(0.5, 0.025, 0.05);
        within(0.95, 1.0, 2.5);
        parts.add(Duration::from_secs(1000));
        let last = Histogram::of(&[&parts]).since(&all);
        assert_eq!((last.count, last.quantile(0.5)), (1, Some(600.0)));
        assert_eq!(before.since(&last), before);
    }

    #[test]
    fn a_time_is_within_each_bound_that_is_not_shorter() {
        let parts = [Buckets::default(), Buckets::default()];
        for (nth, millis) in [0, 1, 2, 40, 600_000, 600_001].into_iter().enumerate() {
            parts[nth % 2].add(Duration::from_millis(millis));
        }
        let histogram = Histogram::of(&[&parts[0], &parts[1]]);
        assert_eq!((histogram.count, histogram.within[0], histogram.within[1]), (6, 2, 3));
        assert_eq!((histogram.within[4], histogram.within[5]), (3, 4));
        assert_eq!(histogram.within[BOUNDS.len() - 1], 5);
        assert!((histogram.sum - 1200.044).abs() < 1e-9, "{}", histogram.sum);
    }
}
