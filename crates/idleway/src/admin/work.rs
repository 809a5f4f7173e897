//! What the taken Slots of a pool are at, as it is told.

use std::collections::HashMap;

use idleway_core::{BackendKey, Key, Purpose, SlotView, Taken, Until};
use serde::Serialize;

use crate::config::FairBy;
use crate::live::{LivePool, now};

/// How many places are looked at under one lock.
const CHUNK: u32 = 256;

/// A taken Slot.
#[derive(Debug, Serialize)]
pub(super) struct Work {
    /// Its place in its pool.
    pub(super) slot: u32,
    pub(super) state: &'static str,
    pub(super) purpose: &'static str,
    pub(super) age_seconds: f64,
    /// When it is free, where it rests until a time.
    pub(super) free_in_seconds: Option<f64>,
    /// Who had it last; nobody where that was a probe.
    pub(super) request: Option<Request>,
}

#[derive(Debug, Serialize)]
pub(super) struct Request {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) route: String,
    pub(super) client: String,
    /// What is common to the requests of one key, where they are told apart by a field, and says nothing else of it.
    pub(super) key: Option<String>,
}

/// The oldest work of a backend.
#[derive(Debug, Default)]
pub(super) struct Oldest {
    pub(super) work: Vec<Work>,
    /// How much there is besides.
    pub(super) left_out: usize,
}

impl Oldest {
    /// The oldest work of each backend of a pool, at most so much of each.
    pub(super) fn of(pool: &LivePool, most: usize) -> HashMap<BackendKey, Self> {
        let mut views: HashMap<_, Vec<SlotView>> = HashMap::new();
        let mut from = Some(0);
        while let Some(place) = from {
            let (slots, more) = pool.slots.slots(place, CHUNK);
            from = more;
            slots.into_iter().for_each(|slot| views.entry(slot.backend).or_default().push(slot));
        }
        let oldest = |(key, mut views): (BackendKey, Vec<SlotView>)| {
            views.sort_by_key(|view| std::cmp::Reverse(view.age));
            let left_out = views.len().saturating_sub(most);
            let work = views.iter().take(most).map(|view| Work::of(pool, view)).collect();
            (key, Self { work, left_out })
        };
        views.into_iter().map(oldest).collect()
    }
}

/// A key may be a secret, and is known here by a number only that nobody outside can compute.
fn mark(key: Key) -> String {
    format!("{:08x}", key.0 & u64::from(u32::MAX))
}

impl Work {
    fn of(pool: &LivePool, view: &SlotView) -> Self {
        let (state, until) = match view.state {
            Taken::Busy => ("busy", None),
            Taken::Lingering => ("lingering", None),
            Taken::Resting(Until::Time(time)) => ("resting", Some(time)),
            Taken::Resting(Until::Proof) => ("unproven", None),
            Taken::Doubted => ("doubted", None),
        };
        let purpose = match view.purpose {
            Purpose::Work => "request",
            Purpose::Trial => "trial",
            Purpose::Probe => "probe",
            Purpose::Proof => "proof",
        };
        let request = pool.works.of(view.slot).map(|work| Request {
            id: work.id.to_string(),
            method: work.method.into_owned(),
            route: work.route.to_string(),
            client: work.client.to_string(),
            key: view.key.filter(|_| matches!(pool.plan.fair_by, FairBy::Header(_))).map(mark),
        });
        let age_seconds = view.age.as_secs_f64();
        let free_in_seconds = until.map(|until| until.since(now()).as_secs_f64());
        Self { slot: view.slot.index, state, purpose, age_seconds, free_in_seconds, request }
    }
}
