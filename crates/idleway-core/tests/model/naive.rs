//! What the dispatcher promises, said with plain vectors and full scans.
//!
//! Where the promise leaves a choice (which of several equals), the model is told what the dispatcher chose, checks
//! that it was among the allowed, and goes on from there.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use idleway_core::{
    Ask, BackendKey, BackendSpec, Counts, Kept, Key, Lane, Mode, Outcome, PoolSpec, Reason, Start, Time,
    Until,
};

use crate::{
    accounts::{Accounts, Charge},
    condition::Condition,
    site::{Purpose, Site, Taken, Work},
};

/// A request or a probe, from its first word to its last.
pub(crate) type Name = usize;
pub(crate) type Connection = u32;
/// What the dispatcher chose: the backend, and the kept connection with it.
pub(crate) type Choice = (BackendKey, Option<Connection>);

#[derive(Debug)]
pub(crate) struct Naive {
    pub(crate) now: Time,
    sites: BTreeMap<BackendKey, Site>,
    front: Vec<Waiter>,
    /// Of all lanes, as they came.
    main: Vec<Waiter>,
    accounts: Accounts,
    /// Granted by a release and not collected.
    given: BTreeMap<Name, Choice>,
    /// Refused and not collected.
    over: BTreeMap<Name, Reason>,
    spec: PoolSpec,
    is_closing: bool,
    pub(crate) is_ceding: bool,
    /// Those that are forgotten, while somebody waits for their last slot.
    last_words: BTreeSet<BackendKey>,
    /// The last name of something that nobody here sent; they go down.
    strangers: Name,
    pub(crate) woken: Vec<Name>,
    /// Whom the last arrival woke, to make room.
    pub(crate) displaced: Option<Name>,
    /// Someone found the line full and was told a time.
    has_promised: bool,
    pub(crate) closed: Vec<Connection>,
    /// When who came, and whether it was a retry.
    came: Vec<(Time, bool)>,
}

#[derive(Clone, Debug)]
struct Waiter {
    name: Name,
    ask: Ask,
    since: Time,
    has_waker: bool,
}

/// What is expected of an arrival.
#[derive(Debug, PartialEq)]
pub(crate) enum Expected {
    Granted,
    Queued,
    Refused(Reason),
}

/// What is expected of a waiter that looks.
#[derive(Debug, PartialEq)]
pub(crate) enum Standing {
    Granted(Choice),
    Over(Reason),
    Waiting,
}

/// Tells what the dispatcher chose for a request.
pub(crate) type Choose<'a> = &'a mut dyn FnMut(Name) -> Choice;

#[derive(Clone, Copy, PartialEq, PartialOrd, Eq, Ord)]
enum Due {
    Rest(BackendKey, Name),
    Alarm(BackendKey),
    Withheld(BackendKey),
    Kept(BackendKey),
    Wait(Name),
}

impl Naive {
    pub(crate) fn new(now: Time, spec: PoolSpec) -> Self {
        let mut naive = Self {
            now,
            sites: BTreeMap::new(),
            front: Vec::new(),
            main: Vec::new(),
            accounts: Accounts::new(&spec),
            given: BTreeMap::new(),
            over: BTreeMap::new(),
            spec,
            is_closing: false,
            is_ceding: false,
            last_words: BTreeSet::new(),
            strangers: Name::MAX,
            woken: Vec::new(),
            displaced: None,
            has_promised: false,
            closed: Vec::new(),
            came: Vec::new(),
        };
        (0..naive.spec.backends.len()).for_each(|place| naive.add(naive.spec.backends[place]));
        naive
    }

    /// What was ordered last.
    pub(crate) fn spec(&self) -> &PoolSpec {
        &self.spec
    }

    fn add(&mut self, spec: BackendSpec) {
        let mut site = Site { health: Condition::new(self.spec.health), ..Site::new(spec.slots as usize) };
        match spec.start {
            Start::Idle => {}
            Start::Elsewhere(slots) => site.elsewhere = slots as usize,
            Start::Unproven => site.lay_to_rest(self.name_strangers(site.slots), Until::Proof),
            Start::Until(end) => site.lay_to_rest(self.name_strangers(site.slots), Until::Time(end)),
        }
        self.last_words.remove(&spec.key);
        self.sites.insert(spec.key, site);
    }

    fn name_strangers(&mut self, many: usize) -> impl Iterator<Item = Name> + use<> {
        self.strangers -= many;
        (0..many).map({
            let last = self.strangers;
            move |more| last + more
        })
    }

