//! Whose a slot is, and from when until when.

use std::time::Duration;

use idleway_core::{
    Ask, BackendKey, Collected, HealthPolicy, Mode, Outcome, PoolSpec, Reason, Refusal, Until,
};

use crate::stage::*;

#[test]
fn the_lowest_share_serves_and_equals_serve_in_turn() {
    let mut stage = stage(0, &[(A, 1), (B, 3)]);
    let order: Vec<_> = (0..4).map(|_| granted(&mut stage, ask()).backend).collect();
    // A: 0/1, B: 0/3 are equal, A begins; then B has 0/3, 1/3, 2/3 against A's 1/1.
    assert_eq!(order, [A, B, B, B]);
    assert_eq!(refused(&mut stage, ask()).reason, Reason::Busy);
}

#[test]
fn idle_equals_take_turns_also_when_each_is_idle_again_at_once() {
    let mut stage = stage(0, &[(A, 1), (B, 1), (BackendKey(30), 1)]);
    let order = [(); 4].map(|()| {
        let grant = granted(&mut stage, ask());
        assert!(stage.release(NOW, grant.slot, Outcome::Success, None).is_none());
        grant.backend
    });
    assert_eq!(order, [A, B, BackendKey(30), A]);
}

#[test]
fn a_kept_connection_of_this_core_before_any_other_before_none() {
    let mut stage = stage(0, &[(A, 2), (B, 2)]);
    let slots: Vec<_> = (0..4).map(|_| granted(&mut stage, ask())).collect();
    let keeps = [(A, THERE), (B, HERE)];
    for grant in slots {
        let keep = keeps.iter().find(|(key, _)| *key == grant.backend && grant.slot.index < 2);
        let keep = keep.and_then(|&(key, core)| kept(u32::try_from(key.0).unwrap(), core));
        assert!(stage.release(NOW, grant.slot, Outcome::Success, keep).is_none());
    }
    assert_eq!(stage.counts().kept, 2);
    let near = granted(&mut stage, ask());
    assert_eq!((near.backend, near.kept.map(|kept| kept.connection)), (B, Some(20)));
    stage.release(NOW, near.slot, Outcome::Success, None).wakes.into_iter().for_each(drop);
    let any = granted(&mut stage, ask());
    assert_eq!((any.backend, any.kept.map(|kept| (kept.connection, kept.core))), (A, Some((10, THERE))));
    // B has the lower share now: share goes before kept connections.
    assert_eq!(granted(&mut stage, ask()).backend, B);
}

#[test]
fn first_come_first_served_and_the_freed_slot_is_theirs_before_they_wake() {
    let mut stage = stage(2, &[(A, 1)]);
    let first = granted(&mut stage, ask());
    let ann = queued(&mut stage, ask(), "ann");
    let bob = queued(&mut stage, ask(), "bob");
    assert_eq!(refused(&mut stage, ask()).reason, Reason::QueueFull);
    assert_eq!(woken(stage.release(at(5), first.slot, Outcome::Success, kept(7, THERE))), ["ann"]);
    assert_eq!((stage.counts().idle, stage.counts().waiting), (0, 1));
    let ann = collected(&mut stage, ann);
    assert_eq!(ann.waited, Duration::from_millis(5));
    assert_eq!(ann.kept.as_ref().map(|kept| kept.connection), Some(7), "the slot keeps its connection");
    assert_eq!(woken(stage.release(at(6), ann.slot, Outcome::Success, None)), ["bob"]);
    assert_eq!(collected(&mut stage, bob).slot.index, ann.slot.index);
}

#[test]
fn a_wait_ends_once_by_its_time() {
    let mut stage = stage(3, &[(A, 1)]);
    let held = granted(&mut stage, ask());
    assert_eq!(refused(&mut stage, Ask::new(HERE, NOW)).reason, Reason::Busy, "it would not wait");
    let ann = queued(&mut stage, Ask::new(HERE, at(100)), "ann");
    let bob = queued(&mut stage, Ask::new(HERE, at(50)), "bob");
    let eve = queued(&mut stage, Ask::new(HERE, at(100)), "eve");
    assert_eq!(stage.next_deadline(), Some(at(50)));
    assert!(stage.tick(at(49)).is_none());
    assert_eq!(woken(stage.tick(at(50))), ["bob"]);
    let (collected, None) = stage.collect(at(50), bob, || "bob") else { panic!("bob left a waker") };
    assert!(matches!(collected, Collected::Refused(Refusal { reason: Reason::WaitOver, .. })));
    // Ann looks by herself, before the driver came: the same end, and her old waker comes back.
    let (collected, Some("ann")) = stage.collect(at(100), ann, || "ann") else { panic!("the waker is lost") };
    assert!(matches!(collected, Collected::Refused(Refusal { reason: Reason::WaitOver, .. })));
    // A slot that was given before the time came is hers, however late she looks.
    assert_eq!(woken(stage.release(at(100), held.slot, Outcome::Success, None)), ["eve"]);
    assert!(stage.tick(at(1000)).is_none());
    assert!(matches!(stage.collect(at(1000), eve, || "eve"), (Collected::Granted(_), None)));
}

