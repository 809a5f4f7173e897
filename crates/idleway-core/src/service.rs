//! How long the work of a pool takes: a distribution that follows what is served, in fixed memory and without a clock.

use std::time::Duration;

/// The bits of a number of seconds that tell its bucket: the exponent and two bits behind the leading one. So there
/// are four buckets to each doubling, 14 to 25 % wide, and none needs a logarithm.
const SHIFT: u32 = 50;
/// The first bucket begins at 2^-14 s (61 us); what is shorter falls into it as well.
const FIRST: u64 = (1023 - 14) << 2;
/// The last bucket ends at 2^12 s (68 min); what is longer falls into it as well.
const END: u64 = (1023 + 12) << 2;
const BUCKETS: usize = 26 * 4;
/// When the samples weigh so much together, each of them loses half of its weight.
const MEMORY: f64 = 1024.0;
/// Samples that are alike and weigh less than this after fading are forgotten.
const FORGOTTEN: f64 = 0.25;

/// The service times of a pool, in seconds.
#[derive(Debug)]
pub(crate) struct Service {
    buckets: Box<[Bucket; BUCKETS]>,
    all: Bucket,
}

/// Samples that are alike.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    weight: f64,
    /// Their weighted sum: so the mean of a bucket is exact, however wide it is.
    sum: f64,
}

impl Service {
    pub(crate) fn new() -> Self {
        Self { buckets: Box::new([Bucket::default(); BUCKETS]), all: Bucket::default() }
    }

    /// Something was served in this time. O(1), but for the fading at every some hundredth sample.
    pub(crate) fn learn(&mut self, service: Duration) {
        let seconds = service.as_secs_f64();
        for bucket in [&mut self.buckets[bucket_of(seconds)], &mut self.all] {
            bucket.weight += 1.0;
            bucket.sum += seconds;
        }
        if self.all.weight >= MEMORY {
            self.fade();
        }
    }

    fn fade(&mut self) {
        self.all = Bucket::default();
        for bucket in self.buckets.iter_mut() {
            // A single sample would go on to speak for all that are as long, however many were shorter since.
            let is_forgotten = bucket.weight / 2.0 < FORGOTTEN;
            let part = if is_forgotten { 0.0 } else { 0.5 };
            bucket.weight *= part;
            bucket.sum *= part;
            self.all.weight += bucket.weight;
            self.all.sum += bucket.sum;
        }
    }

    /// How much the samples weigh, one each while they are new.
    pub(crate) const fn samples(&self) -> f64 {
        self.all.weight
    }

    /// The mean in seconds; `None` until something was served.
    pub(crate) fn mean(&self) -> Option<f64> {
        self.all.mean()
    }

    /// The variance as a multiple of the mean's square: 0 where all work takes equally long, 1 where it is
    /// memoryless.
    pub(crate) fn squared_variation(&self) -> f64 {
        let Some(mean) = self.mean().filter(|&mean| mean > 0.0) else {
            return 0.0;
        };
        let square = |bucket: &Bucket| bucket.mean().map_or(0.0, |mean| bucket.weight * mean * mean);
        let squares: f64 = self.buckets.iter().map(square).sum();
        (squares / self.all.weight / (mean * mean) - 1.0).max(0.0)
    }

    /// The time in seconds within which the part `q` (0 to 1) of the work is served; `None` until something was.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let mut wanted = self.all.weight * q;
        let mut last = None;
        for bucket in self.buckets.iter() {
            last = bucket.mean().or(last);
            wanted -= bucket.weight;
            if wanted <= 0.0 && last.is_some() {
                break;
            }
        }
        last
    }

    /// What is needed to say how much longer running work will take. Costs one pass over the buckets.
    pub(crate) fn survival(&self) -> Survival<'_> {
        let mut above = [Bucket::default(); BUCKETS];
        let mut sum = Bucket::default();
        for (above, bucket) in above.iter_mut().zip(self.buckets.iter()).rev() {
            *above = sum;
            sum.weight += bucket.weight;
            sum.sum += bucket.sum;
        }
        Survival { service: self, above }
    }
}

impl Bucket {
    fn mean(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

/// The service times that are longer than some.
#[derive(Debug)]
pub(crate) struct Survival<'a> {
    service: &'a Service,
    /// The sum of all buckets above each.
    above: [Bucket; BUCKETS],
}

impl Survival<'_> {
    /// How much longer, in seconds, work is expected to take that has run for `age` seconds. Work that has run for
    /// longer than anything before is expected to take as long again.
    pub(crate) fn remaining(&self, age: f64) -> f64 {
        let index = bucket_of(age);
        let (own, above) = (self.service.buckets[index], self.above[index]);
        // Of those in its own bucket: all, or, past their mean, the part that may be expected to be longer.
        let (weight, ends) = match own.mean() {
            Some(mean) if age < mean => (own.weight, mean),
            _ => (own.weight * part_above(index, age), age.midpoint(bounds(index).1.max(age))),
        };
        let surviving = weight + above.weight;
        if surviving > 0.0 { ((weight * ends + above.sum) / surviving - age).max(0.0) } else { age }
    }

