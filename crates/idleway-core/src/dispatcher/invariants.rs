//! What always holds, recomputed naively.

use std::collections::BTreeSet;

use super::Dispatcher;
use crate::{
    ask::Lane,
    backend::Backend,
    counts::Counts,
    grant::Until,
    pick::INELIGIBLE,
    queue::{FRONT_LENGTH, Waiter},
    slots::{Slot, State},
    time::Time,
};

/// Above so many backends or promises the invariants are checked only after every so many calls.
#[cfg(debug_assertions)]
const SAMPLE: u32 = 64;

impl<C, W> Dispatcher<C, W> {
    /// In debug builds: checks the invariants after a call, above 64 backends or promises after every 64th.
    #[inline]
    pub(super) fn check(&mut self) {
        #[cfg(debug_assertions)]
        {
            self.calls = self.calls.wrapping_add(1);
            let many = self.backends.len().max(self.promises.len());
            if many <= SAMPLE as usize || self.calls.is_multiple_of(SAMPLE) {
                self.check_invariants();
            }
        }
    }

    /// Recomputes everything that is kept incrementally, and checks the promises.
    ///
    /// # Panics
    /// When something does not hold: that is a fault of this crate.
    pub fn check_invariants(&self) {
        self.check_sums();
        self.check_slots();
        self.check_lanes();
        self.check_work_is_conserved();
        self.promises.check();
    }

    /// The four states add up, in each backend and in the pool; the tournament and the timers agree.
    fn check_sums(&self) {
        let mut sum = Counts::default();
        for (at, backend) in (0_u32..).zip(&self.backends) {
            let counts = backend.counts();
            assert_eq!(
                counts.idle + counts.busy + counts.lingering + counts.resting,
                counts.slots,
                "{backend:?}"
            );
            assert_eq!(counts, backend.counted, "{backend:?}");
            assert_eq!(self.by_key.get(&backend.key) == Some(&at), !backend.is_over(), "{backend:?}");
            sum += counts;
            for (tournament, share) in
                [(&self.tournament, backend.share()), (&self.reserve, backend.share_in_panic())]
            {
                let mask = if share == INELIGIBLE { 0 } else { backend.shelf.mask() };
                assert_eq!(tournament.leaf(at), (share, mask), "{backend:?}");
            }
            let is_awaiting = self.awaiting_probe.contains(&backend.key);
            assert!(backend.is_over() || is_awaiting == backend.health.awaits_probe(), "{backend:?}");
            let is_watched = !backend.is_over() && backend.told.is_some();
            assert!(!self.is_ceding || backend.is_over() || is_watched, "{backend:?}");
            let is_listed = self.untold.contains(&backend.key);
            assert!(backend.is_over() || is_listed == (is_watched && self.is_untold(backend)), "{backend:?}");
        }
        assert_eq!(sum, self.totals);
        let live = || (0_u32..).zip(&self.backends).filter(|(_, backend)| !backend.is_over());
        let alarms = live().filter_map(|(at, backend)| Some((backend.alarm()?, at)));
        assert_eq!(self.alarms, alarms.collect());
        let withheld = live().filter_map(|(at, backend)| Some((backend.withheld?, at)));
        assert_eq!(self.withheld, withheld.collect());
    }

    /// The entries of the slots agree with what each backend counts and lines up.
    fn check_slots(&self) {
        for (at, backend) in (0_u32..).zip(&self.backends) {
            let of = |wanted: fn(&State) -> bool| {
                let is_wanted = |slot: &&Slot<C>| slot.backend == at && wanted(&slot.state);
                u32::try_from(self.slots.entries().filter(is_wanted).count()).unwrap_or(u32::MAX)
            };
            let parked = of(|state| matches!(state, State::Parked));
            assert_eq!(of(|state| matches!(state, State::Busy)), backend.busy, "{backend:?}");
            assert_eq!(of(|state| matches!(state, State::Lingering)), backend.lingering, "{backend:?}");
            let is_brief = |slot: &&Slot<C>| slot.backend == at && slot.is_brief;
            assert_eq!(self.slots.entries().filter(is_brief).count(), backend.brief as usize, "{backend:?}");
            let resting = of(|state| matches!(state, State::Resting(_) | State::Doubted));
            assert_eq!(resting, backend.resting, "{backend:?}");
            assert_eq!(
                of(|state| *state == State::Resting(Until::Proof)),
                backend.unproven.len(),
                "{backend:?}"
            );
            let is_listed = self.unproven.contains(&backend.key);
            assert!(backend.is_over() || is_listed != backend.unproven.is_empty(), "{backend:?}");
            assert_eq!(parked, backend.shelf.len(), "{backend:?}");
            assert!(parked <= backend.idle(), "more connections than slots: {backend:?}");
        }
        self.slots.check();
        for slot in self.queue.granted() {
            assert!(self.slots.at_work(slot).is_some(), "granted twice or freed: {slot:?}");
        }
    }

    /// First come, first served in the front lane and inside each flow; each lane holds its own; every wait that ends
    /// by time has a timer; the accounts of the keys add up.
    fn check_lanes(&self) {
        let front: Vec<_> = self.queue.front().collect();
        let behind: Vec<_> = Lane::ALL.into_iter().flat_map(|lane| self.queue.lane(lane)).collect();
        assert_eq!(front.len() + behind.len(), self.queue.waiting() as usize);
        assert!(front.len() <= FRONT_LENGTH as usize);
        assert!(front.iter().all(|(_, waiter)| !waiter.avoid.is_empty()));
        assert!(behind.iter().all(|(_, waiter)| waiter.avoid.is_empty()));
        assert!(front.is_sorted_by_key(|(_, waiter)| waiter.asker.since), "the front lane is out of order");
        let waits = front.iter().chain(&behind).map(|(index, waiter)| (waiter.until, *index));
        let ends: BTreeSet<_> = waits.filter(|&(until, _)| until < Time::NEVER).collect();
        assert!(self.queue.ends().eq(ends), "a wait without its timer, or a timer without its wait");
        self.queue.check(&self.slots);
    }

    /// Never an idle slot beside a waiter that may use it.
    fn check_work_is_conserved(&self) {
        let may_serve =
            |backend: &Backend| backend.admits() || (self.is_panicking() && backend.admits_in_panic());
        let idle: Vec<_> =
            self.backends.iter().filter(|backend| may_serve(backend) && backend.has_room()).collect();
        let may_use = |waiter: &Waiter<W>, backend: &Backend| {
            let is_other_up = |other: &Backend| other.is_up() && !waiter.avoid.contains(&other.key);
            let is_avoided = waiter.avoid.contains(&backend.key) && self.backends.iter().any(is_other_up);
            !is_avoided && self.queue.keys.may_take(waiter.asker.account)
        };
        if !idle.is_empty() {
            let behind = Lane::ALL.into_iter().flat_map(|lane| self.queue.lane(lane));
            for (_, waiter) in self.queue.front().chain(behind) {
                let unused = idle.iter().find(|backend| may_use(waiter, backend));
                assert!(unused.is_none(), "idle beside a waiter that may use it: {unused:?}");
            }
        }
    }
}
