//! Work that a backend has from somebody else, and backends that start with it.

use std::time::Duration;

use idleway_core::{BackendKey, BackendSpec, Outcome, PoolSpec, Reason, Start, Until};

use crate::stage::*;

fn starting(queue_length: usize, slots: u32, start: Start) -> Stage {
    let backends = vec![BackendSpec { start, ..BackendSpec::new(A, slots) }];
    Stage::new(NOW, PoolSpec { backends, ..spec(queue_length, &[]) })
}

#[test]
fn what_is_at_work_elsewhere_is_never_granted_and_rests() {
    let mut stage = starting(5, 3, Start::Elsewhere(2));
    let counts = stage.counts();
    assert_eq!((counts.idle, counts.resting, counts.slots), (1, 2, 3));
    let grant = granted(&mut stage, ask());
    queued(&mut stage, ask(), "ann");
    queued(&mut stage, ask(), "bob");
    assert_eq!(woken(stage.set_elsewhere(NOW, A, 1)), ["ann"]);
    assert!(stage.set_elsewhere(NOW, A, 3).is_none(), "nothing is taken from what runs");
    assert_eq!(stage.backends(A, 1)[0].elsewhere, 3);
    assert_eq!((stage.counts().busy, stage.counts().resting, stage.counts().slots), (2, 3, 5));
    assert!(stage.release(NOW, grant.slot, Outcome::Success, None).is_none(), "it does not fit");
    assert_eq!(stage.counts().waiting, 1);
    assert!(stage.set_elsewhere(NOW, A, 2).is_none(), "one is busy: it fits, and no more does");
    assert_eq!(woken(stage.set_elsewhere(NOW, A, 0)), ["bob"]);
    assert!(stage.set_elsewhere(NOW, B, 7).is_none(), "nobody knows B");
}

#[test]
fn a_backend_that_is_busy_elsewhere_serves_last_and_is_not_probed() {
    let backends =
        vec![BackendSpec { start: Start::Elsewhere(1), ..BackendSpec::new(A, 2) }, BackendSpec::new(B, 2)];
    let mut stage = Stage::new(NOW, PoolSpec { backends, ..spec(0, &[]) });
    assert_eq!(granted(&mut stage, ask()).backend, B);
    assert!(stage.set_elsewhere(NOW, A, u32::MAX).is_none());
    assert!(stage.take_for_probe(NOW, A).is_none(), "busy is not sick");
    assert_eq!(granted(&mut stage, ask()).backend, B);
    assert_eq!(refused(&mut stage, ask()).reason, Reason::Busy);
}

#[test]
fn connections_never_outnumber_slots_that_are_left() {
    let mut stage = stage(0, &[(A, 2)]);
    let both = [granted(&mut stage, ask()), granted(&mut stage, ask())];
    for (connection, grant) in (1..).zip(both) {
        assert!(stage.release(NOW, grant.slot, Outcome::Success, kept(connection, HERE)).is_none());
    }
    assert_eq!(closed(stage.set_elsewhere(NOW, A, 1)).len(), 1);
    assert_eq!((stage.counts().kept, stage.counts().idle), (1, 1));
}

#[test]
fn of_several_one_may_be_gone_without_a_word() {
    let mut stage = starting(3, 3, Start::Elsewhere(3));
    queued(&mut stage, ask(), "ann");
    assert!(stage.doubt_elsewhere(NOW, A, 1).is_none());
    let view = stage.backends(A, 1)[0];
    assert_eq!((view.elsewhere, view.unproven, view.slots.resting), (2, 1, 3));
    // The others say that they are done: what is doubted is so still.
    assert_eq!(woken(stage.set_elsewhere(NOW, A, 0)), ["ann"]);
    assert_eq!(stage.backends(A, 1)[0].unproven, 1);
}

#[test]
fn who_is_gone_without_a_word_leaves_slots_to_prove() {
    let mut stage = starting(5, 2, Start::Elsewhere(5));
    queued(&mut stage, ask(), "ann");
    assert!(stage.doubt_elsewhere(NOW, A, u32::MAX).is_none());
    let view = stage.backends(A, 1)[0];
    assert_eq!(
        (view.elsewhere, view.unproven, view.slots.resting),
        (0, 2, 2),
        "no more than there are slots"
    );
    assert!(stage.doubt_elsewhere(NOW, A, 1).is_none(), "nobody is there any more");
    let probe = stage.take_for_proof(NOW, A).expect("to prove");
    assert!(stage.release(NOW, probe.slot, Outcome::Failure, None).is_none());
    let probe = stage.take_for_proof(NOW, A).expect("still to prove");
    assert_eq!(woken(stage.release(NOW, probe.slot, Outcome::Success, None)), ["ann"]);
    assert_eq!(stage.counts().resting, 1);
}

