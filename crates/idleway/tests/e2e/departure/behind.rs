//! Departures behind bytes that nobody reads yet.

use idleway::config::Fin;

use super::{QUESTION, Way, gateway_where, rounds};
use crate::harness::*;

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

/// The gateway reads no more of a body than its buffer while the request stands in line: the end of what the client
/// sends shows behind it.
#[test]
fn a_closed_client_is_noticed_in_line_behind_its_own_body() {
    for way in [Way::Closed, Way::Reset] {
        let (gate, backend, gateway) = with_line(Fin::Ask);
        let mut first = Client::asking(&gateway, get("/first"));
        backend.until_at_work();
        let leaving = Client::asking(&gateway, post("/left", &large()));
        until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
        way.leave(leaving);
        until_slots(&gateway, "nobody in line", |slots| slots.waiting == 0);
        gate.open();
        assert_eq!(first.answer().status(), 200);
        until_all_idle(&gateway, 1);
        assert_eq!(backend.paths(), ["/first"], "{way:?}");
    }
}

#[test]
fn a_half_closed_client_keeps_its_place_and_its_whole_body_is_relayed() {
    for fin in [Fin::Ask, Fin::Answer] {
        let (gate, backend, gateway) = with_line(fin);
        let mut first = Client::asking(&gateway, get("/first"));
        backend.until_at_work();
        let mut client = Client::asking(&gateway, post("/it", &large()));
        until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
        client.half_close();
        if fin == Fin::Ask {
            assert_eq!(client.head().line, QUESTION);
        }
        rounds(&gateway);
        assert_eq!(gateway.slots().waiting, 1);
        gate.open();
        assert_eq!(first.answer().text(), "0");
        assert_eq!(client.answer().text(), large().len().to_string());
        client.sees_fin();
        until_all_idle(&gateway, 1);
    }
}

/// Whatever a FIN is to mean: this request will never be complete.
#[test]
fn a_fin_inside_a_streamed_body_is_a_departure() {
    for fin in [Fin::Ask, Fin::Answer] {
        let gate = Gate::new();
        let door = gate.door();
        let backend = Backend::new(move |visit| {
            visit.body().expect_err("the body was never complete");
            door.pass()?;
            visit.finish(CUT)
        });
        let gateway = gateway_where(fin, &backend, "");
        let length = 2 * large().len();
        let head = head_of("POST", "/cut", &format!("Content-Length: {length}\r\n"));
        let mut client = Client::asking(&gateway, head + &large());
        backend.until_at_work();
        client.half_close();
        until_slots(&gateway, "the slot lingers", |slots| slots.lingering == 1);
        client.sees_fin();
        gate.open();
        until_all_idle(&gateway, 1);
    }
}

/// More than the gateway buffers of a body, and no more than it and the kernel hold.
fn large() -> String {
    "x".repeat(100 * 1024)
}

fn with_line(fin: Fin) -> (Gate, Backend, idleway::Gateway) {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        door.pass()?;
        let length = visit.body()?.len().to_string();
        visit.finish(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{length}", length.len()))
    });
    let gateway = gateway_where(fin, &backend, "queue = { length = 5, wait = \"60s\" }");
    (gate, backend, gateway)
}

fn gated(gate: &Gate) -> Backend {
    let door = gate.door();
    Backend::new(move |visit| {
        door.pass()?;
        let _ = visit.body();
        visit.finish("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
    })
}
