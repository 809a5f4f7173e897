//! How a gateway stands, as it was told last.
//!
//! What is told comes from outside: what is missing or of another kind counts as not known, and nothing of it is a reason to stop.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use serde_json::Value;

use super::backend::Backend;
use super::pool::Pool;

/// So many of the last events are kept.
const EVENTS: usize = 32;

/// How everything stands.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    pub(super) version: String,
    pub(super) address: String,
    /// When the gateway began, by its clock.
    pub(super) started: Option<f64>,
    /// Why no requests are wanted; nothing where they are.
    pub(super) reasons: Vec<String>,
    /// Why the last reload failed, where it did.
    pub(super) trouble: Option<String>,
    pub(super) pools: BTreeMap<String, Pool>,
    /// The last events, the newest at the end.
    pub(super) events: VecDeque<Event>,
    /// What its clock said, and when that was heard.
    told: f64,
    pub(super) heard: Instant,
    /// Time stands still: it is not known how it goes on.
    pub(super) is_still: bool,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) at: f64,
    pub(super) is_bad: bool,
    pub(super) words: String,
}

impl Picture {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            version: String::new(),
            address: String::new(),
            started: None,
            reasons: Vec::new(),
            trouble: None,
            pools: BTreeMap::new(),
            events: VecDeque::new(),
            told: 0.0,
            heard: now,
            is_still: false,
        }
    }

    /// Takes in a message: `whole` is everything, anything else what has changed.
    pub(super) fn apply(&mut self, kind: &str, told: &Value, now: Instant) {
        if kind == "whole" {
            *self = Self::new(now);
        }
        self.told = told["now_unix_seconds"].as_f64().unwrap_or(self.told);
        self.heard = now;
        self.is_still = false;
        if told["gateway"].is_object() {
            self.see_gateway(&told["gateway"]);
        }
        for name in list(&told["gone_pools"]).filter_map(Value::as_str) {
            self.pools.remove(name);
        }
        for (name, pool) in entries(&told["pools"]) {
            self.pools.entry(name.clone()).or_default().see(pool);
        }
        for (name, keys) in entries(&told["gone_backends"]) {
            let Some(pool) = self.pools.get_mut(name) else { continue };
            list(keys).filter_map(Value::as_u64).for_each(|key| _ = pool.backends.remove(&key));
        }
        for (name, backends) in entries(&told["backends"]) {
            let pool = self.pools.entry(name.clone()).or_default();
            let keyed = entries(backends).filter_map(|(key, backend)| Some((key.parse().ok()?, backend)));
            pool.backends.extend(keyed.map(|(key, backend)| (key, Backend::of(backend))));
        }
        for (name, points) in entries(&told["points"]) {
            // Points may outlive their pool by a moment.
            let Some(pool) = self.pools.get_mut(name) else { continue };
            list(points).for_each(|point| pool.note(point));
        }
        self.events.extend(list(&told["events"]).map(Event::of));
        let too_many = self.events.len().saturating_sub(EVENTS);
        self.events.drain(..too_many);
    }

    fn see_gateway(&mut self, told: &Value) {
        self.version = text(&told["version"]);
        self.address = text(&told["address"]);
        self.started = told["started_unix_seconds"].as_f64();
        self.reasons = list(&told["reasons"]).map(text).collect();
        self.trouble = told["reloads"]["trouble"].as_str().map(clean);
    }

    /// What the gateway's clock says: what it said, and the time since. Ours may say something else.
    pub(super) fn clock(&self, now: Instant) -> f64 {
        if self.is_still {
            self.told
        } else {
            self.told + now.saturating_duration_since(self.heard).as_secs_f64()
        }
    }

    /// Stops its time.
    pub(super) fn stop(&mut self, now: Instant) {
        self.told = self.clock(now);
        self.is_still = true;
    }

    /// Whether anything in it grows older while somebody looks.
    pub(super) fn ages(&self) -> bool {
        let is_at_work = |pool: &Pool| pool.queue.waiting > 0 || pool.slots.taken() > 0;
        !self.is_still && (self.pools.values().any(is_at_work) || !self.events.is_empty())
    }
}

impl Event {
    fn of(told: &Value) -> Self {
        let kind = told["kind"].as_str().unwrap_or_default();
        let who = format!("{}/{}", text(&told["pool"]), text(&told["backend"]));
        let why = |name: &str| Some(text(&told[name])).filter(|why| !why.is_empty());
        let words = match kind {
            "backend_up" => format!("{who} is up"),
            "backend_down" => {
                let reasons: Vec<_> = [why("cause"), why("fault")].into_iter().flatten().collect();
                format!("{who} is down: {}", reasons.join(", "))
            }
            "mode_set" if told["mode"] == "ready" => format!("{who} was brought back"),
            "mode_set" if told["mode"] == "drain" => format!("{who} was told to drain"),
            "mode_set" => format!("{who} was set to {}", text(&told["mode"])),
            "slots_set" => match told["slots"].as_u64() {
                Some(slots) => format!("{who} was given {slots} slots"),
                None => format!("{who} has as many slots as the file says"),
            },
            "reloaded" => "the configuration was read again".to_owned(),
            "not_reloaded" => format!("not reloaded: {}", text(&told["why"])),
            "missed" => format!("{} events were missed", told["events"].as_u64().unwrap_or_default()),
            // What a newer gateway tells.
            other => other.replace('_', " "),
        };
        let is_bad = matches!(kind, "backend_down" | "not_reloaded");
        Self { at: told["at_unix_seconds"].as_f64().unwrap_or_default(), is_bad, words: clean(&words) }
    }
}

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().map(clean).unwrap_or_default()
}

