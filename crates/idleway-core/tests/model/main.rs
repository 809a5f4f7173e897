//! Random calls against a naive model of the same promises.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod condition;
mod naive;
mod site;

use std::{collections::BTreeMap, time::Duration};

use idleway_core::{
    Arrival, Ask, BackendKey, BackendSpec, Collected, Core, Dispatcher, Effects, Grant, HealthPolicy, Held,
    Kept, Key, Lane, Mode, Outcome, PoolSpec, Reason, RetryPolicy, SlotId, Start, Ticket, Time, Until,
};
use naive::{Choice, Connection, Expected, Naive, Name, Standing};
use proptest::prelude::*;

/// All durations are multiples of this, and call number `n` happens `n` nanoseconds after such a multiple: so no two
/// things of one kind are due at the same moment, and the model needs no rule for that.
const UNIT: u64 = 4096;
const KEYS: u64 = 4;
/// A little less than what a lane counts for.
const AGEING: u64 = 10_000_000_000 / UNIT;

#[derive(Clone, Debug)]
enum Call {
    Arrive {
        ask: Ask,
        wait: Option<u64>,
        looks: bool,
    },
    Look(usize),
    Leave(usize),
    Linger(usize),
    Doubt(usize),
    Report(usize, Outcome),
    Release {
        which: usize,
        outcome: Outcome,
        keeps: bool,
    },
    Rest {
        which: usize,
        time: Option<u64>,
    },
    Pass {
        units: u64,
        ticks: bool,
    },
    /// `keeps`: the health policy and the rules for keys stay as they are.
    Reconfigure {
        spec: PoolSpec,
        keeps: bool,
    },
    Observe(BackendKey, Outcome),
    Withhold {
        which: usize,
        units: u64,
        keeps: bool,
    },
    Prove(BackendKey),
    SetMode(BackendKey, Mode),
    Probe(BackendKey),
    SetElsewhere(BackendKey, u32),
    DoubtElsewhere(BackendKey, u32),
    Watch(BackendKey),
    TakeHeld,
    Cede,
    Close,
}

fn key() -> impl Strategy<Value = BackendKey> {
    (0..KEYS).prop_map(BackendKey)
}

fn pool() -> impl Strategy<Value = PoolSpec> {
    let start = prop_oneof![
        6 => Just(Start::Idle),
        1 => (0_u32..6).prop_map(Start::Elsewhere),
        1 => Just(Start::Unproven),
        // So many units after now.
        1 => (0_u64..5).prop_map(|units| Start::Until(Time::from_nanos(units * UNIT))),
    ];
    let backends = prop::collection::btree_map(key(), (0_u32..4, start), 0..=4);
    let often = (1_u32..3, 1_u32..3, 1_u32..3);
    let health = (often, 1_u64..4, any::<bool>(), prop::sample::select(vec![0, 50, 100]), 0_u64..9);
    let health =
        health.prop_map(|((failures, rise, fall), pause, is_probed, panic, slow_start)| HealthPolicy {
            failures,
            pause: Duration::from_nanos(pause * UNIT),
            pause_max: Duration::from_nanos(6 * UNIT),
            jitter: 0,
            rise,
            fall,
            is_probed,
            every: Duration::ZERO,
            // Its own tests compare backends.
            outlier: None,
            panic,
            slow_start: Duration::from_nanos(slow_start.saturating_sub(3) * 6 * UNIT),
        });
    let retries = prop_oneof![
        4 => Just(RetryPolicy::default()),
        1 => (0_u32..100, 0_u32..2).prop_map(|(budget, floor)| RetryPolicy { budget, floor }),
    ];
    let keys = (any::<bool>(), prop::option::of(0_u32..4));
    let settle = || prop_oneof![2 => Just(0_u64), 1 => 1_u64..4];
    let times = (0_u64..6, settle(), settle());
    let all = (backends, 0_usize..9, times, health, retries, keys);
    all.prop_map(|(backends, queue_length, times, health, retries, keys)| {
        let ((keep_idle, settle, settle_broken), (fair, slots_per_key)) = (times, keys);
        PoolSpec {
            backends: backends
                .into_iter()
                .map(|(key, (slots, start))| BackendSpec { key, slots, start })
                .collect(),
            queue_length,
            keep_idle: Duration::from_nanos(keep_idle * UNIT),
            health,
            retries,
            settle: Duration::from_nanos(settle * UNIT),
            settle_broken: Duration::from_nanos(settle_broken * UNIT),
            fair,
            slots_per_key,
        }
    })
}

