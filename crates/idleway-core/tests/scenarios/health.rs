//! Who is down, why, and how it comes back.

use std::time::Duration;

use idleway_core::{
    Arrival, BackendKey, Cause, Collected, Health, HealthPolicy, Mode, Outcome, PoolSpec, Reason,
    RetryPolicy, Time, Until,
};

use crate::stage::*;

const C: BackendKey = BackendKey(30);

fn healthy(queue_length: usize, backends: &[(BackendKey, u32)], health: HealthPolicy) -> Stage {
    Stage::new(NOW, PoolSpec { health, ..spec(queue_length, backends) })
}

/// What became of whom, and why, since the last look.
fn news(stage: &mut Stage) -> Vec<(BackendKey, Health, Cause)> {
    stage.take_news().into_iter().map(|change| (change.backend, change.health, change.cause)).collect()
}

#[test]
fn a_backend_that_cannot_be_reached_is_down_until_a_probe_reaches_it() {
    let mut stage = stage(5, &[(A, 1)]);
    let grant = granted(&mut stage, ask());
    queued(&mut stage, ask(), "ann");
    assert!(stage.release(NOW, grant.slot, Outcome::Unreachable, None).is_none());
    assert_eq!(news(&mut stage), [(A, Health::Down, Cause::Unreachable)]);
    assert_eq!(stage.awaiting_probe(BackendKey(0)), None);
    assert!(stage.tick(at(250)).is_none(), "nobody's request is spent on it");
    assert_eq!(refused(&mut stage, ask()).reason, Reason::NoBackendUp);
    assert_eq!(stage.awaiting_probe(BackendKey(0)), Some(A));
    let probe = stage.take_for_probe(at(250), A).expect("idle");
    assert_eq!(stage.awaiting_probe(BackendKey(0)), None, "one at a time");
    assert!(stage.release(at(250), probe.slot, Outcome::Unreachable, None).is_none());
    assert!(!stage.has_news(), "it is down as before");
    assert!(stage.tick(at(1000)).is_none());
    let probe = stage.take_for_probe(at(1000), A).expect("idle");
    assert_eq!(woken(stage.release(at(1001), probe.slot, Outcome::Success, None)), ["ann"]);
    assert_eq!(news(&mut stage), [(A, Health::Up, Cause::ProbesAnswered)]);
    assert!(!stage.has_news());
}

/// It was admitted and has not run: it waits with those in line, before them.
#[test]
fn who_met_the_end_of_the_last_backend_waits_for_its_return() {
    let mut stage = stage(5, &[(A, 1)]);
    let met = granted(&mut stage, ask());
    queued(&mut stage, ask(), "ann");
    assert!(stage.release(NOW, met.slot, Outcome::Unreachable, None).is_none());
    queued(&mut stage, avoiding(&[A]), "the one that met it");
    assert_eq!(refused(&mut stage, ask()).reason, Reason::NoBackendUp, "newcomers are told so");
    assert!(stage.tick(at(250)).is_none());
    let probe = stage.take_for_probe(at(250), A).expect("idle");
    assert_eq!(woken(stage.release(at(251), probe.slot, Outcome::Success, None)), ["the one that met it"]);
}

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
fn a_backend_that_comes_back_gets_its_slots_one_by_one() {
    let slow_start = Duration::from_secs(4);
    let mut stage = healthy(9, &[(A, 4)], HealthPolicy { slow_start, ..HealthPolicy::default() });
    let first = granted(&mut stage, ask());
    let lingering = granted(&mut stage, ask());
    stage.linger(NOW, lingering.slot);
    assert!(stage.release(NOW, first.slot, Outcome::Failure, None).is_none());
    assert!(stage.tick(at(250)).is_none());
    let trial = granted(&mut stage, ask());
    let waiting = ["ann", "bob", "eve", "dan"].map(|name| queued(&mut stage, ask(), name));
    // One slot is open, and what lingers from before has it.
    assert!(stage.release(at(300), trial.slot, Outcome::Success, None).is_none());
    assert_eq!((stage.counts().up, stage.counts().idle, stage.next_deadline()), (1, 3, Some(at(1300))));
    assert_eq!(woken(stage.tick(at(1300))), ["ann"], "the next one opens by time");
    let [ann, ..] = waiting;
    let ann = collected(&mut stage, ann);
    assert_eq!(
        woken(stage.release(at(1400), ann.slot, Outcome::Success, None)),
        ["bob", "eve"],
        "and by success"
    );
    assert_eq!(woken(stage.tick(at(2400))), ["dan"]);
    assert_eq!((stage.counts().idle, stage.next_deadline()), (0, None), "all are open");
}

