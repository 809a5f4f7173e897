//! The accounts of the keys: what each has had of the slots' time, and what it holds now.
//!
//! Start-time fair queueing, in slot-seconds. A key's *virtual time* is the slot time it has had, divided by its
//! weight. At a grant it is charged what its requests take on the average; when the slot is free again the charge is
//! settled against what it really took. The key with the least virtual time is next.
//!
//! A key that has no one in line starts not before the virtual time of all, the *level*: it cannot save up what it
//! did not use. The level rises with the work that is done, as much as each key's virtual time would if the slots
//! could be divided evenly among all that hold or want one: it rises even where no key comes twice. And it is never
//! below the *settled* part of the virtual time of whoever was granted a slot: charges may be wrong by far and are
//! taken back, and one who started at a wrong charge would wait for it to become true.
//!
//! Each lane has virtual times and a level of its own: between the lanes urgency decides, and what a key has had in
//! one says nothing of its turn in another, where time passes at another pace.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    ask::{Key, Lane},
    lane::Flow,
    line::{Line, Links, index_of},
    slots::Slots,
    spec::PoolSpec,
    time::Time,
};

/// The account of all where keys do not count.
pub(crate) const EVERYONE: u32 = 0;

/// So many keys that hold and want nothing are remembered, the ones used last.
const REMEMBERED: u32 = 1_024;

/// What a slot is charged until anything was served, in nanoseconds: whatever it is, the keys take turns by it.
const UNLEARNED: u64 = 1_000_000;

/// Each service time moves a mean by one part in so many.
const INERTIA: u64 = 8;

/// What the keys of a pool are held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Whether they share the slots' time.
    pub(crate) fair: bool,
    /// The most slots one may hold; 0 counts as 1.
    pub(crate) slots_per_key: Option<u32>,
}

impl Rules {
    pub(crate) const fn of(spec: &PoolSpec) -> Self {
        Self { fair: spec.fair, slots_per_key: spec.slots_per_key }
    }

    /// Whether it matters in whose name a request asks.
    pub(crate) const fn are_keyed(self) -> bool {
        self.fair || self.slots_per_key.is_some()
    }
}

/// The accounts of all keys that hold or want something, and of some that did.
#[derive(Debug)]
pub(crate) struct Keys {
    rules: Rules,
    accounts: Vec<Account>,
    vacant: Vec<u32>,
    by_key: BTreeMap<Key, u32>,
    /// Those that hold and want nothing, the one idle for longest in front.
    idle: Line,
    levels: [Level; Lane::ALL.len()],
    mean: Mean,
}

/// The virtual time of all keys in one lane.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    time: u64,
    /// The weights of the keys that hold or want a slot in it.
    weights: u64,
}

/// What one key has had, holds and wants.
#[derive(Debug)]
pub(crate) struct Account {
    key: Key,
    weight: u32,
    mean: Mean,
    shares: [Share; Lane::ALL.len()],
    /// Its line in each lane.
    pub(crate) flows: [Flow; Lane::ALL.len()],
    /// Among the idle ones.
    links: Links,
}

/// What a key has had, holds and wants in one lane.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    /// Nanoseconds of slots it was charged, by its weight.
    virtual_time: u64,
    /// The part of it that is not settled.
    unsettled: u64,
    /// The slots it holds, in whatever state.
    slots: u32,
    /// Its requests in line, those of the front lane too.
    waiting: u32,
}

/// What a taken slot costs its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charge {
    key: Key,
    account: u32,
    lane: Lane,
    weight: u32,
    /// What the virtual time was charged.
    amount: u64,
    since: Time,
    /// Whether a request was at work: then the mean learns from it.
    pub(crate) has_worked: bool,
}

impl Charge {
    /// Who pays it.
    pub(crate) const fn key(&self) -> Key {
        self.key
    }
}

