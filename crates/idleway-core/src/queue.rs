//! The line of a pool: who waits, in which order, and how each wait ended.

use std::collections::BTreeSet;

use crate::{
    ask::{Ask, Key, Lane, Refusal, Ticket},
    backend::BackendKey,
    grant::{Grant, SlotId},
    keys::{Charge, EVERYONE, Keys, Rules},
    lane::{Crowd, Turn, Turns},
    line::{Line, Links, index_of},
    slots::Slots,
    time::{Core, Time},
};

/// How many requests that already failed somewhere may wait in front of the line.
///
/// A freed slot is offered to each of them in turn, for each may avoid its backend: the bound keeps a release cheap.
pub(crate) const FRONT_LENGTH: u32 = 64;

/// More than so many more than a newcomer's key a key must have in a full line to lose its newest to it: then the one
/// that gives is left with no fewer than the one that gets, and does not get it back.
const CROWDED: u32 = 1;

/// The bounded line of a pool: in front those that avoid a backend, then the lanes.
#[derive(Debug)]
pub(crate) struct Queue<C, W> {
    entries: Vec<Entry<C, W>>,
    vacant: Vec<u32>,
    front: Line,
    lanes: [Turns; Lane::ALL.len()],
    /// How many wait in the lanes.
    in_lanes: u32,
    pub(crate) keys: Keys,
    /// When the waits end that may end by time.
    ends: BTreeSet<(Time, u32)>,
    length: usize,
    /// How many ever came.
    arrivals: u64,
}

#[derive(Debug)]
struct Entry<C, W> {
    generation: u32,
    stage: Stage<C, W>,
    /// Its number among all that ever came.
    arrival: u64,
    /// In its flow, or in the front lane.
    links: Links,
    /// In the line of all that wait in its lane.
    order: Links,
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
    pub(crate) asker: Asker,
    pub(crate) avoid: Vec<BackendKey>,
    pub(crate) until: Time,
    wake: Option<W>,
}

