//! Backends that live, die, hang and come back, for hours of simulated time: who is taken out, how soon, and how soon it
//! serves again.
//!
//! Requests arrive at random and stand in a line, patiently; each backend is probed every 2 s where it has an idle slot,
//! and out of turn while it cannot be reached. What is expected of a backend is noted when something becomes of it, and
//! looked after when it is due.
//!
//! `IDLEWAY_SEED=n` replays one seed, `IDLEWAY_SEEDS=n` runs so many. A failing seed is printed.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used, reason = "a test fails by panicking")]

mod random;
mod site;
mod world;

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

use idleway_core::{Cause, HealthPolicy, RetryPolicy, Time};
use random::Work;
use site::Condition;
use world::{Event, Scene, World};

const SECOND: Duration = Duration::from_secs(1);

/// What a pool with probes is configured with where nothing is said.
const HEALTH: HealthPolicy = HealthPolicy {
    failures: 3,
    pause: Duration::from_millis(100),
    pause_max: Duration::from_secs(5),
    jitter: 20,
    rise: 1,
    fall: 2,
    is_probed: true,
    every: Duration::ZERO,
    outlier: Some(50),
    panic: 10,
    slow_start: Duration::from_secs(4),
};

/// Eight backends with work that is short, and no more of it than they can do.
const SCENE: Scene = Scene {
    slots: &[1, 2, 3, 4, 1, 2, 3, 4],
    health: HEALTH,
    retries: RetryPolicy { budget: 20, floor: 10 },
    work: Work::Short,
    load: 0.6,
    timeout: Duration::from_secs(100),
    poor: 0,
    lasts: Duration::from_secs(60),
};

/// Whether the slots are mostly idle or never, whether the clients wait for the work or give up so early that whole
/// backends linger, and whatever share of the answers is poor: a backend that lives is never taken out.
#[test]
fn nobody_that_lives_is_taken_out() {
    let scenes = [
        (None, 0, Work::Long, 1.2, 70),
        (Some(50), 30, Work::OfAllLengths, 1.2, 70),
        (Some(50), 0, Work::Long, 0.6, 5),
        (Some(50), 20, Work::OfAllLengths, 0.6, 70),
        (Some(50), 60, Work::OfAllLengths, 1.2, 5),
    ];
    for_seeds(4, |seed| {
        let (outlier, poor, work, load, timeout) = scenes[usize::try_from(seed).unwrap() % scenes.len()];
        let health = HealthPolicy { outlier, ..HEALTH };
        let scene =
            Scene { health, work, load, timeout: SECOND * timeout, poor, lasts: SECOND * 3600, ..SCENE };
        let World { changes, tally, .. } = World::new(scene.clone(), seed).run();
        println!("{scene:?}: {tally:?}");
        assert!(changes.is_empty(), "{changes:?}");
        assert!(tally.silent > 0 && tally.all_linger > 0 && tally.probes > 100, "shows little: {tally:?}");
    });
}

/// Backends die, or take no connections while they work on: each is down within a second, and serves again as soon as it
/// can be reached.
#[test]
fn who_cannot_be_reached_is_down_at_once_and_back_at_once() {
    // With idle slots, and with none: then also with work that is as long as a slow start.
    let scenes = [(0.5, Work::Short), (1.3, Work::Short), (1.3, Work::OfAllLengths)];
    for_seeds(3, |seed| {
        let (load, work) = scenes[usize::try_from(seed).unwrap() % scenes.len()];
        let mut world = World::new(Scene { load, work, ..SCENE }, seed);
        for half in [0, 4] {
            let mut time = SECOND * 5;
            while time < world.scene.lasts {
                let at = half + usize::try_from(world.random.below(4)).unwrap();
                let trouble = world.random.one_of(&[Condition::Dead, Condition::Refuses]);
                world.at(Time::ZERO + time, Event::Turns(at, trouble));
                time += world.random.millis(200, 9000);
                world.at(Time::ZERO + time, Event::Turns(at, Condition::Lives));
                time += world.random.millis(1000, 6000);
            }
        }
        let tally = world.run().tally;
        println!("{tally:?}");
        assert!(tally.fulfilled > 10, "shows little: {tally:?}");
    });
}

