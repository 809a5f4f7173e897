//! Health as pure hysteresis: outcomes in, up or down out. Probing is elsewhere, and so is what was ordered (mode).
//!
//! ```text
//!          unreachable, or `failures` in a row, or an outlier
//!    Up ──────────────────────────────────────────────────────► Paused ──(the pause is over)──┐
//!    ▲ │                                                          ▲                            │
//!    │ └──(`fall` probes in a row failed)──────────► Probed ◄─────┼──(unreachable, or probed)──┤
//!    │                                                 │  │       │                            │
//!    ├──────────────(`rise` probes in a row succeed)───┘  └───────┤ (unreachable: a longer pause)
//!    │                                                            │                            │
//!    └──────────────(a request that tries it is served)───── Trial ◄──────(else)───────────────┘
//! ```
//!
//! Nobody's request is spent on a backend to which there was no connection: probes find it, and a connect is enough
//! of a probe.

use std::time::Duration;

use crate::{change::Cause, estimate::duration, grant::Outcome, spec::HealthPolicy, time::Time};

/// What was observed of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// It can be used.
    Up,
    /// It gets no requests, but for one trial at a time where that is how it comes back.
    Down,
}

/// The health of one backend, with its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hysteresis {
    policy: HealthPolicy,
    state: State,
    /// Consecutive probes of the kind that would change something.
    probes: u32,
    /// The last pause, before it was jittered.
    pause: Duration,
    /// Since when it is up.
    since: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Up {
        /// Consecutive failures so far.
        failures: u32,
    },
    Down {
        cause: Cause,
        way: Way,
    },
}

/// How a backend that is down comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Not before this moment.
    Paused(Time),
    /// By a request that tries it; `out`: it is at work.
    Trial { out: bool },
    /// By probes; `out`: one that was asked for out of turn is at work.
    Probed { out: bool },
}

/// Whose outcome it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Request,
    Trial,
    Probe,
}

/// What a pause depends on besides the backend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings {
    pub(crate) now: Time,
    /// No other backend of the pool is up: the pauses do not grow, for everybody waits for the first sign of life.
    pub(crate) is_dark: bool,
    /// A number from the whole range, for the jitter.
    pub(crate) dice: u32,
}

/// A backend that cannot be connected to is tried that often at least: a connect costs next to nothing, and one that
/// was restarted should not stand idle beside those who wait.
const UNREACHED_MAX: Duration = Duration::from_millis(250);

/// A backend that falls again within so many of its last pauses is left alone for longer.
const RELAPSE: u32 = 10;

impl Hysteresis {
    pub(crate) const fn new(policy: HealthPolicy) -> Self {
        let state = State::Up { failures: 0 };
        Self { policy, state, probes: 0, pause: Duration::ZERO, since: Time::ZERO }
    }

    pub(crate) fn set_policy(&mut self, policy: HealthPolicy) {
        let was_probed = self.policy.is_probed;
        self.policy = policy;
        let State::Down { cause, way } = &mut self.state else { return };
        match way {
            // No probe comes any more: a request has to try it.
            Way::Probed { .. } if was_probed && !policy.is_probed && *cause != Cause::Unreachable => {
                *way = Way::Trial { out: false };
            }
            // Nor does a request try it where probes come.
            Way::Trial { out: false } if policy.is_probed => *way = Way::Probed { out: false },
            _ => {}
        }
    }

    /// Up or down, as others see it: on trial is down.
    pub(crate) const fn health(&self) -> Health {
        match self.state {
            State::Up { .. } => Health::Up,
            State::Down { .. } => Health::Down,
        }
    }

    /// Up, and nothing has failed since the last success.
    pub(crate) const fn is_well(&self) -> bool {
        matches!(self.state, State::Up { failures: 0 })
    }

    /// Whether a probe may bring it back at any moment.
    pub(crate) const fn is_probed(&self) -> bool {
        matches!(self.state, State::Down { way: Way::Probed { .. }, .. })
    }

    /// Why it is down.
    pub(crate) const fn cause(&self) -> Option<Cause> {
        match self.state {
            State::Up { .. } => None,
            State::Down { cause, .. } => Some(cause),
        }
    }

    /// Whether a request may be sent now.
    pub(crate) const fn admits(&self) -> bool {
        matches!(self.state, State::Up { .. } | State::Down { way: Way::Trial { out: false }, .. })
    }