/// Who asks: what a grant needs to know of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    pub(crate) near: Core,
    pub(crate) key: Key,
    pub(crate) weight: u32,
    pub(crate) lane: Lane,
    /// Its key's account; of use while it holds or wants something.
    pub(crate) account: u32,
    pub(crate) since: Time,
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
    pub(crate) fn new(length: usize, rules: Rules) -> Self {
        Self {
            entries: Vec::new(),
            vacant: Vec::new(),
            front: Line::EMPTY,
            lanes: Default::default(),
            in_lanes: 0,
            keys: Keys::new(rules),
            ends: BTreeSet::new(),
            length,
            arrivals: 0,
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

    /// Whether one more has room, in the front lane or behind it.
    pub(crate) const fn has_room(&self, in_front: bool) -> bool {
        if in_front { self.front.len() < FRONT_LENGTH } else { (self.in_lanes as usize) < self.length }
    }

    /// Whether one more has room behind the front lane, where so many of its places are `kept` for others.
    pub(crate) const fn has_room_beside(&self, kept: usize) -> bool {
        self.in_lanes as usize + kept < self.length
    }

    /// How many may wait behind the front lane.
    pub(crate) const fn length(&self) -> usize {
        self.length
    }

    pub(crate) const fn waiting(&self) -> u32 {
        self.front.len() + self.in_lanes
    }

    /// How many wait in front.
    pub(crate) const fn len_of_front(&self) -> u32 {
        self.front.len()
    }

    /// How many wait in a lane.
    pub(crate) const fn len_of_lane(&self, lane: Lane) -> u32 {
        self.lanes[lane.index()].arrivals.len()
    }

    /// Whether a key holds all the slots it may hold.
    pub(crate) fn is_at_bound(&self, key: Key) -> bool {
        self.keys.find(key).is_some_and(|account| !self.keys.may_take(account))
    }

    /// One that is about to be granted a slot, or to join.
    pub(crate) fn asker(&mut self, ask: &Ask, now: Time) -> Asker {
        let Ask { near, key, weight, lane, .. } = *ask;
        Asker { near, key, weight, lane, account: self.keys.open(key, weight, lane), since: now }
    }

    /// Puts one at the end of its flow in its lane, or of the front lane.
    pub(crate) fn join(&mut self, ask: Ask, now: Time) -> Ticket {
        let index = self.vacant.pop().unwrap_or_else(|| {
            let (links, order) = (Links::NONE, Links::NONE);
            self.entries.push(Entry { generation: 0, stage: Stage::Vacant, arrival: 0, links, order });
            index_of(self.entries.len() - 1)
        });
        let asker = self.asker(&ask, now);
        let Ask { avoid, until, .. } = ask;
        if until < Time::NEVER {
            self.ends.insert((until, index));
        }
        self.keys.begin_wait(asker.account, asker.lane);
        let is_retry = !avoid.is_empty();
        self.arrivals += 1;
        let entry = &mut self.entries[index as usize];
        entry.arrival = self.arrivals;
        entry.generation = entry.generation.wrapping_add(1);
        let ticket = Ticket { index, generation: entry.generation };
        entry.stage = Stage::Waiting(Waiter { asker, avoid, until, wake: None });
        if is_retry {
            self.front.push_back(&mut self.entries, links, index);
        } else {
            self.in_lanes += 1;
            self.lanes[asker.lane.index()].arrivals.push_back(&mut self.entries, order, index);
            self.line_up(index, asker.account, asker.lane);
        }
        ticket
    }

    /// The first in line that `may` be served, among those whose keys may have one more slot.
    #[inline]
    pub(crate) fn first(&self, may: impl FnMut(&Waiter<W>) -> bool) -> Option<u32> {
        // A release into an empty line is what a pool does most of the time.
        if self.waiting() == 0 { None } else { self.first_of_some(may) }
    }

    fn first_of_some(&self, mut may: impl FnMut(&Waiter<W>) -> bool) -> Option<u32> {
        self.front()
            .find(|(_, waiter)| self.keys.may_take(waiter.asker.account) && may(waiter))
            .map(|(index, _)| index)
            .or_else(|| self.first_behind_front())
    }

    /// The first of the front lane.
    pub(crate) fn first_in_front(&self) -> Option<u32> {
        self.front.first()
    }

    /// The one behind the front lane whose turn it is: of the first of each lane the one that came first, where a
    /// less urgent lane counts as so much later.
    pub(crate) fn first_behind_front(&self) -> Option<u32> {
        let firsts = self.lanes.iter().zip(0..).filter_map(|(turns, steps)| {
            let account = turns.next()?;
            let index = self.keys.account(account).flows[steps as usize].line.first()?;
            Some((self.waiter(index)?.asker.since + Lane::AGEING * steps, index))
        });
        // Among equals the first, which is that of the more urgent lane.
        firsts.min_by_key(|&(since, _)| since).map(|(_, index)| index)
    }

    /// How many are sure to be served before one that would join now, if they stay, whatever becomes of the others.
    /// Those of the front lane are not: they may wait for a backend that serves others.
    pub(crate) fn surely_before(&self, ask: &Ask) -> u32 {
        if !ask.avoid.is_empty() {
            return 0;
        }
        let lanes = 0..=ask.lane.index();
        let before: u32 = if self.keys.rules().fair {
            let own = self.keys.find(ask.key).map(|account| self.keys.account(account));
            own.map_or(0, |own| own.flows[lanes].iter().map(|flow| flow.line.len()).sum())
        } else {
            self.lanes[lanes].iter().map(|turns| turns.arrivals.len()).sum()
        };
        before
    }

    /// Whom a newcomer takes the place of in a full line: the newest of the least urgent lane below its own; else,
    /// where keys share, the newest of the key that has most in its lane, if that is much more than its own would.
    pub(crate) fn whom_to_displace(&self, ask: &Ask) -> Option<u32> {
        let lane = ask.lane.index();
        if let Some(last) = self.lanes[lane + 1..].iter().rev().find_map(|turns| turns.arrivals.last()) {
            return Some(last);
        }
        let crowd = self.lanes[lane].longest()?;
        let own =
            self.keys.find(ask.key).map_or(0, |account| self.keys.account(account).flows[lane].line.len());
        let line = self.keys.account(crowd.account).flows[lane].line;
        if crowd.len > own + CROWDED { line.last() } else { None }
    }

    /// Those of the front lane, in order.
    pub(crate) fn front(&self) -> impl Iterator<Item = (u32, &Waiter<W>)> {
        self.walk(self.front, |entry| &entry.links)
    }

    /// Those of a lane, in the order they came.
    pub(crate) fn lane(&self, lane: Lane) -> impl Iterator<Item = (u32, &Waiter<W>)> {
        self.walk(self.lanes[lane.index()].arrivals, |entry| &entry.order)
    }

    /// The next in the front lane.
    pub(crate) fn behind(&self, index: u32) -> Option<u32> {
        self.entries[index as usize].links.next()
    }

    /// The one that came first among those behind the front lane.
    pub(crate) fn oldest_behind_front(&self) -> Option<u32> {
        let oldest = self.lanes.iter().filter_map(|turns| turns.arrivals.first());
        oldest.min_by_key(|&index| self.entries[index as usize].arrival)
    }

    /// One that waits, by the index that this queue gave.
    pub(crate) fn waiter(&self, index: u32) -> Option<&Waiter<W>> {
        match &self.entries[index as usize].stage {
            Stage::Waiting(waiter) => Some(waiter),
            _ => None,
        }
    }

    /// A slot is granted to one that asks, or that waits.
    #[inline]
    pub(crate) fn charge(&mut self, asker: &Asker, now: Time) -> Charge {
        let charge = self.keys.charge(asker.account, asker.key, asker.lane, now);
        self.rank_key(asker.account);
        charge
    }

    /// A granted slot is free again; answers whether its key has waiters that may be served from now on.
    #[inline]
    pub(crate) fn settle(&mut self, charge: &Charge, now: Time) -> bool {
        let has_hope = self.keys.settle(charge, now);
        self.rank_key(charge.account());
        has_hope
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

    /// Holds the keys to other rules. Taken `slots` count from now on.
    pub(crate) fn set_rules(&mut self, rules: Rules, slots: &mut Slots<C>) {
        let before = self.keys.rules();
        if rules.are_keyed() == before.are_keyed() {
            self.keys.set_rules(rules);
        } else {
            self.keys = Keys::new(rules);
            slots.charges_mut().for_each(|charge| self.keys.count(charge));
            self.line_up_anew();
        }
        if rules != before {
            self.keys.accounts().for_each(|account| self.rank(account));
        }
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

    /// When the last wait ends; `None` if some wait need not end by time.
    pub(crate) fn last_end(&self) -> Option<Time> {
        let all_end = self.ends.len() == self.waiting() as usize;
        self.ends.last().filter(|_| all_end).map(|&(until, _)| until)
    }

    /// Checks what this file keeps: each flow in the order its requests came and only in its own lane, the order of
    /// the flows, and the accounts.
    pub(crate) fn check(&self, slots: &Slots<C>) {
        self.keys.check(self.waiting(), slots);
        let mut in_lanes = 0;
        for (lane, turns) in Lane::ALL.into_iter().zip(&self.lanes) {
            let (mut all_turns, mut crowds, mut len) = (BTreeSet::new(), BTreeSet::new(), 0);
            for account in self.keys.accounts() {
                let flow = self.keys.account(account).flows[lane.index()].line;
                let arrivals: Vec<u64> = flow
                    .iter(&self.entries, |entry| &entry.links)
                    .map(|index| self.entries[index as usize].arrival)
                    .collect();
                assert!(arrivals.is_sorted(), "a key's requests are out of order");
                let of_flow = |(_, waiter): (u32, &Waiter<W>)| {
                    (waiter.asker.account, waiter.asker.lane, waiter.avoid.is_empty())
                        == (account, lane, true)
                };
                assert!(self.walk(flow, |entry| &entry.links).all(of_flow), "in a line that is not its own");
                let (turn, crowd) = self.standing(account, lane);
                all_turns.extend(turn);
                crowds.extend(crowd);
                len += flow.len();
            }
            turns.check(&all_turns, &crowds);
            assert_eq!(len, turns.arrivals.len());
            in_lanes += len;
        }
        assert_eq!(in_lanes, self.in_lanes);
    }

    /// Takes one that waits out of its line, into another stage.
    fn end_wait(&mut self, index: u32, stage: Stage<C, W>) -> Option<W> {
        match std::mem::replace(&mut self.entries[index as usize].stage, stage) {
            Stage::Waiting(waiter) => {
                let Asker { account, lane, .. } = waiter.asker;
                self.ends.remove(&(waiter.until, index));
                if waiter.avoid.is_empty() {
                    self.in_lanes -= 1;
                    self.lanes[lane.index()].arrivals.remove(&mut self.entries, order, index);
                    let flow = &mut self.keys.account_mut(account).flows[lane.index()];
                    flow.line.remove(&mut self.entries, links, index);
                    self.rank(account);
                } else {
                    self.front.remove(&mut self.entries, links, index);
                }
                self.keys.end_wait(account, lane);
                waiter.wake
            }
            _ => None,
        }
    }

    /// Puts one at the end of its flow.
    fn line_up(&mut self, index: u32, account: u32, lane: Lane) {
        let flow = &mut self.keys.account_mut(account).flows[lane.index()];
        flow.line.push_back(&mut self.entries, links, index);
        self.rank(account);
    }

    /// Sorts all that wait into the flows of new accounts.
    fn line_up_anew(&mut self) {
        let in_front: Vec<u32> = self.front().map(|(index, _)| index).collect();
        for index in in_front {
            self.open_anew(index);
        }
        for lane in Lane::ALL {
            self.lanes[lane.index()].clear();
            let in_lane: Vec<u32> = self.lane(lane).map(|(index, _)| index).collect();
            for index in in_lane {
                if let Some(account) = self.open_anew(index) {
                    self.line_up(index, account, lane);
                }
            }
        }
    }

    fn open_anew(&mut self, index: u32) -> Option<u32> {
        let Stage::Waiting(waiter) = &mut self.entries[index as usize].stage else { return None };
        let Asker { key, weight, lane, .. } = waiter.asker;
        waiter.asker.account = self.keys.open(key, weight, lane);
        self.keys.begin_wait(waiter.asker.account, lane);
        Some(waiter.asker.account)
    }

    /// As `rank`, after a change of the account alone: nothing where keys do not count.
    fn rank_key(&mut self, account: u32) {
        if account != EVERYONE {
            self.rank(account);
        }
    }

    /// Sets where the flows of a key stand, after any change of them or of its account.
    fn rank(&mut self, account: u32) {
        for lane in Lane::ALL {
            let (turn, crowd) = self.standing(account, lane);
            let flow = &mut self.keys.account_mut(account).flows[lane.index()];
            self.lanes[lane.index()].place(flow, turn, crowd);
        }
    }

    /// Where a flow has to stand: it has a turn where its key may have a slot, and is one of a crowd where keys share.
    fn standing(&self, index: u32, lane: Lane) -> (Option<Turn>, Option<Crowd>) {
        let (rules, account) = (self.keys.rules(), self.keys.account(index));
        let line = account.flows[lane.index()].line;
        let (Some(first), Some(last)) = (line.first(), line.last()) else { return (None, None) };
        let arrival = |entry: u32| self.entries[entry as usize].arrival;
        let virtual_time = if rules.fair { account.virtual_time(lane) } else { 0 };
        let turn = Turn { virtual_time, first: arrival(first), account: index };
        let crowd = Crowd { len: line.len(), last: arrival(last), account: index };
        (self.keys.may_take(index).then_some(turn), rules.fair.then_some(crowd))
    }

    fn walk(
        &self,
        line: Line,
        of: fn(&Entry<C, W>) -> &Links,
    ) -> impl Iterator<Item = (u32, &Waiter<W>)> + use<'_, C, W> {
        line.iter(&self.entries, of).filter_map(|index| self.waiter(index).map(|waiter| (index, waiter)))
    }
}

fn links<C, W>(entry: &mut Entry<C, W>) -> &mut Links {
    &mut entry.links
}

fn order<C, W>(entry: &mut Entry<C, W>) -> &mut Links {
    &mut entry.order
}
