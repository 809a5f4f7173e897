//! One try on one backend.

use std::sync::Arc;
use std::time::{Duration, Instant};

use idleway_core::{BackendKey, Outcome, Permit};
use idleway_h1::{ResponseHead, Version};

use super::asking::Asking;
use super::at_work::AtWork;
use super::evidence::Reached;
use super::exchange::{Exchange, ResponseFault, USUAL_HEAD};
use super::headers;
use super::pace::{Over, Pace};
use super::record::Record;
use super::relay::{Broken, Relay};
use super::upload::{Announced, Upload, stop_for};
use super::{Ended, Stop};
use crate::config::Abandon;
use crate::error::Reject;
use crate::live::{Backend, Live, LivePool, Snapshot};
use crate::message::Request;
use crate::net::{BackendConnection, Client, ConnectError, Departed};

/// A request that cannot be repeated takes only a kept connection that has been idle for less than this: the
/// older one is, the likelier the backend is closing it right now.
const YOUNG: Duration = Duration::from_secs(1);

/// What one Attempt has to go by.
pub(super) struct Attempt<'a> {
    pub(super) live: &'a Live,
    pub(super) snapshot: &'a Snapshot,
    pub(super) pool: &'a Arc<LivePool>,
    pub(super) backend: &'a Arc<Backend>,
    pub(super) request: &'a Request,
    pub(super) asking: &'a Asking<'a>,
    pub(super) upload: &'a Upload,
    pub(super) deadline: Option<Instant>,
    pub(super) abandon: Abandon,
}

/// How an Attempt ended, where the request did not end with it.
pub(super) enum Attempted {
    Ended(Ended),
    Failed(Failure),
}

