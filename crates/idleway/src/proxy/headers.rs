//! Heads on their way through: nothing is passed on as it came, each is written anew.

use idleway_h1::{Field, Framing, HeadWriter, Known, ResponseHead, Version, reason_phrase};

use super::frame::Outgoing;
use super::upload::Announced;
use crate::edits::{Edits, Rewrite, is_forwarded, is_shadow, is_the_gateways};
use crate::message::Request;
use crate::traces::{self, TraceParent};

/// Writes the head that this backend gets. `recorded`: what it is told of the trace it belongs to, where it is recorded here.
#[expect(clippy::too_many_arguments, reason = "each is a part of the head")]
pub(super) fn request(
    out: &mut Vec<u8>,
    request: &Request,
    rewrite: &Rewrite<'_>,
    backend: &str,
    announced: Announced,
    via: &str,
    keep_alive: bool,
    recorded: Option<TraceParent>,
) {
    let head = &request.head;
    let edits = &*rewrite.fields;
    let mut writer = HeadWriter::request(out, head.method(), &rewrite.path);
    writer.field("Host", rewrite.host(head.authority(), backend));
    let parent = traces::parent_of(head);
    let mut trailers = false;
    for field in head.fields() {
        match field.known {
            Known::Te => trailers |= accepts_trailers(field.value),
            // Of the trailers the backend is told by the chunks alone.
            Known::Host
            | Known::ContentLength
            | Known::Expect
            | Known::XRequestId
            | Known::XForwardedFor
            | Known::Traceparent => {}
            known if known.is_hop_by_hop() || head.nominated(field.name) => {}
            _ if is_forwarded(&field) && !request.is_trusted => {}
            Known::Other if is_shadow(field.name) => {}
            _ if edits.drops(&field) => {}
            // It belongs to the `traceparent` that it came with.
            Known::Tracestate if parent.is_none() => {}
            _ => {
                writer.copy(&field);
            }
        }
    }
    write_edits(&mut writer, edits);
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
    forwarded(&mut writer, request, edits);
    match (recorded, parent) {
        (Some(own), _) => writer.field("traceparent", own),
        (None, Some(parent)) => writer.field("traceparent", parent),
        (None, None) => writer.field("traceparent", traces::begun()),
    };
    match (trailers, keep_alive) {
        (true, true) => writer.field("TE", "trailers").field("Connection", "TE").end(),
        (true, false) => writer.field("TE", "trailers").field("Connection", "TE, close").end(),
        (false, true) => writer.end(),
        (false, false) => writer.field("Connection", "close").end(),
    }
}

pub(super) fn write_edits(writer: &mut HeadWriter<'_>, edits: &Edits) {
    for (name, value) in edits.written() {
        writer.field(name, value);
    }
}

