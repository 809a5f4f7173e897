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

use super::fault::Fault;
use super::value::{Count, Header, Methods, Quantity, Share, Statuses};
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
    pub(super) drain_timeout: Option<Spanned<Quantity>>,
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
    pub(super) head: Option<Spanned<Quantity>>,
    pub(super) target: Option<Spanned<Quantity>>,
    pub(super) fields: Option<Spanned<Count>>,
    pub(super) body: Option<Spanned<Quantity>>,
    pub(super) connections: Option<Spanned<Count>>,
    pub(super) buffered: Option<Spanned<Quantity>>,
    pub(super) keep_alive: Option<Spanned<Quantity>>,
    pub(super) head_timeout: Option<Spanned<Quantity>>,
}

/// `client = { … }`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct ClientKeys {
    pub(super) read: Option<Spanned<Quantity>>,
    pub(super) write: Option<Spanned<Quantity>>,
    pub(super) rate: Option<Spanned<Quantity>>,
    pub(super) fin: Option<Spanned<String>>,
}

/// `[pools.NAME]`, or at the top level for the pool `default`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct PoolKeys {
    pub(super) backends: Option<Spanned<Vec<Spanned<BackendEntry>>>>,
    pub(super) slots: Option<Spanned<Count>>,
    pub(super) connect_timeout: Option<Spanned<Quantity>>,
    pub(super) timeout: Option<Spanned<Quantity>>,
    pub(super) deadline: Option<Spanned<Quantity>>,
    pub(super) queue: Option<Spanned<QueueKeys>>,
    pub(super) retry: Option<RetryKeys>,
    #[serde(default)]
    pub(super) busy_status: Vec<Spanned<Count>>,
    pub(super) busy_rest_max: Option<Spanned<Quantity>>,
    pub(super) idempotency_key: Option<bool>,
    pub(super) health: Option<HealthKeys>,
    pub(super) resolve: Option<Spanned<String>>,
    pub(super) resolve_every: Option<Spanned<Quantity>>,
    pub(super) keep_alive: Option<bool>,
    pub(super) keep_idle: Option<Spanned<Quantity>>,
    pub(super) request_buffer: Option<Spanned<Quantity>>,
    pub(super) response_buffer: Option<Spanned<Quantity>>,
    pub(super) abandon: Option<Spanned<String>>,
    pub(super) cancel_wait: Option<Spanned<Quantity>>,
    pub(super) linger: Option<Spanned<Quantity>>,
    pub(super) settle: Option<Spanned<Quantity>>,
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
    pub(super) wait: Option<Spanned<Quantity>>,
    pub(super) wait_max: Option<Spanned<Quantity>>,
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
    pub(super) every: Option<Spanned<Quantity>>,
    pub(super) timeout: Option<Spanned<Quantity>>,
    pub(super) rise: Option<Spanned<Count>>,
    pub(super) fall: Option<Spanned<Count>>,
    pub(super) dedicated: Option<Spanned<bool>>,
    pub(super) failures: Option<Spanned<Count>>,
    pub(super) pause: Option<Spanned<Quantity>>,
    pub(super) pause_max: Option<Spanned<Quantity>>,
    pub(super) outlier: Option<Spanned<Share>>,
    pub(super) panic: Option<Spanned<Share>>,
    pub(super) slow_start: Option<Spanned<Quantity>>,
}

/// `[[routes]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RouteKeys {
    pub(super) host: Option<Spanned<String>>,
    pub(super) path: Option<Spanned<String>>,
    pub(super) exact: Option<Spanned<String>>,
    pub(super) method: Option<Spanned<Methods>>,
    #[serde(default)]
    pub(super) header: BTreeMap<Spanned<String>, Spanned<Header>>,
    pub(super) pool: Option<Spanned<String>>,
    pub(super) replace: Option<Spanned<String>>,
    pub(super) answer: Option<Spanned<AnswerKeys>>,
    pub(super) redirect: Option<Spanned<RedirectKeys>>,
    pub(super) request: Option<Spanned<RequestKeys>>,
    #[serde(default)]
    pub(super) response: ResponseKeys,
    pub(super) timeout: Option<Spanned<Quantity>>,
    pub(super) deadline: Option<Spanned<Quantity>>,
    pub(super) queue: Option<Spanned<RouteQueueKeys>>,
    pub(super) max_body: Option<Spanned<Quantity>>,
    pub(super) abandon: Option<Spanned<String>>,
    pub(super) priority: Option<Spanned<String>>,
    pub(super) idempotency_key: Option<Spanned<bool>>,
}

