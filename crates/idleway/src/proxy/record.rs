//! What is told about a request: one line in the log, and what the application's hook hears.

mod failed;
mod traced;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::evidence::Reached;
use crate::config::{AccessLogPlan, TracesPlan};
use crate::error::Reject;
use crate::hook::{Answered, Hook};
use crate::live::{Backend, Exports, Live, LivePool, Snapshot};
use crate::message::Request;
use crate::metrics::{Ended, Phase, Series};
use crate::net::Departed;
use crate::route::Route;
use crate::traces::{self, Trace, TraceParent};

/// The longest target in the log, in bytes.
const LONGEST_TARGET: usize = 512;

/// One request, as it is told when this is dropped.
#[derive(Debug)]
pub(super) struct Record<'a> {
    /// Where it is counted; none once another process has it.
    series: Option<&'a Series>,
    hook: Option<&'a dyn Hook>,
    /// What is recorded of it for OpenTelemetry, and where that goes.
    traced: Option<(Box<Trace>, &'a Exports)>,
    labels: &'a [(String, String)],
    pool: Option<&'a str>,
    route: Option<&'a Route>,
    backend: Option<Arc<Backend>>,
    pub(super) reached: Reached,
    pub(super) attempts: u32,
    waited: Duration,
    /// Since when it asks for a Slot, while it has none.
    joined: Option<Instant>,
    /// When it got its last Slot.
    granted: Option<Instant>,
    rejected: Option<&'static str>,
    departed: Option<Phase>,
    /// Its response broke off.
    is_cut: bool,
    answered: Option<Instant>,
    request: &'a Request,
    access_log: AccessLogPlan,
    ended: bool,
    status: u16,
    reason: Option<String>,
    received: u64,
    pub(super) sent: u64,
}

/// Whatever ends a request, it is told: also when its task is dropped.
impl Drop for Record<'_> {
    fn drop(&mut self) {
        self.count();
        if !self.access_log.is_on && self.hook.is_none() && self.traced.is_none() {
            return;
        }
        if !self.ended {
            self.cut("the gateway stopped before the request had ended");
        }
        self.export();
        if self.is_logged() {
            self.log();
        }
        if let Some(hook) = self.hook {
            // While a panic unwinds a second one would end the process.
            let told = catch_unwind(AssertUnwindSafe(|| hook.answered(&self.answered_as())));
            if told.is_err() {
                tracing::error!(id = %self.request.id, "a hook panicked");
            }
        }
    }
}

impl<'a> Record<'a> {
    pub(super) fn new(request: &'a Request, live: &'a Live, snapshot: &'a Snapshot) -> Self {
        let begin = |plan: &TracesPlan| Trace::begin(traces::parent_of(&request.head), plan.sample);
        let trace = snapshot.plan.traces.as_ref().and_then(begin);
        Self {
            series: Some(snapshot.series_of(None)),
            hook: live.hook().map(Arc::as_ref),
            traced: trace.zip(live.exports()),
            labels: &[],
            pool: None,
            route: None,
            backend: None,
            reached: Reached::NotConnected,
            attempts: 0,
            waited: Duration::ZERO,
            joined: None,
            granted: None,
            rejected: None,
            departed: None,
            is_cut: false,
            answered: None,
            request,
            access_log: snapshot.plan.access_log,
            ended: false,
            status: 0,
            reason: None,
            received: 0,
            sent: 0,
        }
    }

    /// It has this route, which leads to this pool or answers by itself.
    pub(super) fn routed(&mut self, route: &'a Route, pool: Option<&'a Arc<LivePool>>, series: &'a Series) {
        self.series = Some(series);
        self.route = Some(route);
        self.pool = pool.map(|pool| pool.plan.name.as_str());
    }

    /// The route answers by itself, with so many bytes of content.
    pub(super) fn fixed(&mut self, status: u16, length: u64) {
        self.answered(status);
        self.sent = length;
    }

    /// What the application says of it.
    pub(super) fn labels(&mut self, labels: &'a [(String, String)]) {
        self.labels = labels;
    }

    /// It asks for a Slot.
    pub(super) fn joined(&mut self, at: Instant) {
        self.joined = Some(at);
    }

    /// It has a Slot of this backend.
    pub(super) fn granted(&mut self, backend: &Arc<Backend>, at: Instant, waited: Duration) {
        self.attempts += 1;
        self.waited += waited;
        self.joined = None;
        self.granted = Some(at);
        self.backend = Some(Arc::clone(backend));
        if let Some((trace, _)) = &mut self.traced {
            trace.granted(&backend.name, at, waited);
        }
    }

    /// What the backend that it has is told of the trace that it belongs to, where it is recorded.
    pub(super) fn traceparent(&self) -> Option<TraceParent> {
        self.traced.as_ref().map(|(trace, _)| trace.parent_of_backend())
    }

    /// The exchange with the backend that it has is over; it came to nothing, if that is so.
    pub(super) fn exchanged(&mut self, fault: Option<&'static str>) {
        if let Some((trace, _)) = &mut self.traced {
            trace.attempt_ended(fault);
        }
    }

