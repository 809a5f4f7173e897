//! Where spans of requests go, as the data plane sees it.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use crate::metrics::Counter;
use crate::traces::Span;

/// On its way to the exporter.
#[derive(Debug)]
pub(crate) enum Export {
    Spans(Vec<Span>),
    /// To be told when all before it is sent or lost.
    Flush(SyncSender<()>),
}

/// The exporter.
#[derive(Debug)]
pub(crate) struct Exports {
    sender: SyncSender<Export>,
    pub(crate) lost: Counter,
}

impl Exports {
    pub(crate) fn new(sender: SyncSender<Export>) -> Self {
        Self { sender, lost: Counter::default() }
    }

    /// Gives it these. Where it has too many already they are lost, and counted.
    pub(crate) fn give(&self, spans: Vec<Span>) {
        let count = spans.len();
        if self.sender.try_send(Export::Spans(spans)).is_err() {
            self.lost.add(count as u64);
        }
    }

    /// Waits until what was given is sent or lost, but not for longer than this. Blocks.
    pub(crate) fn flush(&self, within: Duration) {
        let (done, is_done) = sync_channel(1);
        if self.sender.try_send(Export::Flush(done)).is_ok() {
            let _ = is_done.recv_timeout(within);
        }
    }
}
