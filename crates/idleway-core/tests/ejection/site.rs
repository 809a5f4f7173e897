//! What becomes of the backends, and what is expected thereof.

use std::time::Duration;

use idleway_core::{BackendKey, Cause, Change, Health, Time};

use crate::world::{EVERY, Event, Job, Stage, World};

/// One that connections cannot be had to is tried that often at least.
const SCOUTED: Duration = Duration::from_millis(600);
/// One that connections cannot be had to is met, and taken out, so soon.
const MET: Duration = Duration::from_secs(1);
/// What a probe takes, and what the notice of an end may take.
const A_BIT: Duration = Duration::from_millis(10);

/// How a backend is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    Lives,
    /// It takes no connections, but works on.
    Refuses,
    /// It takes no connections, and its work broke off.
    Dead,
    /// It takes connections, and answers none; its work is stuck.
    Hangs,
    /// It takes connections, and breaks them.
    Fails,
}

/// What is expected of a backend, unless something else becomes of it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Expected {
    /// It is down, while it has taken no further turn than so many.
    Down(u32),
    /// It is up, as before.
    Up(u32),
    /// All its slots are open, while it has not come up again since it did so many times.
    Open(u32),
    /// More have been granted a slot than so many.
    Served(u32),
}

#[derive(Debug)]
pub(crate) struct Site {
    slots: u32,
    /// Its slots that are held.
    held: u32,
    condition: Condition,
    turned: Time,
    turns: u32,
    /// Something met it as it is now.
    is_met: bool,
    down: Option<Cause>,
    /// When it came up, how often it did, and how much it has served well since.
    up: Option<Time>,
    rises: u32,
    served: u32,
    /// When all its slots were held last.
    full: Time,
}

impl Site {
    pub(crate) fn new(slots: u32) -> Self {
        Self {
            slots,
            held: 0,
            condition: Condition::Lives,
            turned: Time::ZERO,
            turns: 0,
            is_met: false,
            down: None,
            up: None,
            rises: 0,
            served: 0,
            full: Time::ZERO,
        }
    }
}

impl World {
    /// From now on a backend is like that.
    pub(crate) fn turn(&mut self, at: usize, condition: Condition) {
        let site = &mut self.sites[at];
        (site.condition, site.turned, site.is_met) = (condition, self.now, false);
        site.turns += 1;
        let (turns, down) = (site.turns, site.down);
        let works = self.jobs.iter_mut().filter(|(_, job)| job.at == at);
        let works = works.filter(|(_, job)| matches!(job.stage, Stage::Runs | Stage::Hangs));
        match condition {
            Condition::Dead => {
                let broken: Vec<_> = works.map(|(&name, job)| (job.stage = Stage::Gone, name).1).collect();
                for name in broken {
                    let soon = self.random.millis(0, 5);
                    self.within(soon, Event::Breaks(name));
                }
            }
            Condition::Hangs => works.for_each(|(_, job)| job.stage = Stage::Hangs),
            _ => {}
        }
        // Where many requests come, one of them comes here at once.
        let between = self.scene.between_arrivals();
        if condition == Condition::Dead && between < MET.as_secs_f64() / 20.0 {
            self.within(MET, Event::Falls(at, Expected::Down(turns)));
        }
        if condition == Condition::Lives {
            // By a scout where it could not be reached, otherwise when its turn to be probed comes.
            let by_turn = self.scene.health.pause_max.mul_f64(1.2) + EVERY;
            let soon = if down == Some(Cause::Unreachable) { SCOUTED } else { by_turn };
            self.within(soon + A_BIT, Event::Falls(at, Expected::Up(turns)));
            if self.sites.iter().all(|site| site.down == Some(Cause::Unreachable)) {
                let dark = self.scene.health.pause.mul_f64(1.2);
                self.within(dark + A_BIT, Event::Falls(at, Expected::Served(self.tally.granted)));
            }
        }
    }

    /// Something comes to a backend; answers how that is.
    pub(crate) fn meet(&mut self, at: usize, is_probe: bool) -> Condition {
        let site = &mut self.sites[at];
        let soon = match site.condition {
            Condition::Dead | Condition::Refuses => MET,
            Condition::Hangs if is_probe => EVERY * (self.scene.health.fall + 1),
            condition => return condition,
        };
        let (turns, condition) = (site.turns, site.condition);
        if !std::mem::replace(&mut site.is_met, true) {
            self.within(soon, Event::Falls(at, Expected::Down(turns)));
        }
        condition
    }

    /// A backend never has more at work than its limit, nor while it comes back more than are open.
    pub(crate) fn hold(&mut self, at: usize, is_probe: bool) {
        let has = |job: &&Job| job.at == at && matches!(job.stage, Stage::Runs | Stage::Hangs);
        let at_work = self.jobs.values().filter(has).count();
        let site = &mut self.sites[at];
        site.held += 1;
        assert!(at_work <= site.slots as usize && site.held <= site.slots, "{at_work} at work: {site:?}");
        if let Some(up) = site.up.filter(|_| !is_probe) {
            let step = self.scene.health.slow_start / site.slots;
            let by_time = self.now.since(up).as_nanos() / step.as_nanos().max(1);
            let open = 1 + u128::from(site.served) + by_time;
            assert!(u128::from(site.held) <= open || step.is_zero(), "only {open} are open: {site:?}");
        }
    }

    pub(crate) fn free(&mut self, at: usize, served: bool) {
        let site = &mut self.sites[at];
        if site.held == site.slots {
            site.full = self.now;
        }
        site.held -= 1;
        site.served += u32::from(served);
    }

    /// Who is taken out does not live, and who comes back does.
    pub(crate) fn note(&mut self, change: &Change) {
        let at = usize::try_from(change.backend.0).unwrap();
        let site = &mut self.sites[at];
        let lives = site.condition == Condition::Lives;
        match change.health {
            Health::Up => {
                assert!(lives, "{change:?} of one that does not live: {site:?}");
                (site.down, site.up, site.served) = (None, Some(self.now), 0);
                site.rises += 1;
                let (rises, slow_start) = (site.rises, self.scene.health.slow_start);
                self.within(slow_start + A_BIT, Event::Falls(at, Expected::Open(rises)));
            }
            Health::Down => {
                let is_late_notice = self.now.since(site.turned) < A_BIT && site.down.is_some();
                assert!(!lives || is_late_notice, "{change:?} of one that lives: {site:?}");
                (site.down, site.up) = (Some(change.cause), None);
            }
        }
    }

    pub(crate) fn look_after(&mut self, at: usize, expected: Expected) {
        let site = &self.sites[at];
        let is_fulfilled = match expected {
            Expected::Down(turns) if turns == site.turns => site.down.is_some(),
            Expected::Up(turns) if turns == site.turns => {
                // Where no slot was idle nothing could be asked.
                if self.now.since(site.full) < SCOUTED || site.held == site.slots {
                    return self.within(SCOUTED, Event::Falls(at, expected));
                }
                site.down.is_none()
            }
            Expected::Open(rises) if rises == site.rises && site.up.is_some() => {
                let wait = self.waiting.values().any(|(_, avoid)| avoid.is_empty());
                if !wait {
                    return;
                }
                site.held == site.slots
            }
            Expected::Served(granted) => {
                self.tally.lit += 1;
                self.tally.granted > granted
            }
            _ => return,
        };
        let view = self.dispatcher.backends(BackendKey(at as u64), 1);
        assert!(is_fulfilled, "{expected:?} at {:?}, but {site:?}, {view:?}", self.now);
        self.tally.fulfilled += 1;
    }
}
