//! The corpus: named messages, most of them hostile, and what becomes of each.

use std::collections::HashSet;

use idleway_h1::RefusalReason;

use crate::message::{Kind, Outcome};
use crate::{compare, ours};

const FILES: [(&str, &str); 3] = [
    ("requests.txt", include_str!("../corpus/requests.txt")),
    ("responses.txt", include_str!("../corpus/responses.txt")),
    ("chunks.txt", include_str!("../corpus/chunks.txt")),
];

/// One entry of the corpus; the files say how they are written.
pub(crate) struct Case {
    /// File and name.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) bytes: Vec<u8>,
    expected: String,
}

#[test]
fn every_message_becomes_what_is_documented() {
    let mut wrong = Vec::new();
    for case in cases() {
        let outcome = format!("{:?}", ours::read(case.kind, &case.bytes, &[]));
        if outcome != case.expected {
            wrong.push(format!("{}\n  documented: {}\n  is:         {outcome}", case.name, case.expected));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_naive_reader_reads_every_message_the_same() {
    for case in cases() {
        compare::assert_same_as_reference(case.kind, &case.bytes);
    }
}

#[test]
fn pieces_change_nothing() {
    // Longer ones cost a second each and differ only in their length.
    for case in cases().filter(|case| case.bytes.len() < 2000) {
        compare::assert_pieces_change_nothing(case.kind, &case.bytes);
    }
}

#[test]
fn every_reason_is_in_the_corpus() {
    let reasons: HashSet<RefusalReason> = cases()
        .filter_map(|case| match ours::read(case.kind, &case.bytes, &[]) {
            Outcome::Refused(refusal) => Some(refusal.reason),
            _ => None,
        })
        .collect();
    for reason in RefusalReason::ALL {
        // It shows at the end of input, which the corpus writes as an end of its own.
        assert!(reasons.contains(reason) || *reason == RefusalReason::Truncated, "{reason:?}");
    }
}

pub(crate) fn cases() -> impl Iterator<Item = Case> {
    FILES.into_iter().flat_map(|(file, text)| {
        text.split("\n## ").skip(1).map(move |entry| {
            let (name, rest) = entry.split_once('\n').expect("a name");
            parse(&format!("{file}: {name}"), rest)
        })
    })
}

fn parse(name: &str, entry: &str) -> Case {
    let mut case =
        Case { name: name.to_owned(), kind: Kind::Request, bytes: Vec::new(), expected: String::new() };
    for line in entry.lines() {
        if let Some(text) = line.strip_prefix("| ") {
            push_unescaped(text, &mut case.bytes);
        } else if let Some(expected) = line.strip_prefix("=> ") {
            case.expected = expected.to_owned();
        } else {
            case.kind = match line {
                "request" => Kind::Request,
                "response" => Kind::Response,
                "response to HEAD" => Kind::ResponseToHead,
                _ => {
                    assert!(line.is_empty() || line.starts_with('#'), "{name}: {line}");
                    continue;
                }
            };
        }
    }
    assert!(!case.bytes.is_empty() && !case.expected.is_empty(), "{name} is incomplete");
    case
}

fn push_unescaped(text: &str, bytes: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let mut used = first.len_utf8();
        let repeated = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        if let Some((part, count)) = repeated.and_then(|(inner, _)| inner.rsplit_once('*')) {
            let start = bytes.len();
            push_unescaped(part, bytes);
            let part = bytes.split_off(start);
            bytes.extend(part.repeat(count.parse().expect("a count")));
            used += rest.find('}').expect("its end");
        } else if first == '\\' {
            used = 2;
            match &rest[1..2] {
                "r" => bytes.push(b'\r'),
                "n" => bytes.push(b'\n'),
                "t" => bytes.push(b'\t'),
                "0" => bytes.push(0),
                "\\" => bytes.push(b'\\'),
                "x" => {
                    bytes.push(u8::from_str_radix(&rest[2..4], 16).expect("two digits"));
                    used = 4;
                }
                other => unreachable!("unknown escape {other} in {text}"),
            }
        } else {
            bytes.extend_from_slice(&rest.as_bytes()[..used]);
        }
        rest = &rest[used..];
    }
}