    /// `closed`: the connections that the dispatcher chose to close.
    pub(crate) fn set_elsewhere(
        &mut self,
        key: BackendKey,
        slots: usize,
        closed: &[Connection],
        choose: Choose<'_>,
    ) {
        let Some(site) = self.sites.get_mut(&key).filter(|_| !self.is_ceding) else { return };
        let before = std::mem::replace(&mut site.elsewhere, slots);
        self.close_surplus(key, closed);
        if slots < before {
            self.serve_line(choose);
        }
    }

    pub(crate) fn doubt_elsewhere(&mut self, key: BackendKey, slots: usize, choose: Choose<'_>) {
        let Some(site) = self.sites.get_mut(&key) else { return };
        let gone = slots.min(site.elsewhere);
        site.elsewhere -= gone;
        let doubted = gone.min(site.slots);
        let names = self.name_strangers(doubted);
        self.sites.get_mut(&key).unwrap().lay_to_rest(names, Until::Proof);
        if doubted < gone {
            self.serve_line(choose);
        }
    }

    /// What is still held of every backend.
    pub(crate) fn cede(&mut self, closed: &[Connection]) -> Vec<(BackendKey, usize)> {
        self.is_ceding = true;
        let keys: Vec<_> = self.sites.keys().copied().collect();
        let held = keys.into_iter().map(|key| (key, self.cede_idle(key, closed))).collect();
        self.refuse_hopeless();
        held
    }

    pub(crate) fn watch(&mut self, key: BackendKey) -> usize {
        let Some(site) = self.sites.get_mut(&key) else { return 0 };
        self.last_words.remove(&key);
        site.told = Some(site.held());
        site.held()
    }

    pub(crate) fn has_untold(&self) -> bool {
        !self.last_words.is_empty() || self.sites.values().any(|site| self.is_untold(site))
    }

    fn is_untold(&self, site: &Site) -> bool {
        (self.is_ceding && site.cedable() > 0) || site.told.is_some_and(|told| told != site.held())
    }

    /// What changed of what is held.
    pub(crate) fn take_held(&mut self, closed: &[Connection]) -> Vec<(BackendKey, usize)> {
        let untold: Vec<_> =
            self.sites.iter().filter(|(_, site)| self.is_untold(site)).map(|(key, _)| *key).collect();
        let mut held: BTreeMap<_, _> =
            std::mem::take(&mut self.last_words).into_iter().map(|key| (key, 0)).collect();
        for key in untold {
            let slots = if self.is_ceding { self.cede_idle(key, closed) } else { self.watch(key) };
            held.insert(key, slots);
        }
        if self.is_ceding {
            self.refuse_hopeless();
        }
        held.into_iter().collect()
    }

    fn cede_idle(&mut self, key: BackendKey, closed: &[Connection]) -> usize {
        let site = self.sites.get_mut(&key).unwrap();
        let (idle, elsewhere) = (site.cedable(), std::mem::take(&mut site.elsewhere));
        let elsewhere = if site.removed { 0 } else { elsewhere };
        // What somebody else has was never this pool's to give; of the rest all that is idle goes.
        site.slots = site.slots.saturating_sub(elsewhere);
        site.slots -= idle;
        site.health.end_slow_start(site.slots);
        self.close_surplus(key, closed);
        self.watch(key)
    }

    fn refuse_hopeless(&mut self) {
        if self.sites.values().any(Site::is_counted) {
            return;
        }
        for name in self.waiters().map(|waiter| waiter.name).collect::<Vec<_>>() {
            let wake = self.refuse(name, Reason::Draining);
            self.woken.extend(wake);
        }
    }

    /// Of more connections than slots are idle, those that the dispatcher chose are closed.
    fn close_surplus(&mut self, key: BackendKey, closed: &[Connection]) {
        let site = self.sites.get_mut(&key).unwrap();
        let surplus = site.parked.len().saturating_sub(site.idle());
        let parked = site.parked.len();
        site.parked.retain(|kept| !closed.contains(&kept.1));
        assert_eq!(parked - site.parked.len(), surplus, "surplus connections are closed, and no others");
    }

    fn forget_if_over(&mut self, key: BackendKey) {
        if self.sites[&key].removed && self.sites[&key].work.is_empty() {
            let told = self.sites.remove(&key).unwrap().told;
            if told.is_some_and(|told| told > 0) {
                self.last_words.insert(key);
            }
        }
    }

    /// At most half of the line is kept for those who were told a time.
    fn may_keep_places(&self) -> bool {
        self.has_promised && self.main.len() + self.spec.queue_length / 2 >= self.spec.queue_length
    }

