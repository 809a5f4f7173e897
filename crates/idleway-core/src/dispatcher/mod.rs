//! The pure state machine that matches idle slots and waiters.
//!
//! It has no clock: `now` comes in with every call, and a `now` before one already seen counts as that one. It has
//! no timer: [`Dispatcher::next_deadline`] says when [`Dispatcher::tick`] is due. It wakes nobody and closes
//! nothing: that comes out as [`Effects`].
//!
//! *Choose and take are one act.* A slot that frees is given to the first waiter that may use it before that waiter
//! is woken; so no idle slot stands beside a waiter that may use it, and no newcomer can overtake. How a wait ends
//! (a grant, its time, leaving) is decided here and nowhere else, exactly once.

mod ceding;
mod changes;
mod elsewhere;
mod invariants;
mod matching;
mod orders;
mod outlook;
mod overdue;
mod parts;
mod status;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use self::{
    ceding::Held,
    overdue::Overdue,
    status::{SlotView, Taken, Waiting},
};
use crate::{
    ask::{Arrival, Ask, Collected, Reason, Ticket},
    backend::{Backend, BackendKey, COMPARED},
    change::News,
    counts::Counts,
    demand::Lately,
    effects::Effects,
    estimate::duration,
    grant::{Kept, Outcome, SlotId, Until},
    health::Role,
    keys::Rules,
    pick::Tournament,
    promises::{Jitter, Promises},
    queue::{Queue, Standing},
    recent::Recent,
    retries::Retries,
    service::Service,
    slots::{Purpose, Slots, State},
    spec::{HealthPolicy, PoolSpec},
    time::Time,
};

/// One that would not wait waits so long all the same for a slot that is free in a moment.
const A_MOMENT: Duration = Duration::from_millis(100);

/// So many things that are due are done in one `tick`, for it runs under a lock. What is left is due at once.
const TICK_BUDGET: usize = 64;

/// Matches the idle slots of a pool's backends and the waiters of its one line.
///
/// `C` is an opaque kept connection, `W` whatever wakes a waiter. Every verb costs O(log n) in the number of
/// backends and waiters, and at most a look at each of the 64 waiters of the front lane; only `reconfigure`, and
/// an order or observation that frees many slots at once, cost what they change.
#[derive(Debug)]
pub struct Dispatcher<C, W> {
    /// The latest moment seen.
    now: Time,
    slots: Slots<C>,
    backends: Vec<Backend>,
    /// Entries of `backends` that stand for none.
    forgotten: Vec<u32>,
    by_key: BTreeMap<BackendKey, u32>,
    /// The backends that serve.
    tournament: Tournament,
    /// Those that are down although they can be reached: they serve while too few others are up.
    reserve: Tournament,
    /// Where the next search begins, so that equals serve in turn.
    turn: u32,
    queue: Queue<C, W>,
    /// The backends with slots that rest until a proof.
    unproven: BTreeSet<BackendKey>,
    /// The backends that wait for a probe out of turn.
    awaiting_probe: BTreeSet<BackendKey>,
    /// The backends of which `take_held` has something to tell; those too that were watched and are forgotten.
    untold: BTreeSet<BackendKey>,
    /// When the pauses of backends end, and when those that come back get a further slot.
    alarms: BTreeSet<(Time, u32)>,
    /// When those that said that they are busy may be asked again.
    withheld: BTreeSet<(Time, u32)>,
    /// The sum over all backends.
    totals: Counts,
    /// The requests that failed, among those that were at work lately, over all backends.
    lately: Recent<COMPARED>,
    retries: Retries,
    news: News,
    service: Service,
    demand: Lately,
    promises: Promises,
    jitter: Jitter,
    keep_idle: Duration,
    settle: Duration,
    settle_broken: Duration,
    policy: HealthPolicy,
    is_closing: bool,
    /// It gives its slots up as they become idle.
    is_ceding: bool,
    #[cfg(debug_assertions)]
    calls: u32,
}

