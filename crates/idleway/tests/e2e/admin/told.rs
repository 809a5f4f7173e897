//! What it tells.

use std::thread;

use super::*;

#[test]
fn a_slot_says_who_is_at_work_and_the_line_who_waits() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("done")
    });
    let url = backend.url();
    let gateway = start(&format!(
        "[pools.gpu]\nbackends = [\"{url}\"]\nqueue = {{ length = 5, wait = \"60s\" }}\n\
         [[routes]]\npath = \"/work\"\npool = \"gpu\"\n"
    ));
    let desk = Desk::of(&gateway);
    let before = desk.told("/v1/pools/gpu");
    assert_eq!(before["estimate"]["service_p50_seconds"], Value::Null);
    assert_eq!(before["backends"][0]["work"], serde_json::json!([]));
    let request =
        "POST /work/x?secret=1 HTTP/1.1\r\nHost: a\r\nX-Request-Id: the-first\r\nContent-Length: 1\r\n\r\nx";
    let mut first = Client::asking(&gateway, request);
    backend.until_at_work();
    let mut second = Client::asking(&gateway, post("/work", "x"));
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
    let pool = desk.told("/v1/pools/gpu");
    let work = &pool["backends"][0]["work"][0];
    let request = &work["request"];
    assert_eq!(
        (&request["id"], &request["method"], &request["route"]),
        (&"the-first".into(), &"POST".into(), &"/work".into())
    );
    assert_eq!((&request["client"], &request["key"]), (&"127.0.0.1".into(), &Value::Null));
    assert_eq!((&work["state"], &work["purpose"]), (&"busy".into(), &"request".into()));
    assert!(work["age_seconds"].as_f64().unwrap() > 0.0);
    let queue = &pool["queue"];
    assert_eq!((&queue["length"], &queue["waiting"], &queue["normal"]), (&5.into(), &1.into(), &1.into()));
    assert!(queue["longest_wait_seconds"].as_f64().unwrap() >= 0.0);
    gate.open();
    assert_eq!((first.answer().text(), second.answer().text()), ("done", "done"));
    eventually("nobody is at work", || {
        desk.told("/v1/pools/gpu")["backends"][0]["work"] == serde_json::json!([])
    });
    assert!(desk.told("/v1/pools/gpu")["estimate"]["service_p50_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(problem(&desk.get("/v1/pools/other")), "no-pool");
    assert_eq!(desk.told("/v1/pools")["pools"], desk.told("/v1/status")["pools"]);
}

/// Whose work it is, without the key, which may be a secret.
#[test]
fn the_work_of_one_key_is_told_from_that_of_another() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::of(3, move |visit| {
        door.pass()?;
        visit.answer("done")
    });
    let gateway = gateway(&[&backend], "slots = 3\nfair_by = \"header:x-api-key\"");
    let desk = Desk::of(&gateway);
    let asking = |key: &str| {
        Client::asking(
            &gateway,
            format!(
                "GET /{key} HTTP/1.1\r\nHost: a\r\nX-Request-Id: {key}\r\nX-Api-Key: {}\r\n\r\n",
                &key[..6]
            ),
        )
    };
    let clients = ["secret-1", "secret-2", "sesame-1"].map(asking);
    backend.until("all are at work", |seen| seen.at_work == 3);
    let told = desk.told("/v1/pools/default");
    let key = |id: &str| {
        let work = told["backends"][0]["work"].as_array().unwrap();
        let work = work.iter().find(|work| work["request"]["id"] == id).unwrap();
        work["request"]["key"].as_str().unwrap().to_owned()
    };
    assert_eq!(key("secret-1"), key("secret-2"));
    assert_ne!(key("secret-1"), key("sesame-1"));
    assert!(!key("secret-1").contains("secret"), "{told}");
    gate.open();
    for mut client in clients {
        assert_eq!(client.answer().text(), "done");
    }
}

#[test]
fn readiness_goes_first_when_the_gateway_stops() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("done")
    });
    let gateway = gateway(&[&backend], "drain_delay = \"100ms\"");
    let desk = Desk::of(&gateway);
    eventually("it is ready", || desk.get("/readyz").status() == 200);
    assert_eq!(desk.told("/readyz"), serde_json::json!({ "ready": true, "reasons": [] }));
    let mut running = Client::asking(&gateway, get("/"));
    backend.until_at_work();
    let stopping = thread::spawn(move || gateway.shutdown());
    eventually("it is not ready", || desk.get("/readyz").status() == 503);
    let told = desk.get("/readyz").json();
    assert_eq!(told, serde_json::json!({ "ready": false, "reasons": ["draining"] }));
    assert_eq!(desk.get("/livez").status(), 200);
    // Nothing is ordered of one that stops, but what helps it.
    let path = format!("PUT /v1/pools/default/backends/{}/slots", name(&backend));
    assert_eq!(problem(&desk.order(&path, "{\"slots\":2}")), "stopping");
    gate.open();
    assert_eq!(running.answer().text(), "done");
    assert_eq!(stopping.join().unwrap().cut, 0);
    // Those that have ended answer nothing.
    let answer = desk.get("/livez");
    assert_eq!((answer.status(), answer.json()["live"].clone()), (503, false.into()));
}

#[test]
fn a_gateway_whose_backends_are_all_down_is_not_ready() {
    let mut backend = Backend::answering("x");
    let gateway = gateway(&[&backend], "health = { failures = 1, pause = \"1h\", pause_max = \"1h\" }");
    let desk = Desk::of(&gateway);
    assert_eq!(ask(&gateway, get("/")).status(), 200);
    backend.kill();
    assert_eq!(ask(&gateway, get("/")).status(), 502);
    eventually("it is down", || {
        desk.get("/readyz").json()["reasons"] == serde_json::json!(["no_backend_up"])
    });
    let now = desk.backend();
    assert_eq!((&now["health"], &now["cause"]), (&"down".into(), &"unreachable".into()));
    assert!(now["fault"].as_str().is_some_and(|fault| !fault.is_empty()), "{now}");
    // When its client has the answer, a request need not be noted yet.
    eventually("the request is noted", || desk.told("/v1/errors")["count"] == 1);
    let errors = desk.told("/v1/errors");
    let error = &errors["errors"][0];
    assert_eq!(
        (&error["status"], &error["method"], &error["path"]),
        (&502.into(), &"GET".into(), &"/".into())
    );
    assert_eq!((&error["pool"], &error["backend"]), (&"default".into(), &name(&backend).into()));
    assert!(error["reason"].as_str().unwrap().starts_with("backend-unreachable"), "{error}");
    eventually("the event is told", || {
        desk.told("/v1/events")["events"].as_array().is_some_and(|all| !all.is_empty())
    });
    let events = desk.told("/v1/events");
    let event = &events["events"][0];
    assert_eq!(
        (&event["number"], &event["kind"], &event["pool"]),
        (&1.into(), &"backend_down".into(), &"default".into())
    );
    assert_eq!(desk.told("/v1/events?after=1")["events"], serde_json::json!([]));
    assert_eq!(problem(&desk.get("/v1/events?after=x")), "body");
}

#[test]
fn a_head_alone_can_be_asked_for() {
    let backend = Backend::answering("x");
    let gateway = gateway(&[&backend], "");
    let desk = Desk::of(&gateway);
    assert_eq!(desk.ask("HEAD /v1/status", "", "").status(), 200);
    assert_eq!(problem(&desk.get("/v2/status")), "not-found");
}
