//! The one shape of a request inside the gateway, whatever it came in on.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use idleway_h1::{Known, RequestHead};

/// The longest request id taken over from a client, in bytes.
const LONGEST_ID: usize = 128;

/// A request at its turn: its head and what the gateway knows about it besides.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) head: Box<RequestHead>,
    pub(crate) id: RequestId,
    pub(crate) peer: SocketAddr,
    /// The peer's address as text.
    pub(crate) client: Arc<str>,
    /// Whether the peer's word about the request is taken.
    pub(crate) is_trusted: bool,
    pub(crate) arrived: Instant,
}

impl Request {
    pub(crate) fn new(head: Box<RequestHead>, peer: SocketAddr, client: Arc<str>, is_trusted: bool) -> Self {
        let id = head.get(Known::XRequestId).and_then(RequestId::from_client);
        let id = id.unwrap_or_else(RequestId::random);
        Self { head, id, peer, client, is_trusted, arrived: Instant::now() }
    }

    /// The same request, with another head.
    pub(crate) fn with_head(&self, head: Box<RequestHead>) -> Self {
        Self { head, id: self.id.clone(), client: Arc::clone(&self.client), ..*self }
    }

    /// Its path without the query, in which secrets may stand.
    pub(crate) fn path_alone(&self) -> &str {
        self.head.path().split('?').next().unwrap_or_default()
    }

    /// Whether the request may be done twice with the effect of once (RFC 9110 section 9.2.2).
    pub(crate) fn is_idempotent(&self) -> bool {
        matches!(self.head.method(), "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE")
    }

    pub(crate) fn is_head(&self) -> bool {
        self.head.method() == "HEAD"
    }
}

/// What names a request in logs, answers and backends: the client's own `X-Request-Id`, or a new one.
#[derive(Debug, Clone)]
pub(crate) enum RequestId {
    Clients(Box<str>),
    Random(RandomHex<32>),
}

impl RequestId {
    /// An id of 32 hexadecimal digits.
    pub(crate) fn random() -> Self {
        Self::Random(RandomHex::new())
    }

    /// The client's id, if it is short and visible: it ends up in logs.
    fn from_client(value: &[u8]) -> Option<Self> {
        let sound = !value.is_empty()
            && value.len() <= LONGEST_ID
            && value
                .iter()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'<' | b'>'));
        let text = sound.then(|| std::str::from_utf8(value).ok()).flatten()?;
        Some(Self::Clients(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Clients(text) => text,
            Self::Random(digits) => digits.as_str(),
        }
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Random hexadecimal digits, 16 for each number: for names that must not collide, not for secrets.
#[derive(Debug, Clone)]
pub(crate) struct RandomHex<const DIGITS: usize>([u8; DIGITS]);

impl<const DIGITS: usize> RandomHex<DIGITS> {
    pub(crate) fn new() -> Self {
        let mut digits = [0; DIGITS];
        for part in digits.chunks_mut(16) {
            let mut number = random_u64();
            for digit in part {
                *digit = b"0123456789abcdef"[(number & 15) as usize];
                number >>= 4;
            }
        }
        Self(digits)
    }

    pub(crate) fn as_str(&self) -> &str {
        // The digits are ASCII; there is nothing else to fall back to.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The next number of this thread's generator (SplitMix64), seeded by the system.
pub(crate) fn random_u64() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(std::thread::current().id()));
    }
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_id_is_taken_over_only_if_it_is_short_and_visible() {
        assert_eq!(RequestId::from_client(b"abc-123").unwrap().as_str(), "abc-123");
        for odd in [&b""[..], b"a b", b"a\"b", b"\xffabc", &[b'x'; LONGEST_ID + 1]] {
            assert!(RequestId::from_client(odd).is_none(), "{odd:?}");
        }
    }

    #[test]
    fn random_ids_have_their_length_and_differ() {
        let (one, other) = (RequestId::random(), RequestId::random());
        assert_eq!(one.as_str().len(), 32);
        assert_ne!(one.as_str(), other.as_str());
    }
}
