//! Departures in the line: whoever left never reaches a backend, whoever only half-closed keeps its place.

use idleway::config::Fin;

use super::{QUESTION, Scene, Way, gateway_where, rounds};
use crate::harness::*;

const WITHOUT_INTERIM: &str = "GET /it HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";

#[test]
fn rst_leaves_the_line_whatever_a_fin_means() {
    for fin in [Fin::Ask, Fin::Gone, Fin::Answer] {
        leaves(fin, &get("/it"), Way::Reset);
        leaves(fin, &post("/it", "body"), Way::Reset);
    }
}

#[test]
fn a_closed_client_leaves_the_line() {
    for request in [get("/it"), post("/it", "body"), head_of("HEAD", "/it", ""), WITHOUT_INTERIM.to_owned()] {
        leaves(Fin::Ask, &request, Way::Closed);
        leaves(Fin::Gone, &request, Way::Closed);
    }
}

#[test]
fn a_half_closed_client_is_asked_keeps_its_place_and_gets_its_whole_answer() {
    let expecting = head_of("POST", "/it", "Expect: 100-continue\r\nContent-Length: 4\r\n") + "body";
    for request in [get("/it"), post("/it", "body"), expecting] {
        stays(Fin::Ask, &request);
    }
}

#[test]
fn where_a_fin_is_to_mean_nothing_nobody_is_asked() {
    stays(Fin::Answer, &get("/it"));
    stays(Fin::Answer, WITHOUT_INTERIM);
}

#[test]
fn where_a_fin_is_to_mean_departure_a_half_closed_client_is_gone() {
    leaves(Fin::Gone, &get("/it"), Way::HalfClosed);
}

#[test]
fn an_http_10_client_knows_no_question_and_is_gone() {
    leaves(Fin::Ask, WITHOUT_INTERIM, Way::HalfClosed);
}

/// What is not there now will never come.
#[test]
fn a_half_closed_client_whose_body_can_never_be_whole_is_gone() {
    let length = head_of("POST", "/it", "Expect: 100-continue\r\nContent-Length: 4\r\n");
    let chunks = head_of("POST", "/it", "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n");
    for request in [length.clone(), length + "bod", chunks] {
        for fin in [Fin::Ask, Fin::Answer] {
            leaves(fin, &request, Way::HalfClosed);
        }
    }
}

/// The event loop tells of no reset behind a FIN.
#[test]
fn rst_behind_a_fin_leaves_the_line() {
    for fin in [Fin::Ask, Fin::Answer] {
        let scene = Scene::with_line(fin);
        let (mut first, leaving) = (scene.at_work(), scene.in_line(get("/it")));
        leaving.half_close();
        rounds(&scene.gateway);
        assert_eq!(scene.gateway.slots().waiting, 1, "{fin:?}");
        leaving.reset();
        until_slots(&scene.gateway, "nobody in line", |slots| slots.waiting == 0);
        scene.gate.open();
        assert_eq!(first.answer().status(), 200);
        until_all_idle(&scene.gateway, 1);
        assert_eq!(scene.backend.paths(), ["/first"]);
    }
}

/// Its kernel does not take the question, so that nothing tells whether it is there.
#[test]
fn a_half_closed_client_that_reads_nothing_does_not_hold_up_the_slot_for_long() {
    let gate = Gate::new();
    let door = gate.door();
    let large = "x".repeat(8 * 1024);
    let answer = large.clone();
    let backend = Backend::new(move |visit| match visit.path() {
        "/large" => visit.answer(&answer),
        _ => {
            door.pass()?;
            visit.answer("done")
        }
    });
    let gateway = gateway_where(Fin::Ask, &backend, "queue = { length = 5, wait = \"60s\" }");
    // What fills its window stands before the question.
    let mut client = Client::with_small_window(&gateway);
    client.send(get("/large"));
    backend.until("the large answer", |seen| seen.heads.len() == 1);
    until_all_idle(&gateway, 1);
    let mut first = Client::asking(&gateway, get("/first"));
    backend.until_at_work();
    client.send(get("/it"));
    client.half_close();
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
    gate.open();
    assert_eq!(first.answer().text(), "done");
    backend.until("the request of a client that reads nothing", |seen| seen.heads.len() == 3);
    assert_eq!(client.answer().text(), large);
    assert_eq!(client.head().line, QUESTION);
    assert_eq!(client.answer().text(), "done");
    client.sees_fin();
}

fn leaves(fin: Fin, request: &str, way: Way) {
    let scene = Scene::with_line(fin);
    let (mut first, leaving) = (scene.at_work(), scene.in_line(request));
    let half_closed = way.leave(leaving);
    until_slots(&scene.gateway, "nobody in line", |slots| slots.waiting == 0);
    let mut behind = scene.in_line(get("/behind"));
    scene.gate.open();
    assert_eq!(first.answer().status(), 200);
    assert_eq!(behind.answer().status(), 200);
    if let Some(mut client) = half_closed {
        client.sees_fin();
    }
    until_all_idle(&scene.gateway, 1);
    assert_eq!(scene.backend.paths(), ["/first", "/behind"], "{fin:?} {way:?} {request:?}");
}

fn stays(fin: Fin, request: &str) {
    let scene = Scene::with_line(fin);
    let (mut first, mut client) = (scene.at_work(), scene.in_line(request));
    client.half_close();
    if fin == Fin::Ask {
        assert_eq!(client.head().line, QUESTION);
    }
    rounds(&scene.gateway);
    assert_eq!(scene.gateway.slots().waiting, 1, "{fin:?} {request:?}");
    let mut behind = scene.in_line(get("/behind"));
    scene.gate.open();
    assert_eq!(first.answer().status(), 200);
    assert_eq!(client.answer().text(), "/it", "{fin:?} {request:?}");
    client.sees_fin();
    assert_eq!(behind.answer().status(), 200);
    until_all_idle(&scene.gateway, 1);
    assert_eq!(scene.backend.paths(), ["/first", "/it", "/behind"], "{fin:?} {request:?}");
}
