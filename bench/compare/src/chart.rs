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
const RIGHT: f64 = 30.0;
const TOP: f64 = 66.0;
/// The height of one request at work, that of the room between two panels, and of that below them all.
const UNIT: f64 = 18.0;
const GAP: f64 = 30.0;
const BOTTOM: f64 = 34.0;

const STYLE: &str = "
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.name { font-weight: 600 }
.second { text-anchor: middle }
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
    let end =
        panels.iter().filter_map(|panel| panel.course.last()).map(|&(since, _)| since).fold(1.0, f64::max);
    let scale = Scale { end };
    let height = TOP + panels.iter().map(|panel| panel.height() + GAP).sum::<f64>() - GAP + BOTTOM;

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n",
        escaped(title)
    );
    text(&mut svg, "title", 0.0, 20.0, title);
    text(&mut svg, "faint", 0.0, 40.0, about);
    let mut top = TOP;
    for panel in panels {
        panel.draw(&mut svg, &scale, top + panel.height());
        top += panel.height() + GAP;
    }
    scale.draw_seconds(&mut svg, top - GAP);
    svg.push_str("</svg>\n");
    svg
}

/// The seconds from one side to the other, for all panels alike.
struct Scale {
    end: f64,
}

impl Scale {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds / self.end * (WIDTH - LEFT - RIGHT)
    }

    fn draw_seconds(&self, svg: &mut String, bottom: f64) {
        let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0];
        let step = steps.into_iter().find(|step| self.end / step <= 8.0).unwrap_or(300.0);
        let mut second = 0.0;
        while second <= self.end {
            text(svg, "faint second", self.x(second), bottom + 18.0, &format!("{second} s"));
            second += step;
        }
    }
}

impl Panel<'_> {
    fn height(&self) -> f64 {
        // Room for two lines of text at least.
        f64::from(self.peak.max(self.limit)).max(2.0) * UNIT
    }

    fn draw(&self, svg: &mut String, scale: &Scale, bottom: f64) {
        let (verdict, figures) = match self.peak {
            peak if peak > self.limit => ("bad", format!("peak {peak}, {} overlaps", self.overlaps)),
            peak => ("good", format!("peak {peak}, no overlap")),
        };
        text(svg, "name", 0.0, bottom - 20.0, &format!("{} {}", self.label, self.version));
        text(svg, verdict, 0.0, bottom - 2.0, &figures);
        let limit = bottom - f64::from(self.limit) * UNIT;
        self.area(svg, "within", scale, bottom, |now| now.min(self.limit));
        self.area(svg, "over", scale, limit, |now| now.saturating_sub(self.limit));
        let (left, right) = (scale.x(0.0), scale.x(scale.end));
        line(svg, "axis", left, right, bottom);
        line(svg, "limit", left, right, limit);
    }

    /// Steps above `bottom`, as many units high as `part` makes of what was at work.
    fn area(&self, svg: &mut String, class: &str, scale: &Scale, bottom: f64, part: impl Fn(u32) -> u32) {
        let mut path = format!("M{:.1} {bottom:.1}", scale.x(0.0));
        for &(since, now) in self.course {
            let _ = write!(path, "H{:.1}V{:.1}", scale.x(since), bottom - f64::from(part(now)) * UNIT);
        }
        let _ =
            writeln!(svg, "<path class=\"{class}\" d=\"{path}H{:.1}V{bottom:.1}Z\"/>", scale.x(scale.end));
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
        let areas: Vec<&str> =
            svg.lines().filter(|line| line.contains("\"within") || line.contains("\"over")).collect();
        // Two seconds over the plot's 540 from 190; one unit is 18 high, the bottom at 66 + 3 * 18, the limit at 102.
        let within =
            "<path class=\"within\" d=\"M190.0 120.0H190.0V102.0H460.0V102.0H730.0V120.0H730.0V120.0Z\"/>";
        let over =
            "<path class=\"over\" d=\"M190.0 102.0H190.0V102.0H460.0V66.0H730.0V102.0H730.0V102.0Z\"/>";
        assert_eq!(areas, [within, over]);
        assert!(svg.contains(">a&lt;b 1 &amp; 2</text>"), "{svg}");
        assert!(svg.contains("class=\"bad\"") && svg.contains(">peak 3, 2 overlaps</text>"), "{svg}");
    }
}
