//! What `${NAME}` and `${file:PATH}` stand for in the texts of a file, and that it is never shown.
//!
//! Each text keeps its place, so an excerpt shows the file's own words. What a message says of a text it marks
//! ([`told`](super::fault::told)), so that the file's words can stand there too.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::fault::{Fault, MARK_END, MARK_START};

/// Bytes of a file that a text may stand for.
const LARGEST: u64 = 64 << 10;

/// Bytes that all texts of a file may stand for together.
const MOST: usize = 16 << 20;

/// What was expanded in one file.
#[derive(Debug, Default)]
pub(super) struct Veil {
    texts: Vec<Expanded>,
    values: Values,
    /// Bytes that they stand for.
    bytes: usize,
}

/// A text that has something expanded in it.
#[derive(Debug)]
struct Expanded {
    span: Range<usize>,
    written: String,
    meant: String,
    parts: Vec<Arc<Part>>,
}

/// `${…}` as written, and what it stands for.
#[derive(Debug)]
struct Part {
    written: String,
    meant: String,
    /// In small letters, what it stands for and how else that is spelt in messages.
    spellings: Vec<String>,
}

/// Each `${…}` of a file, by its name: looked up once, however often it stands there.
type Values = BTreeMap<String, Arc<Part>>;

/// Where `${…}` is looked up.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lookup<'a> {
    /// Nowhere: it is a fault.
    Nowhere,
    /// In the environment of the process, and in files relative to this folder.
    System(&'a Path),
}

/// A text that cannot be expanded: where it stands, and why.
pub(super) type Unexpanded = (Range<usize>, Fault);

impl Veil {
    /// Expands each text in the table.
    pub(super) fn expand(&mut self, table: &mut DeTable<'_>, lookup: Lookup<'_>) -> Vec<Unexpanded> {
        let mut faults = Vec::new();
        for (_, value) in table.iter_mut() {
            self.expand_value(value, lookup, &mut faults);
        }
        faults
    }

    fn expand_value(
        &mut self,
        value: &mut toml::Spanned<DeValue<'_>>,
        lookup: Lookup<'_>,
        faults: &mut Vec<Unexpanded>,
    ) {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) if text.contains("${") => match expanded(text, lookup, &mut self.values) {
                Ok((meant, _)) if self.bytes + meant.len() > MOST => {
                    let problem = format!("all texts together stand for more than {} MiB", MOST >> 20);
                    faults.push((span, Fault::new(problem)));
                }
                Ok((meant, parts)) => {
                    self.bytes += meant.len();
                    let written = std::mem::replace(text, meant.clone().into()).into_owned();
                    if !parts.is_empty() {
                        self.texts.push(Expanded { span, written, meant, parts });
                    }
                }
                Err(fault) => faults.push((span, fault)),
            },
            DeValue::Array(array) => {
                array.iter_mut().for_each(|element| self.expand_value(element, lookup, faults));
            }
            DeValue::Table(table) => {
                table.iter_mut().for_each(|(_, value)| self.expand_value(value, lookup, faults));
            }
            _ => {}
        }
    }

    /// The fault of what stands there, in the file's own words.
    pub(super) fn hide(&self, mut fault: Fault, span: &Range<usize>) -> Fault {
        let text = self.at(span);
        for message in std::iter::once(&mut fault.message).chain(&mut fault.hint) {
            *message = self.without_values(&unmarked(message, text));
        }
        fault
    }

    /// A value in a message about another one: as it was written, where that was expanded.
    pub(super) fn shown(&self, span: Option<&Range<usize>>, value: String) -> String {
        span.and_then(|span| self.at(span)).map_or(value, |text| format!("`{}`", text.written))
    }

    /// The text without anything that was expanded, in whatever case of letters. A value of a few letters counts
    /// where it stands by itself: as a part of words it would be everywhere and tell nothing.
    pub(super) fn without_values(&self, text: &str) -> String {
        let mut parts: Vec<&Arc<Part>> = self.values.values().collect();
        // One value may be a part of another.
        parts.sort_by_key(|part| std::cmp::Reverse(part.meant.len()));
        parts.into_iter().fold(text.to_owned(), |text, part| replaced(&text, part))
    }

    /// The text as it was written, where it is the whole of one that was expanded; else without anything that was.
    pub(super) fn as_written(&self, text: &str) -> String {
        let whole = self.texts.iter().find(|expanded| expanded.meant.eq_ignore_ascii_case(text));
        whole.map_or_else(|| self.without_values(text), |expanded| expanded.written.clone())
    }

    /// Whether the text that stands there was expanded.
    pub(super) fn covers(&self, span: &Range<usize>) -> bool {
        self.at(span).is_some()
    }

    fn at(&self, span: &Range<usize>) -> Option<&Expanded> {
        self.texts.iter().find(|text| text.span == *span)
    }
}

