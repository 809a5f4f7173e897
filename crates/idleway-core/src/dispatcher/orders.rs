//! The verbs of the control plane: what is ordered and what is observed from outside.

use std::time::Duration;

use super::Dispatcher;
use crate::{
    ask::Reason,
    backend::{Backend, BackendKey, BackendView, Mode},
    change::Change,
    effects::Effects,
    grant::{Grant, Outcome},
    health::Role,
    keys::Rules,
    line::index_of,
    slots::{Purpose, State},
    spec::{BackendSpec, PoolSpec},
    time::{Core, Time},
};

impl<C, W> Dispatcher<C, W> {
    /// Orders a new shape of the pool.
    ///
    /// More slots: they go to waiters. Fewer: idle ones go at once, others when their work ends; until then no new
    /// grant. A backend that is no longer named goes the same way, and is forgotten when it is quiet; named again
    /// before that, it is the same backend with the same count. Those in line stay, also where the queue shrinks. A pool
    /// that [cedes](Self::cede) gets no slot and no backend by this; all else holds.
    ///
    /// What was observed of a backend, and ordered by [`Self::set_mode`], stays. One that is coming back slot by slot goes on
    /// with those that are open, at the pace that is ordered now. Costs what changes, and a look at each backend.
    pub fn reconfigure(&mut self, now: Time, spec: PoolSpec) -> Effects<C, W> {
        let now = self.advance(now);
        let mut effects = Effects::none();
        let rules = Rules::of(&spec);
        let PoolSpec { backends, queue_length, keep_idle, health, retries, .. } = spec;
        (self.settle, self.settle_broken) = (spec.settle, spec.settle_broken);
        self.queue.set_length(queue_length);
        self.queue.set_rules(rules, &mut self.slots);
        self.keep_idle = keep_idle;
        self.retries.set_policy(retries);
        let is_judged_anew = std::mem::replace(&mut self.policy, health) != health;
        let (changed, new) = self.compare_with(backends, is_judged_anew);
        for (at, slots) in changed {
            self.resize(now, at, slots, &mut effects);
        }
        new.into_iter().for_each(|spec| self.add(spec));
        self.serve_line(now, &mut effects);
        self.check();
        effects
    }

    /// What a probe found that took no slot: one on a connection beside the work, or one that has been without an answer
    /// for another interval. Counts as the outcome of any other probe.
    /// Unknown keys are ignored: the backend may just have been removed.
    pub fn observe(&mut self, now: Time, backend: BackendKey, outcome: Outcome) -> Effects<C, W> {
        let now = self.advance(now);
        let mut effects = Effects::none();
        if let Some(&at) = self.by_key.get(&backend)
            && self.judge(now, at, outcome, Role::Probe)
        {
            self.serve_line(now, &mut effects);
        }
        self.check();
        effects
    }

    /// What is ordered of a backend. Unknown keys are ignored.
    pub fn set_mode(&mut self, now: Time, backend: BackendKey, mode: Mode) -> Effects<C, W> {
        let now = self.advance(now);
        let mut effects = Effects::none();
        if let Some(&at) = self.by_key.get(&backend) {
            self.backends[at as usize].mode = mode;
            self.refresh(at);
            self.serve_line(now, &mut effects);
        }
        self.check();
        effects
    }

    /// Takes no one new from now on; those in line, and retries of requests already admitted, are still served.
    pub fn close(&mut self, now: Time) -> Effects<C, W> {
        self.advance(now);
        self.is_closing = true;
        self.check();
        Effects::none()
    }

    /// Takes no one new, as [`Self::close`], and ends every wait: whoever is in line is told so.
    pub fn dismiss(&mut self, now: Time) -> Effects<C, W> {
        self.advance(now);
        self.is_closing = true;
        let mut effects = Effects::none();
        self.refuse_all(Reason::Draining, &mut effects);
        self.check();
        effects
    }

