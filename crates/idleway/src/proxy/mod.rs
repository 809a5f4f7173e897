//! The data plane. This page is a request's way through the gateway:
//!
//! ```text
//! serve: one connection, its requests in order → snapshot taken once → guard → hook → route (answers itself?) → what it asks for
//! → forward: acquire a Permit (granted | queued | refused) → headers out → send on the slot's connection
//! → judge (fail over?) → headers in → body carrying the Permit → last byte → slot goes to the first Waiter
//! ```
//!
//! Inside, what goes wrong is an `Err` that travels up by `?`; here, in [`answer_one`], it becomes an answer.

mod answer;
mod asking;
mod at_work;
mod attempt;
mod busy;
mod evidence;
mod exchange;
mod fixed;
mod forward;
mod frame;
#[cfg(fuzzing)]
pub mod fuzzing;
mod guard;
mod headers;
mod hooked;
mod linger;
mod pace;
mod record;
mod relay;
mod succession;
mod upload;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use idleway_h1::{Known, RequestHead};

pub(crate) use self::answer::body as problem;
use self::asking::Asking;
use self::record::Record;
use self::succession::Succession;
use self::upload::Upload;
use crate::config::Abandon;
use crate::edits::{Edits, Rewrite};
use crate::error::Reject;
use crate::hook::Changes;
use crate::live::{Bequeathed, Live, LivePool, Snapshot};
use crate::message::Request;
use crate::metrics::{self, Series};
use crate::net::{Admission, Already, Approach, Client, Departed, Next, Waiting};
use crate::route::{Asked, Route, Visible};

/// Serves one client connection: its requests in order, until it ends.
///
/// `already` is what another process has had of it before.
pub(crate) async fn serve(
    live: Arc<Live>,
    stream: Approach,
    peer: SocketAddr,
    admission: Admission,
    already: Already,
) {
    let core = Arc::clone(admission.seat.core());
    let mut snapshot = live.snapshot();
    let mut client = Client::new(stream, peer, Arc::clone(&core), snapshot.client.head_timeout);
    client.put_back(already.read, already.waiting);
    let mut leave = pin!(core.leave().notified());
    let ended = loop {
        let next = client.next_request(&snapshot.client, leave.as_mut()).await;
        // The request's future is boxed apart from the connection's: an idle connection pays for none.
        let ended = match next {
            Next::Request(head) => {
                live.refresh(&mut snapshot);
                Box::pin(answer_one(&mut client, &live, &snapshot, head)).await
            }
            Next::Refused(refusal) => {
                Box::pin(refuse(&mut client, &snapshot, Reject::Refused(refusal))).await
            }
            Next::TooSlow => Box::pin(refuse(&mut client, &snapshot, Reject::HeadTooSlow)).await,
            Next::Over => Ended::Gone,
            Next::Leaving => Ended::Left,
        };
        if ended != Ended::Kept {
            break ended;
        }
    };
    match ended {
        Ended::Kept | Ended::Gone => {}
        Ended::Reset => client.reset(),
        Ended::Left => Box::pin(hand_over(client, &live, &snapshot)).await,
        Ended::Closed => {
            let silence = snapshot.client.write;
            Box::pin(client.close(silence)).await;
        }
    }
}

// The data plane may be mounted in anyone's runtime, a work-stealing one too: its futures are `Send`, all of them,
// since this one holds them all.
const _: fn(Arc<Live>, Approach, SocketAddr, Admission) = |live, stream, peer, admission| {
    fn is_send(_: impl Send) {}
    is_send(serve(live, stream, peer, admission, Already::default()));
};

/// Gives the connection to the process that takes this one's place, if there is one; else it ends.
async fn hand_over(client: Client, live: &Live, snapshot: &Snapshot) {
    if let Some(heir) = live.heir()
        && let Some(passed) = client.hand_over(snapshot.client.write).await
    {
        // Where nobody takes it, it ends with what is dropped here.
        heir.give(Bequeathed::Client(passed)).await;
    }
}

