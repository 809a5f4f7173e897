//! The same in lines, for whatever is no terminal.

use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::super::Failure;
use super::News;
use super::picture::{Picture, clean};
use super::pool::Pool;
use super::verdict::verdict;
use super::view::{Row, View};
use super::words;

/// Prints how it stands again and again, or once, as soon as it is known. Ends where nobody reads any more.
///
/// # Errors
/// What is printed cannot be written.
pub(super) fn show(news: &Receiver<News>, every: Duration, once: bool) -> Result<(), Failure> {
    let mut picture = Picture::new(Instant::now());
    let mut lost = None;
    let mut due: Option<Instant> = None;
    loop {
        let left = due.map_or(every, |due| due.saturating_duration_since(Instant::now()));
        match news.recv_timeout(left) {
            Ok(News::Told(kind, told)) => {
                picture.apply(&kind, &told, Instant::now());
                lost = None;
                // The first time as soon as there is anything.
                due.get_or_insert_with(Instant::now);
            }
            Ok(News::Lost(why)) => lost = Some(clean(&why)),
            Ok(News::End(how)) => return how,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        let now = Instant::now();
        if due.is_none_or(|due| now < due) {
            continue;
        }
        let lines = match &lost {
            None => lines(&picture, now),
            Some(why) => {
                let silent = now.saturating_duration_since(picture.heard).as_secs_f64();
                vec![format!("no connection for {}, trying again: {why}", words::whole(silent))]
            }
        };
        match write(&lines) {
            Ok(()) if once => return Ok(()),
            Ok(()) => due = Some(now + every),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(Failure::Failed(error.into())),
        }
    }
}

/// An empty line ends it: whoever reads it by machine knows where the next one begins.
fn write(lines: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(format!("{}\n\n", lines.join("\n")).as_bytes())?;
    out.flush()
}

fn lines(picture: &Picture, now: Instant) -> Vec<String> {
    let clock = picture.clock(now);
    let mut lines = vec![verdict(picture, clock).1];
    for row in View::default().rows(picture, clock) {
        match row {
            Row::Gap => {}
            Row::Pool(name, pool) => lines.push(format!("{name}: {}", self::pool(pool))),
            Row::Rates(pool) => {
                if let Some(rates) = pool.rates() {
                    let mut parts: Vec<_> =
                        words::rates(rates, false).into_iter().map(|(words, _)| words).collect();
                    parts.extend(pool.latency().map(|latency| words::latency(latency, false)));
                    lines.push(format!("  {}", parts.join(", ")));
                }
            }
            Row::Backend(_, _, backend) => {
                let slots = backend.slots;
                let state = words::state(backend);
                let mut line =
                    format!("  {} {state}: {} of {} slots taken", backend.name, slots.taken(), slots.all);
                let detail = words::detail(backend, clock);
                if !detail.is_empty() {
                    line += &format!("; {detail}");
                }
                lines.push(line);
            }
        }
    }
    lines
}

fn pool(pool: &Pool) -> String {
    let parts: Vec<_> = words::pool(pool, false).into_iter().map(|(words, _)| words).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_all_there_without_a_terminal() {
        let now = Instant::now();
        let mut picture = Picture::new(now);
        let told = json!({
            "now_unix_seconds": 100.0, "gateway": { "version": "1" },
            "pools": { "a": { "slots": { "all": 1, "busy": 1 }, "queue": { "length": 5 }, "estimate": { "wait_seconds": 2.0 } } },
            "backends": { "a": { "1": {
                "name": "x", "slots": { "all": 1, "busy": 1 },
                "work": [{ "state": "busy", "since_unix_seconds": 98.0, "method": "GET", "route": "/r", "client": "c" }],
            } } },
            "points": { "a": [[95.0, 10, 0, 0, 0.5, 1.5, 2.5, 0, 0]] },
        });
        picture.apply("whole", &told, now);
        let expected = [
            "all is well: 1 of 1 backends up, 1 of 1 slots busy, nobody waits",
            "a: 1 of 1 slots taken, line 0 of 5, a newcomer waits 2.0 s",
            "  2.0 requests/s, 0 refused/s, 0 failed/s, answered after p50 500 ms  p95 1.5 s  p99 2.5 s",
            "  x up: 1 of 1 slots taken; GET /r c 2.0 s",
        ];
        assert_eq!(lines(&picture, now), expected);
    }
}
