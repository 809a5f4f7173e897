//! The command as a whole, with the one peer that needs no installation.

use std::process::{Command, Output};
use std::{fs, io};

use serde_json::Value;

fn compare(arguments: &[&str]) -> io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_idleway-bench-compare")).args(arguments).output()
}

#[test]
fn every_request_through_the_relay_is_answered_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let run = ["cpu", "--rounds", "1", "--seconds", "1", "--out", &out];
    let without = ["--without", "idleway", "--without", "haproxy", "--without", "nginx"];
    let output = compare(&[&run[..], &without[..]].concat()).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let json = files.iter().find(|path| path.extension().is_some_and(|ending| ending == "json")).unwrap();
    let report: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    let sample = &report["measures"][0]["rounds"]["relay"][0];
    assert_eq!(sample["failed"], 0, "{report:#}");
    assert_eq!(sample["connects"], 0, "{report:#}");
    assert!(sample["microseconds"].as_f64().unwrap() > 0.0, "{report:#}");
    assert!(sample["rate"].as_f64().unwrap() > 0.0, "{report:#}");

    let table = fs::read_to_string(json.with_extension("md")).unwrap();
    assert!(table.contains("| relay "), "{table}");
}

#[test]
fn an_unknown_peer_is_a_usage_error() {
    assert_eq!(compare(&["cpu", "--without", "apache"]).unwrap().status.code(), Some(2));
}

#[test]
fn a_measure_without_anybody_to_measure_says_so() {
    let without = ["--without", "idleway", "--without", "haproxy", "--without", "nginx"];
    let output = compare(&[&["kill"][..], &without[..]].concat()).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("idleway, haproxy and nginx"), "{told}");
}
