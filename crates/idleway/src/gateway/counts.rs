//! What a gateway tells of itself.

use std::fmt;

use idleway_core::{BackendKey, BackendView, Counts, Health, Mode};

use crate::live::{Live, LivePool};

/// What a shutdown came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Connections that were still at work when the time was over, and were cut.
    pub cut: usize,
    /// Slots whose backends may be at work still, though nobody waits for it: a gateway that is started now knows
    /// nothing of them.
    pub abandoned: u64,
}

/// What a gateway has counted since its start, all pools together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Slots whose abandoned work outlasted `linger`, and which rested until a probe succeeded.
    pub linger_expired: u64,
    /// Answers that came whole after their clients had been told 504: `timeout` is too short.
    pub late_answers: u64,
    /// Requests that were tried again, whatever the reason.
    pub retries: u64,
    /// Probes that found a backend serving.
    pub probes_succeeded: u64,
    /// Probes that did not.
    pub probes_failed: u64,
    /// How often a backend was taken out.
    pub downs: u64,
    /// Pieces of work that took far longer than usual in their pool: they may hang.
    pub overdue: u64,
    /// Answers by which a backend said that it is busy (`busy_status`).
    pub backend_busy: u64,
    /// Plans that were put in force after the first.
    pub reloads: u64,
    /// Plans that were to be, and were not.
    pub reloads_failed: u64,
}

impl Totals {
    pub(super) fn of(live: &Live) -> Self {
        let reloaded = live.reloaded.so_far();
        let mut sum =
            Self { reloads: reloaded.succeeded, reloads_failed: reloaded.failed, ..Self::default() };
        for pool in live.pools() {
            sum.linger_expired += pool.metrics.linger_expired.count();
            sum.late_answers += pool.metrics.late_answers.count();
            sum.retries += pool.metrics.retries.sum();
            sum.probes_succeeded += pool.metrics.probes.succeeded.count();
            sum.probes_failed += pool.metrics.probes.failed.count();
            sum.downs += pool.metrics.downs.sum();
            sum.overdue += pool.metrics.overdue.count();
            sum.backend_busy += pool.metrics.backend_busy.count();
        }
        sum
    }
}

/// How Slots stand at one moment, of one backend or several; and the line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotCounts {
    /// Ready for a request.
    pub idle: u64,
    /// At work on a request.
    pub busy: u64,
    /// At work on a request that nobody waits for any more.
    pub lingering: u64,
    /// Waiting for a time or a proof.
    pub resting: u64,
    /// Requests in line; 0 for a backend alone, since the line is its pool's.
    pub waiting: u64,
}

impl SlotCounts {
    /// All pools together.
    pub(super) fn of(live: &Live) -> Self {
        let mut sum = Self::default();
        for pool in live.pools() {
            sum.add(pool.slots.counts());
        }
        sum
    }

    fn add(&mut self, counts: Counts) {
        self.idle += counts.idle;
        self.busy += counts.busy;
        self.lingering += counts.lingering;
        self.resting += counts.resting;
        self.waiting += counts.waiting;
    }

    fn from_counts(counts: Counts) -> Self {
        let mut slots = Self::default();
        slots.add(counts);
        slots
    }
}

/// How the backends of a gateway stand, all pools together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendCounts {
    /// Those that are up and ready.
    pub up: u64,
    /// All of them, those included that are no longer named and still finish their work.
    pub all: u64,
}

impl BackendCounts {
    pub(super) fn of(live: &Live) -> Self {
        let mut sum = Self::default();
        for pool in live.pools() {
            let counts = pool.slots.counts();
            sum.up += counts.up;
            sum.all += counts.backends;
        }
        sum
    }
}

/// How a pool stands at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStatus {
    /// Its name in the configuration; `default` for the pool of the top level.
    pub name: String,
    /// The Slots of all its backends, and its line.
    pub slots: SlotCounts,
    /// Each of its backends, in the order in which they came to be known.
    pub backends: Vec<BackendStatus>,
}

/// How a backend stands at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendStatus {
    /// Its host and port.
    pub name: String,
    /// Whether it is taken for serving.
    pub is_up: bool,
    /// Whether it was ordered to serve: neither drained, nor in maintenance, nor named no longer.
    pub is_ready: bool,
    /// Its Slots.
    pub slots: SlotCounts,
    /// What went wrong with it last; empty where nothing did.
    pub fault: String,
}

/// As a line for people: `127.0.0.1:6000 up: 1 idle, 0 busy, 0 lingering, 0 resting`.
impl fmt::Display for BackendStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SlotCounts { idle, busy, lingering, resting, .. } = self.slots;
        let health = if self.is_up { "up" } else { "down" };
        let name = &self.name;
        write!(f, "{name} {health}: {idle} idle, {busy} busy, {lingering} lingering, {resting} resting")
    }
}

/// How many backends are looked at under one lock.
const CHUNK: usize = 256;

impl PoolStatus {
    pub(super) fn all(live: &Live) -> Vec<Self> {
        live.pools().iter().map(|pool| Self::of(pool)).collect()
    }

    fn of(pool: &LivePool) -> Self {
        let mut backends = Vec::new();
        let mut from = BackendKey(0);
        loop {
            let views = pool.slots.backends(from, CHUNK);
            backends.extend(views.iter().filter_map(|view| backend(pool, view)));
            match views.last() {
                Some(last) if views.len() == CHUNK => from = BackendKey(last.key.0 + 1),
                _ => break,
            }
        }
        Self { name: pool.name.clone(), slots: SlotCounts::from_counts(pool.slots.counts()), backends }
    }
}

fn backend(pool: &LivePool, view: &BackendView) -> Option<BackendStatus> {
    let backend = pool.backend(view.key)?;
    Some(BackendStatus {
        name: backend.name.clone(),
        is_up: view.health == Health::Up,
        is_ready: view.mode == Mode::Ready && !view.removed,
        slots: SlotCounts::from_counts(view.slots),
        fault: backend.fault(),
    })
}
