//! When to end: what the system and the terminal say.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, oneshot};

use super::Gateway;
use super::counts::Drained;
use crate::config::Plan;

/// Serves `plan` at its `listen` until SIGTERM or Ctrl-C, then stops as [`Gateway::shutdown`] does; a second signal
/// stops at once. Blocks until then.
///
/// ```no_run
/// let plan = idleway::Plan::from_urls(&["http://127.0.0.1:6000".to_owned()])?;
/// idleway::run_gateway(plan)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The address is taken or is none of this machine's; signals cannot be caught, or threads cannot be had.
pub fn run_gateway(plan: Plan) -> io::Result<Option<Drained>> {
    let stop = Stop::catch()?;
    let listener = std::net::TcpListener::bind(plan.listen)?;
    let gateway = Gateway::start(plan, listener)?;
    Ok(stop.end(gateway))
}

/// Waits for the wish to stop: SIGTERM or SIGINT (Ctrl-C).
#[derive(Debug)]
pub struct Stop {
    runtime: Runtime,
    wishes: Wishes,
    /// The first wish has come.
    is_wished: bool,
}

/// How much longer than its Plan says a gateway may take to stop.
const GRACE: Duration = Duration::from_secs(5);

impl Stop {
    /// From here on a signal no longer ends the process by itself.
    ///
    /// # Errors
    /// Signals cannot be caught.
    pub fn catch() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let wishes = Wishes::catch()?;
        drop(entered);
        Ok(Self { runtime, wishes, is_wished: false })
    }

    /// Has the wish to stop told from within the program.
    pub fn wish(&self) -> Wish {
        Wish(Arc::clone(&self.wishes.own))
    }

    /// Waits for the first wish, for whoever has something to say before [`Stop::end`], which does not wait for it again. Blocks;
    /// not to be called within a runtime.
    pub fn wait(&mut self) {
        if !self.is_wished {
            self.runtime.block_on(self.wishes.next());
            self.is_wished = true;
        }
    }

    /// Waits for the first wish, then ends the gateway as its Plan says, and tells what came of it; none where a second
    /// wish came before that was done, and the process had better end. Blocks; not to be called within a runtime.
    ///
    /// It is not waited for for longer than the Plan allows: what stands still is left, and that is said.
    pub fn end(mut self, gateway: Gateway) -> Option<Drained> {
        self.wait();
        let Self { runtime, mut wishes, .. } = self;
        let plan = gateway.handle().plan();
        let longest = plan.drain_delay + plan.drain_timeout + GRACE;
        tracing::info!("stopping: no new connections, what runs is finished; once more to stop at once");
        let (done, drained) = oneshot::channel();
        thread::spawn(move || {
            // Nobody waits any more only after the second wish.
            let _ = done.send(gateway.shutdown());
        });
        runtime.block_on(async {
            tokio::select! {
                drained = drained => match drained {
                    Ok(drained) => {
                        told(drained);
                        Some(drained)
                    }
                    Err(_) => {
                        tracing::error!("the gateway did not stop in order");
                        None
                    }
                },
                () = tokio::time::sleep(longest) => {
                    tracing::error!("the gateway did not stop within its time: a core stands still, and what it had is cut");
                    None
                }
                () = wishes.signal() => {
                    tracing::warn!("stopped at once: what ran is cut");
                    None
                }
            }
        })
    }
}

/// Tells a [`Stop`] that it is time.
#[derive(Debug, Clone)]
pub struct Wish(Arc<Notify>);

impl Wish {
    /// It is. A gateway that stops already goes on as it was: only a signal ends it at once.
    pub fn stop(&self) {
        self.0.notify_one();
    }
}

/// What a gateway that is started next had better know.
fn told(Drained { cut, abandoned }: Drained) {
    if cut > 0 {
        tracing::warn!(cut, "stopped: the time was over");
    } else {
        tracing::info!("stopped");
    }
    if abandoned > 0 {
        tracing::warn!(
            abandoned,
            "backends may be at work still for those who left or were told 504: a new gateway does not know of them"
        );
    }
}

#[cfg(unix)]
#[derive(Debug)]
struct Wishes {
    own: Arc<Notify>,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Wishes {
    fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Wishes {
            own: Arc::default(),
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            () = self.own.notified() => {}
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    async fn signal(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
#[derive(Debug)]
struct Wishes {
    own: Arc<Notify>,
}

#[cfg(not(unix))]
impl Wishes {
    fn catch() -> io::Result<Self> {
        Ok(Wishes { own: Arc::default() })
    }

    async fn next(&mut self) {
        tokio::select! {
            () = self.own.notified() => {}
            interrupted = tokio::signal::ctrl_c() => if interrupted.is_err() {
                self.own.notified().await;
            }
        }
    }

    async fn signal(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
