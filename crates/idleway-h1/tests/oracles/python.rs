//! Pythons with packages from PyPI.
//!
//! The tests of the gateway take this file in as well.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// A Python that has what `pip install` is told here, in an environment of its own in `home`, where later runs find
/// it again.
pub(crate) fn with(home: &Path, packages: &[&str]) -> io::Result<PathBuf> {
    // Tests of one process may ask for the same one at once.
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let python = home.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let wanted = packages.join("\n");
    // Written last, so that what broke off is made anew.
    let made = home.join("packages");
    let is_there = || run(Command::new(&python).args(["-m", "pip", "--version"])).is_ok();
    if std::fs::read_to_string(&made).is_ok_and(|has| has == wanted) && is_there() {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages))?;
    std::fs::write(made, wanted)?;
    Ok(python)
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?}: {told}")))
}
