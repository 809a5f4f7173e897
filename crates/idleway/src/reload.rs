//! When the program reads its file again: at SIGHUP, when the file changes, when somebody orders it. All or nothing: where
//! anything is wrong with the file, what is in force stays.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io, thread};

use idleway::config::{Faults, Overrides, Plan, Source};
use idleway::{Handle, NotReloaded};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

use crate::watch::Watch;
use crate::{descriptors, listener, supervisor};

/// A file that is being written is read when it has been the same for so long, or when it has changed for too long.
const STILL: Duration = Duration::from_millis(100);
const LOOKS: u32 = 50;

/// Orders that wait for their turn.
const WISHES: usize = 8;

/// What the program was started with, and may be told anew.
#[derive(Debug)]
pub(crate) struct Origin {
    /// None where the backends were named on the command line.
    pub(crate) file: Option<PathBuf>,
    pub(crate) overrides: Overrides,
    /// As the Plan in force has it; the system may have chosen the port.
    pub(crate) listen: SocketAddr,
    /// As the file had it at the start.
    pub(crate) admin: Option<SocketAddr>,
}

/// Orders the file to be read again.
#[derive(Debug, Clone)]
pub(crate) struct Wishes(mpsc::Sender<Wish>);

/// Who ordered it is told what came of it.
type Wish = oneshot::Sender<Result<(), String>>;

impl Wishes {
    /// Reads the file, whether it has changed or not, and answers when it is in force.
    ///
    /// # Errors
    /// Why it is not, in words.
    pub(crate) async fn reload(&self) -> Result<(), String> {
        let ended = "the program ends";
        let (done, outcome) = oneshot::channel();
        self.0.send(done).await.map_err(|_| ended)?;
        outcome.await.map_err(|_| ended)?
    }
}

/// Why the file was not put in force.
#[derive(Debug)]
pub(crate) enum Trouble {
    Faults(Faults),
    Refused(NotReloaded),
    /// Its `listen` cannot be listened on.
    Listener(anyhow::Error),
    NoFile,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faults(faults) => write!(f, "{faults}"),
            Self::Refused(refused) => write!(f, "{refused}"),
            Self::Listener(error) => write!(f, "{error:#}"),
            Self::NoFile => write!(f, "there is no file: the backends were named on the command line"),
        }
    }
}

/// Follows the file from now on, on a thread of its own, until the program ends.
///
/// # Errors
/// Signals cannot be caught, or there is no thread to be had.
pub(crate) fn follow(
    origin: Origin,
    gateway: Handle,
    seen: Option<Source>,
    hangups: Hangups,
) -> io::Result<Wishes> {
    let Hangups { runtime, hangup } = hangups;
    let (wishes, wished) = mpsc::channel(WISHES);
    let follower = Follower { origin, gateway, seen: seen.map(|source| source.text().to_owned()) };
    thread::Builder::new().name("reload".to_owned()).spawn(move || {
        runtime.block_on(follower.follow(hangup, wished));
    })?;
    Ok(Wishes(wishes))
}

/// SIGHUP, caught: none that comes from now on ends the program, and the first one is not lost.
pub(crate) struct Hangups {
    runtime: Runtime,
    hangup: Hangup,
}

impl Hangups {
    /// # Errors
    /// It cannot be caught.
    pub(crate) fn catch() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let hangup = {
            let _within = runtime.enter();
            Hangup::catch()?
        };
        Ok(Self { runtime, hangup })
    }
}

struct Follower {
    origin: Origin,
    gateway: Handle,
    /// The text that was read last, good or bad: one that is the same is no news.
    seen: Option<String>,
}

