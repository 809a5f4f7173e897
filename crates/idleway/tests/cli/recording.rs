//! A recording of `idleway top` during the demo, as a picture that moves (SVG): what a terminal showed, second by second.

use std::fmt::Write as _;

use super::dashboard::Demo;
use super::top::Terminal;
use super::*;

/// The size of the terminal, and how many seconds are recorded.
const COLUMNS: usize = 100;
const ROWS: usize = 24;
const SECONDS: usize = 26;
/// How large a character is.
const WIDE: f64 = 8.4;
const HIGH: f64 = 18.0;

/// What terminals call 0 to 15, as they show it on a dark ground.
const COLOURS: [&str; 16] = [
    "#5c6370", "#ff7b72", "#7ee787", "#e3b341", "#79a8ff", "#d2a8ff", "#66d9e8", "#d0d7de", "#8b949e",
    "#ffa198", "#a5f3b0", "#f2cc60", "#a5c8ff", "#e2c5ff", "#a5ecf3", "#ffffff",
];

#[test]
#[ignore = "it makes the recording of the README: cargo test --test cli -- --ignored recording"]
fn a_recording_for_the_readme() {
    let Demo { running: mut demo, address, .. } = Demo::start(&[]);
    let (admin, _) = address.split_once("/#key=").unwrap();
    let program = env!("CARGO_BIN_EXE_idleway");
    let command = format!("env -u NO_COLOR LC_ALL=C.UTF-8 '{program}' top --admin {admin}");
    let terminal = Terminal::run("recording", &command).unwrap();
    let (columns, rows) = (COLUMNS.to_string(), ROWS.to_string());
    terminal.tmux(&["resize-window", "-x", &columns, "-y", &rows]).unwrap();
    // Just before a backend is killed.
    let begun = Instant::now();
    let (_held, never) = std::sync::mpsc::sync_channel::<()>(0);
    let wait_until = |second: usize| {
        let at = Duration::from_secs(second as u64);
        let _ = never.recv_timeout(at.saturating_sub(begun.elapsed()));
    };
    let frames: Vec<String> = (0..SECONDS)
        .map(|second| {
            wait_until(27 + second);
            terminal.tmux(&["capture-pane", "-e", "-p"]).unwrap().1
        })
        .collect();
    demo.signal("-TERM");
    assert_eq!(demo.exit_code(), Some(0));
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/top.svg");
    std::fs::write(docs, moving(&frames)).unwrap();
}

/// One picture after the other, a second each, over and over; for whoever wants no motion the first one alone.
fn moving(frames: &[String]) -> String {
    let (wide, high) = (COLUMNS as f64 * WIDE + 24.0, ROWS as f64 * HIGH + 24.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide:.0} {high:.0}\" font-family=\"ui-monospace, Menlo, Consolas, monospace\" \
         font-size=\"14\" role=\"img\" aria-label=\"idleway top: five backends, one is killed and comes back\">\n<style>\
         text {{ fill: #d0d7de; white-space: pre; }} .b {{ font-weight: 700; }} .d {{ opacity: 0.65; }}\
         g {{ visibility: hidden; animation: one {}s steps(1) infinite; }} @keyframes one {{ 0% {{ visibility: visible; }} {:.4}% {{ visibility: hidden; }} }}\
         @media (prefers-reduced-motion: reduce) {{ g {{ animation: none; }} g:first-of-type {{ visibility: visible; }} }}",
        frames.len(),
        100.0 / frames.len() as f64
    );
    for (nth, colour) in COLOURS.iter().enumerate() {
        let _ = write!(svg, ".c{nth} {{ fill: {colour}; }}");
    }
    let _ = write!(svg, "</style>\n<rect width=\"100%\" height=\"100%\" rx=\"10\" fill=\"#12151b\"/>\n");
    for (second, frame) in frames.iter().enumerate() {
        let _ = writeln!(svg, "<g style=\"animation-delay: {second}s\">");
        for (row, line) in frame.lines().enumerate() {
            let y = 12.0 + (row as f64 + 0.75) * HIGH;
            let _ = write!(svg, "{}", text(line, y));
        }
        svg.push_str("</g>\n");
    }
    svg + "</svg>\n"
}

/// A line with its colours, each part at its own place: fonts differ in width.
fn text(line: &str, y: f64) -> String {
    let (mut out, mut column, mut style) = (String::new(), 0, Style::default());
    for (nth, part) in line.split('\u{1b}').enumerate() {
        let part = match part.strip_prefix('[').and_then(|part| part.split_once('m')).filter(|_| nth > 0) {
            Some((codes, rest)) => {
                style.change(codes);
                rest
            }
            None => part,
        };
        let shown = part.trim_end();
        if !shown.is_empty() {
            let begins = shown.chars().take_while(|c| *c == ' ').count();
            let x = 12.0 + (column + begins) as f64 * WIDE;
            let length = (shown.chars().count() - begins) as f64 * WIDE;
            let words = shown.trim_start().replace('&', "&amp;").replace('<', "&lt;");
            let class = style.class();
            let _ = writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\"{class}>{words}</text>"
            );
        }
        column += part.chars().count();
    }
    out
}

#[derive(Default)]
struct Style {
    colour: Option<u8>,
    bold: bool,
    dim: bool,
}

impl Style {
    /// As `CSI … m` says (ECMA-48, SGR).
    fn change(&mut self, codes: &str) {
        let mut codes = codes.split(';').map(|code| code.parse::<u8>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                22 => (self.bold, self.dim) = (false, false),
                30..=37 => self.colour = Some(code - 30),
                90..=97 => self.colour = Some(code - 90 + 8),
                39 => self.colour = None,
                38 if codes.next() == Some(5) => self.colour = codes.next().filter(|colour| *colour < 16),
                _ => {}
            }
        }
    }

    fn class(&self) -> String {
        let colour = self.colour.map(|colour| format!("c{colour}"));
        let classes: Vec<String> = colour
            .into_iter()
            .chain(self.bold.then(|| "b".to_owned()))
            .chain(self.dim.then(|| "d".to_owned()))
            .collect();
        if classes.is_empty() { String::new() } else { format!(" class=\"{}\"", classes.join(" ")) }
    }
}
