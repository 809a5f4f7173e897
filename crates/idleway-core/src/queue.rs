//! The line of a pool: who waits, in which order, and how each wait ended.

use std::collections::BTreeSet;

use crate::{
    ask::{Ask, Refusal, Ticket},
    backend::BackendKey,
    grant::{Grant, SlotId},
    line::{Line, Links, index_of},
    time::{Core, Time},
};

/// How many requests that already failed somewhere may wait in front of the line.
///
/// A freed slot is offered to each of them in turn, for each may avoid its backend: the bound keeps a release cheap.
pub(crate) const FRONT_LENGTH: u32 = 64;

/// The bounded line of a pool, in two lanes: in front those that avoid a backend, then all others.
#[derive(Debug)]
pub(crate) struct Queue<C, W> {
    entries: Vec<Entry<C, W>>,
    vacant: Vec<u32>,
    front: Line,
    main: Line,
    /// When the waits end that may end by time.
    ends: BTreeSet<(Time, u32)>,
    length: usize,
}

#[derive(Debug)]
struct Entry<C, W> {
    generation: u32,
    stage: Stage<C, W>,
    links: Links,
}

#[derive(Debug)]
enum Stage<C, W> {
    Vacant,
    Waiting(Waiter<W>),
    /// The wait ended: a slot is the waiter's, though it has not looked yet.
    Granted(Grant<C>),
    /// The wait ended without a slot.
    Over(Refusal),
}

/// One that waits.
#[derive(Debug)]
pub(crate) struct Waiter<W> {
    pub(crate) near: Core,
    pub(crate) avoid: Vec<BackendKey>,
    pub(crate) until: Time,
    pub(crate) since: Time,
    wake: Option<W>,
}

/// How a ticket stands.
#[derive(Debug)]
pub(crate) enum Standing<C> {
    Waiting(u32),
    Granted(Grant<C>),
    Over(Refusal),
    /// It was collected, or it left: there is nothing.
    Spent,
}

impl<C, W> Queue<C, W> {
    pub(crate) const fn new(length: usize) -> Self {
        Self {
            entries: Vec::new(),
            vacant: Vec::new(),
            front: Line::EMPTY,
            main: Line::EMPTY,
            ends: BTreeSet::new(),
            length,
        }
    }

    /// From now on so many may wait; those in line stay.
    pub(crate) const fn set_length(&mut self, length: usize) {
        self.length = length;
    }

    /// Whether anyone may wait at all.
    pub(crate) const fn is_open(&self) -> bool {
        self.length > 0
    }

    /// Whether one more has room, in the front lane or in the other.
    pub(crate) const fn has_room(&self, in_front: bool) -> bool {
        if in_front { self.front.len() < FRONT_LENGTH } else { (self.main.len() as usize) < self.length }
    }

    pub(crate) const fn waiting(&self) -> u32 {
        self.front.len() + self.main.len()
    }

