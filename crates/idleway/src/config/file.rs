//! The shape of the configuration file: its tables and keys, and what kind of [`value`](super::value) each takes.
//!
//! serde reads it and stops at the first thing it does not understand; so that a fault does not hide the next, what
//! is at fault is taken out and the rest is read again ([`tolerant`]). Values whose meaning may be wrong keep their
//! span for [`meaning`](super::meaning).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::expand::{Lookup, Veil};
use super::fault::Fault;
use super::value::{Count, Methods, Period, Share, Size, Statuses};
use super::words::{shape_fault, syntax_fault};

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) gateway: GatewayKeys,
    /// The pool keys at the top level, if there is one of them.
    pub(super) default_pool: Option<PoolKeys>,
}

/// The top level without the pool keys.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct GatewayKeys {
    pub(super) listen: Option<Spanned<String>>,
    pub(super) threads: Option<Spanned<Count>>,
    pub(super) drain_timeout: Option<Spanned<Period>>,
    pub(super) access_log: Option<bool>,
    #[serde(default)]
    pub(super) trusted: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) limits: LimitsKeys,
    #[serde(default)]
    pub(super) client: ClientKeys,
    #[serde(default)]
    pub(super) pools: BTreeMap<Spanned<String>, PoolKeys>,
    #[serde(default)]
    pub(super) routes: Vec<Spanned<RouteKeys>>,
}

/// `[limits]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct LimitsKeys {
    pub(super) head: Option<Spanned<Size>>,
    pub(super) target: Option<Spanned<Size>>,
    pub(super) fields: Option<Spanned<Count>>,
    pub(super) body: Option<Spanned<Size>>,
    pub(super) connections: Option<Spanned<Count>>,
    pub(super) buffered: Option<Spanned<Size>>,
    pub(super) keep_alive: Option<Spanned<Period>>,
    pub(super) head_timeout: Option<Spanned<Period>>,
}

/// `client = { … }`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct ClientKeys {
    pub(super) read: Option<Spanned<Period>>,
    pub(super) write: Option<Spanned<Period>>,
    pub(super) rate: Option<Spanned<Size>>,
    pub(super) fin: Option<Spanned<String>>,
}

/// `[pools.NAME]`, or at the top level for the pool `default`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct PoolKeys {
    pub(super) backends: Option<Spanned<Vec<Spanned<BackendEntry>>>>,
    pub(super) slots: Option<Spanned<Count>>,
    pub(super) connect_timeout: Option<Spanned<Period>>,
    pub(super) timeout: Option<Spanned<Period>>,
    pub(super) deadline: Option<Spanned<Period>>,
    pub(super) queue: Option<Spanned<QueueKeys>>,
    pub(super) retry: Option<RetryKeys>,
    #[serde(default)]
    pub(super) busy_status: Vec<Spanned<Count>>,
    pub(super) busy_rest_max: Option<Spanned<Period>>,
    pub(super) idempotency_key: Option<bool>,
    pub(super) health: Option<HealthKeys>,
    pub(super) resolve: Option<Spanned<String>>,
    pub(super) resolve_every: Option<Spanned<Period>>,
    pub(super) keep_alive: Option<bool>,
    pub(super) keep_idle: Option<Spanned<Period>>,
    pub(super) request_buffer: Option<Spanned<Size>>,
    pub(super) response_buffer: Option<Spanned<Size>>,
    pub(super) abandon: Option<Spanned<String>>,
    pub(super) cancel_wait: Option<Spanned<Period>>,
    pub(super) linger: Option<Spanned<Period>>,
    pub(super) settle: Option<Spanned<Period>>,
    pub(super) fair_by: Option<Spanned<String>>,
    pub(super) weights: Option<Spanned<Weights>>,
    pub(super) slots_per_key: Option<Spanned<Count>>,
    pub(super) priority: Option<Spanned<String>>,
    pub(super) deadline_header: Option<Spanned<String>>,
}

/// `weights = { … }`: by the value that names the key.
pub(super) type Weights = BTreeMap<Spanned<String>, Spanned<Count>>;

