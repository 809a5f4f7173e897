//! What is written is read again, and is one message whatever is put into it.

use idleway_h1::{
    CHUNK_SUFFIX, Field, HeadReader, HeadWriter, LAST_CHUNK, Limits, chunk_prefix, last_chunk_with,
    reason_phrase,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::message::{End, Kind, Message, Outcome, Start};
use crate::ours;
use crate::properties::config;

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn a_written_request_is_read_again(
        path in "/[a-z0-9/._~-]{0,20}(\\?[a-z=&]{0,9})?",
        fields in vec(("X-[A-Za-z0-9_-]{1,12}", "([!-~]{1,9}( [!-~\u{e9}]{1,9})?)?"), 0..8),
    ) {
        let mut out = Vec::new();
        let mut writer = HeadWriter::request(&mut out, "PUT", &path);
        writer.field("Host", "a").number("Content-Length", 0);
        for (name, value) in &fields {
            writer.field(name, value);
        }
        writer.end();
        let message = whole(Kind::Request, &out);
        let read: Vec<(String, Vec<u8>)> = message.fields[2..].to_vec();
        let written: Vec<(String, Vec<u8>)> =
            fields.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        assert_eq!(read, written);
        assert!(matches!(message.start, Start::Request { path: ref read, .. } if *read == path));
    }

    #[test]
    fn a_copied_field_is_written_as_if_anew(
        fields in vec((
            "X-[A-Za-z0-9_-]{1,12}",
            "[ \t]{0,2}",
            "([!-~]{1,9}( [!-~\u{e9}]{1,9})?)?",
            "[ \t]{0,2}",
        ), 0..8),
    ) {
        let mut text = "GET / HTTP/1.1\r\nHost: a\r\n".to_owned();
        for (name, before, value, after) in &fields {
            text += &format!("{name}:{before}{value}{after}\r\n");
        }
        text += "\r\n";
        let read = HeadReader::new(Limits::default()).request(text.as_bytes());
        let (head, _) = read.unwrap().expect("a whole head");
        let (mut copied, mut anew) = (Vec::new(), Vec::new());
        let mut copies = HeadWriter::request(&mut copied, "GET", "/");
        head.fields().for_each(|field| _ = copies.copy(&field));
        let mut writer = HeadWriter::request(&mut anew, "GET", "/");
        head.fields().for_each(|field| _ = writer.field(field.name, field.value));
        assert_eq!(copied.escape_ascii().to_string(), anew.escape_ascii().to_string());
    }

    #[test]
    fn no_value_splits_a_head(value in vec(any::<u8>(), 0..40), reason in "(\r\n|\n|a|\0){0,9}") {
        let mut out = Vec::new();
        let shown = String::from_utf8_lossy(&value);
        HeadWriter::response(&mut out, 200, &reason)
            .field("a", &value)
            .field_fmt("b", format_args!("{shown}"))
            .number("Content-Length", 0)
            .end();
        let line_ends = out.windows(2).filter(|pair| pair == b"\r\n").count();
        assert_eq!(line_ends, 5, "{}", out.escape_ascii());
        assert_eq!(out.iter().filter(|byte| matches!(byte, b'\r' | b'\n' | 0)).count(), 10);
    }

    #[test]
    fn written_chunks_are_read_again(chunks in vec(vec(any::<u8>(), 1..300), 0..6), trailer in "[a-z]{0,9}") {
        let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in &chunks {
            out.extend_from_slice(chunk_prefix(chunk.len()).as_ref());
            out.extend_from_slice(chunk);
            out.extend_from_slice(CHUNK_SUFFIX);
        }
        let value = trailer.as_bytes();
        if trailer.is_empty() {
            out.extend_from_slice(LAST_CHUNK);
        } else {
            last_chunk_with(&mut out, [Field::new("X-Sum", value)]);
        }
        let message = whole(Kind::Response, &out);
        assert_eq!(message.body, chunks.concat());
        let expected = (!trailer.is_empty()).then(|| ("X-Sum".to_owned(), value.to_owned()));
        assert_eq!(message.trailers, Vec::from_iter(expected));
    }
}

#[test]
fn chunk_sizes_are_hexadecimal() {
    for (length, line) in [(1, "1\r\n"), (15, "f\r\n"), (16, "10\r\n"), (0xabc0, "abc0\r\n")] {
        assert_eq!(chunk_prefix(length).as_ref(), line.as_bytes());
    }
    assert_eq!(chunk_prefix(usize::MAX).as_ref(), format!("{:x}\r\n", usize::MAX).as_bytes());
}

#[test]
fn numbers_are_decimal() {
    for number in [0, 9, 10, 1234567890, u64::MAX] {
        let mut out = Vec::new();
        HeadWriter::response(&mut out, 204, reason_phrase(204)).number("N", number).end();
        let expected = format!("HTTP/1.1 204 No Content\r\nN: {number}\r\n\r\n");
        assert_eq!(out, expected.as_bytes());
    }
}

/// The one message that `bytes` is, whole and with nothing behind it.
fn whole(kind: Kind, bytes: &[u8]) -> Box<Message> {
    let outcome = ours::read(kind, bytes, &[]);
    let Outcome::Read(message) = outcome else {
        unreachable!("{outcome:?}: {}", bytes.escape_ascii());
    };
    assert_eq!((message.end, message.length), (End::Complete, bytes.len()), "{}", bytes.escape_ascii());
    message
}