/// Says whom the request comes from. What a trusted peer says about that has been copied, and stays; only its own
/// address is added. What `edits` decide about is theirs.
fn forwarded(writer: &mut HeadWriter<'_>, request: &Request, edits: &Edits) {
    let head = &request.head;
    let said =
        |known: Known| request.is_trusted && head.get(known).is_some() && !head.nominated(known.name());
    if edits.drops_known(Known::XForwardedFor) {
        // Said already, or not to be said.
    } else if said(Known::XForwardedFor) {
        let values =
            head.fields().filter(|field| field.known == Known::XForwardedFor).map(|field| field.value);
        let chain: Vec<_> = values.chain([request.client.as_bytes()]).collect();
        writer.field("X-Forwarded-For", chain.join(&b", "[..]));
    } else {
        writer.field("X-Forwarded-For", &*request.client);
    }
    if !said(Known::XForwardedProto) && !edits.drops_known(Known::XForwardedProto) {
        writer.field("X-Forwarded-Proto", "http");
    }
    let host_is_said = said(Known::XForwardedHost) || edits.drops_known(Known::XForwardedHost);
    if !host_is_said && !head.authority().is_empty() {
        writer.field("X-Forwarded-Host", head.authority());
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

/// Writes the head that the client gets. `applied`: the wait in force that it asked for. `persists`: its connection
/// could serve another request.
pub(super) fn response(
    out: &mut Vec<u8>,
    request: &Request,
    applied: Option<u64>,
    response: &ResponseHead,
    edits: &Edits,
    via: &str,
    persists: bool,
) -> ToClient {
    let http10 = request.head.version() == Version::Http10;
    let until_close = http10 && matches!(response.framing(), Framing::Chunked | Framing::UntilClose);
    let persists = persists && !until_close;
    let mut writer = HeadWriter::response(out, response.status(), response.reason());
    let mut outgoing = Outgoing::Plain;
    copy_end_to_end(&mut writer, response, edits);
    write_edits(&mut writer, edits);
    if response.get(Known::Date).is_none() || response.nominated("Date") {
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
    if let Some(seconds) = applied {
        preference_applied(&mut writer, seconds);
    }
    if !persists {
        writer.field("Connection", "close");
    } else if http10 {
        writer.field("Connection", "keep-alive");
    }
    writer.end();
    ToClient { outgoing, until_close, persists }
}

/// Copies the fields of a response that are meant for whoever gets it in the end, and that `edits` let pass.
pub(super) fn copy_end_to_end(writer: &mut HeadWriter<'_>, response: &ResponseHead, edits: &Edits) {
    for field in response.fields() {
        match field.known {
            Known::ContentLength | Known::XRequestId => {}
            known if known.is_hop_by_hop() || response.nominated(field.name) => {}
            _ if edits.drops(&field) => {}
            _ => {
                writer.copy(&field);
            }
        }
    }
}

/// The wait in force of a request that asked for one (RFC 7240 section 3).
pub(super) fn preference_applied(writer: &mut HeadWriter<'_>, seconds: u64) {
    writer.field_fmt("Preference-Applied", format_args!("wait={seconds}"));
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

fn accepts_trailers(te: &[u8]) -> bool {
    te.split(|byte| *byte == b',').any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use idleway_h1::{HeadReader, Limits};

    use super::*;
    use crate::edits::Authority;

    /// A request from 10.0.0.1 with these fields.
    fn asked(lines: &str, is_trusted: bool) -> Request {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let (head, _) = HeadReader::new(Limits::default()).request(text.as_bytes()).unwrap().unwrap();
        let peer = "10.0.0.1:4000".parse().unwrap();
        Request::new(Box::new(head), peer, Arc::from("10.0.0.1"), is_trusted)
    }

    /// What a backend gets of it.
    fn sent(lines: &str, is_trusted: bool, edits: &Edits) -> String {
        let mut out = Vec::new();
        let rewrite =
            Rewrite { path: Cow::Borrowed("/"), authority: &Authority::Client, fields: Cow::Borrowed(edits) };
        request(
            &mut out,
            &asked(lines, is_trusted),
            &rewrite,
            "b:80",
            Announced::Nothing,
            "1.1 via",
            true,
            None,
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_field_for_this_hop_alone_is_written_anew() {
        let none = Edits::of_request();
        let trace = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
        assert!(sent(trace, false, &none).contains(trace));
        let nominated = sent(&format!("Connection: traceparent\r\n{trace}"), false, &none);
        assert!(!nominated.contains(trace) && nominated.contains("\r\ntraceparent: 00-"), "{nominated}");

        let response = b"HTTP/1.1 204 No Content\r\nConnection: date\r\nDate: once\r\n\r\n";
        let (head, _) = HeadReader::new(Limits::default()).response(response, false).unwrap().unwrap();
        let mut out = Vec::new();
        super::response(&mut out, &asked("", false), None, &head, &Edits::of_response(), "1.1 via", true);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("\r\nDate: ") && !text.contains("once"), "{text}");
    }

    /// The fields in `X-Forwarded-` and `Forwarded` that a backend gets of such a request.
    fn forwarded(lines: &str, is_trusted: bool) -> Vec<String> {
        edited(lines, is_trusted, &Edits::of_request())
    }

    /// The same, with these changes.
    fn edited(lines: &str, is_trusted: bool, edits: &Edits) -> Vec<String> {
        let text = sent(lines, is_trusted, edits);
        let mut lines: Vec<_> = text.lines().map(str::to_lowercase).collect();
        lines.retain(|line| line.contains("forwarded"));
        lines.sort();
        lines
    }

    const SAID: &str = "X-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\
                        X-Forwarded-Host: b\r\nX-Forwarded-Port: 443\r\nForwarded: for=1.2.3.4\r\n";
    const OWN: [&str; 3] = ["x-forwarded-for: 10.0.0.1", "x-forwarded-host: a", "x-forwarded-proto: http"];

    #[test]
    fn what_a_trusted_peer_says_of_the_client_stays() {
        let kept = [
            "forwarded: for=1.2.3.4",
            "x-forwarded-for: 6.6.6.6, 1.2.3.4, 10.0.0.1",
            "x-forwarded-host: b",
            "x-forwarded-port: 443",
            "x-forwarded-proto: https",
        ];
        assert_eq!(forwarded(SAID, true), kept);
        // Also a trusted peer may say nothing, or meant it for this hop alone.
        assert_eq!(forwarded("", true), OWN);
        let nominated = "Connection: x-forwarded-for, x-forwarded-host\r\n\
                         X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: b\r\n";
        assert_eq!(forwarded(nominated, true), OWN);
    }

    #[test]
    fn what_any_other_peer_says_of_the_client_is_replaced() {
        assert_eq!(forwarded(SAID, false), OWN);
        assert_eq!(forwarded("X_Forwarded_For: 1.2.3.4\r\n", true), OWN);
    }

    #[test]
    fn who_edits_the_fields_of_proxies_has_the_last_word() {
        let mut edits = Edits::of_request();
        edits.set("X-Forwarded-Proto", "https").unwrap();
        edits.remove("X-Forwarded-For").unwrap();
        for is_trusted in [false, true] {
            let got = edited("X-Forwarded-Proto: ftp\r\nX-Forwarded-For: 6.6.6.6\r\n", is_trusted, &edits);
            assert_eq!(got, ["x-forwarded-host: a", "x-forwarded-proto: https"]);
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
