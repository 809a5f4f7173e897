//! What stands on the board of the gateway, of a pool and of a backend.

use std::collections::BTreeMap;

use idleway_core::{BackendKey, Time};
use serde::Serialize;

use super::super::Desk;
use super::super::past::unix_seconds;
use super::super::status::{Estimate, Queue, Ready, Reloads, Slots, Standing, views};
use super::super::work::{Oldest, Request, Work};
use super::now;
use crate::live::{LivePool, now as pool_now};

/// How many taken Slots of each backend stand there.
const SHOWN: usize = 64;

/// By so much a moment may seem to move without having moved, in seconds: between the looks at the two clocks that it comes from.
const JITTER: f64 = 0.1;

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct GatewayView {
    version: &'static str,
    started_unix_seconds: f64,
    /// Where clients are accepted.
    address: Option<String>,
    #[serde(flatten)]
    readiness: Ready,
    reloads: Reloads,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct PoolView {
    leaving: bool,
    slots: Slots,
    queue: Queue,
    estimate: Estimate,
    backends: u64,
    up: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct BackendView {
    #[serde(flatten)]
    standing: Standing,
    /// Until when it rests, where it said that it is busy.
    rests_until_unix_seconds: Option<f64>,
    work: Vec<WorkView>,
    work_left_out: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct WorkView {
    slot: u32,
    state: &'static str,
    purpose: &'static str,
    since_unix_seconds: f64,
    /// When it is free, where it rests until a time.
    until_unix_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl GatewayView {
    pub(super) fn of(desk: &Desk) -> Self {
        let live = desk.gateway.live();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            started_unix_seconds: unix_seconds(live.started),
            address: desk.gateway.address().map(|address| address.to_string()),
            readiness: Ready::of(live),
            reloads: Reloads::of(live),
        }
    }
}

impl PoolView {
    pub(super) fn of(pool: &LivePool, leaving: bool) -> Self {
        let counts = pool.slots.counts();
        Self {
            leaving,
            slots: Slots::of(counts),
            queue: Queue::of(pool, counts.waiting),
            estimate: Estimate::of(pool),
            backends: counts.backends,
            up: counts.up,
        }
    }
}

impl BackendView {
    /// The backends of a pool, by their keys.
    pub(super) fn all(pool: &LivePool, before: Option<&BTreeMap<u64, Self>>) -> BTreeMap<u64, Self> {
        let mut oldest = Oldest::of(pool, SHOWN);
        let mut all = BTreeMap::new();
        for view in views(pool) {
            let Some(standing) = Standing::of(pool, &view) else { continue };
            let BackendKey(key) = view.key;
            let before = before.and_then(|before| before.get(&key));
            let Oldest { work, left_out } = oldest.remove(&view.key).unwrap_or_default();
            let known = before.map_or(&[][..], |before| &before.work);
            let mut work: Vec<_> = work.into_iter().map(|work| WorkView::of(work, known)).collect();
            // By their places: what is next to each other stays so.
            work.sort_by_key(|work| work.slot);
            let rests_until = view.rests_until.map(moment);
            all.insert(
                key,
                Self {
                    standing,
                    rests_until_unix_seconds: steady(
                        rests_until,
                        before.and_then(|before| before.rests_until_unix_seconds),
                    ),
                    work,
                    work_left_out: left_out,
                },
            );
        }
        all
    }
}

impl WorkView {
    fn of(work: Work, known: &[Self]) -> Self {
        let Work { slot, state, purpose, age_seconds, free_in_seconds, request } = work;
        let before = known.iter().find(|known| known.slot == slot);
        let since = steady(Some(now() - age_seconds), before.map(|before| before.since_unix_seconds));
        let until = free_in_seconds.map(|seconds| now() + seconds);
        let (id, method, route, client, key) = match request {
            Some(Request { id, method, route, client, key }) => {
                (Some(id), Some(method), Some(route), Some(client), key)
            }
            None => (None, None, None, None, None),
        };
        Self {
            slot,
            state,
            purpose,
            since_unix_seconds: since.unwrap_or_default(),
            until_unix_seconds: steady(until, before.and_then(|before| before.until_unix_seconds)),
            id,
            method,
            route,
            client,
            key,
        }
    }
}

/// The moment as it was told before, where it is the same.
fn steady(moment: Option<f64>, before: Option<f64>) -> Option<f64> {
    let moment = (moment? * 1e3).round() / 1e3;
    Some(before.filter(|before| (before - moment).abs() < JITTER).unwrap_or(moment))
}

fn moment(time: Time) -> f64 {
    now() + time.since(pool_now()).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_once() {
        assert_eq!(steady(Some(17.000_49), None), Some(17.0));
        assert_eq!(steady(Some(17.05), Some(17.0)), Some(17.0));
        assert_eq!(steady(Some(17.2), Some(17.0)), Some(17.2));
        assert_eq!(steady(None, Some(17.0)), None);
    }
}
