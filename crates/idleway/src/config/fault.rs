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
        for fault in &mut faults {
            // Only now: a value that was cut would no longer be known as one that is not to be shown.
            fault.message = in_bounds(&fault.message, 400);
            // The longest ones list every key there is.
            fault.hint = fault.hint.as_ref().map(|hint| in_bounds(hint, 1500));
        }
        // Faults without a place are about the whole: they come last.
        for text in
            faults.iter_mut().flat_map(|fault| std::iter::once(&mut fault.message).chain(&mut fault.hint))
        {
            // What a file says must not steer the terminal on which it is told.
            if text.contains(char::is_control) {
                *text = text.replace(char::is_control, " ");
            }
        }
        faults.sort_by_key(|fault| fault.place().map_or((usize::MAX, 0), |place| (place.line, place.column)));
        Faults { name: name.to_owned(), faults }
    }

    /// Each fault, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter()
    }
}

impl Faults {
    /// What the faults call the configuration: a file name, or "command line".
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As displayed, and coloured by ANSI escapes, for a terminal.
    pub fn coloured(&self) -> impl fmt::Display + '_ {
        Coloured(self)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, paint: &Paint) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            if number > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{}{}:", paint.place, self.name)?;
            if let Some(place) = fault.place() {
                write!(f, "{}:{}:", place.line, place.column)?;
            }
            write!(f, "{} ", paint.end)?;
            fault.write(f, paint)?;
        }
        Ok(())
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, &PLAIN)
    }
}

impl std::error::Error for Faults {}

struct Coloured<'a>(&'a Faults);

impl fmt::Display for Coloured<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, &COLOURED)
    }
}

/// What stands before each part of a fault, and after it.
struct Paint {
    place: &'static str,
    message: &'static str,
    underline: &'static str,
    hint: &'static str,
    end: &'static str,
}

const PLAIN: Paint = Paint { place: "", message: "", underline: "", hint: "", end: "" };
const COLOURED: Paint = Paint {
    place: "\x1b[1m",
    message: "\x1b[1;31m",
    underline: "\x1b[31m",
    hint: "\x1b[36m",
    end: "\x1b[0m",
};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// What is wrong, in one line.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// None when it stands nowhere (something is missing, or there is no file).
    stands: Option<Box<Stands>>,
}

/// Where a fault stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stands {
    place: Place,
    end: Place,
    text: String,
    excerpt: String,
}

impl Fault {
    /// Where the text at fault begins; none when the fault stands nowhere (something is missing, or there is no
    /// file).
    pub fn place(&self) -> Option<Place> {
        self.stands.as_ref().map(|stands| stands.place)
    }

    /// The place behind the last character of the text at fault.
    pub fn end(&self) -> Option<Place> {
        self.stands.as_ref().map(|stands| stands.end)
    }

    /// The text at fault, as it stands in the file: its first 1000 characters.
    pub fn text(&self) -> Option<&str> {
        self.stands.as_ref().map(|stands| stands.text.as_str())
    }

    /// The line it stands on with a second line of `^` under the text at fault.
    pub fn excerpt(&self) -> Option<&str> {
        self.stands.as_ref().map(|stands| stands.excerpt.as_str())
    }
}

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Fault { message: message.into(), hint: None, stands: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Fault { hint: Some(hint.into()), ..self }
    }

    /// The fault stands at these bytes of `text`.
    pub(super) fn at(self, text: &str, span: Range<usize>) -> Self {
        let at_fault = &text[border(text, span.start)..border(text, span.end)];
        let stands = Stands {
            place: Place::of(text, span.start),
            end: Place::of(text, span.end),
            text: at_fault.chars().take(MOST_TEXT).collect(),
            excerpt: excerpt(text, span),
        };
        Fault { stands: Some(Box::new(stands)), ..self }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, paint: &Paint) -> fmt::Result {
        write!(f, "{}{}{}", paint.message, self.message, paint.end)?;
        let mut lines = self.excerpt().into_iter().flat_map(str::lines);
        if let Some(line) = lines.next() {
            write!(f, "\n    {line}")?;
        }
        for underline in lines {
            write!(f, "\n    {}{underline}{}", paint.underline, paint.end)?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n    {}hint:{} {hint}", paint.hint, paint.end)?;
        }
        Ok(())
    }
}

/// Around what a message tells of a text in the file: until it is known whether that may be shown.
pub(super) const MARK_START: char = '\u{2}';
pub(super) const MARK_END: char = '\u{3}';

/// What a message tells of a text in the file. Where that was expanded, the file's own words are shown instead.
pub(super) fn told(text: impl fmt::Display) -> String {
    let text = text.to_string().replace([MARK_START, MARK_END], " ");
    format!("{MARK_START}{text}{MARK_END}")
}

const MOST_TEXT: usize = 1000;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, &PLAIN)
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
