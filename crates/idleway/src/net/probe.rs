//! Asking a backend whether it serves.

use std::future::poll_fn;
use std::io;
use std::task::Context;
use std::time::Duration;

use idleway_core::Core;
use idleway_h1::{BodyReader, HeadReader, HeadWriter, Limits, Refusal, ResponseHead};

use super::backend::{BackendConnection, ConnectError};
use super::scratch;
use super::wire::{Body, ReadFault};
use crate::config::Origin;

/// Why a probe brought no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error("{0}")]
    Connect(ConnectError),
    #[error("closed without an answer")]
    Closed,
    #[error("the connection failed: {0}")]
    Broken(io::Error),
    #[error("not an answer: {0}")]
    Nonsense(Refusal),
}

/// How long the rest of an answer is waited for: long enough for a page, and a stream has none.
const REST: Duration = Duration::from_secs(1);

/// Sends `GET /` over a connection of its own and waits for an answer, whatever its status.
///
/// `within` bounds the connect. The answer may take as long as it takes: a backend that works on one request at a
/// time comes to this one when it has ended the one before, and closing earlier would not take it back.
pub(crate) async fn probe(origin: &Origin, core: Core, within: Duration) -> Result<u16, ProbeError> {
    let mut connection =
        BackendConnection::connect(origin, core, within).await.map_err(ProbeError::Connect)?;
    connection.watch_for_vanished_host();
    let mut writer = HeadWriter::request(connection.wire.tail(), "GET", "/");
    writer
        .field_fmt("Host", format_args!("{}:{}", origin.host, origin.port))
        .field("User-Agent", concat!("idleway/", env!("CARGO_PKG_VERSION"), " (probe)"))
        .field("Connection", "close")
        .end();
    connection.wire.send(&[]).map_err(ProbeError::Broken)?;
    let head = final_head(&mut connection).await?;
    // Its end is waited for too, so that the probe is no work of its own any more; the answer counts either way.
    let _ = tokio::time::timeout(REST, discard_body(&mut connection, &head)).await;
    Ok(head.status())
}

async fn discard_body(connection: &mut BackendConnection, head: &ResponseHead) {
    let mut body = BodyReader::new(head.framing(), Limits::default().head);
    let mut read = |cx: &mut Context<'_>| connection.wire.poll_body(cx, &mut body, scratch::SIZE, |_| Ok(()));
    while let Ok(Body::Some) = poll_fn(&mut read).await {}
}

async fn final_head(connection: &mut BackendConnection) -> Result<ResponseHead, ProbeError> {
    let mut reader = HeadReader::new(Limits::default());
    loop {
        let head = poll_fn(|cx| connection.wire.poll_head(cx, |bytes| reader.response(bytes, false))).await;
        match head {
            Ok(head) if head.is_interim() => {}
            Ok(head) => return Ok(head),
            Err(ReadFault::Cut) => return Err(ProbeError::Closed),
            Err(ReadFault::Broken(error) | ReadFault::Sink(error)) => return Err(ProbeError::Broken(error)),
            Err(ReadFault::Refused(refusal)) => return Err(ProbeError::Nonsense(refusal)),
        }
    }
}
