//! Memory for each idle client connection: what a proxy's processes grow by when many connections are open.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::backend::{Backend, Service};
use crate::conf::{Failover, Setting, Slots, THREADS, TIMEOUT, WAIT};
use crate::load::IdleConnections;
use crate::peer::{Kind, Peer};
use crate::report::{Report, Table};
use crate::rounds::{Contender, Rounds, Series, pass};
use crate::usage::proportional_set_size;

/// Connections that warm a peer up before counting begins, and requests at once while the idle ones make theirs.
const AT_ONCE: u8 = 64;

/// What one peer showed in one round.
#[derive(Serialize)]
struct Sample {
    /// Bytes a connection that was opened and has said nothing.
    fresh: f64,
    /// Bytes a connection that has had one answer and waits.
    idle: f64,
    /// Bytes of the whole peer with all of them open.
    total: f64,
}

/// Runs the rounds and reports them.
pub(crate) fn measure(rounds: &Rounds, report: &mut Report) -> Result<()> {
    eprintln!("\nmemory: {} connections", rounds.connections);
    let contenders: Vec<Contender<'_>> = rounds
        .programs
        .iter()
        // The relay has a backend connection for every client: it says nothing here.
        .filter(|program| program.kind != Kind::Relay)
        .map(|program| Contender { label: program.kind.name(), program: Some(program), threads: THREADS })
        .collect();
    let series = rounds.run(&contenders, |_, contender| sample(rounds, contender))?;
    report.add(table(&series, rounds.connections), &series);
    Ok(())
}

fn sample(rounds: &Rounds, contender: &Contender<'_>) -> Result<Sample> {
    let Some(program) = contender.program else { anyhow::bail!("nothing to measure") };
    let backend = Backend::start(Service::None)?;
    let setting = Setting {
        backends: &[backend.address()],
        threads: contender.threads,
        slots: Slots::Plenty,
        clients: rounds.connections + u32::from(AT_ONCE),
        timeout: TIMEOUT,
        wait: WAIT,
        failover: Failover::Unneeded,
    };
    let peer = Peer::start(program, &setting)?;
    let mut warm = IdleConnections::open(peer.address(), AT_ONCE.into())?;
    for _ in 0..WARM_REQUESTS {
        warm.ask(AT_ONCE.into())?;
    }
    let before = settled(&peer)?;
    let mut connections = IdleConnections::open(peer.address(), rounds.connections)?;
    let fresh = settled(&peer)?;
    connections.ask(AT_ONCE.into())?;
    let idle = settled(&peer)?;
    let each = |now: f64| (now - before) / f64::from(rounds.connections);
    Ok(Sample { fresh: each(fresh), idle: each(idle), total: idle })
}

/// The set size in bytes once it has stopped changing: accepts and frees may lag behind what a client sees.
fn settled(peer: &Peer) -> Result<f64> {
    let began = Instant::now();
    let mut last = proportional_set_size(peer.process())?;
    loop {
        pass(LOOK);
        let now = proportional_set_size(peer.process())?;
        if now.abs_diff(last) < STILL || began.elapsed() > LONGEST {
            return Ok(now as f64);
        }
        last = now;
    }
}

const WARM_REQUESTS: u32 = 20;
/// Two looks this far apart that differ by less than `STILL` bytes are the end of it.
const LOOK: Duration = Duration::from_millis(400);
const STILL: u64 = 16 << 10;
const LONGEST: Duration = Duration::from_secs(5);

fn table(series: &[Series<Sample>], connections: u32) -> Table {
    let mut table = Table::new(
        "Memory of idle client connections",
        &["peer", "kB after one request", "kB without a request", "MB in all"],
    );
    for one in series {
        table.row([
            one.label.to_owned(),
            format!("{:.2}", one.spread(|sample| sample.idle / 1000.0)),
            format!("{:.2}", one.spread(|sample| sample.fresh / 1000.0)),
            format!("{:.1}", one.spread(|sample| sample.total / 1_000_000.0).median),
        ]);
    }
    table.note(format!(
        "Proportional set size of all processes of a peer, {connections} connections, the sockets in the kernel not \
         counted. nginx makes its connection table when it starts, so part of its cost shows only in all. Aim: \
         idleway at most 2 kB after one request.",
    ));
    table
}
