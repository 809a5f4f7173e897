//! Sockets and HTTP connections: the only place that knows them.
//!
//! A [`Client`] and a [`BackendConnection`] are the two ends of an exchange; both stand on a
//! [`wire::Wire`], one HTTP/1.1 connection with the bytes read ahead and the bytes still to be written.
//! What is said on them is decided above, in `proxy`.

mod addresses;
mod backend;
mod budget;
mod client;
mod clock;
mod core;
mod date;
mod listen;
mod outbox;
mod pipe;
mod probe;
mod scratch;
mod transport;
mod unacknowledged;
pub(crate) mod wire;

pub(crate) use self::addresses::{Addresses, Found};
pub(crate) use self::backend::{BackendConnection, ConnectError};
pub(crate) use self::budget::{Budget, Share};
pub(crate) use self::client::{Already, BodyFault, Client, ClientLimits, Departed, Next};
pub use self::client::{Passed, Waiting};
pub(crate) use self::clock::Clock;
pub(crate) use self::core::{CoreHandle, Cores};
pub(crate) use self::date::date;
pub(crate) use self::listen::{Admission, accept};
pub(crate) use self::pipe::{PipeEnd, pipe};
pub(crate) use self::probe::{Answer, ProbeError, Question, ask, until_closed};
pub(crate) use self::transport::{Approach, Told};

/// Bytes that one read can bring.
pub(crate) const fn scratch_size() -> usize {
    scratch::SIZE
}
