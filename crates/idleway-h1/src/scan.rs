//! The search for the end of a head or of trailers, in bytes that arrive in any pieces.

use std::ops::Range;

use crate::limits::Limits;
use crate::refusal::{Refusal, RefusalReason};

/// How far the search has come. Every byte is looked at once, however many pieces it arrives in.
///
/// What could make the end of a line or of the section ambiguous is refused here, as soon as it is seen, so that
/// the tokenizer behind never meets it: bare CR and LF, control characters, folded and empty lines.
#[derive(Clone, Default, Debug)]
pub(crate) struct Scan {
    /// All before has been looked at.
    at: usize,
    /// Where the line that is being looked at begins.
    line: usize,
    /// Lines that have ended, but for an empty one before a request.
    lines: usize,
    /// Where the section begins: behind the empty line that may stand before a request.
    start: usize,
}

/// What is searched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Request,
    Response,
    Trailers,
}

impl Scan {
    /// Goes on to the end of `buf`, which holds all bytes since the section began.
    ///
    /// Returns where the section lies once its last line has come.
    pub(crate) fn find(
        &mut self,
        section: Section,
        buf: &[u8],
        limits: &Limits,
    ) -> Result<Option<Range<usize>>, Refusal> {
        let seen = &buf[..buf.len().min(limits.head)];
        while let Some(found) = seen.get(self.at..).and_then(next_control) {
            self.at += found;
            match (seen[self.at], seen.get(self.at + 1)) {
                (b'\t', _) => self.at += 1,
                (b'\r', Some(b'\n')) => {
                    let end = self.at;
                    self.at += 2;
                    if self.end_line(section, seen, end, limits)? {
                        return Ok(Some(self.start..self.at));
                    }
                }
                (b'\r', None) => return self.partial(section, seen, limits),
                (b'\r', Some(_)) => return Err(Refusal::new(RefusalReason::BareCr, self.at)),
                (b'\n', _) => return Err(Refusal::new(RefusalReason::BareLf, self.at)),
                _ => return Err(Refusal::new(RefusalReason::ControlByte, self.at)),
            }
        }
        self.at = self.at.max(seen.len());
        self.partial(section, seen, limits)
    }

    /// Takes note of the line that ends at `end`; true if it was the empty one behind the last field.
    fn end_line(
        &mut self,
        section: Section,
        seen: &[u8],
        end: usize,
        limits: &Limits,
    ) -> Result<bool, Refusal> {
        let start = std::mem::replace(&mut self.line, self.at);
        let start_lines = usize::from(section != Section::Trailers);
        if start == end {
            if self.lines >= start_lines {
                return Ok(true);
            }
            if section != Section::Request || self.start != 0 {
                return Err(Refusal::new(RefusalReason::EmptyLines, start));
            }
            self.start = self.at;
            return Ok(false);
        }
        if self.lines >= start_lines && matches!(seen[start], b' ' | b'\t') {
            return Err(Refusal::new(RefusalReason::ObsFold, start));
        }
        self.lines += 1;
        if self.lines - start_lines.min(self.lines) > limits.fields {
            return Err(Refusal::new(RefusalReason::TooManyFields, start));
        }
        Ok(false)
    }

    /// The answer where `seen` holds no end: more is needed, unless more is not allowed.
    fn partial(
        &self,
        section: Section,
        seen: &[u8],
        limits: &Limits,
    ) -> Result<Option<Range<usize>>, Refusal> {
        if seen.len() < limits.head {
            return Ok(None);
        }
        let reason = match section {
            Section::Request if self.lines == 0 => RefusalReason::TargetTooLong,
            Section::Trailers => RefusalReason::TrailersTooLarge,
            _ => RefusalReason::HeadTooLarge,
        };
        Err(Refusal::new(reason, limits.head))
    }
}

/// The position of the first control character: CR, LF, tab and those that are refused.
fn next_control(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // Eight bytes at once. A subtraction that borrows can raise false bits, but only above a true one, and
        // the lowest bit is the one that counts.
        let below_space = word.wrapping_sub(ONES * 0x20) & !word;
        let not_del = word ^ (ONES * 0x7f);
        let del = not_del.wrapping_sub(ONES) & !not_del;
        let hits = (below_space | del) & HIGH;
        if hits != 0 {
            return Some(index * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    let found = rest.iter().position(u8::is_ascii_control)?;
    Some(words.len() * 8 + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_is_looked_at_twice() {
        let whole = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for cut in 1..whole.len() {
            let mut scan = Scan::default();
            assert_eq!(scan.find(Section::Request, &whole[..cut], &Limits::default()), Ok(None));
            // A CR is looked at again when its LF has come; all else that was seen would be refused now.
            let seen = if whole[cut - 1] == b'\r' { cut - 1 } else { cut };
            let rest = [&vec![0; seen], &whole[seen..]].concat();
            assert_eq!(scan.find(Section::Request, &rest, &Limits::default()), Ok(Some(0..whole.len())));
        }
    }

    #[test]
    fn the_first_control_character_is_found_among_any_others() {
        for first in 0..=255_u8 {
            for second in 0..=255_u8 {
                for place in 0..11 {
                    let mut bytes = [b'a'; 12];
                    bytes[place] = first;
                    bytes[place + 1] = second;
                    assert_eq!(
                        next_control(&bytes),
                        bytes.iter().position(u8::is_ascii_control),
                        "{bytes:?}"
                    );
                }
            }
        }
    }
}
