//! Proving that Slots are idle of which nobody knows.
//!
//! Where our side of a connection was closed before the backend's, nobody can see any more whether its handler is at
//! work: the Slot rests until a proof. The proof is an answer: a backend that works on one request at a time gives it
//! only when it has ended the one before.

use std::sync::Arc;
use std::time::Duration;

use idleway_core::{BackendKey, Core, Outcome, Permit};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::live::{Backend, LivePool};
use crate::net::{BackendConnection, Question, ask};

/// How often it is looked for Slots that wait for a proof.
const EVERY: Duration = Duration::from_millis(250);
/// How long to wait after a probe without an answer; twice as long after each further one, up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Probes for each Slot of the pool that rests until a proof. Never ends; its tasks are at most as many as Slots.
pub(crate) async fn prove(pool: Arc<LivePool>, core: Core) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut next = pool.slots.unproven(BackendKey(0));
        while let Some(key) = next {
            next = match (pool.slots.take_for_proof(key), pool.backend(key)) {
                (Some(permit), Some(backend)) => {
                    tokio::spawn(prove_one(Arc::clone(&pool), backend, permit, core));
                    pool.slots.unproven(key)
                }
                // Not to be probed now.
                _ => key.0.checked_add(1).and_then(|after| pool.slots.unproven(BackendKey(after))),
            };
        }
    }
}

/// Probes until there is an answer. The Slot is taken meanwhile: nobody else asks this backend the same.
async fn prove_one(
    pool: Arc<LivePool>,
    backend: Arc<Backend>,
    permit: Permit<Box<BackendConnection>>,
    core: Core,
) {
    let mut pause = PAUSE;
    loop {
        match ask_on_a_new_connection(&pool, &backend, core).await {
            Ok(status) => {
                tracing::info!(
                    pool = %pool.plan.name, backend = %backend.name, status,
                    "answered a probe: its slot is idle again"
                );
                return permit.finish(Outcome::Success, None);
            }
            Err(error) => {
                tracing::debug!(pool = %pool.plan.name, backend = %backend.name, error, "no answer to a probe");
            }
        }
        sleep(pause).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

async fn ask_on_a_new_connection(pool: &LivePool, backend: &Backend, core: Core) -> Result<u16, String> {
    let connect = BackendConnection::connect(&backend.addresses, core, pool.plan.connect_timeout);
    let mut connection = connect.await.map_err(|error| error.to_string())?;
    let question = Question { method: "GET", target: "/", host: &backend.name, keep_alive: false };
    // Its end is waited for too, so that the probe is no work of its own any more; the answer counts either way.
    ask(&mut connection, &question).await.map(|answer| answer.status).map_err(|error| error.to_string())
}
