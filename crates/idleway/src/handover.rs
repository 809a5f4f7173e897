//! One process takes the place of another: the newer asks at the socket that `handover` names, and gets the listening
//! socket, the clients, and word of which Slots are busy still.
//!
//! Until the newer one has said that it is ready nothing has happened to the older: whoever asks and fails leaves it as
//! it was. From then on the older one accepts nobody, finishes what runs, and ends.

use std::fs::{self, Permissions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use idleway::{Bequeathed, Handle, Heritage, Ordered, Passed, Taken, Waiting, Wish};
use serde::{Deserialize, Serialize};

use crate::desk::Shared;
use crate::parcels::Parcels;

/// How long the other side may take for a word before anything has changed.
const SOON: Duration = Duration::from_secs(5);
/// How long the newer process may take to be ready.
const READY: Duration = Duration::from_secs(60);
/// How long to look for a process that has just begun itself, and how often.
const LOOK: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// What is said.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// The newer process asks; its id is for the log.
    Ask {
        pid: u32,
    },
    /// The listening socket comes with it, unless this process stops already and has none any more, and then, where it has one,
    /// that of the admin API.
    Sockets {
        clients: bool,
        admin: bool,
    },
    /// The newer process has what it needs.
    Ready,
    Held(Slots),
    /// Of those that are held so many are nobody's any more.
    Doubted(Slots),
    Ordered {
        pool: String,
        backend: String,
        mode: String,
        slots: Option<(u32, u32)>,
    },
    AllTold,
    /// A client comes with it, and so many bytes that were read from it; when its request had come, if it was whole, and since when
    /// that stands in line, in nanoseconds since 1970.
    Client {
        read: usize,
        arrived: Option<u64>,
        in_line: Option<u64>,
    },
    AllMoved,
    /// There is nothing more to come, and nothing held.
    Over,
}

/// Slots of a backend.
#[derive(Debug, Serialize, Deserialize)]
struct Slots {
    backend: String,
    addresses: Vec<SocketAddr>,
    slots: u32,
}

impl From<Taken> for Slots {
    fn from(Taken { backend, addresses, slots }: Taken) -> Self {
        Self { backend, addresses, slots }
    }
}

impl From<Slots> for Taken {
    fn from(Slots { backend, addresses, slots }: Slots) -> Self {
        Self { backend, addresses, slots }
    }
}

/// One moment on the clock of this process and on the one of the machine. All moments that are told go by the same one: which of
/// two was first is never in doubt.
struct Clock {
    here: Instant,
    since_1970: Duration,
}

impl Clock {
    fn now() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { here: Instant::now(), since_1970 }
    }

    fn nanos(&self, at: Instant) -> u64 {
        let before = self.since_1970.saturating_sub(self.here.saturating_duration_since(at));
        let nanos = before + at.saturating_duration_since(self.here);
        u64::try_from(nanos.as_nanos()).unwrap_or(u64::MAX)
    }

    fn instant(&self, nanos: u64) -> Instant {
        let at = Duration::from_nanos(nanos);
        match self.since_1970.checked_sub(at) {
            // From before this machine was started it is only where its clock was set.
            Some(before) => self.here.checked_sub(before).unwrap_or(self.here),
            None => self.here + at.saturating_sub(self.since_1970).min(READY),
        }
    }
}

/// The process that is there already, before it has been told that it may go.
#[derive(Debug)]
pub(crate) struct Predecessor {
    parcels: Parcels,
    /// Where it accepts its clients; none where it stops already, and accepts nobody.
    pub(crate) socket: Option<TcpListener>,
    /// Where its admin API answers.
    admin: Option<TcpListener>,
}

