//! The cores: one single-threaded runtime each, and the threads they run on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use idleway_core::Core;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

/// One core: where its connections run, and how many there are.
#[derive(Debug)]
pub(crate) struct CoreHandle {
    index: Core,
    runtime: Handle,
    connections: AtomicUsize,
    stage: AtomicU8,
    leave: Notify,
}

/// Each connection serves as many requests as its client wants.
const OPEN: u8 = 0;
/// Idle connections are handed to another process.
const HANDING: u8 = 1;
/// Each answer tells its client that it is the connection's last.
const PARTING: u8 = 2;
/// Connections end; idle ones at once.
const LEAVING: u8 = 3;

impl CoreHandle {
    fn new(index: Core, runtime: Handle) -> Arc<Self> {
        Arc::new(Self {
            index,
            runtime,
            connections: AtomicUsize::new(0),
            stage: AtomicU8::new(OPEN),
            leave: Notify::new(),
        })
    }

    pub(crate) fn index(&self) -> Core {
        self.index
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// About to stop: connections end after the request they are at.
    pub(crate) fn is_parting(&self) -> bool {
        self.stage.load(Ordering::Acquire) >= PARTING
    }

    /// Told to stop: idle connections end too.
    pub(crate) fn is_leaving(&self) -> bool {
        self.stage.load(Ordering::Acquire) >= LEAVING
    }

    /// Idle connections have no place here any more, wherever they go.
    pub(crate) fn wants_no_idle(&self) -> bool {
        let stage = self.stage.load(Ordering::Acquire);
        stage == HANDING || stage >= LEAVING
    }

    /// Connections that are open here.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Wakes the idle connections of this core when the gateway stops.
    pub(crate) fn leave(&self) -> &Notify {
        &self.leave
    }

    /// Counts a connection as this core's until the guard is dropped.
    pub(crate) fn seat(self: &Arc<Self>) -> Seat {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Seat { core: Arc::clone(self) }
    }
}

/// A connection's place on a core.
#[derive(Debug)]
pub(crate) struct Seat {
    core: Arc<CoreHandle>,
}

impl Seat {
    pub(crate) fn core(&self) -> &Arc<CoreHandle> {
        &self.core
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.core.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All cores of one gateway.
#[derive(Debug)]
pub(crate) struct Cores {
    cores: Vec<Arc<CoreHandle>>,
    threads: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Cores {
    /// Starts `count` threads, at least one, each with a runtime of its own.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let mut cores = Self { cores: Vec::with_capacity(count), threads: Vec::with_capacity(count) };
        for index in 0..u16::try_from(count).unwrap_or(u16::MAX).max(1) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (stop, stopped) = oneshot::channel::<()>();
            cores.cores.push(CoreHandle::new(Core(index), runtime.handle().clone()));
            let thread = std::thread::Builder::new().name(format!("core-{index}")).spawn(move || {
                // Ends when told to, or when the gateway itself is gone.
                let _ = runtime.block_on(stopped);
                // Not dropped in place: a name lookup that hangs must not hold up the end of the process.
                runtime.shutdown_background();
            })?;
            cores.threads.push((stop, thread));
        }
        Ok(cores)
    }

    /// One core that is a runtime of somebody else's, however many threads that has.
    pub(crate) fn guest(runtime: Handle) -> Self {
        Self { cores: vec![CoreHandle::new(Core(0), runtime)], threads: Vec::new() }
    }

    pub(crate) fn all(&self) -> &[Arc<CoreHandle>] {
        &self.cores
    }

    /// The first core: where the acceptor and the drivers run besides.
    pub(crate) fn first(&self) -> &Arc<CoreHandle> {
        &self.cores[0]
    }

    /// The core with the fewest connections.
    pub(crate) fn least_busy(cores: &[Arc<CoreHandle>]) -> &Arc<CoreHandle> {
        let mut least = &cores[0];
        for core in &cores[1..] {
            if core.connections.load(Ordering::Relaxed) < least.connections.load(Ordering::Relaxed) {
                least = core;
            }
        }
        least
    }

    /// Idle connections are handed to another process, the others when they are idle.
    pub(crate) fn hand_over(cores: &[Arc<CoreHandle>]) {
        for core in cores {
            core.stage.fetch_max(HANDING, Ordering::AcqRel);
            core.leave.notify_waiters();
        }
    }

    /// Connections end after the request they are at; idle ones still take one.
    pub(crate) fn part(&self) {
        self.cores.iter().for_each(|core| _ = core.stage.fetch_max(PARTING, Ordering::AcqRel));
    }

    /// Connections end after the request they are at; idle ones at once.
    pub(crate) fn leave(&self) {
        for core in &self.cores {
            core.stage.fetch_max(LEAVING, Ordering::AcqRel);
            core.leave.notify_waiters();
        }
    }

    /// Connections that are still open.
    pub(crate) fn connections(&self) -> usize {
        self.cores.iter().map(|core| core.connections.load(Ordering::Relaxed)).sum()
    }

    /// Ends the threads and with them whatever still runs.
    pub(crate) fn stop(self) {
        for (stop, thread) in self.threads {
            let _ = stop.send(());
            // A core that panicked has said so itself.
            let _ = thread.join();
        }
    }
}
