//! One try on one backend.

use std::sync::Arc;
use std::time::{Duration, Instant};

use idleway_core::{Outcome, Permit};
use idleway_h1::{ResponseHead, Version};

use super::at_work::AtWork;
use super::busy;
use super::evidence::Reached;
use super::exchange::{Exchange, ResponseFault, USUAL_HEAD};
use super::headers;
use super::linger::discard_rest;
use super::pace::{Over, Pace};
use super::record::Record;
use super::relay::{Broken, Relay};
use super::upload::{Announced, Upload, stop_for};
use super::{Ended, Stop, Way};
use crate::config::PoolPlan;
use crate::error::Reject;
use crate::live::{Backend, Live, Snapshot, now};
use crate::message::Request;
use crate::net::{BackendConnection, Client, ConnectError, Departed};
use crate::traces::TraceParent;

/// A request that cannot be repeated takes only a kept connection that has been idle for less than this: the
/// older one is, the likelier the backend is closing it right now.
const YOUNG: Duration = Duration::from_secs(1);

/// Nobody is told to come back sooner.
const LEAST_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What one Attempt has to go by.
pub(super) struct Attempt<'a> {
    pub(super) live: &'a Live,
    pub(super) snapshot: &'a Snapshot,
    pub(super) way: &'a Way<'a>,
    pub(super) backend: &'a Arc<Backend>,
    pub(super) request: &'a Request,
    pub(super) upload: &'a Upload,
    /// When it got its Slot.
    pub(super) granted: Instant,
    pub(super) deadline: Option<Instant>,
}

/// How an Attempt ended, where the request did not end with it.
pub(super) enum Attempted {
    Ended(Ended),
    Failed(Failure),
}

/// The backend failed before its response began, or said that it is busy.
pub(super) struct Failure {
    reached: Reached,
    pub(super) reject: Reject,
}

impl Failure {
    /// Whether the backend may have been at work on the request.
    pub(super) fn may_have_run(&self) -> bool {
        !matches!(self.reject, Reject::BackendBusy { .. }) && self.reached >= Reached::HeadComplete
    }

    /// Whether the request may be tried on another backend.
    pub(super) fn may_try_again(&self, is_repeatable: bool, body_at_hand: bool) -> bool {
        match self.reject {
            // The operator's word: nothing ran.
            Reject::BackendBusy { .. } => body_at_hand,
            _ => self.reached.may_try_again(is_repeatable, body_at_hand),
        }
    }
}

impl<'a> Attempt<'a> {
    pub(super) async fn run(
        &self,
        client: &mut Client,
        mut permit: Permit<Box<BackendConnection>>,
        record: &mut Record<'_>,
    ) -> Result<Attempted, Stop> {
        let announced = self.upload.announced();
        if announced == Announced::Chunked && self.backend.speaks_http10() {
            // Another backend may take chunks.
            return Ok(self.failed(Reached::NotConnected, Reject::LengthRequired));
        }
        let mut kept = self.kept(client, &mut permit);
        loop {
            record.reached = Reached::NotConnected;
            let reused = kept.is_some();
            let connection = match kept.take() {
                Some(connection) => connection,
                None => match self.connect(client).await? {
                    Ok(connection) => connection,
                    Err(error) => return self.unconnected(permit, &error),
                },
            };
            let mut work = self.begin(permit, connection, announced, record.traceparent());
            tracing::trace!(
                id = %self.request.id, path = self.request.path_alone(), backend = %self.backend.name,
                "handed to a backend"
            );
            let mut pace = Pace::new(&self.snapshot.plan.client, self.way.timeout, self.deadline);
            let response = Relay::new(client, &mut work, &mut pace, self.request, self.way).response().await;
            record.reached = work.reached();
            let broken = match response {
                Ok(response) => {
                    let rest = busy::rest_told(&response, self.plan());
                    if let Some(rest) = rest.filter(|_| self.upload.is_at_hand(client)) {
                        return self.busy(client, work, response.status(), rest).await;
                    }
                    record.answered(response.status());
                    let ended = self.relay_response(client, work, pace, &response, record).await?;
                    return Ok(Attempted::Ended(ended));
                }
                Err(broken) => broken,
            };
            let was_closing =
                reused && !work.is_lost() && matches!(broken, Broken::Response(ResponseFault::Closed(_)));
            if !was_closing || !self.may_try_again(client, record.reached) {
                return self.broken(&broken, work);
            }
            // The backend was closing the kept connection when it was taken: that is no failure of its own.
            permit = work.closed();
        }
    }

