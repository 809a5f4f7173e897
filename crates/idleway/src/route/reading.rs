//! How a path is read: what all programs decode alike, and the ways in which they differ.

use std::borrow::Cow;

/// Decodes what every program decodes to the same: all but the slash, the backslash and the percent sign, whose
/// encodings stay, in capital letters.
pub(super) fn decoded(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.contains(&b'%') {
        return path.into();
    }
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((octet, after)) = first(rest) {
        rest = after;
        octet.push(&mut plain);
    }
    plain.into()
}

/// How many bytes of `path` decode to its first `decoded` ones; None where an encoding crosses that border, or the
/// path is shorter.
pub(super) fn encoded_length(path: &[u8], decoded: usize) -> Option<usize> {
    let mut rest = path;
    let mut seen = 0;
    while seen < decoded {
        let (octet, after) = first(rest)?;
        rest = after;
        seen += octet.length();
    }
    (seen == decoded).then_some(path.len() - rest.len())
}

/// One octet of a path.
enum Octet {
    Plain(u8),
    /// What stays encoded.
    Kept(&'static [u8; 3]),
}

impl Octet {
    fn push(&self, to: &mut Vec<u8>) {
        match self {
            Octet::Plain(byte) => to.push(*byte),
            Octet::Kept(encoded) => to.extend_from_slice(*encoded),
        }
    }

    fn length(&self) -> usize {
        match self {
            Octet::Plain(_) => 1,
            Octet::Kept(encoded) => encoded.len(),
        }
    }
}

/// The first octet, and what stands behind it.
fn first(path: &[u8]) -> Option<(Octet, &[u8])> {
    let (&byte, after) = path.split_first()?;
    let encoded = match (byte, after) {
        (b'%', [high, low, after @ ..]) => hex(*high).zip(hex(*low)).map(|(h, l)| (h << 4 | l, after)),
        _ => None,
    };
    Some(match encoded {
        None => (Octet::Plain(byte), after),
        Some((b'/', after)) => (Octet::Kept(b"%2F"), after),
        Some((b'\\', after)) => (Octet::Kept(b"%5C"), after),
        Some((b'%', after)) => (Octet::Kept(b"%25"), after),
        Some((octet, after)) => (Octet::Plain(octet), after),
    })
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// A path without the slash at its end, which makes no difference.
pub(super) fn bare(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

/// Whether two programs may read a decoded path differently. Says yes too often rather than too seldom.
pub(super) fn is_ambiguous(path: &[u8]) -> bool {
    let odd = |at: usize| match path[at] {
        b';' | b'\\' => true,
        b'/' => matches!(path.get(at + 1), Some(b'/' | b'.')),
        b'%' => matches!(path.get(at + 1..at + 3), Some(b"2F" | b"5C")),
        _ => false,
    };
    (0..path.len()).any(odd)
}

/// One way to read a path; programs are known for each of these, alone and together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// `%2F`, `%5C` and `\` are slashes.
    slashes: bool,
    /// A segment ends at its `;` (Java's path parameters).
    parameters: bool,
    /// Several slashes are one.
    merged: bool,
    /// `.` and `..` are steps, not names (RFC 3986 section 5.2.4).
    dots: bool,
    /// As `parameters`, but before encoded slashes are decoded (Tomcat).
    parameters_early: bool,
    /// As `parameters`, but once the steps are done: `..;x` was no step, and is `..` then.
    parameters_late: bool,
    /// As `merged`, but once the steps are done (Envoy).
    merged_late: bool,
}

impl Reading {
    pub(super) fn all() -> impl Iterator<Item = Reading> {
        let readings = (0..128).map(|bits: u8| Reading {
            slashes: bits & 1 != 0,
            parameters: bits & 2 != 0,
            merged: bits & 4 != 0,
            dots: bits & 8 != 0,
            parameters_early: bits & 16 != 0,
            merged_late: bits & 32 != 0,
            parameters_late: bits & 64 != 0,
        });
        // Early and late make a difference only where something lies between.
        readings.filter(|reading| {
            let is_cut = reading.parameters || reading.parameters_early;
            (!reading.parameters_late || (reading.dots && !is_cut))
                && (!reading.parameters_early || (reading.slashes && !reading.parameters))
                && (!reading.merged_late || (reading.dots && !reading.merged))
        })
    }

    /// The path as this program reads it.
    pub(super) fn of(self, path: &[u8]) -> Vec<u8> {
        let path = if self.parameters_early { without_parameters(path) } else { path.to_vec() };
        let path = if self.slashes { with_slashes(&path) } else { path };
        let mut segments: Vec<&[u8]> = Vec::new();
        for segment in path.split(|&byte| byte == b'/').skip(1) {
            let name = if self.parameters { before_parameters(segment) } else { segment };
            match name {
                b"" if self.merged => {}
                b"." if self.dots => {}
                b".." if self.dots => {
                    segments.pop();
                }
                name => segments.push(name),
            }
        }
        if self.parameters_late {
            segments.iter_mut().for_each(|segment| *segment = before_parameters(segment));
        }
        if self.merged_late {
            segments.retain(|segment| !segment.is_empty());
        }
        segments.iter().flat_map(|segment| [b"/", *segment].concat()).collect()
    }
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    let names = path.split(|&byte| byte == b'/').map(before_parameters);
    names.collect::<Vec<_>>().join(&b'/')
}

fn before_parameters(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == b';').next().unwrap_or(name)
}

fn with_slashes(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match rest {
            [b'%', b'2', b'F', after @ ..] | [b'%', b'5', b'C', after @ ..] | [b'\\', after @ ..] => {
                plain.push(b'/');
                after
            }
            _ => {
                plain.push(byte);
                after
            }
        };
    }
    plain
}
