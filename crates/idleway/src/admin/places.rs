//! Who gives way where all connections of the admin API are taken.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::leash::Leash;

/// So many connections at once. Where all places are taken who says nothing gives way, the one that came first before the others: a
/// probe of whoever watches over the gateway waits for nobody who only holds a connection.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    /// In the order in which they came.
    taken: VecDeque<Weak<Leash>>,
    /// Told whenever one of them has nothing more to say.
    quiet: Arc<Notify>,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), taken: VecDeque::new(), quiet: Arc::default() }
    }

    /// A place for one more; none where there is never one.
    pub(super) async fn take(&mut self) -> Option<(OwnedSemaphorePermit, Arc<Leash>)> {
        let place = loop {
            if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
                break place;
            }
            self.taken.retain(|leash| leash.strong_count() > 0);
            let silent = self.taken.iter().filter_map(Weak::upgrade).find(|leash| leash.is_silent());
            silent.iter().for_each(|leash| leash.cut());
            drop(silent);
            tokio::select! {
                place = Arc::clone(&self.free).acquire_owned() => break place.ok()?,
                () = self.quiet.notified() => {}
            }
        };
        let leash = Arc::new(Leash::new(Arc::clone(&self.quiet)));
        self.taken.retain(|leash| leash.strong_count() > 0);
        self.taken.push_back(Arc::downgrade(&leash));
        Some((place, leash))
    }
}
