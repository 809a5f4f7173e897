//! By what a backend is judged: the meaning of the `health` table.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use idleway_h1::{HeadReader, Known, Limits};

use super::fault::{Fault, told};
use super::file::HealthKeys;
use super::health::{HealthPlan, HttpProbe, ProbeKind, ProbePlan};
use super::meaning::{Reading, SHORTEST};
use super::spanned::Spanned;
use super::value::{Period, Status, Statuses};

/// Of what is counted in a row.
const TIMES: RangeInclusive<u64> = 1..=1000;

impl Reading<'_> {
    /// `health = { … }`
    pub(super) fn health(&mut self, mut keys: HealthKeys) -> HealthPlan {
        let usual = HealthPlan::default();
        let (pause, pause_max) = self.pauses(keys.pause.take(), keys.pause_max.take());
        let outlier = self.share(keys.outlier.take(), usual.outlier.unwrap_or_default());
        HealthPlan {
            failures: self.count(keys.failures.take(), usual.failures, TIMES),
            pause,
            pause_max,
            outlier: (outlier > 0).then_some(outlier),
            panic: self.share(keys.panic.take(), usual.panic),
            slow_start: self.duration(keys.slow_start.take(), usual.slow_start, Duration::ZERO),
            probe: self.probe(keys),
        }
    }

    /// `pause` and `pause_max`
    fn pauses(
        &mut self,
        first: Option<Spanned<Period>>,
        longest: Option<Spanned<Period>>,
    ) -> (Duration, Duration) {
        let usual = HealthPlan::default();
        let spans = [span(first.as_ref()), span(longest.as_ref())];
        let pause = self.duration(first, usual.pause, SHORTEST);
        let pause_max = self.duration(longest, usual.pause_max.max(pause), SHORTEST);
        if let [_, Some(span)] = spans.clone()
            && pause_max < pause
            && self.are_sound(spans.clone())
        {
            let pause = self.veil.shown(spans[0].as_ref(), format!("{pause:?}"));
            let problem =
                format!("{} is shorter than `pause`, which is {pause}", told(format!("{pause_max:?}")));
            let fault = Fault::new(problem);
            let hint = "the pause doubles up to `pause_max`: leave it out, or shorten `pause`";
            self.secondary(fault.hint(hint), span);
        }
        (pause, pause_max)
    }

    /// The keys of probes, which mean something where `path` or `tcp = true` stands.
    fn probe(&mut self, keys: HealthKeys) -> Option<ProbePlan> {
        let connects = keys.tcp.as_ref().is_some_and(|tcp| *tcp.get_ref());
        let asks = keys.path.is_some();
        self.check_probe(&keys, asks, connects);

        let usual = HttpProbe::new("/");
        let http = HttpProbe {
            path: self.value(keys.path, usual.path, |text| path(&text)),
            method: self.value(keys.method, usual.method, |text| method(&text)),
            host: keys.host.map(|text| self.value(Some(text), String::new(), |text| host(&text))),
            status: keys.status.map_or(usual.status, |statuses| self.statuses(statuses)),
        };
        let usual = ProbePlan::new(if asks { ProbeKind::Http(http) } else { ProbeKind::Tcp });
        let probe = ProbePlan {
            every: self.duration(keys.every, usual.every, SHORTEST),
            timeout: self.duration(keys.timeout, usual.timeout, SHORTEST),
            rise: self.count(keys.rise, usual.rise, TIMES),
            fall: self.count(keys.fall, usual.fall, TIMES),
            dedicated: keys.dedicated.map_or(usual.dedicated, Spanned::into_inner),
            how: usual.how,
        };
        (asks || connects).then_some(probe)
    }

    /// Whether the keys of a probe are those of one probe, and there is one.
    fn check_probe(&mut self, keys: &HealthKeys, asks: bool, connects: bool) {
        let of_requests = [
            ("status", span(keys.status.as_ref())),
            ("method", span(keys.method.as_ref())),
            ("host", span(keys.host.as_ref())),
        ];
        let of_any = [
            ("every", span(keys.every.as_ref())),
            ("timeout", span(keys.timeout.as_ref())),
            ("rise", span(keys.rise.as_ref())),
            ("fall", span(keys.fall.as_ref())),
            ("dedicated", span(keys.dedicated.as_ref())),
        ];
        match (asks, connects) {
            (true, false) => {}
            (true, true) => {
                let fault = Fault::new("a probe asks for its `path` or only connects, not both");
                let tcp = span(keys.tcp.as_ref()).unwrap_or_default();
                self.fault(fault.hint("take out `tcp` or `path`"), tcp);
            }
            (false, true) => self.misplaced(of_requests, |key| {
                Fault::new(format!("`{key}` belongs to requests, and with `tcp = true` a probe sends none"))
                    .hint(r#"take it out, or write `path = "/healthz"` instead of `tcp = true`"#)
            }),
            (false, false) => self.misplaced(of_requests.into_iter().chain(of_any), |key| {
                Fault::new(format!("`{key}` belongs to probes, and this pool has none"))
                    .hint(r#"add `path = "/healthz"` or `tcp = true`"#)
            }),
        }
    }

    /// Notes those of the keys that stand there.
    fn misplaced(
        &mut self,
        keys: impl IntoIterator<Item = (&'static str, Option<Range<usize>>)>,
        fault: impl Fn(&str) -> Fault,
    ) {
        for (key, span) in keys {
            if let Some(span) = span {
                self.secondary(fault(key), span);
            }
        }
    }

    /// `status = 200`, `"200-399"`, `"2xx"`, or a list of these
    fn statuses(&mut self, entry: Spanned<Statuses>) -> Vec<RangeInclusive<u16>> {
        let span = entry.span();
        let entries = match entry.into_inner() {
            Statuses::One(status) => vec![Spanned::new(span, status)],
            Statuses::Several(list) => {
                if list.is_empty() {
                    let fault = Fault::new("no answer to a probe would be good");
                    let fault = fault.hint(r#"write: status = "200-399""#);
                    self.within(&["status"], |reading| reading.secondary(fault, span));
                }
                list
            }
        };
        entries.into_iter().map(|entry| self.value(Some(entry), 200..=399, |text| statuses(&text))).collect()
    }
}

fn span<T>(entry: Option<&Spanned<T>>) -> Option<Range<usize>> {
    entry.map(Spanned::span)
}

/// `200`, `200-399` or `2xx`
fn statuses(Status(text): &Status) -> Result<RangeInclusive<u16>, Fault> {
    let (first, last) = match (text.strip_suffix("xx"), text.split_once('-')) {
        (Some(class), _) => (format!("{class}00"), format!("{class}99")),
        (None, Some((first, last))) => (first.to_owned(), last.to_owned()),
        (None, None) => (text.clone(), text.clone()),
    };
    let number = |digits: &str| {
        let is_status = digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|_| is_status)
    };
    let (Some(first), Some(last)) = (number(&first), number(&last)) else {
        let fault = Fault::new(format!("`{}` is not a status", told(text)));
        return Err(fault.hint(r#"write it like 200, "200-399" or "2xx""#));
    };
    if first > last {
        let fault = Fault::new(format!("`{}` ends before it begins", told(text)));
        return Err(fault.hint(format!("write \"{}\"", told(format!("{last}-{first}")))));
    }
    if first < 200 || last > 599 {
        let fault = Fault::new(format!("{} is out of range", told(text)));
        return Err(fault.hint("an answer has a status from 200 to 599"));
    }
    Ok(first..=last)
}

fn path(text: &str) -> Result<String, Fault> {
    if !text.starts_with('/') {
        return Err(Fault::new("a path begins with `/`").hint(r#"like "/healthz""#));
    }
    if !can_be_asked("GET", text, "host") {
        let fault = Fault::new("this path cannot be asked for");
        return Err(fault.hint("write all but plain characters as escapes, like `%20` for a blank"));
    }
    Ok(text.to_owned())
}

fn method(text: &str) -> Result<String, Fault> {
    if ["CONNECT", "TRACE"].contains(&text) {
        let fault = Fault::new(format!(
            "`{}` asks a backend for something else than an answer of its own",
            told(text)
        ));
        return Err(fault.hint(r#"choose another method, like "GET" or "HEAD""#));
    }
    // Case matters (RFC 9110 section 9.1): `get` is a method that nobody knows.
    if text.bytes().any(|b| b.is_ascii_lowercase()) || !can_be_asked(text, "/", "host") {
        return Err(Fault::new("a method is a word in capital letters").hint(r#"like "GET""#));
    }
    Ok(text.to_owned())
}

fn host(text: &str) -> Result<String, Fault> {
    if !can_be_asked("GET", "/", text) {
        let fault = Fault::new("this is not what a `Host` field says");
        return Err(fault.hint(r#"write it like "api.example.com" or "api.example.com:8000""#));
    }
    Ok(text.to_owned())
}

/// Whether a request of these parts is one that the gateway would take itself, and has these parts and no others.
fn can_be_asked(method: &str, path: &str, host: &str) -> bool {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let read = HeadReader::new(Limits::default()).request(head.as_bytes());
    matches!(read, Ok(Some((read, _)))
        if (read.method(), read.target()) == (method, path) && read.get(Known::Host) == Some(host.as_bytes()))
}
