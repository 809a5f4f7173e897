//! Idleway end to end: real sockets on loopback, a real gateway, backends that misbehave on purpose.
//!
//! Nothing here waits for time to pass: gates hold backends, and a test waits for what it can see. A time limit
//! is only the bound at which a test has failed.

#![allow(
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it could not try"
)]

mod handover;
mod harness;
#[path = "../../../idleway-h1/tests/oracles/python.rs"]
mod python;

mod abandon;
#[cfg(feature = "admin")]
mod admin;
mod bounds;
mod busy;
mod chaos;
mod cold_start;
mod deadline;
mod departure;
mod expect;
mod failover;
mod fairness;
mod faults;
mod framing;
mod headers;
mod health;
mod hooks;
mod kept;
mod key_bound;
mod kill;
mod limit;
mod metrics;
mod mount;
mod names;
mod nonsense;
mod prefer;
mod priority;
mod probes;
mod promises;
mod queue;
mod recovery;
mod refusal;
mod reload;
mod routes;
mod shutdown;
mod slow;
mod streaming;
mod strictness;
mod traces;
