//! A route's text, spelled when it is first asked for.

use std::sync::{Arc, OnceLock};

/// Says nothing of the route that the route itself does not: any two are equal, and a copy is spelled anew, since what it is a
/// copy for may change.
#[derive(Debug, Default)]
pub(super) struct Spelled(pub(super) OnceLock<Arc<str>>);

impl Clone for Spelled {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Spelled {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Spelled {}
