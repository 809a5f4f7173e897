//! How many of how many, lately: two counters without a list and without a float.

use crate::time::Time;

/// Counts over about the last half minute, or what else the span says: the span that runs and the whole one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recent<const SPAN: u32> {
    /// The number of the span that runs; a span is 2^SPAN nanoseconds long.
    span: u64,
    running: Tally,
    before: Tally,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) some: u64,
    pub(crate) all: u64,
}

impl<const SPAN: u32> Recent<SPAN> {
    /// The whole seconds, rounded down, over which is counted now: those of the running span and of the one before it.
    pub(crate) fn seconds(now: Time) -> u64 {
        let running = now.as_nanos() & ((1 << SPAN) - 1);
        ((1 << SPAN) + running) / 1_000_000_000
    }

    /// Counts more.
    pub(crate) fn add(&mut self, now: Time, more: Tally) {
        self.advance(now);
        self.running.some += more.some;
        self.running.all += more.all;
    }

    /// What was counted in the span that runs and in the one before it.
    pub(crate) fn tally(&mut self, now: Time) -> Tally {
        self.advance(now);
        let Self { running, before, .. } = self;
        Tally { some: running.some + before.some, all: running.all + before.all }
    }

    /// Takes out what another one has counted, which is a part of what this one has.
    pub(crate) fn take_out(&mut self, now: Time, mut part: Self) {
        self.advance(now);
        part.advance(now);
        for (of, part) in [(&mut self.running, part.running), (&mut self.before, part.before)] {
            of.some = of.some.saturating_sub(part.some);
            of.all = of.all.saturating_sub(part.all);
        }
    }

    fn advance(&mut self, now: Time) {
        let span = now.as_nanos() >> SPAN;
        if span == self.span {
            return;
        }
        let running = std::mem::take(&mut self.running);
        self.before = if span == self.span + 1 { running } else { Tally::default() };
        self.span = span;
    }
}

impl Tally {
    /// One of all.
    pub(crate) fn one(is_some: bool) -> Self {
        Self { some: is_some.into(), all: 1 }
    }

    /// How many of a hundred; 0 of none.
    pub(crate) fn percent(self) -> u64 {
        self.some.saturating_mul(100).checked_div(self.all).unwrap_or(0)
    }

    /// By how many standard deviations this share and another one differ, squared, if both were of one kind.
    pub(crate) fn deviation_squared(self, other: Self) -> f64 {
        let [some, other_some, all, other_all] =
            [self.some, other.some, self.all, other.all].map(|n| n as f64);
        let (sum, total) = (some + other_some, all + other_all);
        let apart = some * other_all - other_some * all;
        let spread = all * other_all * sum * (total - sum);
        if spread > 0.0 { apart * apart * total / spread } else { 0.0 }
    }

    /// What is left without a part of it.
    pub(crate) fn without(self, part: Self) -> Self {
        Self { some: self.some.saturating_sub(part.some), all: self.all.saturating_sub(part.all) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_span_and_the_one_before_count() {
        let mut recent = Recent::<10>::default();
        recent.add(Time::from_nanos(1000), Tally::one(true));
        recent.add(Time::from_nanos(1100), Tally::one(false));
        assert_eq!(recent.tally(Time::from_nanos(2000)), Tally { some: 1, all: 2 });
        assert_eq!(recent.tally(Time::from_nanos(2100)), Tally { some: 0, all: 1 }, "the first span is over");
        assert_eq!(recent.tally(Time::from_nanos(9000)), Tally::default());
        recent.add(Time::from_nanos(9000), Tally::one(true));
        recent.add(Time::from_nanos(500_000), Tally::one(true));
        assert_eq!(recent.tally(Time::from_nanos(500_000)).all, 1, "long ago is forgotten");
    }

    #[test]
    fn a_part_is_taken_out_of_its_own_span() {
        let (mut whole, mut part) = (Recent::<10>::default(), Recent::<10>::default());
        for nanos in [100, 1100] {
            whole.add(Time::from_nanos(nanos), Tally { some: 1, all: 5 });
            part.add(Time::from_nanos(nanos), Tally { some: 1, all: 2 });
        }
        whole.take_out(Time::from_nanos(1100), part);
        assert_eq!(whole.tally(Time::from_nanos(1100)), Tally { some: 0, all: 6 });
        assert_eq!(whole.tally(Time::from_nanos(2100)), Tally { some: 0, all: 3 });
    }

    #[test]
    fn a_part_that_was_counted_long_before_is_taken_out_as_well() {
        let later = Time::from_nanos(1100);
        for goes_on in [true, false] {
            let (mut whole, mut part) = (Recent::<10>::default(), Recent::<10>::default());
            whole.add(Time::from_nanos(100), Tally { some: 1, all: 5 });
            part.add(Time::from_nanos(100), Tally { some: 1, all: 2 });
            if goes_on {
                whole.add(later, Tally { some: 1, all: 7 });
            }
            whole.take_out(later, part);
            let rest = if goes_on { Tally { some: 1, all: 10 } } else { Tally { some: 0, all: 3 } };
            assert_eq!(whole.tally(later), rest);
        }
    }

    #[test]
    fn two_shares_are_as_far_apart_as_chance_would_have_it() {
        let of = |some, all| Tally { some, all };
        // A half and a tenth of 20: 0.4 / sqrt(0.3 * 0.7 * (1/20 + 1/20)) = 2.76.
        let deviation = of(10, 20).deviation_squared(of(2, 20)).sqrt();
        assert!((2.75..2.77).contains(&deviation), "{deviation}");
        assert_eq!(of(10, 10).deviation_squared(of(10, 10)), 0.0);
        assert_eq!(of(0, 10).deviation_squared(of(0, 0)), 0.0);
        assert!(of(10, 10).deviation_squared(of(0, 20)) > 25.0);
        assert!(of(8, 10).deviation_squared(of(3, 10)) < 25.0);
    }

    #[test]
    fn a_share_of_none_is_none() {
        assert_eq!(Tally::default().percent(), 0);
        assert_eq!(Tally { some: 2, all: 3 }.percent(), 66);
    }
}
