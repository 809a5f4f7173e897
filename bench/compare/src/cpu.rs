//! CPU time for each proxied request: a small answer from a fast backend, many kept connections, as fast as it goes.

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use crate::backend::{Backend, Service};
use crate::conf::{Failover, Setting, Slots, THREADS, TIMEOUT, WAIT};
use crate::load::Load;
use crate::peer::{Kind, Peer};
use crate::report::{Report, Table};
use crate::rounds::{Contender, Rounds, Series, pass};
use crate::usage::CpuTime;

/// Client connections; each sends its next request when it has its answer.
const CLIENTS: u32 = 64;
/// The part of a window that passes before counting begins: connections open, allocators and caches warm up.
const WARM_UP: u32 = 4;

/// What one peer showed in one round.
#[derive(Serialize)]
struct Sample {
    /// CPU microseconds a request.
    microseconds: f64,
    /// Of these, in the kernel.
    system: f64,
    /// Answers a second, of clients and backend on the same machine.
    rate: f64,
    /// Connections to the backend that were opened meanwhile: 0 where all are kept.
    connects: u64,
    failed: u64,
}

/// Runs the rounds and reports them.
pub(crate) fn measure(rounds: &Rounds, report: &mut Report) -> Result<()> {
    eprintln!("\ncpu: {} s each, {CLIENTS} connections", rounds.window.as_secs());
    let contenders: Vec<Contender<'_>> = rounds
        .programs
        .iter()
        .map(|program| Contender { label: program.kind.name(), program: Some(program), threads: THREADS })
        .collect();
    let series = rounds.run(&contenders, |_, contender| sample(rounds, contender))?;
    report.add(table(&series), &series);
    Ok(())
}

fn sample(rounds: &Rounds, contender: &Contender<'_>) -> Result<Sample> {
    let Some(program) = contender.program else { anyhow::bail!("nothing to measure") };
    let backend = Backend::start(Service::None)?;
    let setting = Setting {
        backends: &[backend.address()],
        threads: contender.threads,
        slots: Slots::Plenty,
        clients: CLIENTS,
        timeout: TIMEOUT,
        wait: WAIT,
        failover: Failover::Unneeded,
    };
    let peer = Peer::start(program, &setting)?;
    let load = Load::start(&[peer.address()], CLIENTS.try_into()?)?;
    pass(rounds.window / WARM_UP);

    let look = || Look::at(&load, &backend, &peer);
    let before = look()?;
    pass(rounds.window);
    let after = look()?;

    let answered = after.answered - before.answered;
    let used = after.used - before.used;
    let microseconds = used.microseconds() / answered.max(1) as f64;
    Ok(Sample {
        microseconds,
        system: microseconds * used.system_share(),
        rate: answered as f64 / (after.time - before.time).as_secs_f64(),
        connects: after.accepted - before.accepted,
        failed: load.failed(),
    })
}

/// What has been used and done until a moment.
struct Look {
    time: Instant,
    used: CpuTime,
    answered: u64,
    accepted: u64,
}

impl Look {
    fn at(load: &Load, backend: &Backend, peer: &Peer) -> Result<Look> {
        Ok(Look {
            time: Instant::now(),
            used: CpuTime::of(peer.process())?,
            answered: load.answered(),
            accepted: backend.accepted(),
        })
    }
}

fn table(series: &[Series<Sample>]) -> Table {
    let haproxy = series.iter().find(|one| one.label == Kind::Haproxy.name());
    let columns = ["peer", "to HAProxy", "us a request", "user", "system", "answers/s", "connects", "failed"];
    let mut table = Table::new("CPU time a request", &columns);
    for one in series {
        let ratio = haproxy.map(|haproxy| one.against(haproxy, |sample| sample.microseconds, |a, b| a / b));
        table.row([
            one.label.to_owned(),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            format!("{:.1}", one.spread(|sample| sample.microseconds)),
            format!("{:.1}", one.spread(|sample| sample.microseconds - sample.system).median),
            format!("{:.1}", one.spread(|sample| sample.system).median),
            format!("{:.0}", one.spread(|sample| sample.rate).median),
            format!("{:.0}", one.spread(|sample| sample.connects as f64).median),
            one.samples.iter().map(|sample| sample.failed).sum::<u64>().to_string(),
        ]);
    }
    table.note(
        "Median (least .. most) of the rounds; the ratio is taken inside each round. Connects are those to the backend \
         in one window: 0 where all are kept. Aim: idleway at most 0.90 of HAProxy.",
    );
    table
}
