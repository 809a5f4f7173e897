//! The process that takes this one's place, as the data plane sees it: who gets the clients.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::net::Passed;

/// What one gateway leaves to the next.
#[derive(Debug)]
#[non_exhaustive]
pub enum Bequeathed {
    /// So many Slots of a backend are taken here still; of 0 it is the heir's alone.
    Held(Taken),
    /// Of those that were told so many are nobody's any more: who had them has gone without a word, and the heir has to prove
    /// them. What is told of the backend next is without them.
    Doubted(Taken),
    /// What was ordered of a backend here holds there.
    Ordered(Ordered),
    /// All that is held has been told once; from here on it is changes.
    AllTold,
    /// A client's connection.
    Client(Passed),
    /// All who stood in line have been told: whoever comes from here on came later.
    AllMoved,
}

/// Slots of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its host and port.
    pub backend: String,
    /// Where it is found, however the heir may spell it.
    pub addresses: Vec<SocketAddr>,
    /// How many Slots.
    pub slots: u32,
}

/// What somebody has ordered of a backend by the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// Its pool.
    pub pool: String,
    /// Its host and port.
    pub backend: String,
    /// `ready`, `drain` or `maintenance`.
    pub mode: String,
    /// How many Slots the Plan gives it, and how many were ordered; none where the Plan holds.
    pub slots: Option<(u32, u32)>,
}

/// Where what is left goes.
#[derive(Debug)]
pub(crate) struct Heir {
    heir: Mutex<Option<mpsc::Sender<Bequeathed>>>,
    /// To whoever tells it what is held: what the control plane has to say, and what the process before this one has still.
    more: mpsc::Sender<Bequeathed>,
}

impl Heir {
    pub(crate) fn new(heir: mpsc::Sender<Bequeathed>, more: mpsc::Sender<Bequeathed>) -> Self {
        Self { heir: Mutex::new(Some(heir)), more }
    }

    /// Gives it this; answers whether it was taken.
    pub(crate) async fn give(&self, bequeathed: Bequeathed) -> bool {
        let heir = self.heir.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match heir {
            Some(heir) => heir.send(bequeathed).await.is_ok(),
            None => false,
        }
    }

    /// Something that it is told beside what this process holds itself.
    pub(crate) async fn tell(&self, bequeathed: Bequeathed) {
        // Where nobody tells it any more, it has gone.
        let _ = self.more.send(bequeathed).await;
    }

    /// There is nothing more to come.
    pub(crate) fn close(&self) {
        self.heir.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
