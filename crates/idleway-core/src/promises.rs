//! What the refused were told, and the places that are kept for them.
//!
//! Whoever found the line full and was told a time has a *promise*: who asks in its name about that time finds a
//! place which newcomers may not take. The told times form a line of their own, ahead in time: each next promise is
//! told a later one, no denser than the slots can work it off. An idle slot is never kept from anyone; only places in
//! the line are. All tables are bounded.

use std::{collections::BTreeSet, time::Duration};

use crate::{ask::Key, line::index_of, time::Time};

/// So many promises are kept at most; who comes beyond is told a time all the same. A pool that serves 200 a second and
/// gets a third too much fills them in two minutes; they take less than 1 MiB.
const MOST: usize = 8192;
/// So many promises may be pending in one name: several clients may stand behind it, but one that asks again and
/// again must not fill the ledger.
const MOST_OF_KEY: usize = 16;
/// So many promises open or lapse in one call, for it runs under a lock. What is left follows in the next.
const BUDGET: usize = 64;
/// So many whole seconds are looked at for one at which a further promise may be due, and at most so many promises
/// on either side of it.
const TRIES: u64 = 16;
const MOST_TOGETHER: u32 = 16;
/// No one is told to come back later than this.
const LONGEST: Duration = Duration::from_secs(3600);
/// A client may be told whole seconds only, and should not ask more often.
const SHORTEST: Duration = Duration::from_secs(1);
/// A promise lapses so long after its time, or a tenth of the told time after it if that is longer.
const GRACE: Duration = Duration::from_secs(1);
/// Who comes so long before its promise is due is punctual: clocks and paths differ.
const EARLY: Duration = Duration::from_secs(1);
/// When nobody has had to wait for so long, those who were promised something have no need of it.
const LULL: Duration = Duration::from_secs(10);
/// The line of promises is at most so many times as long as those that are pending, evenly spaced, would make it: they
/// are due at whole seconds, and not evenly.
const PENDING: f64 = 2.0;
/// Each promise that is used or lapses moves the expected share of the used ones by one part in so many.
const INERTIA: f64 = 16.0;
/// At least this part of the promises is expected to be used.
const LEAST_SHARE: f64 = 0.1;

/// The ledger of the promises of one pool.
#[derive(Debug)]
pub(crate) struct Promises {
    made: Vec<Promise>,
    vacant: Vec<u32>,
    /// By name, the one that is due first in front.
    by_key: BTreeSet<(Key, Time, u32)>,
    by_due: BTreeSet<(Time, u32)>,
    /// When each opens, and once it is open, when it lapses.
    timers: BTreeSet<(Time, u32)>,
    /// Those for which a place is kept now.
    open: usize,
    /// The end of the line of promises: before this moment no further one is due.
    end: Time,
    /// When someone found no idle slot last.
    last_rush: Time,
    /// The part of the promises for which someone comes: the line of promises is that much shorter.
    share_used: f64,
}

#[derive(Clone, Copy, Debug)]
struct Promise {
    key: Key,
    due: Time,
    /// From here on a place is kept.
    opens: Time,
    /// From here on no longer.
    lapses: Time,
    is_open: bool,
}

/// What a promise is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How long until a place may be had, by what is at work now.
    pub(crate) soonest: Duration,
    /// How long the slots need for one promise.
    pub(crate) spacing: Duration,
    /// So long before it is due, a promise is kept a place.
    pub(crate) lead: Duration,
    /// So many places may be kept at the same time.
    pub(crate) together: u32,
}

