//! Tells the program of which commit it was built, where that can be known: `idleway --version` says it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    // The library does not ask.
    let commit = env::var_os("CARGO_FEATURE_CLI").and_then(|_| commit());
    match commit {
        Some(commit) => println!("cargo::rustc-env=IDLEWAY_VERSION={version} ({commit})"),
        None => println!("cargo::rustc-env=IDLEWAY_VERSION={version}"),
    }
}

/// The commit and its day. None where this is not a checkout of our own repository: an archive of the crate, or one
/// that stands in somebody else's.
fn commit() -> Option<String> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?).canonicalize().ok()?;
    let top = PathBuf::from(git(&here, &["rev-parse", "--show-toplevel"])?).canonicalize().ok()?;
    if top.join("crates/idleway") != here {
        return None;
    }
    let commit = git(&here, &["log", "-1", "--format=%h %cs", "--abbrev=9"])?;
    // What changes with the commit. Cargo runs this again each time where a file is named that is not there.
    for name in ["HEAD", "logs/HEAD"] {
        let path = here.join(git(&here, &["rev-parse", "--git-path", name])?);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    Some(commit)
}

/// The one line that git says. None where there is no git, or it has nothing to say.
fn git(folder: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(args).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !line.is_empty() && !line.contains('\n')).then_some(line)
}
