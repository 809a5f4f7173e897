//! What is in force now: the current Snapshot, and what outlives it.

mod backend;
mod exports;
#[cfg_attr(not(feature = "admin"), allow(dead_code, reason = "nobody asks"))]
mod failures;
mod heir;
mod mode;
mod pool;
mod readiness;
mod reloaded;
#[cfg_attr(not(feature = "admin"), allow(dead_code, reason = "nobody asks"))]
mod work;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
#[cfg(feature = "admin")]
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::{ArcSwap, Guard};
use idleway_core::{BackendKey, Time};
use tokio::sync::{Notify, broadcast, watch};

pub(crate) use self::backend::Backend;
pub(crate) use self::exports::{Export, Exports};
pub(crate) use self::failures::{Failure, Failures};
pub(crate) use self::heir::Heir;
pub use self::heir::{Bequeathed, Ordered, Taken};
pub(crate) use self::mode::{mode_of, mode_word};
pub(crate) use self::pool::{Lasting, LivePool, Member};
pub(crate) use self::readiness::{Readiness, Stage};
pub(crate) use self::reloaded::Reloaded;
use crate::config::{LimitsPlan, Plan};
use crate::event::{Event, Events, KEPT};
use crate::hook::Hook;
use crate::message::RandomHex;
use crate::metrics::{Counter, Series};
use crate::net::{Budget, ClientLimits};
use crate::route::{Asked, Route};

/// So many routes, at most, are counted one by one; all others together: each takes memory for each core, and a page of
/// Prometheus that takes long to read.
const COUNTED: usize = 500;
/// How long an end waits for the collector.
const FLUSHED: Duration = Duration::from_secs(1);
/// As what those others are shown.
const MORE: &str = "(more)";

/// The state that every request reads: one Snapshot, taken whole and once, and what is common to all of them.
#[derive(Debug)]
pub(crate) struct Live {
    current: ArcSwap<Snapshot>,
    /// The pools that no Plan has any more, for as long as something of theirs is at work.
    leaving: ArcSwap<Vec<Arc<LivePool>>>,
    budget: Arc<Budget>,
    /// How far the gateway's life is.
    pub(crate) stage: Stage,
    /// What came of its reloads.
    pub(crate) reloaded: Reloaded,
    pub(crate) started: SystemTime,
    /// As whoever writes the log says.
    pub(crate) lost_log_lines: Counter,
    /// The requests that went wrong last.
    pub(crate) failures: Failures,
    exports: OnceLock<Exports>,
    heir: OnceLock<Heir>,
    has_heir: Notify,
    /// The process before this one has ended, or there was none.
    past: watch::Sender<bool>,
    via: String,
    keys: Keys,
    hook: Option<Arc<dyn Hook>>,
    events: broadcast::Sender<Event>,
    /// What has happened since the beginning, for the first one who asks.
    #[cfg(feature = "admin")]
    first_events: Mutex<Option<Events>>,
}

/// The source of keys for backends: none is given twice.
#[derive(Debug, Default)]
pub(crate) struct Keys(AtomicU64);

