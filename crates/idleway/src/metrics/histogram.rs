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
