//! The pool as its users see it: futures that are polled by hand, threads, panics, the driver.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use idleway_core::{
    Acquire, Ask, BackendKey, BackendSpec, Core, Deadline, HealthPolicy, Held, Kept, Lane, Outcome, Permit,
    Pool, PoolSpec, Reason, Refusal, Time, Until,
};

const A: BackendKey = BackendKey(1);

/// A connection that says when it is closed.
struct Connection(Arc<AtomicUsize>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn spec(slots: u32, queue_length: usize) -> PoolSpec {
    PoolSpec {
        backends: vec![BackendSpec::new(A, slots)],
        queue_length,
        keep_idle: Duration::from_secs(2),
        health: HealthPolicy::default(),
        ..PoolSpec::default()
    }
}

fn pool<C>(slots: u32, queue_length: usize) -> Arc<Pool<C>> {
    Pool::new(spec(slots, queue_length), || Time::ZERO)
}

fn waiting() -> Ask {
    Ask::new(Core(0), Time::NEVER)
}

fn kept<C>(connection: C) -> Option<Kept<C>> {
    let core = Core(0);
    Some(Kept { connection, core })
}

/// Counts how often it is woken; unparks the thread that waits for it.
struct Bell {
    rings: AtomicUsize,
    thread: thread::Thread,
}

impl Bell {
    fn new() -> Arc<Self> {
        Arc::new(Self { rings: AtomicUsize::new(0), thread: thread::current() })
    }

    fn rings(&self) -> usize {
        self.rings.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rings.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

fn poll<F: Future + Unpin>(future: &mut F, bell: &Arc<Bell>) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(bell))))
}

/// Waits for as long as anything in these tests could take; who is not woken by then is forgotten.
const PATIENCE: Duration = Duration::from_secs(30);

fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    let (bell, start) = (Bell::new(), Instant::now());
    loop {
        if let Poll::Ready(output) = poll(&mut future, &bell) {
            return output;
        }
        thread::park_timeout(PATIENCE);
        assert!(start.elapsed() < PATIENCE, "never woken");
    }
}

fn now<C>(pool: &Arc<Pool<C>>) -> Permit<C> {
    match poll(&mut pool.acquire(waiting()), &Bell::new()) {
        Poll::Ready(Ok(permit)) => permit,
        other => panic!("not granted at once: {other:?}"),
    }
}

#[test]
fn everything_may_move_between_threads() {
    fn sent<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    sent::<Acquire<std::cell::Cell<u8>>>();
    sent::<Permit<std::cell::Cell<u8>>>();
    sent::<Deadline<std::cell::Cell<u8>>>();
    shared::<Pool<std::cell::Cell<u8>>>();
}

#[test]
fn a_waiter_is_woken_when_the_slot_is_its_own() {
    let pool = pool::<u8>(1, 2);
    let permit = now(&pool);
    let (ann, bob) = (Bell::new(), Bell::new());
    let (mut ann_waits, mut bob_waits) = (pool.acquire(waiting()), pool.acquire(waiting()));
    assert!(poll(&mut ann_waits, &ann).is_pending());
    assert!(poll(&mut bob_waits, &bob).is_pending());
    permit.finish(Outcome::Success, kept(5));
    assert_eq!((ann.rings(), bob.rings()), (1, 0));
    let Poll::Ready(Ok(mut permit)) = poll(&mut ann_waits, &ann) else { panic!("not granted") };
    assert_eq!((permit.take_kept(), permit.take_kept()), (Some(5), None));
    drop(permit);
    assert_eq!((ann.rings(), bob.rings()), (1, 1));
}

#[test]
fn a_waiter_that_moved_to_another_task_is_woken_there() {
    let pool = pool::<u8>(1, 2);
    let permit = now(&pool);
    let (before, after) = (Bell::new(), Bell::new());
    let mut waits = pool.acquire(waiting());
    assert!(poll(&mut waits, &before).is_pending());
    assert!(poll(&mut waits, &after).is_pending());
    permit.finish(Outcome::Success, None);
    assert_eq!((before.rings(), after.rings()), (0, 1));
}

#[test]
fn dropping_the_future_leaves_the_line() {
    let pool = pool::<u8>(1, 1);
    let permit = now(&pool);
    let bell = Bell::new();
    let mut leaver = pool.acquire(waiting());
    assert!(poll(&mut leaver, &bell).is_pending());
    let full = block_on(pool.acquire(waiting()));
    assert!(matches!(full, Err(Refusal { reason: Reason::QueueFull, .. })));
    drop(leaver);
    let mut next = pool.acquire(waiting());
    assert!(poll(&mut next, &bell).is_pending(), "there is room again");
    permit.finish(Outcome::Success, None);
    // Granted and never collected: dropping the future gives the slot back too.
    drop(next);
    assert_eq!((pool.counts().idle, pool.counts().waiting), (1, 0));
}

