//! What a drain waits for.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use idleway_core::Taken;

use crate::live::Live;

/// At how many Slots it is looked under one lock.
const CHUNK: u32 = 256;

/// Work of one backend that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remaining {
    /// Its pool's name.
    pub pool: String,
    /// Its host and port.
    pub backend: String,
    /// How many requests it is at work on, those too that nobody waits for any more.
    pub requests: usize,
    /// For how long it has been at the oldest of them.
    pub oldest: Duration,
}

/// As a line for people: `workers/10.0.0.3:6000: 1 request, 43 s so far`.
impl fmt::Display for Remaining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pool, backend, requests, oldest } = self;
        let plural = if *requests == 1 { "" } else { "s" };
        write!(f, "{pool}/{backend}: {requests} request{plural}, {} s so far", oldest.as_secs())
    }
}

impl Remaining {
    /// All that is at work now, the oldest first.
    pub(super) fn of(live: &Live) -> Vec<Self> {
        let mut all = Vec::new();
        for pool in live.pools() {
            let mut at_work = BTreeMap::<_, (usize, Duration)>::new();
            let mut from = Some(0);
            while let Some(place) = from {
                let (slots, more) = pool.slots.slots(place, CHUNK);
                from = more;
                let is_at_work = |state| matches!(state, Taken::Busy | Taken::Lingering);
                for slot in slots.into_iter().filter(|slot| is_at_work(slot.state)) {
                    let (requests, oldest) = at_work.entry(slot.backend).or_default();
                    *requests += 1;
                    *oldest = slot.age.max(*oldest);
                }
            }
            all.extend(at_work.into_iter().map(|(key, (requests, oldest))| Self {
                pool: pool.name.clone(),
                backend: pool.backend(key).map_or_else(|| "-".to_owned(), |backend| backend.name.clone()),
                requests,
                oldest,
            }));
        }
        all.sort_by_key(|remaining| std::cmp::Reverse(remaining.oldest));
        all
    }
}
