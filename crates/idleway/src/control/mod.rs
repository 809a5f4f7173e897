//! The control plane: what is done for the pools beside their requests.
//!
//! It reaches the data plane through the verbs of `Live` and of the pools, and through nothing else.

mod driver;
mod exporter;
mod members;
mod past;
mod prober;
#[cfg(feature = "admin")]
mod process;
mod prover;
mod resolver;
mod roster;
mod schedule;
mod scrape;
mod upkeep;

pub(crate) use self::exporter::export;
pub(crate) use self::members::Members;
pub(crate) use self::past::{Past, Told};
#[cfg(feature = "admin")]
pub(crate) use self::process::process;
pub(crate) use self::resolver::{Order, keep};
pub(crate) use self::scrape::scrape;
pub(crate) use self::upkeep::Upkeep;
