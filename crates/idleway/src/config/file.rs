//! The shape of the configuration file: its tables and keys, and what kind of [`value`](super::value) each takes.
//!
//! The words at each key are what an editor shows, by way of the JSON Schema ([`schema`](super::schema)); a default that
//! stands there is the Plan's. Values whose meaning may be wrong keep their span for [`meaning`](super::meaning).

use std::collections::BTreeMap;
use std::fmt;

#[cfg(feature = "cli")]
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};

#[cfg(feature = "cli")]
use super::schema;
use super::spanned::Spanned;
use super::value::{AccessLog, Count, Header, Methods, Period, Share, Size, Statuses, Switched};

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) gateway: GatewayKeys,
    /// The pool keys at the top level, if there is one of them.
    pub(super) default_pool: Option<PoolKeys>,
}

/// The top level without the pool keys.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct GatewayKeys {
    /// The address on which clients are accepted.
    #[cfg_attr(feature = "cli", schemars(with = "Option<schema::Address>", extend("default" = "127.0.0.1:5000", "examples" = ["127.0.0.1:5000", "0.0.0.0:8080", "[::1]:5000"])))]
    pub(super) listen: Option<Spanned<String>>,
    /// How many cores serve, one single-threaded runtime each. Default: the machine's cores.
    #[cfg_attr(feature = "cli", schemars(extend("minimum" = 1, "maximum" = 1024, "examples" = [2])))]
    pub(super) threads: Option<Spanned<Count>>,
    /// What is taken for true of backends when the gateway starts and nobody tells it what they are at: "trust": they are idle;
    /// "prove": each Slot rests until the backend has answered a probe; a duration: each rests for so long.
    #[cfg_attr(feature = "cli", schemars(with = "Option<schema::ColdStart>", extend("default" = "trust", "examples" = ["prove", "30s"])))]
    pub(super) cold_start: Option<Spanned<String>>,
    /// The path of a socket at which a newer process asks this one for all that it has: its listener, its clients, and which
    /// Slots are busy still. Default: nobody can ask.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = ["/run/idleway/handover"])))]
    pub(super) handover: Option<Spanned<String>>,
    /// The address of the admin API: `/livez`, `/readyz`, how everything stands, and what can be changed while the gateway
    /// runs; `false`: there is none.
    #[cfg_attr(feature = "cli", schemars(with = "Option<schema::Admin>", extend("default" = "127.0.0.1:5001", "examples" = ["127.0.0.1:5001", false])))]
    pub(super) admin: Option<Spanned<Switched>>,
    /// What whoever changes something by the admin API has to say. Default: a random word, which the program writes at its start to
    /// a file that only its user can read; where others than this machine reach the API it has to be set.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = ["${file:/etc/idleway/admin-token}"])))]
    pub(super) admin_token: Option<Spanned<String>>,
    /// How long clients are still accepted after SIGTERM: not ready any more, but not gone before a load balancer has seen
    /// that.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "0", "examples" = ["5s"])))]
    pub(super) drain_delay: Option<Spanned<Period>>,
    /// How long running requests, abandoned work too, may take to finish after SIGTERM; what is left then is
    /// cut, and the log says so.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "30s")))]
    pub(super) drain_timeout: Option<Spanned<Period>>,
    /// Whether each request leaves one line in the log; or how it does, in a table.
    #[cfg_attr(feature = "cli", schemars(extend("default" = true, "examples" = [false])))]
    pub(super) access_log: Option<AccessLog>,
    /// Spans of requests for OpenTelemetry, sent to a collector (OTLP over HTTP). Default: none.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = [{ "endpoint": "http://127.0.0.1:4318", "sample": "10%" }])))]
    pub(super) traces: Option<Spanned<TracesKeys>>,
    /// Addresses and networks of the proxies and callers whose word about a request is taken: how urgent it is,
    /// and in `X-Forwarded-*` whom it comes from. Default: nobody.
    #[serde(default)]
    #[cfg_attr(feature = "cli", schemars(with = "Vec<schema::Network>", extend("default" = [], "examples" = [["10.0.0.0/8", "127.0.0.1"]])))]
    pub(super) trusted: Vec<Spanned<String>>,
    /// What is too much, for each client and for all together.
    #[serde(default)]
    pub(super) limits: LimitsKeys,
    /// How slow a client may be. Never counted against a backend.
    #[serde(default)]
    pub(super) client: ClientKeys,
    /// The pools, by their names: words of up to 64 letters, digits, `-` and `_`. The pool keys at the top
    /// level make a pool `default`.
    #[serde(default)]
    #[cfg_attr(feature = "cli", schemars(extend("propertyNames" = { "pattern": "^[A-Za-z0-9_-]{1,64}$" })))]
    pub(super) pools: BTreeMap<Spanned<String>, PoolKeys>,
    /// Which request goes to which pool: the most specific route that takes it. Without any, the only pool
    /// takes every request.
    #[serde(default)]
    pub(super) routes: Vec<Spanned<RouteKeys>>,
}

