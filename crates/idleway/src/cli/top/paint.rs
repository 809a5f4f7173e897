//! Glyphs and colours. Whatever a colour says, a glyph or a word says too: not everybody sees it, and not every terminal has it.

use std::env;
use std::ffi::OsString;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use super::backend::Backend;
use super::verdict::Level;

/// How things are written on this terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint {
    has_colour: bool,
    glyphs: &'static Glyphs,
}

/// How one slot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    Busy,
    Lingering,
    Resting,
    Unproven,
    Elsewhere,
    Idle,
    /// Idle, and nobody is sent there: the backend drains, or is in maintenance.
    Closed,
    /// Idle, at a backend that is down.
    Down,
}

/// All of them, and what they are called.
pub(super) const CELLS: &[(Cell, &str, &str)] = &[
    (Cell::Busy, "busy", "a request is at work"),
    (Cell::Lingering, "lingering", "at work, but nobody waits for it any more"),
    (Cell::Resting, "resting", "taken for a time, so that the backend may end what it is at"),
    (Cell::Unproven, "unproven", "taken until a probe is answered: nobody knows whether it works on"),
    (Cell::Elsewhere, "elsewhere", "at work for another pool or process"),
    (Cell::Idle, "idle", "the next request may have it"),
    (Cell::Closed, "closed", "idle, but drained or in maintenance"),
    (Cell::Down, "down", "idle, but its backend is down"),
];

#[derive(Debug)]
struct Glyphs {
    busy: &'static str,
    lingering: &'static str,
    idle: &'static str,
    closed: &'static str,
    down: &'static str,
    elsewhere: &'static str,
    marker: &'static str,
    rule: &'static str,
    /// Something is left out here.
    ellipsis: &'static str,
    /// From nothing to the most.
    bars: &'static [&'static str],
}

