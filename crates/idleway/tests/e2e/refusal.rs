//! A pool that is full or dead: who is refused, in which words, and who notices nothing.

use crate::harness::*;

fn error_of(response: &Response) -> String {
    response.json()["error"].as_str().unwrap().to_owned()
}

#[test]
fn the_sixth_request_to_five_slots_is_refused_at_once_in_the_words_clients_know() {
    let gate = Gate::new();
    let backends: Vec<Backend> = (0..5)
        .map(|_| {
            let door = gate.door();
            Backend::new(move |visit| {
                door.pass()?;
                visit.answer("done")
            })
        })
        .collect();
    let gateway = gateway(&backends.iter().collect::<Vec<_>>(), "");
    let mut clients: Vec<Client> = (0..5).map(|_| Client::asking(&gateway, post("/process", "{}"))).collect();
    backends.iter().for_each(Backend::until_at_work);

    let sixth =
        ask(&gateway, head_of("POST", "/process", "X-Request-Id: sixth\r\nContent-Length: 2\r\n") + "{}");
    assert_eq!(sixth.status(), 503);
    assert!(sixth.field("Retry-After").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(sixth.field("Content-Type"), Some("application/problem+json"));
    assert_eq!(sixth.field("X-Request-Id"), Some("sixth"));
    let proxy_status = sixth.field("Proxy-Status").unwrap();
    assert!(proxy_status.starts_with("idleway; error=connection_limit_reached"), "{proxy_status}");
    let body = sixth.json();
    assert_eq!(body["error"], "All servers are busy. Try again later.");
    assert_eq!(body["status"], 503);
    for member in ["type", "title", "detail"] {
        assert!(body[member].is_string(), "{member} is missing in {body}");
    }
    assert!(body["instance"].as_str().unwrap().contains("sixth"), "{body}");

    gate.open();
    for client in &mut clients {
        let answer = client.answer();
        assert_eq!((answer.status(), answer.text()), (200, "done"));
    }
    until_all_idle(&gateway, 5);
    assert!(backends.iter().all(|backend| backend.seen().heads.len() == 1), "each worked on exactly one");
}

/// An HTTP/1.0 client takes its connection as closed unless it is told otherwise.
#[test]
fn a_refusal_tells_an_http_10_client_that_its_connection_is_kept() {
    let backend = Backend::dead();
    let gateway = gateway(&[&backend], "");
    let mut client = Client::asking(&gateway, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.field("Connection")), (502, Some("keep-alive")));
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().field("Connection"), Some("close"));
    client.sees_fin();
}

#[test]
fn a_refused_connection_serves_the_next_request() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("done")
    });
    let gateway = gateway(&[&backend], "");
    let mut first = Client::asking(&gateway, get("/first"));
    backend.until_at_work();
    let mut second = Client::asking(&gateway, post("/second", "a body that nobody reads"));
    assert_eq!(second.answer().status(), 503);
    gate.open();
    assert_eq!(first.answer().status(), 200);
    until_all_idle(&gateway, 1);
    second.send(post("/again", "x"));
    assert_eq!(second.answer().status(), 200);
    assert_eq!(backend.paths(), ["/first", "/again"]);
}

/// The Slot goes before the answer does: whoever has the answer, and asks again on whatever connection, finds
/// it free.
#[test]

fn who_has_the_whole_answer_is_not_refused_for_the_slot_of_it() {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nbody",
        "",
    ];
    for answer in answers {
        let backend = Backend::new(move |visit| {
            visit.body()?;
            visit.finish(answer)?;
            visit.last = answer.is_empty() || answer.ends_with("OK\r\n\r\nbody");
            Ok(())
        });
        let gateway = gateway(&[&backend], "");
        let mut clients = [(); 3].map(|()| Client::of(&gateway));
        // Where it broke, the Slot rests for a moment each time, and its next request waits for that.
        for nth in 0..if answer.is_empty() { 20 } else { 200 } {
            let client = &mut clients[nth % 3];
            client.send(post("/", "x"));
            let status = client.answer().status();
            assert_ne!(status, 503, "request {nth} of {answer:?}");
        }
    }
}

