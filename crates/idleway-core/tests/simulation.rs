//! A day at the gateway, for a hundred seeds: clients come, wait, lose patience and leave; backends crash, hang and
//! come back; permits are dropped in mid-work; slots and backends are added and taken away; others send work to the same
//! backends, and tell of it or fall silent; on some days the gateway gives its slots up to a new one.
//!
//! `IDLEWAY_SEED=n` replays one seed, `IDLEWAY_SEEDS=n` runs so many. A failing seed is printed.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

use idleway_core::{
    Arrival, Ask, BackendKey, BackendSpec, Collected, Core, Dispatcher, Effects, Grant, HealthPolicy, Held,
    Kept, Key, Lane, Mode, Outcome, PoolSpec, RetryPolicy, SlotId, Start, Ticket, Time, Until,
};

const CLIENTS: usize = 250;
const BACKENDS: u64 = 5;

#[test]
fn the_promises_hold_whatever_happens() {
    let number = |name| env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    let seeds = match number("IDLEWAY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("IDLEWAY_SEEDS").unwrap_or(100),
    };
    let mut served = 0;
    for seed in seeds.clone() {
        served += catch_unwind(AssertUnwindSafe(|| World::new(seed).run())).unwrap_or_else(|panic| {
            println!("IDLEWAY_SEED={seed} replays this");
            resume_unwind(panic)
        });
    }
    let clients = CLIENTS * seeds.count();
    assert!(served > clients / 4, "a simulation that serves {served} of {clients} shows little");
}

type Name = usize;
/// A connection knows where it leads to.
type Connection = BackendKey;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives(Name),
    /// The client closes its connection, wherever its request is.
    Leaves(Name),
    /// The gateway's patience with the backend ends.
    TimesOut(Name),
    /// The task that holds the permit is cancelled.
    Dropped(Name),
    /// Nobody knows any more whether the backend works for it.
    Doubted(Name),
    /// The backend ends its work.
    Ends(Name),
    Crashes(BackendKey),
    Returns(BackendKey),
    Probes(BackendKey),
    Reconfigures,
    /// Somebody else sends it work, and tells of it.
    Sends(BackendKey),
    /// A piece of that ends.
    EndsElsewhere(BackendKey),
    /// Who sent it is gone.
    FallsSilent(BackendKey),
    Cedes,
    Orders(BackendKey),
    Ticks,
}

/// What becomes of a client.
#[derive(Debug, Default)]
struct Client {
    key: Key,
    lane: Lane,
    avoid: Vec<BackendKey>,
    ticket: Option<Ticket>,
    /// The slot that the gateway holds for it.
    slot: Option<SlotId>,
    /// The backend that works for it: longer than the gateway holds the slot, where a permit was dropped.
    works: Option<BackendKey>,
    /// How often it was answered or gone; must end at one.
    ends: u32,
}

