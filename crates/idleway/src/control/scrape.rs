//! What Prometheus is told: counts that were kept, and how things stand at this moment, asked of the Dispatchers. Nothing
//! is kept twice.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use idleway_core::{BackendKey, BackendView, Counts, Health, Mode};

use crate::live::{Live, LivePool, Readiness};
use crate::metrics::{Histogram, Page, Series};

/// Backends that are told of one by one. Of more the pools' sums are told alone: a page of a hundred thousand lines helps
/// nobody.
const SHOWN: usize = 1_000;
/// How many backends are looked at under one lock.
const CHUNK: usize = 256;

/// How much of what its backends can do is to be in use: beyond it the line grows much faster than the load.
const TARGET: f64 = 0.8;

/// The page, in Prometheus's exposition format 0.0.4. `connections` are those of clients: open, and at most.
pub(crate) fn scrape(live: &Live, connections: (usize, usize)) -> String {
    let mut page = Page::default();
    let pools = live.pools();
    requests(&mut page, &live.snapshot().distinct_series());
    lines(&mut page, &pools);
    backends(&mut page, &pools);
    events(&mut page, &pools);
    gateway(&mut page, live, connections);
    page.finish()
}

fn requests(page: &mut Page, series: &[std::sync::Arc<Series>]) {
    page.metric(
        "idleway_requests_total",
        "counter",
        "Requests that have ended, by the status of their answer; code=\"none\": there was no answer.",
    );
    for series in series {
        for (status, count) in series.statuses() {
            let code = if status == 0 { "none".to_owned() } else { status.to_string() };
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
            "From the end of a request's head to the head of its backend's answer.",
            Series::first_byte,
        ),
        (
            "idleway_queue_wait_seconds",
            "In line, of requests that asked for a slot; 0 where one was idle.",
            Series::waited,
        ),
        (
            "idleway_service_time_seconds",
            "From the grant of a slot to the end of the request, of the last attempt.",
            Series::served,
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
}

/// A number of a pool.
type OfPool<'a> = (&'static str, &'static str, &'a dyn Fn(&LivePool) -> Option<f64>);

fn lines(page: &mut Page, pools: &[std::sync::Arc<LivePool>]) {
    let gauges: [OfPool<'_>; 5] = [
        ("idleway_queue_depth", "Requests in line.", &|pool| Some(number(pool.slots.counts().waiting))),
        ("idleway_queue_limit", "Requests that may be in line.", &|pool| {
            Some(number(pool.plan.queue.length as u64))
        }),
        (
            "idleway_queue_oldest_seconds",
            "How long the request has waited that has waited longest; 0 where nobody waits.",
            &|pool| Some(pool.slots.waiting().longest.unwrap_or_default().as_secs_f64()),
        ),
        (
            "idleway_queue_estimate_seconds",
            "How long a request that came now would wait for a slot, by what is known; absent where it is not.",
            &|pool| pool.slots.estimate().wait.map(|wait| wait.as_secs_f64()),
        ),
        (
            "idleway_backends_desired",
            "Backends that the requests at work and in line would keep busy to 80 % (docs/metrics.md).",
            &|pool| Some(number(desired(pool.slots.counts()))),
        ),
    ];
    for (name, help, of) in gauges {
        page.metric(name, "gauge", help);
        for pool in pools {
            if let Some(value) = of(pool) {
                page.sample(&[("pool", &pool.name)], value);
            }
        }
    }
}

/// How many backends the work of this moment calls for: Little's law, read the other way round. What is at work and what
/// waits is the load; a backend takes as much of it as it has Slots, and of that the target.
fn desired(counts: Counts) -> u64 {
    let Counts { busy, lingering, waiting, slots, backends, .. } = counts;
    if backends == 0 || slots == 0 {
        return u64::from(waiting > 0);
    }
    let load = number(busy + lingering + waiting);
    let of_each = number(slots) / number(backends);
    let wanted = (load / (of_each * TARGET)).ceil();
    // As many as can be counted: from a sum of counts.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small whole number, not below 0"
    )]
    let wanted = wanted as u64;
    wanted.max(1)
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, which nothing here comes to")]
fn number(count: u64) -> f64 {
    count as f64
}