/// `[limits]`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct LimitsKeys {
    /// Bytes of a request's head, request line included; more is answered 431.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "32KiB")))]
    pub(super) head: Option<Spanned<Size>>,
    /// Bytes of a request's target; more is answered 414.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "8KiB")))]
    pub(super) target: Option<Spanned<Size>>,
    /// Fields of a request's head; more is answered 431.
    #[cfg_attr(feature = "cli", schemars(extend("default" = 100, "minimum" = 1, "maximum" = 256)))]
    pub(super) fields: Option<Spanned<Count>>,
    /// Bytes of a request's body; more is answered 413. Default: no limit.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = ["10MB"])))]
    pub(super) body: Option<Spanned<Size>>,
    /// Connections of clients at once; beyond it nobody is accepted until one ends.
    #[cfg_attr(feature = "cli", schemars(extend("default" = 10000, "minimum" = 1, "maximum" = 1000000)))]
    pub(super) connections: Option<Spanned<Count>>,
    /// Bytes of all bodies held in memory at once; beyond it they go at the pace of the slower side.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "256MiB")))]
    pub(super) buffered: Option<Spanned<Size>>,
    /// How long a client's connection may stay without a request; 0: it is closed after each answer.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "75s")))]
    pub(super) keep_alive: Option<Spanned<Period>>,
    /// How long a request's head may take from its first byte to its last; then 408.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "30s")))]
    pub(super) head_timeout: Option<Spanned<Period>>,
}

/// `client = { … }`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct ClientKeys {
    /// The longest silence of a client that is sending its body; then 408.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "30s")))]
    pub(super) read: Option<Spanned<Period>>,
    /// The longest time a client takes no byte of its answer; then it is cut.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "30s")))]
    pub(super) write: Option<Spanned<Period>>,
    /// The fewest bytes a second, either way, while the request holds a Slot and the gateway waits for the
    /// client; 0: none.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "1KiB")))]
    pub(super) rate: Option<Spanned<Size>>,
    /// What it means that a client sends FIN before it has its answer: `"ask"`: it is asked, by an interim 102,
    /// and has gone if its socket is closed; `"gone"`: it has gone; `"answer"`: it waits.
    #[cfg_attr(feature = "cli", schemars(with = "Option<schema::Fin>", extend("default" = "ask")))]
    pub(super) fin: Option<Spanned<String>>,
}

