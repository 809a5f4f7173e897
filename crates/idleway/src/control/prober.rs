//! Probes: asking backends whether they serve, regularly where that is configured, and out of turn where a backend
//! could not be reached, since only a probe can tell when it can be again.
//!
//! Busy is not sick: a probe takes a Slot and goes out on that Slot's connection, for one more connection would hang
//! the very backends that can do one thing at a time. While all Slots are taken there is none. Only `health.dedicated`
//! opens a connection beside the work.

mod beside;
mod on_slot;

use std::sync::Arc;
use std::time::{Duration, Instant};

use idleway_core::{BackendKey, Core, Mode, Outcome};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::schedule::{Schedule, Turn};
use crate::config::{HttpProbe, ProbeKind, ProbePlan};
use crate::live::{Backend, LivePool};
use crate::net::{BackendConnection, Question};

/// So many probes out of turn are at work at once, and so many begin in one go: a pool that comes back as a whole is
/// not stormed.
const AT_ONCE: usize = 64;
const IN_ONE_GO: usize = 8;
/// How long until it is looked again for those that could not be probed now: 400 begin in a second at most.
const SOON: Duration = Duration::from_millis(20);
const LATER: Duration = Duration::from_millis(50);
/// How often it is looked for work that may hang, and at how many Slots under one lock.
const LOOK: Duration = Duration::from_secs(1);
const AT_A_LOOK: u32 = 256;

/// Probes the backends of a pool. Never ends; its tasks are at most as many as Slots, or with `dedicated` as backends.
pub(crate) async fn probe_all(pool: Arc<LivePool>, core: Core) {
    let regular = pool.plan.health.probe.as_ref().map(|probe| probe.every);
    let mut schedule = Schedule::new(regular.unwrap_or(Duration::MAX));
    let mut backends = None;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut look = Instant::now() + LOOK;
    let mut turn = Turn::default();
    loop {
        let current = pool.backends();
        if regular.is_some() && !backends.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &current)) {
            schedule.set(Instant::now(), current.keys().copied().collect());
            backends = Some(current);
        }
        let again = probe_out_of_turn(&pool, core, &places, &mut turn);
        let wake = again
            .map(|wait| Instant::now() + wait)
            .into_iter()
            .chain(schedule.next())
            .fold(look, Instant::min);
        tokio::select! {
            () = tokio::time::sleep_until(wake.into()) => {}
            () = pool.wants_probe.notified() => {}
        }
        let now = Instant::now();
        while let Some(key) = schedule.pop(now) {
            begin(&pool, key, core, None);
        }
        if now >= look {
            look = now + LOOK;
            tell_of_overdue(&pool);
        }
    }
}

/// Begins the probes that are wanted out of turn; answers when to look again for those that could not begin.
///
/// They have their `turn`: hosts that do not answer hold their places for long, and must not keep others from theirs.
fn probe_out_of_turn(
    pool: &Arc<LivePool>,
    core: Core,
    places: &Arc<Semaphore>,
    turn: &mut Turn,
) -> Option<Duration> {
    let mut again = None;
    for _ in 0..IN_ONE_GO {
        let next = turn.next(|key| pool.slots.awaiting_probe(key));
        // Whose place comes free wakes this.
        let (Some(key), Ok(place)) = (next, Arc::clone(places).try_acquire_owned()) else { return again };
        if !begin(pool, key, core, Some(place)) {
            again = Some(LATER);
        }
    }
    Some(SOON)
}

/// Begins the probe of one backend, unless there is no Slot for it. `place`: it is one out of turn.
fn begin(pool: &Arc<LivePool>, key: BackendKey, core: Core, place: Option<OwnedSemaphorePermit>) -> bool {
    let Some(backend) = pool.backend(key) else { return false };
    // Not before it is sure that it begins: who has a place and ends wakes the prober, and one that could not begin would
    // wake it to find the same again, without end.
    let asked = |backend| Asked { pool: Arc::clone(pool), backend, core, place };
    let is_dedicated = pool.plan.health.probe.as_ref().is_some_and(|probe| probe.dedicated);
    if is_dedicated {
        let view = pool.slots.backends(key, 1).into_iter().find(|view| view.key == key);
        let is_watched = view.is_some_and(|view| view.mode != Mode::Maintenance && !view.removed);
        if !is_watched || !backend.begin_probe() {
            return false;
        }
        tokio::spawn(beside::probe(asked(backend), key));
    } else {
        let Some(permit) = pool.slots.take_for_probe(key) else { return false };
        tokio::spawn(on_slot::probe(asked(backend), permit));
    }
    true
}

/// Whom a probe asks.
#[derive(Debug)]
struct Asked {
    pool: Arc<LivePool>,
    backend: Arc<Backend>,
    core: Core,
    place: Option<OwnedSemaphorePermit>,
}

impl Asked {
    /// The pool's probes; none where only those out of turn are sent.
    fn plan(&self) -> Option<&ProbePlan> {
        self.pool.plan.health.probe.as_ref()
    }

    /// The request, where probes are requests.
    fn request(&self) -> Option<&HttpProbe> {
        match &self.plan()?.how {
            ProbeKind::Http(request) => Some(request),
            ProbeKind::Tcp => None,
        }
    }

    /// What is asked. `keep_alive`: the connection is to serve a request after it.
    fn question<'a>(&'a self, request: &'a HttpProbe, keep_alive: bool) -> Question<'a> {
        let host = request.host.as_deref().unwrap_or(&self.backend.name);
        Question { method: &request.method, target: &request.path, host, keep_alive }
    }

    /// A new connection, or what it means that there is none.
    async fn connect(&self) -> Result<Box<BackendConnection>, Outcome> {
        let longest = self.plan().map_or(Duration::MAX, |probe| probe.timeout);
        let within = self.pool.plan.connect_timeout.min(longest);
        BackendConnection::connect(&self.backend.addresses, self.core, within).await.map_err(|error| {
            if !error.is_the_backends() {
                return Outcome::Ignored;
            }
            self.backend.note_fault(error.to_string());
            Outcome::Unreachable
        })
    }

    /// What a status says.
    fn judge(&self, request: &HttpProbe, status: u16) -> Outcome {
        if request.status.iter().any(|good| good.contains(&status)) {
            return Outcome::Success;
        }
        self.backend.note_fault(format!("a probe was answered {status}"));
        Outcome::Failure
    }

    /// Counts what was found.
    fn count(&self, outcome: Outcome) {
        self.pool.metrics.probes.count(outcome);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.place.take().is_some() {
            // There is a place again.
            self.pool.wants_probe.notify_one();
        }
    }
}

/// Says once of each piece of work that takes far longer than usual that it may hang.
fn tell_of_overdue(pool: &LivePool) {
    let mut from = Some(0);
    while let Some(place) = from {
        let (overdue, more) = pool.slots.overdue(place, AT_A_LOOK);
        for work in overdue {
            pool.metrics.overdue.increment();
            let backend = pool.backend(work.backend);
            tracing::warn!(
                pool = %pool.plan.name, backend = backend.as_ref().map_or("-", |backend| &backend.name),
                since = ?work.age, p99 = ?work.p99,
                "work takes far longer than usual here: it may hang"
            );
        }
        from = more;
    }
}
