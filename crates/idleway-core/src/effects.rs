//! What the caller has to do after its lock is released.

use std::{iter, option, task::Waker, vec};

/// Wakers to wake and connections to close.
///
/// Both run code that nobody here knows: they are carried out of the lock and executed there. Nothing is allocated
/// for one wake and one connection.
#[derive(Debug)]
#[must_use = "waiters hang until they are woken: carry the effects out of the lock and run them"]
pub struct Effects<C, W> {
    /// To be woken: the wait of each ended, by a grant or by a refusal.
    pub wakes: Few<W>,
    /// To be closed: no slot keeps them any longer.
    pub closed: Few<C>,
    /// To be dropped without waking: its waiter left.
    pub spent: Option<W>,
}

impl<C, W> Effects<C, W> {
    /// Nothing to do.
    pub const fn none() -> Self {
        Self { wakes: Few::new(), closed: Few::new(), spent: None }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.wakes.is_empty() && self.closed.is_empty() && self.spent.is_none()
    }
}

impl<C> Effects<C, Waker> {
    /// Wakes and closes. Outside any lock: a waker may run the task at once, and a task may drop a Permit.
    pub fn run(self) {
        self.wakes.into_iter().for_each(Waker::wake);
        drop((self.closed, self.spent));
    }
}

/// Mostly none or one, at times many; allocates from the second on.
#[derive(Debug)]
pub struct Few<T> {
    first: Option<T>,
    rest: Vec<T>,
}

impl<T> Few<T> {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self { first: None, rest: Vec::new() }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Adds one at the end.
    pub fn push(&mut self, item: T) {
        if self.first.is_none() {
            self.first = Some(item);
        } else {
            self.rest.push(item);
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Extend<T> for Few<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            self.push(item);
        }
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = iter::Chain<option::IntoIter<T>, vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.rest)
    }
}
