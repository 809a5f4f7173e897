//! The pool, its clients, and the gateway between them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    time::Duration,
};

use idleway_core::{
    Arrival, Ask, BackendKey, BackendSpec, Change, Collected, Core, Dispatcher, Effects, Grant, HealthPolicy,
    Outcome, PoolSpec, Reason, RetryPolicy, SlotId, Ticket, Time,
};

use crate::{
    random::{Random, Work},
    site::{Condition, Expected, Site},
};

/// How often a backend is probed, and how long a probe may take.
pub(crate) const EVERY: Duration = Duration::from_secs(2);
/// So long after the last arrival what became of backends has been looked after.
const TAIL: Duration = Duration::from_secs(30);
/// How many backends a request may try.
const ATTEMPTS: usize = 3;

#[derive(Clone, Debug)]
pub(crate) struct Scene {
    /// The slots of each backend.
    pub(crate) slots: &'static [u32],
    pub(crate) health: HealthPolicy,
    pub(crate) retries: RetryPolicy,
    pub(crate) work: Work,
    /// Of first arrivals, as a multiple of what the slots can do.
    pub(crate) load: f64,
    /// How long a client waits for the work, once it is begun.
    pub(crate) timeout: Duration,
    /// So many of a hundred answers are errors, whoever answers.
    pub(crate) poor: u64,
    /// For how long clients arrive.
    pub(crate) lasts: Duration,
}

impl Scene {
    /// The mean time in seconds.
    pub(crate) fn between_arrivals(&self) -> f64 {
        let slots: u32 = self.slots.iter().sum();
        self.work.mean() / f64::from(slots) / self.load
    }
}

type Name = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    Arrives,
    /// The backend ends its work.
    Ends(Name),
    /// The connection breaks, or is refused.
    Breaks(Name),
    /// Who waits for the work has waited for too long.
    TimesOut(Name),
    Probes(usize),
    Turns(usize, Condition),
    /// It is time to see what was expected of a backend.
    Falls(usize, Expected),
    Ticks,
}

/// What holds a slot.
#[derive(Debug)]
pub(crate) struct Job {
    slot: SlotId,
    pub(crate) at: usize,
    /// The backends that a request has failed on; a probe has none.
    avoid: Option<Vec<BackendKey>>,
    pub(crate) stage: Stage,
    /// Nobody waits for it any more.
    lingers: bool,
}

/// Where the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The backend is at work, and will end it.
    Runs,
    /// The backend is at work for ever.
    Hangs,
    /// It is no longer with the backend, or never was: that is noticed in a moment.
    Gone,
    Refused,
}

/// What happened in all, so that it can be seen whether that is much.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) granted: u32,
    pub(crate) served: u32,
    pub(crate) lost: u32,
    pub(crate) silent: u32,
    pub(crate) probes: u32,
    /// How often all slots of a backend came to linger.
    pub(crate) all_linger: u32,
    /// How often it was seen that what was expected came about.
    pub(crate) fulfilled: u32,
    /// And how often that was that those in line are served.
    pub(crate) lit: u32,
    pub(crate) retries_refused: u32,
}

pub(crate) struct World {
    pub(crate) scene: Scene,
    pub(crate) random: Random,
    pub(crate) now: Time,
    events: BinaryHeap<Reverse<(Time, Name, Event)>>,
    /// The number of names given so far.
    names: Name,
    pub(crate) dispatcher: Dispatcher<(), Name>,
    /// Those in line, and the backends that they failed on.
    pub(crate) waiting: BTreeMap<Name, (Ticket, Vec<BackendKey>)>,
    woken: VecDeque<Name>,
    pub(crate) jobs: BTreeMap<Name, Job>,
    pub(crate) sites: Vec<Site>,
    /// When the driver means to wake up.
    driver: Option<Time>,
    pub(crate) tally: Tally,
    pub(crate) changes: Vec<Change>,
    /// When requests came, and whether for another attempt; those that got none are left out.
    pub(crate) came: Vec<(Time, bool)>,
}

