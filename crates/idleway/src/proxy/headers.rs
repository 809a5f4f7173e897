//! Heads on their way through: nothing is passed on as it came, each is written anew.

use idleway_h1::{Field, Framing, HeadWriter, Known, ResponseHead, Version, reason_phrase};

use super::frame::Outgoing;
use super::upload::Announced;
use crate::message::{RandomHex, Request};

/// Writes the head that a backend gets.
pub(super) fn request(
    out: &mut Vec<u8>,
    request: &Request,
    announced: Announced,
    via: &str,
    keep_alive: bool,
) {
    let head = &request.head;
    let mut writer = HeadWriter::request(out, head.method(), head.path());
    writer.field("Host", head.authority());
    let mut trace = None;
    let mut trailers = false;
    for field in head.fields() {
        match field.known {
            Known::Te => trailers |= accepts_trailers(field.value),
            Known::Traceparent => trace = trace.or(Some(field.value)),
            // Of the trailers the backend is told by the chunks alone.
            Known::Host | Known::ContentLength | Known::Expect | Known::XRequestId => {}
            known if known.is_hop_by_hop() || is_forwarded(&field) || head.nominated(field.name) => {}
            Known::Other if is_shadow(field.name) => {}
            _ => {
                writer.copy(&field);
            }
        }
    }
    match announced {
        Announced::Nothing => {}
        Announced::Length(length) => {
            writer.number("Content-Length", length);
        }
        Announced::Chunked => {
            writer.field("Transfer-Encoding", "chunked");
        }
    }
    writer.field("Via", via);
    writer.field("X-Request-Id", request.id.as_str());
    writer.field("X-Forwarded-For", &*request.client);
    writer.field("X-Forwarded-Proto", "http");
    if !head.authority().is_empty() {
        writer.field("X-Forwarded-Host", head.authority());
    }
    match trace.filter(|trace| is_traceparent(trace)) {
        Some(trace) => writer.field("traceparent", trace),
        // Begun here, and not sampled: nobody records it yet (W3C Trace Context, section 3.2).
        None => writer.field("traceparent", new_traceparent()),
    };
    match (trailers, keep_alive) {
        (true, true) => writer.field("TE", "trailers").field("Connection", "TE").end(),
        (true, false) => writer.field("TE", "trailers").field("Connection", "TE, close").end(),
        (false, true) => writer.end(),
        (false, false) => writer.field("Connection", "close").end(),
    }
}

/// How the client gets a response.
pub(super) struct ToClient {
    pub(super) outgoing: Outgoing,
    /// The end of the connection is the end of the response.
    pub(super) until_close: bool,
    /// The connection can serve another request.
    pub(super) persists: bool,
}

/// Writes the head that the client gets. `persists`: its connection could serve another request.
pub(super) fn response(
    out: &mut Vec<u8>,
    request: &Request,
    response: &ResponseHead,
    via: &str,
    persists: bool,
) -> ToClient {
    let http10 = request.head.version() == Version::Http10;
    let until_close = http10 && matches!(response.framing(), Framing::Chunked | Framing::UntilClose);
    let persists = persists && !until_close;
    let mut writer = HeadWriter::response(out, response.status(), response.reason());
    let mut outgoing = Outgoing::Plain;
    copy_end_to_end(&mut writer, response);
    if response.get(Known::Date).is_none() {
        // RFC 9110 section 6.6.1: whoever forwards a response without one adds it.
        writer.field("Date", crate::net::date());
    }
    match response.framing() {
        Framing::Length(length) => {
            writer.number("Content-Length", length);
        }
        Framing::Empty if response.status() >= 200 && response.status() != 204 => {
            // What the body would have had (RFC 9110 section 8.6).
            if let Some(length) = response.get(Known::ContentLength) {
                writer.field("Content-Length", length);
            }
        }
        Framing::Chunked | Framing::UntilClose if !http10 => {
            writer.field("Transfer-Encoding", "chunked");
            let wanted = request.head.get(Known::Te).is_some_and(accepts_trailers);
            outgoing = Outgoing::Chunked { trailers: wanted };
        }
        _ => {}
    }
    writer.field("Via", via);
    writer.field("X-Request-Id", request.id.as_str());
    if !persists {
        writer.field("Connection", "close");
    } else if http10 {
        writer.field("Connection", "keep-alive");
    }
    writer.end();
    ToClient { outgoing, until_close, persists }
}

