//! What the dispatcher promises, said with plain vectors and full scans.
//!
//! Where the promise leaves a choice (which of several equals), the model is told what the dispatcher chose, checks
//! that it was among the allowed, and goes on from there.

use std::collections::{BTreeMap, BTreeSet};

use idleway_core::{Ask, BackendKey, Counts, Health, Kept, Mode, Outcome, PoolSpec, Reason, Time, Until};

use crate::site::{Purpose, Site, State, Taken, Work};

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
    main: Vec<Waiter>,
    /// Granted by a release and not collected.
    given: BTreeMap<Name, Choice>,
    /// Refused and not collected.
    over: BTreeSet<Name>,
    spec: PoolSpec,
    is_closing: bool,
    pub(crate) woken: Vec<Name>,
    pub(crate) closed: Vec<Connection>,
}

#[derive(Clone, Debug)]
struct Waiter {
    name: Name,
    ask: Ask,
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
    Over,
    Waiting,
}

/// Tells what the dispatcher chose for a request.
pub(crate) type Choose<'a> = &'a mut dyn FnMut(Name) -> Choice;

#[derive(Clone, Copy, PartialEq, PartialOrd, Eq, Ord)]
enum Due {
    Rest(BackendKey, Name),
    Pause(BackendKey),
    Kept(BackendKey),
    Wait(Name),
}

impl Naive {
    pub(crate) fn new(now: Time, spec: PoolSpec) -> Self {
        let sites = spec.backends.iter().map(|spec| (spec.key, Site::new(spec.slots as usize))).collect();
        Self {
            now,
            sites,
            front: Vec::new(),
            main: Vec::new(),
            given: BTreeMap::new(),
            over: BTreeSet::new(),
            spec,
            is_closing: false,
            woken: Vec::new(),
            closed: Vec::new(),
        }
    }

    pub(crate) fn arrive(&mut self, name: Name, ask: &Ask, choose: Choose<'_>) -> Expected {
        let is_retry = !ask.avoid.is_empty();
        if self.is_closing && !is_retry {
            return Expected::Refused(Reason::Draining);
        }
        if self.grant(name, ask, choose) {
            return Expected::Granted;
        }
        let would_wait = self.spec.queue_length > 0 && ask.until > self.now;
        let is_hopeful = self.sites.values().any(|site| site.is_up() || (site.on_trial() && would_wait));
        if !is_hopeful {
            return Expected::Refused(Reason::NoBackendUp);
        }
        if !would_wait {
            return Expected::Refused(Reason::Busy);
        }
        let (lane, length) = match is_retry {
            true => (&mut self.front, 64),
            false => (&mut self.main, self.spec.queue_length),
        };
        if lane.len() >= length {
            return Expected::Refused(Reason::QueueFull);
        }
        lane.push(Waiter { name, ask: ask.clone(), has_waker: false });
        Expected::Queued
    }

    pub(crate) fn look(&mut self, name: Name) -> Standing {
        if let Some(choice) = self.given.remove(&name) {
            return Standing::Granted(choice);
        }
        if self.over.remove(&name) {
            return Standing::Over;
        }
        let now = self.now;
        let waiter = self.front.iter_mut().chain(&mut self.main).find(|waiter| waiter.name == name).unwrap();
        waiter.has_waker = true;
        if waiter.ask.until > now {
            return Standing::Waiting;
        }
        self.forget_waiter(name);
        Standing::Over
    }

    /// Answers whether a waker comes back.
    pub(crate) fn leave(&mut self, name: Name) -> bool {
        if let Some((key, kept)) = self.given.remove(&name) {
            let site = self.sites.get_mut(&key).unwrap();
            let purpose = site.work.iter().find(|work| work.name == name).unwrap().purpose;
            site.judge(self.now, self.spec.health, Outcome::Ignored, purpose);
            self.free(key, name, kept.map(|connection| (connection, u16::try_from(connection % 3).unwrap())));
            return false;
        }
        if self.over.remove(&name) {
            return false;
        }
        self.forget_waiter(name).has_waker
    }

    pub(crate) fn linger(&mut self, name: Name) {
        let key = self.key_of(name);
        self.work(key, name).state = Taken::Lingering;
    }