/// The verbs of requests.
impl<C, W> Dispatcher<C, W> {
    /// A pool in which everything is up, and idle where its [`Start`](crate::spec::Start) says nothing else.
    #[must_use]
    pub fn new(now: Time, spec: PoolSpec) -> Self {
        let mut dispatcher = Self {
            now,
            slots: Slots::new(),
            backends: Vec::new(),
            forgotten: Vec::new(),
            by_key: BTreeMap::new(),
            tournament: Tournament::new(),
            reserve: Tournament::new(),
            turn: 0,
            queue: Queue::new(spec.queue_length, Rules::of(&spec)),
            unproven: BTreeSet::new(),
            awaiting_probe: BTreeSet::new(),
            untold: BTreeSet::new(),
            alarms: BTreeSet::new(),
            withheld: BTreeSet::new(),
            totals: Counts::default(),
            lately: Recent::default(),
            retries: Retries::new(spec.retries),
            news: News::default(),
            service: Service::new(),
            demand: Lately::new(now),
            promises: Promises::new(),
            jitter: Jitter::default(),
            keep_idle: spec.keep_idle,
            settle: spec.settle,
            settle_broken: spec.settle_broken,
            policy: spec.health,
            is_closing: false,
            is_ceding: false,
            #[cfg(debug_assertions)]
            calls: 0,
        };
        let effects = dispatcher.reconfigure(now, spec);
        debug_assert!(effects.is_none(), "nobody waits yet and no connection is kept");
        drop(effects);
        dispatcher
    }

    /// A request arrives: it gets a slot at once, or a place in the line, or a refusal.
    ///
    /// An ask that avoids a backend is a request already admitted, which asks for another attempt: it is not refused
    /// for [`Reason::Draining`] but for [`Reason::RetriesSpent`], and it waits in a lane of its own before all others
    /// (64 places; none where the pool has no queue).
    ///
    /// Who was refused for [`Reason::QueueFull`] and asks again in the same name at the told time finds a place that
    /// was kept from others. An idle slot is kept from nobody.
    ///
    /// Neither a probe nor the rest after an exchange that broke costs anybody a refusal: one that would not wait is queued
    /// for 100 ms at most where the slot that it might have had is free in a moment.
    ///
    /// The second part of the answer wakes one that had to make room in a full line, for [`Reason::Displaced`]: to
    /// be woken outside any lock. There is one only beside [`Arrival::Queued`].
    #[must_use = "one that made room hangs until it is woken"]
    pub fn arrive(&mut self, now: Time, ask: Ask) -> (Arrival<C>, Option<W>) {
        let now = self.advance(now);
        let is_retry = !ask.avoid.is_empty();
        let is_at_bound = self.queue.is_at_bound(ask.key);
        let mut displaced = None;
        if !is_retry {
            self.retries.earn(now);
        }
        let arrival = if self.is_closing && !is_retry {
            Arrival::Refused(self.refusal(Reason::Draining))
        } else if is_retry && !self.retries.spend(now) {
            Arrival::Refused(self.refusal(Reason::RetriesSpent))
        } else if ask.deadline <= now {
            Arrival::Refused(self.refusal(Reason::TooLate))
        } else if let Some(at) = if is_at_bound { None } else { self.pick(ask.near, &ask.avoid) } {
            self.redeem(now, ask.key);
            if self.queue.waiting() == 0 {
                self.promises.end_rush(now, duration(self.service.mean().unwrap_or_default()));
            }
            let asker = self.queue.asker(&ask, now);
            Arrival::Granted(self.grant_idle(at, &asker, now))
        } else {
            self.promises.begin_rush(now);
            let would_wait = self.queue.is_open() && ask.until > now;
            let stays = would_wait && ask.was_in_line;
            if !stays && !self.has_hope(would_wait, is_retry) {
                Arrival::Refused(self.refuse_without_hope())
            } else if !would_wait && !is_at_bound && self.is_soon_free() {
                let until = ask.deadline.min(now + A_MOMENT);
                Arrival::Queued(self.queue.join(Ask { until, ..ask }, now))
            } else if !would_wait {
                Arrival::Refused(match is_at_bound {
                    true => self.refuse_key(ask.key),
                    false => self.refusal(Reason::Busy),
                })
            } else {
                let (arrival, made_room) = self.line_up(now, ask);
                displaced = made_room;
                arrival
            }
        };
        if let Arrival::Refused(refusal) = &arrival
            && !matches!(refusal.reason, Reason::RetriesSpent | Reason::KeyBusy | Reason::Draining)
        {
            self.demand.refuse();
        }
        self.check();
        (arrival, displaced)
    }

