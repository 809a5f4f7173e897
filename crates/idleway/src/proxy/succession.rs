//! The Snapshots that a request meets on its way.

use std::sync::{Arc, OnceLock};

use crate::live::{Live, Snapshot};

/// What came after a Snapshot, each time that a request had to look for another pool. All of them stay for as long as the
/// request does, since what is told of it speaks of them.
#[derive(Debug, Default)]
pub(super) struct Succession(OnceLock<Box<Later>>);

#[derive(Debug)]
struct Later {
    snapshot: Arc<Snapshot>,
    next: Succession,
}

impl Succession {
    /// The Snapshot that is current, and what will come after it.
    pub(super) fn next(&self, live: &Live) -> (&Snapshot, &Self) {
        let later = || Box::new(Later { snapshot: live.snapshot(), next: Self::default() });
        let later = self.0.get_or_init(later);
        (&later.snapshot, &later.next)
    }
}
