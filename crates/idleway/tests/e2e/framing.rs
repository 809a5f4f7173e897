//! Bodies in every framing, both ways, to both versions of clients: the same bytes, and a connection that is
//! kept exactly where it can be.

use std::fmt::Write as _;

use crate::harness::*;

/// How a request's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Nothing,
    Length,
    Chunked,
}

/// How the backend frames its answer; the first letters of the path tell it.
const ANSWERS: [&str; 6] = ["length", "chunked", "close", "empty", "none", "unchanged"];

/// Answers `/FRAMING` with what it was sent, or with "nothing sent".
fn echo(visit: &mut Visit<'_>) -> std::io::Result<()> {
    let sent = visit.body()?;
    let content = if sent.is_empty() { "nothing sent".to_owned() } else { String::from_utf8(sent).unwrap() };
    let (path, is_head) = (visit.path().to_owned(), visit.method() == "HEAD");
    let length = content.len();
    let (head, body) = match path.trim_start_matches('/') {
        "length" => (format!("200 OK\r\nContent-Length: {length}\r\n"), content),
        "chunked" => {
            let (first, second) = content.split_at(length / 2);
            let body = format!(
                "{:x};extension=1\r\n{first}\r\n{:X}\r\n{second}\r\n000\r\n\r\n",
                first.len(),
                second.len()
            );
            ("200 OK\r\nTransfer-Encoding: Chunked\r\n".to_owned(), body)
        }
        "close" => ("200 OK\r\n".to_owned(), content),
        "empty" => ("200 OK\r\nContent-Length: 0\r\n".to_owned(), String::new()),
        "none" => ("204 No Content\r\n".to_owned(), String::new()),
        "unchanged" => (format!("304 Not Modified\r\nContent-Length: {length}\r\n"), String::new()),
        path => panic!("{path}"),
    };
    let body = if is_head { String::new() } else { body };
    visit.finish(format!("HTTP/1.1 {head}Method: {}\r\n\r\n{body}", visit.method().to_owned()))?;
    // "close" to a HEAD: nothing of it says that the connection ends.
    if path == "/close" && !is_head { visit.close() } else { Ok(()) }
}

fn request(method: &str, path: &str, version: &str, sent: Sent, content: &str) -> String {
    let mut text = format!("{method} /{path} {version}\r\nHost: test\r\n");
    if version == "HTTP/1.0" {
        text += "Connection: keep-alive\r\n";
    }
    match sent {
        Sent::Nothing => text += "\r\n",
        Sent::Length => write!(text, "Content-Length: {}\r\n\r\n{content}", content.len()).unwrap(),
        Sent::Chunked => {
            let (first, second) = content.split_at(3);
            text += "Transfer-Encoding: chunked\r\n\r\n";
            write!(text, "3\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", second.len()).unwrap();
        }
    }
    text
}

#[test]
fn every_framing_comes_through_with_its_bytes_and_keeps_the_connections_it_can() {
    let backend = Backend::new(echo);
    let gateway = gateway(&[&backend], "");
    let mut number = 0;
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let mut kept: Option<Client> = None;
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
            for sent in [Sent::Nothing, Sent::Length, Sent::Chunked] {
                if version == "HTTP/1.0" && sent == Sent::Chunked {
                    continue;
                }
                for path in ANSWERS {
                    let what = format!("{method} /{path} {version} with {sent:?}");
                    number += 1;
                    let content = format!("content {number}");
                    let mut client = kept.take().unwrap_or_else(|| Client::of(&gateway));
                    client.send(request(method, path, version, sent, &content));
                    let answer = client.try_answer(method).unwrap_or_else(|error| panic!("{what}: {error}"));
                    let expected = if sent == Sent::Nothing { "nothing sent" } else { &content };
                    let ends = check(&what, method, path, version, expected, &answer);
                    if ends {
                        client.sees_fin();
                    } else {
                        kept = Some(client);
                    }
                    until_all_idle(&gateway, 1);
                }
            }
        }
        let mut kept = kept.unwrap();
        kept.half_close();
        kept.sees_fin();
    }
}

/// Checks one answer; tells whether the connection has to end after it.
fn check(what: &str, method: &str, path: &str, version: &str, expected: &str, answer: &Response) -> bool {
    let status = match path {
        "none" => 204,
        "unchanged" => 304,
        _ => 200,
    };
    assert_eq!(answer.status(), status, "{what}");
    assert_eq!(answer.field("Method"), Some(method), "{what}");
    let expected = match path {
        _ if method == "HEAD" => "",
        "length" | "chunked" | "close" => expected,
        _ => "",
    };
    assert_eq!(answer.text(), expected, "{what}");
    let chunked = answer.head.is_chunked();
    assert!(!(chunked && version == "HTTP/1.0"), "{what}: chunks for HTTP/1.0");
    if path == "none" {
        assert_eq!(answer.field("Content-Length"), None, "{what}: RFC 9110 section 8.6 forbids it");
    }
    if (path, method) == ("length", "HEAD") || path == "unchanged" {
        assert!(answer.head.length().is_some_and(|length| length > 0), "{what}: {:?}", answer.head);
    }
    let ends = version == "HTTP/1.0" && method != "HEAD" && matches!(path, "chunked" | "close");
    let connection = match (ends, version) {
        (true, _) => Some("close"),
        (false, "HTTP/1.0") => Some("keep-alive"),
        (false, _) => None,
    };
    assert_eq!(answer.field("Connection"), connection, "{what}");
    ends
}

