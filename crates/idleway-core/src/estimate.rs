//! When asking again makes sense.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// Each service time moves the mean by one part in so many.
const INERTIA: u64 = 16;

/// A running mean of how long a slot is held, and what follows from it.
#[derive(Debug, Default)]
pub(crate) struct Estimate {
    /// Nanoseconds; `None` until something was served.
    mean: Option<u64>,
}

impl Estimate {
    /// A slot was held for `service`.
    pub(crate) fn learn(&mut self, service: Duration) {
        let nanos = u64::try_from(service.as_nanos()).unwrap_or(u64::MAX);
        self.mean = Some(match self.mean {
            None => nanos,
            Some(mean) => mean - mean / INERTIA + nanos / INERTIA,
        });
    }

    /// How long until one more than the `waiting` have got one of `slots`: 1 s to 60 s.
    pub(crate) fn slot_in(&self, waiting: u64, slots: u64) -> Duration {
        let nanos = waiting.saturating_add(1).saturating_mul(self.mean.unwrap_or(0)) / slots.max(1);
        within_bounds(Duration::from_nanos(nanos))
    }
}

/// What may be told to a client: 1 s to 60 s.
pub(crate) fn within_bounds(wait: Duration) -> Duration {
    wait.clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_before_and_the_slots_set_the_wait() {
        let mut estimate = Estimate::default();
        assert_eq!(estimate.slot_in(100, 1), SHORTEST, "nothing is known yet");
        estimate.learn(Duration::from_secs(3));
        assert_eq!(estimate.slot_in(0, 1), Duration::from_secs(3));
        assert_eq!(estimate.slot_in(9, 5), Duration::from_secs(6));
        assert_eq!(estimate.slot_in(9, 0), Duration::from_secs(30));
        assert_eq!(estimate.slot_in(1_000, 1), LONGEST);
        assert_eq!(estimate.slot_in(u64::MAX, 1), LONGEST);
    }

    #[test]
    fn the_mean_follows_what_is_served() {
        let mut estimate = Estimate::default();
        for _ in 0..200 {
            estimate.learn(Duration::from_secs(20));
        }
        for _ in 0..200 {
            estimate.learn(Duration::from_secs(4));
        }
        assert_eq!(estimate.slot_in(0, 1).as_secs(), 4);
    }
}