const UNICODE: Glyphs = Glyphs {
    busy: "■",
    lingering: "◪",
    idle: "□",
    closed: "–",
    down: "×",
    elsewhere: "»",
    marker: "▸",
    rule: "─",
    ellipsis: "…",
    bars: &["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
};

const ASCII: Glyphs = Glyphs {
    busy: "#",
    lingering: "%",
    idle: ".",
    closed: "-",
    down: "x",
    elsewhere: ">",
    marker: ">",
    rule: "-",
    ellipsis: "~",
    bars: &[],
};

impl Paint {
    pub(super) fn new(has_colour: bool, is_unicode: bool) -> Self {
        Self { has_colour, glyphs: if is_unicode { &UNICODE } else { &ASCII } }
    }

    pub(super) fn cell(self, cell: Cell) -> Span<'static> {
        let (glyph, colour) = match cell {
            Cell::Busy => (self.glyphs.busy, Color::Cyan),
            Cell::Lingering => (self.glyphs.lingering, Color::Yellow),
            Cell::Resting => ("z", Color::Magenta),
            Cell::Unproven => ("?", Color::Red),
            Cell::Elsewhere => (self.glyphs.elsewhere, Color::Blue),
            Cell::Idle => (self.glyphs.idle, Color::Green),
            Cell::Closed => (self.glyphs.closed, Color::Yellow),
            Cell::Down => (self.glyphs.down, Color::Red),
        };
        Span::styled(glyph, self.colour(colour))
    }

    pub(super) fn level(self, level: Level) -> Style {
        let colour = match level {
            Level::Well => Color::Green,
            Level::Busy => Color::Yellow,
            Level::Trouble => Color::Red,
        };
        self.colour(colour).add_modifier(Modifier::BOLD)
    }

    pub(super) fn bad(self) -> Style {
        self.colour(Color::Red)
    }

    pub(super) fn ordered(self) -> Style {
        self.colour(Color::Yellow)
    }

    /// What is there beside what matters.
    pub(super) fn quiet(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What must not be overlooked.
    pub(super) fn loud(self) -> Style {
        self.colour(Color::Yellow).add_modifier(Modifier::REVERSED)
    }

    fn colour(self, colour: Color) -> Style {
        if self.has_colour { Style::new().fg(colour) } else { Style::new() }
    }

    pub(super) fn marker(self) -> &'static str {
        self.glyphs.marker
    }

    pub(super) fn rule(self) -> &'static str {
        self.glyphs.rule
    }

    pub(super) fn ellipsis(self) -> &'static str {
        self.glyphs.ellipsis
    }

    /// What fits of a name: its end, where backends differ.
    pub(super) fn ending(self, name: &str, width: usize) -> String {
        self.shortened(name, width, 0)
    }

    /// What fits of a name: a little of its beginning, and its end.
    pub(super) fn middle(self, name: &str, width: usize) -> String {
        self.shortened(name, width, width.saturating_sub(1) / 3)
    }

    fn shortened(self, name: &str, width: usize, first: usize) -> String {
        let length = name.chars().count();
        if length <= width {
            return name.to_owned();
        }
        let last = width.saturating_sub(1 + first);
        let (head, tail) = (name.chars().take(first), name.chars().skip(length - last));
        head.chain(self.glyphs.ellipsis.chars()).chain(tail).collect()
    }

    /// Numbers as bars beside each other; nothing where there are no glyphs for them.
    pub(super) fn bars(self, numbers: impl Iterator<Item = f64>) -> String {
        let numbers: Vec<_> = numbers.collect();
        let most = numbers.iter().copied().fold(0.0, f64::max);
        let Some(last) = self.glyphs.bars.len().checked_sub(1).filter(|_| most > 0.0) else {
            return String::new();
        };
        let bar = |number: f64| {
            // What is there at all is seen.
            let steps = (1..=last).take_while(|step| number * last_of(last) >= most * last_of(*step)).count();
            self.glyphs.bars[if number > 0.0 { steps.max(1) } else { 0 }]
        };
        numbers.into_iter().map(bar).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are eight bars")]
fn last_of(step: usize) -> f64 {
    step as f64
}

/// How the slots of a backend stand, and how many of each kind there are.
pub(super) fn cells(backend: &Backend) -> Vec<(Cell, u64)> {
    let slots = backend.slots;
    let idle = match () {
        () if backend.is_ordered() => Cell::Closed,
        () if backend.is_down => Cell::Down,
        () => Cell::Idle,
    };
    let rests = slots.resting.saturating_sub(backend.unproven).saturating_sub(backend.elsewhere);
    let all = [
        (Cell::Busy, slots.busy),
        (Cell::Lingering, slots.lingering),
        (Cell::Resting, rests),
        (Cell::Unproven, backend.unproven),
        (Cell::Elsewhere, backend.elsewhere),
        (idle, slots.idle),
    ];
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// Whether the user's environment says that this terminal reads UTF-8: a line of question marks helps nobody.
pub(super) fn is_unicode() -> bool {
    says_unicode(|name| env::var_os(name))
}

fn says_unicode(set: impl Fn(&str) -> Option<OsString>) -> bool {
    let said = |name: &&str| set(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(said);
    let locale = locale.map(|locale| locale.to_string_lossy().to_lowercase());
    locale.map_or(cfg!(windows), |locale| locale.contains("utf-8") || locale.contains("utf8"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_slot_is_a_cell() {
        let of = |told| cells(&Backend::of(&told));
        let slots = json!({ "all": 9, "idle": 1, "busy": 2, "lingering": 1, "resting": 5 });
        assert_eq!(
            of(json!({ "slots": slots, "unproven": 2, "elsewhere": 1 })),
            [
                (Cell::Busy, 2),
                (Cell::Lingering, 1),
                (Cell::Resting, 2),
                (Cell::Unproven, 2),
                (Cell::Elsewhere, 1),
                (Cell::Idle, 1)
            ]
        );
        let idle = json!({ "idle": 1 });
        assert_eq!(of(json!({ "slots": idle, "health": "down" })), [(Cell::Down, 1)]);
        assert_eq!(of(json!({ "slots": idle, "health": "down", "mode": "drain" })), [(Cell::Closed, 1)]);
        assert_eq!(of(json!({ "slots": { "resting": 1 }, "unproven": 7 })), [(Cell::Unproven, 7)]);
    }

    #[test]
    fn no_two_states_look_alike_without_colours() {
        for paint in [Paint::new(false, true), Paint::new(false, false)] {
            let glyphs: Vec<_> = CELLS.iter().map(|(cell, ..)| paint.cell(*cell).content).collect();
            let distinct: std::collections::BTreeSet<_> = glyphs.iter().collect();
            assert_eq!(distinct.len(), CELLS.len(), "{glyphs:?}");
            assert!(CELLS.iter().all(|(cell, ..)| paint.cell(*cell).style.fg.is_none()));
        }
    }

    #[test]
    fn a_name_is_shortened_where_it_differs_least() {
        let name = "workers/10.0.0.3:6000";
        for (is_unicode, ending, middle) in [(true, "….3:6000", "wo…:6000"), (false, "~.3:6000", "wo~:6000")]
        {
            let paint = Paint::new(false, is_unicode);
            assert_eq!(
                (paint.ending(name, 8), paint.middle(name, 8)),
                (ending.to_owned(), middle.to_owned())
            );
            assert_eq!((&*paint.ending(name, 21), &*paint.middle(name, 21)), (name, name));
            for width in 1..30 {
                let shortened = [paint.ending(name, width), paint.middle(name, width)];
                assert!(shortened.iter().all(|name| name.chars().count() == width.min(21)), "{shortened:?}");
            }
        }
    }

    #[test]
    fn bars_are_as_high_as_their_numbers() {
        let paint = Paint::new(true, true);
        assert_eq!(paint.bars([0.0, 0.1, 3.5, 7.0].into_iter()), "▁▂▄█");
        assert_eq!(paint.bars([0.0, 0.0].into_iter()), "");
        assert_eq!(Paint::new(true, false).bars([1.0].into_iter()), "");
    }

    #[test]
    fn the_locale_says_what_can_be_read() {
        let says = |set: &[(&str, &str)]| {
            says_unicode(|name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())
            })
        };
        assert!(says(&[("LANG", "de_DE.UTF-8")]) && says(&[("LC_ALL", "C.utf8"), ("LANG", "C")]));
        assert!(!says(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
    }
}
