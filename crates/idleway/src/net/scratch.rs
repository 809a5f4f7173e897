//! The core's read buffer, borrowed inside one poll.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Bytes of one scratch buffer: what one read can bring.
pub(crate) const SIZE: usize = 64 * 1024;

/// How many buffers a core keeps; one poll rarely borrows more than two at once.
const KEPT: usize = 4;

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of this core, given back on drop.
///
/// Never kept across an await: what must outlive the poll is copied into an allocation of its own size, so
/// that ten thousand waiting connections do not hold ten thousand read buffers.
pub(crate) struct Scratch(Box<[u8]>);

impl Scratch {
    pub(crate) fn borrow() -> Self {
        let free = FREE.with_borrow_mut(Vec::pop);
        Self(free.unwrap_or_else(|| vec![0; SIZE].into_boxed_slice()))
    }
}

impl Deref for Scratch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        // A thread that is ending has no place to keep it: then it is simply freed.
        let _ = FREE.try_with(|free| {
            if let Ok(mut free) = free.try_borrow_mut()
                && free.len() < KEPT
            {
                free.push(buffer);
            }
        });
    }
}
