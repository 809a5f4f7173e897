//! Chunked bodies, and what follows them on their connection.

use idleway_h1::{BodyReader, CHUNK_SUFFIX, Event, Field, Framing, Refusal, chunk_prefix, last_chunk_with};

use crate::message::Kind;
use crate::ours::TRAILER_LIMIT;
use crate::{compare, cuts};

pub(crate) fn check(data: &[u8]) {
    for (kind, head) in [
        (Kind::Request, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (Kind::Response, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ] {
        let bytes = [head.as_bytes(), data].concat();
        compare::assert_same_as_reference(kind, &bytes);
        if data.len() < 50 {
            compare::assert_pieces_change_nothing(kind, &bytes);
        }
    }
    let whole = read(Framing::Chunked, data, &[], TRAILER_LIMIT);
    for cuts in [cuts::few(data), cuts::all(data)] {
        assert_eq!(read(Framing::Chunked, data, &cuts, TRAILER_LIMIT), whole, "cut at {cuts:?}");
    }
    if whole.end == End::Complete {
        check_written(&whole);
    }
    check_length(data);
}

/// What was read of a body.
#[derive(PartialEq, Debug)]
struct Body {
    content: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
    end: End,
    /// What follows the body.
    left: Vec<u8>,
}

#[derive(PartialEq, Debug)]
enum End {
    Complete,
    /// There is more to come.
    Open,
    Refused(Refusal),
}

/// Reads a body that arrives cut at these places, keeping what a call did not consume for the next.
fn read(framing: Framing, data: &[u8], cuts: &[usize], trailer_limit: usize) -> Body {
    let mut reader = BodyReader::new(framing, trailer_limit);
    let mut body = Body { content: Vec::new(), trailers: Vec::new(), end: End::Open, left: Vec::new() };
    let mut start = 0;
    for &end in cuts.iter().chain([&data.len()]) {
        body.left.extend_from_slice(&data[start..end]);
        start = end;
        while body.end == End::Open {
            let step = match reader.next(&body.left) {
                Ok(step) => step,
                Err(refusal) => {
                    assert!(refusal.offset <= data.len() as u64, "a fault behind the end: {refusal:?}");
                    body.end = End::Refused(refusal);
                    break;
                }
            };
            let mut more = false;
            match step.event {
                Event::NeedMore => {
                    assert_eq!(step.consumed, body.left.len(), "more is needed only when nothing is left");
                    more = true;
                }
                Event::Data(range) => {
                    assert!(!range.is_empty() && range.end == step.consumed, "odd data {range:?}");
                    body.content.extend_from_slice(&body.left[range]);
                }
                Event::Done(trailers) => {
                    let fields = trailers.iter().flat_map(|trailers| trailers.fields());
                    body.trailers =
                        fields.map(|field| (field.name.to_owned(), field.value.to_owned())).collect();
                    assert!(trailers.is_none() || !body.trailers.is_empty(), "trailers without a field");
                    assert!(reader.is_done() && reader.remaining() == Some(0));
                    body.end = End::Complete;
                }
            }
            body.left.drain(..step.consumed);
            if more {
                break;
            }
        }
    }
    if matches!(body.end, End::Refused(_)) {
        // How much of it was left depends on when it came.
        body.left.clear();
    }
    assert_eq!(reader.end_of_input().is_ok(), body.end == End::Complete || framing == Framing::UntilClose);
    body
}

/// A body that is written anew is read the same, with nothing behind it, and what follows stays whole.
fn check_written(body: &Body) {
    let mut bytes = Vec::new();
    // In chunks of another size than they came in.
    for part in body.content.chunks(1 + body.content.len() / 3) {
        bytes.extend_from_slice(chunk_prefix(part.len()).as_ref());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(CHUNK_SUFFIX);
    }
    last_chunk_with(&mut bytes, body.trailers.iter().map(|(name, value)| Field::new(name, value)));
    bytes.extend_from_slice(&body.left);
    assert_eq!(read(Framing::Chunked, &bytes, &[], 4 * TRAILER_LIMIT), *body);
}

/// The same bytes as a body of known length, and as one that ends with its connection.
fn check_length(data: &[u8]) {
    let length = data.first().map_or(0, |byte| usize::from(*byte));
    let body = read(Framing::Length(length as u64), data, &cuts::few(data), TRAILER_LIMIT);
    let (content, left) = data.split_at(length.min(data.len()));
    assert_eq!((&*body.content, &*body.left), (content, left));
    let body = read(Framing::UntilClose, data, &cuts::few(data), TRAILER_LIMIT);
    assert_eq!((&*body.content, body.left.len()), (data, 0));
}
