//! The bound on all the bodies that the gateway holds at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Bytes of bodies that may be buffered at once, over all connections.
#[derive(Debug)]
pub(crate) struct Budget {
    whole: AtomicU64,
    /// Below zero where the whole was made smaller than what is shared out.
    left: AtomicI64,
}

impl Budget {
    pub(crate) fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self { whole: AtomicU64::new(bytes), left: AtomicI64::new(signed(bytes)) })
    }

    /// It is so many bytes from now on. What is shared out already is not taken back.
    pub(crate) fn resize(&self, bytes: u64) {
        let before = self.whole.swap(bytes, Ordering::Relaxed);
        self.left.fetch_add(signed(bytes) - signed(before), Ordering::Relaxed);
    }

    /// How many bytes are shared out, and of how many.
    pub(crate) fn used(&self) -> (u64, u64) {
        let whole = self.whole.load(Ordering::Relaxed);
        let used = signed(whole) - self.left.load(Ordering::Relaxed);
        (u64::try_from(used).unwrap_or_default(), whole)
    }

    /// A share of `bytes`, if that much is left. Whoever gets none does without a buffer: it relays at the
    /// pace of the slower side.
    pub(crate) fn share(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        let bytes = i64::try_from(bytes).ok()?;
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| (left >= bytes).then(|| left - bytes))
            .ok()
            .map(|_| Share { budget: Arc::clone(self), bytes })
    }
}

/// More than any machine has is as good as any other such number.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A part of the [`Budget`], given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: i64,
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

    #[test]
    fn what_is_shared_out_stays_so_where_the_whole_shrinks() {
        let budget = Budget::new(100);
        let share = budget.share(80).unwrap();
        budget.resize(50);
        assert!(budget.share(1).is_none() && budget.share(0).is_none());
        drop(share);
        assert!(budget.share(51).is_none() && budget.share(50).is_some());
        budget.resize(u64::MAX);
        assert!(budget.share(usize::MAX >> 1).is_some());
    }
}
