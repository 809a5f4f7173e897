//! Deadlines that requests bring along: they shorten the pool's, and what cannot be answered in time never runs.

use std::time::Duration;

use crate::harness::*;

const HEADER: &str = "deadline_header = \"x-deadline\"\n";

fn with(path: &str, field: &str) -> String {
    head_of("GET", path, &format!("{field}\r\n"))
}

fn detail(response: &Response) -> String {
    response.json()["detail"].as_str().unwrap().to_owned()
}

#[test]
fn a_request_shortens_its_deadline() {
    for (pool, field, said) in [
        ("deadline = \"10m\"\n", "grpc-timeout: 50m", "50ms (`grpc-timeout`)"),
        ("deadline = \"10m\"\n", "X-Deadline: 50ms", "50ms (`x-deadline`)"),
        ("", "Grpc-Timeout: 50000u", "50ms (`grpc-timeout`)"),
        ("", "x-deadline: 0.05", "50ms (`x-deadline`)"),
        ("", "X-Deadline: 1h\r\ngrpc-timeout: 50m", "50ms (`grpc-timeout`)"),
        ("", "grpc-timeout: 1H\r\nX-Deadline: 50ms", "50ms (`x-deadline`)"),
    ] {
        let gate = Gate::new();
        let door = gate.door();
        let backend = Backend::new(move |visit| {
            door.pass()?;
            visit.answer("late")
        });
        let gateway = gateway(&[&backend], &format!("{pool}{HEADER}"));
        let late = ask(&gateway, with("/", field));
        assert_eq!((late.status(), late.reason().as_str()), (504, "deadline-over"), "{field}");
        assert!(detail(&late).ends_with(said), "{field}: {}", detail(&late));
    }
}

#[test]
fn a_request_does_not_lengthen_its_deadline() {
    for field in ["grpc-timeout: 1H", "X-Deadline: 3600", "X-Deadline: 1h\r\ngrpc-timeout: 99999999H"] {
        let gate = Gate::new();
        let door = gate.door();
        let backend = Backend::new(move |visit| {
            door.pass()?;
            visit.answer("late")
        });
        let gateway = gateway(&[&backend], &format!("deadline = \"50ms\"\n{HEADER}"));
        let late = ask(&gateway, with("/", field));
        assert_eq!((late.status(), late.reason().as_str()), (504, "deadline-over"), "{field}");
        assert!(detail(&late).ends_with("50ms (`deadline`)"), "{field}: {}", detail(&late));
    }
}

/// One that was overlooked would be worse than none: who wrote it counts on it.
#[test]
fn a_deadline_that_cannot_be_read_is_refused_with_how_to_write_it() {
    let backend = Backend::answering("done");
    let with_header = gateway(&[&backend], HEADER);
    for (field, value, form) in [
        ("grpc-timeout", "5", "like 500m"),
        ("grpc-timeout", "123456789S", "like 500m"),
        ("grpc-timeout", "5 S", "like 500m"),
        ("x-deadline", "soon", "like 250ms, 10s or 5m"),
        ("x-deadline", "-1", "like 250ms, 10s or 5m"),
    ] {
        let mut client = Client::asking(&with_header, with("/", &format!("{field}: {value}")));
        let refused = client.answer();
        assert_eq!((refused.status(), refused.reason().as_str()), (400, "unreadable"));
        let detail = detail(&refused);
        assert!(detail.starts_with(&format!("`{field}: {value}`")) && detail.contains(form), "{detail}");
        // The request itself could be read: its connection serves on.
        client.send(get("/next"));
        assert_eq!(client.answer().status(), 200);
    }
    assert!(backend.paths().iter().all(|path| path == "/next"));
    // Where nobody has said that it is a deadline it is nothing.
    let other = Backend::answering("done");
    let without = gateway(&[&other], "");
    assert_eq!(ask(&without, with("/", "X-Deadline: soon")).status(), 200);
}

#[test]
fn a_deadline_that_passes_in_line_never_reaches_a_backend() {
    let mut line = Line::new(&format!("{HEADER}queue = {{ length = 5, wait = \"90s\" }}"));
    let fields = ["grpc-timeout: 50m", "X-Deadline: 50ms", "X-Deadline: 50ms\r\nPrefer: wait=60"];
    let late = fields.map(|field| Client::asking(&line.gateway, with("/late", field)));
    for (mut client, field) in late.into_iter().zip(fields) {
        let answer = client.answer();
        assert_eq!((answer.status(), answer.reason().as_str()), (504, "deadline-over"), "{field}");
    }
    assert_eq!(line.gateway.slots().waiting, 0);
    line.gate.open();
    assert_eq!(line.first.answer().status(), 200);
    assert_eq!(ask(&line.gateway, get("/next")).status(), 200);
    assert_eq!(line.backend.paths(), ["/first", "/next"]);
}

/// What was passed before there was anything to wait for is over too.
#[test]
fn no_time_at_all_is_a_deadline_that_has_passed() {
    let backend = Backend::answering("done");
    let gateway = gateway(&[&backend], "queue = { length = 5, wait = \"90s\" }");
    let late = ask(&gateway, with("/late", "grpc-timeout: 0S"));
    assert_eq!((late.status(), late.reason().as_str()), (504, "deadline-over"));
    assert!(backend.paths().is_empty());
}

/// The one job so far has taken 150 ms at least, and 80 stand in line: a minute is enough by far, and 4 s are not, though they
/// have not passed yet.
#[test]
fn whose_deadline_cannot_be_met_is_refused_at_once() {
    let mut line = Line::new("queue = { length = 100, wait = \"90s\" }");
    spend(Duration::from_millis(150));
    let mut waiting = vec![line.join(get("/second"))];
    line.next();
    waiting.extend((0..80).map(|_| line.join(get("/waiting"))));
    let refused = ask(&line.gateway, with("/late", "grpc-timeout: 4S"));
    assert_eq!((refused.status(), refused.reason().as_str()), (503, "too-late"));
    // The rest of the line takes no less.
    assert!(refused.retry_after() >= 4, "{}", refused.retry_after());
    assert_eq!(line.gateway.slots().waiting, 80);
    waiting.push(line.join(with("/in-time", "grpc-timeout: 1H")));
    line.gate.open();
    waiting.iter_mut().for_each(|client| assert_eq!(client.answer().status(), 200));
    assert_eq!(line.first.answer().status(), 200);
    assert!(!line.backend.paths().contains(&"/late".to_owned()));
    // Whom nobody stands before gets the Slot, however little time it has.
    until_all_idle(&line.gateway, 1);
    assert_eq!(ask(&line.gateway, with("/idle", "grpc-timeout: 4S")).status(), 200);
}
