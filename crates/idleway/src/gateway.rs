//! The gateway, put together: cores, acceptor, pools and their drivers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use crate::config::Plan;
use crate::control::{drive, probe_all, prove, resolve};
use crate::live::Live;
use crate::net::{Cores, accept};
use crate::proxy;

/// A running gateway. Dropped without [`Gateway::shutdown`] it ends at once, and what runs is cut.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    live: Arc<Live>,
    cores: Cores,
    places: Arc<Semaphore>,
    most: u32,
    drain_timeout: Duration,
    stop_accepting: oneshot::Sender<()>,
    accepting: tokio::task::JoinHandle<()>,
}

/// How long those who are told at the end of a shutdown have to take their answers.
const PARTING: Duration = Duration::from_millis(500);

/// How often a shutdown looks whether abandoned work has ended.
const LOOK: Duration = Duration::from_millis(20);

/// How long the first clients wait for the first look-up of names.
const LOOK_UP: Duration = Duration::from_secs(2);

/// What a shutdown came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still at work when the time was over, and were cut.
    pub cut: usize,
    /// Slots whose backends may be at work still, though nobody waits for it: a gateway that is started now knows
    /// nothing of them.
    pub abandoned: u64,
}

/// What a gateway has counted since its start, all pools together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Slots whose abandoned work outlasted `linger`, and which rested until a probe succeeded.
    pub linger_expired: u64,
    /// Answers that came whole after their clients had been told 504: `timeout` is too short.
    pub late_answers: u64,
    /// Requests that were tried again, whatever the reason.
    pub retries: u64,
    /// Probes that found a backend serving.
    pub probes_succeeded: u64,
    /// Probes that did not.
    pub probes_failed: u64,
    /// How often a backend was taken out.
    pub downs: u64,
    /// Pieces of work that took far longer than usual in their pool: they may hang.
    pub overdue: u64,
    /// Answers by which a backend said that it is busy (`busy_status`).
    pub backend_busy: u64,
}

/// How the Slots of a gateway stand, all pools together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlotCounts {
    /// Ready for a request.
    pub idle: u64,
    /// At work on a request.
    pub busy: u64,
    /// At work on a request that nobody waits for any more.
    pub lingering: u64,
    /// Waiting for a time or a proof.
    pub resting: u64,
    /// Requests in line.
    pub waiting: u64,
}

/// How the backends of a gateway stand, all pools together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackendCounts {
    /// Those that are up and ready.
    pub up: u64,
    /// All of them, those included that are no longer named and still finish their work.
    pub all: u64,
}

impl SlotCounts {
    fn of(live: &Live) -> Self {
        let mut sum = Self::default();
        for pool in live.snapshot().pools() {
            let counts = pool.slots.counts();
            sum.idle += counts.idle;
            sum.busy += counts.busy;
            sum.lingering += counts.lingering;
            sum.resting += counts.resting;
            sum.waiting += counts.waiting;
        }
        sum
    }
}

impl Gateway {
    /// Starts to serve `plan` on a socket that listens already (`plan.listen` is not looked at): one thread for
    /// each core. Returns at once.
    ///
    /// # Errors
    /// What the system says where threads or their event loops cannot be had.
    pub fn start(plan: Plan, listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let most = u32::try_from(plan.limits.connections).unwrap_or(u32::MAX);
        let most = most.min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        let places = Arc::new(Semaphore::new(most as usize));
        let drain_timeout = plan.drain_timeout;
        let cores = Cores::start(plan.threads)?;
        let live = Live::new(plan);
        let first = cores.first().runtime();
        let core = cores.first().index();
        for pool in live.snapshot().pools() {
            first.spawn(drive(Arc::clone(pool)));
            first.spawn(prove(Arc::clone(pool), core));
            first.spawn(probe_all(Arc::clone(pool), core));
        }
        let (resolved, are_resolved) = oneshot::channel();
        first.spawn(resolve(Arc::clone(&live), resolved));
        let (stop_accepting, stopped) = oneshot::channel();
        let accepting = first.spawn(acceptor(
            listener,
            cores.all().to_vec(),
            Arc::clone(&places),
            Arc::clone(&live),
            are_resolved,
            stopped,
        ));
        Ok(Self { address, live, cores, places, most, drain_timeout, stop_accepting, accepting })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How its Slots stand at this moment.
    pub fn slots(&self) -> SlotCounts {
        SlotCounts::of(&self.live)
    }

    /// How its backends stand at this moment.
    pub fn backends(&self) -> BackendCounts {
        let mut sum = BackendCounts::default();
        for pool in self.live.snapshot().pools() {
            let counts = pool.slots.counts();
            sum.up += counts.up;
            sum.all += counts.backends;
        }
        sum
    }

    /// What it has counted so far.
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for pool in self.live.snapshot().pools() {
            sum.linger_expired += pool.metrics.linger_expired.count();
            sum.late_answers += pool.metrics.late_answers.count();
            sum.retries += pool.metrics.retries.sum();
            sum.probes_succeeded += pool.metrics.probes.succeeded.count();
            sum.probes_failed += pool.metrics.probes.failed.count();
            sum.downs += pool.metrics.downs.sum();
            sum.overdue += pool.metrics.overdue.count();
            sum.backend_busy += pool.metrics.backend_busy.count();
        }
        sum
    }

    /// Stops: no new connections, idle ones end, what runs is finished within the Plan's `drain_timeout`, also what
    /// nobody waits for any more.
    /// Blocks until that is done; whoever is still in line then is answered 503, and what still runs is cut.
    pub fn shutdown(self) -> Drained {
        // The acceptor may have ended by itself; then there is nobody to tell.
        let _ = self.stop_accepting.send(());
        self.cores.leave();
        let all = Arc::clone(&self.places).acquire_many_owned(self.most);
        let runtime = self.cores.first().runtime().clone();
        let (live, within, accepting) = (&self.live, self.drain_timeout, self.accepting);
        let drained = async {
            // First the listening socket is closed, so that whoever comes now is refused by the system.
            let _ = accepting.await;
            // Its places all come back when the last connection has ended.
            let mut all = std::pin::pin!(all);
            let end = Instant::now() + within;
            if tokio::time::timeout_at(end, all.as_mut()).await.is_err() {
                // Whoever is still in line has not run: it is told so.
                live.snapshot().pools().iter().for_each(|pool| pool.slots.dismiss());
                let _ = tokio::time::timeout(PARTING, all).await;
            }
            // Work that nobody waits for is at work all the same: a gateway that is started next must not send
            // its first request beside it.
            while SlotCounts::of(live).lingering > 0 && Instant::now() < end {
                tokio::time::sleep(LOOK).await;
            }
        };
        // On a thread of its own: the caller's may drive a runtime itself, and must not wait inside two.
        std::thread::scope(|threads| {
            threads.spawn(|| runtime.block_on(drained));
        });
        let cut = self.cores.connections();
        let slots = SlotCounts::of(&self.live);
        self.cores.stop();
        Drained { cut, abandoned: slots.lingering + slots.resting }
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
    let serve = move |stream, peer, admission| proxy::serve(Arc::clone(&live), stream, peer, admission);
    tokio::select! {
        _ = stopped => {}
        () = accept(listener, cores, places, serve) => {}
    }
}
