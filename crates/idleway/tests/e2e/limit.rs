//! A Slot is free by what the backend did, never by what became of the client: the limit holds.

use std::io;

use crate::harness::*;

/// A backend that works behind a gate. It never looks at its connection while it works.
fn working(gate: &Gate) -> Backend {
    let door = gate.door();
    Backend::new(move |visit| {
        visit.body()?;
        door.pass()?;
        visit.finish("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
    })
}

/// Works behind a gate, then closes without an answer.
fn working_then_closing(gate: &Gate) -> Backend {
    let door = gate.door();
    Backend::new(move |visit| {
        visit.body()?;
        door.pass()?;
        visit.close()
    })
}

/// The Slot lingers; another request is refused; once the gate opens it is free.
fn holds_until_the_backend_ends(backend: &Backend, gate: &Gate, gateway: &idleway::Gateway) {
    until_slots(gateway, "the slot lingers", |slots| slots.lingering == 1 && slots.busy == 0);
    for _ in 0..3 {
        let refused = ask(gateway, post("/refused", "x"));
        assert_eq!(refused.status(), 503, "a second request at a backend that works: {:?}", refused.head);
    }
    assert_eq!(gateway.slots().lingering, 1);
    assert_eq!(backend.paths(), ["/first"]);
    gate.open();
    until_all_idle(gateway, 1);
}

#[test]
fn after_a_timeout_nothing_is_sent_until_the_backend_has_ended_its_response() {
    let gate = Gate::new();
    let backend = working(&gate);
    let gateway = gateway(&[&backend], "timeout = \"30ms\"");
    let answer = ask(&gateway, post("/first", "x"));
    assert_eq!(answer.status(), 504);
    assert!(answer.field("Proxy-Status").unwrap().contains("http_response_timeout"));
    holds_until_the_backend_ends(&backend, &gate, &gateway);
    assert_eq!(backend.seen().peak, 1);
    // The late response is thrown away, not given to whoever comes next.
    assert_eq!(ask(&gateway, post("/next", "x")).text(), "done");
    assert_eq!(backend.paths(), ["/first", "/next"]);
}

#[test]
fn after_a_timeout_nothing_is_sent_until_the_backend_has_closed() {
    let gate = Gate::new();
    let backend = working_then_closing(&gate);
    let gateway = gateway(&[&backend], "timeout = \"30ms\"");
    assert_eq!(ask(&gateway, get("/first")).status(), 504);
    holds_until_the_backend_ends(&backend, &gate, &gateway);
}

#[test]
fn a_deadline_holds_the_slot_like_a_timeout() {
    let gate = Gate::new();
    let backend = working(&gate);
    let gateway = gateway(&[&backend], "deadline = \"30ms\"");
    assert_eq!(ask(&gateway, get("/first")).status(), 504);
    holds_until_the_backend_ends(&backend, &gate, &gateway);
}

#[test]
fn after_a_timeout_a_waiter_is_served_only_once_the_backend_has_ended() {
    let gate = Gate::new();
    let backend = working(&gate);
    let gateway = gateway(&[&backend], "timeout = \"30ms\"\nqueue = { length = 5, wait = \"60s\" }");
    assert_eq!(ask(&gateway, get("/first")).status(), 504);
    let mut waiting = Client::asking(&gateway, get("/waiting"));
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1 && slots.lingering == 1);
    assert_eq!(backend.paths(), ["/first"]);
    gate.open();
    assert_eq!(waiting.answer().status(), 200);
    assert_eq!(backend.seen().peak, 1);
}

#[test]
fn a_client_that_leaves_by_fin_mid_work_does_not_free_the_slot() {
    for request in [get("/first"), post("/first", "x")] {
        leaves_mid_work(&request, drop::<Client>, working);
        leaves_mid_work(&request, drop::<Client>, working_then_closing);
    }
}

#[test]
fn a_client_that_leaves_by_rst_mid_work_does_not_free_the_slot() {
    for request in [get("/first"), post("/first", "x")] {
        leaves_mid_work(&request, Client::reset, working);
        leaves_mid_work(&request, Client::reset, working_then_closing);
    }
}

fn leaves_mid_work(request: &str, leave: impl Fn(Client), backend: impl Fn(&Gate) -> Backend) {
    let gate = Gate::new();
    let backend = backend(&gate);
    let gateway = gateway(&[&backend], "");
    let client = Client::asking(&gateway, request);
    backend.until_at_work();
    leave(client);
    holds_until_the_backend_ends(&backend, &gate, &gateway);
    assert_eq!(backend.seen().peak, 1);
}

/// A FIN before the response head could make the backend drop the connection and work on.
#[test]
fn no_fin_goes_out_before_the_response_head_of_a_request_whose_client_left() {
    let (gate, looked) = (Gate::new(), Gate::new());
    let (door, after) = (gate.door(), looked.door());
    let backend = Backend::new(move |visit| {
        door.pass()?;
        visit.wire.stream.set_nonblocking(true)?;
        let seen = visit.wire.until_end().map(|_| ()).map_err(|error| error.kind());
        visit.wire.stream.set_nonblocking(false)?;
        assert_eq!(seen, Err(io::ErrorKind::WouldBlock), "something came from the gateway");
        after.pass()?;
        visit.finish("HTTP/1.1 204 No Content\r\n\r\n")
    });
    let gateway = gateway(&[&backend], "");
    let client = Client::asking(&gateway, get("/first"));
    backend.until_at_work();
    drop(client);
    until_slots(&gateway, "the slot lingers", |slots| slots.lingering == 1);
    gate.open();
    looked.open();
    until_all_idle(&gateway, 1);
    assert_eq!(ask(&gateway, get("/next")).status(), 204);
    assert_eq!(backend.seen().accepted, 1, "the connection was kept");
}

