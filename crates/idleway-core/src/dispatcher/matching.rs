//! Which waiter gets which idle slot.

use super::Dispatcher;
use crate::{
    backend::BackendKey,
    effects::Effects,
    grant::{Grant, Kept},
    health::Health,
    pick::INELIGIBLE,
    queue::Asker,
    slots::Purpose,
    time::{Core, Time},
};

impl<C, W> Dispatcher<C, W> {
    /// The backend with an idle slot that serves an ask best. Outside `avoid` first; inside it only where `avoid`
    /// does not bind. While too few backends are up, one that is down although it can be reached after all others.
    pub(super) fn pick(&mut self, near: Core, avoid: &[BackendKey]) -> Option<u32> {
        if avoid.is_empty() {
            return self.pick_among_all(near);
        }
        for at in avoid.iter().filter_map(|key| self.by_key.get(key)) {
            self.tournament.set(*at, INELIGIBLE, 0);
            self.reserve.set(*at, INELIGIBLE, 0);
        }
        let outside = self.pick_among_all(near);
        for at in avoid.iter().filter_map(|key| self.by_key.get(key)) {
            let backend = &self.backends[*at as usize];
            self.tournament.set(*at, backend.share(), backend.shelf.mask());
            self.reserve.set(*at, backend.share_in_panic(), backend.shelf.mask());
        }
        match outside {
            None if !self.binds(avoid) => self.pick_among_all(near),
            _ => outside,
        }
    }

    fn pick_among_all(&self, near: Core) -> Option<u32> {
        let from = self.turn;
        self.tournament
            .pick(near.class(), from)
            .or_else(|| if self.is_panicking() { self.reserve.pick(near.class(), from) } else { None })
    }

    /// Whether too few backends are up, for which also those are used that were taken out by a judgement.
    pub(super) fn is_panicking(&self) -> bool {
        self.totals.doubtful > 0 && self.totals.up * 100 < u64::from(self.policy.panic) * self.totals.ready
    }

    /// Whether one may hope for a slot. One that was admitted already and would wait stays, as those in line do, where there
    /// is a backend that may come back.
    pub(super) fn has_hope(&self, would_wait: bool, is_retry: bool) -> bool {
        let may_return = self.totals.on_trial > 0 || (is_retry && self.totals.ready > 0);
        self.totals.up > 0 || self.is_panicking() || (may_return && would_wait)
    }

    /// Whether some backend outside `avoid` is up and ready, busy or not.
    pub(super) fn binds(&self, avoid: &[BackendKey]) -> bool {
        let is_up = |key| self.by_key.get(key).is_some_and(|&at| self.backends[at as usize].is_up());
        let inside =
            avoid.iter().enumerate().filter(|&(i, key)| !avoid[..i].contains(key) && is_up(key)).count();
        self.totals.up > inside as u64
    }

    /// Takes an idle slot of the backend `at` for one that asks.
    pub(super) fn grant_idle(&mut self, at: u32, asker: &Asker, now: Time) -> Grant<C> {
        debug_assert!(self.backends[at as usize].has_room(), "the limit holds");
        let purpose = self.purpose(at);
        let backend = &mut self.backends[at as usize];
        let (slot, kept) = self.slots.take((at, backend), purpose, asker.near, now);
        self.slots.slot_mut(slot.index).charge = Some(self.queue.charge(asker, now));
        let grant = Grant { slot, backend: backend.key, kept, waited: now.since(asker.since) };
        self.turn = at + 1;
        self.refresh(at);
        grant
    }

