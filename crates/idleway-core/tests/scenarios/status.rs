//! What those who look on see.

use std::time::Duration;

use idleway_core::{Arrival, Ask, Key, Lane, Outcome, Purpose, SlotView, Taken, Ticket, Time, Until};

use crate::stage::*;

fn slots(stage: &Stage, now: Time) -> Vec<(Taken, Purpose, u128)> {
    let (views, more) = stage.slots(now, 0, 100);
    assert_eq!(more, None);
    views.into_iter().map(|view| (view.state, view.purpose, view.age.as_millis())).collect()
}

#[test]
fn each_taken_slot_is_told_with_its_state_and_age() {
    let mut stage = stage(0, &[(A, 5)]);
    let [first, second, third] = [1, 2, 3].map(|key| {
        let mut ask = ask();
        ask.key = Key(key);
        granted(&mut stage, ask)
    });
    stage.linger(at(10), first.slot);
    assert!(stage.rest(at(20), second.slot, Until::Time(at(500))).is_none());
    assert!(stage.doubt(at(30), third.slot).is_none());
    let probe = stage.take_for_probe(at(40), A).expect("idle");
    let expected = [
        (Taken::Lingering, Purpose::Work, 100),
        (Taken::Resting(Until::Time(at(500))), Purpose::Work, 100),
        (Taken::Doubted, Purpose::Work, 100),
        (Taken::Busy, Purpose::Probe, 60),
    ];
    assert_eq!(slots(&stage, at(100)), expected);
    let keys = stage.slots(at(100), 0, 100).0.into_iter().map(|view| view.key);
    assert_eq!(keys.collect::<Vec<_>>(), [Some(Key(1)), Some(Key(2)), Some(Key(3)), None]);
    assert_eq!(stage.slots(at(100), 3, 1).0[0].slot, probe.slot);
    assert_eq!(stage.slots(at(100), 3, 1).0[0].backend, A);
    assert!(stage.release(at(100), probe.slot, Outcome::Success, kept(1, HERE)).is_none());
    assert_eq!(slots(&stage, at(100)), expected[..3], "idle ones are numbers, also with a connection");
    assert!(stage.rest(at(100), third.slot, Until::Proof).is_none());
    let proof = stage.take_for_proof(at(100), A).expect("to prove");
    assert_eq!(slots(&stage, at(100))[2], (Taken::Doubted, Purpose::Proof, 0));
    assert!(stage.release(at(110), proof.slot, Outcome::Failure, None).is_none());
    assert_eq!(slots(&stage, at(110))[2].0, Taken::Resting(Until::Proof));
}

#[test]
fn the_slots_are_told_in_parts_of_bounded_work() {
    let mut stage = stage(0, &[(A, 10), (B, 10)]);
    let mut held: Vec<_> = (0..20).map(|_| granted(&mut stage, ask()).slot).collect();
    let free = held.remove(4);
    assert!(stage.release(NOW, free, Outcome::Success, None).is_none());
    let (mut seen, mut from): (Vec<SlotView>, _) = (Vec::new(), Some(0));
    while let Some(place) = from {
        let (part, next) = stage.slots(NOW, place, 7);
        assert!(part.len() <= 7);
        seen.extend(part);
        from = next;
    }
    assert_eq!(seen.iter().map(|view| view.slot).collect::<Vec<_>>(), held);
    assert_eq!(stage.slots(NOW, 99, 7), (Vec::new(), None), "beyond the end");
}

#[test]
fn the_line_is_told_by_its_parts() {
    let mut stage = stage(9, &[(A, 1), (B, 1)]);
    let _held = [granted(&mut stage, ask()), granted(&mut stage, ask())];
    assert_eq!(stage.waiting(at(5)), Default::default());
    let mut low = ask();
    low.lane = Lane::Low;
    let first = queued_at(&mut stage, at(10), low);
    queued_at(&mut stage, at(20), ask());
    queued_at(&mut stage, at(30), ask());
    queued_at(&mut stage, at(40), avoiding(&[A]));
    let waiting = stage.waiting(at(110));
    assert_eq!((waiting.in_front, waiting.lanes), (1, [0, 2, 1]));
    assert_eq!(waiting.longest, Some(Duration::from_millis(100)));
    drop(stage.leave(at(110), first));
    assert_eq!(stage.waiting(at(110)).longest, Some(Duration::from_millis(90)));
}

fn queued_at(stage: &mut Stage, now: Time, ask: Ask) -> Ticket {
    let (Arrival::Queued(ticket), None) = stage.arrive(now, ask) else { panic!("it does not wait") };
    ticket
}

/// Lingering work is work; who is refused for want of a slot is told of, and whose deadline, key or gateway is to blame is not.
#[test]
fn the_demand_is_what_is_at_work_waits_and_is_refused() {
    let mut stage = stage(1, &[(A, 2)]);
    let [first, second] = [0; 2].map(|_| granted(&mut stage, ask()));
    stage.linger(at(1_000), first.slot);
    let ticket = queued(&mut stage, ask(), "waits");
    for _ in 0..10 {
        refused(&mut stage, ask());
    }
    let demand = stage.demand(at(60_000));
    assert!((1.95..2.0).contains(&demand.at_work), "{demand:?}");
    // Ten in a minute, of which the long mean has forgotten some; the short one nearly all.
    assert!((0.06..0.17).contains(&demand.refused), "{demand:?}");
    assert_eq!((demand.waiting, demand.service), (1, None));
    drop(stage.leave(at(60_000), ticket));
    drop(stage.release(at(60_000), second.slot, Outcome::Success, None));
    drop(stage.release(at(60_000), first.slot, Outcome::Ignored, None));
    drop(stage.close(at(60_000)));
    refused(&mut stage, ask());
    let later = stage.demand(at(1_260_000));
    assert!(later.at_work < 1e-6 && later.refused < 1e-6, "{later:?}");
    assert_eq!(later.service, Some(Duration::from_secs(60)));
}
