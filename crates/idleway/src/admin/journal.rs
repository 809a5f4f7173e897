//! The last events, numbered.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

use super::past::unix_seconds;
use crate::event::{Event, Events};

/// So many are kept.
const KEPT: usize = 256;

/// What happened since the start.
#[derive(Debug, Default)]
pub(super) struct Journal(Mutex<VecDeque<Entry>>);

/// An event, its number and its time.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    number: u64,
    at_unix_seconds: f64,
    #[serde(flatten)]
    told: Told,
}

/// An event as it is told.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Told {
    BackendUp { pool: String, backend: String, cause: String },
    BackendDown { pool: String, backend: String, cause: String, fault: String, pause_seconds: Option<f64> },
    ModeSet { pool: String, backend: String, mode: &'static str },
    SlotsSet { pool: String, backend: String, slots: Option<u32> },
    Reloaded,
    NotReloaded { why: String },
    Missed { events: u64 },
}

impl Journal {
    /// Writes down what happens, until nothing can happen any more.
    pub(super) async fn keep(&self, mut events: Events) {
        while let Some(event) = events.next().await {
            self.note(event);
        }
        // The gateway has ended; whoever asks is still told.
        std::future::pending::<()>().await;
    }

    fn note(&self, event: Event) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = entries.back().map_or(1, |last| last.number + 1);
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back(Entry {
            number,
            at_unix_seconds: unix_seconds(SystemTime::now()),
            told: Told::of(event),
        });
    }

    /// The number of the last one.
    pub(super) fn last(&self) -> u64 {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.back().map_or(0, |last| last.number)
    }

    /// Those after this number that are kept, in their order.
    pub(super) fn after(&self, number: u64) -> Vec<Entry> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().filter(|entry| entry.number > number).cloned().collect()
    }
}

impl Told {
    fn of(event: Event) -> Self {
        match event {
            Event::BackendUp { pool, backend, cause } => Self::BackendUp { pool, backend, cause },
            Event::BackendDown { pool, backend, cause, fault, pause } => {
                let pause_seconds = pause.map(|pause| pause.as_secs_f64());
                Self::BackendDown { pool, backend, cause, fault, pause_seconds }
            }
            Event::ModeSet { pool, backend, mode } => Self::ModeSet { pool, backend, mode },
            Event::SlotsSet { pool, backend, slots } => Self::SlotsSet { pool, backend, slots },
            Event::Reloaded => Self::Reloaded,
            Event::NotReloaded { why } => Self::NotReloaded { why },
            Event::Missed(events) => Self::Missed { events },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_events_are_kept_with_their_numbers() {
        let journal = Journal::default();
        (0..1000).for_each(|count| journal.note(Event::Missed(count)));
        let numbers = |after| journal.after(after).iter().map(|entry| entry.number).collect::<Vec<_>>();
        assert_eq!(numbers(0), (1001 - KEPT as u64..=1000).collect::<Vec<_>>());
        assert_eq!(numbers(998), [999, 1000]);
        assert!(numbers(1000).is_empty());
        let told = serde_json::to_value(&journal.after(999)[0]).unwrap();
        assert_eq!((&told["kind"], &told["events"]), (&"missed".into(), &999.into()));
    }
}
