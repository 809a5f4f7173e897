//! A backend, as it was told: how it stands, its slots, and what they are at.

use serde_json::Value;

use super::picture::{list, text};

/// Work that nobody waits for any more is no trouble as long as it ends soon, in seconds.
const LINGERS: f64 = 5.0;

#[derive(Debug, Clone, Default)]
pub(super) struct Backend {
    pub(super) name: String,
    pub(super) mode: Mode,
    pub(super) is_down: bool,
    /// Why it is down.
    pub(super) cause: String,
    /// What went wrong with it last.
    pub(super) fault: String,
    /// It is no longer named, and finishes its work.
    pub(super) is_removed: bool,
    /// Until when it rests, where it said that it is busy.
    pub(super) rests_until: Option<f64>,
    pub(super) slots: Slots,
    /// Of the resting slots: those that wait for a proof, and those that somebody else has at work.
    pub(super) unproven: u64,
    pub(super) elsewhere: u64,
    /// What the taken slots are at, by their places.
    pub(super) work: Vec<Work>,
    /// How much there is besides.
    pub(super) left_out: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Ready,
    Drain,
    Maintenance,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Slots {
    pub(super) all: u64,
    pub(super) idle: u64,
    pub(super) busy: u64,
    pub(super) lingering: u64,
    pub(super) resting: u64,
}

/// What a taken slot is at.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) state: State,
    /// Of whom it is: a request, or a probe.
    pub(super) is_request: bool,
    pub(super) since: Option<f64>,
    /// When the slot is free, where it rests until a time.
    pub(super) until: Option<f64>,
    pub(super) id: String,
    pub(super) method: String,
    pub(super) route: String,
    pub(super) client: String,
    pub(super) key: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Busy,
    Lingering,
    Resting,
    /// It rests until a proof, or nobody knows.
    Unproven,
}

impl Backend {
    pub(super) fn of(told: &Value) -> Self {
        let number = |name: &str| told[name].as_u64().unwrap_or_default();
        Self {
            name: text(&told["name"]),
            mode: match told["mode"].as_str() {
                Some("drain") => Mode::Drain,
                Some("maintenance") => Mode::Maintenance,
                _ => Mode::Ready,
            },
            is_down: told["health"] == "down",
            cause: text(&told["cause"]),
            fault: text(&told["fault"]),
            is_removed: told["removed"] == true,
            rests_until: told["rests_until_unix_seconds"].as_f64(),
            slots: Slots::of(&told["slots"]),
            unproven: number("unproven"),
            elsewhere: number("elsewhere"),
            work: list(&told["work"]).map(Work::of).collect(),
            left_out: number("work_left_out"),
        }
    }

    /// Whether it is not there for newcomers by somebody's will.
    pub(super) fn is_ordered(&self) -> bool {
        self.mode != Mode::Ready || self.is_removed
    }

    /// Whether a request may have a slot that is idle here.
    pub(super) fn has_idle(&self, now: f64) -> bool {
        let is_closed =
            self.is_down || self.is_ordered() || self.rests_until.is_some_and(|until| until > now);
        !is_closed && self.slots.idle > 0
    }

    /// How much somebody should look at it: what is wrong comes before what was ordered, and that before what is well.
    pub(super) fn rank(&self, now: f64) -> u8 {
        let lingers = |work: &Work| work.state == State::Lingering && work.age(now) > LINGERS;
        match () {
            () if self.is_down && !self.is_ordered() => 0,
            () if self.unproven > 0 || self.work.iter().any(lingers) => 1,
            () if self.is_ordered() => 2,
            () => 3,
        }
    }

    /// What has been at work for longest.
    pub(super) fn oldest(&self) -> Option<&Work> {
        let since = |work: &&Work| work.since.unwrap_or(f64::INFINITY);
        self.at_work().min_by(|one, other| since(one).total_cmp(&since(other)))
    }

    /// Since when that has been.
    pub(super) fn oldest_since(&self) -> Option<f64> {
        self.oldest().and_then(|work| work.since)
    }

    /// What is done there, the oldest first.
    pub(super) fn by_age(&self) -> Vec<&Work> {
        let mut all: Vec<_> = self.work.iter().collect();
        let since = |work: &Work| work.since.unwrap_or(f64::INFINITY);
        all.sort_by(|one, other| since(one).total_cmp(&since(other)));
        all
    }

    /// Without what only rests.
    fn at_work(&self) -> impl Iterator<Item = &Work> {
        self.work.iter().filter(|work| work.state != State::Resting)
    }
}

impl Slots {
    pub(super) fn of(told: &Value) -> Self {
        let number = |name: &str| told[name].as_u64().unwrap_or_default();
        let [idle, busy, lingering, resting] = ["idle", "busy", "lingering", "resting"].map(number);
        Self { all: number("all"), idle, busy, lingering, resting }
    }

    pub(super) fn taken(self) -> u64 {
        self.busy.saturating_add(self.lingering).saturating_add(self.resting)
    }

    /// How much of them is taken, from 0 to 1.
    pub(super) fn share(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "slots are not as many as that")]
        let share = self.taken() as f64 / self.all.max(1) as f64;
        share
    }
}

impl Work {
    fn of(told: &Value) -> Self {
        Self {
            state: match told["state"].as_str() {
                Some("busy") => State::Busy,
                Some("lingering") => State::Lingering,
                Some("resting") => State::Resting,
                _ => State::Unproven,
            },
            is_request: told["method"].is_string(),
            since: told["since_unix_seconds"].as_f64(),
            until: told["until_unix_seconds"].as_f64(),
            id: text(&told["id"]),
            method: text(&told["method"]),
            route: text(&told["route"]),
            client: text(&told["client"]),
            key: text(&told["key"]),
        }
    }

    /// How long it has been there, in seconds.
    pub(super) fn age(&self, now: f64) -> f64 {
        self.since.map_or(0.0, |since| (now - since).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_comes_before_what_was_ordered() {
        let rank = |told: Value| Backend::of(&told).rank(100.0);
        let lingers = |since: f64| json!({ "work": [{ "state": "lingering", "since_unix_seconds": since }] });
        assert_eq!(rank(json!({ "health": "down" })), 0);
        assert_eq!(rank(json!({ "unproven": 1 })), 1);
        assert_eq!(rank(lingers(90.0)), 1);
        assert_eq!(rank(json!({ "health": "down", "mode": "maintenance" })), 2);
        assert_eq!(rank(lingers(98.0)), 3);
        assert_eq!(rank(json!(null)), 3);
    }

    #[test]
    fn the_oldest_work_is_known() {
        let work = |state: &str, since: f64| json!({ "state": state, "since_unix_seconds": since });
        let backend = json!({ "work": [work("busy", 5.0), work("resting", 1.0), work("busy", 3.0), null] });
        let backend = Backend::of(&backend);
        assert_eq!(backend.oldest().and_then(|work| work.since), Some(3.0));
        let ages: Vec<_> = backend.by_age().iter().map(|work| work.age(6.0)).collect();
        assert_eq!(ages, [5.0, 3.0, 1.0, 0.0]);
    }
}
