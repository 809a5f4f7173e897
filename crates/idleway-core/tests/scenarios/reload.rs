//! A pool that is ordered anew while it works.

use std::time::Duration;

use idleway_core::{
    Arrival, BackendKey, BackendSpec, Cause, Collected, HealthPolicy, Key, Mode, Outcome, PoolSpec, Reason,
    Until,
};

use crate::stage::*;

fn slow(millis: u64) -> HealthPolicy {
    HealthPolicy { slow_start: Duration::from_millis(millis), ..HealthPolicy::default() }
}

/// A backend of four slots that came back at 250 ms and gets them one by one.
fn coming_back(millis: u64) -> Stage {
    let mut stage = healthy(0, &[(A, 4)], slow(millis));
    let grant = granted(&mut stage, ask());
    assert!(stage.release(NOW, grant.slot, Outcome::Failure, None).is_none());
    assert!(stage.tick(at(250)).is_none());
    let trial = granted(&mut stage, ask());
    assert!(stage.release(at(250), trial.slot, Outcome::Success, None).is_none());
    assert_eq!(news(&mut stage).last().map(|news| news.2), Some(Cause::TrialServed));
    stage
}

fn ordered(stage: &mut Stage, now: u64, slots: u32, millis: u64) {
    let effects = stage.reconfigure(at(now), PoolSpec { health: slow(millis), ..spec(0, &[(A, slots)]) });
    assert!(effects.is_none());
}

#[test]
fn a_reload_that_changes_nothing_changes_no_clock() {
    let mut stage = coming_back(400);
    assert_eq!((stage.counts().unopened, stage.next_deadline()), (3, Some(at(350))));
    for now in 251..349 {
        ordered(&mut stage, now, 4, 400);
    }
    assert_eq!((stage.counts().unopened, stage.next_deadline()), (3, Some(at(350))));
}

#[test]
fn who_comes_back_slowly_does_so_at_the_pace_that_is_ordered_now() {
    let mut stage = coming_back(400);
    ordered(&mut stage, 260, 4, 40);
    assert_eq!((stage.counts().unopened, stage.next_deadline()), (3, Some(at(270))), "sooner");
    assert!(stage.tick(at(270)).is_none());
    ordered(&mut stage, 271, 4, 4_000);
    assert_eq!((stage.counts().unopened, stage.next_deadline()), (2, Some(at(280))), "what was to open does");
    assert!(stage.tick(at(280)).is_none());
    assert_eq!((stage.counts().unopened, stage.next_deadline()), (1, Some(at(1280))));
    ordered(&mut stage, 281, 40, 4_000);
    assert_eq!((stage.counts().unopened, stage.next_deadline()), (37, Some(at(381))), "ten times as many");
    ordered(&mut stage, 282, 40, 0);
    assert_eq!((stage.counts().unopened, stage.next_deadline()), (0, None), "all at once");
}

#[test]
fn who_waited_in_a_queue_that_is_gone_is_told_so_and_not_that_all_is_busy() {
    let mut stage = stage(5, &[(A, 1)]);
    let grant = granted(&mut stage, ask());
    let mut patient = ask();
    patient.until = at(1_000);
    let ann = queued(&mut stage, patient.clone(), "ann");
    let bob = queued(&mut stage, patient, "bob");
    assert!(stage.reconfigure(NOW, spec(0, &[(A, 1)])).is_none());
    assert_eq!(refused(&mut stage, ask()).reason, Reason::Busy);
    assert_eq!(woken(stage.release(at(10), grant.slot, Outcome::Success, None)), ["ann"], "they stay");
    let _held = collected(&mut stage, ann);
    assert_eq!(woken(stage.tick(at(1_000))), ["bob"]);
    let (Collected::Refused(refusal), _) = stage.collect(at(1_000), bob, || "again") else {
        panic!("still in line")
    };
    assert_eq!(refusal.reason, Reason::WaitOver);
}

#[test]
fn what_was_ordered_of_a_backend_does_not_keep_it_when_it_is_gone() {
    let mut stage = stage(0, &[(A, 1)]);
    let grant = granted(&mut stage, ask());
    assert!(stage.rest(NOW, grant.slot, Until::Proof).is_none());
    assert!(stage.set_mode(NOW, A, Mode::Maintenance).is_none());
    assert!(stage.take_for_proof(NOW, A).is_none(), "it is not probed");
    assert!(stage.reconfigure(NOW, spec(0, &[])).is_none());
    let proof = stage.take_for_proof(NOW, A).expect("nobody will order anything else");
    assert!(stage.release(NOW, proof.slot, Outcome::Success, None).is_none());
    assert_eq!((stage.counts().backends, stage.unproven(BackendKey(0))), (0, None));
}

