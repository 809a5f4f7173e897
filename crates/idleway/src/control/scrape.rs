//! What Prometheus is told: counts that were kept, and how things stand at this moment, asked of the Dispatchers. Nothing
//! is kept twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use idleway_core::{BackendKey, BackendView, Counts, Health, Mode};

use crate::live::{Live, LivePool, Readiness};
use crate::metrics::{Histogram, Page, PoolMetrics, Series, desired};

/// Backends that are told of one by one. Of more the pools' sums are told alone: a page of a hundred thousand lines helps
/// nobody.
const SHOWN: usize = 1_000;
/// How many backends are looked at under one lock.
const CHUNK: usize = 256;

/// The page, in Prometheus's exposition format 0.0.4. `connections` are those of clients: open, and at most.
pub(crate) fn scrape(live: &Live, connections: (usize, usize)) -> String {
    let mut page = Page::default();
    let pools = Named::all(live.pools());
    requests(&mut page, &live.snapshot().distinct_series());
    page.metric("idleway_routes_not_shown", "gauge", "Routes that have no series of their own, since there are more than 500: they are counted under route=\"(more)\".");
    page.sample(&[], live.snapshot().routes_not_shown());
    lines(&mut page, &pools);
    backends(&mut page, &pools);
    events(&mut page, &pools);
    gateway(&mut page, live, connections);
    page.finish()
}

/// All pools of one name, which are one to whoever looks on: that of the Plan in force, and those that left before and are
/// not quiet yet. A series may stand on the page once, or all of the page is thrown away.
struct Named {
    /// The Plan's, or the first of those that left. What was counted is told of this one.
    pool: Arc<LivePool>,
    /// Of all of them.
    counts: Counts,
    all: Vec<Arc<LivePool>>,
}

impl Named {
    /// `pools` in any order in which those of the Plan come first.
    fn all(pools: Vec<Arc<LivePool>>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let mut known = HashMap::new();
        for pool in pools {
            let nth = *known.entry(pool.name.clone()).or_insert(all.len());
            let counts = pool.slots.counts();
            match all.get_mut(nth) {
                Some(named) => {
                    named.counts += counts;
                    named.all.push(pool);
                }
                None => all.push(Self { counts, all: vec![Arc::clone(&pool)], pool }),
            }
        }
        all
    }

    fn name(&self) -> &str {
        &self.pool.name
    }

    /// The backends of these pools by their names, each once: one that left and came back is one.
    fn backends(&self) -> Vec<(String, BackendView)> {
        let mut backends: Vec<(String, BackendView)> = Vec::new();
        let mut known = HashMap::new();
        for (name, view) in self.all.iter().flat_map(|pool| views(pool)) {
            let nth = *known.entry(name.clone()).or_insert(backends.len());
            match backends.get_mut(nth) {
                Some((_, one)) => {
                    let mut slots = one.slots;
                    slots += view.slots;
                    if one.removed {
                        *one = view;
                    }
                    one.slots = slots;
                }
                None => backends.push((name, view)),
            }
        }
        backends
    }
}

