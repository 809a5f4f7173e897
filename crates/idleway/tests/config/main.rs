//! The configuration as a person writes it: what it means, and what is said where it means nothing.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

/// A part of a Plan with these fields, and the others as they are in the first one: from outside of the crate it cannot be
/// written as a literal, since it may get more of them.
macro_rules! made {
    ($base:expr; $($field:ident $(: $value:expr)?),*) => {{
        let mut made = $base;
        $(made.$field = made!(@ $field $(, $value)?);)*
        made
    }};
    (@ $field:ident, $value:expr) => { $value };
    (@ $field:ident) => { $field };
}

mod edits;
#[cfg(feature = "cli")]
mod example;
mod health;
mod print;
#[cfg(feature = "cli")]
mod schema;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use idleway::config::{
    Abandon, AccessLogPlan, AdminPlan, AdminToken, ClientPlan, ColdStart, FairBy, Fin, LimitsPlan, Network,
    Overrides, Plan, PoolPlan, Priority, QueuePlan, Resolve, RetryPlan,
};
use idleway::route::{Answer, Asked, Redirect, Route, Target};
use idleway::{Authority, Edits};
use idleway_core::Lane;

fn plan(text: &str) -> Plan {
    Plan::from_toml(text, "idleway.toml").unwrap_or_else(|faults| panic!("{faults}"))
}

fn origins(pool: &PoolPlan) -> Vec<String> {
    pool.backends.iter().map(|backend| backend.origin.to_string()).collect()
}

/// Each case of the file: the configuration, and all that is said about it, character for character.
#[test]
fn each_fault_is_told_with_its_place() {
    let mut cases = 0;
    for case in include_str!("faults.txt").split("=== ").skip(1) {
        let (name, rest) = case.split_once('\n').unwrap();
        let (text, expected) = rest.split_once("--- is told\n").unwrap();
        let told = match Plan::from_toml(text, "idleway.toml") {
            Ok(_) => "nothing".to_owned(),
            Err(faults) => faults.to_string(),
        };
        assert!(told == expected.trim_end(), "{name}: instead of\n{expected}it is told\n{told}\n");
        cases += 1;
    }
    assert!(cases >= 76, "the file was cut differently: {cases} cases");
}

/// However long and odd what stands in the file is: a fault is a few lines, which do nothing to a terminal.
#[test]
fn what_is_quoted_stays_within_bounds() {
    let long = "x".repeat(100_000);
    for text in [
        format!("backends = [\"{long}\"]"),
        format!("{long} = 1"),
        format!("timeout = \"1{long}\""),
        "\"a\\nb\\u001B[2J\" = 1\nbackends = [\"\\u001B[31m\"]".to_owned(),
    ] {
        let faults = Plan::from_toml(&text, "idleway.toml").unwrap_err();
        for fault in faults.iter() {
            assert!(fault.to_string().chars().count() < 2500, "{} bytes", fault.to_string().len());
            assert!(!fault.message.contains(char::is_control), "{:?}", fault.message);
            assert!(!fault.hint.as_ref().is_some_and(|hint| hint.contains(char::is_control)), "{fault:?}");
        }
    }
}