    /// Whether a trial is possible or at work: there is hope.
    pub(crate) const fn on_trial(&self) -> bool {
        matches!(self.state, State::Down { way: Way::Trial { .. }, .. })
    }

    /// Whether it is down by a judgement, and not because it cannot be reached.
    pub(crate) const fn is_doubtful(&self) -> bool {
        matches!(self.state, State::Down { cause, .. } if !matches!(cause, Cause::Unreachable))
    }

    /// Whether it waits for a probe out of turn: its pause is over, and no request tries it.
    pub(crate) const fn awaits_probe(&self) -> bool {
        let State::Down { cause, way: Way::Probed { out: false } } = self.state else { return false };
        // What its regular probes found, the regular ones may refute.
        !matches!(cause, Cause::ProbesFailed)
    }

    /// The end of the pause.
    pub(crate) const fn pause_end(&self) -> Option<Time> {
        match self.state {
            State::Down { way: Way::Paused(until), .. } => Some(until),
            _ => None,
        }
    }

    /// Sends a request; answers whether it is the trial.
    pub(crate) fn admit(&mut self) -> bool {
        let State::Down { cause, way } = &mut self.state else { return false };
        // While too few are up it may be sent before its pause is over: then that is the trial.
        let is_trial = match way {
            Way::Trial { out } => !*out,
            Way::Paused(_) => !self.policy.is_probed && *cause != Cause::Unreachable,
            Way::Probed { .. } => false,
        };
        if is_trial {
            *way = Way::Trial { out: true };
        }
        is_trial
    }

    /// The trial ended without a verdict: another may go, or a probe where probes come by now.
    pub(crate) const fn trial_over(&mut self) {
        if let State::Down { way: way @ Way::Trial { .. }, .. } = &mut self.state {
            *way = if self.policy.is_probed { Way::Probed { out: false } } else { Way::Trial { out: false } };
        }
    }

    /// Nobody waits for the verdict of the trial any more, and it may take for ever: after a pause another may go.
    pub(crate) fn leave_trial(&mut self, at: Surroundings) {
        if let State::Down { way: way @ Way::Trial { out: true }, .. } = &mut self.state {
            let pause = self.pause.max(self.policy.pause);
            *way = Way::Paused(at.now + jittered(pause, self.policy.jitter, at.dice));
        }
    }

    /// A probe goes out: no further one out of turn is wanted meanwhile.
    pub(crate) const fn probe_out(&mut self) {
        if let State::Down { way: Way::Probed { out }, .. } = &mut self.state {
            *out = true;
        }
    }

    /// Learns from an outcome; answers why up or down changed, or the reason of it.
    ///
    /// While the backend is down only the trial and the probes speak: others were sent before and say nothing new,
    /// but that no connection can be had.
    pub(crate) fn judge(&mut self, at: Surroundings, outcome: Outcome, role: Role) -> Option<Cause> {
        match (role, self.state) {
            (Role::Probe, _) => self.judge_probe(at, outcome),
            (_, State::Up { failures }) => self.judge_up(at, outcome, failures),
            (Role::Trial, State::Down { cause, way: Way::Trial { out: true } }) => {
                self.judge_trial(at, outcome, cause)
            }
            // A trial of before, too: something else has spoken since.
            (_, State::Down { cause, .. }) => {
                let is_news = outcome == Outcome::Unreachable && cause != Cause::Unreachable;
                is_news.then(|| self.fall(at, Cause::Unreachable))
            }
        }
    }

    /// It fails far more often than others do.
    pub(crate) fn stand_out(&mut self, at: Surroundings) -> Option<Cause> {
        matches!(self.state, State::Up { .. }).then(|| self.fall(at, Cause::Outlier))
    }

    /// The pause is over: it may be tried.
    pub(crate) fn end_pause(&mut self) {
        if let State::Down { cause, way } = &mut self.state
            && matches!(way, Way::Paused(_))
        {
            let by_probe = self.policy.is_probed || *cause == Cause::Unreachable;
            *way = if by_probe { Way::Probed { out: false } } else { Way::Trial { out: false } };
        }
    }

    fn judge_up(&mut self, at: Surroundings, outcome: Outcome, failures: u32) -> Option<Cause> {
        match outcome {
            Outcome::Ignored | Outcome::Silent => None,
            Outcome::Success | Outcome::Poor => {
                self.state = State::Up { failures: 0 };
                None
            }
            Outcome::Unreachable => Some(self.fall(at, Cause::Unreachable)),
            Outcome::Failure => {
                let failures = failures.saturating_add(1);
                self.state = State::Up { failures };
                (failures >= self.policy.failures).then(|| self.fall(at, Cause::Failures))
            }
        }
    }

