//! Where a route leads.

use std::fmt;

use super::replacement::Replacement;
use crate::edits::is_value;

/// Where the requests of a route go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To a pool, as an index into [`Plan::pools`](crate::config::Plan::pools).
    Pool(usize),
    /// Nowhere: this is the answer.
    Answer(Answer),
    /// Elsewhere, as the client is told.
    Redirect(Redirect),
}

/// As the command line shows it, but for the name of a pool.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Pool(index) => write!(f, "pool {index}"),
            Target::Answer(answer) => write!(f, "answer {}", answer.status),
            Target::Redirect(Redirect { status, origin, replace }) => {
                let path = replace.as_ref().map_or("", Replacement::as_str);
                write!(f, "redirect {status} to {origin}{path}")
            }
        }
    }
}

/// An answer that is always the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    body: String,
    /// What `Content-Type` says of the body.
    kind: String,
}

impl Default for Answer {
    /// 200, without a body.
    fn default() -> Self {
        Answer { status: 200, body: String::new(), kind: "text/plain; charset=utf-8".to_owned() }
    }
}

impl Answer {
    /// An answer of this status, with a plain text for a body.
    ///
    /// # Errors
    /// The status is none of an answer.
    pub fn new(status: u16, body: impl Into<String>) -> Result<Self, &'static str> {
        let body = body.into();
        if !(200..=599).contains(&status) {
            return Err("an answer has a status from 200 to 599");
        }
        if matches!(status, 204 | 205 | 304) && !body.is_empty() {
            return Err("an answer of this status has no body");
        }
        Ok(Answer { status, body, ..Answer::default() })
    }

    /// The body is of this type.
    ///
    /// # Errors
    /// It is not the value of a field.
    pub fn kind(self, kind: &str) -> Result<Self, &'static str> {
        if kind.is_empty() || !is_value(kind.as_bytes()) {
            return Err("this is not the type of a body");
        }
        Ok(Answer { kind: kind.to_owned(), ..self })
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Its body, and what `Content-Type` says of it where there is one.
    pub(crate) fn body(&self) -> (&str, Option<&str>) {
        (&self.body, (!self.body.is_empty()).then_some(&self.kind))
    }
}

/// Another place, where the client is to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    status: u16,
    /// Scheme and authority; empty where the client stays with the one it has asked.
    origin: String,
    replace: Option<Replacement>,
}

impl Default for Redirect {
    /// For now, to the root of the same host.
    fn default() -> Self {
        Redirect { status: 307, origin: String::new(), replace: Some(Replacement::root()) }
    }
}

impl Redirect {
    /// To the same path and query at `https://host`; with a path there, or with a path alone, that stands in place of the
    /// one that the route asks for.
    ///
    /// # Errors
    /// What is wrong with the place or the status.
    pub fn new(status: u16, to: &str) -> Result<Self, &'static str> {
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return Err("a redirect has the status 301, 302, 303, 307 or 308");
        }
        let scheme = ["https://", "http://"].into_iter().find(|scheme| to.starts_with(scheme));
        let Some(scheme) = scheme else {
            if !to.starts_with('/') {
                return Err("a redirect leads to an `https://` or `http://` URL, or to a path");
            }
            let replace = Some(Replacement::new(to)?);
            return Ok(Redirect { status, origin: String::new(), replace });
        };
        let rest = &to[scheme.len()..];
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !idleway_h1::is_authority(authority.as_bytes()) {
            return Err("this is not the URL of a host");
        }
        let replace = if path.is_empty() { None } else { Some(Replacement::new(path)?) };
        Ok(Redirect { status, origin: format!("{scheme}{authority}"), replace })
    }

    /// Its status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Where a request for this path and query is sent; of `path` and `whole` see [`Replacement::put`].
    pub(super) fn location(&self, target: &str, prefix: &[u8], whole: bool) -> Option<String> {
        // The whole server is at its root.
        let target = if target == "*" { "/" } else { target };
        let Redirect { origin, replace, .. } = self;
        match replace {
            None => Some(format!("{origin}{target}")),
            Some(replace) => Some(format!("{origin}{}", replace.put(target, prefix, whole)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(to: &str, prefix: &str, target: &str) -> Option<String> {
        Redirect::new(307, to).unwrap().location(target, prefix.as_bytes(), false)
    }

    #[test]
    fn a_redirect_keeps_path_and_query_or_replaces_the_prefix() {
        for (to, prefix, target, expected) in [
            ("https://new.example", "/old", "/old/a%20b?q", "https://new.example/old/a%20b?q"),
            ("https://new.example:8443/", "/old", "/old/a?q", "https://new.example:8443/a?q"),
            ("http://new.example/v2", "/old", "/old", "http://new.example/v2"),
            ("/new", "/old", "/old/a?q=/old", "/new/a?q=/old"),
            ("/", "/old", "/old?q", "/?q"),
            ("https://new.example", "", "*", "https://new.example/"),
            // What looks like a host is a path there.
            ("https://new.example", "", "//evil.example", "https://new.example//evil.example"),
        ] {
            assert_eq!(location(to, prefix, target).as_deref(), Some(expected), "{to} {target}");
        }
    }

    #[test]
    fn no_path_makes_another_host_of_it() {
        for target in ["/old//evil.example", "/old//evil.example/..", "/old/../old//evil.example"] {
            assert_eq!(location("/", "/old", target), None, "{target}");
        }
    }

    #[test]
    fn what_is_no_place_or_no_answer_is_refused() {
        for to in [
            "",
            "new.example",
            "//evil.example",
            "ftp://a",
            "https://",
            "https://a b",
            "https://a?q",
            "https://a#f",
            "https://user@a",
            "https://a/../b",
            "/a\r\nSet-Cookie: b",
            "https://a\r\nX: y",
            "javascript:alert(1)",
            "/a?b",
        ] {
            assert!(Redirect::new(307, to).is_err(), "{to:?}");
        }
        for status in [200, 300, 304, 305, 399] {
            assert!(Redirect::new(status, "/").is_err(), "{status}");
        }
        for (status, body) in [(0, ""), (100, ""), (199, ""), (600, ""), (204, "x"), (304, "x")] {
            assert!(Answer::new(status, body).is_err(), "{status}");
        }
        for kind in ["", "a\r\nX: y", " a"] {
            assert!(Answer::new(200, "").unwrap().kind(kind).is_err(), "{kind:?}");
        }
    }
}
