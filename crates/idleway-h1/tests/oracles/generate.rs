//! Messages for the comparisons: mostly right, with a liking for what has been got wrong, then spoilt a little.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::message::Kind;

/// A message of any kind with what might follow it, after up to three spoilings.
pub(crate) fn message() -> impl Strategy<Value = (Kind, Vec<u8>)> {
    let kind = select(vec![Kind::Request, Kind::Request, Kind::Response, Kind::ResponseToHead]);
    kind.prop_flat_map(|kind| {
        let start = if kind == Kind::Request { request_line().boxed() } else { status_line().boxed() };
        let lines = vec(prop_oneof![12 => select(HARMLESS), 1 => select(FRAMING), 1 => select(ODD)], 0..5);
        let host = prop_oneof![9 => Just("Host: a.example:8000\r\n"), 1 => Just("")];
        (Just(kind), start, host, lines, body(), spoilings())
    })
    .prop_map(|(kind, start, host, lines, (framing, body), spoilings)| {
        let head = [start, host.to_owned(), lines.concat(), framing, "\r\n".to_owned()].concat();
        let mut bytes = [head.into_bytes(), body].concat();
        for spoiling in spoilings {
            spoiling.apply(&mut bytes);
        }
        (kind, bytes)
    })
}

/// Chunks that are spoilt in no more than one place: the framing that has no head before it.
pub(crate) fn chunked_body() -> impl Strategy<Value = Vec<u8>> {
    (chunks(), vec(spoiling(), 0..=1)).prop_map(|(mut bytes, spoilings)| {
        for spoiling in spoilings {
            spoiling.apply(&mut bytes);
        }
        bytes
    })
}

fn request_line() -> impl Strategy<Value = String> {
    let method = prop_oneof![14 => select(vec!["GET", "POST", "OPTIONS", "HEAD"]),
        1 => select(vec!["CONNECT", "trace", "M-SEARCH", "get", "a|b"])];
    let target = prop_oneof![6 => select(TARGETS), 1 => select(ODD_TARGETS)];
    let version = prop_oneof![14 => Just("HTTP/1.1"), 2 => Just("HTTP/1.0"),
        1 => select(vec!["HTTP/2.0", "HTTP/1.2", "http/1.1", "HTTP/1.10", "HTTP/1", ""])];
    (method, target, version).prop_map(|(method, target, version)| format!("{method} {target} {version}\r\n"))
}

fn status_line() -> impl Strategy<Value = String> {
    let version = prop_oneof![14 => Just("HTTP/1.1"), 2 => Just("HTTP/1.0"), 1 => Just("HTTP/1.2")];
    let status = prop_oneof![9 => select(vec!["200", "204", "304", "404", "599"]),
        2 => select(vec!["100", "101", "103", "099", "600", "999", "20", "2000", "+20"])];
    let reason = select(vec![" OK", " ", "", " Not  Found", " \u{e9}t\u{e9}", " a\tb"]);
    (version, status, reason).prop_map(|(version, status, reason)| format!("{version} {status}{reason}\r\n"))
}

const TARGETS: &[&str] = &[
    "/",
    "/a/b%20c?d=e&f",
    "/?q={\"a\":[1|2]}^`\\<>%",
    "*",
    "http://b.example/c",
    "HTTPS://b.example:8443?d",
    "http://[::1]:80",
];