/// What has been relayed to a backend that failed is gone: the request is repeated whole or not at all.
#[test]
fn a_repeated_upload_never_has_a_hole() {
    let failing = Backend::raw(|connection| connection.request().map(|_| ()));
    let sound = Backend::new(|visit| {
        let body = visit.body()?;
        visit.tell(usize::from(body != numbered()));
        visit.finish("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let gateway = gateway(&[&failing, &sound], "");
    let body = numbered();
    let chunked = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    for _ in 0..40 {
        let mut client = Client::asking(&gateway, head_of("PUT", "/", "Transfer-Encoding: chunked\r\n"));
        client.send(&chunked);
        let status = client.answer().status();
        assert!(matches!(status, 200 | 502), "{status}");
        until_all_idle(&gateway, 2);
    }
    assert_eq!(sound.seen().told, 0, "bodies with a hole");
}

fn numbered() -> Vec<u8> {
    (0..25_000_u64).flat_map(u64::to_be_bytes).collect()
}

#[test]
fn with_a_backend_dead_requests_go_to_another_and_clients_notice_nothing() {
    let dead = Backend::dead();
    let alive = Backend::answering("alive");
    let gateway = gateway(&[&dead, &alive], "");
    for round in 0..20 {
        let answer = ask(&gateway, post("/process", "{}"));
        assert_eq!((answer.status(), answer.text()), (200, "alive"), "round {round}");
        until_all_idle(&gateway, 2);
    }
    assert_eq!(alive.seen().heads.len(), 20);
}

/// The backend that failed is avoided while another is up, busy or not.
#[test]
fn who_met_a_backend_that_closes_waits_for_the_busy_one() {
    let gate = Gate::new();
    let door = gate.door();
    let closing = Backend::new(|visit| {
        visit.body()?;
        visit.close()
    });
    let busy = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("done")
    });
    let gateway = gateway(&[&closing, &busy], "queue = { length = 5, wait = \"60s\" }");
    let mut first = Client::asking(&gateway, get("/first"));
    busy.until_at_work();
    let mut second = Client::asking(&gateway, get("/second"));
    until_slots(&gateway, "the second in line", |slots| slots.waiting == 1);
    gate.open();
    assert_eq!(first.answer().status(), 200);
    assert_eq!(second.answer().status(), 200);
    assert_eq!(busy.paths(), ["/first", "/second"]);
    assert!(closing.seen().heads.len() <= 2, "it was tried again: {:?}", closing.paths());
}

#[test]
fn a_backend_that_dies_between_requests_is_replaced_by_another() {
    let mut mortal = Backend::answering("mortal");
    let other = Backend::answering("other");
    let gateway = gateway(&[&mortal, &other], "");
    for _ in 0..4 {
        assert_eq!(ask(&gateway, post("/", "x")).status(), 200);
        until_all_idle(&gateway, 2);
    }
    assert!(!mortal.seen().heads.is_empty(), "it had no part in it: the test shows nothing");
    mortal.kill();
    for _ in 0..6 {
        let answer = ask(&gateway, post("/", "x"));
        assert_eq!((answer.status(), answer.text()), (200, "other"));
        until_all_idle(&gateway, 2);
    }
}

#[test]
fn with_all_backends_dead_the_answer_says_so() {
    let dead = [Backend::dead(), Backend::dead(), Backend::dead()];
    let gateway = gateway(&[&dead[0], &dead[1], &dead[2]], "");
    for round in 0..6 {
        let answer = ask(&gateway, post("/process", "{}"));
        assert!(matches!(answer.status(), 502 | 503), "round {round}: {:?}", answer.head);
        assert_ne!(error_of(&answer), "", "{}", answer.text());
        let proxy_status = answer.field("Proxy-Status").unwrap();
        assert!(proxy_status.contains("destination_unavailable"), "{proxy_status}");
        until_all_idle(&gateway, 3);
    }
}

#[test]
fn a_dead_backend_serves_again_once_it_lives() {
    let mut backend = Backend::answering("alive");
    backend.kill();
    let gateway = gateway(&[&backend], "");
    for _ in 0..4 {
        assert!(ask(&gateway, get("/")).status() >= 502);
    }
    backend.restart();
    eventually("an answer of the backend", || ask(&gateway, get("/")).status() == 200);
}

/// A backend that takes the connection and dies before it has read a byte of the request: the bytes were
/// written, so it may have run for all we know.
#[test]
fn a_get_whose_backend_dies_after_the_accept_is_tried_on_another_and_a_post_is_not() {
    let deaf = Backend::raw(|connection| {
        connection.wire.exactly(1)?;
        Ok(())
    });
    let alive = Backend::answering("alive");
    // Without kept connections the backends serve in turn.
    let gateway = gateway(&[&deaf, &alive], "keep_alive = false");
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(ask(&gateway, post("/", "x")).status());
        until_all_idle(&gateway, 2);
        assert_eq!(ask(&gateway, get("/")).status(), 200, "a GET may run twice");
        until_all_idle(&gateway, 2);
    }
    assert!(statuses.iter().all(|status| matches!(status, 200 | 502)), "{statuses:?}");
    let answered = statuses.iter().filter(|status| **status == 200).count();
    let posts = alive.seen().heads.iter().filter(|head| head.word(0) == "POST").count();
    assert_eq!(posts, answered, "a POST that may have run went to another backend");
    assert!(answered < statuses.len(), "no POST met the deaf backend: the test shows nothing");
}

