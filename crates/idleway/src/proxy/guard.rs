//! What is refused before a request is given to a pool.

use idleway_h1::{Framing, Known};

use crate::error::Reject;
use crate::message::Request;

/// Whether the request may go on: it has not been here before, and its body is not known to be too large.
pub(super) fn admit(request: &Request, via: &str, body_limit: Option<u64>) -> Result<(), Reject> {
    let head = &request.head;
    // Each gateway adds one entry (RFC 9110 section 7.6.3).
    let been_here = head.get(Known::Via).is_some()
        && head
            .fields()
            .filter(|field| field.known == Known::Via)
            .flat_map(|field| field.value.split(|byte| *byte == b','))
            .any(|entry| entry.trim_ascii() == via.as_bytes());
    if been_here {
        return Err(Reject::Loop);
    }
    match (body_limit, head.framing()) {
        (Some(limit), Framing::Length(length)) if length > limit => Err(Reject::BodyTooLarge { limit }),
        _ => Ok(()),
    }
}
