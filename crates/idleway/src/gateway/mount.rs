//! A gateway without a socket: requests come from within the program that it is a part of.
//!
//! Each request is a visit: a connection in memory, on which the gateway serves as on any other. So there is one way
//! of a request, whatever it came in on, and a caller that drops its future has left as a client leaves that resets.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use bytes::Buf;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, request};
use http_body::Frame;
use idleway_core::Reason;
use idleway_h1::{
    CHUNK_SUFFIX, Framing, HeadReader, Known, Limits, MAX_FIELDS, MAX_HEAD, ResponseHead, chunk_prefix,
    last_chunk_with,
};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use super::body::{Body, fields_of};
use super::counts::{BackendCounts, Drained, PoolStatus, SlotCounts, Totals};
use super::engine::{Engine, current_runtime};
use super::handle::Handle;
use crate::config::Plan;
use crate::error::Reject;
use crate::event::Events;
use crate::hook::Hook;
use crate::message::RequestId;
use crate::net::wire::Wire;
use crate::net::{Admission, Already, Approach, Cores, PipeEnd, Told, pipe};
use crate::proxy;

/// A gateway that is a part of another program's server: it answers what it is given, on the runtime that it was mounted
/// in, whatever kind that is. Clones are the same gateway.
///
/// Under `hyper` it is a service (feature `hyper`), under `tower` and so under axum too (feature `tower`); everywhere else
/// there is [`Mount::answer`].
#[derive(Debug, Clone)]
pub struct Mount(Arc<Mounted>);

#[derive(Debug)]
struct Mounted {
    engine: Engine,
    handle: Handle,
    /// The time of those that are still at work is over.
    cut: Notify,
}

/// Whom a request comes from, to be put among its extensions. Without it the backends are not told, `trusted` and
/// `fair_by = "ip"` cannot tell clients apart, and the log says `0.0.0.0:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Where a request comes from that does not say so.
const UNKNOWN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What an answer's head may take: the gateway has bounded it already.
const ANSWER: Limits = Limits { head: 4 << 20, target: 0, fields: MAX_FIELDS };

impl Mount {
    pub(super) fn start(plan: Plan, hook: Option<Arc<dyn Hook>>) -> io::Result<Self> {
        let cores = Cores::guest(current_runtime()?);
        // Who comes before names were looked up once waits for that with its first attempt.
        let (engine, _) = Engine::start(plan, hook, false, cores);
        let handle = Handle::new(&engine, None);
        Ok(Self(Arc::new(Mounted { engine, handle, cut: Notify::new() })))
    }

    /// Answers a request: with a backend's answer, or with the gateway's own, which carries its [`Reject`] among its
    /// extensions.
    ///
    /// To be called within the runtime that it was mounted in. The future may be dropped at any time, and so may the
    /// answer: that is a client that leaves, and the Slot stays taken as long as the backend works on.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
    {
        let (parts, body) = request.into_parts();
        let core = self.0.engine.cores.first();
        let place = if core.is_leaving() {
            None
        } else {
            Arc::clone(self.0.engine.places.free()).acquire_owned().await.ok()
        };
        let Some(place) = place else { return rejected(&draining()) };
        let (near, far) = pipe();
        let told = Told::new(OnceLock::new());
        let peer = parts.extensions.get::<Peer>().map_or(UNKNOWN, |peer| peer.0);
        let admission = Admission::new(core.seat(), place);
        let approach = Approach::Pipe(far, Arc::clone(&told));
        let serving = Arc::clone(&self.0);
        core.runtime().spawn(async move {
            // What is done for the pools goes on as long as somebody waits for it.
            let live = Arc::clone(&serving.engine.live);
            tokio::select! {
                () = proxy::serve(live, approach, peer, admission, Already::default()) => {}
                () = serving.cut.notified() => {}
            }
        });
        let mut visit = Visit { wire: Wire::new(near.clone()), pump: None };
        let framing = framing_of(&body);
        let head = head_of(&parts, framing);
        // All of it goes before anything of the body. Where the gateway takes no more it has an answer, or is gone: both
        // show at the next read.
        if visit.wire.send(&[IoSlice::new(&head)]).is_ok() {
            let _ = poll_fn(|cx| visit.wire.poll_flush(cx)).await;
        }
        let mut go_on = None;
        if framing != Framing::Empty {
            let (go, may_go) = oneshot::channel();
            let waits = parts.headers.contains_key(EXPECT) && waits_for_a_word(&head);
            let pump = core.runtime().spawn(pump(near, body, framing, waits.then_some(may_go)));
            visit.pump = Some(pump.abort_handle());
            go_on = Some(go);
        }
        match visit.answered(parts.method == http::Method::HEAD, go_on).await {
            Some(head) => visit.hand_out(&head, &told),
            None if core.is_leaving() => rejected(&draining()),
            None => rejected(&Reject::Internal { why: "the request broke off before its answer".to_owned() }),
        }
    }

