//! The share of the time that one-slot backends work while more clients wait than there are slots: what a proxy loses
//! between the end of one answer and the beginning of the next request.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::backend::{Backend, Service};
use crate::conf::{Failover, Setting, Slots, THREADS, TIMEOUT, WAIT};
use crate::load::Load;
use crate::peer::{Kind, Peer};
use crate::report::{Report, Table};
use crate::rounds::{Contender, Rounds, Series, pass};

const BACKENDS: u8 = 4;
const CLIENTS: u32 = 32;
const SERVICE: Duration = Duration::from_millis(1);
/// The part of a window that passes before counting begins.
const WARM_UP: u32 = 4;
/// No proxy at all: one client for each backend. What is missing to 100 is the backend's own and its client's.
const DIRECT: &str = "direct";
const HAPROXY_ONE: &str = "haproxy, 1 thread";

/// What one contender showed in one round.
#[derive(Serialize)]
struct Sample {
    /// Percent of the time that the backends were in service.
    share: f64,
    /// Milliseconds that a service really took.
    service: f64,
    /// Answers a second.
    rate: f64,
    /// Connections to the backends that were opened meanwhile: 0 where all are kept.
    connects: u64,
    /// Requests that came to a backend which was at work on another.
    overlaps: u64,
    failed: u64,
}

/// Runs the rounds and reports them.
pub(crate) fn measure(rounds: &Rounds, report: &mut Report) -> Result<()> {
    eprintln!("\nbusy: {} s each, {BACKENDS} backends, {CLIENTS} clients", rounds.window.as_secs());
    let of = |label, kind, threads| {
        rounds.program(kind).map(|program| Contender { label, program: Some(program), threads })
    };
    let contenders: Vec<Contender<'_>> = [
        of(Kind::Idleway.name(), Kind::Idleway, THREADS),
        of(Kind::Haproxy.name(), Kind::Haproxy, THREADS),
        of(HAPROXY_ONE, Kind::Haproxy, 1),
        Some(Contender { label: DIRECT, program: None, threads: 0 }),
    ]
    .into_iter()
    .flatten()
    .collect();
    let series = rounds.run(&contenders, |_, contender| sample(rounds, contender))?;
    report.add(table(&series), &series);
    Ok(())
}

fn sample(rounds: &Rounds, contender: &Contender<'_>) -> Result<Sample> {
    let backends =
        (0..BACKENDS).map(|_| Backend::start(Service::Of(SERVICE))).collect::<Result<Vec<_>, _>>()?;
    let addresses: Vec<SocketAddr> = backends.iter().map(Backend::address).collect();
    let setting = Setting {
        backends: &addresses,
        threads: contender.threads,
        slots: Slots::One,
        clients: CLIENTS,
        timeout: TIMEOUT,
        wait: WAIT,
        failover: Failover::Unneeded,
    };
    let peer = contender.program.map(|program| Peer::start(program, &setting)).transpose()?;
    let load = match &peer {
        Some(peer) => Load::start(&[peer.address()], CLIENTS.try_into()?)?,
        None => Load::start(&addresses, BACKENDS.into())?,
    };
    pass(rounds.window / WARM_UP);

    let before = Look::at(&backends);
    pass(rounds.window);
    let after = Look::at(&backends);

    let (worked, served) = (after.worked - before.worked, after.served - before.served);
    let elapsed = after.time - before.time;
    Ok(Sample {
        share: 100.0 * worked.as_secs_f64() / (f64::from(BACKENDS) * elapsed.as_secs_f64()),
        service: 1000.0 * worked.as_secs_f64() / served.max(1) as f64,
        rate: served as f64 / elapsed.as_secs_f64(),
        connects: after.accepted - before.accepted,
        overlaps: after.overlaps - before.overlaps,
        failed: load.failed(),
    })
}

/// What all backends have done until a moment.
struct Look {
    time: Instant,
    worked: Duration,
    served: u64,
    accepted: u64,
    overlaps: u64,
}

impl Look {
    fn at(backends: &[Backend]) -> Look {
        let sum = |figure: fn(&Backend) -> u64| backends.iter().map(figure).sum();
        Look {
            time: Instant::now(),
            worked: backends.iter().map(Backend::worked).sum(),
            served: sum(Backend::served),
            accepted: sum(Backend::accepted),
            overlaps: sum(Backend::overlaps),
        }
    }
}

fn table(series: &[Series<Sample>]) -> Table {
    let named = |label: &str| series.iter().find(|one| one.label == label);
    let (two, one_thread) = (named(Kind::Haproxy.name()), named(HAPROXY_ONE));
    let columns = [
        "peer",
        "share, %",
        "to HAProxy",
        "to its 1 thread",
        "service, ms",
        "answers/s",
        "connects",
        "overlaps",
        "failed",
    ];
    let mut table = Table::new("Share of the time that one-slot backends work", &columns);
    for one in series {
        let points = |other: Option<&Series<Sample>>| {
            let other = other.map(|other| one.against(other, |sample| sample.share, |a, b| a - b));
            other.map_or_else(String::new, |points| format!("{:+.1}", points.median))
        };
        table.row([
            one.label.to_owned(),
            format!("{:.1}", one.spread(|sample| sample.share)),
            points(two),
            points(one_thread),
            format!("{:.3}", one.spread(|sample| sample.service).median),
            format!("{:.0}", one.spread(|sample| sample.rate).median),
            format!("{:.0}", one.spread(|sample| sample.connects as f64).median),
            one.samples.iter().map(|sample| sample.overlaps).sum::<u64>().to_string(),
            one.samples.iter().map(|sample| sample.failed).sum::<u64>().to_string(),
        ]);
    }
    table.note(
        "The columns \"to\" are percentage points in the same round. Connects are those to the backends in one window. \
         Overlaps, of all rounds, are requests that a backend got while it worked on another: the limit did not hold \
         (direct has one client for each backend). Aim: idleway above HAProxy, and at most 2 points under its one \
         thread.",
    );
    table
}
