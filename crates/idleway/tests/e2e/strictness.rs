//! What could be read in two ways is not read at all.

use crate::harness::*;

/// Refused with this status; the connection ends, and what stands behind it is no request.
fn is_refused(bytes: &[u8], status: u16) {
    let backend = Backend::answering("smuggled");
    let gateway = gateway(&[&backend], "");
    let mut client = Client::asking(&gateway, [bytes, get("/smuggled").as_bytes()].concat());
    let shown = String::from_utf8_lossy(bytes);
    let answer = client.try_answer("GET").unwrap_or_else(|error| panic!("{shown:?}: {error}"));
    assert_eq!(answer.status(), status, "{shown:?}: {}", answer.text());
    assert_eq!(answer.field("Connection"), Some("close"), "{shown:?}");
    assert_eq!(answer.field("Content-Type"), Some("application/problem+json"), "{shown:?}");
    client.sees_fin();
    assert_eq!(backend.seen().heads.len(), 0, "{shown:?} reached a backend");
    assert_eq!(gateway.slots().idle, 1);
}

#[test]
fn a_head_that_could_be_read_in_two_ways_is_refused_and_reaches_no_backend() {
    let heads: [&[u8]; 27] = [
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nBad name: y\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET / x HTTP/1.1\r\nHost: a\r\n\r\n",
        b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    for head in heads {
        let status = match head {
            // A coding that exists nowhere is not implemented, as RFC 9112 section 6.1 has it.
            _ if head.windows(8).any(|window| window == b"xchunked") => 501,
            _ => 400,
        };
        is_refused(head, status);
    }
}

#[test]
fn what_the_gateway_does_not_speak_has_statuses_of_its_own() {
    is_refused(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405);
    is_refused(b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405);
    is_refused(b"GET / HTTP/2.1\r\nHost: a\r\n\r\n", 505);
    is_refused(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501);
    is_refused(b"GET / HTTP/1.1\r\nHost: a\r\nExpect: the unexpected\r\n\r\n", 417);
}

/// The head has been read, so the body's nonsense shows later; the request does not reach a backend all the
/// same, since a small body is read before a Slot is asked for.
#[test]
fn chunks_that_could_be_read_in_two_ways_are_refused_and_reach_no_backend() {
    let bodies: [&[u8]; 14] = [
        b"\r\n\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"0x1\r\na\r\n0\r\n\r\n",
        b"1 \r\na\r\n0\r\n\r\n",
        b" 1\r\na\r\n0\r\n\r\n",
        b"1\na\r\n0\r\n\r\n",
        b"1\r\na\n0\r\n\r\n",
        b"1\r\nab\r\n0\r\n\r\n",
        b"1;a=\x01\r\na\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\nHost: b\r\n folded\r\n\r\n",
    ];
    for body in bodies {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        is_refused(&[&head[..], body].concat(), 400);
    }
}

/// Nonsense behind what fits the buffer comes when the request is at work: the backend sees its end, not a
/// complete body.
#[test]
fn nonsense_deep_in_a_streamed_upload_is_never_a_complete_body_for_the_backend() {
    let backend = Backend::new(|visit| {
        let error = visit.body().expect_err("a complete body");
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
        visit.finish(CUT)
    });
    let gateway = gateway(&[&backend], "");
    let mut client = Client::asking(&gateway, head_of("POST", "/", "Transfer-Encoding: chunked\r\n"));
    client.send([b"40000\r\n", &[b'x'; 0x40000][..], b"\r\nnonsense\r\n"].concat());
    assert_eq!(client.answer().status(), 400);
    client.sees_fin();
    until_all_idle(&gateway, 1);
    assert_eq!(backend.seen().heads.len(), 1);
}

#[test]
fn one_empty_line_before_a_request_is_forgiven_and_a_second_is_not() {
    let backend = Backend::answering("body");
    let gateway = gateway(&[&backend], "");
    assert_eq!(ask(&gateway, format!("\r\n{}", get("/"))).text(), "body");
    is_refused(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
}
