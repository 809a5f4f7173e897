//! What the measures found: a table to read, the same in Markdown, and every sample in JSON.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};

use crate::rounds::{Rounds, Series};

/// The tables and samples so far.
pub(crate) struct Report {
    began: u64,
    preface: String,
    tables: Vec<Table>,
    samples: Vec<Value>,
    chart: Option<String>,
}

impl Report {
    /// Notes the time, the machine and the peers.
    pub(crate) fn begin(rounds: &Rounds) -> Result<Report> {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")?.as_secs();
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpus = read("/proc/cpuinfo");
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let mut preface = format!(
            "Machine: {cores} cores ({}), Linux {}; load average before: {}\n",
            model.map_or("unknown", |(_, name)| name),
            read("/proc/sys/kernel/osrelease").trim(),
            read("/proc/loadavg").split_ascii_whitespace().take(1).collect::<String>(),
        );
        for program in &rounds.programs {
            let _ = writeln!(preface, "{}: {}", program.kind.name(), program.version);
        }
        let _ = write!(preface, "{} rounds of {} s each", rounds.count, rounds.window.as_secs());
        Ok(Report { began, preface, tables: Vec::new(), samples: Vec::new(), chart: None })
    }

    pub(crate) fn preface(&self) -> &str {
        &self.preface
    }

    pub(crate) fn add<S: Serialize>(&mut self, table: Table, series: &[Series<S>]) {
        let of_each = series.iter().map(|one| (one.label.to_owned(), json!(one.samples)));
        self.samples
            .push(json!({ "measure": table.title, "rounds": of_each.collect::<serde_json::Map<_, _>>() }));
        self.tables.push(table);
    }

    /// Adds a chart, as SVG.
    pub(crate) fn draw(&mut self, chart: String) {
        self.chart = Some(chart);
    }

    pub(crate) fn chart(&self) -> Option<&str> {
        self.chart.as_deref()
    }

    /// The table that was added last.
    pub(crate) fn latest(&self) -> String {
        self.tables.last().map_or_else(String::new, Table::text)
    }

    /// Writes `compare-TIME.json` and `compare-TIME.md` to a folder, and `compare-TIME.svg` where there is a chart;
    /// returns the second.
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let file = |ending: &str| folder.join(format!("compare-{}.{ending}", self.began));
        let json = json!({ "began": self.began, "about": self.preface, "measures": self.samples });
        fs::write(file("json"), serde_json::to_string_pretty(&json)?)?;
        if let Some(chart) = &self.chart {
            fs::write(file("svg"), chart)?;
        }
        let mut text =
            format!("# Idleway beside HAProxy and nginx\n\n{}\n", self.preface.replace('\n', "  \n"));
        for table in &self.tables {
            let _ = write!(text, "\n## {}", table.text());
        }
        let markdown = file("md");
        fs::write(&markdown, text)?;
        Ok(markdown)
    }
}

/// A title, columns, rows and what must be known to read them.
pub(crate) struct Table {
    title: &'static str,
    rows: Vec<Vec<String>>,
    note: String,
}

impl Table {
    pub(crate) fn new(title: &'static str, columns: &[&str]) -> Table {
        let heads = columns.iter().map(|&column| column.to_owned()).collect();
        Table { title, rows: vec![heads], note: String::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.note = note.into();
    }

    /// Title, aligned Markdown table, note.
    fn text(&self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = format!("{}\n\n", self.title);
        for (number, row) in self.rows.iter().enumerate() {
            for (cell, &width) in row.iter().zip(&widths) {
                let _ = write!(text, "| {cell:width$} ");
            }
            text.push_str("|\n");
            if number == 0 {
                for width in &widths {
                    let _ = write!(text, "|{:-<1$}", "", width + 2);
                }
                text.push_str("|\n");
            }
        }
        let _ = write!(text, "\n{}\n", self.note);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_markdown() {
        let mut table = Table::new("Title", &["peer", "us"]);
        table.row(["idleway".to_owned(), "1.0".to_owned()]);
        table.note("Note.");
        let expected = "Title\n\n| peer    | us  |\n|---------|-----|\n| idleway | 1.0 |\n\nNote.\n";
        assert_eq!(table.text(), expected);
    }
}