struct World {
    random: Random,
    now: Time,
    events: BinaryHeap<Reverse<(Time, usize, Event)>>,
    scheduled: usize,
    dispatcher: Dispatcher<Connection, Name>,
    clients: Vec<Client>,
    /// Those in the main lanes, in the order of their arrival.
    line: BTreeSet<(Time, Name)>,
    arrived: BTreeMap<Name, Time>,
    woken: VecDeque<Name>,
    /// Slots that rest without proof, and whose work is the doubt.
    doubts: BTreeMap<u32, Name>,
    limits: BTreeMap<BackendKey, u32>,
    health: HealthPolicy,
    /// The most slots of one key, since `reconfigure`.
    slots_per_key: Option<u32>,
    crashed: BTreeSet<BackendKey>,
    /// The work that others sent and tell of, and what is left of that of which nobody tells any more.
    elsewhere: BTreeMap<BackendKey, u32>,
    silent: BTreeMap<BackendKey, u32>,
    /// What the new process was told is not its own yet, since it is there.
    held: Option<BTreeMap<BackendKey, u32>>,
    /// When the driver means to wake up.
    driver: Option<Time>,
    served: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut spec = spec(&mut random);
        let start = random.one_of(&[
            Start::Idle,
            Start::Idle,
            Start::Unproven,
            Start::Until(Time::ZERO + Duration::from_millis(500)),
        ]);
        spec.backends.iter_mut().for_each(|backend| backend.start = start);
        let limits = limits(&spec);
        let (slots_per_key, health) = (spec.slots_per_key, spec.health);
        let clients = (0..CLIENTS).map(|_| {
            let key = Key(random.below(4));
            Client { key, lane: random.one_of(&Lane::ALL), ..Client::default() }
        });
        let clients = clients.collect();
        let mut world = Self {
            random,
            now: Time::ZERO,
            events: BinaryHeap::new(),
            scheduled: 0,
            dispatcher: Dispatcher::new(Time::ZERO, spec),
            clients,
            line: BTreeSet::new(),
            arrived: BTreeMap::new(),
            woken: VecDeque::new(),
            doubts: BTreeMap::new(),
            limits,
            health,
            slots_per_key,
            crashed: BTreeSet::new(),
            elsewhere: BTreeMap::new(),
            silent: BTreeMap::new(),
            held: None,
            driver: None,
            served: 0,
        };
        for name in 0..CLIENTS {
            world.within(5_000, Event::Arrives(name));
        }
        for key in (0..BACKENDS).map(BackendKey) {
            for event in [
                Event::Crashes(key),
                Event::Orders(key),
                Event::Orders(key),
                Event::Sends(key),
                Event::Sends(key),
                Event::FallsSilent(key),
            ] {
                world.within(5_000, event);
            }
            world.within(200, Event::Probes(key));
        }
        let reloads = world.random.one_of(&[6, 6, 6, 200]);
        (0..reloads).for_each(|_| world.within(5_000, Event::Reconfigures));
        if world.random.one_in(3) {
            world.within(7_000, Event::Cedes);
        }
        world
    }

    /// Runs until nothing more happens; answers how many were served.
    fn run(mut self) -> usize {
        while let Some(Reverse((time, _, event))) = self.events.pop() {
            self.now = time;
            self.happen(event);
            self.tell_heir();
            while let Some(name) = self.woken.pop_front() {
                self.look(name);
            }
            self.drive();
        }
        self.dispatcher.check_invariants();
        for (name, client) in self.clients.iter().enumerate() {
            assert_eq!(client.ends, 1, "client {name} ended so many times");
            assert!(client.slot.is_none() && client.works.is_none() && client.ticket.is_none());
        }
        let counts = self.dispatcher.counts();
        assert_eq!(
            (counts.idle, counts.waiting, counts.kept),
            (counts.slots, 0, 0),
            "all is quiet: {counts:?}"
        );
        if let Some(held) = self.held {
            assert_eq!((counts.slots, held.values().sum()), (0, 0), "all is given up");
        }
        self.served
    }

    /// The new process hears at once of each slot that it gets.
    fn tell_heir(&mut self) {
        while self.held.is_some() && self.dispatcher.has_untold() {
            let (held, effects) = self.dispatcher.take_held(self.now);
            self.carry_out(effects);
            for Held { backend, slots } in held {
                let before = self.held.as_mut().unwrap().insert(backend, slots);
                assert!(before.is_some_and(|before| slots <= before), "what is given up is not taken back");
            }
        }
    }

    /// The driver sleeps until the next deadline, and is late by a little.
    fn drive(&mut self) {
        let Some(due) = self.dispatcher.next_deadline() else {
            return;
        };
        let wakes = due.max(self.now) + Duration::from_micros(self.random.below(300));
        if self.driver.is_none_or(|planned| wakes < planned) {
            self.driver = Some(wakes);
            self.at(wakes, Event::Ticks);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrives(name) => self.ask(name),
            Event::Leaves(name) => self.leave(name),
            Event::TimesOut(name) => {
                if let Some(slot) = self.clients[name].slot.filter(|_| self.clients[name].ends == 0) {
                    self.clients[name].ends += 1;
                    self.dispatcher.linger(self.now, slot);
                }
            }
            Event::Dropped(name) => {
                if let Some(slot) = self.clients[name].slot.take() {
                    self.clients[name].ends = 1;
                    self.doubts.insert(slot.index, name);
                    let effects = self.dispatcher.rest(self.now, slot, Until::Proof);
                    self.carry_out(effects);
                }
            }
            Event::Doubted(name) => {
                if let Some(slot) = self.clients[name].slot {
                    self.clients[name].ends = 1;
                    let effects = self.dispatcher.doubt(self.now, slot);
                    self.carry_out(effects);
                }
            }
            Event::Ends(name) => {
                let outcomes = [Outcome::Success, Outcome::Success, Outcome::Success, Outcome::Poor];
                let outcome = self.random.one_of(&outcomes);
                match self.random.one_in(20) {
                    false => self.end(name, outcome),
                    true => self.withhold(name),
                }
            }
            Event::Crashes(key) => {
                self.crashed.insert(key);
                for name in 0..CLIENTS {
                    if self.clients[name].works == Some(key) {
                        self.end(name, Outcome::Ignored);
                    }
                }
                self.silent.remove(&key);
                self.tell_elsewhere(key, 0);
                self.within(800, Event::Returns(key));
            }
            Event::Returns(key) => _ = self.crashed.remove(&key),
            Event::Probes(key) => self.probe(key),
            Event::Reconfigures => {
                let mut spec = spec(&mut self.random);
                for backend in &mut spec.backends {
                    backend.start = Start::Elsewhere(self.elsewhere.get(&backend.key).copied().unwrap_or(0));
                }
                // Most reloads change other things.
                let health = self.health;
                self.health = if self.random.one_in(3) { spec.health } else { health };
                spec.health = self.health;
                self.limits = limits(&spec);
                self.slots_per_key = spec.slots_per_key;
                let effects = self.dispatcher.reconfigure(self.now, spec);
                self.carry_out(effects);
            }
            Event::Sends(key) => {
                let more = 1 + u32::try_from(self.random.below(3)).unwrap();
                (0..more).for_each(|_| self.within(500, Event::EndsElsewhere(key)));
                self.tell_elsewhere(key, self.elsewhere.get(&key).copied().unwrap_or(0) + more);
            }
            Event::EndsElsewhere(key) => match self.elsewhere.get(&key) {
                Some(&slots) if slots > 0 => self.tell_elsewhere(key, slots - 1),
                _ => _ = self.silent.entry(key).and_modify(|silent| *silent = silent.saturating_sub(1)),
            },
            Event::FallsSilent(key) => {
                // What does not fit into the slots is over with the one that sent it.
                let most = self.limits.get(&key).copied().unwrap_or(0);
                let there = self.elsewhere.get(&key).copied().unwrap_or(0);
                let gone = u32::try_from(self.random.below(u64::from(there) + 1)).unwrap();
                self.elsewhere.insert(key, there - gone);
                *self.silent.entry(key).or_default() += gone.min(most);
                let effects = self.dispatcher.doubt_elsewhere(self.now, key, gone);
                self.carry_out(effects);
            }
            Event::Cedes => {
                let (held, effects) = self.dispatcher.cede(self.now);
                self.held = Some(held.iter().map(|held| (held.backend, held.slots)).collect());
                self.carry_out(effects);
            }
            Event::Orders(key) => {
                let mode = self.random.one_of(&[Mode::Drain, Mode::Ready, Mode::Maintenance]);
                let effects = self.dispatcher.set_mode(self.now, key, mode);
                self.carry_out(effects);
                if mode != Mode::Ready {
                    self.within(1_000, Event::Orders(key));
                }
            }
            Event::Ticks => {
                self.driver = None;
                let effects = self.dispatcher.tick(self.now);
                self.carry_out(effects);
            }
        }
    }

    /// A request asks for a slot, the first time or for another attempt.
    fn ask(&mut self, name: Name) {
        let until = self.now + Duration::from_millis(self.random.below(1_500));
        let mut ask = Ask::new(Core(u16::try_from(self.random.below(3)).unwrap()), until);
        let Client { key, lane, ref avoid, .. } = self.clients[name];
        (ask.avoid, ask.key, ask.lane) = (avoid.clone(), key, lane);
        ask.weight = u32::try_from(key.0).unwrap();
        let is_retry = !ask.avoid.is_empty();
        let others_wait = self.flow(name).any(|name| !self.woken.contains(&name));
        let (arrival, displaced) = self.dispatcher.arrive(self.now, ask);
        self.woken.extend(displaced);
        match arrival {
            Arrival::Granted(grant) => {
                assert!(is_retry || !others_wait, "a newcomer overtakes {:?}", self.line);
                self.work(name, grant);
            }
            Arrival::Refused(_) => self.clients[name].ends += 1,
            Arrival::Queued(ticket) => {
                self.clients[name].ticket = Some(ticket);
                if !is_retry {
                    self.line.insert((self.now, name));
                    self.arrived.insert(name, self.now);
                }
                if self.random.one_in(4) {
                    self.within(1_000, Event::Leaves(name));
                }
                self.look(name);
            }
        }
    }

    /// One that stands in line looks whether its wait has ended.
    fn look(&mut self, name: Name) {
        let Some(ticket) = self.clients[name].ticket.take() else {
            return;
        };
        let (collected, spent) = self.dispatcher.collect(self.now, ticket, || name);
        assert!(spent.is_none_or(|spent| spent == name));
        match collected {
            Collected::Granted(grant) => {
                let first = self.flow(name).next();
                let place = self.step_out(name);
                assert!(
                    place.is_none() || first == Some(name),
                    "first come, first served: {first:?}, not {place:?}"
                );
                self.work(name, grant);
            }
            Collected::Refused(_) => {
                self.step_out(name);
                self.clients[name].ends += 1;
            }
            Collected::Waiting => self.clients[name].ticket = Some(ticket),
        }
    }

    /// A slot is granted: the request goes to the backend.
    fn work(&mut self, name: Name, grant: Grant<Connection>) {
        let key = grant.backend;
        assert!(grant.kept.is_none_or(|kept| kept.connection == key), "a connection of another backend");
        self.clients[name].slot = Some(grant.slot);
        let of_key = |client: &&Client| client.key == self.clients[name].key && client.slot.is_some();
        let held = self.clients.iter().filter(of_key).count();
        let most = self.slots_per_key.map_or(usize::MAX, |most| most.max(1) as usize);
        assert!(held <= most, "a key holds {held} of {most} slots");
        if self.crashed.contains(&key) {
            self.clients[name].avoid.push(key);
            let outcome = self.random.one_of(&[Outcome::Unreachable, Outcome::Failure]);
            let effects = self.give_back(name, outcome, None);
            self.carry_out(effects);
            if self.clients[name].avoid.len() < 3 {
                self.ask(name);
            } else {
                self.clients[name].ends += 1;
            }
            return;
        }
        let at_work = self.clients.iter().filter(|client| client.works == Some(key)).count();
        if let Some(held) = &self.held {
            let limit = held[&key] as usize;
            assert!(
                at_work < limit,
                "{key:?} has {at_work} at work, and the new process has all but {limit}"
            );
        } else {
            let limit = self.limits.get(&key).copied().unwrap_or(0) as usize;
            let [elsewhere, silent] =
                [&self.elsewhere, &self.silent].map(|sent| sent.get(&key).copied().unwrap_or(0) as usize);
            assert!(
                at_work + elsewhere + silent < limit,
                "{key:?} has {at_work} of {limit} at work, {elsewhere} and {silent} elsewhere, and gets one more"
            );
        }
        self.clients[name].works = Some(key);
        self.within(300, Event::Ends(name));
        match self.random.below(12) {
            0 => self.within(300, Event::TimesOut(name)),
            1 => self.within(300, Event::Leaves(name)),
            2 => self.within(300, Event::Dropped(name)),
            3 => {
                self.within(300, Event::Doubted(name));
                self.within(600, Event::Dropped(name));
            }
            _ => {}
        }
    }

    /// Somebody else has so much at work at a backend now.
    fn tell_elsewhere(&mut self, key: BackendKey, slots: u32) {
        self.elsewhere.insert(key, slots);
        let effects = self.dispatcher.set_elsewhere(self.now, key, slots);
        self.carry_out(effects);
    }

    /// The client is gone.
    fn leave(&mut self, name: Name) {
        if self.clients[name].ends > 0 {
            return;
        }
        self.clients[name].ends += 1;
        if let Some(slot) = self.clients[name].slot {
            self.dispatcher.linger(self.now, slot);
        } else if let Some(ticket) = self.clients[name].ticket.take() {
            self.step_out(name);
            let effects = self.dispatcher.leave(self.now, ticket);
            self.carry_out(effects);
        }
    }

    /// The backend ends its work, or dies.
    fn end(&mut self, name: Name, outcome: Outcome) {
        let Some(key) = self.clients[name].works.take() else {
            return;
        };
        if self.clients[name].slot.is_some() {
            if self.clients[name].ends == 0 {
                self.clients[name].ends += 1;
                self.served += usize::from(outcome == Outcome::Success);
            }
            let core = Core(u16::try_from(self.random.below(3)).unwrap());
            let keeps = outcome == Outcome::Success && self.random.one_in(2);
            let effects = self.give_back(name, outcome, keeps.then_some(Kept { connection: key, core }));
            self.carry_out(effects);
        }
    }

    /// The backend says that it is busy, and that it did nothing.
    fn withhold(&mut self, name: Name) {
        let Some(slot) = self.clients[name].slot.filter(|_| self.clients[name].ends == 0) else {
            return self.end(name, Outcome::Success);
        };
        let client = &mut self.clients[name];
        (client.works, client.slot) = (None, None);
        client.ends += 1;
        let until = self.now + Duration::from_millis(self.random.below(100));
        let effects = self.dispatcher.withhold(self.now, slot, until, None);
        self.carry_out(effects);
    }

    fn give_back(
        &mut self,
        name: Name,
        outcome: Outcome,
        kept: Option<Kept<Connection>>,
    ) -> Effects<Connection, Name> {
        let slot = self.clients[name].slot.take().expect("it holds a slot");
        self.dispatcher.release(self.now, slot, outcome, kept)
    }

    /// A proof succeeds where the backend lives and has ended the work that is in doubt; a probe where it lives.
    fn probe(&mut self, key: BackendKey) {
        if let Some(grant) = self.dispatcher.take_for_probe(self.now, key) {
            let has_crashed = self.crashed.contains(&key);
            let outcome = if has_crashed { Outcome::Unreachable } else { Outcome::Success };
            let effects = self.dispatcher.release(self.now, grant.slot, outcome, None);
            self.carry_out(effects);
        }
        if let Some(grant) = self.dispatcher.take_for_proof(self.now, key) {
            let doubt = self.doubts.get(&grant.slot.index).copied();
            let is_at_work = match doubt {
                Some(name) => self.clients[name].works.is_some(),
                None => self.silent.get(&key).is_some_and(|&silent| silent > 0),
            };
            let is_up = !is_at_work && !self.crashed.contains(&key);
            if is_up {
                self.doubts.remove(&grant.slot.index);
            }
            let outcome = if is_up { Outcome::Success } else { Outcome::Failure };
            let effects = self.dispatcher.release(self.now, grant.slot, outcome, None);
            self.carry_out(effects);
        }
        // Probes go on while anything else does, and until every doubt is settled.
        if self.events.len() > usize::try_from(BACKENDS).unwrap()
            || self.dispatcher.unproven(BackendKey(0)).is_some()
        {
            self.within(200, Event::Probes(key));
        }
    }

    /// The woken look in the order in which they were woken.
    fn carry_out(&mut self, effects: Effects<Connection, Name>) {
        self.woken.extend(effects.wakes);
    }

    /// Those in the main lanes that are in line with this one, in the order of their arrival.
    fn flow(&self, name: Name) -> impl Iterator<Item = Name> {
        let Client { key, lane, .. } = self.clients[name];
        let is_same = move |&name: &Name| (self.clients[name].key, self.clients[name].lane) == (key, lane);
        self.line.iter().map(|(_, name)| *name).filter(is_same)
    }

    /// Takes one out of the main lanes; answers where it stood.
    fn step_out(&mut self, name: Name) -> Option<(Time, Name)> {
        let place = (self.arrived.remove(&name)?, name);
        self.line.remove(&place);
        Some(place)
    }

    fn within(&mut self, millis: u64, event: Event) {
        let time = self.now + Duration::from_micros(self.random.below(millis * 1_000));
        self.at(time, event);
    }

    fn at(&mut self, time: Time, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((time, self.scheduled, event)));
    }
}

