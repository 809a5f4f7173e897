//! The gateway's own answers: the one place where a Reject becomes HTTP.

use std::time::Duration;

use idleway_h1::{HeadWriter, Version};
use serde_json::json;

use super::{Ended, headers};
use crate::error::Reject;
use crate::message::{Request, RequestId};
use crate::net::{Client, ClientLimits};

/// Where the reasons are described; each is an anchor there.
const TYPES: &str = "https://github.com/idleway/idleway/blob/main/docs/answers.md#";

/// Answers with the reason: a status, `Proxy-Status` (RFC 9209) and a body of problem details (RFC 9457).
///
/// `applied`: the wait in force that the request asked for. Without a `request` what came was none, and nothing more can be read from the connection.
pub(super) async fn send(
    client: &mut Client,
    limits: &ClientLimits,
    request: Option<&Request>,
    applied: Option<u64>,
    reject: &Reject,
) -> Ended {
    // The client has just shown that it does not send the rest of its body.
    let stalled =
        matches!(reject, Reject::BodyTooSlow | Reject::DeadlineOver { .. }) && !client.body_is_read();
    let fresh;
    let id = match request {
        Some(request) => &request.id,
        None => {
            fresh = RequestId::random();
            &fresh
        }
    };
    client.tell(reject);
    let to_head = request.is_some_and(Request::is_head);
    let write =
        |out: &mut Vec<u8>, connection: Option<&str>| write(out, reject, id, applied, to_head, connection);
    deliver(client, limits, request, stalled, write).await
}

/// Sends an answer that the gateway has by itself; `write` is told what `Connection` has to say. `stalled`: no more can be
/// hoped for of the request's body.
pub(super) async fn deliver(
    client: &mut Client,
    limits: &ClientLimits,
    request: Option<&Request>,
    stalled: bool,
    write: impl FnOnce(&mut Vec<u8>, Option<&str>),
) -> Ended {
    // The rest of a body stands in the way of the next request: read away if it is small.
    let persists = request.is_some_and(|request| request.head.keep_alive())
        && !stalled
        && client.can_discard_body()
        && !limits.keep_alive.is_zero()
        && !client.core().is_parting();
    let http10 = request.is_some_and(|request| request.head.version() == Version::Http10);
    let connection = match (persists, http10) {
        (false, _) => Some("close"),
        (true, true) => Some("keep-alive"),
        (true, false) => None,
    };
    write(client.tail(), connection);
    if client.send(&[]).is_err() || client.flush(limits.write).await.is_err() {
        return Ended::Gone;
    }
    if !persists {
        return Ended::Closed;
    }
    match client.discard_body(limits.read).await {
        Ok(()) => Ended::Kept,
        Err(_) => Ended::Closed,
    }
}

fn write(
    out: &mut Vec<u8>,
    reject: &Reject,
    id: &RequestId,
    applied: Option<u64>,
    to_head: bool,
    connection: Option<&str>,
) {
    let body = body(reject, id);
    let mut writer = HeadWriter::response(out, reject.status(), headers::phrase(reject.status()));
    // RFC 9110 section 15.4.5: there is none behind a 304.
    let has_body = reject.status() != 304;
    if has_body {
        writer.field("Content-Type", "application/problem+json").number("Content-Length", body.len() as u64);
    }
    writer.field("Date", crate::net::date()).field("X-Request-Id", id.as_str()).field_fmt(
        "Proxy-Status",
        format_args!("idleway; error={}; details={}", reject.proxy_error(), quoted(reject)),
    );
    if let Some(after) = reject.retry_after() {
        writer.number("Retry-After", whole_seconds(after));
    }
    if let Some(seconds) = applied {
        headers::preference_applied(&mut writer, seconds);
    }
    if reject.status() == 405 {
        // RFC 9110 section 15.5.6 asks for it.
        writer.field("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    }
    if let Reject::Denied(denial) = reject {
        denial.fields.written().for_each(|(name, value)| _ = writer.field(name, value));
    }
    if let Some(connection) = connection {
        writer.field("Connection", connection);
    }
    writer.end();
    if has_body && !to_head {
        out.extend_from_slice(body.as_bytes());
    }
}

/// The problem details.
pub(crate) fn body(reject: &Reject, id: &RequestId) -> String {
    json!({
        "type": format!("{TYPES}{}", reject.name()),
        "title": reject.title(),
        "status": reject.status(),
        "detail": reject.to_string(),
        "instance": format!("urn:request:{id}"),
        // What clients of the first gateway look for.
        "error": reject.title(),
    })
    .to_string()
}

/// The reason as a string of RFC 8941 section 3.3.3.
fn quoted(reject: &Reject) -> String {
    let mut quoted = String::from('"');
    for c in reject.to_string().chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

/// Fields count whole seconds: rounded up, since coming early is in vain.
pub(super) fn whole_seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use idleway_core::Reason;

    use super::*;

    #[test]
    fn a_full_pool_is_told_in_the_words_that_clients_know() {
        let reject = Reject::NoSlot { reason: Reason::Busy, retry_after: Duration::from_millis(2500) };
        let mut out = Vec::new();
        write(&mut out, &reject, &RequestId::random(), Some(0), false, None);
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
        assert!(head.contains("\r\nRetry-After: 3"), "{head}");
        assert!(head.contains("\r\nPreference-Applied: wait=0"), "{head}");
        assert!(head.contains("Proxy-Status: idleway; error=connection_limit_reached"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"], "All servers are busy. Try again later.");
        assert_eq!(body["status"], 503);
        assert!(body["type"].as_str().unwrap().ends_with("#busy"));
    }

    #[test]
    fn details_cannot_leave_their_string() {
        let reject = Reject::BackendNonsense { backend: "b".into(), why: "a\"b\\c\r\nd\u{e9}".into() };
        assert_eq!(quoted(&reject), r#""b: a\"b\\c??d?""#);
    }
}
