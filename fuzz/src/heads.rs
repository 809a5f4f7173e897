//! Heads, and the body behind them.

use std::collections::HashMap;

use idleway_h1::{
    Field, FieldIter, Framing, HeadReader, HeadWriter, Known, Limits, RequestHead, ResponseHead, Version,
};

use crate::message::Kind;
use crate::ours::LIMITS;
use crate::{compare, cuts, ours};

pub(crate) fn check(data: &[u8]) {
    for kind in [Kind::Request, Kind::Response, Kind::ResponseToHead] {
        compare::assert_same_as_reference(kind, data);
        let whole = ours::read(kind, data, &[]);
        for cuts in [cuts::few(data), cuts::all(data)] {
            assert_eq!(ours::read(kind, data, &cuts), whole, "cut at {cuts:?}");
        }
        if data.len() < 50 {
            compare::assert_pieces_change_nothing(kind, data);
        }
    }
    if let Ok(Some((head, used))) = HeadReader::new(LIMITS).request(data) {
        check_lines(&data[..used]);
        check_request(&head);
    }
    for to_head_method in [false, true] {
        if let Ok(Some((head, used))) = HeadReader::new(LIMITS).response(data, to_head_method) {
            check_lines(&data[..used]);
            check_response(&head, to_head_method);
        }
    }
}

/// A head that was accepted ends with its first empty line, and no program finds another line end in it.
fn check_lines(head: &[u8]) {
    assert!(head.len() <= LIMITS.head && head.ends_with(b"\r\n\r\n"));
    let start = if head.starts_with(b"\r\n") { 2 } else { 0 };
    let ends = head[start..].windows(4).filter(|end| *end == b"\r\n\r\n").count();
    assert_eq!(ends, 1, "an empty line inside a head");
    let pairs = head.windows(2).filter(|pair| *pair == b"\r\n").count();
    for byte in *b"\r\n" {
        assert_eq!(head.iter().filter(|found| **found == byte).count(), pairs, "a bare {byte:#x}");
    }
    assert!(!head.contains(&0), "a NUL");
}

fn check_request(head: &RequestHead) {
    let names = names(head.fields());
    check_framing(&names, head.framing(), head.version());
    assert!(names.get("host").is_none_or(|count| *count == 1), "several hosts");
    assert!(names.contains_key("host") || head.version() == Version::Http10, "no host");
    assert_ne!(head.framing(), Framing::UntilClose);
    assert!(!["CONNECT", "TRACE"].contains(&head.method().to_ascii_uppercase().as_str()));
    assert!(head.path().starts_with('/') || (head.path() == "*" && head.method() == "OPTIONS"));
    assert!(head.path().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));

    let bytes = written(head);
    let (again, used) = read_again()
        .request(&bytes)
        .expect("what was read is written so that it can be read")
        .expect("a whole head");
    assert_eq!(used, bytes.len());
    assert_eq!((again.method(), again.path(), again.target()), (head.method(), head.path(), head.path()));
    assert_eq!(again.framing(), head.framing());
    let fields = head.fields().map(pair);
    // An HTTP/1.0 request may lack a host, which no other may.
    assert!(again.fields().map(pair).take(head.fields().len()).eq(fields));
    if !head.target().contains("://") && names.contains_key("host") {
        assert_eq!(again.authority(), head.authority());
    }
    if head.version() == Version::Http11 {
        assert_eq!(again.keep_alive(), head.keep_alive());
        assert_eq!(again.expects_continue(), head.expects_continue());
    }
    for name in head.fields().map(|field| field.name) {
        assert_eq!(again.nominated(name), head.nominated(name), "{name}");
    }
    assert_eq!(written(&again), bytes);
}

fn check_response(head: &ResponseHead, to_head_method: bool) {
    let names = names(head.fields());
    assert!((100..=599).contains(&head.status()));
    let is_empty = to_head_method || head.is_interim() || matches!(head.status(), 204 | 304);
    assert_eq!(head.framing() == Framing::Empty, is_empty);
    if !is_empty {
        check_framing(&names, head.framing(), head.version());
    }
    assert!(!(head.keep_alive() && head.framing() == Framing::UntilClose));

    let mut bytes = Vec::new();
    let mut writer = HeadWriter::response(&mut bytes, head.status(), head.reason());
    head.fields().for_each(|field| _ = writer.copy(&field));
    writer.end();
    let (again, used) = read_again()
        .response(&bytes, to_head_method)
        .expect("what was read is written so that it can be read")
        .expect("a whole head");
    assert_eq!(used, bytes.len());
    assert_eq!((again.status(), again.reason()), (head.status(), head.reason()));
    assert_eq!((again.framing(), again.content_length()), (head.framing(), head.content_length()));
    assert_eq!(again.keep_alive_timeout(), head.keep_alive_timeout());
    assert!(again.fields().map(pair).eq(head.fields().map(pair)));
    if head.version() == Version::Http11 {
        assert_eq!(again.keep_alive(), head.keep_alive());
    }
}

/// The fields' names in small letters and how often they occur; each field is whole.
fn names(fields: FieldIter<'_>) -> HashMap<String, u32> {
    let mut names = HashMap::new();
    for field in fields {
        assert!(!field.name.is_empty() && !field.name.contains([' ', ':', '\t']), "{:?}", field.name);
        assert!(!field.value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{:?}", field.value);
        assert_eq!(field.known, Known::of(field.name));
        *names.entry(field.name.to_ascii_lowercase()).or_default() += 1;
    }
    names
}

/// One framing, and the one that the fields say.
fn check_framing(names: &HashMap<String, u32>, framing: Framing, version: Version) {
    let count = |name: &str| names.get(name).copied().unwrap_or(0);
    let expected = match framing {
        Framing::Empty | Framing::UntilClose => (0, 0),
        Framing::Length(_) => (1, 0),
        Framing::Chunked => (0, 1),
    };
    assert_eq!((count("content-length"), count("transfer-encoding")), expected);
    assert!(!(framing == Framing::Chunked && version == Version::Http10));
}

fn written(head: &RequestHead) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = HeadWriter::request(&mut bytes, head.method(), head.path());
    head.fields().for_each(|field| _ = writer.copy(&field));
    if head.get(Known::Host).is_none() {
        writer.field("Host", "a");
    }
    writer.end();
    bytes
}

/// Room for the space that writing adds.
fn read_again() -> HeadReader {
    HeadReader::new(Limits { head: 4 * LIMITS.head, target: 2 * LIMITS.target, fields: LIMITS.fields + 1 })
}

fn pair(field: Field<'_>) -> (String, Vec<u8>) {
    (field.name.to_owned(), field.value.to_owned())
}