fn spec(random: &mut Random) -> PoolSpec {
    let mut backends = Vec::new();
    for key in (0..BACKENDS).map(BackendKey) {
        if !random.one_in(5) {
            let slots = u32::try_from(random.below(4)).unwrap();
            backends.push(BackendSpec::new(key, slots));
        }
    }
    PoolSpec {
        backends,
        queue_length: usize::try_from(random.below(30)).unwrap(),
        keep_idle: Duration::from_millis(random.below(400)),
        health: HealthPolicy {
            failures: u32::try_from(random.below(3)).unwrap(),
            pause: Duration::from_millis(50),
            pause_max: Duration::from_millis(400),
            jitter: 20,
            rise: u32::try_from(random.below(3)).unwrap(),
            fall: u32::try_from(random.below(3)).unwrap(),
            is_probed: random.one_in(2),
            every: Duration::ZERO,
            outlier: random.one_in(2).then_some(50),
            panic: random.one_of(&[0, 30, 100]),
            slow_start: Duration::from_millis(random.below(400)),
        },
        retries: RetryPolicy { budget: 20, floor: u32::try_from(random.below(10)).unwrap() },
        settle: Duration::from_millis(random.below(40).saturating_sub(20)),
        settle_broken: Duration::from_millis(random.below(40).saturating_sub(20)),
        fair: random.one_in(2),
        slots_per_key: random.one_in(2).then(|| u32::try_from(random.below(5)).unwrap()),
    }
}

fn limits(spec: &PoolSpec) -> BTreeMap<BackendKey, u32> {
    spec.backends.iter().map(|backend| (backend.key, backend.slots)).collect()
}

/// SplitMix64: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    fn one_of<T: Copy>(&mut self, among: &[T]) -> T {
        among[usize::try_from(self.below(among.len() as u64)).unwrap()]
    }
}