/// `[pools.NAME]`, or at the top level for the pool `default`.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[cfg_attr(feature = "cli", schemars(extend("dependencies" = schema::pool_dependencies())))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct PoolKeys {
    /// The backends: each `"http://HOST:PORT"` or `{ url = "http://HOST:PORT", slots = N, resolve = "all" }`.
    #[cfg_attr(feature = "cli", schemars(extend("minItems" = 1, "examples" = [["http://127.0.0.1:6000", { "url": "http://127.0.0.1:6001", "slots": 4 }]])))]
    pub(super) backends: Option<Spanned<Vec<Spanned<BackendEntry>>>>,
    /// How many requests each backend may work on at once.
    #[cfg_attr(feature = "cli", schemars(extend("default" = 1, "minimum" = 1, "maximum" = 100000)))]
    pub(super) slots: Option<Spanned<Count>>,
    /// How long a connect may take, over all addresses of a host name.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "1s")))]
    pub(super) connect_timeout: Option<Spanned<Period>>,
    /// The longest silence of a backend, before the response head and between its bytes; then 504, and
    /// `abandon` says what becomes of the work.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "60s")))]
    pub(super) timeout: Option<Spanned<Period>>,
    /// The whole request, from arrival to last byte; then 504. Default: none.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = ["5m"])))]
    pub(super) deadline: Option<Spanned<Period>>,
    /// The line in which requests wait for a Slot. Default: none, a request that finds no idle Slot is refused
    /// at once.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = [{ "length": 100, "wait": "30s" }])))]
    pub(super) queue: Option<Spanned<QueueKeys>>,
    /// How often requests may be tried again on another backend.
    pub(super) retry: Option<RetryKeys>,
    /// Statuses, from 400 to 599, by which a backend says that it is busy and ran nothing: the request goes to
    /// another one. Default: none.
    #[serde(default)]
    #[cfg_attr(feature = "cli", schemars(extend("default" = [], "examples" = [[503, 429]], "items" = { "type": "integer", "minimum": 400, "maximum": 599 })))]
    pub(super) busy_status: Vec<Spanned<Count>>,
    /// The longest a backend rests after such an answer, whatever its `Retry-After` says. Only with
    /// `busy_status`.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "10s")))]
    pub(super) busy_rest_max: Option<Spanned<Period>>,
    /// Whether a request that carries `Idempotency-Key` may be repeated on another backend whatever its method,
    /// since the backends know it again.
    #[cfg_attr(feature = "cli", schemars(extend("default" = false)))]
    pub(super) idempotency_key: Option<bool>,
    /// When a backend is taken out, and how it comes back.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = [{ "path": "/healthz" }])))]
    pub(super) health: Option<HealthKeys>,
    /// What a host name in `backends` stands for: `"one"`: one backend, whose addresses are tried in turn;
    /// `"all"`: a backend, with `slots` of its own, at each address of one family.
    #[cfg_attr(feature = "cli", schemars(with = "Option<schema::Resolve>", extend("default" = "one")))]
    pub(super) resolve: Option<Spanned<String>>,
    /// How often host names are looked up. Only with a host name in `backends`.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "5s")))]
    pub(super) resolve_every: Option<Spanned<Period>>,
    /// Whether connections to backends are kept between requests; `false` for pre-fork servers behind one port.
    #[cfg_attr(feature = "cli", schemars(extend("default" = true)))]
    pub(super) keep_alive: Option<bool>,
    /// How long a kept connection may be idle; less if the backend's `Keep-Alive: timeout` says so.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "2s")))]
    pub(super) keep_idle: Option<Spanned<Period>>,
    /// How much of a request's body is read before the request asks for a Slot.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "64KiB")))]
    pub(super) request_buffer: Option<Spanned<Size>>,
    /// How much of a response a slow client may leave with the gateway, so that the Slot is free sooner.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "256KiB")))]
    pub(super) response_buffer: Option<Spanned<Size>>,
    /// What becomes of work that nobody waits for any more: `"linger"`: it goes on, and its Slot stays taken
    /// until the backend has ended it; `"cancel"`: the connection is closed for writing, for backends that are
    /// known to stop then.
    #[cfg_attr(feature = "cli", schemars(with = "Option<schema::Abandon>", extend("default" = "linger")))]
    pub(super) abandon: Option<Spanned<String>>,
    /// How long a backend may take to stop; then its Slot rests.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "1s")))]
    pub(super) cancel_wait: Option<Spanned<Period>>,
    /// How long abandoned work may go on; then its Slot rests until the backend has proved that it answers.
    /// Default: no bound.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = ["10m"])))]
    pub(super) linger: Option<Spanned<Period>>,
    /// How long a Slot rests after each response, for backends that work on after it.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "0", "examples" = ["50ms"])))]
    pub(super) settle: Option<Spanned<Period>>,
    /// Whose requests share the Slots' time evenly: `"ip"`: each client address (of IPv6 each /64);
    /// `"header:NAME"`: each value of that field; `"none"`: first come, first served.
    #[cfg_attr(feature = "cli", schemars(with = "Option<schema::FairBy>", extend("default" = "none", "examples" = ["header:x-api-key", "ip"])))]
    pub(super) fair_by: Option<Spanned<String>>,
    /// Who is due a larger share, from 1 to 1000; `""` is who lacks the field. Only with `fair_by`. Default: 1
    /// each.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = [{ "key-a": 4 }], "additionalProperties" = { "type": "integer", "minimum": 1, "maximum": 1000 })))]
    pub(super) weights: Option<Spanned<Weights>>,
    /// How many Slots one key may have at once. Only with `fair_by`. Default: no bound.
    #[cfg_attr(feature = "cli", schemars(extend("minimum" = 1, "maximum" = u32::MAX, "examples" = [2])))]
    pub(super) slots_per_key: Option<Spanned<Count>>,
    /// How urgent the pool's requests are: `"high"`, `"normal"` or `"low"`; or `"header:NAME"`: as a `trusted`
    /// peer says in that field.
    #[cfg_attr(feature = "cli", schemars(with = "Option<schema::Priority>", extend("default" = "normal", "examples" = ["low", "header:priority"])))]
    pub(super) priority: Option<Spanned<String>>,
    /// The request field in which a client says how long it waits for the whole answer. Default: none.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = ["x-request-deadline"])))]
    pub(super) deadline_header: Option<Spanned<String>>,
}

