//! What is in force now: the current Snapshot, and what outlives it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use idleway_core::{BackendKey, BackendSpec, Pool, PoolSpec, Time};

use crate::config::{FairBy, LimitsPlan, Origin, Plan, PoolPlan};
use crate::message::RandomHex;
use crate::metrics::PoolMetrics;
use crate::net::{BackendConnection, Budget, ClientLimits};
use crate::route::Route;

/// The state that every request reads: one Snapshot, taken whole and once, and what is common to all of them.
#[derive(Debug)]
pub(crate) struct Live {
    current: ArcSwap<Snapshot>,
    budget: Arc<Budget>,
    via: String,
}

impl Live {
    pub(crate) fn new(plan: Plan) -> Arc<Self> {
        let buffered = usize::try_from(plan.limits.buffered).unwrap_or(usize::MAX);
        Arc::new(Self {
            current: ArcSwap::from_pointee(Snapshot::new(plan)),
            budget: Budget::new(buffered),
            via: format!("1.1 idleway-{}", RandomHex::<8>::new().as_str()),
        })
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Makes `held` the current Snapshot. Where it is that already, as nearly always, no counter that all cores
    /// share is touched.
    pub(crate) fn refresh(&self, held: &mut Arc<Snapshot>) {
        let current = self.current.load();
        if !Arc::ptr_eq(held, &current) {
            *held = Guard::into_inner(current);
        }
    }

    /// The bound on all bodies held at once.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// This gateway's entry in `Via`: unlike that of any other, so that a loop shows and a chain of gateways
    /// is none.
    pub(crate) fn via(&self) -> &str {
        &self.via
    }
}

/// A Plan at work.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) plan: Plan,
    pub(crate) client: ClientLimits,
    pools: Vec<Arc<LivePool>>,
}

impl Snapshot {
    fn new(plan: Plan) -> Self {
        let mut keys = 0..;
        let pools = plan.pools.iter().map(|pool| Arc::new(LivePool::new(pool.clone(), &mut keys))).collect();
        Self { client: client_limits(&plan), pools, plan }
    }

    /// The route that takes this request, and its pool.
    pub(crate) fn route_for(
        &self,
        method: &str,
        authority: &str,
        path: &str,
    ) -> Option<(&Route, &Arc<LivePool>)> {
        let route = self.plan.routes.find(method, authority, path)?;
        Some((route, self.pools.get(route.pool)?))
    }

    /// Whether this peer's word about a request is taken.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.plan.trusted.iter().any(|network| network.contains(peer))
    }

    pub(crate) fn pools(&self) -> &[Arc<LivePool>] {
        &self.pools
    }
}

fn client_limits(plan: &Plan) -> ClientLimits {
    let LimitsPlan { head, target, fields, body, keep_alive, head_timeout, .. } = plan.limits;
    ClientLimits {
        head: idleway_h1::Limits { head, target, fields },
        keep_alive,
        head_timeout,
        body,
        read: plan.client.read,
        write: plan.client.write,
        fin: plan.client.fin,
    }
}

/// So many late answers are no accident; and after how many more it is said again.
const SOME_LATE: u64 = 3;
const MANY_LATE: u64 = 1000;

/// A pool at work: its plan, its Slots and its backends.
#[derive(Debug)]
pub(crate) struct LivePool {
    pub(crate) plan: PoolPlan,
    pub(crate) slots: Arc<Pool<Box<BackendConnection>>>,
    backends: HashMap<BackendKey, Arc<Backend>>,
    pub(crate) metrics: PoolMetrics,
    told_of_queue: AtomicBool,
}

impl LivePool {
    fn new(plan: PoolPlan, keys: &mut impl Iterator<Item = u64>) -> Self {
        let mut specs = Vec::with_capacity(plan.backends.len());
        let mut backends = HashMap::with_capacity(plan.backends.len());
        for (backend, key) in plan.backends.iter().zip(keys) {
            let key = BackendKey(key);
            specs.push(BackendSpec { key, slots: backend.slots });
            backends.insert(key, Arc::new(Backend::new(backend.origin.clone())));
        }
        let spec = PoolSpec {
            backends: specs,
            queue_length: plan.queue.length,
            keep_idle: plan.keep_idle,
            settle: plan.settle,
            fair: plan.fair_by != FairBy::None,
            slots_per_key: plan.slots_per_key,
            ..PoolSpec::default()
        };
        let slots = Pool::new(spec, now);
        let metrics = PoolMetrics::default();
        Self { plan, slots, backends, metrics, told_of_queue: AtomicBool::new(false) }
    }

    pub(crate) fn backend(&self, key: BackendKey) -> Option<&Arc<Backend>> {
        self.backends.get(&key)
    }

    /// Counts an answer that came `late` after its client was told 504; where that goes on, says what to do.
    pub(crate) fn tell_of_late_answer(&self, late: Duration) {
        let count = self.metrics.late_answers.increment();
        if count == SOME_LATE || count.is_multiple_of(MANY_LATE) {
            tracing::warn!(
                pool = %self.plan.name, timeout = ?self.plan.timeout, ?late, count,
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

/// A backend as requests see it.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) origin: Origin,
    pub(crate) name: String,
    http10: AtomicBool,
    unreachable: AtomicBool,
}

impl Backend {
    fn new(origin: Origin) -> Self {
        let name = format!("{}:{}", origin.host, origin.port);
        Self { name, origin, http10: AtomicBool::new(false), unreachable: AtomicBool::new(false) }
    }

    /// Notes whether a connect succeeded; tells whether that is news.
    pub(crate) fn note_reachable(&self, reachable: bool) -> bool {
        self.unreachable.load(Ordering::Relaxed) == reachable
            && self.unreachable.swap(!reachable, Ordering::Relaxed) == reachable
    }

    /// Whether its last answer was HTTP/1.0: then it is given no chunks (RFC 9112 section 6.1).
    pub(crate) fn speaks_http10(&self) -> bool {
        self.http10.load(Ordering::Relaxed)
    }

    pub(crate) fn note_version(&self, http10: bool) {
        if self.speaks_http10() != http10 {
            self.http10.store(http10, Ordering::Relaxed);
        }
    }
}

/// The present on the one clock of all pools.
pub(crate) fn now() -> Time {
    time_at(Instant::now())
}

/// A moment on the clock of the pools, which counts from its first use.
pub(crate) fn time_at(at: Instant) -> Time {
    static START: OnceLock<Instant> = OnceLock::new();
    let nanos = at.saturating_duration_since(*START.get_or_init(Instant::now)).as_nanos();
    Time::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
