//! What the refused are told: who comes back then finds a place that newcomers do not.

use std::time::{Duration, Instant};

use crate::harness::*;

/// So long a place is kept at least for one that comes at the told time.
const KEPT: Duration = Duration::from_secs(1);

fn from(host: u8, path: &str) -> String {
    head_of("GET", path, &format!("X-Forwarded-For: 192.0.2.{host}\r\n"))
}

/// One at work and two in a line for two, and a service time is known.
fn full_line() -> (Line, Vec<Client>) {
    let config = "trusted = [\"127.0.0.1\"]\nqueue = { length = 2, wait = \"90s\" }\n";
    let line = Line::behind(from(1, "/1"), config);
    let mut clients = vec![line.join(from(2, "/2"))];
    assert_eq!(line.next(), "/2");
    clients.extend([line.join(from(3, "/3")), line.join(from(4, "/4"))]);
    (line, clients)
}

/// The line is full until the told time, and has one place then.
#[test]
fn who_comes_back_when_it_was_told_to_finds_a_place_that_newcomers_do_not() {
    for _ in 0..5 {
        let (line, mut clients) = full_line();
        let asked = Instant::now();
        let refused = ask(&line.gateway, from(100, "/promised"));
        assert_eq!((refused.status(), refused.reason().as_str()), (503, "queue-full"));
        let told = refused.retry_after();
        assert!((1..=60).contains(&told), "{told}");
        spend(Duration::from_secs(told));
        assert_eq!(line.next(), "/3");
        let mut newcomer = Client::asking(&line.gateway, from(200, "/newcomer"));
        eventually("it is refused or in line", || {
            !newcomer.wire.is_silent() || line.gateway.slots().waiting == 2
        });
        if asked.elapsed() >= Duration::from_secs(told) + KEPT {
            // The machine stood still all the while that the place was kept: that tells nothing.
            continue;
        }
        assert_eq!(newcomer.answer().reason(), "queue-full");
        let mut promised = line.join(from(100, "/promised"));
        line.gate.open();
        assert_eq!(promised.answer().text(), "/promised");
        clients.push(line.first);
        clients.iter_mut().for_each(|client| assert_eq!(client.answer().status(), 200));
        assert_eq!(line.backend.paths(), ["/1", "/2", "/3", "/4", "/promised"]);
        return;
    }
    panic!("the machine stood still five times");
}
