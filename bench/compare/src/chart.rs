//! A chart as SVG: how many requests were at work, moment by moment, one panel for each gateway.
//!
//! Its colours follow the reader's light or dark theme, also where it is shown as an image.

use std::fmt::Write;

/// One gateway's part of the chart.
pub(crate) struct Panel<'a> {
    pub(crate) label: &'a str,
    pub(crate) version: &'a str,
    pub(crate) peak: u32,
    pub(crate) overlaps: u64,
    pub(crate) limit: u32,
    /// Since how many seconds how many were at work.
    pub(crate) course: &'a [(f64, u32)],
}

const WIDTH: f64 = 760.0;
/// The room for a panel's name and figures, left of its plot.
const LEFT: f64 = 190.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 66.0;
/// The height of one request at work, of the room between two panels, and of that below them all.
const UNIT: f64 = 16.0;
const GAP: f64 = 30.0;
const BOTTOM: f64 = 34.0;

const STYLE: &str = "
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.name { font-weight: 600 }
.faint { fill: #59636e; font-size: 12px }
.axis { stroke: #d1d9e0; stroke-width: 1 }
.limit { stroke: #59636e; stroke-width: 1; stroke-dasharray: 4 3 }
.within { fill: #1a7f37 }
.over { fill: #cf222e }
.bad { fill: #cf222e; font-weight: 600 }
.good { fill: #1a7f37; font-weight: 600 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.faint { fill: #9198a1 }
.axis { stroke: #3d444d }
.limit { stroke: #9198a1 }
.within { fill: #3fb950 }
.over { fill: #f85149 }
.bad { fill: #f85149 }
.good { fill: #3fb950 }
}
";

/// The whole picture.
pub(crate) fn draw(title: &str, about: &str, panels: &[Panel<'_>]) -> String {
    let most = panels.iter().map(Panel::most).max().unwrap_or(1);
    let end =
        panels.iter().filter_map(|panel| panel.course.last()).map(|&(since, _)| since).fold(1.0, f64::max);
    let scale = Scale { end, height: f64::from(most) * UNIT };
    let count = f64::from(u32::try_from(panels.len()).unwrap_or(u32::MAX));
    let height = TOP + count * (scale.height + GAP) - GAP + BOTTOM;

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n",
        escaped(title)
    );
    text(&mut svg, "title", 0.0, 20.0, title);
    text(&mut svg, "faint", 0.0, 40.0, about);
    let mut top = TOP;
    for panel in panels {
        panel.draw(&mut svg, &scale, top);
        top += scale.height + GAP;
    }
    scale.draw_seconds(&mut svg, top - GAP);
    svg.push_str("</svg>\n");
    svg
}

/// What all panels share.
struct Scale {
    /// Seconds from one side to the other.
    end: f64,
    /// The height of a panel.
    height: f64,
}

impl Scale {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds / self.end * (WIDTH - LEFT - RIGHT)
    }

    fn draw_seconds(&self, svg: &mut String, bottom: f64) {
        let step = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0]
            .into_iter()
            .find(|step| self.end / step <= 8.0)
            .unwrap_or(300.0);
        let mut second = 0.0;
        while second <= self.end {
            text(svg, "faint", self.x(second), bottom + 18.0, &format!("{second} s"));
            second += step;
        }
    }
}

impl Panel<'_> {
    fn most(&self) -> u32 {
        self.peak.max(self.limit)
    }

    fn draw(&self, svg: &mut String, scale: &Scale, top: f64) {
        let bottom = top + scale.height;
        let (verdict, figures) = match self.peak {
            peak if peak > self.limit => ("bad", format!("peak {peak}, {} overlaps", self.overlaps)),
            peak => ("good", format!("peak {peak}, no overlap")),
        };
        text(svg, "name", 0.0, bottom - 22.0, &format!("{} {}", self.label, self.version));
        text(svg, verdict, 0.0, bottom - 4.0, &figures);
        let ends = self.course.iter().skip(1).map(|&(since, _)| since).chain([scale.end]);
        for (&(since, now), until) in self.course.iter().zip(ends) {
            let (x, width) = (scale.x(since), scale.x(until) - scale.x(since));
            let within = now.min(self.limit);
            bar(svg, "within", x, width, bottom, f64::from(within));
            bar(svg, "over", x, width, bottom - f64::from(within) * UNIT, f64::from(now - within));
        }
        let (left, right) = (scale.x(0.0), scale.x(scale.end));
        line(svg, "axis", left, right, bottom);
        let limit = bottom - f64::from(self.limit) * UNIT;
        line(svg, "limit", left, right, limit);
    }
}

fn bar(svg: &mut String, class: &str, x: f64, width: f64, bottom: f64, units: f64) {
    if units > 0.0 {
        let (y, height) = (bottom - units * UNIT, units * UNIT);
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    }
}

fn line(svg: &mut String, class: &str, left: f64, right: f64, y: f64) {
    let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{left:.1} {y:.1}H{right:.1}\"/>");
}

fn text(svg: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let _ = writeln!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(words));
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_limit_is_drawn_above_it() {
        let course = [(0.0, 1), (1.0, 3), (2.0, 0)];
        let panel = Panel { label: "a<b", version: "1 & 2", peak: 3, overlaps: 2, limit: 1, course: &course };
        let svg = draw("Title", "About", &[panel]);
        let rects: Vec<&str> = svg.lines().filter(|line| line.starts_with("<rect")).collect();
        // Two seconds over the plot's 550: from 190, 465 and so on; one unit is 16 high, the bottom at 66 + 3 * 16.
        assert_eq!(
            rects,
            [
                "<rect class=\"within\" x=\"190.0\" y=\"98.0\" width=\"275.0\" height=\"16.0\"/>",
                "<rect class=\"within\" x=\"465.0\" y=\"98.0\" width=\"275.0\" height=\"16.0\"/>",
                "<rect class=\"over\" x=\"465.0\" y=\"66.0\" width=\"275.0\" height=\"32.0\"/>",
            ]
        );
        assert!(svg.contains(">a&lt;b 1 &amp; 2</text>"), "{svg}");
        assert!(svg.contains("class=\"bad\"") && svg.contains(">peak 3, 2 overlaps</text>"), "{svg}");
    }
}
