//! What is depended on: every reason stands in `docs/dependencies.md`, every licence and every second version in
//! `deny.toml`.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn toml_of(file: &str) -> toml::Table {
    fs::read_to_string(root().join(file)).unwrap().parse().unwrap()
}

/// What cargo says of a workspace.
fn metadata(manifest: &str, more: &[&str]) -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["metadata", "--format-version", "1", "--locked", "--manifest-path"])
        .arg(root().join(manifest));
    let told = cargo.args(more).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    serde_json::from_slice(&told.stdout).unwrap()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

// --- The table of reasons ---

/// The crates and who uses them, as the table of a document has them: `(crate, user)`; the user is `(tests)` where
/// what is shipped does without.
fn table(document: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for line in document.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [crates, users, reason] = cells[..] else { panic!("a row of three cells: {line}") };
        assert!(reason.len() > 20, "this is no reason: {line}");
        for name in crates.split(", ") {
            for user in users.split(", ") {
                assert!(
                    found.insert((name.to_owned(), user.to_owned())),
                    "{name} stands there twice for {user}"
                );
            }
        }
    }
    found
}

#[test]
fn every_direct_dependency_has_its_reason() {
    let mut used = BTreeSet::new();
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        for package in items(&metadata(manifest, &["--no-deps"])["packages"]) {
            for dependency in items(&package["dependencies"]) {
                let name = text(&dependency["name"]);
                if dependency["path"].is_string() {
                    continue; // our own
                }
                assert_ne!(text(&dependency["req"]), "*", "{name} of {}", package["name"]);
                let tests = if dependency["kind"] == "dev" { " (tests)" } else { "" };
                used.insert((name.to_owned(), format!("{}{tests}", text(&package["name"]))));
            }
        }
    }
    assert!(used.len() > 20, "the manifests are read differently: {used:?}");
    let document = fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let told = table(&document);
    let untold: Vec<_> = used.difference(&told).collect();
    let gone: Vec<_> = told.difference(&used).collect();
    assert!(untold.is_empty() && gone.is_empty(), "without a reason: {untold:?}; no longer used: {gone:?}");
}

// --- Licences ---

/// Whether an SPDX expression is fulfilled by these licences.
fn is_allowed(expression: &str, licences: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    if words.is_empty() {
        return false;
    }
    let mut at = 0;
    let allowed = any_of(&words, &mut at, licences);
    assert_eq!(at, words.len(), "{expression} is written differently");
    allowed
}

fn any_of(words: &[&str], at: &mut usize, licences: &BTreeSet<String>) -> bool {
    let mut allowed = all_of(words, at, licences);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        allowed |= all_of(words, at, licences);
    }
    allowed
}

fn all_of(words: &[&str], at: &mut usize, licences: &BTreeSet<String>) -> bool {
    let mut allowed = one(words, at, licences);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        allowed &= one(words, at, licences);
    }
    allowed
}

fn one(words: &[&str], at: &mut usize, licences: &BTreeSet<String>) -> bool {
    let start = *at;
    *at += 1;
    if words.get(start) == Some(&"(") {
        let allowed = any_of(words, at, licences);
        *at += 1;
        return allowed;
    }
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
    }
    words.get(start..*at).is_some_and(|name| licences.contains(&name.join(" ")))
}

#[test]
fn every_licence_is_allowed() {
    let deny = toml_of("deny.toml");
    let allow = deny["licenses"]["allow"].as_array().unwrap();
    let licences: BTreeSet<String> = allow.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    let exceptions = deny["licenses"]["exceptions"].as_array().unwrap();
    let version = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata = metadata("Cargo.toml", &["--filter-platform", host]);
    let packages = items(&metadata["packages"]);
    assert!(packages.len() > 50, "{} packages", packages.len());
    let odd: Vec<String> = packages
        .iter()
        .filter(|package| {
            let exception =
                exceptions.iter().find(|exception| exception["crate"].as_str() == package["name"].as_str());
            let more = exception.and_then(|exception| exception["allow"].as_array()).into_iter().flatten();
            let more = more.filter_map(toml::Value::as_str).map(str::to_owned);
            !is_allowed(text(&package["license"]), &licences.iter().cloned().chain(more).collect())
        })
        .map(|package| format!("{}: {}", package["name"], package["license"]))
        .collect();
    assert!(odd.is_empty(), "{odd:?}");
}

#[test]
fn an_expression_means_what_it_says() {
    let licences = BTreeSet::from(["MIT".to_owned(), "Unicode-3.0".to_owned()]);
    for (expression, allowed) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("MIT AND (Apache-2.0 OR NCSA)", false),
        ("MIT WITH exception OR Apache-2.0", false),
        ("Apache-2.0 WITH exception OR MIT", true),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &licences), allowed, "{expression}");
    }
}

// --- Sources and versions ---

#[test]
fn every_crate_comes_from_the_registry_and_none_twice_without_a_reason() {
    let deny = toml_of("deny.toml");
    let skipped: Vec<&str> = deny["bans"]["skip"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            assert!(entry["reason"].as_str().unwrap().len() > 20, "this is no reason: {entry:?}");
            entry["crate"].as_str().unwrap()
        })
        .collect();
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let lock = toml_of(lock);
        let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for package in lock["package"].as_array().unwrap() {
            let name = package["name"].as_str().unwrap();
            match package.get("source").and_then(toml::Value::as_str) {
                None => assert!(name.starts_with("idleway"), "{name} comes from a folder"),
                Some(source) => {
                    assert!(source.starts_with("registry+"), "{name} comes from {source}");
                    assert!(package.get("checksum").is_some(), "{name} has no checksum");
                }
            }
            versions.entry(name).or_default().push(package["version"].as_str().unwrap());
        }
        for (name, versions) in versions {
            let mut unreasoned = Vec::new();
            for version in versions {
                let is_meant = |entry: &&str| {
                    let (crate_name, start) = entry.split_once('@').unwrap();
                    crate_name == name && (version == start || version.starts_with(&format!("{start}.")))
                };
                match skipped.iter().copied().find(is_meant) {
                    Some(entry) => _ = used.insert(entry),
                    None => unreasoned.push(version),
                }
            }
            assert!(unreasoned.len() <= 1, "{name} is there in several versions: {unreasoned:?}");
        }
    }
    let gone: Vec<_> = skipped.iter().filter(|entry| !used.contains(*entry)).collect();
    assert!(gone.is_empty(), "no longer there twice: {gone:?}");
}
