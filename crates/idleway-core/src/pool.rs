//! The dispatcher behind a mutex, and `acquire` as a future.
//!
//! A std mutex: what happens under it is short (no I/O, no allocation that grows, no foreign code but the clone of a
//! waker) and no await is inside. What wakes and what closes happens after the unlock. A poisoned lock is entered
//! all the same: a Permit must come back whatever happens.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::{
    ask::{Arrival, Ask, Collected, Refusal, Ticket},
    backend::{BackendKey, BackendView, Mode},
    change::Change,
    counts::Counts,
    demand::Demand,
    dispatcher::{Dispatcher, Held, Overdue, SlotView, Waiting},
    effects::Effects,
    estimate::Estimate,
    grant::Outcome,
    permit::Permit,
    spec::PoolSpec,
    sync::{Mutex, MutexGuard},
    time::Time,
};

/// The slots and the line of a pool, shared by all cores.
pub struct Pool<C> {
    shared: Mutex<Shared<C>>,
    clock: fn() -> Time,
}

struct Shared<C> {
    dispatcher: Dispatcher<C, Waker>,
    alarm: Option<Alarm>,
    /// Wakes the one that gets what this pool gives up.
    heir: Option<Waker>,
}

/// The driver sleeps until `at` and wants to be woken when something is due earlier.
struct Alarm {
    at: Time,
    waker: Waker,
}

impl<C> Pool<C> {
    /// A pool in which everything is idle and up. `clock` gives the time of one monotonic clock.
    #[must_use]
    pub fn new(spec: PoolSpec, clock: fn() -> Time) -> Arc<Self> {
        let dispatcher = Dispatcher::new(clock(), spec);
        Arc::new(Self { shared: Mutex::new(Shared { dispatcher, alarm: None, heir: None }), clock })
    }

    /// A slot, at once or after a wait in the line, or a refusal. Nothing happens before the first poll. Dropping
    /// the future is leaving the line; a slot that was granted meanwhile goes to the next in line.
    pub fn acquire(self: &Arc<Self>, ask: Ask) -> Acquire<C> {
        Acquire { pool: Some(Arc::clone(self)), stage: Stage::Asking(ask) }
    }

    /// Takes a slot for a probe, see [`Dispatcher::take_for_probe`].
    pub fn take_for_probe(self: &Arc<Self>, backend: BackendKey) -> Option<Permit<C>> {
        let now = self.now();
        let grant = self.with(|dispatcher| dispatcher.take_for_probe(now, backend))?;
        Some(Permit::new(Arc::clone(self), grant))
    }

    /// Takes a slot to prove it, see [`Dispatcher::take_for_proof`].
    pub fn take_for_proof(self: &Arc<Self>, backend: BackendKey) -> Option<Permit<C>> {
        let now = self.now();
        let grant = self.with(|dispatcher| dispatcher.take_for_proof(now, backend))?;
        Some(Permit::new(Arc::clone(self), grant))
    }

    /// See [`Dispatcher::observe`].
    pub fn observe(&self, backend: BackendKey, outcome: Outcome) {
        self.run(|dispatcher, now| dispatcher.observe(now, backend, outcome));
    }

    /// See [`Dispatcher::awaiting_probe`].
    pub fn awaiting_probe(&self, from: BackendKey) -> Option<BackendKey> {
        self.lock().dispatcher.awaiting_probe(from)
    }

    /// See [`Dispatcher::take_news`].
    pub fn take_news(&self) -> Vec<Change> {
        self.lock().dispatcher.take_news()
    }

    /// See [`Dispatcher::set_mode`].
    pub fn set_mode(&self, backend: BackendKey, mode: Mode) {
        self.run(|dispatcher, now| dispatcher.set_mode(now, backend, mode));
    }

    /// See [`Dispatcher::reconfigure`].
    pub fn reconfigure(&self, spec: PoolSpec) {
        self.run(|dispatcher, now| dispatcher.reconfigure(now, spec));
    }

    /// See [`Dispatcher::close`].
    pub fn close(&self) {
        self.run(Dispatcher::close);
    }

    /// See [`Dispatcher::dismiss`].
    pub fn dismiss(&self) {
        self.run(Dispatcher::dismiss);
    }

    /// See [`Dispatcher::set_elsewhere`].
    pub fn set_elsewhere(&self, backend: BackendKey, slots: u32) {
        self.run(|dispatcher, now| dispatcher.set_elsewhere(now, backend, slots));
    }

    /// See [`Dispatcher::doubt_elsewhere`].
    pub fn doubt_elsewhere(&self, backend: BackendKey, slots: u32) {
        self.run(|dispatcher, now| dispatcher.doubt_elsewhere(now, backend, slots));
    }

    /// See [`Dispatcher::cede`]. What changes after that comes out of [`Self::held_changes`].
    pub fn cede(&self) -> Vec<Held> {
        let now = self.now();
        let (held, effects) = self.with(|dispatcher| dispatcher.cede(now));
        effects.run();
        held
    }