#[test]
fn a_busy_backend_rests_with_all_its_idle_slots_and_is_not_hurt() {
    let mut stage = stage(5, &[(A, 3)]);
    let (first, second) = (granted(&mut stage, ask()), granted(&mut stage, ask()));
    assert!(stage.withhold(NOW, first.slot, at(500), kept(7, HERE)).is_none());
    let counts = stage.counts();
    assert_eq!((counts.idle, counts.busy, counts.resting, counts.up, counts.kept), (0, 1, 2, 1, 1));
    assert!(stage.take_for_probe(NOW, A).is_none(), "it is not asked how it is");
    queued(&mut stage, ask(), "ann");
    queued(&mut stage, ask(), "bob");
    assert!(stage.release(at(1), second.slot, Outcome::Success, None).is_none(), "also what frees rests");
    assert_eq!(stage.next_deadline(), Some(at(500)));
    assert_eq!(woken(stage.tick(at(500))), ["ann", "bob"]);
    assert!(news(&mut stage).is_empty());
}

#[test]
fn who_is_refused_while_all_rest_is_told_when_they_are_asked_again() {
    for has_served in [true, false] {
        let mut stage = stage(0, &[(A, 1)]);
        if has_served {
            let served = granted(&mut stage, ask());
            assert!(stage.release(at(10), served.slot, Outcome::Success, None).is_none());
        }
        let busy = granted(&mut stage, ask());
        assert!(stage.withhold(at(10), busy.slot, at(8000), None).is_none());
        let refusal = refused(&mut stage, ask());
        assert_eq!(refusal.reason, Reason::Busy);
        let told = refusal.retry_after.as_secs();
        assert!((8..=14).contains(&told), "{told}");
    }
}

#[test]
fn who_is_refused_is_told_when_the_next_probes_may_have_brought_one_back() {
    let every = Duration::from_secs(15);
    let mut stage = healthy(5, &[(A, 1)], HealthPolicy { is_probed: true, every, ..HealthPolicy::default() });
    assert!(stage.observe(NOW, A, Outcome::Failure).is_none());
    let told = refused(&mut stage, ask()).retry_after.as_secs();
    assert!((15..=25).contains(&told), "{told}");
}

#[test]
fn never_is_all_of_a_pool_shut_out_by_a_judgement() {
    let mut stage = healthy(5, &[(A, 1), (B, 1)], HealthPolicy { panic: 50, ..HealthPolicy::default() });
    let (on_a, on_b) = (granted(&mut stage, ask()), granted(&mut stage, ask()));
    queued(&mut stage, ask(), "ann");
    assert!(stage.release(NOW, on_a.slot, Outcome::Failure, None).is_none(), "half of them are up");
    queued(&mut stage, ask(), "bob");
    let woken_by_panic = woken(stage.release(NOW, on_b.slot, Outcome::Failure, None));
    assert_eq!(woken_by_panic, ["ann", "bob"], "none is up: both are used again");
}

