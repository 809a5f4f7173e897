//! What a request asks for, and what it is told.

use std::{fmt, time::Duration};

use crate::{
    backend::BackendKey,
    grant::Grant,
    time::{Core, Time},
};

/// What a request asks of its pool: one slot.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ask {
    /// The core that asks: a connection kept there is preferred.
    pub near: Core,
    /// The backends that already failed this request (a handful: one for each attempt so far). They are not used
    /// while another backend is up and ready, busy or not. An ask that avoids something waits before all others.
    pub avoid: Vec<BackendKey>,
    /// The latest moment it will wait in the line for; not later than now: it never waits.
    pub until: Time,
    /// The moment after which an answer is worth nothing to it; [`Time::NEVER`]: there is none.
    pub deadline: Time,
    /// In whose name it asks.
    pub key: Key,
    /// The part of the slots' time that its key is due, beside the weights of the others; 0 counts as 1.
    pub weight: u32,
    /// How urgent it is.
    pub lane: Lane,
    /// It stood in a line before, of a pool whose place this one has taken: where it may wait it is not refused for want of a
    /// backend that is up, as those in line here are not.
    pub was_in_line: bool,
}

/// In whose name a request asks: the keys of a pool share the time of its slots. Who asks in nobody's name has the
/// default key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u64);

/// How urgent a request is. A more urgent one is served first, until the other has waited long enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Before the others.
    High,
    /// What is not said to be anything else.
    #[default]
    Normal,
    /// After the others.
    Low,
}

impl Lane {
    /// All lanes, the most urgent first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// How much later one of the next more urgent lane has to come to be served after one of this lane. So nobody
    /// starves: who waits for this long stands as if it had come to the next lane.
    pub const AGEING: Duration = Duration::from_secs(10);

    /// Its place among all lanes.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Low => 2,
        }
    }
}

impl Ask {
    /// Asks from core `near`, to wait until `until` at the latest.
    #[must_use]
    pub const fn new(near: Core, until: Time) -> Self {
        Self {
            near,
            avoid: Vec::new(),
            until,
            deadline: Time::NEVER,
            key: Key(0),
            weight: 1,
            lane: Lane::Normal,
            was_in_line: false,
        }
    }
}

/// The answer to an [`Ask`].
#[derive(Debug)]
pub enum Arrival<C> {
    /// A slot is the asker's from now on.
    Granted(Grant<C>),
    /// The asker stands in line; the ticket has to be collected or to leave.
    Queued(Ticket),
    /// There is no slot and no wait.
    Refused(Refusal),
}

/// The answer to a waiter that looks after its ticket.
#[derive(Debug)]
pub enum Collected<C> {
    /// A slot is the waiter's from now on; the ticket is spent.
    Granted(Grant<C>),
    /// The wait ended without a slot; the ticket is spent.
    Refused(Refusal),
    /// It still waits; what wakes it is stored.
    Waiting,
}

/// A place in the line. It is spent by the first `collect` that does not answer `Waiting`, or by `leave`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// Why there is no slot, and when asking again makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// When to ask again: whole seconds, 1 s to 1 h, with jitter. An estimate; after [`Reason::QueueFull`] a promise,
    /// for which a place in the line is kept about that time where that is possible.
    pub retry_after: Duration,
}

/// Why the dispatcher refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// All slots are taken, and the pool has no queue or the ask would not wait.
    Busy,
    /// All slots that its key may hold are taken, and the pool has no queue or the ask would not wait.
    KeyBusy,
    /// All slots are taken and the line is at its bound.
    QueueFull,
    /// It stood in line, and had to make room for one that was more urgent, or whose key had fewer in line.
    Displaced,
    /// `Ask::until` came before a slot did.
    WaitOver,
    /// [`Ask::deadline`] has passed, or it will before a slot can be had and the work be done.
    TooLate,
    /// No backend is up and ready, and none may be tried now.
    NoBackendUp,
    /// It failed somewhere and asks for another attempt, and there were too many of those lately.
    RetriesSpent,
    /// The pool is closing: it serves those in line and takes no one new.
    Draining,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "all slots are busy",
            Self::KeyBusy => "all slots that this key may have are busy",
            Self::QueueFull => "the queue is full",
            Self::Displaced => "another took its place in the full queue",
            Self::WaitOver => "the wait in the queue is over",
            Self::TooLate => "no slot can be had in time",
            Self::NoBackendUp => "no backend is up",
            Self::RetriesSpent => "too many requests were tried again lately",
            Self::Draining => "the pool is draining",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for Refusal {}
