//! The health of one backend of the model, and how many of its slots are open.

use std::time::Duration;

use idleway_core::{HealthPolicy, Outcome, Time};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Condition {
    down: Option<Down>,
    /// In a row, of requests while it is up.
    failures: u32,
    /// In a row, of the kind that would turn it.
    probes: u32,
    last_pause: Duration,
    up_since: Time,
    slow: Option<Slow>,
    policy: HealthPolicy,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Down {
    why: Why,
    until: Option<Time>,
    by_request: bool,
    out: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Why {
    Unreachable,
    Broken,
    Probes,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Slow {
    open: usize,
    next: Time,
    step: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Role {
    Request,
    Trial,
    Probe,
}

impl Condition {
    pub(crate) fn new(policy: HealthPolicy) -> Self {
        Self { policy, ..Self::default() }
    }

    pub(crate) fn set_policy(&mut self, policy: HealthPolicy) {
        if let Some(down) = self.down.as_mut().filter(|down| down.until.is_none()) {
            let loses_probes = self.policy.is_probed && !policy.is_probed && down.why != Why::Unreachable;
            if loses_probes && !down.by_request {
                (down.by_request, down.out) = (true, false);
            } else if policy.is_probed && down.by_request && !down.out {
                down.by_request = false;
            }
        }
        self.policy = policy;
    }

    pub(crate) fn is_up(&self) -> bool {
        self.down.is_none()
    }

    pub(crate) fn is_doubtful(&self) -> bool {
        self.down.is_some_and(|down| down.why != Why::Unreachable)
    }

    pub(crate) fn on_trial(&self) -> bool {
        self.down.is_some_and(|down| down.until.is_none() && down.by_request)
    }

    pub(crate) fn admits(&self) -> bool {
        self.is_up() || (self.on_trial() && !self.down.unwrap().out)
    }

    pub(crate) fn awaits_probe(&self) -> bool {
        self.down.is_some_and(|down| {
            down.why != Why::Probes && down.until.is_none() && !down.by_request && !down.out
        })
    }

    /// Whether a probe may bring it back at any moment.
    pub(crate) fn is_probed(&self) -> bool {
        self.down.is_some_and(|down| down.until.is_none() && !down.by_request)
    }

    pub(crate) fn is_unreachable(&self) -> bool {
        self.down.is_some_and(|down| down.why == Why::Unreachable)
    }

    pub(crate) fn open(&self, slots: usize) -> usize {
        self.slow.map_or(slots, |slow| slow.open.min(slots))
    }

    /// When something happens by time alone.
    pub(crate) fn alarm(&self) -> Option<Time> {
        self.down.and_then(|down| down.until).or(self.slow.map(|slow| slow.next))
    }

    pub(crate) fn ring(&mut self, now: Time, slots: usize) {
        match &mut self.down {
            Some(down) => {
                let by_request = !self.policy.is_probed && down.why != Why::Unreachable;
                *down = Down { until: None, by_request, out: false, ..*down };
            }
            None => self.open_one(now, slots),
        }
    }

    pub(crate) fn open_one(&mut self, now: Time, slots: usize) {
        if let Some(slow) = &mut self.slow {
            *slow = Slow { open: slow.open + 1, next: now + slow.step, ..*slow };
        }
        self.end_slow_start(slots);
    }

    pub(crate) fn is_slow(&self) -> bool {
        self.slow.is_some()
    }

    pub(crate) fn end_slow_start(&mut self, slots: usize) {
        self.slow = self.slow.filter(|slow| slow.open < slots);
    }

    /// Another pace, from now on.
    pub(crate) fn adapt_slow_start(&mut self, now: Time, slots: usize) {
        let step = self.policy.slow_start / u32::try_from(slots.max(1)).unwrap();
        self.slow = self.slow.filter(|_| !step.is_zero());
        if let Some(slow) = &mut self.slow {
            (slow.step, slow.next) = (step, slow.next.min(now + step));
        }
        self.end_slow_start(slots);
    }

    /// A request goes out; whether it is the trial.
    pub(crate) fn admit(&mut self) -> bool {
        let Some(down) = &mut self.down else { return false };
        let early = down.until.is_some() && !self.policy.is_probed && down.why != Why::Unreachable;
        let is_trial = early || (down.until.is_none() && down.by_request && !down.out);
        if is_trial {
            *down = Down { until: None, by_request: true, out: true, ..*down };
        }
        is_trial
    }

    pub(crate) fn trial_over(&mut self) {
        if let Some(down) = self.down.as_mut().filter(|down| down.until.is_none() && down.by_request) {
            (down.out, down.by_request) = (false, !self.policy.is_probed);
        }
    }

    /// The client of the trial left.
    pub(crate) fn leave_trial(&mut self, now: Time) {
        let pause = self.last_pause.max(self.policy.pause);
        if let Some(down) =
            self.down.as_mut().filter(|down| down.until.is_none() && down.by_request && down.out)
        {
            *down = Down { until: Some(now + pause), by_request: false, out: false, ..*down };
        }
    }

    pub(crate) fn probe_out(&mut self) {
        if let Some(down) = self.down.as_mut().filter(|down| down.until.is_none() && !down.by_request) {
            down.out = true;
        }
    }

    /// Whether anything turned.
    pub(crate) fn judge(
        &mut self,
        now: Time,
        dark: bool,
        slots: usize,
        outcome: Outcome,
        role: Role,
    ) -> bool {
        let Some(down) = self.down else {
            return self.judge_up(now, dark, outcome, role);
        };
        let is_trial = role == Role::Trial && self.on_trial() && down.out;
        let role = if role == Role::Trial && !is_trial { Role::Request } else { role };
        if is_trial {
            self.trial_over();
        }
        match (role, outcome) {
            (Role::Request, Outcome::Unreachable) if down.why != Why::Unreachable => {
                self.fall(now, dark, Why::Unreachable)
            }
            (Role::Request, _) | (Role::Trial, Outcome::Ignored) => false,
            (Role::Trial, Outcome::Success | Outcome::Poor) => self.rise(now, slots),
            (Role::Trial, Outcome::Silent) => self.fall(now, dark, down.why),
            (Role::Trial, Outcome::Failure) => self.fall(now, dark, Why::Broken),
            (Role::Trial, Outcome::Unreachable) => self.fall(now, dark, Why::Unreachable),
            (Role::Probe, Outcome::Ignored) => self.wait_again(now),
            (Role::Probe, Outcome::Success) => {
                if down.why != Why::Unreachable && down.until.is_some() {
                    return false;
                }
                self.probes += 1;
                if self.probes >= self.policy.rise { self.rise(now, slots) } else { self.wait_again(now) }
            }
            (Role::Probe, Outcome::Unreachable) => {
                self.probes = 0;
                down.until.is_none() && self.fall(now, dark, Why::Unreachable)
            }
            (Role::Probe, Outcome::Failure | Outcome::Poor | Outcome::Silent) => {
                self.probes = 0;
                let is_asked = down.why != Why::Probes && down.until.is_none() && !down.by_request;
                is_asked && self.fail_probes(now, dark)
            }
        }
    }

    fn judge_up(&mut self, now: Time, dark: bool, outcome: Outcome, role: Role) -> bool {
        match (role, outcome) {
            (_, Outcome::Ignored) => false,
            (_, Outcome::Unreachable) => self.fall(now, dark, Why::Unreachable),
            (Role::Probe, Outcome::Success) => {
                self.probes = 0;
                false
            }
            (Role::Probe, _) => {
                self.probes += 1;
                self.probes >= self.policy.fall && self.fail_probes(now, dark)
            }
            (_, Outcome::Silent) => false,
            (_, Outcome::Success | Outcome::Poor) => {
                self.failures = 0;
                false
            }
            (_, Outcome::Failure) => {
                self.failures += 1;
                self.failures >= self.policy.failures && self.fall(now, dark, Why::Broken)
            }
        }
    }

    pub(crate) fn wait_again(&mut self, now: Time) -> bool {
        if let Some(down) = &mut self.down
            && (down.until, down.by_request) == (None, false)
            && down.why != Why::Probes
        {
            down.until = Some(now + self.last_pause);
        }
        false
    }

    fn rise(&mut self, now: Time, slots: usize) -> bool {
        let step = self.policy.slow_start / u32::try_from(slots.max(1)).unwrap();
        (self.down, self.failures, self.probes, self.up_since) = (None, 0, 0, now);
        self.slow = (slots > 1 && !step.is_zero()).then_some(Slow { open: 1, next: now + step, step });
        true
    }

    fn fall(&mut self, now: Time, dark: bool, why: Why) -> bool {
        let is_relapse = self.down.is_some() || now.since(self.up_since) < self.last_pause * 10;
        let grows = is_relapse && !self.last_pause.is_zero() && !(dark && why == Why::Unreachable);
        let pause = if grows { self.last_pause * 2 } else { self.policy.pause };
        self.last_pause = pause.min(self.policy.pause_max);
        self.go_down(Down { why, until: Some(now + self.last_pause), by_request: false, out: false })
    }

    fn fail_probes(&mut self, now: Time, dark: bool) -> bool {
        if !self.policy.is_probed {
            return self.fall(now, dark, Why::Probes);
        }
        self.go_down(Down { why: Why::Probes, until: None, by_request: false, out: false })
    }

    fn go_down(&mut self, down: Down) -> bool {
        (self.down, self.failures, self.probes, self.slow) = (Some(down), 0, 0, None);
        true
    }
}
