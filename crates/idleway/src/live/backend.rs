//! A backend as requests and probes see it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::net::Addresses;

/// A backend at work. How it stands, its Slots and its health, the Dispatcher alone knows.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) addresses: Addresses,
    http10: AtomicBool,
    /// A probe beside the work is out.
    probed: AtomicBool,
    /// What went wrong with it last, for the line in the log that says that it is down.
    fault: Mutex<String>,
}

impl Backend {
    pub(crate) fn new(name: String, addresses: Addresses) -> Self {
        Self {
            name,
            addresses,
            http10: AtomicBool::new(false),
            probed: AtomicBool::new(false),
            fault: Mutex::new(String::new()),
        }
    }

    /// Whether its last answer was HTTP/1.0: then it is given no chunks (RFC 9112 section 6.1).
    pub(crate) fn speaks_http10(&self) -> bool {
        self.http10.load(Ordering::Relaxed)
    }

    pub(crate) fn note_version(&self, http10: bool) {
        if self.speaks_http10() != http10 {
            self.http10.store(http10, Ordering::Relaxed);
        }
    }

    /// Notes what went wrong. To be called before the Dispatcher hears of it.
    pub(crate) fn note_fault(&self, fault: impl Into<String>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault.into();
    }

    /// What went wrong with it last.
    pub(crate) fn fault(&self) -> String {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a probe beside the work may begin; the answer yes is given once until [`Self::end_probe`].
    pub(crate) fn begin_probe(&self) -> bool {
        !self.probed.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn end_probe(&self) {
        self.probed.store(false, Ordering::Relaxed);
    }
}