    pub(crate) fn release(
        &mut self,
        name: Name,
        outcome: Outcome,
        kept: Option<&Kept<Connection>>,
        choose: Choose<'_>,
    ) {
        let key = self.key_of(name);
        let purpose = self.work(key, name).purpose;
        let site = self.sites.get_mut(&key).unwrap();
        let turned = site.judge(self.now, self.spec.health, outcome, purpose);
        if purpose == Purpose::Proof && outcome != Outcome::Success {
            self.work(key, name).state = Taken::Resting(Until::Proof);
            self.closed.extend(kept.map(|kept| kept.connection));
        } else {
            self.free(key, name, kept.map(|kept| (kept.connection, kept.core.0)));
        }
        if turned {
            self.serve_line(choose);
        }
    }

    pub(crate) fn rest(&mut self, name: Name, until: Until, choose: Choose<'_>) {
        let key = self.key_of(name);
        let work = self.work(key, name);
        work.state = Taken::Resting(until);
        if work.purpose == Purpose::Trial {
            self.sites.get_mut(&key).unwrap().trial_over();
            self.serve_line(choose);
        }
    }

    pub(crate) fn tick(&mut self, choose: Choose<'_>) {
        while let Some((time, due)) = self.next_due()
            && time <= self.now
        {
            match due {
                Due::Rest(key, name) => self.free(key, name, None),
                Due::Pause(key) => {
                    let site = self.sites.get_mut(&key).unwrap();
                    if let State::Paused(pause, _) = site.health {
                        site.health = State::Trial(pause, false);
                    }
                    self.serve_line(choose);
                }
                Due::Kept(key) => self.closed.push(self.sites.get_mut(&key).unwrap().parked.remove(0).1),
                Due::Wait(name) => {
                    let waiter = self.forget_waiter(name);
                    self.woken.extend(waiter.has_waker.then_some(name));
                    self.over.insert(name);
                }
            }
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.next_due().map(|(time, _)| time)
    }

    /// `closed`: the connections that the dispatcher chose to close.
    pub(crate) fn reconfigure(&mut self, spec: PoolSpec, closed: &[Connection], choose: Choose<'_>) {
        let ordered: BTreeMap<_, _> =
            spec.backends.iter().map(|spec| (spec.key, spec.slots as usize)).collect();
        self.spec = spec;
        for (key, site) in &mut self.sites {
            site.removed = !ordered.contains_key(key);
            site.slots = ordered.get(key).copied().unwrap_or(0);
            let surplus = site.parked.len().saturating_sub(site.idle());
            let parked = site.parked.len();
            site.parked.retain(|kept| !closed.contains(&kept.1));
            assert_eq!(parked - site.parked.len(), surplus, "surplus connections are closed, and no others");
        }
        self.closed.extend(closed);
        self.sites.retain(|_, site| !site.removed || !site.work.is_empty());
        for (key, slots) in ordered {
            self.sites.entry(key).or_insert_with(|| Site::new(slots));
        }
        self.serve_line(choose);
    }

    pub(crate) fn observe(&mut self, key: BackendKey, health: Health, choose: Choose<'_>) {
        if let Some(site) = self.sites.get_mut(&key) {
            site.health = if health == Health::Up { State::Up(0) } else { State::Told };
        }
        self.serve_line(choose);
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

    /// Whether a probe gets a slot; `probed` is what rested in the slot that the dispatcher chose.
    pub(crate) fn probe(
        &mut self,
        key: BackendKey,
        name: Name,
        probed: Option<Name>,
        kept: Option<Connection>,
    ) -> bool {
        let Some(site) = self.sites.get_mut(&key) else {
            return false;
        };
        if site.mode == Mode::Maintenance {
            return false;
        }
        let unproven = site.work.iter_mut().filter(|work| work.state == Taken::Resting(Until::Proof));
        let mut unproven: Vec<_> = unproven.collect();
        if !unproven.is_empty() {
            let work =
                unproven.iter_mut().find(|work| Some(work.name) == probed).expect("a slot without proof");
            (work.name, work.state, work.purpose) = (name, Taken::Busy, Purpose::Proof);
            assert_eq!(kept, None);
            return true;
        }
        let has_idle = site.idle() > 0;
        if has_idle {
            site.take(name, 0, kept, true);
        }
        has_idle
    }

    /// What `Dispatcher::counts` has to answer.
    pub(crate) fn assert_counts(&self, counts: Counts) {
        let sum = |of: &dyn Fn(&Site) -> usize| self.sites.values().map(of).sum::<usize>() as u64;
        let in_state =
            |is: fn(&Taken) -> bool| sum(&|site| site.work.iter().filter(|work| is(&work.state)).count());
        assert_eq!(counts.idle, sum(&Site::idle));
        assert_eq!(counts.busy, in_state(|state| *state == Taken::Busy));
        assert_eq!(counts.lingering, in_state(|state| *state == Taken::Lingering));
        assert_eq!(counts.resting, in_state(|state| matches!(state, Taken::Resting(_))));
        assert_eq!(counts.slots, sum(&|site| site.slots.max(site.work.len())));
        assert_eq!(counts.kept, sum(&|site| site.parked.len()));
        assert_eq!(counts.backends, self.sites.len() as u64);
        assert_eq!(counts.up, sum(&|site| site.is_up().into()));
        assert_eq!(counts.waiting, (self.front.len() + self.main.len()) as u64);
    }

    /// Grants an idle slot if the ask may use one; the choice must be among the best.
    fn grant(&mut self, name: Name, ask: &Ask, choose: Choose<'_>) -> bool {
        let eligible = |site: &Site| site.admits() && site.idle() > 0;
        let may_use = |key: &BackendKey| !ask.avoid.contains(key) || !self.binds(&ask.avoid);
        let mut best: Vec<_> =
            self.sites.iter().filter(|(key, site)| eligible(site) && may_use(key)).collect();
        if best.iter().any(|(key, _)| !ask.avoid.contains(key)) {
            best.retain(|(key, _)| !ask.avoid.contains(key));
        }
        if best.is_empty() {
            return false;
        }
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
        true
    }

    fn binds(&self, avoid: &[BackendKey]) -> bool {
        self.sites.iter().any(|(key, site)| site.is_up() && !avoid.contains(key))
    }

    fn free(&mut self, key: BackendKey, name: Name, kept: Option<(Connection, u16)>) {
        let site = &self.sites[&key];
        let is_surplus = site.work.len() > site.slots;
        let may_use = |waiter: &&Waiter| !waiter.ask.avoid.contains(&key) || !self.binds(&waiter.ask.avoid);
        let first = self.front.iter().find(may_use).or(self.main.first()).map(|waiter| waiter.name);
        let next = first.filter(|_| !is_surplus && site.admits());
        if let Some(next) = next {
            let waiter = self.forget_waiter(next);
            self.woken.extend(waiter.has_waker.then_some(next));
            self.given.insert(next, (key, kept.map(|kept| kept.0)));
            let site = self.sites.get_mut(&key).unwrap();
            let purpose = site.purpose();
            *self.work(key, name) = Work { name: next, state: Taken::Busy, purpose };
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
        if site.removed && site.work.is_empty() {
            self.sites.remove(&key);
        }
    }

    fn serve_line(&mut self, choose: Choose<'_>) {
        for waiter in self.front.clone().into_iter().chain(self.main.clone()) {
            if self.grant(waiter.name, &waiter.ask, choose) {
                self.forget_waiter(waiter.name);
                self.woken.extend(waiter.has_waker.then_some(waiter.name));
            }
        }
    }

    fn next_due(&self) -> Option<(Time, Due)> {
        let mut due = Vec::new();
        for (&key, site) in &self.sites {
            due.extend(site.work.iter().filter_map(|work| match work.state {
                Taken::Resting(Until::Time(end)) => Some((end, Due::Rest(key, work.name))),
                _ => None,
            }));
            due.extend(site.parked.first().map(|(since, ..)| (*since + self.spec.keep_idle, Due::Kept(key))));
            if let State::Paused(_, end) = site.health {
                due.push((end, Due::Pause(key)));
            }
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
