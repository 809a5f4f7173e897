//! What a pool is asked for: how many slots are at work in the mean over time, and how many requests are turned away.
//!
//! What stands at one moment says little: one-slot backends that are busy for half of their time are all busy now and
//! then. Two means are kept, each of which forgets exponentially: one soon, so that a rise shows at once, and one slowly,
//! so that a lull is no end. The higher one counts.

use std::time::Duration;

use crate::time::Time;

/// A mean forgets in so many seconds, to about a third.
const SOON: f64 = 15.0;
const SLOWLY: f64 = 60.0;
/// The means are carried on once in this time: what happens meanwhile is summed.
const SPAN: Duration = Duration::from_millis(250);

/// What a pool is asked for lately.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Demand {
    /// Slots at work, busy or lingering, in the mean over time: the higher one of a short and of a long mean.
    pub at_work: f64,
    /// Requests a second, likewise, that came and were refused since no slot could be had.
    pub refused: f64,
    /// Requests in line at this moment.
    pub waiting: u64,
    /// How long work takes in the mean; `None` until something was served.
    pub service: Option<Duration>,
}

/// What the means are made of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lately {
    soon: Means,
    slowly: Means,
    /// Not in the means yet: since when, the slots at work times nanoseconds, and who was refused.
    since: Time,
    worked: f64,
    refused: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Means {
    at_work: f64,
    refused: f64,
}

impl Lately {
    pub(crate) fn new(now: Time) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// So many slots were at work from one moment to the other.
    #[expect(clippy::cast_precision_loss, reason = "numbers of slots and short times: far below 2^53")]
    pub(crate) fn pass(&mut self, from: Time, to: Time, at_work: u64) {
        self.worked += to.since(from).as_nanos() as f64 * at_work as f64;
        if to.since(self.since) >= SPAN {
            self.carry_on(to);
        }
    }

    /// One that came was refused.
    pub(crate) const fn refuse(&mut self) {
        self.refused += 1.0;
    }

    /// Slots at work, and requests a second that are refused, as of now: `at_work` slots have been since `from`.
    pub(crate) fn means(mut self, from: Time, now: Time, at_work: u64) -> (f64, f64) {
        self.pass(from, now, at_work);
        self.carry_on(now);
        let Self { soon, slowly, .. } = self;
        (soon.at_work.max(slowly.at_work), soon.refused.max(slowly.refused))
    }

    fn carry_on(&mut self, now: Time) {
        let seconds = now.since(self.since).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let (at_work, refused) = (self.worked / 1e9 / seconds, self.refused / seconds);
        for (means, memory) in [(&mut self.soon, SOON), (&mut self.slowly, SLOWLY)] {
            let kept = (-seconds / memory).exp();
            means.at_work = at_work + (means.at_work - at_work) * kept;
            means.refused = refused + (means.refused - refused) * kept;
        }
        (self.since, self.worked, self.refused) = (now, 0.0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    /// Lets `lately` see so many slots at work until then, in steps of this length.
    fn run(lately: &mut Lately, from: u64, to: u64, step: u64, at_work: impl Fn(u64) -> u64) {
        for now in (from..to).step_by(usize::try_from(step).unwrap()) {
            lately.pass(at(now), at(now + step), at_work(now));
        }
    }

    fn is_near(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 0.02 * expected.max(0.05)
    }

    #[test]
    fn what_is_steady_is_told_as_it_is_however_often_one_looks() {
        for step in [1, 40, 800, 250_000] {
            let mut lately = Lately::new(at(0));
            run(&mut lately, 0, 500_000, step, |_| 3);
            let (at_work, refused) = lately.means(at(500_000), at(500_000), 3);
            assert!(is_near(at_work, 3.0), "{at_work} by steps of {step}");
            assert!(refused.abs() < 1e-9);
        }
    }

    #[test]
    fn a_peak_of_a_moment_does_not_show_and_a_mean_does() {
        let mut lately = Lately::new(at(0));
        // All five are at work for 40 ms of each 100.
        run(&mut lately, 0, 300_000, 10, |now| if now % 100 < 40 { 5 } else { 0 });
        let (at_work, _) = lately.means(at(300_000), at(300_000), 5);
        assert!((1.9..2.1).contains(&at_work), "{at_work}");
    }

    #[test]
    fn a_rise_shows_soon_and_an_end_is_believed_later() {
        let mut lately = Lately::new(at(0));
        run(&mut lately, 0, 15_000, 100, |_| 10);
        let (risen, _) = lately.means(at(15_000), at(15_000), 10);
        assert!(is_near(risen, 10.0 * (1.0 - (-1.0_f64).exp())), "{risen}");
        run(&mut lately, 15_000, 615_000, 100, |_| 10);
        // Nothing has happened since, and nobody has looked: time passes all the same.
        let (fallen, _) = lately.means(at(615_000), at(675_000), 0);
        assert!(is_near(fallen, 10.0 * (-1.0_f64).exp()), "{fallen}");
        let (gone, _) = lately.means(at(615_000), at(1_815_000), 0);
        assert!(gone < 1e-6, "{gone}");
    }

    #[test]
    fn who_is_refused_is_told_by_the_second() {
        let mut lately = Lately::new(at(0));
        for now in (0..300_000).step_by(250) {
            lately.refuse();
            lately.pass(at(now), at(now + 250), 0);
        }
        let (_, refused) = lately.means(at(300_000), at(300_000), 0);
        assert!(is_near(refused, 4.0), "{refused}");
    }
}
