//! What could not be read, in the words of who wrote it rather than those of the parser.

use std::ops::Range;

use super::fault::{Fault, told};
use super::file::POOL_KEYS;
use super::habits;
use super::nearest::nearest;
use super::read::ELEMENT;
use super::units::in_milliseconds;

pub(super) fn syntax_fault(text: &str, error: &toml::de::Error) -> Fault {
    let span = visible(text, error.span().unwrap_or(text.len()..text.len()));
    let fault = Fault::new(format!("not TOML: {}", error.message())).at(text, span.clone());
    let start = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim();
    match as_other_formats_have_it(line) {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

/// The place, or, where it is between two characters, that of the one behind it; before it at the end of a line.
fn visible(text: &str, span: Range<usize>) -> Range<usize> {
    if !span.is_empty() {
        return span;
    }
    let (before, behind) = text.split_at_checked(span.start).unwrap_or((text, ""));
    let is_seen = |c: &char| !matches!(c, '\n' | '\r');
    match (behind.chars().next().filter(is_seen), before.chars().next_back().filter(is_seen)) {
        (Some(next), _) => span.start..span.start + next.len_utf8(),
        (None, Some(last)) => span.start - last.len_utf8()..span.start,
        (None, None) => span,
    }
}

/// What to write instead of a line as YAML, nginx or a shell would have it.
fn as_other_formats_have_it(line: &str) -> Option<String> {
    let is_word = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-' || b == b'.')
    };
    if let Some((key, value)) = line.split_once('=') {
        let (key, value) = (key.trim(), value.split('#').next().unwrap_or_default().trim());
        return match value.to_ascii_lowercase().as_str() {
            _ if !is_word(key) => None,
            "" => Some(format!("the value of `{key}` is missing")),
            "true" | "yes" | "on" => Some(format!("write: {key} = true")),
            "false" | "no" | "off" => Some(format!("write: {key} = false")),
            // A text that was begun and not ended, and what begins as a list or a table, is something else.
            _ if value.contains(['"', '\'', '[', ']', '{', '}', ',']) => None,
            _ => Some(format!("a text stands in quotes: {key} = \"{value}\"")),
        };
    }
    if line.strip_suffix('{').is_some_and(|name| name.split_whitespace().all(is_word)) {
        return Some(
            "a table is begun by its name in brackets: [limits], [pools.NAME] or [[routes]]".to_owned(),
        );
    }
    let (key, value) = line.split_once(':').or_else(|| line.split_once(char::is_whitespace))?;
    let value = value.trim().trim_end_matches(';');
    if !is_word(key) || value.is_empty() {
        return None;
    }
    let bare = value.starts_with(['"', '\'', '[', '{']) || value.bytes().all(|b| b.is_ascii_digit());
    Some(if bare { format!("write: {key} = {value}") } else { format!("write: {key} = \"{value}\"") })
}

/// Keys of the top level, for those who find them in another table.
pub(super) const GATEWAY_KEYS: [&str; 15] = [
    "listen",
    "threads",
    "cold_start",
    "handover",
    "admin",
    "admin_token",
    "drain_delay",
    "drain_timeout",
    "access_log",
    "traces",
    "trusted",
    "limits",
    "client",
    "pools",
    "routes",
];

/// What is wrong, and whether it is a key that resembles none. `path` leads to what is at fault; `is_expanded`: the file
/// says it by `${…}`.
pub(super) fn shape_fault(error: &toml::de::Error, path: &[String], is_expanded: bool) -> (Fault, bool) {
    match error.message().strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
        Some((key, known)) => unknown_key(key, known),
        None => (wrong_kind(error.message(), path, is_expanded), false),
    }
}

/// `known` is serde's list of the keys that are.
fn unknown_key(key: &str, known: &str) -> (Fault, bool) {
    // Every second part stands between ` and `.
    let mut known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    if known.starts_with(&GATEWAY_KEYS[..1]) {
        known.extend(POOL_KEYS);
    }
    let instead = instead(key, &known);
    // Where it resembles nothing, no other key can be missing for it.
    let is_a_stranger = instead.is_none();
    let hint = instead.unwrap_or_else(|| format!("known here: `{}`", known.join("`, `")));
    (Fault::new(format!("unknown key `{key}`")).hint(hint), is_a_stranger)
}