    /// `found_full`: the real one said so of the line.
    pub(crate) fn arrive(&mut self, name: Name, ask: &Ask, found_full: bool, choose: Choose<'_>) -> Expected {
        let is_retry = !ask.avoid.is_empty();
        if !is_retry {
            self.came.push((self.now, false));
        }
        if self.is_closing && !is_retry {
            return Expected::Refused(Reason::Draining);
        }
        if is_retry && !self.may_retry() {
            return Expected::Refused(Reason::RetriesSpent);
        }
        let may_take = self.accounts.may_take(ask.key);
        if may_take && self.can_use_any(ask) {
            self.open(ask);
            assert!(self.grant(name, ask, choose));
            return Expected::Granted;
        }
        let would_wait = self.spec.queue_length > 0 && ask.until > self.now;
        let may_return = |site: &Site| would_wait && (site.on_trial() || (is_retry && site.is_counted()));
        let is_hopeful =
            self.sites.values().any(|site| site.is_up() || may_return(site)) || self.is_panicking();
        let stays = would_wait && ask.was_in_line;
        if !is_hopeful && !stays {
            let is_leaving =
                (self.is_closing || self.is_ceding) && !self.sites.values().any(Site::is_counted);
            return Expected::Refused(if is_leaving { Reason::Draining } else { Reason::NoBackendUp });
        }
        if !would_wait && may_take && self.soon_free() > self.waiters().count() {
            self.open(ask);
            let until = self.now + Duration::from_millis(100);
            let mut ask = ask.clone();
            ask.until = until;
            let waiter = Waiter { name, ask, since: self.now, has_waker: false };
            let line = if is_retry { &mut self.front } else { &mut self.main };
            line.push(waiter);
            return Expected::Queued;
        }
        if !would_wait {
            return Expected::Refused(if may_take { Reason::Busy } else { Reason::KeyBusy });
        }
        let is_full = match is_retry {
            true => self.front.len() >= 64,
            false => self.main.len() >= self.spec.queue_length || (found_full && self.may_keep_places()),
        };
        if is_full {
            let Some(displaced) = self.whom_to_displace(ask).filter(|_| !is_retry) else {
                self.has_promised |= !is_retry;
                return Expected::Refused(Reason::QueueFull);
            };
            // A place that is free, and kept for someone else, is taken instead.
            if self.main.len() >= self.spec.queue_length {
                self.displaced = self.refuse(displaced, Reason::Displaced);
            }
        }
        self.open(ask);
        let waiter = Waiter { name, ask: ask.clone(), since: self.now, has_waker: false };
        let line = if is_retry { &mut self.front } else { &mut self.main };
        line.push(waiter);
        Expected::Queued
    }

    pub(crate) fn look(&mut self, name: Name) -> Standing {
        if let Some(choice) = self.given.remove(&name) {
            return Standing::Granted(choice);
        }
        if let Some(reason) = self.over.remove(&name) {
            return Standing::Over(reason);
        }
        let now = self.now;
        let waiter = self.front.iter_mut().chain(&mut self.main).find(|waiter| waiter.name == name).unwrap();
        waiter.has_waker = true;
        if waiter.ask.until > now {
            return Standing::Waiting;
        }
        let reason = self.wait_over(name);
        self.forget_waiter(name);
        Standing::Over(reason)
    }

    fn wait_over(&self, name: Name) -> Reason {
        let waiter = self.waiters().find(|waiter| waiter.name == name).unwrap();
        let is_long = waiter.ask.until.since(waiter.since) > Duration::from_millis(100);
        if is_long || self.spec.queue_length > 0 { Reason::WaitOver } else { Reason::Busy }
    }

    /// The slots that are free in a moment.
    fn soon_free(&self) -> usize {
        let there = self.sites.values().filter(|site| site.is_up() || site.is_doubtful());
        let works = there.flat_map(|site| &site.work);
        works
            .filter(|work| work.is_broken || (work.purpose, work.state) == (Purpose::Probe, Taken::Busy))
            .count()
    }

    /// Answers whether a waker comes back.
    pub(crate) fn leave(&mut self, name: Name, choose: Choose<'_>) -> bool {
        if let Some((key, kept)) = self.given.remove(&name) {
            let purpose = self.work(key, name).purpose;
            self.judge(key, Outcome::Ignored, purpose);
            let kept = kept.map(|connection| (connection, u16::try_from(connection % 3).unwrap()));
            self.free(key, name, kept, choose);
            return false;
        }
        if self.over.remove(&name).is_some() {
            return false;
        }
        self.forget_waiter(name).has_waker
    }

    pub(crate) fn linger(&mut self, name: Name) {
        let key = self.key_of(name);
        self.work(key, name).state = Taken::Lingering;
        self.note_work(key, name);
        if self.was_trial(key, name) {
            let now = self.now;
            self.sites.get_mut(&key).unwrap().health.leave_trial(now);
        }
    }

    pub(crate) fn doubt(&mut self, name: Name, choose: Choose<'_>) {
        self.put_to_rest(name, Taken::Doubted, choose);
    }

