//! The data plane. This page is a request's way through the gateway:
//!
//! ```text
//! serve: one connection, its requests in order → snapshot taken once → guard → route → what it asks for
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
mod forward;
mod frame;
#[cfg(fuzzing)]
pub mod fuzzing;
mod guard;
mod headers;
mod linger;
mod pace;
mod record;
mod relay;
mod upload;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use idleway_h1::{Known, RequestHead};
use tokio::net::TcpStream;

use self::asking::Asking;
use self::record::Record;
use crate::config::Abandon;
use crate::error::Reject;
use crate::live::{Live, LivePool, Snapshot};
use crate::message::Request;
use crate::net::{Admission, Client, Departed, Next};

/// Serves one client connection: its requests in order, until it ends.
pub(crate) async fn serve(live: Arc<Live>, stream: TcpStream, peer: SocketAddr, admission: Admission) {
    let core = Arc::clone(admission.seat.core());
    let mut snapshot = live.snapshot();
    let mut client = Client::new(stream, peer, Arc::clone(&core), snapshot.client.head_timeout);
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
        };
        if ended != Ended::Kept {
            break ended;
        }
    };
    match ended {
        Ended::Kept | Ended::Gone => {}
        Ended::Reset => client.reset(),
        Ended::Closed => {
            let silence = snapshot.client.write;
            Box::pin(client.close(silence)).await;
        }
    }
}

// The data plane may be mounted in anyone's runtime, a work-stealing one too: its futures are `Send`, all of them,
// since this one holds them all.
const _: fn(Arc<Live>, TcpStream, SocketAddr, Admission) = |live, stream, peer, admission| {
    fn is_send(_: impl Send) {}
    is_send(serve(live, stream, peer, admission));
};

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
}

/// Why a request's way ended early.
#[derive(Debug)]
enum Stop {
    /// The gateway itself answers.
    Reject(Reject),
    Departed(Departed),
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
    let request = Request::new(head, peer, Arc::clone(client.address()), snapshot.trusts(peer.ip()));
    let mut record = Record::new(&request, snapshot.plan.access_log);
    let way = find_way(live, snapshot, &request, &mut record);
    let applied = way.as_ref().ok().and_then(|way| way.asking.applied());
    let travelled = match way {
        Ok(way) => forward::forward(client, live, snapshot, &request, &way, &mut record).await,
        Err(reject) => Err(reject.into()),
    };
    let ended = match travelled {
        Ok(ended) => ended,
        Err(Stop::Departed(departed)) => {
            record.departed(departed);
            Ended::Gone
        }
        Err(Stop::Reject(reject)) => {
            record.rejected(&reject);
            answer::send(client, &snapshot.client, Some(&request), applied, &reject).await
        }
    };
    record.end(client.body_received());
    ended
}

/// Where a request goes, and what holds for it there.
struct Way<'a> {
    pool: &'a Arc<LivePool>,
    asking: Asking<'a>,
    /// What becomes of its work when nobody waits for it any more.
    abandon: Abandon,
    /// It may be done twice with the effect of once: by its method, or by an `Idempotency-Key` where the route says so.
    is_repeatable: bool,
}

fn find_way<'a>(
    live: &Live,
    snapshot: &'a Snapshot,
    request: &'a Request,
    record: &mut Record<'a>,
) -> Result<Way<'a>, Reject> {
    let head = &request.head;
    guard::admit(request, live.via(), snapshot.client.body)?;
    let (route, pool) =
        snapshot.route_for(head.method(), head.authority(), head.path()).ok_or(Reject::NoRoute)?;
    record.pool(pool);
    let asking = Asking::read(request, route, &pool.plan, &snapshot.plan.trusted)?;
    let abandon = route.abandon.unwrap_or(pool.plan.abandon);
    let by_key = route.idempotency_key.unwrap_or(pool.plan.idempotency_key);
    let has_key = by_key && head.get(Known::IdempotencyKey).is_some();
    Ok(Way { pool, asking, abandon, is_repeatable: has_key || request.is_idempotent() })
}

/// Answers what is no request. There is nothing to read on: the connection ends.
async fn refuse(client: &mut Client, snapshot: &Snapshot, reject: Reject) -> Ended {
    tracing::debug!(client = %client.peer(), reason = %reject, "refused what is no request");
    answer::send(client, &snapshot.client, None, None, &reject).await
}