#[test]
fn an_untouched_permit_gives_slot_and_connection_back() {
    let closed = Arc::new(AtomicUsize::new(0));
    let pool = pool(1, 0);
    now(&pool).finish(Outcome::Success, kept(Connection(Arc::clone(&closed))));
    drop(now(&pool));
    assert_eq!((pool.counts().kept, closed.load(Ordering::Relaxed)), (1, 0));
    now(&pool).finish(Outcome::Success, None);
    assert_eq!((pool.counts().kept, closed.load(Ordering::Relaxed)), (0, 1), "not given on: closed");
}

#[test]
fn a_started_permit_that_is_dropped_rests_until_a_proof() {
    let pool = pool::<u8>(1, 0);
    let mut permit = now(&pool);
    permit.started();
    permit.linger();
    assert_eq!(pool.counts().lingering, 1);
    drop(permit);
    assert_eq!(pool.counts().resting, 1);
    drop(pool.take_for_proof(A).expect("the slot without proof"));
    assert_eq!(pool.counts().resting, 1, "a probe that was not finished proves nothing");
    pool.take_for_proof(A).expect("the slot without proof").finish(Outcome::Success, None);
    assert_eq!(pool.counts().idle, 1);
}

#[test]
fn a_permit_in_doubt_rests_and_is_finished_by_who_knows() {
    let pool = pool::<u8>(1, 1);
    let mut permit = now(&pool);
    permit.doubt();
    let bell = Bell::new();
    let mut waits = pool.acquire(waiting());
    assert!(poll(&mut waits, &bell).is_pending());
    assert_eq!((pool.counts().resting, pool.unproven(A)), (1, None));
    assert!(pool.take_for_proof(A).is_none(), "it is its holder's");
    permit.finish(Outcome::Ignored, kept(5));
    assert_eq!(bell.rings(), 1);
    let Poll::Ready(Ok(mut permit)) = poll(&mut waits, &bell) else { panic!("not granted") };
    // Dropped in doubt it is for any prober, as one that was started.
    permit.doubt();
    assert_eq!(permit.take_kept(), Some(5));
    drop(permit);
    assert_eq!((pool.counts().resting, pool.unproven(A)), (1, Some(A)));
    pool.take_for_proof(A).expect("the slot without proof").finish(Outcome::Success, None);
    assert_eq!((pool.counts().idle, pool.unproven(A)), (1, None));
}

#[test]
fn who_is_displaced_is_woken() {
    let pool = pool::<u8>(1, 1);
    let _held = now(&pool);
    let (low, high) = (Bell::new(), Bell::new());
    let ask = |lane| {
        let mut ask = waiting();
        ask.lane = lane;
        pool.acquire(ask)
    };
    let (mut low_waits, mut high_waits) = (ask(Lane::Low), ask(Lane::High));
    assert!(poll(&mut low_waits, &low).is_pending());
    assert!(poll(&mut high_waits, &high).is_pending());
    assert_eq!((low.rings(), high.rings()), (1, 0));
    let Poll::Ready(Err(refusal)) = poll(&mut low_waits, &low) else { panic!("still in line") };
    assert_eq!((refusal.reason, pool.counts().waiting), (Reason::Displaced, 1));
}

#[test]
fn a_panic_gives_the_slot_back() {
    let pool = pool::<u8>(1, 0);
    let permit = now(&pool);
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _held = permit;
        panic!("a task panics");
    }));
    assert!(unwound.is_err());
    assert_eq!(pool.counts().idle, 1);
}

#[test]
fn a_permit_may_rest() {
    static CLOCK: AtomicU64 = AtomicU64::new(0);
    let pool = Pool::<u8>::new(spec(1, 0), || Time::from_nanos(CLOCK.load(Ordering::SeqCst)));
    let mut permit = now(&pool);
    permit.started();
    permit.rest(Until::Time(Time::from_nanos(7)));
    assert_eq!((pool.counts().resting, pool.tick()), (1, Some(Time::from_nanos(7))));
    CLOCK.store(7, Ordering::SeqCst);
    assert_eq!((pool.tick(), pool.counts().idle), (None, 1));
}

#[test]
fn only_an_earlier_deadline_wakes_the_driver() {
    let pool = pool::<u8>(2, 4);
    let driver = Bell::new();
    let mut sleeps = pool.deadline(None);
    assert!(poll(&mut sleeps, &driver).is_pending());
    now(&pool).finish(Outcome::Success, kept(1));
    assert_eq!(driver.rings(), 1);
    let Poll::Ready(seen) = poll(&mut sleeps, &driver) else { panic!("there is a deadline now") };
    assert_eq!(seen, Some(Time::ZERO + Duration::from_secs(2)));
    let mut sleeps = pool.deadline(seen);
    assert!(poll(&mut sleeps, &driver).is_pending());
    for connection in 0..100 {
        now(&pool).finish(Outcome::Success, kept(connection));
    }
    assert_eq!(driver.rings(), 1, "the hot path lets the driver sleep");
    let _held = (now(&pool), now(&pool));
    let mut waits = pool.acquire(Ask::new(Core(0), Time::from_nanos(3)));
    assert!(poll(&mut waits, &Bell::new()).is_pending());
    assert_eq!(driver.rings(), 2);
    assert_eq!(poll(&mut sleeps, &driver), Poll::Ready(Some(Time::from_nanos(3))));
}