    fn judge_trial(&mut self, at: Surroundings, outcome: Outcome, cause: Cause) -> Option<Cause> {
        self.trial_over();
        match outcome {
            Outcome::Ignored => None,
            Outcome::Success => Some(self.rise(at.now, Cause::TrialServed)),
            // It answers, which is all that was in doubt.
            Outcome::Poor if cause != Cause::Outlier => Some(self.rise(at.now, Cause::TrialServed)),
            Outcome::Poor => Some(self.fall(at, Cause::Outlier)),
            Outcome::Silent => Some(self.fall(at, cause)),
            Outcome::Failure => Some(self.fall(at, Cause::Failures)),
            Outcome::Unreachable => Some(self.fall(at, Cause::Unreachable)),
        }
    }

    fn judge_probe(&mut self, at: Surroundings, outcome: Outcome) -> Option<Cause> {
        match (outcome, self.state) {
            (Outcome::Ignored, State::Up { .. }) => None,
            (Outcome::Ignored, State::Down { .. }) => {
                self.wait_again(at);
                None
            }
            (Outcome::Success, State::Up { .. }) => {
                self.probes = 0;
                None
            }
            (Outcome::Success, State::Down { cause, way }) => {
                let may_return = cause == Cause::Unreachable || !matches!(way, Way::Paused(_));
                self.probes += u32::from(may_return);
                if may_return && self.probes >= self.policy.rise {
                    return Some(self.rise(at.now, Cause::ProbesAnswered));
                }
                self.wait_again(at);
                None
            }
            (Outcome::Unreachable, State::Up { .. }) => Some(self.fall(at, Cause::Unreachable)),
            (Outcome::Unreachable, State::Down { way, .. }) => {
                self.probes = 0;
                // A probe beside the slots finds it as it was left.
                let is_news = !matches!(way, Way::Paused(_));
                is_news.then(|| self.fall(at, Cause::Unreachable))
            }
            (Outcome::Failure | Outcome::Poor | Outcome::Silent, State::Up { .. }) => {
                self.probes = self.probes.saturating_add(1);
                (self.probes >= self.policy.fall).then(|| self.fail_probes(at))
            }
            (Outcome::Failure | Outcome::Poor | Outcome::Silent, State::Down { cause, way }) => {
                self.probes = 0;
                // It is there, but not well; while it is left alone it may be a probe of before that broke.
                let is_news = cause != Cause::ProbesFailed && matches!(way, Way::Probed { .. });
                is_news.then(|| self.fail_probes(at))
            }
        }
    }

    /// A probe out of turn said nothing, or not enough, or there was none: after the same pause there is another.
    pub(crate) fn wait_again(&mut self, at: Surroundings) {
        if let State::Down { cause, way: way @ Way::Probed { .. } } = &mut self.state
            && *cause != Cause::ProbesFailed
        {
            *way = Way::Paused(at.now + jittered(self.pause, self.policy.jitter, at.dice));
        }
    }

    fn fail_probes(&mut self, at: Surroundings) -> Cause {
        let cause = Cause::ProbesFailed;
        if !self.policy.is_probed {
            // It was the last one: nothing but a request can bring it back.
            return self.fall(at, cause);
        }
        self.probes = 0;
        self.state = State::Down { cause, way: Way::Probed { out: false } };
        cause
    }

    fn rise(&mut self, now: Time, cause: Cause) -> Cause {
        self.probes = 0;
        self.since = now;
        self.state = State::Up { failures: 0 };
        cause
    }

    /// Leaves it alone for a while: longer than the last time, unless it has been well for long since.
    fn fall(&mut self, at: Surroundings, cause: Cause) -> Cause {
        let was_up = matches!(self.state, State::Up { .. });
        let is_relapse = !was_up || at.now.since(self.since) < self.pause.saturating_mul(RELAPSE);
        let is_first = self.pause.is_zero() || !is_relapse;
        let keeps_watch = at.is_dark && cause == Cause::Unreachable;
        let longer = if is_first || keeps_watch { self.policy.pause } else { self.pause.saturating_mul(2) };
        let bound = if cause == Cause::Unreachable { UNREACHED_MAX } else { Duration::MAX };
        self.pause = longer.min(self.policy.pause_max.min(bound).max(self.policy.pause));
        self.probes = 0;
        let until = at.now + jittered(self.pause, self.policy.jitter, at.dice);
        self.state = State::Down { cause, way: Way::Paused(until) };
        cause
    }
}