    /// A taken slot has ended its life: it is given to the first waiter that may use it, or is idle and keeps the
    /// connection, or, where fewer are ordered than are taken, is gone.
    pub(super) fn free(&mut self, now: Time, index: u32, kept: Option<Kept<C>>, effects: &mut Effects<C, W>) {
        // First the account, then whose turn it is.
        let charge = self.slots.slot_mut(index).charge.take();
        let has_hope = charge.is_some_and(|charge| self.queue.settle(&charge, now));
        let at = self.slots.slot(index).backend;
        let backend = &self.backends[at as usize];
        let is_surplus = backend.taken() > backend.limit;
        let is_open = backend.taken() <= backend.open();
        let waiter = if !is_open || has_hope { None } else { self.first_waiter(at) };
        if let Some((waiter, asker)) = waiter {
            let purpose = self.purpose(at);
            let backend = &mut self.backends[at as usize];
            let slot = self.slots.take_over(backend, index, purpose, now);
            self.slots.slot_mut(index).charge = Some(self.queue.charge(&asker, now));
            let grant = Grant { slot, backend: backend.key, kept, waited: now.since(asker.since) };
            effects.wakes.extend(self.queue.grant(waiter, grant));
        } else {
            let is_kept = !is_surplus && !self.keep_idle.is_zero();
            let (kept, closed) = if is_kept { (kept, None) } else { (None, kept) };
            self.slots.give_back(&mut self.backends[at as usize], index, kept, now);
            effects.closed.extend(closed.map(|kept| kept.connection));
        }
        self.refresh(at);
        self.forget_if_over(at);
        if has_hope {
            // Its bound withheld slots elsewhere too: who is first may prefer one of them.
            self.serve_line(now, effects);
        }
    }

    /// Grants idle slots to waiters after a change that may have made several slots, or several waiters, eligible.
    pub(super) fn serve_line(&mut self, now: Time, effects: &mut Effects<C, W>) {
        let mut next = self.queue.first_in_front();
        while let Some(index) = next {
            next = self.queue.behind(index);
            self.serve(index, now, effects);
        }
        while let Some(index) = self.queue.first_behind_front() {
            if !self.serve(index, now, effects) {
                break;
            }
        }
    }

    /// Sets what the tournament and the sum hold of a backend, after any change of it.
    pub(super) fn refresh(&mut self, at: u32) {
        let backend = &mut self.backends[at as usize];
        let counts = backend.counts();
        if counts != backend.counted {
            self.totals -= std::mem::replace(&mut backend.counted, counts);
            self.totals += counts;
        }
        self.tournament.set(at, backend.share(), backend.shelf.mask());
        self.reserve.set(at, backend.share_in_panic(), backend.shelf.mask());
        if !backend.unproven.is_empty() || !self.unproven.is_empty() {
            self.list_unproven(at);
        }
        if self.backends[at as usize].told.is_some() {
            self.list_untold(at);
        }
    }

    /// What the next request is to this backend.
    fn purpose(&mut self, at: u32) -> Purpose {
        if self.backends[at as usize].health.health() == Health::Up {
            return Purpose::Work;
        }
        let is_trial = self.change(at, |backend| backend.health.admit());
        if is_trial { Purpose::Trial } else { Purpose::Work }
    }

    /// Grants the waiter `index` an idle slot, if there is one that it may use.
    fn serve(&mut self, index: u32, now: Time, effects: &mut Effects<C, W>) -> bool {
        let Some(waiter) = self.queue.waiter(index) else {
            return false;
        };
        let (asker, avoid) = (waiter.asker, waiter.avoid.clone());
        if !self.queue.keys.may_take(asker.account) {
            return false;
        }
        let Some(at) = self.pick(asker.near, &avoid) else {
            return false;
        };
        let grant = self.grant_idle(at, &asker, now);
        effects.wakes.extend(self.queue.grant(index, grant));
        true
    }

    /// The first waiter that may use an idle slot of the backend `at`.
    fn first_waiter(&self, at: u32) -> Option<(u32, Asker)> {
        let backend = &self.backends[at as usize];
        let admits = backend.admits() || (self.is_panicking() && backend.admits_in_panic());
        if !admits {
            return None;
        }
        let first =
            self.queue.first(|waiter| !waiter.avoid.contains(&backend.key) || !self.binds(&waiter.avoid));
        first.and_then(|index| self.queue.waiter(index).map(|waiter| (index, waiter.asker)))
    }
}
