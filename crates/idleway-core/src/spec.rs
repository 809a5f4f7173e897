//! What a pool is made of.

use std::time::Duration;

use crate::backend::BackendKey;

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
    /// How long a slot rests after its backend has ended its work; zero: it is free at once.
    pub settle: Duration,
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
            settle: Duration::ZERO,
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
}

/// When failures take a backend down, and when it gets a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthPolicy {
    /// So many consecutive failures take a backend down (0 counts as 1).
    pub fall: u32,
    /// How long it is left alone before its first trial.
    pub pause: Duration,
    /// The pause doubles with each failed trial, up to this.
    pub pause_max: Duration,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self { fall: 1, pause: Duration::from_millis(250), pause_max: Duration::from_secs(5) }
    }
}
