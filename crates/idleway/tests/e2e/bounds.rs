//! What is too much of one client: a status of its own for each, and no backend hears of it.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use crate::harness::*;

fn house(config: &str) -> (Backend, idleway::Gateway) {
    let backend = Backend::answering("body");
    let gateway = gateway(&[&backend], config);
    (backend, gateway)
}

/// The answer to what cannot be read on: the connection ends with it.
#[track_caller]
fn last_answer(gateway: &idleway::Gateway, request: impl AsRef<[u8]>) -> Response {
    let mut client = Client::asking(gateway, request);
    let answer = client.answer();
    assert_eq!(answer.field("Connection"), Some("close"), "{:?}", answer.head);
    client.sees_fin();
    answer
}

#[test]
fn a_head_that_is_too_large_or_has_too_many_fields_is_431() {
    let (backend, gateway) = house("limits = { head = \"4KiB\", fields = 20 }");
    let large = head_of("GET", "/", &format!("X: {}\r\n", "x".repeat(5000)));
    assert_eq!(last_answer(&gateway, large).status(), 431);
    let many = head_of("GET", "/", &"X: y\r\n".repeat(30));
    assert_eq!(last_answer(&gateway, many).status(), 431);
    // One that never ends is refused as soon as that is known.
    let endless = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(5000));
    assert_eq!(last_answer(&gateway, endless).status(), 431);
    let fits = head_of("GET", "/", &format!("X: {}\r\n", "x".repeat(3000)));
    assert_eq!(ask(&gateway, fits).status(), 200);
    assert_eq!(backend.seen().heads.len(), 1);
}

#[test]
fn a_target_that_is_too_long_is_414() {
    let (backend, gateway) = house("limits = { target = \"1KiB\" }");
    assert_eq!(last_answer(&gateway, get(&format!("/{}", "x".repeat(1100)))).status(), 414);
    assert_eq!(ask(&gateway, get(&format!("/{}", "x".repeat(900)))).status(), 200);
    assert_eq!(backend.seen().heads.len(), 1);
}

#[test]
fn a_body_that_is_too_large_is_413_whether_it_says_so_or_not() {
    let (backend, gateway) = house("limits = { body = \"100KiB\" }");
    let head = head_of("POST", "/", &format!("Content-Length: {}\r\n", 100 * 1024 + 1));
    assert_eq!(last_answer(&gateway, &head).status(), 413);
    let asking = head_of("POST", "/", &format!("Expect: 100-continue\r\nContent-Length: {}\r\n", 1 << 30));
    assert_eq!(last_answer(&gateway, asking).status(), 413);
    assert_eq!(backend.seen().heads.len(), 0);
    let fits = post("/", &"x".repeat(100 * 1024));
    assert_eq!(ask(&gateway, fits).status(), 200);
}

#[test]
fn a_chunked_body_that_grows_too_large_is_413_before_it_reaches_a_backend() {
    let (backend, gateway) = house("limits = { body = \"10KiB\" }");
    let mut request = head_of("POST", "/", "Transfer-Encoding: chunked\r\n");
    for _ in 0..11 {
        request += &format!("400\r\n{}\r\n", "x".repeat(1024));
    }
    assert_eq!(last_answer(&gateway, request).status(), 413);
    assert_eq!(backend.seen().heads.len(), 0);
}

#[test]
fn a_streamed_body_that_grows_too_large_is_413_and_cut_for_the_backend() {
    let backend = Backend::new(|visit| {
        let error = visit.body().expect_err("a complete body");
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
        visit.finish(CUT)
    });
    let gateway = gateway(&[&backend], "limits = { body = \"400KiB\" }");
    let mut client = Client::asking(&gateway, head_of("POST", "/", "Transfer-Encoding: chunked\r\n"));
    client.send([b"80000\r\n", &vec![b'x'; 0x80000][..]].concat());
    assert_eq!(client.answer().status(), 413);
    client.sees_fin();
    until_all_idle(&gateway, 1);
    assert_eq!(backend.seen().heads.len(), 1);
}

#[test]
fn a_head_that_does_not_end_in_time_is_408() {
    let (backend, gateway) = house("limits = { head_timeout = \"50ms\" }");
    assert_eq!(last_answer(&gateway, "GET / HTTP/1.1\r\nHost: a\r\nX: ").status(), 408);
    // Also behind a first request on the same connection.
    let mut client = Client::asking(&gateway, get("/"));
    assert_eq!(client.answer().status(), 200);
    client.send("GET / HT");
    assert_eq!(client.answer().status(), 408);
    client.sees_fin();
    assert_eq!(backend.seen().heads.len(), 1);
}

