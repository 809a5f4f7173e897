//! Slots and the line of a pool, as a pure state machine: which idle slot serves which waiter.
//!
//! What this crate does **not** do: it opens no socket, reads no clock, starts no task, keeps no timer and rolls
//! no dice. Time comes in as an argument, a kept connection is an opaque `C`, and whatever wakes a waiter is an
//! opaque `W`. What has to happen outside (waking, closing) comes back as [`Effects`] and is executed by the
//! caller after its lock is released.
//!
//! A newcomer reads in this order:
//!
//! | file | what it holds |
//! |---|---|
//! | `ask` | what a request asks for, and what it is told: granted, queued, refused |
//! | `grant` | the granted slot, and the three ways it is given back |
//! | `spec` | what a pool is made of, and how a backend that is new to it starts; what `reconfigure` takes |
//! | `dispatcher/` | the state machine: the verbs of requests, of the control plane, the matching, the invariants; work that others have at a backend (`elsewhere`), slots that go over to others (`ceding`), what is seen from outside (`status`) |
//! | `pool`, `permit` | the mutex around it and the `acquire` future; the owned proof of holding a slot |
//! | `backend`, `slots` | one backend; the entries of slots in use or with a kept connection |
//! | `health`, `slow_start`, `change` | up and down; how a backend gets its slots back; what became of its health and why |
//! | `retries` | how many requests may be tried again |
//! | `pick` | which idle slot |
//! | `queue`, `lane`, `keys` | the line; whose turn it is in one lane of it; what each key has had and holds |
//! | `service`, `estimate`, `promises` | how long work takes; how long until a slot frees; what the refused were told |
//! | `demand` | how many slots are at work in the mean, and how many are refused |
//! | `counts`, `time`, `effects`, `line`, `recent` | slots by state; nanoseconds; what to do outside; an intrusive list; how many of how many lately |
//! | `sync` | the mutex: std here, loom's in `idleway-core-loom` |

pub mod ask;
pub mod backend;
pub mod change;
pub mod counts;
pub mod demand;
pub mod dispatcher;
pub mod effects;
pub mod estimate;
pub mod grant;
pub mod health;
mod keys;
mod lane;
mod line;
pub mod permit;
mod pick;
pub mod pool;
mod promises;
mod queue;
mod recent;
mod retries;
mod service;
mod slots;
mod slow_start;
pub mod spec;
mod sync;
pub mod time;

pub use ask::{Arrival, Ask, Collected, Key, Lane, Reason, Refusal, Ticket};
pub use backend::{BackendKey, BackendView, Mode};
pub use change::{Cause, Change};
pub use counts::Counts;
pub use demand::Demand;
pub use dispatcher::{Dispatcher, Held, Overdue, SlotView, Taken, Waiting};
pub use effects::{Effects, Few};
pub use estimate::Estimate;
pub use grant::{Grant, Kept, Outcome, SlotId, Until};
pub use health::Health;
pub use permit::Permit;
pub use pool::{Acquire, Deadline, HeldChanges, Pool};
pub use slots::Purpose;
pub use spec::{BackendSpec, HealthPolicy, PoolSpec, RetryPolicy, Start};
pub use time::{Core, Time};
