//! All of it in one sentence, for whoever has never seen it before.

use super::super::admin::time;
use super::backend::Mode;
use super::picture::Picture;
use super::pool::Rates;
use super::words;

/// How much of a matter it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Well,
    Busy,
    Trouble,
}

/// All of it in one sentence.
pub(super) fn verdict(picture: &Picture, now: f64) -> (Level, String) {
    if picture.version.is_empty() {
        return (Level::Busy, "nothing was told yet".to_owned());
    }
    if picture.pools.is_empty() && picture.reasons.is_empty() {
        return (Level::Well, "all is well: every route answers by itself, there are no backends".to_owned());
    }
    let mut level = Level::Well;
    let mut parts = Vec::new();
    let mut say = |how: Level, what: String| {
        level = level.max(how);
        parts.push(what);
    };
    for reason in &picture.reasons {
        let reason = match reason.as_str() {
            "starting" => "it is starting",
            "draining" => "it was told to stop",
            "no_backend_up" => "no backend is up",
            other => other,
        };
        say(Level::Trouble, format!("not ready, {reason}"));
    }
    let sum = Sum::of(picture, now);
    if sum.down > 0 {
        say(Level::Trouble, format!("{} down", words::counted(sum.down, "backend", "backends")));
    }
    for (count, what) in [(sum.recent.refused, "refused"), (sum.recent.failed, "failed")] {
        if count > 0.0 {
            say(Level::Trouble, format!("{count:.0} {what} within 15 s"));
        }
    }
    if sum.unproven > 0 {
        say(
            Level::Trouble,
            format!("{} until a proof", words::counted(sum.unproven, "slot rests", "slots rest")),
        );
    }
    if picture.trouble.is_some() {
        say(Level::Trouble, "the last reload failed".to_owned());
    }
    let waiting = waiting(sum.waiting, sum.longest_wait);
    if sum.waiting > 0 {
        say(Level::Busy, waiting.clone());
    }
    let mut rest = vec![
        format!("{} of {} backends up", sum.up, sum.backends),
        format!("{} of {} slots busy", sum.taken, sum.slots),
    ];
    if sum.waiting == 0 {
        rest.push(waiting);
    }
    let ordered = [(sum.drained, "drained"), (sum.maintained, "in maintenance")];
    let ordered = ordered.into_iter().filter(|(count, _)| *count > 0);
    let ordered: Vec<_> = ordered.map(|(count, what)| format!("{count} {what}")).collect();
    if level == Level::Well && !ordered.is_empty() {
        return (Level::Busy, format!("{}; {}", ordered.join(", "), rest.join(", ")));
    }
    rest.extend(ordered);
    let rest = rest.join(", ");
    match level {
        Level::Well => (level, format!("all is well: {rest}")),
        Level::Busy => (level, format!("busy: {}; {rest}", parts.join(", "))),
        Level::Trouble => (level, format!("{}; {rest}", parts.join(", "))),
    }
}

/// Of all pools together.
#[derive(Debug, Default)]
struct Sum {
    backends: usize,
    up: usize,
    down: usize,
    drained: usize,
    maintained: usize,
    taken: u64,
    slots: u64,
    /// Slots that rest until a proof.
    unproven: u64,
    waiting: u64,
    longest_wait: Option<f64>,
    /// What went wrong just now.
    recent: Rates,
}

impl Sum {
    fn of(picture: &Picture, now: f64) -> Self {
        let mut sum = Self::default();
        for pool in picture.pools.values() {
            for backend in pool.backends.values() {
                sum.backends += usize::from(!backend.is_removed);
                // As the gateway counts: one that gets no requests is not up.
                sum.up += usize::from(!backend.is_down && !backend.is_removed && backend.mode == Mode::Ready);
                sum.down += usize::from(backend.rank(now) == 0);
                sum.drained += usize::from(backend.mode == Mode::Drain);
                sum.maintained += usize::from(backend.mode == Mode::Maintenance);
                sum.unproven += backend.unproven;
                // What is left of one that has gone is at work at the one that has its place, and is counted there.
                if !backend.is_removed {
                    sum.taken += backend.slots.taken();
                    sum.slots += backend.slots.all;
                }
            }
            sum.waiting += pool.queue.waiting;
            sum.longest_wait = longer(sum.longest_wait, pool.queue.longest_wait);
            let recent = pool.recent();
            sum.recent.refused += recent.refused;
            sum.recent.failed += recent.failed;
        }
        sum
    }
}

