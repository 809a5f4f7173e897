//! Slots that go over to somebody else: who gets them is told how many of a backend are still this pool's.

use super::Dispatcher;
use crate::{
    ask::Reason,
    backend::{Backend, BackendKey},
    effects::Effects,
    time::Time,
};

/// How many slots of a backend are still a pool's: those at work for it or resting, and those that are idle and not ceded.
/// What somebody else has at work there is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which backend.
    pub backend: BackendKey,
    /// How many slots; 0: the backend has nothing more to do with the pool.
    pub slots: u32,
}

impl<C, W> Dispatcher<C, W> {
    /// From now on this pool gives its slots up, for good, as they become idle: another process gets them.
    ///
    /// Whatever is idle is taken out at once, and the answer tells of all backends what is left. What becomes idle later
    /// is taken out by [`Self::take_held`]. A slot that frees still goes to a waiter that may use it; who comes is served, and
    /// waits, as long as anything is left to wait for, and is refused for [`Reason::Draining`] after that. Where nothing is
    /// left so are those in line. What rests until a time or a proof is held until it is free. From here on `reconfigure`
    /// gives nothing back: it adds no backend and no slot. What somebody else has at work at its backends is not this pool's to
    /// tell: who needs to know it reads [`BackendView::elsewhere`](crate::backend::BackendView) before.
    ///
    /// Called again, it tells of all backends once more.
    pub fn cede(&mut self, now: Time) -> (Vec<Held>, Effects<C, W>) {
        self.advance(now);
        let mut effects = Effects::none();
        self.is_ceding = true;
        let all: Vec<u32> = self.by_key.values().copied().collect();
        let held = all.into_iter().map(|at| self.cede_idle(at, &mut effects)).collect();
        self.refuse_hopeless(&mut effects);
        self.check();
        (held, effects)
    }

    /// From now on [`Self::take_held`] tells of this backend, until it is removed and that has been told 0, or it is removed and
    /// named again: then it is this pool's. The answer is how many of its slots are this pool's now; 0 for unknown keys.
    ///
    /// So learns the next owner of a backend that was removed here what is still at work for this pool.
    pub fn watch(&mut self, backend: BackendKey) -> u32 {
        let Some(&at) = self.by_key.get(&backend) else { return 0 };
        let backend = &mut self.backends[at as usize];
        let held = backend.held();
        backend.told = Some(held);
        self.refresh(at);
        held
    }

    /// Tells of how many slots of a backend are still this pool's, where that is watched or the pool cedes, and it
    /// changed since it was told last. What is idle of a pool that cedes is taken out first.
    pub fn take_held(&mut self, now: Time) -> (Vec<Held>, Effects<C, W>) {
        self.advance(now);
        let mut effects = Effects::none();
        let mut held = Vec::new();
        for backend in std::mem::take(&mut self.untold) {
            let slots = match self.by_key.get(&backend) {
                None => 0,
                Some(&at) if self.is_ceding => self.cede_idle(at, &mut effects).slots,
                Some(_) => self.watch(backend),
            };
            held.push(Held { backend, slots });
        }
        if self.is_ceding {
            self.refuse_hopeless(&mut effects);
        }
        self.check();
        (held, effects)
    }

    /// Whether [`Self::take_held`] has something to do or to tell.
    #[must_use]
    pub fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Keeps the list of the backends of which something is to be told, or ceded.
    pub(super) fn list_untold(&mut self, at: u32) {
        let backend = &self.backends[at as usize];
        if self.is_untold(backend) {
            self.untold.insert(backend.key);
        } else {
            self.untold.remove(&backend.key);
        }
    }

    /// Whether something of a backend that is watched is to be told, or to be ceded.
    pub(super) fn is_untold(&self, backend: &Backend) -> bool {
        let may_cede = self.is_ceding && backend.idle() > 0 && backend.withheld.is_none();
        may_cede || backend.told != Some(backend.held())
    }

    /// Takes the idle slots of a backend out of the pool; those that rest as it said that it is busy are not idle.
    fn cede_idle(&mut self, at: u32, effects: &mut Effects<C, W>) -> Held {
        self.change(at, |backend| {
            backend.limit = backend.limit.saturating_sub(backend.elsewhere());
            if backend.withheld.is_none() {
                backend.limit = backend.limit.min(backend.own());
            }
            // Whoever has them tells the one that gets these.
            backend.elsewhere = 0;
        });
        self.close_surplus(at, effects);
        let backend = self.backends[at as usize].key;
        Held { backend, slots: self.watch(backend) }
    }

    /// Tells those in line that there is nothing left that they might wait for.
    fn refuse_hopeless(&mut self, effects: &mut Effects<C, W>) {
        if self.totals.ready == 0 {
            self.refuse_all(Reason::Draining, effects);
        }
    }
}