/// `weights = { … }`: by the value that names the key.
pub(super) type Weights = BTreeMap<Spanned<String>, Spanned<Count>>;

/// The keys of [`PoolKeys`]: at the top level they are the default pool's.
pub(super) const POOL_KEYS: [&str; 26] = [
    "backends",
    "slots",
    "connect_timeout",
    "timeout",
    "deadline",
    "queue",
    "retry",
    "busy_status",
    "busy_rest_max",
    "idempotency_key",
    "health",
    "resolve",
    "resolve_every",
    "keep_alive",
    "keep_idle",
    "request_buffer",
    "response_buffer",
    "abandon",
    "cancel_wait",
    "linger",
    "settle",
    "fair_by",
    "weights",
    "slots_per_key",
    "priority",
    "deadline_header",
];

/// `queue = { … }`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[cfg_attr(feature = "cli", schemars(extend("required" = ["length"])))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct QueueKeys {
    /// How many requests may wait; 0: none.
    #[cfg_attr(feature = "cli", schemars(extend("minimum" = 0, "maximum" = 1000000, "examples" = [100])))]
    pub(super) length: Option<Spanned<Count>>,
    /// How long each may wait; then 503.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "30s")))]
    pub(super) wait: Option<Spanned<Period>>,
    /// How long a client may ask to wait, by `Prefer: wait=N`. Default: as long as `wait`.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = ["2m"])))]
    pub(super) wait_max: Option<Spanned<Period>>,
}

/// `retry = { … }`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RetryKeys {
    /// How many backends one request may try; 1: no failover.
    #[cfg_attr(feature = "cli", schemars(extend("default" = 3, "minimum" = 1, "maximum" = 100)))]
    pub(super) attempts: Option<Spanned<Count>>,
    /// The share of the pool's requests of about the last 10 s that may be retries.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "20%")))]
    pub(super) budget: Option<Spanned<Share>>,
    /// Retries a second that are allowed beside the budget.
    #[cfg_attr(feature = "cli", schemars(extend("default" = 10, "minimum" = 0, "maximum" = 1000000)))]
    pub(super) floor: Option<Spanned<Count>>,
}

