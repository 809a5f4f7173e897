//! Connections to backends: kept with their Slots, replaced when stale, never more of them than Slots.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, ToSocketAddrs};

use crate::harness::*;

#[test]
fn a_connection_is_used_again_from_whatever_core_the_client_is_served() {
    let backend = Backend::answering("body");
    let gateway = gateway(&[&backend], "");
    // Clients that stay are dealt to the cores in turn.
    let mut clients: Vec<Client> = (0..4).map(|_| Client::of(&gateway)).collect();
    for _ in 0..5 {
        for client in &mut clients {
            client.send(post("/", "x"));
            assert_eq!(client.answer().text(), "body");
            until_all_idle(&gateway, 1);
        }
    }
    assert_eq!(backend.seen().accepted, 1);
}

/// Closes each connection after its answer without having said so; the test waits until it has.
#[test]
fn a_connection_that_the_backend_closed_while_it_was_kept_is_replaced_and_nobody_notices() {
    let backend = Backend::raw(|connection| {
        let Some(mut visit) = connection.request()? else { return Ok(()) };
        visit.answer("body")
    });
    let gateway = gateway(&[&backend], "");
    let mut client = Client::of(&gateway);
    for (nth, request) in
        [get("/"), post("/", "x"), post("/", "y"), get("/"), post("/", "z")].iter().enumerate()
    {
        client.send(request);
        assert_eq!(client.answer().text(), "body", "request {nth}");
        backend.until("its own close", |seen| seen.closed == nth + 1);
        until_all_idle(&gateway, 1);
    }
    assert_eq!(backend.seen().accepted, 5);
    assert_eq!(backend.seen().most_open, 1);
}

/// That one is stale shows before it is used, and costs no attempt: with one attempt a request has but this one.
#[test]

fn a_stale_connection_is_no_attempt() {
    let backend = Backend::raw(|connection| {
        let Some(mut visit) = connection.request()? else {
            return Ok(());
        };
        visit.answer("body")
    });
    let gateway = gateway(&[&backend], "retry = { attempts = 1 }");
    // On both cores: the connection is mostly the other one's.
    let mut clients = [(); 3].map(|()| Client::of(&gateway));
    let (mut served, mut crossed) = (0, 0);
    for nth in 0..200 {
        let client = &mut clients[nth % 3];
        let repeatable = nth % 2 == 0;
        client.send(if repeatable { get("/") } else { post("/", "x") });
        let answer = client.answer();
        if !repeatable && answer.status() == 502 {
            // A busy kernel delivers a FIN a moment after the close: this one has crossed it.
            crossed += 1;
        } else {
            assert_eq!((answer.status(), answer.text()), (200, "body"), "request {nth}");
            served += 1;
        }
        backend.until("its own close", |seen| seen.closed == served);
        until_all_idle(&gateway, 1);
    }
    assert!(crossed <= 5, "{crossed} of 100 that cannot be repeated met a stale connection");
}

/// What a parked connection says is no answer to anything.
#[test]
fn a_connection_on_which_something_came_while_it_was_kept_is_replaced() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        visit.answer("body")?;
        door.pass()?;
        visit.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")?;
        visit.tell(1);
        Ok(())
    });
    let gateway = gateway(&[&backend], "");
    assert_eq!(ask(&gateway, post("/", "x")).text(), "body");
    until_all_idle(&gateway, 1);
    gate.open();
    backend.until("its unasked word", |seen| seen.told == 1);
    assert_eq!(ask(&gateway, post("/", "x")).text(), "body");
    assert_eq!(backend.seen().accepted, 2);
}

#[test]
fn a_backend_that_announces_its_close_gets_a_new_connection_each_time() {
    let backend = Backend::new(|visit| {
        visit.body()?;
        visit.finish("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody")?;
        visit.close()
    });
    let gateway = gateway(&[&backend], "queue = { length = 20, wait = \"60s\" }");
    let mut clients: Vec<Client> = (0..20).map(|_| Client::asking(&gateway, post("/", "x"))).collect();
    for client in &mut clients {
        assert_eq!(client.answer().text(), "body");
    }
    let seen = backend.seen();
    assert_eq!((seen.accepted, seen.peak, seen.most_open), (20, 1, 1));
}

#[test]
fn without_keep_alive_each_request_has_a_connection_of_its_own() {
    let backend = Backend::answering("body");
    let gateway = gateway(&[&backend], "keep_alive = false");
    for _ in 0..3 {
        assert_eq!(ask(&gateway, post("/", "x")).text(), "body");
        until_all_idle(&gateway, 1);
    }
    let seen = backend.seen();
    assert_eq!((seen.accepted, seen.most_open), (3, 1));
    assert!(seen.heads.iter().all(|head| head.fields.one("Connection") == Some("close")));
}