#[test]
fn who_leaves_hands_on_what_was_given_and_not_collected() {
    let mut stage = stage(3, &[(A, 1)]);
    let held = granted(&mut stage, ask());
    let ann = queued(&mut stage, ask(), "ann");
    let bob = queued(&mut stage, ask(), "bob");
    let eve = queued(&mut stage, ask(), "eve");
    let left = stage.leave(NOW, bob);
    assert!(left.wakes.is_empty());
    assert_eq!(left.spent, Some("bob"), "who left is not woken");
    assert_eq!(woken(stage.release(NOW, held.slot, Outcome::Success, kept(7, HERE))), ["ann"]);
    assert_eq!(woken(stage.leave(NOW, ann)), ["eve"]);
    assert_eq!(collected(&mut stage, eve).kept.map(|kept| kept.connection), Some(7));
}

#[test]
fn a_lingering_slot_is_taken_until_the_backend_ends() {
    let mut stage = stage(0, &[(A, 1)]);
    let grant = granted(&mut stage, ask());
    stage.linger(at(10), grant.slot);
    assert_eq!((stage.counts().busy, stage.counts().lingering), (0, 1));
    assert_eq!(refused(&mut stage, ask()).reason, Reason::Busy);
    assert!(stage.release(at(20_000), grant.slot, Outcome::Ignored, None).is_none());
    assert_eq!((stage.counts().lingering, stage.counts().idle), (0, 1));
    // The whole time it was held is what the next one is told.
    granted(&mut stage, ask());
    let told = refused(&mut stage, ask()).retry_after.as_secs();
    assert!((20..=37).contains(&told), "{told}: what it takes, to its bucket, and jitter");
}

#[test]
fn a_slot_rests_until_its_time_or_until_its_proof() {
    let mut stage = stage(5, &[(A, 2)]);
    let (timed, doubted) = (granted(&mut stage, ask()), granted(&mut stage, ask()));
    assert!(stage.rest(NOW, timed.slot, Until::Time(at(30))).is_none());
    assert!(stage.rest(NOW, doubted.slot, Until::Proof).is_none());
    queued(&mut stage, ask(), "ann");
    queued(&mut stage, ask(), "bob");
    assert_eq!(stage.next_deadline(), Some(at(30)));
    assert_eq!(woken(stage.tick(at(30))), ["ann"]);
    for outcome in [Outcome::Ignored, Outcome::Failure] {
        let probe = stage.take_for_proof(at(31), A).expect("a slot without proof");
        assert_eq!(
            (probe.slot.index, stage.counts().resting),
            (doubted.slot.index, 1),
            "it rests while it is asked"
        );
        assert!(stage.take_for_proof(at(31), A).is_none(), "all are taken");
        assert!(stage.release(at(31), probe.slot, outcome, None).is_none());
        assert_eq!(stage.counts().resting, 1, "no proof: it rests again");
    }
    let probe = stage.take_for_proof(at(32), A).expect("a slot without proof");
    assert_eq!(woken(stage.release(at(32), probe.slot, Outcome::Success, None)), ["bob"]);
}

#[test]
fn a_probe_takes_an_idle_slot_and_its_connection() {
    let mut stage = stage(0, &[(A, 1)]);
    let grant = granted(&mut stage, ask());
    assert!(stage.take_for_probe(NOW, A).is_none(), "busy is not sick");
    assert!(stage.release(NOW, grant.slot, Outcome::Success, kept(3, THERE)).is_none());
    let probe = stage.take_for_probe(NOW, A).expect("idle");
    assert_eq!(probe.kept.map(|kept| kept.connection), Some(3));
    assert_eq!((stage.counts().busy, stage.counts().idle), (1, 0), "the limit counts probes");
    assert!(stage.release(NOW, probe.slot, Outcome::Ignored, None).is_none());
    stage.set_mode(NOW, A, Mode::Maintenance).wakes.into_iter().for_each(drop);
    assert!(stage.take_for_probe(NOW, A).is_none());
    assert!(stage.take_for_probe(NOW, B).is_none(), "unknown");
}

