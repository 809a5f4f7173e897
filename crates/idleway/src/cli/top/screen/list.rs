//! The list: each pool, and below it a row for each of its backends.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::backend::Backend;
use super::super::paint::{Paint, cells};
use super::super::pool::Pool;
use super::super::verdict::Level;
use super::super::view::{Row, View};
use super::super::words;
use super::Scene;

/// From so many columns on there is room for whole sentences.
const WIDE: usize = 110;

/// From so many rows on a pool is named above its backends wherever they are scrolled to.
const STICKS: usize = 4;

/// How wide the columns are.
#[derive(Debug, Clone, Copy)]
struct Columns {
    name: usize,
    state: usize,
    cells: usize,
}

/// Answers with how many rows there are further down.
pub(super) fn draw(
    scene: &Scene<'_>,
    view: &mut View,
    clock: f64,
    frame: &mut Frame<'_>,
    area: Rect,
) -> usize {
    let rows = view.rows(scene.picture, clock);
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    if rows.is_empty() {
        let words = if view.filter.is_empty() {
            "there are no backends".to_owned()
        } else {
            format!("nothing contains \"{}\"; Esc shows all", view.filter)
        };
        frame.render_widget(Line::styled(words, scene.paint.quiet()), area);
        return 0;
    }
    let selected = view.selected_row(&rows);
    view.first = first(view.first, selected, height, &rows);
    let shown = &rows[view.first.min(rows.len())..(view.first + height).min(rows.len())];
    let columns = Columns::of(shown, width);
    let head = (height >= STICKS).then(|| head(&rows, view.first)).flatten();
    let lines = shown.iter().zip(view.first..).map(|(row, at)| {
        match head.filter(|_| at == view.first).as_ref().unwrap_or(row) {
            Row::Gap => Line::default(),
            Row::Pool(name, pool) => self::pool(name, pool, width < WIDE, scene.paint),
            Row::Rates(pool) => rates(pool, width, scene.paint),
            Row::Backend(_, _, one) => backend(one, Some(at) == selected, columns, clock, scene.paint),
        }
    });
    let style = if scene.lost.is_some() { scene.paint.quiet() } else { Style::new() };
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).style(style), area);
    rows.len().saturating_sub(view.first + height)
}

/// The pool of the first row that is shown, where its own line is further up: it stands in the place of that row.
fn head<'a>(rows: &[Row<'a>], first: usize) -> Option<Row<'a>> {
    if !matches!(rows.get(first), Some(Row::Backend(..) | Row::Rates(_))) {
        return None;
    }
    rows[..first].iter().rev().find(|row| matches!(row, Row::Pool(..))).copied()
}

