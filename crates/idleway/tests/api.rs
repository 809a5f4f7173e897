//! The library's interface: what somebody may have built on changes only where that is meant.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use public_api::Builder;

/// The crates whose types may stand in the interface: the project's own, and those of others that have a version 1.
const ALLOWED: [&str; 11] = [
    "idleway",
    "idleway_core",
    "idleway_h1",
    "core",
    "alloc",
    "std",
    "http",
    "http_body",
    "bytes",
    "hyper",
    // `tokio` is there for nothing yet but may be.
    "tokio",
];

/// The interface as rustdoc knows it, one item a line. None where this toolchain tells it in another form than the one
/// that can be read here.
fn interface() -> Option<String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("api");
    let output = Command::new(env!("CARGO"))
        .args([
            "rustdoc",
            "--quiet",
            "--locked",
            "--lib",
            "--no-default-features",
            "--features",
            "hyper",
            "--target-dir",
        ])
        .arg(&target)
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // The form is not stable yet.
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTDOCFLAGS")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json = target.join("doc/idleway.json");
    let read = Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build();
    match read {
        Ok(api) => Some(api.items().map(|item| format!("{item}\n")).collect()),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "the interface cannot be read: {error}");
            println!("not tried, since this toolchain's rustdoc cannot be read: {error}");
            None
        }
    }
}

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api.txt")
}

#[test]
fn the_interface_is_the_one_that_is_listed() {
    let Some(now) = interface() else { return };
    if std::env::var_os("IDLEWAY_RENEW").is_some() {
        std::fs::write(committed(), &now).unwrap();
    }
    let listed = std::fs::read_to_string(committed()).unwrap();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (was, is) = (lines(&listed), lines(&now));
    let gone: Vec<_> = was.difference(&is).collect();
    let new: Vec<_> = is.difference(&was).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "the interface has changed. Gone, which needs another version: {gone:#?}\nNew: {new:#?}\n\
         Where that is meant: IDLEWAY_RENEW=1 cargo test -p idleway --test api"
    );
    let foreign: BTreeSet<&str> = paths(&now).filter(|path| !ALLOWED.contains(path)).collect();
    assert!(foreign.is_empty(), "types of crates that make no promise: {foreign:?}");
}

/// The first word of each path.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
        .filter_map(|word| word.split_once("::"))
        .map(|(first, _)| first)
        // `Self::Item`, and where something stands between the colons.
        .filter(|first| !first.is_empty() && first.chars().next().is_some_and(|c| c.is_ascii_lowercase()))
}

#[test]
fn a_foreign_type_is_found() {
    let line =
        "pub fn idleway::Mount::call(&self, http::request::Request<B>) -> toml::Value where Self::B: X";
    assert_eq!(paths(line).collect::<Vec<_>>(), ["idleway", "http", "toml"]);
}
