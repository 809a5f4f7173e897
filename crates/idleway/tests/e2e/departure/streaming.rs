//! Departures once the answer has begun: nothing can be asked then, and the answer itself tells.

use idleway::config::Fin;

use super::{Way, gateway_where, rounds};
use crate::harness::*;

#[test]
fn rst_is_noticed_while_the_backend_is_silent_whatever_a_fin_means() {
    for fin in [Fin::Ask, Fin::Gone, Fin::Answer] {
        leaves_in_silence(fin, Way::Reset);
    }
}

#[test]
fn a_fin_in_an_answer_is_a_departure_where_it_is_to_mean_one() {
    leaves_in_silence(Fin::Gone, Way::Closed);
    leaves_in_silence(Fin::Gone, Way::HalfClosed);
}

#[test]
fn a_half_closed_client_gets_the_rest_of_its_answer_and_no_question_inside_it() {
    for (fin, request) in
        [(Fin::Ask, get("/")), (Fin::Ask, "GET / HTTP/1.0\r\n\r\n".to_owned()), (Fin::Answer, get("/"))]
    {
        let gate = Gate::new();
        let backend = Backend::in_two_halves(gate.door());
        let gateway = gateway_where(fin, &backend, "");
        let mut client = Client::asking(&gateway, request);
        client.head();
        assert_eq!(client.wire.exactly(4).unwrap(), b"half");
        client.half_close();
        rounds(&gateway);
        assert_eq!(gateway.slots().lingering, 0, "{fin:?}");
        gate.open();
        assert_eq!(client.wire.until_end().unwrap(), b"half", "{fin:?}");
        until_all_idle(&gateway, 1);
    }
}

/// What is written to a closed socket comes back as a reset.
#[test]
fn a_closed_client_is_noticed_by_what_is_written_to_it() {
    for fin in [Fin::Ask, Fin::Answer] {
        let (more, end) = (Gate::new(), Gate::new());
        let (more_door, end_door) = (more.door(), end.door());
        let backend = Backend::new(move |visit| {
            visit.write("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nfirst")?;
            more_door.pass()?;
            visit.write("again")?;
            end_door.pass()?;
            visit.finish("third")
        });
        let gateway = gateway_where(fin, &backend, "");
        let mut client = Client::asking(&gateway, get("/"));
        client.head();
        assert_eq!(client.wire.exactly(5).unwrap(), b"first");
        drop(client);
        rounds(&gateway);
        assert_eq!(gateway.slots().lingering, 0, "{fin:?}");
        more.open();
        until_slots(&gateway, "the slot lingers", |slots| slots.lingering == 1);
        end.open();
        until_all_idle(&gateway, 1);
    }
}

/// A client that was asked before its answer began, and leaves while that streams.
#[test]
fn rst_behind_a_fin_is_noticed_while_the_backend_is_silent() {
    let (begin, end) = (Gate::new(), Gate::new());
    let (begin_door, end_door) = (begin.door(), end.door());
    let backend = Backend::new(move |visit| {
        begin_door.pass()?;
        visit.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")?;
        end_door.pass()?;
        visit.finish("half")
    });
    let gateway = gateway_where(Fin::Ask, &backend, "");
    let mut client = Client::asking(&gateway, get("/"));
    client.half_close();
    assert_eq!(client.head().line, super::QUESTION);
    begin.open();
    assert_eq!(client.head().word(1), "200");
    assert_eq!(gateway.slots().lingering, 0);
    client.reset();
    until_slots(&gateway, "the slot lingers", |slots| slots.lingering == 1);
    end.open();
    until_all_idle(&gateway, 1);
}

fn leaves_in_silence(fin: Fin, way: Way) {
    let gate = Gate::new();
    let backend = Backend::in_two_halves(gate.door());
    let gateway = gateway_where(fin, &backend, "");
    let mut client = Client::asking(&gateway, get("/"));
    client.head();
    let _half_closed = way.leave(client);
    until_slots(&gateway, "the slot lingers", |slots| slots.lingering == 1);
    gate.open();
    until_all_idle(&gateway, 1);
}
