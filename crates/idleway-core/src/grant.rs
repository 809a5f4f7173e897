//! The granted slot, and how it is given back.

use std::time::Duration;

use crate::{
    backend::BackendKey,
    time::{Core, Time},
};

/// A slot that is the asker's until it is released or put to rest.
#[derive(Debug)]
pub struct Grant<C> {
    /// Which slot, in which of its lives.
    pub slot: SlotId,
    /// The backend it is a slot of.
    pub backend: BackendKey,
    /// The slot's own connection, where one was kept. It may sit on another core than the asker's. It has been
    /// idle for about `keep_idle` at most; where its exact age matters, `C` has to know it.
    pub kept: Option<Kept<C>>,
    /// How long the asker stood in line.
    pub waited: Duration,
}

/// One life of one slot: the generation changes with each grant, so that a second release finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotId {
    /// The place of the backend inside its dispatcher.
    pub backend: u32,
    /// The place of the slot inside its dispatcher.
    pub index: u32,
    /// Which grant of this place it is.
    pub generation: u32,
}

/// A connection that an idle slot keeps, and the core it is registered with.
#[derive(Debug)]
pub struct Kept<C> {
    /// The connection.
    pub connection: C,
    /// Where it sits.
    pub core: Core,
}

/// How an attempt ended, as health sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The backend did its work: it is up.
    Success,
    /// The backend answered, with an error of its own. Counts where backends are compared with each other.
    Poor,
    /// The backend was silent for too long: it may hang, or the work is long. Counts where backends are compared, and
    /// against one that is tried or probed.
    Silent,
    /// The exchange broke, or what came was no answer: so many of them in a row take the backend down.
    Failure,
    /// No connection could be had: the backend is down at once.
    Unreachable,
    /// Nothing was learned about the backend.
    Ignored,
}

/// Until when a slot rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Until {
    /// Until this moment: the backend said so.
    Time(Time),
    /// Until a probe of this slot ends in [`Outcome::Success`]: nobody knows whether the backend still works.
    Proof,
}
