//! An old process gives its slots up to a new one.

use idleway_core::{Collected, Held, Mode, Outcome, PoolSpec, Reason, Until};

use crate::stage::*;

fn held(stage: &mut Stage) -> Vec<(u64, u32)> {
    let (held, effects) = stage.take_held(NOW);
    assert!(effects.is_none());
    listed(&held)
}

fn listed(held: &[Held]) -> Vec<(u64, u32)> {
    held.iter().map(|held| (held.backend.0, held.slots)).collect()
}

#[test]
fn what_is_idle_goes_at_once_and_the_rest_as_it_ends() {
    let mut stage = stage(0, &[(A, 2), (B, 2)]);
    let [first, second, third] = [0; 3].map(|_| granted(&mut stage, ask()));
    assert!(stage.release(NOW, third.slot, Outcome::Success, kept(7, HERE)).is_none());
    let (held_first, effects) = stage.cede(NOW);
    assert_eq!((listed(&held_first), closed(effects)), (vec![(10, 1), (20, 1)], vec![7]));
    assert_eq!((stage.counts().slots, stage.counts().idle), (2, 0));
    assert!(!stage.has_untold());
    assert!(stage.release(NOW, first.slot, Outcome::Success, None).is_none());
    assert!(stage.has_untold());
    assert_eq!(held(&mut stage), [(10, 0)]);
    assert_eq!(refused(&mut stage, ask()).reason, Reason::Busy, "one is still at work");
    stage.linger(NOW, second.slot);
    assert!(stage.rest(NOW, second.slot, Until::Time(at(50))).is_none());
    assert!(!stage.has_untold(), "it is held until it is free");
    assert!(stage.tick(at(50)).is_none());
    assert_eq!(held(&mut stage), [(20, 0)]);
    assert_eq!(refused(&mut stage, ask()).reason, Reason::Draining, "nothing is left");
    let (all, _) = stage.cede(NOW);
    assert_eq!(listed(&all), [(10, 0), (20, 0)], "asked again, it tells of all");
}

#[test]
fn those_in_line_are_served_before_a_slot_is_given_up() {
    let mut stage = stage(5, &[(A, 1)]);
    let first = granted(&mut stage, ask());
    let ann = queued(&mut stage, ask(), "ann");
    assert!(stage.cede(NOW).1.is_none());
    queued(&mut stage, ask(), "bob");
    assert_eq!(woken(stage.release(NOW, first.slot, Outcome::Success, None)), ["ann"]);
    assert!(!stage.has_untold());
    let grant = collected(&mut stage, ann);
    assert_eq!(woken(stage.release(NOW, grant.slot, Outcome::Success, None)), ["bob"]);
}

#[test]
fn who_comes_before_an_idle_slot_is_given_up_is_served() {
    let mut stage = stage(0, &[(A, 1)]);
    let first = granted(&mut stage, ask());
    assert!(stage.cede(NOW).1.is_none());
    assert!(stage.release(NOW, first.slot, Outcome::Success, None).is_none());
    let second = granted(&mut stage, ask());
    assert!(held(&mut stage).is_empty(), "it is at work again");
    assert!(stage.release(NOW, second.slot, Outcome::Success, None).is_none());
    assert_eq!(held(&mut stage), [(10, 0)]);
}

#[test]
fn who_waits_for_nothing_is_told() {
    let mut stage = stage(5, &[(A, 1)]);
    let grant = granted(&mut stage, ask());
    let ann = queued(&mut stage, ask(), "ann");
    assert!(stage.cede(NOW).1.is_none());
    assert!(stage.release(NOW, grant.slot, Outcome::Unreachable, None).is_none(), "down, and idle");
    let (left, effects) = stage.take_held(NOW);
    assert_eq!((listed(&left), woken(effects)), (vec![(10, 0)], vec!["ann"]));
    let (Collected::Refused(refusal), _) = stage.collect(NOW, ann, || "again") else {
        panic!("still in line")
    };
    assert_eq!(refusal.reason, Reason::Draining);
}

#[test]
fn what_is_elsewhere_is_nobodys_to_give_up() {
    let mut stage = stage(0, &[(A, 4)]);
    let grant = granted(&mut stage, ask());
    assert!(stage.set_elsewhere(NOW, A, 2).is_none());
    let (held_first, _) = stage.cede(NOW);
    assert_eq!(listed(&held_first), [(10, 1)]);
    assert!(stage.set_elsewhere(NOW, A, 0).is_none(), "who has them tells the new process");
    assert_eq!((stage.counts().slots, stage.has_untold()), (1, false));
    assert!(stage.release(NOW, grant.slot, Outcome::Success, None).is_none());
    assert_eq!(held(&mut stage), [(10, 0)]);
}

#[test]
fn a_slot_that_did_not_fit_is_not_granted_again() {
    let mut stage = stage(5, &[(A, 2)]);
    let both = [granted(&mut stage, ask()), granted(&mut stage, ask())];
    queued(&mut stage, ask(), "ann");
    assert!(stage.set_elsewhere(NOW, A, 1).is_none());
    assert_eq!(listed(&stage.cede(NOW).0), [(10, 2)]);
    let [first, second] = both.map(|grant| grant.slot);
    assert!(stage.release(NOW, first, Outcome::Success, None).is_none(), "one more is at work elsewhere");
    assert_eq!(held(&mut stage), [(10, 1)]);
    assert_eq!(woken(stage.release(NOW, second, Outcome::Success, None)), ["ann"]);
}

#[test]
fn slots_that_rest_as_they_were_told_are_held_until_then() {
    let mut stage = stage(0, &[(A, 2)]);
    let grant = granted(&mut stage, ask());
    assert!(stage.withhold(NOW, grant.slot, at(100), None).is_none());
    assert_eq!(listed(&stage.cede(NOW).0), [(10, 2)]);
    assert!(stage.tick(at(100)).is_none());
    assert_eq!(held(&mut stage), [(10, 0)]);
}

#[test]
fn a_reload_gives_nothing_back() {
    let mut stage = stage(0, &[(A, 2), (B, 1)]);
    let [first, second] = [granted(&mut stage, ask()), granted(&mut stage, ask())];
    assert_eq!(listed(&stage.cede(NOW).0), [(10, 1), (20, 1)]);
    let more = PoolSpec { queue_length: 5, ..spec(0, &[(A, 9), (C, 3)]) };
    assert!(stage.reconfigure(NOW, more).is_none());
    assert_eq!((stage.counts().slots, stage.counts().busy), (2, 2), "nothing for A, no C");
    queued(&mut stage, ask(), "ann");
    let on_b = if first.backend == B { first.slot } else { second.slot };
    assert!(stage.release(NOW, on_b, Outcome::Success, None).is_none(), "B was taken out");
    assert_eq!(held(&mut stage), [(20, 0)]);
    assert!(stage.reconfigure(NOW, spec(0, &[])).is_none());
    assert!(stage.reconfigure(NOW, spec(0, &[(A, 9)])).is_none());
    assert_eq!(stage.counts().slots, 1, "one is at work");
    assert!(stage.set_mode(NOW, A, Mode::Drain).is_none());
}
