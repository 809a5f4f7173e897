//! What is no HTTP, and what breaks off: never a complete 200, and never somebody else's answer.

use std::io;

use crate::harness::*;

/// A backend that answers every request with these bytes and closes.
fn saying(bytes: &'static str) -> Backend {
    Backend::new(move |visit| {
        visit.body()?;
        visit.finish(bytes)?;
        visit.close()
    })
}

/// A healthy server that once says something odd keeps its connection open: it has to be told that the gateway
/// has no more to say.
#[test]
fn an_unreadable_answer_does_not_lose_the_slot() {
    let backend = Backend::new(|visit| match visit.path() {
        "/odd" => visit.finish("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
        _ => visit.answer("sound"),
    });
    let gateway = gateway(&[&backend], "timeout = \"50ms\"");
    assert_eq!(ask(&gateway, get("/odd")).status(), 502);
    until_all_idle(&gateway, 1);
    assert_eq!(ask(&gateway, get("/")).text(), "sound");
}

#[test]
fn what_is_no_response_becomes_502() {
    let cases = [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n",
        "HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nFolded: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad name: a\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nNul: \0\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "",
    ];
    for case in cases {
        let backend = saying(case);
        let gateway = gateway(&[&backend], "");
        for request in [
            post("/", "x"),
            head_of("POST", "/", "Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n"),
        ] {
            let answer = ask(&gateway, request);
            assert_eq!(answer.status(), 502, "{case:?}: {:?}", answer.head);
            assert!(
                answer.field("Proxy-Status").unwrap().contains("error=http_"),
                "{case:?}: {:?}",
                answer.head
            );
            until_all_idle(&gateway, 1);
        }
        assert_eq!(backend.seen().peak, 1, "{case:?}");
    }
}

#[test]
fn seventeen_interim_responses_are_502_and_sixteen_are_not() {
    for (count, status) in [(16, 200), (17, 502)] {
        let backend = Backend::new(move |visit| {
            for _ in 0..count {
                visit.write("HTTP/1.1 102 Processing\r\n\r\n")?;
            }
            visit.finish("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
            visit.close()
        });
        let gateway = gateway(&[&backend], "");
        assert_eq!(ask(&gateway, get("/")).status(), status, "after {count}");
        until_all_idle(&gateway, 1);
    }
}

/// The clock runs from the request on, so a flood of interim responses does not keep a client for ever.
#[test]
fn interim_responses_do_not_restart_the_timeout() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        visit.write("HTTP/1.1 102 Processing\r\n\r\n")?;
        door.pass()?;
        visit.finish("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let gateway = gateway(&[&backend], "timeout = \"50ms\"");
    assert_eq!(ask(&gateway, get("/")).status(), 504);
    gate.open();
    until_all_idle(&gateway, 1);
}

#[test]
fn early_hints_reach_an_http_11_client_at_once_and_no_http_10_client() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        visit.write("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n")?;
        door.pass()?;
        visit.finish("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let gateway = gateway(&[&backend], "");
    let mut client = Client::asking(&gateway, get("/"));
    let hints = client.head();
    assert_eq!(hints.word(1), "103");
    assert_eq!(hints.fields.one("Link"), Some("</a.css>; rel=preload"));
    assert_eq!(hints.fields.one("X-Hop"), None);
    gate.open();
    assert_eq!(client.answer().status(), 200);
    let mut old = Client::asking(&gateway, "GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.answer().status(), 200);
}

#[test]
fn a_cut_answer_is_visible_as_cut_by_its_framing() {
    let cases = [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n10\r\npa",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n0\r\n\r\n",
    ];
    for case in cases {
        let backend = saying(case);
        let gateway = gateway(&[&backend], "");
        let mut client = Client::asking(&gateway, get("/"));
        let error = client.try_answer("GET").expect_err(case);
        assert!(
            matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset),
            "{case:?}: {error}"
        );
        until_all_idle(&gateway, 1);
    }
}

#[test]
fn what_came_before_a_cut_is_delivered() {
    for framing in ["Content-Length: 100\r\n\r\npart", "Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n"] {
        let backend = Backend::new(move |visit| {
            visit.finish(format!("HTTP/1.1 200 OK\r\n{framing}"))?;
            visit.close()
        });
        let gateway = gateway(&[&backend], "");
        let mut client = Client::asking(&gateway, get("/"));
        let head = client.head();
        let part = if head.is_chunked() {
            client.wire.chunk().unwrap().unwrap()
        } else {
            client.wire.exactly(4).unwrap()
        };
        assert_eq!(part, b"part");
        assert!(!matches!(client.wire.until_end(), Ok(rest) if !rest.is_empty()), "more than the cut answer");
    }
}

#[test]
fn a_cut_answer_resets_a_client_that_would_take_the_close_for_its_end() {
    for case in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nnonsense\r\n",
    ] {
        let backend = saying(case);
        let gateway = gateway(&[&backend], "");
        let mut client = Client::asking(&gateway, "GET / HTTP/1.0\r\n\r\n");
        // The reset may overtake the head itself, and shows only once.
        let seen = client.wire.head().and_then(|_| client.wire.until_end());
        assert_eq!(seen.expect_err("the connection ended in order").kind(), io::ErrorKind::ConnectionReset);
        until_all_idle(&gateway, 1);
    }
}