impl Predecessor {
    /// Asks at the path; none where nobody is there.
    ///
    /// # Errors
    /// It does not give what it has, or speaks otherwise.
    pub(crate) fn find(path: &Path) -> anyhow::Result<Option<Self>> {
        let since = Instant::now();
        loop {
            let stream = match UnixStream::connect(path) {
                Ok(stream) => stream,
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(error).with_context(|| format!("cannot ask at {}", path.display())),
            };
            let mut parcels = Parcels::new(stream);
            parcels.within(Some(SOON))?;
            let asked = parcels.send(&Word::Ask { pid: std::process::id() }, &[], &[]);
            match asked.and_then(|()| parcels.receive()) {
                Ok(Some(Word::Sockets { clients, admin })) => {
                    let mut next = |is_there: bool| {
                        is_there.then(|| parcels.receive_socket().map(TcpListener::from)).transpose()
                    };
                    let (socket, admin) = (next(clients)?, next(admin)?);
                    return Ok(Some(Self { parcels, socket, admin }));
                }
                // It is handing over to another one just now, which will be there in a moment.
                Ok(None) | Err(_) if since.elapsed() < LOOK => thread::park_timeout(PAUSE),
                Ok(None) => {
                    return Err(anyhow!("the process at {} ends each time it is asked", path.display()));
                }
                Ok(Some(word)) => return Err(anyhow!("the process at {} says {word:?}", path.display())),
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("cannot understand the process at {}", path.display()));
                }
            }
        }
    }

    /// Whether its admin API is to be had, which is then this one's.
    pub(crate) fn take_admin(&mut self) -> Option<TcpListener> {
        self.admin.take()
    }

    /// Gets ready to take its place: nothing can fail here from [`Succession::take_place`] on.
    ///
    /// # Errors
    /// There is no thread or no connection to be had; the one before goes on as it was.
    pub(crate) fn prepare(mut self, mut heritage: Heritage) -> anyhow::Result<Succession> {
        let staying = Staying { _open: self.parcels.other()? };
        // Who needs them has them: as long as they are held anywhere, the system lets clients in.
        (self.socket, self.admin) = (None, None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (go, may_go) = sync_channel::<()>(1);
        let (begun, has_begun) = sync_channel(1);
        thread::Builder::new().name("heritage".to_owned()).spawn(move || {
            // Where nobody says so, this process ends before it has begun.
            if may_go.recv().is_err() {
                return;
            }
            runtime.block_on(async move {
                match self.take_all(&mut heritage, || _ = begun.try_send(())).await {
                    Ok(true) => tracing::info!("the process before has ended its work"),
                    Ok(false) => {
                        tracing::warn!("the process before has ended, and had work at backends still");
                    }
                    Err(error) => tracing::warn!(%error, "the process before was not understood to its end"),
                }
                heritage.end().await;
            });
        })?;
        Ok(Succession { go, has_begun, staying })
    }

    /// Whether it came to its end in order.
    async fn take_all(&mut self, heritage: &mut Heritage, begun: impl Fn()) -> io::Result<bool> {
        let clock = Clock::now();
        self.parcels.within(Some(READY))?;
        self.parcels.send(&Word::Ready, &[], &[])?;
        while let Some(word) = self.parcels.receive()? {
            match word {
                Word::Held(slots) => heritage.take(Bequeathed::Held(slots.into())).await,
                Word::Doubted(slots) => heritage.take(Bequeathed::Doubted(slots.into())).await,
                Word::Ordered { pool, backend, mode, slots } => {
                    let ordered = Ordered { pool, backend, mode, slots };
                    heritage.take(Bequeathed::Ordered(ordered)).await;
                }
                Word::AllTold => {
                    heritage.take(Bequeathed::AllTold).await;
                    // It may work for long on what it has.
                    self.parcels.within(None)?;
                }
                Word::Client { read, arrived, in_line } => {
                    let read = self.parcels.receive_bytes(read)?;
                    let stream = self.parcels.receive_socket()?.into();
                    let in_line = in_line.map(|at| clock.instant(at));
                    let waiting = arrived.map(|at| Waiting { arrived: clock.instant(at), in_line });
                    heritage.take(Bequeathed::Client(Passed { stream, read, waiting })).await;
                }
                Word::AllMoved => {
                    heritage.take(Bequeathed::AllMoved).await;
                    begun();
                }
                Word::Over => return Ok(true),
                word => return Err(io::Error::other(format!("it says {word:?}"))),
            }
        }
        Ok(false)
    }
}

/// A process that is ready to take the place of the one before.
#[derive(Debug)]
pub(crate) struct Succession {
    go: SyncSender<()>,
    has_begun: Receiver<()>,
    staying: Staying,
}

impl Succession {
    /// Tells the one before that it may go, and takes all that it leaves; returns when this gateway has begun. What comes later is
    /// taken by a thread of its own. Until the answer is dropped the one before stays at the path.
    ///
    /// Where the one before ends meanwhile, without a word, this one serves all the same: all that it has heard of rests until a
    /// proof.
    pub(crate) fn take_place(self) -> Staying {
        let Self { go, has_begun, staying } = self;
        let _ = go.send(());
        if has_begun.recv().is_err() {
            tracing::warn!("the process before has ended while it was handing over");
        }
        staying
    }
}

/// The process before, which stays at its path, though it answers nobody: a third one that asked and found nobody at all
/// would take itself for the first.
#[derive(Debug)]
pub(crate) struct Staying {
    _open: UnixStream,
}

/// The path at which a newer process will ask, once this one is there.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    /// Where it is made, to be put in its place: whoever asks finds the one before, or this one.
    beside: Beside,
    listener: UnixListener,
}

impl Place {
    /// Makes sure that it can be had, and does nothing yet.
    ///
    /// # Errors
    /// Nothing can be made there, or what is there is no socket.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(path).is_ok_and(|there| !there.file_type().is_socket()) {
            return Err(io::Error::other("what is there is no socket, and stays: name another path"));
        }
        let beside = path.with_extension(format!("{}", std::process::id()));
        let _ = fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside)?;
        let beside = Beside(beside);
        fs::set_permissions(&beside.0, Permissions::from_mode(0o600))?;
        Ok(Self { path: path.to_owned(), beside, listener })
    }
}