#[test]
fn a_retry_waits_for_another_backend_while_another_is_up() {
    let mut stage = stage(5, &[(A, 1), (B, 1)]);
    let (on_a, on_b) = (granted(&mut stage, ask()), granted(&mut stage, ask()));
    queued(&mut stage, ask(), "main");
    queued(&mut stage, avoiding(&[A]), "retry");
    // A frees: the retry avoids it, the main lane gets it. B frees: the retry is in front of all.
    assert_eq!(woken(stage.release(NOW, on_a.slot, Outcome::Success, None)), ["main"]);
    queued(&mut stage, ask(), "later");
    assert_eq!(woken(stage.release(NOW, on_b.slot, Outcome::Success, None)), ["retry"]);
}

#[test]
fn avoiding_does_not_bind_when_no_other_is_up() {
    let mut stage = stage(5, &[(A, 2), (B, 1)]);
    let on_a = granted(&mut stage, avoiding(&[B]));
    let on_b = granted(&mut stage, avoiding(&[A]));
    assert_eq!((on_a.backend, on_b.backend), (A, B));
    queued(&mut stage, avoiding(&[A, A]), "retry");
    assert_eq!((stage.counts().idle, stage.counts().waiting), (1, 1), "A is idle and avoided");
    // B goes down: nothing but A is left.
    assert_eq!(woken(stage.release(NOW, on_b.slot, Outcome::Failure, None)), ["retry"]);
    assert_eq!(stage.release(NOW, on_a.slot, Outcome::Success, None).wakes.len(), 0);
    assert_eq!(granted(&mut stage, avoiding(&[A])).backend, A);
}

#[test]
fn the_front_lane_is_bounded_and_needs_a_queue() {
    let mut stage = stage(1, &[(A, 1), (B, 1)]);
    let _held = (granted(&mut stage, ask()), granted(&mut stage, ask()));
    for _ in 0..64 {
        queued(&mut stage, avoiding(&[A]), "retry");
    }
    assert_eq!(refused(&mut stage, avoiding(&[A])).reason, Reason::QueueFull);
    queued(&mut stage, ask(), "main");
    assert!(stage.reconfigure(NOW, spec(0, &[(A, 1), (B, 1)])).is_none());
    assert_eq!(stage.counts().waiting, 65, "those in line stay");
    assert_eq!(refused(&mut stage, avoiding(&[A])).reason, Reason::Busy);
}

#[test]
fn a_backend_that_failed_gets_one_trial_after_its_pause() {
    let mut stage = stage(5, &[(A, 2)]);
    let first = granted(&mut stage, ask());
    assert!(stage.release(NOW, first.slot, Outcome::Failure, None).is_none());
    let refusal = refused(&mut stage, ask());
    assert_eq!((refusal.reason, refusal.retry_after), (Reason::NoBackendUp, Duration::from_secs(1)));
    assert_eq!(stage.next_deadline(), Some(at(250)));
    assert!(stage.tick(at(250)).is_none());
    let trial = granted(&mut stage, ask());
    queued(&mut stage, ask(), "ann");
    queued(&mut stage, ask(), "bob");
    assert_eq!(stage.counts().idle, 1, "one trial at a time");
    // It fails: twice the pause, those in line go on waiting. It is tried again by the first of them, and works.
    assert!(stage.release(at(250), trial.slot, Outcome::Failure, None).is_none());
    assert_eq!(stage.next_deadline(), Some(at(750)));
    assert_eq!(refused(&mut stage, ask()).reason, Reason::NoBackendUp);
    assert_eq!(woken(stage.tick(at(750))), ["ann"]);
    assert_eq!(stage.counts().waiting, 1);
}

#[test]
fn a_successful_trial_opens_all_slots() {
    let mut stage = stage(5, &[(A, 3)]);
    let first = granted(&mut stage, ask());
    assert!(stage.release(NOW, first.slot, Outcome::Failure, None).is_none());
    assert!(stage.tick(at(250)).is_none());
    let trial = granted(&mut stage, ask());
    for name in ["ann", "bob", "eve", "dan"] {
        queued(&mut stage, ask(), name);
    }
    assert_eq!(woken(stage.release(at(251), trial.slot, Outcome::Success, None)), ["ann", "bob", "eve"]);
}

