//! The acceptor: takes connections from the listening socket and deals them to the cores.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::core::{CoreHandle, Cores, Seat};

/// How long the acceptor rests when the process has no file descriptor left: until some connection ends, and
/// nothing tells when that is.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// How long the log is spared the same trouble.
const QUIET: Duration = Duration::from_secs(10);

/// A client's place under the cap on connections, and on its core.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) seat: Seat,
    _place: OwnedSemaphorePermit,
}

impl Admission {
    pub(crate) fn new(seat: Seat, place: OwnedSemaphorePermit) -> Self {
        Self { seat, _place: place }
    }
}

/// Accepts until it is dropped.
///
/// While all `places` are taken nobody is accepted: the kernel's backlog holds who comes, as with any server
/// at its limit.
pub(crate) async fn accept<F, S>(
    listener: TcpListener,
    cores: Vec<Arc<CoreHandle>>,
    places: Arc<Semaphore>,
    serve: F,
) where
    F: Fn(TcpStream, SocketAddr, Admission) -> S + Send + Sync + Clone + 'static,
    S: Future<Output = ()> + Send,
{
    let mut told = Told::default();
    loop {
        let place = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                told.now(|| {
                    tracing::warn!("`limits.connections` is reached: nobody is accepted until one ends");
                });
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                place
            }
        };
        let (stream, peer) = match listener.accept().await {
            Ok((stream, peer)) => (stream, peer),
            Err(error) => {
                if !is_the_clients(&error) {
                    told.now(|| tracing::warn!(%error, "cannot accept connections; see `ulimit -n` and `limits.connections`"));
                    tokio::time::sleep(EXHAUSTED).await;
                }
                continue;
            }
        };
        let core = Cores::least_busy(&cores);
        let admission = Admission::new(core.seat(), place);
        let Ok(stream) = stream.into_std() else { continue };
        let serve = serve.clone();
        core.runtime().spawn(async move {
            // Registered here, on the core that will serve it.
            match TcpStream::from_std(stream).and_then(|stream| stream.set_nodelay(true).map(|()| stream)) {
                Ok(stream) => serve(stream, peer, admission).await,
                Err(error) => tracing::debug!(%peer, %error, "the connection was gone before it was served"),
            }
        });
    }
}

/// When the log was last told of trouble: a full house says so every few seconds, not at each knock.
#[derive(Debug, Default)]
struct Told(Option<Instant>);

impl Told {
    fn now(&mut self, tell: impl FnOnce()) {
        if self.0.is_none_or(|last| last.elapsed() >= QUIET) {
            self.0 = Some(Instant::now());
            tell();
        }
    }
}

/// Whether accepting failed for this one connection only.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
