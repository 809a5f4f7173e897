//! One backend of the model.

use idleway_core::{HealthPolicy, Mode, Outcome, Time, Until};

use crate::{
    accounts::Charge,
    naive::{Connection, Name},
};

/// A backend.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) slots: usize,
    pub(crate) removed: bool,
    pub(crate) mode: Mode,
    pub(crate) health: State,
    pub(crate) work: Vec<Work>,
    /// The one parked last is last.
    pub(crate) parked: Vec<(Time, Connection, u16)>,
}

/// A slot that is taken.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) name: Name,
    pub(crate) state: Taken,
    pub(crate) purpose: Purpose,
    /// None of a probe.
    pub(crate) charge: Option<Charge>,
    /// What it keeps while it settles, and on which core.
    pub(crate) kept: Option<(Connection, u16)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Taken {
    Busy,
    Lingering,
    Resting(Until),
    Doubted,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Purpose {
    Work,
    Trial,
    Probe,
    Proof,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum State {
    Up(u32),
    Paused(u64, Time),
    Trial(u64, bool),
    Told,
}

impl Site {
    pub(crate) fn new(slots: usize) -> Self {
        let (work, parked) = (Vec::new(), Vec::new());
        Self { slots, removed: false, mode: Mode::Ready, health: State::Up(0), work, parked }
    }

    pub(crate) fn idle(&self) -> usize {
        self.slots.saturating_sub(self.work.len())
    }

    pub(crate) fn is_up(&self) -> bool {
        self.mode == Mode::Ready && matches!(self.health, State::Up(_)) && self.slots > 0
    }

    pub(crate) fn on_trial(&self) -> bool {
        self.mode == Mode::Ready && matches!(self.health, State::Trial(..)) && self.slots > 0
    }

    pub(crate) fn admits(&self) -> bool {
        self.mode == Mode::Ready && matches!(self.health, State::Up(_) | State::Trial(_, false))
    }

    pub(crate) fn keeps(&self, near: u16) -> bool {
        self.parked.iter().any(|(_, _, core)| core % 64 == near % 64)
    }

    pub(crate) fn has_lower_share(&self, other: &Self) -> bool {
        self.work.len() * other.slots < other.work.len() * self.slots
    }

    /// The connections that may be handed out to one near `near`: the last parked of a class.
    pub(crate) fn best(&self, near: u16) -> Vec<Option<Connection>> {
        let last =
            |class: u16| self.parked.iter().rfind(|(_, _, core)| core % 64 == class).map(|kept| kept.1);
        match (self.keeps(near), self.parked.is_empty()) {
            (true, _) => vec![last(near % 64)],
            (false, true) => vec![None],
            (false, false) => (0..64).map(last).filter(Option::is_some).collect(),
        }
    }

    /// Takes a slot as the dispatcher chose.
    pub(crate) fn take(&mut self, name: Name, near: u16, kept: Option<Connection>, is_probe: bool) {
        assert!(self.idle() > 0, "the limit holds");
        assert!(self.best(near).contains(&kept), "{kept:?} is not among the best of {self:?}");
        self.parked.retain(|parked| Some(parked.1) != kept);
        let purpose = if is_probe { Purpose::Probe } else { self.purpose() };
        self.work.push(Work { name, state: Taken::Busy, purpose, charge: None, kept: None });
    }

    pub(crate) fn purpose(&mut self) -> Purpose {
        match &mut self.health {
            State::Trial(_, out) => {
                *out = true;
                Purpose::Trial
            }
            _ => Purpose::Work,
        }
    }

    pub(crate) fn trial_over(&mut self) {
        if let State::Trial(_, out) = &mut self.health {
            *out = false;
        }
    }

    pub(crate) fn judge(
        &mut self,
        now: Time,
        policy: HealthPolicy,
        outcome: Outcome,
        purpose: Purpose,
    ) -> bool {
        if purpose == Purpose::Trial {
            self.trial_over();
        }
        let nanos = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap();
        let paused = |pause: u64| State::Paused(pause, Time::from_nanos(now.as_nanos() + pause));
        let was_up = matches!(self.health, State::Up(_));
        self.health = match (self.health, outcome) {
            (State::Told, _) | (_, Outcome::Ignored) => self.health,
            (_, Outcome::Success) => State::Up(0),
            (State::Up(failures), Outcome::Failure) if failures + 1 < policy.fall => State::Up(failures + 1),
            (State::Up(_), Outcome::Failure) => paused(nanos(policy.pause)),
            (State::Trial(pause, _), Outcome::Failure) if purpose == Purpose::Trial => {
                self.health = paused((2 * pause).min(nanos(policy.pause_max)));
                return true;
            }
            (health, Outcome::Failure) => health,
        };
        was_up != matches!(self.health, State::Up(_))
    }
}
