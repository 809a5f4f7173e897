//! Framing of a body on its way out.

use std::io::{self, IoSlice};

use idleway_h1::{CHUNK_SUFFIX, LAST_CHUNK, chunk_prefix, last_chunk_with};

use super::headers;
use crate::edits::Edits;
use crate::net::wire::{Content, PIECES};

/// How the end of a body is told to its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// By its length, or by the end of the connection: the content goes out as it is.
    Plain,
    Chunked {
        /// Whether the receiver is told trailers.
        trailers: bool,
    },
}

impl Outgoing {
    /// Writes what one read brought, framed, in one piece: all of it is one chunk. A receiver may merge trailers into
    /// the head: what `edits` drop there they drop here.
    pub(super) fn write(
        self,
        content: &Content<'_>,
        edits: &Edits,
        write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<()>,
    ) -> io::Result<()> {
        let Self::Chunked { trailers } = self else {
            return write(content.pieces);
        };
        let length = content.length();
        let mut slices = [IoSlice::new(&[]); PIECES + 3];
        let mut count = 0;
        let prefix;
        if length > 0 {
            prefix = chunk_prefix(length);
            slices[0] = IoSlice::new(prefix.as_ref());
            for (slice, piece) in slices[1..].iter_mut().zip(content.pieces) {
                *slice = IoSlice::new(piece);
            }
            slices[content.pieces.len() + 1] = IoSlice::new(CHUNK_SUFFIX);
            count = content.pieces.len() + 2;
        }
        let mut last = Vec::new();
        match content.end {
            None => {}
            Some(Some(fields)) if trailers => {
                last_chunk_with(
                    &mut last,
                    fields.fields().filter(|field| headers::may_trail(field) && !edits.drops(field)),
                );
                slices[count] = IoSlice::new(&last);
                count += 1;
            }
            Some(_) => {
                slices[count] = IoSlice::new(LAST_CHUNK);
                count += 1;
            }
        }
        write(&slices[..count])
    }
}