const ODD_TARGETS: &[&str] = &[
    "",
    "a",
    "a:443",
    "/#f",
    "/\\",
    "/%",
    "/%0",
    "/%00",
    "/%gg",
    "/\u{e9}",
    "//",
    "http:///a",
    "http://u@b/",
    "http://b:x/",
    "http://[::1",
    "ftp://b/",
    "http:/b/",
    "/ b",
    "http://",
    "http://b#f",
    "/\"<>",
    "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

const HARMLESS: &[&str] = &[
    "Accept: */*\r\n",
    "X-Empty:\r\n",
    "X-Space: \t a  b \t\r\n",
    "x-latin: \u{e9}\r\n",
    "Connection: close\r\n",
    "Connection: Keep-Alive, X-Empty,, upgrade\r\n",
    "Expect: 100-Continue\r\n",
    "Keep-Alive: timeout=5, max=9\r\n",
    "!#$%&'*+-.^_`|~09AZaz: token\r\n",
];

const FRAMING: &[&str] = &[
    "Content-Length: 5\r\n",
    "content-length:0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "transfer-encoding:  CHUNKED\r\n",
];

const ODD: &[&str] = &[
    "Content-Length: 1, 1\r\n",
    "Content-Length: +1\r\n",
    "Content-Length: 1x\r\n",
    "Content-Length: 0x1\r\n",
    "Content-Length:\r\n",
    "Content-Length: 00000000000000000000000000000000005\r\n",
    "Content-Length: 9223372036854775807\r\n",
    "Content-Length: 9223372036854775808\r\n",
    "Content-Length: 18446744073709551621\r\n",
    "Content-Length : 5\r\n",
    "Content_Length: 5\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked, chunked\r\n",
    "Transfer-Encoding: chunked;q=1\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding: \"chunked\"\r\n",
    "Transfer-Encoding:\r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding: ,chunked\r\n",
    "Transfer-Encoding\r\n",
    "Host:\r\n",
    "Host: b\r\n",
    "Expect: 200-ok\r\n",
    "Expect:\r\n",
    "Connection: \"close\", close\r\n",
    " folded: line\r\n",
    "\tfolded\r\n",
    ": no name\r\n",
    "a b: c\r\n",
    "a@b: c\r\n",
    "\u{e9}: c\r\n",
    "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
];

/// The fields that announce a body, and bytes.
fn body() -> impl Strategy<Value = (String, Vec<u8>)> {
    let plain = vec(any::<u8>(), 0..12);
    let length =
        (plain.clone(), select(vec![0, 0, 0, 1, 9]), select(NEXT)).prop_map(|(body, missing, next)| {
            let length = format!("Content-Length: {}\r\n", body.len() + missing);
            (length, [&*body, next.as_bytes()].concat())
        });
    let chunked = chunks().prop_map(|body| ("Transfer-Encoding: chunked\r\n".to_owned(), body));
    prop_oneof![2 => plain.prop_map(|body| (String::new(), body)), 2 => length, 3 => chunked]
}

fn chunks() -> impl Strategy<Value = Vec<u8>> {
    let extension = prop_oneof![8 => Just(""),
        1 => select(vec![";a", ";a=b;c=\"d\"", " ;a", " \t", ";\u{e9}", ";", " a", ";a\u{1}", "; \t"])];
    let zeros = prop_oneof![4 => Just(""), 1 => Just("000"), 1 => Just("00000000000000")];
    let chunk = (vec(any::<u8>(), 1..40), zeros, extension, any::<bool>());
    let trailers = prop_oneof![3 => Just(Vec::new()),
        1 => vec(prop_oneof![3 => select(HARMLESS), 1 => select(ODD)], 0..3)];
    let last = select(vec!["0", "0", "00", "000000000000000", "0000000000000000", "", "-0", "0x0"]);
    (vec(chunk, 0..4), last, trailers, select(NEXT)).prop_map(|(chunks, last, trailers, next)| {
        let mut bytes = Vec::new();
        for (data, zeros, extension, capital) in chunks {
            let size = if capital { format!("{:X}", data.len()) } else { format!("{:x}", data.len()) };
            bytes.extend_from_slice(format!("{zeros}{size}{extension}\r\n").as_bytes());
            bytes.extend_from_slice(&data);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("{last}\r\n{}\r\n{next}", trailers.concat()).as_bytes());
        bytes
    })
}

/// What follows a message on its connection.
const NEXT: &[&str] = &["", "", "\r\n", "GET / HTTP/1.1\r\n", "0\r\n\r\n"];

/// A change of a few bytes somewhere; places are counted round.
#[derive(Clone, Debug)]
enum Spoiling {
    Insert(usize, &'static str),
    Replace(usize, u8),
    Remove(usize, usize),
    RepeatLine(usize),
    CutOff(usize),
}

fn spoilings() -> impl Strategy<Value = Vec<Spoiling>> {
    prop_oneof![2 => Just(Vec::new()), 2 => vec(spoiling(), 1), 1 => vec(spoiling(), 2..4)]
}

fn spoiling() -> impl Strategy<Value = Spoiling> {
    let place = 0_usize..600;
    let byte = prop_oneof![2 => select(b"\r\n\t \0:;,0+\x7f\x0b\x80".to_vec()), 1 => any::<u8>()];
    prop_oneof![
        3 => (place.clone(), select(SNIPPETS)).prop_map(|(at, text)| Spoiling::Insert(at, text)),
        2 => (place.clone(), byte).prop_map(|(at, byte)| Spoiling::Replace(at, byte)),
        2 => (place.clone(), 1_usize..4).prop_map(|(at, length)| Spoiling::Remove(at, length)),
        1 => place.clone().prop_map(Spoiling::RepeatLine),
        1 => place.prop_map(Spoiling::CutOff),
    ]
}

const SNIPPETS: &[&str] = &[
    "\r", "\n", "\r\n", "\n\n", "\r\n\r\n", "\r\r\n", " ", "\t", "\0", ":", ",", "\r\n ", "0", "chunked",
    "\u{7f}",
];

impl Spoiling {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        if length == 0 {
            return;
        }
        match *self {
            Self::Insert(at, text) => {
                bytes.splice(at % length..at % length, text.bytes());
            }
            Self::Replace(at, byte) => bytes[at % length] = byte,
            Self::Remove(at, count) => {
                bytes.drain(at % length..length.min(at % length + count));
            }
            Self::RepeatLine(at) => {
                let start = bytes[..at % length].iter().rposition(|b| *b == b'\n').map_or(0, |lf| lf + 1);
                let end = bytes[start..].iter().position(|b| *b == b'\n').map_or(length, |lf| start + lf + 1);
                let line = bytes[start..end].to_vec();
                bytes.splice(end..end, line);
            }
            Self::CutOff(at) => bytes.truncate(at % length),
        }
    }
}
