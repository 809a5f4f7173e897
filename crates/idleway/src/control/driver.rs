//! A pool's time: what is due is done when it is due, and what became of its backends is told.

use std::sync::Arc;

use idleway_core::{Change, Health};

use crate::live::{LivePool, now};

/// Keeps a pool's time: sleeps until its next deadline, whatever that is, and lets it happen. Never ends; a pool has
/// one.
pub(crate) async fn drive(pool: Arc<LivePool>) {
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
        for change in pool.slots.take_news() {
            tell(&pool, &change);
        }
    }
}

/// One line in the log for each change of a backend's health.
fn tell(pool: &LivePool, change: &Change) {
    let Some(backend) = pool.backend(change.backend) else { return };
    let (pool, backend, cause) = (&pool.plan.name, &backend.name, change.cause);
    match change.health {
        Health::Up => tracing::info!(%pool, %backend, %cause, "backend up"),
        Health::Down => tracing::warn!(%pool, %backend, %cause, "backend down"),
    }
}
