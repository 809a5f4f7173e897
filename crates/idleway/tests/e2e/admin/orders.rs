//! What it is told to do.

use super::*;

fn gated(gate: &Gate) -> Backend {
    let door = gate.door();
    Backend::of(2, move |visit| {
        door.pass()?;
        visit.answer("done")
    })
}

#[test]
fn a_backend_drains_while_it_works_and_serves_again() {
    let gate = Gate::new();
    let backends = [gated(&gate), Backend::answering("other")];
    let gateway = gateway(&[&backends[0], &backends[1]], "");
    let desk = Desk::of(&gateway);
    let mut running = Client::asking(&gateway, get("/work?x=1"));
    backends[0].until_at_work();
    let answer = desk.mode(&backends[0], "drain");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let told = answer.json();
    assert_eq!(
        (&told["mode"], &told["health"], &told["slots"]["busy"]),
        (&"drain".into(), &"up".into(), &1.into())
    );
    assert_eq!(told["work"][0]["request"]["method"], "GET");
    // What comes goes to the other one.
    for _ in 0..4 {
        assert_eq!(ask(&gateway, get("/")).text(), "other");
    }
    gate.open();
    assert_eq!(running.answer().text(), "done");
    eventually("it is quiet", || desk.backend()["slots"]["idle"] == 1);
    assert_eq!(ask(&gateway, get("/")).text(), "other");
    assert_eq!(desk.mode(&backends[1], "maintenance").json()["mode"], "maintenance");
    assert_eq!(ask(&gateway, get("/")).status(), 503);
    assert_eq!(desk.get("/readyz").json()["reasons"], serde_json::json!(["no_backend_up"]));
    assert_eq!(desk.mode(&backends[0], "ready").json()["mode"], "ready");
    eventually("the orders are among the events", || {
        let told = desk.told("/v1/events");
        let mut events =
            told["events"].as_array().unwrap().iter().filter(|event| event["kind"] == "mode_set");
        let last = events.next_back().cloned().unwrap_or_default();
        (&last["mode"], &last["backend"]) == (&"ready".into(), &name(&backends[0]).into())
    });
    assert_eq!(ask(&gateway, get("/")).text(), "done");
    assert_eq!(desk.get("/readyz").status(), 200);
}

#[test]
fn slots_hold_until_a_reload_says_something_else_of_the_backend() {
    let gate = Gate::new();
    let backend = gated(&gate);
    let config = |more: &str| format!("threads = 2\nbackends = [\"{}\"]\n{more}", backend.url());
    let plan = |more: &str| idleway::Plan::from_toml(&config(more), "test.toml").unwrap();
    let gateway = gateway(&[&backend], "");
    let desk = Desk::of(&gateway);
    let path = format!("PUT /v1/pools/default/backends/{}/slots", name(&backend));
    assert_eq!(desk.order(&path, "{\"slots\":2}").json()["slots"]["all"], 2);
    let mut running: Vec<_> = (0..2).map(|_| Client::asking(&gateway, get("/"))).collect();
    until_slots(&gateway, "both at work", |slots| slots.busy == 2);
    // What runs goes on; only what is idle is taken.
    let told = desk.order(&path, "{\"slots\":1}").json();
    assert_eq!((&told["slots"]["all"], &told["slots"]["busy"]), (&2.into(), &2.into()));
    assert_eq!(ask(&gateway, get("/")).status(), 503);
    gate.open();
    running.iter_mut().for_each(|client| assert_eq!(client.answer().text(), "done"));
    eventually("the surplus is gone", || desk.backend()["slots"]["all"] == 1);
    assert_eq!(desk.order(&path, "{\"slots\":2}").json()["slots"]["all"], 2);
    let handle = gateway.handle();
    let reload = |plan| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(handle.reload(plan)).unwrap();
    };
    // Of this backend it says nothing new.
    reload(plan("timeout = \"7s\""));
    assert_eq!(desk.backend()["slots"]["all"], 2);
    reload(plan("slots = 5"));
    assert_eq!(desk.backend()["slots"]["all"], 5);
    assert_eq!(desk.order(&path, "{\"slots\":3}").json()["slots"]["all"], 3);
    // The order is taken back.
    assert_eq!(desk.order(&path.replace("PUT", "DELETE"), "").json()["slots"]["all"], 5);
    assert_eq!(desk.told(&path.replace("PUT ", "").replace("/slots", ""))["slots"]["all"], 5);
    let events = || desk.told("/v1/events")["events"].as_array().unwrap().clone();
    eventually("all orders are among the events", || {
        let events = events();
        let ordered: Vec<_> = events.iter().filter(|event| event["kind"] == "slots_set").collect();
        ordered.len() == 5 && ordered[3]["slots"] == 3 && ordered[4]["slots"].is_null()
    });
    let answer = desk.order(&path.replace("PUT", "POST"), "");
    assert_eq!((answer.status(), answer.field("Allow")), (405, Some("PUT, DELETE")));
}

