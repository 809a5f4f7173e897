//! What the refused are told is true: who comes back at the told time is admitted, mostly.
//!
//! Clients arrive at random (an open loop), find slots, a place in the line, or a refusal with a time; the refused come
//! back at that time, a little late as networks are, until they are admitted or have come back five times. Counted are
//! the comings-back, and how many of them got a slot or a place.
//!
//! `IDLEWAY_SEED=n` replays one seed, `IDLEWAY_SEEDS=n` runs so many. A failing seed is printed. `--nocapture` shows
//! the shares.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

use idleway_core::{
    Arrival, Ask, BackendKey, BackendSpec, Collected, Core, Dispatcher, Effects, Key, Outcome, PoolSpec,
    SlotId, Ticket, Time,
};

const SLOTS: u32 = 4;
const LOADS: [f64; 3] = [0.7, 0.9, 1.3];
/// So often a client comes back.
const PATIENCE: u32 = 5;

/// How long work takes, in seconds.
#[derive(Clone, Copy, Debug)]
enum Work {
    Memoryless(f64),
    /// Nine of ten pieces are short, the tenth is long.
    TwoKinds(f64, f64),
    Equal(f64),
}

#[derive(Clone, Copy, Debug)]
struct Scene {
    work: Work,
    queue_length: usize,
    /// Of first arrivals, as a multiple of what the slots can do.
    load: f64,
    /// For how long clients arrive, in seconds.
    lasts: f64,
    has_one_key: bool,
}

/// What came of the comings-back.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    arrivals: u32,
    at_once: u32,
    back: u32,
    admitted: u32,
    lost: u32,
    longest: u64,
}

impl Tally {
    fn share(&self) -> f64 {
        f64::from(self.admitted) / f64::from(self.back.max(1))
    }
}

/// Fast and slow, even and uneven.
const WORKS: [Work; 5] = [
    Work::Memoryless(0.02),
    Work::Memoryless(1.0),
    Work::TwoKinds(0.005, 0.155),
    Work::TwoKinds(0.5, 15.5),
    Work::Equal(1.0),
];

/// Clients with a name each: at 70, 90 and 130 % load at least four of five that come back are admitted.
#[test]
fn who_comes_back_at_the_told_time_is_admitted() {
    for work in WORKS {
        for queue_length in [8, 20] {
            let tallies = LOADS.map(|load| tally(work, queue_length, load, false));
            for (load, tally) in LOADS.into_iter().zip(tallies) {
                let (share, back) = (tally.share(), tally.back);
                // Of a handful of comings-back nothing can be said.
                assert!(back < 20 || share >= 0.8, "{work:?}, {queue_length} wait, load {load}: {tally:?}");
            }
            assert!(
                tallies[2].back > 100,
                "an overload that nobody is refused in shows nothing: {tallies:?}"
            );
        }
    }
}

/// All clients behind one name: who was promised cannot be told from who was not. What is reached is printed; held to
/// the same share is only what an open line reaches by itself.
#[test]
fn behind_one_name_the_line_alone_decides() {
    for work in WORKS {
        let tallies = LOADS.map(|load| tally(work, 8, load, true));
        if work.mean() < 0.1 {
            assert!(tallies[0].back > 0 && tallies[0].share() >= 0.8, "{work:?}: {:?}", tallies[0]);
        }
    }
}

/// Without a queue nothing can be kept: what is reached is what the slots have idle. Where the told time is long beside
/// the work, that is the share of all arrivals, the first and the further ones, that Erlang's formula leaves.
#[test]
fn without_a_queue_idle_slots_alone_decide() {
    for work in WORKS {
        let tallies = LOADS.map(|load| tally(work, 0, load, false));
        if work.mean() < 0.1 {
            assert!(tallies[0].share() >= 0.6, "{work:?}: {:?}", tallies[0]);
        }
    }
}

/// Some runs together.
fn tally(work: Work, queue_length: usize, load: f64, has_one_key: bool) -> Tally {
    // Five minutes; where much is served in a second, a few thousand arrivals.
    let lasts = if work.mean() < 0.1 { 15.0 } else { 300.0 };
    let scene = Scene { work, queue_length, load, lasts, has_one_key };
    let mut all = Tally::default();
    for seed in seeds() {
        let run = catch_unwind(AssertUnwindSafe(|| World::new(scene, seed).run())).unwrap_or_else(|panic| {
            println!("IDLEWAY_SEED={seed} replays this");
            resume_unwind(panic)
        });
        all.arrivals += run.arrivals;
        all.at_once += run.at_once;
        all.back += run.back;
        all.admitted += run.admitted;
        all.lost += run.lost;
        all.longest = all.longest.max(run.longest);
    }
    println!("{scene:?}, seeds {:?}: {:.3} of {} back, {all:?}", seeds(), all.share(), all.back);
    all
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name| env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    match number("IDLEWAY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("IDLEWAY_SEEDS").unwrap_or(3),
    }
}

type Name = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives,
    ComesBack(Name, u32),
    Ends(u32),
}

