//! Heads on their way through the gateway: an input is a request's head, a response's head and its body, or a
//! response alone.

use std::collections::BTreeMap;

use idleway::fuzzing::{Answer, Body, CLIENT, Turn, VIA, last_chunk};
use idleway_h1::{
    BodyReader, Event, FieldIter, Framing, HeadReader, Limits, RequestHead, ResponseHead, Trailers, Version,
};

/// By name in small letters: its values in their order.
type Fields = BTreeMap<String, Vec<Vec<u8>>>;

const TRAILER_LIMIT: usize = 1000;

pub(crate) fn check(data: &[u8]) {
    let mut reader = HeadReader::new(Limits::default());
    let (head, rest) = match reader.request(data) {
        Ok(Some((head, used))) => (head, &data[used..]),
        _ => {
            let usual = HeadReader::new(Limits::default()).request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            (usual.expect("a request").expect("a whole one").0, data)
        }
    };
    for is_trusted in [false, true] {
        let turn = Turn::new(head.clone(), is_trusted);
        let keep_alive = rest.len() % 2 == 0;
        for body in bodies(&head) {
            check_request(&head, &turn, is_trusted, body, keep_alive);
        }
        let read = HeadReader::new(Limits::default()).response(rest, head.method() == "HEAD");
        if let Ok(Some((response, used))) = read
            && !response.is_interim()
        {
            for persists in [false, true] {
                check_response(&head, &turn, &response, persists);
            }
            check_trailers(response.framing(), &rest[used..]);
        }
    }
}

/// The ways in which the body of such a request may be announced to a backend.
fn bodies(head: &RequestHead) -> Vec<Body> {
    match head.framing() {
        Framing::Empty | Framing::UntilClose => vec![Body::None],
        Framing::Length(length) => vec![Body::Length(length)],
        // Its length is known by then, or not.
        Framing::Chunked => vec![Body::Length(7), Body::Chunked],
    }
}

fn check_request(head: &RequestHead, turn: &Turn, is_trusted: bool, body: Body, keep_alive: bool) {
    let bytes = turn.to_backend(body, keep_alive);
    let shown = bytes.escape_ascii();
    // RFC 9110 section 7.2: who knows no authority sends an empty Host, which we ourselves do not accept.
    let readable = match head.authority() {
        "" => replaced(&bytes, b"\r\nHost: \r\n", b"\r\nHost: a\r\n"),
        _ => bytes.clone(),
    };
    let limits = Limits { head: 1 << 20, target: 1 << 20, fields: 256 };
    let read = HeadReader::new(limits).request(&readable);
    let (again, used) =
        read.unwrap_or_else(|fault| unreachable!("{fault:?}: {shown}")).expect("a whole head");
    assert_eq!(used, readable.len(), "something follows the head: {shown}");
    assert_eq!(
        (again.method(), again.path(), again.version()),
        (head.method(), head.path(), Version::Http11)
    );
    let framing = match body {
        Body::None => Framing::Empty,
        Body::Length(length) => Framing::Length(length),
        Body::Chunked => Framing::Chunked,
    };
    assert_eq!((again.framing(), again.keep_alive()), (framing, keep_alive), "{shown}");

    let mut fields = grouped(again.fields());
    let goes_on = check_trace(head, fields.remove("traceparent").unwrap_or_default());
    let host = if head.authority().is_empty() { "a" } else { head.authority() };
    let mut expected = end_to_end(head.fields(), &["host", "content-length", "expect", "traceparent"]);
    expected.retain(|name, _| !is_shadow(name) && (is_trusted || !is_forwarded(name)));
    if !goes_on {
        // It belongs to the `traceparent` that it came with.
        expected.remove("tracestate");
    }
    expected.insert("host".to_owned(), vec![host.into()]);
    match body {
        Body::None => {}
        Body::Length(length) => {
            _ = expected.insert("content-length".to_owned(), vec![length.to_string().into()])
        }
        Body::Chunked => _ = expected.insert("transfer-encoding".to_owned(), vec![b"chunked".into()]),
    }
    expected.entry("via".to_owned()).or_default().push(VIA.into());
    expected.insert("x-request-id".to_owned(), vec![turn.id().into()]);
    let mut addresses = expected.remove("x-forwarded-for").unwrap_or_default();
    addresses.push(CLIENT.into());
    expected.insert("x-forwarded-for".to_owned(), vec![addresses.join(&b", "[..])]);
    expected.entry("x-forwarded-proto".to_owned()).or_insert_with(|| vec![b"http".into()]);
    if !head.authority().is_empty() {
        expected.entry("x-forwarded-host".to_owned()).or_insert_with(|| vec![head.authority().into()]);
    }
    let codings = elements(head.fields(), "te");
    let options = match (codings.iter().any(|coding| coding == "trailers"), keep_alive) {
        (true, true) => Some("TE"),
        (true, false) => Some("TE, close"),
        (false, true) => None,
        (false, false) => Some("close"),
    };
    if let Some(options) = options {
        expected.insert("connection".to_owned(), vec![options.into()]);
        if options.contains("TE") {
            expected.insert("te".to_owned(), vec![b"trailers".into()]);
        }
    }
    assert_eq!(fields, expected, "{shown}");
}