#[test]
fn who_gets_the_slots_of_a_pool_hears_of_each_that_is_given_up() {
    let pool = pool::<Connection>(2, 4);
    let (closed, heir) = (Arc::new(AtomicUsize::new(0)), Bell::new());
    let (first, second) = (now(&pool), now(&pool));
    let mut listens = pool.held_changes();
    assert!(poll(&mut listens, &heir).is_pending());
    assert_eq!(pool.cede(), [Held { backend: A, slots: 2 }]);
    assert_eq!(heir.rings(), 0, "that was the answer");
    let mut ann = pool.acquire(waiting());
    assert!(poll(&mut ann, &Bell::new()).is_pending());
    first.finish(Outcome::Success, kept(Connection(Arc::clone(&closed))));
    assert_eq!(heir.rings(), 0, "a waiter has it");
    drop(ann);
    assert_eq!(heir.rings(), 1);
    assert_eq!(poll(&mut listens, &heir), Poll::Ready(vec![Held { backend: A, slots: 1 }]));
    assert_eq!(closed.load(Ordering::Relaxed), 1, "its connection went with it");
    let mut listens = pool.held_changes();
    assert!(poll(&mut listens, &heir).is_pending());
    let mut bob = pool.acquire(waiting());
    assert!(poll(&mut bob, &Bell::new()).is_pending());
    drop((second, bob));
    assert_eq!(poll(&mut listens, &heir), Poll::Ready(vec![Held { backend: A, slots: 0 }]));
    assert_eq!(pool.counts().slots, 0);
}

#[test]
fn who_is_watched_is_told_of_and_who_listens_no_more_is_not_woken() {
    let pool = pool::<u8>(2, 0);
    let (first, second) = (now(&pool), now(&pool));
    pool.reconfigure(PoolSpec { backends: Vec::new(), ..spec(0, 0) });
    assert_eq!(pool.watch(A), 2);
    let heir = Bell::new();
    let mut listens = pool.held_changes();
    assert!(poll(&mut listens, &heir).is_pending());
    drop(listens);
    drop(first);
    assert_eq!(heir.rings(), 0);
    assert_eq!(poll(&mut pool.held_changes(), &heir), Poll::Ready(vec![Held { backend: A, slots: 1 }]));
    drop(second);
    assert_eq!(poll(&mut pool.held_changes(), &heir), Poll::Ready(vec![Held { backend: A, slots: 0 }]));
}

#[test]
fn what_is_at_work_elsewhere_wakes_a_waiter_when_it_ends() {
    let pool = pool::<u8>(1, 4);
    pool.set_elsewhere(A, 1);
    let (ann, bob) = (Bell::new(), Bell::new());
    let (mut ann_waits, mut bob_waits) = (pool.acquire(waiting()), pool.acquire(waiting()));
    assert!(poll(&mut ann_waits, &ann).is_pending() && poll(&mut bob_waits, &bob).is_pending());
    pool.set_elsewhere(A, 0);
    assert_eq!((ann.rings(), bob.rings()), (1, 0));
    let Poll::Ready(Ok(permit)) = poll(&mut ann_waits, &ann) else { panic!("granted") };
    pool.set_elsewhere(A, 5);
    permit.finish(Outcome::Success, None);
    assert_eq!(bob.rings(), 0, "it does not fit");
    pool.doubt_elsewhere(A, 5);
    pool.take_for_proof(A).expect("to prove").finish(Outcome::Success, None);
    assert_eq!(bob.rings(), 1);
}

/// Real threads, one slot each of three backends: nobody ever meets another on a slot, everyone is served.
#[test]
fn threads_never_share_a_slot() {
    const THREADS: usize = 6;
    const ROUNDS: usize = 300;
    let keys = [BackendKey(0), BackendKey(1), BackendKey(2)];
    let backends = keys.iter().map(|&key| BackendSpec::new(key, 1)).collect();
    let pool = Pool::new(PoolSpec { backends, ..spec(1, THREADS) }, || Time::ZERO);
    let at_work = keys.map(|_| AtomicUsize::new(0));
    let served = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (pool, at_work, served) = (&pool, &at_work, &served);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    if (round + thread).is_multiple_of(7) {
                        // One that asks and leaves.
                        _ = poll(&mut pool.acquire(waiting()), &Bell::new());
                    }
                    let mut permit = block_on(pool.acquire(waiting())).expect("there is room for all");
                    let here = &at_work[usize::try_from(permit.backend().0).unwrap()];
                    permit.started();
                    assert_eq!(here.fetch_add(1, Ordering::SeqCst), 0, "the slot is shared");
                    thread::yield_now();
                    here.fetch_sub(1, Ordering::SeqCst);
                    let connection = permit.take_kept().unwrap_or_else(|| permit.backend());
                    assert_eq!(connection, permit.backend(), "a connection of another backend");
                    permit.finish(Outcome::Success, kept(connection));
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(served.into_inner(), THREADS * ROUNDS);
    assert_eq!((pool.counts().idle, pool.counts().waiting), (3, 0));
}
