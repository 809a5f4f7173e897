//! How it stands, for people.

use serde_json::Value;

/// How many pieces of work are shown of each backend.
const SHOWN: usize = 10;

/// Everything.
pub(super) fn status(told: &Value) -> Vec<String> {
    let mut lines = vec![readiness(told)];
    if let Some(trouble) = told["reloads"]["trouble"].as_str() {
        lines.push(format!("the last reload failed: {trouble}"));
    }
    for pool in list(&told["pools"]) {
        lines.push(self::pool(pool));
        let mut backends: Vec<_> = list(&pool["backends"]).collect();
        backends.sort_by_key(|backend| rank(backend));
        for backend in backends {
            lines.push(format!("  {} {}", text(&backend["name"]), self::backend(backend)));
            lines.extend(list(&backend["work"]).take(SHOWN).map(|work| format!("    {}", self::work(work))));
            let more = list(&backend["work"]).skip(SHOWN).count() as u64 + number(&backend["work_left_out"]);
            if more > 0 {
                lines.push(format!("    and {more} more"));
            }
        }
    }
    lines
}

/// What is wrong with a backend comes before what is ordered of it, and that before what is well.
fn rank(backend: &Value) -> u8 {
    let slots = &backend["slots"];
    match () {
        () if backend["health"] == "down" => 0,
        () if backend["mode"] != "ready" || backend["removed"] == true => 1,
        () if number(&slots["lingering"]) + number(&slots["resting"]) > 0 => 2,
        () => 3,
    }
}

fn readiness(told: &Value) -> String {
    let reasons: Vec<_> = list(&told["reasons"]).map(|reason| text(reason).replace('_', " ")).collect();
    let uptime = told["uptime_seconds"].as_f64().unwrap_or(0.0);
    let state =
        if reasons.is_empty() { "ready".to_owned() } else { format!("not ready: {}", reasons.join(", ")) };
    format!("{state} (version {}, up for {})", text(&told["version"]), time(uptime))
}

/// A line.
fn pool(pool: &Value) -> String {
    let queue = &pool["queue"];
    let leaving = if pool["leaving"] == true { " is leaving" } else { "" };
    let mut line = format!("{}{leaving}: {}", text(&pool["name"]), slots(&pool["slots"]));
    if number(&queue["length"]) > 0 || number(&queue["waiting"]) > 0 {
        line += &format!("; {} of {} waiting", number(&queue["waiting"]), number(&queue["length"]));
        if let Some(longest) = queue["longest_wait_seconds"].as_f64() {
            line += &format!(", the longest {} so far", time(longest));
        }
    }
    if let Some(wait) = pool["estimate"]["wait_seconds"].as_f64() {
        line += &format!("; a newcomer waits {}", time(wait));
    }
    line
}

/// `up, drain: 0 idle, 1 busy, 0 lingering, 0 resting`
pub(super) fn backend(backend: &Value) -> String {
    if backend.is_null() {
        return "it is gone".to_owned();
    }
    let mut state = text(&backend["health"]).to_owned();
    if backend["health"] == "down" && backend["cause"].is_string() {
        state += &format!(" ({})", text(&backend["cause"]));
    }
    if backend["mode"] != "ready" {
        state += &format!(", {}", text(&backend["mode"]));
    }
    if backend["removed"] == true {
        state += ", no longer named";
    }
    if let Some(rests) = backend["rests_seconds"].as_f64() {
        state += &format!(", rests for {}", time(rests));
    }
    let mut line = format!("{state}: {}", slots(&backend["slots"]));
    if backend["health"] == "down" && backend["fault"].is_string() {
        line += &format!("; {}", text(&backend["fault"]));
    }
    line
}

