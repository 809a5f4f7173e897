//! `idleway load`: a gentle and changing load for any gateway, and what became of it.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use idleway::Stop;
use idleway_h1::{BodyReader, Event, Framing, HeadReader, HeadWriter, Limits};

use crate::cli::{self, Failure, say};

/// How often requests are sent off, if there are any to be.
const STEP: Duration = Duration::from_millis(100);
/// The load swells and ebbs in so long.
const WAVE: Duration = Duration::from_secs(60);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(300);
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of trailers.
const TRAILERS: usize = 8192;
/// How often what became of it is said.
const TOLD: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  idleway load http://127.0.0.1:5000                            two requests a second, now more and now fewer, until Ctrl-C
  idleway load http://127.0.0.1:5000 --rate 20 --for 1m         for a minute
  idleway load http://127.0.0.1:8080 --path /render --clients 4

Each request is a POST of a little JSON on a connection of its own, with an Idempotency-Key: it may be done twice. Where all clients wait for answers, and as many requests for a client, no
more are made, and it is said how many were left out. Answered is what ended well, by 2xx or 3xx; failed is any other
answer, and one that broke off. Ends with 1 where nobody answered anything.")]
pub(crate) struct LoadArgs {
    /// The gateway, by http.
    #[arg(value_name = "URL")]
    url: String,
    /// Requests a second, on average.
    #[arg(long, value_name = "N", default_value_t = 2.0, value_parser = rate)]
    rate: f64,
    /// How many of them may wait for their answers at once.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    clients: u16,
    /// What is asked for.
    #[arg(long, value_name = "PATH", default_value = "/process", value_parser = path)]
    path: String,
    /// How long [default: until Ctrl-C].
    #[arg(long, value_name = "DURATION", value_parser = cli::duration)]
    r#for: Option<Duration>,
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate| (0.01..=10_000.0).contains(rate))
        .ok_or_else(|| "a number from 0.01 to 10000".to_owned())
}

fn path(text: &str) -> Result<String, String> {
    let is_one = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    is_one
        .then(|| text.to_owned())
        .ok_or_else(|| "a path begins with `/`; blanks and the like are written as %20".to_owned())
}

