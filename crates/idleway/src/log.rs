//! The log on standard error, written by a thread of its own.
//!
//! Whoever reads it may stall or go away: that costs lines of the log, never an answer, and the log says how many.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::Args;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::colour;

/// Lines that wait to be written; beyond them lines are lost.
const WAITING: usize = 4096;
/// How long the end of the program waits for the last lines.
const PARTING: Duration = Duration::from_secs(1);

static LOG: OnceLock<Log> = OnceLock::new();

/// How much is logged.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// How much to log: error, warn, info, debug or trace, or like idleway::access=off,info [default: RUST_LOG, else
    /// info].
    #[arg(long, value_name = "FILTER", env = "IDLEWAY_LOG", hide_env_values = true, value_parser = filter)]
    log: Option<String>,
}

/// The text, where it is one that says how much is logged.
fn filter(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    // One word is a target to the parser, and would silence all others.
    let is_level = |word: &str| LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
    let words =
        text.split(',').map(str::trim).filter(|part| !part.is_empty() && !part.contains(['=', '[', ':']));
    if let Some(word) = words.into_iter().find(|word| !is_level(word)) {
        return Err(format!(
            "`{word}` is none of {}; for a part of the program write {word}=info",
            LEVELS.join(", ")
        ));
    }
    EnvFilter::builder().parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Starts the log.
pub(crate) fn start(args: &LogArgs) {
    let (sender, receiver) = sync_channel(WAITING);
    let log = Log { sender, lost: Arc::default() };
    let lost = Arc::clone(&log.lost);
    let writer = move || write_all(&receiver, &lost);
    if std::thread::Builder::new().name("log".to_owned()).spawn(writer).is_err()
        || LOG.set(log.clone()).is_err()
    {
        return;
    }
    let filters = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into());
    let filter = match &args.log {
        Some(filter) => filters.parse_lossy(filter),
        None => filters.from_env_lossy(),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour::on(&io::stderr()))
        .with_writer(log)
        .init();
}

/// Waits, not for long, until what was logged is written.
pub(crate) fn finish() {
    let Some(log) = LOG.get() else { return };
    let (done, written) = sync_channel(1);
    if log.sender.try_send(Entry::Flush(done)).is_ok() {
        // Where nobody reads the log, the program ends all the same.
        let _ = written.recv_timeout(PARTING);
    }
}

enum Entry {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// The side that the program logs to.
#[derive(Clone)]
struct Log {
    sender: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// One write is one line: so the subscriber's formatter does it.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.sender.try_send(Entry::Line(line.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The other side: writes until the program ends.
fn write_all(entries: &Receiver<Entry>, lost: &AtomicU64) {
    let mut out = io::stderr();
    for entry in entries {
        let missed = lost.swap(0, Ordering::Relaxed);
        if missed > 0 {
            let _ = writeln!(out, "{missed} lines of the log were lost: nobody read them in time");
        }
        match entry {
            // A reader that is gone is no reason to stop serving.
            Entry::Line(line) => _ = out.write_all(&line),
            Entry::Flush(done) => _ = done.try_send(()),
        }
    }
}
