//! A backend that dies where it is told to, and is sound otherwise.

use std::io;
use std::sync::{Arc, Mutex};

use crate::harness::*;

/// How a backend dies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Death {
    /// So many bytes of the request are read and not one more; none: not even the request's coming is waited for.
    pub(super) read: Option<usize>,
    /// What of the answer is said.
    pub(super) said: Vec<u8>,
    pub(super) end: End,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// FIN, and whatever still comes is read.
    Fin,
    /// The process closes it: FIN, or RST where something is unread.
    Close,
    /// RST.
    Reset,
}

pub(super) const ENDS: [End; 3] = [End::Fin, End::Close, End::Reset];

/// What the test orders, and what came of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Fate {
    shared: Arc<Mutex<Ordered>>,
}

#[derive(Debug, Default)]
struct Ordered {
    death: Option<Death>,
    met: Met,
}

/// What has died since it was ordered.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Met {
    /// So many connections.
    pub(super) deaths: usize,
    /// The last of them had read its whole request.
    pub(super) had_whole: bool,
}

impl Fate {
    /// From now on each connection that has a request, or is new, dies like this.
    pub(super) fn order(&self, death: Death) {
        *self.shared.lock().unwrap() = Ordered { death: Some(death), met: Met::default() };
    }

    /// The backend is sound again. What has come of the order?
    pub(super) fn lift(&self) -> Met {
        std::mem::take(&mut *self.shared.lock().unwrap()).met
    }

    /// Whether one has died since.
    pub(super) fn shows(&self) -> bool {
        self.shared.lock().unwrap().met.deaths > 0
    }

    fn ordered(&self) -> Option<Death> {
        self.shared.lock().unwrap().death.clone()
    }

    fn met(&self, had_whole: bool) {
        let mut ordered = self.shared.lock().unwrap();
        ordered.met.deaths += 1;
        ordered.met.had_whole = had_whole;
    }
}

/// The backend: `sound` is what it does while no death is ordered.
pub(super) fn mortal(
    fate: Fate,
    sound: impl Fn(&mut Visit<'_>) -> io::Result<()> + Send + Sync + 'static,
) -> Backend {
    Backend::raw(move |connection| {
        if let Some(death) = fate.ordered().filter(|death| death.read.is_none()) {
            fate.met(false);
            return die(connection, death.end);
        }
        while connection.wire.comes_more()? {
            let Some(death) = fate.ordered() else {
                let Some(mut visit) = connection.request()? else { return Ok(()) };
                sound(&mut visit)?;
                continue;
            };
            connection.wire.read_only(death.read.unwrap_or(0));
            // The head, if it is complete, counts as an execution, whatever is missing behind it.
            match connection.request() {
                Ok(Some(mut visit)) => {
                    fate.met(visit.body().is_ok());
                    visit.finish(&death.said)?;
                }
                _ => fate.met(false),
            }
            return die(connection, death.end);
        }
        Ok(())
    })
}

fn die(connection: &mut Connection, end: End) -> io::Result<()> {
    match end {
        End::Fin => {
            connection.wire.half_close();
            connection.wire.read_only(usize::MAX);
            connection.wire.discard_until_end().map(|_| ())
        }
        End::Close => Ok(()),
        End::Reset => {
            connection.wire.reset_at_close();
            Ok(())
        }
    }
}
