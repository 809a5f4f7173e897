//! The body of a request on its way to a backend.

use std::time::Instant;

use idleway_h1::{CHUNK_SUFFIX, Framing, Trailers, chunk_prefix, last_chunk_with};

use super::Stop;
use crate::error::Reject;
use crate::live::{Live, LivePool};
use crate::message::Request;
use crate::net::{BodyFault, Client, ClientLimits, Departed, Share};

/// What has been read of a request's body before the request joined the line.
///
/// It is kept until the response begins, so that the request can be tried on another backend; what streams
/// after it cannot be sent again.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) buffer: Vec<u8>,
    /// The buffer is the whole body.
    pub(super) complete: bool,
    pub(super) trailers: Option<Trailers>,
    framing: Framing,
    _share: Option<Share>,
}

/// How a backend is told where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Announced {
    Nothing,
    Length(u64),
    Chunked,
}

impl Upload {
    /// Reads the body until it is complete or the pool's buffer is full: a slow client must not own the
    /// scarcest resource while it sends.
    pub(super) async fn read(
        client: &mut Client,
        live: &Live,
        limits: &ClientLimits,
        pool: &LivePool,
        request: &Request,
        deadline: Option<Instant>,
    ) -> Result<Self, Stop> {
        let framing = request.head.framing();
        let mut upload = Self { buffer: Vec::new(), complete: false, trailers: None, framing, _share: None };
        if matches!(framing, Framing::Empty | Framing::Length(0)) {
            upload.complete = true;
        } else if !client.awaits_continue() {
            let whole = match framing {
                Framing::Length(length) => length.min(pool.plan.request_buffer),
                _ => pool.plan.request_buffer,
            };
            let bound = usize::try_from(whole).unwrap_or(usize::MAX);
            // Without a share the body streams from the start.
            if let Some(share) = live.budget().share(bound) {
                upload._share = Some(share);
                upload.trailers = client
                    .buffer_body(&mut upload.buffer, bound, limits.read, deadline)
                    .await
                    .map_err(stop_for)?;
                // A body that fills the buffer exactly is complete all the same.
                upload.complete = client.body_is_read();
            }
        }
        Ok(upload)
    }

    /// Whether all that was read of the body is still here, so that it can be sent again.
    pub(super) fn is_at_hand(&self, client: &Client) -> bool {
        client.body_received() == self.buffer.len() as u64
    }

    /// What was read of the body as a client would send it; none where that cannot be told any more.
    pub(super) fn as_received(&self) -> Option<Vec<u8>> {
        match self.framing {
            Framing::Chunked if !self.complete || self.trailers.is_some() => None,
            Framing::Chunked => {
                let mut body = Vec::with_capacity(self.buffer.len() + 32);
                if !self.buffer.is_empty() {
                    body.extend_from_slice(chunk_prefix(self.buffer.len()).as_ref());
                    body.extend_from_slice(&self.buffer);
                    body.extend_from_slice(CHUNK_SUFFIX);
                }
                last_chunk_with(&mut body, []);
                Some(body)
            }
            _ => Some(self.buffer.clone()),
        }
    }

    /// How the body is announced to the backend.
    pub(super) fn announced(&self) -> Announced {
        match self.framing {
            Framing::Empty => Announced::Nothing,
            Framing::Length(length) => Announced::Length(length),
            // Many backends read no chunks: where the length is known by now, they are told it.
            _ if self.complete && self.trailers.is_none() => Announced::Length(self.buffer.len() as u64),
            _ => Announced::Chunked,
        }
    }
}

/// What a request whose body cannot be read comes to.
pub(super) fn stop_for(fault: BodyFault) -> Stop {
    match fault {
        BodyFault::Departed(departed) => Stop::Departed(departed),
        BodyFault::Silent => Reject::BodyTooSlow.into(),
        BodyFault::TooLarge { limit } => Reject::BodyTooLarge { limit }.into(),
        BodyFault::Refused(refusal) => Reject::Refused(refusal).into(),
        // Where there is no taker but memory, none can fail.
        BodyFault::Sink => Stop::Departed(Departed::Reset),
    }
}
