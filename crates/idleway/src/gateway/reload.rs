//! Another Plan for a gateway that runs.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::acceptor::Acceptor;
use super::engine::Engine;
use super::places::Places;
use crate::config::Plan;
use crate::control::Order;
use crate::live::{Live, Readiness};

/// Puts Plans in force, one after another. Clones reload the same gateway, for as long as it runs.
#[derive(Debug, Clone)]
pub struct Reloads(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    live: Arc<Live>,
    places: Arc<Places>,
    runtime: Handle,
    /// Where clients are accepted; none where the gateway is mounted.
    acceptor: Option<Arc<Acceptor>>,
    /// Whose threads it runs on: a guest has those of its host.
    threads: Option<usize>,
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

impl Reloads {
    pub(super) fn new(engine: &Engine, acceptor: Option<Arc<Acceptor>>) -> Self {
        let Engine { live, places, orders, .. } = engine;
        Self(Arc::new(Inner {
            live: Arc::clone(live),
            places: Arc::clone(places),
            runtime: engine.runtime().clone(),
            threads: acceptor.as_ref().map(|_| live.snapshot().plan.threads),
            acceptor,
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
    /// What of the Plan cannot change while the gateway runs (`threads`), or that it ends.
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
        if threads.is_some_and(|threads| threads != plan.threads) {
            return Err(NotReloaded::NeedsRestart(vec!["threads"]));
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

    /// The Plan in force.
    pub fn plan(&self) -> Plan {
        self.0.live.snapshot().plan.clone()
    }

    /// Where clients are accepted; none where the gateway is mounted.
    pub fn address(&self) -> Option<SocketAddr> {
        self.0.acceptor.as_ref().map(|acceptor| acceptor.address())
    }
}
