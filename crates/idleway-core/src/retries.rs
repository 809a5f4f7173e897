//! How many requests may be tried again: a share of the traffic, so that retries do not bring down what is left.

use crate::{
    recent::{Recent, Tally},
    spec::RetryPolicy,
    time::Time,
};

/// Spans of 8.6 s: the last 9 to 17 s count.
const SPAN: u32 = 33;

/// What the retries of a pool may still cost.
#[derive(Debug)]
pub(crate) struct Retries {
    policy: RetryPolicy,
    /// Retries among the requests.
    recent: Recent<SPAN>,
}

impl Retries {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self { policy, recent: Recent::default() }
    }

    pub(crate) const fn set_policy(&mut self, policy: RetryPolicy) {
        self.policy = policy;
    }

    /// A request came for the first time.
    pub(crate) fn earn(&mut self, now: Time) {
        self.recent.add(now, Tally { some: 0, all: 1 });
    }

    /// A request asks for another attempt. Answers whether it may have one.
    pub(crate) fn spend(&mut self, now: Time) -> bool {
        let RetryPolicy { budget, floor } = self.policy;
        let tally = self.recent.tally(now);
        let share = tally.all.saturating_mul(budget.into()) / 100;
        let may = tally.some < share.saturating_add(Recent::<SPAN>::seconds(now) * u64::from(floor));
        if may {
            self.recent.add(now, Tally { some: 1, all: 0 });
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn retries_are_a_share_of_the_traffic_and_a_floor() {
        let mut retries = Retries::new(RetryPolicy { budget: 20, floor: 1 });
        let spent = |retries: &mut Retries, now| (0..1000).take_while(|_| retries.spend(now)).count();
        assert_eq!(spent(&mut retries, Time::ZERO), 8, "the floor, over a span of 8 s");
        (0..100).for_each(|_| retries.earn(Time::ZERO));
        assert_eq!(spent(&mut retries, Time::ZERO), 20);
        assert_eq!(spent(&mut retries, Time::ZERO + Duration::from_secs(9)), 1, "a second more");
        assert_eq!(spent(&mut retries, Time::ZERO + Duration::from_secs(60)), 17, "all is forgotten");
        retries.set_policy(RetryPolicy { budget: 0, floor: 0 });
        assert_eq!(spent(&mut retries, Time::ZERO + Duration::from_secs(200)), 0);
    }
}