impl World {
    pub(crate) fn new(scene: Scene, seed: u64) -> Self {
        let backends = (0..).zip(scene.slots).map(|(key, &slots)| BackendSpec::new(BackendKey(key), slots));
        let spec = PoolSpec {
            backends: backends.collect(),
            queue_length: 20,
            health: scene.health,
            retries: scene.retries,
            settle_broken: Duration::from_millis(20),
            ..PoolSpec::default()
        };
        let mut world = Self {
            sites: scene.slots.iter().map(|&slots| Site::new(slots)).collect(),
            scene,
            random: Random(seed),
            now: Time::ZERO,
            events: BinaryHeap::new(),
            names: 0,
            dispatcher: Dispatcher::new(Time::ZERO, spec),
            waiting: BTreeMap::new(),
            woken: VecDeque::new(),
            jobs: BTreeMap::new(),
            driver: None,
            tally: Tally::default(),
            changes: Vec::new(),
            came: Vec::new(),
        };
        world.within(Duration::ZERO, Event::Arrives);
        if world.scene.health.is_probed {
            for at in 0..world.sites.len() {
                let beat = world.random.millis(0, 2000);
                world.within(beat, Event::Probes(at));
            }
        }
        world
    }

    /// Runs until clients no longer arrive and all has come to an end.
    pub(crate) fn run(mut self) -> Self {
        while let Some(Reverse((time, _, event))) = self.events.pop() {
            self.now = time;
            self.happen(event);
            while let Some(name) = self.woken.pop_front() {
                self.look(name);
            }
            self.drive();
            for change in self.dispatcher.take_news() {
                self.changes.push(change);
                self.note(&change);
            }
        }
        self
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives => self.arrive(),
            Event::Ends(name) => self.end(name),
            Event::Breaks(name) => self.break_off(name),
            Event::TimesOut(name) => self.time_out(name),
            Event::Probes(at) => {
                if !self.is_over() {
                    self.within(EVERY, Event::Probes(at));
                    self.probe(at);
                }
            }
            Event::Turns(at, condition) => self.turn(at, condition),
            Event::Falls(at, expected) => self.look_after(at, expected),
            Event::Ticks => {
                self.driver = None;
                let effects = self.dispatcher.tick(self.now);
                self.carry_out(effects);
                self.scout();
            }
        }
    }

    fn is_over(&self) -> bool {
        self.now > Time::ZERO + self.scene.lasts + TAIL && self.jobs.is_empty() && self.waiting.is_empty()
    }

    /// The driver sleeps until the next deadline.
    fn drive(&mut self) {
        let due = self.dispatcher.next_deadline().filter(|_| !self.is_over());
        if let Some(due) = due.map(|due| due.max(self.now))
            && self.driver.is_none_or(|planned| due < planned)
        {
            self.driver = Some(due);
            self.at(due, Event::Ticks);
        }
    }

    /// A probe for each backend that waits for one out of turn.
    fn scout(&mut self) {
        let mut next = self.dispatcher.awaiting_probe(BackendKey(0));
        while let Some(BackendKey(key)) = next {
            self.probe(usize::try_from(key).unwrap());
            next = self.dispatcher.awaiting_probe(BackendKey(key + 1));
        }
    }

    fn arrive(&mut self) {
        if self.now > Time::ZERO + self.scene.lasts {
            return;
        }
        let next = self.random.memoryless(self.scene.between_arrivals());
        self.within(next, Event::Arrives);
        self.ask(Vec::new());
    }

    /// A request asks for a slot, the first time or for another attempt.
    fn ask(&mut self, avoid: Vec<BackendKey>) {
        let mut ask = Ask::new(Core(0), self.now + Duration::from_secs(600));
        ask.avoid.clone_from(&avoid);
        let is_retry = !avoid.is_empty();
        let (arrival, displaced) = self.dispatcher.arrive(self.now, ask);
        assert!(displaced.is_none(), "all are alike");
        match arrival {
            Arrival::Granted(grant) => self.begin(&grant, Some(avoid)),
            Arrival::Queued(ticket) => {
                let name = self.name();
                self.waiting.insert(name, (ticket, avoid));
                self.look(name);
            }
            Arrival::Refused(refusal) => {
                self.tally.lost += 1;
                if refusal.reason == Reason::RetriesSpent {
                    self.tally.retries_refused += 1;
                    return;
                }
            }
        }
        self.came.push((self.now, is_retry));
    }

    fn look(&mut self, name: Name) {
        let (ticket, avoid) = self.waiting.remove(&name).unwrap();
        match self.dispatcher.collect(self.now, ticket, || name).0 {
            Collected::Granted(grant) => self.begin(&grant, Some(avoid)),
            Collected::Refused(_) => self.tally.lost += 1,
            Collected::Waiting => _ = self.waiting.insert(name, (ticket, avoid)),
        }
    }

    fn probe(&mut self, at: usize) {
        if let Some(grant) = self.dispatcher.take_for_probe(self.now, BackendKey(at as u64)) {
            self.tally.probes += 1;
            self.begin(&grant, None);
        }
    }

    /// A slot is granted: the request, or the probe, goes to the backend.
    fn begin(&mut self, grant: &Grant<()>, avoid: Option<Vec<BackendKey>>) {
        let (name, at) = (self.name(), usize::try_from(grant.backend.0).unwrap());
        let is_probe = avoid.is_none();
        self.tally.granted += u32::from(!is_probe);
        let condition = self.meet(at, is_probe);
        let stage = match condition {
            Condition::Lives | Condition::Fails => Stage::Runs,
            Condition::Hangs => Stage::Hangs,
            Condition::Refuses | Condition::Dead => Stage::Refused,
        };
        let takes = match is_probe {
            true => self.random.millis(1, 5),
            false => self.scene.work.draw(&mut self.random),
        };
        match (stage, condition) {
            (Stage::Refused, _) | (_, Condition::Fails) => {
                let soon = self.random.millis(0, 2);
                self.within(soon, Event::Breaks(name));
            }
            (Stage::Runs, _) => self.within(takes, Event::Ends(name)),
            _ => {}
        }
        let patience = if is_probe { EVERY } else { self.scene.timeout };
        self.within(patience, Event::TimesOut(name));
        self.jobs.insert(name, Job { slot: grant.slot, at, avoid, stage, lingers: false });
        self.hold(at, is_probe);
    }

    fn end(&mut self, name: Name) {
        let Some(job) = self.jobs.get(&name).filter(|job| job.stage == Stage::Runs) else { return };
        let is_poor = job.avoid.is_some() && self.random.below(100) < self.scene.poor;
        let outcome = match (job.lingers, is_poor) {
            (true, _) => Outcome::Ignored,
            (false, true) => Outcome::Poor,
            (false, false) => Outcome::Success,
        };
        self.give_back(name, outcome);
    }

    fn break_off(&mut self, name: Name) {
        let Some(job) = self.jobs.get(&name) else { return };
        let outcome = match (job.stage, job.lingers) {
            (Stage::Refused, _) => Outcome::Unreachable,
            (_, false) => Outcome::Failure,
            (_, true) => Outcome::Ignored,
        };
        let again = job.avoid.clone().filter(|_| !job.lingers);
        let key = BackendKey(job.at as u64);
        self.give_back(name, outcome);
        let Some(mut avoid) = again else { return };
        avoid.push(key);
        if avoid.len() < ATTEMPTS {
            self.ask(avoid);
        } else {
            self.tally.lost += 1;
        }
    }

    fn give_back(&mut self, name: Name, outcome: Outcome) {
        let job = self.jobs.remove(&name).unwrap();
        self.free(job.at, outcome == Outcome::Success && job.avoid.is_some());
        self.tally.served += u32::from(outcome == Outcome::Success && job.avoid.is_some());
        let effects = self.dispatcher.release(self.now, job.slot, outcome, None);
        self.carry_out(effects);
    }

    /// Nobody waits for the work any more, but the backend is at work. A probe without an answer is counted again after
    /// each further interval.
    fn time_out(&mut self, name: Name) {
        let Some(job) = self.jobs.get_mut(&name) else { return };
        let (at, slot, is_probe) = (job.at, job.slot, job.avoid.is_none());
        let effects = match std::mem::replace(&mut job.lingers, true) {
            false => self.dispatcher.report(self.now, slot, Outcome::Silent),
            true => self.dispatcher.observe(self.now, BackendKey(at as u64), Outcome::Silent),
        };
        self.dispatcher.linger(self.now, slot);
        self.carry_out(effects);
        if is_probe {
            self.within(EVERY, Event::TimesOut(name));
        } else {
            self.tally.silent += 1;
            let lingering = self.jobs.values().filter(|job| job.at == at && job.lingers).count();
            self.tally.all_linger += u32::from(lingering == self.scene.slots[at] as usize);
        }
    }

    fn carry_out(&mut self, effects: Effects<(), Name>) {
        self.woken.extend(effects.wakes);
    }

    fn name(&mut self) -> Name {
        self.names += 1;
        self.names
    }

    pub(crate) fn within(&mut self, time: Duration, event: Event) {
        self.at(self.now + time, event);
    }

    pub(crate) fn at(&mut self, time: Time, event: Event) {
        let name = self.name();
        self.events.push(Reverse((time, name, event)));
    }
}
