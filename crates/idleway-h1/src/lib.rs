//! HTTP/1.1 without I/O: bytes in, events out, and what is odd is refused by name.
//!
//! This crate opens no socket, reads no clock, starts no task and keeps no bytes but those of a head that is
//! complete and of trailers that are not yet. It never repairs: what two programs could read in two ways is a
//! [`Refusal`] with a reason, an offset and a status, because a gateway that guesses lets requests be smuggled.
//! RFC 9112 is meant where a comment names a section alone.
//!
//! | file | what it holds |
//! |---|---|
//! | `head` | [`HeadReader`]: finds the end of a head in what has arrived and reads it |
//! | `scan` | the one pass over new bytes: line ends, control characters, limits |
//! | `request`, `response` | [`RequestHead`], [`ResponseHead`]: a head and what it means |
//! | `field`, `known` | fields as they stand, and the ones with a meaning here |
//! | `target` | the request target's forms, and which hosts are hosts |
//! | `framing`, `connection` | where the body ends; whether the connection lives on |
//! | `fault` | names what the tokenizer refused |
//! | `body`, `chunk`, `trailers` | [`BodyReader`]: ranges of data, then the end |
//! | `write` | [`HeadWriter`] and the bytes around chunks |
//! | `limits`, `refusal` | bounds, and what is said beyond them |
//!
//! ```
//! use idleway_h1::{BodyReader, Event, Framing, HeadReader, Limits};
//!
//! let bytes = b"POST /process HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
//! let (head, used) = HeadReader::new(Limits::default()).request(bytes)?.expect("a whole head");
//! assert_eq!((head.method(), head.path(), head.framing()), ("POST", "/process", Framing::Length(2)));
//!
//! let mut body = BodyReader::new(head.framing(), 8 * 1024);
//! assert_eq!(body.next(&bytes[used..])?.event, Event::Data(0..2));
//! assert!(body.is_done());
//! # Ok::<(), idleway_h1::Refusal>(())
//! ```

mod body;
mod chunk;
mod connection;
mod fault;
mod field;
mod framing;
mod head;
mod known;
mod limits;
mod refusal;
mod request;
mod response;
mod scan;
mod target;
mod trailers;
mod write;

pub use body::{BodyReader, Event, Step};
pub use field::{Field, FieldIter, is_token};
pub use framing::Framing;
pub use head::{HeadReader, Version};
pub use known::Known;
pub use limits::{Limits, MAX_FIELDS, MAX_HEAD};
pub use refusal::{Refusal, RefusalReason};
pub use request::RequestHead;
pub use response::ResponseHead;
pub use target::{is_authority, is_path};
pub use trailers::Trailers;
pub use write::{
    CHUNK_SUFFIX, ChunkPrefix, HeadWriter, LAST_CHUNK, chunk_prefix, last_chunk_with, reason_phrase,
};