    /// A hold on it, to tell it something.
    pub fn handle(&self) -> Handle {
        self.0.handle.clone()
    }

    /// How its Slots stand at this moment.
    pub fn slots(&self) -> SlotCounts {
        SlotCounts::of(&self.0.engine.live)
    }

    /// How its backends stand at this moment.
    pub fn backends(&self) -> BackendCounts {
        BackendCounts::of(&self.0.engine.live)
    }

    /// How each of its pools and their backends stand at this moment.
    pub fn pools(&self) -> Vec<PoolStatus> {
        PoolStatus::all(&self.0.engine.live)
    }

    /// What it has counted so far.
    pub fn totals(&self) -> Totals {
        Totals::of(&self.0.engine.live)
    }

    /// What happens to its backends from now on.
    pub fn events(&self) -> Events {
        self.0.engine.live.events()
    }

    /// Stops: new requests are answered 503, what runs is finished within the Plan's `drain_timeout`, also what nobody
    /// waits for any more. Whoever is still in line then is answered 503, and what still runs is cut.
    pub async fn shutdown(&self) -> Drained {
        let drained = self.0.engine.drain().await;
        self.0.cut.notify_waiters();
        let live = Arc::clone(&self.0.engine.live);
        // Where it may block. An error says that the host's runtime has ended.
        let _ = tokio::task::spawn_blocking(move || live.send_what_is_recorded()).await;
        drained
    }
}

/// The caller's side of a request. Dropped, the client has left.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) wire: Wire<PipeEnd>,
    pump: Option<AbortHandle>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(pump) = &self.pump {
            pump.abort();
        }
        self.wire.stream().leave();
    }
}

impl Visit {
    /// The head of the answer; none where there is none. The first word from the gateway lets the body `go`.
    async fn answered(&mut self, to_head: bool, mut go: Option<oneshot::Sender<()>>) -> Option<ResponseHead> {
        loop {
            let mut reader = HeadReader::new(ANSWER);
            let read = poll_fn(|cx| self.wire.poll_head(cx, |bytes| reader.response(bytes, to_head))).await;
            let head = read.ok()?;
            if !head.is_interim() {
                return Some(head);
            }
            if let Some(go) = go.take_if(|_| head.status() == 100) {
                // The pump may have ended.
                let _ = go.send(());
            }
        }
    }

    fn hand_out(self, head: &ResponseHead, told: &OnceLock<Reject>) -> Response<Body> {
        let meant = head.fields().filter(|field| !field.known.is_hop_by_hop());
        let mut response = Response::new(());
        *response.headers_mut() = fields_of(meant.map(|field| (field.name, field.value)));
        // The reader lets no other status through.
        *response.status_mut() = StatusCode::from_u16(head.status()).unwrap_or(StatusCode::BAD_GATEWAY);
        if let Some(reject) = told.get() {
            response.extensions_mut().insert(reject.clone());
        }
        response.map(|()| Body::coming(self, head.framing()))
    }
}

/// Where the body ends that the gateway gets.
fn framing_of(body: &impl http_body::Body) -> Framing {
    match body.size_hint().exact() {
        _ if body.is_end_stream() => Framing::Empty,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    }
}

/// The head as it would have come by a socket. The reader on the other side looks at it as at any other.
fn head_of(parts: &request::Parts, framing: Framing) -> Vec<u8> {
    let uri = &parts.uri;
    let mut head = Vec::with_capacity(512);
    let mut add = |parts: &[&[u8]]| parts.iter().for_each(|part| head.extend_from_slice(part));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let hosts = || parts.headers.get_all(HOST).iter().map(HeaderValue::as_bytes);
    let has_none = uri.authority().is_none() && hosts().next().is_none();
    // Whatever version the client speaks, its server frames the messages; but only HTTP/1.0 knows requests without a host.
    let version: &[u8] = if has_none && parts.version == Version::HTTP_10 { b"1.0" } else { b"1.1" };
    add(&[parts.method.as_str().as_bytes(), b" ", path.as_bytes(), b" HTTP/", version, b"\r\n"]);
    // The target's own comes first (RFC 9112 section 3.2.2); HTTP/2 has no other.
    match uri.authority() {
        Some(authority) => add(&[b"Host: ", authority.as_str().as_bytes(), b"\r\n"]),
        None => hosts().for_each(|host| add(&[b"Host: ", host, b"\r\n"])),
    }
    for (name, value) in &parts.headers {
        let is_ours = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)
            || (name == EXPECT && framing == Framing::Empty);
        if !is_ours {
            add(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        }
    }
    match framing {
        Framing::Length(length) => add(&[format!("Content-Length: {length}\r\n\r\n").as_bytes()]),
        Framing::Chunked => add(&[b"Transfer-Encoding: chunked\r\n\r\n"]),
        _ => add(&[b"\r\n"]),
    }
    head
}