    /// How likely work that has run for `age` seconds runs for `more` seconds at least. Of work that has run for longer
    /// than anything before, half is expected to run as long again.
    pub(crate) fn outlives(&self, age: f64, more: f64) -> f64 {
        let now = self.longer_than(age);
        if now > 0.0 { self.longer_than(age + more) / now } else { age / (age + more).max(f64::MIN_POSITIVE) }
    }

    fn longer_than(&self, time: f64) -> f64 {
        let index = bucket_of(time);
        self.above[index].weight + self.service.buckets[index].weight * part_above(index, time)
    }
}

fn bucket_of(seconds: f64) -> usize {
    let bits = (seconds.max(0.0).to_bits() >> SHIFT).clamp(FIRST, END - 1);
    usize::try_from(bits - FIRST).unwrap_or_default()
}

/// Where a bucket begins and ends, in seconds.
fn bounds(index: usize) -> (f64, f64) {
    let bound = |index: usize| f64::from_bits((FIRST + index as u64) << SHIFT);
    (bound(index), bound(index + 1))
}

/// Which part of a bucket lies above a time, if it is filled evenly.
fn part_above(index: usize, time: f64) -> f64 {
    let (from, to) = bounds(index);
    ((to - time) / (to - from)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn of(times: &[f64]) -> Service {
        let mut service = Service::new();
        times.iter().for_each(|&time| service.learn(seconds(time)));
        service
    }

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() <= right.abs() * 0.02
    }

    #[test]
    fn every_time_falls_between_the_bounds_of_its_bucket() {
        let mut last = 0;
        let mut time = bounds(0).0;
        while time < 4096.0 {
            let index = bucket_of(time);
            assert!(index == last || index == last + 1, "no bucket is left out: {index} after {last}");
            let (from, to) = bounds(index);
            assert!(from <= time && time < to && to <= from * 1.2501, "{from} {time} {to}");
            last = index;
            time *= 1.02;
        }
        assert_eq!(last, BUCKETS - 1);
        assert_eq!((bucket_of(0.0), bucket_of(1e9), bucket_of(f64::MAX)), (0, BUCKETS - 1, BUCKETS - 1));
    }

    #[test]
    fn nothing_is_claimed_before_something_was_served() {
        let service = Service::new();
        assert_eq!((service.mean(), service.quantile(0.5)), (None, None));
        assert_eq!(service.squared_variation(), 0.0);
    }

    #[test]
    fn mean_quantiles_and_variation_are_those_of_the_samples() {
        let mut times = vec![0.005; 900];
        times.extend([0.155; 100]);
        let service = of(&times);
        assert!(close(service.mean().unwrap(), 0.02));
        assert!(close(service.quantile(0.5).unwrap(), 0.005));
        assert!(close(service.quantile(0.89).unwrap(), 0.005));
        assert!(close(service.quantile(0.95).unwrap(), 0.155));
        assert!(close(service.quantile(1.0).unwrap(), 0.155));
        // 0.9 * 0.015^2 + 0.1 * 0.135^2 = 0.002025; over 0.02^2.
        assert!(close(service.squared_variation(), 5.0625));
        assert!(of(&[3.0; 10]).squared_variation() < 1e-9);
    }

    #[test]
    fn what_remains_follows_from_what_is_longer() {
        let mut times = vec![0.005; 90];
        times.extend([0.155; 10]);
        let service = of(&times);
        let survival = service.survival();
        assert!(close(survival.remaining(0.0), 0.02));
        assert!(close(survival.remaining(0.050), 0.105), "it is one of the long ones");
        assert!(survival.remaining(0.156) < 0.01, "it should be over by now");
        assert!(close(survival.remaining(2.0), 2.0), "longer than any: as long again");
        assert!(close(survival.remaining(20_000.0), 20_000.0));
        assert!(close(survival.outlives(0.0, 0.050), 0.1));
        assert!(close(survival.outlives(0.050, 0.050), 1.0));
        assert!(close(survival.outlives(2.0, 2.0), 0.5));
    }

    #[test]
    fn memoryless_work_has_no_age() {
        let mut service = Service::new();
        for i in 0..1000 {
            service.learn(seconds(-(1.0 - (f64::from(i) + 0.5) / 1000.0).ln()));
        }
        let survival = service.survival();
        for age in [0.0, 0.3, 1.0, 2.0] {
            let rest = survival.remaining(age);
            assert!((0.85..1.15).contains(&rest), "{rest} after {age}");
            let lives = survival.outlives(age, 1.0);
            assert!((0.32..0.42).contains(&lives), "{lives} after {age}");
        }
        assert!((0.9..1.1).contains(&service.squared_variation()));
    }

    #[test]
    fn a_single_sample_does_not_count_for_ever() {
        let mut service = of(&[3000.0]);
        (0..3000).for_each(|_| service.learn(seconds(0.01)));
        assert!(close(service.mean().unwrap(), 0.01), "{service:?}");
        let rest = service.survival().remaining(1.0);
        assert!(close(rest, 1.0), "nothing is known that is longer: {rest}");
    }

    #[test]
    fn what_is_long_ago_fades() {
        let mut service = of(&[20.0; 3000]);
        (0..4000).for_each(|_| service.learn(seconds(4.0)));
        assert!(service.mean().unwrap() < 4.5, "{service:?}");
        assert!(close(service.quantile(0.95).unwrap(), 4.0));
    }
}