/// Copies the fields of a response that are meant for whoever gets it in the end.
pub(super) fn copy_end_to_end(writer: &mut HeadWriter<'_>, response: &ResponseHead) {
    for field in response.fields() {
        match field.known {
            Known::ContentLength | Known::XRequestId => {}
            known if known.is_hop_by_hop() || response.nominated(field.name) => {}
            _ => {
                writer.copy(&field);
            }
        }
    }
}

/// The reason phrase the gateway itself gives a status.
pub(super) fn phrase(status: u16) -> &'static str {
    match status {
        508 => "Loop Detected",
        status => reason_phrase(status),
    }
}

/// Whether a field may stand behind a body. None that a receiver who merges trailers into the head would take for
/// the gateway's word.
pub(super) fn may_trail(field: &Field<'_>) -> bool {
    !field.known.is_hop_by_hop()
        && !is_forwarded(field)
        && !is_shadow(field.name)
        && !is_the_gateways(field.known)
}

/// Fields that the gateway writes or acts on itself.
fn is_the_gateways(known: Known) -> bool {
    matches!(
        known,
        Known::Host
            | Known::ContentLength
            | Known::Expect
            | Known::Via
            | Known::XRequestId
            | Known::Traceparent
    )
}

/// Fields in which a proxy says whom it speaks for. No peer is trusted to say that to a backend.
fn is_forwarded(field: &Field<'_>) -> bool {
    const PREFIX: &[u8] = b"x-forwarded-";
    field.known == Known::Forwarded
        || field.name.as_bytes().get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Whether an application that turns field names into variables (CGI, WSGI) would take this for one of the
/// gateway's fields: `X_Forwarded_For` becomes the same variable as `X-Forwarded-For`.
fn is_shadow(name: &str) -> bool {
    if !name.bytes().any(|byte| matches!(byte, b'_' | b'.')) {
        return false;
    }
    let name = name.replace(['_', '.'], "-");
    let field = Field::new(&name, b"");
    is_forwarded(&field) || field.known.is_hop_by_hop() || is_the_gateways(field.known)
}

fn accepts_trailers(te: &[u8]) -> bool {
    te.split(|byte| *byte == b',').any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, ids not all zero (W3C Trace Context, section 3.2.2); later versions may be
/// longer.
fn is_traceparent(value: &[u8]) -> bool {
    let hex = |bytes: &[u8]| bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let some = |bytes: &[u8]| hex(bytes) && bytes.iter().any(|byte| *byte != b'0');
    value.len() >= 55
        && (value.len() == 55 || (value[55] == b'-' && !value.starts_with(b"00")))
        && hex(&value[..2])
        && !value.starts_with(b"ff")
        && [2, 35, 52].iter().all(|dash| value[*dash] == b'-')
        && some(&value[3..35])
        && some(&value[36..52])
        && hex(&value[53..55])
}

fn new_traceparent() -> [u8; 55] {
    let ids = RandomHex::<48>::new();
    let (trace, span) = ids.as_str().as_bytes().split_at(32);
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    text[3..35].copy_from_slice(trace);
    text[36..52].copy_from_slice(span);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sound_traceparent_is_passed_on() {
        let sound = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(sound.as_bytes()));
        assert!(is_traceparent(format!("01{}-later", &sound[2..]).as_bytes()));
        let zero = "0".repeat(32);
        for odd in [
            String::new(),
            sound[..54].to_owned(),
            format!("{sound}-x"),
            format!("ff{}", &sound[2..]),
            sound.to_uppercase(),
            format!("00-{zero}-00f067aa0ba902b7-01"),
        ] {
            assert!(!is_traceparent(odd.as_bytes()), "{odd}");
        }
    }

    #[test]
    fn names_that_shadow_the_gateways_fields_are_known() {
        for name in
            ["X_Forwarded_For", "x.request.id", "Content_Length", "Transfer_Encoding", "X_Forwarded_Any"]
        {
            assert!(is_shadow(name), "{name}");
        }
        for name in ["X-Api_Key", "snake_case", "X-Forwarded-For"] {
            assert!(!is_shadow(name), "{name}");
        }
    }
}