pub(crate) fn load(args: &LoadArgs) -> Result<(), Failure> {
    let mut stop = Stop::catch().context("cannot catch signals")?;
    let load = Load::start(&args.url, usize::from(args.clients))?;
    let wave = load.wave(args.rate, &args.path)?;
    let (wish, counts, time) = (stop.wish(), Arc::clone(&load.counts), args.r#for);
    // It says how it goes, and ends the program in time.
    thread::Builder::new()
        .name("told".to_owned())
        .spawn(move || {
            let begun = Instant::now();
            let (_held, never) = sync_channel::<()>(0);
            loop {
                let left = time.map_or(TOLD, |time| time.saturating_sub(begun.elapsed()).min(TOLD));
                let _ = never.recv_timeout(left);
                if time.is_some_and(|time| begun.elapsed() >= time) {
                    return wish.stop();
                }
                say(&counts.to_string());
            }
        })
        .context("there is no thread to be had")?;
    stop.wait();
    wave.end();
    say(&load.counts.to_string());
    let answered = [&load.counts.well, &load.counts.refused, &load.counts.failed];
    let is_none = answered.iter().all(|count| count.load(Ordering::Relaxed) == 0);
    let unanswered = [&load.counts.unanswered, &load.counts.at_work];
    if is_none && unanswered.iter().any(|count| count.load(Ordering::Relaxed) > 0) {
        return Err(anyhow!("nobody answers at {}", args.url).into());
    }
    Ok(())
}

/// Clients of a gateway, who send what they are told to.
pub(crate) struct Load {
    tickets: SyncSender<String>,
    pub(crate) counts: Arc<Counts>,
    under_way: Arc<UnderWay>,
}

/// Requests that are sent off again and again.
pub(crate) struct Wave {
    _end: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Wave {
    /// Sends no more.
    pub(crate) fn end(self) {
        drop(self._end);
        // It has said so itself, if it panicked.
        let _ = self.thread.join();
    }
}

impl Load {
    /// So many clients of the gateway at this URL, who wait for something to do.
    ///
    /// # Errors
    /// It is none, its host has no address, or there are no threads to be had.
    pub(crate) fn start(url: &str, clients: usize) -> anyhow::Result<Self> {
        let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let Some(authority) =
            authority.filter(|rest| !rest.is_empty() && !rest.contains(['/', '@', '?', '#']))
        else {
            bail!("`{url}` is not where a gateway listens: write http://127.0.0.1:5000");
        };
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let place = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let address = place.to_socket_addrs().ok().and_then(|mut found| found.next());
        let address = address.with_context(|| format!("`{authority}` is not found"))?;
        // A ticket is a path. As many wait for a client as there are clients; what is more is left out.
        let (tickets, taken) = sync_channel(clients);
        let (taken, counts) = (Arc::new(Mutex::new(taken)), Arc::new(Counts::default()));
        let (keys, under_way) = (Arc::new(Keys::new()), Arc::new(UnderWay::default()));
        for _ in 0..clients {
            let (taken, counts, authority) = (Arc::clone(&taken), Arc::clone(&counts), authority.to_owned());
            let (keys, under_way) = (Arc::clone(&keys), Arc::clone(&under_way));
            let client = move || {
                while let Some(path) = next(&taken) {
                    counts.at_work.fetch_add(1, Ordering::Relaxed);
                    counts.waiting.fetch_sub(1, Ordering::Relaxed);
                    let key = keys.next();
                    counts.note(&ask(address, &authority, &path, &key, &under_way));
                    under_way.forget(&key);
                    counts.at_work.fetch_sub(1, Ordering::Relaxed);
                }
            };
            thread::Builder::new()
                .name("client".to_owned())
                .spawn(client)
                .context("there is no thread to be had")?;
        }
        Ok(Self { tickets, counts, under_way })
    }

    /// Leaves: whatever is under way is asked for no more, and nothing is from now on.
    pub(crate) fn leave(&self) {
        self.under_way.cut();
    }

    /// Has so many requests sent now. Those for which no client is free are left out, and counted.
    pub(crate) fn send(&self, count: usize, path: &str) {
        send(&self.tickets, &self.counts, count, path);
    }

    /// Has requests sent, so many a second on average: fewer and more in turn.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn wave(&self, rate: f64, path: &str) -> anyhow::Result<Wave> {
        let (tickets, counts, path) = (self.tickets.clone(), Arc::clone(&self.counts), path.to_owned());
        let (end, ended) = sync_channel(0);
        let thread = thread::Builder::new()
            .name("wave".to_owned())
            .spawn(move || swell(&tickets, &counts, &ended, rate, &path))
            .context("there is no thread to be had")?;
        Ok(Wave { _end: end, thread })
    }
}

fn swell(tickets: &SyncSender<String>, counts: &Counts, ended: &Receiver<()>, rate: f64, path: &str) {
    let begun = Instant::now();
    let mut due = 0.0;
    while ended.recv_timeout(STEP) == Err(RecvTimeoutError::Timeout) {
        let turn = begun.elapsed().as_secs_f64() / WAVE.as_secs_f64() * std::f64::consts::TAU;
        due += rate * (1.0 + 0.7 * turn.sin()) * STEP.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and not below 0")]
        let now = due as usize;
        if now > 0 {
            send(tickets, counts, now, path);
            due = due.fract();
        }
    }
}

fn send(tickets: &SyncSender<String>, counts: &Counts, count: usize, path: &str) {
    for _ in 0..count {
        // Before anybody takes it.
        counts.waiting.fetch_add(1, Ordering::Relaxed);
        if tickets.try_send(path.to_owned()).is_err() {
            counts.waiting.fetch_sub(1, Ordering::Relaxed);
            counts.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn next(tickets: &Mutex<Receiver<String>>) -> Option<String> {
    tickets.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// The keys of the requests, each used once: whoever works on one may do so again under its key.
struct Keys {
    begun: u128,
    next: AtomicU64,
}

impl Keys {
    fn new() -> Self {
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        Self { begun, next: AtomicU64::new(0) }
    }

    fn next(&self) -> String {
        format!("load-{:x}-{}-{}", self.begun, std::process::id(), self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// The connections of those requests that are under way, by their keys; none at all once they are cut.
#[derive(Debug)]
struct UnderWay(Mutex<Option<HashMap<String, TcpStream>>>);

impl Default for UnderWay {
    fn default() -> Self {
        Self(Mutex::new(Some(HashMap::new())))
    }
}

impl UnderWay {
    fn note(&self, key: &str, stream: &TcpStream) -> io::Result<()> {
        let stream = stream.try_clone()?;
        match &mut *self.all() {
            Some(all) => _ = all.insert(key.to_owned(), stream),
            None => return Err(io::ErrorKind::ConnectionAborted.into()),
        }
        Ok(())
    }

    fn forget(&self, key: &str) {
        self.all().as_mut().map(|all| all.remove(key));
    }

    fn cut(&self) {
        for (_, stream) in self.all().take().into_iter().flatten() {
            // Whoever reads from it finds its end, and closes it. One that has ended is gone.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn all(&self) -> MutexGuard<'_, Option<HashMap<String, TcpStream>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask(
    address: SocketAddr,
    authority: &str,
    path: &str,
    key: &str,
    under_way: &UnderWay,
) -> io::Result<Option<u16>> {
    const BODY: &str = "{\"task\": \"load\"}";
    let mut stream = TcpStream::connect_timeout(&address, CONNECT)?;
    under_way.note(key, &stream)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    HeadWriter::request(&mut request, "POST", path)
        .field("Host", authority)
        .field("Content-Type", "application/json")
        .field("Idempotency-Key", key)
        .field("Connection", "close")
        .number("Content-Length", BODY.len() as u64)
        .end();
    request.extend_from_slice(BODY.as_bytes());
    stream.write_all(&request)?;
    Answer { stream, begun: Instant::now(), held: Vec::new() }.read()
}

/// What comes of one request.
struct Answer {
    stream: TcpStream,
    begun: Instant,
    /// What has come and was not looked at yet.
    held: Vec<u8>,
}

impl Answer {
    /// Its status, once all of it is there, whether its connection ends then or not; none where it broke off.
    fn read(mut self) -> io::Result<Option<u16>> {
        let mut heads = HeadReader::new(Limits::default());
        let head = loop {
            match heads.response(&self.held, false).map_err(io::Error::other)? {
                Some((head, used)) => {
                    self.held.drain(..used);
                    if !head.is_interim() {
                        break head;
                    }
                }
                None if self.more()? => {}
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        };
        Ok(self.body(head.framing()).ok().map(|()| head.status()))
    }

    fn body(&mut self, framing: Framing) -> io::Result<()> {
        let mut body = BodyReader::new(framing, TRAILERS);
        while !body.is_done() {
            let step = body.next(&self.held).map_err(io::Error::other)?;
            self.held.drain(..step.consumed);
            match step.event {
                Event::Done(_) => break,
                Event::Data(_) => {}
                Event::NeedMore if self.more()? => {}
                Event::NeedMore => body.end_of_input().map_err(io::Error::other)?,
            }
        }
        Ok(())
    }

    /// False at the end of what comes.
    fn more(&mut self) -> io::Result<bool> {
        if self.begun.elapsed() > PATIENCE {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut part = [0; 8192];
        let count = self.stream.read(&mut part)?;
        self.held.extend_from_slice(&part[..count]);
        Ok(count > 0)
    }
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    well: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    unanswered: AtomicU64,
    left_out: AtomicU64,
    /// For a client that is free.
    waiting: AtomicU64,
    at_work: AtomicU64,
}

impl Counts {
    fn note(&self, answer: &io::Result<Option<u16>>) {
        let count = match answer {
            Ok(Some(200..400)) => &self.well,
            Ok(Some(429 | 503)) => &self.refused,
            Ok(_) => &self.failed,
            Err(_) => &self.unanswered,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Self { well, refused, failed, unanswered, left_out, waiting, at_work } = self;
        write!(
            f,
            "{} answered, {} refused (429 or 503), {} failed, {} without an answer, {} under way, {} not sent yet, {} left out",
            count(well),
            count(refused),
            count(failed),
            count(unanswered),
            count(at_work),
            count(waiting),
            count(left_out)
        )
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn who_leaves_asks_for_nothing_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let load = Load::start(&format!("http://{}", listener.local_addr().unwrap()), 2).unwrap();
        load.send(2, "/a");
        let mut held = [0; 2].map(|_| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut sent = [0; 7];
            stream.read_exact(&mut sent).unwrap();
            assert_eq!(&sent, b"POST /a");
            stream
        });
        // Both are at work: two wait for them, and there is no place for a third one.
        load.send(3, "/c");
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        assert_eq!((count(&load.counts.waiting), count(&load.counts.left_out)), (2, 1));
        load.leave();
        for stream in &mut held {
            // To its end: nobody waits for the answer.
            stream.read_to_end(&mut Vec::new()).unwrap();
        }
        for _ in 0..2 {
            let mut sent = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut sent).unwrap();
            assert!(sent.is_empty(), "{sent:?}");
        }
    }
}
