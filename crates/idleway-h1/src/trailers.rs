//! Fields behind a chunked body (section 7.1.2).

use crate::fault;
use crate::field::{FieldIter, Fields};
use crate::known::Known;
use crate::limits::{Limits, MAX_FIELDS};
use crate::refusal::{Refusal, RefusalReason};
use crate::scan::{Scan, Section};

/// The fields that came behind a chunked body; never the ones that say where a message ends or to whom it goes.
#[derive(Clone, PartialEq, Debug)]
pub struct Trailers {
    fields: Fields,
}

impl Trailers {
    /// All fields in their order.
    #[must_use]
    pub fn fields(&self) -> FieldIter<'_> {
        self.fields.iter()
    }
}

/// Collects the trailer section: unlike data it can be read only when it is complete.
#[derive(Clone, Debug)]
pub(crate) struct TrailerReader {
    held: Vec<u8>,
    scan: Scan,
    limits: Limits,
}

impl TrailerReader {
    pub(crate) fn new(limit: usize) -> Self {
        let limits = Limits { head: limit.max(END.len()), target: 0, fields: MAX_FIELDS }.bounded();
        Self { held: Vec::new(), scan: Scan::default(), limits }
    }

    /// How many bytes it holds.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Reads on in `buf`; returns how many bytes were consumed and, at the end of the section, the trailers if
    /// there are any. Offsets count from the section's start.
    pub(crate) fn next(&mut self, buf: &[u8]) -> Result<(usize, Option<Option<Trailers>>), Refusal> {
        if self.held.is_empty() && buf.starts_with(END) {
            return Ok((END.len(), Some(None)));
        }
        let before = self.held.len();
        let room = self.limits.head - before;
        self.held.extend_from_slice(&buf[..room.min(buf.len())]);
        let Some(found) = self.scan.find(Section::Trailers, &self.held, &self.limits)? else {
            return Ok((self.held.len() - before, None));
        };
        let trailers = read(&self.held[..found.end])?;
        Ok((found.end - before, Some(trailers)))
    }
}

/// The empty line that ends the section.
const END: &[u8] = b"\r\n";

/// Fields that would change where the message ends or to whom it goes, had they come in time.
const FORBIDDEN: [Known; 3] = [Known::ContentLength, Known::TransferEncoding, Known::Host];

fn read(section: &[u8]) -> Result<Option<Trailers>, Refusal> {
    let mut room = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let Ok(httparse::Status::Complete((_, tokens))) = httparse::parse_headers(section, &mut room) else {
        let fault = fault::in_fields(section, 0);
        return Err(fault.unwrap_or_else(|| Refusal::new(RefusalReason::BadFieldName, 0)));
    };
    let fields = Fields::new(section, section, tokens);
    if let Some((at, _)) = FORBIDDEN.iter().find_map(|known| fields.all(*known).next()) {
        return Err(Refusal::new(RefusalReason::ForbiddenTrailer, at));
    }
    Ok((!fields.is_empty()).then_some(Trailers { fields }))
}
