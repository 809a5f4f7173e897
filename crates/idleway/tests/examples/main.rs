//! The examples as a reader runs them: the real program with the example's own file, real servers from PyPI, and what
//! the examples promise, by the servers' own counts.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it could not try"
)]

#[allow(dead_code, reason = "its main is the example's")]
#[path = "../../examples/client.rs"]
mod client;
#[path = "../../../idleway-h1/tests/oracles/python.rs"]
mod python;
mod stage;

mod fastapi;
mod flask;
mod gunicorn;
mod inference;

use std::fs;

use stage::examples;

/// Whoever looks into the folder finds each example in its table, and each file of the table in the folder.
#[test]
fn every_example_stands_in_the_table() {
    let table = fs::read_to_string(examples().join("README.md")).unwrap();
    for entry in fs::read_dir(examples()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || table.contains(&format!("]({name}")), "{name} is not in the table");
    }
}