/// `health = { … }`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct HealthKeys {
    /// Path and query of the request that is a probe. Default: no probes.
    #[cfg_attr(feature = "cli", schemars(with = "Option<schema::Path>", extend("examples" = ["/healthz"])))]
    pub(super) path: Option<Spanned<String>>,
    /// Whether a probe only connects, for what has no path that is cheap to ask for, or speaks no HTTP.
    #[cfg_attr(feature = "cli", schemars(extend("default" = false)))]
    pub(super) tcp: Option<Spanned<bool>>,
    /// The method of a probe. Only with `path`.
    #[cfg_attr(feature = "cli", schemars(with = "Option<schema::Method>", extend("default" = "GET", "examples" = ["HEAD"])))]
    pub(super) method: Option<Spanned<String>>,
    /// What the field `Host` of a probe says. Only with `path`. Default: the backend's host and port.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = ["api.example.com"])))]
    pub(super) host: Option<Spanned<String>>,
    /// Which answers to a probe are good: a status, a range, a class like `"2xx"`, or a list of these. Only
    /// with `path`.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "200-399", "examples" = [204, "2xx", [200, "300-399"]])))]
    pub(super) status: Option<Spanned<Statuses>>,
    /// The time from one probe of a backend to the next. Only with probes.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "2s")))]
    pub(super) every: Option<Spanned<Period>>,
    /// How long a probe may take. Only with probes.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "2s")))]
    pub(super) timeout: Option<Spanned<Period>>,
    /// So many good probes in a row bring a backend back. Only with probes.
    #[cfg_attr(feature = "cli", schemars(extend("default" = 1, "minimum" = 1, "maximum" = 1000)))]
    pub(super) rise: Option<Spanned<Count>>,
    /// So many failed probes in a row take a backend out. Only with probes.
    #[cfg_attr(feature = "cli", schemars(extend("default" = 2, "minimum" = 1, "maximum" = 1000)))]
    pub(super) fall: Option<Spanned<Count>>,
    /// Whether a probe opens a connection beside the work instead of taking a Slot. Only with probes.
    #[cfg_attr(feature = "cli", schemars(extend("default" = false)))]
    pub(super) dedicated: Option<Spanned<bool>>,
    /// So many exchanges in a row that broke (reset, closed without an answer, nonsense) take a backend out.
    #[cfg_attr(feature = "cli", schemars(extend("default" = 3, "minimum" = 1, "maximum" = 1000)))]
    pub(super) failures: Option<Spanned<Count>>,
    /// How long a backend is left alone when it was taken out, give or take a little; twice as long with each
    /// further failure.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "100ms")))]
    pub(super) pause: Option<Spanned<Period>>,
    /// The longest pause; `pause`, if that is longer.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "5s")))]
    pub(super) pause_max: Option<Spanned<Period>>,
    /// By how much a backend's share of failed requests may be larger than that of the rest of the pool before
    /// it is taken out; `"0%"`: off.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "50%")))]
    pub(super) outlier: Option<Spanned<Share>>,
    /// While less than this share of the pool's backends is up, those that were taken out although they can be
    /// connected to get requests too; `"0%"`: off.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "10%")))]
    pub(super) panic: Option<Spanned<Share>>,
    /// The time within which a backend that returns gets its Slots, one by one; 0: all at once.
    #[cfg_attr(feature = "cli", schemars(extend("default" = "10s")))]
    pub(super) slow_start: Option<Spanned<Period>>,
}

