//! What takes the place of the path that a route asks for.

use super::pattern;
use super::reading::{Reading, bare, decoded, encoded_length, is_ambiguous};

/// A path as it is sent: it begins with `/`, and all programs read it alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replacement(String);

impl Replacement {
    pub(super) fn new(text: &str) -> Result<Self, &'static str> {
        pattern(text)?;
        if !idleway_h1::is_path(text.as_bytes()) {
            return Err("this path cannot be sent: write all but plain characters as escapes, like `%20`");
        }
        Ok(Replacement(text.to_owned()))
    }

    /// `/`, which takes away what it replaces.
    pub(super) fn root() -> Self {
        Replacement("/".to_owned())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Path and query with this in place of `prefix`, which is decoded and without a slash at its end; in place of the
    /// whole path where that is `whole`. The rest and the query stay as they came, `*` too.
    ///
    /// None where the path does not carry the prefix, or where some program would read the new path as another one than
    /// it reads the old one with the prefix replaced: `/public/x/../../admin` would leave what stands there instead.
    pub(super) fn put(&self, target: &str, prefix: &[u8], whole: bool) -> Option<String> {
        if target == "*" {
            return Some(target.to_owned());
        }
        let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
        let rest = if whole { "" } else { path.get(encoded_length(path.as_bytes(), prefix.len())?..)? };
        let front = if rest.is_empty() { self.as_str() } else { self.without_slash() };
        let new = format!("{front}{rest}{query}");
        let stays = whole || self.is_read_alike(path, &new[..front.len() + rest.len()], prefix);
        // `//host` is an address in a `Location`, and some programs take it for one in a target.
        (stays && !new.starts_with("//")).then_some(new)
    }

    /// Whether all programs read `new` as they read `path` with the prefix replaced.
    fn is_read_alike(&self, path: &str, new: &str, prefix: &[u8]) -> bool {
        let (path, new) = (decoded(path.as_bytes()), decoded(new.as_bytes()));
        if !is_ambiguous(&path) && !is_ambiguous(&new) {
            return path.starts_with(prefix);
        }
        let front = decoded(self.without_slash().as_bytes());
        Reading::all().all(|reading| {
            let (path, new) = (reading.of(&path), reading.of(&new));
            let rest =
                path.strip_prefix(prefix).filter(|rest| rest.first().is_none_or(|&first| first == b'/'));
            rest.is_some_and(|rest| bare(&[&*front, rest].concat()) == bare(&new))
        })
    }

    fn without_slash(&self) -> &str {
        self.0.strip_suffix('/').unwrap_or(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(with: &str, prefix: &str, target: &str) -> Option<String> {
        Replacement::new(with).unwrap().put(target, prefix.as_bytes(), false)
    }

    #[test]
    fn the_prefix_is_replaced_and_nothing_else() {
        for (with, prefix, target, expected) in [
            ("/", "/api", "/api/users?x=/api", "/users?x=/api"),
            ("/", "/api", "/api", "/"),
            ("/", "/api", "/api?x", "/?x"),
            ("/", "/api", "/api/", "/"),
            ("/v2", "/api", "/api/users", "/v2/users"),
            ("/v2", "/api", "/api", "/v2"),
            ("/v2", "/api", "/api/", "/v2/"),
            ("/v2/", "/api", "/api", "/v2/"),
            ("/v2/", "/api", "/api/a", "/v2/a"),
            ("/v2", "", "/a/b", "/v2/a/b"),
            ("/v2", "", "/", "/v2/"),
            ("/v2", "", "*", "*"),
            ("/", "", "/a", "/a"),
            // As it came, whatever its letters.
            ("/x%20y", "/a b", "/%61%20b/%7E%2f%41?%20", "/x%20y/%7E%2f%41?%20"),
            ("/", "/a%25b", "/a%25b/c", "/c"),
            ("/v2", "/api", "/api/a/../b", "/v2/a/../b"),
            ("/v2", "/api", "/api//a;b", "/v2//a;b"),
            ("/v2", "/api", "/api/a%2Fb", "/v2/a%2Fb"),
        ] {
            assert_eq!(put(with, prefix, target).as_deref(), Some(expected), "{target}");
        }
    }

    #[test]
    fn nothing_leaves_what_stands_there_instead() {
        for (with, prefix, target) in [
            ("/v2", "/api", "/api/.."),
            ("/v2", "/api", "/api/../api/x"),
            ("/v2", "/api", "/api/x/../../api/y"),
            ("/", "/api", "/api/x/..%2F..%2Fapi/y"),
            ("/v2", "/api", "/api/..;/api/y"),
            ("/v2", "", "/../x"),
            // An address for whoever reads it so.
            ("/", "/api", "/api//evil.example"),
            ("/", "/api", "/api//evil.example/..;/"),
            // Not below the prefix.
            ("/v2", "/api", "/other"),
            ("/v2", "/api", "/ap"),
            ("/v2", "/a%2F", "/a%25"),
        ] {
            assert_eq!(put(with, prefix, target), None, "{target}");
        }
    }

    #[test]
    fn what_is_no_path_replaces_none() {
        for odd in [
            "",
            "v2",
            "/a?b",
            "/a#b",
            "/a b",
            "/../a",
            "//a",
            "/a//b",
            "/a\r\nX: y",
            "/\u{e9}",
            "/a%zz",
            "/a\"b",
        ] {
            assert!(Replacement::new(odd).is_err(), "{odd:?}");
        }
    }
}
