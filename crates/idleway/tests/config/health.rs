//! When a request is tried again, and when a backend is up: what is configured, and what is where it is not.

use std::time::Duration;

use idleway::config::{HealthPlan, HttpProbe, PoolPlan, ProbeKind, ProbePlan, Resolve, RetryPlan};

use super::plan;

/// The health of the pool `workers` in the file of every key.
pub(super) fn of_workers() -> HealthPlan {
    let probe = made!(HttpProbe::new(""); path: "/healthz?deep=1".to_owned(),
        method: "HEAD".to_owned(),
        host: Some("x.example:80".to_owned()),
        status: vec![200..=200, 300..=399, 400..=499]);
    made!(HealthPlan::default(); probe: Some(made!(ProbePlan::new(ProbeKind::Tcp); how: ProbeKind::Http(probe),
            every: Duration::from_secs(3),
            timeout: Duration::from_secs(4),
            rise: 2,
            fall: 5,
            dedicated: true)),
        failures: 6,
        pause: Duration::from_millis(200),
        pause_max: Duration::from_secs(60),
        outlier: Some(30),
        panic: 40,
        slow_start: Duration::from_secs(8))
}

/// What is promised on the page of the configuration.
#[test]
fn failover_and_health_have_their_defaults() {
    let pool = PoolPlan::new("default", Vec::new());
    assert_eq!(pool.retry, made!(RetryPlan::default(); attempts: 3, budget: 20, floor: 10));
    assert_eq!((pool.busy_status.as_slice(), pool.idempotency_key), ([].as_slice(), false));
    assert_eq!((pool.busy_rest_max, pool.resolve_every), (Duration::from_secs(10), Duration::from_secs(5)));
    assert_eq!(pool.resolve, Resolve::One);
    let usual = made!(HealthPlan::default(); probe: None,
        failures: 3,
        pause: Duration::from_millis(100),
        pause_max: Duration::from_secs(5),
        outlier: Some(50),
        panic: 10,
        slow_start: Duration::from_secs(10));
    assert_eq!(pool.health, usual);
    let probe = |health: &str| health_of(&format!("health = {{ {health} }}")).probe;
    let usual = |how| {
        made!(ProbePlan::new(ProbeKind::Tcp); how,
        every: Duration::from_secs(2),
        timeout: Duration::from_secs(2),
        rise: 1,
        fall: 2,
        dedicated: false)
    };
    let get = made!(HttpProbe::new(""); path: "/healthz".to_owned(),
        method: "GET".to_owned(),
        host: None,
        status: vec![200..=399]);
    assert_eq!(probe(r#"path = "/healthz""#), Some(usual(ProbeKind::Http(get))));
    assert_eq!(probe("tcp = true"), Some(usual(ProbeKind::Tcp)));
    assert_eq!(probe("tcp = false"), None);
}

#[test]
fn a_key_of_retry_leaves_the_others_as_they_are() {
    let retry = |keys: &str| {
        plan(&format!("backends = [\"http://10.0.0.1\"]\nretry = {{ {keys} }}")).pools[0].retry.clone()
    };
    let usual = RetryPlan::default();
    assert_eq!(retry(""), usual);
    assert_eq!(retry("attempts = 100"), made!(usual.clone(); attempts: 100));
    assert_eq!(retry(r#"budget = "0%""#), made!(usual.clone(); budget: 0));
    assert_eq!(retry("floor = 1000000"), made!(usual; floor: 1_000_000));
}

/// The health of a default pool with these keys.
fn health_of(keys: &str) -> HealthPlan {
    plan(&format!("backends = [\"http://10.0.0.1\"]\n{keys}")).pools[0].health.clone()
}

#[test]
fn health_stands_in_braces_or_as_a_table_of_its_own() {
    let slow = made!(HealthPlan::default(); failures: 9);
    assert_eq!(health_of("health = { failures = 9 }"), slow);
    assert_eq!(health_of("[health]\nfailures = 9"), slow);
    let named = plan("[pools.a]\nbackends = [\"http://10.0.0.1\"]\nhealth = { failures = 9 }");
    assert_eq!(named.pools[0].health, slow);
}

#[test]
fn what_judges_backends_can_be_turned_off() {
    let off = health_of(r#"health = { outlier = "0%", panic = "0%", slow_start = "0" }"#);
    assert_eq!((off.outlier, off.panic, off.slow_start), (None, 0, Duration::ZERO));
    let widest = health_of(r#"health = { outlier = "100%", panic = "100%" }"#);
    assert_eq!((widest.outlier, widest.panic), (Some(100), 100));
    // Who lets the first pause be longer than the longest usually is means that one.
    assert_eq!(health_of(r#"health = { pause = "30s" }"#).pause_max, Duration::from_secs(30));
}

#[test]
fn the_statuses_of_a_probe_are_numbers_ranges_and_classes() {
    let status = |status: &str| {
        let health = health_of(&format!("health = {{ path = \"/\", status = {status} }}"));
        let Some(ProbePlan { how: ProbeKind::Http(probe), .. }) = health.probe else {
            panic!("no probe by HTTP")
        };
        probe.status
    };
    assert_eq!(status("204"), [204..=204]);
    assert_eq!(status(r#""204""#), [204..=204]);
    assert_eq!(status(r#""200-599""#), [200..=599]);
    assert_eq!(status(r#""5xx""#), [500..=599]);
    assert_eq!(status(r#"["2xx", 404]"#), [200..=299, 404..=404]);
}

/// The pool's word is that of its backends; to an address it means nothing.
#[test]
fn a_backend_says_itself_what_its_name_stands_for() {
    let plan = plan(
        r#"
        resolve = "all"
        backends = [
            "http://gpu",
            { url = "http://other", resolve = "one" },
            "http://10.0.0.1",
            { url = "http://[::1]", resolve = "one" },
        ]
        [pools.one]
        backends = ["http://name", { url = "http://names", resolve = "all" }]
        [[routes]]
        path = "/one"
        pool = "one"
        "#,
    );
    let resolve = |pool: &PoolPlan| pool.backends.iter().map(|backend| backend.resolve).collect::<Vec<_>>();
    assert_eq!(resolve(&plan.pools[0]), [Resolve::All, Resolve::One, Resolve::One, Resolve::One]);
    assert_eq!(resolve(&plan.pools[1]), [Resolve::One, Resolve::All]);
}
