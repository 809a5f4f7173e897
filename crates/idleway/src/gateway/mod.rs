//! The gateway, put together: cores, acceptor, pools and what is done for them.

mod body;
mod builder;
mod counts;
mod engine;
mod mount;
mod stop;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

pub use self::body::{Body, BodyError};
pub use self::builder::Builder;
pub use self::counts::{BackendCounts, BackendStatus, Drained, PoolStatus, SlotCounts, Totals};
use self::engine::Engine;
pub use self::mount::{Mount, Peer};
pub use self::stop::{Stop, run_gateway};
use crate::config::Plan;
use crate::event::Events;
use crate::hook::Hook;
use crate::live::Live;
use crate::net::{Approach, Cores, accept};
use crate::proxy;

/// How long the first clients wait for the first look-up of names.
const LOOK_UP: Duration = Duration::from_secs(2);

/// A gateway that listens, on threads of its own: one for each core. Dropped without [`Gateway::shutdown`] it ends at
/// once, and what runs is cut.
///
/// Several may run in one program, beside whatever else it does; each counts the Slots of its own backends.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    engine: Engine,
    stop_accepting: oneshot::Sender<()>,
    accepting: tokio::task::JoinHandle<()>,
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

    fn launch(plan: Plan, hook: Option<Arc<dyn Hook>>, listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let cores = Cores::start(plan.threads)?;
        let (engine, are_resolved) = Engine::start(plan, hook, cores);
        let (stop_accepting, stopped) = oneshot::channel();
        let accepting = engine.runtime().spawn(acceptor(
            listener,
            engine.cores.all().to_vec(),
            Arc::clone(&engine.places),
            Arc::clone(&engine.live),
            are_resolved,
            stopped,
        ));
        Ok(Self { address, engine, stop_accepting, accepting })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
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

    /// What it has counted so far.
    pub fn totals(&self) -> Totals {
        Totals::of(&self.engine.live)
    }

    /// What happens to its backends from now on.
    pub fn events(&self) -> Events {
        self.engine.live.events()
    }

    /// Stops: no new connections, idle ones end, what runs is finished within the Plan's `drain_timeout`, also what
    /// nobody waits for any more.
    /// Blocks until that is done; whoever is still in line then is answered 503, and what still runs is cut. For tasks there
    /// is [`Builder::serve`].
    pub fn shutdown(self) -> Drained {
        let Self { engine, stop_accepting, accepting, .. } = self;
        // The acceptor may have ended by itself; then there is nobody to tell.
        let _ = stop_accepting.send(());
        engine.cores.leave();
        let runtime = engine.runtime().clone();
        let drained = async {
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

/// Accepts until told to stop, or until the gateway is gone; closes the listening socket then.
async fn acceptor(
    listener: TcpListener,
    cores: Vec<Arc<crate::net::CoreHandle>>,
    places: Arc<Semaphore>,
    live: Arc<Live>,
    are_resolved: oneshot::Receiver<()>,
    mut stopped: oneshot::Receiver<()>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "cannot listen");
            return;
        }
    };
    // Who comes before the names were looked up once waits for that with the system, instead of being told that there
    // are no backends. An error says that there is nothing to wait for.
    tokio::select! {
        _ = &mut stopped => return,
        _ = tokio::time::timeout(LOOK_UP, are_resolved) => {}
    }
    let serve = move |stream, peer, admission| {
        proxy::serve(Arc::clone(&live), Approach::Tcp(stream), peer, admission)
    };
    tokio::select! {
        _ = stopped => {}
        () = accept(listener, cores, places, serve) => {}
    }
}
