//! What is shown in the place of the list: the keys, or all that one backend is at.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::super::admin::time;
use super::super::backend::{Backend, State, Work};
use super::super::keys::KEYS;
use super::super::paint::{CELLS, Cell, Paint};
use super::super::view::View;
use super::super::words;
use super::Scene;

pub(super) fn help(paint: Paint, frame: &mut Frame<'_>, area: Rect) {
    let mut lines: Vec<_> = KEYS
        .iter()
        .map(|(keys, what)| {
            Line::from(vec![Span::styled(format!("{keys:>16}  "), Modifier::BOLD), Span::raw(*what)])
        })
        .collect();
    lines.push(Line::default());
    for (cell, word, what) in CELLS {
        let mut line = Line::from(vec![Span::raw("  "), paint.cell(*cell)]);
        line.push_span(format!(" {word:<12} "));
        line.push_span(Span::styled(*what, paint.quiet()));
        lines.push(line);
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// Answers with the first line that is shown of the work.
pub(super) fn work(
    scene: &Scene<'_>,
    view: &View,
    clock: f64,
    from: usize,
    frame: &mut Frame<'_>,
    area: Rect,
) -> usize {
    let rows = view.rows(scene.picture, clock);
    let Some((pool, _, backend)) = view.selected_backend(&rows) else {
        frame.render_widget(Line::styled("it is gone", scene.paint.quiet()), area);
        return 0;
    };
    let mut lines = head(pool, backend, clock, scene.paint);
    let work = backend.by_age();
    let room = usize::from(area.height).saturating_sub(lines.len());
    let from = from.min(work.len().saturating_sub(room));
    let id = work.iter().map(|work| work.id.chars().count()).max().unwrap_or(0).min(36);
    lines.extend(work.iter().skip(from).map(|work| row(work, id, clock, scene.paint)));
    if backend.left_out > 0 {
        lines.push(Line::styled(format!("  and {} more", backend.left_out), scene.paint.quiet()));
    } else if work.is_empty() {
        lines.push(Line::styled("  nothing is at work here", scene.paint.quiet()));
    }
    frame.render_widget(Paragraph::new(lines), area);
    from
}

fn head(pool: &str, backend: &Backend, clock: f64, paint: Paint) -> Vec<Line<'static>> {
    let slots = backend.slots;
    let mut first = vec![
        Span::styled(format!("{pool}/{}", backend.name), Modifier::BOLD | Modifier::UNDERLINED),
        Span::raw(format!("   {}   {} of {} slots taken", words::state(backend), slots.taken(), slots.all)),
    ];
    if backend.elsewhere > 0 {
        first.push(Span::raw(format!("   {} at work for another pool or process", backend.elsewhere)));
    }
    let mut lines = vec![Line::from(first)];
    if let Some(left) = backend.rests_until.map(|until| until - clock).filter(|left| *left > 0.0) {
        lines.push(Line::raw(format!("  said that it is busy, {} more", time(left))));
    }
    if backend.is_down && !backend.cause.is_empty() {
        lines.push(Line::styled(format!("  down: {}", backend.cause), paint.bad()));
    }
    if !backend.fault.is_empty() {
        lines.push(Line::styled(format!("  went wrong last: {}", backend.fault), paint.quiet()));
    }
    lines.push(Line::default());
    lines
}

fn row(work: &Work, id: usize, clock: f64, paint: Paint) -> Line<'static> {
    let cell = match work.state {
        State::Busy => Cell::Busy,
        State::Lingering => Cell::Lingering,
        State::Resting => Cell::Resting,
        State::Unproven => Cell::Unproven,
    };
    let mut spans = vec![Span::raw("  "), paint.cell(cell)];
    spans.push(Span::styled(format!("  {:>7}  ", time(work.age(clock))), Style::new()));
    spans.push(Span::styled(format!("{:id$}  ", work.id), paint.quiet()));
    spans.push(Span::raw(words::what(work, clock)));
    Line::from(spans)
}
