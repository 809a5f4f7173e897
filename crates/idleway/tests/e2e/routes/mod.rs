//! What stands on routes, and that it holds for their requests alone.

mod answers;
mod edits;
mod fields;
mod policies;
mod rewriting;
