//! The configuration file that is meant where none is named.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::Cli;

/// Names the file.
const VARIABLE: &str = "IDLEWAY_CONFIG";

/// The file that the environment names, or the first that is there. Where there is none, the program ends, and says
/// where it has looked.
pub(super) fn find() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(named) = set(VARIABLE) {
        return named.into();
    }
    let places = places(set);
    places.iter().find(|path| path.exists()).cloned().unwrap_or_else(|| none_of(&places))
}

/// Where files are looked for, in this order.
fn places(set: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    // A relative one is to be ignored, says the XDG Base Directory Specification.
    let absolute = |name: &str| set(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let own = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    let mut places = vec![PathBuf::from("idleway.toml")];
    places.extend(own.map(|folder| folder.join("idleway/idleway.toml")));
    places.push(PathBuf::from("/etc/idleway/idleway.toml"));
    places
}

fn none_of(places: &[PathBuf]) -> ! {
    let looked: String = places.iter().map(|path| format!("\n  {}", shown(path))).collect();
    let text = format!(
        "there is no configuration file: name one with --config or {VARIABLE}, or name backends by their URLs,\n  \
         idleway run http://127.0.0.1:6000 http://127.0.0.1:6001\n\nLooked for, in this order:{looked}"
    );
    Cli::command().error(ErrorKind::MissingRequiredArgument, text).exit()
}

/// One in this folder is told as such.
fn shown(path: &Path) -> String {
    if path.is_absolute() { path.display().to_string() } else { format!("./{}", path.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearer_file_comes_first() {
        let places = |set: &[(&str, &str)]| {
            let places =
                places(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into()));
            places.iter().map(|path| shown(path)).collect::<Vec<_>>()
        };
        let (here, system) = ("./idleway.toml", "/etc/idleway/idleway.toml");
        assert_eq!(places(&[]), [here, system]);
        assert_eq!(places(&[("HOME", "/home/a")]), [here, "/home/a/.config/idleway/idleway.toml", system]);
        let xdg = [("HOME", "/home/a"), ("XDG_CONFIG_HOME", "/x")];
        assert_eq!(places(&xdg), [here, "/x/idleway/idleway.toml", system]);
        let relative = [("HOME", "/home/a"), ("XDG_CONFIG_HOME", "x")];
        assert_eq!(places(&relative), [here, "/home/a/.config/idleway/idleway.toml", system]);
    }
}