/// The backend failed before its response began.
pub(super) struct Failure {
    pub(super) reached: Reached,
    pub(super) reject: Reject,
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
                None => match self.connect(client, permit.backend()).await? {
                    Ok(connection) => connection,
                    Err(error) => return self.unconnected(permit, &error),
                },
            };
            let mut work = self.begin(permit, connection, announced);
            tracing::trace!(
                id = %self.request.id, path = self.request.head.path(), backend = %self.backend.name,
                "handed to a backend"
            );
            let mut pace = Pace::new(&self.snapshot.plan.client, self.pool.plan.timeout, self.deadline);
            let response = Relay::new(client, &mut work, &mut pace, self.request).response().await;
            record.reached = work.reached();
            let broken = match response {
                Ok(response) => {
                    record.answered(response.status());
                    let ended = self.relay_response(client, work, pace, &response, record).await?;
                    return Ok(Attempted::Ended(ended));
                }
                Err(broken) => broken,
            };
            let was_closing =
                reused && !work.is_lost() && matches!(broken, Broken::Response(ResponseFault::Closed(_)));
            if !was_closing || !self.may_try_again(client, record.reached) {
                return self.broken(broken, work);
            }
            // The backend was closing the kept connection when it was taken: that is no failure of its own.
            permit = work.closed();
        }
    }

    /// Whether the deadline has passed.
    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    fn may_try_again(&self, client: &Client, reached: Reached) -> bool {
        reached.may_try_again(self.request.is_idempotent(), self.upload.is_at_hand(client))
    }

    /// Hands the request to the backend: from here on it may be at work.
    fn begin(
        &self,
        permit: Permit<Box<BackendConnection>>,
        connection: Box<BackendConnection>,
        announced: Announced,
    ) -> AtWork<'a> {
        let keep_alive = self.pool.plan.keep_alive;
        let exchange = Exchange::new(permit, connection, self.request.is_head(), announced);
        let mut work = AtWork::new(exchange, self.pool, self.backend, self.abandon);
        let head =
            |out: &mut Vec<u8>| headers::request(out, self.request, announced, self.live.via(), keep_alive);
        work.send(head, self.upload);
        work
    }

    /// The Slot's own connection, if it is fresh.
    fn kept(
        &self,
        client: &Client,
        permit: &mut Permit<Box<BackendConnection>>,
    ) -> Option<Box<BackendConnection>> {
        let kept = permit.take_kept()?;
        let repeatable = self.request.is_idempotent();
        let usable = (repeatable || kept.idle_for() < YOUNG) && kept.is_fresh(repeatable);
        if usable { kept.move_to(client.core().index()).ok() } else { None }
    }

    /// A new connection.
    async fn connect(
        &self,
        client: &mut Client,
        key: BackendKey,
    ) -> Result<Result<Box<BackendConnection>, ConnectError>, Departed> {
        let core = client.core().index();
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let within = left.unwrap_or(Duration::MAX).min(self.pool.plan.connect_timeout);
        // Boxed: what a connect needs is much, and most requests need none.
        let connect = Box::pin(BackendConnection::connect(&self.backend.origin, core, within));
        let connected = client.stays_for(connect).await?;
        match &connected {
            Ok(_) if self.backend.note_reachable(true) => {
                tracing::info!(pool = %self.pool.plan.name, backend = %self.backend.name, "reachable again");
                // It was taken out because connecting failed. Its other Slots need not wait for this one's end.
                self.pool.slots.observe(key, Outcome::Success);
            }
            Err(ConnectError::Exhausted(_)) => {}
            Err(error) if !self.is_late() && self.backend.note_reachable(false) => {
                tracing::warn!(pool = %self.pool.plan.name, backend = %self.backend.name, %error, "unreachable");
            }
            _ => {}
        }
        Ok(connected)
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
            && !client.core().is_leaving();
        pace.moved();
        client.tail().reserve(USUAL_HEAD);
        let out = headers::response(
            client.tail(),
            self.request,
            self.asking.applied(),
            response,
            self.live.via(),
            persists,
        );
        let mut relay = Relay::new(client, &mut work, &mut pace, self.request);
        let bound = usize::try_from(self.pool.plan.response_buffer).unwrap_or(usize::MAX);
        // Held until the client has taken the rest.
        let mut share = None;
        let result = relay.body(out.outgoing, bound, self.live.budget(), &mut share).await;
        record.sent = relay.sent();
        let read_whole = client.body_is_read();
        match result {
            Ok(()) => work.over(Outcome::Success),
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
                // The backend's own end of the connection frees the Slot; any other end leaves it at work.
                if let Broken::Response(ResponseFault::Closed(_)) = broken {
                    work.over(Outcome::Ignored);
                } else {
                    drop(work);
                }
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
    fn broken(&self, broken: Broken, work: AtWork<'_>) -> Result<Attempted, Stop> {
        match broken {
            Broken::Response(ResponseFault::Closed(_)) => {
                let reached = work.reached();
                let reject = self.reason(&broken);
                work.over(Outcome::Ignored);
                Ok(self.failed(reached, reject))
            }
            Broken::Departed(departed) => Err(departed.into()),
            Broken::Upload(fault) => Err(stop_for(fault, &self.snapshot.client)),
            // The backend may be at work still: dropping `work` abandons it.
            broken => {
                if let Broken::Over(Over::Timeout) = broken {
                    work.overdue();
                }
                Err(self.reason(&broken).into())
            }
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
            Broken::Over(Over::Timeout) => Reject::BackendSilent { backend, after: self.pool.plan.timeout },
            Broken::Over(Over::Deadline) => self.asking.deadline_over(),
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
        permit.finish(Outcome::Failure, None);
        let reject =
            Reject::BackendUnreachable { backend: self.backend.name.clone(), why: error.to_string() };
        Ok(self.failed(Reached::NotConnected, reject))
    }

    fn failed(&self, reached: Reached, reject: Reject) -> Attempted {
        tracing::debug!(id = %self.request.id, phase = reached.name(), reason = %reject, "an attempt failed");
        Attempted::Failed(Failure { reached, reject })
    }
}
