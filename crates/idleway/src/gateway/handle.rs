//! What a gateway that runs is told.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use thiserror::Error;
use tokio::runtime;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::acceptor::Acceptor;
use super::engine::Engine;
use super::handover::{Bequest, Telling, tell_what_is_held};
use super::places::Places;
use super::pulse::Pulse;
use crate::config::Plan;
use crate::control::{Order, scrape};
use crate::live::{Live, Readiness};
use crate::metrics::MEDIA_TYPE;
use crate::net::{CoreHandle, Cores};

/// A hold on a gateway, for whoever tells it something while another waits for its end. Clones hold the same one.
#[derive(Debug, Clone)]
pub struct Handle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    live: Arc<Live>,
    places: Arc<Places>,
    runtime: runtime::Handle,
    /// Where clients are accepted; none where the gateway is mounted.
    acceptor: Option<Arc<Acceptor>>,
    /// Whose threads it runs on: a guest has those of its host.
    threads: Option<usize>,
    cores: Vec<Arc<CoreHandle>>,
    telling: Arc<Telling>,
    pulse: Pulse,
    /// Locked for as long as a Plan takes to be put in force: of several, the last one holds in the end.
    orders: Mutex<mpsc::Sender<Order>>,
}

/// Why a Plan was not put in force; the one before is, as if nothing had been.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotReloaded {
    /// These keys cannot change while the gateway runs.
    #[error("`{}` cannot change without a restart", .0.join("`, `"))]
    NeedsRestart(Vec<&'static str>),
    /// The gateway has ended, or is about to.
    #[error("the gateway is stopping")]
    Stopping,
}

impl Handle {
    pub(super) fn new(engine: &Engine, acceptor: Option<Arc<Acceptor>>) -> Self {
        let Engine { live, places, orders, cores, telling, .. } = engine;
        Self(Arc::new(Inner {
            live: Arc::clone(live),
            places: Arc::clone(places),
            runtime: engine.runtime().clone(),
            threads: acceptor.as_ref().map(|_| live.snapshot().plan.threads),
            acceptor,
            cores: cores.all().to_vec(),
            pulse: Pulse::new(cores.all().to_vec()),
            telling: Arc::clone(telling),
            orders: Mutex::new(orders.clone()),
        }))
    }

    /// Puts the Plan in force, as a whole or not at all. What runs goes on: requests keep their Slots and their places in
    /// line, backends that both Plans have keep their counts, their health and what was ordered of them, and those that
    /// the new one does not have finish their work. It holds for each request that begins after this has returned.
    ///
    /// `listen` is not looked at: whoever has given the gateway its socket gives it another, by [`Self::listen_on`].
    ///
    /// # Errors
    /// What of the Plan cannot change while the gateway runs (`threads`, `handover`), or that it ends.
    pub async fn reload(&self, plan: Plan) -> Result<(), NotReloaded> {
        let outcome = self.put_in_force(plan).await;
        self.0.live.note_reload(outcome.as_ref().copied().map_err(ToString::to_string));
        outcome
    }

    async fn put_in_force(&self, plan: Plan) -> Result<(), NotReloaded> {
        let Inner { live, places, runtime, threads, orders, .. } = &*self.0;
        let orders = orders.lock().await;
        if live.stage.now() == Readiness::Draining {
            return Err(NotReloaded::Stopping);
        }
        let mut fixed = Vec::new();
        fixed.extend(threads.filter(|threads| *threads != plan.threads).map(|_| "threads"));
        fixed.extend((live.snapshot().plan.handover != plan.handover).then_some("handover"));
        if !fixed.is_empty() {
            return Err(NotReloaded::NeedsRestart(fixed));
        }
        let connections = plan.limits.connections;
        let (done, is_done) = oneshot::channel();
        let order = Order::Plan { plan: Box::new(plan), done };
        orders.send(order).await.map_err(|_| NotReloaded::Stopping)?;
        is_done.await.map_err(|_| NotReloaded::Stopping)?;
        places.resize(connections, runtime);
        Ok(())
    }

