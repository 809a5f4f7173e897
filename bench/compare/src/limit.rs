//! Whether a limit of one request at a time holds: `idleway witness` before each gateway, all of them at once.
//!
//! What is counted here is no timing: one run shows it, and it does not matter who else is on the machine.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::chart;
use crate::conf::{Failover, Setting, Slots, THREADS};
use crate::peer::{self, Kind, Peer, Program};
use crate::report::{Report, Table};
use crate::rounds::{Rounds, Series};

/// What the backend works on a request, and the silence after which a gateway gives it up.
const WORK: Duration = Duration::from_millis(2500);
const TIMEOUT: Duration = Duration::from_secs(1);
const WAIT: Duration = Duration::from_secs(30);
const CLIENTS: u32 = 8;
const REQUESTS: u32 = 24;

/// What the witness found behind one gateway.
#[derive(Serialize, Deserialize)]
struct Sample {
    requests: Requests,
    backends: Vec<Counted>,
}

#[derive(Serialize, Deserialize)]
struct Requests {
    answered: u64,
    given_up: u64,
    refused: u64,
    left_at_work: u64,
    left_in_line: u64,
    run_for_nobody: u64,
    repeated: u64,
}

#[derive(Serialize, Deserialize)]
struct Counted {
    slots: u32,
    peak: u32,
    overlaps: u64,
    executions: u64,
    /// Since how many seconds there were how many requests at work.
    at_work: Vec<(f64, u32)>,
}

/// Runs the witness before each gateway and reports what it found.
pub(crate) fn measure(rounds: &Rounds, report: &mut Report) -> Result<()> {
    let Some(idleway) = rounds.program(Kind::Idleway) else { bail!("the witness is a part of Idleway") };
    let gateways: Vec<&Program> =
        rounds.programs.iter().filter(|program| program.kind != Kind::Relay).collect();
    eprintln!("\nlimit: {REQUESTS} requests of {WORK:?} before a timeout of {TIMEOUT:?}, about a minute");
    let series: Vec<Series<Sample>> = thread::scope(|scope| {
        let running: Vec<_> = gateways
            .iter()
            .map(|&gateway| (gateway, scope.spawn(|| sample(&idleway.path, gateway))))
            .collect();
        let ended = running.into_iter().map(|(gateway, sample)| {
            let label = gateway.kind.name();
            let sample = sample.join().unwrap_or_else(|_| bail!("it panicked"));
            Ok(Series { label, samples: vec![sample.with_context(|| format!("observing {label}"))?] })
        });
        ended.collect::<Result<_>>()
    })?;
    report.add(table(&series), &series);
    report.draw(draw(&series, &gateways));
    Ok(())
}

fn sample(idleway: &Path, gateway: &Program) -> Result<Sample> {
    let address = peer::free_address()?;
    let mut witness = Witness::start(idleway, address)?;
    let backends = [witness.backend()?];
    let setting = Setting {
        backends: &backends,
        threads: THREADS,
        slots: Slots::One,
        clients: CLIENTS,
        timeout: TIMEOUT,
        wait: WAIT,
        failover: Failover::Unneeded,
    };
    let peer = Peer::start_at(address, gateway, &setting)?;
    let found = witness.found()?;
    serde_json::from_str(&found).with_context(|| format!("{found}\nthe gateway said: {}", peer.said()))
}

/// An `idleway witness` that runs.
struct Witness {
    child: Child,
    told: BufReader<ChildStderr>,
}

