//! What probes find out, what they cost, and that there is always another one.

use std::time::Duration;

use idleway_core::{Cause, Collected, Health, HealthPolicy, Mode, Outcome, PoolSpec, Reason, Until};

use crate::stage::*;

#[test]
fn what_a_probe_without_a_slot_saw_counts_like_any_other() {
    let health = HealthPolicy { rise: 2, fall: 2, is_probed: true, ..HealthPolicy::default() };
    let mut stage = healthy(5, &[(A, 1), (B, 1)], health);
    let held = [granted(&mut stage, ask()), granted(&mut stage, ask())];
    queued(&mut stage, ask(), "ann");
    for (outcome, up) in
        [(Outcome::Failure, 2), (Outcome::Failure, 1), (Outcome::Success, 1), (Outcome::Success, 2)]
    {
        assert!(stage.observe(NOW, A, outcome).is_none());
        assert_eq!(stage.counts().up, up, "{outcome:?}");
    }
    assert!(stage.observe(NOW, A, Outcome::Unreachable).is_none());
    assert!(stage.release(NOW, held[0].slot, Outcome::Success, None).is_none(), "ann waits: A is down");
    assert_eq!(stage.counts().idle, 1);
}

#[test]
fn a_proof_says_nothing_about_health() {
    let mut stage = stage(0, &[(A, 1), (B, 1)]);
    let grant = granted(&mut stage, ask());
    assert!(stage.rest(NOW, grant.slot, Until::Proof).is_none());
    assert!(stage.observe(NOW, A, Outcome::Failure).is_none());
    let proof = stage.take_for_proof(NOW, A).expect("a slot without proof");
    assert!(stage.release(NOW, proof.slot, Outcome::Success, None).is_none());
    assert_eq!((stage.counts().idle, stage.counts().up), (2, 1));
}

#[test]
fn a_probe_costs_nobody_a_refusal() {
    let mut stage = stage(0, &[(A, 1)]);
    let probe = stage.take_for_probe(NOW, A).expect("idle");
    let ann = queued(&mut stage, ask(), "ann");
    assert_eq!(refused(&mut stage, ask()).reason, Reason::Busy, "one slot, one that waits for it");
    assert_eq!(woken(stage.release(at(3), probe.slot, Outcome::Success, None)), ["ann"]);
    let ann = collected(&mut stage, ann);
    assert!(stage.release(at(4), ann.slot, Outcome::Success, None).is_none());
    let probe = stage.take_for_probe(at(4), A).expect("idle");
    let bob = queued(&mut stage, ask(), "bob");
    stage.linger(at(50), probe.slot);
    assert_eq!(refused(&mut stage, ask()).reason, Reason::Busy, "that probe is not answered soon");
    assert_eq!(stage.next_deadline(), Some(at(104)));
    assert_eq!(woken(stage.tick(at(104))), ["bob"]);
    let (Collected::Refused(refusal), None) = stage.collect(at(104), bob, || "bob") else { panic!("bob") };
    assert_eq!(refusal.reason, Reason::Busy);
}

#[test]
fn a_backend_that_its_last_probe_took_out_comes_back_without_probes() {
    let mut stage = healthy(5, &[(A, 1)], HealthPolicy { is_probed: true, ..HealthPolicy::default() });
    let probe = stage.take_for_probe(NOW, A).expect("idle");
    assert!(stage.reconfigure(NOW, spec(5, &[(A, 1)])).is_none(), "no probe after this one");
    assert!(stage.release(NOW, probe.slot, Outcome::Failure, None).is_none());
    assert_eq!(
        (news(&mut stage), stage.next_deadline()),
        (vec![(A, Health::Down, Cause::ProbesFailed)], Some(at(250)))
    );
    assert!(stage.tick(at(250)).is_none());
    let trial = granted(&mut stage, ask());
    assert!(stage.release(at(251), trial.slot, Outcome::Success, None).is_none());
    assert_eq!(news(&mut stage), [(A, Health::Up, Cause::TrialServed)]);
}

#[test]
fn a_probe_that_nobody_holds_any_more_is_followed_by_another() {
    let mut stage = stage(5, &[(A, 2)]);
    assert!(stage.observe(NOW, A, Outcome::Unreachable).is_none());
    assert!(stage.tick(at(250)).is_none());
    let probe = stage.take_for_probe(at(250), A).expect("idle");
    assert!(stage.rest(at(260), probe.slot, Until::Proof).is_none());
    assert_eq!((stage.awaiting_probe(A), stage.next_deadline()), (None, Some(at(510))));
    assert!(stage.tick(at(510)).is_none());
    assert_eq!(stage.awaiting_probe(A), Some(A));
}