/// One `traceparent`, which can be read: the client's own where it is sound and not for this hop alone. Answers whether it is.
fn check_trace(head: &RequestHead, sent: Vec<Vec<u8>>) -> bool {
    let [sent] = &sent[..] else { unreachable!("{} traces", sent.len()) };
    assert!(is_sound(sent) || !sent.starts_with(b"00-"), "{}", sent.escape_ascii());
    let all = grouped(head.fields());
    let theirs = all.get("traceparent").map(|values| &values[0]);
    let is_nominated = elements(head.fields(), "connection").iter().any(|option| option == "traceparent");
    if let Some(theirs) = theirs.filter(|theirs| is_sound(theirs)) {
        assert_eq!(theirs == sent, !is_nominated, "{}", sent.escape_ascii());
    }
    theirs == Some(sent)
}

/// A `traceparent` of the first version.
fn is_sound(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value);
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str, length: usize| {
        part.len() == length && part.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
    };
    let some = |part: &str, length| hex(part, length) && part.contains(|c| c != '0');
    matches!(parts[..], ["00", trace, span, flags] if some(trace, 32) && some(span, 16) && hex(flags, 2))
}

fn check_response(request: &RequestHead, turn: &Turn, response: &ResponseHead, persists: bool) {
    let Answer { head: bytes, chunked, until_close, persists: lives } = turn.to_client(response, persists);
    let shown = bytes.escape_ascii();
    let limits = Limits { head: 1 << 20, target: 0, fields: 256 };
    let read = HeadReader::new(limits).response(&bytes, request.method() == "HEAD");
    let (again, used) =
        read.unwrap_or_else(|fault| unreachable!("{fault:?}: {shown}")).expect("a whole head");
    assert_eq!(used, bytes.len(), "something follows the head: {shown}");
    assert_eq!((again.status(), again.reason()), (response.status(), response.reason()));

    let is_old = request.version() == Version::Http10;
    let framing = match response.framing() {
        Framing::Chunked | Framing::UntilClose if is_old => Framing::UntilClose,
        Framing::Chunked | Framing::UntilClose => Framing::Chunked,
        known => known,
    };
    assert_eq!(again.framing(), framing, "{shown}");
    assert_eq!((chunked, until_close), (framing == Framing::Chunked, framing == Framing::UntilClose));
    assert_eq!(lives, persists && !until_close);
    assert_eq!(again.keep_alive(), lives, "{shown}");

    let mut fields = grouped(again.fields());
    let mut expected = end_to_end(response.fields(), &["content-length", "x-request-id"]);
    assert!(fields.contains_key("date"), "no date: {shown}");
    if !expected.contains_key("date") {
        fields.remove("date");
    }
    expected.entry("via".to_owned()).or_default().push(VIA.into());
    expected.insert("x-request-id".to_owned(), vec![turn.id().into()]);
    if chunked {
        expected.insert("transfer-encoding".to_owned(), vec![b"chunked".into()]);
    }
    let length = response.content_length().filter(|_| response.status() != 204);
    if fields.get("content-length").is_some_and(|lengths| lengths.len() == 1) && length.is_some() {
        // Perhaps with more zeros before it: the number counts.
        assert_eq!(again.content_length(), length);
        fields.remove("content-length");
    } else {
        assert_eq!(length, None, "the length is lost: {shown}");
    }
    let option = if !lives {
        Some("close")
    } else if is_old {
        Some("keep-alive")
    } else {
        None
    };
    if let Some(option) = option {
        expected.insert("connection".to_owned(), vec![option.into()]);
    }
    assert_eq!(fields, expected, "{shown}");
}