/// What to write instead of a key that is none of the known ones, where that can be told.
fn instead(key: &str, known: &[&str]) -> Option<String> {
    if GATEWAY_KEYS.contains(&key) && !known.contains(&"pool") {
        return Some(format!("`{key}` stands at the top level, above the first `[table]` of the file"));
    }
    if let Some(why) = habits::not_here(key) {
        return Some(why.to_owned());
    }
    if let Some(near) = nearest(key, known.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    if let Some(habit) = habits::meant(key, |ours| known.contains(&ours)) {
        return Some(habit);
    }
    if POOL_KEYS.contains(&key) {
        return Some(format!(
            "`{key}` stands in a `[pools.NAME]`, or at the top level above the first `[table]` of the file"
        ));
    }
    let elsewhere = [(&GATEWAY_KEYS[..], "at the top level"), (&POOL_KEYS[..], "in a `[pools.NAME]`")];
    elsewhere.into_iter().find_map(|(keys, place)| {
        let near = nearest(key, keys.iter().copied())?;
        Some(format!("did you mean `{near}`? It stands {place}"))
    })
}

/// A value that is not of the kind its key takes: serde's words for it, in those of the file.
fn wrong_kind(message: &str, path: &[String], is_expanded: bool) -> Fault {
    let plain = message.replace("a sequence", "a list").replace("a map", "a table");
    if plain.starts_with("invalid length") {
        return Fault::new("expected a table, found a list");
    }
    let kinds = plain.strip_prefix("invalid type: ").or(plain.strip_prefix("invalid value: "));
    let Some((found, expected)) = kinds.and_then(|kinds| kinds.split_once(", expected ")) else {
        return Fault::new(plain);
    };
    let shown = match found.strip_prefix("string \"").and_then(|quoted| quoted.strip_suffix('"')) {
        Some(text) => format!("string \"{}\"", told(text)),
        None if found == "map" => "a table".to_owned(),
        None if found == "sequence" => "a list".to_owned(),
        None => found.to_owned(),
    };
    let fault = Fault::new(format!("expected {expected}, found {shown}"));
    match as_meant(found, expected, path, is_expanded) {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

/// What to write instead of what was found.
fn as_meant(found: &str, expected: &str, path: &[String], is_expanded: bool) -> Option<String> {
    let mut names = path.iter().rev().map(String::as_str);
    let (last, before) = (names.next()?, names.next());
    let number = found.strip_prefix("integer `").and_then(|rest| rest.strip_suffix('`'));
    let text = found.strip_prefix("string ").map(|quoted| quoted.trim_matches('"'));
    match (expected, last) {
        ("a table", "queue") => {
            Some(format!(r#"write: queue = {{ length = {}, wait = "30s" }}"#, number.unwrap_or("100")))
        }
        ("a table", "retry") => Some(format!("write: retry = {{ attempts = {} }}", number.unwrap_or("3"))),
        ("a table", "health") => {
            let path = text.filter(|text| text.starts_with('/')).unwrap_or("/healthz");
            Some(format!(r#"write: health = {{ path = "{}" }}"#, told(path)))
        }
        ("a table", _) if before == Some("pools") => {
            Some(format!(r#"write: [pools.{last}], and below it backends = ["http://127.0.0.1:6000"]"#))
        }
        ("a table", "pools") => Some("name each pool: `[pools.NAME]`".to_owned()),
        ("a table", "redirect") => {
            Some(format!(r#"write: redirect = {{ to = "{}" }}"#, told(text.unwrap_or("https://example.com"))))
        }
        ("a list", "routes") => Some("begin each route with `[[routes]]`".to_owned()),
        ("a list", key) => {
            let element = number.map(str::to_owned).or(text.map(|text| format!("\"{}\"", told(text))))?;
            Some(format!("write: {key} = [{element}]"))
        }
        ("a whole number" | "a boolean", _) if is_expanded => {
            Some("`${…}` stands in texts alone: write the number, or the word, itself".to_owned())
        }
        ("a boolean", key) => match text?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(format!("write: {key} = true")),
            "false" | "no" | "off" | "0" => Some(format!("write: {key} = false")),
            _ => Some("write true or false, without quotes".to_owned()),
        },
        ("a whole number", _) => {
            let digits = text.filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))?;
            Some(format!("write {} without quotes", told(digits)))
        }
        ("a string", ELEMENT | "path") => None,
        ("a string", "listen") if found == "sequence" => {
            Some("one address: [::]:PORT is every address of the machine, of both kinds".to_owned())
        }
        ("a string", "listen") => number.map(|port| format!("write: listen = \"127.0.0.1:{port}\"")),
        ("a string", key) => number.map(|number| format!("a text stands in quotes: {key} = \"{number}\"")),
        (_, ELEMENT) if before == Some("backends") => {
            number.map(|port| format!("write \"http://127.0.0.1:{port}\""))
        }
        ("a share, like \"20%\"", key) => {
            let fraction: f64 = found.strip_prefix("floating point `")?.strip_suffix('`')?.parse().ok()?;
            let percent = fraction * 100.0;
            let is_whole = (0.0..=100.0).contains(&percent) && (percent - percent.round()).abs() < 1e-9;
            is_whole.then(|| format!("write: {key} = \"{percent:.0}%\""))
        }
        ("a duration, like \"10s\"", _) => {
            let fraction = found.strip_prefix("floating point `")?.strip_suffix('`')?;
            in_milliseconds(fraction).map(|millis| format!("write \"{millis}ms\""))
        }
        _ => None,
    }
}
