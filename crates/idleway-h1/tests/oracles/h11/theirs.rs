//! h11's answers.

use idleway_h1::Version;

use crate::message::{End, Message, Outcome, Start};

/// What h11 made of some bytes.
#[derive(PartialEq, Debug)]
pub(crate) enum Theirs {
    NoHead,
    /// Refused, with the status that it proposes and its words.
    Refused(u16, String),
    Read(Reading),
}

/// A message as far as h11 shows it.
#[derive(Clone, PartialEq)]
pub(crate) struct Reading {
    /// Method and target, or status and reason.
    pub(crate) start: (Vec<u8>, Vec<u8>),
    pub(crate) version: Version,
    /// With names in small letters.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, Vec<u8>)>,
    pub(crate) end: End,
    pub(crate) keep_alive: bool,
    pub(crate) length: usize,
}

impl Theirs {
    pub(crate) fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["no-head"] => Self::NoHead,
            ["refused", status, ref text @ ..] => {
                Self::Refused(status.parse().expect("a status"), text.join(" "))
            }
            ["read", first, second, version, fields, body, trailers, end, kept, length] => {
                let is_status = first.len() == 3;
                let first = if is_status { first.as_bytes().to_vec() } else { unhex(first) };
                Self::Read(Reading {
                    start: (first, unhex(second)),
                    version: if version == "1.0" { Version::Http10 } else { Version::Http11 },
                    fields: unhex_fields(fields),
                    body: unhex(body),
                    trailers: unhex_fields(trailers),
                    end: if end == "complete" { End::Complete } else { End::Truncated },
                    keep_alive: kept == "keep",
                    length: length.parse().expect("a length"),
                })
            }
            _ => unreachable!("an answer of another form: {line}"),
        }
    }

    /// Whether both read the same, or both refuse.
    pub(crate) fn agrees(&self, ours: &Outcome) -> bool {
        match (self, ours) {
            (Self::NoHead, Outcome::NoHead) | (Self::Refused(..), Outcome::Refused(_)) => true,
            (Self::Read(theirs), Outcome::Read(ours)) => *theirs == Reading::of(ours),
            _ => false,
        }
    }
}

impl Reading {
    /// What h11 would show of a message that is read as ours.
    pub(crate) fn of(message: &Message) -> Self {
        let start = match &message.start {
            Start::Request { method, target, .. } => (method.as_bytes().to_vec(), target.as_bytes().to_vec()),
            Start::Response { status, reason } => (status.to_string().into_bytes(), reason.clone()),
        };
        Self {
            start,
            version: message.version,
            fields: lowercase(&message.fields),
            body: message.body.clone(),
            trailers: lowercase(&message.trailers),
            end: message.end,
            keep_alive: message.keep_alive,
            length: message.length,
        }
    }
}

fn lowercase(fields: &[(String, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect()
}

fn unhex_fields(text: &str) -> Vec<(String, Vec<u8>)> {
    let fields = text.split(',').filter_map(|field| field.split_once(':'));
    fields.map(|(name, value)| (String::from_utf8(unhex(name)).expect("a token"), unhex(value))).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().as_chunks::<2>().0;
    let byte = |pair: &[u8; 2]| {
        let digits = str::from_utf8(pair).expect("digits");
        u8::from_str_radix(digits, 16).expect("hexadecimal digits")
    };
    pairs.iter().map(byte).collect()
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, second) = &self.start;
        write!(f, "{} {} {:?}", first.escape_ascii(), second.escape_ascii(), self.version)?;
        for (name, value) in self.fields.iter().chain(&self.trailers) {
            write!(f, " {name}=\"{}\"", value.escape_ascii())?;
        }
        let kept = if self.keep_alive { "keep" } else { "close" };
        write!(f, " body \"{}\" {:?} {kept}, {} bytes", self.body.escape_ascii(), self.end, self.length)
    }
}