/// The keys of [`PoolKeys`]: at the top level they are the default pool's.
pub(super) const POOL_KEYS: [&str; 26] = [
    "backends",
    "slots",
    "connect_timeout",
    "timeout",
    "deadline",
    "queue",
    "retry",
    "busy_status",
    "busy_rest_max",
    "idempotency_key",
    "health",
    "resolve",
    "resolve_every",
    "keep_alive",
    "keep_idle",
    "request_buffer",
    "response_buffer",
    "abandon",
    "cancel_wait",
    "linger",
    "settle",
    "fair_by",
    "weights",
    "slots_per_key",
    "priority",
    "deadline_header",
];

/// `queue = { … }`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct QueueKeys {
    pub(super) length: Option<Spanned<Count>>,
    pub(super) wait: Option<Spanned<Period>>,
    pub(super) wait_max: Option<Spanned<Period>>,
}

/// `retry = { … }`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RetryKeys {
    pub(super) attempts: Option<Spanned<Count>>,
    pub(super) budget: Option<Spanned<Share>>,
    pub(super) floor: Option<Spanned<Count>>,
}

/// `health = { … }`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct HealthKeys {
    pub(super) path: Option<Spanned<String>>,
    pub(super) tcp: Option<Spanned<bool>>,
    pub(super) method: Option<Spanned<String>>,
    pub(super) host: Option<Spanned<String>>,
    pub(super) status: Option<Spanned<Statuses>>,
    pub(super) every: Option<Spanned<Period>>,
    pub(super) timeout: Option<Spanned<Period>>,
    pub(super) rise: Option<Spanned<Count>>,
    pub(super) fall: Option<Spanned<Count>>,
    pub(super) dedicated: Option<Spanned<bool>>,
    pub(super) failures: Option<Spanned<Count>>,
    pub(super) pause: Option<Spanned<Period>>,
    pub(super) pause_max: Option<Spanned<Period>>,
    pub(super) outlier: Option<Spanned<Share>>,
    pub(super) panic: Option<Spanned<Share>>,
    pub(super) slow_start: Option<Spanned<Period>>,
}

/// `[[routes]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RouteKeys {
    pub(super) host: Option<Spanned<String>>,
    pub(super) path: Option<Spanned<String>>,
    pub(super) method: Option<Spanned<Methods>>,
    pub(super) pool: Option<Spanned<String>>,
    pub(super) abandon: Option<Spanned<String>>,
    pub(super) priority: Option<Spanned<String>>,
    pub(super) idempotency_key: Option<bool>,
}

/// A backend as `{ url, slots, resolve }`; a bare URL is one with nothing else said.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct BackendKeys {
    pub(super) url: Option<Spanned<String>>,
    pub(super) slots: Option<Spanned<Count>>,
    pub(super) resolve: Option<Spanned<String>>,
}

/// An entry of `backends`.
#[derive(Debug)]
pub(super) enum BackendEntry {
    Url(String),
    Keys(BackendKeys),
}

