//! Slots by state.

use std::ops::{AddAssign, SubAssign};

/// Slots by state, of one backend or of a whole pool: `idle + busy + lingering + resting == slots`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Free, whether or not their backend may be used now.
    pub idle: u64,
    /// At work for a request.
    pub busy: u64,
    /// Answered or left, but not finished by the backend.
    pub lingering: u64,
    /// Waiting for a time or a proof; idle ones too while their backend rests as it was told, and those that somebody else
    /// has at work.
    pub resting: u64,
    /// All of them. After a shrink more than ordered, until the surplus has ended.
    pub slots: u64,
    /// Idle slots that keep a connection.
    pub kept: u64,
    /// Backends, those included that are removed but not yet quiet.
    pub backends: u64,
    /// Backends that are up and ready and have slots.
    pub up: u64,
    /// The slots of these.
    pub up_slots: u64,
    /// Backends that are down and may be, or are being, tried with one request.
    pub on_trial: u64,
    /// Backends that are ready and have slots, up or not.
    pub ready: u64,
    /// Those of them that are down although they can be reached.
    pub doubtful: u64,
    /// Idle slots, counted as resting, of backends that are up and rest.
    pub withheld: u64,
    /// Slots, counted as resting, of backends that are up which somebody else has at work; no more than fit into the limit.
    pub elsewhere: u64,
    /// Idle slots of backends that are up which are not open yet: they get them back one by one.
    pub unopened: u64,
    /// Backends that are down and that a probe may bring back at any moment.
    pub probed: u64,
    /// Taken slots of backends that can be reached that will be free in a moment: a probe has them, or they rest since an exchange
    /// broke.
    pub brief: u64,
    /// Requests that stand in the line.
    pub waiting: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        for (sum, part) in self.fields().into_iter().zip({ other }.fields()) {
            *sum += *part;
        }
    }
}

impl SubAssign for Counts {
    fn sub_assign(&mut self, other: Self) {
        for (sum, part) in self.fields().into_iter().zip({ other }.fields()) {
            *sum -= *part;
        }
    }
}

impl Counts {
    fn fields(&mut self) -> [&mut u64; 18] {
        let Self {
            idle,
            busy,
            lingering,
            resting,
            slots,
            kept,
            backends,
            up,
            up_slots,
            on_trial,
            ready,
            doubtful,
            withheld,
            elsewhere,
            unopened,
            probed,
            brief,
            waiting,
        } = self;
        [
            idle, busy, lingering, resting, slots, kept, backends, up, up_slots, on_trial, ready, doubtful,
            withheld, elsewhere, unopened, probed, brief, waiting,
        ]
    }
}