/// The first row that is shown: the one of before, as long as the selected one is seen then. With the first backend of a pool the
/// pool is seen too; another one has a row above it, where the pool stands.
fn first(before: usize, selected: Option<usize>, height: usize, rows: &[Row<'_>]) -> usize {
    let last = rows.len().saturating_sub(height);
    let Some(selected) = selected else { return before.min(last) };
    let above =
        rows[..selected].iter().rev().take_while(|row| matches!(row, Row::Pool(..) | Row::Rates(_))).count();
    let above = above.max(usize::from(height >= STICKS));
    let from = selected.saturating_sub(above.min(height.saturating_sub(1)));
    before
        .clamp((selected + 1).saturating_sub(height), from.max((selected + 1).saturating_sub(height)))
        .min(last)
}

impl Columns {
    fn of(rows: &[Row<'_>], width: usize) -> Self {
        let backends = || {
            rows.iter().filter_map(|row| match row {
                Row::Backend(_, _, backend) => Some(*backend),
                _ => None,
            })
        };
        let widest = |of: &dyn Fn(&Backend) -> usize| backends().map(of).max().unwrap_or(0);
        let room = match width {
            0..60 => 6,
            60..100 => 16,
            _ => width / 3,
        };
        Self {
            name: widest(&|backend| backend.name.chars().count()).min((width * 2 / 5).max(8)),
            state: widest(&|backend| words::state(backend).chars().count()),
            cells: widest(&|backend| slots(backend, room, None).1),
        }
        .with_room(room)
    }

    fn with_room(mut self, room: usize) -> Self {
        self.cells = self.cells.max(room.min(4));
        self
    }
}

/// `workers  3 of 5 slots taken  line 0 of 100`
fn pool(name: &str, pool: &Pool, short: bool, paint: Paint) -> Line<'static> {
    let mut spans = vec![Span::styled(name.to_owned(), Modifier::BOLD | Modifier::UNDERLINED)];
    for (part, level) in words::pool(pool, short) {
        let style = match level {
            Level::Well => Style::new(),
            Level::Busy => paint.ordered(),
            Level::Trouble => paint.bad(),
        };
        spans.extend([Span::raw("   "), Span::styled(part, style)]);
    }
    Line::from(spans)
}

fn rates(pool: &Pool, width: usize, paint: Paint) -> Line<'static> {
    let Some(rates) = pool.rates() else {
        return Line::styled("  no numbers yet: they come every 5 s", paint.quiet());
    };
    let mut spans = vec![Span::raw("  ")];
    for (nth, (words, is_bad)) in words::rates(rates, width < WIDE).into_iter().enumerate() {
        spans.push(Span::raw(if nth == 0 { "" } else { "  " }));
        spans.push(Span::styled(words, if is_bad { paint.bad() } else { paint.quiet() }));
    }
    if let Some(latency) = pool.latency() {
        spans.push(Span::styled(format!("   {}", words::latency(latency, width < WIDE)), paint.quiet()));
    }
    let used: usize = spans.iter().map(Span::width).sum();
    // Half a bar says nothing.
    let room = width.saturating_sub(used + 3).min(36);
    if room >= 12 {
        let bars = paint.bars(pool.requests(room));
        spans.push(Span::styled(format!("   {bars}"), paint.quiet()));
    }
    Line::from(spans)
}

fn backend(
    backend: &Backend,
    is_selected: bool,
    columns: Columns,
    clock: f64,
    paint: Paint,
) -> Line<'static> {
    let name = paint.ending(&backend.name, columns.name);
    let state = words::state(backend);
    let marked = if is_selected { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
    let mut spans = vec![
        Span::raw(if is_selected { paint.marker() } else { " " }),
        Span::raw(" "),
        Span::styled(format!("{name:width$}", width = columns.name), marked),
        Span::raw("  "),
    ];
    let style = match () {
        () if backend.is_ordered() => paint.ordered(),
        () if backend.is_down => paint.bad().add_modifier(Modifier::BOLD),
        () if backend.rests_until.is_some() => paint.ordered(),
        () => paint.quiet(),
    };
    spans.push(Span::styled(format!("{state:width$}  ", width = columns.state), style));
    let (slots, used) = slots(backend, columns.cells, Some(paint));
    spans.extend(slots);
    spans.push(Span::raw(" ".repeat(columns.cells.saturating_sub(used) + 2)));
    let style = if backend.rank(clock) == 0 { paint.bad() } else { Style::new() };
    spans.push(Span::styled(words::detail(backend, clock), style));
    Line::from(spans)
}

/// A cell for each slot, or how many there are of each, where there is no room for all; and how wide that is.
fn slots(backend: &Backend, room: usize, paint: Option<Paint>) -> (Vec<Span<'static>>, usize) {
    let cells = cells(backend);
    let all = cells.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    let fits = usize::try_from(all).is_ok_and(|all| all <= room);
    let paint = paint.unwrap_or(Paint::new(false, false));
    let mut spans = Vec::new();
    for (cell, count) in cells {
        let glyph = paint.cell(cell);
        if fits {
            spans.extend((0..count).map(|_| glyph.clone()));
        } else {
            let between = if spans.is_empty() { "" } else { " " };
            spans.extend([Span::raw(format!("{between}{count}")), glyph]);
        }
    }
    let width = spans.iter().map(Span::width).sum();
    (spans, width)
}
