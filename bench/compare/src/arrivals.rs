//! Requests that come when they come: an open loop, which no slow answer holds up.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use nix::sys::prctl;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};

use crate::rounds::pass;
use crate::wire::{self, Asked};

/// A request that is to come.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Arrival {
    /// Since the beginning.
    pub(crate) at: Duration,
    /// What it asks the backend for.
    pub(crate) service: Duration,
}

/// A request that came.
pub(crate) struct Visit {
    /// From when it was due to the last byte of its answer, or to its end without one.
    pub(crate) latency: Duration,
    /// How much later than due it was sent.
    pub(crate) late: Duration,
    /// None where the connection failed.
    pub(crate) status: Option<u16>,
}

/// Arrivals at random, `rate` a second; the same for the same seed. `service` gets a number of 0 to 1.
pub(crate) fn poisson(
    seed: u64,
    rate: f64,
    window: Duration,
    service: impl Fn(f64) -> Duration,
) -> Vec<Arrival> {
    let mut random = Random::new(seed);
    let mut arrivals = Vec::new();
    let mut at = random.exponential() / rate;
    while at < window.as_secs_f64() {
        arrivals.push(Arrival { at: Duration::from_secs_f64(at), service: service(random.unit()) });
        at += random.exponential() / rate;
    }
    arrivals
}

/// Sends each request when it is due, and returns what became of them in the same order.
pub(crate) fn send(target: SocketAddr, arrivals: &[Arrival]) -> Result<Vec<Visit>> {
    let (due, mut dues) = mpsc::channel(arrivals.len().max(1));
    let (count, requests) = (arrivals.len(), arrivals.to_vec());
    let clients = thread::spawn(move || -> io::Result<Vec<Option<Visit>>> {
        let _ = prctl::set_timerslack(1);
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        let visits = LocalSet::new().block_on(&runtime, async move {
            let kept = Kept::default();
            let mut visits = JoinSet::new();
            while let Some((number, due)) = dues.recv().await {
                let Arrival { service, .. } = requests[number];
                visits.spawn_local(visit(target, Rc::clone(&kept), Asked { number, service }, due));
            }
            visits.join_all().await
        });
        let mut in_order: Vec<Option<Visit>> = (0..count).map(|_| None).collect();
        for (number, visit) in visits {
            in_order[number] = Some(visit);
        }
        Ok(in_order)
    });

    // A thread of its own tells the time: an event loop's timer is good to a millisecond only.
    let _ = prctl::set_timerslack(1);
    let began = Instant::now();
    for (number, arrival) in arrivals.iter().enumerate() {
        let at = began + arrival.at;
        pass(at.saturating_duration_since(Instant::now()));
        due.blocking_send((number, at)).map_err(|_| anyhow!("the clients have ended"))?;
    }
    drop(due);
    let visits = clients.join().map_err(|_| anyhow!("the clients panicked"))??;
    visits.into_iter().map(|visit| visit.ok_or_else(|| anyhow!("a request is missing"))).collect()
}

/// Connections that wait for the next request.
type Kept = Rc<RefCell<Vec<TcpStream>>>;

async fn visit(target: SocketAddr, kept: Kept, asked: Asked, due: Instant) -> (usize, Visit) {
    let late = due.elapsed();
    let status = exchange(target, &kept, &asked.request()).await.ok();
    (asked.number, Visit { latency: due.elapsed(), late, status })
}

/// On the connection that was used last, if there is one, else on a new one.
async fn exchange(target: SocketAddr, kept: &Kept, request: &[u8]) -> io::Result<u16> {
    let last = kept.borrow_mut().pop();
    let mut stream = match last {
        Some(stream) => stream,
        None => TcpStream::connect(target).await?,
    };
    stream.set_nodelay(true)?;
    let answer = wire::ask(&mut stream, request).await?;
    if answer.persists {
        kept.borrow_mut().push(stream);
    }
    Ok(answer.status)
}

/// SplitMix64: the same figures for the same seed, everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1, never 0 nor 1.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// Between the two, evenly.
    pub(crate) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        least + most.saturating_sub(least).mul_f64(self.unit())
    }

    /// One of them; none of none.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let chosen = self.next().checked_rem(u64::try_from(from.len()).ok()?)?;
        from.get(usize::try_from(chosen).ok()?)
    }

    /// At random times one in the mean.
    pub(crate) fn exponential(&mut self) -> f64 {
        -self.unit().ln()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc::sync_channel;

    use super::*;
    use crate::backend::{Backend, Service};

    #[test]
    fn arrivals_are_random_and_the_same_for_a_seed() {
        let long = |dice: f64| if dice < 0.1 { Duration::from_millis(155) } else { Duration::from_millis(5) };
        let arrivals = poisson(1, 180.0, Duration::from_secs(100), long);
        assert_eq!(arrivals, poisson(1, 180.0, Duration::from_secs(100), long));
        assert_ne!(arrivals, poisson(2, 180.0, Duration::from_secs(100), long));
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
        // 18,000 and 1,800 in the mean; four standard deviations either way.
        assert!((17_460..18_540).contains(&arrivals.len()), "{}", arrivals.len());
        let long = arrivals.iter().filter(|arrival| arrival.service == Duration::from_millis(155)).count();
        assert!((1_630..1_970).contains(&long), "{long}");
    }

    /// The target answers nobody before all three have come.
    #[test]
    fn nobody_waits_for_an_answer_to_another() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let (come, all_come) = sync_channel(1);
        thread::spawn(move || {
            let mut streams: Vec<_> = (0..3).map(|_| listener.accept().unwrap().0).collect();
            for stream in &mut streams {
                assert_ne!(stream.read(&mut [0; 4096]).unwrap(), 0);
            }
            come.send(()).unwrap();
            for stream in &mut streams {
                stream.write_all(wire::ANSWER).unwrap();
            }
        });
        let arrivals = [0, 1, 2].map(|at| Arrival { at: Duration::from_millis(at), service: Duration::ZERO });
        let sending = thread::spawn(move || send(target, &arrivals).unwrap());
        all_come.recv_timeout(Duration::from_secs(30)).unwrap();
        let visits = sending.join().unwrap();
        assert!(visits.iter().all(|visit| visit.status == Some(200)));
        // The last came when two milliseconds had passed: so long at least the first has waited.
        assert!(visits[0].latency >= Duration::from_millis(2), "{:?}", visits[0].latency);
    }

    #[test]
    fn a_backend_works_as_long_as_it_is_asked_to() {
        let backend = Backend::start(Service::Asked).unwrap();
        let ms = Duration::from_millis;
        let arrivals =
            [(0, 30), (1, 10), (2, 0)].map(|(at, service)| Arrival { at: ms(at), service: ms(service) });
        let visits = send(backend.address(), &arrivals).unwrap();
        assert!(visits.iter().all(|visit| visit.status == Some(200)));
        let mut services = backend.services();
        services.sort_unstable();
        assert!(services.iter().map(|&(number, _)| number).eq(0..3), "{services:?}");
        assert!(services[0].1 >= ms(30) && services[1].1 >= ms(10), "{services:?}");
    }
}