impl Keys {
    pub(crate) fn next(&self) -> BackendKey {
        BackendKey(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

impl Live {
    /// The Plan at work, with pools that have no backends yet.
    pub(crate) fn new(plan: Plan, hook: Option<Arc<dyn Hook>>) -> Arc<Self> {
        let events = broadcast::Sender::new(KEPT);
        Arc::new(Self {
            budget: Budget::new(plan.limits.buffered),
            current: ArcSwap::from_pointee(Snapshot::new(plan, None)),
            started: SystemTime::now(),
            lost_log_lines: Counter::default(),
            leaving: ArcSwap::default(),
            stage: Stage::default(),
            reloaded: Reloaded::default(),
            failures: Failures::default(),
            exports: OnceLock::new(),
            heir: OnceLock::new(),
            has_heir: Notify::new(),
            past: watch::Sender::new(true),
            via: format!("1.1 idleway-{}", RandomHex::<8>::new().as_str()),
            keys: Keys::default(),
            hook,
            #[cfg(feature = "admin")]
            first_events: Mutex::new(Some(Events::new(events.subscribe()))),
            events,
        })
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The Snapshot that this Plan comes to. A pool that the current one has by that name is the same; one whose plan has
    /// not changed is the very same.
    pub(crate) fn plan_next(&self, plan: Plan) -> Arc<Snapshot> {
        Arc::new(Snapshot::new(plan, Some(&self.current.load())))
    }

    /// Puts a Snapshot in force, for each request that begins from now on. The pools that it does not have are leaving.
    pub(crate) fn put_in_force(&self, next: &Arc<Snapshot>) {
        self.budget.resize(next.plan.limits.buffered);
        let before = self.current.swap(Arc::clone(next));
        let stays = |pool: &Arc<LivePool>| next.pools().iter().any(|next| pool.is_the_same_as(next));
        let gone = before.pools().iter().filter(|pool| !stays(pool));
        let mut leaving = Vec::clone(&self.leaving.load());
        leaving.extend(gone.cloned());
        self.leaving.store(Arc::new(leaving));
    }

    /// The pools that no Plan has any more and that are not quiet yet.
    pub(crate) fn leaving(&self) -> Arc<Vec<Arc<LivePool>>> {
        self.leaving.load_full()
    }

    /// Forgets those of the leaving pools in which nothing is at work any more.
    pub(crate) fn forget_the_quiet(&self) {
        let is_quiet = |pool: &LivePool| {
            let counts = pool.slots.counts();
            counts.backends == 0 && counts.waiting == 0
        };
        let leaving = self.leaving.load();
        if leaving.iter().any(|pool| is_quiet(pool)) {
            let left = leaving.iter().filter(|pool| !is_quiet(pool)).cloned().collect();
            self.leaving.store(Arc::new(left));
        }
    }

    /// All pools in which something may be at work.
    pub(crate) fn pools(&self) -> Vec<Arc<LivePool>> {
        self.current.load().pools().iter().chain(self.leaving.load().iter()).cloned().collect()
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

    /// What the application adds to each request's way.
    pub(crate) fn hook(&self) -> Option<&Arc<dyn Hook>> {
        self.hook.as_ref()
    }

    /// Tells whoever looks on.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if self.events.receiver_count() > 0 {
            // The last one may have gone just now.
            let _ = self.events.send(event());
        }
    }

    /// Where spans of requests go, once they go anywhere.
    pub(crate) fn exports(&self) -> Option<&Exports> {
        self.exports.get()
    }

    /// Waits until the collector has what is recorded so far, if there is one, but not for long. Blocks.
    pub(crate) fn send_what_is_recorded(&self) {
        if let Some(exports) = self.exports() {
            exports.flush(FLUSHED);
        }
    }

    /// From now on they go there, unless they go anywhere yet.
    pub(crate) fn set_exports(&self, exports: Exports) {
        let _ = self.exports.set(exports);
    }

    /// There is a process before this one, which may send clients until [`Self::end_past`].
    pub(crate) fn begin_past(&self) {
        self.past.send_replace(false);
    }

    pub(crate) fn end_past(&self) {
        self.past.send_replace(true);
    }

    /// Resolves when no process before this one sends clients any more.
    pub(crate) async fn past_is_over(&self) {
        // An error says that nobody can.
        let _ = self.past.subscribe().wait_for(|over| *over).await;
    }

    /// The process that takes this one's place, once there is one.
    pub(crate) fn heir(&self) -> Option<&Heir> {
        self.heir.get()
    }

    /// From now on there is one; answers whether there was none before.
    pub(crate) fn set_heir(&self, heir: Heir) -> bool {
        let is_first = self.heir.set(heir).is_ok();
        self.has_heir.notify_one();
        is_first
    }

    /// Resolves when there is one. For one listener.
    pub(crate) async fn heir_is_there(&self) {
        self.has_heir.notified().await;
    }

    /// Notes what came of a reload, and tells whoever looks on.
    pub(crate) fn note_reload(&self, outcome: Result<(), String>) {
        let event = self.reloaded.note(outcome);
        self.tell(|| event);
    }

    /// What happens from now on.
    pub(crate) fn events(&self) -> Events {
        Events::new(self.events.subscribe())
    }

    /// What has happened so far too, as far as it is kept. For one, who asks early: another one, or a later one, is told what
    /// happens from now on.
    #[cfg(feature = "admin")]
    pub(crate) fn events_from_the_start(&self) -> Events {
        let first = self.first_events.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.unwrap_or_else(|| self.events())
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }
}

/// A Plan at work.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) plan: Plan,
    pub(crate) client: ClientLimits,
    pools: Vec<Arc<LivePool>>,
    /// For each pool a route that leads to it and says nothing else: for requests whose pool the application chose.
    straight: Vec<Route>,
    /// What is counted of the requests of each route, by its place; then of those by the straight ones, and of those that
    /// take none.
    series: Vec<Arc<Series>>,
    /// How many routes are not counted one by one.
    uncounted: usize,
}

impl Snapshot {
    fn new(plan: Plan, before: Option<&Self>) -> Self {
        let known = before.map_or(&[][..], |before| &before.pools);
        let pools = plan.pools.iter().map(|plan| match known.iter().find(|pool| pool.name == plan.name) {
            Some(same) if same.plan == *plan => Arc::clone(same),
            Some(same) => Arc::new(same.under(plan.clone())),
            None => Arc::new(LivePool::new(plan.clone())),
        });
        let routes = plan.routes.len();
        let straight = (0..plan.pools.len()).map(|pool| {
            let mut route = Route::new(pool);
            route.nth = routes + pool;
            route
        });
        let straight = straight.collect();
        let (series, uncounted) = series(&plan, before.map_or(&[], |before| &before.series));
        Self { client: client_limits(&plan), pools: pools.collect(), straight, series, uncounted, plan }
    }

    /// The route that takes this request, and its pool if it leads to one.
    pub(crate) fn route_for(&self, asked: &Asked<'_>) -> Option<(&Route, Option<&Arc<LivePool>>)> {
        let route = self.plan.routes.find(asked)?;
        Some((route, route.pool().and_then(|pool| self.pools.get(pool))))
    }

    /// The route straight to the pool of this name.
    pub(crate) fn route_to(&self, name: &str) -> Option<(&Route, Option<&Arc<LivePool>>)> {
        let index = self.pools.iter().position(|pool| pool.plan.name == name)?;
        Some((self.straight.get(index)?, self.pools.get(index)))
    }

    /// What is counted of the requests of a route; of those that take none.
    pub(crate) fn series_of(&self, route: Option<&Route>) -> &Arc<Series> {
        let last = self.series.len() - 1;
        &self.series[route.map_or(last, |route| route.nth.min(last))]
    }

    /// All that is counted of routes, each once.
    pub(crate) fn distinct_series(&self) -> Vec<Arc<Series>> {
        let mut seen = HashSet::new();
        self.series.iter().filter(|series| seen.insert(Arc::as_ptr(series))).cloned().collect()
    }

    /// How many routes are counted together with others.
    pub(crate) fn routes_not_shown(&self) -> usize {
        self.uncounted
    }

    /// Whether this peer's word about a request is taken.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.plan.trusted.iter().any(|network| network.contains(peer))
    }

    pub(crate) fn pools(&self) -> &[Arc<LivePool>] {
        &self.pools
    }
}

/// The counts of a Plan's routes. Those that were kept before under the same names go on; routes that are shown alike share
/// theirs, and so do those beyond [`COUNTED`], of which the second part of the answer tells how many.
fn series(plan: &Plan, before: &[Arc<Series>]) -> (Vec<Arc<Series>>, usize) {
    let named = |series: &Arc<Series>| ((series.route.clone(), series.pool.clone()), Arc::clone(series));
    let before: HashMap<_, _> = before.iter().map(named).collect();
    let mut known = HashMap::new();
    let mut series = |route: String, pool: Option<usize>| {
        let pool = pool.and_then(|pool| plan.pools.get(pool)).map_or("", |pool| &pool.name);
        let name = (route, pool.to_owned());
        let new = || Arc::new(Series::new(name.0.clone(), name.1.clone(), plan.threads));
        let series = || before.get(&name).map_or_else(new, Arc::clone);
        Arc::clone(known.entry(name.clone()).or_insert_with(series))
    };
    let mut own = HashSet::new();
    let mut uncounted = 0;
    let mut all = Vec::with_capacity(plan.routes.len() + plan.pools.len() + 1);
    for route in plan.routes.iter() {
        let mut name = route.to_string();
        if own.len() < COUNTED {
            own.insert((name.clone(), route.pool()));
        } else if !own.contains(&(name.clone(), route.pool())) {
            uncounted += 1;
            name = MORE.to_owned();
        }
        all.push(series(name, route.pool()));
    }
    all.extend((0..plan.pools.len()).map(|pool| series(String::new(), Some(pool))));
    all.push(series(String::new(), None));
    (all, uncounted)
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