    /// The backend's response has begun.
    pub(super) fn answered(&mut self, status: u16) {
        self.answered = Some(Instant::now());
        self.status = status;
        if let Some((trace, _)) = &mut self.traced {
            trace.answered(status);
        }
    }

    pub(super) fn rejected(&mut self, reject: &Reject) {
        self.status = reject.status();
        self.rejected = Some(reject.name());
        self.reason = Some(format!("{}: {reject}", reject.name()));
        self.exchanged(Some(reject.name()));
    }

    /// The response broke off after its head had been passed on.
    pub(super) fn cut(&mut self, why: &str) {
        self.reason = Some(format!("cut: {why}"));
        self.is_cut = true;
        self.exchanged(Some("cut"));
    }

    pub(super) fn departed(&mut self, departed: Departed) {
        let how = match departed {
            Departed::Closed => "the client closed",
            Departed::Reset => "the client's side has reset the connection",
        };
        self.departed = Some(match (self.answered, self.joined, self.granted) {
            (Some(_), ..) => Phase::Response,
            (None, Some(_), _) => Phase::Queue,
            (None, None, Some(_)) => Phase::Backend,
            (None, None, None) => Phase::Request,
        });
        self.reason = Some(format!("departed: {how}"));
        self.exchanged(Some("departed"));
    }

    /// It is not told here: another process has it from the start.
    pub(super) fn forget(&mut self) {
        (self.access_log.is_on, self.hook, self.series, self.traced) = (false, None, None, None);
    }

    /// It has come to its end.
    pub(super) fn end(&mut self, received: u64) {
        self.received = received;
        self.ended = true;
    }

    /// How long it has stood in line: whoever left it, or was refused there, has waited since it joined.
    fn waited(&self) -> Duration {
        self.waited + self.joined.map_or(Duration::ZERO, |joined| joined.elapsed())
    }

    fn count(&self) {
        let Some(series) = self.series else { return };
        // Who was refused at once has waited for nothing, and would only make the waits look short.
        let has_stood = self.granted.is_some()
            || self.departed == Some(Phase::Queue)
            || matches!(self.rejected, Some("wait-over" | "displaced"));
        series.count(&Ended {
            status: self.status,
            total: Some(self.request.arrived.elapsed()),
            first_byte: self.answered.map(|at| at - self.request.arrived),
            waited: has_stood.then(|| self.waited()),
            received: self.received,
            sent: self.sent,
            rejected: self.rejected,
            departed: self.departed,
            is_cut: self.is_cut && self.answered.is_some(),
        });
    }

    /// As the application's hook is told.
    fn answered_as(&self) -> Answered<'_> {
        let request = self.request;
        Answered {
            id: request.id.as_str(),
            peer: request.peer,
            method: request.head.method(),
            target: request.head.target(),
            status: (self.status > 0).then_some(self.status),
            pool: self.pool,
            backend: self.backend.as_ref().map(|backend| backend.name.as_str()),
            attempts: self.attempts,
            waited: self.waited(),
            first_byte: self.answered.map(|at| at - request.arrived),
            total: request.arrived.elapsed(),
            received: self.received,
            sent: self.sent,
            reason: self.reason.as_deref(),
            labels: self.labels,
        }
    }

    /// Whether it leaves a line: one that went as it should may be left out, by its id.
    fn is_logged(&self) -> bool {
        let AccessLogPlan { is_on, sample, .. } = self.access_log;
        let is_usual = self.reason.is_none() && (100..500).contains(&self.status) && self.attempts <= 1;
        is_on && (!is_usual || sample >= 100 || nth_of_100(self.request.id.as_str()) < sample)
    }

    fn log(&self) {
        let request = self.request;
        let path = if self.access_log.query { request.head.path() } else { request.path_alone() };
        let sampled = self.access_log.sample;
        let labels = (!self.labels.is_empty()).then(|| spelled(self.labels));
        tracing::info!(
            target: "idleway::access",
            id = %request.id,
            client = %request.peer,
            method = request.head.method(),
            host = request.head.authority(),
            path = path.get(..LONGEST_TARGET).unwrap_or(path),
            status = self.status,
            route = self.route.map(|route| &**route.spelled()),
            pool = self.pool,
            backend = self.backend.as_ref().map(|backend| backend.name.as_str()),
            phase = (self.attempts > 0).then(|| self.reached.name()),
            attempts = self.attempts,
            wait_ms = millis(self.waited()),
            first_byte_ms = self.answered.map(|at| millis(at - request.arrived)),
            total_ms = millis(request.arrived.elapsed()),
            received = self.received,
            sent = self.sent,
            reason = self.reason.as_deref(),
            labels,
            sample = (sampled < 100).then(|| f64::from(sampled) / 100.0),
        );
    }
}

/// A number below 100 that ids have equally often.
fn nth_of_100(id: &str) -> u32 {
    // FNV-1a.
    let hash =
        id.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash % 100
}

/// `name=value name=value`, without what would end the line.
fn spelled(labels: &[(String, String)]) -> String {
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    labels.join(" ").replace(|c: char| c.is_control(), " ")
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