#[test]
fn what_is_observed_and_ordered_decides_who_serves() {
    let health = HealthPolicy { is_probed: true, ..HealthPolicy::default() };
    let mut stage = Stage::new(NOW, PoolSpec { health, ..spec(5, &[(A, 1), (B, 1)]) });
    assert!(stage.observe(NOW, A, Outcome::Failure).is_none());
    assert!(stage.set_mode(NOW, B, Mode::Drain).is_none());
    assert_eq!((stage.counts().up, stage.next_deadline()), (0, None));
    assert_eq!(refused(&mut stage, ask()).reason, Reason::NoBackendUp);
    assert!(stage.observe(NOW, A, Outcome::Success).is_none());
    assert_eq!(granted(&mut stage, ask()).backend, A);
    queued(&mut stage, ask(), "ann");
    assert_eq!(woken(stage.set_mode(NOW, B, Mode::Ready)), ["ann"]);
    assert!(stage.observe(NOW, BackendKey(99), Outcome::Failure).is_none(), "unknown");
}

#[test]
fn more_slots_serve_the_line_and_fewer_let_work_end() {
    let mut stage = stage(5, &[(A, 1)]);
    let mut held = vec![granted(&mut stage, ask())];
    let waiting = ["ann", "bob", "eve"].map(|name| queued(&mut stage, ask(), name));
    assert_eq!(woken(stage.reconfigure(NOW, spec(5, &[(A, 3)]))), ["ann", "bob"]);
    held.extend(waiting[..2].iter().map(|&ticket| collected(&mut stage, ticket)));
    assert!(stage.reconfigure(NOW, spec(5, &[(A, 1)])).is_none());
    assert_eq!((stage.counts().slots, stage.counts().busy), (3, 3));
    let [first, second, third] = held.try_into().expect("three");
    assert_eq!(closed(stage.release(NOW, first.slot, Outcome::Success, kept(1, HERE))), [1]);
    assert_eq!(closed(stage.release(NOW, second.slot, Outcome::Success, kept(2, HERE))), [2]);
    assert_eq!(stage.counts().slots, 1);
    assert_eq!(woken(stage.release(NOW, third.slot, Outcome::Success, kept(3, HERE))), ["eve"]);
}

#[test]
fn a_backend_removed_and_added_again_keeps_its_count() {
    let mut stage = stage(5, &[(A, 1), (B, 2)]);
    let on_a = granted(&mut stage, ask());
    let on_b = granted(&mut stage, ask());
    assert!(stage.release(NOW, on_b.slot, Outcome::Success, kept(5, HERE)).is_none());
    assert_eq!(closed(stage.reconfigure(NOW, spec(5, &[]))), [5], "quiet: its connection goes with it");
    let names =
        |stage: &Stage| stage.backends(BackendKey(0), 9).iter().map(|view| view.key).collect::<Vec<_>>();
    assert_eq!(names(&stage), [A], "forgotten: B; still at work: A");
    assert!(stage.backends(BackendKey(0), 9)[0].removed);
    assert!(stage.reconfigure(NOW, spec(5, &[(A, 1), (B, 1)])).is_none());
    assert_eq!(granted(&mut stage, ask()).backend, B);
    queued(&mut stage, ask(), "ann");
    assert_eq!(woken(stage.release(NOW, on_a.slot, Outcome::Success, None)), ["ann"]);
    assert_eq!(stage.backends(B, 1).len(), 1);
}

#[test]
fn a_kept_connection_is_closed_after_keep_idle() {
    let mut stage = stage(0, &[(A, 2)]);
    let slots = [granted(&mut stage, ask()), granted(&mut stage, ask())];
    for (second, grant) in (0..).zip(slots) {
        let keep = kept(u32::try_from(second).unwrap(), HERE);
        assert!(stage.release(at(second * 1000), grant.slot, Outcome::Success, keep).is_none());
    }
    assert_eq!(stage.next_deadline(), Some(at(2000)));
    assert_eq!(closed(stage.tick(at(2000))), [0]);
    assert_eq!(stage.next_deadline(), Some(at(3000)));
    let none_kept = PoolSpec { keep_idle: Duration::ZERO, ..spec(0, &[(A, 2)]) };
    assert!(stage.reconfigure(at(2000), none_kept).is_none());
    assert_eq!(closed(stage.tick(at(2000))), [1]);
    let grant = granted(&mut stage, ask());
    assert_eq!(closed(stage.release(at(2000), grant.slot, Outcome::Success, kept(9, HERE))), [9]);
}

