//! Our own clients, on one thread: a closed loop in which each sends its next request when it has its answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::wire;

/// Clients that send requests until this is dropped.
pub(crate) struct Load {
    tally: Arc<Tally>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    failed: AtomicU64,
}

impl Load {
    /// `clients` connections, dealt over `targets` in turn, each kept open for all of its requests.
    pub(crate) fn start(targets: &[SocketAddr], clients: usize) -> io::Result<Load> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let tally = Arc::new(Tally::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let shared = Arc::clone(&tally);
        let each: Vec<SocketAddr> = targets.iter().copied().cycle().take(clients).collect();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                for target in each {
                    tokio::spawn(client(target, Arc::clone(&shared)));
                }
                let _ = stopped.await;
            });
        });
        Ok(Load { tally, stop: Some(stop), thread: Some(thread) })
    }

    /// The answers so far.
    pub(crate) fn answered(&self) -> u64 {
        self.tally.answered.load(Relaxed)
    }

    /// The requests that ended in anything but a complete 200, so far.
    pub(crate) fn failed(&self) -> u64 {
        self.tally.failed.load(Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn client(target: SocketAddr, tally: Arc<Tally>) {
    loop {
        let _ = exchanges(target, &tally).await;
        tally.failed.fetch_add(1, Relaxed);
        // A peer that refuses must not turn the clients into a busy loop.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Exchanges on one connection for as long as it lasts.
async fn exchanges(target: SocketAddr, tally: &Tally) -> io::Result<()> {
    let mut stream = connect(target).await?;
    loop {
        wire::exchange(&mut stream).await?;
        tally.answered.fetch_add(1, Relaxed);
    }
}

async fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One request on a connection of its own.
pub(crate) fn ask_once(target: SocketAddr) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let asked = async { wire::exchange(&mut connect(target).await?).await };
        tokio::time::timeout(Duration::from_secs(2), asked).await?
    })
}

/// Connections that stay open and mostly do nothing.
pub(crate) struct IdleConnections {
    runtime: runtime::Runtime,
    streams: Vec<TcpStream>,
}

impl IdleConnections {
    /// Opens `count` connections one after the other, so that no listen queue overflows.
    pub(crate) fn open(target: SocketAddr, count: u32) -> Result<IdleConnections> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let streams = runtime.block_on(async {
            let mut streams = Vec::new();
            for number in 0..count {
                streams.push(connect(target).await.with_context(|| format!("opening connection {number}"))?);
            }
            anyhow::Ok(streams)
        })?;
        Ok(IdleConnections { runtime, streams })
    }

    /// One request on every connection, at most `at_once` at a time: more would measure a burst's buffers.
    pub(crate) fn ask(&mut self, at_once: usize) -> Result<()> {
        let streams = std::mem::take(&mut self.streams);
        self.streams = self.runtime.block_on(async {
            let turns = Arc::new(Semaphore::new(at_once));
            let mut exchanges = JoinSet::new();
            for mut stream in streams {
                let turns = Arc::clone(&turns);
                exchanges.spawn(async move {
                    let _turn = turns.acquire().await?;
                    wire::exchange(&mut stream).await?;
                    anyhow::Ok(stream)
                });
            }
            exchanges.join_all().await.into_iter().collect::<Result<Vec<_>>>()
        })?;
        Ok(())
    }
}
