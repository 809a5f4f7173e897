//! The bytes a connection still has to write.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use super::transport::Transport;

/// Slices handed to the kernel in one write: what waits, the pieces of one read and the framing around them.
const SLICES: usize = super::wire::PIECES + 4;

/// Up to this size, copying the parts together is cheaper than handing the kernel a list of them.
const COPIED: usize = 4096;

/// Bytes accepted for writing that the kernel has not taken yet.
///
/// Its bound is kept by who fills it: a source is not read while the outbox is full.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    taken: usize,
    written: u64,
    /// The kernel took less than it was offered: only the event loop can tell when it takes more.
    full: bool,
}

impl Outbox {
    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes the kernel has accepted since the connection began.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Where a head is written to leave with the next [`Outbox::send`].
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Gives the memory back: a connection that is idle keeps no buffer.
    pub(crate) fn rest(&mut self) {
        if self.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// Writes what waits and then `parts`, in one system call where the kernel takes it all; the rest waits.
    ///
    /// # Errors
    /// What the socket says; bytes that it did not take are kept, and the connection is of no further use.
    pub(crate) fn send(&mut self, stream: &impl Transport, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if self.full || length <= COPIED {
            parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
            return if self.full || self.is_empty() { Ok(()) } else { self.send_waiting(stream) };
        }
        debug_assert!(parts.len() < SLICES, "more parts than one write takes");
        let waiting = self.len();
        let mut slices = [IoSlice::new(&[]); SLICES];
        slices[0] = IoSlice::new(&self.bytes[self.taken..]);
        slices[1..=parts.len()].copy_from_slice(parts);
        let taken = taken(stream.write_now(&slices[..=parts.len()]))?;
        self.written += taken as u64;
        self.full = taken < waiting + length;
        self.advance(taken.min(waiting));
        let mut skip = taken.saturating_sub(waiting);
        for part in parts {
            let seen = skip.min(part.len());
            self.bytes.extend_from_slice(&part[seen..]);
            skip -= seen;
        }
        Ok(())
    }

    fn send_waiting(&mut self, stream: &impl Transport) -> io::Result<()> {
        let waiting = self.len();
        let taken = taken(stream.write_now(&[IoSlice::new(&self.bytes[self.taken..])]))?;
        self.written += taken as u64;
        self.full = taken < waiting;
        self.advance(taken);
        Ok(())
    }

    /// Forgets what has been written, and moves the rest down before it would make the allocation grow.
    fn advance(&mut self, taken: usize) {
        self.taken += taken;
        if self.taken >= self.len() {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
    }

    /// Ready when nothing waits any more.
    pub(crate) fn poll_flush(
        &mut self,
        stream: &impl Transport,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_empty() && !self.full {
            self.send_waiting(stream)?;
        }
        while !self.is_empty() {
            let taken = ready!(stream.poll_write(cx, &self.bytes[self.taken..]))?;
            self.written += taken as u64;
            self.advance(taken);
        }
        self.full = false;
        Poll::Ready(Ok(()))
    }
}

/// What one write took, none where the kernel had no room.
///
/// Written without asking the runtime first: a socket that has just been accepted, connected or moved to this
/// core has no readiness noted yet although the kernel would take the bytes, and asking would cost a round
/// through the event loop for each such request.
fn taken(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}
