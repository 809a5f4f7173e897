//! What Prometheus is told: counted against what clients and backends have seen.

use std::collections::BTreeMap;

use idleway::Gateway;

use crate::harness::*;

/// The page, by `name{labels}`.
fn page(gateway: &Gateway) -> BTreeMap<String, f64> {
    let text = gateway.handle().metrics();
    let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    let all: Vec<_> = samples.collect();
    let count = all.len();
    let page: BTreeMap<_, _> = all.into_iter().collect();
    assert_eq!(page.len(), count, "a series that stands there twice in\n{text}");
    page
}

/// Waits until the sample is this: a request is counted when its task has ended, which its client does not see.
#[track_caller]
fn until(gateway: &Gateway, name: &str, value: f64) {
    eventually(&format!("{name} {value}"), || {
        page(gateway).get(name).is_some_and(|now| (now - value).abs() < 1e-9)
    });
}

#[test]
fn each_request_is_counted_once_and_by_how_it_ended() {
    let gate = Gate::new();
    let door = gate.door();
    let a = Backend::new(move |visit| {
        let body = visit.body()?;
        if visit.path() == "/gated" {
            door.pass()?;
        }
        visit.finish(format!(
            "HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n{}",
            body.len(),
            String::from_utf8_lossy(&body)
        ))
    });
    let gateway = start(&format!(
        "[pools.work]\nbackends = [{:?}]\n\
         queue = {{ length = 1, wait = \"60s\" }}\n[[routes]]\npath = \"/gated\"\npool = \"work\"\n[[routes]]\npath = \"/work\"\npool = \"work\"\n\
         [[routes]]\npath = \"/fixed\"\nanswer = {{ body = \"four\" }}",
        a.url()
    ));
    for _ in 0..3 {
        assert_eq!(ask(&gateway, post("/work", "12345")).status(), 201);
    }
    assert_eq!(ask(&gateway, get("/fixed")).status(), 200);
    assert_eq!(ask(&gateway, get("/none")).status(), 404);
    // One at work, one in line, one that is refused, and one that leaves the line.
    let mut running = Client::asking(&gateway, get("/gated"));
    a.until_at_work();
    let waiting = Client::asking(&gateway, get("/gated"));
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
    assert_eq!(ask(&gateway, get("/work")).status(), 503);
    until(&gateway, "idleway_queue_depth{pool=\"work\"}", 1.0);
    until(&gateway, "idleway_slots{pool=\"work\",state=\"busy\"}", 1.0);
    until(&gateway, "idleway_backends_desired{pool=\"work\"}", 3.0);
    drop(waiting);
    until(&gateway, "idleway_client_aborts_total{route=\"/gated\",pool=\"work\",phase=\"queue\"}", 1.0);
    gate.open();
    assert_eq!(running.answer().status(), 201);
    until(&gateway, "idleway_requests_total{route=\"/gated\",pool=\"work\",code=\"201\"}", 1.0);
    let page = page(&gateway);
    let value = |name: &str| *page.get(name).unwrap_or_else(|| panic!("no {name}"));
    for (name, expected) in [
        ("idleway_requests_total{route=\"/work\",pool=\"work\",code=\"201\"}", 3.0),
        ("idleway_requests_total{route=\"/work\",pool=\"work\",code=\"503\"}", 1.0),
        ("idleway_requests_total{route=\"/gated\",pool=\"work\",code=\"none\"}", 1.0),
        ("idleway_requests_total{route=\"/fixed\",pool=\"\",code=\"200\"}", 1.0),
        ("idleway_requests_total{route=\"\",pool=\"\",code=\"404\"}", 1.0),
        ("idleway_rejected_total{route=\"/work\",pool=\"work\",reason=\"queue-full\"}", 1.0),
        ("idleway_rejected_total{route=\"\",pool=\"\",reason=\"no-route\"}", 1.0),
        ("idleway_request_bytes_total{route=\"/work\",pool=\"work\"}", 15.0),
        ("idleway_response_bytes_total{route=\"/work\",pool=\"work\"}", 15.0),
        ("idleway_response_bytes_total{route=\"/fixed\",pool=\"\"}", 4.0),
        ("idleway_request_duration_seconds_count{route=\"/work\",pool=\"work\"}", 4.0),
        ("idleway_request_duration_seconds_bucket{route=\"/work\",pool=\"work\",le=\"+Inf\"}", 4.0),
        ("idleway_time_to_first_byte_seconds_count{route=\"/work\",pool=\"work\"}", 3.0),
        ("idleway_queue_wait_seconds_count{route=\"/gated\",pool=\"work\"}", 2.0),
        ("idleway_service_time_seconds_count{route=\"/work\",pool=\"work\"}", 3.0),
        ("idleway_backends{pool=\"work\",state=\"up\"}", 1.0),
        ("idleway_backends{pool=\"work\",state=\"all\"}", 1.0),
        ("idleway_queue_limit{pool=\"work\"}", 1.0),
        ("idleway_ready", 1.0),
        ("idleway_config_last_reload_successful", 1.0),
    ] {
        assert!((value(name) - expected).abs() < 1e-9, "{name} is {} and not {expected}", value(name));
    }
}

