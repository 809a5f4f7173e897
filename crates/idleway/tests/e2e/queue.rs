//! The line: who is served in which order, how a wait ends, and that whoever left it never runs.

use crate::harness::*;

/// A line of this length and wait.
fn line(queue: &str) -> Line {
    Line::new(&format!("queue = {queue}"))
}

#[test]
fn requests_reach_the_backend_in_the_order_in_which_they_came() {
    let mut line = line("{ length = 40, wait = \"60s\" }");
    let mut clients: Vec<Client> = (0..40)
        .map(|nth| {
            line.join(if nth % 2 == 0 { get(&format!("/{nth}")) } else { post(&format!("/{nth}"), "x") })
        })
        .collect();
    line.gate.open();
    assert_eq!(line.first.answer().text(), "/first");
    for (nth, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.answer().text(), format!("/{nth}"));
    }
    let expected: Vec<String> =
        std::iter::once("/first".to_owned()).chain((0..40).map(|nth| format!("/{nth}"))).collect();
    assert_eq!(line.backend.paths(), expected);
    until_all_idle(&line.gateway, 1);
}

#[test]
fn a_full_line_refuses_at_once() {
    let mut line = line("{ length = 1, wait = \"60s\" }");
    let mut second = line.join(get("/second"));
    let third = ask(&line.gateway, get("/third"));
    assert_eq!(third.status(), 503);
    assert!(third.json()["type"].as_str().unwrap().ends_with("queue-full"), "{}", third.text());
    assert!(third.field("Retry-After").is_some());
    line.gate.open();
    assert_eq!(line.first.answer().status(), 200);
    assert_eq!(second.answer().status(), 200);
    assert_eq!(line.backend.paths(), ["/first", "/second"]);
}

#[test]
fn a_wait_that_is_over_ends_in_503_and_never_runs() {
    let mut line = line("{ length = 10, wait = \"50ms\" }");
    let waiting: Vec<Client> = (0..3).map(|_| Client::asking(&line.gateway, post("/late", "x"))).collect();
    for mut client in waiting {
        let answer = client.answer();
        assert_eq!(answer.status(), 503);
        assert!(answer.json()["type"].as_str().unwrap().ends_with("wait-over"), "{}", answer.text());
        assert!(answer.field("Retry-After").is_some());
    }
    assert_eq!(line.gateway.slots().waiting, 0);
    line.gate.open();
    assert_eq!(line.first.answer().status(), 200);
    assert_eq!(ask(&line.gateway, get("/next")).status(), 200);
    assert_eq!(line.backend.paths(), ["/first", "/next"]);
}

#[test]
fn whoever_left_the_line_by_fin_never_reaches_a_backend() {
    leaves_the_line(drop::<Client>);
}

#[test]
fn whoever_left_the_line_by_rst_never_reaches_a_backend() {
    leaves_the_line(Client::reset);
}

fn leaves_the_line(leave: impl Fn(Client)) {
    let mut line = line("{ length = 10, wait = \"60s\" }");
    let mut before = line.join(get("/before"));
    for request in
        [get("/left"), post("/left", "with a body"), head_of("GET", "/left", "Connection: close\r\n")]
    {
        let leaving = line.join(request);
        leave(leaving);
        until_slots(&line.gateway, "only one in line", |slots| slots.waiting == 1);
    }
    let mut behind = line.join(get("/behind"));
    line.gate.open();
    for client in [&mut line.first, &mut before, &mut behind] {
        assert_eq!(client.answer().status(), 200);
    }
    assert_eq!(line.backend.paths(), ["/first", "/before", "/behind"]);
    until_all_idle(&line.gateway, 1);
}

/// The rest of the body stands unread before a FIN, so only RST shows; and the client may only send what the
/// buffers take.
#[test]
fn whoever_left_the_line_by_rst_with_its_body_unread_never_reaches_a_backend() {
    let mut line = line("{ length = 10, wait = \"60s\" }");
    let head = head_of("POST", "/left", &format!("Content-Length: {}\r\n", 1 << 20));
    let mut leaving = Client::asking(&line.gateway, head);
    leaving.send(vec![b'x'; 200 * 1024]);
    until_slots(&line.gateway, "it stands in line", |slots| slots.waiting == 1);
    leaving.reset();
    until_slots(&line.gateway, "nobody in line", |slots| slots.waiting == 0);
    line.gate.open();
    assert_eq!(line.first.answer().status(), 200);
    assert_eq!(ask(&line.gateway, get("/next")).status(), 200);
    assert_eq!(line.backend.paths(), ["/first", "/next"]);
}

#[test]
fn a_request_in_line_takes_the_first_slot_that_frees_on_any_backend() {
    let gates = [Gate::new(), Gate::new()];
    let backends = gates.each_ref().map(|gate| {
        let door = gate.door();
        Backend::new(move |visit| {
            door.pass()?;
            visit.answer("done")
        })
    });
    let gateway = gateway(&[&backends[0], &backends[1]], "queue = { length = 5, wait = \"60s\" }");
    let mut running: Vec<Client> = (0..2).map(|_| Client::asking(&gateway, get("/first"))).collect();
    backends.iter().for_each(Backend::until_at_work);
    let mut waiting = Client::asking(&gateway, get("/waiting"));
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
    gates[1].open();
    assert_eq!(waiting.answer().status(), 200);
    assert_eq!(backends[1].paths(), ["/first", "/waiting"]);
    gates[0].open();
    for client in &mut running {
        assert_eq!(client.answer().status(), 200);
    }
}

/// The deadline counts from the arrival: a wait in line is part of it.
#[test]
fn a_deadline_that_passes_in_line_ends_in_504_and_the_request_never_runs() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("done")
    });
    let config = "deadline = \"50ms\"\nqueue = { length = 5, wait = \"60s\" }";
    let gateway = gateway(&[&backend], config);
    assert_eq!(ask(&gateway, get("/first")).status(), 504);
    let late = ask(&gateway, get("/late"));
    assert_eq!(late.status(), 504);
    assert!(late.json()["type"].as_str().unwrap().ends_with("deadline-over"), "{}", late.text());
    gate.open();
    until_all_idle(&gateway, 1);
    assert_eq!(backend.paths(), ["/first"]);
}
