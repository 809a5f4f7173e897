//! Every interleaving (with at most two preemptions) of the races that lose slots or wakes elsewhere.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use idleway_core_loom::{
    ask::{Ask, Key, Lane, Reason},
    backend::BackendKey,
    grant::{Kept, Outcome, Until},
    permit::Permit,
    pool::Pool,
    spec::{BackendSpec, HealthPolicy, PoolSpec, Start},
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
        backends: vec![BackendSpec::new(BackendKey(1), slots)],
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

fn waiting_in(lane: Lane) -> Ask {
    let mut ask = waiting();
    ask.lane = lane;
    ask
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

/// A slot in doubt is given up while one asks and a prober looks: it is never two's, and a success frees it.
#[test]
fn doubt_against_probe_and_acquire() {
    check(|| {
        let pool = pool(1);
        let mut permit = now(&pool);
        permit.started();
        permit.doubt();
        let probes = thread::spawn({
            let pool = Arc::clone(&pool);
            move || {
                // In doubt it is its holder's; dropped in doubt it is for any prober.
                if let Some(probe) = pool.take_for_probe(BackendKey(1)) {
                    probe.finish(Outcome::Success, None);
                }
            }
        });
        let asks = thread::spawn({
            let pool = Arc::clone(&pool);
            move || block_on(pool.acquire(at_once())).map(drop)
        });
        drop(permit);
        probes.join().expect("probes");
        let granted = asks.join().expect("asks").is_ok();
        let counts = pool.counts();
        assert_eq!(counts.idle + counts.resting, 1);
        assert!(!granted || counts.idle == 1, "granted without a proof");
        assert_eq!(counts.resting == 1, pool.unproven(BackendKey(0)).is_some());
    });
}

/// The holder of a slot in doubt finishes while one waits and another leaves: the slot comes to who stays.
#[test]
fn release_from_doubt_against_leave() {
    check(|| {
        let pool = pool(1);
        let mut permit = now(&pool);
        let mut leaver = Box::pin(pool.acquire(waiting()));
        assert!(poll_once(leaver.as_mut()).is_pending());
        let mut next = Box::pin(pool.acquire(waiting()));
        assert!(poll_once(next.as_mut()).is_pending());
        let leaves = thread::spawn(move || drop(leaver));
        let doubts = thread::spawn(move || {
            permit.doubt();
            permit.finish(Outcome::Ignored, kept());
        });
        assert_eq!(block_on(next).expect("the slot comes to who stays").take_kept(), Some(7));
        leaves.join().expect("leaves");
        doubts.join().expect("doubts");
        assert_all_idle(&pool, 1);
    });
}

/// One is displaced while it leaves, and while the slot frees: every wait ends once, and the place is not lost.
#[test]
fn displacing_against_leave_and_release() {
    check(|| {
        let pool = Pool::new(PoolSpec { queue_length: 1, ..spec(1) }, || Time::ZERO);
        let permit: Permit<Connection> = now(&pool);
        let mut loser = Box::pin(pool.acquire(waiting_in(Lane::Low)));
        assert!(poll_once(loser.as_mut()).is_pending());
        let leaves = thread::spawn(move || drop(loser));
        let finishes = thread::spawn(move || permit.finish(Outcome::Success, None));
        drop(block_on(pool.acquire(waiting_in(Lane::High))).expect("there is room, or it makes room"));
        leaves.join().expect("leaves");
        finishes.join().expect("finishes");
        assert_all_idle(&pool, 1);
    });
}

/// One that is displaced while nobody else wakes it learns it, whatever comes first.
#[test]
fn displacing_wakes_the_displaced() {
    check(|| {
        let pool = Pool::new(PoolSpec { queue_length: 1, ..spec(1) }, || Time::ZERO);
        let permit: Permit<Connection> = now(&pool);
        let waits = thread::spawn({
            let pool = Arc::clone(&pool);
            move || block_on(pool.acquire(waiting_in(Lane::Low))).map(drop)
        });
        let urgent = thread::spawn({
            let pool = Arc::clone(&pool);
            move || block_on(pool.acquire(waiting_in(Lane::High))).map(drop)
        });
        permit.rest(Until::Proof);
        // Without a slot only a displaced or refused one comes back; with one all do.
        pool.take_for_proof(BackendKey(1)).expect("without proof").finish(Outcome::Success, None);
        assert!(urgent.join().expect("asks").is_ok(), "it finds room or makes it");
        if let Err(refusal) = waits.join().expect("asks") {
            assert!(matches!(refusal.reason, Reason::Displaced | Reason::QueueFull));
        }
        assert_all_idle(&pool, 1);
    });
}

/// The pool gives up its slots while one is given back and one asks: whoever is told of it hears every number, the last one is
/// 0, and who asks is served or told.
#[test]
fn ceding_against_release_and_acquire() {
    check(|| {
        let pool = pool(1);
        let permit = now(&pool);
        let asks = thread::spawn({
            let pool = Arc::clone(&pool);
            move || block_on(pool.acquire(waiting())).map(drop)
        });
        let finishes = thread::spawn(move || permit.finish(Outcome::Success, kept()));
        let mut held = pool.cede();
        while held.last().is_some_and(|held| held.slots > 0) {
            held = block_on(pool.held_changes());
            assert_eq!(held.len(), 1);
        }
        finishes.join().expect("finishes");
        if let Err(refusal) = asks.join().expect("asks") {
            assert_eq!(refusal.reason, Reason::Draining);
        }
        assert_all_idle(&pool, 0);
    });
}

/// A backend moves to another pool while its work ends here and one asks there: never two at once, and no wake is lost.
#[test]
fn a_move_to_another_pool_against_release_and_acquire() {
    check(|| {
        let (old, new) = (pool(1), Pool::new(PoolSpec { backends: Vec::new(), ..spec(1) }, || Time::ZERO));
        let permit = now(&old);
        let finishes = thread::spawn(move || permit.finish(Outcome::Success, None));
        old.reconfigure(PoolSpec { backends: Vec::new(), ..spec(1) });
        let held = old.watch(BackendKey(1));
        let start = Start::Elsewhere(held);
        new.reconfigure(PoolSpec {
            backends: vec![BackendSpec { key: BackendKey(1), slots: 1, start }],
            ..spec(1)
        });
        let asks = thread::spawn({
            let (old, new): (_, Arc<Pool<Connection>>) = (Arc::clone(&old), Arc::clone(&new));
            move || {
                let permit = block_on(new.acquire(waiting())).expect("the slot frees");
                assert_eq!(old.counts().slots, 0, "at work in both");
                drop(permit);
            }
        });
        if held > 0 {
            assert_eq!(block_on(old.held_changes()).iter().map(|held| held.slots).collect::<Vec<_>>(), [0]);
            new.set_elsewhere(BackendKey(1), 0);
        }
        finishes.join().expect("finishes");
        asks.join().expect("asks");
        assert_all_idle(&new, 1);
    });
}

/// A key at its bound asks while its slot is given back: whatever comes first, it gets a slot.
#[test]
fn release_of_a_bound_against_acquire() {
    check(|| {
        let bounded = PoolSpec { slots_per_key: Some(1), fair: true, ..spec(2) };
        let pool: Arc<Pool<Connection>> = Pool::new(bounded, || Time::ZERO);
        let mut ask = waiting();
        ask.key = Key(5);
        let permit = block_on(pool.acquire(ask.clone())).expect("idle");
        let asks = thread::spawn({
            let pool = Arc::clone(&pool);
            move || drop(block_on(pool.acquire(ask)).expect("its slot frees"))
        });
        let counts = pool.counts();
        assert!(counts.busy <= 1, "one slot for one key");
        permit.finish(Outcome::Success, None);
        asks.join().expect("asks");
        assert_all_idle(&pool, 2);
    });
}