    /// Whether the deadline has passed.
    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// How long it has until its deadline.
    fn left(&self) -> Duration {
        self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    fn may_try_again(&self, client: &Client, reached: Reached) -> bool {
        reached.may_try_again(self.way.is_repeatable, self.upload.is_at_hand(client))
    }

    fn plan(&self) -> &'a PoolPlan {
        &self.way.pool.plan
    }

    /// Hands the request to the backend: from here on it may be at work.
    fn begin(
        &self,
        permit: Permit<Box<BackendConnection>>,
        connection: Box<BackendConnection>,
        announced: Announced,
        traceparent: Option<TraceParent>,
    ) -> AtWork<'a> {
        let keep_alive = self.plan().keep_alive;
        let exchange = Exchange::new(permit, connection, self.request.is_head(), announced);
        let mut work = AtWork::new(exchange, self.way, self.backend, self.granted);
        let (rewrite, backend) = (&self.way.rewrite, &self.backend.name);
        let head = |out: &mut Vec<u8>| {
            let via = self.live.via();
            headers::request(out, self.request, rewrite, backend, announced, via, keep_alive, traceparent);
        };
        work.send(head, self.upload, &rewrite.fields);
        work
    }

    /// The Slot's own connection, if it is fresh.
    fn kept(
        &self,
        client: &Client,
        permit: &mut Permit<Box<BackendConnection>>,
    ) -> Option<Box<BackendConnection>> {
        let kept = permit.take_kept()?;
        let repeatable = self.way.is_repeatable;
        let usable = kept.leads_to(&self.backend.addresses)
            && (repeatable || kept.idle_for() < YOUNG)
            && kept.is_fresh(repeatable);
        if usable { kept.move_to(client.core().index()).ok() } else { None }
    }

    /// A new connection.
    async fn connect(
        &self,
        client: &mut Client,
    ) -> Result<Result<Box<BackendConnection>, ConnectError>, Departed> {
        let core = client.core().index();
        let within = self.left().min(self.plan().connect_timeout);
        // Boxed: what a connect needs is much, and most requests need none.
        client.stays_for(Box::pin(BackendConnection::connect(&self.backend.addresses, core, within))).await
    }

    /// The backend said that it is busy: its answer is read to its end, which is nobody's but the connection's, and it
    /// rests.
    async fn busy(
        &self,
        client: &mut Client,
        mut work: AtWork<'_>,
        status: u16,
        rest: Duration,
    ) -> Result<Attempted, Stop> {
        self.way.pool.metrics.backend_busy.increment();
        let has_ended = client.stays_for(Box::pin(discard_rest(&mut work, self.left()))).await?;
        if has_ended {
            work.withhold(now() + rest);
        } else {
            // Whatever it means by its status, only its own end frees the Slot.
            drop(work);
        }
        let backend = self.backend.name.clone();
        let reject = Reject::BackendBusy { backend, status, retry_after: rest.max(LEAST_RETRY_AFTER) };
        Ok(self.failed(Reached::ResponseBegun, reject))
    }

    async fn relay_response(
        &self,
        client: &mut Client,
        mut work: AtWork<'_>,
        mut pace: Pace<'_>,
        response: &ResponseHead,
        record: &mut Record<'_>,
    ) -> Result<Ended, Stop> {
        self.backend.note_version(response.version() == Version::Http10);
        let persists = self.request.head.keep_alive()
            && !self.snapshot.client.keep_alive.is_zero()
            && !client.core().is_parting();
        pace.moved();
        client.tail().reserve(USUAL_HEAD);
        let out = headers::response(
            client.tail(),
            self.request,
            self.way.asking.applied(),
            response,
            self.way.response,
            self.live.via(),
            persists,
        );
        let mut relay = Relay::new(client, &mut work, &mut pace, self.request, self.way);
        let bound = usize::try_from(self.plan().response_buffer).unwrap_or(usize::MAX);
        // Held until the client has taken the rest.
        let mut share = None;
        let result = relay.body(out.outgoing, bound, self.live.budget(), &mut share).await;
        record.sent = relay.sent();
        let read_whole = client.body_is_read();
        if result.is_ok() {
            record.exchanged(None);
        }
        match result {
            Ok(()) => match busy::rest_told(response, self.plan()) {
                // Its body had streamed away: the client has to come again itself.
                Some(rest) => {
                    self.way.pool.metrics.backend_busy.increment();
                    work.withhold(now() + rest);
                }
                None => work.over(self.outcome_of(response.status())),
            },
            Err(broken) => {
                match &broken {
                    Broken::Departed(departed) => record.departed(*departed),
                    Broken::Over(Over::ClientTakes) => {
                        record.cut(
                            "the client took nothing for `client.write`, or too little for `client.rate`",
                        );
                    }
                    broken => record.cut(&self.reason(broken).to_string()),
                }
                self.end(&broken, work);
                return Ok(match broken {
                    Broken::Departed(_) => Ended::Gone,
                    Broken::Over(Over::ClientSends | Over::ClientTakes) => Ended::Reset,
                    _ if out.until_close => Ended::Reset,
                    // What has come of it is delivered; that it is cut shows in the framing.
                    _ => Ended::Closed,
                });
            }
        }
        // The Slot serves the next request already; this client takes the rest at its own pace.
        if client.flush(self.snapshot.client.write).await.is_err() {
            record.departed(Departed::Reset);
            return Ok(Ended::Gone);
        }
        Ok(if out.persists && read_whole { Ended::Kept } else { Ended::Closed })
    }

    /// What becomes of a request whose exchange broke before the response began.
    fn broken(&self, broken: &Broken, work: AtWork<'_>) -> Result<Attempted, Stop> {
        let reached = work.reached();
        self.end(broken, work);
        Err(match broken {
            Broken::Response(_) => return Ok(self.failed(reached, self.reason(broken))),
            Broken::Over(_) => self.reason(broken).into(),
            Broken::Departed(departed) => (*departed).into(),
            Broken::Upload(fault) => stop_for(*fault),
        })
    }

    /// What becomes of the Slot when an exchange broke. The backend's own end of the connection frees it; after any other
    /// the backend may be at work still: the work is abandoned.
    fn end(&self, broken: &Broken, work: AtWork<'_>) {
        match broken {
            Broken::Response(fault) => {
                self.backend.note_fault(self.reason(broken).to_string());
                match fault {
                    ResponseFault::Closed(_) => work.over(Outcome::Failure),
                    ResponseFault::Nonsense(_) => work.unreadable(),
                }
            }
            Broken::Over(Over::Timeout) => {
                self.backend.note_fault(self.reason(broken).to_string());
                work.overdue();
            }
            Broken::Over(_) | Broken::Departed(_) | Broken::Upload(_) => drop(work),
        }
    }

    /// The one reason of an exchange that broke.
    fn reason(&self, broken: &Broken) -> Reject {
        let backend = self.backend.name.clone();
        match broken {
            Broken::Response(ResponseFault::Closed(error)) => {
                let why = match error {
                    None => "closed the connection before its response was complete".to_owned(),
                    Some(error) => format!("the connection failed: {error}"),
                };
                Reject::BackendClosed { backend, why }
            }
            Broken::Response(ResponseFault::Nonsense(why)) => {
                Reject::BackendNonsense { backend, why: why.clone() }
            }
            Broken::Over(Over::Timeout) => Reject::BackendSilent { backend, after: self.way.timeout },
            Broken::Over(Over::Deadline) => self.way.asking.deadline_over(),
            Broken::Over(Over::ClientSends | Over::ClientTakes) | Broken::Upload(_) | Broken::Departed(_) => {
                Reject::BodyTooSlow
            }
        }
    }

    /// What becomes of a request for which there is no connection.
    fn unconnected(
        &self,
        permit: Permit<Box<BackendConnection>>,
        error: &ConnectError,
    ) -> Result<Attempted, Stop> {
        if self.is_late() {
            permit.finish(Outcome::Ignored, None);
            return Err(self.reason(&Broken::Over(Over::Deadline)).into());
        }
        if let ConnectError::Exhausted(_) = error {
            permit.finish(Outcome::Ignored, None);
            return Err(Reject::Exhausted { why: error.to_string() }.into());
        }
        self.backend.note_fault(error.to_string());
        permit.finish(Outcome::Unreachable, None);
        let reject =
            Reject::BackendUnreachable { backend: self.backend.name.clone(), why: error.to_string() };
        Ok(self.failed(Reached::NotConnected, reject))
    }

    /// What an answer says of its backend. An error may be the client's doing or its own: only where one backend has far
    /// more of them than the others it is its own. 501, 503 and 505 are no errors but refusals.
    fn outcome_of(&self, status: u16) -> Outcome {
        if !matches!(status, 500 | 502 | 504) {
            return Outcome::Success;
        }
        self.backend.note_fault(format!("answered {status}"));
        Outcome::Poor
    }

    fn failed(&self, reached: Reached, reject: Reject) -> Attempted {
        tracing::debug!(id = %self.request.id, phase = reached.name(), reason = %reject, "an attempt failed");
        Attempted::Failed(Failure { reached, reject })
    }
}
