//! What newcomers may expect, and what the refused are told.

use std::time::Duration;

use super::{A_MOMENT, Dispatcher};
use crate::{
    ask::{Ask, Key, Reason, Refusal},
    estimate::{Estimate, Outlook, Rest, duration},
    grant::Until,
    promises::Terms,
    slots::{Purpose, State},
    time::Time,
};

/// So many slots are looked at for an estimate; in a larger pool each of them stands for several.
const SAMPLE: usize = 32;
/// Promises are made for this part of what the slots can do, at most: the rest is left to newcomers, and to work that
/// takes longer than expected. More of it would shorten the told times and break more promises.
const PROMISED: f64 = 0.4;
/// Nobody is told to come back before a slot has become free with this probability.
const SURELY: f64 = 0.9;
/// A place is kept for a promise at least so long before it is due.
const LEAST_LEAD: Duration = Duration::from_millis(20);
/// One that has a deadline is taken to work no longer than this part of the work does.
const SHORT: f64 = 0.1;

impl<C, W> Dispatcher<C, W> {
    /// What one that came now might expect. Costs a look at no more than 32 slots.
    #[must_use]
    pub fn estimate(&self, now: Time) -> Estimate {
        let now = self.now.max(now);
        let quantile = |q| self.service.quantile(q).map(duration);
        let nth = f64::from(self.queue.waiting()) + 1.0;
        Estimate {
            wait: self.outlook(now).map(|outlook| duration(outlook.slot_in(nth))),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
        }
    }

    /// Whether one that would have to wait cannot be answered before its deadline.
    ///
    /// Only what is in vain is to be refused, so wait and work are taken short: behind those alone who are sure to be
    /// served before, as long as they wait at most, and not when a backend may be up again before; the mean of that
    /// less two standard deviations; and work that is among the shortest. Nothing learned yet: nothing is claimed.
    pub(super) fn is_too_late(&self, now: Time, ask: &Ask) -> bool {
        if ask.deadline == Time::NEVER {
            return false;
        }
        let (Some(outlook), Some(work)) = (self.outlook(now), self.service.quantile(SHORT)) else {
            return ask.deadline <= now;
        };
        let slot_in = |nth| now + duration(outlook.slot_in_early(nth));
        let mut early = slot_in(f64::from(self.queue.surely_before(ask)) + 1.0);
        if let Some(last_end) = self.queue.last_end() {
            early = early.min(last_end.max(slot_in(1.0)));
        }
        if self.totals.on_trial + self.totals.probed + self.totals.elsewhere > 0 {
            early = now;
        } else if let Some(&(pause_end, _)) = self.alarms.first() {
            early = early.min(pause_end.max(now));
        }
        early + duration(work) > ask.deadline
    }

    /// One asks in the name `key`. Answers whether it was promised a place about now, which is used up thereby, and how
    /// many places of the line it must leave to others that were.
    pub(super) fn redeem(&mut self, now: Time, key: Key) -> (bool, usize) {
        if self.promises.is_empty() {
            return (false, 0);
        }
        let was_promised = self.promises.redeem(now, key);
        let kept = if was_promised { 0 } else { self.promises.kept(now, self.queue.length()) };
        (was_promised, kept)
    }

    /// Refuses one for which the line has no place, and promises it one at a later time; one that was promised a place
    /// already, and finds none, at the next possible time.
    pub(super) fn refuse_with_promise(
        &mut self,
        now: Time,
        reason: Reason,
        key: Key,
        was_promised: bool,
    ) -> Refusal {
        let Some(outlook) = self.outlook(now) else {
            return self.refusal(reason);
        };
        let length = self.queue.length();
        let terms = Terms {
            soonest: duration(soonest(&outlook)),
            spacing: duration(outlook.spacing() / PROMISED),
            // In this time the slots work off a whole line.
            lead: duration(outlook.spacing() * length as f64).max(LEAST_LEAD),
            together: u32::try_from(length.div_ceil(2)).unwrap_or(u32::MAX),
        };
        let told = self.promises.make(now, key, terms, was_promised);
        Refusal { reason, retry_after: told.unwrap_or_else(|wait| self.jitter.spread(wait)) }
    }

