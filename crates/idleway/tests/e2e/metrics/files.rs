//! The documentation, the alert rules and the dashboard speak of what there is.

use std::collections::BTreeSet;
use std::net::TcpListener;

use idleway::admin::{Admin, Options};

use super::*;

const DOCUMENT: &str = include_str!("../../../../../docs/metrics.md");
const ALERTS: &str = include_str!("../../../../../dist/prometheus/alerts.yml");
const DASHBOARD: &str = include_str!("../../../../../dist/grafana/idleway.json");

/// A metric as the page has it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
    /// What its labels say, beside those that name something of the configuration.
    values: BTreeSet<(String, String)>,
}

/// All metrics that the admin API tells, of a gateway with at least one sample of each.
fn all() -> BTreeMap<String, Told> {
    let (gate, work) = (Gate::new(), Backend::answering("a"));
    let door = gate.door();
    let slow = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("slow")
    });
    let gateway = start(&format!(
        "[pools.work]\nbackends = [{:?}]\n[pools.slow]\nbackends = [{:?}]\n[[routes]]\npool = \"work\"\n[[routes]]\npath = \"/slow\"\npool = \"slow\"\n[[routes]]\npath = \"/here\"\nanswer = {{ body = \"x\" }}",
        work.url(),
        slow.url()
    ));
    assert_eq!(ask(&gateway, get("/")).status(), 200);
    let running = Client::asking(&gateway, get("/slow"));
    slow.until_at_work();
    assert_eq!(ask(&gateway, get("/slow")).status(), 503);
    drop(running);
    until(&gateway, "idleway_requests_total{route=\"/slow\",pool=\"slow\",code=\"503\"}", 1.0);
    until(&gateway, "idleway_client_aborts_total{route=\"/slow\",pool=\"slow\",phase=\"backend\"}", 1.0);
    until(&gateway, "idleway_service_time_seconds_count{route=\"/\",pool=\"work\"}", 1.0);
    let admin = Admin::start(gateway.handle(), TcpListener::bind("127.0.0.1:0").unwrap(), Options::default())
        .unwrap();
    let mut client = Client::connect(admin.address());
    client.send(format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", admin.address()));
    let answer = client.answer();
    assert_eq!(answer.field("Content-Type"), Some(idleway::Handle::METRICS_TYPE));
    gate.open();
    told(answer.text())
}

fn told(text: &str) -> BTreeMap<String, Told> {
    let mut all: BTreeMap<String, Told> = BTreeMap::new();
    for line in text.lines() {
        if let Some(line) = line.strip_prefix("# HELP ") {
            let (name, help) = line.split_once(' ').unwrap();
            let told = Told { help: help.to_owned(), ..Told::default() };
            assert!(all.insert(name.to_owned(), told).is_none(), "{name} twice");
        } else if let Some(line) = line.strip_prefix("# TYPE ") {
            let (name, kind) = line.split_once(' ').unwrap();
            kind.clone_into(&mut all.get_mut(name).unwrap().kind);
        } else {
            let (series, _) = line.rsplit_once(' ').unwrap();
            let (name, selector) = series.split_once('{').unwrap_or((series, ""));
            let told = all.get_mut(base(name)).unwrap();
            for (label, value) in labels(selector) {
                told.labels.insert(label.clone());
                if !matches!(label.as_str(), "route" | "pool" | "backend" | "le") {
                    told.values.insert((label, value));
                }
            }
        }
    }
    all
}

/// The metric that a sample's name belongs to.
fn base(name: &str) -> &str {
    let of_histogram = name.ends_with("_seconds_bucket") || name.ends_with("_seconds_sum");
    let ends = if of_histogram || name.ends_with("_seconds_count") {
        &["_bucket", "_sum", "_count"][..]
    } else {
        &[]
    };
    ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}

/// The labels of `a="b",c=~"d"}…`, up to the brace.
fn labels(selector: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = selector;
    while let Some((label, after)) = rest.split_once('"') {
        let label = label.trim_start_matches(',').trim().trim_end_matches(['=', '~', '!']);
        let (value, after) = after.split_once('"').unwrap();
        found.push((label.to_owned(), value.to_owned()));
        rest = after;
        if rest.starts_with('}') {
            break;
        }
    }
    found
}

