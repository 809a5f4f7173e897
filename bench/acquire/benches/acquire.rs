//! The price of one acquire and release, in wall time for each, beside tokio's Semaphore in the same run.
//!
//! Nobody waits for a slot here: what is measured is the lock, the choice and the bookkeeping, with a clock read on
//! both sides, as in the gateway; with several threads also the contention. `given` is the other case: one slot for
//! all, each release gives it to the next in line and wakes it.

use std::{
    future::Future,
    hint::black_box,
    pin::pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use idleway_core::{
    Ask, BackendKey, BackendSpec, Core, HealthPolicy, Kept, Outcome, Permit, Pool, PoolSpec, Refusal, Time,
};
use tokio::sync::Semaphore;

const THREADS: [u16; 3] = [1, 2, 4];

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1000));
    targets = acquire_and_release
}
criterion_main!(benches);

fn acquire_and_release(criterion: &mut Criterion) {
    for backends in [1, 100, 10_000] {
        // A lone backend has a slot for each thread.
        let slots = if backends == 1 { 4 } else { 1 };
        compare(criterion, &format!("{backends} backends"), (backends, slots));
    }
    compare(criterion, "given", (1, 1));
}

fn compare(criterion: &mut Criterion, name: &str, (backends, slots): (u64, u32)) {
    let mut group = criterion.benchmark_group(name);
    for threads in THREADS {
        let pool = pool(backends, slots);
        group.bench_function(BenchmarkId::new("pool", threads), |bencher| {
            bencher.iter_custom(|rounds| timed(threads, rounds, |core| exchange(&pool, core)));
        });
        let permits = usize::try_from(backends * u64::from(slots)).expect("few");
        let semaphore = Semaphore::new(permits);
        group.bench_function(BenchmarkId::new("semaphore", threads), |bencher| {
            bencher.iter_custom(|rounds| {
                timed(threads, rounds, |_| {
                    drop(black_box(block_on(semaphore.acquire()).expect("open")));
                })
            });
        });
    }
    group.finish();
}

/// One request: it takes a slot with its connection and gives both back.
fn exchange(pool: &Arc<Pool<u64>>, core: Core) {
    let granted: Result<Permit<u64>, Refusal> = block_on(pool.acquire(Ask::new(core, Time::NEVER)));
    let mut permit = granted.expect("the line has room for all threads");
    let connection = permit.take_kept().unwrap_or_default();
    permit.started();
    permit.finish(Outcome::Success, Some(Kept { connection, core }));
}

fn pool(backends: u64, slots: u32) -> Arc<Pool<u64>> {
    static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let backends = (0..backends).map(BackendKey).map(|key| BackendSpec::new(key, slots));
    let spec = PoolSpec {
        backends: backends.collect(),
        queue_length: 100,
        keep_idle: Duration::from_secs(2),
        health: HealthPolicy::default(),
        ..PoolSpec::default()
    };
    Pool::new(spec, || Time::ZERO + ORIGIN.elapsed())
}

/// How long `threads` threads take for `rounds` rounds together.
fn timed(threads: u16, rounds: u64, round: impl Fn(Core) + Sync) -> Duration {
    let started = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads {
            let (round, share) = (&round, rounds.div_ceil(threads.into()));
            scope.spawn(move || (0..share).for_each(|_| round(Core(thread))));
        }
    });
    started.elapsed()
}

fn block_on<F: Future>(future: F) -> F::Output {
    thread_local! {
        static WAKER: Waker = Waker::from(Arc::new(Unpark(thread::current())));
    }
    let mut future = pin!(future);
    WAKER.with(|waker| {
        loop {
            match future.as_mut().poll(&mut Context::from_waker(waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    })
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