impl Promises {
    pub(crate) const fn new() -> Self {
        Self {
            made: Vec::new(),
            vacant: Vec::new(),
            by_key: BTreeSet::new(),
            by_due: BTreeSet::new(),
            timers: BTreeSet::new(),
            open: 0,
            end: Time::ZERO,
            last_rush: Time::ZERO,
            share_used: 1.0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// How many places of a line that is `length` long are kept now: at most half of it.
    pub(crate) fn kept(&mut self, now: Time, length: usize) -> usize {
        self.advance(now);
        self.open.min(length / 2)
    }

    /// Someone asks in the name `key`. Answers whether that was promised a place about now; the promise is used up.
    pub(crate) fn redeem(&mut self, now: Time, key: Key) -> bool {
        self.advance(now);
        let is_now = |index: u32| {
            let promise = &self.made[index as usize];
            promise.is_redeemable(now)
        };
        let Some(index) = self.of_key(key).find(|&index| is_now(index)) else {
            return false;
        };
        self.remove(index, true);
        true
    }

    /// Tells one that is refused after how many whole seconds to come back, and keeps it a place then: one that was
    /// promised a place and found none as soon as may be, others behind all that are promised one.
    ///
    /// # Errors
    /// There are too many promises already, in this name or at all: nothing is kept for it, and this is how far ahead
    /// the others are.
    pub(crate) fn make(
        &mut self,
        now: Time,
        key: Key,
        terms: Terms,
        was_promised: bool,
    ) -> Result<Duration, Duration> {
        self.advance(now);
        let soonest = now + terms.soonest;
        // The line of promises is as long as the pending ones make it, not as it was when there were more of them.
        let pending = PENDING * self.len() as f64 * self.share_used;
        self.end = self.end.min(soonest + terms.spacing.mul_f64(pending));
        let earliest = if was_promised { soonest } else { soonest.max(self.end) };
        let wait = earliest.since(now);
        let is_full = self.len() >= MOST || self.of_key(key).count() >= MOST_OF_KEY;
        if is_full || wait > LONGEST {
            return Err(wait);
        }
        let mut seconds = (0..TRIES).map(|more| whole(wait) + Duration::from_secs(more));
        let told = if was_promised {
            whole(wait)
        } else {
            let found = seconds.find(|&told| self.has_room_at(now + told, terms));
            let told = found.ok_or(whole(wait) + Duration::from_secs(TRIES))?;
            self.end = earliest + terms.spacing.mul_f64(self.share_used);
            told
        };
        self.insert(now, key, told, terms.lead);
        Ok(told)
    }

    /// Someone comes and finds no idle slot.
    pub(crate) const fn begin_rush(&mut self, now: Time) {
        self.last_rush = now;
    }

    /// Someone comes and finds an idle slot and nobody who waits. If all have found one for long enough, the crowd is
    /// gone to which something was promised, and what is promised far ahead must not delay others: it is forgotten.
    /// Costs what was made since the last time.
    pub(crate) fn end_rush(&mut self, now: Time, long: Duration) {
        if now.since(self.last_rush) >= LULL.max(long) && !self.is_empty() {
            *self = Self { share_used: self.share_used, last_rush: self.last_rush, ..Self::new() };
        }
    }

    /// Checks what this file keeps.
    pub(crate) fn check(&self) {
        let live = self.made.len() - self.vacant.len();
        assert!(live <= MOST);
        assert_eq!([self.by_key.len(), self.by_due.len(), self.timers.len()], [live; 3]);
        let mut open = 0;
        for &(time, index) in &self.timers {
            let promise = &self.made[index as usize];
            assert_eq!(time, promise.timer(), "{promise:?}");
            assert!(promise.opens <= promise.due && promise.due < promise.lapses, "{promise:?}");
            assert!(self.by_key.contains(&(promise.key, promise.due, index)), "{promise:?}");
            assert!(self.by_due.contains(&(promise.due, index)), "{promise:?}");
            open += usize::from(promise.is_open);
        }
        assert_eq!(open, self.open);
        let keys: Vec<Key> = self.by_key.iter().map(|&(key, ..)| key).collect();
        let most = keys.chunk_by(|one, other| one == other).map(<[Key]>::len).max();
        assert!(most.unwrap_or_default() <= MOST_OF_KEY);
        assert!((LEAST_SHARE..=1.0).contains(&self.share_used));
    }

    /// Whether the slots can work off all that are promised a place about `due`. Those who are refused at the same
    /// moment would otherwise come back at the same moment, for they are told whole seconds.
    fn has_room_at(&self, due: Time, terms: Terms) -> bool {
        let together = terms.together.min(MOST_TOGETHER);
        let apart = terms.spacing * together;
        let both_sides = 2 * together as usize;
        let about = (due.before(apart), 0)..=(due + apart, u32::MAX);
        self.by_due.range(about).take(both_sides).count() < both_sides
    }

    fn insert(&mut self, now: Time, key: Key, told: Duration, lead: Duration) {
        let due = now + told;
        let opens = now + told.saturating_sub(lead);
        let promise = Promise { key, due, opens, lapses: due + GRACE.max(told / 10), is_open: false };
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.made.push(promise);
            index_of(self.made.len() - 1)
        });
        self.made[index as usize] = promise;
        self.by_key.insert((key, due, index));
        self.by_due.insert((due, index));
        self.timers.insert((opens, index));
    }

