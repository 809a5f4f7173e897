//! One HTTP/1.1 connection, whichever side it leads to and whatever it travels on: the stream, the bytes read ahead of
//! their turn and the bytes still to be written.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use idleway_h1::{BodyReader, Event, Refusal, Trailers};
use tokio::net::TcpStream;

use super::outbox::Outbox;
use super::scratch::{self, Scratch};
use super::transport::Transport;

/// Pieces of content that one read may bring before they are handed on.
pub(crate) const PIECES: usize = 12;

#[derive(Debug)]
pub(crate) struct Wire<S = TcpStream> {
    stream: S,
    inbox: Vec<u8>,
    outbox: Outbox,
    /// Bytes may be there that the event loop has been made to forget.
    overlooked: bool,
    /// The connection has failed: a write did, or the kernel told so when it was asked.
    is_broken: bool,
    /// It was our side that gave the connection up: the other side did nothing that ended it.
    is_lost: bool,
}

/// What ended a read.
#[derive(Debug)]
pub(crate) enum ReadFault {
    /// The other side sent FIN before the message was complete.
    Cut,
    /// The connection failed: reset, timed out.
    Broken(io::Error),
    /// The bytes are no HTTP/1.1 message that we read.
    Refused(Refusal),
    /// Who was to take the content could not: the fault is on the other side of the exchange.
    Sink(io::Error),
}

/// How far a body has come.
#[derive(Debug)]
pub(crate) enum Body {
    /// Content was handed on; there is more to come.
    Some,
    /// It is complete.
    Done(Option<Trailers>),
}

/// What one read brought of a body, without the framing it came in.
#[derive(Debug)]
pub(crate) struct Content<'a> {
    /// At most [`PIECES`] at a time.
    pub(crate) pieces: &'a [IoSlice<'a>],
    /// With the last of them: the trailers, if there are some.
    pub(crate) end: Option<Option<&'a Trailers>>,
}

impl Content<'_> {
    /// Bytes of content.
    pub(crate) fn length(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }
}

