//! How times are spread, finely enough to say which of them most were within: [`Histogram`](super::Histogram) is for those who add up
//! many gateways, and its buckets are as wide as what they hold.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What is shorter is told as that: 2^20 ns, a millisecond.
const FIRST: u32 = 20;
/// What is longer is told as that: 2^40 ns, 18 minutes.
const LAST: u32 = 40;
/// So many parts, as a power of two, has the time up to `FIRST`, and each after it that is twice as long as the one before: what is told
/// is wrong by a thirtieth at most.
const PARTS: u32 = 4;
const BUCKETS: usize = ((LAST - FIRST + 1) << PARTS) as usize;

/// One core's part.
#[derive(Debug)]
pub(super) struct Times([AtomicU32; BUCKETS]);

/// How many there were of each time.
#[derive(Debug, Clone)]
pub(crate) struct Spread([u32; BUCKETS]);

impl Default for Times {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::default()))
    }
}

impl Default for Spread {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Times {
    pub(super) fn add(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
    }
}

fn bucket(nanos: u64) -> usize {
    let nanos = nanos.min((1 << LAST) - 1);
    let octave = nanos.checked_ilog2().unwrap_or_default().max(FIRST - 1);
    // The first one has no octave of its own: it reaches down to nothing.
    let (nth, parts) = if octave < FIRST {
        (0, nanos >> (FIRST - PARTS))
    } else {
        (octave + 1 - FIRST, (nanos >> (octave - PARTS)) - (1 << PARTS))
    };
    usize::try_from((u64::from(nth) << PARTS) + parts).unwrap_or(BUCKETS - 1)
}

/// The middle of a bucket, in seconds.
fn middle(bucket: usize) -> f64 {
    let (nth, part) = (bucket >> PARTS, bucket & ((1 << PARTS) - 1));
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let part = part as f64 + 0.5;
    let wide = |octave: u32| Duration::from_nanos(1 << (octave - PARTS)).as_secs_f64();
    match u32::try_from(nth).unwrap_or_default() {
        0 => part * wide(FIRST),
        nth => (part + f64::from(1 << PARTS)) * wide(FIRST - 1 + nth),
    }
}

impl Spread {
    pub(super) fn of(parts: &[&Times]) -> Self {
        let mut spread = Self::default();
        for part in parts {
            let counts = spread.0.iter_mut().zip(&part.0);
            counts.for_each(|(sum, count)| *sum = sum.wrapping_add(count.load(Ordering::Relaxed)));
        }
        spread
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own = own.wrapping_add(other));
    }

    /// What came since then; all of it, where there was less of a time than before: it has begun anew.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let mut since = self.clone();
        for (own, before) in since.0.iter_mut().zip(before.0) {
            *own = own.wrapping_sub(before);
            // A count that only grows, and is looked at often, has not grown by so much.
            if *own > u32::MAX / 2 {
                return self.clone();
            }
        }
        since
    }

    /// The time in seconds within which this share of them was, from 0 to 1. None where there are none.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let count: u64 = self.0.iter().map(|count| u64::from(*count)).sum();
        #[expect(clippy::cast_precision_loss, reason = "an estimate; exact up to 2^53")]
        let rank = (count as f64 * share).ceil().max(1.0);
        let mut within = 0.0;
        for (bucket, count) in self.0.iter().enumerate() {
            within += f64::from(*count);
            if within >= rank {
                return Some(middle(bucket));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[Duration]) -> Spread {
        let part = Times::default();
        times.iter().for_each(|time| part.add(*time));
        Spread::of(&[&part])
    }

    #[test]
    fn a_time_is_told_nearly_as_it_was() {
        for micros in [1_048, 1_049, 1_999, 25_800, 3_000_000, 41_600_000, 1_000_000_000] {
            let time = Duration::from_micros(micros);
            let told = of(&[time]).quantile(0.5).unwrap() / time.as_secs_f64();
            assert!((told - 1.0).abs() <= 1.0 / 30.0, "{time:?}: {told}");
        }
        let short = of(&[Duration::ZERO]).quantile(1.0).unwrap();
        assert!(short < 0.0001, "{short}");
        let long = of(&[Duration::from_secs(1 << 40)]).quantile(0.0).unwrap();
        assert!((1000.0..1100.0).contains(&long), "{long}");
    }

    #[test]
    fn buckets_follow_one_another_without_a_gap() {
        let mut before = 0;
        for nanos in (0..1 << 22).step_by(997).chain((22..41).map(|octave| 1 << octave)) {
            let now = bucket(nanos);
            assert!(now >= before && now < BUCKETS, "{nanos}");
            assert!(nanos > 1 << 22 || now <= before + 1, "{nanos}: {before} {now}");
            before = now;
        }
        assert_eq!(before, BUCKETS - 1);
    }

    #[test]
    fn a_quantile_is_of_what_came_since() {
        let (before, slow) = (of(&[Duration::from_secs(60); 5]), [Duration::from_secs(2); 10]);
        assert_eq!(Spread::default().quantile(0.5), None);
        let mut all = of(&[Duration::from_millis(40); 90]);
        all.add(&of(&slow));
        all.add(&before);
        let since = all.since(&before);
        let near = |share: f64, seconds: f64| {
            let told = since.quantile(share).unwrap();
            assert!((told / seconds - 1.0).abs() < 0.04, "{share}: {told}");
        };
        near(0.5, 0.04);
        near(0.9, 0.04);
        near(0.95, 2.0);
        // Other series than before, after a reload.
        assert_eq!(of(&slow).since(&all).quantile(0.5), of(&slow).quantile(0.5));
    }
}
