//! What whoever looks on is shown: how everything stands, what has changed since the last look, and the last minutes.
//!
//! Times stand there as moments, not as ages: what only grows older has not changed.

mod keep;
mod view;
mod viewers;

use std::collections::BTreeMap;

use serde::Serialize;

pub(super) use self::keep::keep;
use self::view::{BackendView, GatewayView, PoolView};
pub(super) use self::viewers::{Viewers, Watching};
use super::Desk;
use super::history::Point;
use super::journal::Entry;
use super::past::unix_seconds;
use crate::live::Live;

/// How everything stands.
#[derive(Debug, Default)]
struct Board {
    gateway: GatewayView,
    pools: BTreeMap<String, PoolView>,
    /// By their pool and their key, which is theirs for as long as the gateway lives.
    backends: BTreeMap<String, BTreeMap<u64, BackendView>>,
    /// How many requests have gone wrong.
    errors: u64,
    /// The number of the last event.
    last_event: u64,
    /// The round of the history.
    round: u64,
}

/// What one message tells. What does not stand there has not changed.
#[derive(Debug, Default, Serialize)]
struct Told<'a> {
    now_unix_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<&'a GatewayView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pools: BTreeMap<&'a str, &'a PoolView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gone_pools: Vec<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    backends: BTreeMap<&'a str, BTreeMap<u64, &'a BackendView>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    gone_backends: BTreeMap<&'a str, Vec<u64>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    points: BTreeMap<String, Vec<Point>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<Entry>,
}

impl Board {
    /// How everything stands now. What stood on the board before keeps its moments, which would else be new each time by a
    /// little.
    fn look(desk: &Desk, before: &Self) -> Self {
        let live = desk.gateway.live();
        let mut board = Self {
            gateway: GatewayView::of(desk),
            errors: live.failures.count(),
            last_event: desk.journal.last(),
            round: desk.history.round(),
            ..Self::default()
        };
        for (name, pool, is_leaving) in pools(live) {
            let known = before.backends.get(&name);
            board.backends.insert(name.clone(), BackendView::all(&pool, known));
            board.pools.insert(name.clone(), PoolView::of(&pool, is_leaving));
        }
        board
    }

    /// All of it.
    fn whole(&self, desk: &Desk) -> Told<'_> {
        Told {
            now_unix_seconds: now(),
            gateway: Some(&self.gateway),
            errors: Some(self.errors),
            pools: self.pools.iter().map(|(name, pool)| (&**name, pool)).collect(),
            backends: self
                .backends
                .iter()
                .map(|(name, all)| (&**name, all.iter().map(|(key, one)| (*key, one)).collect()))
                .collect(),
            points: desk.history.all(),
            events: desk.journal.after(0),
            ..Told::default()
        }
    }

    /// What is not as it was before.
    fn since(&self, before: &Self, desk: &Desk) -> Told<'_> {
        let mut told = Told { now_unix_seconds: now(), ..Told::default() };
        told.gateway = (self.gateway != before.gateway).then_some(&self.gateway);
        told.errors = (self.errors != before.errors).then_some(self.errors);
        for (name, pool) in &self.pools {
            if before.pools.get(name) != Some(pool) {
                told.pools.insert(name, pool);
            }
        }
        for (name, all) in &self.backends {
            let known = before.backends.get(name);
            let changed = all.iter().filter(|(key, one)| known.and_then(|known| known.get(key)) != Some(one));
            let changed: BTreeMap<_, _> = changed.map(|(key, one)| (*key, one)).collect();
            if !changed.is_empty() {
                told.backends.insert(name, changed);
            }
        }
        if self.last_event != before.last_event {
            told.events = desk.journal.after(before.last_event);
        }
        if self.round != before.round {
            told.points = desk.history.last();
        }
        told
    }

    /// What it has no more, of what was there before.
    fn without<'a>(&self, before: &'a Self, told: &mut Told<'a>) {
        told.gone_pools =
            before.pools.keys().filter(|name| !self.pools.contains_key(*name)).map(|name| &**name).collect();
        for (name, all) in &before.backends {
            let Some(now) = self.backends.get(name) else { continue };
            let gone: Vec<_> = all.keys().filter(|key| !now.contains_key(key)).copied().collect();
            if !gone.is_empty() {
                told.gone_backends.insert(name, gone);
            }
        }
    }
}

impl Told<'_> {
    /// There is nothing to tell but the time.
    fn is_nothing(&self) -> bool {
        let Self {
            now_unix_seconds: _,
            gateway,
            errors,
            pools,
            gone_pools,
            backends,
            gone_backends,
            points,
            events,
        } = self;
        gateway.is_none()
            && errors.is_none()
            && pools.is_empty()
            && gone_pools.is_empty()
            && backends.is_empty()
            && gone_backends.is_empty()
            && points.is_empty()
            && events.is_empty()
    }
}

/// All pools, each under a name of its own, and whether it is leaving.
fn pools(live: &Live) -> Vec<(String, std::sync::Arc<crate::live::LivePool>, bool)> {
    let snapshot = live.snapshot();
    let current = snapshot.pools().iter().map(|pool| (pool.name.clone(), std::sync::Arc::clone(pool), false));
    let mut all: Vec<_> = current.collect();
    for pool in live.leaving().iter() {
        // One of its name may be there again, or have left before it.
        let mut name = format!("{} (leaving)", pool.name);
        while all.iter().any(|(known, ..)| *known == name) {
            name.push('+');
        }
        all.push((name, std::sync::Arc::clone(pool), true));
    }
    all
}

fn now() -> f64 {
    unix_seconds(std::time::SystemTime::now())
}
