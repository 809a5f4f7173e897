//! The Plan: what the gateway was told to do, checked and complete.
//!
//! Nothing here is optional unless "off" is a choice, nothing needs to be parsed again, and each number is
//! within its range: who reads a Plan checks nothing.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use idleway_core::Lane;

use crate::route::Routes;

use super::admin::AdminPlan;
use super::health::HealthPlan;
use super::network::Network;
use super::origin::Origin;
use super::traces::TracesPlan;

/// The validated configuration of one gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The socket on which clients are accepted (`listen`, default 127.0.0.1:5000).
    pub listen: SocketAddr,
    /// How many cores serve, one single-threaded runtime each (`threads`, default: the machine's cores).
    pub threads: usize,
    /// What clients may ask of the gateway's memory and patience.
    pub limits: LimitsPlan,
    /// The clocks of the client's side of a running request.
    pub client: ClientPlan,
    /// What is taken for true of backends at the start (`cold_start`, default `"trust"`).
    pub cold_start: ColdStart,
    /// The path of the socket at which a newer process asks for all that this one has (`handover`, default: none).
    pub handover: Option<PathBuf>,
    /// Where the gateway is looked at and told what to do (`admin`, `admin_token`).
    pub admin: AdminPlan,
    /// How long clients are still accepted once the gateway was told to stop and says that it is not ready any more
    /// (`drain_delay`, default 0).
    pub drain_delay: Duration,
    /// How long running requests may take to finish once the gateway was told to stop (`drain_timeout`,
    /// default 30 s); what is left then is cut.
    pub drain_timeout: Duration,
    /// The pools; a [`Route`](crate::route::Route) names its pool by the index in this list. Empty where all
    /// routes answer by themselves.
    pub pools: Vec<PoolPlan>,
    /// Which request goes to which pool.
    pub routes: Routes,
    /// The networks of the peers whose word about a request is taken: how urgent it is, whom it comes from
    /// (`trusted`, default: nobody's).
    pub trusted: Vec<Network>,
    /// Which requests leave a line in the log, and with what (`access_log`, default: each).
    pub access_log: AccessLogPlan,
    /// Where spans of requests are sent (`traces`, default: nowhere).
    pub traces: Option<TracesPlan>,
}

/// `access_log`: what is logged of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessLogPlan {
    /// Whether any of them is (`access_log = true`).
    pub is_on: bool,
    /// Whether the query of the target is (`query`, default false): secrets may stand there.
    pub query: bool,
    /// How many of those that succeeded, in percent from 0 to 100 (`sample`, default 100); those that failed or were tried again
    /// all are.
    pub sample: u32,
}

impl Default for AccessLogPlan {
    fn default() -> Self {
        AccessLogPlan { is_on: true, query: false, sample: 100 }
    }
}

/// What a gateway that starts takes for true of its backends: the process before it may have left work at them, and is not
/// there to tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ColdStart {
    /// They are idle.
    #[default]
    Trust,
    /// Nothing: each Slot rests until its backend has answered a probe on a connection of its own.
    Prove,
    /// They are idle after so long: until then each Slot rests.
    Wait(Duration),
}

/// `[limits]`: what is too much, for each client and for all together.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitsPlan {
    /// Bytes of a head, request line included (`head`, default 32 KiB); more is answered 431.
    pub head: usize,
    /// Bytes of a request target (`target`, default 8 KiB); more is answered 414.
    pub target: usize,
    /// Fields of a head (`fields`, default 100, at most 256); more is answered 431.
    pub fields: usize,
    /// Bytes of a request body (`body`, default: no limit); more is answered 413.
    pub body: Option<u64>,
    /// Client connections at once, over all cores (`connections`, default 10,000).
    pub connections: usize,
    /// Bytes of all bodies held in memory at once, over all cores (`buffered`, default 256 MiB).
    pub buffered: u64,
    /// How long a client connection may stay without a request (`keep_alive`, default 75 s; 0: closed after
    /// each answer).
    pub keep_alive: Duration,
    /// How long a request head may take from its first byte to its last (`head_timeout`, default 30 s); then
    /// 408.
    pub head_timeout: Duration,
}