/// `answer = { … }` of a route
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct AnswerKeys {
    pub(super) status: Option<Spanned<Count>>,
    pub(super) body: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<Spanned<String>>,
}

/// `redirect = { … }` of a route
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RedirectKeys {
    pub(super) to: Option<Spanned<String>>,
    pub(super) status: Option<Spanned<Count>>,
}

/// `request = { … }` of a route
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RequestKeys {
    pub(super) host: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) set: FieldKeys,
    #[serde(default)]
    pub(super) add: FieldKeys,
    #[serde(default)]
    pub(super) remove: Vec<Spanned<String>>,
}

/// `response = { … }` of a route
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct ResponseKeys {
    #[serde(default)]
    pub(super) set: FieldKeys,
    #[serde(default)]
    pub(super) add: FieldKeys,
    #[serde(default)]
    pub(super) remove: Vec<Spanned<String>>,
}

/// `{ "name" = "value" }`
pub(super) type FieldKeys = BTreeMap<Spanned<String>, Spanned<String>>;

/// `queue = { … }` of a route, which has a place in its pool's line and none of its own.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RouteQueueKeys {
    pub(super) wait: Option<Spanned<Quantity>>,
    pub(super) wait_max: Option<Spanned<Quantity>>,
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

/// Reads the file as far as it can be understood, and says what could not be.
pub(super) fn read(text: &str) -> (File, Vec<Fault>) {
    // Only the first: what a parser says after it has lost its place helps nobody.
    let mut top = match DeTable::parse(text) {
        Ok(root) => root.into_inner(),
        Err(error) => return (File::default(), vec![syntax_fault(text, &error)]),
    };
    let mut faults = Vec::new();
    let mut default_pool = DeTable::new();
    for key in POOL_KEYS {
        if let Some((key, value)) = top.remove_entry(key) {
            default_pool.insert(key, value);
        }
    }
    let has_default = !default_pool.is_empty();
    let file = File {
        gateway: tolerant(text, top, &mut faults),
        default_pool: has_default.then(|| tolerant(text, default_pool, &mut faults)),
    };
    (file, faults)
}

/// Reads a table; what is at fault is taken out and the rest read again.
fn tolerant<'de, T: Deserialize<'de> + Default>(
    text: &str,
    mut table: DeTable<'de>,
    faults: &mut Vec<Fault>,
) -> T {
    loop {
        let root = toml::de::Deserializer::from(Spanned::new(0..text.len(), table.clone()));
        let error = match T::deserialize(root) {
            Ok(read) => return read,
            Err(error) => error,
        };
        faults.push(shape_fault(text, &error));
        let taken_out = error.span().is_some_and(|span| take_out(&mut table, &span));
        if !taken_out || faults.len() >= ENOUGH {
            return T::default();
        }
    }
}

/// Takes out the entry whose key or value stands at the span.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>) -> bool {
    let at_fault = table.iter().find(|(key, value)| key.span() == *span || value.span() == *span);
    if let Some(key) = at_fault.map(|(key, _)| key.get_ref().to_string()) {
        return table.remove(key.as_str()).is_some();
    }
    table.iter_mut().any(|(_, value)| take_out_within(value.get_mut(), span))
}

fn take_out_within(value: &mut DeValue<'_>, span: &Range<usize>) -> bool {
    match value {
        DeValue::Table(table) => take_out(table, span),
        DeValue::Array(array) if array.iter().any(|element| element.span() == *span) => {
            let mut rest = DeArray::new();
            std::mem::replace(array, DeArray::new())
                .into_iter()
                .filter(|element| element.span() != *span)
                .for_each(|element| rest.push(element));
            *array = rest;
            true
        }
        DeValue::Array(array) => array.iter_mut().any(|element| take_out_within(element.get_mut(), span)),
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
