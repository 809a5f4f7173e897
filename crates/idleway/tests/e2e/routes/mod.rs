//! What stands on routes, and that it holds for their requests alone.

mod edits;
mod policies;
mod rewriting;
