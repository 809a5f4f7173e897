//! The gateway, put together: cores, acceptor, pools and what is done for them.

mod acceptor;
mod body;
mod builder;
mod counts;
mod engine;
mod handle;
mod handover;
mod mount;
mod places;
mod pulse;
mod remaining;
mod stop;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::acceptor::Acceptor;
pub use self::body::{Body, BodyError};
pub use self::builder::Builder;
pub use self::counts::{BackendCounts, BackendStatus, Drained, PoolStatus, SlotCounts, Totals};
use self::engine::Engine;
pub use self::handle::{Handle, NotReloaded};
pub use self::handover::{Bequest, Heritage};
pub use self::mount::{Mount, Peer};

pub use self::remaining::Remaining;
pub use self::stop::{Stop, Wish, run_gateway};
use crate::config::Plan;
use crate::event::Events;
use crate::hook::Hook;
use crate::live::Readiness;
use crate::net::Cores;

/// A gateway that listens, on threads of its own: one for each core. Dropped without [`Gateway::shutdown`] it ends at
/// once, and what runs is cut.
///
/// Several may run in one program, beside whatever else it does; each counts the Slots of its own backends.
#[derive(Debug)]
pub struct Gateway {
    engine: Engine,
    acceptor: Arc<Acceptor>,
    accepting: JoinHandle<()>,
    handle: Handle,
}

impl Gateway {
    /// What a gateway can be told before it starts: [`Builder::hook`], and how it starts.
    pub fn builder(plan: Plan) -> Builder {
        Builder::new(plan)
    }

    /// Starts to serve `plan` on a socket that listens already (`plan.listen` is not looked at): one thread for
    /// each core. Returns at once; may be called within a runtime or without one.
    ///
    /// # Errors
    /// What the system says where threads or their event loops cannot be had.
    pub fn start(plan: Plan, listener: TcpListener) -> io::Result<Self> {
        Self::builder(plan).start(listener)
    }

    fn launch(
        plan: Plan,
        hook: Option<Arc<dyn Hook>>,
        listener: TcpListener,
        begin: Option<oneshot::Receiver<()>>,
    ) -> io::Result<Self> {
        let cores = Cores::start(plan.threads)?;
        let (engine, are_resolved) = Engine::start(plan, hook, begin.is_some(), cores);
        let (acceptor, accepting) = Acceptor::start(&engine, listener, are_resolved, begin)?;
        let handle = Handle::new(&engine, Some(Arc::clone(&acceptor)));
        Ok(Self { engine, acceptor, accepting, handle })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    /// A hold on it, to tell it something while another waits for its end.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// How its Slots stand at this moment.
    pub fn slots(&self) -> SlotCounts {
        SlotCounts::of(&self.engine.live)
    }

    /// How its backends stand at this moment.
    pub fn backends(&self) -> BackendCounts {
        BackendCounts::of(&self.engine.live)
    }

    /// How each of its pools and their backends stand at this moment.
    pub fn pools(&self) -> Vec<PoolStatus> {
        PoolStatus::all(&self.engine.live)
    }

    /// The work that has not ended, of each backend that has any: what a shutdown would wait for.
    pub fn remaining(&self) -> Vec<Remaining> {
        Remaining::of(&self.engine.live)
    }

    /// What it has counted so far.
    pub fn totals(&self) -> Totals {
        Totals::of(&self.engine.live)
    }

    /// What happens to its backends from now on.
    pub fn events(&self) -> Events {
        self.engine.live.events()
    }

    /// Stops. For the Plan's `drain_delay` it serves on and is not ready any more, and each answer is its connection's
    /// last. Then nobody new is accepted, idle connections end, and what runs is finished within `drain_timeout`, also
    /// what nobody waits for any more.
    ///
    /// Blocks until that is done; whoever is still in line then is answered 503, and what still runs is cut. For tasks there
    /// is [`Builder::serve`].
    pub fn shutdown(self) -> Drained {
        let Self { engine, acceptor, accepting, .. } = self;
        engine.live.stage.reach(Readiness::Draining);
        let (mut delay, has_heir) = (engine.live.snapshot().plan.drain_delay, engine.live.heir().is_some());
        if has_heir {
            delay = Duration::ZERO;
        } else {
            engine.cores.part();
        }
        let runtime = engine.runtime().clone();
        let drained = async {
            if !delay.is_zero() {
                tracing::info!(?delay, "not ready any more; clients are accepted until the delay is over");
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    // It has those who come from now on.
                    () = engine.live.heir_is_there() => {}
                }
            }
            acceptor.stop();
            // First the listening socket is closed, so that whoever comes now is refused by the system.
            let _ = accepting.await;
            engine.drain().await
        };
        // On a thread of its own: the caller's may drive a runtime itself, and must not wait inside two.
        let drained = std::thread::scope(|threads| threads.spawn(|| runtime.block_on(drained)).join());
        let drained = drained.unwrap_or(Drained { cut: engine.cores.connections(), abandoned: 0 });
        engine.stop();
        drained
    }
}