impl Witness {
    fn start(idleway: &Path, gateway: SocketAddr) -> Result<Witness> {
        let mut child = peer::following(idleway)?
            .args(["witness", "--json", "--backends", "0", "--patience", "20s"])
            .args(["--through", &format!("http://{gateway}"), "--work", &format!("{}ms", WORK.as_millis())])
            .args(["--requests", &REQUESTS.to_string(), "--clients", &CLIENTS.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting the witness")?;
        let told = BufReader::new(child.stderr.take().context("no standard error")?);
        Ok(Witness { child, told })
    }

    /// Where its backend listens: what it says first of all addresses.
    fn backend(&mut self) -> Result<SocketAddr> {
        let mut said = String::new();
        loop {
            let begin = said.len();
            if self.told.read_line(&mut said)? == 0 {
                bail!("the witness ended: {said}");
            }
            if let Some(address) = said[begin..].strip_prefix("  http://") {
                return Ok(address.trim_end().parse()?);
            }
        }
    }

    /// What it has found in the end, in JSON.
    fn found(&mut self) -> Result<String> {
        let (mut found, mut told) = (String::new(), String::new());
        self.child.stdout.take().context("no standard output")?.read_to_string(&mut found)?;
        self.told.read_to_string(&mut told)?;
        Ok(if found.is_empty() { told } else { found })
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // It has ended by itself, unless something failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn table(series: &[Series<Sample>]) -> Table {
    let columns = [
        "peer",
        "limit",
        "peak",
        "overlaps",
        "executions",
        "answered",
        "given up",
        "refused",
        "left at work",
        "left in line",
        "run for nobody",
    ];
    let mut table = Table::new("Requests at work at once on a one-slot backend", &columns);
    for one in series {
        for Sample { requests, backends } in &one.samples {
            let sum = |figure: fn(&Counted) -> u64| backends.iter().map(figure).sum::<u64>().to_string();
            table.row([
                one.label.to_owned(),
                backends.iter().map(|backend| backend.slots).max().unwrap_or_default().to_string(),
                backends.iter().map(|backend| backend.peak).max().unwrap_or_default().to_string(),
                sum(|backend| backend.overlaps),
                sum(|backend| backend.executions),
                requests.answered.to_string(),
                requests.given_up.to_string(),
                requests.refused.to_string(),
                requests.left_at_work.to_string(),
                requests.left_in_line.to_string(),
                requests.run_for_nobody.to_string(),
            ]);
        }
    }
    table.note(format!(
        "{REQUESTS} requests of {CLIENTS} clients, {WORK:?} of work each (one of six: a tenth of it), behind a timeout of {TIMEOUT:?}; a third of the \
         clients leave while the backend works for them, a third while they wait. Overlaps are requests that came while \
         the backend was at work on another. Given up are those that the gateway answered while the backend worked on \
         them; refused ones are not counted among the {REQUESTS} and come again (the open-source nginx has no line). Run \
         for nobody are those whose client had left the line before. Made by `idleway witness`. Aim: idleway's peak is 1.",
    ));
    table
}

/// The number alone: `2.6.12` of `HAProxy version 2.6.12-1+deb12u4 2026/10/17`.
fn bare(version: &str) -> &str {
    let digit = |c: char| c.is_ascii_digit();
    let number = &version[version.find(digit).unwrap_or(version.len())..];
    &number[..number.find(|c| !digit(c) && c != '.').unwrap_or(number.len())]
}

fn draw(series: &[Series<Sample>], gateways: &[&Program]) -> String {
    let panels: Vec<chart::Panel<'_>> = series
        .iter()
        .zip(gateways)
        .filter_map(|(one, gateway)| {
            let backend = one.samples.first()?.backends.first()?;
            Some(chart::Panel {
                label: one.label,
                version: bare(&gateway.version),
                peak: backend.peak,
                overlaps: backend.overlaps,
                limit: backend.slots,
                course: &backend.at_work,
            })
        })
        .collect();
    let title = "Requests at work at once on a backend that can do one at a time";
    let about = format!(
        "Red: over the limit, the dashed line. {} s of work each behind a timeout of {} s; {CLIENTS} clients, some leave early.",
        WORK.as_secs_f64(),
        TIMEOUT.as_secs_f64()
    );
    chart::draw(title, &about, &panels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_told_by_its_number() {
        for (version, number) in [
            ("HAProxy version 2.6.12-1+deb12u4 2026/10/17", "2.6.12"),
            ("nginx version: nginx/1.22.1", "1.22.1"),
            ("idleway 0.1.0", "0.1.0"),
            ("none", ""),
        ] {
            assert_eq!(bare(version), number);
        }
    }
}
