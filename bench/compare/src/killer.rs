//! Who is killed when, and when it comes back: at random, and the same for the same seed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::arrivals::Random;
use crate::rounds::pass;
use crate::worker::Worker;

/// From one kill to the next: half a second in the mean.
const BETWEEN: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(700));
/// How long the killed one stays dead.
const DEAD: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(1));
/// Dead at once, at most: a kill that would be one too many is left out.
const MOST_DEAD: usize = 2;

/// One thing to do to one backend.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Step {
    /// Since the beginning.
    at: Duration,
    backend: usize,
    change: Change,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Change {
    Dies,
    ComesBack,
}

/// All that is to happen to so many backends, in order. Nobody dies after the window; who has died comes back.
pub(crate) fn plan(seed: u64, window: Duration, backends: usize) -> Vec<Step> {
    let mut random = Random::new(seed);
    let mut steps = Vec::new();
    // Who is dead, and until when.
    let mut dead: Vec<(usize, Duration)> = Vec::new();
    let mut at = random.between(BETWEEN.0, BETWEEN.1);
    while at < window {
        dead.retain(|&(_, until)| until > at);
        let alive: Vec<usize> =
            (0..backends).filter(|&one| dead.iter().all(|&(other, _)| other != one)).collect();
        if let Some(&backend) = random.pick(&alive).filter(|_| dead.len() < MOST_DEAD) {
            let until = at + random.between(DEAD.0, DEAD.1);
            steps.push(Step { at, backend, change: Change::Dies });
            steps.push(Step { at: until, backend, change: Change::ComesBack });
            dead.push((backend, until));
        }
        at += random.between(BETWEEN.0, BETWEEN.1);
    }
    steps.sort_by_key(|step| step.at);
    steps
}

/// Does it all, each when it is due, and returns how many were killed.
pub(crate) fn carry_out(plan: &[Step], workers: &mut [Worker]) -> Result<u64> {
    let began = Instant::now();
    let mut kills = 0;
    for step in plan {
        pass((began + step.at).saturating_duration_since(Instant::now()));
        let worker = workers.get_mut(step.backend).context("a plan for more backends")?;
        match step.change {
            Change::Dies => {
                worker.kill()?;
                kills += 1;
            }
            Change::ComesBack => worker.revive()?,
        }
    }
    Ok(kills)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_are_dead_at_most_and_all_come_back() {
        let window = Duration::from_secs(1000);
        let plan = plan(1, window, 5);
        let mut dead = vec![false; 5];
        for step in &plan {
            let dies = step.change == Change::Dies;
            assert!(!dies || step.at < window, "{step:?}");
            assert_ne!(std::mem::replace(&mut dead[step.backend], dies), dies, "{step:?}");
            assert!(dead.iter().filter(|&&dead| dead).count() <= MOST_DEAD, "{step:?}");
        }
        assert_eq!(dead, [false; 5]);
        // One each half second in the mean, less those that would have been too many.
        let kills = plan.len() / 2;
        assert!((1_200..2_000).contains(&kills), "{kills}");
    }

    #[test]
    fn the_plan_is_the_same_for_a_seed() {
        let of = |seed| plan(seed, Duration::from_secs(20), 5);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