#[test]
fn a_backend_that_cannot_be_probed_now_is_asked_for_again() {
    let mut stage = stage(5, &[(A, 1)]);
    assert!(stage.observe(NOW, A, Outcome::Unreachable).is_none());
    assert!(stage.set_mode(NOW, A, Mode::Maintenance).is_none());
    assert!(stage.tick(at(250)).is_none());
    assert!(stage.take_for_probe(at(250), A).is_none());
    assert_eq!((stage.awaiting_probe(A), stage.next_deadline()), (None, Some(at(500))));
    assert!(stage.set_mode(at(300), A, Mode::Ready).is_none());
    assert!(stage.tick(at(500)).is_none());
    assert!(stage.take_for_probe(at(500), A).is_some(), "nothing else would have told that it can be");
}

#[test]
fn a_proof_that_is_told_to_wait_says_nothing_about_health() {
    let mut stage = stage(0, &[(A, 1)]);
    let grant = granted(&mut stage, ask());
    assert!(stage.rest(NOW, grant.slot, Until::Proof).is_none());
    assert!(stage.observe(NOW, A, Outcome::Failure).is_none());
    let proof = stage.take_for_proof(NOW, A).expect("a slot without proof");
    assert!(stage.withhold(NOW, proof.slot, at(10), None).is_none());
    assert_eq!((stage.counts().resting, stage.counts().up), (1, 0), "the slot is free, the backend is down");
    assert!(stage.tick(at(10)).is_none());
    assert_eq!(stage.counts().idle, 1);
}

#[test]
fn a_probe_makes_nobody_too_late() {
    let mut stage = with_work_of_a_minute(5, 1, HealthPolicy::default());
    let now = at(180_000);
    let probe = stage.take_for_probe(now, A).expect("idle");
    assert_eq!(stage.estimate(now).wait, Some(Duration::ZERO));
    let mut ask = ask();
    ask.deadline = at(280_000);
    queued(&mut stage, ask, "ann");
    assert_eq!(woken(stage.release(now, probe.slot, Outcome::Success, None)), ["ann"]);
}

#[test]
fn nobody_waits_for_a_probe_beyond_its_deadline() {
    let mut stage = stage(0, &[(A, 1)]);
    let _probe = stage.take_for_probe(NOW, A).expect("idle");
    let mut ask = ask();
    ask.deadline = at(30);
    queued(&mut stage, ask, "ann");
    assert_eq!(stage.next_deadline(), Some(at(30)));
}

#[test]
fn one_that_a_probe_may_bring_back_makes_nobody_too_late() {
    let health = HealthPolicy { is_probed: true, ..HealthPolicy::default() };
    let mut stage = with_work_of_a_minute(5, 1, health);
    let now = at(180_000);
    assert!(stage.reconfigure(now, PoolSpec { health, ..spec(5, &[(A, 1), (B, 1)]) }).is_none());
    assert!(stage.observe(now, B, Outcome::Failure).is_none());
    let _held = granted(&mut stage, ask());
    let mut ask = ask();
    ask.deadline = at(270_000);
    queued(&mut stage, ask, "ann");
    assert_eq!(woken(stage.observe(now, B, Outcome::Success)), ["ann"]);
}

#[test]
fn a_probe_opens_no_slot_of_one_that_comes_back() {
    let slow_start = Duration::from_secs(4);
    let health = HealthPolicy { slow_start, is_probed: true, ..HealthPolicy::default() };
    let mut stage = healthy(5, &[(A, 4)], health);
    assert!(stage.observe(NOW, A, Outcome::Failure).is_none());
    assert!(stage.observe(NOW, A, Outcome::Success).is_none());
    let _first = granted(&mut stage, ask());
    queued(&mut stage, ask(), "ann");
    let probe = stage.take_for_probe(NOW, A).expect("idle");
    assert!(stage.release(NOW, probe.slot, Outcome::Success, None).is_none(), "it is the requests that tell");
    assert_eq!(stage.next_deadline(), Some(at(1000)));
}

#[test]
fn a_key_at_its_bound_does_not_wait_for_a_probe() {
    let mut stage = Stage::new(NOW, PoolSpec { slots_per_key: Some(1), ..spec(0, &[(A, 2)]) });
    let _held = granted(&mut stage, ask());
    let _probe = stage.take_for_probe(NOW, A).expect("idle");
    assert_eq!(refused(&mut stage, ask()).reason, Reason::KeyBusy);
}

#[test]
fn probes_are_no_work() {
    let mut stage = stage(0, &[(A, 1)]);
    for millis in 0..50 {
        let probe = stage.take_for_probe(at(millis), A).expect("idle");
        assert!(stage.release(at(millis + 1), probe.slot, Outcome::Success, None).is_none());
    }
    assert_eq!(stage.estimate(at(60)).p50, None);
}
