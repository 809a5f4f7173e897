//! The admin API: how a gateway stands, and what it is told while it runs, by HTTP on a socket of its own.
//!
//! It runs on a thread and a runtime of its own: a core that stands still never keeps it from saying so. Whatever is asked of
//! it is bounded, and whoever asks is looked at first (`guard`): a web page that a browser on this machine shows can ask
//! nothing, and nobody changes anything without the token. `docs/admin.md` in the repository has all of it, `docs/openapi.json`
//! says it to programs.
//!
//! | file | what it holds |
//! |---|---|
//! | here | [`Admin`]: the thread, its connections and their bounds |
//! | `leash`, `places` | what a connection ends by; who gives way where all places are taken |
//! | `guard` | who may ask: `Host`, `Origin`, `Sec-Fetch-Site`, the token |
//! | `routes` | which request is for what |
//! | `orders` | what changes something, and the line in the log about it |
//! | `answer` | answers, and problems (RFC 9457) |
//! | `status`, `work`, `past` | what is told: shapes of JSON |
//! | `journal`, `history` | the last events; the last minutes of each pool |
//! | `board` | what whoever looks on is told, and what has changed of it |
//! | `page` | the dashboard's files |
//! | `sessions` | who has signed in there |

mod answer;
mod board;
mod guard;
mod history;
mod journal;
mod leash;
mod orders;
mod page;
mod past;
mod places;
mod routes;
mod sessions;
mod status;
mod work;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use self::board::Viewers;
use self::history::History;
use self::journal::Journal;
use self::leash::Leash;
use self::places::Places;
use self::sessions::Sessions;
use crate::config::AdminToken;
use crate::gateway::Handle;

/// Connections at once; where all are taken who says nothing gives way, and otherwise further ones wait.
const CONNECTIONS: usize = 64;
/// Bytes of a head.
const HEAD: usize = 16 << 10;
/// Bytes of a body.
const BODY: usize = 64 << 10;
/// How long a head may take, and how long a connection may be idle.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long a connection may last, whatever goes over it: who takes no byte of an answer keeps nobody else out for long.
const LONGEST: Duration = Duration::from_secs(60);
/// How long accepting pauses where the system has no more sockets.
const BREATH: Duration = Duration::from_millis(50);

/// What reads the configuration again and puts it in force; or says why it did not.
pub type Reload = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// What an [`Admin`] can do beside what a [`Handle`] can.
#[derive(Default)]
#[non_exhaustive]
pub struct Options {
    /// What whoever changes something has to say, where the Plan in force says nothing of it (`admin_token`). Without either
    /// nobody changes anything.
    pub token: Option<AdminToken>,
    /// What `POST /v1/reload` does. Only the program knows where its configuration comes from.
    pub reload: Option<Reload>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, reload } = self;
        f.debug_struct("Options").field("token", token).field("reload", &reload.is_some()).finish()
    }
}

/// The admin API of one gateway, on a thread of its own. Ends when it is dropped.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    sessions: Arc<Sessions>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What is asked.
struct Desk {
    gateway: Handle,
    token: Option<AdminToken>,
    reload: Option<Reload>,
    journal: Journal,
    history: History,
    viewers: Viewers,
    sessions: Arc<Sessions>,
    since: Instant,
}

impl Desk {
    /// What whoever changes something has to say now.
    fn token(&self) -> Option<AdminToken> {
        self.gateway.live().snapshot().plan.admin.token.clone().or_else(|| self.token.clone())
    }
}

impl Admin {
    /// Answers on this socket, which listens already, for as long as the gateway lives and this is held.
    ///
    /// # Errors
    /// The socket can be reached from other machines and there is no token; or what the system says where there is no
    /// thread to be had.
    pub fn start(gateway: Handle, listener: TcpListener, options: Options) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let Options { token, reload } = options;
        let has_token = token.is_some() || gateway.live().snapshot().plan.admin.token.is_some();
        if !address.ip().to_canonical().is_loopback() && !has_token {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("an admin API at {address} needs a token: others than this machine reach it"),
            ));
        }
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // What has happened before the thread has begun is told too.
        let events = gateway.live().events_from_the_start();
        let sessions = Arc::new(Sessions::new(address.port()));
        let desk = Desk {
            gateway,
            token,
            reload,
            journal: Journal::default(),
            history: History::default(),
            viewers: Viewers::default(),
            sessions: Arc::clone(&sessions),
            since: Instant::now(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = {
            let _within = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
            let desk = Arc::new(desk);
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, &desk) => {}
                    () = desk.journal.keep(events) => {}
                    () = desk.history.keep(desk.gateway.live()) => {}
                    () = board::keep(&desk) => {}
                    // Dropped, it says so too.
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        })?;
        Ok(Self { address, sessions, stop: Some(stop), thread: Some(thread) })
    }

    /// A word by which whoever opens the dashboard may change something, once and within an hour: the fragment of its address,
    /// as in `http://127.0.0.1:5001/#key=…`. None where the system has no random numbers; where there is no token nobody changes
    /// anything, by whatever word.
    pub fn invite(&self) -> Option<String> {
        self.sessions.invite().ok()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has said so itself, if it panicked.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: tokio::net::TcpListener, desk: &Arc<Desk>) {
    let mut places = Places::new(CONNECTIONS);
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        // Never closed: there is always another place, sooner or later.
        let Some((place, leash)) = places.take().await else { return };
        while connections.try_join_next().is_some() {}
        let desk = Arc::clone(desk);
        connections.spawn(async move {
            // One that is cut short has had its time.
            tokio::select! {
                () = serve(stream, peer, desk, &leash) => {}
                () = leash.over(LONGEST) => {}
            }
            drop(place);
        });
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, desk: Arc<Desk>, leash: &Arc<Leash>) {
    let service = service_fn(move |request| {
        let desk = Arc::clone(&desk);
        let leash = Arc::clone(leash);
        async move {
            let _asked = leash.asked();
            Ok::<_, Infallible>(routes::answer(&desk, peer, &leash, request).await)
        }
    });
    // An error is a client that left or spoke nonsense: nobody is there to be told.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
