//! The last lines: what is asked, what came of it, or what can be pressed.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::super::errand::Errand;
use super::super::paint::Paint;
use super::super::view::{Dialog, Notice, View};

/// So much of a name tells it from others: `wor….3:60000`.
const LEAST: usize = 13;

/// On as few lines as it takes, of so many at most. One that is asked for says everything that has to be known for an answer.
pub(super) fn foot(view: &View, width: u16, most: usize, paint: Paint) -> Vec<Line<'static>> {
    let width = usize::from(width);
    match (&view.dialog, &view.notice) {
        (Dialog::Filter, _) => vec![Line::from(vec![
            Span::styled(format!("filter: {}", view.filter), Style::new()),
            Span::styled(" ", Modifier::REVERSED),
            Span::styled("  Enter keeps it, Esc clears it", paint.quiet()),
        ])],
        (Dialog::Sure(errand), _) => styled(question(errand, width, most, paint), paint.loud()),
        (_, Some(notice)) => {
            let style = if notice.is_bad { paint.bad() } else { Modifier::BOLD.into() };
            styled(outcome(notice, width, most, paint), style)
        }
        (Dialog::Help, _) => vec![Line::styled("any key goes back", paint.quiet())],
        (Dialog::Work(_), _) => {
            vec![hints(&[("Esc", "back"), ("d", "drain"), ("r", "ready"), ("m", "maintenance")], paint)]
        }
        (Dialog::None, _) => {
            // The last ones go first where there is too little room.
            let all = [
                ("q", "quit"),
                ("?", "help"),
                ("s", "order"),
                ("d", "drain"),
                ("/", "filter"),
                ("Enter", "work"),
                ("r", "ready"),
                ("m", "maintenance"),
                ("p", "hold still"),
            ];
            let mut room = width;
            let fits = all.iter().take_while(|(key, what)| {
                let needs = key.len() + 1 + what.len();
                let is_room = room >= needs;
                room = room.saturating_sub(needs + 2);
                is_room
            });
            vec![hints(&all[..fits.count()], paint)]
        }
    }
}

fn question(errand: &Errand, width: usize, most: usize, paint: Paint) -> Vec<String> {
    let (what, brief) = match errand.mode {
        "drain" => ("Drain", "Drain"),
        "ready" => ("Bring back", "Bring back"),
        _ => ("Set to maintenance", "Maintenance"),
    };
    let who = errand.who();
    let fits = |line: &str| length(line) <= width;
    let line = format!(" {what} {who}?  y yes  n no ");
    if fits(&line) {
        return vec![line];
    }
    if most < 2 {
        let room = width.saturating_sub(brief.len() + "  ? y/n".len() - 1);
        return vec![format!("{brief} {}? y/n", paint.middle(&who, room))];
    }
    let line = format!(" {what} {who}? ");
    let line = if fits(&line) {
        line
    } else {
        let room = width.saturating_sub(brief.len() + "  ? ".len());
        format!(" {brief} {}? ", paint.middle(&who, room))
    };
    vec![line, " y yes  n no ".to_owned()]
}

/// The words come first: a name is shortened where they would be cut.
fn outcome(notice: &Notice, width: usize, most: usize, paint: Paint) -> Vec<String> {
    let written = |room: usize| {
        let name = paint.middle(&notice.who, room.min(width));
        wrapped(&(name + &notice.words), width)
    };
    let mut lines = written(width);
    if lines.len() > most {
        lines = written(LEAST);
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = last.chars().take(width.saturating_sub(1)).collect();
            last.push_str(paint.ellipsis());
        }
    }
    lines
}

/// In lines of so many columns, broken between words, and in a word that is longer than a line.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(last) if length(last) + 1 + length(word) <= width => {
                last.push(' ');
                last.push_str(word);
            }
            _ => {
                let letters: Vec<_> = word.chars().collect();
                lines.extend(letters.chunks(width.max(1)).map(|part| part.iter().collect::<String>()));
            }
        }
    }
    lines
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn styled(lines: Vec<String>, style: Style) -> Vec<Line<'static>> {
    lines.into_iter().map(|line| Line::styled(line, style)).collect()
}

fn hints(keys: &[(&'static str, &'static str)], paint: Paint) -> Line<'static> {
    let mut spans = Vec::new();
    for (key, what) in keys {
        spans.push(Span::styled(*key, Modifier::BOLD));
        spans.push(Span::styled(format!(" {what}  "), paint.quiet()));
    }
    Line::from(spans)
}
