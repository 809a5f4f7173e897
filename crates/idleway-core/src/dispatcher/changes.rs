//! What outcomes and the passing of time make of a backend.

use super::Dispatcher;
use crate::{
    backend::Backend,
    change::{Cause, Change},
    grant::Outcome,
    health::{Health, Role, Surroundings},
    recent::Tally,
    slow_start::SlowStart,
    time::Time,
};

/// Fewer requests than so many say nothing about a backend, nor about the rest of the pool.
const TELLING: u64 = 10;
/// So many standard deviations apart two shares are not by chance, however often one looks.
const CHANCE: f64 = 5.0;

impl<C, W> Dispatcher<C, W> {
    /// Health learns from an outcome. Answers whether up or down changed, or the reason of it.
    pub(super) fn judge(&mut self, now: Time, at: u32, outcome: Outcome, role: Role) -> bool {
        if outcome == Outcome::Success && role == Role::Request && self.is_well(at) {
            // The usual case changes nothing but the comparison.
            self.compare(now, at, outcome);
            return false;
        }
        let surroundings = self.surroundings(now, at);
        let before = self.backends[at as usize].health.cause();
        let cause = self.change(at, |backend| backend.health.judge(surroundings, outcome, role));
        let stands_out = cause.is_none() && role != Role::Probe && self.compare(now, at, outcome);
        let cause = match stands_out {
            true => self.change(at, |backend| backend.health.stand_out(surroundings)),
            false => cause,
        };
        if let Some(cause) = cause {
            self.turn(now, at, cause, before != Some(cause));
        }
        cause.is_some()
    }

    /// A probe out of turn came to nothing, or could not go: another is asked for when the same pause is over.
    pub(super) fn probe_again(&mut self, now: Time, at: u32) {
        let surroundings = self.surroundings(now, at);
        self.change(at, |backend| backend.health.wait_again(surroundings));
    }

    /// One more slot of a backend that is coming back may be used. Answers whether that is so.
    pub(super) fn open_one(&mut self, now: Time, at: u32) -> bool {
        if self.backends[at as usize].slow_start.is_none() {
            return false;
        }
        self.change(at, |backend| {
            if let Some(slow) = &mut backend.slow_start {
                slow.open_one(now);
            }
        });
        true
    }

    /// Changes a backend, and with it everything that is kept about it elsewhere; answers what `change` answers.
    pub(super) fn change<T>(&mut self, at: u32, change: impl FnOnce(&mut Backend) -> T) -> T {
        let backend = &mut self.backends[at as usize];
        let (alarm, withheld) = (backend.alarm(), backend.withheld);
        let answer = change(backend);
        if backend.slow_start.is_some_and(|slow| slow.open() >= backend.limit) {
            backend.slow_start = None;
        }
        for (timers, before, after) in
            [(&mut self.alarms, alarm, backend.alarm()), (&mut self.withheld, withheld, backend.withheld)]
        {
            if before != after {
                if let Some(time) = before {
                    timers.remove(&(time, at));
                }
                timers.extend(after.map(|time| (time, at)));
            }
        }
        if backend.health.awaits_probe() {
            self.awaiting_probe.insert(backend.key);
        } else if !self.awaiting_probe.is_empty() {
            self.awaiting_probe.remove(&backend.key);
        }
        self.refresh(at);
        answer
    }

    /// Whether an ordinary success says nothing new about it.
    fn is_well(&self, at: u32) -> bool {
        self.backends[at as usize].health.is_well()
    }

    pub(super) fn surroundings(&mut self, now: Time, at: u32) -> Surroundings {
        let others_up = self.totals.up - u64::from(self.backends[at as usize].is_up());
        Surroundings { now, is_dark: others_up == 0, dice: self.jitter.dice() }
    }

    /// Counts an outcome where backends are compared. Answers whether this backend fails far more often than the rest.
    fn compare(&mut self, now: Time, at: u32, outcome: Outcome) -> bool {
        let Some(margin) = self.policy.outlier else { return false };
        if matches!(outcome, Outcome::Ignored | Outcome::Unreachable) {
            return false;
        }
        let has_failed = outcome != Outcome::Success;
        let backend = &mut self.backends[at as usize];
        backend.lately.add(now, Tally::one(has_failed));
        self.lately.add(now, Tally::one(has_failed));
        if !has_failed {
            return false;
        }
        let own = backend.lately.tally(now);
        let rest = self.lately.tally(now).without(own);
        own.all >= TELLING
            && rest.all >= TELLING
            && own.percent() >= rest.percent() + u64::from(margin)
            && own.deviation_squared(rest) >= CHANCE * CHANCE
    }

    /// A backend is up, or down, for a reason; it is news where it was not so before.
    fn turn(&mut self, now: Time, at: u32, cause: Cause, is_news: bool) {
        let whole = self.policy.slow_start;
        self.change(at, |backend| {
            let is_up = backend.health.health() == Health::Up;
            backend.slow_start = if is_up { SlowStart::begin(now, backend.limit, whole) } else { None };
            if cause == Cause::Unreachable {
                // What it said before it was gone does not hold.
                backend.withheld = None;
            }
        });
        // What it did before is no reason to take it out once more.
        self.forget_lately(now, at);
        if !is_news {
            return;
        }
        let backend = &self.backends[at as usize];
        self.news.push(Change {
            backend: backend.key,
            at: now,
            health: backend.health.health(),
            cause,
            until: backend.health.pause_end(),
        });
    }

    /// Forgets what became of a backend's requests; from now on nobody is compared with that.
    pub(super) fn forget_lately(&mut self, now: Time, at: u32) {
        let lately = std::mem::take(&mut self.backends[at as usize].lately);
        self.lately.take_out(now, lately);
    }
}
