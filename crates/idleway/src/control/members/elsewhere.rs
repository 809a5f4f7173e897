//! What is at work at a backend for others: for another pool, or another name of it, that had its address before, and for the
//! process before this one.
//!
//! It goes by addresses: two backends meet where both may have work at one of them. Of those that are listed no two have the
//! same, so one of the two has left, or is found elsewhere now; what it still has at work, wherever that is, counts for the
//! other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use idleway_core::BackendKey;

use super::super::past::{Past, Place};
use super::{Entry, Members, view};
use crate::config::ColdStart;
use crate::live::{LivePool, Member, Taken};
use crate::net::Found;

/// Where a backend may have work besides where it is found now, until it is quiet.
#[derive(Debug, Default)]
pub(super) struct Trails(HashMap<BackendKey, HashSet<SocketAddr>>);

/// Who may have work where it is not found any more, by address: how much there is of each.
#[derive(Debug, Default)]
pub(super) struct Index(HashMap<SocketAddr, Vec<(BackendKey, u64)>>);

impl Trails {
    /// It may have work there.
    pub(super) fn note(&mut self, key: BackendKey, addresses: impl IntoIterator<Item = SocketAddr>) {
        let mut addresses = addresses.into_iter().peekable();
        if addresses.peek().is_some() {
            self.0.entry(key).or_default().extend(addresses);
        }
    }

    /// Forgets those of backends for which nothing is at work.
    pub(super) fn forget_the_quiet(&mut self, entries: &BTreeMap<usize, Entry>) {
        if self.0.is_empty() {
            return;
        }
        let all = entries.values().flat_map(|entry| {
            let work = |member: &Member| {
                (member.key, if entry.is_leaving { 1 } else { at_work(&entry.pool, member.key) })
            };
            entry.members.values().map(work)
        });
        let at_work: HashMap<_, _> = all.collect();
        self.0.retain(|key, _| at_work.get(key).is_some_and(|work| *work > 0));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of(&self, key: BackendKey) -> impl Iterator<Item = SocketAddr> {
        self.0.get(&key).into_iter().flatten().copied()
    }
}

impl Members {
    /// Where a backend may have work. `address`: what it is, where it is one of several that a name stands for.
    pub(super) fn reach(&self, address: Option<SocketAddr>, member: &Member) -> Vec<SocketAddr> {
        let now = address.map_or_else(|| member.backend.addresses.all(), |address| vec![address]);
        now.into_iter().chain(self.trails.of(member.key)).collect()
    }

    /// Those that may have work where others are found now.
    pub(super) fn index(&self) -> Index {
        let mut index = Index::default();
        for (at, entry) in &self.entries {
            let is_gone = entry.has_left || entry.is_leaving;
            for (address, member) in &entry.members {
                let is_found = address.is_none_or(|address| self.roster.of(*at).contains(&address));
                if !is_gone && is_found && self.trails.of(member.key).next().is_none() {
                    continue;
                }
                // Until the next Plan is in force it may begin more.
                let count = match entry.is_leaving {
                    true => at_most(&entry.pool, member.key),
                    false => at_work(&entry.pool, member.key),
                };
                for address in self.reach(*address, member).into_iter().filter(|_| count > 0) {
                    let there = index.0.entry(address).or_default();
                    // By its trail and by what it is found at it may be there twice.
                    if !there.iter().any(|(key, _)| *key == member.key) {
                        there.push((member.key, count));
                    }
                }
            }
        }
        index
    }

    /// How many Slots of a backend are taken by others, where it is found now.
    pub(super) fn taken_at(&self, index: &Index, address: Option<SocketAddr>, member: &Member) -> u32 {
        if let Some(address) = address {
            return self.taken(index, member, Place::At(&[address]));
        }
        match member.backend.addresses.now() {
            Found::At(addresses) => self.taken(index, member, Place::At(&addresses)),
            Found::Nowhere(_) => self.taken(index, member, Place::At(&[])),
            Found::NotYet => self.taken(index, member, Place::Unknown),
        }
    }

    /// How many Slots of a backend are taken by others at this place.
    pub(super) fn taken(&self, index: &Index, member: &Member, place: Place<'_>) -> u32 {
        let here: u64 = match place {
            Place::At(addresses) => {
                let there = addresses.iter().filter_map(|address| index.0.get(address)).flatten();
                // One that may be at several of them counts once.
                let others: HashMap<_, _> = there.filter(|(key, _)| *key != member.key).copied().collect();
                others.values().sum()
            }
            // It may be anybody's: nothing is sent there before it is known.
            Place::Unknown if index.0.is_empty() => 0,
            Place::Unknown => member.slots.into(),
        };
        let here = u32::try_from(here).unwrap_or(u32::MAX);
        match &self.past {
            Past::Told(told) => here.saturating_add(told.taken(&member.backend.name, place, member.slots)),
            Past::Unknown(_) => here,
        }
    }