#[test]
fn what_cannot_be_reached_is_not_used_however_few_are_up() {
    let mut stage = healthy(5, &[(A, 1), (B, 1)], HealthPolicy { panic: 100, ..HealthPolicy::default() });
    let (on_a, on_b) = (granted(&mut stage, ask()), granted(&mut stage, ask()));
    assert!(stage.release(NOW, on_b.slot, Outcome::Unreachable, None).is_none());
    assert!(stage.release(NOW, on_a.slot, Outcome::Failure, None).is_none());
    let again = granted(&mut stage, ask());
    assert_eq!(again.backend, A, "the one in doubt");
    // It is gone too: nobody is there to be used.
    assert!(stage.release(NOW, again.slot, Outcome::Unreachable, None).is_none());
    assert_eq!(refused(&mut stage, ask()).reason, Reason::NoBackendUp);
}

#[test]
fn those_in_doubt_serve_after_those_that_are_up() {
    let mut stage =
        healthy(0, &[(A, 1), (B, 1), (C, 2)], HealthPolicy { panic: 100, ..HealthPolicy::default() });
    let on_a = granted(&mut stage, ask());
    assert!(stage.release(NOW, on_a.slot, Outcome::Failure, None).is_none());
    let order = [(); 4].map(|()| granted(&mut stage, ask()).backend);
    assert_eq!(order, [B, C, C, A]);
}

#[test]
fn an_outlier_is_taken_out_and_a_whole_pool_that_fails_is_not() {
    let health = HealthPolicy { outlier: Some(50), failures: 1000, ..HealthPolicy::default() };
    let serve = |stage: &mut Stage, outcome_of: &dyn Fn(BackendKey) -> Outcome| {
        let held = [(); 3].map(|()| granted(stage, ask()));
        for grant in held {
            let outcome = outcome_of(grant.backend);
            drop(stage.release(NOW, grant.slot, outcome, None));
        }
        stage.counts().up
    };
    let backends = [(A, 1), (B, 1), (C, 1)];
    let mut all_fail = healthy(0, &backends, health);
    assert!((0..50).all(|_| serve(&mut all_fail, &|_| Outcome::Poor) == 3));
    let mut one_fails = healthy(0, &backends, health);
    let only_b = |key| if key == B { Outcome::Poor } else { Outcome::Success };
    assert!((0..9).all(|_| serve(&mut one_fails, &only_b) == 3), "fewer than ten say nothing");
    assert_eq!(serve(&mut one_fails, &only_b), 2);
    assert_eq!(news(&mut one_fails), [(B, Health::Down, Cause::Outlier)]);
    let mut one_alone = healthy(0, &[(A, 1)], health);
    for _ in 0..50 {
        let grant = granted(&mut one_alone, ask());
        drop(one_alone.release(NOW, grant.slot, Outcome::Poor, None));
    }
    assert_eq!(one_alone.counts().up, 1, "there is nobody to compare it with");
}

