//! The reader of bodies.

use std::ops::Range;

use crate::chunk::{ChunkEvent, ChunkReader};
use crate::framing::Framing;
use crate::refusal::{Refusal, RefusalReason};
use crate::trailers::{TrailerReader, Trailers};

/// Reads one body: told where it ends, it is fed what arrives and answers with the ranges that are data.
///
/// It keeps no data, and of framing only what a few numbers hold and trailers; so the caller throws away what was
/// consumed and never has to keep bytes but those it has no place for.
#[derive(Clone, Debug)]
pub struct BodyReader {
    state: State,
    /// Bytes consumed.
    seen: u64,
    trailer_limit: usize,
}

/// What one call of [`BodyReader::next`] did.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// So many bytes of the input are dealt with, those of the event included. Never feed them again.
    pub consumed: usize,
    /// What was in them.
    pub event: Event,
}

/// What was found in a body.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// All input is consumed and the body goes on.
    NeedMore,
    /// This range of the input is data, never empty.
    Data(Range<usize>),
    /// The body has ended; all input that is left belongs to what follows it.
    Done(Option<Trailers>),
}

#[derive(Clone, Debug)]
enum State {
    Length(u64),
    UntilClose,
    Chunks(ChunkReader),
    Trailers(TrailerReader),
    Done,
}

impl BodyReader {
    /// A reader for a body with this framing; of trailers it accepts `trailer_limit` bytes (431 beyond), and
    /// always the empty line that ends them.
    #[must_use]
    pub fn new(framing: Framing, trailer_limit: usize) -> Self {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunks(ChunkReader::default()),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, seen: 0, trailer_limit }
    }

    /// Reads on in `buf`: what has arrived and was not consumed by an earlier call.
    ///
    /// Call it again with the rest until it answers [`Event::NeedMore`] or [`Event::Done`].
    ///
    /// # Errors
    /// Chunks or trailers that are malformed or beyond their bounds. The status is that for a request; see
    /// [`Refusal::in_response`].
    pub fn next(&mut self, buf: &[u8]) -> Result<Step, Refusal> {
        let step = match &mut self.state {
            State::Done => Step { consumed: 0, event: Event::Done(None) },
            State::UntilClose => data(buf.len()),
            State::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len());
                *left -= length as u64;
                if *left == 0 {
                    self.state = State::Done;
                }
                data(length)
            }
            State::Chunks(chunks) => {
                let (consumed, event) = chunks.next(buf).map_err(|fault| fault.shifted(self.seen))?;
                match event {
                    ChunkEvent::NeedMore => Step { consumed, event: Event::NeedMore },
                    ChunkEvent::Data(range) => Step { consumed, event: Event::Data(range) },
                    ChunkEvent::Last => {
                        self.state = State::Trailers(TrailerReader::new(self.trailer_limit));
                        let trailers = self.trailers(&buf[consumed..], self.seen + consumed as u64)?;
                        Step { consumed: consumed + trailers.consumed, event: trailers.event }
                    }
                }
            }
            State::Trailers(_) => self.trailers(buf, self.seen)?,
        };
        self.seen += step.consumed as u64;
        Ok(step)
    }

    /// The input has ended: no byte will follow those that were consumed.
    ///
    /// # Errors
    /// [`RefusalReason::Truncated`] where the framing says that there must be more.
    pub fn end_of_input(&mut self) -> Result<(), Refusal> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            State::Length(_) | State::Chunks(_) | State::Trailers(_) => {
                Err(Refusal::new(RefusalReason::Truncated, 0).shifted(self.seen))
            }
        }
    }

    /// Whether the whole body has been read: with a length at once with its last byte, with chunks when
    /// [`Event::Done`] has come.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// How many bytes are still to come, where that is known.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Done => Some(0),
            State::Length(left) => Some(left),
            State::UntilClose | State::Chunks(_) | State::Trailers(_) => None,
        }
    }

    /// Reads on in the trailers; `seen` bytes of the body lie before `buf`.
    fn trailers(&mut self, buf: &[u8], seen: u64) -> Result<Step, Refusal> {
        let State::Trailers(reader) = &mut self.state else {
            return Ok(Step { consumed: 0, event: Event::Done(None) });
        };
        let start = seen - reader.held() as u64;
        let (consumed, end) = reader.next(buf).map_err(|fault| fault.shifted(start))?;
        let event = match end {
            Some(trailers) => {
                self.state = State::Done;
                Event::Done(trailers)
            }
            None => Event::NeedMore,
        };
        Ok(Step { consumed, event })
    }
}

/// The first `length` bytes are data.
fn data(length: usize) -> Step {
    let event = if length == 0 { Event::NeedMore } else { Event::Data(0..length) };
    Step { consumed: length, event }
}