fn requests(page: &mut Page, series: &[Arc<Series>]) {
    page.metric(
        "idleway_requests_total",
        "counter",
        "Requests that have ended, by the status of their answer; code=\"none\": none had begun.",
    );
    for series in series {
        for (code, count) in series.codes() {
            page.sample(&[("route", &series.route), ("pool", &series.pool), ("code", &code)], count);
        }
    }
    type Of = fn(&Series) -> Histogram;
    let times: [(_, _, Of); 4] = [
        (
            "idleway_request_duration_seconds",
            "From the end of a request's head to the last byte of its answer.",
            Series::total,
        ),
        (
            "idleway_time_to_first_byte_seconds",
            "From the end of a request's head to the head of its answer, where that is a backend's or the route's own.",
            Series::first_byte,
        ),
        (
            "idleway_queue_wait_seconds",
            "In line, of requests that were granted a slot (0 where one was idle) or left the line without one.",
            Series::waited,
        ),
        (
            "idleway_service_time_seconds",
            "Slots at work: from the grant until the backend has ended its answer or broken off, lingering included.",
            Series::service,
        ),
    ];
    for (name, help, of) in times {
        page.metric(name, "histogram", help);
        for series in series {
            let histogram = of(series);
            if histogram.count > 0 {
                page.histogram(&[("route", &series.route), ("pool", &series.pool)], &histogram);
            }
        }
    }
    type Sum = fn(&Series) -> u64;
    let bytes: [(_, _, Sum); 2] = [
        ("idleway_request_bytes_total", "Bytes of requests' bodies.", Series::received),
        ("idleway_response_bytes_total", "Bytes of answers' bodies.", Series::sent),
    ];
    for (name, help, of) in bytes {
        page.metric(name, "counter", help);
        for series in series {
            page.sample(&[("route", &series.route), ("pool", &series.pool)], of(series));
        }
    }
    page.metric(
        "idleway_rejected_total",
        "counter",
        "Requests that the gateway itself answered, by its reason (docs/answers.md).",
    );
    for series in series {
        for (reason, count) in series.rejected() {
            page.sample(&[("route", &series.route), ("pool", &series.pool), ("reason", reason)], count);
        }
    }
    page.metric(
        "idleway_client_aborts_total",
        "counter",
        "Clients that left before their answer was complete, by where their request was.",
    );
    for series in series {
        for (phase, count) in series.departed() {
            page.sample(&[("route", &series.route), ("pool", &series.pool), ("phase", phase.name())], count);
        }
    }
    page.metric(
        "idleway_answers_cut_total",
        "counter",
        "Answers that had begun and broke off, by no doing of the client.",
    );
    for series in series {
        page.sample(&[("route", &series.route), ("pool", &series.pool)], series.cut());
    }
}

/// A number of a pool.
type OfPool<'a> = (&'static str, &'static str, &'a dyn Fn(&Named) -> Option<f64>);

fn lines(page: &mut Page, pools: &[Named]) {
    let gauges: [OfPool<'_>; 5] = [
        ("idleway_queue_depth", "Requests in line.", &|named| Some(number(named.counts.waiting))),
        ("idleway_queue_limit", "Requests that may be in line.", &|named| {
            Some(number(named.pool.plan.queue.length as u64))
        }),
        (
            "idleway_queue_oldest_seconds",
            "How long the request has waited that has waited longest; 0 where nobody waits.",
            &|named| {
                let longest = named.all.iter().filter_map(|pool| pool.slots.waiting().longest).max();
                Some(longest.unwrap_or_default().as_secs_f64())
            },
        ),
        (
            "idleway_queue_estimate_seconds",
            "How long a request that came now would wait for a slot, by what is known; absent where it is not.",
            &|named| named.pool.slots.estimate().wait.map(|wait| wait.as_secs_f64()),
        ),
        (
            "idleway_backends_desired",
            "Backends that the load of the last minute keeps busy for 80 % of the time (docs/metrics.md).",
            &|named| Some(number(wanted(&named.pool))),
        ),
    ];
    for (name, help, of) in gauges {
        page.metric(name, "gauge", help);
        for named in pools {
            if let Some(value) = of(named) {
                page.sample(&[("pool", named.name())], value);
            }
        }
    }
}

