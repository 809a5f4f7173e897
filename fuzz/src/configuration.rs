//! The configuration: any text.

use std::collections::HashSet;
use std::time::Duration;

use idleway::config::{FairBy, Faults, HealthPlan, Plan, PoolPlan, ProbeKind, Resolve};

/// More characters than any fault's words, its excerpt and its hint need.
const LONGEST_FAULT: usize = 2500;

pub(crate) fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match Plan::from_toml(text, "idleway.toml") {
        Ok(plan) => check_plan(&plan),
        Err(faults) => check_faults(text, &faults),
    }
}

/// Each fault stands in the text, in order, and says no more than a person reads.
fn check_faults(text: &str, faults: &Faults) {
    assert!(faults.iter().next().is_some(), "refused, but nothing is wrong");
    let lines: Vec<&str> = text.split('\n').collect();
    let mut before = (0, 0);
    for fault in faults.iter() {
        assert_eq!(fault.place().is_some(), fault.excerpt().is_some(), "{fault:?}");
        let place = fault.place().map_or((usize::MAX, 0), |place| (place.line, place.column));
        assert!(before <= place, "out of order: {fault:?}");
        before = place;
        if let Some(place) = fault.place() {
            let line = lines.get(place.line.wrapping_sub(1)).expect("the line is one of the text's");
            assert!((1..=line.chars().count() + 1).contains(&place.column), "{fault:?}");
        }
        let excerpt: Vec<&str> = fault.excerpt().iter().flat_map(|excerpt| excerpt.lines()).collect();
        if let [line, marks] = excerpt[..] {
            assert!(!line.contains(char::is_control), "{fault:?}");
            assert!(marks.trim_start().chars().all(|mark| mark == '^') && marks.contains('^'), "{fault:?}");
            assert!(line.chars().count() <= 250 && marks.chars().count() <= 250, "{fault:?}");
        } else {
            assert!(excerpt.is_empty(), "an excerpt is a line and its marks: {fault:?}");
        }
        for line in [Some(&fault.message), fault.hint.as_ref()].into_iter().flatten() {
            assert!(!line.is_empty() && !line.contains(char::is_control), "{fault:?}");
        }
        let length = fault.to_string().chars().count();
        assert!(length <= LONGEST_FAULT, "{length} characters: {fault}");
    }
    assert!(faults.to_string().matches("idleway.toml:").count() >= faults.iter().count());
}

fn check_plan(plan: &Plan) {
    assert!((1..=1024).contains(&plan.threads));
    let limits = &plan.limits;
    assert!((1 << 10..=1 << 20).contains(&limits.head) && (64..=1 << 20).contains(&limits.target));
    assert!((1..=idleway_h1::MAX_FIELDS).contains(&limits.fields));
    assert!((1..=1_000_000).contains(&limits.connections));
    assert_some([limits.head_timeout, plan.client.read, plan.client.write]);
    assert_bounded([limits.keep_alive, plan.drain_timeout]);

    assert!(!plan.pools.is_empty(), "no pools");
    let mut names = HashSet::new();
    let mut origins = HashSet::new();
    for pool in &plan.pools {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!((1..=64).contains(&pool.name.len()) && pool.name.chars().all(is_word), "{}", pool.name);
        assert!(names.insert(&pool.name), "two pools are called {}", pool.name);
        assert!(!pool.backends.is_empty(), "no backends");
        for backend in &pool.backends {
            assert!((1..=100_000).contains(&backend.slots));
            assert!(backend.origin.port > 0);
            let is_address = matches!(backend.origin.host, idleway::config::Host::Ip(_));
            assert!(!(is_address && backend.resolve == Resolve::All));
            assert!(origins.insert(&backend.origin), "{} stands in two places", backend.origin);
        }
        check_pool(pool);
    }
    assert!(plan.routes.iter().next().is_some(), "no routes");
    for route in plan.routes.iter() {
        assert!(route.pool().is_none_or(|pool| pool < plan.pools.len()), "{route} leads nowhere");
    }
}

fn check_pool(pool: &PoolPlan) {
    assert_some([
        pool.connect_timeout,
        pool.timeout,
        pool.busy_rest_max,
        pool.resolve_every,
        pool.cancel_wait,
    ]);
    assert_some(pool.deadline.into_iter().chain(pool.linger));
    assert_bounded([pool.keep_idle, pool.settle]);
    assert!(pool.queue.length <= 1_000_000 && pool.queue.wait <= pool.queue.wait_max);
    assert_some([pool.queue.wait, pool.queue.wait_max]);
    assert!((1..=100).contains(&pool.retry.attempts) && pool.retry.budget <= 100);
    assert!(pool.retry.floor <= 1_000_000);
    assert!(pool.busy_status.iter().all(|status| (400..=599).contains(status)));
    assert!(pool.busy_status.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", pool.busy_status);
    assert!(pool.request_buffer <= 1 << 30 && pool.response_buffer <= 1 << 30);
    assert!(pool.weights.values().all(|weight| (1..=1000).contains(weight)));
    assert!(pool.slots_per_key.is_none_or(|slots| slots > 0));
    let is_unfair = pool.fair_by == FairBy::None;
    assert!(!is_unfair || (pool.weights.is_empty() && pool.slots_per_key.is_none()));
    check_health(&pool.health);
}

fn check_health(health: &HealthPlan) {
    assert!((1..=1000).contains(&health.failures) && health.panic <= 100);
    assert!(health.outlier.is_none_or(|outlier| (1..=100).contains(&outlier)));
    assert_some([health.pause, health.pause_max]);
    assert!(health.pause <= health.pause_max);
    assert_bounded([health.slow_start]);
    let Some(probe) = &health.probe else { return };
    assert_some([probe.every, probe.timeout]);
    assert!((1..=1000).contains(&probe.rise) && (1..=1000).contains(&probe.fall));
    if let ProbeKind::Http(http) = &probe.how {
        // It is sent as it stands.
        let token = |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
        assert!(!http.method.is_empty() && http.method.bytes().all(token), "{}", http.method);
        assert!(http.path.starts_with('/') && http.path.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(http.host.iter().all(|host| host.bytes().all(|byte| byte.is_ascii_graphic())));
        assert!(!http.status.is_empty());
        assert!(
            http.status.iter().all(|range| 200 <= *range.start() && *range.end() <= 599 && !range.is_empty())
        );
    }
}

/// What would make no sense as nothing.
fn assert_some(times: impl IntoIterator<Item = Duration>) {
    for time in times {
        assert!(time >= Duration::from_millis(1));
        assert_bounded([time]);
    }
}

/// Sums of them do not overflow.
fn assert_bounded(times: impl IntoIterator<Item = Duration>) {
    assert!(times.into_iter().all(|time| time <= Duration::from_secs(365 * 86_400)));
}
