//! A Plan at work on some cores: the pools, what is done for them, and the places of their clients.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::counts::{Drained, SlotCounts};
use super::places::Places;
use crate::config::Plan;
use crate::control::{Members, Order, Upkeep, keep};
use crate::hook::Hook;
use crate::live::{Live, Readiness};
use crate::net::Cores;

/// How long those who are told at the end of a shutdown have to take their answers.
const PARTING: Duration = Duration::from_millis(500);

/// How often a shutdown looks whether abandoned work has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Plans that wait to be put in force.
const ORDERS: usize = 4;

/// What is common to a gateway that listens and one that is mounted. Dropped, the tasks of its control plane end.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) live: Arc<Live>,
    pub(super) cores: Cores,
    pub(super) places: Arc<Places>,
    pub(super) orders: mpsc::Sender<Order>,
    /// Held so that they end with it.
    _control: JoinSet<()>,
}

impl Engine {
    /// Begins to work on these cores; tells when the names in the Plan were looked up once.
    pub(super) fn start(
        plan: Plan,
        hook: Option<Arc<dyn Hook>>,
        cores: Cores,
    ) -> (Self, oneshot::Receiver<()>) {
        let places = Places::new(plan.limits.connections);
        let live = Live::new(plan, hook);
        let (runtime, core) = (cores.first().runtime(), cores.first().index());
        let members = Members::new(&live);
        let mut upkeep = Upkeep::new(runtime.clone(), core);
        upkeep.follow(&live);
        let (orders, ordered) = mpsc::channel(ORDERS);
        let (resolved, are_resolved) = oneshot::channel();
        let mut control = JoinSet::new();
        control.spawn_on(keep(Arc::clone(&live), members, upkeep, ordered, resolved), runtime);
        (Self { live, cores, places, orders, _control: control }, are_resolved)
    }

    /// Lets what runs end within the Plan's `drain_timeout`, also what nobody waits for any more. Whoever is still in line
    /// then is answered 503.
    pub(super) async fn drain(&self) -> Drained {
        self.live.stage.reach(Readiness::Draining);
        self.cores.leave();
        let mut all = std::pin::pin!(self.places.all_free());
        let end = Instant::now() + self.live.snapshot().plan.drain_timeout;
        if tokio::time::timeout_at(end, all.as_mut()).await.is_err() {
            // Whoever is still in line has not run: it is told so.
            self.live.pools().iter().for_each(|pool| pool.slots.dismiss());
            let _ = tokio::time::timeout(PARTING, all).await;
        }
        // Work that nobody waits for is at work all the same: a gateway that is started next must not send
        // its first request beside it.
        while SlotCounts::of(&self.live).lingering > 0 && Instant::now() < end {
            tokio::time::sleep(LOOK).await;
        }
        let slots = SlotCounts::of(&self.live);
        Drained { cut: self.cores.connections(), abandoned: slots.lingering + slots.resting }
    }

    /// Ends the cores' threads, and with them whatever still runs there.
    pub(super) fn stop(self) {
        self.cores.stop();
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