#[test]
fn what_fails_over_is_counted_and_who_is_gone_is_shown() {
    let (a, dead) = (Backend::answering("a"), Backend::dead());
    let gateway = gateway(&[&dead, &a], "health = { pause = \"1h\", pause_max = \"1h\" }");
    assert_eq!(ask(&gateway, post("/", "x")).status(), 200);
    until(&gateway, "idleway_backend_downs_total{pool=\"default\",cause=\"unreachable\"}", 1.0);
    until(&gateway, "idleway_retries_total{pool=\"default\",reason=\"unreachable\"}", 1.0);
    until(&gateway, "idleway_requests_total{route=\"/\",pool=\"default\",code=\"200\"}", 1.0);
    for (backend, up) in [(&dead, 0.0), (&a, 1.0)] {
        let name = backend.url().trim_start_matches("http://").to_owned();
        until(&gateway, &format!("idleway_backend_up{{pool=\"default\",backend=\"{name}\"}}"), up);
        until(
            &gateway,
            &format!("idleway_backend_slots{{pool=\"default\",backend=\"{name}\",state=\"idle\"}}"),
            1.0,
        );
    }
    until(&gateway, "idleway_backends{pool=\"default\",state=\"up\"}", 1.0);
}

/// As Prometheus's own client reads it.
#[test]
fn prometheus_reads_it() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("prometheus");
    let Some(python) =
        needs("Python with prometheus-client", crate::python::with(&folder, &["prometheus-client==0.26.0"]))
    else {
        return;
    };
    let a = Backend::answering("a");
    let gateway = gateway(&[&a], "queue = { length = 3, wait = \"60s\" }");
    assert_eq!(ask(&gateway, get("/")).status(), 200);
    until(&gateway, "idleway_requests_total{route=\"/\",pool=\"default\",code=\"200\"}", 1.0);
    let script = "\
import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.type in ('counter', 'gauge', 'histogram') and family.documentation, family
    for sample in family.samples:
        print(sample.name, family.type, sorted(sample.labels), float(sample.value))
";
    let mut child = std::process::Command::new(python)
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let text = gateway.handle().metrics();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let read = String::from_utf8(output.stdout).unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(read.lines().count(), samples, "{read}");
    assert!(read.contains("idleway_requests_total counter ['code', 'pool', 'route'] 1.0"), "{read}");
    assert!(
        read.contains("idleway_request_duration_seconds_count histogram ['pool', 'route'] 1.0"),
        "{read}"
    );
}

/// What was counted goes on where the names stay, and goes where they do.
#[test]
fn a_reload_keeps_the_counts_of_what_stays() {
    let a = Backend::answering("a");
    let config = |route: &str| {
        format!(
            "[pools.p]\nbackends = [{:?}]\n[[routes]]\npath = {route:?}\npool = \"p\"\n[[routes]]\npath = \"/stays\"\npool = \"p\"",
            a.url()
        )
    };
    let gateway = start(&config("/goes"));
    for path in ["/goes", "/stays"] {
        assert_eq!(ask(&gateway, get(path)).status(), 200);
    }
    let of = |route: &str| format!("idleway_requests_total{{route=\"{route}\",pool=\"p\",code=\"200\"}}");
    until(&gateway, &of("/goes"), 1.0);
    until(&gateway, &of("/stays"), 1.0);
    crate::reload::reload(&gateway, &config("/comes"));
    assert_eq!(ask(&gateway, get("/stays")).status(), 200);
    until(&gateway, &of("/stays"), 2.0);
    until(&gateway, "idleway_config_reloads_total{outcome=\"success\"}", 1.0);
    assert!(!page(&gateway).contains_key(&of("/goes")));
}

/// Routes that are shown alike are counted together: a series stands there once.
#[test]
fn routes_that_are_shown_alike_share_their_counts() {
    let a = Backend::answering("a");
    let route = |tier: &str| format!("[[routes]]\nheader = {{ \"X-Tier\" = {tier:?} }}\npool = \"p\"\n");
    let gateway = start(&format!("[pools.p]\nbackends = [{:?}]\n{}{}", a.url(), route("gold"), route("tin")));
    for tier in ["gold", "tin"] {
        assert_eq!(ask(&gateway, head_of("GET", "/", &format!("X-Tier: {tier}\r\n"))).status(), 200);
    }
    until(&gateway, "idleway_requests_total{route=\"/ by X-Tier\",pool=\"p\",code=\"200\"}", 2.0);
}

/// The documentation lists all there is, of the right kind, and nothing else; so do the files for Prometheus and Grafana.
#[test]
fn what_is_documented_is_what_is_told() {
    let a = Backend::answering("a");
    let gateway = gateway(&[&a], "");
    assert_eq!(ask(&gateway, get("/")).status(), 200);
    let text = gateway.handle().metrics();
    let told: BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split_once(' ').unwrap())
        .collect();
    let documented: BTreeMap<_, _> = include_str!("../../../../docs/metrics.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `idleway_"))
        .map(|line| {
            let mut cells = line.split(" | ");
            (cells.next().unwrap().trim_end_matches('`'), cells.next().unwrap())
        })
        .collect();
    let told: BTreeMap<_, _> =
        told.iter().map(|(name, kind)| (name.strip_prefix("idleway_").unwrap(), *kind)).collect();
    assert_eq!(told, documented);
    for (file, text) in [
        ("alerts.yml", include_str!("../../../../dist/prometheus/alerts.yml")),
        ("idleway.json", include_str!("../../../../dist/grafana/idleway.json")),
    ] {
        let mut names = 0;
        for (at, _) in text.match_indices("idleway_") {
            let name: String =
                text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let base =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
            let known = base.strip_prefix("idleway_").is_some_and(|base| told.contains_key(base));
            assert!(known, "{file} speaks of {name}, which there is not");
            names += 1;
        }
        assert!(names > 5, "{file}");
    }
    serde_json::from_str::<serde_json::Value>(include_str!("../../../../dist/grafana/idleway.json")).unwrap();
}
