//! What the fuzz targets (`fuzz/` in the repository) reach of the data plane: heads on their way through, without
//! sockets. No part of the library: it is there only where `cargo fuzz` builds.

use std::borrow::Cow;
use std::sync::Arc;

use idleway_h1::{RequestHead, ResponseHead, Trailers, last_chunk_with};

use super::frame::Outgoing;
use super::headers;
use super::upload::Announced;
use crate::edits::{Authority, Edits, Rewrite};
use crate::message::Request;

/// What the gateway calls itself in `Via`.
pub const VIA: &str = "1.1 idleway";

/// The address of the client.
pub const CLIENT: &str = "192.0.2.7";

/// A request at its turn, of a client at [`CLIENT`].
#[derive(Debug)]
pub struct Turn(Request);

/// How a body is told where it ends, on its way to a backend.
#[derive(Debug, Clone, Copy)]
pub enum Body {
    /// There is none.
    None,
    /// By its length.
    Length(u64),
    /// By chunks.
    Chunked,
}

/// How the client gets a response.
#[derive(Debug)]
pub struct Answer {
    /// Its head.
    pub head: Vec<u8>,
    /// The body goes out in chunks.
    pub chunked: bool,
    /// The end of the connection is the end of the body.
    pub until_close: bool,
    /// The connection serves another request.
    pub persists: bool,
}

impl Turn {
    /// A request with this head. `is_trusted`: the peer's word about it is taken.
    pub fn new(head: RequestHead, is_trusted: bool) -> Self {
        let peer = std::net::SocketAddr::from(([192, 0, 2, 7], 4000));
        Self(Request::new(Box::new(head), peer, Arc::from(CLIENT), is_trusted))
    }

    /// The id it has in logs, answers and backends.
    pub fn id(&self) -> &str {
        self.0.id.as_str()
    }

    /// The head that a backend gets.
    pub fn to_backend(&self, body: Body, keep_alive: bool) -> Vec<u8> {
        let announced = match body {
            Body::None => Announced::Nothing,
            Body::Length(length) => Announced::Length(length),
            Body::Chunked => Announced::Chunked,
        };
        let mut out = Vec::new();
        let rewrite = Rewrite {
            path: Cow::Borrowed(self.0.head.path()),
            authority: &Authority::Client,
            fields: Cow::Owned(Edits::of_request()),
        };
        headers::request(&mut out, &self.0, &rewrite, "192.0.2.9:80", announced, VIA, keep_alive, None);
        out
    }

    /// What the client gets of this response. `persists`: its connection could serve another request.
    pub fn to_client(&self, response: &ResponseHead, persists: bool) -> Answer {
        let mut head = Vec::new();
        let to_client =
            headers::response(&mut head, &self.0, None, response, &Edits::of_response(), VIA, persists);
        Answer {
            head,
            chunked: matches!(to_client.outgoing, Outgoing::Chunked { .. }),
            until_close: to_client.until_close,
            persists: to_client.persists,
        }
    }
}

/// The last chunk of a body with these trailers, as it goes on.
pub fn last_chunk(trailers: &Trailers) -> Vec<u8> {
    let mut out = Vec::new();
    last_chunk_with(&mut out, trailers.fields().filter(headers::may_trail));
    out
}
