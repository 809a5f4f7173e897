//! The slots that are more than a number: those taken, and those idle ones that keep a connection.

use std::collections::BTreeSet;

use crate::{
    backend::Backend,
    grant::{Kept, SlotId, Until},
    keys::Charge,
    line::{Line, Links, index_of},
    time::{Core, Time},
};

/// The entries of all backends of a dispatcher. Entries are reused; their number never exceeds that of the slots.
#[derive(Debug)]
pub(crate) struct Slots<C> {
    entries: Vec<Slot<C>>,
    vacant: Vec<u32>,
    /// Those that keep a connection, the one parked first in front.
    parked: Line,
    /// Those that rest until a time.
    rests: BTreeSet<(Time, u32)>,
}

#[derive(Debug)]
pub(crate) struct Slot<C> {
    /// The index of its backend.
    pub(crate) backend: u32,
    pub(crate) generation: u32,
    pub(crate) state: State,
    /// What it was granted for.
    pub(crate) purpose: Purpose,
    /// Since when it has been taken, or parked.
    pub(crate) since: Time,
    /// It will be free in a moment: a probe has it, or it rests since an exchange on it broke.
    pub(crate) is_brief: bool,
    /// It was told that its work may hang.
    pub(crate) is_told: bool,
    /// What it costs the key in whose name it is taken; none of a probe.
    pub(crate) charge: Option<Charge>,
    /// The connection of a parked slot, or of one that rests after work that ended.
    kept: Option<Kept<C>>,
    /// In its backend's line of parked slots of a class, or in that of slots without proof.
    place: Links,
    /// In the line of all parked slots.
    age: Links,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No slot at all.
    Vacant,
    /// Idle, with a connection.
    Parked,
    Busy,
    Lingering,
    Resting(Until),
    /// Resting as well, but in the hands of the one to whom it was granted: it is free when that one says so.
    Doubted,
}

/// What a slot was granted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A request.
    Work,
    /// A request that tries a backend that was down.
    Trial,
    /// A probe of an idle slot.
    Probe,
    /// A probe of a slot that rested until a proof: back to rest unless it succeeds.
    Proof,
}

