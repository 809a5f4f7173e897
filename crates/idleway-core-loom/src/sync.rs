//! The mutex, on loom: every order of the threads is tried.

pub(crate) use loom::sync::{Mutex, MutexGuard};