    pub(crate) fn report(&mut self, name: Name, outcome: Outcome, choose: Choose<'_>) {
        let key = self.key_of(name);
        let purpose = self.work(key, name).purpose;
        let turned = purpose != Purpose::Proof && self.judge(key, outcome, purpose);
        let was_trial = self.was_trial(key, name);
        if turned || was_trial {
            self.serve_line(choose);
        }
    }

    pub(crate) fn release(
        &mut self,
        name: Name,
        outcome: Outcome,
        kept: Option<&Kept<Connection>>,
        choose: Choose<'_>,
    ) {
        let key = self.key_of(name);
        let Work { purpose, state, .. } = *self.work(key, name);
        let has_answered = matches!(outcome, Outcome::Success | Outcome::Poor);
        let has_worked = has_answered || matches!(state, Taken::Lingering | Taken::Doubted);
        let is_request = matches!(purpose, Purpose::Work | Purpose::Trial);
        if has_worked && is_request {
            self.note_work(key, name);
        }
        let rest = match outcome {
            Outcome::Failure => self.spec.settle_broken,
            _ if has_worked => self.spec.settle,
            _ => Duration::ZERO,
        };
        let settles = is_request && !rest.is_zero();
        let turned = purpose != Purpose::Proof && self.judge(key, outcome, purpose);
        let site = self.sites.get_mut(&key).unwrap();
        let opens = !turned && outcome == Outcome::Success && is_request && site.health.is_slow();
        if opens {
            site.health.open_one(self.now, site.slots);
        }
        if purpose == Purpose::Proof && outcome != Outcome::Success {
            self.work(key, name).state = Taken::Resting(Until::Proof);
            self.closed.extend(kept.map(|kept| kept.connection));
        } else if settles {
            let end = self.now + rest;
            let work = self.work(key, name);
            work.state = Taken::Resting(Until::Time(end));
            work.is_broken = outcome == Outcome::Failure;
            work.kept = kept.map(|kept| (kept.connection, kept.core.0));
        } else {
            self.free(key, name, kept.map(|kept| (kept.connection, kept.core.0)), choose);
        }
        if turned || opens {
            self.serve_line(choose);
        }
    }

    pub(crate) fn withhold(
        &mut self,
        name: Name,
        until: Time,
        kept: Option<&Kept<Connection>>,
        choose: Choose<'_>,
    ) {
        let key = self.key_of(name);
        let purpose = self.work(key, name).purpose;
        let site = self.sites.get_mut(&key).unwrap();
        site.withheld = site.withheld.max(Some(until));
        if purpose != Purpose::Proof {
            self.judge(key, Outcome::Success, purpose);
        }
        self.free(key, name, kept.map(|kept| (kept.connection, kept.core.0)), choose);
    }

    fn judge(&mut self, key: BackendKey, outcome: Outcome, purpose: Purpose) -> bool {
        let dark = !self.sites.iter().any(|(other, site)| *other != key && site.is_up());
        let site = self.sites.get_mut(&key).unwrap();
        let turned = site.health.judge(self.now, dark, site.slots, outcome, purpose.role());
        if turned && site.health.is_unreachable() {
            site.withheld = None;
        }
        turned
    }

    /// Spans of 2^33 ns: the one that runs and the one before count.
    fn may_retry(&mut self) -> bool {
        let span = |time: Time| time.as_nanos() >> 33;
        let lately = self.came.iter().filter(|(time, _)| span(*time) + 1 >= span(self.now));
        let retries = lately.clone().filter(|(_, is_retry)| *is_retry).count();
        let share = (lately.count() - retries) * self.spec.retries.budget as usize / 100;
        let seconds = ((1 << 33) + self.now.as_nanos() % (1 << 33)) / 1_000_000_000;
        let may = retries < share + usize::try_from(seconds).unwrap() * self.spec.retries.floor as usize;
        if may {
            self.came.push((self.now, true));
        }
        may
    }

    fn is_panicking(&self) -> bool {
        let count = |is: fn(&Site) -> bool| self.sites.values().filter(|site| is(site)).count();
        let (up, all) = (count(Site::is_up), count(Site::is_counted));
        count(Site::is_doubtful) > 0 && up * 100 < self.spec.health.panic as usize * all
    }

    /// The backends whose idle slots may be used now, those that serve before those in doubt.
    fn usable(&self) -> [Vec<BackendKey>; 2] {
        let idle = |is: fn(&Site) -> bool| {
            let idle = self.sites.iter().filter(|(_, site)| is(site) && site.has_room());
            idle.map(|(key, _)| *key).collect()
        };
        let doubtful = if self.is_panicking() { idle(Site::admits_in_panic) } else { Vec::new() };
        [idle(Site::admits), doubtful]
    }

