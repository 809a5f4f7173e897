//! Who is at work in which Slot: noted with each grant, for whoever looks on.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use idleway_core::SlotId;

use crate::message::{Request, RequestId};

/// The longest method that is kept whole, in bytes.
const LONGEST_METHOD: usize = 32;

/// Cores that grant at once mostly meet at different locks.
const SHARDS: usize = 16;

/// What was granted which Slot last, by the Slot's place in its pool. As large as the most Slots that were ever taken at
/// once. Nothing is taken out when a Slot is free: who looks on asks for a Slot in the life it sees, and an entry of another
/// life is none.
#[derive(Debug, Default)]
pub(crate) struct Works([Mutex<Vec<Option<Work>>>; SHARDS]);

/// A request that was granted a Slot.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    slot: SlotId,
    pub(crate) id: RequestId,
    pub(crate) method: Cow<'static, str>,
    /// The route, as the log spells it.
    pub(crate) route: Arc<str>,
    /// The address of the peer.
    pub(crate) client: Arc<str>,
}

impl Works {
    /// This request has this Slot from now on.
    pub(crate) fn note(&self, slot: SlotId, request: &Request, route: &Arc<str>) {
        let work = Work {
            slot,
            id: request.id.clone(),
            method: method(request.head.method()),
            route: Arc::clone(route),
            client: Arc::clone(&request.client),
        };
        let (shard, place) = place(slot);
        let mut entries = self.0[shard].lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() <= place {
            entries.resize(place + 1, None);
        }
        let before = entries[place].replace(work);
        drop(entries);
        drop(before);
    }

    /// Who is at work in this Slot; nobody where it is a probe's, or in another life.
    pub(crate) fn of(&self, slot: SlotId) -> Option<Work> {
        let (shard, place) = place(slot);
        let entries = self.0[shard].lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(place)?.as_ref().filter(|work| work.slot == slot).cloned()
    }
}

fn place(slot: SlotId) -> (usize, usize) {
    let index = usize::try_from(slot.index).unwrap_or(usize::MAX);
    (index % SHARDS, index / SHARDS)
}

/// The usual ones cost no memory.
fn method(method: &str) -> Cow<'static, str> {
    const USUAL: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"];
    match USUAL.into_iter().find(|usual| *usual == method) {
        Some(usual) => Cow::Borrowed(usual),
        None => Cow::Owned(method.get(..LONGEST_METHOD).unwrap_or(method).to_owned()),
    }
}