    /// Takes an idle slot of a backend for a probe, with its connection; `None` while all are taken (busy is not sick)
    /// or rest, in maintenance, and for unknown backends. The outcome with which it is released is the probe's. One that
    /// waits for a probe out of turn, and cannot be probed now, waits for it again after the same pause.
    pub fn take_for_probe(&mut self, now: Time, backend: BackendKey) -> Option<Grant<C>> {
        let now = self.advance(now);
        let at = *self.by_key.get(&backend)?;
        let entry = &self.backends[at as usize];
        if entry.mode == Mode::Maintenance || entry.idle() == 0 || entry.withheld.is_some() {
            if entry.health.awaits_probe() {
                // Nothing tells when it can be probed.
                self.probe_again(now, at);
                self.check();
            }
            return None;
        }
        self.change(at, |backend| backend.health.probe_out());
        let entry = &mut self.backends[at as usize];
        let (slot, kept) = self.slots.take((at, entry), Purpose::Probe, Core::default(), now);
        self.refresh(at);
        self.check();
        Some(Grant { slot, backend, kept, waited: Duration::ZERO })
    }

    /// Takes a slot of a backend that rests until a proof, to prove it; `None` where there is none, in maintenance, and
    /// for unknown backends.
    ///
    /// Releasing it with `Outcome::Success` is the proof that the slot is free; after any other outcome it rests
    /// again. Also the slots of a backend that was removed may be proved, so that it can be forgotten.
    pub fn take_for_proof(&mut self, now: Time, backend: BackendKey) -> Option<Grant<C>> {
        let now = self.advance(now);
        let at = *self.by_key.get(&backend)?;
        let entry = &mut self.backends[at as usize];
        // What was ordered of one that is gone must not keep it for ever.
        if entry.mode == Mode::Maintenance && !entry.removed {
            return None;
        }
        let index = entry.unproven.first()?;
        let slot = self.slots.take_over(entry, index, Purpose::Proof, now);
        // While it is being proved it rests as before: nobody's request is at work on it.
        self.slots.set_state(entry, index, State::Doubted);
        self.refresh(at);
        self.check();
        Some(Grant { slot, backend, kept: None, waited: Duration::ZERO })
    }

    /// The backends from the key `from` on, in the order of their keys, at most `limit` of them: a large pool is
    /// looked at in chunks, so that no look holds the lock for long. The next chunk begins after the last key.
    #[must_use]
    pub fn backends(&self, from: BackendKey, limit: usize) -> Vec<BackendView> {
        self.by_key.range(from..).take(limit).map(|(_, &at)| self.backends[at as usize].view()).collect()
    }

    /// The first backend, from the key `from` on, with a slot that rests until a proof: one to be probed.
    #[must_use]
    pub fn unproven(&self, from: BackendKey) -> Option<BackendKey> {
        self.unproven.range(from..).next().copied()
    }

    /// The first backend, from the key `from` on, that waits for a probe out of turn: it could not be reached, and only
    /// a probe can tell when it can be again.
    #[must_use]
    pub fn awaiting_probe(&self, from: BackendKey) -> Option<BackendKey> {
        self.awaiting_probe.range(from..).next().copied()
    }

    /// What became of the health of backends since this was asked last, the oldest first. Of more than 1024 changes
    /// the first are lost.
    pub fn take_news(&mut self) -> Vec<Change> {
        self.news.take()
    }

    /// Whether [`Self::take_news`] has something to tell.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Keeps the list of the backends with slots that rest until a proof.
    pub(super) fn list_unproven(&mut self, at: u32) {
        let backend = &self.backends[at as usize];
        if backend.unproven.is_empty() {
            self.unproven.remove(&backend.key);
        } else {
            self.unproven.insert(backend.key);
        }
    }

    /// Ends every wait.
    pub(super) fn refuse_all(&mut self, reason: Reason, effects: &mut Effects<C, W>) {
        if self.queue.waiting() == 0 {
            return;
        }
        let refusal = self.refusal(reason);
        while let Some(index) = self.queue.first_in_front().or_else(|| self.queue.oldest_behind_front()) {
            effects.wakes.extend(self.queue.refuse(index, refusal));
        }
    }