#[test]
fn a_client_that_leaves_mid_answer_leaves_the_slot_until_the_backend_has_ended() {
    let gate = Gate::new();
    let backend = Backend::in_two_halves(gate.door());
    let gateway = gateway(&[&backend], "");
    let mut client = Client::asking(&gateway, get("/first"));
    client.head();
    assert_eq!(client.wire.exactly(4).unwrap(), b"half");
    client.reset();
    holds_until_the_backend_ends(&backend, &gate, &gateway);
    gate.open();
    assert_eq!(ask(&gateway, get("/next")).text(), "halfhalf");
    assert_eq!(backend.seen().accepted, 1, "a short rest is read and the connection kept");
}

/// What streams without end is not read without end: the backend sees the FIN and stops.
#[test]
fn a_client_that_leaves_an_endless_answer_makes_the_backend_see_a_fin() {
    let backend = Backend::new(|visit| {
        visit.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n")?;
        let rest = visit.wire.until_end()?;
        assert!(rest.is_empty());
        visit.close()
    });
    let gateway = gateway(&[&backend], "timeout = \"50ms\"\ncancel_wait = \"10ms\"");
    let mut client = Client::asking(&gateway, get("/first"));
    client.head();
    assert_eq!(client.wire.chunk().unwrap().unwrap(), b"begin");
    client.reset();
    until_all_idle(&gateway, 1);
    assert_eq!(backend.seen().peak, 1);
}

/// The request that the backend waits for will never be complete: it is told so, and its connection is not
/// used again.
#[test]
fn an_upload_broken_off_half_way_reaches_the_backend_as_a_fin() {
    for by_reset in [false, true] {
        let gate = Gate::new();
        let door = gate.door();
        let backend = Backend::new(move |visit| {
            if visit.path() == "/next" {
                return visit.answer("next");
            }
            let error = visit.body().expect_err("the body was never complete");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            door.pass()?;
            visit.finish("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        });
        let gateway = gateway(&[&backend], "");
        let length = 1 << 20;
        let head = head_of("POST", "/first", &format!("Content-Length: {length}\r\n"));
        let mut client = Client::asking(&gateway, head);
        client.send(vec![b'x'; length / 2]);
        backend.until_at_work();
        client.leave(by_reset);
        holds_until_the_backend_ends(&backend, &gate, &gateway);
        assert_eq!(ask(&gateway, get("/next")).text(), "next");
        let seen = backend.seen();
        assert_eq!(seen.accepted, 2, "the connection of a broken upload is not used again");
        assert_eq!(seen.most_open, 1);
    }
}

#[test]
fn a_backend_that_hangs_for_ever_keeps_its_slot_and_the_others_serve() {
    let never = Gate::new();
    let hanging = working(&never);
    let well = Backend::answering("well");
    let gateway = gateway(&[&hanging, &well], "timeout = \"50ms\"");
    let mut timeouts = 0;
    for _ in 0..10 {
        let answer = ask(&gateway, get("/"));
        timeouts += u32::from(answer.status() == 504);
        assert!(matches!(answer.status(), 200 | 504), "{:?}", answer.head);
        until_slots(&gateway, "nothing busy", |slots| slots.busy == 0);
    }
    assert_eq!(timeouts, 1, "the hanging backend got one request and no other");
    assert_eq!(gateway.slots().lingering, 1);
}

/// Nobody waits for an answer without an end: its handler is told, also where the client left before it began.
#[test]
fn an_endless_answer_is_ended_by_a_fin_whenever_its_client_left() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n";
        match visit.path() {
            "/late" => door.pass()?,
            // The proof that it is idle.
            "/" => return visit.answer("idle"),
            _ => {}
        }
        visit.write(head)?;
        // Until the gateway has no more to say.
        visit.wire.until_end()?;
        visit.close()
    });
    let gateway = gateway(&[&backend], "timeout = \"50ms\"\ncancel_wait = \"200ms\"");
    let mut early = Client::asking(&gateway, get("/early"));
    early.head();
    early.reset();
    until_all_idle(&gateway, 1);
    let late = Client::asking(&gateway, get("/late"));
    backend.until("the second request", |seen| seen.heads.iter().any(|head| head.word(1) == "/late"));
    late.leave(false);
    until_slots(&gateway, "the slot lingers", |slots| slots.lingering == 1);
    gate.open();
    until_all_idle(&gateway, 1);
}

/// What is no HTTP says nothing about the work behind it.
#[test]
fn nonsense_from_a_backend_that_works_on_holds_the_slot_until_it_has_closed() {
    for nonsense in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ] {
        let gate = Gate::new();
        let door = gate.door();
        let backend = Backend::new(move |visit| {
            visit.write(nonsense)?;
            door.pass()?;
            visit.close()
        });
        let gateway = gateway(&[&backend], "");
        let mut client = Client::asking(&gateway, get("/first"));
        let answer = client.try_answer("GET");
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 502), "{nonsense:?}");
        holds_until_the_backend_ends(&backend, &gate, &gateway);
    }
}

#[test]
fn a_client_whose_request_timed_out_goes_on_with_the_next_on_its_connection() {
    let gate = Gate::new();
    let hanging = working(&gate);
    let gateway = gateway(&[&hanging], "timeout = \"30ms\"");
    let mut client = Client::asking(&gateway, post("/first", "x"));
    assert_eq!(client.answer().status(), 504);
    client.send(get("/refused"));
    assert_eq!(client.answer().status(), 503);
    gate.open();
    until_all_idle(&gateway, 1);
    client.send(get("/next"));
    assert_eq!(client.answer().text(), "done");
    assert_eq!(hanging.paths(), ["/first", "/next"]);
}
