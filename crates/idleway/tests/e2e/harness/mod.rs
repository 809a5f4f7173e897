//! What the tests are made of: a gateway on a port of its own, scripted backends, strict clients.

mod backend;
mod client;
mod deaf;
mod gate;
mod line;
mod traffic;
mod visit;
mod wire;
mod witness;

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use idleway::config::Plan;
use idleway::{Gateway, SlotCounts};

pub(crate) use backend::Backend;
pub(crate) use client::{Client, Response, ask, get, head_of, post};
pub(crate) use deaf::Deaf;
pub(crate) use gate::{Door, Gate};
pub(crate) use line::Line;
pub(crate) use traffic::under_traffic;
pub(crate) use visit::{CUT, Connection, Visit};
pub(crate) use wire::Head;

/// When a test that still waits has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway before these backends, one Slot each, on two cores; `more` is TOML below the top level's first
/// lines, tables last.
pub(crate) fn gateway(backends: &[&Backend], more: &str) -> Gateway {
    let urls: Vec<String> = backends.iter().map(|backend| backend.url()).collect();
    start(&format!("backends = {urls:?}\n{more}"))
}

/// A gateway with this configuration, on two cores and a free port.
pub(crate) fn start(config: &str) -> Gateway {
    let plan = Plan::from_toml(&format!("threads = 2\n{config}"), "test.toml");
    let plan = plan.unwrap_or_else(|faults| panic!("{faults}"));
    Gateway::start(plan, TcpListener::bind("127.0.0.1:0").unwrap()).unwrap()
}

/// Waits until `condition` holds, for what crosses threads and wakes nobody here.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(comes_to(condition), "it did not come to: {what}");
}

/// Looks again and again whether `condition` holds: the less often the longer it takes, since whoever waits for long
/// is not to keep the cores from the others.
fn comes_to(mut condition: impl FnMut() -> bool) -> bool {
    let since = Instant::now();
    while !condition() {
        if since.elapsed() > PATIENCE {
            return false;
        }
        thread::park_timeout((since.elapsed() / 8).max(Duration::from_micros(200)));
    }
    true
}

/// Lets this time pass: as work that takes it, or a client that was told to. What happens meanwhile is no business
/// of a test.
pub(crate) fn spend(time: Duration) {
    let until = Instant::now() + time;
    while let Some(rest) = until.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
        thread::park_timeout(rest);
    }
}

/// Waits until the Slots stand like this.
#[track_caller]
pub(crate) fn until_slots(gateway: &Gateway, what: &str, condition: impl Fn(SlotCounts) -> bool) {
    let came = comes_to(|| condition(gateway.slots()));
    assert!(came, "it did not come to: {what}; the slots are {:?}", gateway.slots());
}

/// Waits until all `slots` are idle and nobody is in line.
#[track_caller]
pub(crate) fn until_all_idle(gateway: &Gateway, slots: u64) {
    let mut rest = SlotCounts::default();
    rest.idle = slots;
    until_slots(gateway, "all slots idle", |counts| counts == rest);
}

/// What this machine lacks is said and not tried; where `CI` is set it has to be there.
pub(crate) fn needs<T>(what: &str, found: std::io::Result<T>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "no {what}: {error}");
            println!("not tried, since there is no {what}: {error}");
            None
        }
    }
}
