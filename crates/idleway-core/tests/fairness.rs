//! Tenants that never have enough, for an hour of simulated time: who gets how much of the slots' time.
//!
//! `IDLEWAY_SEED=n` replays one seed, `IDLEWAY_SEEDS=n` runs so many. A failing seed is printed.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

use idleway_core::{
    Arrival, Ask, BackendKey, BackendSpec, Collected, Core, Dispatcher, Effects, Grant, Key, Lane, Outcome,
    PoolSpec, SlotId, Ticket, Time,
};

const SECOND: Duration = Duration::from_secs(1);
const SLOTS: u32 = 4;

/// One who asks again and again.
#[derive(Clone, Copy)]
struct Tenant {
    weight: u32,
    lane: Lane,
    /// How many of its requests wait, all the time.
    backlog: usize,
    /// The mean time of its work; each takes between none and twice of it.
    work: Duration,
    /// From when until when it is there, in seconds.
    there: (u64, u64),
}

const TENANT: Tenant = Tenant { weight: 1, lane: Lane::Normal, backlog: 8, work: SECOND, there: (0, LENGTH) };
/// How long it lasts, in seconds.
const LENGTH: u64 = 3600;

#[test]
fn short_and_long_work_get_equal_time() {
    for_seeds(|seed| {
        let long = Tenant { work: SECOND * 60, ..TENANT };
        let (times, _) = Farm::new(seed, &[TENANT, long], fair()).run();
        assert!(jain(&times) >= 0.98, "{times:?}");
        assert_all_used(&times);
    });
}

#[test]
fn without_fairness_the_long_work_gets_nearly_all() {
    for_seeds(|seed| {
        let long = Tenant { work: SECOND * 60, ..TENANT };
        let (times, _) = Farm::new(seed, &[TENANT, long], PoolSpec { fair: false, ..fair() }).run();
        assert!(jain(&times) < 0.6, "what fairness is for: {times:?}");
    });
}

#[test]
fn a_crowd_of_requests_is_worth_no_more_than_a_few() {
    for_seeds(|seed| {
        let crowd = Tenant { backlog: 60, ..TENANT };
        let third = Tenant { work: SECOND * 10, ..TENANT };
        let (times, _) = Farm::new(seed, &[TENANT, crowd, third], fair()).run();
        assert!(jain(&times) >= 0.98, "{times:?}");
    });
}

#[test]
fn weights_divide_the_time() {
    for_seeds(|seed| {
        let heavy = Tenant { weight: 3, work: SECOND * 7, ..TENANT };
        let (times, _) = Farm::new(seed, &[TENANT, heavy], fair()).run();
        let ratio = times[1] / times[0];
        assert!((2.9..3.1).contains(&ratio), "1:{ratio} instead of 1:3");
    });
}

#[test]
fn what_one_does_not_use_is_the_others_and_is_not_owed() {
    for_seeds(|seed| {
        // The first is away for the middle half of the time.
        let rest = (LENGTH / 4, LENGTH * 3 / 4);
        let early = Tenant { there: (0, rest.0), ..TENANT };
        let late = Tenant { there: (rest.1, LENGTH), ..TENANT };
        let other = Tenant { work: SECOND * 5, ..TENANT };
        let mut farm = Farm::new(seed, &[early, late, other], fair());
        // They are one and the same key.
        farm.keys = vec![Key(0), Key(0), Key(1)];
        let (times, _) = farm.run();
        assert_all_used(&times);
        let quarter = seconds(SECOND * SLOTS) * (LENGTH / 4) as f64;
        for time in &times[..2] {
            assert!((time / quarter - 0.5).abs() < 0.02, "half of the time that it is there: {times:?}");
        }
    });
}

