//! The floor: a proxy that understands nothing. It copies bytes between a client's connection and one backend
//! connection of its own, on as many single-threaded event loops as the other peers have threads.

use std::io;
use std::net::SocketAddr;
use std::thread;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::mpsc;

use crate::conf::THREADS;

/// A message of the benchmark fits in one read.
const BUFFER: usize = 2048;

/// Relays until the process is ended.
pub(crate) fn run(listen: SocketAddr, backend: SocketAddr) -> Result<()> {
    let loops = (0..THREADS).map(|_| relay_loop(backend)).collect::<io::Result<Vec<_>>>()?;
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await.context("binding")?;
        for turn in loops.iter().cycle() {
            let (client, _) = listener.accept().await?;
            turn.send(client.into_std()?).await?;
        }
        Ok(())
    })
}

/// Starts one event loop; what is sent to it are the clients it relays.
fn relay_loop(backend: SocketAddr) -> io::Result<mpsc::Sender<std::net::TcpStream>> {
    let (sender, mut clients) = mpsc::channel(64);
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            while let Some(client) = clients.recv().await {
                // A connection that fails shows at its client, which counts it.
                tokio::spawn(async move { relay(client, backend).await });
            }
        });
    });
    Ok(sender)
}

async fn relay(client: std::net::TcpStream, backend: SocketAddr) -> io::Result<()> {
    let mut client = TcpStream::from_std(client)?;
    let mut backend = TcpStream::connect(backend).await?;
    client.set_nodelay(true)?;
    backend.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_backend, to_backend) = backend.split();
    tokio::select! {
        ended = copy(from_client, to_backend) => ended,
        ended = copy(from_backend, to_client) => ended,
    }
}

async fn copy(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
    let mut buffer = [0; BUFFER];
    loop {
        match from.read(&mut buffer).await? {
            0 => return Ok(()),
            read => to.write_all(&buffer[..read]).await?,
        }
    }
}
