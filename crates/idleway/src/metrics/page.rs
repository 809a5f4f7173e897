//! The text that Prometheus reads (its exposition format, version 0.0.4).

use std::fmt::{Display, Write};

use super::histogram::{BOUNDS, Histogram};

/// The media type of the text.
pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page that is being written: metric by metric, each with all its samples.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
    name: &'static str,
}

pub(crate) type Labels<'a> = [(&'static str, &'a str)];

impl Page {
    /// Begins a metric.
    pub(crate) fn metric(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// A sample of the metric at its turn.
    pub(crate) fn sample(&mut self, labels: &Labels<'_>, value: impl Display) {
        let name = self.name;
        self.write(format_args!("{name}{} {value}\n", Written(labels, None)));
    }

    /// All samples of a histogram.
    pub(crate) fn histogram(&mut self, labels: &Labels<'_>, histogram: &Histogram) {
        let name = self.name;
        for (bound, within) in BOUNDS.iter().zip(histogram.within) {
            self.write(format_args!("{name}_bucket{} {within}\n", Written(labels, Some(*bound))));
        }
        let Histogram { count, sum, .. } = histogram;
        self.write(format_args!("{name}_bucket{} {count}\n", Written(labels, Some(f64::INFINITY))));
        self.write(format_args!("{name}_sum{} {sum}\n", Written(labels, None)));
        self.write(format_args!("{name}_count{} {count}\n", Written(labels, None)));
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // A text takes all that is written to it.
        let _ = self.text.write_fmt(text);
    }
}

/// Labels, and the bound of a bucket, as they are written.
struct Written<'a>(&'a Labels<'a>, Option<f64>);

impl Display for Written<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(labels, bound) = self;
        if labels.is_empty() && bound.is_none() {
            return Ok(());
        }
        let mut before = '{';
        for (name, value) in *labels {
            write!(f, "{before}{name}=\"")?;
            for c in value.chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    '"' => f.write_str("\\\"")?,
                    '\n' => f.write_str("\\n")?,
                    c => f.write_char(c)?,
                }
            }
            f.write_char('"')?;
            before = ',';
        }
        match bound {
            Some(bound) if bound.is_infinite() => write!(f, "{before}le=\"+Inf\"")?,
            Some(bound) => write!(f, "{before}le=\"{bound}\"")?,
            None => {}
        }
        f.write_char('}')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_label_says_cannot_leave_it() {
        let mut page = Page::default();
        page.metric("a_total", "counter", "Things.");
        page.sample(&[("x", "a\"b\\c\nd"), ("y", "")], 3);
        page.sample(&[], 1.5);
        assert_eq!(
            page.finish(),
            "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"a\\\"b\\\\c\\nd\",y=\"\"} 3\na_total 1.5\n"
        );
    }
}
