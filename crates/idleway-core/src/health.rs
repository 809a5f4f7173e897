//! Health as pure hysteresis: outcomes in, up or down out. Probing is elsewhere, and so is what was ordered (mode).
//!
//! ```text
//!   Up ──(fall consecutive failures)──► Paused ──(the pause is over)──► Trial ──(success)──► Up
//!                                         ▲                               │
//!                                         └───(failure: twice the pause)──┘
//!   any ──(observed down)──► ToldDown ──(observed up)──► Up
//! ```

use std::time::Duration;

use crate::{grant::Outcome, spec::HealthPolicy, time::Time};

/// What was observed of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// It can be used.
    Up,
    /// It gets no requests, but for one trial at a time where its outcomes took it down.
    Down,
}

/// The health of one backend, with its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hysteresis {
    policy: HealthPolicy,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Up {
        /// Consecutive failures so far.
        failures: u32,
    },
    Paused {
        pause: Duration,
        until: Time,
    },
    Trial {
        /// The pause that went before; the next is twice as long.
        pause: Duration,
        /// The one trial is at work.
        out: bool,
    },
    /// Down by observation from outside: only an observation ends it, no outcome of a request.
    ToldDown,
}

impl Hysteresis {
    pub(crate) const fn new(policy: HealthPolicy) -> Self {
        Self { policy, state: State::Up { failures: 0 } }
    }

    pub(crate) const fn set_policy(&mut self, policy: HealthPolicy) {
        self.policy = policy;
    }

    /// Up or down, as others see it: on trial is down.
    pub(crate) const fn health(&self) -> Health {
        match self.state {
            State::Up { .. } => Health::Up,
            State::Paused { .. } | State::Trial { .. } | State::ToldDown => Health::Down,
        }
    }

    /// Whether a request may be sent now.
    pub(crate) const fn admits(&self) -> bool {
        matches!(self.state, State::Up { .. } | State::Trial { out: false, .. })
    }

    /// Whether a trial is possible or at work: there is hope.
    pub(crate) const fn on_trial(&self) -> bool {
        matches!(self.state, State::Trial { .. })
    }

    /// The end of the pause.
    pub(crate) const fn pause_end(&self) -> Option<Time> {
        match self.state {
            State::Paused { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Sends a request; answers whether it is the trial.
    pub(crate) const fn admit(&mut self) -> bool {
        match &mut self.state {
            State::Trial { out, .. } => {
                *out = true;
                true
            }
            _ => false,
        }
    }

    /// The trial ended without a verdict: another may go.
    pub(crate) const fn trial_over(&mut self) {
        if let State::Trial { out, .. } = &mut self.state {
            *out = false;
        }
    }

    /// Learns from the outcome of an attempt; answers whether up or down changed.
    ///
    /// While the backend is down only the trial's failure counts: others that were sent before say nothing new.
    pub(crate) fn judge(&mut self, now: Time, outcome: Outcome, is_trial: bool) -> bool {
        if is_trial {
            self.trial_over();
        }
        match (outcome, self.state) {
            (Outcome::Success, State::Up { .. }) => {
                self.state = State::Up { failures: 0 };
                false
            }
            (Outcome::Success, State::Paused { .. } | State::Trial { .. }) => {
                self.state = State::Up { failures: 0 };
                true
            }
            (Outcome::Failure, State::Up { failures }) => {
                let failures = failures.saturating_add(1);
                self.state = State::Up { failures };
                let falls = failures >= self.policy.fall;
                if falls {
                    self.pause(now, self.policy.pause);
                }
                falls
            }
            (Outcome::Failure, State::Trial { pause, .. }) if is_trial => {
                self.pause(now, pause.saturating_mul(2).min(self.policy.pause_max));
                true
            }
            (Outcome::Ignored, _) | (Outcome::Failure, _) | (Outcome::Success, State::ToldDown) => false,
        }
    }

    /// Learns from outside; answers whether up or down changed.
    pub(crate) fn observe(&mut self, health: Health) -> bool {
        let before = self.health();
        self.state = match health {
            Health::Up => State::Up { failures: 0 },
            Health::Down => State::ToldDown,
        };
        before != health
    }

    /// The pause is over: one request may try.
    pub(crate) const fn end_pause(&mut self) {
        if let State::Paused { pause, .. } = self.state {
            self.state = State::Trial { pause, out: false };
        }
    }

    fn pause(&mut self, now: Time, pause: Duration) {
        self.state = State::Paused { pause, until: now + pause };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn hysteresis(fall: u32) -> Hysteresis {
        Hysteresis::new(HealthPolicy { fall, pause: SECOND, pause_max: SECOND * 3 })
    }

    #[test]
    fn only_consecutive_failures_take_down() {
        let mut health = hysteresis(2);
        assert!(!health.judge(Time::ZERO, Outcome::Failure, false));
        assert!(!health.judge(Time::ZERO, Outcome::Success, false));
        assert!(!health.judge(Time::ZERO, Outcome::Failure, false));
        assert!(!health.judge(Time::ZERO, Outcome::Ignored, false));
        assert_eq!(health.health(), Health::Up);
        assert!(health.judge(Time::ZERO, Outcome::Failure, false));
        assert_eq!(health.health(), Health::Down);
    }

    #[test]
    fn the_pause_doubles_up_to_its_bound_and_a_success_resets_it() {
        let mut health = hysteresis(1);
        let mut now = Time::ZERO;
        health.judge(now, Outcome::Failure, false);
        for pause in [SECOND, SECOND * 2, SECOND * 3, SECOND * 3] {
            assert_eq!(health.pause_end(), Some(now + pause));
            now = now + pause;
            health.end_pause();
            assert!(health.admit());
            health.judge(now, Outcome::Failure, true);
        }
        health.end_pause();
        assert!(health.admit());
        assert!(health.judge(now, Outcome::Success, true));
        health.judge(now, Outcome::Failure, false);
        assert_eq!(health.pause_end(), Some(now + SECOND));
    }

    #[test]
    fn one_trial_at_a_time_and_only_its_failure_counts() {
        let mut health = hysteresis(1);
        health.judge(Time::ZERO, Outcome::Failure, false);
        assert!(!health.admits());
        health.end_pause();
        assert!(health.admits() && health.admit());
        assert!(!health.admits());
        assert!(!health.judge(Time::ZERO, Outcome::Failure, false), "sent before it went down");
        assert!(health.on_trial());
        assert!(!health.judge(Time::ZERO, Outcome::Ignored, true));
        assert!(health.admits(), "no verdict: another may try");
    }

    #[test]
    fn what_was_told_from_outside_is_ended_from_outside() {
        let mut health = hysteresis(1);
        assert!(health.observe(Health::Down));
        assert_eq!(health.pause_end(), None);
        assert!(!health.judge(Time::ZERO, Outcome::Success, false));
        assert_eq!(health.health(), Health::Down);
        assert!(health.observe(Health::Up));
        assert!(health.admits());
    }
}
