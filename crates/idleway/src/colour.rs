//! Whether what the program writes is coloured: on a terminal, unless the user's environment says otherwise.

use std::env;
use std::ffi::OsString;
use std::io::IsTerminal;

/// Whether lines to this stream are coloured (<https://no-color.org>, <https://bixense.com/clicolors>).
pub(crate) fn on(stream: &impl IsTerminal) -> bool {
    is_wanted(stream.is_terminal(), |name| env::var_os(name))
}

fn is_wanted(is_terminal: bool, set: impl Fn(&str) -> Option<OsString>) -> bool {
    let says = |name: &str| set(name).filter(|value| !value.is_empty());
    if says("NO_COLOR").is_some() {
        return false;
    }
    if says("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    is_terminal && says("TERM").is_none_or(|terminal| terminal != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_weighs_more_than_the_terminal() {
        let wanted = |is_terminal, set: &[(&str, &str)]| {
            is_wanted(is_terminal, |name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
            })
        };
        assert!(wanted(true, &[]) && !wanted(false, &[]));
        assert!(!wanted(true, &[("NO_COLOR", "1")]) && wanted(true, &[("NO_COLOR", "")]));
        assert!(wanted(false, &[("CLICOLOR_FORCE", "1")]) && !wanted(false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!wanted(false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
        assert!(!wanted(true, &[("TERM", "dumb")]) && wanted(true, &[("TERM", "xterm")]));
    }
}
