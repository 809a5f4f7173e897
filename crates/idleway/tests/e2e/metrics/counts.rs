//! Requests, counted against what clients and backends have seen.

use super::*;

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
    until(&gateway, "idleway_backends_desired{pool=\"work\"}", 1.0);
    drop(waiting);
    until(&gateway, "idleway_client_aborts_total{route=\"/gated\",pool=\"work\",phase=\"queue\"}", 1.0);
    gate.open();
    assert_eq!(running.answer().status(), 201);
    until(&gateway, "idleway_requests_total{route=\"/gated\",pool=\"work\",code=\"201\"}", 1.0);
    // What the Slot is held for is counted when it comes back, what its request came to when its task has ended.
    until(&gateway, "idleway_service_time_seconds_count{route=\"/gated\",pool=\"work\"}", 1.0);
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
        // Who was refused at once did not wait.
        ("idleway_queue_wait_seconds_count{route=\"/work\",pool=\"work\"}", 3.0),
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

/// Each where it was: still sending, in line, worked for, being answered.
#[test]
fn who_leaves_is_counted_by_where_it_was() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        if visit.path() == "/half" {
            visit.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")?;
            door.pass()?;
            // Its client has left: what the gateway still takes is nobody's.
            let _ = visit.finish("half");
            return Ok(());
        }
        door.pass()?;
        visit.answer("done")
    });
    let gateway = gateway(&[&backend], "queue = { length = 5, wait = \"60s\" }");
    let aborts = |phase: &str| {
        format!("idleway_client_aborts_total{{route=\"/\",pool=\"default\",phase=\"{phase}\"}}")
    };
    let sending = Client::asking(&gateway, head_of("POST", "/", "Content-Length: 5\r\n") + "he");
    sending.reset();
    until(&gateway, &aborts("request"), 1.0);
    let working = Client::asking(&gateway, get("/"));
    backend.until_at_work();
    let waiting = Client::asking(&gateway, get("/"));
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
    waiting.reset();
    until(&gateway, &aborts("queue"), 1.0);
    working.reset();
    until(&gateway, &aborts("backend"), 1.0);
    gate.pass_one();
    until_all_idle(&gateway, 1);
    let mut answered = Client::asking(&gateway, get("/half"));
    assert_eq!(answered.head().word(1), "200");
    answered.reset();
    until(&gateway, &aborts("response"), 1.0);
    gate.open();
    until_all_idle(&gateway, 1);
    for phase in ["request", "queue", "backend", "response"] {
        until(&gateway, &aborts(phase), 1.0);
    }
    until(&gateway, "idleway_requests_total{route=\"/\",pool=\"default\",code=\"none\"}", 3.0);
    until(&gateway, "idleway_requests_total{route=\"/\",pool=\"default\",code=\"200\"}", 1.0);
}

/// The time of a Slot is the backend's: it ends neither when the client leaves nor when it has read its answer.
#[test]
fn a_slot_is_held_until_its_backend_has_ended() {
    let gate = Gate::new();
    let door = gate.door();
    // More than the kernels take for a client that reads nothing, and less than `response_buffer`.
    const LONG: usize = 8 << 20;
    let backend = Backend::new(move |visit| match visit.path() {
        "/gated" => {
            door.pass()?;
            visit.answer("late")
        }
        _ => visit.finish(format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n{}", "x".repeat(LONG))),
    });
    let gateway = gateway(
        &[&backend],
        "response_buffer = \"16MiB\"\nqueue = { length = 5, wait = \"60s\" }\n[[routes]]\npath = \"/gated\"\n[[routes]]\npath = \"/long\"",
    );
    let held = |route: &str| {
        let name = format!("idleway_service_time_seconds_count{{route=\"{route}\",pool=\"default\"}}");
        page(&gateway).get(&name).map(ToString::to_string)
    };
    let leaving = Client::asking(&gateway, get("/gated"));
    backend.until_at_work();
    leaving.reset();
    until(&gateway, "idleway_requests_total{route=\"/gated\",pool=\"default\",code=\"none\"}", 1.0);
    until_slots(&gateway, "work that nobody waits for", |slots| slots.lingering == 1);
    assert_eq!(held("/gated"), None, "its backend is at work still");
    gate.open();
    eventually("the slot was held once", || held("/gated").as_deref() == Some("1"));

    let mut slow = Client::with_small_window(&gateway);
    slow.send(get("/long"));
    assert_eq!(slow.wire.exactly(1).unwrap(), b"H");
    eventually("its backend has ended", || held("/long").as_deref() == Some("1"));
    let long = "idleway_requests_total{route=\"/long\",pool=\"default\",code=\"200\"}";
    assert!(!page(&gateway).contains_key(long), "it has read all of it");
    let rest = slow.wire.head().unwrap().unwrap();
    assert!(rest.line.starts_with("TTP/1.1 200"), "{rest:?}");
    assert_eq!(slow.wire.exactly(LONG).unwrap().len(), LONG);
    until(&gateway, long, 1.0);
}

/// What cannot be read as a request has no route, and is counted all the same.
#[test]
fn what_is_no_request_is_counted() {
    let gateway = gateway(&[&Backend::answering("a")], "");
    let mut client = Client::asking(&gateway, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert_eq!(client.answer().status(), 400);
    until(&gateway, "idleway_requests_total{route=\"\",pool=\"\",code=\"400\"}", 1.0);
    until(&gateway, "idleway_rejected_total{route=\"\",pool=\"\",reason=\"bad-request\"}", 1.0);
}

/// A backend may answer with what it likes: that makes no more series than there are numbers of statuses.
#[test]
fn odd_statuses_are_counted_together() {
    let backend = Backend::new(|visit| {
        let status = visit.path()[1..].to_owned();
        visit.finish(format!("HTTP/1.1 {status} Odd\r\nContent-Length: 0\r\n\r\n"))
    });
    let gateway = gateway(&[&backend], "");
    for status in ["218", "299", "419", "599", "404"] {
        assert_eq!(ask(&gateway, get(&format!("/{status}"))).status().to_string(), status);
    }
    for (code, count) in [("2xx", 2.0), ("4xx", 1.0), ("5xx", 1.0), ("404", 1.0)] {
        let name = format!("idleway_requests_total{{route=\"/\",pool=\"default\",code=\"{code}\"}}");
        until(&gateway, &name, count);
    }
}
