//! The dispatcher's promises, each as a short story.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod ceding;
mod compare;
mod elsewhere;
mod health;
mod line;
mod probes;
mod reload;
mod slots;
mod stage;
mod status;
