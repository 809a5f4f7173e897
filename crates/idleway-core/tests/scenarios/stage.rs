//! What the stories are told with: a dispatcher whose connections are numbers and whose wakers are names.

use std::time::Duration;

use idleway_core::{
    Arrival, Ask, BackendKey, BackendSpec, Cause, Collected, Core, Dispatcher, Effects, Grant, Health,
    HealthPolicy, Kept, Outcome, PoolSpec, Refusal, Ticket, Time,
};

pub(crate) type Stage = Dispatcher<u32, &'static str>;

pub(crate) const NOW: Time = Time::ZERO;
pub(crate) const A: BackendKey = BackendKey(10);
pub(crate) const B: BackendKey = BackendKey(20);
pub(crate) const C: BackendKey = BackendKey(30);
pub(crate) const HERE: Core = Core(0);
pub(crate) const THERE: Core = Core(1);

pub(crate) fn spec(queue_length: usize, backends: &[(BackendKey, u32)]) -> PoolSpec {
    PoolSpec {
        backends: backends.iter().map(|&(key, slots)| BackendSpec::new(key, slots)).collect(),
        queue_length,
        keep_idle: Duration::from_secs(2),
        health: HealthPolicy::default(),
        ..PoolSpec::default()
    }
}

pub(crate) fn stage(queue_length: usize, backends: &[(BackendKey, u32)]) -> Stage {
    Dispatcher::new(NOW, spec(queue_length, backends))
}

pub(crate) fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

pub(crate) fn ask() -> Ask {
    Ask::new(HERE, Time::NEVER)
}

pub(crate) fn avoiding(avoid: &[BackendKey]) -> Ask {
    let mut ask = ask();
    ask.avoid = avoid.to_vec();
    ask
}

pub(crate) fn granted(stage: &mut Stage, ask: Ask) -> Grant<u32> {
    match stage.arrive(NOW, ask).0 {
        Arrival::Granted(grant) => grant,
        other => panic!("not granted: {other:?}"),
    }
}

pub(crate) fn refused(stage: &mut Stage, ask: Ask) -> Refusal {
    match stage.arrive(NOW, ask).0 {
        Arrival::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// One that stands in line and sleeps.
pub(crate) fn queued(stage: &mut Stage, ask: Ask, name: &'static str) -> Ticket {
    let (Arrival::Queued(ticket), None) = stage.arrive(NOW, ask) else { panic!("{name} does not wait") };
    assert!(matches!(stage.collect(NOW, ticket, || name), (Collected::Waiting, None)));
    ticket
}

pub(crate) fn collected(stage: &mut Stage, ticket: Ticket) -> Grant<u32> {
    match stage.collect(NOW, ticket, || panic!("still waits")) {
        (Collected::Granted(grant), None) => grant,
        other => panic!("not granted: {other:?}"),
    }
}

pub(crate) fn woken(effects: Effects<u32, &'static str>) -> Vec<&'static str> {
    assert!(effects.closed.is_empty() && effects.spent.is_none());
    effects.wakes.into_iter().collect()
}

pub(crate) fn closed(effects: Effects<u32, &'static str>) -> Vec<u32> {
    assert!(effects.wakes.is_empty() && effects.spent.is_none());
    effects.closed.into_iter().collect()
}

pub(crate) fn kept(connection: u32, core: Core) -> Option<Kept<u32>> {
    Some(Kept { connection, core })
}

pub(crate) fn healthy(queue_length: usize, backends: &[(BackendKey, u32)], health: HealthPolicy) -> Stage {
    Stage::new(NOW, PoolSpec { health, ..spec(queue_length, backends) })
}

/// What became of whom, and why, since the last look.
pub(crate) fn news(stage: &mut Stage) -> Vec<(BackendKey, Health, Cause)> {
    stage.take_news().into_iter().map(|change| (change.backend, change.health, change.cause)).collect()
}

/// A pool that learned that its work takes a minute.
pub(crate) fn with_work_of_a_minute(queue_length: usize, slots: u32, health: HealthPolicy) -> Stage {
    let mut stage = healthy(queue_length, &[(A, slots)], health);
    for minute in 0..3 {
        let held: Vec<_> = (0..slots).map(|_| granted(&mut stage, ask())).collect();
        for grant in held {
            assert!(stage.release(at((minute + 1) * 60_000), grant.slot, Outcome::Success, None).is_none());
        }
    }
    stage
}
