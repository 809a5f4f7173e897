//! The framing of chunks (section 7.1), byte by byte.
//!
//! httparse has a parser for chunk sizes, which is not used: it reads an empty line as size 0, that is as a false
//! end of the body, and lets any bytes of any number be an extension.

use std::ops::Range;

use crate::refusal::{Refusal, RefusalReason};

/// No program makes larger chunks, and none then computes a size that overflows.
const MAX_DIGITS: u8 = 15;

/// An extension may be so long, the space before it included.
const MAX_EXTENSION: u16 = 256;

/// Extensions may have so many bytes more than the data warrants: 16 for each chunk and two for each byte of data.
const MAX_OVERHEAD: u64 = 16 * 1024;

/// Where in the chunks the reader is.
#[derive(Clone, Debug)]
pub(crate) struct ChunkReader {
    place: Place,
    /// The size so far, then what is left of the chunk's data.
    size: u64,
    /// Bytes of extensions that no data has paid for.
    overhead: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// In the size, behind so many digits.
    Size(u8),
    /// In the space between size and extension; both bytes count as the extension's.
    Space(u16),
    /// In the extension, behind so many bytes of it.
    Extension(u16),
    /// Behind the CR of a size line with an extension of so many bytes.
    SizeCr(u16),
    Data,
    DataEnd,
    DataCr,
    /// Behind the line of the last chunk.
    Last,
}

/// What was found.
pub(crate) enum ChunkEvent {
    NeedMore,
    Data(Range<usize>),
    /// The last chunk's line; trailers follow.
    Last,
}

impl Default for ChunkReader {
    fn default() -> Self {
        Self { place: Place::Size(0), size: 0, overhead: 0 }
    }
}

impl ChunkReader {
    /// Reads on in `buf`; returns how many bytes were consumed and what was in them.
    pub(crate) fn next(&mut self, buf: &[u8]) -> Result<(usize, ChunkEvent), Refusal> {
        for (at, byte) in buf.iter().copied().enumerate() {
            if self.place == Place::Data {
                let end = at + self.take(buf.len() - at);
                return Ok((end, ChunkEvent::Data(at..end)));
            }
            self.place = self.step(byte).map_err(|reason| Refusal::new(reason, at))?;
            if self.place == Place::Last {
                return Ok((at + 1, ChunkEvent::Last));
            }
        }
        Ok((buf.len(), ChunkEvent::NeedMore))
    }

    /// Takes up to `available` bytes of data.
    fn take(&mut self, available: usize) -> usize {
        let length = usize::try_from(self.size).unwrap_or(usize::MAX).min(available);
        self.size -= length as u64;
        if self.size == 0 {
            self.place = Place::DataEnd;
        }
        length
    }

    /// The place behind one byte of framing.
    fn step(&mut self, byte: u8) -> Result<Place, RefusalReason> {
        match (self.place, byte) {
            (Place::Size(1..), b'\r') => Ok(Place::SizeCr(0)),
            (Place::Size(1..), b';') => Ok(Place::Extension(1)),
            (Place::Size(1..), b' ' | b'\t') => Ok(Place::Space(1)),
            (Place::Size(digits), _) => self.digit(digits, byte),

            (Place::Space(length), b' ' | b'\t') => Ok(Place::Space(longer(length)?)),
            (Place::Space(length), b';') => Ok(Place::Extension(longer(length)?)),
            (Place::Space(_), _) => Err(RefusalReason::BadChunkSize),

            (Place::Extension(length), b'\r') => Ok(Place::SizeCr(length)),
            (Place::Extension(_), b'\n') => Err(RefusalReason::BareLf),
            (Place::Extension(length), b'\t' | b' '..=b'~' | 0x80..) => Ok(Place::Extension(longer(length)?)),
            (Place::Extension(_), _) => Err(RefusalReason::BadChunkExtension),

            (Place::SizeCr(extension), b'\n') => self.size_ended(extension),
            (Place::SizeCr(_), _) => Err(RefusalReason::BareCr),
            (Place::DataEnd, b'\r') => Ok(Place::DataCr),
            (Place::DataCr, b'\n') => Ok(Place::Size(0)),
            (Place::DataEnd | Place::DataCr, _) => Err(RefusalReason::BadChunkEnd),
            (Place::Data | Place::Last, _) => Ok(self.place),
        }
    }

    fn digit(&mut self, digits: u8, byte: u8) -> Result<Place, RefusalReason> {
        let value = char::from(byte).to_digit(16).filter(|_| digits < MAX_DIGITS);
        match value {
            Some(value) => {
                self.size = self.size * 16 + u64::from(value);
                Ok(Place::Size(digits + 1))
            }
            None if byte == b'\n' => Err(RefusalReason::BareLf),
            None => Err(RefusalReason::BadChunkSize),
        }
    }

    fn size_ended(&mut self, extension: u16) -> Result<Place, RefusalReason> {
        let paid = self.size.saturating_mul(2).saturating_add(16);
        self.overhead = (self.overhead + u64::from(extension)).saturating_sub(paid);
        match self.size {
            _ if self.overhead > MAX_OVERHEAD => Err(RefusalReason::ChunkOverhead),
            0 => Ok(Place::Last),
            _ => Ok(Place::Data),
        }
    }
}

fn longer(length: u16) -> Result<u16, RefusalReason> {
    if length < MAX_EXTENSION { Ok(length + 1) } else { Err(RefusalReason::ChunkExtensionTooLong) }
}
