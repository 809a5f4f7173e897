//! What became of a backend's health, and why: for the log, and for those who look on.

use std::{collections::VecDeque, fmt};

use crate::{backend::BackendKey, health::Health, time::Time};

/// A backend's health changed, or the reason of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Which backend.
    pub backend: BackendKey,
    /// When.
    pub at: Time,
    /// What it is now.
    pub health: Health,
    /// Why.
    pub cause: Cause,
    /// Until when it is left alone, where it is down and that is known.
    pub until: Option<Time>,
}

/// Why a backend is up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Down: no connection could be had.
    Unreachable,
    /// Down: so many exchanges in a row broke.
    Failures,
    /// Down: it failed far more often than the rest of the pool.
    Outlier,
    /// Down: so many probes in a row failed.
    ProbesFailed,
    /// Up: a request tried it, and was served.
    TrialServed,
    /// Up: so many probes in a row succeeded.
    ProbesAnswered,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "unreachable",
            Self::Failures => "failures",
            Self::Outlier => "outlier",
            Self::ProbesFailed => "probes-failed",
            Self::TrialServed => "trial-served",
            Self::ProbesAnswered => "probes-answered",
        })
    }
}

/// Changes that nobody has been told yet, the latest of them.
#[derive(Debug, Default)]
pub(crate) struct News {
    changes: VecDeque<Change>,
}

/// So many changes are kept for those who do not come to hear them.
const MOST: usize = 1024;

impl News {
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(crate) fn push(&mut self, change: Change) {
        if self.changes.len() >= MOST {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
    }

    pub(crate) fn take(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_more_than_are_kept_the_first_are_lost() {
        let mut news = News::default();
        for nanos in 0..=MOST as u64 {
            let (backend, at) = (BackendKey(1), Time::from_nanos(nanos));
            news.push(Change { backend, at, health: Health::Up, cause: Cause::TrialServed, until: None });
        }
        let told = news.take();
        assert_eq!((told.len(), told[0].at), (MOST, Time::from_nanos(1)));
        assert!(news.is_empty());
    }
}
