//! Who does worse than the others, and which work takes longer than it does.

use std::time::Duration;

use idleway_core::{BackendKey, Cause, Health, HealthPolicy, Mode, Outcome, PoolSpec};

use crate::stage::*;

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

/// Serves a request on each backend of a pool in which all slots are idle.
fn serve_each(stage: &mut Stage, outcome_of: &dyn Fn(BackendKey) -> Outcome) {
    let held: Vec<_> = (0..stage.counts().idle).map(|_| granted(stage, ask())).collect();
    for grant in held {
        drop(stage.release(NOW, grant.slot, outcome_of(grant.backend), None));
    }
}

fn compared(backends: &[(BackendKey, u32)]) -> Stage {
    let health = HealthPolicy { outlier: Some(50), failures: 1000, ..HealthPolicy::default() };
    healthy(0, backends, health)
}

#[test]
fn the_rest_has_to_have_served_enough() {
    let mut stage = compared(&[(A, 1), (B, 1)]);
    let fails = |key| if key == A { Outcome::Poor } else { Outcome::Success };
    (0..9).for_each(|_| serve_each(&mut stage, &fails));
    assert!(stage.set_mode(NOW, B, Mode::Drain).is_none());
    for _ in 0..50 {
        let grant = granted(&mut stage, ask());
        assert!(stage.release(NOW, grant.slot, Outcome::Poor, None).is_none());
    }
    assert!(news(&mut stage).is_empty(), "of nine requests nobody can tell");
}

#[test]
fn it_is_the_difference_that_counts() {
    let mut stage = compared(&[(A, 1), (B, 1)]);
    for round in 0..300 {
        let fails = |key| if key == A { round % 10 < 7 } else { round % 10 < 3 };
        serve_each(&mut stage, &|key| if fails(key) { Outcome::Poor } else { Outcome::Success });
    }
    assert!(news(&mut stage).is_empty(), "seven of ten fail, but so do three of ten elsewhere");
}

#[test]
fn probes_are_not_compared() {
    let health = HealthPolicy { outlier: Some(50), fall: 1000, ..HealthPolicy::default() };
    let mut stage = healthy(0, &[(A, 1), (B, 1)], health);
    for _ in 0..50 {
        serve_each(&mut stage, &|_| Outcome::Success);
        assert!(stage.observe(NOW, A, Outcome::Failure).is_none());
    }
    (0..40).for_each(|_| assert!(stage.observe(NOW, A, Outcome::Failure).is_none()));
    assert!(news(&mut stage).is_empty());
}

#[test]
fn one_that_breaks_as_often_as_it_may_is_down_for_that() {
    let health = HealthPolicy { outlier: Some(50), failures: 10, ..HealthPolicy::default() };
    let mut stage = healthy(0, &[(A, 1), (B, 3)], health);
    let fails = |key| if key == A { Outcome::Failure } else { Outcome::Success };
    (0..10).for_each(|_| serve_each(&mut stage, &fails));
    assert_eq!(news(&mut stage), [(A, Health::Down, Cause::Failures)]);
}

#[test]
fn what_it_did_before_it_was_down_takes_nobody_out_once_more() {
    let mut stage = compared(&[(A, 1), (B, 3)]);
    let fails = |key| if key == A { Outcome::Poor } else { Outcome::Success };
    (0..10).for_each(|_| serve_each(&mut stage, &fails));
    assert_eq!(news(&mut stage), [(A, Health::Down, Cause::Outlier)]);
    assert!(stage.tick(at(250)).is_none());
    serve_each(&mut stage, &|_| Outcome::Success);
    assert_eq!(news(&mut stage), [(A, Health::Up, Cause::TrialServed)]);
    (0..9).for_each(|_| serve_each(&mut stage, &fails));
    assert!(news(&mut stage).is_empty(), "it begins anew");
}

#[test]
fn those_that_cannot_be_reached_are_no_excuse_for_others() {
    let mut stage = compared(&[(A, 1), (B, 3), (C, 40)]);
    let dead = |key| if key == C { Outcome::Unreachable } else { Outcome::Success };
    serve_each(&mut stage, &dead);
    assert_eq!(news(&mut stage), [(C, Health::Down, Cause::Unreachable)]);
    for _ in 0..12 {
        for grant in [(); 4].map(|()| granted(&mut stage, ask())) {
            let outcome = if grant.backend == A { Outcome::Poor } else { Outcome::Success };
            drop(stage.release(NOW, grant.slot, outcome, None));
        }
        if stage.counts().up == 1 {
            break;
        }
    }
    assert_eq!(news(&mut stage), [(A, Health::Down, Cause::Outlier)]);
}

/// A pool of as many slots in which so many pieces of work took half a second, and as many nothing.
fn with_work_of_half_a_second(slots: u32, times: u64) -> (Stage, u64) {
    let mut stage = stage(0, &[(A, slots)]);
    for second in 0..times {
        for took in [0, 500] {
            let grant = granted(&mut stage, ask());
            assert!(stage.release(at(second * 1000 + took), grant.slot, Outcome::Success, None).is_none());
        }
        assert!(stage.tick(at((second + 1) * 1000)).is_none());
    }
    (stage, times * 1000)
}

#[test]
fn work_that_takes_far_longer_than_usual_is_told_once_and_takes_nobody_out() {
    let (mut stage, begun) = with_work_of_half_a_second(2, 20);
    let held = granted(&mut stage, ask());
    stage.linger(at(begun + 100), held.slot);
    let far = begun + 1500;
    assert_eq!(stage.overdue(at(far), 0, 64), (Vec::new(), None), "three times what nearly all takes");
    let (overdue, more) = stage.overdue(at(far + 1), 0, 64);
    assert_eq!((overdue.len(), overdue[0].backend, more), (1, A, None));
    assert_eq!(overdue[0].age, Duration::from_millis(1501));
    assert_eq!(stage.overdue(at(far + 9000), 0, 64).0, [], "it was told");
    assert_eq!(stage.counts().up, 1);
    assert!(stage.release(at(far + 9000), held.slot, Outcome::Success, None).is_none());
}

#[test]
fn less_than_a_second_is_never_far_longer() {
    let mut stage = stage(0, &[(A, 1)]);
    for millis in 0..20 {
        let grant = granted(&mut stage, ask());
        assert!(stage.release(at(millis), grant.slot, Outcome::Success, None).is_none());
    }
    let _held = granted(&mut stage, ask());
    assert_eq!(stage.overdue(at(1019), 0, 64).0, []);
    assert_eq!(stage.overdue(at(1020), 0, 64).0.len(), 1);
}

#[test]
fn before_enough_was_served_nobody_knows_what_is_far_longer() {
    let (mut stage, begun) = with_work_of_half_a_second(1, 9);
    let _held = granted(&mut stage, ask());
    assert_eq!(stage.overdue(at(begun + 60_000), 0, 64), (Vec::new(), None));
}

#[test]
fn a_large_pool_is_looked_at_in_parts() {
    let (mut stage, begun) = with_work_of_half_a_second(5, 20);
    let _held = [(); 5].map(|()| granted(&mut stage, ask()));
    let late = at(begun + 60_000);
    let (first, more) = stage.overdue(late, 0, 2);
    assert_eq!((first.len(), more), (2, Some(2)));
    let (second, more) = stage.overdue(late, 2, 3);
    assert_eq!((second.len(), more), (3, None));
}
