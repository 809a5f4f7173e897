//! Who is next: lanes, keys, bounds, and who makes room in a full line.

use std::collections::VecDeque;

use idleway_core::{Arrival, Ask, Collected, Key, Lane, Outcome, PoolSpec, Reason, SlotId, Ticket};

use crate::stage::*;

const X: Key = Key(1);
const Y: Key = Key(2);
const Z: Key = Key(3);

fn of(key: Key) -> Ask {
    let mut ask = ask();
    ask.key = key;
    ask
}

fn in_lane(lane: Lane) -> Ask {
    let mut ask = ask();
    ask.lane = lane;
    ask
}

fn fair(queue_length: usize, slots: u32) -> PoolSpec {
    PoolSpec { fair: true, ..spec(queue_length, &[(A, slots)]) }
}

fn bounded(most: u32, queue_length: usize, slots: u32) -> PoolSpec {
    PoolSpec { slots_per_key: Some(most), ..spec(queue_length, &[(A, slots)]) }
}

/// Whoever is next gets the one slot, works for as long as `takes` says in milliseconds, and so on: the names in
/// the order in which they are served.
fn served(
    stage: &mut Stage,
    mut slot: SlotId,
    tickets: &[(&'static str, Ticket)],
    mut now: u64,
    takes: impl Fn(&str) -> u64,
) -> String {
    let mut order = String::new();
    loop {
        let Some(name) = woken(stage.release(at(now), slot, Outcome::Success, None)).pop() else {
            return order;
        };
        let ticket = tickets.iter().find(|(other, _)| *other == name).expect("it waits").1;
        slot = collected(stage, ticket).slot;
        now += takes(name);
        order.push_str(name);
    }
}

/// A full house, and those in line: names and what they ask.
fn house(spec: PoolSpec, line: &[(&'static str, Ask)]) -> (Stage, SlotId, Vec<(&'static str, Ticket)>) {
    let mut stage = Stage::new(NOW, spec);
    let held = granted(&mut stage, of(Key(99))).slot;
    let tickets = line.iter().map(|(name, ask)| (*name, queued(&mut stage, ask.clone(), name))).collect();
    (stage, held, tickets)
}

#[test]
fn the_more_urgent_lane_is_served_first() {
    let line = [("l", Lane::Low), ("n", Lane::Normal), ("m", Lane::Normal), ("h", Lane::High)];
    let (mut stage, held, tickets) =
        house(spec(9, &[(A, 1)]), &line.map(|(name, lane)| (name, in_lane(lane))));
    assert_eq!(served(&mut stage, held, &tickets, 0, |_| 1), "hnml");
}

#[test]
fn who_waits_for_long_counts_as_more_urgent() {
    let step = u64::try_from(Lane::AGEING.as_millis()).unwrap();
    for (low_came, expected) in [(1, "high"), (0, "high"), (-1, "low")] {
        let mut stage = stage(9, &[(A, 1)]);
        let held = granted(&mut stage, ask()).slot;
        // Two steps lie between them: as equals the more urgent goes first.
        let low = at((1 + low_came).try_into().unwrap());
        for (time, lane, name) in [(low, Lane::Low, "low"), (at(1 + 2 * step), Lane::High, "high")] {
            let (Arrival::Queued(ticket), None) = stage.arrive(time, in_lane(lane)) else {
                panic!("no place")
            };
            assert!(matches!(stage.collect(time, ticket, || name).0, Collected::Waiting));
        }
        assert_eq!(woken(stage.release(NOW, held, Outcome::Success, None)), [expected]);
    }
}

#[test]
fn keys_that_share_take_turns() {
    let line = [("a", of(X)), ("b", of(X)), ("c", of(X)), ("y", of(Y)), ("z", of(Z))];
    let (mut stage, held, tickets) = house(fair(9, 1), &line);
    assert_eq!(served(&mut stage, held, &tickets, 0, |_| 1), "ayzbc");
}

#[test]
fn keys_that_do_not_share_are_served_as_they_came() {
    let line = [("a", of(X)), ("b", of(X)), ("c", of(X)), ("y", of(Y)), ("z", of(Z))];
    let (mut stage, held, tickets) = house(spec(9, &[(A, 1)]), &line);
    assert_eq!(served(&mut stage, held, &tickets, 0, |_| 1), "abcyz");
}

#[test]
fn it_is_time_that_is_shared() {
    let line =
        [("p", X), ("q", X), ("a", Y), ("b", Y), ("c", Y), ("d", Y)].map(|(name, key)| (name, of(key)));
    let (mut stage, held, tickets) = house(fair(9, 1), &line);
    let takes = |name: &str| if "pq".contains(name) { 3 } else { 1 };
    assert_eq!(served(&mut stage, held, &tickets, 0, takes), "pabcqd");
}

#[test]
fn a_weight_is_a_part_of_the_time() {
    let weighty = || {
        let mut ask = of(X);
        ask.weight = 2;
        ask
    };
    let line =
        [("a", weighty()), ("b", weighty()), ("c", weighty()), ("d", weighty()), ("y", of(Y)), ("z", of(Y))];
    let (mut stage, held, tickets) = house(fair(9, 1), &line);
    assert_eq!(served(&mut stage, held, &tickets, 0, |_| 10), "aybczd");
}

#[test]
fn who_comes_back_has_saved_nothing() {
    let mut stage = Stage::new(NOW, fair(9, 1));
    let mut now = 0;
    // Y asks once, and then X has the slot for a long time.
    for key in [Y, X, X, X] {
        let grant = granted(&mut stage, of(key));
        now += 100;
        assert!(stage.release(at(now), grant.slot, Outcome::Success, None).is_none());
    }
    let held = granted(&mut stage, of(X)).slot;
    let line = [("a", X), ("b", X), ("y", Y), ("z", Y)];
    let tickets = line.map(|(name, key)| (name, queued(&mut stage, of(key), name)));
    assert_eq!(served(&mut stage, held, &tickets, now + 100, |_| 100), "yazb");
}

#[test]
fn who_comes_again_is_served_beside_those_who_come_once() {
    let mut stage = Stage::new(NOW, fair(9, 1));
    let mut slot = granted(&mut stage, of(Key(99))).slot;
    let mut tickets = VecDeque::from(["x", "again"].map(|name| (name, queued(&mut stage, of(X), name))));
    let mut order = Vec::new();
    for round in 0..6 {
        // There is always one more who has never been there.
        tickets.push_back(("once", queued(&mut stage, of(Key(100 + round)), "once")));
        let name = woken(stage.release(at(100 * (round + 1)), slot, Outcome::Success, None))[0];
        let first = tickets.iter().position(|(other, _)| *other == name).unwrap();
        slot = collected(&mut stage, tickets.remove(first).unwrap().1).slot;
        order.push(name);
    }
    assert_eq!(order[0], "x");
    assert!(order.contains(&"again"), "{order:?}");
}

/// X's urgent work has had the slot ten times for 0.1 s; these of the lower lane came before it.
fn below_the_urgent(line: &[(&'static str, Key)]) -> (Stage, SlotId, Vec<(&'static str, Ticket)>) {
    let mut stage = Stage::new(NOW, fair(9, 1));
    let urgent = || {
        let mut ask = of(X);
        ask.lane = Lane::High;
        ask
    };
    let mut slot = granted(&mut stage, urgent()).slot;
    let tickets = line.iter().map(|&(name, key)| (name, queued(&mut stage, of(key), name))).collect();
    for round in 1..=10 {
        let ticket = queued(&mut stage, urgent(), "urgent");
        assert_eq!(woken(stage.release(at(100 * round), slot, Outcome::Success, None)), ["urgent"]);
        slot = collected(&mut stage, ticket).slot;
    }
    (stage, slot, tickets)
}

#[test]
fn a_newcomer_below_the_urgent_is_not_behind_what_they_have_had() {
    let (mut stage, slot, mut tickets) = below_the_urgent(&[("y", Y), ("v", Y), ("w", Y)]);
    tickets.push(("z", queued(&mut stage, of(Z), "z")));
    assert_eq!(served(&mut stage, slot, &tickets, 1_100, |_| 100), "yzvw");
}

#[test]
fn what_a_key_has_had_in_one_lane_counts_in_no_other() {
    let (mut stage, slot, tickets) = below_the_urgent(&[("x", X), ("y", Y), ("a", X), ("v", Y)]);
    assert_eq!(served(&mut stage, slot, &tickets, 1_100, |_| 100), "xyav");
}

#[test]
fn a_charge_that_was_too_high_holds_back_nobody() {
    let mut stage = Stage::new(NOW, fair(9, 2));
    // X is known for a minute each.
    let grant = granted(&mut stage, of(X));
    assert!(stage.release(at(60_000), grant.slot, Outcome::Success, None).is_none());
    // Y comes while two of them are charged with a minute each; they take a second.
    let [first, second] = [(); 2].map(|()| granted(&mut stage, of(X)).slot);
    let line = [("y", Y), ("z", Y), ("a", X), ("b", X), ("v", Y), ("w", Y)];
    let tickets = line.map(|(name, key)| (name, queued(&mut stage, of(key), name)));
    assert!(stage.reconfigure(at(60_500), fair(9, 1)).is_none());
    assert!(stage.release(at(61_000), first, Outcome::Success, None).is_none(), "one slot less");
    // X has had a minute and 2 s, and Y counts as if it had had what X had before these. Had Y come in behind what X
    // was charged, X would be served alone for two minutes.
    assert_eq!(served(&mut stage, second, &tickets, 61_000, |_| 1_000), "yzavbw");
}

#[test]
fn a_key_at_its_bound_is_passed_over() {
    let mut stage = Stage::new(NOW, bounded(1, 9, 2));
    let of_x = granted(&mut stage, of(X)).slot;
    let mut no_wait = of(X);
    no_wait.until = NOW;
    assert_eq!(refused(&mut stage, no_wait).reason, Reason::KeyBusy);
    let x = queued(&mut stage, of(X), "x");
    assert_eq!((stage.counts().idle, stage.counts().waiting), (1, 1), "idle, but not for X");
    let of_y = granted(&mut stage, of(Y)).slot;
    let y = queued(&mut stage, of(Y), "y");
    queued(&mut stage, of(Z), "z");
    assert_eq!(woken(stage.release(NOW, of_y, Outcome::Success, None)), ["y"], "X may have no more");
    // In doubt and at rest it is still held.
    assert!(stage.doubt(NOW, of_x).is_none());
    let of_y = collected(&mut stage, y).slot;
    assert_eq!(woken(stage.release(NOW, of_y, Outcome::Success, None)), ["z"]);
    assert_eq!(woken(stage.release(NOW, of_x, Outcome::Success, None)), ["x"], "as they came");
    assert_eq!(stage.counts().waiting, 0);
    assert_eq!(collected(&mut stage, x).slot.index, of_x.index);
}

#[test]
fn a_bound_that_gives_way_opens_what_is_idle_elsewhere() {
    let mut stage = Stage::new(NOW, PoolSpec { slots_per_key: Some(1), ..spec(9, &[(A, 1), (B, 1)]) });
    let on_a = granted(&mut stage, of(X));
    queued(&mut stage, of(X), "x");
    // A fails: its slot is of no use, and B's has been idle all the time.
    assert_eq!((on_a.backend, stage.counts().idle), (A, 1));
    assert_eq!(woken(stage.release(NOW, on_a.slot, Outcome::Failure, None)), ["x"]);
    assert_eq!(stage.counts().busy, 1);
}

#[test]
fn retries_are_held_to_the_bound_too() {
    let mut stage = Stage::new(NOW, PoolSpec { slots_per_key: Some(1), ..spec(9, &[(A, 1), (B, 1)]) });
    let held = granted(&mut stage, of(X));
    let mut retry = of(X);
    retry.avoid = vec![A];
    queued(&mut stage, retry, "retry");
    assert_eq!(stage.counts().idle, 1);
    queued(&mut stage, of(X), "x");
    assert_eq!(
        woken(stage.release(NOW, held.slot, Outcome::Success, None)),
        ["retry"],
        "on B, and X is at its bound"
    );
    assert_eq!((stage.counts().idle, stage.counts().waiting), (1, 1));
}

#[test]
fn a_full_line_drops_the_newest_of_the_least_urgent() {
    let line = [("l", Lane::Low), ("m", Lane::Low), ("n", Lane::Normal), ("o", Lane::Normal)];
    let (mut stage, _held, tickets) =
        house(spec(4, &[(A, 1)]), &line.map(|(name, lane)| (name, in_lane(lane))));
    assert_eq!(refused(&mut stage, in_lane(Lane::Low)).reason, Reason::QueueFull);
    for (lane, expected) in [(Lane::Normal, "m"), (Lane::High, "l")] {
        let (Arrival::Queued(_), Some(displaced)) = stage.arrive(NOW, in_lane(lane)) else {
            panic!("{lane:?} finds no place")
        };
        assert_eq!(displaced, expected);
        let ticket = tickets.iter().find(|(name, _)| *name == expected).unwrap().1;
        let (Collected::Refused(refusal), None) = stage.collect(NOW, ticket, || "") else {
            panic!("it still waits")
        };
        assert_eq!(refusal.reason, Reason::Displaced);
    }
    // The newest of the normal ones came last, and has not looked so far.
    assert!(matches!(stage.arrive(NOW, in_lane(Lane::High)), (Arrival::Queued(_), None)));
    assert_eq!(stage.counts().waiting, 4);
    assert_eq!(refused(&mut stage, in_lane(Lane::Low)).reason, Reason::QueueFull);
}

#[test]
fn a_full_line_has_room_for_a_key_with_few_in_it() {
    let line = [("a", of(X)), ("b", of(X)), ("c", of(X)), ("y", of(Y))];
    let (mut stage, _held, _) = house(fair(4, 1), &line);
    let mut join = |key: Key| stage.arrive(NOW, of(key));
    assert!(matches!(join(Y), (Arrival::Queued(_), Some("c"))), "Y is let in for X's last");
    assert!(matches!(join(Y), (Arrival::Refused(_), None)), "X would have fewer than Y");
    assert!(matches!(join(X), (Arrival::Refused(_), None)), "nor does X get it back");
    assert!(matches!(join(Z), (Arrival::Queued(_), None)), "for Y's last, which has not looked so far");
    assert!(matches!(join(Key(4)), (Arrival::Queued(_), Some("b"))), "for X's last");
    assert!(matches!(join(Key(5)), (Arrival::Refused(_), None)), "each has one");
    let (mut stage, _held, _) = house(spec(4, &[(A, 1)]), &line);
    assert_eq!(refused(&mut stage, of(Z)).reason, Reason::QueueFull, "where keys do not share");
}

#[test]
fn the_urgent_take_a_kept_place_before_they_displace() {
    let mut stage = Stage::new(NOW, spec(2, &[(A, 1)]));
    let held = granted(&mut stage, ask()).slot;
    assert!(stage.release(at(4_000), held, Outcome::Success, None).is_none());
    granted(&mut stage, ask());
    queued(&mut stage, in_lane(Lane::Low), "stays");
    let leaves = queued(&mut stage, in_lane(Lane::Low), "leaves");
    let told = refused(&mut stage, in_lane(Lane::Low)).retry_after;
    assert!(stage.leave(at(4_000), leaves).spent.is_some());
    let back = at(4_000) + told;
    let mut other = in_lane(Lane::Low);
    other.key = Z;
    assert!(matches!(stage.arrive(back, other), (Arrival::Refused(_), None)), "the place is kept");
    let mut urgent = in_lane(Lane::High);
    urgent.key = Y;
    assert!(matches!(stage.arrive(back, urgent), (Arrival::Queued(_), None)), "and nobody has to go");
    assert_eq!(stage.counts().waiting, 2);
}

#[test]
fn other_rules_hold_for_all_that_are_there() {
    let (mut stage, held, tickets) =
        house(spec(9, &[(A, 1)]), &[("a", of(X)), ("b", of(X)), ("y", of(Y)), ("z", of(Key(99)))]);
    assert!(stage.reconfigure(NOW, fair(9, 1)).is_none());
    assert!(
        stage.reconfigure(NOW, bounded(1, 9, 2)).wakes.into_iter().eq(["a"]),
        "the one of 99 is held back"
    );
    assert_eq!(stage.counts().waiting, 3);
    let of_a = collected(&mut stage, tickets[0].1).slot;
    assert_eq!(woken(stage.release(NOW, held, Outcome::Success, None)), ["y"], "X is at its bound");
    assert!(stage.reconfigure(NOW, spec(9, &[(A, 2)])).is_none());
    assert_eq!(woken(stage.release(NOW, of_a, Outcome::Success, None)), ["b"]);
}

#[test]
fn keys_that_want_nothing_are_forgotten() {
    let mut stage = Stage::new(NOW, fair(9, 1));
    for key in 0..3_000 {
        let grant = granted(&mut stage, of(Key(key)));
        assert!(stage.release(NOW, grant.slot, Outcome::Success, None).is_none());
    }
    stage.check_invariants();
}