    /// Tells the pools of what is taken elsewhere, as it is known now.
    pub(super) fn recount(&mut self) {
        let index = self.index();
        if index.0.is_empty() && self.told.is_empty() && matches!(self.past, Past::Unknown(_)) {
            return;
        }
        let listed = self.entries.values().filter(|entry| !entry.has_left);
        let mut news = Vec::new();
        for entry in listed {
            for (address, member) in &entry.members {
                let taken = self.taken_at(&index, *address, member);
                if self.told_of(member.key) != taken {
                    news.push((Arc::clone(&entry.pool), member.key, taken));
                }
            }
        }
        for (pool, key, taken) in news {
            pool.slots.set_elsewhere(key, taken);
            self.note_told(key, taken);
        }
    }

    /// What the pool of a backend was told last.
    pub(super) fn told_of(&self, key: BackendKey) -> u32 {
        self.told.get(&key).copied().unwrap_or_default()
    }

    pub(super) fn note_told(&mut self, key: BackendKey, taken: u32) {
        match taken {
            0 => _ = self.told.remove(&key),
            taken => _ = self.told.insert(key, taken),
        }
    }

    /// The process before says how many Slots of a backend it has still.
    pub(crate) fn note_held(&mut self, taken: Taken) {
        let Past::Told(told) = &mut self.past else { return };
        told.hold(taken);
        // Before it has told of all, everything is taken.
        if told.is_all() {
            self.recount();
        }
    }

    /// The process before has told of all that it has: what it did not speak of is idle.
    pub(crate) fn note_all_told(&mut self) {
        if let Past::Told(told) = &mut self.past {
            told.note_all();
        }
        self.recount();
    }

    /// Of what the process before has these Slots are nobody's any more: they rest here until a proof.
    pub(crate) fn doubt(&mut self, taken: &[Taken]) {
        let index = self.index();
        let all = |members: &Self| -> Vec<u32> {
            members
                .now_listed()
                .map(|(_, address, member)| members.taken_at(&index, address, member))
                .collect()
        };
        let before = all(self);
        let Past::Told(told) = &mut self.past else { return };
        taken.iter().for_each(|taken| told.let_go(taken));
        let mut doubted = Vec::new();
        for (((pool, _, member), before), now) in self.now_listed().zip(before).zip(all(self)) {
            let gone = before.saturating_sub(now);
            if gone > 0 {
                tracing::warn!(
                    pool = %pool.name, backend = %member.backend.name, slots = gone,
                    "a process before ended and did not say what is at work here: these slots rest until a probe is answered"
                );
                pool.slots.doubt_elsewhere(member.key, gone);
                doubted.push((member.key, now));
            }
        }
        doubted.into_iter().for_each(|(key, now)| self.note_told(key, now));
        self.recount();
    }

    /// The process before has ended. Where it did not say that it was done, nobody knows what its backends are at: answers with
    /// what that is.
    pub(crate) fn note_end_of_past(&mut self) -> Vec<Taken> {
        let left: Vec<_> = match &self.past {
            Past::Unknown(_) => return Vec::new(),
            Past::Told(told) if told.is_all() => told.all().collect(),
            // It has told of a part at most.
            Past::Told(_) => {
                tracing::warn!(
                    "the process before ended before it had told what is at work: all slots rest until a probe is answered"
                );
                let doubted: Vec<_> = self
                    .now_listed()
                    .map(|(pool, _, member)| (Arc::clone(pool), member.key, member.slots))
                    .collect();
                for (pool, key, slots) in doubted {
                    pool.slots.doubt_elsewhere(key, slots);
                    self.note_told(key, self.told_of(key).saturating_sub(slots));
                }
                // What is met later was not heard of either.
                self.past = Past::Unknown(ColdStart::Prove);
                self.recount();
                return Vec::new();
            }
        };
        self.doubt(&left);
        left
    }

    /// The backends of the Plan in force.
    fn now_listed(&self) -> impl Iterator<Item = (&Arc<LivePool>, Option<SocketAddr>, &Member)> {
        let listed = self.entries.values().filter(|entry| !entry.has_left);
        listed.flat_map(|entry| entry.members.iter().map(|(address, member)| (&entry.pool, *address, member)))
    }
}

/// The Slots of a backend that this pool has taken itself.
fn at_work(pool: &LivePool, key: BackendKey) -> u64 {
    view(pool, key).map_or(0, |view| {
        let taken = view.slots.busy + view.slots.lingering + view.slots.resting;
        taken.saturating_sub(view.elsewhere.into())
    })
}

/// The Slots of a backend that this pool may take or has taken.
fn at_most(pool: &LivePool, key: BackendKey) -> u64 {
    view(pool, key).map_or(0, |view| view.slots.slots.saturating_sub(view.elsewhere.into()))
}
