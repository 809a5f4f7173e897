//! Names what the tokenizer refused: it says neither where nor exactly why.
//!
//! Only refused heads come here, and what is found is never accepted after all.

use crate::field::is_token_byte;
use crate::refusal::{Refusal, RefusalReason};

/// The first fault of a request's head.
pub(crate) fn in_request(head: &[u8]) -> Refusal {
    let (line, fields_at) = first_line(head);
    in_request_line(line)
        .or_else(|| in_fields(head, fields_at))
        .unwrap_or_else(|| Refusal::new(RefusalReason::BadRequestLine, 0))
}

/// The first fault of a response's head.
pub(crate) fn in_response(head: &[u8]) -> Refusal {
    let (line, fields_at) = first_line(head);
    in_status_line(line)
        .or_else(|| in_fields(head, fields_at))
        .unwrap_or_else(|| Refusal::new(RefusalReason::BadStatusLine, 0))
}

/// The first fault of the field lines from `from` to the empty line.
pub(crate) fn in_fields(section: &[u8], from: usize) -> Option<Refusal> {
    let mut at = from;
    while at < section.len() {
        let (line, next) = first_line(&section[at..]);
        if let Some((reason, offset)) = in_field_line(line) {
            return Some(Refusal::new(reason, at + offset));
        }
        at += next;
    }
    None
}

fn in_request_line(line: &[u8]) -> Option<Refusal> {
    let refusal = |reason, at| Some(Refusal::new(reason, at));
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, target, version) = (parts.next()?, parts.next(), parts.next());
    if let Some(at) = method.iter().position(|byte| !is_token_byte(*byte)) {
        return refusal(RefusalReason::BadMethod, at);
    }
    let (Some(target), Some(version), None) = (target, version, parts.next()) else {
        return refusal(RefusalReason::BadRequestLine, 0);
    };
    if method.is_empty() || target.is_empty() {
        return refusal(RefusalReason::BadRequestLine, 0);
    }
    let target_at = method.len() + 1;
    if let Some(at) = target.iter().position(|byte| !byte.is_ascii_graphic()) {
        return refusal(RefusalReason::BadTarget, target_at + at);
    }
    let reason = odd_version(version)?;
    refusal(reason, target_at + target.len() + 1)
}

fn in_status_line(line: &[u8]) -> Option<Refusal> {
    let reason = odd_version(line.get(..8).unwrap_or(line));
    let well_formed = matches!(line.get(8..), Some([b' ', a, b, c, rest @ ..])
        if [a, b, c].into_iter().all(u8::is_ascii_digit) && matches!(rest, [] | [b' ', ..]));
    match reason {
        Some(RefusalReason::UnsupportedVersion) => Some(Refusal::new(RefusalReason::UnsupportedVersion, 0)),
        None if well_formed => None,
        _ => Some(Refusal::new(RefusalReason::BadStatusLine, 0)),
    }
}

/// The fault of a version that is none of those we speak.
fn odd_version(version: &[u8]) -> Option<RefusalReason> {
    match version {
        b"HTTP/1.1" | b"HTTP/1.0" => None,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            Some(RefusalReason::UnsupportedVersion)
        }
        _ => Some(RefusalReason::BadVersion),
    }
}

fn in_field_line(line: &[u8]) -> Option<(RefusalReason, usize)> {
    let odd = line.iter().position(|byte| !is_token_byte(*byte));
    match odd.map(|at| (at, line[at])) {
        None if line.is_empty() => None,
        None => Some((RefusalReason::MissingColon, 0)),
        Some((0, _)) => Some((RefusalReason::BadFieldName, 0)),
        Some((_, b':')) => None,
        Some((at, b' ' | b'\t')) => {
            let rest = line[at..].iter().find(|byte| !matches!(byte, b' ' | b'\t'));
            let before_colon = rest == Some(&b':');
            let reason =
                if before_colon { RefusalReason::SpaceBeforeColon } else { RefusalReason::BadFieldName };
            Some((reason, at))
        }
        Some((at, _)) => Some((RefusalReason::BadFieldName, at)),
    }
}

/// The first line without its CRLF, and where the next one begins.
fn first_line(bytes: &[u8]) -> (&[u8], usize) {
    let end = bytes.iter().position(|byte| *byte == b'\r').unwrap_or(bytes.len());
    (&bytes[..end], end + 2)
}
