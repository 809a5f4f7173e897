//! What a connection of the admin API ends by, beside its other end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// One connection's.
#[derive(Debug, Default)]
pub(super) struct Leash {
    is_watching: AtomicBool,
    /// A request is read to its end, or answered.
    is_asked: AtomicBool,
    cut: Notify,
    /// Told whenever its connection has nothing more to say.
    quiet: Arc<Notify>,
}

/// For as long as a request of a connection is at work.
pub(super) struct Asked<'a>(&'a Leash);

impl Leash {
    pub(super) fn new(quiet: Arc<Notify>) -> Self {
        Self { quiet, ..Self::default() }
    }

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

    /// Nobody has asked for anything that is not answered.
    pub(super) fn is_silent(&self) -> bool {
        !self.is_asked.load(Ordering::Relaxed) && !self.is_watching.load(Ordering::Relaxed)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.is_asked.store(false, Ordering::Relaxed);
        self.0.quiet.notify_one();
    }
}