    /// A waiter looks after its ticket. While it waits, `wake` gives what wakes it.
    ///
    /// The second part of the answer is a waker that is no longer needed, to be dropped outside any lock. A spent
    /// ticket is a fault of the caller; it is answered like one whose wait is over.
    pub fn collect(
        &mut self,
        now: Time,
        ticket: Ticket,
        wake: impl FnOnce() -> W,
    ) -> (Collected<C>, Option<W>) {
        let now = self.advance(now);
        let answer = match self.queue.look(ticket) {
            Standing::Granted(grant) => (Collected::Granted(grant), None),
            Standing::Over(refusal) => (Collected::Refused(refusal), None),
            Standing::Waiting(index)
                if self.queue.waiter(index).is_some_and(|waiter| waiter.until <= now) =>
            {
                let refusal = self.refuse_after_wait(index);
                (Collected::Refused(refusal), self.queue.leave(index))
            }
            Standing::Waiting(index) => (Collected::Waiting, self.queue.store_wake(index, wake())),
            Standing::Spent => {
                debug_assert!(false, "a ticket is collected once: {ticket:?}");
                (Collected::Refused(self.refusal(Reason::WaitOver)), None)
            }
        };
        self.check();
        answer
    }

    /// A waiter is gone. A slot that was granted to it, but not collected, goes to the next one.
    pub fn leave(&mut self, now: Time, ticket: Ticket) -> Effects<C, W> {
        let now = self.advance(now);
        let mut effects = Effects::none();
        match self.queue.look(ticket) {
            Standing::Waiting(index) => effects.spent = self.queue.leave(index),
            Standing::Granted(grant) => self.end(now, grant.slot, Outcome::Ignored, grant.kept, &mut effects),
            Standing::Over(_) => {}
            Standing::Spent => debug_assert!(false, "a ticket leaves once: {ticket:?}"),
        }
        self.check();
        effects
    }

    /// The request was answered or its client left, but the backend has not finished: busy → lingering. Of a trial that
    /// may never end: after a pause another may be it.
    pub fn linger(&mut self, now: Time, slot: SlotId) {
        let now = self.advance(now);
        if let Some(index) = self.at_work(slot) {
            self.slots.set_state(&mut self.backends[slot.backend as usize], index, State::Lingering);
            self.slots.note_work(index);
            if self.slots.was_trial(index) {
                let surroundings = self.surroundings(now, slot.backend);
                self.change(slot.backend, |backend| backend.health.leave_trial(surroundings));
            }
            self.refresh(slot.backend);
        }
        self.check();
    }

    /// What became of the request is known before the slot is free: health learns it now, and the slot's release teaches
    /// no more than it does itself.
    pub fn report(&mut self, now: Time, slot: SlotId, outcome: Outcome) -> Effects<C, W> {
        let now = self.advance(now);
        let mut effects = Effects::none();
        if let Some(index) = self.at_work(slot) {
            let purpose = self.slots.slot(index).purpose;
            let turned =
                purpose != Purpose::Proof && self.judge(now, slot.backend, outcome, role_of(purpose));
            // It has spoken: another may be the trial.
            let was_trial = self.slots.was_trial(index);
            if turned || was_trial {
                self.serve_line(now, &mut effects);
            }
        }
        self.check();
        effects
    }