#[test]
fn one_line_is_a_configuration() {
    let plan = plan(r#"backends = ["http://127.0.0.1:6000", "http://127.0.0.1:6001"]"#);
    assert_eq!(plan.listen, SocketAddr::from(([127, 0, 0, 1], 5000)));
    assert_eq!(plan.threads, std::thread::available_parallelism().unwrap().get());
    assert_eq!((plan.limits, plan.client), (LimitsPlan::default(), ClientPlan::default()));
    assert_eq!((plan.drain_timeout, plan.access_log), (Duration::from_secs(30), AccessLogPlan::default()));
    assert_eq!(plan.drain_delay, Duration::ZERO);
    assert_eq!((plan.cold_start, plan.handover), (ColdStart::Trust, None));
    assert_eq!(plan.admin, AdminPlan::default());
    assert_eq!(plan.pools.len(), 1);
    let pool = &plan.pools[0];
    assert_eq!(*pool, PoolPlan::new("default", pool.backends.clone()));
    assert_eq!(origins(pool), ["http://127.0.0.1:6000", "http://127.0.0.1:6001"]);
    assert!(pool.backends.iter().all(|backend| backend.slots == 1));
    assert_eq!(plan.routes.find(&Asked::new("POST", "", "/process")).and_then(Route::pool), Some(0));
}

#[test]
fn urls_are_a_configuration() {
    let urls = ["http://127.0.0.1:6000".to_owned(), "http://127.0.0.1:6001".to_owned()];
    let file = r#"backends = ["http://127.0.0.1:6000", "http://127.0.0.1:6001"]"#;
    assert_eq!(Plan::from_urls(&urls).unwrap(), plan(file));
    assert_eq!(
        Plan::from_urls(&["127.0.0.1:6000".to_owned(), "http://[::1]:5000".to_owned()])
            .unwrap_err()
            .to_string(),
        "command line: `127.0.0.1:6000` is not the URL of a backend\n    hint: write \"http://127.0.0.1:6000\""
    );
    assert_eq!(
        Plan::from_urls(&[]).unwrap_err().to_string(),
        "command line: a pool needs at least one backend\n    \
         hint: write: backends = [\"http://127.0.0.1:6000\"]"
    );
}

/// Every key there is.
const EVERYTHING: &str = r#"
listen = "[::]:8080"
threads = 2
cold_start = "8s"
handover = "/run/idleway/socket"
admin = "[::1]:8081"
admin_token = "0123456789abcdef"
drain_delay = "9s"
drain_timeout = "10s"
access_log = { query = true, sample = "20%" }
traces = { endpoint = "http://collector:4318/v1/traces", sample = "5%", service = "edge" }
trusted = ["10.0.0.0/8", "::1"]
client = { read = "5s", write = "6s", rate = 0, fin = "gone" }

[limits]
head = "16KiB"
target = "4KiB"
fields = 50
body = "10MB"
connections = 500
buffered = "1GiB"
keep_alive = "0"
head_timeout = "3s"

[pools.workers]
backends = ["http://gpu-1:6000", { url = "http://gpu-2:6000", slots = 4, resolve = "one" }]
slots = 2
connect_timeout = "250ms"
timeout = "10s"
deadline = "5m"
queue = { length = 100, wait = "20s", wait_max = "1m" }
retry = { attempts = 4, budget = "5%", floor = 0 }
busy_status = [503, 429, 503]
busy_rest_max = "7s"
idempotency_key = true
resolve = "all"
resolve_every = "9s"
keep_alive = false
keep_idle = "1s"
request_buffer = "1MiB"
response_buffer = "2MiB"
abandon = "cancel"
cancel_wait = "2s"
linger = "10m"
settle = "50ms"
fair_by = "header:X-Api-Key"
weights = { gold = 4, "" = 1000 }
slots_per_key = 3
priority = "header:Priority"
deadline_header = "X-Request-Deadline"

[pools.workers.health]
path = "/healthz?deep=1"
every = "3s"
timeout = "4s"
rise = 2
fall = 5
status = [200, "300-399", "4xx"]
method = "HEAD"
host = "x.example:80"
tcp = false
dedicated = true
failures = 6
pause = "200ms"
pause_max = "1m"
outlier = "30%"
panic = "40%"
slow_start = "8s"

[pools.others]
backends = ["http://10.0.0.3"]
fair_by = "ip"
weights = { "::ffff:10.0.0.9" = 2 }
priority = "low"

[[routes]]
host = "api.example.com"
path = "/process"
method = ["POST", "PUT"]
pool = "workers"

[[routes]]
host = "*.example.com"
exact = "/healthz"
header = { "X-Tier" = "gold", "X-Debug" = true, "X-Old" = false }
pool = "others"

[[routes]]
method = "GET"
pool = "workers"
replace = "/v2"
timeout = "11s"
deadline = "12s"
queue = { wait = "13s", wait_max = "14s" }
max_body = "15MiB"
request = { host = "{backend}", set = { "X-Set" = "1" }, add = { "X-Add" = "2" }, remove = ["Cookie"] }
response = { set = { "Server" = "none" }, add = { "Vary" = "Accept" }, remove = ["X-Powered-By"] }
abandon = "linger"
priority = "high"
idempotency_key = false
"#;

#[test]
fn every_key_arrives_in_the_plan() {
    let plan = plan(EVERYTHING);
    assert_eq!((plan.listen, plan.threads), ("[::]:8080".parse().unwrap(), 2));
    assert_eq!(plan.drain_timeout, Duration::from_secs(10));
    assert_eq!(plan.access_log, made!(AccessLogPlan::default(); query: true, sample: 20));
    let traces = plan.traces.as_ref().unwrap();
    assert_eq!((traces.endpoint.to_string().as_str(), traces.sample), ("http://collector:4318", 5));
    assert_eq!(traces.service, "edge");
    assert_eq!(plan.drain_delay, Duration::from_secs(9));
    assert_eq!(plan.cold_start, ColdStart::Wait(Duration::from_secs(8)));
    assert_eq!(plan.handover, Some("/run/idleway/socket".into()));
    let token = AdminToken::new("0123456789abcdef");
    assert_eq!(
        plan.admin,
        made!(AdminPlan::default(); listen: Some("[::1]:8081".parse().unwrap()), token: token)
    );
    let client = made!(ClientPlan::default(); read: Duration::from_secs(5), write: Duration::from_secs(6), rate: 0, fin: Fin::Gone);
    assert_eq!(plan.client, client);
    assert_eq!(plan.trusted, ["10.0.0.0/8", "::1"].map(|network| network.parse::<Network>().unwrap()));
    let limits = made!(LimitsPlan::default(); head: 16 << 10,
        target: 4 << 10,
        fields: 50,
        body: Some(10_000_000),
        connections: 500,
        buffered: 1 << 30,
        keep_alive: Duration::ZERO,
        head_timeout: Duration::from_secs(3));
    assert_eq!(plan.limits, limits);
    let workers = made!(PoolPlan::new("", Vec::new()); name: "workers".to_owned(),
        backends: plan.pools[0].backends.clone(),
        connect_timeout: Duration::from_millis(250),
        timeout: Duration::from_secs(10),
        deadline: Some(Duration::from_secs(300)),
        queue: made!(QueuePlan::default(); length: 100, wait: Duration::from_secs(20), wait_max: Duration::from_secs(60)),
        retry: made!(RetryPlan::default(); attempts: 4, budget: 5, floor: 0),
        busy_status: vec![429, 503],
        busy_rest_max: Duration::from_secs(7),
        idempotency_key: true,
        health: health::of_workers(),
        resolve: Resolve::All,
        resolve_every: Duration::from_secs(9),
        keep_alive: false,
        keep_idle: Duration::from_secs(1),
        request_buffer: 1 << 20,
        response_buffer: 2 << 20,
        abandon: Abandon::Cancel,
        cancel_wait: Duration::from_secs(2),
        linger: Some(Duration::from_secs(600)),
        settle: Duration::from_millis(50),
        fair_by: FairBy::Header("x-api-key".to_owned()),
        weights: [(String::new(), 1000), ("gold".to_owned(), 4)].into(),
        slots_per_key: Some(3),
        priority: Priority::Header("priority".to_owned()),
        deadline_header: Some("x-request-deadline".to_owned()));
    assert_eq!(plan.pools[0], workers);
    assert_eq!(origins(&workers), ["http://gpu-1:6000", "http://gpu-2:6000"]);
    let backends: Vec<_> = workers.backends.iter().map(|backend| (backend.slots, backend.resolve)).collect();
    assert_eq!(backends, [(2, Resolve::All), (4, Resolve::One)]);
    // In the order of the file, not of the alphabet.
    let others = made!(PoolPlan::new("others", plan.pools[1].backends.clone()); fair_by: FairBy::Ip,
        weights: [("10.0.0.9".to_owned(), 2)].into(),
        priority: Priority::Fixed(Lane::Low));
    assert_eq!(plan.pools[1], others);
    let routes: Vec<_> = plan.routes.iter().map(|route| (route.to_string(), route.pool().unwrap())).collect();
    assert_eq!(
        routes,
        [
            ("POST|PUT api.example.com/process".to_owned(), 0),
            ("*.example.com/healthz (exact) by X-Debug, X-Old, X-Tier".to_owned(), 1),
            ("GET /".to_owned(), 0),
        ]
    );
    let own: Vec<_> = plan
        .routes
        .iter()
        .map(|route| (route.abandon, route.priority.clone(), route.idempotency_key))
        .collect();
    let high = Some(Priority::Fixed(Lane::High));
    assert_eq!(own, [(None, None, None), (None, None, None), (Some(Abandon::Linger), high, Some(false))]);
    let times: Vec<_> = plan
        .routes
        .iter()
        .map(|route| {
            [route.timeout, route.deadline, route.wait, route.wait_max]
                .map(|time| time.map(|time| time.as_secs()))
        })
        .collect();
    assert_eq!(times, [[None; 4], [None; 4], [Some(11), Some(12), Some(13), Some(14)]]);
    let sent: Vec<_> = plan.routes.iter().map(|route| route.rewritten("/x").unwrap()).collect();
    assert_eq!(sent, ["/x", "/x", "/v2/x"]);
    let route = plan.routes.iter().last().unwrap();
    assert_eq!(route.authority, Authority::Backend);
    let (mut request, mut response) = (Edits::of_request(), Edits::of_response());
    request.remove("Cookie").unwrap();
    request.set("X-Set", "1").unwrap();
    request.add("X-Add", "2").unwrap();
    response.remove("X-Powered-By").unwrap();
    response.set("Server", "none").unwrap();
    response.add("Vary", "Accept").unwrap();
    assert_eq!((&route.request, &route.response), (&request, &response));
    let bounds: Vec<_> = plan.routes.iter().map(|route| route.max_body).collect();
    assert_eq!(bounds, [None, None, Some(15 << 20)]);
}

/// Who may wait for long may ask for as long.
#[test]
fn the_longest_wait_is_the_usual_one_unless_it_is_said() {
    let wait_max = |queue: &str| {
        let plan = plan(&format!("backends = [\"http://10.0.0.1\"]\nqueue = {queue}"));
        plan.pools[0].queue.wait_max
    };
    assert_eq!(wait_max("{ length = 1, wait = \"45s\" }"), Duration::from_secs(45));
    assert_eq!(wait_max("{ length = 1, wait_max = \"45s\" }"), Duration::from_secs(45));
    assert_eq!(wait_max("{ length = 1 }"), Duration::from_secs(30));
}

#[test]
fn routes_narrow_the_default_pool() {
    let plan = plan(
        r#"
        backends = ["http://10.0.0.1"]
        routes = [{ path = "/slow", pool = "slow" }, { path = "/slow/not" }]
        [pools.slow]
        backends = ["http://10.0.0.2"]
        "#,
    );
    let pool = |path| {
        plan.routes
            .find(&Asked::new("GET", "", path))
            .map(|route| plan.pools[route.pool().unwrap()].name.as_str())
    };
    assert_eq!(pool("/slow/x"), Some("slow"));
    assert_eq!(pool("/slow/not/x"), Some("default"));
    assert_eq!(pool("/"), Some("default"));
}

#[test]
fn routes_that_answer_by_themselves_need_no_pool() {
    let plan = plan(
        r#"
        [[routes]]
        exact = "/healthz"
        answer = { body = "ok" }
        [[routes]]
        path = "/v1"
        answer = { status = 410, body = "{}", type = "application/json" }
        [[routes]]
        path = "/old"
        redirect = { to = "https://new.example.com" }
        [[routes]]
        path = "/older"
        redirect = { to = "/old", status = 301 }
        "#,
    );
    assert!(plan.pools.is_empty());
    let targets: Vec<_> = plan.routes.iter().map(|route| route.target.clone()).collect();
    let gone = Answer::new(410, "{}").unwrap().kind("application/json").unwrap();
    assert_eq!(
        targets,
        [
            Target::Answer(Answer::new(200, "ok").unwrap()),
            Target::Answer(gone),
            Target::Redirect(Redirect::new(307, "https://new.example.com").unwrap()),
            Target::Redirect(Redirect::new(301, "/old").unwrap()),
        ]
    );
}

#[test]
fn one_named_pool_needs_no_route() {
    let plan = plan("[pools.only]\nbackends = [\"http://10.0.0.1\"]");
    assert_eq!(plan.routes.find(&Asked::new("GET", "", "/")).and_then(Route::pool), Some(0));
}

/// Flask listens on the port that is the gateway's default: another `--listen` makes it a backend like any other.
#[test]
fn the_command_line_weighs_more_than_the_file() {
    let text = "threads = 2\nbackends = [\"http://127.0.0.1:5000\"]";
    let faults = Plan::from_toml(text, "idleway.toml").unwrap_err().to_string();
    assert!(
        faults.starts_with("idleway.toml:2:13: http://127.0.0.1:5000 is the gateway's own listener"),
        "{faults}"
    );

    let overrides =
        Overrides { listen: Some("127.0.0.1:7000".parse().unwrap()), threads: NonZeroUsize::new(3) };
    let plan = overrides.over_toml(text, "idleway.toml").unwrap();
    assert_eq!((plan.listen.port(), plan.threads), (7000, 3));
    assert_eq!(overrides.over_urls(&["http://127.0.0.1:5000".to_owned()]).unwrap(), plan);

    let overrides = Overrides { listen: Some("0.0.0.0:6000".parse().unwrap()), threads: None };
    let faults = overrides.over_urls(&["http://localhost:6000".to_owned()]).unwrap_err().to_string();
    assert!(
        faults.starts_with("command line: http://localhost:6000 is the gateway's own listener"),
        "{faults}"
    );
}

/// What the documents show can be written.
#[test]
fn the_examples_of_routes_are_sound() {
    let examples: Vec<_> = include_str!("../../../../docs/routes.md").split("```toml\n").skip(1).collect();
    for example in &examples {
        let (text, _) = example.split_once("```").unwrap();
        let has_pools = text.contains("[pools.");
        let pool = if has_pools { "" } else { "backends = [\"http://10.0.0.1\"]\n" };
        plan(&format!("{pool}{text}"));
    }
    assert!(examples.len() >= 4, "the document was cut differently: {} examples", examples.len());
}