    /// See [`Dispatcher::watch`]. What changes after that comes out of [`Self::held_changes`].
    pub fn watch(&self, backend: BackendKey) -> u32 {
        self.lock().dispatcher.watch(backend)
    }

    /// Resolves, as soon as there is any, with what [`Dispatcher::take_held`] has to tell: of backends that are watched, and
    /// of all while the pool cedes. A pool has one who listens: of several only the last one that was polled is woken.
    pub fn held_changes(self: &Arc<Self>) -> HeldChanges<C> {
        HeldChanges { pool: Arc::clone(self) }
    }

    /// See [`Dispatcher::counts`].
    pub fn counts(&self) -> Counts {
        self.lock().dispatcher.counts()
    }

    /// See [`Dispatcher::estimate`].
    pub fn estimate(&self) -> Estimate {
        let now = self.now();
        self.lock().dispatcher.estimate(now)
    }

    /// See [`Dispatcher::demand`].
    pub fn demand(&self) -> Demand {
        let now = self.now();
        self.lock().dispatcher.demand(now)
    }

    /// See [`Dispatcher::backends`].
    pub fn backends(&self, from: BackendKey, limit: usize) -> Vec<BackendView> {
        self.lock().dispatcher.backends(from, limit)
    }

    /// See [`Dispatcher::overdue`].
    pub fn overdue(&self, from: u32, limit: u32) -> (Vec<Overdue>, Option<u32>) {
        let now = self.now();
        self.lock().dispatcher.overdue(now, from, limit)
    }

    /// See [`Dispatcher::slots`].
    pub fn slots(&self, from: u32, limit: u32) -> (Vec<SlotView>, Option<u32>) {
        let now = self.now();
        self.lock().dispatcher.slots(now, from, limit)
    }

    /// See [`Dispatcher::waiting`].
    pub fn waiting(&self) -> Waiting {
        let now = self.now();
        self.lock().dispatcher.waiting(now)
    }

    /// See [`Dispatcher::unproven`].
    pub fn unproven(&self, from: BackendKey) -> Option<BackendKey> {
        self.lock().dispatcher.unproven(from)
    }

    /// Does what is due; answers when the next thing is (at once, when there was too much for one call).
    pub fn tick(&self) -> Option<Time> {
        let now = self.now();
        let (effects, next) = self.with(|dispatcher| (dispatcher.tick(now), dispatcher.next_deadline()));
        effects.run();
        next
    }

    /// Resolves when something is due earlier than `seen`, which is when its one driver believes that
    /// [`Self::tick`] is due next, and when there is news; answers when something is due.
    ///
    /// A pool has one driver: `loop { select(sleep_until(seen), pool.deadline(seen)); seen = pool.tick(); tell(pool.take_news()) }`. A later
    /// deadline does not wake it: then it wakes up too early once, and learns.
    pub fn deadline(self: &Arc<Self>, seen: Option<Time>) -> Deadline<C> {
        Deadline { pool: Arc::clone(self), seen: seen.unwrap_or(Time::NEVER) }
    }

    pub(crate) fn now(&self) -> Time {
        (self.clock)()
    }

    /// Runs a verb under the lock, and its effects after it.
    pub(crate) fn run(&self, verb: impl FnOnce(&mut Dispatcher<C, Waker>, Time) -> Effects<C, Waker>) {
        let now = self.now();
        self.with(|dispatcher| verb(dispatcher, now)).run();
    }

