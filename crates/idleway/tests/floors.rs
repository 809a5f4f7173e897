//! The house stands on floors: a lower one never imports a higher one, and the two crates below know no system.
//!
//! Reads the sources as text. What it takes for an import is any path that begins at the crate's root, in a `use` or
//! where it stands; comments do not count.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every module at the root, and its floor.
const FLOORS: &[(&str, u32)] = &[
    // Words and pure tables.
    ("message", 1),
    ("error", 1),
    ("edits", 1),
    ("config", 1),
    ("event", 1),
    ("hook", 1),
    ("route", 1),
    ("metrics", 1),
    ("traces", 1),
    // The current Snapshot; sockets, TLS, HTTP connections.
    ("live", 2),
    ("net", 2),
    // The data plane and the control plane: they never import each other.
    ("proxy", 3),
    ("control", 3),
    // Composition.
    ("gateway", 4),
    ("lib", 4),
    // Faces.
    ("admin", 5),
    ("generic_backend", 5),
    ("main", 5),
    ("cli", 5),
    ("colour", 5),
    ("demo", 5),
    ("descriptors", 5),
    ("handover", 5),
    ("desk", 5),
    ("listener", 5),
    ("load", 5),
    ("log", 5),
    ("supervisor", 5),
    ("parcels", 5),
    ("reload", 5),
    ("stdin", 5),
    ("token", 5),
    ("user", 5),
    ("watch", 5),
    ("witness", 5),
];

fn floor_of(module: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// What is wrong in one file, given its path below `src` and its text.
fn breaches(path: &Path, text: &str) -> Vec<String> {
    let module = path.iter().next().and_then(|first| Path::new(first).file_stem()).unwrap().to_str().unwrap();
    let Some(floor) = floor_of(module) else {
        return vec![format!("{}: `{module}` has no floor: give it one in this test", path.display())];
    };
    let mut breaches = Vec::new();
    for imported in imports(path, text) {
        // What the root itself offers under a name of its own is composition.
        let target = floor_of(&imported).unwrap_or(4);
        let planes = [module, &imported];
        if target > floor || planes == ["proxy", "control"] || planes == ["control", "proxy"] {
            breaches.push(format!(
                "{}: `{module}` (floor {floor}) imports `{imported}` ({target})",
                path.display()
            ));
        }
    }
    breaches
}

/// The first names of all paths that begin at the crate's root.
fn imports(path: &Path, text: &str) -> Vec<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let depth = path.iter().count();
    let mut names: Vec<String> = starts(&code, "crate::").flat_map(names_at).collect();
    // From a module at the root, `super` is the root; from one below it, `super::super` is.
    let up = "super::".repeat(if path.ends_with("mod.rs") { depth - 1 } else { depth });
    names.extend(starts(&code, &up).flat_map(names_at).filter(|name| floor_of(name).is_some()));
    names
}

/// What follows each place where the path begins with `prefix`.
fn starts<'a>(code: &'a str, prefix: &str) -> impl Iterator<Item = &'a str> {
    code.match_indices(prefix).map(|(at, found)| (at, &code[at + found.len()..])).filter_map(|(at, after)| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '$').then_some(after)
    })
}

/// `name…`, or the names of `{name…, name…}`.
fn names_at(path: &str) -> Vec<String> {
    let name = |text: &str| {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
    };
    let Some(group) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let mut names = vec![name(group)];
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(name(&group[at + 1..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn no_floor_imports_a_higher_one() {
    let root = package().join("src");
    let files = sources(&root);
    assert!(files.len() > 10, "the sources are elsewhere: {files:?}");
    let found: Vec<String> = files
        .iter()
        .flat_map(|file| breaches(file.strip_prefix(&root).unwrap(), &fs::read_to_string(file).unwrap()))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The names under `[dependencies]` and its like, tests' excepted.
fn dependencies(manifest: &str) -> Vec<String> {
    let manifest: toml::Table = toml::from_str(manifest).unwrap();
    let mut tables = vec![manifest.get("dependencies"), manifest.get("build-dependencies")];
    for target in manifest
        .get("target")
        .and_then(toml::Value::as_table)
        .into_iter()
        .flat_map(|targets| targets.values())
    {
        tables.push(target.get("dependencies"));
    }
    let tables = tables.into_iter().flatten().filter_map(toml::Value::as_table);
    tables.flat_map(|table| table.keys().cloned()).collect()
}

#[test]
fn the_ground_floor_knows_no_system() {
    for (name, allowed) in [("idleway-core", &[][..]), ("idleway-h1", &["httparse"])] {
        let package = package().join("..").join(name);
        let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap();
        assert_eq!(dependencies(&manifest), allowed, "{name}");
        for file in sources(&package.join("src")) {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            assert_eq!(system(code), None, "{}", file.display());
        }
    }
}

/// The first thing in the code that is not a function of its arguments.
fn system(code: &str) -> Option<&'static str> {
    // Of std::net the addresses are welcome: they are values.
    let things = [
        "TcpListener",
        "TcpStream",
        "UdpSocket",
        "ToSocketAddrs",
        "std::os",
        "std::fs",
        "std::env",
        "std::process",
        "std::thread",
        "Instant",
        "SystemTime",
        "RandomState",
    ];
    let lines = || code.lines().filter(|line| !line.trim_start().starts_with("//"));
    things.into_iter().find(|thing| lines().any(|line| line.contains(thing)))
}

#[test]
fn a_breach_is_found() {
    let breaches = |path: &str, text: &str| breaches(Path::new(path), text).len();
    for (path, text, found) in [
        ("route.rs", "use crate::config::Plan;", 0),
        ("config/plan.rs", "use crate::net::Core;", 1),
        ("config/plan.rs", "use crate::{route, net::Core, proxy::{a, b}, error};", 2),
        ("net/mod.rs", "fn f() -> crate::proxy::Answer {}", 1),
        ("net/mod.rs", "/// Like [`crate::proxy`].\nuse crate::live; // crate::gateway", 0),
        ("net/mod.rs", "use super::proxy;", 1),
        ("net/client.rs", "use super::super::proxy;", 1),
        ("net/client.rs", "use super::core;", 0),
        ("live.rs", "use super::{config, gateway};", 1),
        ("proxy/mod.rs", "use crate::control::Reload;", 1),
        ("control/mod.rs", "use crate::proxy::serve;", 1),
        ("proxy/mod.rs", "use crate::net::Core;", 0),
        // What stands at the root under a name of its own is composition.
        ("proxy/mod.rs", "use crate::Gateway;", 1),
        ("gateway.rs", "use crate::cli;", 1),
        ("gateway.rs", "use crate::{proxy, control};", 0),
        ("cli.rs", "use crate::demo;", 0),
        ("misc.rs", "", 1),
    ] {
        assert_eq!(breaches(path, text), found, "{path}: {text}");
    }
    assert_eq!(
        dependencies("[dependencies]\na = \"1\"\n[target.'cfg(unix)'.dependencies]\nb = \"1\""),
        ["a", "b"]
    );
    assert_eq!(system("// std::fs\nuse std::net::Ipv6Addr;"), None);
    assert_eq!(system("let now = std::time::Instant::now();"), Some("Instant"));
}
