//! The kinds of value that TOML has no type for: what is accepted where, and what else would be told.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Unexpected, Visitor};

use super::file::AccessLogKeys;
use super::spanned::Spanned;

/// A duration as written. A number without a unit is let through here, so that [`units`](super::units) can ask for
/// the unit.
#[derive(Debug)]
pub(super) struct Period(pub(super) String);

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_number(deserializer, "a duration, like \"10s\"").map(Period)
    }
}

/// A size as written, with or without its unit.
#[derive(Debug)]
pub(super) struct Size(pub(super) String);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_number(deserializer, "a size, like \"64KiB\"").map(Size)
    }
}

/// A share as written, with or without its `%`.
#[derive(Debug)]
pub(super) struct Share(pub(super) String);

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_number(deserializer, "a share, like \"20%\"").map(Share)
    }
}

/// A number of things.
#[derive(Debug)]
pub(super) struct Count(pub(super) u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Count, E> {
                u64::try_from(number)
                    .map(Count)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(number), &"a number from 0 up"))
            }
        }
        deserializer.deserialize_any(Whole)
    }
}

/// One method or a list of them.
#[derive(Debug)]
pub(super) enum Methods {
    One(String),
    Several(Vec<Spanned<String>>),
}

impl<'de> Deserialize<'de> for Methods {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Methods;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a method or a list of methods")
            }
            fn visit_str<E: Error>(self, method: &str) -> Result<Methods, E> {
                Ok(Methods::One(method.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Methods, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Methods::Several)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// What a route asks of a header field: its value, or whether it is there.
#[derive(Debug)]
pub(super) enum Header {
    Value(String),
    IsThere(bool),
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Header;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the value of a header field, or true or false")
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Header, E> {
                Ok(Header::Value(value.to_owned()))
            }
            fn visit_bool<E: Error>(self, is_there: bool) -> Result<Header, E> {
                Ok(Header::IsThere(is_there))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Whether requests are logged, or how.
#[derive(Debug)]
pub(super) enum AccessLog {
    On(bool),
    As(AccessLogKeys),
}

impl<'de> Deserialize<'de> for AccessLog {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = AccessLog;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or a table")
            }
            fn visit_bool<E: Error>(self, is_on: bool) -> Result<AccessLog, E> {
                Ok(AccessLog::On(is_on))
            }
            fn visit_map<A: MapAccess<'de>>(self, keys: A) -> Result<AccessLog, A::Error> {
                AccessLogKeys::deserialize(MapAccessDeserializer::new(keys)).map(AccessLog::As)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// What may be switched off: where it is, or whether.
#[derive(Debug)]
pub(super) enum Switched {
    To(String),
    On(bool),
}

impl<'de> Deserialize<'de> for Switched {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Switched;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or false")
            }
            fn visit_str<E: Error>(self, at: &str) -> Result<Switched, E> {
                Ok(Switched::To(at.to_owned()))
            }
            fn visit_bool<E: Error>(self, is_on: bool) -> Result<Switched, E> {
                Ok(Switched::On(is_on))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Statuses as written: a number, a text like `200-399` or `2xx`, or a list of these.
#[derive(Debug)]
pub(super) enum Statuses {
    One(Status),
    Several(Vec<Spanned<Status>>),
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Statuses;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status, like 200, \"200-399\" or \"2xx\", or a list of them")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Statuses, E> {
                Ok(Statuses::One(Status(text.to_owned())))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Statuses, E> {
                Ok(Statuses::One(Status(number.to_string())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Statuses, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Statuses::Several)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// One of them, or several in a row.
#[derive(Debug)]
pub(super) struct Status(pub(super) String);

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_number(deserializer, "a status, like 200, \"200-399\" or \"2xx\"").map(Status)
    }
}

/// A text, or a whole number as it is written.
fn text_or_number<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
) -> Result<String, D::Error> {
    struct Either(&'static str);
    impl Visitor<'_> for Either {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
        fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }
    }
    deserializer.deserialize_any(Either(expected))
}