    /// Opens and ends what is due.
    fn advance(&mut self, now: Time) {
        for _ in 0..BUDGET {
            let Some(&(time, index)) = self.timers.first().filter(|&&(time, _)| time <= now) else {
                return;
            };
            let promise = &mut self.made[index as usize];
            if promise.is_open {
                self.remove(index, false);
            } else {
                promise.is_open = true;
                self.open += 1;
                self.timers.remove(&(time, index));
                self.timers.insert((promise.lapses, index));
            }
        }
    }

    fn remove(&mut self, index: u32, is_used: bool) {
        let promise = self.made[index as usize];
        self.by_key.remove(&(promise.key, promise.due, index));
        self.by_due.remove(&(promise.due, index));
        self.timers.remove(&(promise.timer(), index));
        self.vacant.push(index);
        self.open -= usize::from(promise.is_open);
        let moved = self.share_used + (f64::from(u8::from(is_used)) - self.share_used) / INERTIA;
        self.share_used = moved.clamp(LEAST_SHARE, 1.0);
    }

    fn of_key(&self, key: Key) -> impl Iterator<Item = u32> {
        self.by_key.range((key, Time::ZERO, 0)..=(key, Time::NEVER, u32::MAX)).map(|&(.., index)| index)
    }
}

impl Promise {
    /// When something happens to it next.
    const fn timer(&self) -> Time {
        if self.is_open { self.lapses } else { self.opens }
    }

    /// Whether it is about the told time: a place may be kept for it long before.
    fn is_redeemable(&self, now: Time) -> bool {
        self.opens.max(self.due.before(EARLY)) <= now && now < self.lapses
    }
}

/// Whole seconds, not fewer than `wait` and at least one.
fn whole(wait: Duration) -> Duration {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Duration::from_secs(seconds).max(SHORTEST)
}

/// Whole seconds in which those do not come back at once who are told at once: `wait`, and up to half of it and a
/// second more. `turn` moves by the golden ratio, so that each next one falls into the largest gap.
#[derive(Debug, Default)]
pub(crate) struct Jitter {
    turn: u32,
}

impl Jitter {
    pub(crate) fn spread(&mut self, wait: Duration) -> Duration {
        let told = whole(wait.min(LONGEST));
        let part = f64::from(self.dice()) / f64::from(u32::MAX);
        let more = (told / 2 + Duration::from_secs(1)).mul_f64(part);
        (told + Duration::from_secs(more.as_secs())).min(LONGEST)
    }

