//! The process that takes this one's place, as the data plane sees it: who gets the clients.

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::net::Passed;

/// What one gateway leaves to the next.
#[derive(Debug)]
#[non_exhaustive]
pub enum Bequeathed {
    /// So many Slots of a backend are taken here still; 0: it is the heir's alone.
    Held {
        /// Its host and port.
        backend: String,
        /// How many Slots.
        slots: u32,
    },
    /// All that is held has been told once; from here on it is changes.
    AllTold,
    /// A client's connection.
    Client(Passed),
}

/// Where what is left goes.
#[derive(Debug)]
pub(crate) struct Heir {
    heir: Mutex<Option<mpsc::Sender<Bequeathed>>>,
    /// To whoever tells it what is held: what the process before this one has still.
    past: mpsc::Sender<(String, u32)>,
}

impl Heir {
    pub(crate) fn new(heir: mpsc::Sender<Bequeathed>, past: mpsc::Sender<(String, u32)>) -> Self {
        Self { heir: Mutex::new(Some(heir)), past }
    }

    /// Gives it this; answers whether it was taken.
    pub(crate) async fn give(&self, bequeathed: Bequeathed) -> bool {
        let heir = self.heir.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match heir {
            Some(heir) => heir.send(bequeathed).await.is_ok(),
            None => false,
        }
    }

    /// The process before this one has so many Slots of a backend still.
    pub(crate) async fn tell_of_past(&self, backend: String, slots: u32) {
        // Where nobody tells it any more, it has gone.
        let _ = self.past.send((backend, slots)).await;
    }

    /// There is nothing more to come.
    pub(crate) fn close(&self) {
        self.heir.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