#[test]
fn retries_beyond_the_budget_are_refused_and_requests_are_not() {
    let retries = RetryPolicy { budget: 0, floor: 1 };
    let mut stage = Stage::new(NOW, PoolSpec { retries, ..spec(0, &[(A, 100)]) });
    for _ in 0..8 {
        granted(&mut stage, avoiding(&[B]));
    }
    assert_eq!(refused(&mut stage, avoiding(&[B])).reason, Reason::RetriesSpent);
    granted(&mut stage, ask());
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

/// The pauses of those that failed together end apart.
#[test]
fn backends_that_failed_together_are_not_tried_together() {
    let backends: Vec<_> = (0..100).map(|key| (BackendKey(key), 1)).collect();
    let mut stage = healthy(0, &backends, HealthPolicy { jitter: 20, ..HealthPolicy::default() });
    let held: Vec<_> = backends.iter().map(|_| granted(&mut stage, ask())).collect();
    for grant in held {
        drop(stage.release(NOW, grant.slot, Outcome::Unreachable, None));
    }
    let mut ends: Vec<Time> = stage.take_news().iter().map(|change| change.until.unwrap()).collect();
    ends.sort_unstable();
    ends.dedup();
    assert_eq!(ends.len(), 100);
    assert!(ends[0] >= at(200) && ends[99] <= at(300), "{:?} {:?}", ends[0], ends[99]);
    assert!(ends.windows(2).all(|pair| pair[1].since(pair[0]) < Duration::from_millis(5)), "evenly");
}

#[test]
fn work_that_takes_far_longer_than_usual_is_told_once_and_takes_nobody_out() {
    let mut stage = stage(0, &[(A, 1), (B, 1)]);
    for second in 0..20 {
        let grant = granted(&mut stage, ask());
        let begun = at(second * 1000);
        assert!(stage.tick(begun).is_none());
        assert!(stage.release(begun, grant.slot, Outcome::Success, None).is_none());
        let grant = match stage.arrive(begun, ask()).0 {
            Arrival::Granted(grant) => grant,
            other => panic!("{other:?}"),
        };
        assert!(stage.release(at(second * 1000 + 500), grant.slot, Outcome::Success, None).is_none());
    }
    let held = granted(&mut stage, ask());
    let begun = 19_500;
    assert_eq!(stage.overdue(at(begun + 1000), 0, 64), (Vec::new(), None));
    let (overdue, more) = stage.overdue(at(begun + 2000), 0, 64);
    assert_eq!((overdue.len(), overdue[0].backend, more), (1, held.backend, None));
    assert_eq!(overdue[0].age, Duration::from_secs(2));
    assert_eq!(stage.overdue(at(begun + 9000), 0, 64).0, [], "it was told");
    assert_eq!(stage.counts().up, 2);
    assert!(stage.release(at(begun + 9000), held.slot, Outcome::Success, None).is_none());
}

/// A process that is dying accepts connections for a moment: what is sent to it then is lost.
#[test]
fn a_slot_whose_exchange_broke_rests_for_a_moment() {
    let settle_broken = Duration::from_millis(50);
    let health = HealthPolicy { failures: 3, ..HealthPolicy::default() };
    let mut stage = Stage::new(NOW, PoolSpec { settle_broken, health, ..spec(5, &[(A, 1), (B, 1)]) });
    let (broken, served) = (granted(&mut stage, ask()), granted(&mut stage, ask()));
    queued(&mut stage, ask(), "ann");
    queued(&mut stage, ask(), "bob");
    assert!(stage.release(NOW, broken.slot, Outcome::Failure, None).is_none());
    assert_eq!((stage.counts().resting, stage.counts().up), (1, 2));
    assert_eq!(woken(stage.release(NOW, served.slot, Outcome::Success, None)), ["ann"]);
    assert_eq!(woken(stage.tick(at(50))), ["bob"]);
}

#[test]
fn the_rest_after_a_broken_exchange_costs_nobody_a_refusal() {
    let settle_broken = Duration::from_millis(50);
    let health = HealthPolicy { failures: 3, ..HealthPolicy::default() };
    let mut stage = Stage::new(NOW, PoolSpec { settle_broken, health, ..spec(0, &[(A, 1)]) });
    let broken = granted(&mut stage, ask());
    assert!(stage.release(NOW, broken.slot, Outcome::Failure, None).is_none());
    queued(&mut stage, avoiding(&[A]), "the same again");
    assert_eq!(refused(&mut stage, ask()).reason, Reason::Busy);
    assert_eq!(woken(stage.tick(at(50))), ["the same again"]);
}

/// A pool that learned that its work takes a minute.
fn with_work_of_a_minute(queue_length: usize, slots: u32, health: HealthPolicy) -> Stage {
    let mut stage = healthy(queue_length, &[(A, slots)], health);
    for minute in 0..3 {
        let held: Vec<_> = (0..slots).map(|_| granted(&mut stage, ask())).collect();
        for grant in held {
            assert!(stage.release(at((minute + 1) * 60_000), grant.slot, Outcome::Success, None).is_none());
        }
    }
    stage
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
fn a_trial_whose_client_left_gives_way_to_another_after_a_pause() {
    let mut stage = stage(5, &[(A, 2)]);
    let first = granted(&mut stage, ask());
    assert!(stage.release(NOW, first.slot, Outcome::Failure, None).is_none());
    assert!(stage.tick(at(250)).is_none());
    let trial = granted(&mut stage, ask());
    queued(&mut stage, ask(), "ann");
    stage.linger(at(300), trial.slot);
    assert_eq!(stage.next_deadline(), Some(at(550)), "it may hang for ever");
    assert_eq!(woken(stage.tick(at(550))), ["ann"]);
}

#[test]
fn what_a_backend_said_before_it_was_gone_does_not_hold() {
    let mut stage = stage(5, &[(A, 2)]);
    let (busy, gone) = (granted(&mut stage, ask()), granted(&mut stage, ask()));
    assert!(stage.withhold(NOW, busy.slot, at(60_000), None).is_none());
    assert!(stage.release(at(1), gone.slot, Outcome::Unreachable, None).is_none());
    assert_eq!((stage.counts().idle, stage.next_deadline()), (2, Some(at(251))));
    assert!(stage.tick(at(251)).is_none());
    assert!(stage.take_for_probe(at(251), A).is_some());
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

/// A handful of requests, some of which fail everywhere, do not take anybody out by chance.
#[test]
fn few_failures_more_than_the_others_have_are_chance() {
    let health = HealthPolicy { outlier: Some(50), failures: 1000, ..HealthPolicy::default() };
    let mut stage = healthy(0, &[(A, 1), (B, 1)], health);
    // A fails 8 of 10, B 3 of 10.
    for round in 0..60 {
        let held = [granted(&mut stage, ask()), granted(&mut stage, ask())];
        for grant in held.into_iter().rev() {
            let fails = if grant.backend == A { round % 10 > 1 } else { round % 10 > 6 };
            let outcome = if fails { Outcome::Poor } else { Outcome::Success };
            drop(stage.release(NOW, grant.slot, outcome, None));
        }
        match news(&mut stage)[..] {
            [] => {}
            [(A, Health::Down, Cause::Outlier)] if round > 20 => return,
            ref other => panic!("{other:?} in round {round}"),
        }
    }
    panic!("what goes on like that is no chance");
}

#[test]
fn nobody_is_compared_with_those_that_are_gone() {
    let health = HealthPolicy { outlier: Some(50), failures: 1000, ..HealthPolicy::default() };
    let mut stage = healthy(0, &[(A, 1), (B, 1)], health);
    let serve = |stage: &mut Stage, outcome| {
        let grant = granted(stage, ask());
        drop(stage.release(NOW, grant.slot, outcome, None));
    };
    (0..60).for_each(|_| serve(&mut stage, Outcome::Success));
    assert!(stage.reconfigure(NOW, PoolSpec { health, ..spec(0, &[(A, 1)]) }).is_none());
    (0..60).for_each(|_| serve(&mut stage, Outcome::Poor));
    assert!(news(&mut stage).is_empty(), "it is alone");
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
fn slots_that_are_not_open_yet_are_not_promised_at_once() {
    let slow_start = Duration::from_secs(120);
    let health = HealthPolicy { slow_start, is_probed: true, ..HealthPolicy::default() };
    let mut stage = with_work_of_a_minute(0, 4, health);
    assert!(stage.observe(at(180_000), A, Outcome::Failure).is_none());
    assert!(stage.observe(at(180_000), A, Outcome::Success).is_none());
    let _first = granted(&mut stage, ask());
    let refusal = refused(&mut stage, ask());
    let told = refusal.retry_after.as_secs();
    assert!((30..=46).contains(&told), "the next one opens in half a minute: {told}");
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