/// Who stood in line of the pool before is not told what whoever stands in this one is not.
#[test]
fn who_was_in_line_stays_in_line() {
    let mut stage = stage(2, &[(A, 1)]);
    assert!(stage.set_mode(NOW, A, Mode::Drain).is_none());
    assert_eq!(refused(&mut stage, ask()).reason, Reason::NoBackendUp);
    let mut admitted = ask();
    admitted.was_in_line = true;
    let mut until_now = admitted.clone();
    until_now.until = NOW;
    assert_eq!(refused(&mut stage, until_now).reason, Reason::NoBackendUp, "it would not wait");
    let (arrival, _) = stage.arrive(NOW, admitted);
    assert!(matches!(arrival, Arrival::Queued(_)));
    // Nobody has looked after the ticket yet, so nobody is to be woken.
    assert!(stage.set_mode(NOW, A, Mode::Ready).is_none());
    assert_eq!(stage.counts().busy, 1);
}

#[test]
fn a_trial_that_says_nothing_is_followed_by_a_probe_where_probes_come_by_then() {
    let mut stage = healthy(0, &[(A, 2)], HealthPolicy::default());
    let grant = granted(&mut stage, ask());
    assert!(stage.release(NOW, grant.slot, Outcome::Failure, None).is_none());
    assert!(stage.tick(at(250)).is_none());
    let trial = granted(&mut stage, ask());
    let health = HealthPolicy { is_probed: true, ..HealthPolicy::default() };
    assert!(stage.reconfigure(at(260), PoolSpec { health, ..spec(0, &[(A, 2)]) }).is_none());
    assert!(stage.doubt(at(270), trial.slot).is_none());
    assert_eq!(stage.awaiting_probe(BackendKey(0)), Some(A));
    assert_eq!(refused(&mut stage, ask()).reason, Reason::NoBackendUp);
}

#[test]
fn of_a_backend_that_is_named_twice_the_last_holds() {
    let mut stage = stage(0, &[(B, 2)]);
    let backends = [(B, 1), (A, 1), (B, 5), (A, 3)].map(|(key, slots)| BackendSpec::new(key, slots)).to_vec();
    assert!(stage.reconfigure(NOW, PoolSpec { backends, ..spec(0, &[]) }).is_none());
    let slots: Vec<_> = stage.backends(A, 9).iter().map(|view| (view.key, view.slots.slots)).collect();
    assert_eq!(slots, [(A, 3), (B, 5)]);
}

#[test]
fn two_hundred_reloads_under_load_lose_nothing() {
    let mut stage = stage(9, &[(A, 3), (B, 3)]);
    let mut held: Vec<_> = (0..6).map(|_| granted(&mut stage, ask()).slot).collect();
    let mut tickets: Vec<_> = (0..9)
        .map(|key| {
            let mut ask = ask();
            ask.key = Key(key % 3);
            queued(&mut stage, ask, "someone")
        })
        .collect();
    let mut served = 0;
    for reload in 0..200_u32 {
        // Slots, the queue, the rules and who is named, each at a pace of its own.
        let mut next = spec((reload % 4) as usize, &[]);
        next.backends.push(BackendSpec::new(A, reload % 5));
        if reload % 7 != 0 {
            next.backends.push(BackendSpec::new(B, 3 - reload % 3));
        }
        (next.fair, next.slots_per_key) = (reload % 2 == 0, (reload % 3 == 0).then_some(1 + reload % 2));
        drop(stage.reconfigure(NOW, next));
        let counts = stage.counts();
        assert_eq!(counts.busy + counts.waiting, (held.len() + tickets.len()) as u64);
        if reload % 10 == 9
            && let Some(slot) = held.pop()
        {
            drop(stage.release(NOW, slot, Outcome::Success, None));
        }
        for ticket in std::mem::take(&mut tickets) {
            match stage.collect(NOW, ticket, || "someone").0 {
                Collected::Granted(grant) => {
                    served += 1;
                    held.push(grant.slot);
                }
                Collected::Waiting => tickets.push(ticket),
                Collected::Refused(refusal) => panic!("nobody may be refused: {refusal}"),
            }
        }
    }
    drop(stage.reconfigure(NOW, spec(0, &[(A, 15), (B, 15)])));
    for ticket in tickets {
        served += 1;
        held.push(collected(&mut stage, ticket).slot);
    }
    for slot in held {
        assert!(stage.release(NOW, slot, Outcome::Success, None).is_none());
    }
    assert_eq!((served, stage.counts().idle, stage.counts().slots), (9, 30, 30));
}