impl Default for LimitsPlan {
    fn default() -> Self {
        LimitsPlan {
            head: 32 << 10,
            target: 8 << 10,
            fields: 100,
            body: None,
            connections: 10_000,
            buffered: 256 << 20,
            keep_alive: Duration::from_secs(75),
            head_timeout: Duration::from_secs(30),
        }
    }
}

/// `[client]`: how slow a client may be. Never counted against a backend's health.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientPlan {
    /// The longest silence of a client that is sending its body (`read`, default 30 s).
    pub read: Duration,
    /// The longest time a client takes no byte of its answer (`write`, default 30 s).
    pub write: Duration,
    /// The fewest bytes a second, either way, while the request holds a Slot (`rate`, default 1 KiB; 0: no
    /// minimum).
    pub rate: u64,
    /// What a FIN of a client means whose request has no answer yet (`fin`, default `"ask"`).
    pub fin: Fin,
}

/// What a client means that sends FIN before it has its answer: close and half-close look alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fin {
    /// It is asked by an interim 102, which a closed socket answers with a reset. A client that knows no interim
    /// responses (HTTP/1.0) has gone.
    #[default]
    Ask,
    /// It has gone.
    Gone,
    /// It is there and waits for its answer; only a reset is a departure.
    Answer,
}

impl Default for ClientPlan {
    fn default() -> Self {
        ClientPlan {
            read: Duration::from_secs(30),
            write: Duration::from_secs(30),
            rate: 1 << 10,
            fin: Fin::default(),
        }
    }
}

/// `[pools.NAME]`, or the pool keys at the top level: interchangeable backends and their one line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolPlan {
    /// The name that routes, logs and metrics use.
    pub name: String,
    /// The backends, at least one; no address appears twice in a Plan.
    pub backends: Vec<BackendPlan>,
    /// How long a connect may take (`connect_timeout`, default 1 s).
    pub connect_timeout: Duration,
    /// The longest silence of a backend, before the response head and between its bytes (`timeout`, default
    /// 60 s); then 504.
    pub timeout: Duration,
    /// The whole request from arrival to last byte (`deadline`, default: none); then 504.
    pub deadline: Option<Duration>,
    /// The line (`queue`, default: none, refuse at once).
    pub queue: QueuePlan,
    /// How often a request may be tried again elsewhere (`retry`).
    pub retry: RetryPlan,
    /// The statuses, from 400 to 599, by which a backend says "busy, nothing ran" (`busy_status`, default: none);
    /// sorted, none twice.
    pub busy_status: Vec<u16>,
    /// The longest a backend rests after such an answer, whatever its `Retry-After` says (`busy_rest_max`, default
    /// 10 s).
    pub busy_rest_max: Duration,
    /// Whether a request that carries `Idempotency-Key` may be repeated whatever its method (`idempotency_key`,
    /// default false).
    pub idempotency_key: bool,
    /// When a backend is up (`health`).
    pub health: HealthPlan,
    /// What the host names of its backends stand for where they do not say so themselves (`resolve`, default
    /// `"one"`).
    pub resolve: Resolve,
    /// How often host names are looked up (`resolve_every`, default 5 s).
    pub resolve_every: Duration,
    /// Whether connections to backends are kept between requests (`keep_alive`, default true).
    pub keep_alive: bool,
    /// How long a kept connection may be idle before it is closed (`keep_idle`, default 2 s).
    pub keep_idle: Duration,
    /// Bytes of a request body read before the request joins the line (`request_buffer`, default 64 KiB).
    pub request_buffer: u64,
    /// Bytes of a response that a slow client may leave with the gateway, so that the Slot is free sooner
    /// (`response_buffer`, default 256 KiB).
    pub response_buffer: u64,
    /// What becomes of work that nobody waits for any more (`abandon`, default `"linger"`).
    pub abandon: Abandon,
    /// How long a backend may take to stop once it was told to (`cancel_wait`, default 1 s); then its Slot rests.
    pub cancel_wait: Duration,
    /// How long abandoned work may go on unseen before its Slot rests until a proof (`linger`, default: without
    /// bound).
    pub linger: Option<Duration>,
    /// How long a Slot rests after each response, for backends that work on after it (`settle`, default 0).
    pub settle: Duration,
    /// Who shares the Slots' time with whom (`fair_by`, default `"none"`).
    pub fair_by: FairBy,
    /// The part of the Slots' time that a key is due, where that is not 1 (`weights`).
    pub weights: BTreeMap<String, u32>,
    /// The most Slots one key may have at once (`slots_per_key`, default: no bound).
    pub slots_per_key: Option<u32>,
    /// How urgent the pool's requests are (`priority`, default `"normal"`).
    pub priority: Priority,
    /// The request field in which a client says how long it waits for the whole answer (`deadline_header`, default:
    /// none).
    pub deadline_header: Option<String>,
}