#[test]
fn a_clock_read_too_early_does_not_turn_time_back() {
    let mut stage = stage(0, &[(A, 2)]);
    let [first, second] = [granted(&mut stage, ask()), granted(&mut stage, ask())];
    assert!(stage.release(at(1000), first.slot, Outcome::Success, kept(1, HERE)).is_none());
    assert!(stage.release(at(0), second.slot, Outcome::Success, kept(2, HERE)).is_none());
    assert_eq!(stage.next_deadline(), Some(at(3000)));
    assert_eq!(closed(stage.tick(at(3000))), [1, 2]);
}

#[test]
fn closing_serves_those_in_line_and_retries_but_no_one_new() {
    let mut stage = stage(5, &[(A, 1), (B, 1)]);
    let (first, second) = (granted(&mut stage, ask()), granted(&mut stage, ask()));
    queued(&mut stage, ask(), "ann");
    assert!(stage.close(NOW).is_none());
    assert_eq!(refused(&mut stage, ask()).reason, Reason::Draining);
    assert_eq!(woken(stage.release(NOW, first.slot, Outcome::Success, None)), ["ann"]);
    assert!(stage.release(NOW, second.slot, Outcome::Failure, None).is_none());
    queued(&mut stage, avoiding(&[B]), "retry of a request that runs");
}

#[test]
fn dismissing_ends_every_wait_and_leaves_what_runs() {
    let mut stage = stage(5, &[(A, 1), (B, 1)]);
    let (first, second) = (granted(&mut stage, ask()), granted(&mut stage, ask()));
    let ann = queued(&mut stage, ask(), "ann");
    let bob = queued(&mut stage, avoiding(&[B]), "bob");
    assert_eq!(woken(stage.dismiss(NOW)), ["bob", "ann"], "the front lane first");
    for ticket in [ann, bob] {
        let (Collected::Refused(refusal), _) = stage.collect(NOW, ticket, || "again") else {
            panic!("still in line")
        };
        assert_eq!(refusal.reason, Reason::Draining);
    }
    for slot in [first.slot, second.slot] {
        assert!(stage.release(NOW, slot, Outcome::Success, None).is_none());
    }
}

#[test]
#[cfg_attr(debug_assertions, should_panic = "a grant ends once")]
fn a_second_release_does_nothing() {
    let mut stage = stage(0, &[(A, 1)]);
    let first = granted(&mut stage, ask());
    assert!(stage.release(NOW, first.slot, Outcome::Success, None).is_none());
    let second = granted(&mut stage, ask());
    assert_eq!(closed(stage.release(NOW, first.slot, Outcome::Failure, kept(1, HERE))), [1]);
    assert_eq!(stage.counts().busy, 1);
    assert!(stage.release(NOW, second.slot, Outcome::Success, None).is_none());
}

#[test]
fn much_that_is_due_at_once_is_done_in_bounded_parts() {
    let mut stage = stage(100, &[(A, 1)]);
    let _held = granted(&mut stage, ask());
    for _ in 0..100 {
        queued(&mut stage, Ask::new(HERE, at(1)), "all");
    }
    let first = woken(stage.tick(at(1))).len();
    assert!((1..100).contains(&first));
    assert_eq!(stage.next_deadline(), Some(at(1)), "the rest is due at once");
    let mut woken_in_all = first;
    while stage.next_deadline().is_some() {
        woken_in_all += woken(stage.tick(at(1))).len();
    }
    assert_eq!(woken_in_all, 100);
}

#[test]
fn a_slot_settles_with_its_connection_after_work() {
    let settling = PoolSpec { settle: Duration::from_millis(50), ..spec(5, &[(A, 1)]) };
    let mut stage = Stage::new(NOW, settling);
    let grant = granted(&mut stage, ask());
    queued(&mut stage, ask(), "ann");
    assert!(stage.release(at(10), grant.slot, Outcome::Success, kept(7, HERE)).is_none());
    assert_eq!((stage.counts().resting, stage.next_deadline()), (1, Some(at(60))));
    assert!(stage.take_for_probe(at(10), A).is_none(), "it is no question what it waits for");
    assert_eq!(woken(stage.tick(at(60))), ["ann"]);
}

