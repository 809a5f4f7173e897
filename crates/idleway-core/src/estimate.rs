//! What a newcomer may expect: how long it would wait, and how long its work would take.

use std::time::Duration;

use crate::service::{Service, Survival};

/// The part of the memoryless that ends within its mean: 1 - 1/e.
const TYPICAL: f64 = 0.632;

/// What a newcomer may expect of a pool. `None` until something was served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimate {
    /// How long it would wait for a slot, if it came now; `None` also while no backend is up.
    pub wait: Option<Duration>,
    /// Half of the work holds its slot for no longer.
    pub p50: Option<Duration>,
    /// 95 of 100 pieces of work hold their slot for no longer.
    pub p95: Option<Duration>,
    /// 99 of 100 pieces of work hold their slot for no longer.
    pub p99: Option<Duration>,
}

/// A slot that is taken, as far as its rest can be told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rest {
    /// It has been at work for so many seconds.
    Working(f64),
    /// It will be free in so many seconds.
    Free(f64),
}

/// When slots become free, seen from now.
#[derive(Debug)]
pub(crate) struct Outlook<'a> {
    survival: Survival<'a>,
    rests: Vec<Rest>,
    /// When each of `rests` is expected to be over, in seconds from now, in order.
    ends: Vec<f64>,
    /// So many slots stand behind each of these.
    stride: f64,
    /// The mean service time in seconds.
    mean: f64,
    squared_variation: f64,
}

impl<'a> Outlook<'a> {
    /// From the `rests` of some slots, each of which stands for `stride` of them. `None` where nothing was served
    /// yet, or no slot will become free.
    pub(crate) fn new(service: &'a Service, rests: Vec<Rest>, stride: f64) -> Option<Self> {
        let mean = service.mean().filter(|_| !rests.is_empty() && stride > 0.0)?.max(1e-9);
        let survival = service.survival();
        let end = |rest: &Rest| match *rest {
            Rest::Working(age) => survival.remaining(age),
            Rest::Free(rest) => rest,
        };
        let mut ends: Vec<f64> = rests.iter().map(end).collect();
        ends.sort_unstable_by(f64::total_cmp);
        Some(Self { survival, rests, ends, stride, mean, squared_variation: service.squared_variation() })
    }

    /// Seconds between two slots that become free, while all are taken.
    pub(crate) fn spacing(&self) -> f64 {
        self.mean / (self.ends.len() as f64 * self.stride)
    }

    /// The seconds within which, with this probability, the first slot becomes free.
    pub(crate) fn soonest(&self, probability: f64) -> f64 {
        let is_over = |within: f64| 1.0 - self.all_outlive(within) >= probability;
        // Between 2^-14 s and 2^14 s, to the nearest 2 %.
        let (mut from, mut to) = (-14.0_f64, 14.0_f64);
        if is_over(from.exp2()) {
            return 0.0;
        }
        while to - from > 0.03 {
            let middle = from.midpoint(to);
            if is_over(middle.exp2()) {
                to = middle;
            } else {
                from = middle;
            }
        }
        to.exp2()
    }

    /// How long until so many slots have become free, each taken again at once by the next in line; `nth` from 1 on.
    ///
    /// Where all work takes equally long, the rest of each piece is known; where it is memoryless, slots become free
    /// one after the other at an even rate. Between the two (and beyond, as memoryless) the measured variation
    /// decides.
    pub(crate) fn slot_in(&self, nth: f64) -> f64 {
        let random = self.squared_variation.min(1.0);
        let even = self.soonest(TYPICAL) + (nth - 1.0) * self.spacing();
        random * even + (1.0 - random) * self.fluid(nth / self.stride)
    }

    /// As [`Self::slot_in`], but so early that it is earlier once in forty times or so: two standard deviations.
    pub(crate) fn slot_in_early(&self, nth: f64) -> f64 {
        let deviation = self.spacing() * (nth * self.squared_variation).sqrt();
        (self.slot_in(nth) - 2.0 * deviation).max(0.0)
    }

    /// When `nth` slots have become free, if each rest is exact and all work after it flows at one in a mean.
    fn fluid(&self, nth: f64) -> f64 {
        let (mut free, mut sum, mut at) = (0.0, 0.0, 0.0);
        for (i, &rest) in self.ends.iter().enumerate() {
            free += 1.0;
            sum += rest;
            at = ((sum + (nth - free) * self.mean) / free).max(rest);
            if self.ends.get(i + 1).is_none_or(|&next| at <= next) {
                break;
            }
        }
        at
    }

