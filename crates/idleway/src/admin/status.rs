//! How everything stands, as it is told. Durations are seconds.

use std::time::Duration;

use idleway_core::{BackendKey, BackendView, Counts, Health, Lane};
use serde::Serialize;

use super::Desk;
use super::past::unix_seconds;
use super::work::{Oldest, Work};
use crate::live::{Live, LivePool, Readiness, mode_word, now};

/// How many backends are looked at under one lock.
const CHUNK: usize = 256;
/// How much work of each backend is told where all pools are, and where one is.
const FEW: usize = 100;
const MANY: usize = 1000;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: &'static str,
    uptime_seconds: f64,
    #[serde(flatten)]
    readiness: Ready,
    reloads: Reloads,
    pools: Vec<PoolStatus>,
}

/// Whether requests are wanted.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Ready {
    pub(super) ready: bool,
    /// Why not.
    reasons: Vec<&'static str>,
}

/// What came of reloads.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Reloads {
    succeeded: u64,
    failed: u64,
    last_success_unix_seconds: Option<f64>,
    /// Why the last one failed, where it did.
    trouble: Option<String>,
}

/// All pools.
#[derive(Debug, Serialize)]
pub(super) struct Pools {
    pools: Vec<PoolStatus>,
}

/// A pool.
#[derive(Debug, Serialize)]
pub(super) struct PoolStatus {
    name: String,
    /// No Plan has it any more; it finishes its work.
    leaving: bool,
    slots: Slots,
    queue: Queue,
    estimate: Estimate,
    backends: Vec<Backend>,
}

/// Slots by state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Slots {
    all: u64,
    idle: u64,
    busy: u64,
    lingering: u64,
    resting: u64,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Queue {
    length: usize,
    waiting: u64,
    /// Those that failed somewhere, before all others.
    retries: u32,
    high: u32,
    normal: u32,
    low: u32,
    longest_wait_seconds: Option<f64>,
}

/// What a newcomer may expect.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Estimate {
    wait_seconds: Option<f64>,
    service_p50_seconds: Option<f64>,
    service_p95_seconds: Option<f64>,
    service_p99_seconds: Option<f64>,
}

/// How a backend stands, whenever it is looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Standing {
    name: String,
    mode: &'static str,
    health: &'static str,
    /// Why it is down.
    cause: Option<String>,
    /// What went wrong with it last.
    fault: Option<String>,
    /// It is no longer named, and finishes its work.
    removed: bool,
    slots: Slots,
    /// Those of the resting Slots that wait for a proof.
    unproven: u64,
    /// Those of the resting Slots that somebody else has at work.
    elsewhere: u32,
}

/// A backend.
#[derive(Debug, Serialize)]
pub(super) struct Backend {
    #[serde(flatten)]
    standing: Standing,
    /// How long it rests, where it said that it is busy.
    rests_seconds: Option<f64>,
    /// What its taken Slots are at, the oldest first.
    work: Vec<Work>,
    /// How much there is besides.
    work_left_out: usize,
}

impl Status {
    pub(super) fn of(desk: &Desk) -> Self {
        let live = desk.gateway.live();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: desk.since.elapsed().as_secs_f64(),
            readiness: Ready::of(live),
            reloads: Reloads::of(live),
            pools: Pools::of(live).pools,
        }
    }
}

impl Reloads {
    pub(super) fn of(live: &Live) -> Self {
        let reloads = live.reloaded.so_far();
        Self {
            succeeded: reloads.succeeded,
            failed: reloads.failed,
            last_success_unix_seconds: reloads.last_success.map(unix_seconds),
            trouble: reloads.trouble,
        }
    }
}

impl Ready {
    pub(super) fn of(live: &Live) -> Self {
        let mut reasons = Vec::new();
        match live.stage.now() {
            Readiness::Starting => reasons.push("starting"),
            Readiness::Ready => {}
            Readiness::Draining => reasons.push("draining"),
        }
        let snapshot = live.snapshot();
        let is_down = |pool: &LivePool| pool.slots.counts().up == 0;
        // Where all routes answer by themselves there are no pools, and nothing can be down.
        if !snapshot.pools().is_empty() && snapshot.pools().iter().all(|pool| is_down(pool)) {
            reasons.push("no_backend_up");
        }
        Self { ready: reasons.is_empty(), reasons }
    }
}

