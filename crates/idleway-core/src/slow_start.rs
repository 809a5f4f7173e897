//! A backend that has come back gets its slots one by one: it may have to warm up, and may not be well yet.

use std::time::Duration;

use crate::time::Time;

/// How many slots of a backend are open so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlowStart {
    open: u32,
    /// When the next one opens by itself.
    next: Time,
    step: Duration,
}

impl SlowStart {
    /// From now on, all of `slots` within the time `whole`; none where there is nothing to open slowly.
    pub(crate) fn begin(now: Time, slots: u32, whole: Duration) -> Option<Self> {
        let step = whole / slots.max(1);
        (slots > 1 && !step.is_zero()).then(|| Self { open: 1, next: now + step, step })
    }

    /// Goes on with those that are open, where all of `slots` are to be so within the time `whole`; `None`: all are at once.
    pub(crate) fn adapt(self, now: Time, slots: u32, whole: Duration) -> Option<Self> {
        let step = whole / slots.max(1);
        (!step.is_zero()).then(|| Self { step, next: self.next.min(now + step), ..self })
    }

    pub(crate) const fn open(&self) -> u32 {
        self.open
    }

    pub(crate) const fn next(&self) -> Time {
        self.next
    }

    /// Opens one more: its time has come, or one that is open has served well.
    pub(crate) fn open_one(&mut self, now: Time) {
        self.open = self.open.saturating_add(1);
        self.next = now + self.step;
    }
}