impl Follower {
    async fn follow(mut self, mut hangup: Hangup, mut wished: mpsc::Receiver<Wish>) {
        let mut watch = self.origin.file.as_deref().and_then(|file| {
            let unwatched = |error| tracing::warn!(file = %file.display(), %error, "changes of the file are not seen: send SIGHUP after one");
            Watch::new(file).map_err(unwatched).ok()
        });
        // It may have changed since it was read.
        self.look().await;
        loop {
            let changed = async {
                match &watch {
                    Some(watch) => watch.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = hangup.next() => {
                    let _ = self.reload("SIGHUP").await;
                }
                Some(done) = wished.recv() => {
                    // Whoever ordered it may have gone.
                    let _ = done.send(self.reload("order").await);
                }
                () = changed => self.look().await,
            }
            if let Some(watch) = &mut watch
                && let Err(error) = watch.follow()
            {
                tracing::warn!(%error, "some changes of the file are not seen: send SIGHUP after one");
            }
        }
    }

    /// Something has happened beside the file: reloads where it says something else than before.
    async fn look(&mut self) {
        let Some(file) = self.origin.file.clone() else { return };
        let mut text = std::fs::read(&file).ok();
        for _ in 0..LOOKS {
            tokio::time::sleep(STILL).await;
            let again = std::fs::read(&file).ok();
            if again == text {
                break;
            }
            text = again;
        }
        // One that is gone is being replaced, or was taken away: no reason to stop.
        if text.is_some_and(|text| self.seen.as_ref().is_none_or(|seen| seen.as_bytes() != text)) {
            let _ = self.reload("change").await;
        }
    }

    /// Reads the file and puts it in force; says what came of it in the log, and to whoever ordered it.
    async fn reload(&mut self, why: &str) -> Result<(), String> {
        supervisor::reloading();
        let outcome = self.try_reload().await;
        let file = self.origin.file.as_deref().unwrap_or(Path::new("-")).display();
        match outcome {
            Ok(()) => {
                tracing::info!(%file, why, "the configuration is in force");
                supervisor::reloaded("the configuration is in force");
                Ok(())
            }
            Err(trouble) => {
                // Of a Plan that was refused they know.
                if !matches!(trouble, Trouble::Refused(_)) {
                    self.gateway.failed(trouble.to_string());
                }
                tell(&trouble, &file, why);
                supervisor::reloaded("the configuration was not reloaded: what was in force stays");
                Err(trouble.to_string())
            }
        }
    }

    async fn try_reload(&mut self) -> Result<(), Trouble> {
        let file = self.origin.file.clone().ok_or(Trouble::NoFile)?;
        // One that cannot be read is none that was seen.
        let source = Source::read(&file).map_err(Trouble::Faults)?;
        self.seen = Some(source.text().to_owned());
        let mut plan = self.origin.overrides.over(&source).map_err(Trouble::Faults)?;
        descriptors::fit(&mut plan);
        let listen = plan.listen;
        if plan.admin.listen != self.origin.admin {
            return Err(Trouble::Refused(NotReloaded::NeedsRestart(vec!["admin"])));
        }
        let socket = self.socket_for(&plan)?;
        self.gateway.reload(plan).await.map_err(Trouble::Refused)?;
        if let Some(socket) = socket {
            self.gateway.listen_on(socket).await.map_err(|error| Trouble::Listener(error.into()))?;
            self.origin.listen = listen;
            if let Some(address) = self.gateway.address() {
                tracing::info!(url = listener::url(address), "clients are accepted here now");
            }
        }
        Ok(())
    }

    /// A new socket, where the Plan names another address: before anything else is done, since it may be taken.
    fn socket_for(&self, plan: &Plan) -> Result<Option<std::net::TcpListener>, Trouble> {
        if plan.listen == self.origin.listen {
            return Ok(None);
        }
        let explained = |error| listener::explain(plan.listen, &error, |to| format!("listen = \"{to}\""));
        listener::listen(plan.listen).map(Some).map_err(|error| Trouble::Listener(explained(error)))
    }
}

/// One line for each thing that is wrong.
fn tell(trouble: &Trouble, file: &impl fmt::Display, why: &str) {
    const KEPT: &str = "not reloaded: what is in force stays";
    let Trouble::Faults(faults) = trouble else {
        tracing::error!(%file, why, error = %trouble, "{KEPT}");
        return;
    };
    for fault in faults.iter() {
        let (line, column) = fault.place().map(|place| (place.line, place.column)).unzip();
        let hint = fault.hint.as_deref();
        tracing::error!(%file, line, column, why, fault = fault.message, hint, "{KEPT}");
    }
}

#[cfg(unix)]
struct Hangup(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Hangup {
    fn catch() -> io::Result<Self> {
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).map(Self)
    }

    async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
struct Hangup;

#[cfg(not(unix))]
impl Hangup {
    fn catch() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        std::future::pending().await
    }
}