fn backends(page: &mut Page, pools: &[std::sync::Arc<LivePool>]) {
    page.metric("idleway_slots", "gauge", "Slots of a pool's backends, by their state.");
    for pool in pools {
        for (state, count) in states(&pool.slots.counts()) {
            page.sample(&[("pool", &pool.name), ("state", state)], count);
        }
    }
    page.metric(
        "idleway_backends",
        "gauge",
        "Backends of a pool; state=\"up\": those that are up and ready.",
    );
    for pool in pools {
        let counts = pool.slots.counts();
        page.sample(&[("pool", &pool.name), ("state", "up")], counts.up);
        page.sample(&[("pool", &pool.name), ("state", "all")], counts.backends);
    }
    let all: u64 = pools.iter().map(|pool| pool.slots.counts().backends).sum();
    let is_shown = usize::try_from(all).is_ok_and(|all| all <= SHOWN);
    page.metric(
        "idleway_backends_not_shown",
        "gauge",
        "Backends that have no series of their own, since there are more than 1,000.",
    );
    page.sample(&[], if is_shown { 0 } else { all });
    let views: Vec<_> = if is_shown { pools.iter().map(|pool| views(pool)).collect() } else { Vec::new() };
    let each =
        || pools.iter().zip(&views).flat_map(|(pool, views)| views.iter().map(move |view| (pool, view)));
    page.metric("idleway_backend_up", "gauge", "1: the backend is taken for serving.");
    for (pool, (name, view)) in each() {
        page.sample(&[("pool", &pool.name), ("backend", name)], u8::from(view.health == Health::Up));
    }
    page.metric(
        "idleway_backend_ready",
        "gauge",
        "1: the backend was ordered to serve, neither drained nor in maintenance nor removed.",
    );
    for (pool, (name, view)) in each() {
        let is_ready = view.mode == Mode::Ready && !view.removed;
        page.sample(&[("pool", &pool.name), ("backend", name)], u8::from(is_ready));
    }
    page.metric("idleway_backend_slots", "gauge", "Slots of a backend, by their state.");
    for (pool, (name, view)) in each() {
        for (state, count) in states(&view.slots) {
            page.sample(&[("pool", &pool.name), ("backend", name), ("state", state)], count);
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

fn events(page: &mut Page, pools: &[std::sync::Arc<LivePool>]) {
    type Count = fn(&LivePool) -> u64;
    let counters: [(_, _, Count); 5] = [
        (
            "idleway_retries_refused_total",
            "Requests that were not tried again, since too many were lately.",
            |pool| pool.metrics.retries.refused.count(),
        ),
        (
            "idleway_linger_expired_total",
            "Slots whose abandoned work outlasted `linger`, and which rested until a probe succeeded.",
            |pool| pool.metrics.linger_expired.count(),
        ),
        (
            "idleway_late_answers_total",
            "Answers that came whole after their clients had been told 504: `timeout` is too short.",
            |pool| pool.metrics.late_answers.count(),
        ),
        (
            "idleway_overdue_total",
            "Pieces of work that took far longer than usual in their pool: they may hang.",
            |pool| pool.metrics.overdue.count(),
        ),
        (
            "idleway_backend_busy_total",
            "Answers by which a backend said that it is busy (`busy_status`).",
            |pool| pool.metrics.backend_busy.count(),
        ),
    ];
    for (name, help, of) in counters {
        page.metric(name, "counter", help);
        for pool in pools {
            page.sample(&[("pool", &pool.name)], of(pool));
        }
    }
    page.metric(
        "idleway_retries_total",
        "counter",
        "Requests that were tried again, by what went wrong before.",
    );
    for pool in pools {
        let retries = &pool.metrics.retries;
        for (reason, counter) in [
            ("unreachable", &retries.unreachable),
            ("closed", &retries.closed),
            ("nonsense", &retries.nonsense),
            ("busy", &retries.busy),
            ("other", &retries.other),
        ] {
            page.sample(&[("pool", &pool.name), ("reason", reason)], counter.count());
        }
    }
    page.metric("idleway_probes_total", "counter", "Probes, by what they found.");
    for pool in pools {
        let probes = &pool.metrics.probes;
        page.sample(&[("pool", &pool.name), ("outcome", "success")], probes.succeeded.count());
        page.sample(&[("pool", &pool.name), ("outcome", "failure")], probes.failed.count());
    }
    page.metric("idleway_backend_downs_total", "counter", "How often a backend was taken out, by the cause.");
    for pool in pools {
        let downs = &pool.metrics.downs;
        for (cause, counter) in [
            ("unreachable", &downs.unreachable),
            ("failures", &downs.failures),
            ("outlier", &downs.outlier),
            ("probes-failed", &downs.probes),
        ] {
            page.sample(&[("pool", &pool.name), ("cause", cause)], counter.count());
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
    page.metric("idleway_start_time_seconds", "gauge", "When the gateway started, in seconds since 1970.");
    page.sample(&[], since_1970(live.started).as_secs_f64());
    page.metric("idleway_build_info", "gauge", "Always 1; the version is in the label.");
    page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_backends_are_wanted_as_the_load_keeps_busy_to_the_target() {
        let of = |busy, lingering, waiting, slots, backends| {
            let mut counts = Counts::default();
            (counts.busy, counts.lingering, counts.waiting) = (busy, lingering, waiting);
            (counts.slots, counts.backends) = (slots, backends);
            desired(counts)
        };
        // One-slot backends: 4 at work are 5 backends at 80 %.
        assert_eq!(of(4, 0, 0, 5, 5), 5);
        assert_eq!(of(4, 1, 3, 5, 5), 10);
        // Four slots each: 8 at work and 8 in line are 5 backends.
        assert_eq!(of(8, 0, 8, 8, 2), 5);
        // One stays, so that there is somebody to ask; without any the line alone calls for one.
        assert_eq!((of(0, 0, 0, 5, 5), of(0, 0, 3, 0, 0), of(0, 0, 0, 0, 0)), (1, 1, 0));
    }
}
