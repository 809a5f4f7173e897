//! The picture, on a terminal of whatever size.

mod foot;
mod list;
mod panel;

use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

use super::paint::{CELLS, Paint, cells};
use super::picture::Picture;
use super::verdict::verdict;
use super::view::{Dialog, View};
use super::words::{self, ago};

/// What is drawn.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) picture: &'a Picture,
    /// Why there is no connection, where there is none.
    pub(super) lost: Option<&'a str>,
    /// When the last message came.
    pub(super) heard: Instant,
    /// Since when the picture is held still.
    pub(super) paused: Option<Instant>,
    pub(super) now: Instant,
    pub(super) paint: Paint,
}

/// Which parts there is room for.
struct Parts {
    verdict: Rect,
    about: Rect,
    body: Rect,
    rule: Rect,
    events: Rect,
    legend: Rect,
    foot: Rect,
}

impl Scene<'_> {
    /// Remembers in the view how much there was room for.
    pub(super) fn draw(&self, frame: &mut Frame<'_>, view: &mut View) {
        let clock = self.picture.clock(self.now);
        let (level, mut sentence) = verdict(self.picture, clock);
        if self.lost.is_some() {
            sentence.insert_str(0, "last heard: ");
        }
        let area = frame.area();
        // Where it is often too long for a line, it always has two: nothing jumps when it grows.
        let is_long = area.width < 100 || sentence.chars().count() > usize::from(area.width);
        let foot = foot::foot(view, area.width, Parts::most_at_foot(area), self.paint);
        // Nobody says yes to what he does not see.
        let is_asked = matches!(view.dialog, Dialog::Sure(_));
        let parts = Parts::of(area, is_long, self.picture.events.len(), foot.len(), is_asked);
        // What is not known to be so any more does not shine.
        let style = if self.lost.is_some() { self.paint.quiet() } else { self.paint.level(level) };
        frame.render_widget(
            Paragraph::new(Span::styled(sentence, style)).wrap(Wrap { trim: true }),
            parts.verdict,
        );
        frame.render_widget(self.about(view, clock), parts.about);
        view.page = usize::from(parts.body.height);
        let mut below = 0;
        match view.dialog.clone() {
            Dialog::Help => panel::help(self.paint, frame, parts.body),
            Dialog::Work(from) => {
                let from = panel::work(self, view, clock, from, frame, parts.body);
                view.dialog = Dialog::Work(from);
            }
            _ => below = list::draw(self, view, clock, frame, parts.body),
        }
        let mut rule = self.paint.rule().repeat(usize::from(parts.rule.width));
        if below > 0 {
            rule = format!(
                "{} {} below {rule}",
                self.paint.rule(),
                words::counted(below, "more line", "more lines")
            );
        }
        frame.render_widget(Line::styled(rule, self.paint.quiet()), parts.rule);
        self.events(clock, frame, parts.events);
        frame.render_widget(self.legend(parts.legend.width), parts.legend);
        frame.render_widget(Paragraph::new(foot), parts.foot);
    }

    /// Where this is, and how it is looked at; first of all that it is no longer so.
    fn about(&self, view: &View, clock: f64) -> Line<'static> {
        let age = |since: Instant| words::whole(self.now.saturating_duration_since(since).as_secs_f64());
        if let Some(why) = self.lost {
            let words = format!(" no connection for {}, trying again: {why} ", age(self.heard));
            return Line::styled(words, self.paint.loud());
        }
        if let Some(since) = self.paused {
            return Line::styled(format!(" held still {} ago; p goes on ", age(since)), self.paint.loud());
        }
        let mut parts = Vec::new();
        if !view.filter.is_empty() && view.dialog != Dialog::Filter {
            parts.push(format!("only \"{}\"", view.filter));
        }
        parts.push(format!("by {}", view.order.word()));
        let picture = self.picture;
        if !picture.address.is_empty() {
            parts.push(picture.address.clone());
        }
        if let Some(started) = picture.started {
            parts.push(format!("up for {}", uptime(clock - started)));
        }
        parts.push(format!("version {}", picture.version));
        Line::styled(parts.join("  "), self.paint.quiet())
    }

    /// The last ones at the bottom.
    fn events(&self, clock: f64, frame: &mut Frame<'_>, area: Rect) {
        let events = &self.picture.events;
        let skipped = events.len().saturating_sub(usize::from(area.height));
        let line = |event: &super::picture::Event| {
            let style = if event.is_bad { self.paint.bad() } else { ratatui::style::Style::new() };
            let when = format!("{:>10}  ", ago(clock - event.at));
            Line::from(vec![Span::styled(when, self.paint.quiet()), Span::styled(event.words.clone(), style)])
        };
        let mut lines: Vec<_> = events.iter().skip(skipped).map(line).collect();
        if lines.is_empty() {
            lines.push(Line::styled("nothing has happened yet", self.paint.quiet()));
        }
        frame.render_widget(Paragraph::new(lines), area);
    }

    /// What each sign means; where there is little room, of those that are there.
    fn legend(&self, width: u16) -> Line<'static> {
        let mut spans = Vec::new();
        let backends = || self.picture.pools.values().flat_map(|pool| pool.backends.values());
        let is_there = |cell| backends().any(|one| cells(one).iter().any(|(known, _)| *known == cell));
        for (cell, word, _) in CELLS.iter().filter(|(cell, ..)| width >= 84 || is_there(*cell)) {
            spans.push(self.paint.cell(*cell));
            spans.push(Span::styled(format!(" {word}  "), self.paint.quiet()));
        }
        Line::from(spans)
    }
}

impl Parts {
    /// How many lines there may be at the foot.
    fn most_at_foot(area: Rect) -> usize {
        match area.height {
            0..4 => 1,
            4..8 => 2,
            8..16 => 3,
            _ => 4,
        }
    }

    /// What matters less goes first where there is too little room.
    fn of(area: Rect, is_long: bool, events: usize, foot: usize, is_asked: bool) -> Self {
        let height = area.height;
        let foot =
            if height >= 3 || is_asked { u16::try_from(foot).unwrap_or(height).min(height) } else { 0 };
        let verdict = if is_long && height >= 10 { 2 } else { 1 }.min(height - foot);
        let about = u16::from(height >= 4);
        let space = u16::from(height >= 16);
        let most = match height {
            0..14 => 0,
            14..24 => 2,
            24..40 => 4,
            _ => 6,
        };
        let events = u16::try_from(events.max(1)).unwrap_or(most).min(most);
        let heights = [verdict, about, space];
        let below = [u16::from(events > 0), events, u16::from(height >= 12), foot];
        let [verdict, about, _, body, rule, events, legend, foot] = Layout::vertical(
            heights
                .map(Constraint::Length)
                .into_iter()
                .chain([Constraint::Fill(1)])
                .chain(below.map(Constraint::Length)),
        )
        .areas(area);
        Self { verdict, about, body, rule, events, legend, foot }
    }
}

/// Coarse, so that it does not run.
fn uptime(seconds: f64) -> String {
    match seconds {
        ..60.0 => "less than a minute".to_owned(),
        ..7200.0 => format!("{:.0} min", (seconds / 60.0).floor()),
        ..172_800.0 => format!("{:.0} h", (seconds / 3600.0).floor()),
        _ => format!("{:.0} d", (seconds / 86_400.0).floor()),
    }
}

#[cfg(test)]
mod tests;
