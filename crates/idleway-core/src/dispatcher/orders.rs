//! The verbs of the control plane: what is ordered and what is observed from outside.

use std::collections::BTreeMap;

use super::Dispatcher;
use crate::{
    ask::Reason,
    backend::{Backend, BackendKey, BackendView, Mode},
    effects::Effects,
    grant::Grant,
    health::Health,
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
    /// before that, it is the same backend with the same count. Those in line stay, also where the queue shrinks.
    pub fn reconfigure(&mut self, now: Time, spec: PoolSpec) -> Effects<C, W> {
        let now = self.advance(now);
        let mut effects = Effects::none();
        let rules = Rules::of(&spec);
        let PoolSpec { backends, queue_length, keep_idle, health, settle, .. } = spec;
        self.queue.set_length(queue_length);
        self.queue.set_rules(rules, &mut self.slots);
        self.keep_idle = keep_idle;
        self.settle = settle;
        self.policy = health;
        let mut ordered: BTreeMap<_, _> = backends.into_iter().map(|spec| (spec.key, spec.slots)).collect();
        let known: Vec<u32> = self.by_key.values().copied().collect();
        for at in known {
            let key = self.backends[at as usize].key;
            self.resize(at, ordered.remove(&key), &mut effects);
        }
        for (key, slots) in ordered {
            self.add(BackendSpec { key, slots });
        }
        self.serve_line(now, &mut effects);
        self.check();
        effects
    }

    /// What was observed from outside. A backend observed to be down stays down until it is observed to be up.
    /// Unknown keys are ignored: the backend may just have been removed.
    pub fn observe(&mut self, now: Time, backend: BackendKey, health: Health) -> Effects<C, W> {
        let now = self.advance(now);
        let mut effects = Effects::none();
        if let Some(&at) = self.by_key.get(&backend) {
            self.change_health(at, |hysteresis| hysteresis.observe(health));
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
        let refusal = self.refusal(Reason::Draining);
        let mut effects = Effects::none();
        while let Some(index) = self.queue.first_in_front().or_else(|| self.queue.oldest_behind_front()) {
            effects.wakes.extend(self.queue.refuse(index, refusal));
        }
        self.check();
        effects
    }

    /// Takes a slot of a backend for a probe: one that rests until a proof before an idle one; `None` while all
    /// are taken (busy is not sick), in maintenance, and for unknown backends.
    ///
    /// Releasing it with `Outcome::Success` is the proof that the slot is free; after any other outcome it rests
    /// again. Also the slots of a backend that was removed may be proved, so that it can be forgotten.
    pub fn take_for_probe(&mut self, now: Time, backend: BackendKey) -> Option<Grant<C>> {
        let now = self.advance(now);
        let at = *self.by_key.get(&backend)?;
        let entry = &mut self.backends[at as usize];
        if entry.mode == Mode::Maintenance {
            return None;
        }
        let (slot, kept) = if let Some(index) = entry.unproven.first() {
            let slot = self.slots.take_over(entry, index, Purpose::Proof, now);
            // While it is being proved it rests as before: nobody's request is at work on it.
            self.slots.set_state(entry, index, State::Doubted);
            (slot, None)
        } else if entry.idle() > 0 {
            self.slots.take((at, entry), Purpose::Probe, Core::default(), now)
        } else {
            return None;
        };
        self.refresh(at);
        self.check();
        Some(Grant { slot, backend, kept, waited: now.since(now) })
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

    /// Keeps the list of the backends with slots that rest until a proof.
    pub(super) fn list_unproven(&mut self, at: u32) {
        let backend = &self.backends[at as usize];
        if backend.unproven.is_empty() {
            self.unproven.remove(&backend.key);
        } else {
            self.unproven.insert(backend.key);
        }
    }

    /// Forgets a backend that was removed and is quiet.
    pub(super) fn forget_if_over(&mut self, at: u32) {
        let backend = &self.backends[at as usize];
        if backend.is_over() && self.by_key.remove(&backend.key).is_some() {
            if let Some(end) = backend.health.pause_end() {
                self.pauses.remove(&(end, at));
            }
            self.forgotten.push(at);
        }
    }

    /// Gives a known backend the slots that are ordered now; `None`: it is removed.
    fn resize(&mut self, at: u32, slots: Option<u32>, effects: &mut Effects<C, W>) {
        let backend = &mut self.backends[at as usize];
        backend.limit = slots.unwrap_or(0);
        backend.removed = slots.is_none();
        backend.health.set_policy(self.policy);
        while backend.shelf.len() > backend.idle() {
            effects.closed.extend(self.slots.strip(backend));
        }
        self.refresh(at);
        self.forget_if_over(at);
    }

    fn add(&mut self, spec: BackendSpec) {
        let backend = Backend::new(spec, self.policy);
        let at = if let Some(at) = self.forgotten.pop() {
            self.backends[at as usize] = backend;
            at
        } else {
            self.backends.push(backend);
            index_of(self.backends.len() - 1)
        };
        self.tournament.grow(self.backends.len());
        self.by_key.insert(spec.key, at);
        self.refresh(at);
    }
}
