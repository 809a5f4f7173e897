//! Departures while a backend works for the client, before its answer has begun.

use idleway::config::Fin;

use super::{QUESTION, Scene, Way, rounds};
use crate::harness::*;

#[test]
fn rst_is_noticed_at_work_whatever_a_fin_means() {
    for fin in [Fin::Ask, Fin::Gone, Fin::Answer] {
        leaves(fin, &get("/first"), Way::Reset);
    }
}

#[test]
fn a_closed_client_is_noticed_at_work() {
    for request in [get("/first"), post("/first", "body"), head_of("HEAD", "/first", "")] {
        leaves(Fin::Ask, &request, Way::Closed);
        leaves(Fin::Gone, &request, Way::Closed);
    }
}

#[test]
fn a_half_closed_client_is_gone_where_it_is_not_or_cannot_be_asked() {
    leaves(Fin::Gone, &get("/first"), Way::HalfClosed);
    leaves(Fin::Ask, "GET /first HTTP/1.0\r\n\r\n", Way::HalfClosed);
}

#[test]
fn a_half_closed_client_is_asked_and_gets_its_whole_answer() {
    let expecting = head_of("POST", "/first", "Expect: 100-continue\r\nContent-Length: 4\r\n") + "body";
    for request in [get("/first"), post("/first", "body"), expecting] {
        let scene = Scene::new(Fin::Ask);
        let mut client = Client::asking(&scene.gateway, request);
        scene.backend.until_at_work();
        client.half_close();
        let mut head = client.head();
        if head.word(1) == "100" {
            head = client.head();
        }
        assert_eq!(head.line, QUESTION);
        rounds(&scene.gateway);
        assert_eq!(scene.gateway.slots().lingering, 0);
        scene.gate.open();
        assert_eq!(client.answer().text(), "/first");
        client.sees_fin();
        until_all_idle(&scene.gateway, 1);
    }
}

/// The FIN is there before the gateway has read the request.
#[test]
fn a_request_whose_fin_comes_with_it_gets_its_whole_answer() {
    for (fin, request) in
        [(Fin::Ask, post("/first", "body")), (Fin::Answer, "GET /first HTTP/1.0\r\n\r\n".to_owned())]
    {
        let scene = Scene::new(fin);
        let mut client = Client::asking(&scene.gateway, request);
        client.half_close();
        scene.backend.until_at_work();
        if fin == Fin::Ask {
            assert_eq!(client.head().line, QUESTION);
        }
        rounds(&scene.gateway);
        scene.gate.open();
        assert_eq!(client.answer().text(), "/first");
        client.sees_fin();
        until_all_idle(&scene.gateway, 1);
    }
}

#[test]
fn head_is_answered_without_a_body_behind_a_question() {
    let scene = Scene::new(Fin::Ask);
    let mut client = Client::asking(&scene.gateway, head_of("HEAD", "/first", ""));
    client.half_close();
    assert_eq!(client.head().line, QUESTION);
    scene.gate.open();
    assert_eq!(client.try_answer("HEAD").unwrap().status(), 200);
    client.sees_fin();
}

#[test]
fn where_a_fin_is_to_mean_nothing_a_closed_client_is_worked_for() {
    let scene = Scene::new(Fin::Answer);
    let client = Client::asking(&scene.gateway, get("/first"));
    scene.backend.until_at_work();
    drop(client);
    rounds(&scene.gateway);
    let slots = scene.gateway.slots();
    assert_eq!((slots.busy, slots.lingering), (1, 0));
    scene.gate.open();
    until_all_idle(&scene.gateway, 1);
}

/// All that came before the FIN is answered, in order, and then the connection ends.
#[test]
fn pipelined_requests_before_a_fin_are_all_answered() {
    for fin in [Fin::Ask, Fin::Answer] {
        let scene = Scene::new(fin);
        let mut client =
            Client::asking(&scene.gateway, get("/first") + &post("/second", "x") + &get("/third"));
        client.half_close();
        scene.backend.until_at_work();
        rounds(&scene.gateway);
        scene.gate.open();
        for path in ["/first", "/second", "/third"] {
            let mut head = client.head();
            while head.line == QUESTION && fin == Fin::Ask {
                head = client.head();
            }
            assert_eq!(head.word(1), "200");
            assert_eq!(client.wire.body(&head).unwrap().0, path.as_bytes());
        }
        client.sees_fin();
        until_all_idle(&scene.gateway, 1);
        assert_eq!(scene.backend.paths(), ["/first", "/second", "/third"]);
    }
}

fn leaves(fin: Fin, request: &str, way: Way) {
    let scene = Scene::new(fin);
    let leaving = Client::asking(&scene.gateway, request);
    scene.backend.until_at_work();
    let half_closed = way.leave(leaving);
    until_slots(&scene.gateway, "the slot lingers", |slots| slots.lingering == 1);
    if let Some(mut client) = half_closed {
        client.sees_fin();
    }
    scene.gate.open();
    until_all_idle(&scene.gateway, 1);
    assert_eq!(scene.backend.paths(), ["/first"], "{fin:?} {way:?} {request:?}");
}
