//! How it stands, in words that need no explanation.

use super::super::admin::time;
use super::backend::{Backend, Mode, State, Work};
use super::pool::{Pool, Rates};
use super::verdict::Level;

/// How the slots and the line of a pool stand, the more important first, and how much of a matter each is; `short` where there is
/// little room.
pub(super) fn pool(pool: &Pool, short: bool) -> Vec<(String, Level)> {
    let (slots, queue) = (pool.slots, &pool.queue);
    let waits = if queue.waiting > 0 { Level::Busy } else { Level::Well };
    let (taken, waiting, length) = (slots.taken(), queue.waiting, queue.length);
    let pick = |long: String, brief: String| if short { brief } else { long };
    let mut parts = vec![(
        pick(format!("{taken} of {} slots taken", slots.all), format!("{taken}/{} slots", slots.all)),
        Level::Well,
    )];
    let down = pool.backends.values().filter(|backend| backend.is_down && !backend.is_ordered()).count();
    if down > 0 {
        parts.push((format!("{down} down"), Level::Trouble));
    }
    if length > 0 || waiting > 0 {
        parts.push((pick(format!("line {waiting} of {length}"), format!("line {waiting}/{length}")), waits));
    } else if !short {
        parts.push(("no line".to_owned(), Level::Well));
    }
    if let Some(longest) = queue.longest_wait.filter(|_| waiting > 0).map(time) {
        parts.push((pick(format!("the oldest waits for {longest}"), format!("for {longest}")), waits));
    }
    match pool.estimate {
        Some(wait) if wait >= 0.01 => {
            let wait = time(wait);
            parts.push((pick(format!("a newcomer waits {wait}"), format!("a newcomer {wait}")), Level::Well));
        }
        Some(_) if !short => parts.push(("a newcomer is served at once".to_owned(), Level::Well)),
        _ => {}
    }
    parts
}

/// What requests to a pool came to, and whether that is bad.
pub(super) fn rates(rates: Rates, short: bool) -> [(String, bool); 3] {
    let Rates { requests, refused, failed } = rates;
    if short {
        return [
            (format!("{}/s", rate(requests)), false),
            (format!("{} refused", rate(refused)), refused > 0.0),
            (format!("{} failed", rate(failed)), failed > 0.0),
        ];
    }
    [
        (format!("{} requests/s", rate(requests)), false),
        (format!("{} refused/s", rate(refused)), refused > 0.0),
        (format!("{} failed/s", rate(failed)), failed > 0.0),
    ]
}

/// How long the first byte of an answer took.
pub(super) fn latency([p50, p95, p99]: [f64; 3], short: bool) -> String {
    let after = if short { "" } else { "answered after " };
    format!("{after}p50 {}  p95 {}  p99 {}", span(p50), span(p95), span(p99))
}

/// How a backend stands, in a word or two.
pub(super) fn state(backend: &Backend) -> String {
    let is_at_work = backend.slots.taken() > 0;
    let word = match backend.mode {
        _ if backend.is_removed => "leaving",
        Mode::Maintenance => "maintenance",
        Mode::Drain if is_at_work => "draining",
        Mode::Drain => "drained",
        Mode::Ready if backend.is_down => return "down".to_owned(),
        Mode::Ready if backend.rests_until.is_some() => "resting",
        Mode::Ready => "up",
    };
    if backend.is_down { format!("{word}, down") } else { word.to_owned() }
}