#[test]
fn what_cannot_be_meant_is_told_and_changes_nothing() {
    let backend = Backend::answering("x");
    let gateway = gateway(&[&backend], "");
    let desk = Desk::of(&gateway);
    let of = |what: &str| format!("PUT /v1/pools/default/backends/{}/{what}", name(&backend));
    for body in [
        "",
        "{}",
        "[]",
        "{\"mode\":\"off\"}",
        "{\"mode\":\"DRAIN\"}",
        "{\"mode\":\"drain\",\"for\":1}",
        "{\"mode\":null}",
        "{\"mode\":\"drain\"}x",
        "\u{feff}{}",
    ] {
        assert_eq!(problem(&desk.order(&of("mode"), body)), "body", "{body}");
    }
    for body in [
        "[1]",
        "{\"slots\":0}",
        "{\"slots\":-1}",
        "{\"slots\":100001}",
        "{\"slots\":1.5}",
        "{\"slots\":\"2\"}",
        "{\"slots\":99999999999999999999}",
    ] {
        assert_eq!(problem(&desk.order(&of("slots"), body)), "body", "{body}");
    }
    let drain = "{\"mode\":\"drain\"}";
    for (path, told) in [
        ("/v1/pools/nothing/backends/a/mode", "no-pool"),
        ("/v1/pools/default/backends/127.0.0.1:1/mode", "no-backend"),
        ("/v1/pools/default/backends/mode", "method"),
        ("/v1/pools/default/backends//mode", "not-found"),
    ] {
        assert_eq!(problem(&desk.order(&format!("PUT {path}"), drain)), told, "{path}");
    }
    assert_eq!(
        problem(&desk.order("PUT /v1/pools/default/backends/127.0.0.1:1/slots", "{\"slots\":1}")),
        "no-backend"
    );
    assert_eq!(problem(&desk.order("POST /v1/reload", "")), "no-reload");
    let answer = desk.order("DELETE /v1/status", "");
    assert_eq!((answer.status(), answer.field("Allow")), (405, Some("GET, HEAD")));
    let now = desk.backend();
    assert_eq!((&now["mode"], &now["slots"]["all"]), (&"ready".into(), &1.into()));
}

#[test]
fn a_reload_is_ordered_and_its_outcome_told() {
    let backend = Backend::answering("x");
    let gateway = gateway(&[&backend], "");
    let outcomes = std::sync::Mutex::new(vec![Err("line 3: no".to_owned()), Ok(())]);
    let desk = Desk::with(&gateway, |options| {
        options.reload = Some(Box::new(move || {
            let outcome = outcomes.lock().unwrap().pop().unwrap();
            Box::pin(async move { outcome })
        }));
    });
    assert_eq!(desk.order("POST /v1/reload", "").json()["reloaded"], true);
    let answer = desk.order("POST /v1/reload", "");
    assert_eq!((answer.status(), problem(&answer).as_str()), (422, "not-reloaded"));
    assert_eq!(answer.json()["detail"], "line 3: no");
}

/// Whatever is ordered while requests run, none is lost and no backend has more at work than it was ordered to.
#[test]
fn orders_under_traffic_lose_nothing_and_exceed_nothing() {
    const ROUNDS: usize = 100;
    let backends: Vec<_> = (0..3).map(|_| Backend::of(3, |visit| visit.answer("a"))).collect();
    let gateway = gateway(&backends.iter().collect::<Vec<_>>(), "queue = { length = 50, wait = \"60s\" }");
    let desk = Desk::of(&gateway);
    under_traffic(gateway.address(), 8, "/", || {
        for round in 0..ROUNDS {
            let backend = &backends[round % 3];
            // Two of three always serve.
            for mode in [["drain", "maintenance"][round % 2], "ready"] {
                assert_eq!(desk.mode(backend, mode).status(), 200);
            }
            let path = format!("PUT /v1/pools/default/backends/{}/slots", name(backend));
            assert_eq!(desk.order(&path, &format!("{{\"slots\":{}}}", 1 + round % 3)).status(), 200);
            assert_eq!(desk.get("/v1/status").status(), 200);
        }
    });
    for backend in &backends {
        let seen = backend.seen();
        assert!(seen.overlaps.is_empty() && seen.faults.is_empty(), "{:?} {:?}", seen.overlaps, seen.faults);
        assert!(seen.executions.values().all(|times| *times == 1));
    }
    let ordered: u64 = (ROUNDS - 3..ROUNDS).map(|round| 1 + round as u64 % 3).sum();
    until_all_idle(&gateway, ordered);
    assert_eq!(desk.told("/v1/errors")["count"], 0);
}