/// `[[routes]]`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RouteKeys {
    /// Only requests for this host, in any case of letters, on any port. Default: any.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = ["api.example.com"])))]
    pub(super) host: Option<Spanned<String>>,
    /// Only requests whose path begins with these segments: `/process` takes `/process/x`, not `/processes`.
    /// Default: any.
    #[cfg_attr(feature = "cli", schemars(with = "Option<schema::Path>", extend("examples" = ["/process"])))]
    pub(super) path: Option<Spanned<String>>,
    /// The path itself, and nothing below it. A slash at its end makes no difference.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = ["/healthz"])))]
    pub(super) exact: Option<Spanned<String>>,
    /// Only requests with this method, or one of these. Default: any.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = ["POST", ["GET", "HEAD"]])))]
    pub(super) method: Option<Spanned<Methods>>,
    /// Only requests with these header fields: a value, or `true` for one that is there, `false` for one that is not.
    #[serde(default)]
    #[cfg_attr(feature = "cli", schemars(extend("examples" = [{ "x-tier": "gold", "x-debug": true }])))]
    pub(super) header: BTreeMap<Spanned<String>, Spanned<Header>>,
    /// The pool. Default: the one that the pool keys at the top level make, or the only one.
    pub(super) pool: Option<Spanned<String>>,
    /// The path that the backend is sent in place of the one that the route asks for; `"/"` takes that away.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = ["/", "/v2"])))]
    pub(super) replace: Option<Spanned<String>>,
    /// An answer that the gateway gives by itself, in place of a pool.
    pub(super) answer: Option<Spanned<AnswerKeys>>,
    /// Another place that the client is sent to, in place of a pool.
    pub(super) redirect: Option<Spanned<RedirectKeys>>,
    /// What is changed about the requests that the backends get.
    pub(super) request: Option<Spanned<RequestKeys>>,
    /// What is changed about the answers that the clients get.
    #[serde(default)]
    pub(super) response: ResponseKeys,
    /// As the pool's, for these requests alone.
    pub(super) timeout: Option<Spanned<Period>>,
    /// As the pool's, for these requests alone.
    pub(super) deadline: Option<Spanned<Period>>,
    /// The wait in the pool's line, for these requests alone.
    pub(super) queue: Option<Spanned<RouteQueueKeys>>,
    /// As `limits.body`, for these requests alone; then 413.
    pub(super) max_body: Option<Spanned<Size>>,
    /// As the pool's, for these requests alone.
    #[cfg_attr(feature = "cli", schemars(with = "Option<schema::Abandon>"))]
    pub(super) abandon: Option<Spanned<String>>,
    /// As the pool's, for these requests alone.
    #[cfg_attr(feature = "cli", schemars(with = "Option<schema::Priority>"))]
    pub(super) priority: Option<Spanned<String>>,
    /// As the pool's, for these requests alone.
    pub(super) idempotency_key: Option<Spanned<bool>>,
}

/// `answer = { … }` of a route
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct AnswerKeys {
    /// 200 to 599. Default: 200.
    pub(super) status: Option<Spanned<Count>>,
    /// What it says. Default: nothing.
    pub(super) body: Option<String>,
    /// The media type of the body. Default: `text/plain; charset=utf-8`.
    #[serde(rename = "type")]
    pub(super) kind: Option<Spanned<String>>,
}

/// `access_log = { … }`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct AccessLogKeys {
    /// Whether the line has the query of the target, in which secrets may stand. Default: false.
    pub(super) query: Option<bool>,
    /// How many of the requests that succeeded leave a line; those that failed, or were tried again, all do. Default: 100%.
    pub(super) sample: Option<Spanned<Share>>,
}

/// `traces = { … }`
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct TracesKeys {
    /// Where the collector takes OTLP over HTTP: `"http://HOST:PORT"`, whose usual port is 4318.
    #[cfg_attr(feature = "cli", schemars(extend("examples" = ["http://127.0.0.1:4318"])))]
    pub(super) endpoint: Option<Spanned<String>>,
    /// How many of the requests that come without a `traceparent` are recorded; of the others those that their sender records.
    /// Default: 100%.
    pub(super) sample: Option<Spanned<Share>>,
    /// What the gateway is called there. Default: `idleway`.
    pub(super) service: Option<Spanned<String>>,
}

