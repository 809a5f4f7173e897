//! Two hundred clients, some of whom leave or dawdle, five one-slot backends, some of which die: what each client
//! was told is compared with what the backends did.
//!
//! `IDLEWAY_SEED` replays one seed, `IDLEWAY_SEEDS` says how many are run.

mod dice;
mod overtime;
mod visitor;

use std::collections::HashMap;
use std::env;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::*;
use dice::Dice;
use visitor::{Ending, Told, Visitor};

const CLIENTS: usize = 200;
const REQUESTS: usize = 10_000;
const BACKENDS: usize = 5;

#[test]
fn of_ten_thousand_requests_among_departures_and_kills_nine_thousand_are_served_and_none_twice() {
    for seed in seeds() {
        let announced = Announced(seed);
        run(seed);
        drop(announced);
    }
}

fn seeds() -> Vec<u64> {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    match number("IDLEWAY_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("IDLEWAY_SEEDS").unwrap_or(3)).collect(),
    }
}

/// Says how to replay a run that failed.
struct Announced(u64);

impl Drop for Announced {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("replay it with IDLEWAY_SEED={}", self.0);
        }
    }
}

fn run(seed: u64) {
    let mut backends: Vec<Backend> = (0..BACKENDS).map(|_| Backend::new(work)).collect();
    let gateway = gateway(
        &backends.iter().collect::<Vec<_>>(),
        "timeout = \"20s\"\nqueue = { length = 200, wait = \"60s\" }\naccess_log = false",
    );
    let (done, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (told, kills) = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let mut visitor = Visitor::new(&gateway, Dice::new(seed, number), number);
                let done = &done;
                scope.spawn(move || -> Vec<Told> {
                    (0..REQUESTS / CLIENTS)
                        .map(|nth| {
                            let told = visitor.visit(nth);
                            done.fetch_add(1, Ordering::Relaxed);
                            told
                        })
                        .collect()
                })
            })
            .collect();
        let (done, over, backends) = (&done, &over, &mut backends);
        let killer = scope.spawn(move || kill_and_restart(backends, Dice::new(seed, CLIENTS), done, over));
        let told: Vec<_> = clients.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        let kills = killer.join().unwrap();
        (told.into_iter().flat_map(|told| told.expect("a client failed")).collect::<Vec<_>>(), kills)
    });
    compare(&told, &backends, kills);
    until_all_idle(&gateway, BACKENDS as u64);
}

/// What a backend does with `/MICROSECONDS/BYTES/FRAMING`.
fn work(visit: &mut Visit<'_>) -> std::io::Result<()> {
    let path = visit.path().to_owned();
    let mut words = path.split('/').skip(1);
    let mut number = || words.next().unwrap().parse::<u64>().unwrap();
    let (micros, bytes) = (number(), usize::try_from(number()).unwrap());
    let id = visit.head.fields.one("X-Request-Id").unwrap().to_owned();
    let sent = visit.body()?;
    assert!(sent.is_empty() || sent == id.as_bytes(), "another request's body");
    spend(Duration::from_micros(micros));
    let body = visitor::body(&id, bytes);
    match words.next().unwrap() {
        "length" => {
            visit.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n"))?;
            visit.finish(body)
        }
        "chunked" => {
            visit.write(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{bytes:x}\r\n"))?;
            visit.write(body)?;
            visit.finish("\r\n0\r\n\r\n")
        }
        _ => {
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {bytes}\r\n\r\n");
            visit.finish([head.as_bytes(), &body].concat())?;
            visit.close()
        }
    }
}

/// Kills a backend now and then and restarts it a few requests later; says how many it killed.
fn kill_and_restart(
    backends: &mut [Backend],
    mut dice: Dice,
    done: &AtomicUsize,
    over: &AtomicBool,
) -> usize {
    let mut kills = 0;
    let mut next = 0;
    let wait_for = |count: usize| {
        while done.load(Ordering::Relaxed) < count && !over.load(Ordering::Relaxed) {
            thread::park_timeout(Duration::from_micros(200));
        }
        !over.load(Ordering::Relaxed)
    };
    loop {
        next += 100 + dice.below(300);
        if !wait_for(next) {
            return kills;
        }
        let victim = dice.below(BACKENDS);
        backends[victim].kill();
        kills += 1;
        next += dice.below(50);
        let goes_on = wait_for(next);
        backends[victim].restart();
        if !goes_on {
            return kills;
        }
    }
}

fn compare(told: &[Told], backends: &[Backend], kills: usize) {
    let mut executions: HashMap<String, u32> = HashMap::new();
    for backend in backends {
        let seen = backend.seen();
        assert_eq!(seen.overlaps, Vec::<String>::new());
        assert_eq!(seen.peak, 1);
        assert_eq!(seen.most_open, 1, "connections open at once");
        for (id, count) in &seen.executions {
            *executions.entry(id.clone()).or_default() += count;
        }
    }
    let mut endings: HashMap<Ending, usize> = HashMap::new();
    for told in told {
        *endings.entry(told.ending).or_default() += 1;
        let ran = executions.remove(&told.id).unwrap_or(0);
        assert!(ran <= 1 || told.is_idempotent, "{told:?} ran {ran} times");
        match told.ending {
            Ending::Served => assert!(ran >= 1, "{told:?} never ran"),
            Ending::Refused | Ending::LeftMidRequest => assert_eq!(ran, 0, "{told:?}"),
            Ending::Failed | Ending::Cut | Ending::LeftWaiting | Ending::LeftMidAnswer => {}
        }
    }
    assert!(executions.is_empty(), "requests that nobody sent: {executions:?}");
    let count = |ending| endings.get(&ending).copied().unwrap_or(0);
    assert_eq!(told.len(), REQUESTS);
    assert!(count(Ending::Served) >= 9000, "{kills} kills: {endings:?}");
    // A backend that dies takes at most what it works on with it, and what crosses its death.
    assert!(count(Ending::Failed) + count(Ending::Cut) <= 2 * kills, "{kills} kills: {endings:?}");
    for ending in [Ending::LeftMidRequest, Ending::LeftWaiting, Ending::LeftMidAnswer] {
        assert!(count(ending) > 0, "no {ending:?}: the run shows too little");
    }
    assert!(kills >= 10, "{kills} kills: the run shows too little");
}
