//! A route's own clocks and bounds, shorter and longer than those of its pool.

use crate::harness::*;

/// Two backends of one Slot behind a gate, and a gateway before them.
fn gated(config: &str) -> (Gate, [Backend; 2], idleway::Gateway) {
    let gate = Gate::new();
    let backends = [(); 2].map(|()| {
        let door = gate.door();
        Backend::new(move |visit| {
            visit.body()?;
            door.pass()?;
            visit.answer("late")
        })
    });
    let gateway = gateway(&[&backends[0], &backends[1]], config);
    (gate, backends, gateway)
}

/// One request comes to its end by the clock of its own route or pool, while the other, which has the longer one, is still
/// at work, and has its answer in the end.
fn cuts_the_short_one_alone(config: &str, short: &str, long: &str, reason: &str, said: &str) {
    let (gate, _backends, gateway) = gated(config);
    let mut waits = Client::asking(&gateway, get(long));
    until_slots(&gateway, "the long one at work", |slots| slots.busy == 1);
    let cut = ask(&gateway, get(short));
    assert_eq!((cut.status(), cut.reason().as_str()), (504, reason), "{config}");
    let detail = cut.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains(said), "{detail}");
    assert!(waits.wire.is_silent(), "{config}");
    gate.open();
    assert_eq!(waits.answer().status(), 200, "{config}");
}

#[test]
fn a_route_has_a_timeout_of_its_own() {
    let route = |timeout: &str| format!("[[routes]]\npath = \"/own\"\ntimeout = \"{timeout}\"\n");
    let shorter = route("50ms");
    cuts_the_short_one_alone(&shorter, "/own", "/other", "backend-silent", "50ms (`timeout`)");
    let longer = format!("timeout = \"50ms\"\n{}", route("10m"));
    cuts_the_short_one_alone(&longer, "/other", "/own/x", "backend-silent", "50ms (`timeout`)");
}

#[test]
fn a_route_has_a_deadline_of_its_own() {
    let route = |deadline: &str| format!("[[routes]]\npath = \"/own\"\ndeadline = \"{deadline}\"\n");
    let shorter = route("50ms");
    cuts_the_short_one_alone(&shorter, "/own", "/other", "deadline-over", "50ms (`deadline`)");
    let longer = format!("deadline = \"50ms\"\n{}", route("10m"));
    cuts_the_short_one_alone(&longer, "/other", "/own", "deadline-over", "50ms (`deadline`)");
}

#[test]
fn a_route_waits_in_line_for_a_time_of_its_own() {
    let route = |wait: &str| format!("[[routes]]\npath = \"/own\"\nqueue = {{ wait = \"{wait}\" }}\n");
    for (config, short, long) in [
        (format!("queue = {{ length = 9, wait = \"90s\" }}\n{}", route("50ms")), "/own", "/other"),
        (format!("queue = {{ length = 9, wait = \"50ms\" }}\n{}", route("90s")), "/other", "/own"),
    ] {
        let mut line = Line::new(&config);
        let mut waits = line.join(get(long));
        let over = ask(&line.gateway, get(short));
        assert_eq!((over.status(), over.reason().as_str()), (503, "wait-over"), "{config}");
        assert_eq!(line.gateway.slots().waiting, 1, "{config}");
        line.gate.open();
        assert_eq!((line.first.answer().status(), waits.answer().status()), (200, 200), "{config}");
    }
}

#[test]
fn a_route_bounds_the_wait_that_a_client_asks_for() {
    let backend = Backend::answering("done");
    let config = "queue = { length = 9, wait = \"5s\", wait_max = \"20s\" }\n\
                  [[routes]]\npath = \"/short\"\nqueue = { wait_max = \"7s\" }\n\
                  [[routes]]\npath = \"/long\"\nqueue = { wait = \"30s\" }\n";
    let gateway = gateway(&[&backend], config);
    for (path, applied) in [("/", "wait=20"), ("/short", "wait=7"), ("/long", "wait=30")] {
        let answer = ask(&gateway, head_of("GET", path, "Prefer: wait=600\r\n"));
        assert_eq!(answer.field("Preference-Applied"), Some(applied), "{path}");
    }
}

#[test]
fn a_route_has_a_bound_of_bodies_of_its_own() {
    let backend = Backend::answering("done");
    let config = "limits = { body = \"10B\" }\n\
                  [[routes]]\npath = \"/big\"\nmax_body = \"1MiB\"\n\
                  [[routes]]\npath = \"/small\"\nmax_body = \"5B\"\n";
    let gateway = gateway(&[&backend], config);
    let chunked = |path: &str, body: &str| {
        let head = head_of("POST", path, "Transfer-Encoding: chunked\r\n");
        format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
    };
    // The bound of one request is not the next one's on the same connection.
    let mut client = Client::of(&gateway);
    for (path, status) in [("/big", 200), ("/", 200), ("/small", 413)] {
        client.send(post(path, "12345678"));
        assert_eq!(client.answer().status(), status, "{path}");
    }
    // The last of them is at work when it turns out to be too large: its Slot is not free at once.
    for (path, bound) in [("/", 10), ("/small", 5), ("/big", 1 << 20)] {
        for (length, status) in [(bound, 200), (bound + 1, 413)] {
            let body = "x".repeat(length);
            for request in [post(path, &body), chunked(path, &body)] {
                let answer = ask(&gateway, request);
                assert_eq!(answer.status(), status, "{path} {length}");
                if status == 413 {
                    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
                    assert!(detail.contains(&format!("larger than {bound} bytes")), "{path}: {detail}");
                }
            }
        }
    }
}

/// Whether a handler that closed after us is at work still nobody knows: its Slot rests for as long as a backend of this
/// route may be silent.
#[test]
fn what_broke_off_rests_for_the_time_of_its_route() {
    let backend = Backend::new(|visit| visit.body().map(drop));
    let config = "timeout = \"10m\"\nrequest_buffer = \"0\"\nroutes = [{ path = \"/own\", timeout = \"50ms\" }, { path = \"/\" }]";
    let gateway = gateway(&[&backend], config);
    let half = head_of("POST", "/own", "Content-Length: 10\r\n") + "half";
    let leaving = Client::asking(&gateway, half);
    backend.until_at_work();
    leaving.reset();
    until_all_idle(&gateway, 1);
}

/// An answer without an end in sight, and nobody there to take it, may go on for as long as its route says.
#[test]
fn a_stream_to_nobody_is_cut_after_the_time_of_its_route() {
    let backend = Backend::new(|visit| {
        if visit.path() != "/own" {
            return visit.answer("done");
        }
        visit.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmore\r\n")?;
        visit.wire.until_end()?;
        visit.tell(1);
        visit.close()
    });
    let routes = "routes = [{ path = \"/own\", timeout = \"50ms\" }, { path = \"/\" }]";
    let gateway = gateway(&[&backend], &format!("timeout = \"10m\"\ncancel_wait = \"10ms\"\n{routes}"));
    let mut leaving = Client::asking(&gateway, get("/own"));
    leaving.head();
    leaving.reset();
    backend.until("the cut", |seen| seen.told == 1);
    until_all_idle(&gateway, 1);
}
