//! The control plane: what is done for the pools beside their requests.
//!
//! It reaches the data plane through the verbs of `Live` and of the pools, and through nothing else.

mod driver;
mod prover;

pub(crate) use self::driver::drive;
pub(crate) use self::prover::prove;
