//! Asking a backend whether it serves.

use std::future::poll_fn;
use std::io;
use std::task::Context;
use std::time::Duration;

use idleway_h1::{BodyReader, Framing, HeadReader, HeadWriter, Limits, Refusal, ResponseHead};

use super::backend::BackendConnection;
use super::scratch;
use super::wire::{Body, ReadFault};

/// The request of a probe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) host: &'a str,
    /// Whether the backend is to keep the connection.
    pub(crate) keep_alive: bool,
}

/// What a backend answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// It came to its end in time: nothing is at work any more.
    pub(crate) is_whole: bool,
    /// The connection serves for another request, and how long the backend said that it keeps it.
    pub(crate) keeps: Option<Option<Duration>>,
}

/// Why a probe brought no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error("closed without an answer")]
    Closed,
    #[error("the connection failed: {0}")]
    Broken(io::Error),
    #[error("not an answer: {0}")]
    Nonsense(Refusal),
}

/// How long the rest of an answer is waited for: long enough for a page, and a stream has none.
const REST: Duration = Duration::from_secs(1);

/// Sends a request and waits for an answer, whatever its status.
///
/// The answer may take as long as it takes: a backend that works on one request at a time comes to this one when it has
/// ended the one before, and closing earlier would not take it back.
pub(crate) async fn ask(
    connection: &mut BackendConnection,
    question: &Question<'_>,
) -> Result<Answer, ProbeError> {
    let mut writer = HeadWriter::request(connection.wire.tail(), question.method, question.target);
    writer
        .field("Host", question.host)
        .field("User-Agent", concat!("idleway/", env!("CARGO_PKG_VERSION"), " (probe)"))
        .field("Accept", "*/*");
    if !question.keep_alive {
        writer.field("Connection", "close");
    }
    writer.end();
    connection.wire.send(&[]).map_err(ProbeError::Broken)?;
    // No clock of ours ends it.
    connection.watch_for_vanished_host();
    let head = final_head(connection, question.method == "HEAD").await?;
    let rest = tokio::time::timeout(REST, discard_body(connection, &head)).await;
    let is_whole = rest.unwrap_or(false);
    let keeps_alive = question.keep_alive && head.keep_alive() && head.framing() != Framing::UntilClose;
    let is_silent = connection.wire.inbox_len() == 0 && connection.wire.outbox().is_empty();
    let keeps = (is_whole && keeps_alive && is_silent).then(|| head.keep_alive_timeout());
    Ok(Answer { status: head.status(), is_whole, keeps })
}

/// Waits for the end of the connection, whatever else comes before it.
pub(crate) async fn until_closed(connection: &mut BackendConnection) {
    let mut read = |cx: &mut Context<'_>| connection.wire.poll_discard(cx);
    while poll_fn(&mut read).await.is_ok_and(|bytes| bytes > 0) {}
}

/// Whether the body came to its end, which the end of the connection is too.
async fn discard_body(connection: &mut BackendConnection, head: &ResponseHead) -> bool {
    let mut body = BodyReader::new(head.framing(), Limits::default().head);
    let mut read = |cx: &mut Context<'_>| connection.wire.poll_body(cx, &mut body, scratch::SIZE, |_| Ok(()));
    loop {
        match poll_fn(&mut read).await {
            Ok(Body::Some) => {}
            Ok(Body::Done(_)) | Err(ReadFault::Cut | ReadFault::Broken(_)) => return true,
            Err(_) => return false,
        }
    }
}

async fn final_head(connection: &mut BackendConnection, to_head: bool) -> Result<ResponseHead, ProbeError> {
    let mut reader = HeadReader::new(Limits::default());
    loop {
        let head = poll_fn(|cx| connection.wire.poll_head(cx, |bytes| reader.response(bytes, to_head))).await;
        match head {
            Ok(head) if head.is_interim() => {}
            Ok(head) => return Ok(head),
            Err(ReadFault::Cut) => return Err(ProbeError::Closed),
            Err(ReadFault::Broken(error) | ReadFault::Sink(error)) => return Err(ProbeError::Broken(error)),
            Err(ReadFault::Refused(refusal)) => return Err(ProbeError::Nonsense(refusal)),
        }
    }
}