fn call() -> impl Strategy<Value = Call> {
    let outcome = || {
        prop_oneof![
            5 => Just(Outcome::Success),
            1 => Just(Outcome::Poor),
            1 => Just(Outcome::Silent),
            2 => Just(Outcome::Failure),
            1 => Just(Outcome::Unreachable),
            2 => Just(Outcome::Ignored),
        ]
    };
    let avoid = prop_oneof![3 => Just(Vec::new()), 2 => prop::collection::vec(key(), 1..3)];
    // Core 64 is of the class of core 0.
    let near = prop::sample::select(vec![0_u16, 1, 2, 64]);
    let wait = prop_oneof![Just(None), (0_u64..12).prop_map(Some)];
    let mode = prop::sample::select(vec![Mode::Ready, Mode::Ready, Mode::Drain, Mode::Maintenance]);
    let which = any::<usize>();
    let name = (0_u64..4, 0_u32..4, prop::sample::select(Lane::ALL.to_vec()));
    let was_in_line = prop::bool::weighted(0.2);
    let ask = (near, avoid, name, was_in_line).prop_map(|(near, avoid, (key, weight, lane), was_in_line)| {
        let mut ask = Ask::new(Core(near), Time::NEVER);
        ask.was_in_line = was_in_line;
        (ask.avoid, ask.key, ask.weight, ask.lane) = (avoid, Key(key), weight, lane);
        ask
    });
    let units = prop_oneof![9 => 0_u64..4, 1 => AGEING - 2..AGEING + 3];
    prop_oneof![
        200 => (ask, wait, any::<bool>()).prop_map(|(ask, wait, looks)| Call::Arrive { ask, wait, looks }),
        40 => which.prop_map(Call::Look),
        30 => which.prop_map(Call::Leave),
        20 => which.prop_map(Call::Linger),
        15 => which.prop_map(Call::Doubt),
        25 => (which, outcome()).prop_map(|(which, outcome)| Call::Report(which, outcome)),
        140 => (which, outcome(), any::<bool>())
            .prop_map(|(which, outcome, keeps)| Call::Release { which, outcome, keeps }),
        30 => (which, prop::option::of(0_u64..5)).prop_map(|(which, time)| Call::Rest { which, time }),
        70 => (units, any::<bool>()).prop_map(|(units, ticks)| Call::Pass { units, ticks }),
        30 => (pool(), any::<bool>()).prop_map(|(spec, keeps)| Call::Reconfigure { spec, keeps }),
        20 => (key(), outcome()).prop_map(|(key, outcome)| Call::Observe(key, outcome)),
        15 => (which, 0_u64..5, any::<bool>())
            .prop_map(|(which, units, keeps)| Call::Withhold { which, units, keeps }),
        20 => key().prop_map(Call::Prove),
        20 => (key(), mode).prop_map(|(key, mode)| Call::SetMode(key, mode)),
        30 => key().prop_map(Call::Probe),
        30 => (key(), 0_u32..6).prop_map(|(key, slots)| Call::SetElsewhere(key, slots)),
        8 => (key(), 0_u32..6).prop_map(|(key, slots)| Call::DoubtElsewhere(key, slots)),
        15 => key().prop_map(Call::Watch),
        30 => Just(Call::TakeHeld),
        2 => Just(Call::Cede),
        1 => Just(Call::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_dispatcher_does_what_the_model_says(spec in pool(), calls in prop::collection::vec(call(), 1..150)) {
        let mut test = Test::new(spec);
        for (number, call) in (1..).zip(calls) {
            test.pass(number);
            test.call(call);
        }
    }
}

/// The dispatcher and its model, side by side.
struct Test {
    real: Real,
    naive: Naive,
    units: u64,
    names: Name,
    connections: Connection,
}

/// The dispatcher, with what its callers hold.
struct Real {
    dispatcher: Dispatcher<Connection, Name>,
    tickets: BTreeMap<Name, Ticket>,
    at_work: BTreeMap<Name, SlotId>,
    /// What rests, by the index of its slot: a probe may take it over.
    resting: BTreeMap<u32, Name>,
}

impl Real {
    /// Looks after the ticket of one that the model says is granted.
    fn collect(&mut self, now: Time, name: Name) -> Choice {
        let ticket = self.tickets.remove(&name).expect("it waits");
        match self.dispatcher.collect(now, ticket, || name) {
            (Collected::Granted(grant), None) => self.hold(name, grant),
            other => panic!("{name} has a right to a slot: {other:?}"),
        }
    }

    fn hold(&mut self, name: Name, grant: Grant<Connection>) -> Choice {
        self.at_work.insert(name, grant.slot);
        (grant.backend, grant.kept.map(|kept| kept.connection))
    }
}

impl Test {
    fn new(spec: PoolSpec) -> Self {
        let spec = from_now(Time::ZERO, spec);
        let dispatcher = Dispatcher::new(Time::ZERO, spec.clone());
        let (tickets, at_work, resting) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let real = Real { dispatcher, tickets, at_work, resting };
        Self { real, naive: Naive::new(Time::ZERO, spec), units: 0, names: 0, connections: 0 }
    }

    fn pass(&mut self, number: u64) {
        self.naive.now = Time::from_nanos(self.units * UNIT + number);
    }

    fn call(&mut self, call: Call) {
        let now = self.naive.now;
        match call {
            Call::Arrive { mut ask, wait, looks } => {
                ask.until = wait.map_or(Time::NEVER, |units| now + Duration::from_nanos(units * UNIT));
                self.arrive(&ask, looks);
            }
            Call::Look(which) => {
                if let Some(name) = pick(&self.real.tickets, which) {
                    self.look(name);
                }
            }
            Call::Leave(which) => {
                if let Some(name) = pick(&self.real.tickets, which) {
                    let mut effects =
                        self.real.dispatcher.leave(now, self.real.tickets.remove(&name).unwrap());
                    let spent =
                        self.naive.leave(name, &mut |name| self.real.collect(now, name)).then_some(name);
                    assert_eq!(effects.spent.take(), spent);
                    self.compare(effects);
                }
            }
            Call::Linger(which) => {
                if let Some(name) = pick(&self.real.at_work, which) {
                    self.real.dispatcher.linger(now, self.real.at_work[&name]);
                    self.naive.linger(name);
                }
            }
            Call::Doubt(which) => {
                if let Some(name) = pick(&self.real.at_work, which) {
                    let effects = self.real.dispatcher.doubt(now, self.real.at_work[&name]);
                    self.naive.doubt(name, &mut |name| self.real.collect(now, name));
                    self.compare(effects);
                }
            }
            Call::Report(which, outcome) => {
                if let Some(name) = pick(&self.real.at_work, which) {
                    let effects = self.real.dispatcher.report(now, self.real.at_work[&name], outcome);
                    self.naive.report(name, outcome, &mut |name| self.real.collect(now, name));
                    self.compare(effects);
                }
            }
            Call::Release { which, outcome, keeps } => {
                if let Some(name) = pick(&self.real.at_work, which) {
                    self.release(name, outcome, keeps);
                }
            }
            Call::Rest { which, time } => {
                if let Some(name) = pick(&self.real.at_work, which) {
                    let until = time
                        .map_or(Until::Proof, |units| Until::Time(now + Duration::from_nanos(units * UNIT)));
                    let slot = self.real.at_work.remove(&name).unwrap();
                    self.real.resting.insert(slot.index, name);
                    let effects = self.real.dispatcher.rest(now, slot, until);
                    self.naive.rest(name, until, &mut |name| self.real.collect(now, name));
                    self.compare(effects);
                }
            }
            Call::Withhold { which, units, keeps } => {
                if let Some(name) = pick(&self.real.at_work, which) {
                    self.withhold(name, now + Duration::from_nanos(units * UNIT), keeps);
                }
            }
            Call::Pass { units, ticks } => {
                self.units += units;
                if ticks {
                    self.tick();
                }
            }
            _ => self.order(call),
        }
        self.naive.assert_counts(self.real.dispatcher.counts());
        assert_eq!(self.real.dispatcher.next_deadline(), self.naive.next_deadline());
        assert_eq!(self.real.dispatcher.awaiting_probe(BackendKey(0)), self.naive.awaiting_probe());
        assert_eq!(self.real.dispatcher.has_untold(), self.naive.has_untold());
    }

    fn take_held(&mut self) {
        let (held, effects) = self.real.dispatcher.take_held(self.naive.now);
        let (wakes, closed) = split(effects);
        self.naive.closed.extend(&closed);
        assert_eq!(listed(&held), self.naive.take_held(&closed));
        assert!(!self.real.dispatcher.has_untold());
        self.compare_lists(&wakes, closed);
    }

    fn order(&mut self, call: Call) {
        let now = self.naive.now;
        let effects = match call {
            Call::Reconfigure { spec, keeps } => {
                let mut spec = from_now(now, spec);
                if keeps {
                    let PoolSpec { health, fair, slots_per_key, .. } = *self.naive.spec();
                    (spec.health, spec.fair, spec.slots_per_key) = (health, fair, slots_per_key);
                }
                let effects = self.real.dispatcher.reconfigure(now, spec.clone());
                let (wakes, closed) = split(effects);
                self.naive.closed.extend(&closed);
                self.naive.reconfigure(spec, &closed, &mut |name| self.real.collect(now, name));
                self.compare_lists(&wakes, closed);
                return;
            }
            Call::SetElsewhere(key, slots) => {
                let (wakes, closed) = split(self.real.dispatcher.set_elsewhere(now, key, slots));
                self.naive.closed.extend(&closed);
                self.naive
                    .set_elsewhere(key, slots as usize, &closed, &mut |name| self.real.collect(now, name));
                self.compare_lists(&wakes, closed);
                return;
            }
            Call::DoubtElsewhere(key, slots) => {
                let effects = self.real.dispatcher.doubt_elsewhere(now, key, slots);
                self.naive.doubt_elsewhere(key, slots as usize, &mut |name| self.real.collect(now, name));
                effects
            }
            Call::Watch(key) => {
                assert_eq!(self.real.dispatcher.watch(key) as usize, self.naive.watch(key));
                Effects::none()
            }
            Call::TakeHeld => return self.take_held(),
            Call::Cede => {
                let (held, effects) = self.real.dispatcher.cede(now);
                let (wakes, closed) = split(effects);
                self.naive.closed.extend(&closed);
                assert_eq!(listed(&held), self.naive.cede(&closed));
                self.compare_lists(&wakes, closed);
                return;
            }
            Call::Observe(key, outcome) => {
                let effects = self.real.dispatcher.observe(now, key, outcome);
                self.naive.observe(key, outcome, &mut |name| self.real.collect(now, name));
                effects
            }
            Call::SetMode(key, mode) => {
                let effects = self.real.dispatcher.set_mode(now, key, mode);
                self.naive.set_mode(key, mode, &mut |name| self.real.collect(now, name));
                effects
            }
            Call::Probe(key) => {
                let name = self.name();
                let grant = self.real.dispatcher.take_for_probe(now, key);
                let kept = grant.as_ref().and_then(|grant| grant.kept.as_ref()).map(|kept| kept.connection);
                assert_eq!(self.naive.probe(key, name, kept), grant.is_some());
                grant.map(|grant| self.real.hold(name, grant));
                Effects::none()
            }
            Call::Prove(key) => {
                let name = self.name();
                let grant = self.real.dispatcher.take_for_proof(now, key);
                let probed =
                    grant.as_ref().and_then(|grant| self.real.resting.get(&grant.slot.index).copied());
                assert_eq!(self.naive.prove(key, name, probed), grant.is_some());
                grant.map(|grant| self.real.hold(name, grant));
                Effects::none()
            }
            Call::Close => {
                self.naive.close();
                self.real.dispatcher.close(now)
            }
            _ => unreachable!("a verb of requests"),
        };
        self.compare(effects);
    }

    fn arrive(&mut self, ask: &Ask, looks: bool) {
        let (now, name) = (self.naive.now, self.name());
        let waiting_before = self.real.dispatcher.counts().waiting;
        let (arrival, displaced) = self.real.dispatcher.arrive(now, ask.clone());
        let (answer, choice) = match arrival {
            Arrival::Granted(grant) => (Expected::Granted, Some(self.real.hold(name, grant))),
            Arrival::Refused(refusal) => {
                let told = refusal.retry_after;
                assert!((1..=3600).contains(&told.as_secs()) && told.subsec_nanos() == 0, "{told:?}");
                (Expected::Refused(refusal.reason), None)
            }
            Arrival::Queued(ticket) => {
                self.real.tickets.insert(name, ticket);
                (Expected::Queued, None)
            }
        };
        // Which places are kept for promises the model does not know, only when and how many may be.
        let made_room = answer == Expected::Queued && self.real.dispatcher.counts().waiting == waiting_before;
        let found_full = made_room || answer == Expected::Refused(Reason::QueueFull);
        let expected = self
            .naive
            .arrive(name, ask, found_full, &mut |_| choice.expect("a slot is idle and may be used"));
        assert_eq!(answer, expected);
        assert_eq!(displaced, self.naive.displaced.take());
        if looks && answer == Expected::Queued {
            self.look(name);
        }
    }

    fn look(&mut self, name: Name) {
        let now = self.naive.now;
        let ticket = self.real.tickets.remove(&name).unwrap();
        let (collected, _) = self.real.dispatcher.collect(now, ticket, || name);
        let standing = match collected {
            Collected::Granted(grant) => Standing::Granted(self.real.hold(name, grant)),
            Collected::Refused(refusal) => Standing::Over(refusal.reason),
            Collected::Waiting => {
                self.real.tickets.insert(name, ticket);
                Standing::Waiting
            }
        };
        assert_eq!(standing, self.naive.look(name));
    }

    fn release(&mut self, name: Name, outcome: Outcome, keeps: bool) {
        let now = self.naive.now;
        let kept = self.kept(keeps);
        let slot = self.real.at_work.remove(&name).unwrap();
        // A proof that fails puts this name to rest.
        self.real.resting.insert(slot.index, name);
        let effects = self.real.dispatcher.release(now, slot, outcome, kept());
        self.naive.release(name, outcome, kept().as_ref(), &mut |name| self.real.collect(now, name));
        self.compare(effects);
    }

    fn withhold(&mut self, name: Name, until: Time, keeps: bool) {
        let now = self.naive.now;
        let kept = self.kept(keeps);
        let slot = self.real.at_work.remove(&name).unwrap();
        let effects = self.real.dispatcher.withhold(now, slot, until, kept());
        self.naive.withhold(name, until, kept().as_ref(), &mut |name| self.real.collect(now, name));
        self.compare(effects);
    }

    fn kept(&mut self, keeps: bool) -> impl Fn() -> Option<Kept<Connection>> + use<> {
        self.connections += 1;
        let connection = self.connections;
        move || keeps.then_some(Kept { connection, core: core_of(connection) })
    }

    fn tick(&mut self) {
        let now = self.naive.now;
        let (mut wakes, mut closed) = (Vec::new(), Vec::new());
        loop {
            let (more_wakes, more_closed) = split(self.real.dispatcher.tick(now));
            wakes.extend(more_wakes);
            closed.extend(more_closed);
            if self.real.dispatcher.next_deadline().is_none_or(|due| due > now) {
                break;
            }
        }
        self.naive.tick(&mut |name| self.real.collect(now, name));
        self.compare_lists(&wakes, closed);
    }

    fn name(&mut self) -> Name {
        self.names += 1;
        self.names
    }

    fn compare(&mut self, effects: Effects<Connection, Name>) {
        let (wakes, closed) = split(effects);
        self.compare_lists(&wakes, closed);
    }

    /// Who is woken, in order, and what is closed.
    fn compare_lists(&mut self, wakes: &[Name], mut closed: Vec<Connection>) {
        assert_eq!(wakes, std::mem::take(&mut self.naive.woken));
        let mut expected = std::mem::take(&mut self.naive.closed);
        closed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(closed, expected);
    }
}

/// A spec says how long from now its slots rest. No two backends of it do so for equally long.
fn from_now(now: Time, mut spec: PoolSpec) -> PoolSpec {
    for backend in &mut spec.backends {
        if let Start::Until(end) = &mut backend.start {
            let offset = 512 * (1 + backend.key.0);
            *end = now + Duration::from_nanos(end.as_nanos() + offset);
        }
    }
    spec
}

fn listed(held: &[Held]) -> Vec<(BackendKey, usize)> {
    held.iter().map(|held| (held.backend, held.slots as usize)).collect()
}

/// A connection stays on the core where it was made.
fn core_of(connection: Connection) -> Core {
    Core(u16::try_from(connection % 3).unwrap())
}

fn split(effects: Effects<Connection, Name>) -> (Vec<Name>, Vec<Connection>) {
    assert!(effects.spent.is_none());
    (effects.wakes.into_iter().collect(), effects.closed.into_iter().collect())
}

/// One of those in the map, by a random number.
fn pick<T>(among: &BTreeMap<Name, T>, which: usize) -> Option<Name> {
    among.keys().nth(which % among.len().max(1)).copied()
}