    /// A number from the whole range, evenly spread over any few in a row.
    pub(crate) const fn dice(&mut self) -> u32 {
        let dice = self.turn;
        self.turn = self.turn.wrapping_add(0x9e37_79b9);
        dice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half of a line of 20, at four slots of 1 s.
    const TERMS: Terms = Terms {
        soonest: Duration::from_millis(400),
        spacing: Duration::from_millis(500),
        lead: Duration::from_millis(300),
        together: 10,
    };

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    fn told(promises: &mut Promises, now: Time, key: u64) -> u64 {
        let told = promises.make(now, Key(key), TERMS, false).expect("promised");
        promises.check();
        assert_eq!(told.subsec_nanos(), 0);
        told.as_secs()
    }

    #[test]
    fn each_is_told_a_later_time_and_never_less_than_a_second() {
        let mut promises = Promises::new();
        let times: Vec<u64> = (0..8).map(|key| told(&mut promises, at(0), key)).collect();
        assert_eq!(times, [1, 1, 2, 2, 3, 3, 4, 4]);
        assert_eq!(told(&mut promises, at(3_500), 8), 1, "time has passed, the line of promises is shorter");
    }

    #[test]
    fn a_place_is_kept_about_the_time_and_for_its_name_alone() {
        let mut promises = Promises::new();
        assert_eq!(told(&mut promises, at(0), 7), 1);
        assert_eq!(promises.kept(at(600), 20), 0);
        assert!(!promises.redeem(at(600), Key(7)), "too early");
        assert_eq!(promises.kept(at(700), 20), 1);
        assert!(!promises.redeem(at(1_000), Key(8)), "someone else");
        assert!(promises.redeem(at(1_000), Key(7)));
        assert!(!promises.redeem(at(1_000), Key(7)), "it is used up");
        assert_eq!((promises.kept(at(1_000), 20), promises.len()), (0, 0));
        promises.check();
    }

    #[test]
    fn a_promise_for_which_nobody_comes_lapses() {
        let mut promises = Promises::new();
        told(&mut promises, at(0), 7);
        assert_eq!(promises.kept(at(1_999), 20), 1);
        assert!(!promises.redeem(at(2_000), Key(7)));
        assert_eq!((promises.kept(at(2_000), 20), promises.len()), (0, 0));
        let long = Terms { soonest: Duration::from_secs(100), ..TERMS };
        promises.make(at(2_000), Key(7), long, false).unwrap();
        assert!(promises.redeem(at(111_999), Key(7)), "a tenth of a long time");
    }

    #[test]
    fn a_place_is_kept_long_before_and_given_to_the_punctual_alone() {
        let mut promises = Promises::new();
        let slow = Terms { soonest: Duration::from_secs(20), lead: Duration::from_secs(10), ..TERMS };
        assert_eq!(promises.make(at(0), Key(7), slow, false), Ok(Duration::from_secs(20)));
        assert_eq!(promises.kept(at(10_000), 20), 1);
        assert!(!promises.redeem(at(18_999), Key(7)), "too early");
        assert!(promises.redeem(at(19_000), Key(7)));
    }

    #[test]
    fn the_line_of_promises_is_no_longer_than_the_pending_ones_make_it() {
        let mut promises = Promises::new();
        let slow = Terms { spacing: Duration::from_secs(60), ..TERMS };
        let times: Vec<_> =
            (0..5).filter_map(|key| promises.make(at(0), Key(key), slow, false).ok()).collect();
        assert_eq!(times.last(), Some(&Duration::from_secs(241)));
        assert_eq!(told(&mut promises, at(0), 9), 6, "work is faster now: twice five, half a second each");
    }

    #[test]
    fn what_is_promised_to_a_crowd_is_forgotten_when_all_find_a_slot_for_long() {
        let mut promises = Promises::new();
        promises.begin_rush(at(0));
        (0..100).for_each(|key| _ = told(&mut promises, at(0), key));
        promises.end_rush(at(9_999), Duration::ZERO);
        promises.end_rush(at(11_999), Duration::from_secs(12));
        assert!(promises.len() > 50, "that may be a moment's luck");
        promises.end_rush(at(10_000), Duration::ZERO);
        assert_eq!((promises.len(), promises.kept(at(10_000), 20)), (0, 0));
        assert_eq!(told(&mut promises, at(10_000), 9), 1);
    }

    #[test]
    fn at_most_half_of_the_line_is_kept() {
        let mut promises = Promises::new();
        let dense = Terms { spacing: Duration::from_millis(1), ..TERMS };
        (0..10).for_each(|key| assert!(promises.make(at(0), Key(key), dense, false).is_ok()));
        assert_eq!([20, 12, 5, 1].map(|length| promises.kept(at(1_000), length)), [10, 6, 2, 0]);
        promises.check();
    }

    #[test]
    fn those_refused_at_once_do_not_come_back_at_once() {
        let mut promises = Promises::new();
        let dense = Terms { spacing: Duration::from_millis(1), together: 4, ..TERMS };
        let mut times = [0; 32];
        for key in 0..200 {
            let told = promises.make(at(0), Key(key), dense, false).unwrap_or_else(|wait| wait);
            times[usize::try_from(told.as_secs()).unwrap()] += 1;
        }
        assert_eq!(times[1..=16], [8; 16], "{times:?}");
        assert_eq!(times[17], 72, "the others are told to come later, without a promise");
        promises.check();
    }

    #[test]
    fn one_name_gets_some_promises_and_then_no_more() {
        let mut promises = Promises::new();
        (0..MOST_OF_KEY).for_each(|_| _ = told(&mut promises, at(0), 7));
        let wait = promises.make(at(0), Key(7), TERMS, false).unwrap_err();
        assert_eq!(promises.make(at(0), Key(7), TERMS, false), Err(wait), "nor does it push back the others");
        assert_eq!(Duration::from_secs(told(&mut promises, at(0), 8)), whole(wait));
    }

    #[test]
    fn the_ledger_is_bounded_and_empties() {
        let mut promises = Promises::new();
        let dense = Terms { spacing: Duration::from_micros(100), together: 16, ..TERMS };
        for key in 0..10_000 {
            _ = promises.make(at(key), Key(key), dense, false);
        }
        let most = promises.len();
        assert!((1_000..=MOST).contains(&most), "{most}");
        let sparse = Terms { spacing: Duration::from_millis(300), ..TERMS };
        for key in 10_000..30_000 {
            _ = promises.make(at(10_000), Key(key), sparse, false);
        }
        promises.check();
        (0..2 * MOST / BUDGET + 1).for_each(|_| promises.advance(at(20_000_000)));
        assert!(promises.is_empty() && promises.open == 0);
        promises.check();
    }

    #[test]
    fn where_few_come_back_the_told_times_are_shorter() {
        let mut promises = Promises::new();
        for round in 0..30 {
            told(&mut promises, at(round * 10_000), round);
        }
        let times: Vec<u64> = (100..108).map(|key| told(&mut promises, at(1_000_000), key)).collect();
        assert!(times.iter().all(|&time| time <= 2), "{times:?}");
    }

    #[test]
    fn a_broken_promise_is_made_again_for_the_next_possible_time() {
        let mut promises = Promises::new();
        (0..20).for_each(|key| _ = told(&mut promises, at(0), key));
        assert_eq!(promises.make(at(0), Key(99), TERMS, true), Ok(Duration::from_secs(1)));
    }

    #[test]
    fn jitter_spreads_over_whole_seconds_and_is_bounded() {
        let mut jitter = Jitter::default();
        let mut times = [0; 40];
        for _ in 0..1_000 {
            let told = jitter.spread(Duration::from_millis(19_500));
            assert_eq!(told.subsec_nanos(), 0);
            times[usize::try_from(told.as_secs()).unwrap()] += 1;
        }
        assert!(times[20..31].iter().all(|&many| (80..=100).contains(&many)), "{times:?}");
        assert_eq!(jitter.spread(Duration::MAX), LONGEST);
        assert!(jitter.spread(Duration::ZERO) >= SHORTEST);
    }
}
