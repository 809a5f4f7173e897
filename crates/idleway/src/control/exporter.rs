//! Spans on their way to a collector: in batches, by a thread of its own. No request waits for it; what it cannot send in
//! time is lost, and counted.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::config::{Host, TracesPlan};
use crate::live::{Export, Exports, Live};
use crate::traces::{Span, encode};

/// Spans of so many requests wait; so many spans are one batch, and a batch waits so long for more.
const WAITING: usize = 4096;
const BATCH: usize = 512;
const LINGER: Duration = Duration::from_millis(500);
/// How long a collector may take for each step.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the log is spared the same trouble.
const QUIET: Duration = Duration::from_secs(60);

/// Has what is recorded exported from now on, if the Plan in force says so and nothing was yet.
pub(crate) fn export(live: &Arc<Live>) {
    if live.snapshot().plan.traces.is_none() || live.exports().is_some() {
        return;
    }
    let (sender, exports) = sync_channel(WAITING);
    let own = Arc::downgrade(live);
    let exporter = thread::Builder::new().name("traces".to_owned()).spawn(move || {
        let mut quiet_until = Instant::now();
        while let Some(batch) = Batch::next(&exports) {
            // The sender lives in there: it ends after this one.
            let Some(live) = Weak::upgrade(&own) else { break };
            let count = batch.spans.len();
            if let Err((endpoint, error)) = batch.send(&live) {
                live.exports().iter().for_each(|exports| exports.lost.add(count as u64));
                if quiet_until <= Instant::now() {
                    quiet_until = Instant::now() + QUIET;
                    tracing::warn!(%endpoint, %error, spans = count, "the collector does not take what is recorded: it is lost");
                }
            }
        }
    });
    match exporter {
        Ok(_) => live.set_exports(Exports::new(sender)),
        Err(error) => tracing::error!(%error, "no thread to export traces: nothing is recorded"),
    }
}

/// What is sent at once, and who waits for that.
struct Batch {
    spans: Vec<Span>,
    waiting: Vec<SyncSender<()>>,
}

impl Batch {
    /// None when there is nothing more to come.
    fn next(exports: &Receiver<Export>) -> Option<Self> {
        let mut batch = Self { spans: Vec::new(), waiting: Vec::new() };
        let mut next = exports.recv().ok()?;
        let end = Instant::now() + LINGER;
        loop {
            match next {
                Export::Spans(spans) => batch.spans.extend(spans),
                Export::Flush(waiting) => {
                    batch.waiting.push(waiting);
                    return Some(batch);
                }
            }
            if batch.spans.len() >= BATCH {
                return Some(batch);
            }
            next = match exports.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(next) => next,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Some(batch),
            };
        }
    }

    /// Sends it where the Plan in force says; tells where that was and why it is lost.
    fn send(self, live: &Live) -> Result<(), (String, io::Error)> {
        let snapshot = live.snapshot();
        let sent = match &snapshot.plan.traces {
            Some(plan) if !self.spans.is_empty() => post(plan, &encode(&plan.service, &self.spans))
                .map_err(|error| (plan.endpoint.to_string(), error)),
            // A reload has switched it off.
            _ => Ok(()),
        };
        for waiting in self.waiting {
            // Whoever waited may have gone.
            let _ = waiting.try_send(());
        }
        sent
    }
}

/// As OTLP over HTTP has it: a POST of Protocol Buffers to `/v1/traces`.
fn post(plan: &TracesPlan, body: &[u8]) -> io::Result<()> {
    let host = match &plan.endpoint.host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    };
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name stands for no address");
    for address in (host.as_str(), plan.endpoint.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return post_on(stream, plan, body),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn post_on(mut stream: TcpStream, plan: &TracesPlan, body: &[u8]) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (host, port, length) = (&plan.endpoint.host, plan.endpoint.port, body.len());
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/x-protobuf\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n",
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut status_line = [0; 12];
    stream.read_exact(&mut status_line)?;
    match status_line.strip_prefix(b"HTTP/1.1 ").or(status_line.strip_prefix(b"HTTP/1.0 ")) {
        Some([b'2', _, _]) => Ok(()),
        Some(status) => Err(io::Error::other(format!("it answered {}", String::from_utf8_lossy(status)))),
        None => Err(io::Error::other("what it answered is no HTTP")),
    }
}
