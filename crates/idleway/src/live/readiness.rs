//! Whether the gateway wants requests: what `/readyz` is asked for, and what a reload has to know.

use std::sync::atomic::{AtomicU8, Ordering};

/// How far its life is; it never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Readiness {
    /// The names in its Plan have not been looked up yet.
    Starting,
    Ready,
    /// It was told to stop: it still serves, and wants nobody new.
    Draining,
}

/// The readiness of one gateway.
#[derive(Debug)]
pub(crate) struct Stage(AtomicU8);

impl Default for Stage {
    fn default() -> Self {
        Self(AtomicU8::new(Readiness::Starting as u8))
    }
}

impl Stage {
    pub(crate) fn now(&self) -> Readiness {
        [Readiness::Starting, Readiness::Ready]
            .into_iter()
            .find(|stage| *stage as u8 == self.0.load(Ordering::Acquire))
            .unwrap_or(Readiness::Draining)
    }

    /// It has come so far, or further already.
    pub(crate) fn reach(&self, stage: Readiness) {
        self.0.fetch_max(stage as u8, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_drains_is_never_ready_again() {
        let stage = Stage::default();
        assert_eq!(stage.now(), Readiness::Starting);
        stage.reach(Readiness::Ready);
        assert_eq!(stage.now(), Readiness::Ready);
        stage.reach(Readiness::Draining);
        stage.reach(Readiness::Ready);
        assert_eq!(stage.now(), Readiness::Draining);
    }
}
