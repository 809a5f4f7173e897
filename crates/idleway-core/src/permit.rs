//! The owned proof of holding a slot.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    backend::BackendKey,
    grant::{Grant, Kept, Outcome, SlotId, Until},
    pool::Pool,
    time::Time,
};

/// The owned proof of holding a slot.
///
/// # What happens when it is dropped
/// However a Permit ends, its slot is accounted for; but a slot is free by what the *backend* did:
///
/// - [`finish`](Self::finish): the backend has ended its work. The slot is free.
/// - [`rest`](Self::rest): the slot stays taken until a time or a proof.
/// - [`doubt`](Self::doubt): the slot rests, and is free when this Permit is finished.
/// - dropped, and never [`started`](Self::started): nothing was sent, so the slot is free at once; its untouched
///   connection stays with it.
/// - **dropped after `started`, without `finish`: nothing proves that the backend is idle. The slot rests until a
///   probe succeeds ([`Until::Proof`]); without a prober it is lost to the pool.** A task that is cancelled or
///   panics must not lead to two requests on a one-slot backend. So whoever cancels a started exchange hands its
///   Permit on, to one who reads what the backend still sends.
#[must_use = "dropping the permit gives the slot back"]
pub struct Permit<C> {
    pool: Arc<Pool<C>>,
    slot: SlotId,
    backend: BackendKey,
    waited: Duration,
    kept: Option<Kept<C>>,
    hold: Hold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Nothing was sent to the backend.
    Untouched,
    /// A request may be at work.
    Started,
    /// The slot is given back.
    Over,
}

impl<C> Permit<C> {
    pub(crate) fn new(pool: Arc<Pool<C>>, grant: Grant<C>) -> Self {
        let Grant { slot, backend, kept, waited } = grant;
        Self { pool, slot, backend, waited, kept, hold: Hold::Untouched }
    }

    /// The backend whose slot this is.
    #[must_use]
    pub const fn backend(&self) -> BackendKey {
        self.backend
    }

    /// Which slot, in which of its lives: for logs and traces.
    #[must_use]
    pub const fn slot(&self) -> SlotId {
        self.slot
    }

    /// How long the request stood in line.
    #[must_use]
    pub const fn waited(&self) -> Duration {
        self.waited
    }

    /// The slot's own connection, if it kept one. It may sit on another core.
    pub fn take_kept(&mut self) -> Option<C> {
        self.kept.take().map(|kept| kept.connection)
    }

    /// From here on a request may be at work on the backend. No lock, a flag.
    pub const fn started(&mut self) {
        self.hold = Hold::Started;
    }

    /// The backend itself has closed its connection: nothing is at work any more, and the slot serves for another
    /// connection. From here on it is as it was before [`started`](Self::started).
    pub const fn ended(&mut self) {
        self.hold = Hold::Untouched;
    }

    /// The request is answered or left, the backend has not finished: busy → lingering. Implies `started`.
    pub fn linger(&mut self) {
        self.hold = Hold::Started;
        let now = self.pool.now();
        self.pool.with(|dispatcher| dispatcher.linger(now, self.slot));
    }

    /// What became of the request is known, though the slot is not free yet: health learns it now. To be finished with
    /// [`Outcome::Ignored`] then.
    pub fn report(&self, outcome: Outcome) {
        self.pool.run(|dispatcher, now| dispatcher.report(now, self.slot, outcome));
    }

    /// Nobody knows whether the backend still works: the slot rests, but stays this Permit's, to be
    /// [finished](Self::finish) by whoever learns that the backend is idle. Implies `started`.
    pub fn doubt(&mut self) {
        self.hold = Hold::Started;
        self.pool.run(|dispatcher, now| dispatcher.doubt(now, self.slot));
    }

    /// The backend itself has ended its work, or nothing was ever sent: the slot is free, and keeps `kept`.
    /// A connection that was never taken out of this Permit is closed.
    pub fn finish(mut self, outcome: Outcome, kept: Option<Kept<C>>) {
        self.hold = Hold::Over;
        self.pool.run(|dispatcher, now| dispatcher.release(now, self.slot, outcome, kept));
    }

    /// The backend said that it is busy and that nothing ran: it rests until then, all its idle slots and this one.
    pub fn withhold(mut self, until: Time, kept: Option<Kept<C>>) {
        self.hold = Hold::Over;
        self.pool.run(|dispatcher, now| dispatcher.withhold(now, self.slot, until, kept));
    }

    /// The slot stays taken until a time comes or a probe succeeds.
    pub fn rest(mut self, until: Until) {
        self.hold = Hold::Over;
        self.pool.run(|dispatcher, now| dispatcher.rest(now, self.slot, until));
    }
}

impl<C> Drop for Permit<C> {
    fn drop(&mut self) {
        let (slot, kept) = (self.slot, self.kept.take());
        match self.hold {
            Hold::Untouched => {
                self.pool.run(|dispatcher, now| dispatcher.release(now, slot, Outcome::Ignored, kept));
            }
            Hold::Started => self.pool.run(|dispatcher, now| dispatcher.rest(now, slot, Until::Proof)),
            Hold::Over => {}
        }
    }
}

impl<C> fmt::Debug for Permit<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, backend, hold, .. } = self;
        f.debug_struct("Permit")
            .field("slot", slot)
            .field("backend", backend)
            .field("hold", hold)
            .finish_non_exhaustive()
    }
}
