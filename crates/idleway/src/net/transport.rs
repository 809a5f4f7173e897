//! What a connection's bytes travel on: a socket, or memory where the gateway is mounted in another program.

use std::fmt::Debug;
use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::pipe::PipeEnd;
use super::unacknowledged::unacknowledged;
use crate::error::Reject;

/// One side of a connection, as [`Wire`](super::wire::Wire) needs it.
pub(crate) trait Transport: Debug {
    /// Reads as the event loop tells; 0 at FIN.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Reads what is there, whatever the event loop has told: [`io::ErrorKind::WouldBlock`] where there is nothing.
    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Ready with what ended the connection although unread bytes stand before it: none for FIN. `overlooked` is set
    /// where the event loop has been made to forget that bytes are there.
    fn poll_end(&self, cx: &mut Context<'_>, overlooked: &mut bool) -> Poll<Option<io::Error>>;

    /// Writes what is taken without waiting, whatever the event loop has told: [`io::ErrorKind::WouldBlock`] where that is
    /// nothing.
    fn write_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Writes as the event loop tells.
    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// What made the connection fail, told once.
    fn take_error(&self) -> io::Result<Option<io::Error>>;

    /// Bytes that were written and that the other side has not acknowledged; none where that is not known.
    fn unacknowledged(&self) -> Option<u64>;

    /// Has the other side asked whether it is there whenever nothing was written for so long.
    fn keep_alive(&self, every: Duration);

    /// Sends FIN.
    fn shut_down_writing(&self) -> io::Result<()>;

    /// When it is dropped the other side sees a reset instead of FIN.
    fn reset_at_close(&self);
}

impl Transport for TcpStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        // `AsyncRead` and not `try_read`: a read that comes back short clears the readiness, so that the
        // next wait costs no read that would block.
        ready!(Pin::new(self).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*SockRef::from(self)).read(buffer)
    }

    fn poll_end(&self, cx: &mut Context<'_>, overlooked: &mut bool) -> Poll<Option<io::Error>> {
        loop {
            if let Err(error) = ready!(self.poll_read_ready(cx)) {
                return Poll::Ready(Some(error));
            }
            // Polled only for what it says of this moment: the wait is registered above.
            let noted = pin!(self.ready(Interest::READABLE)).poll(cx);
            if matches!(noted, Poll::Ready(Ok(noted)) if noted.is_read_closed()) {
                return Poll::Ready(self.take_error().unwrap_or_else(Some));
            }
            *overlooked = true;
            let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = self.try_io(Interest::READABLE, nothing);
        }
    }

    fn write_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match parts {
            [part] => SockRef::from(self).send(part),
            parts => SockRef::from(self).send_vectored(parts),
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_write_ready(cx))?;
            match self.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.take_error()
    }

    fn unacknowledged(&self) -> Option<u64> {
        unacknowledged(self)
    }

    fn keep_alive(&self, every: Duration) {
        let keepalive = TcpKeepalive::new().with_time(every).with_interval(every);
        // Where the platform knows no such option it is not asked.
        let _ = SockRef::from(self).set_tcp_keepalive(&keepalive);
    }

    fn shut_down_writing(&self) -> io::Result<()> {
        SockRef::from(self).shutdown(Shutdown::Write)
    }

    fn reset_at_close(&self) {
        // Where it cannot be set the close is an ordinary one; the framing still shows the cut.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

/// What a client comes on.
#[derive(Debug)]
pub(crate) enum Approach {
    Tcp(TcpStream),
    /// From within this program.
    Pipe(PipeEnd, Told),
}

/// Where a client within this program finds the reason of an answer that is the gateway's own.
pub(crate) type Told = Arc<OnceLock<Reject>>;

impl Approach {
    /// The gateway itself answers.
    pub(crate) fn tell(&self, reject: &Reject) {
        if let Self::Pipe(_, told) = self {
            // It has one request, and so one answer.
            let _ = told.set(reject.clone());
        }
    }
}

impl From<TcpStream> for Approach {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

/// Does the same on either.
macro_rules! either {
    ($approach:expr, $stream:ident => $done:expr) => {
        match $approach {
            Approach::Tcp($stream) => $done,
            Approach::Pipe($stream, _) => $done,
        }
    };
}

impl Transport for Approach {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Transport::poll_read(stream, cx, buffer))
    }

    fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(self, stream => stream.read_now(buffer))
    }

    fn poll_end(&self, cx: &mut Context<'_>, overlooked: &mut bool) -> Poll<Option<io::Error>> {
        either!(self, stream => stream.poll_end(cx, overlooked))
    }

    fn write_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(self, stream => stream.write_now(parts))
    }

    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => Transport::poll_write(stream, cx, bytes))
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        either!(self, stream => Transport::take_error(stream))
    }

    fn unacknowledged(&self) -> Option<u64> {
        either!(self, stream => Transport::unacknowledged(stream))
    }

    fn keep_alive(&self, every: Duration) {
        either!(self, stream => stream.keep_alive(every));
    }

    fn shut_down_writing(&self) -> io::Result<()> {
        either!(self, stream => stream.shut_down_writing())
    }

    fn reset_at_close(&self) {
        either!(self, stream => stream.reset_at_close());
    }
}