/// `redirect = { … }` of a route
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RedirectKeys {
    /// A URL or a path. Without a path the request keeps its own; with one that takes the place of the route's.
    pub(super) to: Option<Spanned<String>>,
    /// 301, 302, 303, 307 or 308. Default: 307.
    pub(super) status: Option<Spanned<Count>>,
}

/// `request = { … }` of a route
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RequestKeys {
    /// The `Host` that the backend is told; `"{backend}"` is its own. Default: as the client asked.
    pub(super) host: Option<Spanned<String>>,
    /// Fields that take the place of all of their name.
    #[serde(default)]
    pub(super) set: FieldKeys,
    /// Fields that come beside those of their name.
    #[serde(default)]
    pub(super) add: FieldKeys,
    /// Fields that go.
    #[serde(default)]
    pub(super) remove: Vec<Spanned<String>>,
}

/// `response = { … }` of a route
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct ResponseKeys {
    /// Fields that take the place of all of their name.
    #[serde(default)]
    pub(super) set: FieldKeys,
    /// Fields that come beside those of their name.
    #[serde(default)]
    pub(super) add: FieldKeys,
    /// Fields that go.
    #[serde(default)]
    pub(super) remove: Vec<Spanned<String>>,
}

/// `{ "name" = "value" }`
pub(super) type FieldKeys = BTreeMap<Spanned<String>, Spanned<String>>;

/// `queue = { … }` of a route, which has a place in its pool's line and none of its own.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RouteQueueKeys {
    /// The longest wait in line. Default: the pool's.
    pub(super) wait: Option<Spanned<Period>>,
    /// The longest wait that a client may ask for itself. Default: the pool's.
    pub(super) wait_max: Option<Spanned<Period>>,
}

/// A backend as `{ url, slots, resolve }`; a bare URL is one with nothing else said.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "cli", derive(JsonSchema))]
#[cfg_attr(feature = "cli", schemars(extend("required" = ["url"])))]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct BackendKeys {
    /// Where it listens: scheme, host and port.
    #[cfg_attr(feature = "cli", schemars(with = "Option<schema::Url>", extend("examples" = ["http://127.0.0.1:6000"])))]
    pub(super) url: Option<Spanned<String>>,
    /// How many requests it may work on at once. Default: the pool's.
    #[cfg_attr(feature = "cli", schemars(extend("minimum" = 1, "maximum" = 100000)))]
    pub(super) slots: Option<Spanned<Count>>,
    /// What its host name stands for. Default: the pool's.
    #[cfg_attr(feature = "cli", schemars(with = "Option<schema::Resolve>"))]
    pub(super) resolve: Option<Spanned<String>>,
}

/// An entry of `backends`.
#[derive(Debug)]
pub(super) enum BackendEntry {
    Url(String),
    Keys(BackendKeys),
}

impl<'de> Deserialize<'de> for BackendEntry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = BackendEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a URL or a table of `url`, `slots` and `resolve`")
            }
            fn visit_str<E: Error>(self, url: &str) -> Result<BackendEntry, E> {
                Ok(BackendEntry::Url(url.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BackendEntry, A::Error> {
                BackendKeys::deserialize(MapAccessDeserializer::new(map)).map(BackendEntry::Keys)
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::GATEWAY_KEYS;
    use super::*;

    /// The keys of a table, as serde tells them to who writes another one.
    fn keys<T: for<'de> Deserialize<'de> + fmt::Debug>() -> String {
        toml::from_str::<T>("another = 1").unwrap_err().message().to_owned()
    }

    #[test]
    fn the_lists_of_keys_are_complete() {
        let told =
            |keys: &[&str]| format!("unknown field `another`, expected one of `{}`", keys.join("`, `"));
        assert_eq!(keys::<PoolKeys>(), told(&POOL_KEYS));
        assert_eq!(keys::<GatewayKeys>(), told(&GATEWAY_KEYS));
    }
}
