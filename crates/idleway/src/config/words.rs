//! What could not be read, in the words of who wrote it rather than those of the parser.

use super::fault::Fault;
use super::file::POOL_KEYS;

pub(super) fn syntax_fault(text: &str, error: &toml::de::Error) -> Fault {
    let span = error.span().unwrap_or(text.len()..text.len());
    Fault::new(format!("not TOML: {}", error.message())).at(text, span)
}

/// Keys of the next versions: who writes one has read ahead, not made a mistake.
const NOT_YET: [&str; 2] = ["admin", "cold_start"];

/// Keys of the top level, for those who find them in another table.
pub(super) const GATEWAY_KEYS: [&str; 9] =
    ["listen", "threads", "drain_timeout", "access_log", "trusted", "limits", "client", "pools", "routes"];

pub(super) fn shape_fault(text: &str, error: &toml::de::Error) -> Fault {
    let fault = match error.message().strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
        Some((key, known)) => unknown_key(key, known.trim_start_matches(", expected ")),
        None => Fault::new(in_plain_words(error.message())),
    };
    match error.span() {
        Some(span) => fault.at(text, span),
        None => fault,
    }
}

fn unknown_key(key: &str, known: &str) -> Fault {
    let fault = Fault::new(format!("unknown key `{key}`"));
    let known = known.trim_start_matches("one of ");
    if NOT_YET.contains(&key) {
        return fault.hint(format!("this version does not have `{key}` yet: take it out"));
    }
    if known.starts_with("`listen`") {
        return fault.hint(format!("known here: {known}, `{}`", POOL_KEYS.join("`, `")));
    }
    if GATEWAY_KEYS.contains(&key) {
        return fault.hint(format!("`{key}` stands at the top level, above the first `[table]` of the file"));
    }
    if POOL_KEYS.contains(&key) {
        return fault.hint(format!(
            "`{key}` stands in a `[pools.NAME]`, or at the top level above the first `[table]` of the file"
        ));
    }
    fault.hint(format!("known here: {known}"))
}

/// serde's words for a wrong kind of value, in those of the file.
fn in_plain_words(message: &str) -> String {
    let plain = message.replace("a sequence", "a list").replace("a map", "a table");
    if plain.starts_with("invalid length") {
        return "expected a table, found a list".to_owned();
    }
    let kinds = plain.strip_prefix("invalid type: ").or(plain.strip_prefix("invalid value: "));
    match kinds.and_then(|kinds| kinds.split_once(", expected ")) {
        Some((found, expected)) => format!("expected {expected}, found {}", found.replace("map", "a table")),
        None => plain,
    }
}