/// A path that is gone when this is.
#[derive(Debug)]
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        // It has been put in its place, or is of no use any more.
        let _ = fs::remove_file(&self.0);
    }
}

/// The place where a newer process asks.
#[derive(Debug)]
pub(crate) struct Offer {
    path: PathBuf,
    /// Told when all is given; never where nobody has asked.
    given: Receiver<()>,
    begun: Receiver<()>,
}

impl Offer {
    /// Waits at the place for whoever asks; `wish` is told when this process may go. From then on nobody answers at its `desk`
    /// any more.
    ///
    /// # Errors
    /// The place cannot be taken, or there is no thread to be had.
    pub(crate) fn at(place: Place, gateway: Handle, wish: Wish, desk: Shared) -> io::Result<Self> {
        let Place { path, beside, listener } = place;
        fs::rename(&beside.0, &path)?;
        let (all_given, given) = sync_channel(1);
        let (begins, begun) = sync_channel(1);
        thread::Builder::new().name("handover".to_owned()).spawn(move || {
            let Some((mut parcels, pid)) = wait_for_asker(&listener, &gateway, &desk) else { return };
            let Some(bequest) = gateway.bequeath() else { return };
            // Whoever asks from here on is the newer one's to be answered.
            drop(desk.take());
            let _ = begins.try_send(());
            tracing::info!(pid, "handing over: what runs is finished here");
            wish.stop();
            if let Err(error) = give_all(&mut parcels, bequest) {
                tracing::error!(%error, pid, "the newer process does not take any more: clients that were on their way to it are lost");
                // It is not to wait for more, and to prove what it has not heard of.
                parcels.close_own_side();
            }
            // It closes when it is at the path itself, or has ended. Whoever has asked here looks there again then.
            let _ = parcels.receive::<Word>();
            drop(listener);
            let _ = all_given.try_send(());
        })?;
        Ok(Self { path, given, begun })
    }

    /// Waits until all is given, where somebody has asked; else the place is taken away.
    pub(crate) fn end(self) {
        if self.begun.try_recv().is_ok() {
            let _ = self.given.recv();
        } else {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Waits for one that asks and gets ready.
fn wait_for_asker(listener: &UnixListener, gateway: &Handle, desk: &Shared) -> Option<(Parcels, u32)> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::error!(%error, "nobody can ask for the handover any more");
                return None;
            }
        };
        match answer(Parcels::new(stream), gateway, desk) {
            Ok(Some(asker)) => return Some(asker),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "a process asked for the handover and did not get ready: nothing has changed");
            }
        }
    }
}

fn answer(mut parcels: Parcels, gateway: &Handle, desk: &Shared) -> io::Result<Option<(Parcels, u32)>> {
    parcels.within(Some(SOON))?;
    if !parcels.is_of_this_user() {
        tracing::warn!("a process of another user asked for the handover: it gets nothing");
        return Ok(None);
    }
    let Some(Word::Ask { pid }) = parcels.receive()? else { return Ok(None) };
    let (socket, admin) = (gateway.socket()?, desk.socket()?);
    let sockets: Vec<_> = [&socket, &admin].into_iter().flatten().map(AsFd::as_fd).collect();
    parcels.send(&Word::Sockets { clients: socket.is_some(), admin: admin.is_some() }, &[], &sockets)?;
    parcels.within(Some(READY))?;
    match parcels.receive()? {
        Some(Word::Ready) => Ok(Some((parcels, pid))),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn give_all(parcels: &mut Parcels, mut bequest: idleway::Bequest) -> io::Result<()> {
    let clock = Clock::now();
    let mut held = std::collections::HashMap::new();
    while let Some(bequeathed) = bequest.blocking_next() {
        match bequeathed {
            Bequeathed::Held(taken) => {
                held.insert(taken.backend.clone(), taken.slots);
                parcels.send(&Word::Held(taken.into()), &[], &[])?;
            }
            Bequeathed::Doubted(taken) => parcels.send(&Word::Doubted(taken.into()), &[], &[])?,
            Bequeathed::Ordered(Ordered { pool, backend, mode, slots }) => {
                parcels.send(&Word::Ordered { pool, backend, mode, slots }, &[], &[])?;
            }
            Bequeathed::AllTold => parcels.send(&Word::AllTold, &[], &[])?,
            Bequeathed::Client(Passed { stream, read, waiting }) => {
                let arrived = waiting.map(|waiting| clock.nanos(waiting.arrived));
                let in_line = waiting.and_then(|waiting| waiting.in_line).map(|at| clock.nanos(at));
                parcels.send(
                    &Word::Client { read: read.len(), arrived, in_line },
                    &read,
                    &[stream.as_fd()],
                )?;
            }
            Bequeathed::AllMoved => parcels.send(&Word::AllMoved, &[], &[])?,
            _ => {}
        }
    }
    // Otherwise the newer one has to find out itself what is at work.
    if held.values().all(|slots| *slots == 0) {
        parcels.send(&Word::Over, &[], &[])?;
    }
    Ok(())
}
