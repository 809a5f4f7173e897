//! Backends that are processes of their own, killed with SIGKILL under load from patient clients, and started again.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::*;

const BACKENDS: usize = 5;
const CLIENTS: usize = 12;
const REQUESTS: usize = 250;
/// Between two kills so many requests are served, and so many while the backend is dead.
const ALIVE: usize = 120;
const DEAD: usize = 40;

/// `idleway backend`, which refuses by 500 what is over its limit of one.
struct Process {
    child: Child,
    url: String,
}

impl Process {
    fn start(port: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_idleway"))
            .args(["backend", port, "--delay", "10ms"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://"), "it does not listen on {port}");
        Self { child, url: url.trim_end().to_owned() }
    }

    /// SIGKILL: nobody is told anything.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        let port = self.url.rsplit(':').next().unwrap();
        *self = Self::start(port);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of the requests of one client: those that failed, by their number.
fn visit(gateway: &idleway::Gateway, number: usize, done: &AtomicUsize) -> Vec<usize> {
    let mut client = Client::of(gateway);
    let mut failed = Vec::new();
    for nth in 0..REQUESTS {
        let key = if is_keyed(nth) { format!("Idempotency-Key: {number}-{nth}\r\n") } else { String::new() };
        let fields = format!("Content-Type: application/json\r\n{key}Content-Length: 2\r\n");
        client.send(head_of("POST", "/process", &fields) + "{}");
        let answer = client.answer();
        if answer.status() != 200 {
            assert_eq!((answer.status(), answer.reason().as_str()), (502, "backend-closed"), "{answer:?}");
            failed.push(nth);
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    failed
}

fn is_keyed(nth: usize) -> bool {
    nth.is_multiple_of(2)
}

/// Kills one backend after the other and starts it again; answers how many it killed.
fn kill_and_restart(backends: &mut [Process], done: &AtomicUsize) -> usize {
    let until = |count: usize| {
        while done.load(Ordering::Relaxed) < count {
            thread::park_timeout(Duration::from_micros(200));
        }
    };
    let mut kills = 0;
    let mut next = ALIVE;
    while next + DEAD < CLIENTS * REQUESTS {
        until(next);
        let victim = &mut backends[kills * 3 % BACKENDS];
        victim.kill();
        kills += 1;
        until(next + DEAD);
        victim.restart();
        next += ALIVE;
    }
    kills
}

/// Each kill may take the one request with it that was at work, if that may not be repeated; and no other.
#[test]
fn backends_killed_under_load_cost_no_request_but_those_they_worked_on() {
    let mut backends: Vec<Process> = (0..BACKENDS).map(|_| Process::start("0")).collect();
    let urls: Vec<_> = backends.iter().map(|backend| backend.url.clone()).collect();
    let gateway = start(&format!(
        "backends = {urls:?}\nqueue = {{ length = 100, wait = \"60s\" }}\nidempotency_key = true\naccess_log = false"
    ));
    let done = AtomicUsize::new(0);
    let (failed, kills) = thread::scope(|scope| {
        let (gateway, done, backends) = (&gateway, &done, &mut backends);
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || visit(gateway, number, done))).collect();
        let killer = scope.spawn(move || kill_and_restart(backends, done));
        let failed: Vec<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        (failed, killer.join().unwrap())
    });
    let repeated = failed.iter().filter(|nth| is_keyed(**nth)).count();
    assert_eq!(repeated, 0, "of those that may be repeated none fails");
    assert!(failed.len() <= kills, "{} failed by {kills} kills", failed.len());
    assert!(failed.len() * 100 <= CLIENTS * REQUESTS, "more than 1 % failed: {}", failed.len());
    assert!(kills >= 20, "{kills} kills: the run shows too little");
    eventually("all are up again", || gateway.backends().up == BACKENDS as u64);
    until_all_idle(&gateway, BACKENDS as u64);
}