#[test]
fn an_http_10_client_that_does_not_ask_for_it_is_not_kept() {
    let backend = Backend::answering("body");
    let gateway = gateway(&[&backend], "");
    let mut client = Client::asking(&gateway, "GET / HTTP/1.0\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.text(), answer.field("Connection")), ("body", Some("close")));
    client.sees_fin();
}

#[test]
fn connection_close_from_the_client_ends_the_connection_after_the_answer() {
    let backend = Backend::answering("body");
    let gateway = gateway(&[&backend], "");
    let mut client = Client::asking(&gateway, head_of("GET", "/", "Connection: close\r\n"));
    let answer = client.answer();
    assert_eq!((answer.text(), answer.field("Connection")), ("body", Some("close")));
    client.sees_fin();
}

#[test]
fn two_requests_in_one_write_get_two_answers_in_their_order() {
    let backend = Backend::new(echo);
    let gateway = gateway(&[&backend], "");
    let both = [
        request("POST", "length", "HTTP/1.1", Sent::Chunked, "the first"),
        request("POST", "chunked", "HTTP/1.1", Sent::Length, "the second"),
        request("GET", "none", "HTTP/1.1", Sent::Nothing, ""),
        request("POST", "length", "HTTP/1.1", Sent::Length, "the fourth"),
    ];
    let mut client = Client::asking(&gateway, both.concat());
    assert_eq!(client.answer().text(), "the first");
    assert_eq!(client.answer().text(), "the second");
    assert_eq!(client.answer().status(), 204);
    assert_eq!(client.answer().text(), "the fourth");
    assert_eq!(backend.seen().peak, 1);
}

#[test]
fn what_stands_behind_a_last_request_is_no_request() {
    let backend = Backend::new(echo);
    let gateway = gateway(&[&backend], "");
    let last = head_of("GET", "/length", "Connection: close\r\n");
    let mut client = Client::asking(&gateway, last + &get("/chunked"));
    assert_eq!(client.answer().text(), "nothing sent");
    client.sees_fin();
    assert_eq!(backend.paths(), ["/length"]);
}

#[test]
fn a_thousand_chunks_of_one_byte_come_through_both_ways() {
    let content: String = ('a'..='z').cycle().take(1000).collect();
    let chunks: String = content.chars().map(|letter| format!("1\r\n{letter}\r\n")).collect();
    let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    let expected = content.clone();
    let backend = Backend::new(move |visit| {
        assert_eq!(visit.body()?, expected.as_bytes());
        visit.finish(&answer)
    });
    let gateway = gateway(&[&backend], "");
    let mut client = Client::of(&gateway);
    for _ in 0..3 {
        client.send(head_of("POST", "/", "Transfer-Encoding: chunked\r\n") + &chunks + "0\r\n\r\n");
        assert_eq!(client.answer().text(), content);
    }
    assert_eq!(backend.seen().accepted, 1);
}

#[test]
fn a_request_cut_at_every_byte_is_the_same_request() {
    let backend = Backend::new(echo);
    let gateway = gateway(&[&backend], "");
    let bytes = request("POST", "chunked", "HTTP/1.1", Sent::Chunked, "content").into_bytes();
    let mut client = Client::of(&gateway);
    for cut in 1..bytes.len() {
        client.send(&bytes[..cut]);
        client.send(&bytes[cut..]);
        assert_eq!(client.answer().text(), "content", "cut at {cut}");
    }
}

#[test]
fn trailers_come_through_both_ways_to_whoever_wants_them() {
    let backend = Backend::new(|visit| {
        let head = visit.head.clone();
        let (body, trailers) = visit.wire.body(&head)?;
        assert_eq!(body, b"hello");
        assert_eq!(trailers.one("Checksum"), Some("of the request"));
        visit.finish(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nChecksum: of the answer\r\n\r\n",
        )
    });
    let gateway = gateway(&[&backend], "");
    let body = "5\r\nhello\r\n0\r\nChecksum: of the request\r\n\r\n";
    for wanted in [true, false] {
        let te = if wanted { "TE: trailers\r\nConnection: TE\r\n" } else { "" };
        let head = head_of("POST", "/", &format!("{te}Transfer-Encoding: chunked\r\n"));
        let answer = ask(&gateway, head + body);
        assert_eq!(answer.text(), "ok");
        assert_eq!(answer.trailers.one("Checksum"), wanted.then_some("of the answer"));
    }
}

#[test]
fn an_answer_that_comes_byte_by_byte_is_the_same_answer() {
    let backend = Backend::new(|visit| {
        let answer =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
        for byte in &answer[..answer.len() - 1] {
            visit.write([*byte])?;
        }
        visit.finish([answer[answer.len() - 1]])
    });
    let gateway = gateway(&[&backend], "");
    let mut client = Client::of(&gateway);
    for _ in 0..3 {
        client.send(get("/"));
        assert_eq!(client.answer().text(), "abcdefg");
    }
}

#[test]
fn an_answer_before_the_upload_has_ended_is_relayed_and_both_connections_close() {
    let backend = Backend::new(|visit| {
        if visit.method() == "GET" {
            return visit.answer("next");
        }
        visit.finish("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    });
    let gateway = gateway(&[&backend], "");
    let head = head_of("POST", "/", &format!("Content-Length: {}\r\n", 10 << 20));
    let mut client = Client::asking(&gateway, head);
    client.send(vec![b'x'; 128 * 1024]);
    let answer = client.answer();
    assert_eq!((answer.status(), answer.text()), (403, "no"));
    client.sees_fin();
    assert_eq!(ask(&gateway, get("/")).text(), "next");
    assert_eq!(backend.seen().accepted, 2, "the connection with half an upload on it was used again");
}