#[test]
fn a_bound_leaves_the_rest_to_others() {
    for_seeds(|seed| {
        let greedy = Tenant { backlog: 40, work: SECOND * 9, ..TENANT };
        let spec = PoolSpec { fair: false, slots_per_key: Some(1), ..fair() };
        let (times, _) = Farm::new(seed, &[greedy, TENANT, TENANT, TENANT], spec).run();
        assert!(jain(&times) >= 0.98, "a slot for each: {times:?}");
    });
}

#[test]
fn the_least_urgent_is_served_below_a_flood_of_the_urgent() {
    for_seeds(|seed| {
        let flood = Tenant { lane: Lane::High, backlog: 30, ..TENANT };
        let low = Tenant { lane: Lane::Low, backlog: 1, ..TENANT };
        let (times, waits) = Farm::new(seed, &[flood, low], PoolSpec { fair: false, ..fair() }).run();
        // 30 before it and two steps of ageing, then it is as old as the oldest of the flood.
        let most = Lane::AGEING * 2 + SECOND * 30;
        assert!(times[1] > 0.0 && waits[1] < most, "it waits for up to {:?}", waits[1]);
        assert!(times[0] > 20.0 * times[1], "and the urgent are urgent: {times:?}");
    });
}

fn fair() -> PoolSpec {
    PoolSpec {
        backends: vec![BackendSpec::new(BackendKey(1), SLOTS)],
        queue_length: 200,
        fair: true,
        settle: Duration::from_millis(1),
        ..PoolSpec::default()
    }
}

/// Jain's index: 1 where all have the same, 1/n where one has all.
fn jain(times: &[f64]) -> f64 {
    let sum: f64 = times.iter().sum();
    sum * sum / (times.len() as f64 * times.iter().map(|time| time * time).sum::<f64>())
}

/// No slot was idle but while it settled.
fn assert_all_used(times: &[f64]) {
    let all = f64::from(SLOTS) * LENGTH as f64;
    assert!(times.iter().sum::<f64>() > 0.99 * all, "{times:?} of {all}");
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Comes(usize),
    Lingers(usize),
    Ends(usize),
    Ticks,
}

/// A request, by its number.
struct Request {
    tenant: usize,
    ticket: Option<Ticket>,
    slot: Option<SlotId>,
    since: Time,
}

struct Farm {
    random: Random,
    tenants: Vec<Tenant>,
    keys: Vec<Key>,
    now: Time,
    events: BinaryHeap<Reverse<(Time, usize, Event)>>,
    dispatcher: Dispatcher<(), usize>,
    /// The request of each number, while it waits or is worked for.
    requests: BTreeMap<usize, Request>,
    /// When the driver means to wake up.
    driver: Option<Time>,
    asked: usize,
    scheduled: usize,
    /// Slot time that each tenant has had.
    times: Vec<f64>,
    /// The longest that one of each tenant has waited.
    waits: Vec<Duration>,
}

impl Farm {
    fn new(seed: u64, tenants: &[Tenant], spec: PoolSpec) -> Self {
        let mut farm = Self {
            random: Random(seed),
            tenants: tenants.to_vec(),
            keys: (0..).map(Key).take(tenants.len()).collect(),
            now: Time::ZERO,
            events: BinaryHeap::new(),
            dispatcher: Dispatcher::new(Time::ZERO, spec),
            requests: BTreeMap::new(),
            driver: None,
            asked: 0,
            scheduled: 0,
            times: vec![0.0; tenants.len()],
            waits: vec![Duration::ZERO; tenants.len()],
        };
        for (number, tenant) in tenants.iter().enumerate() {
            for _ in 0..tenant.backlog {
                farm.after(SECOND * u32::try_from(tenant.there.0).unwrap(), Event::Comes(number));
            }
        }
        farm
    }

