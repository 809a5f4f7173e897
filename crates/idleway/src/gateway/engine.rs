//! A Plan at work on some cores: the pools, what is done for them, and the places of their clients.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::counts::{Drained, SlotCounts};
use super::handover::Telling;
use super::places::Places;
use super::remaining::Remaining;
use crate::config::Plan;
use crate::control::{Members, Order, Past, Told, Upkeep, export, keep};
use crate::hook::Hook;
use crate::live::{Live, Readiness};
use crate::net::Cores;

/// How long those who are told at the end of a shutdown have to take their answers.
const PARTING: Duration = Duration::from_millis(500);

/// How often a shutdown looks whether abandoned work has ended.
const LOOK: Duration = Duration::from_millis(20);

/// When a shutdown says first what it waits for, how often then, and of how many backends at once.
const FIRST_TOLD: Duration = Duration::from_secs(1);
const TOLD: Duration = Duration::from_secs(5);
const MOST_TOLD: usize = 10;

/// Plans that wait to be put in force.
const ORDERS: usize = 4;

/// What is common to a gateway that listens and one that is mounted. Dropped, the tasks of its control plane end.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) live: Arc<Live>,
    pub(super) cores: Cores,
    pub(super) places: Arc<Places>,
    pub(super) orders: mpsc::Sender<Order>,
    /// Tells the process that takes this one's place, if there is one, what is held here still.
    pub(super) telling: Arc<Telling>,
    /// Held so that they end with it.
    _control: JoinSet<()>,
}

impl Engine {
    /// Begins to work on these cores; tells when the names in the Plan were looked up once.
    pub(super) fn start(
        plan: Plan,
        hook: Option<Arc<dyn Hook>>,
        inherits: bool,
        cores: Cores,
    ) -> (Self, oneshot::Receiver<()>) {
        let past = match inherits {
            true => Past::Told(Told::default()),
            false => Past::Unknown(plan.cold_start),
        };
        let places = Places::new(plan.limits.connections);
        let live = Live::new(plan, hook);
        export(&live);
        let (runtime, core) = (cores.first().runtime(), cores.first().index());
        let members = Members::new(&live, past);
        let mut upkeep = Upkeep::new(runtime.clone(), core);
        upkeep.follow(&live);
        let (orders, ordered) = mpsc::channel(ORDERS);
        let (resolved, are_resolved) = oneshot::channel();
        let mut control = JoinSet::new();
        control.spawn_on(keep(Arc::clone(&live), members, upkeep, ordered, resolved), runtime);
        (Self { live, cores, places, orders, telling: Arc::default(), _control: control }, are_resolved)
    }

    /// Lets what runs end within the Plan's `drain_timeout`, also what nobody waits for any more. Whoever is still in line
    /// then is answered 503.
    pub(super) async fn drain(&self) -> Drained {
        self.live.stage.reach(Readiness::Draining);
        match self.live.heir() {
            // What becomes idle goes to it.
            Some(_) => Cores::hand_over(self.cores.all()),
            None => self.cores.leave(),
        }
        let end = Instant::now() + self.live.snapshot().plan.drain_timeout;
        let mut told = std::pin::pin!(self.tell_what_remains(end));
        let mut all = std::pin::pin!(async {
            // Whoever comes from there is to go on from here.
            self.live.past_is_over().await;
            self.places.all_free().await
        });
        let is_over = tokio::select! {
            _ = all.as_mut() => true,
            () = told.as_mut() => false,
        };
        if !is_over {
            self.cores.leave();
            // Whoever is still in line has not run: it is told so.
            self.live.pools().iter().for_each(|pool| pool.slots.dismiss());
            let _ = tokio::time::timeout(PARTING, all).await;
        }
        // Work that nobody waits for is at work all the same: a gateway that is started next must not send
        // its first request beside it.
        while is_over && SlotCounts::of(&self.live).lingering > 0 {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = told.as_mut() => break,
            }
        }
        self.telling.end(end).await;
        if let Some(heir) = self.live.heir() {
            heir.close();
        }
        let slots = SlotCounts::of(&self.live);
        Drained { cut: self.cores.connections(), abandoned: slots.lingering + slots.resting }
    }

    /// Says now and then what is waited for, until the time is over.
    async fn tell_what_remains(&self, end: Instant) {
        let mut next = Instant::now() + FIRST_TOLD;
        while next < end {
            tokio::time::sleep_until(next).await;
            let left = end.saturating_duration_since(Instant::now()).as_secs();
            let remaining = Remaining::of(&self.live);
            let waiting = SlotCounts::of(&self.live).waiting;
            let more = remaining.len().saturating_sub(MOST_TOLD);
            for remaining in remaining.iter().take(MOST_TOLD) {
                tracing::info!(seconds_left = left, "waiting for {remaining}");
            }
            if more > 0 {
                tracing::info!(seconds_left = left, "waiting for {more} more backends");
            }
            if waiting > 0 {
                tracing::info!(seconds_left = left, waiting, "there are requests in line still");
            }
            next = Instant::now() + TOLD;
        }
        tokio::time::sleep_until(end).await;
    }

    /// Ends the cores' threads, and with them whatever still runs there. What is recorded of it is sent, if that can be.
    pub(super) fn stop(self) {
        self.cores.stop();
        self.live.send_what_is_recorded();
    }

    /// The runtime that its first core runs on.
    pub(super) fn runtime(&self) -> &Handle {
        self.cores.first().runtime()
    }
}

/// The runtime that this is called in.
///
/// # Errors
/// There is none.
pub(super) fn current_runtime() -> io::Result<Handle> {
    Handle::try_current().map_err(io::Error::other)
}
