//! When to end: what the system and the terminal say.

use std::io;
use std::process;
use std::thread;

use idleway::{Drained, Gateway};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// Waits for the wish to stop: SIGTERM or SIGINT.
pub(crate) struct Stop {
    runtime: Runtime,
    wishes: Wishes,
}

impl Stop {
    /// From here on a signal no longer ends the process by itself.
    pub(crate) fn catch() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let wishes = Wishes::catch()?;
        drop(entered);
        Ok(Stop { runtime, wishes })
    }

    /// Waits for the first wish, then ends the gateway as its Plan says; a second wish ends the process at once.
    pub(crate) fn end(self, gateway: Gateway) {
        let Stop { runtime, mut wishes } = self;
        runtime.block_on(wishes.next());
        tracing::info!("stopping: no new connections, what runs is finished; once more to stop at once");
        let (done, drained) = oneshot::channel();
        thread::spawn(move || {
            // Nobody waits any more only after the second wish.
            let _ = done.send(gateway.shutdown());
        });
        runtime.block_on(async {
            tokio::select! {
                drained = drained => match drained {
                    Ok(drained) => told(drained),
                    Err(_) => tracing::error!("the gateway did not stop in order"),
                },
                () = wishes.next() => {
                    tracing::warn!("stopped at once: what ran is cut");
                    process::exit(1);
                }
            }
        });
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
struct Wishes {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Wishes {
    fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Wishes {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Wishes;

#[cfg(not(unix))]
impl Wishes {
    fn catch() -> io::Result<Self> {
        Ok(Wishes)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

/// Resolves when standard input ends: whoever held its other side is gone, however it went.
pub(crate) async fn end_of_stdin() {
    let (ended, end) = oneshot::channel();
    // A thread of its own: a blocking read cannot be taken back, and must not keep the runtime from ending.
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = ended.send(());
    });
    let _ = end.await;
}