impl<S: Transport> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            inbox: Vec::new(),
            outbox: Outbox::default(),
            overlooked: false,
            is_broken: false,
            is_lost: false,
        }
    }

    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    /// The stream, and the bytes that were read ahead of their turn.
    pub(crate) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.inbox)
    }

    /// What was read is to be read again, before what comes.
    pub(crate) fn put_back(&mut self, mut bytes: Vec<u8>) {
        bytes.append(&mut self.inbox);
        self.inbox = bytes;
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Bytes read ahead of their turn.
    pub(crate) fn inbox_len(&self) -> usize {
        self.inbox.len()
    }

    /// Keeps no memory that an idle connection does not need.
    pub(crate) fn rest(&mut self) {
        self.outbox.rest();
    }

    /// Where a head is written to leave with the next [`Wire::send`].
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        self.outbox.tail()
    }

    pub(crate) fn send(&mut self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let sent = self.outbox.send(&self.stream, parts);
        self.is_broken |= sent.is_err();
        self.is_lost |= sent.as_ref().is_err_and(is_ours);
        sent
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.outbox.poll_flush(&self.stream, cx);
        self.is_broken |= matches!(flushed, Poll::Ready(Err(_)));
        self.is_lost |= matches!(&flushed, Poll::Ready(Err(error)) if is_ours(error));
        flushed
    }

    /// Reads a head: `read` is given all bytes of the message so far and tells how many the head took.
    ///
    /// # Errors
    /// [`ReadFault::Cut`] at FIN, also where not one byte had come: [`Wire::inbox_len`] tells which.
    pub(crate) fn poll_head<H>(
        &mut self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&[u8]) -> Result<Option<(H, usize)>, Refusal>,
    ) -> Poll<Result<H, ReadFault>> {
        if !self.inbox.is_empty()
            && let Some((head, taken)) = read(&self.inbox).map_err(ReadFault::Refused)?
        {
            self.consume(taken);
            return Poll::Ready(Ok(head));
        }
        loop {
            let mut scratch = Scratch::borrow();
            let read_now = ready!(self.poll_read(cx, &mut scratch)).map_err(ReadFault::Broken)?;
            if read_now == 0 {
                return Poll::Ready(Err(ReadFault::Cut));
            }
            if self.inbox.is_empty() {
                // The usual case: the whole head in one read, parsed where it lies.
                let bytes = &scratch[..read_now];
                match read(bytes) {
                    Ok(Some((head, taken))) => {
                        self.inbox.extend_from_slice(&bytes[taken..]);
                        return Poll::Ready(Ok(head));
                    }
                    Ok(None) => self.inbox.extend_from_slice(bytes),
                    Err(refusal) => {
                        self.inbox.extend_from_slice(bytes);
                        return Poll::Ready(Err(ReadFault::Refused(refusal)));
                    }
                }
            } else {
                self.inbox.extend_from_slice(&scratch[..read_now]);
                if let Some((head, taken)) = read(&self.inbox).map_err(ReadFault::Refused)? {
                    self.consume(taken);
                    return Poll::Ready(Ok(head));
                }
            }
        }
    }

    /// Reads once from a body and hands its content on in pieces.
    ///
    /// At most `room` bytes are read; `take` gets what one read brought, and the end.
    pub(crate) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut BodyReader,
        room: usize,
        mut take: impl FnMut(Content<'_>) -> io::Result<()>,
    ) -> Poll<Result<Body, ReadFault>> {
        if !self.inbox.is_empty() {
            let inbox = std::mem::take(&mut self.inbox);
            let mut used = 0;
            let decoded = decode(&inbox, &mut used, reader, &mut take);
            if used < inbox.len() {
                self.inbox = inbox[used..].to_vec();
            }
            if let Some(body) = decoded? {
                return Poll::Ready(Ok(body));
            }
        } else if let Some(body) = decode(&[], &mut 0, reader, &mut take)? {
            // A body of no bytes is complete before anything is read.
            return Poll::Ready(Ok(body));
        }
        let mut scratch = Scratch::borrow();
        loop {
            let room = room.clamp(1, scratch::SIZE);
            let read_now = ready!(self.poll_read(cx, &mut scratch[..room])).map_err(ReadFault::Broken)?;
            if read_now == 0 {
                // Where a write has failed the connection was reset: what looks like FIN is none.
                if self.is_broken || reader.end_of_input().is_err() {
                    return Poll::Ready(Err(ReadFault::Cut));
                }
                take(Content { pieces: &[], end: Some(None) }).map_err(ReadFault::Sink)?;
                return Poll::Ready(Ok(Body::Done(None)));
            }
            let bytes = &scratch[..read_now];
            let mut used = 0;
            let decoded = decode(bytes, &mut used, reader, &mut take);
            // Whatever became of this body: what stands behind it belongs to the next message.
            self.inbox.extend_from_slice(&bytes[used..]);
            if let Some(body) = decoded? {
                return Poll::Ready(Ok(body));
            }
        }
    }

    /// Reads ahead while it is not yet the turn of what comes; at most `bound` bytes are held.
    ///
    /// Ready with what ended the connection; pending as long as it stands.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>, bound: usize) -> Poll<ReadFault> {
        while self.inbox.len() < bound {
            let mut scratch = Scratch::borrow();
            let room = (bound - self.inbox.len()).min(scratch::SIZE);
            match ready!(self.poll_read(cx, &mut scratch[..room])) {
                Ok(0) => return Poll::Ready(ReadFault::Cut),
                Ok(read_now) => self.inbox.extend_from_slice(&scratch[..read_now]),
                Err(error) => return Poll::Ready(ReadFault::Broken(error)),
            }
        }
        self.poll_end_behind(cx)
    }

    /// Ready with what ended the connection, although unread bytes stand before it and are not to be read now.
    ///
    /// The event loop tells of the end beside the bytes. So that the bytes themselves wake nobody again and
    /// again, what is noted of them is forgotten here, and remembered for the next read.
    pub(crate) fn poll_end_behind(&mut self, cx: &mut Context<'_>) -> Poll<ReadFault> {
        let end = ready!(self.stream.poll_end(cx, &mut self.overlooked));
        Poll::Ready(end.map_or(ReadFault::Cut, ReadFault::Broken))
    }

    /// The next read asks the kernel itself: the event loop may not have told yet of what has come.
    pub(crate) fn look_again(&mut self) {
        self.overlooked = true;
    }

    /// Whether the connection has failed. Asks the kernel, for of a connection whose FIN has come the event loop tells
    /// nothing more.
    pub(crate) fn has_failed(&mut self) -> bool {
        // The kernel tells it once.
        self.is_broken = self.is_broken || !matches!(self.stream.take_error(), Ok(None));
        self.is_broken
    }

    /// The next read looks what is there, whatever the event loop has told.
    pub(crate) fn look_itself(&mut self) {
        self.overlooked = true;
    }

    /// Reads and throws away; ready with the bytes of one read, 0 at FIN.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.inbox.is_empty() {
            return Poll::Ready(Ok(std::mem::take(&mut self.inbox).len()));
        }
        let mut scratch = Scratch::borrow();
        self.poll_read(cx, &mut scratch)
    }

    /// Whether the connection ended without the other side's having ended it: its host vanished, or was silent.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = self.poll_read_once(cx, buffer);
        self.is_lost |= matches!(&read, Poll::Ready(Err(error)) if is_ours(error));
        read
    }

    fn poll_read_once(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.overlooked {
            // The event loop will not tell again of bytes that have come before.
            match self.stream.read_now(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.overlooked = false,
                read => {
                    self.overlooked = matches!(read, Ok(length) if length == buffer.len());
                    return Poll::Ready(read);
                }
            }
        }
        self.stream.poll_read(cx, buffer)
    }

    fn consume(&mut self, taken: usize) {
        if taken == self.inbox.len() {
            self.inbox = Vec::new();
        } else {
            self.inbox.drain(..taken);
        }
    }
}

/// Whether an error tells of no FIN or reset of the other side.
fn is_ours(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    !matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

/// Takes the framing off `bytes` and counts what it `used` of them, also where it fails. Tells whether there is
/// something to report: content was handed on or the body is complete.
fn decode(
    bytes: &[u8],
    used: &mut usize,
    reader: &mut BodyReader,
    take: &mut impl FnMut(Content<'_>) -> io::Result<()>,
) -> Result<Option<Body>, ReadFault> {
    let mut handed = false;
    loop {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        let mut more = true;
        let mut end = None;
        while count < PIECES && more {
            let step = reader.next(&bytes[*used..]).map_err(ReadFault::Refused)?;
            match step.event {
                Event::Data(range) => {
                    let piece = &bytes[*used + range.start..*used + range.end];
                    handed |= !piece.is_empty();
                    pieces[count] = IoSlice::new(piece);
                    count += 1;
                }
                Event::NeedMore => more = false,
                Event::Done(trailers) => {
                    more = false;
                    end = Some(trailers);
                }
            }
            *used += step.consumed;
        }
        if count > 0 || end.is_some() {
            take(Content { pieces: &pieces[..count], end: end.as_ref().map(Option::as_ref) })
                .map_err(ReadFault::Sink)?;
        }
        if let Some(trailers) = end {
            return Ok(Some(Body::Done(trailers)));
        }
        if !more {
            return Ok(handed.then_some(Body::Some));
        }
    }
}
