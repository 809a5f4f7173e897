//! Messages between two processes on this machine, with sockets in them.
//!
//! A message is a line of JSON; what it announces besides follows: bytes behind it, sockets beside its first byte.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg, sockopt,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest line. Of the bytes behind it there may be as many as the other side holds: it is of the same user, and has its own
/// bound on them.
const LINE: usize = 1 << 20;
/// Sockets that one message may bring.
const SOCKETS: usize = 8;

/// One end of the connection.
#[derive(Debug)]
pub(crate) struct Parcels {
    stream: UnixStream,
    read: Vec<u8>,
    sockets: VecDeque<OwnedFd>,
}

impl Parcels {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream, read: Vec::new(), sockets: VecDeque::new() }
    }

    /// Whether the process at the other end is of the same user, or root's.
    pub(crate) fn is_of_this_user(&self) -> bool {
        let own = rustix::process::geteuid();
        sockopt::socket_peercred(&self.stream).is_ok_and(|peer| peer.uid == own || peer.uid.is_root())
    }

    /// The connection once more: the other side sees its end when both are dropped.
    pub(crate) fn other(&self) -> io::Result<UnixStream> {
        self.stream.try_clone()
    }

    /// Has the other side see the end of what is said here; what it says is still heard.
    pub(crate) fn close_own_side(&self) {
        // It may have closed already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// How long a message may take; none: as long as it takes.
    pub(crate) fn within(&self, time: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(time)?;
        self.stream.set_write_timeout(time)
    }

    /// Sends a message with these bytes behind it and these sockets.
    pub(crate) fn send(
        &mut self,
        message: &impl Serialize,
        bytes: &[u8],
        sockets: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        if line.len() > LINE || sockets.len() > SOCKETS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is too large to be passed"));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(io::Error::other("no room for the sockets"));
        }
        let mut sent = 0;
        while sent < line.len() + bytes.len() {
            let rest = [&line[sent.min(line.len())..], &bytes[sent.saturating_sub(line.len())..]];
            let parts = rest.map(IoSlice::new);
            match sendmsg(&self.stream, &parts, &mut beside, SendFlags::NOSIGNAL) {
                Ok(taken) => {
                    sent += taken;
                    // They went with the first byte.
                    beside.clear();
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The next message; none at the end of the connection.
    pub(crate) fn receive<M: DeserializeOwned>(&mut self) -> io::Result<Option<M>> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            if self.read.len() > LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end"));
            }
            if self.fill()? == 0 {
                return match self.read.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// So many bytes that follow a message.
    pub(crate) fn receive_bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < count {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.read.drain(..count).collect())
    }

    /// The next socket that came with a message.
    pub(crate) fn receive_socket(&mut self) -> io::Result<OwnedFd> {
        let none =
            || io::Error::new(io::ErrorKind::InvalidData, "a message without the socket that it announces");
        self.sockets.pop_front().ok_or_else(none)
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 16 << 10];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let read = loop {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            match recvmsg(self.stream.as_fd(), &mut parts, &mut beside, RecvFlags::CMSG_CLOEXEC) {
                Ok(read) => break read.bytes,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(sockets) = message {
                self.sockets.extend(sockets);
            }
        }
        self.read.extend_from_slice(&bytes[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn sockets_and_bytes_arrive_with_their_messages() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut near, mut far) = (Parcels::new(here), Parcels::new(there));
        let (mut kept, passed) = UnixStream::pair().unwrap();
        let large = vec![b'\n'; 300_000];
        let sender = std::thread::spawn(move || {
            near.send(&"first", b"", &[]).unwrap();
            near.send(&("second", large.len()), &large, &[passed.as_fd()]).unwrap();
            near.send(&"third", b"", &[]).unwrap();
        });
        assert_eq!(far.receive::<String>().unwrap().unwrap(), "first");
        let (name, count): (String, usize) = far.receive().unwrap().unwrap();
        assert_eq!((name.as_str(), count), ("second", 300_000));
        assert!(far.receive_bytes(count).unwrap().iter().all(|byte| *byte == b'\n'));
        let mut socket = UnixStream::from(far.receive_socket().unwrap());
        assert!(far.receive_socket().is_err());
        assert_eq!(far.receive::<String>().unwrap().unwrap(), "third");
        sender.join().unwrap();
        assert!(far.receive::<String>().unwrap().is_none());
        kept.write_all(b"!").unwrap();
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"!");
        assert!(far.is_of_this_user());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let mut far = Parcels::new(there);
        here.write_all(b"no json\n").unwrap();
        assert!(far.receive::<String>().is_err());
        here.write_all(b"\"cut").unwrap();
        drop(here);
        assert_eq!(far.receive::<String>().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
