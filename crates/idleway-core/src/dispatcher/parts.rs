//! The parts of the verbs of requests: how a slot's grant ends, how a wait begins, and what is due when.

use std::time::Duration;

use super::{Dispatcher, Due, role_of};
use crate::{
    ask::{Arrival, Ask, Reason},
    effects::Effects,
    grant::{Kept, Outcome, SlotId, Until},
    slots::{Purpose, State},
    time::Time,
};

impl<C, W> Dispatcher<C, W> {
    /// Time never runs backwards, whatever order the callers read their clocks in.
    pub(super) fn advance(&mut self, now: Time) -> Time {
        let now = self.now.max(now);
        self.demand.pass(self.now, now, self.at_work_now());
        self.now = now;
        now
    }

    /// How many slots are at work, also for requests that others have sent.
    pub(super) const fn at_work_now(&self) -> u64 {
        self.totals.busy + self.totals.lingering + self.totals.elsewhere
    }

    /// The entry of a slot at work. A stale id is a caller's fault that must not hurt others.
    pub(super) fn at_work(&self, slot: SlotId) -> Option<u32> {
        let index = self.slots.at_work(slot);
        debug_assert!(index.is_some(), "a grant ends once: {slot:?}");
        index
    }

    pub(super) fn end(
        &mut self,
        now: Time,
        slot: SlotId,
        outcome: Outcome,
        kept: Option<Kept<C>>,
        effects: &mut Effects<C, W>,
    ) {
        let Some(index) = self.at_work(slot) else {
            effects.closed.extend(kept.map(|kept| kept.connection));
            return;
        };
        let entry = self.slots.slot(index);
        let purpose = entry.purpose;
        let answered = matches!(outcome, Outcome::Success | Outcome::Poor);
        let has_worked = answered || matches!(entry.state, State::Lingering | State::Doubted);
        let is_request = matches!(purpose, Purpose::Work | Purpose::Trial);
        if has_worked && is_request {
            self.service.learn(now.since(entry.since));
            self.slots.note_work(index);
        }
        let rest = match outcome {
            Outcome::Failure => self.settle_broken,
            _ if has_worked => self.settle,
            _ => Duration::ZERO,
        };
        let settles = is_request && !rest.is_zero();
        // What a proof proves is its slot's alone.
        let turned = purpose != Purpose::Proof && self.judge(now, slot.backend, outcome, role_of(purpose));
        // The success that brought it back has opened its first slot.
        let opened = !turned && outcome == Outcome::Success && is_request && self.open_one(now, slot.backend);
        if purpose == Purpose::Proof && outcome != Outcome::Success {
            let backend = &mut self.backends[slot.backend as usize];
            self.slots.set_state(backend, index, State::Resting(Until::Proof));
            self.refresh(slot.backend);
            effects.closed.extend(kept.map(|kept| kept.connection));
        } else if settles {
            let backend = &mut self.backends[slot.backend as usize];
            self.slots.settle(backend, index, now + rest, kept);
            if outcome == Outcome::Failure {
                self.slots.be_brief(backend, index);
            }
            self.refresh(slot.backend);
        } else {
            self.free(now, index, kept, effects);
        }
        if turned || opened {
            self.serve_line(now, effects);
        }
    }

    pub(super) fn put_to_rest(&mut self, now: Time, slot: SlotId, state: State, effects: &mut Effects<C, W>) {
        let Some(index) = self.at_work(slot) else { return };
        let backend = &mut self.backends[slot.backend as usize];
        self.slots.set_state(backend, index, state);
        self.slots.note_work(index);
        let was_trial = self.slots.was_trial(index);
        if was_trial {
            // Another may be the trial, whatever comes of this one.
            self.change(slot.backend, |backend| backend.health.trial_over());
        } else if self.slots.slot(index).purpose == Purpose::Probe {
            self.probe_again(now, slot.backend);
        }
        self.refresh(slot.backend);
        if was_trial {
            self.serve_line(now, effects);
        }
    }

    /// One that has to wait gets a place in the line, if there is one for it and any sense in it. The second part of
    /// the answer wakes whoever had to make room.
    pub(super) fn line_up(&mut self, now: Time, ask: Ask) -> (Arrival<C>, Option<W>) {
        if self.is_too_late(now, &ask) {
            return (Arrival::Refused(self.refusal(Reason::TooLate)), None);
        }
        if !ask.avoid.is_empty() {
            let arrival = match self.queue.has_room(true) {
                true => Arrival::Queued(self.queue.join(ask, now)),
                false => Arrival::Refused(self.refusal(Reason::QueueFull)),
            };
            return (arrival, None);
        }
        let (was_promised, kept) = self.redeem(now, ask.key);
        if self.queue.has_room_beside(kept) {
            return (Arrival::Queued(self.queue.join(ask, now)), None);
        }
        let Some(index) = self.queue.whom_to_displace(&ask) else {
            let refusal = self.refuse_with_promise(now, Reason::QueueFull, ask.key, was_promised);
            return (Arrival::Refused(refusal), None);
        };
        if self.queue.has_room(false) {
            // A place is free and kept for someone else: it takes that one instead.
            return (Arrival::Queued(self.queue.join(ask, now)), None);
        }
        let refusal = self.refusal(Reason::Displaced);
        let displaced = self.queue.refuse(index, refusal);
        (Arrival::Queued(self.queue.join(ask, now)), displaced)
    }

    /// Whether a slot is free in a moment, and nobody else waits for it.
    pub(super) fn is_soon_free(&self) -> bool {
        self.totals.brief > u64::from(self.queue.waiting())
    }

    pub(super) fn next_due(&self) -> Option<(Time, Due)> {
        let rest = self.slots.first_rest().map(|(time, index)| (time, Due::RestOver(index)));
        let alarm = self.alarms.first().map(|&(time, at)| (time, Due::Alarm(at)));
        let withheld = self.withheld.first().map(|&(time, at)| (time, Due::WithheldOver(at)));
        let parked = self.slots.oldest_parked();
        let kept = parked.map(|(since, index)| (since + self.keep_idle, Due::KeptTooLong(index)));
        let wait = self.queue.first_end().map(|(time, index)| (time, Due::WaitOver(index)));
        [rest, alarm, withheld, kept, wait].into_iter().flatten().min()
    }

    pub(super) fn meet(&mut self, due: Due, now: Time, effects: &mut Effects<C, W>) {
        match due {
            Due::RestOver(index) => {
                let kept = self.slots.take_kept(index);
                self.free(now, index, kept, effects);
            }
            Due::Alarm(at) => {
                self.change(at, |backend| {
                    if backend.health.pause_end().is_some() {
                        backend.health.end_pause();
                    } else if let Some(slow) = &mut backend.slow_start {
                        slow.open_one(now);
                    }
                });
                self.serve_line(now, effects);
            }
            Due::WithheldOver(at) => {
                self.change(at, |backend| backend.withheld = None);
                self.serve_line(now, effects);
            }
            Due::KeptTooLong(index) => {
                let at = self.slots.slot(index).backend;
                effects.closed.extend(self.slots.strip_at(&mut self.backends[at as usize], index));
                self.refresh(at);
            }
            Due::WaitOver(index) => {
                let refusal = self.refuse_after_wait(index);
                effects.wakes.extend(self.queue.refuse(index, refusal));
            }
        }
    }
}
