//! The routes of one host, by their paths.

use std::collections::HashMap;

use super::reading::bare;

/// The routes of one host, as indices. Those of one path stand in the order in which they are tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Paths {
    exact: HashMap<Vec<u8>, Vec<usize>>,
    below: HashMap<Vec<u8>, Vec<usize>>,
    /// Bytes of the longest path.
    longest: usize,
    /// Those of every path: the usual case takes no look-up at all.
    every: Vec<usize>,
}

impl Paths {
    /// The routes of exactly this path, to be added to.
    pub(super) fn of(&mut self, path: &[u8], is_exact: bool) -> &mut Vec<usize> {
        self.longest = self.longest.max(path.len());
        match (is_exact, path) {
            (true, path) => self.exact.entry(path.to_vec()).or_default(),
            (false, b"") => &mut self.every,
            (false, path) => self.below.entry(path.to_vec()).or_default(),
        }
    }

    /// Whether the path makes no difference here.
    pub(super) fn take_every_path(&self) -> bool {
        self.longest == 0 && self.exact.is_empty()
    }

    /// The routes that take this path: those of exactly it, then those of its beginnings, the longest first.
    pub(super) fn fitting(&self, path: &[u8]) -> impl Iterator<Item = &usize> {
        let borders = (1..path.len()).rev().filter(|&at| path[at] == b'/');
        let ends = [path.len()].into_iter().chain(borders).filter(|&end| 0 < end && end <= self.longest);
        let whole = bare(path);
        // What is longer than any of them is not even looked up.
        let exact = (whole.len() <= self.longest && !self.exact.is_empty()).then(|| self.exact.get(whole));
        let below = ends.filter_map(|end| self.below.get(&path[..end])).flatten();
        exact.flatten().into_iter().flatten().chain(below).chain(&self.every)
    }
}
