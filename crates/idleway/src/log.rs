//! The log on standard error, written by a thread of its own.
//!
//! Whoever reads it may stall or go away: that costs lines of the log, never an answer, and the log says how many.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::{Args, ValueEnum};
use idleway::Handle;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

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
    /// How it is written.
    #[arg(
        long,
        value_name = "FORMAT",
        env = "IDLEWAY_LOG_FORMAT",
        hide_env_values = true,
        default_value = "auto"
    )]
    log_format: Format,
}

/// How lines of the log are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people where standard error is a terminal, else as JSON.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
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
    let is_human = match args.log_format {
        Format::Auto => io::stderr().is_terminal(),
        Format::Human => true,
        Format::Json => false,
    };
    let (sender, receiver) = sync_channel(WAITING);
    let is_coloured = is_human && colour::on(&io::stderr());
    let log = Log { sender, lost: Arc::default(), gateway: Arc::default(), is_coloured };
    let lost = Arc::clone(&log.lost);
    let writer = move || write_all(&receiver, &lost, is_human);
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
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log);
    if is_human {
        lines.with_ansi(is_coloured).init();
    } else {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    }
}

/// From now on this gateway counts the lines that are lost, for whoever looks at its metrics.
pub(crate) fn count_losses(gateway: Handle) {
    if let Some(log) = LOG.get() {
        // Those of a second gateway in the program are the same.
        let _ = log.gateway.set(gateway);
    }
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
    gateway: Arc<OnceLock<Handle>>,
    is_coloured: bool,
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
        match self.sender.try_send(Entry::Line(in_one_line(line, self.is_coloured))) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                if let Some(gateway) = self.gateway.get() {
                    gateway.count_lost_log_line();
                }
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The line without what would end it early or steer a terminal: what a client or a backend says forges no other line.
/// Escapes of colour are the formatter's own; it lets none of a field through.
fn in_one_line(line: &[u8], is_coloured: bool) -> Vec<u8> {
    let end = line.len() - usize::from(line.ends_with(b"\n"));
    let mut plain = Vec::with_capacity(line.len());
    for &byte in &line[..end] {
        match byte {
            b'\n' => plain.extend_from_slice(b"\\n"),
            b'\r' => plain.extend_from_slice(b"\\r"),
            b'\t' => plain.push(byte),
            0x1b if is_coloured => plain.push(byte),
            0..=0x1f | 0x7f => plain.push(b'?'),
            _ => plain.push(byte),
        }
    }
    plain.extend_from_slice(&line[end..]);
    plain
}

/// The line that tells how many were lost, like all others.
fn loss(lost: u64, is_human: bool) -> String {
    const MESSAGE: &str = "lines of the log were lost: nobody read them in time";
    const TARGET: &str = "idleway::log";
    let mut time = String::new();
    // A text takes all that is written to it.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    match is_human {
        true => format!("{time}  WARN {TARGET}: {MESSAGE} lost={lost}"),
        false => {
            serde_json::json!({ "timestamp": time, "level": "WARN", "message": MESSAGE, "lost": lost, "target": TARGET })
                .to_string()
        }
    }
}

/// The other side: writes until the program ends.
fn write_all(entries: &Receiver<Entry>, lost: &AtomicU64, is_human: bool) {
    let mut out = io::stderr();
    for entry in entries {
        let missed = lost.swap(0, Ordering::Relaxed);
        if missed > 0 {
            // A reader that is gone is no reason to stop serving.
            let _ = writeln!(out, "{}", loss(missed, is_human));
        }
        match entry {
            Entry::Line(line) => _ = out.write_all(&line),
            Entry::Flush(done) => _ = done.try_send(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_ends_its_line() {
        assert_eq!(in_one_line(b"a\nb\rc\x1b[1md\x07\te\n", false), b"a\\nb\\rc?[1md?\te\n");
        assert_eq!(in_one_line(b"\x1b[32mINFO\x1b[0m a\nb", true), b"\x1b[32mINFO\x1b[0m a\\nb");
        assert_eq!(in_one_line(b"", false), b"");
    }
}
