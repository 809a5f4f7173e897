//! A probe on a connection of its own, beside the work (`health.dedicated`).

use idleway_core::{BackendKey, Outcome};
use tokio::time::timeout;

use super::Asked;
use crate::net::ask;

/// Probes once, and says what it saw.
pub(super) async fn probe(asked: Asked, key: BackendKey) {
    let outcome = outcome(&asked).await;
    asked.count(outcome);
    asked.backend.end_probe();
    asked.pool.slots.observe(key, outcome);
}

async fn outcome(asked: &Asked) -> Outcome {
    let mut connection = match asked.connect().await {
        Ok(connection) => connection,
        Err(outcome) => return outcome,
    };
    let (Some(request), Some(plan)) = (asked.request(), asked.plan()) else {
        return Outcome::Success;
    };
    let question = asked.question(request, false);
    match timeout(plan.timeout, ask(&mut connection, &question)).await {
        Ok(Ok(answer)) => asked.judge(request, answer.status),
        Ok(Err(error)) => {
            asked.backend.note_fault(format!("a probe found: {error}"));
            Outcome::Failure
        }
        Err(_) => {
            asked.backend.note_fault(format!("a probe had no answer within {:?}", plan.timeout));
            Outcome::Silent
        }
    }
}