    /// Puts one at the end of its lane.
    pub(crate) fn join(&mut self, ask: Ask, now: Time) -> Ticket {
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.entries.push(Entry { generation: 0, stage: Stage::Vacant, links: Links::NONE });
            index_of(self.entries.len() - 1)
        });
        let Ask { near, avoid, until, .. } = ask;
        if until < Time::NEVER {
            self.ends.insert((until, index));
        }
        let lane = if avoid.is_empty() { &mut self.main } else { &mut self.front };
        lane.push_back(&mut self.entries, links, index);
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.stage = Stage::Waiting(Waiter { near, avoid, until, since: now, wake: None });
        Ticket { index, generation: entry.generation }
    }

    /// The first in line that `may` be served.
    pub(crate) fn first(&self, mut may: impl FnMut(&Waiter<W>) -> bool) -> Option<u32> {
        self.lane(self.front)
            .find(|(_, waiter)| may(waiter))
            .map(|(index, _)| index)
            .or_else(|| self.main.first())
    }

    /// The first of the front lane.
    pub(crate) fn first_in_front(&self) -> Option<u32> {
        self.front.first()
    }

    /// The first of the main lane.
    pub(crate) fn first_in_main(&self) -> Option<u32> {
        self.main.first()
    }

    /// Those of the front lane, in order.
    pub(crate) fn front(&self) -> impl Iterator<Item = (u32, &Waiter<W>)> {
        self.lane(self.front)
    }

    /// Those of the main lane, in order.
    pub(crate) fn main(&self) -> impl Iterator<Item = (u32, &Waiter<W>)> {
        self.lane(self.main)
    }

    /// The next in the same lane.
    pub(crate) fn behind(&self, index: u32) -> Option<u32> {
        self.entries[index as usize].links.next()
    }

    /// One that waits, by the index that this queue gave.
    pub(crate) fn waiter(&self, index: u32) -> Option<&Waiter<W>> {
        match &self.entries[index as usize].stage {
            Stage::Waiting(waiter) => Some(waiter),
            _ => None,
        }
    }

    /// Ends a wait with a slot; answers what wakes the waiter.
    pub(crate) fn grant(&mut self, index: u32, grant: Grant<C>) -> Option<W> {
        self.end_wait(index, Stage::Granted(grant))
    }

    /// Ends a wait without a slot; answers what wakes the waiter.
    pub(crate) fn refuse(&mut self, index: u32, refusal: Refusal) -> Option<W> {
        self.end_wait(index, Stage::Over(refusal))
    }

    /// Looks after a ticket; one whose wait has ended is spent thereby.
    pub(crate) fn look(&mut self, ticket: Ticket) -> Standing<C> {
        let Some(entry) = self.entries.get_mut(ticket.index as usize) else {
            return Standing::Spent;
        };
        if entry.generation != ticket.generation {
            return Standing::Spent;
        }
        let standing = match std::mem::replace(&mut entry.stage, Stage::Vacant) {
            Stage::Waiting(waiter) => {
                entry.stage = Stage::Waiting(waiter);
                return Standing::Waiting(ticket.index);
            }
            Stage::Vacant => return Standing::Spent,
            Stage::Granted(grant) => Standing::Granted(grant),
            Stage::Over(refusal) => Standing::Over(refusal),
        };
        self.vacant.push(ticket.index);
        standing
    }

    /// Stores what wakes a waiter; answers what it replaces.
    pub(crate) fn store_wake(&mut self, index: u32, wake: W) -> Option<W> {
        match &mut self.entries[index as usize].stage {
            Stage::Waiting(waiter) => waiter.wake.replace(wake),
            _ => Some(wake),
        }
    }

    /// Takes one that waits out of the line; answers what would have woken it.
    pub(crate) fn leave(&mut self, index: u32) -> Option<W> {
        let wake = self.end_wait(index, Stage::Vacant);
        self.vacant.push(index);
        wake
    }

    /// The slots that were granted and not collected so far.
    pub(crate) fn granted(&self) -> impl Iterator<Item = SlotId> {
        self.entries.iter().filter_map(|entry| match &entry.stage {
            Stage::Granted(grant) => Some(grant.slot),
            _ => None,
        })
    }

    /// The waits that end by time, earliest first.
    pub(crate) fn ends(&self) -> impl Iterator<Item = (Time, u32)> {
        self.ends.iter().copied()
    }

    /// The wait that ends first.
    pub(crate) fn first_end(&self) -> Option<(Time, u32)> {
        self.ends.first().copied()
    }

    /// Takes one that waits out of its lane, into another stage.
    fn end_wait(&mut self, index: u32, stage: Stage<C, W>) -> Option<W> {
        match std::mem::replace(&mut self.entries[index as usize].stage, stage) {
            Stage::Waiting(waiter) => {
                let lane = if waiter.avoid.is_empty() { &mut self.main } else { &mut self.front };
                lane.remove(&mut self.entries, links, index);
                self.ends.remove(&(waiter.until, index));
                waiter.wake
            }
            _ => None,
        }
    }

    fn lane(&self, line: Line) -> impl Iterator<Item = (u32, &Waiter<W>)> + use<'_, C, W> {
        line.iter(&self.entries, |entry| &entry.links)
            .filter_map(|index| self.waiter(index).map(|waiter| (index, waiter)))
    }
}

fn links<C, W>(entry: &mut Entry<C, W>) -> &mut Links {
    &mut entry.links
}