/// What the text stands for, and what was expanded in it.
fn expanded(text: &str, lookup: Lookup<'_>, values: &mut Values) -> Result<(String, Vec<Arc<Part>>), Fault> {
    let (mut meant, mut parts) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        if let Some(literal) = before.strip_suffix('$') {
            meant += literal;
            meant += "${";
            rest = &after[2..];
            continue;
        }
        meant += before;
        let Some((name, behind)) = after[2..].split_once('}') else {
            let fault = Fault::new("`${` is not closed");
            return Err(fault.hint("write ${NAME} or ${file:PATH}, or `$${` for a `${` that means itself"));
        };
        let part = match values.get(name) {
            Some(known) => Arc::clone(known),
            None => Arc::new(Part::new(name, value_of(name, lookup)?)),
        };
        values.insert(name.to_owned(), Arc::clone(&part));
        meant += &part.meant;
        parts.push(part);
        rest = behind;
    }
    meant += rest;
    Ok((meant, parts))
}

fn value_of(name: &str, lookup: Lookup<'_>) -> Result<String, Fault> {
    let Lookup::System(folder) = lookup else {
        let fault = Fault::new(format!("${{{name}}} is not expanded here"));
        return Err(
            fault.hint("this text was not read from a file; write `$${` for a `${` that means itself")
        );
    };
    if let Some(path) = name.strip_prefix("file:") {
        let path = folder.join(path);
        return content(&path).map_err(|problem| {
            Fault::new(format!("the file {} {problem}", path.display()))
                .hint("a path that begins without `/` begins in the folder of the configuration file")
        });
    }
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_name {
        let fault = Fault::new(format!("`{name}` is not the name of an environment variable"));
        return Err(fault.hint("write ${NAME} or ${file:PATH}, or `$${` for a `${` that means itself"));
    }
    let value = std::env::var_os(name).ok_or_else(|| {
        Fault::new(format!("there is no environment variable `{name}`"))
            .hint("set it where the gateway is started; `$${` is a `${` that means itself")
    })?;
    value.into_string().map_err(|_| Fault::new(format!("the environment variable `{name}` is not UTF-8")))
}

