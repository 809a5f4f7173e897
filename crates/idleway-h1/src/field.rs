//! The fields of a head, as they stand in it.

use std::fmt;
use std::ops::Range;
use std::slice;

use crate::known::Known;

/// One field line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    /// Which field it is.
    pub known: Known,
    /// Its name as it was written: a token, never empty.
    pub name: &'a str,
    /// Its value without the space around it: visible characters, space, tab and bytes from 0x80.
    pub value: &'a [u8],
    /// The whole line, where it is just as it would be written anew.
    pub(crate) line: Option<&'a [u8]>,
}

impl<'a> Field<'a> {
    /// A field that was not read.
    #[must_use]
    pub fn new(name: &'a str, value: &'a [u8]) -> Self {
        Self { known: Known::of(name), name, value, line: None }
    }
}

/// The bytes of a head and where its fields are in them. Two allocations; three where the bytes are not UTF-8.
#[derive(Clone)]
pub(crate) struct Fields {
    /// The head. Held as text, since names are asked for as text at every forwarding and would have to be
    /// validated anew each time.
    text: Box<str>,
    /// The head as it came where it is not UTF-8: `text` then has a `?` for each byte that is not ASCII.
    raw: Option<Box<[u8]>>,
    spans: Box<[FieldSpan]>,
    /// The bits of all known fields that occur.
    present: u64,
}

#[derive(Clone, Copy)]
struct FieldSpan {
    name: Span,
    value: Span,
    known: Known,
    /// The line is `name: value`, CRLF: no other space in it.
    is_plain: bool,
}

/// A range in a head. A head is at most [`MAX_HEAD`](crate::MAX_HEAD) bytes, so 32 bits hold any position.
#[derive(Clone, Copy, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Fields {
    /// Keeps `bytes` (the head, and perhaps what its reader put behind it), in which `tokens` lie.
    /// `head` is where the tokens point into; `bytes` begins with it.
    pub(crate) fn new(bytes: &[u8], head: &[u8], tokens: &[httparse::Header<'_>]) -> Self {
        let mut present = 0;
        let spans = tokens
            .iter()
            .map(|token| {
                let known = Known::of(token.name);
                present |= known.bit();
                let name = Span::within(head, token.name.as_bytes());
                let value = Span::within(head, token.value);
                let is_plain = head[name.range().end..].starts_with(b": ")
                    && name.range().end + 2 == value.range().start
                    && head[value.range().end..].starts_with(b"\r\n");
                FieldSpan { name, value, known, is_plain }
            })
            .collect();
        let (text, raw) = match str::from_utf8(bytes) {
            Ok(text) => (Box::from(text), None),
            Err(_) => {
                let ascii = bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' });
                (ascii.collect(), Some(Box::from(bytes)))
            }
        };
        Self { text, raw, spans, present }
    }

    pub(crate) fn iter(&self) -> FieldIter<'_> {
        FieldIter { fields: self, spans: self.spans.iter() }
    }

    /// The value of the first such field.
    pub(crate) fn first(&self, known: Known) -> Option<&[u8]> {
        self.all(known).next().map(|(_, value)| value)
    }

    /// Where the value of each such field begins, and the value.
    pub(crate) fn all(&self, known: Known) -> impl Iterator<Item = (usize, &[u8])> {
        let spans = if self.has(known) { &*self.spans } else { &[] };
        let found = spans.iter().filter(move |span| span.known == known);
        found.map(|span| (span.value.range().start, &self.bytes()[span.value.range()]))
    }

    pub(crate) fn has(&self, known: Known) -> bool {
        self.present & known.bit() != 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    pub(crate) fn text(&self, span: Span) -> &str {
        &self.text[span.range()]
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.text.as_bytes())
    }
}

/// The fields of a head or of trailers, in their order.
#[derive(Clone)]
pub struct FieldIter<'a> {
    fields: &'a Fields,
    spans: slice::Iter<'a, FieldSpan>,
}

impl<'a> Iterator for FieldIter<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let span = self.spans.next()?;
        let bytes = self.fields.bytes();
        let line = span.name.range().start..span.value.range().end + 2;
        Some(Field {
            known: span.known,
            name: self.fields.text(span.name),
            value: &bytes[span.value.range()],
            line: span.is_plain.then(|| &bytes[line]),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl ExactSizeIterator for FieldIter<'_> {}

impl Span {
    pub(crate) fn new(range: Range<usize>) -> Self {
        let narrow = |position: usize| u32::try_from(position).unwrap_or(u32::MAX);
        Self { start: narrow(range.start), end: narrow(range.end) }
    }

    /// Where `part` lies in `whole`, a slice of which it is.
    pub(crate) fn within(whole: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
        Self::new(start..start + part.len())
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The same range, `by` bytes later.
    pub(crate) fn moved(self, by: usize) -> Self {
        Self::new(self.range().start + by..self.range().end + by)
    }
}

/// The elements of a comma-separated value without the space around them; empty ones are passed over
/// (RFC 9110, 5.6.1).
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// `value` without space and tab around it.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether `bytes` is a token (RFC 9110, 5.6.2).
#[must_use]
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

pub(crate) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
        || byte.is_ascii_alphanumeric()
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Fields {
    /// Names alone: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|field| field.name)).finish()
    }
}
