//! Spans of requests, as a collector gets them.

mod collector;

use idleway::config::Plan;
use serde_json::{Value, json};

use self::collector::Collector;
use crate::harness::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const RECORDED: &str =
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\ntracestate: a=b\r\n";

/// The gateway's own span, and those of its attempts in their order.
fn sorted(spans: Vec<Value>) -> (Value, Vec<Value>) {
    let (mut own, mut attempts): (Vec<_>, Vec<_>) = spans.into_iter().partition(|span| span["kind"] == 2);
    assert_eq!(own.len(), 1, "{own:?}");
    assert!(attempts.iter().all(|span| span["kind"] == 3), "{attempts:?}");
    attempts.sort_by_key(|span| span["start"].as_u64());
    (own.remove(0), attempts)
}

fn events(span: &Value) -> Vec<&str> {
    span["events"].as_array().unwrap().iter().map(|event| event["name"].as_str().unwrap()).collect()
}

#[test]
fn a_request_is_a_span_and_each_attempt_one_below() {
    let collector = Collector::new();
    let broken = Backend::new(|visit| {
        visit.body()?;
        visit.close()
    });
    let sound = Backend::answering("sound");
    let gateway = gateway(&[&broken, &sound], &collector.line(", service = \"edge\""));
    let request = head_of("GET", "/path?secret=1", &format!("X-Request-Id: first\r\n{RECORDED}"));
    assert_eq!(ask(&gateway, request).status(), 200);
    gateway.shutdown();
    let Some(spans) = collector.spans() else { return };
    let (own, attempts) = sorted(spans);
    assert_eq!(
        (&own["service"], &own["scope"], &own["name"]),
        (&json!("edge"), &json!("idleway"), &json!("GET /"))
    );
    assert_eq!((&own["trace"], &own["parent"]), (&json!(TRACE), &json!("00f067aa0ba902b7")));
    let attributes = &own["attributes"];
    for (name, value) in [
        ("http.request.method", json!("GET")),
        ("url.path", json!("/path")),
        ("http.route", json!("/")),
        ("idleway.pool", json!("default")),
        ("idleway.request.id", json!("first")),
        ("http.response.status_code", json!(200)),
        ("client.address", json!("127.0.0.1")),
    ] {
        assert_eq!(attributes[name], value, "{name} in {own}");
    }
    assert_eq!((&own["status"], attributes.get("error.type")), (&json!(0), None));
    assert_eq!(events(&own), ["idleway.slot.granted", "idleway.slot.granted"]);
    assert_eq!(attempts.len(), 2, "{attempts:?}");
    for (attempt, backend) in attempts.iter().zip([&broken, &sound]) {
        assert_eq!((&attempt["trace"], &attempt["parent"]), (&json!(TRACE), &own["span"]));
        assert_eq!(attempt["attributes"]["server.port"], json!(backend.port()));
        assert!(
            attempt["start"].as_u64() >= own["start"].as_u64()
                && attempt["end"].as_u64() <= own["end"].as_u64()
        );
        assert!(attempt["start"].as_u64() <= attempt["end"].as_u64());
        // Its backend was told that it is this one's child.
        let told = format!("00-{TRACE}-{}-01", attempt["span"].as_str().unwrap());
        let head = &backend.seen().heads[0];
        assert_eq!(head.fields.one("traceparent"), Some(&*told));
        assert_eq!(head.fields.one("tracestate"), Some("a=b"));
    }
    assert_eq!(attempts[0]["status"], 2);
    assert_eq!(attempts[0]["attributes"]["error.type"], "backend-closed");
    assert_eq!(
        (&attempts[1]["status"], &attempts[1]["attributes"]["http.response.status_code"]),
        (&json!(0), &json!(200))
    );
}

#[test]
fn the_line_shows_in_the_span() {
    let collector = Collector::new();
    let gate = Gate::new();
    let door = gate.door();
    let a = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("done")
    });
    let gateway = gateway(&[&a], &format!("{}queue = {{ length = 1, wait = \"60s\" }}", collector.line("")));
    let named = |id: &str| head_of("GET", "/", &format!("X-Request-Id: {id}\r\n"));
    let mut first = Client::asking(&gateway, named("first"));
    a.until_at_work();
    let mut second = Client::asking(&gateway, named("second"));
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
    assert_eq!(ask(&gateway, named("third")).reason(), "queue-full");
    gate.open();
    assert_eq!((first.answer().status(), second.answer().status()), (200, 200));
    gateway.shutdown();
    let Some(spans) = collector.spans() else { return };
    let of = |id: &str| {
        let trace =
            spans.iter().find(|span| span["attributes"]["idleway.request.id"] == id).unwrap()["trace"]
                .clone();
        sorted(spans.iter().filter(|span| span["trace"] == trace).cloned().collect())
    };
    let (own, attempts) = of("first");
    assert_eq!((events(&own), attempts.len()), (vec!["idleway.slot.granted"], 1));
    assert_eq!(own["parent"], "", "its sender said nothing of a trace");
    let (own, attempts) = of("second");
    assert_eq!((events(&own), attempts.len()), (vec!["idleway.queued", "idleway.slot.granted"], 1));
    let granted = &own["events"][1];
    let waited = granted["attributes"]["idleway.queue.wait"].as_f64().unwrap();
    assert!(waited > 0.0 && granted["at"].as_u64() > own["events"][0]["at"].as_u64(), "{own}");
    assert_eq!(granted["attributes"]["idleway.backend"], a.url().trim_start_matches("http://"));
    let (own, attempts) = of("third");
    assert_eq!((own["status"].as_u64(), attempts.len()), (Some(2), 0));
    assert_eq!(own["attributes"]["error.type"], "queue-full");
    assert!(own["message"].as_str().unwrap().starts_with("queue-full: "), "{own}");
}

