//! A request's way to a backend: a Permit, an Attempt, and another where that is allowed.

use std::time::{Duration, Instant};

use idleway_core::{Reason, Refusal};

use super::asking::Asking;
use super::attempt::{Attempt, Attempted, Failure};
use super::record::Record;
use super::upload::Upload;
use super::{Ended, Luggage, Stop, Way};
use crate::error::Reject;
use crate::live::{Live, LivePool, Snapshot};
use crate::message::Request;
use crate::net::Client;

/// To a backend of a pool, and back with its answer.
pub(super) async fn forward<'a>(
    client: &mut Client,
    live: &Live,
    snapshot: &Snapshot,
    request: &Request,
    way: &Way<'a>,
    record: &mut Record<'a>,
    luggage: &mut Luggage,
) -> Result<Ended, Stop> {
    let Way { pool, asking, .. } = way;
    let deadline = asking.deadline();
    let upload = match luggage.upload.take() {
        Some(upload) => upload,
        None => Upload::read(client, live, &snapshot.client, pool, request, deadline)
            .await
            .map_err(|stop| in_time(stop, asking))?,
    };
    let has_body = !upload.complete || !upload.buffer.is_empty();
    let mut now =
        *luggage.joined.get_or_insert_with(|| if has_body { Instant::now() } else { request.arrived });
    let mut ask = asking.ask(client.core().index(), now, Duration::ZERO);
    ask.was_in_line = !luggage.waited.is_zero();
    let mut waited = Duration::ZERO;
    let mut last_failure: Option<Failure> = None;
    loop {
        record.joined(now);
        let permit = match client.stays_for(pool.slots.acquire(ask.clone())).await? {
            Ok(permit) => permit,
            Err(refusal) if is_elsewhere_now(refusal.reason, pool, live) && upload.is_at_hand(client) => {
                luggage.upload = Some(upload);
                luggage.waited = now.elapsed();
                return Err(Stop::Removed(refused(refusal, last_failure, pool, asking)));
            }
            Err(mut refusal) => {
                if refusal.reason == Reason::Busy && !luggage.waited.is_zero() {
                    // It has stood in a line before this one.
                    refusal.reason = Reason::WaitOver;
                }
                return Err(refused(refusal, last_failure, pool, asking).into());
            }
        };
        let Some(backend) = pool.backend(permit.backend()) else {
            debug_assert!(false, "a Permit for a backend that this pool does not have");
            let retry_after = Duration::from_secs(1);
            return Err(Reject::NoSlot { reason: Reason::NoBackendUp, retry_after }.into());
        };
        // Nothing has been said to the backend yet: whoever left the line never runs.
        if !permit.waited().is_zero() || client.was_asked() {
            client.confirm().await?;
        }
        let granted = Instant::now();
        record.granted(&backend, granted, permit.waited() + std::mem::take(&mut luggage.waited));
        pool.works.note(permit.slot(), request, way.route.spelled());
        if let Some(failure) = &last_failure {
            pool.metrics.retries.of(&failure.reject).increment();
            tracing::debug!(id = %request.id, reason = %failure.reject, "trying another backend");
        }
        let key = permit.backend();
        waited += permit.waited();
        client.send_continue();
        let attempt =
            Attempt { live, snapshot, way, backend: &backend, request, upload: &upload, granted, deadline };
        let failure = match attempt.run(client, permit, record).await? {
            Attempted::Ended(ended) => return Ok(ended),
            Attempted::Failed(failure) => failure,
        };
        record.exchanged(Some(failure.reject.name()));
        if !failure.may_try_again(way.is_repeatable, upload.is_at_hand(client))
            || record.attempts >= pool.plan.retry.attempts
        {
            return Err(failure.reject.into());
        }
        now = Instant::now();
        let avoid = std::mem::take(&mut ask.avoid);
        ask = asking.ask(client.core().index(), now, waited);
        ask.avoid = avoid;
        ask.avoid.push(key);
        last_failure = Some(failure);
    }
}

/// Whether it has no Slot since a reload has removed its pool, or all Slots are another process's: then the routes may
/// know another, or that one has it.
fn is_elsewhere_now(reason: Reason, pool: &LivePool, live: &Live) -> bool {
    let has_no_slots = matches!(reason, Reason::Draining | Reason::NoBackendUp);
    has_no_slots && (pool.is_removed() || live.heir().is_some())
}

/// The one reason of a request that got no Slot.
fn refused(refusal: Refusal, last_failure: Option<Failure>, pool: &LivePool, asking: &Asking<'_>) -> Reject {
    if refusal.reason == Reason::RetriesSpent {
        pool.metrics.retries.refused.increment();
    }
    match (refusal.reason, last_failure) {
        (Reason::WaitOver | Reason::TooLate, _) if asking.is_late() => asking.deadline_over(),
        // What went wrong with the last backend says more than that there is no other to be tried, or none now.
        (Reason::NoBackendUp | Reason::RetriesSpent, Some(failure)) => failure.reject,
        (_, Some(failure)) if failure.may_have_run() => failure.reject,
        (reason, _) => {
            if reason == Reason::Busy {
                pool.tell_of_queue();
            }
            Reject::NoSlot { reason, retry_after: refusal.retry_after }
        }
    }
}

fn in_time(stop: Stop, asking: &Asking<'_>) -> Stop {
    match stop {
        Stop::Reject(Reject::BodyTooSlow) if asking.is_late() => asking.deadline_over().into(),
        stop => stop,
    }
}
