//! What a pool is made of.

use std::time::Duration;

use crate::{backend::BackendKey, time::Time};

/// A pool as ordered: what `Dispatcher::new` and `reconfigure` take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSpec {
    /// The backends. Where a key appears twice, its last entry holds.
    pub backends: Vec<BackendSpec>,
    /// How many may wait; 0: refuse at once.
    pub queue_length: usize,
    /// A kept connection that was idle for longer is closed; zero: none is kept.
    pub keep_idle: Duration,
    /// When a backend is down, and when it is tried again.
    pub health: HealthPolicy,
    /// How many requests may be tried again.
    pub retries: RetryPolicy,
    /// How long a slot rests after its backend has ended its work; zero: it is free at once.
    pub settle: Duration,
    /// How long a slot rests after an exchange on it broke: a process that is dying accepts connections until it is dead.
    pub settle_broken: Duration,
    /// Whether the keys of the asks share the slots' time; otherwise all are served in the order they came.
    pub fair: bool,
    /// The most slots that may be taken in the name of one key.
    pub slots_per_key: Option<u32>,
}

impl Default for PoolSpec {
    /// No backends and no queue.
    fn default() -> Self {
        Self {
            backends: Vec::new(),
            queue_length: 0,
            keep_idle: Duration::from_secs(2),
            health: HealthPolicy::default(),
            retries: RetryPolicy::default(),
            settle: Duration::ZERO,
            settle_broken: Duration::ZERO,
            fair: false,
            slots_per_key: None,
        }
    }
}

/// One backend as ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendSpec {
    /// Its stable identity: the same key after a reconfigure is the same backend and keeps its count.
    pub key: BackendKey,
    /// How many requests it may have at work.
    pub slots: u32,
    /// How its slots start where it is new to the pool; of one that the pool knows it says nothing.
    pub start: Start,
}

impl BackendSpec {
    /// A backend whose slots are idle when it is new to the pool.
    #[must_use]
    pub const fn new(key: BackendKey, slots: u32) -> Self {
        Self { key, slots, start: Start::Idle }
    }
}

/// How the slots of a backend start that is new to the pool: something may be at work there that the pool did not send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Nothing is at work.
    #[default]
    Idle,
    /// So many pieces of work were sent by somebody else, who tells when they end: see `Dispatcher::set_elsewhere`.
    Elsewhere(u32),
    /// Nobody knows, and nobody will tell: each slot rests until a probe of it succeeds.
    Unproven,
    /// Whatever is at work is over by then: all its slots rest until that moment.
    Until(Time),
}

/// When a backend is down, and how it comes back. A backend to which no connection can be had is down at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthPolicy {
    /// So many exchanges in a row that broke take a backend down (0 counts as 1).
    pub failures: u32,
    /// How long it is left alone before it is tried for the first time.
    pub pause: Duration,
    /// The pause doubles with each further failure, up to this; up to a quarter of a second where no connection can be had.
    pub pause_max: Duration,
    /// A pause is longer or shorter by up to this many percent, so that backends that failed together are not tried
    /// together.
    pub jitter: u32,
    /// So many probes in a row that succeed bring a backend up (0 counts as 1).
    pub rise: u32,
    /// So many probes in a row that fail take a backend down (0 counts as 1).
    pub fall: u32,
    /// Whether backends are probed regularly: then only probes bring one back, never a request that tries it.
    pub is_probed: bool,
    /// How often; then it may be known that one is well again.
    pub every: Duration,
    /// A backend of whose requests so many percent more fail than of those of the rest of the pool, and more than chance
    /// explains, is taken down.
    pub outlier: Option<u32>,
    /// While fewer than this many percent of the backends are up, those that are down although they can be reached
    /// are used too, after those that are up. 0: never.
    pub panic: u32,
    /// A backend that comes back gets its slots one by one within this time; zero: all at once.
    pub slow_start: Duration,
}

impl Default for HealthPolicy {
    /// The first failure takes down; nothing is probed, nothing compared, all slots come back at once.
    fn default() -> Self {
        Self {
            failures: 1,
            pause: Duration::from_millis(250),
            pause_max: Duration::from_secs(5),
            jitter: 0,
            rise: 1,
            fall: 1,
            is_probed: false,
            every: Duration::ZERO,
            outlier: None,
            panic: 0,
            slow_start: Duration::ZERO,
        }
    }
}

/// How many requests may be tried again, over about the last ten seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Retries may be this many percent of the requests,
    pub budget: u32,
    /// and so many a second besides.
    pub floor: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { budget: 20, floor: 10 }
    }
}