/// How many backends its load calls for. They are taken to be like those that serve, else like all there are, else like
/// those that its plan names.
fn wanted(pool: &LivePool) -> u64 {
    let Counts { up, up_slots, backends, slots, .. } = pool.slots.counts();
    let planned = &pool.plan.backends;
    let planned_slots = planned.iter().map(|backend| u64::from(backend.slots)).sum();
    let all = [(up_slots, up), (slots, backends), (planned_slots, planned.len() as u64)];
    let of_each = all.into_iter().find(|(slots, backends)| *slots > 0 && *backends > 0);
    let of_each = of_each.map_or(1.0, |(slots, backends)| number(slots) / number(backends));
    desired(&pool.slots.demand(), slots, of_each)
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, which nothing here comes to")]
fn number(count: u64) -> f64 {
    count as f64
}

fn backends(page: &mut Page, pools: &[Named]) {
    page.metric("idleway_slots", "gauge", "Slots of a pool's backends, by their state.");
    for named in pools {
        for (state, count) in states(&named.counts) {
            page.sample(&[("pool", named.name()), ("state", state)], count);
        }
    }
    page.metric(
        "idleway_backends",
        "gauge",
        "Backends of a pool; state=\"up\": those that are up and ready.",
    );
    for named in pools {
        page.sample(&[("pool", named.name()), ("state", "up")], named.counts.up);
        page.sample(&[("pool", named.name()), ("state", "all")], named.counts.backends);
    }
    let all: u64 = pools.iter().map(|named| named.counts.backends).sum();
    let is_shown = usize::try_from(all).is_ok_and(|all| all <= SHOWN);
    page.metric(
        "idleway_backends_not_shown",
        "gauge",
        "Backends that have no series of their own, since there are more than 1,000.",
    );
    page.sample(&[], if is_shown { 0 } else { all });
    let views: Vec<_> = if is_shown { pools.iter().map(Named::backends).collect() } else { Vec::new() };
    let each = || {
        let of_pools = pools.iter().zip(&views);
        of_pools.flat_map(|(named, views)| views.iter().map(|(name, view)| (named.name(), name, view)))
    };
    page.metric("idleway_backend_up", "gauge", "1: the backend is taken for serving.");
    for (pool, name, view) in each() {
        page.sample(&[("pool", pool), ("backend", name)], u8::from(view.health == Health::Up));
    }
    page.metric(
        "idleway_backend_ready",
        "gauge",
        "1: the backend was ordered to serve, neither drained nor in maintenance nor removed.",
    );
    for (pool, name, view) in each() {
        let is_ready = view.mode == Mode::Ready && !view.removed;
        page.sample(&[("pool", pool), ("backend", name)], u8::from(is_ready));
    }
    page.metric("idleway_backend_slots", "gauge", "Slots of a backend, by their state.");
    for (pool, name, view) in each() {
        for (state, count) in states(&view.slots) {
            page.sample(&[("pool", pool), ("backend", name), ("state", state)], count);
        }
    }
}

fn states(counts: &Counts) -> [(&'static str, u64); 4] {
    [
        ("idle", counts.idle),
        ("busy", counts.busy),
        ("lingering", counts.lingering),
        ("resting", counts.resting),
    ]
}

/// The backends of a pool, with their names.
fn views(pool: &LivePool) -> Vec<(String, BackendView)> {
    let mut all = Vec::new();
    let mut from = Some(BackendKey(0));
    while let Some(key) = from {
        let views = pool.slots.backends(key, CHUNK);
        from = views.last().filter(|_| views.len() == CHUNK).map(|last| BackendKey(last.key.0 + 1));
        let named = views.into_iter().filter_map(|view| Some((pool.backend(view.key)?.name.clone(), view)));
        all.extend(named);
    }
    all
}

fn events(page: &mut Page, pools: &[Named]) {
    type Count = fn(&PoolMetrics) -> u64;
    let counters: [(_, _, Count); 5] = [
        (
            "idleway_retries_refused_total",
            "Requests that were not tried again, since too many were lately.",
            |metrics| metrics.retries.refused.count(),
        ),
        (
            "idleway_linger_expired_total",
            "Slots whose abandoned work outlasted `linger`, and which rested until a probe succeeded.",
            |metrics| metrics.linger_expired.count(),
        ),
        (
            "idleway_late_answers_total",
            "Answers that came whole after their clients had been told 504: `timeout` is too short.",
            |metrics| metrics.late_answers.count(),
        ),
        (
            "idleway_overdue_total",
            "Pieces of work that took far longer than usual in their pool: they may hang.",
            |metrics| metrics.overdue.count(),
        ),
        (
            "idleway_backend_busy_total",
            "Answers by which a backend said that it is busy (`busy_status`).",
            |metrics| metrics.backend_busy.count(),
        ),
    ];
    for (name, help, of) in counters {
        page.metric(name, "counter", help);
        for named in pools {
            page.sample(&[("pool", named.name())], of(&named.pool.metrics));
        }
    }
    page.metric(
        "idleway_retries_total",
        "counter",
        "Requests that were tried again, by what went wrong before.",
    );
    for named in pools {
        let retries = &named.pool.metrics.retries;
        for (reason, counter) in [
            ("unreachable", &retries.unreachable),
            ("closed", &retries.closed),
            ("nonsense", &retries.nonsense),
            ("busy", &retries.busy),
            ("other", &retries.other),
        ] {
            page.sample(&[("pool", named.name()), ("reason", reason)], counter.count());
        }
    }
    page.metric("idleway_probes_total", "counter", "Probes, by what they found.");
    for named in pools {
        let probes = &named.pool.metrics.probes;
        page.sample(&[("pool", named.name()), ("outcome", "success")], probes.succeeded.count());
        page.sample(&[("pool", named.name()), ("outcome", "failure")], probes.failed.count());
    }
    page.metric("idleway_backend_downs_total", "counter", "How often a backend was taken out, by the cause.");
    for named in pools {
        let downs = &named.pool.metrics.downs;
        for (cause, counter) in [
            ("unreachable", &downs.unreachable),
            ("failures", &downs.failures),
            ("outlier", &downs.outlier),
            ("probes-failed", &downs.probes),
        ] {
            page.sample(&[("pool", named.name()), ("cause", cause)], counter.count());
        }
    }
}

fn gateway(page: &mut Page, live: &Live, (open, most): (usize, usize)) {
    let reloads = live.reloaded.so_far();
    page.metric(
        "idleway_config_reloads_total",
        "counter",
        "Plans after the first, by whether they were put in force.",
    );
    page.sample(&[("outcome", "success")], reloads.succeeded);
    page.sample(&[("outcome", "failure")], reloads.failed);
    page.metric(
        "idleway_config_last_reload_successful",
        "gauge",
        "0: the last Plan was refused, and the one before is in force.",
    );
    page.sample(&[], u8::from(reloads.trouble.is_none()));
    page.metric(
        "idleway_config_last_reload_success_timestamp_seconds",
        "gauge",
        "When the Plan in force was put in force, in seconds since 1970.",
    );
    page.sample(&[], since_1970(reloads.last_success.unwrap_or(live.started)).as_secs_f64());
    page.metric("idleway_ready", "gauge", "1: the gateway wants requests; 0: it is starting or stopping.");
    page.sample(&[], u8::from(live.stage.now() == Readiness::Ready));
    page.metric("idleway_client_connections", "gauge", "Connections of clients.");
    page.sample(&[], open);
    page.metric(
        "idleway_client_connections_limit",
        "gauge",
        "Connections of clients that there may be (`limits.connections`).",
    );
    page.sample(&[], most);
    let (used, whole) = live.budget().used();
    page.metric(
        "idleway_buffered_bytes",
        "gauge",
        "Bytes of bodies that are held, or may be, by the requests of this moment.",
    );
    page.sample(&[], used);
    page.metric(
        "idleway_buffered_limit_bytes",
        "gauge",
        "Bytes of bodies that may be held at once (`limits.buffered`).",
    );
    page.sample(&[], whole);
    page.metric(
        "idleway_log_lines_lost_total",
        "counter",
        "Lines of the log that were lost, since nobody read them in time.",
    );
    page.sample(&[], live.lost_log_lines.count());
    page.metric(
        "idleway_spans_lost_total",
        "counter",
        "Spans of requests that were lost, since the collector of `traces` did not take them in time.",
    );
    page.sample(&[], live.exports().map_or(0, |exports| exports.lost.count()));
    page.metric("idleway_start_time_seconds", "gauge", "When the gateway started, in seconds since 1970.");
    page.sample(&[], since_1970(live.started).as_secs_f64());
    page.metric(
        "idleway_build_info",
        "gauge",
        "Always 1; the labels say which build it is. commit=\"\": it was not built from a checkout.",
    );
    page.sample(&[("version", env!("CARGO_PKG_VERSION")), ("commit", commit_of(env!("IDLEWAY_VERSION")))], 1);
}

/// The commit, of a version as `idleway --version` says it: `0.1.0 (1a2b3c4d5 2026-01-31)`.
fn commit_of(version: &str) -> &str {
    version.split_once('(').and_then(|(_, commit)| commit.split([' ', ')']).next()).unwrap_or_default()
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_is_read_from_the_version() {
        assert_eq!(commit_of("0.1.0 (1a2b3c4d5 2026-01-31)"), "1a2b3c4d5");
        assert_eq!(commit_of("0.1.0"), "");
    }
}