#[test]
fn after_a_crash_slots_start_without_proof_or_wait_for_a_time() {
    let mut stage = starting(5, 2, Start::Unproven);
    queued(&mut stage, ask(), "ann");
    assert_eq!((stage.unproven(BackendKey(0)), stage.counts().resting), (Some(A), 2));
    let probe = stage.take_for_proof(NOW, A).expect("to prove");
    assert_eq!(woken(stage.release(NOW, probe.slot, Outcome::Success, None)), ["ann"]);

    let mut stage = starting(5, 2, Start::Until(at(700)));
    queued(&mut stage, ask(), "ann");
    assert!(stage.take_for_probe(NOW, A).is_none() && stage.take_for_proof(NOW, A).is_none());
    assert_eq!((stage.counts().resting, stage.next_deadline()), (2, Some(at(700))));
    assert_eq!(woken(stage.tick(at(700))), ["ann"]);
    assert_eq!(stage.counts().idle, 1);
}

#[test]
fn how_it_starts_says_nothing_of_a_backend_that_is_known() {
    let mut stage = stage(0, &[(A, 2)]);
    let backends = vec![BackendSpec { start: Start::Unproven, ..BackendSpec::new(A, 2) }];
    assert!(stage.reconfigure(NOW, PoolSpec { backends, ..spec(0, &[]) }).is_none());
    assert_eq!(stage.counts().idle, 2);
}

#[test]
fn a_removed_backend_is_over_with_its_own_work() {
    let mut stage = starting(0, 3, Start::Elsewhere(2));
    let grant = granted(&mut stage, ask());
    assert!(stage.reconfigure(NOW, spec(0, &[])).is_none());
    assert_eq!((stage.counts().slots, stage.counts().busy), (1, 1), "the others count elsewhere");
    assert!(stage.reconfigure(NOW, spec(0, &[(A, 3)])).is_none());
    assert_eq!((stage.counts().resting, stage.counts().idle), (2, 0), "named again, it has them still");
    assert!(stage.reconfigure(NOW, spec(0, &[])).is_none());
    assert!(stage.release(NOW, grant.slot, Outcome::Success, None).is_none());
    assert_eq!((stage.counts().backends, stage.counts().slots), (0, 0));
    assert!(stage.backends(A, 1).is_empty());
}

#[test]
fn work_elsewhere_takes_as_long_as_work_here() {
    let mut stage = with_work_of_a_minute(5, 2, Default::default());
    let wait = |stage: &Stage| stage.estimate(at(180_000)).wait.expect("it has learned");
    assert!(wait(&stage).is_zero());
    assert!(stage.set_elsewhere(at(180_000), A, 2).is_none());
    let expected = wait(&stage);
    assert!((Duration::from_secs(10)..Duration::from_secs(60)).contains(&expected), "{expected:?}");
}

#[test]
fn a_backend_that_moves_keeps_its_limit_in_both_pools_together() {
    let mut old = stage(0, &[(A, 2)]);
    let [first, second] = [granted(&mut old, ask()), granted(&mut old, ask())];
    old.linger(NOW, second.slot);
    assert!(old.reconfigure(NOW, spec(0, &[])).is_none());
    let mut new = starting(5, 2, Start::Elsewhere(old.watch(A)));
    queued(&mut new, ask(), "ann");
    queued(&mut new, ask(), "bob");
    assert!(!old.has_untold());
    assert!(old.release(NOW, first.slot, Outcome::Success, None).is_none());
    let (held, effects) = old.take_held(NOW);
    assert!(effects.is_none());
    assert_eq!((held.len(), held[0].backend, held[0].slots), (1, A, 1));
    assert_eq!(woken(new.set_elsewhere(NOW, A, held[0].slots)), ["ann"]);
    assert!(old.rest(NOW, second.slot, Until::Proof).is_none());
    assert!(!old.has_untold(), "taken as before");
    let proof = old.take_for_proof(NOW, A).expect("also of a removed one");
    assert!(old.release(NOW, proof.slot, Outcome::Success, None).is_none());
    let (held, _) = old.take_held(NOW);
    assert_eq!((held[0].backend, held[0].slots), (A, 0), "its last word");
    assert_eq!(woken(new.set_elsewhere(NOW, A, 0)), ["bob"]);
    assert_eq!((old.counts().slots, old.has_untold()), (0, false));
}

#[test]
fn a_backend_that_is_named_again_is_watched_no_longer() {
    let mut stage = stage(0, &[(A, 2)]);
    let grant = granted(&mut stage, ask());
    assert!(stage.reconfigure(NOW, spec(0, &[])).is_none());
    assert_eq!((stage.watch(A), stage.watch(B)), (1, 0));
    assert!(stage.reconfigure(NOW, spec(0, &[(A, 2)])).is_none());
    assert!(stage.release(NOW, grant.slot, Outcome::Success, None).is_none());
    assert!(!stage.has_untold() && stage.take_held(NOW).0.is_empty());
}
