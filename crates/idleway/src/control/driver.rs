//! A pool's time: what is due is done when it is due, and what became of its backends is told.

use std::sync::Arc;

use idleway_core::{BackendKey, Change, Health};

use crate::event::Event;
use crate::live::{Lasting, Live, now};

/// Keeps a pool's time: sleeps until its next deadline, whatever that is, and lets it happen. Never ends; a pool has
/// one.
pub(crate) async fn drive(live: Arc<Live>, pool: Arc<Lasting>) {
    let mut next = pool.slots.tick();
    loop {
        let sleep = async {
            match next {
                Some(at) => tokio::time::sleep(at.since(now())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            _ = pool.slots.deadline(next) => {}
        }
        next = pool.slots.tick();
        pool.slots.take_news().iter().for_each(|change| tell(&live, &pool, change));
        if pool.slots.awaiting_probe(BackendKey(0)).is_some() {
            pool.wants_probe.notify_one();
        }
    }
}

/// One line in the log and one event for each change of a backend's health, with its cause.
fn tell(live: &Live, pool: &Lasting, change: &Change) {
    let Some(backend) = pool.backend(change.backend) else { return };
    let (name, cause) = (&pool.name, change.cause);
    match change.health {
        Health::Up => {
            tracing::info!(pool = %name, backend = %backend.name, %cause, "backend up");
            live.tell(|| Event::BackendUp {
                pool: name.clone(),
                backend: backend.name.clone(),
                cause: cause.to_string(),
            });
        }
        Health::Down => {
            pool.metrics.downs.count(cause);
            let fault = backend.fault();
            let pause = change.until.map(|until| until.since(change.at));
            tracing::warn!(
                pool = %name, backend = %backend.name, %cause, fault,
                pause_ms = pause.map(|pause| pause.as_millis()),
                "backend down"
            );
            live.tell(|| Event::BackendDown {
                pool: name.clone(),
                backend: backend.name.clone(),
                cause: cause.to_string(),
                fault,
                pause,
            });
        }
    }
}