    /// Refuses one to which nothing is promised: it is told when the line that stands now is worked off.
    pub(super) fn refusal(&mut self, reason: Reason) -> Refusal {
        let wait = if reason == Reason::NoBackendUp {
            // At the end of a pause it is known whether one is there again.
            let pause_end = self.alarms.first().map(|&(time, _)| time.since(self.now));
            let probes = if self.policy.is_probed { self.policy.every } else { self.policy.pause };
            pause_end.unwrap_or(probes)
        } else {
            let waiting = f64::from(self.queue.waiting());
            let outlook = self.outlook(self.now);
            let seconds = outlook.map(|outlook| soonest(&outlook) + waiting * outlook.spacing());
            // Nothing was served yet: all that is known is how long backends said that they are busy.
            let rest = || self.withheld.first().map(|&(end, _)| end.since(self.now));
            seconds.map(duration).or_else(rest).unwrap_or_default()
        };
        Refusal { reason, retry_after: self.jitter.spread(wait) }
    }

    /// Refuses one where nothing is there that it might wait for: for now, or because this pool has given up all it had.
    pub(super) fn refuse_without_hope(&mut self) -> Refusal {
        let is_leaving = (self.is_closing || self.is_ceding) && self.totals.ready == 0;
        self.refusal(if is_leaving { Reason::Draining } else { Reason::NoBackendUp })
    }

    /// Refuses one in line whose wait is over. Where nobody may wait it was the wait for a moment, which is not told; but one
    /// may have come while the pool had a queue.
    pub(super) fn refuse_after_wait(&mut self, index: u32) -> Refusal {
        let waiter = self.queue.waiter(index);
        let has_waited = waiter.is_some_and(|waiter| waiter.until.since(waiter.asker.since) > A_MOMENT);
        let is_told = has_waited || self.queue.is_open();
        self.refusal(if is_told { Reason::WaitOver } else { Reason::Busy })
    }

    /// Refuses one because of what its key holds already, whatever else is idle.
    pub(super) fn refuse_key(&mut self, key: Key) -> Refusal {
        let wait = self.queue.keys.wait_of(key);
        let refusal = self.refusal(Reason::KeyBusy);
        Refusal { retry_after: refusal.retry_after.max(self.jitter.spread(wait)), ..refusal }
    }

    /// When the slots of the backends that are up become free. Those that rest until a proof are not counted on.
    fn outlook(&self, now: Time) -> Option<Outlook<'_>> {
        let stride = self.slots.len().div_ceil(SAMPLE).max(1);
        let mut rests = Vec::with_capacity(SAMPLE);
        let mut unproven = 0;
        for slot in self.slots.entries().step_by(stride) {
            match slot.state {
                State::Vacant | State::Parked => {}
                // It takes no time to speak of: the slot is as good as idle.
                State::Busy if slot.purpose == Purpose::Probe => {}
                _ if !self.backends[slot.backend as usize].is_up() => {}
                _ if slot.purpose == Purpose::Proof => unproven += stride,
                State::Busy | State::Lingering | State::Doubted => {
                    rests.push(Rest::Working(now.since(slot.since).as_secs_f64()));
                }
                State::Resting(Until::Time(end)) => rests.push(Rest::Free(end.since(now).as_secs_f64())),
                State::Resting(Until::Proof) => unproven += stride,
            }
        }
        let count = |slots| usize::try_from(slots).unwrap_or(usize::MAX);
        let slots = count(self.totals.up_slots).saturating_sub(unproven);
        let mut idle = slots.saturating_sub(rests.len() * stride) / stride;
        // As if all that rest were asked again when the first of them is, and all that open did so with the first.
        for (timers, aside) in [(&self.withheld, self.totals.withheld), (&self.alarms, self.totals.unopened)]
        {
            let end = timers.first().map_or(now, |&(end, _)| end);
            let aside = (count(aside) / stride).min(idle);
            let rest = Rest::Free(end.since(now).as_secs_f64());
            rests.extend(std::iter::repeat_n(rest, aside.min(SAMPLE)));
            idle -= aside;
        }
        // Nobody knows how long they have been at work: as if it were for half of what work takes.
        let elsewhere = (count(self.totals.elsewhere) / stride).min(idle);
        let age = self.service.mean().unwrap_or_default() / 2.0;
        rests.extend(std::iter::repeat_n(Rest::Working(age), elsewhere.min(SAMPLE)));
        idle -= elsewhere;
        rests.extend(std::iter::repeat_n(Rest::Free(0.0), idle.min(SAMPLE)));
        let each = slots as f64 / rests.len() as f64;
        Outlook::new(&self.service, rests, each)
    }
}

/// When a slot has surely become free. Of work that outlives all that was measured nobody knows that: then it is told a
/// few times as long as it will probably take.
fn soonest(outlook: &Outlook<'_>) -> f64 {
    const FEW: f64 = 4.0;
    outlook.soonest(SURELY).min(FEW * outlook.soonest(0.5))
}
