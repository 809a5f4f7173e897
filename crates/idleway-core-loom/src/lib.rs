//! The modules of `idleway-core`, compiled once more with their `sync` on loom. The tests are in `tests/`.

#[path = "../../idleway-core/src/ask.rs"]
pub mod ask;
#[path = "../../idleway-core/src/backend.rs"]
pub mod backend;
#[path = "../../idleway-core/src/change.rs"]
pub mod change;
#[path = "../../idleway-core/src/counts.rs"]
pub mod counts;
#[path = "../../idleway-core/src/demand.rs"]
pub mod demand;
#[path = "../../idleway-core/src/dispatcher/mod.rs"]
pub mod dispatcher;
#[path = "../../idleway-core/src/effects.rs"]
pub mod effects;
#[path = "../../idleway-core/src/estimate.rs"]
pub mod estimate;
#[path = "../../idleway-core/src/grant.rs"]
pub mod grant;
#[path = "../../idleway-core/src/health.rs"]
pub mod health;
#[path = "../../idleway-core/src/keys.rs"]
mod keys;
#[path = "../../idleway-core/src/lane.rs"]
mod lane;
#[path = "../../idleway-core/src/line.rs"]
mod line;
#[path = "../../idleway-core/src/permit.rs"]
pub mod permit;
#[path = "../../idleway-core/src/pick.rs"]
mod pick;
#[path = "../../idleway-core/src/pool.rs"]
pub mod pool;
#[path = "../../idleway-core/src/promises.rs"]
mod promises;
#[path = "../../idleway-core/src/queue.rs"]
mod queue;
#[path = "../../idleway-core/src/recent.rs"]
mod recent;
#[path = "../../idleway-core/src/retries.rs"]
mod retries;
#[path = "../../idleway-core/src/service.rs"]
mod service;
#[path = "../../idleway-core/src/slots.rs"]
mod slots;
#[path = "../../idleway-core/src/slow_start.rs"]
mod slow_start;
#[path = "../../idleway-core/src/spec.rs"]
pub mod spec;
mod sync;
#[path = "../../idleway-core/src/time.rs"]
pub mod time;
