//! What went wrong, as it is told.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::live::{Failure, Failures};

/// The requests that went wrong last.
#[derive(Debug, Serialize)]
pub(super) struct Errors {
    /// How many there were.
    count: u64,
    /// The last one first.
    errors: Vec<Failed>,
}

#[derive(Debug, Serialize)]
struct Failed {
    at_unix_seconds: f64,
    id: String,
    client: String,
    method: String,
    path: String,
    status: Option<u16>,
    pool: Option<String>,
    backend: Option<String>,
    reason: Option<String>,
}

impl Errors {
    pub(super) fn of(failures: &Failures) -> Self {
        let (last, count) = failures.last();
        Self { count, errors: last.iter().map(|failure| Failed::of(failure)).collect() }
    }
}

impl Failed {
    fn of(failure: &Failure) -> Self {
        Self {
            at_unix_seconds: unix_seconds(failure.at),
            id: failure.id.clone(),
            client: failure.client.clone(),
            method: failure.method.clone(),
            path: failure.path.clone(),
            status: failure.status,
            pool: failure.pool.clone(),
            backend: failure.backend.clone(),
            reason: failure.reason.clone(),
        }
    }
}

pub(super) fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
