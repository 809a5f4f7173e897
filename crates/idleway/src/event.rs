//! What happens to the gateway and its backends, for whoever looks on.

use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Events that a listener may be behind before it misses some.
pub(crate) const KEPT: usize = 1024;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A backend serves again.
    BackendUp {
        /// Its pool's name.
        pool: String,
        /// Its host and port.
        backend: String,
        /// Why, in the log's words: `trial-served`, `probes-answered`.
        cause: String,
    },
    /// A backend was taken out.
    BackendDown {
        /// Its pool's name.
        pool: String,
        /// Its host and port.
        backend: String,
        /// Why, in the log's words: `unreachable`, `failures`, `outlier`, `probes-failed`.
        cause: String,
        /// What went wrong with it last, in words.
        fault: String,
        /// How long it is left alone at least, where that is known.
        pause: Option<Duration>,
    },
    /// Somebody ordered by the admin API what is sent to a backend.
    ModeSet {
        /// Its pool's name.
        pool: String,
        /// Its host and port.
        backend: String,
        /// In the API's words: `ready`, `drain`, `maintenance`.
        mode: &'static str,
    },
    /// Somebody ordered by the admin API how many Slots a backend has.
    SlotsSet {
        /// Its pool's name.
        pool: String,
        /// Its host and port.
        backend: String,
        /// None: as many as its Plan says.
        slots: Option<u32>,
    },
    /// Another Plan is in force.
    Reloaded,
    /// Another Plan was to be put in force, and is not: what was in force stays.
    NotReloaded {
        /// Everything that is wrong with it, in words; of several lines.
        why: String,
    },
    /// So many events were missed here, since they came faster than they were taken.
    Missed(u64),
}

/// What happens from the moment on at which this was asked for.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self(receiver)
    }

    /// The next event; none when the gateway has ended.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(count)) => Some(Event::Missed(count)),
            Err(RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_too_slow_is_told_how_much_it_missed() {
        let (sender, receiver) = broadcast::channel(2);
        let mut events = Events::new(receiver);
        for count in 0..5 {
            sender.send(Event::Missed(count)).unwrap();
        }
        drop(sender);
        assert_eq!(events.next().await, Some(Event::Missed(3)));
        assert_eq!(events.next().await, Some(Event::Missed(3)), "the fourth");
        assert_eq!(events.next().await, Some(Event::Missed(4)), "the fifth");
        assert_eq!(events.next().await, None);
    }
}