    pub(crate) fn rest(&mut self, name: Name, until: Until, choose: Choose<'_>) {
        self.put_to_rest(name, Taken::Resting(until), choose);
    }

    pub(crate) fn tick(&mut self, choose: Choose<'_>) {
        while let Some((time, due)) = self.next_due()
            && time <= self.now
        {
            match due {
                Due::Rest(key, name) => {
                    let kept = self.work(key, name).kept.take();
                    self.free(key, name, kept, choose);
                }
                Due::Alarm(key) => {
                    let site = self.sites.get_mut(&key).unwrap();
                    site.health.ring(self.now, site.slots);
                    self.serve_line(choose);
                }
                Due::Withheld(key) => {
                    self.sites.get_mut(&key).unwrap().withheld = None;
                    self.serve_line(choose);
                }
                Due::Kept(key) => self.closed.push(self.sites.get_mut(&key).unwrap().parked.remove(0).1),
                Due::Wait(name) => {
                    let wake = self.refuse(name, self.wait_over(name));
                    self.woken.extend(wake);
                }
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.next_due().map(|(time, _)| time)
    }

    /// `closed`: the connections that the dispatcher chose to close.
    pub(crate) fn reconfigure(&mut self, spec: PoolSpec, closed: &[Connection], choose: Choose<'_>) {
        let ordered: BTreeMap<_, _> = spec.backends.iter().map(|spec| (spec.key, *spec)).collect();
        self.set_rules(&spec);
        self.spec = spec;
        for key in self.sites.keys().copied().collect::<Vec<_>>() {
            let site = self.sites.get_mut(&key).unwrap();
            let wanted = ordered.get(&key);
            if site.removed && wanted.is_some() && !self.is_ceding {
                site.told = None;
            }
            site.removed = wanted.is_none();
            let most = if self.is_ceding { site.slots } else { usize::MAX };
            site.slots = wanted.map_or(0, |spec| spec.slots as usize).min(most);
            site.health.set_policy(self.spec.health);
            site.health.adapt_slow_start(self.now, site.slots);
            self.close_surplus(key, closed);
            self.forget_if_over(key);
        }
        for (key, spec) in ordered {
            if !self.is_ceding && !self.sites.contains_key(&key) {
                self.add(spec);
            }
        }
        self.serve_line(choose);
    }

    pub(crate) fn observe(&mut self, key: BackendKey, outcome: Outcome, choose: Choose<'_>) {
        if self.sites.contains_key(&key) && self.judge(key, outcome, Purpose::Probe) {
            self.serve_line(choose);
        }
    }

    pub(crate) fn set_mode(&mut self, key: BackendKey, mode: Mode, choose: Choose<'_>) {
        if let Some(site) = self.sites.get_mut(&key) {
            site.mode = mode;
        }
        self.serve_line(choose);
    }

    pub(crate) fn close(&mut self) {
        self.is_closing = true;
    }

    /// Whether a probe gets a slot.
    pub(crate) fn probe(&mut self, key: BackendKey, name: Name, kept: Option<Connection>) -> bool {
        let Some(site) = self.sites.get_mut(&key) else {
            return false;
        };
        let may = site.mode != Mode::Maintenance && site.idle() > 0 && site.withheld.is_none();
        if may {
            site.take(name, 0, kept, true);
        } else if site.health.awaits_probe() {
            site.health.wait_again(self.now);
        }
        may
    }

    /// Whether a slot is there to be proved; `probed` is what rested in the slot that the dispatcher chose.
    pub(crate) fn prove(&mut self, key: BackendKey, name: Name, probed: Option<Name>) -> bool {
        let Some(site) =
            self.sites.get_mut(&key).filter(|site| site.removed || site.mode != Mode::Maintenance)
        else {
            return false;
        };
        let unproven = site.work.iter_mut().filter(|work| work.state == Taken::Resting(Until::Proof));
        let mut unproven: Vec<_> = unproven.collect();
        if unproven.is_empty() {
            return false;
        }
        // What nobody here sent has no name there.
        let place = unproven.iter().position(|work| Some(work.name) == probed);
        let place = place.or_else(|| unproven.iter().position(|work| work.name > Name::MAX / 2));
        let work = &mut unproven[place.expect("a slot without proof")];
        (work.name, work.state, work.purpose) = (name, Taken::Doubted, Purpose::Proof);
        true
    }

    /// The first backend that waits for a probe out of turn.
    pub(crate) fn awaiting_probe(&self) -> Option<BackendKey> {
        self.sites.iter().find(|(_, site)| site.health.awaits_probe()).map(|(key, _)| *key)
    }

    /// What `Dispatcher::counts` has to answer.
    pub(crate) fn assert_counts(&self, counts: Counts) {
        let sum = |of: &dyn Fn(&Site) -> usize| self.sites.values().map(of).sum::<usize>() as u64;
        let in_state =
            |is: fn(&Taken) -> bool| sum(&|site| site.work.iter().filter(|work| is(&work.state)).count());
        let rests = |site: &Site| if site.withheld.is_some() { site.idle() } else { 0 };
        assert_eq!(counts.idle, sum(&|site| site.idle() - rests(site)));
        assert_eq!(counts.busy, in_state(|state| *state == Taken::Busy));
        assert_eq!(counts.lingering, in_state(|state| *state == Taken::Lingering));
        let is_resting = |state: &Taken| matches!(state, Taken::Resting(_) | Taken::Doubted);
        assert_eq!(counts.resting, in_state(is_resting) + sum(&rests) + sum(&Site::elsewhere));
        assert_eq!(counts.slots, sum(&|site| site.slots.max(site.taken())));
        assert_eq!(counts.kept, sum(&|site| site.parked.len()));
        assert_eq!(counts.backends, self.sites.len() as u64);
        assert_eq!(counts.up, sum(&|site| site.is_up().into()));
        assert_eq!(counts.up_slots, sum(&|site| if site.is_up() { site.slots } else { 0 }));
        assert_eq!(counts.on_trial, sum(&|site| site.on_trial().into()));
        assert_eq!(counts.ready, sum(&|site| site.is_counted().into()));
        assert_eq!(counts.doubtful, sum(&|site| site.is_doubtful().into()));
        let within = |site: &Site| site.elsewhere().min(site.slots.saturating_sub(site.work.len()));
        assert_eq!(counts.elsewhere, sum(&|site| if site.is_up() { within(site) } else { 0 }));
        assert_eq!(counts.withheld, sum(&|site| if site.is_up() { rests(site) } else { 0 }));
        assert_eq!(
            counts.unopened,
            sum(&|site| if site.is_up() { site.unopened() - rests(site).min(site.unopened()) } else { 0 })
        );
        assert_eq!(counts.probed, sum(&|site| (site.is_counted() && site.health.is_probed()).into()));
        assert_eq!(counts.brief, self.soon_free() as u64);
        assert_eq!(counts.waiting, (self.front.len() + self.main.len()) as u64);
    }

    /// Who asks and is not refused has an account from then on.
    fn open(&mut self, ask: &Ask) {
        if self.accounts.are_kept() {
            let waits = self.waiters().any(|waiter| (waiter.ask.key, waiter.ask.lane) == (ask.key, ask.lane));
            self.accounts.ask((ask.key, ask.lane), ask.weight, waits);
        }
    }

    fn waits(&self, key: Key) -> bool {
        self.waiters().any(|waiter| waiter.ask.key == key)
    }

    fn waiters(&self) -> impl Iterator<Item = &Waiter> {
        self.front.iter().chain(&self.main)
    }

    fn set_rules(&mut self, spec: &PoolSpec) {
        let before = std::mem::replace(&mut self.accounts, Accounts::new(spec));
        if self.accounts.are_kept() == before.are_kept() {
            self.accounts = before;
            (self.accounts.fair, self.accounts.slots_per_key) = (spec.fair, spec.slots_per_key);
            return;
        }
        let works = self.sites.values_mut().flat_map(|site| &mut site.work);
        works.filter_map(|work| work.charge.as_mut()).for_each(|charge| self.accounts.count(charge));
        let in_lanes = Lane::ALL
            .into_iter()
            .flat_map(|lane| self.main.iter().filter(move |waiter| waiter.ask.lane == lane));
        for Waiter { ask, .. } in self.front.iter().chain(in_lanes) {
            self.accounts.ask((ask.key, ask.lane), ask.weight, true);
        }
    }

    /// Whose turn it is behind the front lane.
    fn next_in_main(&self) -> Option<Name> {
        let first_of_lane = |lane: Lane| {
            let mut seen = Vec::new();
            let mut firsts = Vec::new();
            for (place, waiter) in self.main.iter().enumerate().filter(|(_, waiter)| waiter.ask.lane == lane)
            {
                let key = waiter.ask.key;
                let is_known = self.accounts.are_kept();
                if !seen.contains(&key) && self.accounts.may_take(key) {
                    let virtual_time = if is_known { self.accounts.virtual_time(key, lane) } else { 0 };
                    firsts.push((virtual_time, place, waiter));
                }
                seen.push(key);
            }
            firsts.into_iter().min_by_key(|&(virtual_time, place, _)| (virtual_time, place))
        };
        let candidates = Lane::ALL.into_iter().enumerate().filter_map(|(step, lane)| {
            let waiter = first_of_lane(lane)?.2;
            Some((waiter.since + Lane::AGEING * u32::try_from(step).unwrap(), step, waiter.name))
        });
        candidates.min().map(|(_, _, name)| name)
    }

    fn whom_to_displace(&self, ask: &Ask) -> Option<Name> {
        let least = self.main.iter().map(|waiter| waiter.ask.lane).max()?;
        if least > ask.lane {
            return self.main.iter().rfind(|waiter| waiter.ask.lane == least).map(|waiter| waiter.name);
        }
        let in_lane: Vec<_> = self.main.iter().filter(|waiter| waiter.ask.lane == ask.lane).collect();
        let of = |key: Key| in_lane.iter().filter(|waiter| waiter.ask.key == key).count();
        let most = in_lane.iter().map(|waiter| of(waiter.ask.key)).max()?;
        let newest = in_lane.iter().rfind(|waiter| of(waiter.ask.key) == most)?;
        (self.spec.fair && most > of(ask.key) + 1).then_some(newest.name)
    }

    /// Ends a wait without a slot; answers whom that wakes.
    fn refuse(&mut self, name: Name, reason: Reason) -> Option<Name> {
        let waiter = self.forget_waiter(name);
        self.over.insert(name, reason);
        waiter.has_waker.then_some(name)
    }

    fn note_work(&mut self, key: BackendKey, name: Name) {
        if let Some(charge) = &mut self.work(key, name).charge {
            charge.has_worked = true;
        }
    }

    /// Whether it was a trial; from now on it is not.
    fn was_trial(&mut self, key: BackendKey, name: Name) -> bool {
        let work = self.work(key, name);
        let was_trial = work.purpose == Purpose::Trial;
        if was_trial {
            work.purpose = Purpose::Work;
        }
        was_trial
    }

    fn put_to_rest(&mut self, name: Name, state: Taken, choose: Choose<'_>) {
        let key = self.key_of(name);
        self.note_work(key, name);
        let work = self.work(key, name);
        work.state = state;
        let is_probe = work.purpose == Purpose::Probe;
        let (was_trial, now) = (self.was_trial(key, name), self.now);
        let health = &mut self.sites.get_mut(&key).unwrap().health;
        if is_probe {
            health.wait_again(now);
        }
        if was_trial {
            health.trial_over();
            self.serve_line(choose);
        }
    }

    /// Whether an idle slot is there that the ask may use.
    fn can_use_any(&self, ask: &Ask) -> bool {
        let may_use = |key: &BackendKey| !ask.avoid.contains(key) || !self.binds(&ask.avoid);
        self.usable().iter().flatten().any(may_use)
    }

    /// Grants an idle slot if the ask may use one; the choice must be among the best.
    fn grant(&mut self, name: Name, ask: &Ask, choose: Choose<'_>) -> bool {
        if !self.accounts.may_take(ask.key) || !self.can_use_any(ask) {
            return false;
        }
        let [serving, doubtful] = self.usable();
        let outside = |keys: &[BackendKey]| -> Vec<_> {
            keys.iter().copied().filter(|key| !ask.avoid.contains(key)).collect()
        };
        let in_order = [outside(&serving), outside(&doubtful), serving, doubtful];
        let best = in_order.into_iter().find(|keys| !keys.is_empty()).unwrap();
        let mut best: Vec<_> = best.iter().map(|key| (key, &self.sites[key])).collect();
        let all = best.clone();
        best.retain(|(_, site)| !all.iter().any(|(_, other)| other.has_lower_share(site)));
        for wanted in [&(|site: &Site| site.keeps(ask.near.0)) as &dyn Fn(&Site) -> bool, &|site| {
            !site.parked.is_empty()
        }] {
            if best.iter().any(|(_, site)| wanted(site)) {
                best.retain(|(_, site)| wanted(site));
                break;
            }
        }
        let (key, kept) = choose(name);
        assert!(best.iter().any(|(best, _)| **best == key), "{key:?} is not among the best: {best:?}");
        self.sites.get_mut(&key).unwrap().take(name, ask.near.0, kept, false);
        self.work(key, name).charge = Some(self.accounts.charge((ask.key, ask.lane), self.now));
        true
    }

    fn binds(&self, avoid: &[BackendKey]) -> bool {
        self.sites.iter().any(|(key, site)| site.is_up() && !avoid.contains(key))
    }

    fn free(&mut self, key: BackendKey, name: Name, kept: Option<(Connection, u16)>, choose: Choose<'_>) {
        let charge = self.work(key, name).charge;
        let has_hope = charge.is_some_and(|charge| self.settle(charge));
        self.work(key, name).charge = None;
        let site = &self.sites[&key];
        let is_surplus = site.taken() > site.slots;
        let is_open = site.taken() <= site.health.open(site.slots);
        let admits = site.admits() || (self.is_panicking() && site.admits_in_panic());
        let may_use = |waiter: &&Waiter| {
            self.accounts.may_take(waiter.ask.key)
                && (!waiter.ask.avoid.contains(&key) || !self.binds(&waiter.ask.avoid))
        };
        let first = self.front.iter().find(may_use).map(|waiter| waiter.name).or(self.next_in_main());
        let next = first.filter(|_| is_open && !has_hope && admits);
        if let Some(next) = next {
            let waiter = self.forget_waiter(next);
            self.woken.extend(waiter.has_waker.then_some(next));
            self.given.insert(next, (key, kept.map(|kept| kept.0)));
            let charge = Some(self.accounts.charge((waiter.ask.key, waiter.ask.lane), self.now));
            let site = self.sites.get_mut(&key).unwrap();
            let purpose = site.purpose();
            *self.work(key, name) =
                Work { name: next, state: Taken::Busy, purpose, charge, is_broken: false, kept: None };
            return;
        }
        let site = self.sites.get_mut(&key).unwrap();
        site.work.retain(|work| work.name != name);
        match kept {
            Some((connection, core)) if !is_surplus && !self.spec.keep_idle.is_zero() => {
                site.parked.push((self.now, connection, core));
            }
            Some((connection, _)) => self.closed.push(connection),
            None => {}
        }
        self.forget_if_over(key);
        if has_hope {
            self.serve_line(choose);
        }
    }

    /// Whether those of its key who wait may have a slot now and might not before.
    fn settle(&mut self, charge: Charge) -> bool {
        let could_take = self.accounts.may_take(charge.key);
        self.accounts.settle(charge, self.weights_in(charge.lane), self.now);
        !could_take && self.waits(charge.key)
    }

    /// The weights of all keys that wait or hold a slot in a lane.
    fn weights_in(&self, lane: Lane) -> u64 {
        if !self.accounts.are_kept() {
            return 1;
        }
        let works = self.sites.values().flat_map(|site| &site.work).filter_map(|work| work.charge);
        let holding = works.map(|charge| (charge.key, charge.lane));
        let waiting = self.waiters().map(|waiter| (waiter.ask.key, waiter.ask.lane));
        let keys: BTreeSet<Key> = holding.chain(waiting).filter(|of| of.1 == lane).map(|of| of.0).collect();
        keys.into_iter().map(|key| self.accounts.weight(key)).sum()
    }

    fn serve_line(&mut self, choose: Choose<'_>) {
        for waiter in self.front.clone() {
            self.serve(&waiter, choose);
        }
        while let Some(name) = self.next_in_main() {
            let waiter = self.main.iter().find(|waiter| waiter.name == name).expect("it waits").clone();
            if !self.serve(&waiter, choose) {
                break;
            }
        }
    }

    fn serve(&mut self, waiter: &Waiter, choose: Choose<'_>) -> bool {
        let is_served = self.grant(waiter.name, &waiter.ask, choose);
        if is_served {
            self.forget_waiter(waiter.name);
            self.woken.extend(waiter.has_waker.then_some(waiter.name));
        }
        is_served
    }

    fn next_due(&self) -> Option<(Time, Due)> {
        let mut due = Vec::new();
        for (&key, site) in &self.sites {
            due.extend(site.work.iter().filter_map(|work| match work.state {
                Taken::Resting(Until::Time(end)) => Some((end, Due::Rest(key, work.name))),
                _ => None,
            }));
            due.extend(site.parked.first().map(|(since, ..)| (*since + self.spec.keep_idle, Due::Kept(key))));
            due.extend(site.health.alarm().map(|time| (time, Due::Alarm(key))));
            due.extend(site.withheld.map(|time| (time, Due::Withheld(key))));
        }
        let waiters = self.front.iter().chain(&self.main);
        due.extend(waiters.map(|waiter| (waiter.ask.until, Due::Wait(waiter.name))));
        due.into_iter().filter(|(time, _)| *time < Time::NEVER).min()
    }

    fn forget_waiter(&mut self, name: Name) -> Waiter {
        let lane = if self.front.iter().any(|waiter| waiter.name == name) {
            &mut self.front
        } else {
            &mut self.main
        };
        let place = lane.iter().position(|waiter| waiter.name == name).expect("it waits");
        lane.remove(place)
    }

    fn key_of(&self, name: Name) -> BackendKey {
        let has = |site: &Site| site.work.iter().any(|work| work.name == name);
        *self.sites.iter().find(|(_, site)| has(site)).expect("it is at work").0
    }

    fn work(&mut self, key: BackendKey, name: Name) -> &mut Work {
        self.sites
            .get_mut(&key)
            .unwrap()
            .work
            .iter_mut()
            .find(|work| work.name == name)
            .expect("it is at work")
    }
}