/// FIN is the end of such a body; a reset is not.
#[test]
fn a_body_until_close_that_ends_in_a_reset_is_cut_for_every_client() {
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let gate = Gate::new();
        let door = gate.door();
        let backend = Backend::raw(move |connection| {
            let Some(mut visit) = connection.request()? else {
                return Ok(());
            };
            visit.write("HTTP/1.1 200 OK\r\n\r\npart")?;
            door.pass()?;
            drop(visit);
            socket2::SockRef::from(&connection.wire.stream).set_linger(Some(std::time::Duration::ZERO))
        });
        let gateway = gateway(&[&backend], "");
        let mut client = Client::asking(&gateway, format!("GET / {version}\r\nHost: test\r\n\r\n"));
        let head = client.head();
        let part = if head.is_chunked() {
            client.wire.chunk().unwrap().unwrap()
        } else {
            client.wire.exactly(4).unwrap()
        };
        assert_eq!(part, b"part");
        gate.open();
        let error = client.wire.chunk_or_end(&head).expect_err("a complete answer");
        if version == "HTTP/1.0" {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "FIN would be the end of this framing");
        }
        until_all_idle(&gateway, 1);
    }
}

#[test]
fn an_answer_that_stops_half_way_is_cut_after_the_timeout_and_its_slot_lingers() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        visit.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npart")?;
        door.pass()?;
        visit.finish("rest")
    });
    let gateway = gateway(&[&backend], "timeout = \"50ms\"");
    let mut client = Client::asking(&gateway, get("/"));
    let error = client.try_answer("GET").expect_err("a complete answer");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    until_slots(&gateway, "the slot lingers", |slots| slots.lingering == 1);
    assert_eq!(ask(&gateway, get("/refused")).status(), 503);
    gate.open();
    until_all_idle(&gateway, 1);
}

/// Bytes behind an answer belong to nobody: the connection is not used again, or the next client would get them.
#[test]
fn what_a_backend_says_unasked_is_nobodys_answer() {
    let backend = Backend::new(|visit| {
        let path = visit.path().to_owned();
        visit.finish(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
            path.len()
        ))
    });
    let gateway = gateway(&[&backend], "");
    for nth in 0..5 {
        assert_eq!(ask(&gateway, get(&format!("/{nth}"))).text(), format!("/{nth}"));
        until_all_idle(&gateway, 1);
    }
    assert_eq!(backend.seen().accepted, 5);
}

#[test]
fn a_body_where_none_may_be_is_nobodys_answer() {
    let backend = Backend::new(|visit| match visit.path() {
        "/head" => visit.finish("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"),
        "/204" => visit.finish("HTTP/1.1 204 No Content\r\n\r\nforged"),
        "/304" => visit.finish("HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\nforged"),
        _ => visit.answer("sound"),
    });
    let gateway = gateway(&[&backend], "");
    let mut client = Client::of(&gateway);
    for (method, path) in [("HEAD", "/head"), ("GET", "/204"), ("GET", "/304")] {
        client.send(head_of(method, path, ""));
        let answer = client.try_answer(method).unwrap();
        assert!(answer.body.is_empty() && answer.status() < 400, "{:?}", answer.head);
        until_all_idle(&gateway, 1);
        client.send(get("/"));
        assert_eq!(client.answer().text(), "sound", "after {method} {path}");
        until_all_idle(&gateway, 1);
    }
}
