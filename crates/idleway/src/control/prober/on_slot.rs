//! A probe that takes a Slot, and is bound by its truth: the Slot is free when the backend has ended its answer.

use std::pin::pin;
use std::time::Duration;

use idleway_core::{Kept, Outcome, Permit, Until};
use tokio::time::timeout;

use super::Asked;
use crate::config::HttpProbe;
use crate::live::now;
use crate::net::{Answer, BackendConnection, ProbeError, ask, until_closed};

/// How long a backend whose answer cannot be read may take to close by itself.
const OWN_CLOSE: Duration = Duration::from_secs(1);

type SlotPermit = Permit<Box<BackendConnection>>;

/// Probes once; the outcome is released with the Slot.
pub(super) async fn probe(asked: Asked, mut permit: SlotPermit) {
    let kept = permit.take_kept();
    let Some(request) = asked.request() else {
        // A fresh connection is the proof; the one that was kept goes first.
        drop(kept);
        let outcome = asked.connect().await.map_or_else(|outcome| outcome, |_| Outcome::Success);
        asked.count(outcome);
        return permit.finish(outcome, None);
    };
    let is_usable = |kept: &BackendConnection| kept.leads_to(&asked.backend.addresses) && kept.is_fresh(true);
    let kept = kept.filter(|kept| is_usable(kept)).and_then(|kept| kept.move_to(asked.core).ok());
    if let Some(connection) = kept {
        match exchange(&asked, request, permit, connection, true).await {
            // The backend was closing the connection when it was taken.
            Some(untouched) => permit = untouched,
            None => return,
        }
    }
    match asked.connect().await {
        Ok(connection) => _ = exchange(&asked, request, permit, connection, false).await,
        Err(outcome) => {
            asked.count(outcome);
            permit.finish(outcome, None);
        }
    }
}

/// Asks on this connection. Answers the Permit where a reused connection turned out to be closed.
async fn exchange(
    asked: &Asked,
    request: &HttpProbe,
    mut permit: SlotPermit,
    mut connection: Box<BackendConnection>,
    reused: bool,
) -> Option<SlotPermit> {
    permit.started();
    let (answer, is_late) = answer(asked, request, &mut permit, &mut connection).await;
    // What came late was judged when it did not come.
    let timely = |outcome| if is_late { Outcome::Ignored } else { outcome };
    match answer {
        Ok(answer) => {
            let outcome = timely(asked.judge(request, answer.status));
            count(asked, outcome, is_late);
            end(permit, connection, answer, outcome);
        }
        Err(ProbeError::Nonsense(refusal)) => {
            asked.backend.note_fault(format!("a probe was answered nonsense: {refusal}"));
            count(asked, Outcome::Failure, is_late);
            permit.linger();
            permit.report(timely(Outcome::Failure));
            outwait(asked, permit, connection).await;
        }
        Err(error) if connection.wire.is_lost() => {
            asked.backend.note_fault(format!("a probe found: {error}"));
            count(asked, Outcome::Failure, is_late);
            permit.report(timely(Outcome::Failure));
            permit.rest(Until::Proof);
        }
        Err(_) if reused && !is_late => {
            permit.ended();
            return Some(permit);
        }
        Err(error) => {
            asked.backend.note_fault(format!("a probe found: {error}"));
            count(asked, Outcome::Failure, is_late);
            permit.finish(timely(Outcome::Failure), None);
        }
    }
    None
}

/// The answer, however long it takes, and whether it came too late. While it does not come the Slot lingers, and each
/// further interval counts as another probe that failed.
async fn answer(
    asked: &Asked,
    request: &HttpProbe,
    permit: &mut SlotPermit,
    connection: &mut BackendConnection,
) -> (Result<Answer, ProbeError>, bool) {
    let (first, every) =
        asked.plan().map_or((Duration::MAX, Duration::MAX), |plan| (plan.timeout, plan.every));
    let question = asked.question(request, asked.pool.plan.keep_alive);
    let mut asking = pin!(ask(connection, &question));
    let mut wait = first;
    let mut is_late = false;
    loop {
        if let Ok(answer) = timeout(wait, asking.as_mut()).await {
            return (answer, is_late);
        }
        asked.backend.note_fault(format!("a probe had no answer within {first:?}"));
        asked.count(Outcome::Silent);
        if !is_late {
            permit.linger();
        }
        permit.report(Outcome::Silent);
        (is_late, wait) = (true, every);
    }
}

/// Where the end of an answer can no longer be told, only the backend's own close can tell that it has ended. It gets a
/// moment for that, and is told then that we have no more to say; whoever closes after us may be at work still.
async fn outwait(asked: &Asked, permit: SlotPermit, mut connection: Box<BackendConnection>) {
    if timeout(OWN_CLOSE, until_closed(&mut connection)).await.is_ok() {
        drop(connection);
        return permit.finish(Outcome::Ignored, None);
    }
    connection.shut_down_writing();
    let every = asked.plan().map_or(Duration::MAX, |plan| plan.every);
    while timeout(every, until_closed(&mut connection)).await.is_err() {
        asked.count(Outcome::Silent);
        permit.report(Outcome::Silent);
    }
    permit.rest(Until::Time(now() + asked.pool.plan.timeout));
}

fn count(asked: &Asked, outcome: Outcome, is_late: bool) {
    if !is_late {
        asked.count(outcome);
    }
}

/// Gives the Slot back with its connection.
fn end(permit: SlotPermit, mut connection: Box<BackendConnection>, answer: Answer, outcome: Outcome) {
    if !answer.is_whole {
        // It streams. Its handler may notice that nobody reads, or be at work still.
        permit.report(outcome);
        return permit.rest(Until::Proof);
    }
    let kept = answer.keeps.map(|keeps| {
        connection.park(keeps);
        Kept { core: connection.core(), connection }
    });
    permit.finish(outcome, kept);
}