#[test]
fn connections_never_outnumber_the_slots() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::of(3, move |visit| {
        door.pass()?;
        visit.answer("body")
    });
    let gateway = start(&format!(
        "backends = [{{ url = {:?}, slots = 3 }}]\nqueue = {{ length = 100, wait = \"60s\" }}",
        backend.url()
    ));
    let mut clients: Vec<Client> = (0..60).map(|_| Client::asking(&gateway, post("/", "x"))).collect();
    backend.until("three at work", |seen| seen.at_work == 3);
    until_slots(&gateway, "the others in line", |slots| slots.waiting == 57);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().text(), "body");
    }
    until_all_idle(&gateway, 3);
    let seen = backend.seen();
    assert_eq!((seen.peak, seen.most_open, seen.accepted), (3, 3, 3));
}

/// It keeps an idle connection for a second and says so: half a second before that it is no longer used.
#[test]
fn a_keep_alive_timeout_of_the_backend_is_believed() {
    let backend = Backend::new(|visit| {
        visit.body()?;
        visit.finish("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0, max=100\r\nContent-Length: 4\r\n\r\nbody")
    });
    let gateway = gateway(&[&backend], "");
    for _ in 0..3 {
        assert_eq!(ask(&gateway, post("/", "x")).text(), "body");
        until_all_idle(&gateway, 1);
    }
    let seen = backend.seen();
    assert_eq!((seen.accepted, seen.most_open), (3, 1));
}

#[test]
fn a_connection_that_nobody_uses_is_closed_after_keep_idle() {
    let backend = Backend::answering("body");
    let gateway = gateway(&[&backend], "keep_idle = \"20ms\"");
    assert_eq!(ask(&gateway, get("/")).text(), "body");
    backend.until("the gateway's FIN", |seen| seen.closed == 1);
    assert_eq!(ask(&gateway, get("/")).text(), "body");
}

/// Chunks go to the backend of a pool that reads them.
#[test]
fn chunks_are_not_refused_where_another_backend_takes_them() {
    let old = Backend::new(|visit| {
        visit.body()?;
        visit.finish("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold")?;
        visit.close()
    });
    let new = Backend::answering("new");
    let gateway = gateway(&[&old, &new], "keep_alive = false");
    // In turn: after two requests the version of both is known.
    for _ in 0..2 {
        assert_eq!(ask(&gateway, get("/")).status(), 200);
        until_all_idle(&gateway, 2);
    }
    let chunk = format!("28000\r\n{}\r\n0\r\n\r\n", "x".repeat(0x28000));
    for _ in 0..4 {
        let upload = head_of("POST", "/", "Transfer-Encoding: chunked\r\n") + &chunk;
        assert_eq!(ask(&gateway, upload).text(), "new");
        until_all_idle(&gateway, 2);
    }
}

/// An HTTP/1.0 backend reads no chunks: it is told a length where the body fits the buffer.
#[test]
fn an_http_10_backend_gets_a_length_or_the_client_gets_411() {
    let backend = Backend::new(|visit| {
        assert!(visit.head.fields.all("Transfer-Encoding").is_empty(), "{:?}", visit.head);
        let body = visit.body()?;
        visit.finish(format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()))?;
        visit.finish(body)?;
        visit.close()
    });
    let gateway = gateway(&[&backend], "");
    let chunked = head_of("POST", "/", "Transfer-Encoding: chunked\r\n");
    let small = "5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(ask(&gateway, format!("{chunked}{small}")).text(), "hello");
    until_all_idle(&gateway, 1);
    let mut long = Client::asking(&gateway, format!("{chunked}80000\r\n"));
    long.send("x".repeat(128 * 1024));
    assert_eq!(long.answer().status(), 411);
    until_all_idle(&gateway, 1);
    let content = "y".repeat(256 * 1024);
    assert_eq!(ask(&gateway, post("/", &content)).text(), content);
    assert_eq!(backend.seen().heads.len(), 2);
}

#[test]
fn localhost_is_found_on_whichever_address_family_the_backend_listens() {
    let named: Vec<IpAddr> =
        ("localhost", 0).to_socket_addrs().unwrap().map(|address| address.ip()).collect();
    for family in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        if !named.contains(&family) || TcpListener::bind((family, 0)).is_err() {
            println!("localhost is not {family} on this machine: not tried");
            continue;
        }
        let backend = Backend::at(family, 1, |connection| {
            while let Some(mut visit) = connection.request()? {
                visit.answer("found")?;
            }
            Ok(())
        });
        let gateway = start(&format!("backends = [\"http://localhost:{}\"]", backend.port()));
        for _ in 0..3 {
            let answer = ask(&gateway, post("/", "x"));
            assert_eq!((answer.status(), answer.text()), (200, "found"), "{family}");
            until_all_idle(&gateway, 1);
        }
        assert_eq!(backend.seen().accepted, 1);
    }
}
