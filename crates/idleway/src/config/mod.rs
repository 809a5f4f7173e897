//! The configuration: from a TOML file or a list of URLs to a [`Plan`], or to everything that is wrong with it.
//!
//! Two types, so that nothing needs to be checked twice: `file` is the shape of the file, read by serde, which
//! refuses what it does not know; `plan` is what it means, complete and checked, made by `meaning`.

mod admin;
mod backends;
mod expand;
mod fault;
mod file;
mod habits;
mod health;
mod judging;
mod meaning;
mod nearest;
mod network;
mod origin;
mod plan;
mod print;
mod read;
mod rewriting;
mod routing;
#[cfg(feature = "cli")]
mod schema;
mod sharing;
mod source;
mod spanned;
mod target;
mod traces;
mod units;
mod value;
mod words;

pub use admin::{AdminPlan, AdminToken};
pub use fault::{Fault, Faults, Place};
pub use health::{HealthPlan, HttpProbe, ProbeKind, ProbePlan};
pub use meaning::Overrides;
pub use network::Network;
pub use origin::{Host, Origin};
pub use plan::{
    Abandon, AccessLogPlan, BackendPlan, ClientPlan, ColdStart, FairBy, Fin, LimitsPlan, Plan, PoolPlan,
    Priority, QueuePlan, Resolve, RetryPlan,
};

#[cfg(feature = "cli")]
pub use schema::schema;
pub use source::Source;
pub use traces::TracesPlan;

/// Reads a duration as the configuration writes it: `250ms`, `10s`, `5m`, `1h`; a bare `0` needs no unit.
///
/// # Errors
/// What is wrong with it, with a hint and without a place.
pub fn duration(text: &str) -> Result<std::time::Duration, Fault> {
    let unmarked = |fault| expand::Veil::default().hide(fault, &(0..0));
    units::duration(text, std::time::Duration::ZERO).map_err(unmarked)
}
