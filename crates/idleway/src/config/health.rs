//! What is believed of a backend's health, and by what evidence (`health = { … }`).

use std::ops::RangeInclusive;
use std::time::Duration;

/// `health`: when a backend is taken out, and how it comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthPlan {
    /// The probes, where there are any (`path`, or `tcp = true`; default: none).
    pub probe: Option<ProbePlan>,
    /// Exchanges in a row that broke (reset, closed without an answer, nonsense) and so take a backend out, from 1
    /// to 1000 (`failures`, default 3).
    pub failures: u32,
    /// How long a backend is left alone when it was taken out, the first time; at least 1 ms (`pause`, default
    /// 100 ms).
    pub pause: Duration,
    /// What the pause doubles up to with each further failure, never less than `pause` (`pause_max`, default 5 s, or
    /// `pause` where that is longer).
    pub pause_max: Duration,
    /// By how many percentage points, from 1 to 100, a backend's share of failed requests may be larger than that
    /// of the rest of the pool before it is taken out (`outlier`, default 50); none: off.
    pub outlier: Option<u32>,
    /// While less than this share of the pool's backends is up, in percent from 0 to 100, those that were taken out
    /// although they can be connected to serve too (`panic`, default 10; 0: off).
    pub panic: u32,
    /// The time within which a backend that returns gets its Slots, one by one (`slow_start`, default 10 s; 0: all
    /// at once).
    pub slow_start: Duration,
}

impl Default for HealthPlan {
    fn default() -> Self {
        HealthPlan {
            probe: None,
            failures: 3,
            pause: Duration::from_millis(100),
            pause_max: Duration::from_secs(5),
            outlier: Some(50),
            panic: 10,
            slow_start: Duration::from_secs(10),
        }
    }
}

/// The probes of a pool: each backend is asked regularly whether it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProbePlan {
    /// What a probe does.
    pub how: ProbeKind,
    /// The time from one probe of a backend to the next, at least 1 ms (`every`, default 2 s).
    pub every: Duration,
    /// How long a probe may take, at least 1 ms (`timeout`, default 2 s); then it has failed.
    pub timeout: Duration,
    /// Good probes in a row that bring a backend back, from 1 to 1000 (`rise`, default 1).
    pub rise: u32,
    /// Failed probes in a row that take a backend out, from 1 to 1000 (`fall`, default 2).
    pub fall: u32,
    /// Whether probes have a connection of their own beside the work instead of taking a Slot (`dedicated`, default
    /// false).
    pub dedicated: bool,
}

impl ProbePlan {
    /// Probes of this kind with every setting at its default.
    pub fn new(how: ProbeKind) -> Self {
        ProbePlan {
            how,
            every: Duration::from_secs(2),
            timeout: Duration::from_secs(2),
            rise: 1,
            fall: 2,
            dedicated: false,
        }
    }
}

/// What a probe does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeKind {
    /// It sends a request and looks at the status of the answer.
    Http(HttpProbe),
    /// It connects, and no more (`tcp = true`).
    Tcp,
}

/// The request of a probe, and the answers that are good.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpProbe {
    /// Path and query of its target, as they are sent (`path`).
    pub path: String,
    /// Its method, as it is sent; never `CONNECT` or `TRACE` (`method`, default `GET`).
    pub method: String,
    /// Its `Host` field, as it is sent (`host`, default: the backend's own authority).
    pub host: Option<String>,
    /// The statuses of good answers, each range within 200 to 599; never empty (`status`, default 200 to 399).
    pub status: Vec<RangeInclusive<u16>>,
}

impl HttpProbe {
    /// A probe of this path with every setting at its default.
    pub fn new(path: impl Into<String>) -> Self {
        HttpProbe { path: path.into(), method: "GET".to_owned(), host: None, status: vec![200..=399] }
    }
}