#[test]
fn a_head_that_dribbles_on_is_408_all_the_same() {
    let (_backend, gateway) = house("limits = { head_timeout = \"100ms\" }");
    let mut client = Client::asking(&gateway, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    eventually("an answer", || {
        // The connection may have ended just now: then the answer is there.
        let _ = client.wire.write("x");
        !client.wire.is_silent()
    });
    assert_eq!(client.answer().status(), 408);
}

#[test]
fn a_connection_without_a_request_is_closed_without_a_word() {
    let (_backend, gateway) = house("limits = { keep_alive = \"50ms\" }");
    Client::of(&gateway).sees_fin();
    let mut client = Client::asking(&gateway, get("/"));
    assert_eq!(client.answer().status(), 200);
    client.sees_fin();
}

#[test]

fn a_small_body_that_stops_is_408_and_never_had_a_slot() {
    let (backend, gateway) = house("client = { read = \"50ms\" }");
    let head = head_of("POST", "/", "Content-Length: 10\r\n");
    assert_eq!(last_answer(&gateway, head + "half").status(), 408);
    assert_eq!(backend.seen().heads.len(), 0);
}

/// The Slot lingers until the backend has noticed that the rest will not come.
#[test]
fn a_streamed_body_that_stops_is_408_and_a_fin_for_the_backend() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        let error = visit.body().expect_err("a complete body");
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
        door.pass()?;
        visit.finish(CUT)
    });
    let gateway = gateway(&[&backend], "client = { read = \"50ms\" }");
    let mut client =
        Client::asking(&gateway, head_of("POST", "/", &format!("Content-Length: {}\r\n", 1 << 20)));
    client.send(vec![b'x'; 256 * 1024]);
    let answer = client.answer();
    assert_eq!(answer.status(), 408);
    client.sees_fin();
    until_slots(&gateway, "the slot lingers", |slots| slots.lingering == 1);
    assert_eq!(ask(&gateway, get("/")).status(), 503);
    gate.open();
    until_all_idle(&gateway, 1);
}

/// A backend whose backlog is full neither accepts nor refuses.
#[test]
fn the_deadline_runs_while_the_gateway_connects() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let _in_backlog = [(); 2].map(|()| {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        let _ = client.connect(&address.into());
        client
    });
    let gateway = start(&format!(
        "backends = [\"http://{address}\"]\nconnect_timeout = \"{}s\"\ndeadline = \"50ms\"",
        2 * PATIENCE.as_secs()
    ));
    assert_eq!(ask(&gateway, get("/")).status(), 504);
    until_all_idle(&gateway, 1);
    // It was this request's deadline, not the backend's fault: the next one tries it, too.
    assert_eq!(ask(&gateway, get("/")).status(), 504);
}

/// A backend that closes because the gateway did, and says nothing, may still be at work: an event loop closes at
/// once, whatever its handlers do.
#[test]
fn a_backend_that_only_closes_after_a_broken_upload_is_not_believed_to_be_idle() {
    let backend = Backend::new(|visit| {
        if visit.method() == "POST" {
            visit.body().expect_err("a complete body");
            return visit.close();
        }
        visit.answer("next")
    });
    let gateway = gateway(&[&backend], "timeout = \"2s\"");
    let mut client =
        Client::asking(&gateway, head_of("POST", "/", &format!("Content-Length: {}\r\n", 1 << 20)));
    client.send(vec![b'x'; 256 * 1024]);
    backend.until_at_work();
    client.reset();
    until_slots(&gateway, "the slot rests", |slots| slots.resting == 1);
    assert_eq!(ask(&gateway, get("/")).status(), 503);
    until_all_idle(&gateway, 1);
    assert_eq!(ask(&gateway, get("/")).text(), "next");
}

#[test]
fn without_keep_alive_each_answer_is_the_last_of_its_connection() {
    let (_backend, gateway) = house("limits = { keep_alive = \"0s\" }");
    assert_eq!(last_answer(&gateway, get("/")).status(), 200);
}

/// The answer comes before the body; the rest is read away, and is no request.
#[test]
fn a_small_body_that_nobody_wants_leaves_the_connection_usable() {
    let backend = Backend::answering("body");
    let gateway = start(&format!(
        "[pools.a]\nbackends = [{:?}]\n[[routes]]\npath = \"/known\"\npool = \"a\"\n",
        backend.url()
    ));
    let mut client = Client::of(&gateway);
    let smuggled = get("/known/smuggled");
    let length = smuggled.len() * 20;
    for _ in 0..3 {
        client.send(head_of("POST", "/unknown", &format!("Content-Length: {length}\r\n")));
        let answer = client.answer();
        assert_eq!((answer.status(), answer.field("Connection")), (404, None));
        client.send(smuggled.repeat(20));
        client.send(get("/known"));
        assert_eq!(client.answer().text(), "body");
    }
    assert_eq!(backend.paths(), ["/known"; 3]);
}

#[test]
fn above_the_cap_on_connections_the_next_is_served_when_one_ends() {
    let (_backend, gateway) = house("limits = { connections = 2 }");
    let mut clients = [Client::of(&gateway), Client::of(&gateway)];
    for client in &mut clients {
        client.send(get("/"));
        assert_eq!(client.answer().status(), 200);
        until_all_idle(&gateway, 1);
    }
    let mut third = Client::asking(&gateway, get("/"));
    // Whoever is served shows that the gateway is awake; the third is not.
    for client in &mut clients {
        client.send(get("/"));
        assert_eq!(client.answer().status(), 200);
        until_all_idle(&gateway, 1);
    }
    assert!(third.wire.is_silent());
    let [first, _second] = clients;
    drop(first);
    assert_eq!(third.answer().status(), 200);
}
