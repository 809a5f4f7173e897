//! What is refused before a request is given to a pool.

use idleway_h1::{Framing, Known};

use crate::error::Reject;
use crate::message::Request;

/// Whether the request has not been here before.
pub(super) fn admit(request: &Request, via: &str) -> Result<(), Reject> {
    let head = &request.head;
    // Each gateway adds one entry (RFC 9110 section 7.6.3).
    let been_here = head.get(Known::Via).is_some()
        && head
            .fields()
            .filter(|field| field.known == Known::Via)
            .flat_map(|field| field.value.split(|byte| *byte == b','))
            .any(|entry| entry.trim_ascii() == via.as_bytes());
    if been_here { Err(Reject::Loop) } else { Ok(()) }
}

/// Whether its body is not known to be too large.
pub(super) fn admit_body(request: &Request, limit: Option<u64>) -> Result<(), Reject> {
    match (limit, request.head.framing()) {
        (Some(limit), Framing::Length(length)) if length > limit => Err(Reject::BodyTooLarge { limit }),
        _ => Ok(()),
    }
}
