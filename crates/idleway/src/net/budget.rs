//! The bound on all the bodies that the gateway holds at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of bodies that may be buffered at once, over all connections.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(bytes) })
    }

    /// A share of `bytes`, if that much is left. Whoever gets none does without a buffer: it relays at the
    /// pace of the slower side.
    pub(crate) fn share(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes))
            .ok()
            .map(|_| Share { budget: Arc::clone(self), bytes })
    }
}

/// A part of the [`Budget`], given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_out_never_exceeds_the_whole_and_comes_back() {
        let budget = Budget::new(100);
        let first = budget.share(60).unwrap();
        assert!(budget.share(41).is_none());
        let second = budget.share(40).unwrap();
        assert!(budget.share(1).is_none());
        drop(first);
        assert!(budget.share(60).is_some());
        drop(second);
        assert!(budget.share(100).is_some());
    }
}