    /// Runs a verb under the lock, and wakes after it the driver where something is due earlier now, and who listens where
    /// something is to be told.
    pub(crate) fn with<T>(&self, verb: impl FnOnce(&mut Dispatcher<C, Waker>) -> T) -> T {
        let mut shared = self.lock();
        let answer = verb(&mut shared.dispatcher);
        let alarm = match &shared.alarm {
            Some(alarm) if shared.dispatcher.wants_driver(alarm.at) => shared.alarm.take(),
            _ => None,
        };
        let heir = if shared.dispatcher.has_untold() { shared.heir.take() } else { None };
        drop(shared);
        let wakers = [alarm.map(|alarm| alarm.waker), heir];
        wakers.into_iter().flatten().for_each(Waker::wake);
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Shared<C>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// Waits for a slot; made by [`Pool::acquire`].
#[must_use = "nothing is asked before the first poll"]
pub struct Acquire<C> {
    /// None once it has become the Permit's.
    pool: Option<Arc<Pool<C>>>,
    stage: Stage,
}

enum Stage {
    Asking(Ask),
    Waiting(Ticket),
    Done,
}

impl<C> Future for Acquire<C> {
    type Output = Result<Permit<C>, Refusal>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Polled again after it was ready: there is nothing more to come.
        let Some(pool) = self.pool.take() else { return Poll::Pending };
        let now = pool.now();
        let stage = mem::replace(&mut self.stage, Stage::Done);
        // Arriving and leaving one's waker is one act under one lock.
        let mut displaced = None;
        let (collected, ticket, spent) = pool.with(|dispatcher| {
            let ticket = match stage {
                Stage::Asking(ask) => match dispatcher.arrive(now, ask) {
                    (Arrival::Granted(grant), _) => return (Collected::Granted(grant), None, None),
                    (Arrival::Refused(refusal), _) => return (Collected::Refused(refusal), None, None),
                    (Arrival::Queued(ticket), wake) => {
                        displaced = wake;
                        ticket
                    }
                },
                Stage::Waiting(ticket) => ticket,
                Stage::Done => return (Collected::Waiting, None, None),
            };
            let (collected, spent) = dispatcher.collect(now, ticket, || cx.waker().clone());
            (collected, Some(ticket), spent)
        });
        drop(spent);
        if let Some(displaced) = displaced {
            displaced.wake();
        }
        match (collected, ticket) {
            (Collected::Granted(grant), _) => Poll::Ready(Ok(Permit::new(pool, grant))),
            (Collected::Refused(refusal), _) => Poll::Ready(Err(refusal)),
            (Collected::Waiting, ticket) => {
                self.stage = ticket.map_or(Stage::Done, Stage::Waiting);
                self.pool = Some(pool);
                Poll::Pending
            }
        }
    }
}

impl<C> Drop for Acquire<C> {
    fn drop(&mut self) {
        if let (Some(pool), Stage::Waiting(ticket)) = (&self.pool, &self.stage) {
            pool.run(|dispatcher, now| dispatcher.leave(now, *ticket));
        }
    }
}

impl<C> fmt::Debug for Acquire<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").finish_non_exhaustive()
    }
}

/// Waits for an earlier deadline; made by [`Pool::deadline`].
#[must_use = "futures do nothing unless polled"]
pub struct Deadline<C> {
    pool: Arc<Pool<C>>,
    seen: Time,
}

impl<C> Future for Deadline<C> {
    type Output = Option<Time>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Time>> {
        let waker = cx.waker().clone();
        let mut shared = self.pool.lock();
        let due = shared.dispatcher.next_deadline();
        let is_earlier = shared.dispatcher.wants_driver(self.seen);
        let alarm = if is_earlier { None } else { Some(Alarm { at: self.seen, waker }) };
        let replaced = mem::replace(&mut shared.alarm, alarm);
        drop(shared);
        drop(replaced);
        if is_earlier { Poll::Ready(due) } else { Poll::Pending }
    }
}

impl<C> Drop for Deadline<C> {
    fn drop(&mut self) {
        let alarm = self.pool.lock().alarm.take();
        drop(alarm);
    }
}

impl<C> fmt::Debug for Deadline<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadline").field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// Waits for what is to be told; made by [`Pool::held_changes`].
#[must_use = "futures do nothing unless polled"]
pub struct HeldChanges<C> {
    pool: Arc<Pool<C>>,
}

impl<C> Future for HeldChanges<C> {
    type Output = Vec<Held>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<Held>> {
        let (now, waker) = (self.pool.now(), cx.waker().clone());
        let mut shared = self.pool.lock();
        let (held, effects) = shared.dispatcher.take_held(now);
        let heir = if held.is_empty() { Some(waker) } else { None };
        let replaced = mem::replace(&mut shared.heir, heir);
        drop(shared);
        drop(replaced);
        effects.run();
        if held.is_empty() { Poll::Pending } else { Poll::Ready(held) }
    }
}

impl<C> Drop for HeldChanges<C> {
    fn drop(&mut self) {
        let heir = self.pool.lock().heir.take();
        drop(heir);
    }
}

impl<C> fmt::Debug for HeldChanges<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldChanges").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        time::Duration,
    };

    use super::*;
    use crate::{BackendSpec, Core, HealthPolicy};

    #[test]
    fn a_poisoned_lock_is_entered_all_the_same() {
        let spec = PoolSpec {
            backends: vec![BackendSpec::new(BackendKey(1), 1)],
            queue_length: 0,
            keep_idle: Duration::from_secs(2),
            health: HealthPolicy::default(),
            ..PoolSpec::default()
        };
        let pool = Pool::<u8>::new(spec, || Time::ZERO);
        let acquire = || {
            let ask = Ask::new(Core(0), Time::ZERO);
            Pin::new(&mut pool.acquire(ask)).poll(&mut Context::from_waker(Waker::noop()))
        };
        let (Poll::Ready(Ok(permit)), Poll::Ready(Err(_))) = (acquire(), acquire()) else {
            panic!("one slot, one permit")
        };
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _shared = pool.lock();
            panic!("under the lock");
        }));
        assert!(unwound.is_err() && pool.shared.is_poisoned());
        permit.finish(Outcome::Success, None);
        assert!(matches!(acquire(), Poll::Ready(Ok(_))));
    }
}