/// A time that is longer or shorter by up to so many percent.
fn jittered(time: Duration, percent: u32, dice: u32) -> Duration {
    let part = 2.0 * f64::from(dice) / f64::from(u32::MAX) - 1.0;
    let factor = (1.0 + part * f64::from(percent.min(100)) / 100.0).max(0.0);
    duration(time.as_secs_f64() * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Failure, Ignored, Poor, Success, Unreachable};

    const SECOND: Duration = Duration::from_secs(1);

    fn hysteresis(failures: u32) -> Hysteresis {
        Hysteresis::new(policy(failures))
    }

    fn policy(failures: u32) -> HealthPolicy {
        HealthPolicy { failures, pause: SECOND, pause_max: SECOND * 3, ..HealthPolicy::default() }
    }

    fn at(seconds: u64) -> Surroundings {
        let now = Time::ZERO + Duration::from_secs(seconds);
        Surroundings { now, is_dark: false, dice: u32::MAX / 2 }
    }

    #[test]
    fn only_consecutive_failures_take_down() {
        let mut health = hysteresis(2);
        for outcome in [Failure, Success, Failure, Ignored, Poor, Failure] {
            assert_eq!(health.judge(at(0), outcome, Role::Request), None);
        }
        assert_eq!(health.health(), Health::Up);
        assert_eq!(health.judge(at(0), Failure, Role::Request), Some(Cause::Failures));
        assert_eq!(health.health(), Health::Down);
    }

    #[test]
    fn no_connection_takes_down_at_once_and_only_a_probe_brings_back() {
        let mut health = hysteresis(5);
        assert_eq!(health.judge(at(0), Unreachable, Role::Request), Some(Cause::Unreachable));
        assert!(!health.is_doubtful() && !health.awaits_probe() && !health.admit());
        health.end_pause();
        assert!(health.awaits_probe() && !health.admits() && !health.on_trial());
        health.probe_out();
        assert!(!health.awaits_probe(), "one at a time");
        assert_eq!(health.judge(at(1), Success, Role::Request), None, "it was sent before");
        assert_eq!(health.judge(at(1), Unreachable, Role::Probe), Some(Cause::Unreachable));
        assert_eq!(health.pause_end(), Some(at(2).now));
        health.end_pause();
        health.probe_out();
        assert_eq!(health.judge(at(3), Success, Role::Probe), Some(Cause::ProbesAnswered));
        assert!(health.admits());
    }

    #[test]
    fn one_that_cannot_be_reached_is_tried_four_times_a_second_at_least() {
        let pause = Duration::from_millis(100);
        let mut health = Hysteresis::new(HealthPolicy { pause, pause_max: SECOND * 5, ..policy(1) });
        health.judge(at(0), Unreachable, Role::Request);
        for millis in [100, 200, 250, 250] {
            assert_eq!(health.pause_end(), Some(at(0).now + Duration::from_millis(millis)));
            health.end_pause();
            health.judge(at(0), Unreachable, Role::Probe);
        }
    }

    #[test]
    fn a_probe_that_says_nothing_is_followed_by_another() {
        let mut health = hysteresis(1);
        health.judge(at(0), Unreachable, Role::Request);
        health.end_pause();
        health.probe_out();
        assert_eq!(health.judge(at(1), Ignored, Role::Probe), None);
        assert_eq!(health.pause_end(), Some(at(2).now));
    }

    #[test]
    fn the_pause_after_a_probe_that_says_nothing_is_the_one_before() {
        let pause = Duration::from_millis(100);
        let mut health = Hysteresis::new(HealthPolicy { pause, ..policy(1) });
        health.judge(at(0), Unreachable, Role::Request);
        for outcome in [Unreachable, Ignored, Ignored] {
            health.end_pause();
            health.judge(at(1), outcome, Role::Probe);
            assert_eq!(
                health.pause_end(),
                Some(at(1).now + pause * 2),
                "twice, by the one that said something"
            );
        }
    }

    #[test]
    fn the_pauses_do_not_grow_while_everybody_waits_for_a_sign_of_life() {
        let mut health = hysteresis(1);
        let dark = |seconds| Surroundings { is_dark: true, ..at(seconds) };
        health.judge(dark(0), Unreachable, Role::Request);
        for second in 1..9 {
            assert_eq!(health.pause_end(), Some(at(second).now));
            health.end_pause();
            health.judge(dark(second), Unreachable, Role::Probe);
        }
    }

    #[test]
    fn the_pause_doubles_up_to_its_bound() {
        let mut health = hysteresis(1);
        let mut now = 0;
        health.judge(at(now), Failure, Role::Request);
        for pause in [1, 2, 3, 3] {
            assert_eq!(health.pause_end(), Some(at(now + pause).now));
            now += pause;
            health.end_pause();
            assert!(health.admit());
            health.judge(at(now), Failure, Role::Trial);
        }
    }

    #[test]
    fn who_falls_again_soon_is_left_alone_for_longer_and_who_was_well_for_long_is_not() {
        let mut health = hysteresis(1);
        health.judge(at(0), Failure, Role::Request);
        health.end_pause();
        assert!(health.admit());
        assert_eq!(health.judge(at(1), Success, Role::Trial), Some(Cause::TrialServed));
        health.judge(at(5), Failure, Role::Request);
        assert_eq!(health.pause_end(), Some(at(7).now), "twice, since it was up for four pauses only");
        health.end_pause();
        health.admit();
        health.judge(at(7), Success, Role::Trial);
        health.judge(at(40), Failure, Role::Request);
        assert_eq!(health.pause_end(), Some(at(41).now));
    }

    #[test]
    fn one_trial_at_a_time_and_only_its_outcome_counts() {
        let mut health = hysteresis(1);
        health.judge(at(0), Failure, Role::Request);
        assert!(!health.admits());
        health.end_pause();
        assert!(health.admits() && health.admit());
        assert!(!health.admits() && !health.admit());
        for outcome in [Failure, Success] {
            assert_eq!(health.judge(at(1), outcome, Role::Request), None, "sent before it went down");
        }
        assert!(health.on_trial());
        assert_eq!(health.judge(at(1), Ignored, Role::Trial), None);
        assert!(health.admits(), "no verdict: another may try");
    }

    #[test]
    fn probes_take_down_and_bring_back_by_their_own_numbers() {
        let mut health = Hysteresis::new(HealthPolicy { rise: 2, fall: 3, is_probed: true, ..policy(1) });
        let mut probe = |outcome| health.judge(at(9), outcome, Role::Probe);
        assert_eq!([Failure, Failure, Success, Failure, Failure].map(&mut probe), [None; 5]);
        assert_eq!(probe(Failure), Some(Cause::ProbesFailed));
        assert_eq!([Success, Failure, Success].map(&mut probe), [None; 3]);
        assert_eq!(probe(Success), Some(Cause::ProbesAnswered));
        assert_eq!([Failure, Failure].map(&mut probe), [None; 2], "what it answered before does not count");
        assert_eq!(probe(Failure), Some(Cause::ProbesFailed));
    }

    #[test]
    fn probes_before_it_fell_do_not_bring_it_back() {
        let mut health = Hysteresis::new(HealthPolicy { rise: 2, fall: 3, is_probed: true, ..policy(1) });
        health.judge(at(0), Failure, Role::Probe);
        health.judge(at(0), Failure, Role::Request);
        health.end_pause();
        assert_eq!(health.judge(at(1), Success, Role::Probe), None);
        assert_eq!(health.judge(at(1), Success, Role::Probe), None, "the next counts after the same pause");
        health.end_pause();
        assert_eq!(health.judge(at(2), Success, Role::Probe), Some(Cause::ProbesAnswered));
    }

    #[test]
    fn one_that_cannot_be_reached_in_between_has_not_answered_in_a_row() {
        let mut health = Hysteresis::new(HealthPolicy { rise: 2, is_probed: true, ..policy(1) });
        health.judge(at(0), Unreachable, Role::Request);
        for outcome in [Success, Unreachable, Success] {
            assert_eq!(health.judge(at(0), outcome, Role::Probe), None);
        }
        assert_eq!(health.judge(at(0), Success, Role::Probe), Some(Cause::ProbesAnswered));
    }

    #[test]
    fn where_there_are_probes_no_request_tries_a_backend() {
        let mut health = Hysteresis::new(HealthPolicy { is_probed: true, ..policy(1) });
        health.judge(at(0), Failure, Role::Request);
        assert_eq!(health.judge(at(0), Success, Role::Probe), None, "not before the pause is over");
        assert!(!health.admit(), "also while too few are up");
        health.end_pause();
        assert!(!health.admits() && health.awaits_probe(), "it need not wait for its turn");
        assert_eq!(health.judge(at(2), Success, Role::Probe), Some(Cause::ProbesAnswered));
    }

    #[test]
    fn where_there_are_no_probes_any_more_a_request_tries_it() {
        let mut health = Hysteresis::new(HealthPolicy { is_probed: true, ..policy(1) });
        health.judge(at(0), Failure, Role::Probe);
        health.set_policy(policy(1));
        assert!(health.admit());
    }

    #[test]
    fn one_that_is_there_again_but_not_well_is_down_by_its_probes() {
        let mut health = Hysteresis::new(HealthPolicy { is_probed: true, ..policy(1) });
        health.judge(at(0), Unreachable, Role::Probe);
        health.end_pause();
        assert_eq!(health.judge(at(1), Failure, Role::Probe), Some(Cause::ProbesFailed));
        assert!(health.is_doubtful());
        assert_eq!(health.judge(at(2), Unreachable, Role::Probe), Some(Cause::Unreachable));
    }

    #[test]
    fn a_poor_answer_clears_of_silence_but_not_of_poor_answers() {
        let trial = |health: &mut Hysteresis| {
            health.end_pause();
            assert!(health.admit());
            health.judge(at(2), Poor, Role::Trial)
        };
        let mut health = hysteresis(1);
        health.judge(at(0), Failure, Role::Request);
        assert_eq!(trial(&mut health), Some(Cause::TrialServed));
        assert_eq!(health.stand_out(at(3)), Some(Cause::Outlier));
        assert_eq!(trial(&mut health), Some(Cause::Outlier));
    }

    #[test]
    fn silence_is_no_failure_but_no_proof_of_health_either() {
        let mut health = hysteresis(1);
        assert_eq!(health.judge(at(0), Outcome::Silent, Role::Request), None, "the work may be long");
        health.judge(at(0), Failure, Role::Request);
        health.end_pause();
        assert!(health.admit());
        assert_eq!(health.judge(at(1), Outcome::Silent, Role::Trial), Some(Cause::Failures));
        let mut health = hysteresis(1);
        assert_eq!(health.judge(at(0), Outcome::Silent, Role::Probe), Some(Cause::ProbesFailed));
    }

    #[test]
    fn a_pause_varies_by_its_share_and_no_more() {
        let second = |dice| jittered(SECOND, 20, dice).as_millis();
        assert_eq!((second(0), second(u32::MAX)), (800, 1200));
        assert!((999..=1001).contains(&second(u32::MAX / 2)));
        assert_eq!(jittered(SECOND, 0, 0), SECOND);
    }

    /// What was at work when a backend died is told in any order: the refused connect may come before the rest.
    #[test]
    fn a_probe_that_broke_while_it_is_left_alone_says_nothing_new() {
        let mut health = Hysteresis::new(HealthPolicy { is_probed: true, ..policy(1) });
        health.judge(at(0), Unreachable, Role::Request);
        for outcome in [Failure, Poor, Outcome::Silent] {
            assert_eq!(health.judge(at(0), outcome, Role::Probe), None);
        }
        health.end_pause();
        assert!(health.awaits_probe());
    }

    #[test]
    fn a_trial_of_before_is_a_request_like_any_other() {
        let mut health = hysteresis(1);
        health.judge(at(0), Failure, Role::Request);
        health.end_pause();
        assert!(health.admit());
        health.judge(at(1), Unreachable, Role::Request);
        assert_eq!(health.judge(at(1), Success, Role::Trial), None, "it was sent before");
        assert_eq!(health.pause_end(), Some(at(2).now));
    }

    #[test]
    fn where_probes_begin_no_request_tries_it_any_more() {
        let mut health = hysteresis(1);
        health.judge(at(0), Failure, Role::Request);
        health.end_pause();
        health.set_policy(HealthPolicy { is_probed: true, ..policy(1) });
        assert!(!health.admits());
        assert_eq!(health.judge(at(1), Success, Role::Probe), Some(Cause::ProbesAnswered));
    }

    #[test]
    fn a_pause_may_be_as_long_as_a_time_can_be() {
        let mut health = Hysteresis::new(HealthPolicy {
            pause: Duration::MAX,
            pause_max: Duration::MAX,
            jitter: 20,
            ..policy(1)
        });
        health.judge(Surroundings { dice: u32::MAX, ..at(0) }, Failure, Role::Request);
        assert_eq!(health.pause_end(), Some(Time::NEVER));
    }
}
