//! The control plane: what is done for the pools beside their requests.
//!
//! It reaches the data plane through the verbs of `Live` and of the pools, and through nothing else.

mod driver;
mod prober;
mod prover;
mod resolver;
mod roster;
mod schedule;

pub(crate) use self::driver::drive;
pub(crate) use self::prober::probe_all;
pub(crate) use self::prover::prove;
pub(crate) use self::resolver::resolve;
