//! The places of clients: one for each that may be connected at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// `limits.connections`, at work.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    /// How many there are, taken or free.
    most: AtomicU32,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        let most = bounded(most);
        Arc::new(Self { free: Arc::new(Semaphore::new(most as usize)), most: AtomicU32::new(most) })
    }

    pub(super) fn free(&self) -> &Arc<Semaphore> {
        &self.free
    }

    /// How many there are, taken or free.
    pub(super) fn most(&self) -> usize {
        self.most.load(Ordering::Acquire) as usize
    }

    /// There are so many from now on. Who has a place keeps it: where there are fewer, they go as they come free.
    pub(super) fn resize(&self, most: usize, runtime: &Handle) {
        let most = bounded(most);
        let before = self.most.swap(most, Ordering::AcqRel);
        let fewer = before.saturating_sub(most);
        self.free.add_permits(most.saturating_sub(before) as usize);
        let free = Arc::clone(&self.free);
        if fewer > 0 {
            // Ends as soon as so many have come free, or with the runtime.
            runtime.spawn(async move {
                if let Ok(places) = free.acquire_many_owned(fewer).await {
                    places.forget();
                }
            });
        }
    }

    /// Resolves when nobody is connected any more; who connects then waits for as long as this is held.
    pub(super) async fn all_free(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed.
        Arc::clone(&self.free).acquire_many_owned(self.most.load(Ordering::Acquire)).await.ok()
    }
}

/// As many as can be counted, and one at least.
fn bounded(most: usize) -> u32 {
    let countable = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
    u32::try_from(most).unwrap_or(u32::MAX).clamp(1, countable)
}
