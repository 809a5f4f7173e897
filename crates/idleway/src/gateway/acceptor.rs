//! The socket on which clients are accepted, and how another takes its place.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{JoinHandle, unconstrained, yield_now};

use super::engine::Engine;
use crate::net::{Already, Approach, accept};
use crate::proxy;

/// How long the first clients wait for the first look-up of names.
const LOOK_UP: Duration = Duration::from_secs(2);

/// Sockets that wait to take their turn.
const SOCKETS: usize = 4;

/// Accepts the clients of a gateway.
#[derive(Debug)]
pub(super) struct Acceptor {
    /// Where, and by what; none once nobody is accepted any more.
    socket: Mutex<(SocketAddr, Option<TcpListener>)>,
    sockets: mpsc::Sender<tokio::net::TcpListener>,
    stop: Arc<Notify>,
    runtime: tokio::runtime::Handle,
}

impl Acceptor {
    /// Accepts on this socket, once the names in the Plan were looked up and where there is a `begin` it has come. The second part of the answer ends with it.
    pub(super) fn start(
        engine: &Engine,
        listener: TcpListener,
        are_resolved: oneshot::Receiver<()>,
        begin: Option<oneshot::Receiver<()>>,
    ) -> io::Result<(Arc<Self>, JoinHandle<()>)> {
        let runtime = engine.runtime().clone();
        let socket = Mutex::new((listener.local_addr()?, Some(listener.try_clone()?)));
        let listener = registered(listener, &runtime)?;
        let (sockets, mut next) = mpsc::channel(SOCKETS);
        let stop = Arc::new(Notify::new());
        let (cores, places) = (engine.cores.all().to_vec(), Arc::clone(engine.places.free()));
        let live = Arc::clone(&engine.live);
        let stopped = Arc::clone(&stop);
        let accepting = runtime.spawn(async move {
            // Who comes before the names were looked up once waits for that with the system, instead of being told that
            // there are no backends. An error says that there is nothing to wait for.
            let mut is_stopped = tokio::select! {
                () = stopped.notified() => true,
                _ = tokio::time::timeout(LOOK_UP, are_resolved) => false,
            };
            if let Some(begin) = begin {
                // Who has told that there will be a word has ended without it: there is nothing to wait for.
                tokio::select! {
                    () = stopped.notified(), if !is_stopped => return,
                    _ = begin, if !is_stopped => {}
                    // Whoever knocks is the one before's.
                    else => return,
                }
            }
            let serve = move |stream, peer, admission| {
                proxy::serve(Arc::clone(&live), Approach::Tcp(stream), peer, admission, Already::default())
            };
            let mut listener = Some(listener);
            while let Some(socket) = listener.take() {
                let mut accepting = pin!(accept(socket, cores.clone(), Arc::clone(&places), serve.clone()));
                tokio::select! {
                    () = &mut accepting, if !is_stopped => {}
                    () = stopped.notified(), if !is_stopped => is_stopped = true,
                    Some(socket) = next.recv(), if !is_stopped => listener = Some(socket),
                    else => {}
                }
                take_those_who_came(accepting).await;
            }
        });
        Ok((Arc::new(Self { socket, sockets, stop, runtime }), accepting))
    }

    /// Where clients are accepted now.
    pub(super) fn address(&self) -> SocketAddr {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// The socket, once more; none once nobody is accepted any more.
    pub(super) fn socket(&self) -> io::Result<Option<TcpListener>> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        socket.1.as_ref().map(TcpListener::try_clone).transpose()
    }

    /// Accepts on this socket in place of the one before.
    pub(super) async fn turn_to(&self, listener: TcpListener) -> io::Result<()> {
        let next = (listener.local_addr()?, Some(listener.try_clone()?));
        let listener = registered(listener, &self.runtime)?;
        self.sockets.send(listener).await.map_err(io::Error::other)?;
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// Accepts nobody who comes from now on.
    pub(super) fn stop(&self) {
        // As long as it is held anywhere, the system lets clients in.
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).1.take();
        self.stop.notify_one();
    }
}

/// The socket, as one of the runtime that accepts.
fn registered(
    listener: TcpListener,
    runtime: &tokio::runtime::Handle,
) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    let _within = runtime.enter();
    tokio::net::TcpListener::from_std(listener)
}

/// Whoever the system has let in already is served: with the socket their connections would be reset.
async fn take_those_who_came(accepting: Pin<&mut impl Future<Output = ()>>) {
    // So that the event loop has looked once more.
    yield_now().await;
    let mut accepting = unconstrained(accepting);
    poll_fn(|cx| {
        let _ = Pin::new(&mut accepting).poll(cx);
        Poll::Ready(())
    })
    .await;
}