/// Backends that take connections and answer none are found by probes where they have an idle slot. They are restarted.
#[test]
fn who_hangs_is_down_after_its_probes() {
    for_seeds(4, |seed| {
        let mut world = World::new(Scene { load: 0.02, timeout: SECOND * 3, ..SCENE }, seed);
        let mut time = SECOND * 5;
        while time < world.scene.lasts {
            let at = usize::try_from(world.random.below(8)).unwrap();
            for (condition, lasts) in
                [(Condition::Hangs, 8000), (Condition::Dead, 1000), (Condition::Lives, 8000)]
            {
                world.at(Time::ZERO + time, Event::Turns(at, condition));
                time += world.random.millis(lasts, 2 * lasts);
            }
        }
        let world = world.run();
        println!("{:?}", world.tally);
        let found = world.changes.iter().filter(|change| change.cause == Cause::ProbesFailed).count();
        assert!(found > 0 && world.tally.fulfilled > 0, "shows little: {found} found, {:?}", world.tally);
    });
}

/// All backends die together, and those in line are served as soon as the first one lives again.
#[test]
fn those_in_line_are_served_when_the_first_lives_again() {
    for_seeds(2, |seed| {
        let mut world = World::new(Scene { load: 1.2, ..SCENE }, seed);
        let mut time = SECOND * 5;
        while time < world.scene.lasts {
            for at in 0..8 {
                let apart = world.random.millis(0, 200);
                world.at(Time::ZERO + time + apart, Event::Turns(at, Condition::Dead));
                let back = world.random.millis(5000, 9000);
                world.at(Time::ZERO + time + back, Event::Turns(at, Condition::Lives));
            }
            time += SECOND * 18;
        }
        let tally = world.run().tally;
        println!("{tally:?}");
        assert!(tally.lit > 1 && tally.fulfilled > 10, "shows little: {tally:?}");
    });
}

/// One of five breaks everything and is not taken out: however much asks for another attempt, no more of it gets one than
/// the budget has.
#[test]
fn retries_stay_within_their_budget() {
    for_seeds(2, |seed| {
        let scene = Scene {
            slots: &[4; 5],
            health: HealthPolicy { failures: u32::MAX, is_probed: false, outlier: None, ..HEALTH },
            retries: RetryPolicy { budget: 20, floor: 1 },
            ..SCENE
        };
        let mut world = World::new(scene, seed);
        world.at(Time::ZERO, Event::Turns(0, Condition::Fails));
        let World { came, tally, .. } = world.run();
        // What counts are two spans of 8.6 s, the one that runs and the one before it.
        let span = Duration::from_nanos(1 << 33);
        for &(now, _) in came.iter().filter(|(_, is_retry)| *is_retry) {
            let lately = |within: Duration, retries: bool| {
                let is_lately = |time: Time| time <= now && now.since(time) < within;
                came.iter().filter(|&&(time, is_retry)| is_retry == retries && is_lately(time)).count()
            };
            let (retries, firsts) = (lately(span, true), lately(span * 2, false));
            assert!(retries <= firsts / 5 + 17, "{retries} retries beside {firsts} requests at {now:?}");
        }
        let retries = came.iter().filter(|(_, is_retry)| *is_retry).count();
        println!("{retries} retries beside {} requests, {tally:?}", came.len() - retries);
        assert!(retries * 5 >= came.len() - retries, "the budget is there to be used");
        assert!(tally.retries_refused > 100, "shows little: {tally:?}");
    });
}

fn for_seeds(usual: u64, run: impl Fn(u64)) {
    let number = |name| env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    let seeds = match number("IDLEWAY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("IDLEWAY_SEEDS").unwrap_or(usual),
    };
    for seed in seeds {
        catch_unwind(AssertUnwindSafe(|| run(seed))).unwrap_or_else(|panic| {
            println!("IDLEWAY_SEED={seed} replays this");
            resume_unwind(panic)
        });
    }
}