/// What a row of the table says: the name, and what stands behind it.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>, String)> {
    let rows =
        DOCUMENT.lines().filter(|line| line.starts_with("| `idleway_") || line.starts_with("| `process_"));
    let mut all = BTreeMap::new();
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, kind, labels, what] = cells[..] else { panic!("{row}") };
        let labels = labels.split(", ").map(|label| label.trim_matches('`').to_owned());
        let labels = labels.filter(|label| label != "-").collect();
        let row = (kind.to_owned(), labels, what.to_owned());
        assert!(all.insert(name.trim_matches('`').to_owned(), row).is_none(), "{name} twice");
    }
    all
}

/// The table has all there is, in the same words, and nothing else.
#[test]
fn what_is_documented_is_what_is_told() {
    let mut documented = documented();
    if cfg!(not(target_os = "linux")) {
        documented.retain(|name, _| !name.starts_with("process_"));
    }
    let told: BTreeMap<_, _> = all()
        .into_iter()
        .map(|(name, Told { kind, help, mut labels, .. })| {
            labels.remove("le");
            (name, (kind, labels, help))
        })
        .collect();
    assert_eq!(told.keys().collect::<Vec<_>>(), documented.keys().collect::<Vec<_>>());
    for (name, told) in told {
        assert_eq!(told, documented[&name], "{name}");
    }
}

/// Names are as Prometheus asks for: what grows ends in `_total`, and a unit is a base unit.
#[test]
fn names_follow_the_rules() {
    for (name, Told { kind, help, .. }) in all() {
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        assert!(!["_ms", "_millis", "_kb", "_percent"].iter().any(|unit| name.contains(unit)), "{name}");
        assert!(kind != "histogram" || name.ends_with("_seconds"), "{name}");
        assert!(help.ends_with('.') || help.ends_with(").") || help.contains(": "), "{name}: {help}");
    }
}

/// Each metric, label and value in the files is one that there is.
#[test]
fn alerts_and_dashboard_speak_of_what_there_is() {
    let all = all();
    let answers = include_str!("../../../../../docs/answers.md");
    for (file, text) in [("alerts.yml", ALERTS.to_owned()), ("idleway.json", DASHBOARD.replace("\\\"", "\""))]
    {
        let mut names = BTreeSet::new();
        for (at, _) in text.match_indices("idleway_").chain(text.match_indices("process_")) {
            let rest = &text[at..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let name = base(&rest[..end]);
            let told = all.get(name).unwrap_or_else(|| panic!("{file} speaks of {name}, which there is not"));
            names.insert(name.to_owned());
            let Some(selector) = rest[end..].strip_prefix('{').filter(|rest| !rest.starts_with('{')) else {
                continue;
            };
            for (label, value) in labels(selector) {
                assert!(told.labels.contains(&label), "{file}: {name} has no label {label}");
                let is_given = matches!(label.as_str(), "route" | "pool" | "backend" | "code");
                for value in value.split('|').filter(|_| !is_given) {
                    let is_reason = label == "reason" && answers.contains(&format!("<a id=\"{value}\">"));
                    let is_told = told.values.contains(&(label.clone(), value.to_owned()));
                    assert!(is_told || is_reason, "{file}: {name} has no {label}={value:?}");
                }
            }
        }
        assert!(names.len() > 15, "{file} speaks of {names:?} alone");
    }
    serde_json::from_str::<serde_json::Value>(DASHBOARD).unwrap();
}

/// The alert rules as a reader of YAML has them: each with all that whoever is woken by it needs.
#[test]
fn the_alert_rules_are_whole() {
    let Some(python) = reader::python() else { return };
    let script = "\
import json, sys, yaml
print(json.dumps(yaml.safe_load(sys.stdin.read())))
";
    let read = reader::run(&python, script, ALERTS);
    let rules: serde_json::Value = serde_json::from_str(&read).unwrap();
    let mut names = BTreeSet::new();
    for rule in
        rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap())
    {
        let text =
            |value: &serde_json::Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let name = text(&rule["alert"]).unwrap_or_else(|| panic!("{rule}"));
        assert!(names.insert(name.clone()), "{name} twice");
        let expression = text(&rule["expr"]).unwrap();
        let (open, close) = (expression.matches('(').count(), expression.matches(')').count());
        assert_eq!(open, close, "{name}: {expression}");
        for part in [&rule["annotations"]["summary"], &rule["annotations"]["description"]] {
            assert!(text(part).is_some(), "{name}: {rule}");
        }
        let severity = text(&rule["labels"]["severity"]).unwrap();
        assert!(["warning", "critical"].contains(&severity.as_str()), "{name}: {severity}");
    }
    assert!(names.len() > 10, "{names:?}");
}
