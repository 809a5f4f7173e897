//! What is wrong with a configuration: each fault with its place, the line it stands on and a hint.

use std::fmt;
use std::ops::Range;

/// Everything that is wrong with one configuration, in the order of the file. Never empty.
///
/// Displayed, each fault is a paragraph: `idleway.toml:3:11: what is wrong`, the line with the text at fault
/// underlined, and the hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    name: String,
    faults: Vec<Fault>,
}

impl Faults {
    /// `name` is what stands before each line and column: a file name, or "command line".
    pub(super) fn new(name: &str, mut faults: Vec<Fault>) -> Self {
        // Faults without a place are about the whole: they come last.
        faults.sort_by_key(|fault| fault.place.map_or((usize::MAX, 0), |place| (place.line, place.column)));
        Faults { name: name.to_owned(), faults }
    }

    /// Each fault, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            if number > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{}:", self.name)?;
            if let Some(place) = fault.place {
                write!(f, "{}:{}:", place.line, place.column)?;
            }
            write!(f, " {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, in one line.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// Where it stands; none when it stands nowhere (something is missing, or there is no file).
    pub place: Option<Place>,
    /// The line it stands on with a second line of `^` under the text at fault.
    pub excerpt: Option<String>,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Fault { message: in_bounds(&message.into(), 400), hint: None, place: None, excerpt: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        // The longest ones list every key there is.
        Fault { hint: Some(in_bounds(&hint.into(), 1500)), ..self }
    }

    /// The fault stands at these bytes of `text`.
    pub(super) fn at(self, text: &str, span: Range<usize>) -> Self {
        Fault { place: Some(Place::of(text, span.start)), excerpt: Some(excerpt(text, span)), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for line in self.excerpt.iter().flat_map(|excerpt| excerpt.lines()) {
            write!(f, "\n    {line}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n    hint: {hint}")?;
        }
        Ok(())
    }
}

/// A line of at most so many characters: it may quote what stands in the file, however long that is and whatever it
/// would make of a terminal.
fn in_bounds(text: &str, most: usize) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect();
    if text.chars().nth(most).is_some() {
        line.push_str("...");
    }
    line
}

/// A place in a file, as editors count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl Place {
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let start = line_start(text, offset);
        Place {
            line: text[..start].matches('\n').count() + 1,
            column: text[start..border(text, offset)].chars().count() + 1,
        }
    }
}

/// Characters of a line that are shown before and after the place: a file may be one line of 10,000 backends.
const BEFORE: usize = 60;
const AFTER: usize = 40;

fn excerpt(text: &str, span: Range<usize>) -> String {
    let start = line_start(text, span.start);
    let line = text[start..].lines().next().unwrap_or_default();
    let shown = |part: &str| part.replace(|c: char| c.is_control(), " ");
    let from = (border(text, span.start) - start).min(line.len());
    let to = (border(text, span.end) - start).clamp(from, line.len());

    let before: Vec<char> = shown(&line[..from]).chars().collect();
    let fault: Vec<char> = shown(&line[from..to]).chars().collect();
    let after: Vec<char> = shown(&line[to..]).chars().collect();
    let cut_before = before.len().saturating_sub(BEFORE);
    let fault_shown = fault.len().min(BEFORE);
    let after_shown = if fault_shown < fault.len() { 0 } else { after.len().min(AFTER) };

    let mut shown = String::new();
    shown.extend((cut_before > 0).then_some("..."));
    shown.extend(&before[cut_before..]);
    let indent = shown.chars().count();
    shown.extend(&fault[..fault_shown]);
    shown.extend(&after[..after_shown]);
    shown.extend((fault_shown < fault.len() || after_shown < after.len()).then_some("..."));
    format!("{}\n{}{}", shown.trim_end(), " ".repeat(indent), "^".repeat(fault_shown.max(1)))
}

fn line_start(text: &str, offset: usize) -> usize {
    text[..border(text, offset)].rfind('\n').map_or(0, |newline| newline + 1)
}

/// The nearest character border at or before the offset.
fn border(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}