fn longer(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    [one, other].into_iter().flatten().reduce(f64::max)
}

/// `3 wait, the oldest for 4 s`
fn waiting(count: u64, longest: Option<f64>) -> String {
    let verb = if count == 1 { "waits" } else { "wait" };
    match longest {
        _ if count == 0 => "nobody waits".to_owned(),
        Some(longest) if count == 1 => format!("1 waits, for {}", time(longest)),
        Some(longest) => format!("{count} {verb}, the oldest for {}", time(longest)),
        None => format!("{count} {verb}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::{Value, json};

    use super::*;

    fn picture(told: &Value) -> Picture {
        let mut picture = Picture::new(Instant::now());
        picture.apply("whole", told, Instant::now());
        picture
    }

    fn of(pools: &Value, backends: &Value) -> (Level, String) {
        let told = json!({
            "now_unix_seconds": 100.0, "gateway": { "version": "1" }, "pools": pools, "backends": backends,
            "points": { "a": [[95.0, 10, 0, 0, null, null, null, 0, 0]] },
        });
        verdict(&picture(&told), 100.0)
    }

    #[test]
    fn the_verdict_is_a_sentence_for_strangers() {
        let slots = json!({ "all": 3, "idle": 1, "busy": 2 });
        let up = json!({ "health": "up", "slots": slots });
        assert_eq!(
            of(&json!({ "a": { "slots": slots } }), &json!({ "a": { "1": up, "2": { "health": "up" } } })),
            (Level::Well, "all is well: 2 of 2 backends up, 2 of 3 slots busy, nobody waits".to_owned())
        );
        let queue = json!({ "length": 9, "waiting": 3, "longest_wait_seconds": 4.0 });
        assert_eq!(
            of(&json!({ "a": { "slots": slots, "queue": queue } }), &json!({ "a": { "1": up } })),
            (
                Level::Busy,
                "busy: 3 wait, the oldest for 4.0 s; 1 of 1 backends up, 2 of 3 slots busy".to_owned()
            )
        );
        let (down, away) = (json!({ "health": "down" }), json!({ "health": "down", "mode": "maintenance" }));
        assert_eq!(
            of(&json!({ "a": { "slots": slots } }), &json!({ "a": { "1": up, "2": down, "3": away } })),
            (
                Level::Trouble,
                "1 backend down; 1 of 3 backends up, 2 of 3 slots busy, nobody waits, 1 in maintenance"
                    .to_owned()
            )
        );
        let drained = json!({ "health": "up", "mode": "drain" });
        assert_eq!(
            of(&json!({ "a": { "slots": slots } }), &json!({ "a": { "1": up, "2": drained } })),
            (Level::Busy, "1 drained; 1 of 2 backends up, 2 of 3 slots busy, nobody waits".to_owned())
        );
        // What is left of it is at work at the one that has its place.
        let left = json!({ "health": "up", "removed": true, "slots": { "all": 2, "busy": 2 } });
        assert_eq!(
            of(
                &json!({ "a": { "slots": { "all": 5, "busy": 4 } } }),
                &json!({ "a": { "1": up, "2": left } })
            ),
            (Level::Well, "all is well: 1 of 1 backends up, 2 of 3 slots busy, nobody waits".to_owned())
        );
        assert_eq!(verdict(&picture(&json!({})), 0.0).1, "nothing was told yet");
        let stops = json!({ "gateway": { "version": "1", "reasons": ["draining"] } });
        assert!(verdict(&picture(&stops), 0.0).1.starts_with("not ready, it was told to stop; "));
    }
}
