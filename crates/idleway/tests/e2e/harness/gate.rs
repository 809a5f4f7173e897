//! A gate that holds backends until the test lets them go on: order without time.

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use super::PATIENCE;

/// The test's side of it. Dropped, it stands open: a test that has ended holds nobody.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    door: Door,
}

/// The side of those who have to pass.
#[derive(Debug, Default, Clone)]
pub(crate) struct Door {
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    /// How many may still pass a gate that is not open.
    passes: usize,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn door(&self) -> Door {
        self.door.clone()
    }

    /// Lets everybody pass from now on.
    pub(crate) fn open(&self) {
        self.door.change(|state| state.open = true);
    }

    /// Lets one pass: who stands there, or who comes first.
    pub(crate) fn pass_one(&self) {
        self.door.change(|state| state.passes += 1);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

impl Door {
    /// Waits until the gate lets this one pass: for longer than any test waits for what comes of it.
    pub(crate) fn pass(&self) -> io::Result<()> {
        let (state, changed) = &*self.shared;
        let state = state.lock().unwrap();
        let (mut state, waited) = changed
            .wait_timeout_while(state, 2 * PATIENCE, |state| !state.open && state.passes == 0)
            .unwrap();
        if waited.timed_out() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody opened the gate"));
        }
        state.passes = state.passes.saturating_sub(1);
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let (state, changed) = &*self.shared;
        change(&mut state.lock().unwrap());
        changed.notify_all();
    }
}