impl<C> Slots<C> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), vacant: Vec::new(), parked: Line::EMPTY, rests: BTreeSet::new() }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Slot<C>> {
        self.entries.iter()
    }

    /// How many entries there are, vacant ones too.
    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn slot(&self, index: u32) -> &Slot<C> {
        &self.entries[index as usize]
    }

    pub(crate) fn slot_mut(&mut self, index: u32) -> &mut Slot<C> {
        &mut self.entries[index as usize]
    }

    /// What all slots cost that are taken in the name of a key.
    pub(crate) fn charges(&self) -> impl Iterator<Item = &Charge> {
        self.entries.iter().filter_map(|slot| slot.charge.as_ref())
    }

    /// As `charges`, to be changed.
    pub(crate) fn charges_mut(&mut self) -> impl Iterator<Item = &mut Charge> {
        self.entries.iter_mut().filter_map(|slot| slot.charge.as_mut())
    }

    /// The entry of a slot that is busy, lingering or in doubt in the life that `id` names.
    pub(crate) fn at_work(&self, id: SlotId) -> Option<u32> {
        let slot = self.entries.get(id.index as usize)?;
        let is_same = (slot.backend, slot.generation) == (id.backend, id.generation);
        (is_same && matches!(slot.state, State::Busy | State::Lingering | State::Doubted)).then_some(id.index)
    }

    /// Takes an idle slot of `backend`: one that keeps a connection, near if possible, else a bare one.
    pub(crate) fn take(
        &mut self,
        (at, backend): (u32, &mut Backend),
        purpose: Purpose,
        near: Core,
        now: Time,
    ) -> (SlotId, Option<Kept<C>>) {
        let (index, kept) = match backend.shelf.pick(near.class()) {
            Some(index) => (index, self.unpark(backend, index)),
            None => (self.bare(), None),
        };
        self.entries[index as usize].backend = at;
        self.set_state(backend, index, State::Busy);
        if purpose == Purpose::Probe {
            self.be_brief(backend, index);
        }
        (self.begin_life(index, purpose, now), kept)
    }

    /// Takes a slot of `backend` that keeps no connection to rest: something may be at work there that nobody here has sent.
    pub(crate) fn take_to_rest(&mut self, (at, backend): (u32, &mut Backend), state: State, now: Time) {
        let index = self.bare();
        self.entries[index as usize].backend = at;
        self.set_state(backend, index, state);
        self.begin_life(index, Purpose::Work, now);
    }

    /// Starts the next life of a slot that is and stays taken.
    pub(crate) fn take_over(
        &mut self,
        backend: &mut Backend,
        index: u32,
        purpose: Purpose,
        now: Time,
    ) -> SlotId {
        self.set_state(backend, index, State::Busy);
        self.begin_life(index, purpose, now)
    }

    /// Makes a taken slot idle; it keeps the connection, if there is one.
    pub(crate) fn give_back(&mut self, backend: &mut Backend, index: u32, kept: Option<Kept<C>>, now: Time) {
        let Some(kept) = kept else {
            self.set_state(backend, index, State::Vacant);
            self.vacant.push(index);
            return;
        };
        self.set_state(backend, index, State::Parked);
        let class = kept.core.class();
        let slot = &mut self.entries[index as usize];
        slot.since = now;
        slot.kept = Some(kept);
        backend.shelf.change(class, |line| line.push_front(&mut self.entries, place, index));
        self.parked.push_back(&mut self.entries, age, index);
    }

    /// A request was at work on the slot: its key learns from how long it is taken.
    pub(crate) fn note_work(&mut self, index: u32) {
        if let Some(charge) = &mut self.slot_mut(index).charge {
            charge.has_worked = true;
        }
    }

    /// As it is taken now, it will be free in a moment.
    pub(crate) fn be_brief(&mut self, backend: &mut Backend, index: u32) {
        if !std::mem::replace(&mut self.slot_mut(index).is_brief, true) {
            backend.brief += 1;
        }
    }

    /// Whether a slot was that of a trial; from now on its work is like any other.
    pub(crate) fn was_trial(&mut self, index: u32) -> bool {
        let purpose = &mut self.slot_mut(index).purpose;
        let was_trial = *purpose == Purpose::Trial;
        if was_trial {
            *purpose = Purpose::Work;
        }
        was_trial
    }

    /// Lets a slot whose work has ended rest for a time, with its connection.
    pub(crate) fn settle(&mut self, backend: &mut Backend, index: u32, end: Time, kept: Option<Kept<C>>) {
        self.set_state(backend, index, State::Resting(Until::Time(end)));
        self.slot_mut(index).kept = kept;
    }

    /// The connection of a slot whose rest is over.
    pub(crate) fn take_kept(&mut self, index: u32) -> Option<Kept<C>> {
        self.slot_mut(index).kept.take()
    }

    /// Takes the connection that the slot to be used next keeps; the slot is idle all the same.
    pub(crate) fn strip(&mut self, backend: &mut Backend) -> Option<C> {
        let index = backend.shelf.pick(0)?;
        self.strip_at(backend, index)
    }

    /// As `strip`, of the entry `index`.
    pub(crate) fn strip_at(&mut self, backend: &mut Backend, index: u32) -> Option<C> {
        let kept = self.unpark(backend, index);
        self.set_state(backend, index, State::Vacant);
        self.vacant.push(index);
        kept.map(|kept| kept.connection)
    }

    /// Moves a slot from state to state, in the counts and lines of its backend too.
    pub(crate) fn set_state(&mut self, backend: &mut Backend, index: u32, state: State) {
        let slot = &mut self.entries[index as usize];
        let before = std::mem::replace(&mut slot.state, state);
        if std::mem::take(&mut slot.is_brief) {
            backend.brief -= 1;
        }
        match before {
            State::Vacant | State::Parked => {}
            State::Busy => backend.busy -= 1,
            State::Lingering => backend.lingering -= 1,
            State::Doubted => backend.resting -= 1,
            State::Resting(until) => {
                backend.resting -= 1;
                match until {
                    Until::Time(end) => _ = self.rests.remove(&(end, index)),
                    Until::Proof => backend.unproven.remove(&mut self.entries, place, index),
                }
            }
        }
        match state {
            State::Vacant | State::Parked => {}
            State::Busy => backend.busy += 1,
            State::Lingering => backend.lingering += 1,
            State::Doubted => backend.resting += 1,
            State::Resting(until) => {
                backend.resting += 1;
                match until {
                    Until::Time(end) => _ = self.rests.insert((end, index)),
                    Until::Proof => backend.unproven.push_back(&mut self.entries, place, index),
                }
            }
        }
    }

    /// The slot that was parked first, and when.
    pub(crate) fn oldest_parked(&self) -> Option<(Time, u32)> {
        self.parked.first().map(|index| (self.slot(index).since, index))
    }

    /// The rest that ends first.
    pub(crate) fn first_rest(&self) -> Option<(Time, u32)> {
        self.rests.first().copied()
    }

    /// Checks what this file keeps: the line of the parked in order of time, a timer for each rest, no entry lost.
    pub(crate) fn check(&self) {
        let parked: Vec<u32> = self.parked.iter(&self.entries, |slot| &slot.age).collect();
        assert!(parked.is_sorted_by_key(|&index| self.slot(index).since), "parked out of order");
        let count = |wanted: fn(&Slot<C>) -> bool| self.entries.iter().filter(|slot| wanted(slot)).count();
        assert_eq!(parked.len(), count(|slot| slot.state == State::Parked));
        assert_eq!(parked.len(), count(|slot| slot.kept.is_some() && !is_timed(slot)));
        assert_eq!(self.rests.len(), count(is_timed));
        let is_free = |slot: &Slot<C>| matches!(slot.state, State::Vacant | State::Parked);
        assert!(self.entries.iter().all(|slot| slot.charge.is_none() || !is_free(slot)), "who pays for it?");
        assert_eq!(self.vacant.len(), count(|slot| slot.state == State::Vacant));
        let rests = (0_u32..).zip(&self.entries).filter_map(|(index, slot)| match slot.state {
            State::Resting(Until::Time(end)) => Some((end, index)),
            _ => None,
        });
        assert_eq!(self.rests, rests.collect::<BTreeSet<_>>());
    }

    fn begin_life(&mut self, index: u32, purpose: Purpose, now: Time) -> SlotId {
        let slot = &mut self.entries[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.purpose = purpose;
        slot.since = now;
        slot.is_told = false;
        SlotId { backend: slot.backend, index, generation: slot.generation }
    }

    /// An entry for a slot that was a number so far.
    fn bare(&mut self) -> u32 {
        self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(Slot {
                backend: u32::MAX,
                generation: 0,
                state: State::Vacant,
                purpose: Purpose::Work,
                since: Time::ZERO,
                is_brief: false,
                is_told: false,
                charge: None,
                kept: None,
                place: Links::NONE,
                age: Links::NONE,
            });
            index_of(self.entries.len() - 1)
        })
    }

    fn unpark(&mut self, backend: &mut Backend, index: u32) -> Option<Kept<C>> {
        let kept = self.entries[index as usize].kept.take();
        if let Some(kept) = &kept {
            backend.shelf.change(kept.core.class(), |line| {
                line.remove(&mut self.entries, place, index);
            });
            self.parked.remove(&mut self.entries, age, index);
        }
        kept
    }
}

fn is_timed<C>(slot: &Slot<C>) -> bool {
    matches!(slot.state, State::Resting(Until::Time(_)))
}

fn place<C>(slot: &mut Slot<C>) -> &mut Links {
    &mut slot.place
}

fn age<C>(slot: &mut Slot<C>) -> &mut Links {
    &mut slot.age
}
