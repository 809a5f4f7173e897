//! Work that takes far longer than work of its pool does: it may hang. Time alone never takes a backend out.

use std::time::Duration;

use super::Dispatcher;
use crate::{backend::BackendKey, estimate::duration, slots::State, time::Time};

/// Longer than so many times what 99 of 100 pieces of work take at most, and no less than a second, is far longer.
const FAR: f64 = 3.0;
const LEAST: f64 = 1.0;
/// Before so many pieces of work were served nobody knows how long they take.
const TELLING: f64 = 20.0;

/// A piece of work that may hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overdue {
    /// Where it is at work.
    pub backend: BackendKey,
    /// For how long.
    pub age: Duration,
    /// 99 of 100 pieces of work hold their slot for no longer.
    pub p99: Duration,
}

impl<C, W> Dispatcher<C, W> {
    /// The work that may hang, each piece told once. Looks at `limit` slots from the place `from` on, so that no look holds
    /// the lock for long; the second part of the answer is the place to go on from, if there is more.
    pub fn overdue(&mut self, now: Time, from: u32, limit: u32) -> (Vec<Overdue>, Option<u32>) {
        let now = self.advance(now);
        let Some(p99) = self.service.quantile(0.99).filter(|_| self.service.samples() >= TELLING) else {
            return (Vec::new(), None);
        };
        let far = duration((FAR * p99).max(LEAST));
        let end = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let to = from.saturating_add(limit).min(end);
        let mut overdue = Vec::new();
        for index in from..to {
            let slot = self.slots.slot_mut(index);
            let age = now.since(slot.since);
            let is_at_work = matches!(slot.state, State::Busy | State::Lingering);
            if is_at_work && age > far && !std::mem::replace(&mut slot.is_told, true) {
                let backend = self.backends[slot.backend as usize].key;
                overdue.push(Overdue { backend, age, p99: duration(p99) });
            }
        }
        (overdue, (to < end).then_some(to))
    }
}
