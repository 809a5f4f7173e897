//! What the keys of the model have had of the slots' time.

use std::collections::BTreeMap;

use idleway_core::{Key, Lane, PoolSpec, Time};

#[derive(Debug, Default)]
pub(crate) struct Accounts {
    pub(crate) fair: bool,
    pub(crate) slots_per_key: Option<u32>,
    accounts: BTreeMap<Key, Account>,
    levels: BTreeMap<Lane, u64>,
    mean: Option<u64>,
}

#[derive(Debug, Default)]
struct Account {
    weight: u64,
    shares: BTreeMap<Lane, Share>,
    mean: Option<u64>,
}

#[derive(Debug, Default)]
struct Share {
    virtual_time: u64,
    /// Charged and not settled.
    unsettled: u64,
    slots: u32,
}

/// What a slot in use costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charge {
    pub(crate) key: Key,
    pub(crate) lane: Lane,
    weight: u64,
    amount: u64,
    since: Time,
    pub(crate) has_worked: bool,
}

impl Accounts {
    pub(crate) fn new(spec: &PoolSpec) -> Self {
        Self { fair: spec.fair, slots_per_key: spec.slots_per_key, ..Self::default() }
    }

    pub(crate) fn are_kept(&self) -> bool {
        self.fair || self.slots_per_key.is_some()
    }

    pub(crate) fn may_take(&self, key: Key) -> bool {
        let held = self
            .accounts
            .get(&key)
            .map_or(0, |account| account.shares.values().map(|share| share.slots).sum());
        !self.are_kept() || self.slots_per_key.is_none_or(|most| held < most.max(1))
    }

    pub(crate) fn virtual_time(&self, key: Key, lane: Lane) -> u64 {
        if self.fair { self.accounts[&key].shares[&lane].virtual_time } else { 0 }
    }

    pub(crate) fn weight(&self, key: Key) -> u64 {
        self.accounts[&key].weight
    }

    /// A key asks and is not refused; `waits`: it has others in line, in the same lane.
    pub(crate) fn ask(&mut self, (key, lane): (Key, Lane), weight: u32, waits: bool) {
        let account = self.accounts.entry(key).or_default();
        account.weight = u64::from(weight.max(1));
        let share = account.shares.entry(lane).or_default();
        if !waits {
            share.virtual_time = share.virtual_time.max(self.levels.get(&lane).copied().unwrap_or(0));
        }
    }

    pub(crate) fn charge(&mut self, (key, lane): (Key, Lane), now: Time) -> Charge {
        let mut charge = Charge { key, lane, weight: 1, amount: 0, since: now, has_worked: false };
        if self.are_kept() {
            let account = self.accounts.get_mut(&key).expect("it has asked");
            let share = account.shares.get_mut(&lane).expect("it has asked in this lane");
            let level = self.levels.entry(lane).or_default();
            *level = (*level).max(share.virtual_time - share.unsettled);
            let mean = account.mean.or(self.mean).unwrap_or(1_000_000);
            (charge.weight, charge.amount) = (account.weight, (mean / account.weight).max(1));
            share.slots += 1;
            share.virtual_time += charge.amount;
            share.unsettled += charge.amount;
        }
        charge
    }

    /// `weights`: of all keys that wait or hold a slot in the lane.
    pub(crate) fn settle(&mut self, charge: Charge, weights: u64, now: Time) {
        if self.are_kept() {
            let taken = now.as_nanos() - charge.since.as_nanos();
            let account = self.accounts.get_mut(&charge.key).expect("it holds a slot");
            *self.levels.entry(charge.lane).or_default() += taken / weights;
            let share = account.shares.get_mut(&charge.lane).expect("it holds a slot");
            share.slots -= 1;
            share.unsettled -= charge.amount;
            share.virtual_time = share.virtual_time - charge.amount + taken / charge.weight;
            if charge.has_worked {
                let learned =
                    |mean: Option<u64>| Some(mean.map_or(taken, |mean| mean - mean / 8 + taken / 8));
                account.mean = learned(account.mean);
                self.mean = learned(self.mean);
            }
        }
    }

    /// A slot that was in use before accounts were kept.
    pub(crate) fn count(&mut self, charge: &mut Charge) {
        charge.amount = 0;
        if self.are_kept() {
            let account = self.accounts.entry(charge.key).or_default();
            account.weight = account.weight.max(charge.weight);
            account.shares.entry(charge.lane).or_default().slots += 1;
        }
    }
}
