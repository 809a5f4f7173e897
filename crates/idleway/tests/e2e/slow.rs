//! Slow clients: they wait for themselves, and take no Slot from those who do not.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::*;

const SLOTS: usize = 3;

/// Backends that answer `/BYTES` with so many.
fn backends() -> Vec<Backend> {
    let answering = |_| {
        Backend::new(|visit| {
            visit.body()?;
            let bytes: usize = visit.path().trim_start_matches('/').parse().unwrap();
            visit.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n"))?;
            visit.finish(vec![b'x'; bytes])
        })
    };
    (0..SLOTS).map(answering).collect()
}

fn house(config: &str) -> (Vec<Backend>, idleway::Gateway) {
    let backends = backends();
    let gateway = gateway(&backends.iter().collect::<Vec<_>>(), config);
    (backends, gateway)
}

#[test]
fn as_many_dribbling_uploaders_as_slots_stop_nobody() {
    let (_backends, gateway) = house("");
    let mut slow: Vec<Client> = (0..SLOTS * 2)
        .map(|_| Client::asking(&gateway, head_of("POST", "/1", "Content-Length: 6\r\n")))
        .collect();
    for _ in 0..5 {
        for client in &mut slow {
            client.send("x");
        }
        for _ in 0..SLOTS {
            assert_eq!(ask(&gateway, post("/2", "x")).status(), 200, "without a line: a slot was idle");
        }
        until_all_idle(&gateway, SLOTS as u64);
    }
    for client in &mut slow {
        client.send("x");
        assert_eq!(client.answer().status(), 200);
    }
}

/// What is left for the client fits `response_buffer`: the Slot is free when the backend has written it.
#[test]
fn as_many_clients_that_do_not_read_as_slots_stop_nobody() {
    for (bytes, config) in [(200 * 1024, ""), (8 << 20, "response_buffer = \"16MiB\"")] {
        let (_backends, gateway) = house(config);
        let mut slow: Vec<Client> = (0..SLOTS * 2)
            .map(|_| {
                let mut client = Client::with_small_window(&gateway);
                client.send(get(&format!("/{bytes}")));
                assert_eq!(client.wire.exactly(1).unwrap(), b"H");
                until_all_idle(&gateway, SLOTS as u64);
                client
            })
            .collect();
        for _ in 0..SLOTS {
            assert_eq!(ask(&gateway, get("/2")).status(), 200);
        }
        for client in &mut slow {
            let rest = client.wire.head().unwrap().unwrap();
            assert!(rest.line.starts_with("TTP/1.1 200"), "{rest:?}");
            assert_eq!(client.wire.exactly(bytes).unwrap().len(), bytes);
        }
    }
}

/// An answer that does not fit holds its Slot, but not longer than `client.write` without progress.
#[test]
fn a_client_that_does_not_read_a_large_answer_is_cut_after_client_write() {
    let (backends, gateway) =
        house("client = { write = \"200ms\" }\nqueue = { length = 10, wait = \"60s\" }");
    let bytes = 8 << 20;
    let slow: Vec<Client> = (0..SLOTS)
        .map(|_| {
            let mut client = Client::with_small_window(&gateway);
            client.send(get(&format!("/{bytes}")));
            client
        })
        .collect();
    backends.iter().for_each(|backend| backend.until("a large answer", |seen| !seen.heads.is_empty()));
    for _ in 0..SLOTS {
        assert_eq!(ask(&gateway, get("/2")).status(), 200);
    }
    until_all_idle(&gateway, SLOTS as u64);
    for mut client in slow {
        assert!(client.try_answer("GET").is_err(), "a complete answer");
    }
}

/// Ever moving, but below `client.rate`: after the grace of ten seconds it has to go.
#[test]
fn an_uploader_that_dribbles_on_while_it_holds_a_slot_is_ended_by_its_rate() {
    let backend = Backend::new(|visit| {
        if visit.method() == "POST" {
            visit.body().expect_err("a complete body");
            return visit.finish(CUT);
        }
        visit.answer("next")
    });
    let gateway =
        gateway(&[&backend], "client = { rate = \"16KiB\" }\nqueue = { length = 10, wait = \"60s\" }");
    let begun = Instant::now();
    let mut client =
        Client::asking(&gateway, head_of("POST", "/", &format!("Content-Length: {}\r\n", 1 << 20)));
    client.send(vec![b'x'; 70 * 1024]);
    backend.until_at_work();
    let mut next = Client::asking(&gateway, get("/"));
    // It sends on until it is answered.
    while client.wire.is_silent() && begun.elapsed() < PATIENCE {
        client.send("x");
        dribble();
    }
    assert_eq!(client.answer().status(), 408);
    assert_eq!(next.answer().text(), "next");
    until_all_idle(&gateway, 1);
}

/// The kernel takes megabytes at once for such a client, and then nothing for long: what counts is what the client
/// takes.
#[test]
fn a_client_that_reads_slowly_but_steadily_gets_its_whole_answer() {
    const LENGTH: usize = 12 << 20;
    let backend = Backend::new(|visit| {
        visit.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"))?;
        visit.finish(vec![b'x'; LENGTH])
    });
    let gateway = gateway(&[&backend], "client = { write = \"1s\" }");
    let mut client = Client::asking(&gateway, get("/"));
    client.head();
    let mut read = 0;
    for _ in 0..60 {
        read += client.wire.exactly(16 * 1024).unwrap().len();
        dribble();
    }
    client.wire.exactly(LENGTH - read).unwrap();
    until_all_idle(&gateway, 1);
}

/// The pace of a slow client. Nothing waits for it to pass.
#[expect(clippy::disallowed_methods, reason = "it stands for a slow client, not for an event")]
fn dribble() {
    thread::sleep(Duration::from_millis(50));
}

/// `timeout` is the backend's: it does not run while the client has to send.
#[test]
fn a_slow_upload_does_not_use_up_the_backends_timeout() {
    let backend = Backend::new(|visit| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
        // Also where the response begins before the request has ended.
        let late = if visit.path() == "/early" {
            visit.write(head)?;
            ""
        } else {
            head
        };
        let bytes = visit.body()?.len();
        visit.finish(format!("{late}{}", bytes % 10))
    });
    let gate = Gate::new();
    // One for each round: the Slot of the first lingers.
    let silent = [gate.door(), gate.door()].map(|door| {
        Backend::new(move |visit| {
            door.pass()?;
            visit.close()
        })
    });
    let gateway = start(&format!(
        "[pools.a]\nbackends = [{:?}]\ntimeout = \"60ms\"\n[pools.b]\nbackends = [{:?}, {:?}]\ntimeout = \"120ms\"\n\
         [[routes]]\npath = \"/\"\npool = \"a\"\n[[routes]]\npath = \"/silent\"\npool = \"b\"\n",
        backend.url(),
        silent[0].url(),
        silent[1].url()
    ));
    let length = 1 << 20;
    for path in ["/late", "/early"] {
        let head = head_of("POST", path, &format!("Content-Length: {length}\r\n"));
        let mut client = Client::asking(&gateway, head);
        client.send(vec![b'x'; length - 1]);
        backend.until_at_work();
        // Twice the first pool's timeout passes before the other request has its answer.
        assert_eq!(ask(&gateway, get("/silent")).status(), 504);
        client.send("x");
        assert_eq!(client.answer().text(), "6", "{path}");
    }
}