struct World {
    scene: Scene,
    random: Random,
    now: Time,
    events: BinaryHeap<Reverse<(Time, u32, Event)>>,
    scheduled: u32,
    dispatcher: Dispatcher<(), Name>,
    waiting: BTreeMap<Name, Ticket>,
    at_work: BTreeMap<u32, SlotId>,
    tally: Tally,
}

impl World {
    fn new(scene: Scene, seed: u64) -> Self {
        let spec = PoolSpec {
            backends: (0..SLOTS).map(|key| BackendSpec::new(BackendKey(key.into()), 1)).collect(),
            queue_length: scene.queue_length,
            keep_idle: Duration::ZERO,
            ..PoolSpec::default()
        };
        let mut world = Self {
            scene,
            random: Random(seed),
            now: Time::ZERO,
            events: BinaryHeap::new(),
            scheduled: 0,
            dispatcher: Dispatcher::new(Time::ZERO, spec),
            waiting: BTreeMap::new(),
            at_work: BTreeMap::new(),
            tally: Tally::default(),
        };
        world.within(0.0, Event::Arrives);
        world
    }

    fn run(mut self) -> Tally {
        while let Some(Reverse((time, _, event))) = self.events.pop() {
            self.now = time;
            match event {
                Event::Arrives => self.arrive(),
                Event::ComesBack(name, times) => self.ask(name, times),
                Event::Ends(work) => {
                    let slot = self.at_work.remove(&work).unwrap();
                    let effects = self.dispatcher.release(self.now, slot, Outcome::Success, None);
                    self.carry_out(effects);
                }
            }
        }
        let counts = self.dispatcher.counts();
        assert_eq!((counts.idle, counts.waiting), (SLOTS.into(), 0), "all is quiet");
        self.tally
    }

    fn arrive(&mut self) {
        let name = self.tally.arrivals;
        self.tally.arrivals += 1;
        self.ask(name, 0);
        let rate = self.scene.load * f64::from(SLOTS) / self.scene.work.mean();
        let next = self.random.memoryless(1.0 / rate);
        if self.now + Duration::from_secs_f64(next) < Time::ZERO + Duration::from_secs_f64(self.scene.lasts) {
            self.within(next, Event::Arrives);
        }
    }

    /// Asks for the first time, or for the `times`th time again.
    fn ask(&mut self, name: Name, times: u32) {
        let mut ask = Ask::new(Core(0), Time::NEVER);
        ask.key = Key(if self.scene.has_one_key { 0 } else { name.into() });
        let (arrival, displaced) = self.dispatcher.arrive(self.now, ask);
        assert!(displaced.is_none(), "all are alike");
        let is_admitted = match arrival {
            Arrival::Granted(grant) => {
                self.work(grant.slot);
                true
            }
            Arrival::Queued(ticket) => {
                self.waiting.insert(name, ticket);
                let (collected, _) = self.dispatcher.collect(self.now, ticket, || name);
                assert!(matches!(collected, Collected::Waiting));
                true
            }
            Arrival::Refused(refusal) => {
                let told = refusal.retry_after;
                self.tally.longest = self.tally.longest.max(told.as_secs());
                if times == PATIENCE {
                    self.tally.lost += 1;
                } else {
                    let late = 0.1 * self.random.part();
                    self.within(told.as_secs_f64() + late, Event::ComesBack(name, times + 1));
                }
                false
            }
        };
        if times > 0 {
            self.tally.back += 1;
            self.tally.admitted += u32::from(is_admitted);
        } else {
            self.tally.at_once += u32::from(is_admitted);
        }
    }

    fn work(&mut self, slot: SlotId) {
        let work = self.scheduled;
        self.at_work.insert(work, slot);
        let seconds = self.scene.work.draw(&mut self.random);
        self.within(seconds, Event::Ends(work));
    }

    fn carry_out(&mut self, effects: Effects<(), Name>) {
        for name in effects.wakes {
            let ticket = self.waiting.remove(&name).unwrap();
            match self.dispatcher.collect(self.now, ticket, || name) {
                (Collected::Granted(grant), _) => self.work(grant.slot),
                other => panic!("woken for nothing: {other:?}"),
            }
        }
    }

    fn within(&mut self, seconds: f64, event: Event) {
        self.scheduled += 1;
        let time = self.now + Duration::from_secs_f64(seconds);
        self.events.push(Reverse((time, self.scheduled, event)));
    }
}

impl Work {
    fn mean(self) -> f64 {
        match self {
            Self::Memoryless(mean) | Self::Equal(mean) => mean,
            Self::TwoKinds(short, long) => 0.9 * short + 0.1 * long,
        }
    }

    fn draw(self, random: &mut Random) -> f64 {
        match self {
            Self::Memoryless(mean) => random.memoryless(mean),
            Self::Equal(time) => time,
            Self::TwoKinds(short, long) => {
                if random.part() < 0.9 {
                    short
                } else {
                    long
                }
            }
        }
    }
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

    /// From 0 to 1, both excluded.
    fn part(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn memoryless(&mut self, mean: f64) -> f64 {
        -mean * self.part().ln()
    }
}
