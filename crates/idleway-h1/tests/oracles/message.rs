//! What a reader made of some bytes, in a form that all readers can be compared in.

use std::fmt;

use idleway_h1::{Framing, Refusal, Version};

/// What is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Kind {
    Request,
    Response,
    /// A response to `HEAD`.
    ResponseToHead,
}

/// What came of it.
#[derive(Clone, PartialEq)]
pub(crate) enum Outcome<R = Refusal> {
    /// The head has not come wholly.
    NoHead,
    Refused(R),
    Read(Box<Message>),
}

/// A message whose head has come.
#[derive(Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) start: Start,
    pub(crate) version: Version,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, Vec<u8>)>,
    /// How the body stands when all bytes are read and the input has ended.
    pub(crate) end: End,
    /// Bytes of head and body, and of the empty line before.
    pub(crate) length: usize,
}

#[derive(Clone, PartialEq)]
pub(crate) enum Start {
    Request { method: String, target: String, path: String, authority: String, expects_continue: bool },
    Response { status: u16, reason: Vec<u8> },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum End {
    Complete,
    Truncated,
}

/// One line, as the corpus writes it.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.start {
            Start::Request { method, target, path, authority, expects_continue } => {
                write!(f, "{method} {target}")?;
                if path != target {
                    write!(f, " = {path}")?;
                }
                write!(f, " of {authority:?}")?;
                if *expects_continue {
                    write!(f, " expects")?;
                }
            }
            Start::Response { status, reason } => write!(f, "{status} \"{}\"", reason.escape_ascii())?,
        }
        write!(f, " {:?} {:?}", self.version, self.framing)?;
        write!(f, " {}", if self.keep_alive { "keep" } else { "close" })?;
        if !self.body.is_empty() {
            write!(f, " body \"{}\"", self.body.escape_ascii())?;
        }
        for (name, value) in &self.trailers {
            write!(f, " trailer {name}=\"{}\"", value.escape_ascii())?;
        }
        write!(f, " {:?}, {} bytes", self.end, self.length)
    }
}

impl fmt::Debug for Outcome<Refusal> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHead => write!(f, "no head"),
            Self::Refused(refusal) => {
                write!(f, "{:?} {} at {}", refusal.reason, refusal.status, refusal.offset)
            }
            Self::Read(message) => write!(f, "{message:?}"),
        }
    }
}
