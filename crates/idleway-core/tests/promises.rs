//! What the refused are told, and what those with a deadline are, each as a short story.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use idleway_core::{
    Arrival, Ask, BackendKey, BackendSpec, Core, Dispatcher, Grant, Key, Outcome, PoolSpec, Reason, Refusal,
    Time,
};

type Stage = Dispatcher<(), ()>;

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

fn ask(key: u64) -> Ask {
    let mut ask = Ask::new(Core(0), Time::NEVER);
    ask.key = Key(key);
    ask
}

fn due_by(deadline: Time) -> Ask {
    let mut ask = ask(0);
    ask.deadline = deadline;
    ask
}

fn granted(stage: &mut Stage, now: Time, ask: Ask) -> Grant<()> {
    match stage.arrive(now, ask).0 {
        Arrival::Granted(grant) => grant,
        other => panic!("not granted: {other:?}"),
    }
}

fn refused(stage: &mut Stage, now: Time, ask: Ask) -> Refusal {
    match stage.arrive(now, ask).0 {
        Arrival::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn queues(stage: &mut Stage, now: Time, ask: Ask) -> bool {
    matches!(stage.arrive(now, ask).0, Arrival::Queued(_))
}

/// One slot, whose work has taken 4 s so far, and is at work since 40 s.
fn stage(queue_length: usize) -> (Stage, Grant<()>) {
    let backends = vec![BackendSpec::new(BackendKey(1), 1)];
    let mut stage = Dispatcher::new(at(0), PoolSpec { backends, queue_length, ..PoolSpec::default() });
    for i in 0..10 {
        let grant = granted(&mut stage, at(4_000 * i), ask(0));
        assert!(stage.release(at(4_000 * (i + 1)), grant.slot, Outcome::Success, None).is_none());
    }
    let grant = granted(&mut stage, at(40_000), ask(0));
    (stage, grant)
}

#[test]
fn a_place_is_kept_for_who_was_told_a_time() {
    let (mut stage, held) = stage(2);
    assert!(queues(&mut stage, at(40_000), ask(1)) && queues(&mut stage, at(40_000), ask(2)));
    let refusal = refused(&mut stage, at(40_000), ask(7));
    assert_eq!(refusal.reason, Reason::QueueFull);
    let told = refusal.retry_after;
    assert!((4..=6).contains(&told.as_secs()), "the slot is free after 4 s: {told:?}");
    // A place is free, and kept: a newcomer finds none, whoever was told finds it.
    stage.release(at(44_000), held.slot, Outcome::Success, None).wakes.into_iter().for_each(drop);
    let back = at(40_000) + told;
    assert_eq!(refused(&mut stage, back, ask(8)).reason, Reason::QueueFull);
    assert!(queues(&mut stage, back, ask(7)));
}

#[test]
fn an_idle_slot_is_kept_from_nobody() {
    let (mut stage, held) = stage(1);
    let ticket = match stage.arrive(at(40_000), ask(1)).0 {
        Arrival::Queued(ticket) => ticket,
        other => panic!("not queued: {other:?}"),
    };
    let told = refused(&mut stage, at(40_000), ask(7)).retry_after;
    assert!(stage.leave(at(41_000), ticket).is_none());
    assert!(stage.release(at(44_000), held.slot, Outcome::Success, None).is_none());
    granted(&mut stage, at(40_000) + told, ask(8));
}

#[test]
fn who_cannot_be_answered_in_time_is_told_at_once() {
    let (mut stage, _held) = stage(5);
    // The slot is free at 44 s, the work takes 4 s.
    assert_eq!(refused(&mut stage, at(41_000), due_by(at(47_000))).reason, Reason::TooLate);
    assert!(queues(&mut stage, at(41_000), due_by(at(49_500))));
    assert_eq!(
        refused(&mut stage, at(41_000), due_by(at(49_500))).reason,
        Reason::TooLate,
        "one is before it"
    );
    assert!(queues(&mut stage, at(41_000), due_by(Time::NEVER)));
}

/// Two backends with one slot each, on both of which work has taken 4 s so far, and is at work since 44 s.
fn pair() -> (Stage, [Grant<()>; 2]) {
    let backends = [1, 2].map(|key| BackendSpec::new(BackendKey(key), 1)).to_vec();
    let mut stage = Dispatcher::new(at(0), PoolSpec { backends, queue_length: 100, ..PoolSpec::default() });
    for i in 0..=10 {
        let grants = [(); 2].map(|()| granted(&mut stage, at(4_000 * i), ask(0)));
        for grant in &grants {
            assert!(stage.release(at(4_000 * (i + 1)), grant.slot, Outcome::Success, None).is_none());
        }
    }
    let grants = [(); 2].map(|()| granted(&mut stage, at(44_000), ask(0)));
    (stage, grants)
}

#[test]
fn those_in_front_who_wait_for_another_backend_make_nobody_late() {
    let (mut stage, grants) = pair();
    for key in 0..60 {
        let mut retry = ask(key);
        retry.avoid = vec![grants[0].backend];
        assert!(queues(&mut stage, at(44_000), retry));
    }
    assert!(queues(&mut stage, at(44_000), due_by(at(53_000))));
}

#[test]
fn a_backend_that_may_be_up_soon_makes_nobody_late() {
    let (mut stage, grants) = pair();
    let soon = due_by(at(50_000));
    for _ in 0..4 {
        assert!(queues(&mut stage, at(44_000), ask(0)));
    }
    assert_eq!(refused(&mut stage, at(44_000), soon.clone()).reason, Reason::TooLate);
    drop(stage.release(at(44_000), grants[0].slot, Outcome::Failure, None));
    let pause_end = stage.next_deadline().unwrap();
    assert!(queues(&mut stage, at(44_000), soon.clone()), "it pauses until {pause_end:?}");
    drop(stage.tick(pause_end));
    assert!(queues(&mut stage, pause_end, soon), "it is on trial");
}

#[test]
fn those_who_do_not_wait_for_long_make_nobody_late() {
    let (mut stage, _held) = stage(100);
    for key in 0..20 {
        let mut impatient = ask(key);
        impatient.until = at(43_000);
        assert!(queues(&mut stage, at(41_000), impatient));
    }
    assert!(queues(&mut stage, at(41_000), due_by(at(48_500))), "the slot is free at 44 s");
    assert_eq!(refused(&mut stage, at(41_000), due_by(at(47_500))).reason, Reason::TooLate);
}

#[test]
fn work_that_may_be_short_is_not_too_late() {
    let backends = vec![BackendSpec::new(BackendKey(1), 1)];
    let mut stage = Dispatcher::new(at(0), PoolSpec { backends, queue_length: 5, ..PoolSpec::default() });
    let mut now = 0;
    for i in 0..100 {
        let grant = granted(&mut stage, at(now), ask(0));
        now += if i % 5 < 2 { 10 } else { 60_000 };
        assert!(stage.release(at(now), grant.slot, Outcome::Success, None).is_none());
    }
    granted(&mut stage, at(now), ask(0));
    assert!(queues(&mut stage, at(now + 5), due_by(at(now + 30_000))), "two of five pieces take 10 ms");
}

#[test]
fn a_key_at_its_bound_is_told_when_its_own_work_is_done() {
    let backends = vec![BackendSpec::new(BackendKey(1), 2)];
    let mut stage = Stage::new(at(0), PoolSpec { backends, slots_per_key: Some(1), ..PoolSpec::default() });
    let grant = granted(&mut stage, at(0), ask(7));
    assert!(stage.release(at(60_000), grant.slot, Outcome::Success, None).is_none());
    granted(&mut stage, at(60_000), ask(7));
    for _ in 0..10 {
        let refusal = refused(&mut stage, at(61_000), ask(7));
        assert_eq!(refusal.reason, Reason::KeyBusy);
        assert!(
            (60..=91).contains(&refusal.retry_after.as_secs()),
            "a slot is idle, not for it: {refusal:?}"
        );
    }
}

#[test]
fn a_crowd_that_is_gone_delays_nobody() {
    let (mut stage, held) = stage(2);
    let tickets = [1, 2].map(|key| match stage.arrive(at(40_000), ask(key)).0 {
        Arrival::Queued(ticket) => ticket,
        other => panic!("not queued: {other:?}"),
    });
    let told = (100..300).map(|key| refused(&mut stage, at(40_000), ask(key)).retry_after);
    assert!(told.max().unwrap() > Duration::from_secs(1_000));
    tickets.into_iter().for_each(|ticket| assert!(stage.leave(at(41_000), ticket).is_none()));
    assert!(stage.release(at(44_000), held.slot, Outcome::Success, None).is_none());
    granted(&mut stage, at(60_000), ask(1));
    assert!(queues(&mut stage, at(60_000), ask(2)) && queues(&mut stage, at(60_000), ask(3)));
    let told = refused(&mut stage, at(60_000), ask(4)).retry_after;
    assert!((4..=6).contains(&told.as_secs()), "{told:?}");
}

#[test]
fn a_line_of_one_is_open_to_newcomers() {
    let (mut stage, held) = stage(1);
    assert!(queues(&mut stage, at(40_000), ask(1)));
    let told = refused(&mut stage, at(40_000), ask(7)).retry_after;
    drop(stage.release(at(44_000), held.slot, Outcome::Success, None));
    assert!(queues(&mut stage, at(40_000) + told, ask(8)), "half of one place is none");
}

#[test]
fn a_deadline_that_has_passed_is_too_late_for_an_idle_slot() {
    let backends = vec![BackendSpec::new(BackendKey(1), 1)];
    let mut stage = Stage::new(at(0), PoolSpec { backends, queue_length: 5, ..PoolSpec::default() });
    assert_eq!(refused(&mut stage, at(10), due_by(at(10))).reason, Reason::TooLate);
    granted(&mut stage, at(10), due_by(at(11)));
    assert!(queues(&mut stage, at(10), due_by(at(11))), "nothing is claimed before something was served");
}

#[test]
fn the_estimate_tells_wait_and_work() {
    let (stage, _held) = stage(5);
    let estimate = stage.estimate(at(43_000));
    assert!((0.9..1.1).contains(&estimate.wait.unwrap().as_secs_f64()), "{estimate:?}");
    assert!([estimate.p50, estimate.p95, estimate.p99].iter().all(|p| p.unwrap().as_millis() == 4_000));
    let nothing = Stage::new(at(0), PoolSpec::default()).estimate(at(0));
    assert_eq!((nothing.wait, nothing.p50), (None, None));
}
