//! Every interleaving (with at most two preemptions) of the races that lose slots or wakes elsewhere.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use idleway_core_loom::{
    ask::{Ask, Reason},
    backend::BackendKey,
    grant::{Kept, Outcome},
    permit::Permit,
    pool::Pool,
    spec::{BackendSpec, HealthPolicy, PoolSpec},
    time::{Core, Time},
};
use loom::{future::block_on, thread};

/// The kept connection of these tests.
type Connection = u8;

fn check(interleaving: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(interleaving);
}

fn spec(slots: u32) -> PoolSpec {
    PoolSpec {
        backends: vec![BackendSpec { key: BackendKey(1), slots }],
        queue_length: 4,
        keep_idle: Duration::from_secs(2),
        health: HealthPolicy::default(),
        ..PoolSpec::default()
    }
}

fn pool(slots: u32) -> Arc<Pool<Connection>> {
    Pool::new(spec(slots), || Time::ZERO)
}

fn waiting() -> Ask {
    Ask::new(Core(0), Time::NEVER)
}

fn at_once() -> Ask {
    Ask::new(Core(0), Time::ZERO)
}

fn now(pool: &Arc<Pool<Connection>>) -> Permit<Connection> {
    block_on(pool.acquire(at_once())).expect("a slot is idle")
}

/// Polls once, without anyone who would be woken.
fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn kept() -> Option<Kept<Connection>> {
    let core = Core(0);
    Some(Kept { connection: 7, core })
}

fn assert_all_idle(pool: &Pool<Connection>, slots: u64) {
    let counts = pool.counts();
    assert_eq!((counts.idle, counts.slots, counts.waiting), (slots, slots, 0));
}

/// A waiter leaves while the slot is granted to it: the next in line gets it, woken, in every order.
#[test]
fn cancel_against_grant() {
    check(|| {
        let pool = pool(1);
        let permit = now(&pool);
        let mut leaver = Box::pin(pool.acquire(waiting()));
        assert!(poll_once(leaver.as_mut()).is_pending());
        let mut next = Box::pin(pool.acquire(waiting()));
        assert!(poll_once(next.as_mut()).is_pending());
        let leaves = thread::spawn(move || drop(leaver));
        let finishes = thread::spawn(move || permit.finish(Outcome::Success, kept()));
        let mut permit = block_on(next).expect("the slot comes to the next in line");
        assert_eq!(permit.take_kept(), Some(7));
        permit.finish(Outcome::Success, None);
        leaves.join().expect("leaves");
        finishes.join().expect("finishes");
        assert_all_idle(&pool, 1);
    });
}

/// The pool shrinks while one asks: granted before or refused after, never above the limit that holds.
#[test]
fn shrink_against_acquire() {
    check(|| {
        let pool = pool(2);
        let held = now(&pool);
        let shrinks = thread::spawn({
            let pool = Arc::clone(&pool);
            move || pool.reconfigure(spec(1))
        });
        let asks = thread::spawn({
            let pool = Arc::clone(&pool);
            move || block_on(pool.acquire(at_once()))
        });
        shrinks.join().expect("shrinks");
        let second = asks.join().expect("asks");
        let counts = pool.counts();
        assert_eq!(counts.slots, if second.is_ok() { 2 } else { 1 });
        assert_eq!(counts.busy, counts.slots);
        drop(held);
        let third = block_on(pool.acquire(at_once()));
        assert_eq!(third.is_ok(), second.is_err(), "one slot is left, and the second may still hold it");
        drop((second, third));
        assert_all_idle(&pool, 1);
    });
}

/// The holder releases while the only waiter leaves: the slot is idle afterwards, and kept with its connection.
#[test]
fn release_against_leave() {
    check(|| {
        let pool = pool(1);
        let permit = now(&pool);
        let mut leaver = Box::pin(pool.acquire(waiting()));
        assert!(poll_once(leaver.as_mut()).is_pending());
        let leaves = thread::spawn(move || drop(leaver));
        permit.finish(Outcome::Success, kept());
        leaves.join().expect("leaves");
        assert_all_idle(&pool, 1);
        assert_eq!(now(&pool).take_kept(), Some(7));
    });
}

/// One asks while the slot is given back: in whatever order, it gets it, and no wake is lost.
#[test]
fn release_against_acquire() {
    check(|| {
        let pool = pool(1);
        let mut permit = now(&pool);
        permit.linger();
        let asks = thread::spawn({
            let pool = Arc::clone(&pool);
            move || drop(block_on(pool.acquire(waiting())).expect("the slot frees"))
        });
        permit.finish(Outcome::Ignored, None);
        asks.join().expect("asks");
        assert_all_idle(&pool, 1);
    });
}

/// A wait begins while the driver goes to sleep: the driver learns its end.
#[test]
fn sleep_of_the_driver_against_a_new_wait() {
    check(|| {
        let pool = pool(1);
        let end = Time::from_nanos(5);
        let permit = now(&pool);
        let asks = thread::spawn({
            let pool = Arc::clone(&pool);
            move || {
                let mut waits = pin!(pool.acquire(Ask::new(Core(0), end)));
                assert!(poll_once(waits.as_mut()).is_pending());
                // Who asked stays in line until the driver has seen it.
                assert_eq!(block_on(waits).expect("the slot frees").backend(), BackendKey(1));
            }
        });
        assert_eq!(block_on(pool.deadline(None)), Some(end));
        permit.finish(Outcome::Success, None);
        asks.join().expect("asks");
        assert_eq!(pool.tick(), None);
    });
}

/// Closing while one asks: served or told, and nothing hangs.
#[test]
fn close_against_acquire() {
    check(|| {
        let pool = pool(1);
        let permit = now(&pool);
        let closes = thread::spawn({
            let pool = Arc::clone(&pool);
            move || pool.close()
        });
        let asks = thread::spawn({
            let pool = Arc::clone(&pool);
            move || block_on(pool.acquire(waiting())).map(drop)
        });
        drop(permit);
        closes.join().expect("closes");
        if let Err(refusal) = asks.join().expect("asks") {
            assert_eq!(refusal.reason, Reason::Draining);
        }
        assert_all_idle(&pool, 1);
    });
}
