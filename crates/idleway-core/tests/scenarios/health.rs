//! Who is down, why, and how it comes back.

use std::time::Duration;

use idleway_core::{BackendKey, Cause, Health, HealthPolicy, Outcome, PoolSpec, Reason, RetryPolicy, Time};

use crate::stage::*;

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
fn retries_beyond_the_budget_are_refused_and_requests_are_not() {
    let retries = RetryPolicy { budget: 0, floor: 1 };
    let mut stage = Stage::new(NOW, PoolSpec { retries, ..spec(0, &[(A, 100)]) });
    for _ in 0..8 {
        granted(&mut stage, avoiding(&[B]));
    }
    assert_eq!(refused(&mut stage, avoiding(&[B])).reason, Reason::RetriesSpent);
    granted(&mut stage, ask());
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
fn the_end_that_was_told_for_later_holds() {
    let mut stage = stage(5, &[(A, 2)]);
    let (first, second) = (granted(&mut stage, ask()), granted(&mut stage, ask()));
    assert!(stage.withhold(NOW, first.slot, at(500), None).is_none());
    assert!(stage.withhold(NOW, second.slot, at(300), None).is_none());
    assert_eq!(stage.next_deadline(), Some(at(500)));
}

#[test]
fn a_trial_that_is_told_to_wait_has_brought_its_backend_back() {
    let mut stage = stage(5, &[(A, 1)]);
    let first = granted(&mut stage, ask());
    assert!(stage.release(NOW, first.slot, Outcome::Failure, None).is_none());
    assert!(stage.tick(at(250)).is_none());
    let trial = granted(&mut stage, ask());
    queued(&mut stage, ask(), "ann");
    assert!(stage.withhold(at(250), trial.slot, at(300), None).is_none());
    assert_eq!(stage.counts().up, 1, "whoever says so is there");
    assert_eq!(woken(stage.tick(at(300))), ["ann"]);
}

#[test]
fn where_one_is_on_trial_those_who_would_not_wait_have_no_hope() {
    let mut stage = stage(5, &[(A, 2)]);
    let first = granted(&mut stage, ask());
    assert!(stage.release(NOW, first.slot, Outcome::Failure, None).is_none());
    assert!(stage.tick(at(250)).is_none());
    let _trial = granted(&mut stage, ask());
    let mut at_once = ask();
    at_once.until = NOW;
    assert_eq!(refused(&mut stage, at_once).reason, Reason::NoBackendUp);
    queued(&mut stage, ask(), "ann");
}

#[test]
fn what_is_reported_is_learned_at_once() {
    let mut stage = stage(5, &[(A, 2), (B, 1)]);
    let (on_a, on_b) = (granted(&mut stage, ask()), granted(&mut stage, ask()));
    queued(&mut stage, avoiding(&[A]), "retry");
    assert_eq!(stage.counts().idle, 1, "a slot of A, which it avoids while B is up");
    assert_eq!(woken(stage.report(NOW, on_b.slot, Outcome::Failure)), ["retry"]);
    assert!(stage.release(NOW, on_b.slot, Outcome::Ignored, None).is_none());
    assert!(stage.release(NOW, on_a.slot, Outcome::Success, None).is_none());
}

#[test]
fn a_trial_that_reports_nothing_gives_way_to_another() {
    let mut stage = stage(5, &[(A, 2)]);
    let first = granted(&mut stage, ask());
    assert!(stage.release(NOW, first.slot, Outcome::Failure, None).is_none());
    assert!(stage.tick(at(250)).is_none());
    let trial = granted(&mut stage, ask());
    queued(&mut stage, ask(), "ann");
    assert_eq!(woken(stage.report(at(250), trial.slot, Outcome::Ignored)), ["ann"]);
}

/// A pool of one is dark whenever that one is down.
#[test]
fn the_pause_of_the_only_backend_does_not_grow() {
    let mut stage = stage(5, &[(A, 1)]);
    for fall in [0, 260] {
        let grant = granted(&mut stage, ask());
        assert!(stage.release(at(fall), grant.slot, Outcome::Unreachable, None).is_none());
        assert_eq!(stage.next_deadline(), Some(at(fall + 250)));
        assert!(stage.tick(at(fall + 250)).is_none());
        let probe = stage.take_for_probe(at(fall + 250), A).expect("idle");
        assert!(stage.release(at(fall + 250), probe.slot, Outcome::Success, None).is_none());
    }
}

#[test]
fn the_driver_comes_for_news_as_well() {
    let mut stage = healthy(5, &[(A, 1)], HealthPolicy { is_probed: true, ..HealthPolicy::default() });
    assert!(stage.observe(NOW, A, Outcome::Failure).is_none());
    assert_eq!((stage.next_deadline(), stage.wants_driver(NOW)), (None, true));
    assert_eq!(news(&mut stage), [(A, Health::Down, Cause::ProbesFailed)]);
    assert!(!stage.wants_driver(Time::NEVER));
}

#[test]
fn one_that_a_request_may_bring_back_makes_nobody_too_late() {
    let mut stage = with_work_of_a_minute(5, 1, HealthPolicy::default());
    let now = at(180_000);
    assert!(stage.reconfigure(now, spec(5, &[(A, 1), (B, 1)])).is_none());
    let (on_a, on_b) = (granted(&mut stage, ask()), granted(&mut stage, ask()));
    let [on_a, on_b] = if on_a.backend == A { [on_a, on_b] } else { [on_b, on_a] };
    assert!(stage.release(now, on_b.slot, Outcome::Failure, None).is_none());
    assert!(stage.tick(at(180_250)).is_none());
    let trial = granted(&mut stage, ask());
    assert_eq!((on_a.backend, trial.backend), (A, B));
    let mut ask = ask();
    ask.deadline = at(270_000);
    queued(&mut stage, ask, "ann");
}