#[test]
fn what_nobody_records_is_not_recorded() {
    let collector = Collector::new();
    let a = Backend::answering("a");
    let gateway = gateway(&[&a], &collector.line(", sample = \"0%\""));
    let unrecorded = RECORDED.replace("-01\r\n", "-00\r\n");
    assert_eq!(ask(&gateway, head_of("GET", "/", &unrecorded)).status(), 200);
    assert_eq!(ask(&gateway, head_of("GET", "/", "tracestate: a=b\r\n")).status(), 200);
    // By this hop, not by its sender.
    assert_eq!(
        ask(&gateway, head_of("GET", "/", &format!("Connection: traceparent\r\n{RECORDED}"))).status(),
        200
    );
    gateway.shutdown();
    assert!(collector.is_empty());
    let seen = a.seen();
    let told = |nth: usize| seen.heads[nth].fields.one("traceparent").unwrap();
    assert!(unrecorded.contains(told(0)));
    for nth in [1, 2] {
        assert!(told(nth).ends_with("-00") && !told(nth).contains(TRACE), "{}", told(nth));
        assert_eq!(seen.heads[nth].fields.one("tracestate"), None, "it belongs to another trace");
    }
}

/// What the metrics say is lost.
fn lost(gateway: &idleway::Gateway) -> u64 {
    let text = gateway.handle().metrics();
    let line = text.lines().find_map(|line| line.strip_prefix("idleway_spans_lost_total "));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_collector_that_is_not_there_costs_spans_and_nothing_else() {
    let (mut collector, a) = (Collector::new(), Backend::answering("a"));
    collector.backend.kill();
    let gateway = gateway(&[&a], &collector.line(""));
    for _ in 0..3 {
        assert_eq!(ask(&gateway, get("/")).status(), 200);
    }
    eventually("all six lost", || lost(&gateway) == 6);
}

/// One that takes connections and nothing else keeps the thread that sends, and nobody besides; beyond what may wait spans are lost.
#[test]
fn a_collector_that_stands_still_holds_up_nobody() {
    let (gate, a) = (Gate::new(), Backend::of(8, |visit| visit.answer("a")));
    let door = gate.door();
    let still = Backend::raw(move |_| door.pass());
    let line = format!("traces = {{ endpoint = {:?} }}\nslots = 8\nbackends = [{:?}]", still.url(), a.url());
    let gateway = start(&line);
    let mut client = Client::of(&gateway);
    let mut asked = 0;
    while lost(&gateway) == 0 {
        client.send(get("/"));
        assert_eq!(client.answer().status(), 200);
        asked += 1;
        assert!(asked < 100_000, "nothing is bounded");
    }
    gate.open();
}

/// What is recorded of a gateway that is mounted is sent before its end is told.
#[tokio::test]
async fn a_mounted_gateway_sends_what_is_recorded_too() {
    let (collector, a) = (Collector::new(), Backend::answering("a"));
    let text = format!("backends = [{:?}]\n{}", a.url(), collector.line(""));
    let mount = idleway::Gateway::builder(Plan::from_toml(&text, "test.toml").unwrap()).mount().unwrap();
    let request =
        http::Request::get("/mounted").header("host", "a").body(http_body_util::Empty::<bytes::Bytes>::new());
    let answer = mount.answer(request.unwrap()).await;
    http_body_util::BodyExt::collect(answer.into_body()).await.unwrap();
    mount.shutdown().await;
    assert!(!collector.is_empty());
}

#[test]
fn a_reload_switches_it_on_elsewhere_and_off() {
    let (one, other, a) = (Collector::new(), Collector::new(), Backend::answering("a"));
    let gateway = gateway(&[&a], "");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let turn_to = |traces: &str| {
        let text = format!("threads = 2\nbackends = [{:?}]\n{traces}", a.url());
        runtime.block_on(gateway.handle().reload(Plan::from_toml(&text, "new.toml").unwrap())).unwrap();
    };
    assert_eq!(ask(&gateway, get("/")).status(), 200);
    turn_to(&one.line(""));
    assert_eq!(ask(&gateway, get("/one")).status(), 200);
    eventually("spans at the first", || !one.is_empty());
    turn_to(&other.line(""));
    assert_eq!(ask(&gateway, get("/other")).status(), 200);
    eventually("spans at the second", || !other.is_empty());
    turn_to("");
    assert_eq!(ask(&gateway, get("/none")).status(), 200);
    gateway.shutdown();
    let (Some(one), Some(other)) = (one.spans(), other.spans()) else { return };
    assert_eq!(sorted(one).0["attributes"]["url.path"], "/one");
    assert_eq!(sorted(other).0["attributes"]["url.path"], "/other");
}