/// In one line, and without what a terminal would obey.
pub(super) fn clean(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().map(visible).collect();
    // The number that the system has for it says nothing beside its words.
    let words = text.split_once(" (os error ").and_then(|(words, rest)| rest.ends_with(')').then_some(words));
    words.unwrap_or(&text).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn told(messages: &[(&str, Value)]) -> Picture {
        let now = Instant::now();
        let mut picture = Picture::new(now);
        messages.iter().for_each(|(kind, told)| picture.apply(kind, told, now));
        picture
    }

    #[test]
    fn changes_replace_what_stood_there() {
        let whole = json!({
            "now_unix_seconds": 100.0,
            "gateway": { "version": "1", "reasons": ["draining"], "reloads": { "trouble": "a\nb" } },
            "pools": { "a": { "slots": { "all": 2, "idle": 2 } }, "b": {} },
            "backends": { "a": { "1": { "name": "x" }, "2": { "name": "y" } }, "b": {} },
            "points": { "a": [[95.0, 10, 0, 0, null, null, null, 0, 0]] },
            "events": [{ "kind": "backend_down", "pool": "a", "backend": "x", "cause": "unreachable", "fault": "refused" }],
        });
        let change = json!({
            "now_unix_seconds": 105.0,
            "gone_pools": ["b"],
            "gone_backends": { "a": [1], "c": [7] },
            "backends": { "a": { "2": { "name": "y", "health": "down" }, "3": { "name": "z" } } },
            "points": { "a": [[100.0, 5, 0, 0, 0.5, 0.5, 0.5, 1, 0]], "b": [[]] },
            "events": [{ "kind": "reloaded" }],
        });
        let picture = told(&[("whole", whole.clone()), ("change", change)]);
        assert_eq!(picture.pools.keys().collect::<Vec<_>>(), ["a"]);
        let pool = &picture.pools["a"];
        let names: Vec<_> = pool.backends.iter().map(|(key, backend)| (*key, &*backend.name)).collect();
        assert_eq!(names, [(2, "y"), (3, "z")]);
        assert!(pool.backends[&2].is_down && pool.slots.all == 2);
        assert_eq!(picture.reasons, ["draining"]);
        assert_eq!(picture.trouble.as_deref(), Some("a b"));
        let events: Vec<_> = picture.events.iter().map(|event| &*event.words).collect();
        assert_eq!(events, ["a/x is down: unreachable, refused", "the configuration was read again"]);
        // Everything anew leaves nothing of before.
        let picture = told(&[("whole", whole), ("whole", json!({ "pools": { "c": {} } }))]);
        assert_eq!(picture.pools.keys().collect::<Vec<_>>(), ["c"]);
        assert!(picture.events.is_empty() && picture.reasons.is_empty());
    }

    #[test]
    fn ages_go_on_between_messages_and_stand_still_when_nobody_knows() {
        let mut picture = told(&[("whole", json!({ "now_unix_seconds": 100.0 }))]);
        let later = picture.heard + Duration::from_secs(3);
        assert!((picture.clock(later) - 103.0).abs() < 1e-9);
        picture.stop(later);
        assert!((picture.clock(later + Duration::from_secs(9)) - 103.0).abs() < 1e-9);
        picture.apply("change", &json!({ "now_unix_seconds": 110.0 }), later);
        assert!((picture.clock(later + Duration::from_secs(1)) - 111.0).abs() < 1e-9);
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_passed_on() {
        let event = json!({ "kind": "not_reloaded", "why": "\u{1b}[2Jbad\r\nfile" });
        assert_eq!(Event::of(&event).words, "not reloaded: [2Jbad  file");
        assert_eq!(clean("connect failed: refused (os error 111)"), "connect failed: refused");
        assert_eq!(clean("(os error"), "(os error");
    }

    #[test]
    fn what_is_not_there_is_no_reason_to_panic() {
        let odd = [json!(null), json!([]), json!("x"), json!(-1), json!({ "x": null }), json!([[null]])];
        for key in ["gateway", "gone_pools", "pools", "gone_backends", "backends", "points", "events"] {
            for value in &odd {
                let nested = json!({ "a": { "1": value, "slots": value, "queue": value }, "b": value });
                for value in [value, &nested] {
                    told(&[("whole", json!({ "pools": { "a": {} } })), ("change", json!({ key: value }))]);
                }
            }
        }
        odd.iter().for_each(|odd| _ = told(&[("whole", odd.clone()), ("", odd.clone())]));
    }
}
