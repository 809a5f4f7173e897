//! Our own backends: one thread each, which serves one request at a time when it has a service time.
//!
//! A backend accepts any number of connections and reads them with one thread, as gunicorn's `gthread` with one thread
//! does: a proxy that opens a second connection is not punished by a hang, but it gains nothing by it either.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::prctl;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{Mutex, oneshot};

use crate::wire::{self, Asked};

/// How long a backend works on a request.
#[derive(Clone, Copy)]
pub(crate) enum Service {
    /// It answers at once, and any number at a time.
    None,
    /// So long, one at a time.
    Of(Duration),
    /// As long as the request asks for ([`wire::Asked`]), one at a time.
    Asked,
}

/// A backend that runs until it is dropped.
pub(crate) struct Backend {
    address: SocketAddr,
    work: Arc<Work>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    /// Listens on a free port of 127.0.0.1.
    pub(crate) fn start(service: Service) -> io::Result<Backend> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        let work = Arc::new(Work::new(service));
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&work);
        let thread = thread::spawn(move || {
            // The kernel may else wake a sleeper 50 us late to save power.
            let _ = prctl::set_timerslack(1);
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    _ = accept(listener, shared) => {}
                }
            });
        });
        Ok(Backend { address, work, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The time spent in service so far. A request counts when its service ends.
    pub(crate) fn worked(&self) -> Duration {
        Duration::from_nanos(self.work.nanoseconds.load(Relaxed))
    }

    /// The requests served so far.
    pub(crate) fn served(&self) -> u64 {
        self.work.served.load(Relaxed)
    }

    /// The requests that came while another was here, so far. A proxy that keeps to one slot never causes one.
    pub(crate) fn overlaps(&self) -> u64 {
        self.work.overlaps.load(Relaxed)
    }

    /// What was asked for by number, and how long its service really took, so far.
    pub(crate) fn services(&self) -> Vec<(usize, Duration)> {
        self.work.services.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The connections accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.work.accepted.load(Relaxed)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, work: Arc<Work>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        work.accepted.fetch_add(1, Relaxed);
        let work = Arc::clone(&work);
        // A connection that ends in an error shows at its client, which counts it.
        tokio::spawn(async move { serve(stream, &work).await });
    }
}

async fn serve(mut stream: TcpStream, work: &Work) -> io::Result<()> {
    while let Some(target) = wire::read_request(&mut stream).await? {
        work.one(&target).await;
        stream.write_all(wire::ANSWER).await?;
    }
    Ok(())
}

/// What a backend does for a request, and what it did.
struct Work {
    service: Service,
    turn: Mutex<()>,
    present: AtomicU64,
    overlaps: AtomicU64,
    accepted: AtomicU64,
    served: AtomicU64,
    nanoseconds: AtomicU64,
    /// Only of what was [`Service::Asked`] for: as many as a measure sends.
    services: std::sync::Mutex<Vec<(usize, Duration)>>,
}

impl Work {
    fn new(service: Service) -> Work {
        Work {
            service,
            turn: Mutex::new(()),
            present: AtomicU64::new(0),
            overlaps: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            served: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
            services: std::sync::Mutex::default(),
        }
    }

    async fn one(&self, target: &str) {
        let asked = Asked::read(target);
        let service = match self.service {
            Service::Of(service) => service,
            // The question whether a peer is there asks for nothing.
            Service::Asked => asked.map_or(Duration::ZERO, |asked| asked.service),
            Service::None => {
                self.served.fetch_add(1, Relaxed);
                return;
            }
        };
        if self.present.fetch_add(1, Relaxed) > 0 {
            self.overlaps.fetch_add(1, Relaxed);
        }
        let turn = self.turn.lock().await;
        let began = Instant::now();
        #[expect(
            clippy::disallowed_methods,
            reason = "the sleep is the service: it must block the one thread"
        )]
        thread::sleep(service);
        // Looks at the other connections once, so that a second request that came meanwhile is counted as present.
        tokio::task::yield_now().await;
        let took = began.elapsed();
        if let Some(asked) = asked {
            self.services.lock().unwrap_or_else(PoisonError::into_inner).push((asked.number, took));
        }
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
        self.served.fetch_add(1, Relaxed);
        self.present.fetch_sub(1, Relaxed);
        drop(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_request_at_once_is_seen_and_waits() {
        const SERVICE: Duration = Duration::from_millis(100);
        let backend = Backend::start(Service::Of(SERVICE)).unwrap();
        let runtime = runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let began = Instant::now();
        runtime.block_on(async {
            let mut one = TcpStream::connect(backend.address()).await.unwrap();
            let mut two = TcpStream::connect(backend.address()).await.unwrap();
            // One after the other first: afterwards both connections are accepted for certain.
            wire::exchange(&mut one).await.unwrap();
            wire::exchange(&mut two).await.unwrap();
            assert_eq!(backend.overlaps(), 0);
            let (first, second) = tokio::join!(wire::exchange(&mut one), wire::exchange(&mut two));
            first.unwrap();
            second.unwrap();
        });
        assert_eq!(backend.overlaps(), 1);
        assert_eq!(backend.accepted(), 2);
        assert_eq!(backend.served(), 4);
        assert!(backend.worked() >= 4 * SERVICE);
        assert!(began.elapsed() >= backend.worked());
    }
}
