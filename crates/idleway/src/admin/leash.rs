//! What a connection of the admin API ends by, beside its other end.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// One connection's.
#[derive(Debug, Default)]
pub(super) struct Leash {
    is_watching: AtomicBool,
    /// A request is read to its end, or answered.
    is_asked: AtomicBool,
    cut: Notify,
    quiet: Arc<Notify>,
}

/// For as long as a request of a connection is at work.
pub(super) struct Asked<'a>(&'a Leash);

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

impl Leash {
    /// Resolves when the connection has had its time: `longest` for one that does not watch.
    pub(super) async fn over(&self, longest: Duration) {
        tokio::select! {
            () = self.cut.notified() => return,
            () = tokio::time::sleep(longest) => {}
        }
        if self.is_watching.load(Ordering::Relaxed) {
            self.cut.notified().await;
        }
    }

    /// Its connection lasts as long as somebody looks on.
    pub(super) fn watch(&self) {
        self.is_watching.store(true, Ordering::Relaxed);
    }

    pub(super) fn cut(&self) {
        self.cut.notify_one();
    }

    pub(super) fn asked(&self) -> Asked<'_> {
        self.is_asked.store(true, Ordering::Relaxed);
        Asked(self)
    }

    fn is_silent(&self) -> bool {
        !self.is_asked.load(Ordering::Relaxed) && !self.is_watching.load(Ordering::Relaxed)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.is_asked.store(false, Ordering::Relaxed);
        self.0.quiet.notify_one();
    }
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
        let leash = Arc::new(Leash { quiet: Arc::clone(&self.quiet), ..Leash::default() });
        self.taken.retain(|leash| leash.strong_count() > 0);
        self.taken.push_back(Arc::downgrade(&leash));
        Some((place, leash))
    }
}
