//! A client that leaves is noticed wherever its request is, also behind bytes that nobody reads yet.

use crate::harness::*;

fn gated(gate: &Gate) -> Backend {
    let door = gate.door();
    Backend::new(move |visit| {
        door.pass()?;
        let _ = visit.body();
        visit.finish("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
    })
}

/// More requests behind its own than the gateway reads ahead.
#[test]

fn rst_is_noticed_in_line_behind_a_flood_of_pipelined_requests() {
    let gate = Gate::new();
    let backend = gated(&gate);
    let gateway = gateway(&[&backend], "queue = { length = 5, wait = \"60s\" }");
    let mut first = Client::asking(&gateway, get("/first"));
    backend.until_at_work();
    let mut leaving = Client::asking(&gateway, get("/left"));
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
    leaving.send(get("/behind").repeat(1000));
    leaving.reset();
    until_slots(&gateway, "nobody in line", |slots| slots.waiting == 0);
    gate.open();
    assert_eq!(first.answer().status(), 200);
    until_all_idle(&gateway, 1);
    assert_eq!(backend.paths(), ["/first"]);
}

#[test]

fn rst_is_noticed_at_work_behind_a_flood_of_pipelined_requests() {
    let gate = Gate::new();
    let backend = gated(&gate);
    let gateway = gateway(&[&backend], "");
    let mut leaving = Client::asking(&gateway, get("/first"));
    backend.until_at_work();
    leaving.send(get("/behind").repeat(1000));
    leaving.reset();
    until_slots(&gateway, "the slot lingers", |slots| slots.lingering == 1);
    gate.open();
    until_all_idle(&gateway, 1);
    assert_eq!(backend.paths(), ["/first"]);
}

/// The gateway reads nothing from a client whose backend takes nothing.
#[test]

fn rst_is_noticed_in_an_upload_that_the_backend_does_not_read() {
    let gate = Gate::new();
    let backend = gated(&gate);
    let gateway = gateway(&[&backend], "");
    let length = 64 << 20;
    let mut leaving =
        Client::asking(&gateway, head_of("POST", "/first", &format!("Content-Length: {length}\r\n")));
    leaving.wire.write_until_blocked(length);
    backend.until_at_work();
    leaving.reset();
    until_slots(&gateway, "the slot lingers", |slots| slots.lingering == 1);
    gate.open();
    until_all_idle(&gateway, 1);
}

/// A client that has taken a part of an answer and leaves while the backend is silent.
#[test]
fn fin_is_noticed_while_an_answer_streams_and_the_backend_is_silent() {
    let gate = Gate::new();
    let backend = Backend::in_two_halves(gate.door());
    let gateway = gateway(&[&backend], "");
    let mut client = Client::asking(&gateway, get("/"));
    client.head();
    drop(client);
    until_slots(&gateway, "the slot lingers", |slots| slots.lingering == 1);
    gate.open();
    until_all_idle(&gateway, 1);
}

/// The rest of the line moves up: a place in a full line is free at once.
#[test]
fn a_place_in_line_is_free_when_its_client_leaves() {
    let gate = Gate::new();
    let backend = gated(&gate);
    let gateway = gateway(&[&backend], "queue = { length = 1, wait = \"60s\" }");
    let mut first = Client::asking(&gateway, get("/first"));
    backend.until_at_work();
    let leaving = Client::asking(&gateway, get("/left"));
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
    assert_eq!(ask(&gateway, get("/refused")).status(), 503);
    drop(leaving);
    until_slots(&gateway, "nobody in line", |slots| slots.waiting == 0);
    let mut next = Client::asking(&gateway, get("/next"));
    until_slots(&gateway, "the next in line", |slots| slots.waiting == 1);
    gate.open();
    assert_eq!(first.answer().status(), 200);
    assert_eq!(next.answer().status(), 200);
}

/// A client that left before its small body was complete never asked for a Slot.
#[test]
fn a_request_that_never_became_complete_reaches_no_backend() {
    let backend = Backend::answering("body");
    let gateway = gateway(&[&backend], "");
    let whole = post("/left", "a small body");
    for by_reset in [false, true] {
        for cut in [1, 20, whole.len() - 13, whole.len() - 12, whole.len() - 1] {
            let client = Client::asking(&gateway, &whole[..cut]);
            client.leave(by_reset);
        }
    }
    assert_eq!(ask(&gateway, get("/next")).status(), 200);
    assert_eq!(backend.paths(), ["/next"]);
}
