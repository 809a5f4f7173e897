//! Fuzz targets, each with oracles: not only must nothing panic, what comes out must be right.
//!
//! | target | input | what holds |
//! |---|---|---|
//! | `heads` | a message | the naive reader reads the same; pieces change nothing; what is written anew is read the same |
//! | `chunks` | a chunked body and what follows it | the same, and not a byte of what follows is lost |
//! | `streams` | all that comes on one connection | each message begins where the one before ended, for every reader |
//! | `routes` | lines: routes, an empty line, requests | what is found is what a search finds, however a program reads the path |
//! | `headers` | a request's head, a response's head | what goes on has one framing, and nothing that was for this hop |
//! | `configuration` | a file | faults are told where they stand, and in bounds; a Plan keeps its promises |
//!
//! The functions know nothing of libFuzzer. `crates/idleway/tests/fuzz_corpus.rs` takes their files in, and runs the
//! corpus with the ordinary tests.

#[path = "../../crates/idleway-h1/tests/oracles/compare.rs"]
mod compare;
#[path = "../../crates/idleway-h1/tests/oracles/message.rs"]
mod message;
#[path = "../../crates/idleway-h1/tests/oracles/ours.rs"]
mod ours;
#[path = "../../crates/idleway-h1/tests/oracles/reference.rs"]
mod reference;

mod chunks;
mod configuration;
mod cuts;
#[cfg(fuzzing)]
mod headers;
mod heads;
mod routes;
mod streams;

pub fn chunks(data: &[u8]) {
    chunks::check(data);
}

pub fn configuration(data: &[u8]) {
    configuration::check(data);
}

pub fn heads(data: &[u8]) {
    heads::check(data);
}

#[cfg(fuzzing)]
pub fn headers(data: &[u8]) {
    headers::check(data);
}

pub fn routes(data: &[u8]) {
    routes::check(data);
}

pub fn streams(data: &[u8]) {
    streams::check(data);
}