impl Pools {
    pub(super) fn of(live: &Live) -> Self {
        let snapshot = live.snapshot();
        let is_current = |pool: &LivePool| snapshot.pools().iter().any(|now| pool.is_the_same_as(now));
        let pools = live.pools();
        Self { pools: pools.iter().map(|pool| PoolStatus::of(pool, !is_current(pool), FEW)).collect() }
    }
}

impl PoolStatus {
    /// The pool of this name in the Plan in force.
    pub(super) fn named(live: &Live, name: &str) -> Option<Self> {
        let snapshot = live.snapshot();
        let pool = snapshot.pools().iter().find(|pool| pool.name == name)?;
        Some(Self::of(pool, false, MANY))
    }

    fn of(pool: &LivePool, leaving: bool, most: usize) -> Self {
        let counts = pool.slots.counts();
        let mut oldest = Oldest::of(pool, most);
        let mut backends = Vec::new();
        for view in views(pool) {
            backends.extend(Backend::of(pool, &view, oldest.remove(&view.key).unwrap_or_default()));
        }
        Self {
            name: pool.name.clone(),
            leaving,
            slots: Slots::of(counts),
            queue: Queue::of(pool, counts.waiting),
            estimate: Estimate::of(pool),
            backends,
        }
    }
}

impl Backend {
    /// One backend, as it stands now; none where it has just been forgotten.
    pub(super) fn now(pool: &LivePool, key: BackendKey) -> Option<Self> {
        let view = pool.slots.backends(key, 1).into_iter().next().filter(|view| view.key == key)?;
        Self::of(pool, &view, Oldest::of(pool, MANY).remove(&key).unwrap_or_default())
    }

    fn of(pool: &LivePool, view: &BackendView, oldest: Oldest) -> Option<Self> {
        Some(Self {
            standing: Standing::of(pool, view)?,
            rests_seconds: view.rests_until.map(|until| until.since(now()).as_secs_f64()),
            work: oldest.work,
            work_left_out: oldest.left_out,
        })
    }
}

impl Standing {
    /// None where it has just been forgotten.
    pub(super) fn of(pool: &LivePool, view: &BackendView) -> Option<Self> {
        let backend = pool.backend(view.key)?;
        Some(Self {
            name: backend.name.clone(),
            mode: mode_word(view.mode),
            health: match view.health {
                Health::Up => "up",
                Health::Down => "down",
            },
            cause: view.cause.map(|cause| cause.to_string()),
            fault: Some(backend.fault()).filter(|fault| !fault.is_empty()),
            removed: view.removed,
            slots: Slots::of(view.slots),
            unproven: view.unproven,
            elsewhere: view.elsewhere,
        })
    }
}

impl Queue {
    pub(super) fn of(pool: &LivePool, all: u64) -> Self {
        let waiting = pool.slots.waiting();
        let lane =
            |lane: Lane| Lane::ALL.iter().position(|known| *known == lane).map_or(0, |at| waiting.lanes[at]);
        Self {
            length: pool.plan.queue.length,
            waiting: all,
            retries: waiting.in_front,
            high: lane(Lane::High),
            normal: lane(Lane::Normal),
            low: lane(Lane::Low),
            longest_wait_seconds: seconds(waiting.longest),
        }
    }
}

impl Estimate {
    pub(super) fn of(pool: &LivePool) -> Self {
        let estimate = pool.slots.estimate();
        Self {
            wait_seconds: seconds(estimate.wait),
            service_p50_seconds: seconds(estimate.p50),
            service_p95_seconds: seconds(estimate.p95),
            service_p99_seconds: seconds(estimate.p99),
        }
    }
}

impl Slots {
    pub(super) fn of(counts: Counts) -> Self {
        let Counts { slots, idle, busy, lingering, resting, .. } = counts;
        Self { all: slots, idle, busy, lingering, resting }
    }
}

/// The backends of a pool.
pub(super) fn views(pool: &LivePool) -> Vec<BackendView> {
    let (mut views, mut from) = (Vec::new(), BackendKey(0));
    loop {
        let more = pool.slots.backends(from, CHUNK);
        let last = more.last().filter(|_| more.len() == CHUNK).map(|last| last.key);
        views.extend(more);
        match last {
            Some(last) => from = BackendKey(last.0 + 1),
            None => return views,
        }
    }
}

fn seconds(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}
