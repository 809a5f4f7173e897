//! What the keys of the model have had of the slots' time.

use std::collections::BTreeMap;

use idleway_core::{Key, PoolSpec, Time};

#[derive(Debug, Default)]
pub(crate) struct Accounts {
    pub(crate) fair: bool,
    pub(crate) slots_per_key: Option<u32>,
    accounts: BTreeMap<Key, Account>,
    level: u64,
    mean: Option<u64>,
}

#[derive(Debug, Default)]
struct Account {
    weight: u64,
    virtual_time: u64,
    /// Charged and not settled.
    unsettled: u64,
    mean: Option<u64>,
    slots: u32,
}

/// What a slot in use costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charge {
    pub(crate) key: Key,
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
        let held = self.accounts.get(&key).map_or(0, |account| account.slots);
        !self.are_kept() || self.slots_per_key.is_none_or(|most| held < most.max(1))
    }

    pub(crate) fn virtual_time(&self, key: Key) -> u64 {
        if self.fair { self.accounts[&key].virtual_time } else { 0 }
    }

    /// A key asks and is not refused; `waits`: it has others in line.
    pub(crate) fn ask(&mut self, key: Key, weight: u32, waits: bool) {
        let account = self.accounts.entry(key).or_default();
        account.weight = u64::from(weight.max(1));
        if !waits {
            account.virtual_time = account.virtual_time.max(self.level);
        }
    }

    pub(crate) fn charge(&mut self, key: Key, now: Time) -> Charge {
        let mut charge = Charge { key, weight: 1, amount: 0, since: now, has_worked: false };
        if self.are_kept() {
            let account = self.accounts.get_mut(&key).expect("it has asked");
            self.level = self.level.max(account.virtual_time - account.unsettled);
            let mean = account.mean.or(self.mean).unwrap_or(1_000_000);
            (charge.weight, charge.amount) = (account.weight, (mean / account.weight).max(1));
            account.slots += 1;
            account.virtual_time += charge.amount;
            account.unsettled += charge.amount;
        }
        charge
    }

    pub(crate) fn settle(&mut self, charge: Charge, now: Time) {
        if self.are_kept() {
            let taken = now.as_nanos() - charge.since.as_nanos();
            let account = self.accounts.get_mut(&charge.key).expect("it holds a slot");
            account.slots -= 1;
            account.unsettled -= charge.amount;
            account.virtual_time = account.virtual_time - charge.amount + taken / charge.weight;
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
            self.accounts.entry(charge.key).or_default().slots += 1;
        }
    }
}
