//! Ours against itself in pieces, and against the naive reader.

use std::collections::HashMap;

use idleway_h1::RefusalReason::{self, *};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::compare::{assert_pieces_change_nothing, assert_same_as_reference};
use crate::message::{End, Kind, Outcome};
use crate::{generate, ours};

pub(crate) fn config(cases: u32) -> Config {
    // A failure is found again by its seed alone: nothing is written into the source tree.
    Config { cases, failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config(10_000))]

    #[test]
    fn the_naive_reader_reads_the_same((kind, bytes) in generate::message()) {
        assert_same_as_reference(kind, &bytes);
    }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn the_pieces_in_which_a_message_arrives_change_nothing((kind, bytes) in generate::message()) {
        assert_pieces_change_nothing(kind, &bytes);
    }

    #[test]
    fn the_pieces_in_which_chunks_arrive_change_nothing(body in generate::chunked_body()) {
        let head: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let bytes = [head, &body].concat();
        assert_same_as_reference(Kind::Response, &bytes);
        assert_pieces_change_nothing(Kind::Response, &bytes);
    }
}

/// The comparisons mean something only where messages of all sorts come along.
#[test]
fn the_generator_reaches_refusals_of_all_sorts_and_whole_messages() {
    let mut runner = TestRunner::deterministic();
    let mut reasons = HashMap::<RefusalReason, u32>::new();
    let mut ends = HashMap::<Option<End>, u32>::new();
    for _ in 0..20_000 {
        let (kind, bytes) =
            generate::message().new_tree(&mut runner).expect("a strategy without filters").current();
        match ours::read(kind, &bytes, &[]) {
            Outcome::Refused(refusal) => *reasons.entry(refusal.reason).or_default() += 1,
            Outcome::NoHead => *ends.entry(None).or_default() += 1,
            Outcome::Read(message) => *ends.entry(Some(message.end)).or_default() += 1,
        }
    }
    println!("{reasons:?} {ends:?}");
    // Large messages are the corpus's.
    let rare = [HeadTooLarge, TooManyFields, TooManyConnectionOptions, ChunkExtensionTooLong, ChunkOverhead];
    for reason in RefusalReason::ALL {
        assert!(reasons.contains_key(reason) || rare.contains(reason) || *reason == Truncated, "{reason:?}");
    }
    for end in [None, Some(End::Complete), Some(End::Truncated)] {
        assert!(ends[&end] > 200, "{end:?}: {ends:?}");
    }
}
