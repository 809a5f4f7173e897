//! The body of an answer, as a mounted gateway hands it out.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Frame, SizeHint};
use idleway_h1::{BodyReader, Framing, Trailers};

use super::mount::Visit;
use crate::net::wire;

/// The body of an answer: what the backend sends, as it comes. Dropped before its end, the client has left.
#[derive(Debug)]
pub struct Body(Inner);

#[derive(Debug)]
enum Inner {
    /// All of it, said at once.
    Said(Option<Bytes>),
    /// Comes from the gateway.
    Coming(Box<Coming>),
    Over,
}

#[derive(Debug)]
struct Coming {
    visit: Visit,
    reader: BodyReader,
    /// They have come with the last of the content.
    trailers: Option<HeaderMap>,
}

impl Body {
    pub(super) fn said(text: String) -> Self {
        Self(Inner::Said(Some(text.into())))
    }

    pub(super) fn coming(visit: Visit, framing: Framing) -> Self {
        if framing == Framing::Empty || framing == Framing::Length(0) {
            return Self(Inner::Over);
        }
        let reader = BodyReader::new(framing, TRAILERS);
        Self(Inner::Coming(Box::new(Coming { visit, reader, trailers: None })))
    }
}

type Next = Result<Frame<Bytes>, BodyError>;

impl Coming {
    /// The next frame, and whether it is the last.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<(Option<Next>, bool)> {
        if let Some(fields) = self.trailers.take() {
            return Poll::Ready((Some(Ok(Frame::trailers(fields))), true));
        }
        let mut data = BytesMut::new();
        let result = ready!(self.visit.wire.poll_body(cx, &mut self.reader, usize::MAX, |content| {
            content.pieces.iter().for_each(|piece| data.extend_from_slice(piece));
            Ok(())
        }));
        let data = (!data.is_empty()).then(|| Ok(Frame::data(data.freeze())));
        Poll::Ready(match result {
            Ok(wire::Body::Some) => (data, false),
            Ok(wire::Body::Done(None)) => (data, true),
            Ok(wire::Body::Done(Some(fields))) if data.is_none() => {
                (Some(Ok(Frame::trailers(map_of(&fields)))), true)
            }
            Ok(wire::Body::Done(Some(fields))) => {
                self.trailers = Some(map_of(&fields));
                (data, false)
            }
            Err(_) => (Some(Err(BodyError(()))), true),
        })
    }
}

/// Bytes of trailers that may follow an answer.
const TRAILERS: usize = 64 << 10;

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Next>> {
        let (frame, is_over) = match &mut self.0 {
            Inner::Over => return Poll::Ready(None),
            Inner::Said(text) => (text.take().map(|text| Ok(Frame::data(text))), true),
            Inner::Coming(coming) => ready!(coming.poll_frame(cx)),
        };
        if is_over {
            self.0 = Inner::Over;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Inner::Over)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Said(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Inner::Coming(coming) => {
                coming.reader.remaining().map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Inner::Over => SizeHint::with_exact(0),
        }
    }
}

fn map_of(trailers: &Trailers) -> HeaderMap {
    fields_of(trailers.fields().map(|field| (field.name, field.value)))
}

/// Fields that were read, in the library's own shape; those that it has no place for are passed over.
pub(super) fn fields_of<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(value);
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    map
}

/// The answer broke off: the backend ended it before its end, or took too long. What has come is not all of it.
#[derive(Debug)]
pub struct BodyError(());

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer broke off before its end")
    }
}

impl Error for BodyError {}
