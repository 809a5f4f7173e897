//! Jobs that outlive their timeouts and clients that leave, under each choice of what becomes of abandoned work:
//! no backend is ever given a second request before it has ended the first.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::dice::Dice;
use super::{Announced, seeds};
use crate::harness::*;

const CLIENTS: usize = 40;
const REQUESTS: usize = 15;
const BACKENDS: usize = 4;
/// Shorter than most jobs.
const TIMEOUT: Duration = Duration::from_millis(10);
/// The longest job, and the longest a backend takes to stop.
const LONGEST: u64 = 30_000;
const CLEANUP: Duration = Duration::from_millis(5);

#[test]
fn jobs_that_linger_beyond_their_timeouts_never_overlap() {
    for seed in seeds() {
        let announced = Announced(seed);
        run(seed, "abandon = \"linger\"");
        drop(announced);
    }
}

#[test]
fn jobs_that_are_cancelled_never_overlap() {
    for seed in seeds() {
        let announced = Announced(seed);
        run(seed, "abandon = \"cancel\"\ncancel_wait = \"3ms\"");
        drop(announced);
    }
}

/// Half of the clients in the seed's run leave, half of the jobs take too long.
fn run(seed: u64, abandon: &str) {
    let gaps = Arc::new(Mutex::new(Vec::new()));
    let backends: Vec<Backend> = (0..BACKENDS).map(|_| backend(Arc::clone(&gaps))).collect();
    let gateway = gateway(
        &backends.iter().collect::<Vec<_>>(),
        &format!(
            "timeout = \"{}ms\"\nqueue = {{ length = 100, wait = \"60s\" }}\naccess_log = false\n{abandon}",
            TIMEOUT.as_millis()
        ),
    );
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (gateway, mut dice) = (&gateway, Dice::new(seed, number));
            scope.spawn(move || (0..REQUESTS).for_each(|nth| visit(gateway, &mut dice, number, nth)));
        }
    });
    until_all_idle(&gateway, BACKENDS as u64);
    let mut executions: HashMap<String, u32> = HashMap::new();
    for backend in &backends {
        let seen = backend.seen();
        assert_eq!((seen.peak, seen.most_open), (1, 1), "{:?}", seen.overlaps);
        for (id, count) in &seen.executions {
            *executions.entry(id.clone()).or_default() += count;
        }
    }
    let twice: Vec<_> = executions.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "ran more than once: {twice:?}");
    assert!(executions.len() > CLIENTS * REQUESTS / 3, "{} ran: the run shows too little", executions.len());
    let mut gaps = gaps.lock().unwrap();
    gaps.sort_unstable();
    println!(
        "{abandon:?}, seed {seed}: from a backend's end of work to its next request: median {:?}, longest {:?}",
        gaps[gaps.len() / 2],
        gaps[gaps.len() - 1]
    );
}

/// Works for as long as it is asked to. Asked to heed, it looks whether the other side has no more to say, and then
/// stops, in its own time and without an answer.
fn backend(gaps: Arc<Mutex<Vec<Duration>>>) -> Backend {
    let ended: Mutex<Option<Instant>> = Mutex::new(None);
    Backend::new(move |visit| {
        if let Some(ended) = ended.lock().unwrap().take() {
            gaps.lock().unwrap().push(ended.elapsed());
        }
        visit.body()?;
        let path = visit.path().to_owned();
        let (micros, manner) = path[1..].split_once('/').unwrap();
        let time = Duration::from_micros(micros.parse().unwrap());
        let stopped = manner == "heeds" && told_to_stop_within(visit, time)?;
        if stopped {
            spend(CLEANUP);
        } else if manner != "heeds" {
            spend(time);
        }
        *ended.lock().unwrap() = Some(Instant::now());
        if stopped { visit.close() } else { visit.finish("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone") }
    })
}

fn told_to_stop_within(visit: &mut Visit<'_>, time: Duration) -> io::Result<bool> {
    visit.wire.stream.set_read_timeout(Some(time.max(Duration::from_micros(1))))?;
    let end = visit.wire.until_end();
    visit.wire.stream.set_read_timeout(Some(PATIENCE))?;
    match end {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// One request, to its answer or to this client's departure.
fn visit(gateway: &idleway::Gateway, dice: &mut Dice, number: usize, nth: usize) {
    let manner = ["heeds", "deaf"][dice.below(2)];
    let path = format!("/{}/{manner}", 1 + dice.below(usize::try_from(LONGEST).unwrap()));
    let id = format!("X-Request-Id: {number}-{nth}\r\n");
    let mut client =
        Client::asking(gateway, head_of("POST", &path, &(id.clone() + "Content-Length: 2\r\n")) + "{}");
    match dice.below(4) {
        0 => client.leave(dice.below(2) == 0),
        1 => {
            spend(Duration::from_micros(dice.below(20_000) as u64));
            client.leave(dice.below(2) == 0);
        }
        _ => {
            let answer = client.try_answer("POST");
            let Ok(answer) = answer else { panic!("{id}: no answer, the slots are {:?}", gateway.slots()) };
            let status = answer.status();
            assert!(matches!(status, 200 | 502 | 504), "{id}: {status}");
        }
    }
}
