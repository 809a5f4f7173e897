//! Idleway: an API gateway that sends a request to an idle backend, never to a busy one, and tells the truth
//! when there is none.
//!
//! | floor | modules | what they are |
//! |---|---|---|
//! | 1 | `message`, `error`, `config`, `route`, `metrics` | words and pure tables |
//! | 2 | `live`, `net` | the current Snapshot; sockets and HTTP connections |
//! | 3 | `proxy`, `control` | the data plane: a request's way; the control plane: what is done for the pools beside it |
//! | 4 | `gateway`, this file | composition |
//! | 5 | `generic_backend`, and the binary | faces |
//!
//! A lower floor never imports a higher one; `tests/floors.rs` reads the imports. Below them all stand two
//! crates without sockets, clocks and tasks: [`idleway_core`] with the Slots and the line, [`idleway_h1`] with
//! HTTP/1.1.

pub mod config;
mod control;
mod error;
mod gateway;
pub mod generic_backend;
mod live;
mod message;
mod metrics;
mod net;
mod proxy;
pub mod route;

pub use error::Reject;
pub use gateway::{BackendCounts, Drained, Gateway, SlotCounts, Totals};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use proxy::fuzzing;
