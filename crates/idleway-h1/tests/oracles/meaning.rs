//! What heads say beyond what the comparisons show, and readers used for more than one message.

use std::time::Duration;

use idleway_h1::{BodyReader, Framing, HeadReader, Known, Limits, RefusalReason, RequestHead, ResponseHead};

use crate::ours::LIMITS;

#[test]
fn connection_names_fields_that_are_not_forwarded() {
    let head = request("Connection: close, X-Secret\r\nx-secret: 1\r\nConnection:keep-alive ,te\r\nX: 2\r\n");
    assert!(head.nominated("x-secret") && head.nominated("TE"));
    assert!(!head.nominated("X") && !head.nominated("X-Secret2") && !head.nominated(""));
    assert!(!request("Connection: close\r\n").nominated("close"));
    assert!(response("Connection: x-a\r\n").nominated("X-A"));
}

#[test]
fn fields_are_found_by_what_they_are() {
    let head = request("VIA: 1.1 a\r\nvia: 1.1 b\r\nX-Latin: \u{e9}\r\n");
    assert_eq!(head.get(Known::Via), Some(&b"1.1 a"[..]));
    assert_eq!(head.get(Known::Date), None);
    let names: Vec<(Known, &str)> = head.fields().map(|field| (field.known, field.name)).collect();
    let expected =
        [(Known::Host, "Host"), (Known::Via, "VIA"), (Known::Via, "via"), (Known::Other, "X-Latin")];
    assert_eq!(names, expected);
    assert_eq!(head.fields().len(), 4);
}

#[test]
fn a_head_that_is_not_utf8_keeps_its_bytes() {
    let bytes = b"GET http://b?c HTTP/1.1\r\nHost: a\r\nX: \xff\xe9 d\r\nY: e\r\n\r\n";
    let (head, _) = HeadReader::new(LIMITS).request(bytes).expect("valid").expect("whole");
    let fields: Vec<(&str, &[u8])> = head.fields().map(|field| (field.name, field.value)).collect();
    assert_eq!(fields, [("Host", &b"a"[..]), ("X", b"\xff\xe9 d"), ("Y", b"e")]);
    assert_eq!((head.path(), head.authority()), ("/?c", "b"));
}

#[test]
fn a_head_shows_no_values_in_its_debug_form() {
    // In whatever form a value were shown, another one would show.
    let [shown, other] =
        ["secret", "public"].map(|key| format!("{:?}", request(&format!("X-Key: {key}\r\n"))));
    assert!(shown.contains("X-Key"), "{shown}");
    assert_eq!(shown, other);
}

#[test]
fn keep_alive_timeouts_are_whole_seconds() {
    let timeout = |value: &str| response(&format!("Keep-Alive: {value}\r\n")).keep_alive_timeout();
    assert_eq!(timeout("timeout=5"), Some(Duration::from_secs(5)));
    assert_eq!(timeout("max=100, Timeout = 15"), Some(Duration::from_secs(15)));
    for odd in ["timeout", "timeout=", "timeout=-1", "timeout=+1", "timeout=1.5", "timeouts=5", "max=5", "5"]
    {
        assert_eq!(timeout(odd), None, "{odd}");
    }
    assert_eq!(response("").keep_alive_timeout(), None);
}

#[test]
fn the_length_of_a_body_that_does_not_come_is_known() {
    let mut reader = HeadReader::new(LIMITS);
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
    let (head, _) = reader.response(bytes, true).expect("valid").expect("whole");
    assert_eq!((head.framing(), head.content_length()), (Framing::Empty, Some(7)));
}

#[test]
fn one_reader_reads_the_heads_of_a_connection_one_after_the_other() {
    let mut reader = HeadReader::new(LIMITS);
    let bytes = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    let mut at = 0;
    let mut statuses = Vec::new();
    while let Some((head, used)) = reader.response(&bytes[at..], false).expect("valid") {
        statuses.push((head.status(), head.is_interim()));
        at += used;
    }
    assert_eq!((statuses, at), (vec![(103, true), (100, true), (200, false)], bytes.len()));
}

#[test]
fn what_is_left_of_a_body_is_known_where_it_can_be() {
    let mut body = BodyReader::new(Framing::Length(5), 0);
    assert_eq!(body.remaining(), Some(5));
    body.next(b"abc").expect("data");
    assert_eq!((body.remaining(), body.is_done()), (Some(2), false));
    let cut = body.clone().end_of_input().expect_err("two bytes are missing");
    assert_eq!((cut.reason, cut.offset), (RefusalReason::Truncated, 3));
    body.next(b"defgh").expect("data");
    assert_eq!((body.remaining(), body.is_done()), (Some(0), true));
    assert_eq!(BodyReader::new(Framing::Empty, 0).remaining(), Some(0));
    assert_eq!(BodyReader::new(Framing::Chunked, 0).remaining(), None);
    assert_eq!(BodyReader::new(Framing::UntilClose, 0).remaining(), None);
}

#[test]
fn chunks_end_without_trailers_whatever_the_limit() {
    let mut body = BodyReader::new(Framing::Chunked, 0);
    for byte in b"0\r\n\r\n" {
        assert_eq!(body.next(&[*byte]).expect("framing").consumed, 1);
    }
    assert!(body.is_done());
}

#[test]
fn limits_are_kept_within_what_can_be_held() {
    let limits = Limits { head: usize::MAX, target: usize::MAX, fields: usize::MAX };
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(idleway_h1::MAX_FIELDS));
    let refusal = HeadReader::new(limits).request(many.as_bytes()).expect_err("too many");
    assert_eq!(refusal.reason, RefusalReason::TooManyFields);
    let endless = vec![b'a'; idleway_h1::MAX_HEAD];
    let refusal = HeadReader::new(limits).request(&endless).expect_err("too large");
    assert_eq!(refusal.reason, RefusalReason::TargetTooLong);
}

fn request(fields: &str) -> RequestHead {
    let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    HeadReader::new(LIMITS).request(bytes.as_bytes()).expect("valid").expect("whole").0
}

fn response(fields: &str) -> ResponseHead {
    let bytes = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    HeadReader::new(LIMITS).response(bytes.as_bytes(), false).expect("valid").expect("whole").0
}