/// What there is to say of a backend: why it is down, or what it has been at for longest.
pub(super) fn detail(backend: &Backend, now: f64) -> String {
    let mut parts = Vec::new();
    if backend.is_down {
        let reasons: Vec<_> =
            [&*backend.cause, &*backend.fault].into_iter().filter(|it| !it.is_empty()).collect();
        parts.push(reasons.join(": "));
    } else if let Some(left) = backend.rests_until.map(|until| until - now).filter(|left| *left > 0.0) {
        parts.push(format!("said that it is busy, {} more", time(left)));
    }
    let oldest = backend.oldest().or_else(|| backend.by_age().first().copied());
    if let Some(oldest) = oldest {
        parts.push(work(oldest, now));
    } else if backend.elsewhere > 0 {
        parts.push(format!("{} at work for another pool or process", backend.elsewhere));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

/// `POST /process 10.0.0.7 2.1 s`
fn work(work: &Work, now: f64) -> String {
    let parts = [who(work), time(work.age(now)) + &remark(work, now)];
    parts.join(" ")
}

/// The same without its age.
pub(super) fn what(work: &Work, now: f64) -> String {
    who(work) + &remark(work, now)
}

/// What is odd about it.
fn remark(work: &Work, now: f64) -> String {
    match work.state {
        State::Busy => String::new(),
        State::Lingering => ", nobody waits for it".to_owned(),
        State::Resting => match work.until.map(|until| until - now).filter(|left| *left > 0.0) {
            Some(left) => format!(", rests {} more", time(left)),
            None => ", rests".to_owned(),
        },
        State::Unproven => ", rests until a proof".to_owned(),
    }
}

fn who(work: &Work) -> String {
    if !work.is_request {
        return "a probe".to_owned();
    }
    let key = if work.key.is_empty() { String::new() } else { format!("key {}", work.key) };
    let parts = [&*work.method, &*work.route, &*work.client, &*key];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

pub(super) fn counted(count: impl TryInto<u64>, one: &str, more: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {one}"),
        count => format!("{count} {more}"),
    }
}

/// So many a second.
fn rate(rate: f64) -> String {
    match rate {
        rate if rate <= 0.0 => "0".to_owned(),
        ..0.1 => "<0.1".to_owned(),
        ..10.0 => format!("{rate:.1}"),
        _ => format!("{rate:.0}"),
    }
}

/// A time that may be short.
fn span(seconds: f64) -> String {
    match seconds {
        ..0.001 => "<1 ms".to_owned(),
        ..1.0 => format!("{:.0} ms", seconds * 1000.0),
        _ => time(seconds),
    }
}

/// Whole seconds.
pub(super) fn whole(seconds: f64) -> String {
    match seconds {
        ..600.0 => format!("{:.0} s", seconds.floor()),
        _ => time(seconds),
    }
}

/// How long ago something was: nobody wants to see the seconds of that run.
pub(super) fn ago(seconds: f64) -> String {
    match seconds {
        ..10.0 => "just now".to_owned(),
        ..60.0 => format!("{:.0} s ago", (seconds / 10.0).floor() * 10.0),
        ..3600.0 => format!("{:.0} min ago", (seconds / 60.0).floor()),
        ..86_400.0 => format!("{:.0} h ago", (seconds / 3600.0).floor()),
        _ => format!("{:.0} d ago", (seconds / 86_400.0).floor()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_backend_is_a_word_and_a_reason() {
        let said = |told: Value| {
            let backend = Backend::of(&told);
            (state(&backend), detail(&backend, 100.0))
        };
        let pair = |state: &str, detail: &str| (state.to_owned(), detail.to_owned());
        let post = json!([{
            "state": "busy", "since_unix_seconds": 97.9, "method": "POST", "route": "/process", "client": "10.0.0.7",
        }]);
        assert_eq!(said(json!({ "work": post })), pair("up", "POST /process 10.0.0.7 2.1 s"));
        assert_eq!(
            said(json!({ "health": "down", "cause": "unreachable", "fault": "refused" })),
            pair("down", "unreachable: refused")
        );
        assert_eq!(said(json!({ "mode": "drain", "slots": { "busy": 1 } })), pair("draining", ""));
        assert_eq!(said(json!({ "mode": "drain", "health": "down" })), pair("drained, down", ""));
        assert_eq!(
            said(json!({ "rests_until_unix_seconds": 103.0 })),
            pair("resting", "said that it is busy, 3.0 s more")
        );
    }

    #[test]
    fn numbers_are_as_exact_as_anybody_wants_to_know() {
        assert_eq!([0.0, 0.04, 1.25, 120.4].map(rate), ["0", "<0.1", "1.2", "120"]);
        assert_eq!([0.0001, 0.25, 2.0].map(span), ["<1 ms", "250 ms", "2.0 s"]);
        assert_eq!(
            [3.0, 47.0, 119.0, 7300.0, 1e6].map(ago),
            ["just now", "40 s ago", "1 min ago", "2 h ago", "11 d ago"]
        );
    }
}
