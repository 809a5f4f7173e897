//! One backend of the model.

use idleway_core::{Mode, Time, Until};

use crate::{
    accounts::Charge,
    condition::{Condition, Role},
    naive::{Connection, Name},
};

/// A backend.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) slots: usize,
    pub(crate) removed: bool,
    pub(crate) mode: Mode,
    pub(crate) health: Condition,
    pub(crate) withheld: Option<Time>,
    pub(crate) work: Vec<Work>,
    /// What somebody else has at work.
    pub(crate) elsewhere: usize,
    /// How many slots it was said to hold last, where that is watched.
    pub(crate) told: Option<usize>,
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
    /// It rests since an exchange broke.
    pub(crate) is_broken: bool,
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

impl Purpose {
    pub(crate) fn role(self) -> Role {
        match self {
            Self::Work => Role::Request,
            Self::Trial => Role::Trial,
            Self::Probe | Self::Proof => Role::Probe,
        }
    }
}

impl Site {
    pub(crate) fn new(slots: usize) -> Self {
        let (work, parked) = (Vec::new(), Vec::new());
        let health = Condition::default();
        Self {
            slots,
            removed: false,
            mode: Mode::Ready,
            health,
            withheld: None,
            work,
            elsewhere: 0,
            told: None,
            parked,
        }
    }

    pub(crate) fn elsewhere(&self) -> usize {
        if self.removed { 0 } else { self.elsewhere }
    }

    /// What is at work there, whoever sent it.
    pub(crate) fn taken(&self) -> usize {
        self.work.len() + self.elsewhere()
    }

    pub(crate) fn idle(&self) -> usize {
        self.slots.saturating_sub(self.taken())
    }

    /// How many slots are this pool's.
    pub(crate) fn held(&self) -> usize {
        self.work.len().max(self.slots.saturating_sub(self.elsewhere()))
    }

    /// How many it could give up.
    pub(crate) fn cedable(&self) -> usize {
        if self.withheld.is_none() { self.idle() } else { 0 }
    }

    /// Slots that rest though nobody here took them.
    pub(crate) fn lay_to_rest(&mut self, names: impl Iterator<Item = Name>, until: Until) {
        let work = |name| Work {
            name,
            state: Taken::Resting(until),
            purpose: Purpose::Work,
            charge: None,
            is_broken: false,
            kept: None,
        };
        self.work.extend(names.map(work));
    }

    /// Whether a further slot may be used now.
    pub(crate) fn has_room(&self) -> bool {
        self.taken() < self.health.open(self.slots)
    }

    /// Idle slots that may not be used yet.
    pub(crate) fn unopened(&self) -> usize {
        self.idle() - self.health.open(self.slots).saturating_sub(self.taken()).min(self.idle())
    }

    fn is_ready(&self) -> bool {
        self.mode == Mode::Ready && self.slots > 0
    }

    pub(crate) fn is_up(&self) -> bool {
        self.is_ready() && self.health.is_up()
    }

    pub(crate) fn on_trial(&self) -> bool {
        self.is_ready() && self.health.on_trial()
    }

    /// Counts where it is asked whether too few are up.
    pub(crate) fn is_counted(&self) -> bool {
        self.is_ready()
    }

    pub(crate) fn is_doubtful(&self) -> bool {
        self.is_ready() && self.health.is_doubtful()
    }

    pub(crate) fn admits(&self) -> bool {
        self.is_ready() && self.withheld.is_none() && self.health.admits()
    }

    pub(crate) fn admits_in_panic(&self) -> bool {
        self.is_doubtful() && self.withheld.is_none() && !self.health.admits()
    }

    pub(crate) fn keeps(&self, near: u16) -> bool {
        self.parked.iter().any(|(_, _, core)| core % 64 == near % 64)
    }

    pub(crate) fn has_lower_share(&self, other: &Self) -> bool {
        self.taken() * other.slots < other.taken() * self.slots
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
        let purpose = if is_probe {
            self.health.probe_out();
            Purpose::Probe
        } else {
            assert!(self.has_room(), "not open yet");
            self.purpose()
        };
        self.work.push(Work {
            name,
            state: Taken::Busy,
            purpose,
            charge: None,
            is_broken: false,
            kept: None,
        });
    }

    pub(crate) fn purpose(&mut self) -> Purpose {
        if self.health.admit() { Purpose::Trial } else { Purpose::Work }
    }
}
