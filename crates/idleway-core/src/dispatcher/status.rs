//! What those who look on see of the taken slots and of the line. No look holds the lock for long.

use std::time::Duration;

use super::Dispatcher;
use crate::{
    ask::{Key, Lane},
    backend::BackendKey,
    demand::Demand,
    estimate::duration,
    grant::{SlotId, Until},
    keys::Charge,
    slots::{Purpose, State},
    time::Time,
};

/// A slot that this pool has taken, as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotView {
    /// Which slot, in which of its lives.
    pub slot: SlotId,
    /// The backend it is a slot of.
    pub backend: BackendKey,
    /// What it is taken by.
    pub state: Taken,
    /// What it was granted for.
    pub purpose: Purpose,
    /// In whose name it was taken; none of a probe.
    pub key: Option<Key>,
    /// For how long it has been taken, whatever its state was meanwhile.
    pub age: Duration,
}

/// What a slot is taken by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Taken {
    /// A request, or a probe, is at work.
    Busy,
    /// The request was answered or left, but the backend has not finished.
    Lingering,
    /// It rests until this happens.
    Resting(Until),
    /// It rests, and is free when the one says so that holds it: a task that waits for the backend, or a probe that is to prove it
    /// free.
    Doubted,
}

/// Those who wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// Those who failed somewhere and wait before all others.
    pub in_front: u32,
    /// The others, by [`Lane::ALL`].
    pub lanes: [u32; Lane::ALL.len()],
    /// How long the one has waited that has waited longest; `None`: nobody waits.
    pub longest: Option<Duration>,
}

impl<C, W> Dispatcher<C, W> {
    /// The slots that this pool has taken, in no order that means anything. Looks at `limit` places from the place `from`
    /// on; the second part of the answer is the place to go on from, if there is more. Idle slots are numbers, and so are
    /// those at work elsewhere: [`Self::backends`] has them.
    #[must_use]
    pub fn slots(&self, now: Time, from: u32, limit: u32) -> (Vec<SlotView>, Option<u32>) {
        let now = self.now.max(now);
        let end = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let to = from.saturating_add(limit).min(end);
        let view = |index| {
            let slot = self.slots.slot(index);
            let state = match slot.state {
                State::Vacant | State::Parked => return None,
                State::Busy => Taken::Busy,
                State::Lingering => Taken::Lingering,
                State::Resting(until) => Taken::Resting(until),
                State::Doubted => Taken::Doubted,
            };
            Some(SlotView {
                slot: SlotId { backend: slot.backend, index, generation: slot.generation },
                backend: self.backends[slot.backend as usize].key,
                state,
                purpose: slot.purpose,
                key: slot.charge.as_ref().map(Charge::key),
                age: now.since(slot.since),
            })
        };
        ((from..to).filter_map(view).collect(), (to < end).then_some(to))
    }

    /// How many wait in which part of the line, and for how long. O(1).
    #[must_use]
    pub fn waiting(&self, now: Time) -> Waiting {
        let firsts = [self.queue.first_in_front(), self.queue.oldest_behind_front()];
        let since = firsts.into_iter().flatten().filter_map(|index| self.queue.waiter(index));
        let since = since.map(|waiter| waiter.asker.since).min();
        Waiting {
            in_front: self.queue.len_of_front(),
            lanes: Lane::ALL.map(|lane| self.queue.len_of_lane(lane)),
            longest: since.map(|since| self.now.max(now).since(since)),
        }
    }

    /// What the pool is asked for lately, in the mean over time. O(1).
    #[must_use]
    pub fn demand(&self, now: Time) -> Demand {
        let now = self.now.max(now);
        let (at_work, refused) = self.demand.means(self.now, now, self.at_work_now());
        let service = self.service.mean().map(duration);
        Demand { at_work, refused, waiting: self.queue.waiting().into(), service }
    }
}
