//! Work that a backend has from somebody else: its slots are taken, and this pool does not see them.
//!
//! So it is with a backend that another pool had before, or the old process before an upgrade: who sent the work tells
//! when it ends. It is a number for each backend, and its slots are never granted.

use super::Dispatcher;
use crate::{
    backend::BackendKey,
    effects::Effects,
    grant::Until,
    slots::State,
    spec::{BackendSpec, Start},
    time::Time,
};

impl<C, W> Dispatcher<C, W> {
    /// So many slots of a backend are taken by somebody else from now on: not so many more, but so many in all.
    ///
    /// Fewer than before: the others go to waiters. More than are idle, or more than there are: nothing is taken from what
    /// runs, but there is no new grant until it fits. Unknown keys are ignored, and everything while the pool
    /// [cedes](Self::cede): what it holds then is its own.
    pub fn set_elsewhere(&mut self, now: Time, backend: BackendKey, slots: u32) -> Effects<C, W> {
        let now = self.advance(now);
        let mut effects = Effects::none();
        if let Some(&at) = self.by_key.get(&backend)
            && !self.is_ceding
        {
            let before = self.backends[at as usize].elsewhere;
            self.backends[at as usize].elsewhere = slots;
            self.close_surplus(at, &mut effects);
            self.refresh(at);
            if slots < before {
                self.serve_line(now, &mut effects);
            }
        }
        self.check();
        effects
    }

    /// Whoever had so many of the slots of this backend that are elsewhere is gone without a word: from now on these (at most as
    /// many as it has slots) rest until a proof. Unknown keys are ignored.
    pub fn doubt_elsewhere(&mut self, now: Time, backend: BackendKey, slots: u32) -> Effects<C, W> {
        let now = self.advance(now);
        let mut effects = Effects::none();
        if let Some(&at) = self.by_key.get(&backend) {
            let entry = &mut self.backends[at as usize];
            let gone = slots.min(entry.elsewhere);
            entry.elsewhere -= gone;
            let doubted = gone.min(entry.limit);
            self.lay_to_rest(at, doubted, Until::Proof);
            self.refresh(at);
            if doubted < gone {
                self.serve_line(now, &mut effects);
            }
        }
        self.check();
        effects
    }

    /// What is at work at a backend that is new to the pool.
    pub(super) fn start(&mut self, at: u32, spec: BackendSpec) {
        match spec.start {
            // The number is the backend's from its beginning.
            Start::Idle | Start::Elsewhere(_) => {}
            Start::Unproven => self.lay_to_rest(at, spec.slots, Until::Proof),
            Start::Until(end) => self.lay_to_rest(at, spec.slots, Until::Time(end)),
        }
    }

    /// So many slots that were a number so far rest.
    fn lay_to_rest(&mut self, at: u32, slots: u32, until: Until) {
        let backend = &mut self.backends[at as usize];
        for _ in 0..slots {
            self.slots.take_to_rest((at, backend), State::Resting(until), self.now);
        }
    }
}