impl Keys {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            accounts: vec![Account::new(Key::default())],
            vacant: Vec::new(),
            by_key: BTreeMap::new(),
            idle: Line::EMPTY,
            levels: Default::default(),
            mean: Mean::default(),
        }
    }

    pub(crate) const fn rules(&self) -> Rules {
        self.rules
    }

    pub(crate) const fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    pub(crate) fn account(&self, account: u32) -> &Account {
        &self.accounts[account as usize]
    }

    pub(crate) fn account_mut(&mut self, account: u32) -> &mut Account {
        &mut self.accounts[account as usize]
    }

    /// The accounts of keys, and that of everyone.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = u32> + use<> {
        0..index_of(self.accounts.len())
    }

    /// The account of a key, where it has one.
    pub(crate) fn find(&self, key: Key) -> Option<u32> {
        if self.rules.are_keyed() { self.by_key.get(&key).copied() } else { Some(EVERYONE) }
    }

    /// The account of a key that is about to hold or want something in a lane; its weight is this from now on.
    #[inline]
    pub(crate) fn open(&mut self, key: Key, weight: u32, lane: Lane) -> u32 {
        if self.rules.are_keyed() { self.open_own(key, weight, lane) } else { EVERYONE }
    }

    fn open_own(&mut self, key: Key, weight: u32, lane: Lane) -> u32 {
        let index = match self.by_key.get(&key) {
            Some(&index) => {
                if self.account(index).is_idle() {
                    self.idle.remove(&mut self.accounts, links, index);
                }
                index
            }
            None => self.add(key),
        };
        self.weigh(index, weight.max(1));
        let level = self.levels[lane.index()].time;
        let share = &mut self.account_mut(index).shares[lane.index()];
        if share.waiting == 0 {
            share.virtual_time = share.virtual_time.max(level);
        }
        index
    }

    /// Whether a key may hold one more slot.
    pub(crate) fn may_take(&self, account: u32) -> bool {
        let bound = self.rules.slots_per_key.map_or(u32::MAX, |most| most.max(1));
        account == EVERYONE || self.account(account).slots() < bound
    }

    /// How long one more request of a key would have to wait for a slot, by their mean time: as if those that the key
    /// holds were all there are.
    pub(crate) fn wait_of(&self, key: Key) -> Duration {
        let Some(account) = self.find(key).map(|index| self.account(index)) else {
            return Duration::ZERO;
        };
        let each = Duration::from_nanos(account.mean.or(self.mean.or(0))) / account.slots().max(1);
        each.saturating_mul(account.waiting() + 1)
    }

    /// A slot is granted in the name of a key: it is charged what it will probably take.
    #[inline]
    pub(crate) fn charge(&mut self, account: u32, key: Key, lane: Lane, now: Time) -> Charge {
        let mut charge = Charge { key, account, lane, weight: 1, amount: 0, since: now, has_worked: false };
        if account != EVERYONE {
            self.charge_own(&mut charge);
        }
        charge
    }

    /// The slot is free again: its key has had what it really took. Answers whether that lets requests of this key
    /// that wait have a slot which its bound withheld from them.
    #[inline]
    pub(crate) fn settle(&mut self, charge: &Charge, now: Time) -> bool {
        charge.account != EVERYONE && self.settle_own(charge, now)
    }

    /// Counts a slot that was granted before the keys were counted: nothing was charged, all is settled. Of the weights
    /// with which a key holds slots the largest is its weight, in whatever order they are counted.
    pub(crate) fn count(&mut self, charge: &mut Charge) {
        let counted = self.by_key.get(&charge.key).map_or(0, |&index| self.account(index).weight);
        charge.account = self.open(charge.key, charge.weight.max(counted), charge.lane);
        charge.amount = 0;
        if charge.account != EVERYONE {
            self.change(charge.account, charge.lane, |share| share.slots += 1);
        }
    }

    /// A request of the account stands in line from now on.
    pub(crate) fn begin_wait(&mut self, account: u32, lane: Lane) {
        self.change(account, lane, |share| share.waiting += 1);
    }

    /// It left the line.
    pub(crate) fn end_wait(&mut self, account: u32, lane: Lane) {
        self.change(account, lane, |share| share.waiting -= 1);
        self.rest_if_idle(account);
    }

    /// Checks what this file keeps: each key once, the idle ones in their line and bounded, the sums of the slots
    /// (of those `taken`) and of those who wait.
    pub(crate) fn check<C>(&self, waiting: u32, taken: &Slots<C>) {
        let mut slots = vec![0; self.accounts.len()];
        taken.charges().for_each(|charge| slots[charge.account as usize] += 1);
        slots[EVERYONE as usize] = 0;
        for (account, slots) in self.accounts.iter().zip(slots) {
            assert_eq!(account.slots(), slots, "{account:?}");
            for share in account.shares {
                assert!(share.slots > 0 || share.unsettled == 0, "{account:?}");
                assert!(share.unsettled <= share.virtual_time, "{account:?}");
            }
        }
        for (lane, level) in self.levels.iter().enumerate() {
            let weights = self.accounts.iter().map(|account| account.weight_in(lane)).sum::<u64>();
            assert_eq!(level.weights, weights);
        }
        assert_eq!(self.accounts.iter().map(Account::waiting).sum::<u32>(), waiting);
        assert!(self.rules.are_keyed() || self.by_key.is_empty());
        assert!(self.by_key.iter().all(|(key, &index)| self.account(index).key == *key));
        assert_eq!(self.by_key.len() + self.vacant.len() + 1, self.accounts.len());
        let idle: Vec<u32> = self.idle.iter(&self.accounts, |account| &account.links).collect();
        assert!(idle.len() <= REMEMBERED as usize);
        assert!(idle.iter().all(|&index| self.account(index).is_idle()));
        assert_eq!(idle.len(), self.by_key.values().filter(|&&index| self.account(index).is_idle()).count());
    }

    fn charge_own(&mut self, charge: &mut Charge) {
        let mean = self.mean.or(UNLEARNED);
        let (index, lane) = (charge.account, charge.lane.index());
        let account = &self.accounts[index as usize];
        let level = &mut self.levels[lane].time;
        *level = (*level).max(account.shares[lane].settled());
        charge.weight = account.weight;
        charge.amount = (account.mean.or(mean) / u64::from(account.weight)).max(1);
        self.change(index, charge.lane, |share| {
            share.slots += 1;
            share.virtual_time = share.virtual_time.saturating_add(charge.amount);
            share.unsettled = share.unsettled.saturating_add(charge.amount);
        });
    }

    fn settle_own(&mut self, charge: &Charge, now: Time) -> bool {
        let index = charge.account;
        let could_take = self.may_take(index);
        let taken = u64::try_from(now.since(charge.since).as_nanos()).unwrap_or(u64::MAX);
        let level = &mut self.levels[charge.lane.index()];
        level.time = level.time.saturating_add(taken / level.weights.max(1));
        self.change(index, charge.lane, |share| {
            share.slots -= 1;
            share.unsettled = share.unsettled.saturating_sub(charge.amount);
            let before = share.virtual_time.saturating_sub(charge.amount);
            share.virtual_time = before.saturating_add(taken / u64::from(charge.weight));
        });
        if charge.has_worked {
            self.account_mut(index).mean.learn(taken);
            self.mean.learn(taken);
        }
        self.rest_if_idle(index);
        !could_take && self.account(index).waiting() > 0
    }

    /// Changes what a key has in a lane, and with it the weights of those that have something there.
    fn change(&mut self, index: u32, lane: Lane, change: impl FnOnce(&mut Share)) {
        let account = &mut self.accounts[index as usize];
        let before = account.weight_in(lane.index());
        change(&mut account.shares[lane.index()]);
        let weights = &mut self.levels[lane.index()].weights;
        *weights = *weights - before + account.weight_in(lane.index());
    }

    /// Sets the weight of a key in all lanes.
    fn weigh(&mut self, index: u32, weight: u32) {
        let account = &mut self.accounts[index as usize];
        if account.weight == weight {
            return;
        }
        for (lane, level) in self.levels.iter_mut().enumerate() {
            level.weights -= account.weight_in(lane);
        }
        account.weight = weight;
        for (lane, level) in self.levels.iter_mut().enumerate() {
            level.weights += account.weight_in(lane);
        }
    }

    fn add(&mut self, key: Key) -> u32 {
        let account = Account::new(key);
        let index = if let Some(index) = self.vacant.pop() {
            self.accounts[index as usize] = account;
            index
        } else {
            self.accounts.push(account);
            index_of(self.accounts.len() - 1)
        };
        self.by_key.insert(key, index);
        index
    }

    /// A key that holds and wants nothing is remembered for a while.
    fn rest_if_idle(&mut self, index: u32) {
        if index == EVERYONE || !self.account(index).is_idle() {
            return;
        }
        self.idle.push_back(&mut self.accounts, links, index);
        if self.idle.len() > REMEMBERED
            && let Some(oldest) = self.idle.first()
        {
            self.idle.remove(&mut self.accounts, links, oldest);
            self.by_key.remove(&self.accounts[oldest as usize].key);
            self.vacant.push(oldest);
        }
    }
}