impl<'de> Deserialize<'de> for BackendEntry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = BackendEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a URL or a table of `url`, `slots` and `resolve`")
            }
            fn visit_str<E: Error>(self, url: &str) -> Result<BackendEntry, E> {
                Ok(BackendEntry::Url(url.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BackendEntry, A::Error> {
                BackendKeys::deserialize(MapAccessDeserializer::new(map)).map(BackendEntry::Keys)
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

/// More faults than anyone reads at once; the next run shows the rest.
const ENOUGH: usize = 20;

/// What could be read of a file, and what could not.
#[derive(Debug, Default)]
pub(super) struct Understood {
    pub(super) file: File,
    pub(super) faults: Vec<Fault>,
    /// The keys that were taken out, each as the names that lead to it; of an element of a list, the list's and
    /// [`ELEMENT`]. A path without names is the whole file.
    pub(super) lost: Vec<Vec<String>>,
    pub(super) veil: Veil,
}

/// What stands for the place in a list.
pub(super) const ELEMENT: &str = "[]";

/// Reads the file as far as it can be understood, and says what could not be.
pub(super) fn read(text: &str, lookup: Lookup<'_>) -> Understood {
    let mut read = Understood::default();
    // Only the first: what a parser says after it has lost its place helps nobody.
    let mut top = match DeTable::parse(text) {
        Ok(root) => root.into_inner(),
        Err(error) => {
            read.faults.push(syntax_fault(text, &error));
            read.lost.push(Vec::new());
            return read;
        }
    };
    for (span, fault) in read.veil.expand(&mut top, lookup) {
        read.faults.push(fault.at(text, span.clone()));
        let mut path = Vec::new();
        if take_out(&mut top, &span, &mut path) {
            path.reverse();
            read.lost.push(path);
        }
    }
    let mut default_pool = DeTable::new();
    for key in POOL_KEYS {
        if let Some((key, value)) = top.remove_entry(key) {
            default_pool.insert(key, value);
        }
    }
    let has_default = !default_pool.is_empty();
    read.file.gateway = read.tolerant(text, top);
    read.file.default_pool = has_default.then(|| read.tolerant(text, default_pool));
    read
}

impl Understood {
    /// Reads a table; what is at fault is taken out and the rest read again.
    fn tolerant<'de, T: Deserialize<'de> + Default>(&mut self, text: &str, mut table: DeTable<'de>) -> T {
        loop {
            let root = toml::de::Deserializer::from(Spanned::new(0..text.len(), table.clone()));
            let error = match T::deserialize(root) {
                Ok(read) => return read,
                Err(error) => error,
            };
            let mut path = Vec::new();
            let taken_out = error.span().is_some_and(|span| take_out(&mut table, &span, &mut path));
            path.reverse();
            let fault = shape_fault(&error, &path);
            self.faults.push(match error.span() {
                Some(span) => self.veil.hide(fault, &span).at(text, span),
                None => self.veil.hide(fault, &(0..0)),
            });
            if !taken_out || self.faults.len() >= ENOUGH {
                self.lost.push(Vec::new());
                return T::default();
            }
            self.lost.push(path);
        }
    }
}

/// Takes out the entry whose key or value stands at the span, and notes the way there, from its end.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
    let at_fault = table.iter().find(|(key, value)| key.span() == *span || value.span() == *span);
    if let Some(key) = at_fault.map(|(key, _)| key.get_ref().to_string()) {
        let taken_out = table.remove(key.as_str()).is_some();
        path.push(key);
        return taken_out;
    }
    table.iter_mut().any(|(key, value)| {
        let taken_out = take_out_within(value.get_mut(), span, path);
        if taken_out {
            path.push(key.get_ref().to_string());
        }
        taken_out
    })
}

fn take_out_within(value: &mut DeValue<'_>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
    match value {
        DeValue::Table(table) => take_out(table, span, path),
        DeValue::Array(array) if array.iter().any(|element| element.span() == *span) => {
            let mut rest = DeArray::new();
            std::mem::replace(array, DeArray::new())
                .into_iter()
                .filter(|element| element.span() != *span)
                .for_each(|element| rest.push(element));
            *array = rest;
            path.push(ELEMENT.to_owned());
            true
        }
        DeValue::Array(array) => array.iter_mut().any(|element| {
            let taken_out = take_out_within(element.get_mut(), span, path);
            if taken_out {
                path.push(ELEMENT.to_owned());
            }
            taken_out
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::GATEWAY_KEYS;
    use super::*;

    /// The keys of a table, as serde tells them to who writes another one.
    fn keys<T: for<'de> Deserialize<'de> + fmt::Debug>() -> String {
        toml::from_str::<T>("another = 1").unwrap_err().message().to_owned()
    }

    #[test]
    fn the_lists_of_keys_are_complete() {
        let told =
            |keys: &[&str]| format!("unknown field `another`, expected one of `{}`", keys.join("`, `"));
        assert_eq!(keys::<PoolKeys>(), told(&POOL_KEYS));
        assert_eq!(keys::<GatewayKeys>(), told(&GATEWAY_KEYS));
    }
}