    /// Runs to the end; answers the slot time in seconds, and the longest wait, of each tenant.
    fn run(mut self) -> (Vec<f64>, Vec<Duration>) {
        let end = Time::ZERO + SECOND * u32::try_from(LENGTH).unwrap();
        while let Some(Reverse((time, _, event))) = self.events.pop()
            && time < end
        {
            self.now = time;
            match event {
                Event::Comes(tenant) => self.come(tenant),
                Event::Lingers(number) => {
                    let slot = self.requests[&number].slot.expect("it is worked for");
                    self.dispatcher.linger(self.now, slot);
                }
                Event::Ends(number) => self.end(number),
                Event::Ticks => {
                    self.driver = None;
                    let effects = self.dispatcher.tick(self.now);
                    self.look(effects);
                }
            }
            self.drive();
        }
        (self.times, self.waits)
    }

    /// The driver sleeps until the next deadline.
    fn drive(&mut self) {
        if let Some(due) = self.dispatcher.next_deadline()
            && self.driver.is_none_or(|planned| due < planned)
        {
            self.driver = Some(due);
            self.after(due.since(self.now), Event::Ticks);
        }
    }

    fn come(&mut self, tenant: usize) {
        let Tenant { weight, lane, there, .. } = self.tenants[tenant];
        if self.now >= Time::ZERO + SECOND * u32::try_from(there.1).unwrap() {
            return;
        }
        let mut ask = Ask::new(Core(0), Time::NEVER);
        (ask.key, ask.weight, ask.lane) = (self.keys[tenant], weight, lane);
        self.asked += 1;
        let number = self.asked;
        self.requests.insert(number, Request { tenant, ticket: None, slot: None, since: self.now });
        match self.dispatcher.arrive(self.now, ask) {
            (Arrival::Granted(grant), None) => self.work(number, &grant),
            (Arrival::Queued(ticket), None) => {
                let (Collected::Waiting, None) = self.dispatcher.collect(self.now, ticket, || number) else {
                    panic!("it has just begun to wait")
                };
                self.requests.get_mut(&number).unwrap().ticket = Some(ticket);
            }
            other => panic!("the line has room for all: {other:?}"),
        }
    }

    /// Another takes the place in the line of one that is worked for.
    fn work(&mut self, number: usize, grant: &Grant<()>) {
        let request = self.requests.get_mut(&number).unwrap();
        request.slot = Some(grant.slot);
        request.since = self.now;
        let tenant = request.tenant;
        self.waits[tenant] = self.waits[tenant].max(grant.waited);
        let work = self.tenants[tenant].work.mul_f64(self.random.below(2_000) as f64 / 1_000.0);
        if self.random.below(3) == 0 {
            // Its client does not wait for the end.
            self.after(work / 2, Event::Lingers(number));
        }
        self.after(work, Event::Ends(number));
        self.after(Duration::ZERO, Event::Comes(tenant));
    }

    fn end(&mut self, number: usize) {
        let request = self.requests.remove(&number).unwrap();
        self.times[request.tenant] += seconds(self.now.since(request.since));
        let slot = request.slot.expect("it is worked for");
        let effects = self.dispatcher.release(self.now, slot, Outcome::Success, None);
        self.look(effects);
    }

    fn look(&mut self, effects: Effects<(), usize>) {
        for number in effects.wakes {
            let ticket = self.requests.get_mut(&number).unwrap().ticket.take().expect("it waits");
            match self.dispatcher.collect(self.now, ticket, || number) {
                (Collected::Granted(grant), None) => self.work(number, &grant),
                other => panic!("woken for nothing: {other:?}"),
            }
        }
    }

    fn after(&mut self, time: Duration, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((self.now + time, self.scheduled, event)));
    }
}

fn for_seeds(test: impl Fn(u64)) {
    let number = |name| env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    let seeds = match number("IDLEWAY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("IDLEWAY_SEEDS").unwrap_or(2),
    };
    for seed in seeds {
        catch_unwind(AssertUnwindSafe(|| test(seed))).unwrap_or_else(|panic| {
            println!("IDLEWAY_SEED={seed} replays this");
            resume_unwind(panic)
        });
    }
}

/// SplitMix64: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