    /// Nobody knows whether the backend still works: busy or lingering → resting. As after [`Self::rest`], but the
    /// slot stays in the hands of the one that holds it: its id goes on to count, no probe is offered it, and
    /// `release` frees it.
    pub fn doubt(&mut self, now: Time, slot: SlotId) -> Effects<C, W> {
        let now = self.advance(now);
        let mut effects = Effects::none();
        self.put_to_rest(now, slot, State::Doubted, &mut effects);
        self.check();
        effects
    }

    /// The backend itself has ended its work, or nothing was ever sent: the slot goes to the first waiter that may
    /// use it, else it is idle and keeps the connection.
    ///
    /// The outcome teaches health. A slot that was taken to prove something is free after a success only; otherwise
    /// it rests as before. Where the pool has a `settle` time, a slot on which a request was at work (it succeeds
    /// now, or it lingered or was in doubt) rests for that long first, with its connection; one on which it broke rests
    /// for the `settle_broken` time. A second release of the
    /// same grant does nothing (and is a fault: it fails in debug builds).
    pub fn release(
        &mut self,
        now: Time,
        slot: SlotId,
        outcome: Outcome,
        kept: Option<Kept<C>>,
    ) -> Effects<C, W> {
        let now = self.advance(now);
        let mut effects = Effects::none();
        self.end(now, slot, outcome, kept, &mut effects);
        self.check();
        effects
    }

    /// The backend said that it is busy, and that nothing ran: all its idle slots rest until then (a later end that was
    /// told before holds), and this one, which keeps the connection. It is no failure: whoever says so is there.
    pub fn withhold(&mut self, now: Time, slot: SlotId, until: Time, kept: Option<Kept<C>>) -> Effects<C, W> {
        let now = self.advance(now);
        let mut effects = Effects::none();
        let Some(index) = self.at_work(slot) else {
            effects.closed.extend(kept.map(|kept| kept.connection));
            return effects;
        };
        self.change(slot.backend, |backend| {
            backend.withheld = Some(backend.withheld.map_or(until, |told| told.max(until)));
        });
        let purpose = self.slots.slot(index).purpose;
        if purpose != Purpose::Proof {
            // That it may be up by this helps nobody yet: it rests.
            self.judge(now, slot.backend, Outcome::Success, role_of(purpose));
        }
        self.free(now, index, kept, &mut effects);
        self.check();
        effects
    }

    /// The slot stays taken until a time comes or a probe proves that it is free.
    pub fn rest(&mut self, now: Time, slot: SlotId, until: Until) -> Effects<C, W> {
        let now = self.advance(now);
        let mut effects = Effects::none();
        self.put_to_rest(now, slot, State::Resting(until), &mut effects);
        self.check();
        effects
    }

    /// The earliest moment at which [`Self::tick`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.next_due().map(|(time, _)| time)
    }

    /// Whether a driver that means to come at `at` should come now: something is due earlier, or there is news to tell.
    #[must_use]
    pub fn wants_driver(&self, at: Time) -> bool {
        self.has_news() || self.next_due().is_some_and(|(due, _)| due < at)
    }

    /// Does what is due: ends waits, rests and pauses, closes connections kept too long. One call does a bounded
    /// part; while [`Self::next_deadline`] is not in the future there is more.
    pub fn tick(&mut self, now: Time) -> Effects<C, W> {
        let now = self.advance(now);
        let mut effects = Effects::none();
        for _ in 0..TICK_BUDGET {
            match self.next_due() {
                Some((time, due)) if time <= now => self.meet(due, now, &mut effects),
                _ => break,
            }
        }
        self.check();
        effects
    }

    /// How many slots are in which state, and how many wait. O(1).
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { waiting: self.queue.waiting().into(), ..self.totals }
    }
}

/// What is due next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    RestOver(u32),
    Alarm(u32),
    WithheldOver(u32),
    KeptTooLong(u32),
    WaitOver(u32),
}

/// As whom health hears of the end of such a slot.
const fn role_of(purpose: Purpose) -> Role {
    match purpose {
        Purpose::Work => Role::Request,
        Purpose::Trial => Role::Trial,
        Purpose::Probe | Purpose::Proof => Role::Probe,
    }
}