/// What becomes of the client's connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It serves the next one.
    Kept,
    /// It is closed once the answer has been written.
    Closed,
    /// It is reset: the client has to see that its answer is cut.
    Reset,
    /// There is nobody left.
    Gone,
    /// It is no longer wanted here: it is idle, or its request has not run and is to be read again, by whoever gets it.
    Left,
}

/// Why a request's way ended early.
#[derive(Debug)]
enum Stop {
    /// The gateway itself answers.
    Reject(Reject),
    Departed(Departed),
    /// A reload has removed the pool that it had found, and nothing of it has run; what it is told where the routes lead
    /// nowhere else.
    Removed(Reject),
}

impl From<Reject> for Stop {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

impl From<Departed> for Stop {
    fn from(departed: Departed) -> Self {
        Self::Departed(departed)
    }
}

/// One request, one answer, one line in the log.
async fn answer_one(client: &mut Client, live: &Live, snapshot: &Snapshot, head: Box<RequestHead>) -> Ended {
    let peer = client.peer();
    let mut request = Request::new(head, peer, Arc::clone(client.address()), snapshot.trusts(peer.ip()));
    let mut luggage = Luggage::default();
    if let Some(waiting) = client.take_waiting() {
        (request.arrived, luggage.joined) = (waiting.arrived, waiting.in_line);
        luggage.waited = waiting.in_line.map_or(Duration::ZERO, |joined| joined.elapsed());
    }
    let request = request;
    let changes;
    let later = Succession::default();
    let mut record = Record::new(&request, live, snapshot);
    let travelled = match admitted(client, live, &request).await {
        Err(stop) => Err(stop),
        Ok(made) => {
            changes = made;
            record.labels(&changes.labels);
            // What came is what is told; what the hook has made of it is what is done.
            let received = &request;
            let request = changes.request.as_ref().unwrap_or(received);
            let (mut snapshot, mut later) = (snapshot, &later);
            loop {
                // Not a function of its own: its future would be moved whole into this one, with each request.
                let travelled = match find_goal(client, snapshot, request, &changes, &mut record) {
                    Ok(Goal::Pool(way)) => {
                        luggage.applied = way.asking.applied();
                        forward::forward(client, live, snapshot, request, &way, &mut record, &mut luggage)
                            .await
                    }
                    Ok(Goal::Answer(route)) => {
                        fixed::send(client, &snapshot.client, request, route, &mut record).await
                    }
                    Err(reject) => Err(reject.into()),
                };
                match travelled {
                    // By the routes that there are now, if there are others.
                    Err(Stop::Removed(_)) if live.heir().is_some() && luggage.put_back(client, received) => {
                        record.forget();
                        break Ok(Ended::Left);
                    }
                    Err(Stop::Removed(reject)) => {
                        let (next, after) = later.next(live);
                        if std::ptr::eq(next, snapshot) {
                            break Err(Stop::Reject(reject));
                        }
                        (snapshot, later) = (next, after);
                    }
                    travelled => break travelled,
                }
            }
        }
    };
    let ended = match travelled {
        Ok(ended) => ended,
        Err(Stop::Departed(departed)) => {
            record.departed(departed);
            Ended::Gone
        }
        Err(Stop::Reject(reject) | Stop::Removed(reject)) => {
            record.rejected(&reject);
            answer::send(client, &snapshot.client, Some(&request), luggage.applied, &reject).await
        }
    };
    record.end(client.body_received());
    live.failures.note(record.failed());
    ended
}

/// What the gateway and then the application say of a request before it takes a route.
async fn admitted(client: &mut Client, live: &Live, request: &Request) -> Result<Changes, Stop> {
    guard::admit(request, live.via())?;
    Ok(hooked::consult(client, live.hook().map(Arc::as_ref), request).await?)
}

/// What a request carries along, also where it has to look for another route.
#[derive(Debug, Default)]
struct Luggage {
    /// What has been read of its body.
    upload: Option<Upload>,
    /// When it stood in line first.
    joined: Option<Instant>,
    /// How long it has stood in lines that are no more.
    waited: Duration,
    /// How long it may wait, where it said so itself and that holds.
    applied: Option<u64>,
}

impl Luggage {
    /// Has the client's connection stand as if the request had not been read; false where that cannot be.
    fn put_back(&mut self, client: &mut Client, request: &Request) -> bool {
        let Some(body) = self.upload.as_ref().and_then(Upload::as_received) else { return false };
        let waiting = Waiting { arrived: request.arrived, in_line: self.joined };
        client.put_back([request.head.as_received(), &body].concat(), Some(waiting));
        true
    }
}

/// Where a request goes.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives as long as the request, whose future is boxed already"
)]
enum Goal<'a> {
    Pool(Way<'a>),
    /// The route answers by itself.
    Answer(&'a Route),
}

/// The pool a request goes to, and what holds for it there.
struct Way<'a> {
    route: &'a Route,
    pool: &'a Arc<LivePool>,
    /// Where its requests are counted.
    series: &'a Arc<Series>,
    asking: Asking<'a>,
    /// The longest silence of a backend.
    timeout: Duration,
    /// What becomes of its work when nobody waits for it any more.
    abandon: Abandon,
    /// It may be done twice with the effect of once: by its method, or by an `Idempotency-Key` where the route says so.
    is_repeatable: bool,
    /// What the backend is sent that is not as the client sent it.
    rewrite: Rewrite<'a>,
    /// What is changed about the backend's response.
    response: &'a Edits,
}

