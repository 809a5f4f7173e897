//! How long clients wait before nearly full one-slot backends, beside a queue that loses no time at all: random arrivals
//! at 90 % load, most work short and some of it long.
//!
//! Open loop: a request goes out when it is due, whatever became of those before it, and its latency counts from when it
//! was due. So nothing is left out while a peer is slow.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::arrivals::{Arrival, Visit, poisson, send};
use crate::backend::{Backend, Service};
use crate::conf::{Failover, Setting, Slots, THREADS, TIMEOUT};
use crate::ideal::{Job, fifo};
use crate::peer::{Kind, Peer};
use crate::report::{Report, Table};
use crate::rounds::{Contender, Rounds, Series};

const BACKENDS: usize = 4;
/// Nine of ten requests ask for the short service, one for the long: 20 ms in the mean.
const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_millis(155);
const SHARE_LONG: f64 = 0.1;
/// Requests a second: 90 % of what four backends can do in a second.
const RATE: f64 = 0.9 * 4.0 / 0.020;
/// How long a request waits in line.
const PATIENCE: Duration = Duration::from_secs(1);
/// Client connections at once, at most: what is in line in a second, with room to spare.
const CLIENTS: u32 = 1000;
/// A shorter window says little: a few long services in a row fill the line for seconds.
const SHORTEST_WINDOW: Duration = Duration::from_secs(20);
const IDLEWAY_ONE: &str = "idleway, 1 thread";
const HAPROXY_ONE: &str = "haproxy, 1 thread";

/// What one contender showed in one round. Times in milliseconds, of served requests only.
#[derive(Serialize)]
struct Sample {
    real: Summary,
    /// The ideal queue, given the same arrivals and the service times that this contender's backends really took.
    ideal: Summary,
    /// The ideal queue with the service times that were asked for.
    nominal: Summary,
    /// By how much a service really took longer than asked for, in the mean.
    overshoot: f64,
    /// How late a request went out, 99th percentile: a part of the latency that is ours.
    late: f64,
    requests: usize,
    /// Neither served nor refused.
    failed: usize,
    overlaps: u64,
}

#[derive(Serialize, PartialEq, Debug)]
struct Summary {
    mean: f64,
    p99: f64,
    /// Percent of the requests.
    not_served: f64,
}

/// Runs the rounds and reports them.
pub(crate) fn measure(rounds: &Rounds, report: &mut Report) -> Result<()> {
    let window = rounds.window.max(SHORTEST_WINDOW);
    eprintln!("\nwait: {} s each, {BACKENDS} backends, {RATE:.0} requests a second", window.as_secs());
    let of = |label, kind, threads| {
        rounds.program(kind).map(|program| Contender { label, program: Some(program), threads })
    };
    let contenders: Vec<Contender<'_>> = [
        of(Kind::Idleway.name(), Kind::Idleway, THREADS),
        of(Kind::Haproxy.name(), Kind::Haproxy, THREADS),
        of(IDLEWAY_ONE, Kind::Idleway, 1),
        of(HAPROXY_ONE, Kind::Haproxy, 1),
    ]
    .into_iter()
    .flatten()
    .collect();
    anyhow::ensure!(!contenders.is_empty(), "nobody here has a line: this is about idleway and haproxy");
    let series = rounds.run(&contenders, |round, contender| {
        let arrivals =
            poisson(u64::from(round) + 1, RATE, window, |dice| if dice < SHARE_LONG { LONG } else { SHORT });
        sample(&arrivals, contender)
    })?;
    report.add(table(&series), &series);
    Ok(())
}

fn sample(arrivals: &[Arrival], contender: &Contender<'_>) -> Result<Sample> {
    let backends = (0..BACKENDS).map(|_| Backend::start(Service::Asked)).collect::<Result<Vec<_>, _>>()?;
    let addresses: Vec<SocketAddr> = backends.iter().map(Backend::address).collect();
    let setting = Setting {
        backends: &addresses,
        threads: contender.threads,
        slots: Slots::One,
        clients: CLIENTS,
        timeout: TIMEOUT,
        wait: PATIENCE,
        failover: Failover::Unneeded,
    };
    let Some(program) = contender.program else { anyhow::bail!("nothing to measure") };
    let peer = Peer::start(program, &setting)?;
    let visits = send(peer.address(), arrivals)?;
    drop(peer);

    let nominal: Vec<Job> =
        arrivals.iter().map(|arrival| Job { at: arrival.at, service: arrival.service }).collect();
    let (measured, overshoot) = measured(&nominal, &backends);
    let latency = |visit: &Visit| (visit.status == Some(200)).then_some(visit.latency);
    Ok(Sample {
        real: Summary::of(visits.iter().map(latency)),
        ideal: Summary::of(fifo(&measured, BACKENDS, PATIENCE).into_iter()),
        nominal: Summary::of(fifo(&nominal, BACKENDS, PATIENCE).into_iter()),
        overshoot,
        late: 1000.0
            * quantile(&mut visits.iter().map(|visit| visit.late.as_secs_f64()).collect::<Vec<_>>(), 0.99),
        requests: visits.len(),
        failed: visits.iter().filter(|visit| !matches!(visit.status, Some(200 | 503))).count(),
        overlaps: backends.iter().map(Backend::overlaps).sum(),
    })
}