/// `GET /work of 10.0.0.7, 43 s so far`
fn work(work: &Value) -> String {
    let age = time(work["age_seconds"].as_f64().unwrap_or(0.0));
    let state = match text(&work["state"]) {
        "busy" => "",
        "lingering" => ", nobody waits for it",
        "unproven" => ", rests until a probe is answered",
        "doubted" => ", nobody knows whether it works on",
        _ => ", rests",
    };
    match &work["request"] {
        Value::Null => format!("a probe, {age} so far{state}"),
        request => {
            let key = request["key"].as_str().map(|key| format!(", key {key}"));
            format!(
                "{} {} of {}{}, {age} so far{state}",
                text(&request["method"]),
                text(&request["route"]),
                text(&request["client"]),
                key.unwrap_or_default()
            )
        }
    }
}

/// `workers/10.0.0.3:6000: 1 request, 43 s so far`
pub(super) fn waits_for(pool: &str, name: &str, backend: &Value, work: &[&Value]) -> String {
    let ages: Vec<_> = work.iter().map(|work| work["age_seconds"].as_f64().unwrap_or(0.0)).collect();
    let requests = ages.len() as u64 + number(&backend["work_left_out"]);
    let elsewhere = number(&backend["elsewhere"]);
    let oldest = ages.into_iter().fold(0.0, f64::max);
    let mut parts = Vec::new();
    if requests > 0 {
        let plural = if requests == 1 { "" } else { "s" };
        parts.push(format!("{requests} request{plural}, {} so far", time(oldest)));
    }
    if elsewhere > 0 {
        parts.push(format!("{elsewhere} at work for another pool or process"));
    }
    format!("{pool}/{name}: {}", parts.join("; "))
}

fn slots(slots: &Value) -> String {
    let states = ["idle", "busy", "lingering", "resting"];
    let states: Vec<_> = states.iter().map(|state| format!("{} {state}", number(&slots[*state]))).collect();
    states.join(", ")
}

/// Seconds, as exactly as anybody wants to know.
pub(in crate::cli) fn time(seconds: f64) -> String {
    match seconds {
        ..0.01 => "0 s".to_owned(),
        ..10.0 => format!("{seconds:.1} s"),
        ..600.0 => format!("{seconds:.0} s"),
        _ => format!("{:.0} min", seconds / 60.0),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_drain_waits_for_is_a_line() {
        let works = [json!({ "age_seconds": 43.4 }), json!({ "age_seconds": 2.0 })];
        let backend = json!({ "work_left_out": 0, "elsewhere": 0 });
        assert_eq!(
            waits_for("workers", "10.0.0.3", &backend, &[&works[0]]),
            "workers/10.0.0.3: 1 request, 43 s so far"
        );
        assert_eq!(
            waits_for("workers", "10.0.0.3", &backend, &[&works[0], &works[1]]),
            "workers/10.0.0.3: 2 requests, 43 s so far"
        );
        let backend = json!({ "work_left_out": 0, "elsewhere": 2 });
        assert_eq!(waits_for("w", "b", &backend, &[]), "w/b: 2 at work for another pool or process");
    }

    #[test]
    fn what_is_wrong_comes_first() {
        let backend = |name: &str, health: &str, mode: &str, resting: u64| json!({ "name": name, "health": health, "mode": mode, "slots": { "resting": resting } });
        let backends = [
            backend("a", "up", "ready", 0),
            backend("b", "up", "ready", 1),
            backend("c", "up", "drain", 0),
            backend("d", "down", "ready", 0),
        ];
        let lines = status(&json!({ "pools": [{ "backends": backends }] }));
        let names: Vec<_> = lines[2..].iter().map(|line| &line[2..3]).collect();
        assert_eq!(names, ["d", "c", "b", "a"]);
    }

    #[test]
    fn what_is_not_there_is_no_reason_to_panic() {
        for told in [
            json!(null),
            json!([]),
            json!({ "pools": [null, { "backends": [null, { "work": [null, {}] }] }] }),
        ] {
            assert!(!status(&told).is_empty());
        }
    }
}