#[test]
fn only_work_settles() {
    let settling = PoolSpec { settle: Duration::from_millis(50), ..spec(5, &[(A, 1)]) };
    let mut stage = Stage::new(NOW, settling);
    let untouched = granted(&mut stage, ask());
    assert!(stage.release(NOW, untouched.slot, Outcome::Ignored, kept(7, HERE)).is_none());
    assert_eq!((stage.counts().idle, stage.counts().kept), (1, 1), "nothing was ever sent");
    let probe = stage.take_for_probe(NOW, A).expect("idle");
    assert!(stage.release(NOW, probe.slot, Outcome::Success, None).is_none());
    let failed = granted(&mut stage, ask());
    assert!(stage.release(NOW, failed.slot, Outcome::Failure, None).is_none());
    assert!(stage.tick(at(250)).is_none());
    for (since, is_doubted) in [(300, true), (400, false)] {
        let grant = granted(&mut stage, ask());
        if is_doubted {
            assert!(stage.doubt(at(since), grant.slot).is_none());
        } else {
            stage.linger(at(since), grant.slot);
        }
        assert!(stage.release(at(since), grant.slot, Outcome::Ignored, kept(8, HERE)).is_none());
        assert_eq!((stage.counts().resting, stage.counts().kept), (1, 0), "a request was at work");
        assert!(stage.tick(at(since + 50)).is_none());
        assert_eq!(stage.counts().idle, 1);
    }
    assert_eq!(stage.counts().kept, 1, "kept through the rest");
}

#[test]
fn a_slot_in_doubt_is_its_holders_to_free() {
    let mut stage = stage(5, &[(A, 1)]);
    let grant = granted(&mut stage, ask());
    queued(&mut stage, ask(), "ann");
    stage.linger(NOW, grant.slot);
    assert!(stage.doubt(NOW, grant.slot).is_none());
    assert_eq!((stage.counts().resting, stage.counts().lingering), (1, 0));
    assert_eq!((stage.next_deadline(), stage.unproven(A)), (None, None), "its holder asks, and nobody else");
    assert!(stage.take_for_proof(NOW, A).is_none() && stage.take_for_probe(NOW, A).is_none());
    assert_eq!(woken(stage.release(at(5), grant.slot, Outcome::Ignored, kept(7, HERE))), ["ann"]);
}

#[test]
fn a_slot_in_doubt_that_its_holder_lets_go_is_for_any_probe() {
    let mut stage = stage(5, &[(A, 1), (B, 2)]);
    let doubted = granted(&mut stage, ask());
    let on_b = [granted(&mut stage, ask()), granted(&mut stage, ask())];
    assert_eq!((doubted.backend, stage.unproven(BackendKey(0))), (A, None));
    assert!(stage.doubt(NOW, doubted.slot).is_none());
    assert!(stage.rest(NOW, doubted.slot, Until::Proof).is_none());
    assert!(stage.rest(NOW, on_b[0].slot, Until::Proof).is_none());
    assert_eq!(stage.unproven(BackendKey(0)), Some(A));
    assert_eq!(stage.unproven(BackendKey(A.0 + 1)), Some(B), "the next one");
    assert_eq!(stage.unproven(BackendKey(B.0 + 1)), None);
    assert_eq!(stage.backends(B, 1)[0].unproven, 1);
    let probe = stage.take_for_proof(NOW, A).expect("a slot without proof");
    assert_eq!(stage.unproven(BackendKey(0)), Some(B), "the probe is on its way");
    assert!(stage.release(NOW, probe.slot, Outcome::Failure, None).is_none());
    assert_eq!(stage.unproven(BackendKey(0)), Some(A), "it proved nothing");
}

#[test]
fn a_trial_in_doubt_leaves_room_for_another() {
    let mut stage = stage(5, &[(A, 2)]);
    let first = granted(&mut stage, ask());
    assert!(stage.release(NOW, first.slot, Outcome::Failure, None).is_none());
    assert!(stage.tick(at(250)).is_none());
    let trial = granted(&mut stage, ask());
    queued(&mut stage, ask(), "ann");
    queued(&mut stage, ask(), "bob");
    assert_eq!(woken(stage.doubt(at(250), trial.slot)), ["ann"], "she is the trial now");
    assert!(stage.release(at(251), trial.slot, Outcome::Ignored, None).is_none(), "one trial at a time");
    assert_eq!(stage.counts().waiting, 1);
}