/// Of trailers only those go on that nobody takes for the gateway's word.
fn check_trailers(framing: Framing, data: &[u8]) {
    let Some(trailers) = trailers(framing, data) else { return };
    let bytes = last_chunk(&trailers);
    let mut reader = BodyReader::new(Framing::Chunked, 2 * TRAILER_LIMIT);
    let step = reader.next(&bytes).expect("what goes on can be read");
    assert_eq!(step.consumed, bytes.len(), "something follows the trailers");
    let Event::Done(sent) = step.event else { unreachable!("no end: {}", bytes.escape_ascii()) };
    let mut expected = grouped(trailers.fields());
    let own = ["via", "x-request-id", "traceparent", "expect"];
    expected.retain(|name, _| {
        !is_hop_by_hop(name) && !is_forwarded(name) && !is_shadow(name) && !own.contains(&name.as_str())
    });
    assert_eq!(sent.map(|sent| grouped(sent.fields())).unwrap_or_default(), expected);
}

/// The trailers of a chunked body that is all there.
fn trailers(framing: Framing, mut data: &[u8]) -> Option<Trailers> {
    if framing != Framing::Chunked {
        return None;
    }
    let mut body = BodyReader::new(framing, TRAILER_LIMIT);
    loop {
        let step = body.next(data).ok()?;
        data = &data[step.consumed..];
        match step.event {
            Event::Data(_) => {}
            Event::NeedMore => return None,
            Event::Done(trailers) => return trailers,
        }
    }
}

/// The fields that are meant for whoever gets the message in the end, but for these.
fn end_to_end(fields: FieldIter<'_>, but: &[&str]) -> Fields {
    let nominated = elements(fields.clone(), "connection");
    let mut kept = grouped(fields);
    kept.retain(|name, _| {
        let is_nominated = nominated.contains(name) && name != "close" && name != "keep-alive";
        !is_hop_by_hop(name) && !is_nominated && !but.contains(&name.as_str())
    });
    kept
}

fn grouped(fields: FieldIter<'_>) -> Fields {
    let mut grouped = Fields::new();
    for field in fields {
        grouped.entry(field.name.to_ascii_lowercase()).or_default().push(field.value.to_owned());
    }
    grouped
}

/// The elements of a list, in small letters.
fn elements(fields: FieldIter<'_>, name: &str) -> Vec<String> {
    let values = grouped(fields).remove(name).unwrap_or_default();
    let text =
        values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>().join(",");
    let trimmed = text.split(',').map(|element| element.trim_matches([' ', '\t']).to_ascii_lowercase());
    trimmed.filter(|element| !element.is_empty()).collect()
}

fn is_hop_by_hop(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    NAMES.contains(&name)
}

fn is_forwarded(name: &str) -> bool {
    name == "forwarded" || name.starts_with("x-forwarded-")
}

/// Whether an application that turns names into variables takes it for one of the gateway's fields.
fn is_shadow(name: &str) -> bool {
    const OWN: [&str; 6] = ["content-length", "expect", "host", "traceparent", "via", "x-request-id"];
    let plain = name.replace(['_', '.'], "-");
    plain != name && (is_hop_by_hop(&plain) || is_forwarded(&plain) || OWN.contains(&plain.as_str()))
}

/// `bytes` with the first `old` in them made `new`.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|window| window == old).expect("an empty host");
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}
