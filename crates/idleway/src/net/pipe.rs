//! A connection that never leaves this program: what one end writes the other one reads, within a bound.
//!
//! It behaves as a TCP connection on one machine does. An end that is dropped before it has sent FIN has reset the
//! connection; what is written to an end that is gone fails.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::transport::Transport;

/// Bytes that one end may be ahead of the other.
const CAPACITY: usize = 64 * 1024;

/// One end. Its clones are the same end: it is gone when the last of them is, or at [`PipeEnd::leave`].
#[derive(Debug, Clone)]
pub(crate) struct PipeEnd(Arc<Side>);

#[derive(Debug)]
struct Side {
    pipe: Arc<Mutex<[End; 2]>>,
    place: usize,
}

/// What one end has said that the other has not read, and who waits at it.
#[derive(Debug, Default)]
struct End {
    sent: VecDeque<u8>,
    /// No more follows what it has sent.
    finished: bool,
    gone: bool,
    /// Its going is to be seen as a reset, although it has finished.
    resets: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// A new connection: its two ends.
pub(crate) fn pipe() -> (PipeEnd, PipeEnd) {
    let pipe = Arc::new(Mutex::new([End::default(), End::default()]));
    let end = |place| PipeEnd(Arc::new(Side { pipe: Arc::clone(&pipe), place }));
    (end(0), end(1))
}

/// Wakes whoever waits. To be done when nothing is locked any more.
fn wake(waiters: impl IntoIterator<Item = Option<Waker>>) {
    waiters.into_iter().flatten().for_each(Waker::wake);
}

impl Side {
    /// This end and the other one.
    fn with<T>(&self, done: impl FnOnce(&mut End, &mut End) -> T) -> T {
        let mut ends: MutexGuard<'_, [End; 2]> = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let [first, second] = &mut *ends;
        if self.place == 0 { done(first, second) } else { done(second, first) }
    }

    fn leave(&self) {
        let waiters = self.with(|this, other| {
            this.gone = true;
            // Nobody reads that any more.
            other.sent = VecDeque::new();
            [this.reader.take(), this.writer.take(), other.reader.take(), other.writer.take()]
        });
        wake(waiters);
    }

    fn finish(&self) {
        let reader = self.with(|this, other| {
            this.finished = true;
            other.reader.take()
        });
        wake([reader]);
    }

    /// Reads what is there; where nothing is, `waiter` is woken when that changes.
    fn read(&self, buffer: &mut [u8], waiter: Option<&Waker>) -> io::Result<usize> {
        let (read, writer) = self.with(|this, other| {
            if let Some(error) = other.reset() {
                return (Err(error), None);
            }
            if !other.sent.is_empty() {
                let length = buffer.len().min(other.sent.len());
                let (front, back) = other.sent.as_slices();
                let middle = front.len().min(length);
                buffer[..middle].copy_from_slice(&front[..middle]);
                buffer[middle..length].copy_from_slice(&back[..length - middle]);
                other.sent.drain(..length);
                return (Ok(length), other.writer.take());
            }
            if other.finished {
                return (Ok(0), None);
            }
            this.reader = waiter.cloned().or_else(|| this.reader.take());
            (Err(io::ErrorKind::WouldBlock.into()), None)
        });
        wake([writer]);
        read
    }

    /// Writes what fits; where nothing does, `waiter` is woken when that changes.
    fn write(&self, parts: &[IoSlice<'_>], waiter: Option<&Waker>) -> io::Result<usize> {
        let (written, reader) = self.with(|this, other| {
            if this.gone || this.finished || other.gone {
                return (Err(io::ErrorKind::BrokenPipe.into()), None);
            }
            let room = CAPACITY.saturating_sub(this.sent.len());
            let mut written = 0;
            for part in parts {
                let length = part.len().min(room - written);
                this.sent.extend(&part[..length]);
                written += length;
            }
            if written == 0 && parts.iter().any(|part| !part.is_empty()) {
                this.writer = waiter.cloned().or_else(|| this.writer.take());
                return (Err(io::ErrorKind::WouldBlock.into()), None);
            }
            (Ok(written), other.reader.take())
        });
        wake([reader]);
        written
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.leave();
    }
}

impl End {
    /// The reset that the other end sees of this one.
    fn reset(&self) -> Option<io::Error> {
        (self.gone && (self.resets || !self.finished)).then(|| io::ErrorKind::ConnectionReset.into())
    }
}

impl PipeEnd {
    /// Is gone from now on, whoever holds it still; who waits at it finds that out.
    pub(crate) fn leave(&self) {
        self.0.leave();
    }
}

/// What cannot be done now is pending.
fn poll<T>(done: io::Result<T>) -> Poll<io::Result<T>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        done => Poll::Ready(done),
    }
}