/// The text of a file, without the newline at its end; or what is wrong with it.
fn content(path: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    // Whoever opens a pipe waits for its other side.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("is larger than {} KiB", LARGEST >> 10));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// The message with what it marks as told of the text, in the words of the file where the text was expanded.
fn unmarked(message: &str, text: Option<&Expanded>) -> String {
    let mut shown = String::new();
    for (nth, part) in message.split([MARK_START, MARK_END]).enumerate() {
        // Every second part stands between marks.
        match text.filter(|_| nth % 2 == 1) {
            Some(text) => shown += &in_its_words(part, text),
            None => shown += part,
        }
    }
    shown
}

fn in_its_words(part: &str, text: &Expanded) -> String {
    if part.eq_ignore_ascii_case(&text.meant) {
        return text.written.clone();
    }
    let hidden = text.parts.iter().fold(part.to_owned(), |part, of| replaced(&part, of));
    // What is left must be the file's own, or it may be a piece of a value.
    let is_own = hidden.split("${").enumerate().all(|(nth, piece)| {
        let literal =
            if nth == 0 { piece } else { piece.split_once('}').map_or(piece, |(_, behind)| behind) };
        literal_pieces(text).any(|own| own.to_ascii_lowercase().contains(&literal.to_ascii_lowercase()))
    });
    if is_own { hidden } else { "…".to_owned() }
}

/// What stands in the file between the expanded parts.
fn literal_pieces(text: &Expanded) -> impl Iterator<Item = &str> {
    let mut rest = text.written.as_str();
    let mut pieces = Vec::new();
    for part in &text.parts {
        if let Some((before, behind)) = rest.split_once(part.written.as_str()) {
            pieces.push(before);
            rest = behind;
        }
    }
    pieces.push(rest);
    pieces.into_iter()
}

/// Letters below which a value is looked for as a word of its own.
const A_FEW: usize = 4;

fn replaced(text: &str, part: &Part) -> String {
    part.spellings.iter().fold(text.to_owned(), |text, spelling| without(text, spelling, &part.written))
}

impl Part {
    fn new(name: &str, meant: String) -> Self {
        let mut spellings = other_spellings(&meant);
        spellings.insert(0, meant.clone());
        spellings.retain(|spelling| !spelling.is_empty());
        spellings.iter_mut().for_each(|spelling| spelling.make_ascii_lowercase());
        Part { written: format!("${{{name}}}"), meant, spellings }
    }
}

/// How a value is spelt where it is not told as it came.
fn other_spellings(value: &str) -> Vec<String> {
    let mut spellings = Vec::new();
    spellings.extend(super::duration(value).ok().map(|time| format!("{time:?}")));
    spellings.extend(value.parse::<SocketAddr>().ok().map(|address| address.to_string()));
    spellings.extend(value.contains('%').then(|| decoded(value)));
    spellings.extend(value.strip_prefix("header:").map(str::to_owned));
    if let Some((_, origin)) = value.split_once("://") {
        let host = origin.split_once(':').map_or(origin, |(host, _)| host);
        spellings.extend([origin.to_owned(), host.trim_end_matches(['.', '/']).to_owned()]);
    }
    spellings
}

/// A path as a route shows it: without percent-encodings (RFC 3986 section 2.1).
fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = (first == b'%').then(|| behind.get(..2)).flatten();
        let digits = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `value` stands in small letters.
fn without(text: String, value: &str, written: &str) -> String {
    // A message is short, and a value may be long.
    if value.len() > text.len() {
        return text;
    }
    // Of the same length in bytes as the text, unlike its small letters beyond ASCII.
    let lower = text.to_ascii_lowercase();
    let is_few = value.chars().count() < A_FEW;
    let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let (mut shown, mut from) = (String::new(), 0);
    for (at, _) in lower.match_indices(value) {
        let end = at + value.len();
        let is_part_of_a_word = joins(text[..at].chars().next_back()) || joins(text[end..].chars().next());
        if is_few && is_part_of_a_word {
            continue;
        }
        shown += &text[from..at];
        shown += written;
        from = end;
    }
    shown + &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(written: &str, parts: &[(&str, &str)]) -> Expanded {
        let parts: Vec<_> =
            parts.iter().map(|(name, meant)| Arc::new(Part::new(name, (*meant).to_owned()))).collect();
        let meant =
            parts.iter().fold(written.to_owned(), |text, part| text.replace(&part.written, &part.meant));
        Expanded { span: 0..1, written: written.to_owned(), meant, parts }
    }

    #[test]
    fn a_dollar_means_itself_unless_a_name_follows_in_braces() {
        for literal in ["", "$", "$$", "$x", "{x}", "$ {x}"] {
            assert_eq!(expanded(literal, Lookup::Nowhere, &mut Values::new()).unwrap().0, literal);
        }
        assert_eq!(expanded("a$${x}b$${", Lookup::Nowhere, &mut Values::new()).unwrap().0, "a${x}b${");
        for odd in ["${", "${x", "a${}", "${a-b}", "${X:-1}", "${ X }"] {
            assert!(expanded(odd, Lookup::System(Path::new("/")), &mut Values::new()).is_err(), "{odd}");
        }
        assert!(expanded("${PATH}", Lookup::Nowhere, &mut Values::new()).is_err());
        let path = std::env::var("PATH").unwrap();
        let (meant, parts) =
            expanded("a${PATH}b", Lookup::System(Path::new("/")), &mut Values::new()).unwrap();
        assert_eq!((meant, parts.len()), (format!("a{path}b"), 1));
    }

    #[test]
    fn what_a_message_marks_is_told_in_the_words_of_the_file() {
        let url = text("http://${HOST}/x", &[("HOST", "Secret.example")]);
        for (told, shown) in [
            ("http://Secret.example/x", "http://${HOST}/x"),
            ("HTTP://SECRET.EXAMPLE/X", "http://${HOST}/x"),
            ("http://secret.example", "http://${HOST}"),
            ("/x", "/x"),
            ("example", "…"),
            ("Secret.exampl", "…"),
            ("", ""),
        ] {
            let message = format!("`{MARK_START}{told}{MARK_END}` is odd");
            assert_eq!(unmarked(&message, Some(&url)), format!("`{shown}` is odd"), "{told}");
            assert_eq!(unmarked(&message, None), format!("`{told}` is odd"));
        }
    }

    #[test]
    fn a_value_is_found_in_any_case_and_a_short_one_by_itself() {
        let values = [("A", "is"), ("B", "Secret"), ("C", "my-secret-2"), ("D", "")];
        let values =
            values.map(|(name, meant)| (name.to_owned(), Arc::new(Part::new(name, meant.to_owned()))));
        let veil = Veil { values: values.into(), ..Veil::default() };
        for (text, shown) in [
            ("this is secret", "this ${A} ${B}"),
            ("THE SECRET, secretly", "THE ${B}, ${B}ly"),
            ("MY-SECRET-2", "${C}"),
            ("äsecretß", "ä${B}ß"),
        ] {
            assert_eq!(veil.without_values(text), shown);
        }
    }
}
