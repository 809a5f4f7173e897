//! What came of reloads.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::event::Event;

/// What came of the reloads so far.
#[derive(Debug, Default)]
pub(crate) struct Reloaded(Mutex<Outcomes>);

/// How often a Plan was put in force after the first, and how often not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcomes {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// When the last one was put in force.
    pub(crate) last_success: Option<SystemTime>,
    /// Why the last one was not; nothing where it was.
    pub(crate) trouble: Option<String>,
}

impl Reloaded {
    pub(crate) fn so_far(&self) -> Outcomes {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes one more; answers how it is told.
    pub(super) fn note(&self, outcome: Result<(), String>) -> Event {
        let mut outcomes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => {
                outcomes.succeeded += 1;
                outcomes.last_success = Some(SystemTime::now());
                outcomes.trouble = None;
                Event::Reloaded
            }
            Err(why) => {
                outcomes.failed += 1;
                outcomes.trouble = Some(why.clone());
                Event::NotReloaded { why }
            }
        }
    }
}