impl Transport for PipeEnd {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        poll(self.0.read(buffer, Some(cx.waker())))
    }

    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer, None)
    }

    fn poll_end(&self, cx: &mut Context<'_>, _: &mut bool) -> Poll<Option<io::Error>> {
        self.0.with(|this, other| {
            if other.gone || other.finished {
                return Poll::Ready(other.reset());
            }
            this.reader = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    fn write_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write(parts, None)
    }

    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        poll(self.0.write(&[IoSlice::new(bytes)], Some(cx.waker())))
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(self.0.with(|_, other| other.gone.then(|| io::ErrorKind::ConnectionReset.into())))
    }

    fn unacknowledged(&self) -> Option<u64> {
        Some(self.0.with(|this, _| this.sent.len()) as u64)
    }

    /// Whoever is gone has said so.
    fn keep_alive(&self, _: Duration) {}

    fn shut_down_writing(&self) -> io::Result<()> {
        self.0.finish();
        Ok(())
    }

    fn reset_at_close(&self) {
        self.0.with(|this, _| this.resets = true);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use super::*;

    fn text(bytes: &str) -> [IoSlice<'_>; 1] {
        [IoSlice::new(bytes.as_bytes())]
    }

    async fn read(end: &mut PipeEnd) -> io::Result<Vec<u8>> {
        let mut buffer = [0; 64];
        let length = poll_fn(|cx| end.poll_read(cx, &mut buffer)).await?;
        Ok(buffer[..length].to_vec())
    }

    #[tokio::test]
    async fn what_is_written_is_read_in_order_and_then_comes_the_end() {
        let (one, mut other) = pipe();
        let reads = async {
            let mut all = Vec::new();
            loop {
                match read(&mut other).await.unwrap() {
                    some if some.is_empty() => break all,
                    some => all.extend(some),
                }
            }
        };
        let writes = async {
            one.write_now(&[IoSlice::new(b"a"), IoSlice::new(b"bc")]).unwrap();
            tokio::task::yield_now().await;
            one.write_now(&text("d")).unwrap();
            one.shut_down_writing().unwrap();
        };
        assert_eq!(tokio::join!(reads, writes).0, b"abcd");
        assert_eq!(one.write_now(&text("e")).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        // It has sent its end in order: its going is no reset.
        drop(one);
        assert_eq!(read(&mut other).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn a_writer_waits_for_its_reader() {
        let (one, mut other) = pipe();
        let much = vec![7; CAPACITY + 1];
        assert_eq!(one.write_now(&[IoSlice::new(&much)]).unwrap(), CAPACITY);
        assert_eq!(one.unacknowledged(), Some(CAPACITY as u64));
        let mut write = pin!(poll_fn(|cx| one.poll_write(cx, b"x")));
        assert!(poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await.is_pending());
        let (written, _) = tokio::join!(write, read(&mut other));
        assert_eq!(written.unwrap(), 1);
    }

    #[tokio::test]
    async fn an_end_that_goes_without_a_word_has_reset() {
        let (one, mut other) = pipe();
        one.write_now(&text("unread")).unwrap();
        assert!(other.take_error().unwrap().is_none());
        let clone = one.clone();
        drop(one);
        assert!(other.take_error().unwrap().is_none(), "its clone is there");
        clone.leave();
        assert_eq!(read(&mut other).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(other.write_now(&text("x")).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(other.take_error().unwrap().is_some());
    }

    #[tokio::test]
    async fn the_end_is_seen_behind_unread_bytes() {
        for resets in [false, true] {
            let (one, other) = pipe();
            one.write_now(&text("unread")).unwrap();
            let mut end = pin!(poll_fn(|cx| other.poll_end(cx, &mut false)));
            assert!(poll_fn(|cx| Poll::Ready(end.as_mut().poll(cx))).await.is_pending());
            one.shut_down_writing().unwrap();
            if resets {
                one.reset_at_close();
                drop(one);
            }
            assert_eq!(end.await.is_some(), resets);
        }
    }
}