    /// Notes that a Plan was not even come to: what is in force stays, and whoever looks on is told `why`.
    pub fn failed(&self, why: impl Into<String>) {
        self.0.live.note_reload(Err(why.into()));
    }

    /// Accepts clients on this socket in place of the one before; who is connected stays so.
    ///
    /// # Errors
    /// The socket is none that listens, or the gateway is mounted or stopping.
    pub async fn listen_on(&self, listener: TcpListener) -> io::Result<()> {
        match &self.0.acceptor {
            Some(acceptor) => acceptor.turn_to(listener).await,
            None => Err(io::Error::new(io::ErrorKind::Unsupported, "a mounted gateway has no socket")),
        }
    }

    /// Leaves all that the gateway has to another one. Nobody is accepted any more; what runs goes on, to be waited for by
    /// [`Gateway::shutdown`](super::Gateway::shutdown), or is waited for already. None where it has an heir, and where it is mounted.
    ///
    /// Blocks for as long as a Plan is on its way to be in force; not to be called within a runtime.
    pub fn bequeath(&self) -> Option<Bequest> {
        let Inner { live, cores, runtime, acceptor, telling, orders, .. } = &*self.0;
        let acceptor = acceptor.as_ref()?;
        // A Plan that is on its way to be in force is, before anything is left.
        let orders = orders.blocking_lock();
        let (bequest, told) = Bequest::of(live)?;
        live.stage.reach(Readiness::Draining);
        acceptor.stop();
        telling.begin(runtime.spawn(tell_what_is_held(
            Arc::clone(live),
            told,
            orders.clone(),
            cores.clone(),
        )));
        Cores::hand_over(cores);
        Some(bequest)
    }

    /// The socket on which clients are accepted, once more; none where the gateway is mounted or stopping.
    ///
    /// # Errors
    /// What the system says where the socket cannot be had twice.
    pub fn socket(&self) -> io::Result<Option<TcpListener>> {
        self.0.acceptor.as_ref().map_or(Ok(None), |acceptor| acceptor.socket())
    }

    /// All that is counted and how things stand, for Prometheus to read: a page in its exposition format, of the media type
    /// [`Handle::METRICS_TYPE`]. `docs/metrics.md` says what each metric means.
    pub fn metrics(&self) -> String {
        let open = self.0.cores.iter().map(|core| core.connections()).sum();
        scrape(&self.0.live, (open, self.0.places.most()))
    }

    /// The cores that do not answer within a second, by their numbers: something keeps their thread. None where the gateway is
    /// well; all of them where it has ended.
    pub async fn silent_cores(&self) -> Vec<u16> {
        self.0.pulse.silent().await
    }

    /// Counts a line of the log that nobody will read, for the metrics: whoever writes the log says so.
    pub fn count_lost_log_line(&self) {
        self.0.live.lost_log_lines.increment();
    }

    /// The media type of [`Handle::metrics`].
    pub const METRICS_TYPE: &str = MEDIA_TYPE;

    /// The Plan in force.
    pub fn plan(&self) -> Plan {
        self.0.live.snapshot().plan.clone()
    }

    /// Where clients are accepted; none where the gateway is mounted.
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.acceptor.as_ref().map(|acceptor| acceptor.address())
    }
}

/// For the admin API.
#[cfg(feature = "admin")]
impl Handle {
    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.0.live
    }

    /// Gives a backend so many Slots until a Plan says something else of it, or as many as the Plan in force says; false where
    /// there is none of this name.
    pub(crate) async fn resize(
        &self,
        pool: &str,
        backend: &str,
        slots: Option<u32>,
    ) -> Result<bool, NotReloaded> {
        let orders = self.0.orders.lock().await;
        let (done, is_done) = oneshot::channel();
        let order = Order::Slots { pool: pool.to_owned(), backend: backend.to_owned(), slots, done };
        orders.send(order).await.map_err(|_| NotReloaded::Stopping)?;
        is_done.await.map_err(|_| NotReloaded::Stopping)
    }
}