    /// Forgets a backend that was removed and is quiet.
    pub(super) fn forget_if_over(&mut self, at: u32) {
        let backend = &self.backends[at as usize];
        if backend.is_over() && self.by_key.remove(&backend.key).is_some() {
            let key = backend.key;
            if let Some(time) = backend.alarm() {
                self.alarms.remove(&(time, at));
            }
            if let Some(time) = backend.withheld {
                self.withheld.remove(&(time, at));
            }
            self.awaiting_probe.remove(&key);
            match self.backends[at as usize].told.take() {
                None => {}
                Some(0) => _ = self.untold.remove(&key),
                Some(_) => _ = self.untold.insert(key),
            }
            self.forget_lately(self.now, at);
            self.forgotten.push(at);
        }
    }

    /// Which backends have to change, with the slots that are ordered of each (`None`: it is removed), and which are new.
    fn compare_with(
        &self,
        mut ordered: Vec<BackendSpec>,
        is_judged_anew: bool,
    ) -> (Vec<(u32, Option<u32>)>, Vec<BackendSpec>) {
        // Stable: where a key appears twice, its last entry is the later one.
        ordered.sort_by_key(|spec| spec.key);
        ordered.dedup_by(|later, spec| {
            let is_same = later.key == spec.key;
            if is_same {
                *spec = *later;
            }
            is_same
        });
        let mut ordered = ordered.into_iter().peekable();
        let (mut changed, mut new) = (Vec::new(), Vec::new());
        for (key, &at) in &self.by_key {
            new.extend(std::iter::from_fn(|| ordered.next_if(|spec| spec.key < *key)));
            let slots = ordered.next_if(|spec| spec.key == *key).map(|spec| spec.slots);
            let backend = &self.backends[at as usize];
            let is_same = (backend.removed, backend.limit) == (slots.is_none(), slots.unwrap_or(0));
            if is_judged_anew || !is_same {
                changed.push((at, slots));
            }
        }
        new.extend(ordered);
        (changed, if self.is_ceding { Vec::new() } else { new })
    }

    /// Gives a known backend the slots that are ordered now; `None`: it is removed.
    fn resize(&mut self, now: Time, at: u32, slots: Option<u32>, effects: &mut Effects<C, W>) {
        let (policy, is_ceding) = (self.policy, self.is_ceding);
        let backend = &mut self.backends[at as usize];
        if backend.removed && slots.is_some() && !is_ceding {
            // It is this pool's again: nobody else waits for its slots.
            backend.told = None;
            self.untold.remove(&backend.key);
        }
        self.change(at, |backend| {
            let most = if is_ceding { backend.limit } else { u32::MAX };
            backend.limit = slots.unwrap_or(0).min(most);
            backend.removed = slots.is_none();
            backend.health.set_policy(policy);
            backend.slow_start =
                backend.slow_start.and_then(|slow| slow.adapt(now, backend.limit, policy.slow_start));
        });
        self.close_surplus(at, effects);
        self.refresh(at);
        self.forget_if_over(at);
    }

    /// Closes the connections that are more than its idle slots; the caller refreshes.
    pub(super) fn close_surplus(&mut self, at: u32, effects: &mut Effects<C, W>) {
        let backend = &mut self.backends[at as usize];
        while backend.shelf.len() > backend.idle() {
            effects.closed.extend(self.slots.strip(backend));
        }
    }

    fn add(&mut self, spec: BackendSpec) {
        // Whoever waits for the last word on one of this name waits in vain: it is this pool's again.
        self.untold.remove(&spec.key);
        let backend = Backend::new(spec, self.policy);
        let at = if let Some(at) = self.forgotten.pop() {
            self.backends[at as usize] = backend;
            at
        } else {
            self.backends.push(backend);
            index_of(self.backends.len() - 1)
        };
        self.tournament.grow(self.backends.len());
        self.reserve.grow(self.backends.len());
        self.by_key.insert(spec.key, at);
        self.start(at, spec);
        self.refresh(at);
    }
}
