//! A drain, waited for.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::{Failure, complain};
use super::{Where, segment, shown};

/// How often it is asked.
const LOOK: Duration = Duration::from_millis(250);
/// How often it is told that nothing has changed.
const TOLD: Duration = Duration::from_secs(10);

/// Waits until nothing is at work, or the time is over; answers with how the backend stands then.
pub(super) fn wait(
    at: &Where,
    pool: &str,
    backend: &str,
    mut told: Value,
    timeout: Option<Duration>,
) -> Result<Value, Failure> {
    let begun = Instant::now();
    let mut said: Option<(usize, Instant)> = None;
    loop {
        let waits_for = work(&told).count();
        let is_over = timeout.is_some_and(|timeout| begun.elapsed() >= timeout);
        if is_quiet(&told) || is_over {
            return Ok(told);
        }
        if said.is_none_or(|(count, at)| count != waits_for || at.elapsed() >= TOLD) {
            complain(&shown::waits_for(pool, backend, &told, &work(&told).collect::<Vec<_>>()));
            said = Some((waits_for, Instant::now()));
        }
        let left = timeout.map_or(LOOK, |timeout| timeout.saturating_sub(begun.elapsed()));
        pause(LOOK.min(left));
        told = now(at, pool, backend)?;
    }
}

/// The backend, or nothing where it has been forgotten, and so nothing is at work there.
fn now(at: &Where, pool: &str, backend: &str) -> Result<Value, Failure> {
    let told = at.ask("GET", &format!("/v1/pools/{}", segment(pool)), None)?;
    let backends = told["backends"].as_array().into_iter().flatten();
    let named: Vec<_> = backends.filter(|known| known["name"] == backend).collect();
    let listed = named.iter().find(|known| known["removed"] == false).or(named.first());
    Ok(listed.map_or(Value::Null, |listed| (*listed).clone()))
}

#[expect(clippy::disallowed_methods, reason = "the event is another process's, and it is asked about")]
pub(in crate::cli) fn pause(time: Duration) {
    thread::sleep(time);
}

/// Whether nothing is at work there, and nothing may be.
pub(super) fn is_quiet(backend: &Value) -> bool {
    let none = |name: &str| backend[name].as_u64().unwrap_or(0) == 0;
    work(backend).next().is_none() && none("work_left_out") && none("elsewhere")
}

/// What is at work, or may be: not what only rests for a time.
fn work(backend: &Value) -> impl Iterator<Item = &Value> {
    backend["work"].as_array().into_iter().flatten().filter(|work| work["state"] != "resting")
}
