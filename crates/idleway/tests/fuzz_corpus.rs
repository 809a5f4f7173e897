//! The corpus of the fuzz targets with the ordinary tests, through the same functions.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says at what input"
)]

use std::fs;
use std::path::Path;

#[path = "../../idleway-h1/tests/oracles/compare.rs"]
mod compare;
#[path = "../../idleway-h1/tests/oracles/message.rs"]
mod message;
#[path = "../../idleway-h1/tests/oracles/ours.rs"]
mod ours;
#[path = "../../idleway-h1/tests/oracles/reference.rs"]
mod reference;

#[path = "../../../fuzz/src/chunks.rs"]
mod chunks;
#[path = "../../../fuzz/src/configuration.rs"]
mod configuration;
#[path = "../../../fuzz/src/cuts.rs"]
mod cuts;
#[path = "../../../fuzz/src/heads.rs"]
mod heads;
#[path = "../../../fuzz/src/routes.rs"]
mod routes;
#[path = "../../../fuzz/src/streams.rs"]
mod streams;

/// Every input of a target, which fails by panicking.
fn run(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        // The last one is what failed.
        println!("{}", path.display());
        check(&fs::read(&path).unwrap());
        inputs += 1;
    }
    assert!(inputs >= 20, "the corpus is elsewhere: {inputs} inputs in {}", folder.display());
}

#[test]
fn chunks() {
    run("chunks", chunks::check);
}

#[test]
fn configuration() {
    run("configuration", configuration::check);
}

#[test]
fn heads() {
    run("heads", heads::check);
}

#[test]
fn routes() {
    run("routes", routes::check);
}

#[test]
fn streams() {
    run("streams", streams::check);
}
