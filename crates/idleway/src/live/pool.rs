//! A pool at work: its plan, its Slots and its backends.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use idleway_core::{BackendKey, BackendSpec, HealthPolicy, Pool, PoolSpec, RetryPolicy, Start};
use tokio::sync::Notify;

use super::backend::Backend;
use super::now;
use super::work::Works;
use crate::config::{FairBy, HealthPlan, Host, Origin, PoolPlan};
use crate::metrics::PoolMetrics;
use crate::net::{Addresses, BackendConnection};

/// So many late answers are no accident; and after how many more it is said again.
const SOME_LATE: u64 = 3;
const MANY_LATE: u64 = 1000;

/// A process that is dying accepts connections until it is dead: so long a Slot rests after an exchange on it broke.
const DYING: Duration = Duration::from_millis(50);

/// A pause is longer or shorter by up to so many percent.
const JITTER: u32 = 20;

/// A pool as one Plan has it.
///
/// What outlives the Plan is one level down, and reads as if it stood here: requests of two Plans that overlap share it.
#[derive(Debug)]
pub(crate) struct LivePool {
    pub(crate) plan: PoolPlan,
    lasting: Arc<Lasting>,
}

/// What a pool is whatever its Plan says: it has a name, Slots, backends and a past.
#[derive(Debug)]
pub(crate) struct Lasting {
    pub(crate) name: String,
    pub(crate) slots: Arc<Pool<Box<BackendConnection>>>,
    /// All that there are now; also those that are no longer members and not yet quiet.
    backends: ArcSwap<HashMap<BackendKey, Arc<Backend>>>,
    pub(crate) metrics: PoolMetrics,
    /// What its Slots are at.
    pub(crate) works: Works,
    told_of_queue: AtomicBool,
    /// A backend waits for a probe out of turn, or there are other backends than before.
    pub(crate) wants_probe: Notify,
    /// No Plan has it any more.
    is_removed: AtomicBool,
}

impl Deref for LivePool {
    type Target = Lasting;

    fn deref(&self) -> &Lasting {
        &self.lasting
    }
}

/// A backend that a pool has now, or is to have.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) key: BackendKey,
    pub(crate) slots: u32,
    pub(crate) backend: Arc<Backend>,
}

impl Member {
    /// The backend that this origin is. An address is known from the start, a name is looked up.
    pub(crate) fn new(key: BackendKey, origin: &Origin, slots: u32) -> Self {
        let addresses = match &origin.host {
            Host::Ip(ip) => Addresses::fixed(SocketAddr::new(*ip, origin.port)),
            Host::Name(_) => Addresses::unknown(),
        };
        let backend = Arc::new(Backend::new(format!("{}:{}", origin.host, origin.port), addresses));
        Self { key, slots, backend }
    }

    /// The backend at one of the addresses that a name stands for.
    pub(crate) fn at(key: BackendKey, address: SocketAddr, slots: u32) -> Self {
        let backend = Arc::new(Backend::new(address.to_string(), Addresses::fixed(address)));
        Self { key, slots, backend }
    }
}

impl LivePool {
    /// The pool of this plan, which has no backends yet.
    pub(super) fn new(plan: PoolPlan) -> Self {
        let lasting = Lasting {
            name: plan.name.clone(),
            slots: Pool::new(spec(&plan, &[]), now),
            backends: ArcSwap::default(),
            metrics: PoolMetrics::default(),
            works: Works::default(),
            told_of_queue: AtomicBool::new(false),
            wants_probe: Notify::new(),
            is_removed: AtomicBool::new(false),
        };
        Self { plan, lasting: Arc::new(lasting) }
    }

    /// The same pool under another plan.
    pub(super) fn under(&self, plan: PoolPlan) -> Self {
        Self { plan, lasting: Arc::clone(&self.lasting) }
    }