/// The jobs with the service times that the backends really took, and by how many milliseconds these were longer in the
/// mean; who was not served would have taken that much longer too.
fn measured(nominal: &[Job], backends: &[Backend]) -> (Vec<Job>, f64) {
    let services: Vec<(usize, Duration)> = backends.iter().flat_map(Backend::services).collect();
    let over = |&(number, took): &(usize, Duration)| {
        nominal.get(number).map_or(0.0, |job| took.as_secs_f64() - job.service.as_secs_f64())
    };
    let overshoot = services.iter().map(over).sum::<f64>() / services.len().max(1) as f64;
    let longer = Duration::from_secs_f64(overshoot.max(0.0));
    let mut jobs: Vec<Job> =
        nominal.iter().map(|job| Job { service: job.service + longer, ..*job }).collect();
    for (number, took) in services {
        if let Some(job) = jobs.get_mut(number) {
            job.service = took;
        }
    }
    (jobs, 1000.0 * overshoot)
}

impl Summary {
    /// Of all requests; who was not served has no latency.
    fn of(latencies: impl ExactSizeIterator<Item = Option<Duration>>) -> Summary {
        let count = latencies.len();
        let mut served: Vec<f64> =
            latencies.flatten().map(|latency| 1000.0 * latency.as_secs_f64()).collect();
        Summary {
            mean: served.iter().sum::<f64>() / served.len() as f64,
            p99: quantile(&mut served, 0.99),
            not_served: 100.0 * (count - served.len()) as f64 / count as f64,
        }
    }
}

/// The least figure that so many are not above; not a number where there is none.
fn quantile(figures: &mut [f64], part: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    // The rank is found without a cast: the first whose share reaches the part.
    let count = figures.len() as f64;
    let ranked = (1_u32..).map(f64::from).zip(figures.iter());
    ranked.into_iter().find(|&(rank, _)| rank >= part * count).map_or(f64::NAN, |(_, &figure)| figure)
}

fn table(series: &[Series<Sample>]) -> Table {
    let columns = [
        "peer",
        "mean, ms",
        "to ideal",
        "p99, ms",
        "to ideal",
        "not served, %",
        "ideal: mean, ms",
        "p99, ms",
        "not served, %",
        "mean to nominal ideal",
        "service over, ms",
        "sent late, ms",
        "overlaps",
        "failed",
    ];
    let mut table =
        Table::new("Latency at 90 % load on four one-slot backends, beside the ideal queue", &columns);
    for one in series {
        let spread = |figure: fn(&Sample) -> f64| format!("{:.2}", one.spread(figure));
        let median = |figure: fn(&Sample) -> f64| one.spread(figure).median;
        table.row([
            one.label.to_owned(),
            format!("{:.1}", median(|sample| sample.real.mean)),
            spread(|sample| sample.real.mean / sample.ideal.mean),
            format!("{:.0}", median(|sample| sample.real.p99)),
            spread(|sample| sample.real.p99 / sample.ideal.p99),
            format!("{:.2}", median(|sample| sample.real.not_served)),
            format!("{:.1}", median(|sample| sample.ideal.mean)),
            format!("{:.0}", median(|sample| sample.ideal.p99)),
            format!("{:.2}", median(|sample| sample.ideal.not_served)),
            spread(|sample| sample.real.mean / sample.nominal.mean),
            format!("{:.3}", median(|sample| sample.overshoot)),
            format!("{:.3}", median(|sample| sample.late)),
            one.samples.iter().map(|sample| sample.overlaps).sum::<u64>().to_string(),
            one.samples.iter().map(|sample| sample.failed).sum::<usize>().to_string(),
        ]);
    }
    table.note(
        "Poisson arrivals; services of 5 ms (90 %) and 155 ms (10 %); who waits 1 s is refused. Latency, of served \
         requests, counts from when a request was due. The ideal is one FIFO line before four backends that loses no time, \
         with the same arrivals, the same patience and the service times that this peer's backends really took (*nominal \
         ideal*: those that were asked for). Medians of the rounds, ratios taken inside each round (least .. most); every \
         peer gets the same arrivals in a round, and each round has others. Service over is by how much a backend's sleep \
         was longer than asked. Aim: idleway's ratios not above HAProxy's.",
    );
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_figure_that_was_there() {
        let mut hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((quantile(&mut hundred, 0.99), quantile(&mut hundred, 1.0)), (99.0, 100.0));
        assert_eq!(quantile(&mut [7.0], 0.99), 7.0);
        assert!(quantile(&mut [], 0.99).is_nan());
    }

    #[test]
    fn who_was_not_served_has_no_latency_but_counts() {
        let latencies = [Some(Duration::from_millis(10)), None, Some(Duration::from_millis(20)), None];
        assert_eq!(Summary::of(latencies.into_iter()), Summary { mean: 15.0, p99: 20.0, not_served: 50.0 });
    }
}