/// What becomes of a backend's work when nobody waits for it any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Abandon {
    /// It goes on, and its Slot lingers until the backend has ended it.
    #[default]
    Linger,
    /// The backend is told to stop: the operator knows that it does.
    Cancel,
}

/// In whose name a request asks for a Slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FairBy {
    /// In nobody's: first come, first served.
    #[default]
    None,
    /// In that of its client's address.
    Ip,
    /// In that of this field's value; the name in small letters.
    Header(String),
}

/// How urgent requests are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Priority {
    /// As urgent as this.
    Fixed(Lane),
    /// As a peer that is trusted says in this field, else normal; the name in small letters.
    Header(String),
}

impl Default for Priority {
    fn default() -> Self {
        Priority::Fixed(Lane::Normal)
    }
}

impl PoolPlan {
    /// A pool of these backends with every setting at its default.
    pub fn new(name: impl Into<String>, backends: Vec<BackendPlan>) -> Self {
        PoolPlan {
            name: name.into(),
            backends,
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(60),
            deadline: None,
            queue: QueuePlan::default(),
            retry: RetryPlan::default(),
            busy_status: Vec::new(),
            busy_rest_max: Duration::from_secs(10),
            idempotency_key: false,
            health: HealthPlan::default(),
            resolve: Resolve::default(),
            resolve_every: Duration::from_secs(5),
            keep_alive: true,
            keep_idle: Duration::from_secs(2),
            request_buffer: 64 << 10,
            response_buffer: 256 << 10,
            abandon: Abandon::default(),
            cancel_wait: Duration::from_secs(1),
            linger: None,
            settle: Duration::ZERO,
            fair_by: FairBy::default(),
            weights: BTreeMap::new(),
            slots_per_key: None,
            priority: Priority::default(),
            deadline_header: None,
        }
    }
}

/// `queue = { length, wait }`: how many requests wait for a Slot, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueuePlan {
    /// Requests in line at once; 0: refuse at once when no Slot is idle.
    pub length: usize,
    /// The longest wait (default 30 s); then 503.
    pub wait: Duration,
    /// The longest wait that a client may ask for itself, by `Prefer: wait=N` (default: `wait`).
    pub wait_max: Duration,
}

impl Default for QueuePlan {
    fn default() -> Self {
        QueuePlan { length: 0, wait: Duration::from_secs(30), wait_max: Duration::from_secs(30) }
    }
}

/// `retry = { attempts, budget, floor }`: how often requests may be tried again on another backend.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPlan {
    /// How many backends one request may try, from 1 to 100 (`attempts`, default 3; 1: no failover).
    pub attempts: u32,
    /// The share of the requests that may be retries, in percent from 0 to 100 (`budget`, default 20).
    pub budget: u32,
    /// Retries a second that are allowed beside the budget, at most 1,000,000 (`floor`, default 10).
    pub floor: u32,
}

impl Default for RetryPlan {
    fn default() -> Self {
        RetryPlan { attempts: 3, budget: 20, floor: 10 }
    }
}

/// What the host name of a backend stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Resolve {
    /// For one backend, whose addresses are tried in turn.
    #[default]
    One,
    /// For a backend at each address of one family.
    All,
}

/// One backend of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendPlan {
    /// Where it listens.
    pub origin: Origin,
    /// How many requests it may work on at once, at least 1; each backend, where its name stands for several.
    pub slots: u32,
    /// What its host name stands for (`resolve`, default: the pool's); always [`Resolve::One`] for an address.
    pub resolve: Resolve,
}

/// Where clients are accepted unless told otherwise: the address of the program Idleway grew from.
pub(super) const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);

/// The longest path of a socket, in bytes, that Linux and macOS both take.
pub(super) const LONGEST_SOCKET: usize = 103;

/// How long what runs may take to finish after a SIGTERM.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