impl Charge {
    pub(crate) const fn account(&self) -> u32 {
        self.account
    }
}

impl Account {
    fn new(key: Key) -> Self {
        Self {
            key,
            weight: 1,
            mean: Mean::default(),
            shares: Default::default(),
            flows: Default::default(),
            links: Links::NONE,
        }
    }

    pub(crate) const fn virtual_time(&self, lane: Lane) -> u64 {
        self.shares[lane.index()].virtual_time
    }

    fn slots(&self) -> u32 {
        self.shares.iter().map(|share| share.slots).sum()
    }

    fn waiting(&self) -> u32 {
        self.shares.iter().map(|share| share.waiting).sum()
    }

    /// Its weight, where it holds or wants something.
    fn weight_in(&self, lane: usize) -> u64 {
        if self.shares[lane].is_idle() { 0 } else { self.weight.into() }
    }

    fn is_idle(&self) -> bool {
        self.shares.iter().all(Share::is_idle)
    }
}

impl Share {
    const fn settled(&self) -> u64 {
        self.virtual_time.saturating_sub(self.unsettled)
    }

    const fn is_idle(&self) -> bool {
        self.slots == 0 && self.waiting == 0
    }
}

fn links(account: &mut Account) -> &mut Links {
    &mut account.links
}

/// A running mean of how long a slot is held, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Mean(Option<u64>);

impl Mean {
    fn or(self, unlearned: u64) -> u64 {
        self.0.unwrap_or(unlearned)
    }

    fn learn(&mut self, nanos: u64) {
        self.0 = Some(self.0.map_or(nanos, |mean| mean - mean / INERTIA + nanos / INERTIA));
    }
}