#[test]
fn a_get_is_tried_three_times_and_its_failures_end_in_502() {
    let deaf = |_| {
        Backend::raw(|connection| {
            let _ = connection.request()?;
            Ok(())
        })
    };
    let backends: Vec<Backend> = (0..5).map(deaf).collect();
    let gateway = gateway(&backends.iter().collect::<Vec<_>>(), "");
    let answer = ask(&gateway, get("/"));
    assert_eq!(answer.status(), 502);
    let tried: usize = backends.iter().map(|backend| backend.seen().heads.len()).sum();
    assert_eq!(tried, 3, "`attempts` is 3 unless told otherwise");
    assert!(backends.iter().all(|backend| backend.seen().heads.len() <= 1), "one was tried twice");
}

/// Larger than what is buffered before a Slot is asked for: what was read is at hand, the rest still comes.
#[test]
fn a_large_upload_whose_first_backend_is_dead_reaches_another_whole() {
    let dead = Backend::dead();
    let alive = Backend::new(|visit| {
        let length = visit.body()?.len().to_string();
        visit.finish(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{length}", length.len()))
    });
    let gateway = gateway(&[&dead, &alive], "keep_alive = false");
    for _ in 0..4 {
        assert_eq!(ask(&gateway, post("/", &"x".repeat(1 << 20))).text(), (1 << 20).to_string());
        until_all_idle(&gateway, 2);
    }
}

/// Only `connect_timeout` ends the knocking.
#[test]
fn a_backend_that_takes_no_connection_is_given_up_after_connect_timeout() {
    let deaf = Deaf::new();
    let alive = Backend::answering("alive");
    let gateway =
        start(&format!("backends = [{:?}, {:?}]\nconnect_timeout = \"50ms\"", deaf.url(), alive.url()));
    for _ in 0..4 {
        let answer = ask(&gateway, post("/", "x"));
        assert_eq!((answer.status(), answer.text()), (200, "alive"));
        until_all_idle(&gateway, 2);
    }
}

/// A backend that dies in the head of its answer or before it: the same for who asks, 502 and no second run.
#[test]
fn a_post_whose_backend_dies_before_the_end_of_the_head_is_502_and_runs_once() {
    for said in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 102 Processing\r\n\r\n"] {
        let dying = || {
            Backend::new(move |visit| {
                visit.body()?;
                visit.write(said)?;
                visit.close()
            })
        };
        let backends = [dying(), dying(), dying()];
        let gateway = gateway(&[&backends[0], &backends[1], &backends[2]], "");
        let answer = ask(&gateway, post("/", "x"));
        assert_eq!(answer.status(), 502, "after {said:?}");
        until_all_idle(&gateway, 3);
        let ran: usize = backends.iter().map(|backend| backend.seen().heads.len()).sum();
        assert_eq!(ran, 1, "after {said:?}");
    }
}
