//! Patient clients, on one thread: a closed loop in which each waits for its answer as long as the gateway lets it.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::{JoinSet, LocalSet};

use crate::wire::{self, Asked};

/// No gateway here lets anybody wait so long: who does is taken for hung, so that the measure ends.
const LONGEST: Duration = Duration::from_secs(100);

/// Clients that send requests until they are told to end.
pub(crate) struct Patients {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<Vec<Call>>>>,
}

/// A request and what became of it.
pub(crate) struct Call {
    /// Which it was of all, from 0.
    pub(crate) number: usize,
    /// Until the last byte of its answer, or its end without one.
    pub(crate) took: Duration,
    /// None where the connection ended, or failed, before the answer was complete.
    pub(crate) status: Option<u16>,
}

/// How the clients ask.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// The work that each request asks for.
    pub(crate) service: Duration,
    /// The pause after a failure.
    pub(crate) rest: Duration,
}

impl Patients {
    /// So many clients, each with one connection that it keeps for as long as it can.
    pub(crate) fn start(target: SocketAddr, clients: u32, manner: Manner) -> io::Result<Patients> {
        let over = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&over);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::spawn(move || {
            let calls = LocalSet::new().block_on(&runtime, async move {
                let next = Rc::new(Cell::new(0));
                let mut loops = JoinSet::new();
                for _ in 0..clients {
                    loops.spawn_local(client(target, manner, Rc::clone(&next), Arc::clone(&shared)));
                }
                loops.join_all().await
            });
            Ok(calls.into_iter().flatten().collect())
        });
        Ok(Patients { over, thread: Some(thread) })
    }

    /// Lets each have the answer that it waits for, and says what became of all requests.
    pub(crate) fn end(mut self) -> Result<Vec<Call>> {
        self.over.store(true, Relaxed);
        let calls = self.thread.take().map_or(Ok(Ok(Vec::new())), JoinHandle::join);
        Ok(calls.map_err(|_| anyhow!("the clients panicked"))??)
    }
}

impl Drop for Patients {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
    }
}

/// Every other request is a POST.
pub(crate) fn is_post(number: usize) -> bool {
    number % 2 == 1
}

async fn client(
    target: SocketAddr,
    manner: Manner,
    next: Rc<Cell<usize>>,
    over: Arc<AtomicBool>,
) -> Vec<Call> {
    let mut kept = None;
    let mut calls = Vec::new();
    while !over.load(Relaxed) {
        let number = next.replace(next.get() + 1);
        let asked = Asked { number, service: manner.service };
        let request = if is_post(number) { asked.post() } else { asked.request() };
        let began = Instant::now();
        let answer = tokio::time::timeout(LONGEST, exchange(target, &mut kept, &request)).await;
        let status = answer.ok().and_then(Result::ok);
        calls.push(Call { number, took: began.elapsed(), status });
        if status != Some(200) {
            tokio::time::sleep(manner.rest).await;
        }
    }
    calls
}

/// On the kept connection, if there is one, else on a new one.
async fn exchange(target: SocketAddr, kept: &mut Option<TcpStream>, request: &[u8]) -> io::Result<u16> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => TcpStream::connect(target).await?,
    };
    stream.set_nodelay(true)?;
    let answer = wire::ask(&mut stream, request).await?;
    if answer.persists {
        *kept = Some(stream);
    }
    Ok(answer.status)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc::sync_channel;

    use super::*;

    const MANNER: Manner = Manner { service: Duration::ZERO, rest: Duration::ZERO };

    /// The first answer is complete, the second connection is closed without one, the third answer is a refusal.
    #[test]
    fn each_request_counts_as_what_became_of_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let (told, all_told) = sync_channel(1);
        let gateway = thread::spawn(move || {
            let mut heard = Vec::new();
            let mut hear = |stream: &mut std::net::TcpStream| {
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).unwrap();
                heard.push(String::from_utf8_lossy(&buffer[..read]).into_owned());
            };
            let (mut stream, _) = listener.accept().unwrap();
            hear(&mut stream);
            stream.write_all(wire::ANSWER).unwrap();
            hear(&mut stream);
            drop(stream);
            let (mut stream, _) = listener.accept().unwrap();
            hear(&mut stream);
            told.send(()).unwrap();
            stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").unwrap();
            heard
        });
        let clients = Patients::start(target, 1, MANNER).unwrap();
        all_told.recv_timeout(Duration::from_secs(30)).unwrap();
        let calls = clients.end().unwrap();
        let first: Vec<_> = calls.iter().map(|call| (call.number, call.status)).take(3).collect();
        assert_eq!(first, [(0, Some(200)), (1, None), (2, Some(503))]);
        let heard = gateway.join().unwrap();
        for (number, method) in ["GET", "POST", "GET"].into_iter().enumerate() {
            assert!(heard[number].starts_with(&format!("{method} /asked/{number}/0 ")), "{heard:?}");
        }
    }
}