    /// Whether it is one pool, under whatever plan.
    pub(crate) fn is_the_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.lasting, &other.lasting)
    }

    /// What outlives its plan.
    pub(crate) fn lasting(&self) -> &Arc<Lasting> {
        &self.lasting
    }

    /// Gives it these backends; one that is new to it starts as it is said. One that was there before under the same key
    /// keeps its count; one that is no longer named finishes its work, and is known until [`Lasting::forget`].
    pub(crate) fn order(&self, members: Vec<(Member, Start)>) {
        let spec = spec(&self.plan, &members);
        // Known before it can be granted, and for as long as something is at work on it.
        let mut backends = HashMap::clone(&self.backends.load());
        backends.extend(members.into_iter().map(|(member, _)| (member.key, member.backend)));
        self.backends.store(Arc::new(backends));
        self.slots.reconfigure(spec);
        self.wants_probe.notify_one();
    }

    /// Takes all its backends from it, and tells those in line: no Plan has it any more.
    pub(crate) fn remove(&self) {
        // Known before anybody is refused for it.
        self.is_removed.store(true, Ordering::Release);
        self.slots.reconfigure(spec(&self.plan, &[]));
        self.slots.dismiss();
    }

    /// Counts an answer that came `late` after its client was told 504; where that goes on, says what to do.
    pub(crate) fn tell_of_late_answer(&self, late: Duration, timeout: Duration) {
        let count = self.metrics.late_answers.increment();
        if count == SOME_LATE || count.is_multiple_of(MANY_LATE) {
            tracing::warn!(
                pool = %self.plan.name, ?timeout, ?late, count,
                "answers keep arriving after their clients were told 504: raise `timeout`"
            );
        }
    }

    /// Says once that requests could wait instead of being refused.
    pub(crate) fn tell_of_queue(&self) {
        if self.plan.queue.length == 0 && !self.told_of_queue.swap(true, Ordering::Relaxed) {
            tracing::info!(
                pool = %self.plan.name,
                "a request was refused because all slots are busy; set `queue` to let requests wait"
            );
        }
    }
}

impl Lasting {
    pub(crate) fn backend(&self, key: BackendKey) -> Option<Arc<Backend>> {
        self.backends.load().get(&key).map(Arc::clone)
    }

    /// All its backends, those too that are no longer members and not yet quiet.
    pub(crate) fn backends(&self) -> Arc<HashMap<BackendKey, Arc<Backend>>> {
        self.backends.load_full()
    }

    /// Whether a reload took it out of the Plan: who is refused by it may ask the routes again.
    pub(crate) fn is_removed(&self) -> bool {
        self.is_removed.load(Ordering::Acquire)
    }

    /// Forgets the backends that are gone and quiet.
    pub(crate) fn forget(&self, keys: &[BackendKey]) {
        if !keys.is_empty() {
            let mut backends = HashMap::clone(&self.backends.load());
            keys.iter().for_each(|key| _ = backends.remove(key));
            self.backends.store(Arc::new(backends));
        }
    }
}

fn spec(plan: &PoolPlan, members: &[(Member, Start)]) -> PoolSpec {
    let backend = |(member, start): &(Member, Start)| BackendSpec {
        key: member.key,
        slots: member.slots,
        start: *start,
    };
    PoolSpec {
        backends: members.iter().map(backend).collect(),
        queue_length: plan.queue.length,
        keep_idle: plan.keep_idle,
        health: policy(&plan.health),
        retries: RetryPolicy { budget: plan.retry.budget, floor: plan.retry.floor },
        settle: plan.settle,
        settle_broken: DYING,
        fair: plan.fair_by != FairBy::None,
        slots_per_key: plan.slots_per_key,
    }
}

fn policy(plan: &HealthPlan) -> HealthPolicy {
    let HealthPlan { failures, pause, pause_max, outlier, panic, slow_start, .. } = *plan;
    HealthPolicy {
        failures,
        pause,
        pause_max,
        jitter: JITTER,
        rise: plan.probe.as_ref().map_or(1, |probe| probe.rise),
        fall: plan.probe.as_ref().map_or(1, |probe| probe.fall),
        is_probed: plan.probe.is_some(),
        every: plan.probe.as_ref().map_or(Duration::ZERO, |probe| probe.every),
        outlier,
        panic,
        slow_start,
    }
}
