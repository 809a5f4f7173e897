//! What changes something. Each is done at once, and leaves a line in the log: who, what, and what came of it.

use std::net::SocketAddr;
use std::sync::Arc;

use idleway_core::{BackendKey, Mode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Desk;
use super::answer::Problem;
use super::status::{Backend, views};
use crate::event::Event;
use crate::live::{Live, LivePool, Readiness, mode_word};

/// The most Slots of a backend, as in the file.
const MOST: u32 = 100_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModeOrder {
    mode: ModeWord,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ModeWord {
    Ready,
    Drain,
    Maintenance,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlotsOrder {
    slots: u32,
}

/// `{"mode": "drain"}`
pub(super) fn set_mode(desk: &Desk, pool: &str, backend: &str, body: &[u8]) -> Result<Backend, Problem> {
    let mode = match read::<ModeOrder>(body)?.mode {
        ModeWord::Ready => Mode::Ready,
        ModeWord::Drain => Mode::Drain,
        ModeWord::Maintenance => Mode::Maintenance,
    };
    let live = desk.gateway.live();
    let (pool, key) = find(live, pool, backend)?;
    pool.slots.set_mode(key, mode);
    // It may have missed probes meanwhile.
    pool.wants_probe.notify_one();
    live.tell(|| Event::ModeSet {
        pool: pool.name.clone(),
        backend: backend.to_owned(),
        mode: mode_word(mode),
    });
    told(&pool, key, backend)
}

/// `{"slots": 4}`
pub(super) async fn set_slots(
    desk: &Desk,
    pool: &str,
    backend: &str,
    body: &[u8],
) -> Result<Backend, Problem> {
    let SlotsOrder { slots } = read(body)?;
    if !(1..=MOST).contains(&slots) {
        return Err(Problem::Body(format!(
            "`slots` is a number from 1 to {MOST}; to take a backend out, drain it"
        )));
    }
    resize(desk, pool, backend, Some(slots)).await
}

/// As many as the Plan says, whatever was ordered.
pub(super) async fn forget_slots(desk: &Desk, pool: &str, backend: &str) -> Result<Backend, Problem> {
    resize(desk, pool, backend, None).await
}

async fn resize(desk: &Desk, pool: &str, backend: &str, slots: Option<u32>) -> Result<Backend, Problem> {
    let live = desk.gateway.live();
    let (found, key) = find(live, pool, backend)?;
    if live.stage.now() == Readiness::Draining {
        return Err(Problem::Stopping);
    }
    match desk.gateway.resize(pool, backend, slots).await {
        Ok(true) => {
            live.tell(|| Event::SlotsSet { pool: pool.to_owned(), backend: backend.to_owned(), slots });
            told(&found, key, backend)
        }
        Ok(false) => Err(Problem::NoBackend(backend.to_owned())),
        Err(_) => Err(Problem::Stopping),
    }
}

pub(super) async fn reload(desk: &Desk) -> Result<(), Problem> {
    let reload = desk.reload.as_ref().ok_or(Problem::NoReload)?;
    reload().await.map_err(Problem::NotReloaded)
}

/// What was ordered, and what came of it.
pub(super) fn note<T>(peer: SocketAddr, what: &str, body: &[u8], outcome: &Result<T, Problem>) {
    const SHOWN: usize = 128;
    // A text, which the log escapes: it does nothing to a terminal.
    let body = &*String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
    match outcome {
        Ok(_) => tracing::info!(%peer, what, body, result = "done", "an order to the admin API"),
        Err(problem) => {
            tracing::warn!(%peer, what, body, result = problem.name(), "an order to the admin API");
        }
    }
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // A list of values in their order would be taken for one, too.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::Body("it is no object".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| Problem::Body(error.to_string()))
}

/// The backend as it stands.
pub(super) fn look(desk: &Desk, pool: &str, backend: &str) -> Result<Backend, Problem> {
    let (pool, key) = find(desk.gateway.live(), pool, backend)?;
    told(&pool, key, backend)
}

/// The backend of this name; of two the one that the Plan in force has.
fn find(live: &Live, pool: &str, backend: &str) -> Result<(Arc<LivePool>, BackendKey), Problem> {
    let snapshot = live.snapshot();
    let found = snapshot.pools().iter().find(|known| known.name == pool);
    let found = found.ok_or_else(|| Problem::NoPool(pool.to_owned()))?;
    let mut named: Vec<_> = views(found)
        .into_iter()
        .filter(|view| found.backend(view.key).is_some_and(|known| known.name == backend))
        .collect();
    named.sort_by_key(|view| view.removed);
    let view = named.first().ok_or_else(|| Problem::NoBackend(backend.to_owned()))?;
    Ok((Arc::clone(found), view.key))
}

fn told(pool: &LivePool, key: BackendKey, name: &str) -> Result<Backend, Problem> {
    Backend::now(pool, key).ok_or_else(|| Problem::NoBackend(name.to_owned()))
}
