//! What stands on routes, and that it holds for their requests alone.

mod policies;
mod rewriting;
