//! The mutex, behind a name of our own, so that `idleway-core-loom` can compile the same modules on loom.

pub(crate) use std::sync::{Mutex, MutexGuard};