/// Whether the gateway will say a word before it wants the body: it has the same reader.
fn waits_for_a_word(head: &[u8]) -> bool {
    let limits = Limits { head: MAX_HEAD, target: MAX_HEAD, fields: MAX_FIELDS };
    matches!(HeadReader::new(limits).request(head), Ok(Some((head, _))) if head.expects_continue())
}

/// Why a body was not carried to its end.
enum Unfinished {
    /// Its source broke off: the client has left.
    BrokeOff,
    /// The gateway wants no more of it: there is an answer, which is not to be lost.
    Unwanted,
}

/// Carries the body of a request to the gateway. Where it breaks off, the client has left.
async fn pump<B>(end: PipeEnd, body: B, framing: Framing, may_go: Option<oneshot::Receiver<()>>)
where
    B: http_body::Body,
{
    if let Some(may_go) = may_go {
        // Not told: the gateway has answered without the body.
        if may_go.await.is_err() {
            return;
        }
    }
    if let Err(Unfinished::BrokeOff) = carry(&end, body, framing).await {
        end.leave();
    }
}

async fn carry<B>(end: &PipeEnd, body: B, framing: Framing) -> Result<(), Unfinished>
where
    B: http_body::Body,
{
    let mut wire = Wire::new(end.clone());
    let mut body = std::pin::pin!(body);
    let is_chunked = framing == Framing::Chunked;
    let mut left = if let Framing::Length(length) = framing { length } else { u64::MAX };
    let mut trailers = HeaderMap::new();
    // Why it broke off is of no use to the other side.
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx).map(|next| next.map(Result::ok))).await
    {
        let mut data = match frame.map(Frame::into_data).ok_or(Unfinished::BrokeOff)? {
            Ok(data) => data,
            Err(frame) => {
                trailers.extend(frame.into_trailers().unwrap_or_default());
                continue;
            }
        };
        while data.has_remaining() {
            let piece = data.chunk();
            left = left.checked_sub(piece.len() as u64).ok_or(Unfinished::BrokeOff)?;
            let sent = if is_chunked {
                let prefix = chunk_prefix(piece.len());
                let parts = [prefix.as_ref(), piece, CHUNK_SUFFIX];
                wire.send(&parts.map(IoSlice::new))
            } else {
                wire.send(&[IoSlice::new(piece)])
            };
            sent.map_err(|_| Unfinished::Unwanted)?;
            let length = piece.len();
            data.advance(length);
            poll_fn(|cx| wire.poll_flush(cx)).await.map_err(|_| Unfinished::Unwanted)?;
        }
    }
    if is_chunked {
        let mut last = Vec::new();
        let fields =
            trailers.iter().map(|(name, value)| idleway_h1::Field::new(name.as_str(), value.as_bytes()));
        let fields = fields.filter(|field| field.known == Known::Other);
        last_chunk_with(&mut last, fields);
        wire.send(&[IoSlice::new(&last)]).map_err(|_| Unfinished::Unwanted)?;
        poll_fn(|cx| wire.poll_flush(cx)).await.map_err(|_| Unfinished::Unwanted)
    } else {
        if left == 0 { Ok(()) } else { Err(Unfinished::BrokeOff) }
    }
}

fn draining() -> Reject {
    Reject::NoSlot { reason: Reason::Draining, retry_after: std::time::Duration::from_secs(1) }
}

/// The gateway's own answer to what did not get as far as the gateway.
fn rejected(reject: &Reject) -> Response<Body> {
    let id = RequestId::random();
    let mut response = Response::new(Body::said(proxy::problem(reject, &id)));
    *response.status_mut() =
        StatusCode::from_u16(reject.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(after) = reject.retry_after() {
        headers.insert(http::header::RETRY_AFTER, after.as_secs().max(1).into());
    }
    response.extensions_mut().insert(reject.clone());
    response
}

#[cfg(feature = "hyper")]
mod hyper_service {
    use std::convert::Infallible;
    use std::future::Future;
    use std::pin::Pin;

    use http::{Request, Response};

    use super::{Body, Mount};

    impl<B> hyper::service::Service<Request<B>> for Mount
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
    {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

        fn call(&self, request: Request<B>) -> Self::Future {
            let mount = self.clone();
            Box::pin(async move { Ok(mount.answer(request).await) })
        }
    }
}

#[cfg(feature = "tower")]
mod tower_service {
    use std::convert::Infallible;
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http::{Request, Response};

    use super::{Body, Mount};

    /// Always ready: whoever finds no Slot waits in the gateway's own line, or is told.
    impl<B> ::tower_service::Service<Request<B>> for Mount
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
    {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<B>) -> Self::Future {
            let mount = self.clone();
            Box::pin(async move { Ok(mount.answer(request).await) })
        }
    }
}