    /// How likely no slot becomes free within so many seconds.
    fn all_outlive(&self, within: f64) -> f64 {
        let outlives = |rest: &Rest| match *rest {
            Rest::Working(age) => self.survival.outlives(age, within),
            Rest::Free(rest) => f64::from(u8::from(rest > within)),
        };
        self.rests.iter().map(outlives).product::<f64>().powf(self.stride)
    }
}

/// Seconds as a duration; too many of them are the longest.
pub(crate) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(times: impl IntoIterator<Item = f64>) -> Service {
        let mut service = Service::new();
        times.into_iter().for_each(|time| service.learn(duration(time)));
        service
    }

    fn memoryless(mean: f64) -> Service {
        service((0..1000).map(|i| -mean * (1.0 - (f64::from(i) + 0.5) / 1000.0).ln()))
    }

    fn working(ages: [f64; 4]) -> Vec<Rest> {
        ages.map(Rest::Working).to_vec()
    }

    #[test]
    fn nothing_is_known_before_something_was_served_and_without_slots() {
        assert!(Outlook::new(&Service::new(), working([1.0; 4]), 1.0).is_none());
        assert!(Outlook::new(&service([1.0]), Vec::new(), 1.0).is_none());
    }

    #[test]
    fn equal_work_ends_when_its_rest_is_over() {
        let service = service([4.2; 20]);
        let outlook = Outlook::new(&service, working([1.0, 3.0, 2.0, 3.7]), 1.0).unwrap();
        assert!((outlook.slot_in(1.0) - 0.5).abs() < 0.01);
        assert!((outlook.slot_in_early(1.0) - 0.5).abs() < 0.05, "nothing varies");
        let waits: Vec<f64> = (1..40).map(|nth| outlook.slot_in(f64::from(nth))).collect();
        assert!(waits.is_sorted(), "{waits:?}");
        assert!((outlook.slot_in(4.0) - 3.2).abs() < 1.1, "{waits:?}");
        assert!((outlook.slot_in(12.0) - outlook.slot_in(8.0) - 4.2).abs() < 0.01, "{waits:?}");
    }

    #[test]
    fn the_soonest_of_memoryless_work_ends_early() {
        let service = memoryless(4.0);
        let outlook = Outlook::new(&service, working([0.1, 3.0, 5.0, 8.0]), 1.0).unwrap();
        for nth in [1.0, 5.0, 20.0] {
            let wait = outlook.slot_in(nth);
            assert!((wait - nth).abs() < 0.2 * nth, "{wait} for {nth}");
        }
        let late = outlook.soonest(0.9);
        assert!((2.0..2.8).contains(&late), "{late}, where -ln 0.1 = 2.3 is right");
        assert_eq!(outlook.slot_in_early(1.0), 0.0, "one is too uncertain to say anything");
        let early = outlook.slot_in_early(100.0);
        assert!((75.0..85.0).contains(&early), "{early}");
    }

    #[test]
    fn each_slot_looked_at_stands_for_others() {
        let service = memoryless(4.0);
        let one = Outlook::new(&service, working([0.0; 4]), 1.0).unwrap();
        let ten = Outlook::new(&service, working([0.0; 4]), 10.0).unwrap();
        assert!((one.slot_in(5.0) - ten.slot_in(50.0)).abs() < 0.05);
        assert!((one.spacing() - 10.0 * ten.spacing()).abs() < 1e-9);
    }

    #[test]
    fn an_idle_slot_is_no_wait() {
        let service = memoryless(4.0);
        let outlook = Outlook::new(&service, vec![Rest::Working(1.0), Rest::Free(0.0)], 1.0).unwrap();
        assert!(outlook.slot_in(1.0) < 0.02);
        assert_eq!(outlook.soonest(0.9), 0.0);
    }

    #[test]
    fn a_rest_until_a_time_ends_at_that_time() {
        let service = service([0.1; 20]);
        let outlook = Outlook::new(&service, vec![Rest::Free(3.0), Rest::Free(8.0)], 1.0).unwrap();
        assert!((outlook.slot_in(1.0) - 3.0).abs() < 1e-9 && (outlook.soonest(0.5) - 3.0).abs() < 0.1);
    }
}