fn find_goal<'a>(
    client: &mut Client,
    snapshot: &'a Snapshot,
    request: &'a Request,
    changes: &Changes,
    record: &mut Record<'a>,
) -> Result<Goal<'a>, Reject> {
    if let Some(reject) = &changes.refused {
        return Err(reject.clone());
    }
    let head = &request.head;
    let fields = Visible { head, is_trusted: request.is_trusted };
    let asked =
        Asked { method: head.method(), authority: head.authority(), path: head.path(), fields: &fields };
    let found = match &changes.pool {
        Some(pool) => snapshot.route_to(pool),
        None => snapshot.route_for(&asked),
    };
    let (route, pool) = found.ok_or(Reject::NoRoute)?;
    record.routed(route, pool, snapshot.series_of(Some(route)));
    let max_body = route.max_body.or(snapshot.client.body);
    guard::admit_body(request, max_body)?;
    client.limit_body(max_body);
    match pool {
        Some(pool) => find_way(snapshot, request, &changes.edits, route, pool).map(Goal::Pool),
        None => Ok(Goal::Answer(route)),
    }
}

fn find_way<'a>(
    snapshot: &'a Snapshot,
    request: &'a Request,
    of_hook: &Edits,
    route: &'a Route,
    pool: &'a Arc<LivePool>,
) -> Result<Way<'a>, Reject> {
    let head = &request.head;
    let asking = Asking::read(request, route, &pool.plan, &snapshot.plan.trusted)?;
    let by_key = route.idempotency_key.unwrap_or(pool.plan.idempotency_key);
    let has_key = by_key && head.get(Known::IdempotencyKey).is_some();
    let path = route.rewritten(head.path()).ok_or(Reject::NoRoute)?;
    let mut fields = Cow::Borrowed(&route.request);
    if !of_hook.is_empty() {
        let mut both = of_hook.clone();
        both.then(&route.request);
        fields = Cow::Owned(both);
    }
    Ok(Way {
        route,
        pool,
        series: snapshot.series_of(Some(route)),
        asking,
        timeout: route.timeout.unwrap_or(pool.plan.timeout),
        abandon: route.abandon.unwrap_or(pool.plan.abandon),
        is_repeatable: has_key || request.is_idempotent(),
        rewrite: Rewrite { path, authority: &route.authority, fields },
        response: &route.response,
    })
}

/// Answers what is no request. There is nothing to read on: the connection ends.
async fn refuse(client: &mut Client, snapshot: &Snapshot, reject: Reject) -> Ended {
    tracing::debug!(client = %client.peer(), reason = %reject, "refused what is no request");
    let (status, rejected) = (reject.status(), Some(reject.name()));
    snapshot.series_of(None).count(&metrics::Ended { status, rejected, ..Default::default() });
    answer::send(client, &snapshot.client, None, None, &reject).await
}
