//! What the application makes of a request.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use crate::error::Reject;
use crate::hook::{Arrival, Changes, Denial, Hook};
use crate::message::Request;
use crate::net::{Client, Departed};

/// Asks the hook, where there is one, as long as the client is there.
pub(super) async fn consult(
    client: &mut Client,
    hook: Option<&dyn Hook>,
    request: &Request,
) -> Result<Changes, Departed> {
    let Some(hook) = hook else { return Ok(Changes::default()) };
    let mut arrival = Arrival::new(request);
    let refused = match client.stays_for(ask(hook, &mut arrival)).await? {
        Some(Ok(())) => None,
        Some(Err(denial)) => Some(Reject::Denied(denial)),
        None => Some(Reject::Internal { why: "a hook panicked".to_owned() }),
    };
    Ok(arrival.changes(refused))
}

/// None where it panicked: its request has an answer all the same.
async fn ask(hook: &dyn Hook, arrival: &mut Arrival<'_>) -> Option<Result<(), Denial>> {
    let mut verdict = pin!(async { hook.arrived(arrival).await });
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| verdict.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(verdict)) => Poll::Ready(Some(verdict)),
        Err(_) => Poll::Ready(None),
    })
    .await
}
