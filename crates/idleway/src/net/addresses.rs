//! Where a backend is found: its one address, or those that its name stands for now.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

/// The addresses of one backend, tried in turn. What a name stands for is set from outside, again and again.
#[derive(Debug)]
pub(crate) struct Addresses {
    found: watch::Sender<Found>,
    /// Counts what was found: a connection to what was found before may lead to an address that is nobody's or
    /// somebody else's now.
    edition: AtomicUsize,
    /// The one that answered last: the next connect begins with it.
    last: AtomicUsize,
}

/// What is known of a name.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// The first look-up has not ended.
    NotYet,
    /// In the order in which the system prefers them.
    At(Arc<[SocketAddr]>),
    /// No address, and why.
    Nowhere(Arc<str>),
}

impl Addresses {
    /// The address itself was given.
    pub(crate) fn fixed(address: SocketAddr) -> Self {
        Self::new(Found::At(Arc::new([address])))
    }

    /// A name was given, of which nothing is known yet.
    pub(crate) fn unknown() -> Self {
        Self::new(Found::NotYet)
    }

    fn new(found: Found) -> Self {
        Self { found: watch::Sender::new(found), edition: AtomicUsize::new(0), last: AtomicUsize::new(0) }
    }

    /// Sets what the name stands for from now on.
    pub(crate) fn set(&self, found: Found) {
        self.last.store(0, Ordering::Relaxed);
        self.found.send_replace(found);
        self.edition.fetch_add(1, Ordering::Release);
    }

    /// Which answer to the question what the name stands for this is.
    pub(super) fn edition(&self) -> usize {
        self.edition.load(Ordering::Acquire)
    }

    /// What is known now.
    pub(crate) fn now(&self) -> Found {
        self.found.borrow().clone()
    }

    /// Where it is found now; nowhere where that is not known yet.
    pub(crate) fn all(&self) -> Vec<SocketAddr> {
        match &*self.found.borrow() {
            Found::At(addresses) => addresses.to_vec(),
            Found::NotYet | Found::Nowhere(_) => Vec::new(),
        }
    }

    /// The addresses, once the first look-up has ended.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn known(&self) -> Result<Arc<[SocketAddr]>, Arc<str>> {
        if let Found::At(addresses) = &*self.found.borrow() {
            return Ok(Arc::clone(addresses));
        }
        let mut found = self.found.subscribe();
        let known = found.wait_for(|found| !matches!(found, Found::NotYet)).await;
        match known.map(|found| found.clone()) {
            Ok(Found::At(addresses)) => Ok(addresses),
            Ok(Found::Nowhere(why)) => Err(why),
            // The sender is this value's own.
            Ok(Found::NotYet) | Err(_) => Err(Arc::from("it was not looked up")),
        }
    }

    /// The places of `count` addresses in the order in which they are to be tried.
    pub(super) fn order(&self, count: usize) -> impl Iterator<Item = usize> + use<> {
        let first = self.last.load(Ordering::Relaxed);
        (0..count).map(move |nth| (first + nth) % count)
    }

    /// The address at this place has answered.
    pub(super) fn answered(&self, place: usize) {
        if self.last.load(Ordering::Relaxed) != place {
            self.last.store(place, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 80))
    }

    #[tokio::test]
    async fn who_connects_waits_for_the_first_look_up_and_for_no_other() {
        let addresses = Addresses::unknown();
        let mut known = Box::pin(addresses.known());
        assert!(futures_poll(&mut known).is_none());
        addresses.set(Found::At(Arc::new([address(1), address(2)])));
        assert_eq!(*known.await.unwrap(), [address(1), address(2)]);
        addresses.set(Found::Nowhere("gone".into()));
        assert_eq!(&*addresses.known().await.unwrap_err(), "gone");
    }

    fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn the_one_that_answered_last_is_tried_first() {
        let addresses = Addresses::fixed(address(1));
        assert_eq!(addresses.order(3).collect::<Vec<_>>(), [0, 1, 2]);
        addresses.answered(2);
        assert_eq!(addresses.order(3).collect::<Vec<_>>(), [2, 0, 1]);
        addresses.set(Found::At(Arc::new([address(1)])));
        assert_eq!((addresses.order(1).collect::<Vec<_>>(), addresses.edition()), (vec![0], 1));
    }
}
