//! A request, as far as routes look at it.

use std::fmt;

use idleway_h1::RequestHead;

use crate::edits::{is_forwarded, is_shadow};

/// What a request asks for.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The method, as it came.
    pub method: &'a str,
    /// Host and port that it is for: of the target or of `Host`; may be empty.
    pub authority: &'a str,
    /// Path and query, or `*`.
    pub path: &'a str,
    /// Its header fields.
    pub fields: &'a dyn Fields,
}

impl<'a> Asked<'a> {
    /// A request without header fields.
    pub fn new(method: &'a str, authority: &'a str, path: &'a str) -> Self {
        Asked { method, authority, path, fields: &None::<(&str, &[u8])> }
    }
}

impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method, self.authority, self.path)
    }
}

/// The header fields of a request, in their order.
pub trait Fields {
    /// Shows each of them: its name and its value.
    fn each(&self, see: &mut dyn FnMut(&str, &[u8]));
}

impl Fields for Option<(&str, &[u8])> {
    fn each(&self, see: &mut dyn FnMut(&str, &[u8])) {
        if let Some((name, value)) = self {
            see(name, value);
        }
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Fields for Vec<(N, V)> {
    fn each(&self, see: &mut dyn FnMut(&str, &[u8])) {
        self.iter().for_each(|(name, value)| see(name.as_ref(), value.as_ref()));
    }
}

/// The fields of a request that routes go by: what no backend will see does not count.
#[derive(Debug, Clone, Copy)]
pub struct Visible<'a> {
    /// The head as it came.
    pub head: &'a RequestHead,
    /// The peer's word about whom it speaks for is taken.
    pub is_trusted: bool,
}

impl Fields for Visible<'_> {
    fn each(&self, see: &mut dyn FnMut(&str, &[u8])) {
        for field in self.head.fields() {
            let is_hidden = (is_forwarded(&field) && !self.is_trusted)
                || is_shadow(field.name)
                || self.head.nominated(field.name);
            if !is_hidden {
                see(field.name, field.value);
            }
        }
    }
}
