//! Reading a file into its [shape](super::file), as far as it can be understood.
//!
//! serde stops at the first thing it does not understand; so that a fault does not hide the next, what is at fault is
//! taken out and the rest is read again.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::expand::{Lookup, Veil};
use super::fault::Fault;
use super::file::{File, POOL_KEYS};
use super::words::{shape_fault, syntax_fault};

/// More faults than anyone reads at once; the next run shows the rest.
const ENOUGH: usize = 20;

/// What could be read of a file, and what could not.
#[derive(Debug, Default)]
pub(super) struct Understood {
    pub(super) file: File,
    pub(super) faults: Vec<Fault>,
    /// The keys that were taken out, each as the names that lead to it; of an element of a list, the list's and
    /// [`ELEMENT`]. A path without names is the whole file.
    pub(super) lost: Vec<Vec<String>>,
    pub(super) veil: Veil,
}

/// What stands for the place in a list.
pub(super) const ELEMENT: &str = "[]";

/// Reads the file as far as it can be understood, and says what could not be.
pub(super) fn read(text: &str, lookup: Lookup<'_>) -> Understood {
    let mut read = Understood::default();
    // Only the first: what a parser says after it has lost its place helps nobody.
    let mut top = match DeTable::parse(text) {
        Ok(root) => root.into_inner(),
        Err(error) => {
            read.faults.push(syntax_fault(text, &error));
            read.lost.push(Vec::new());
            return read;
        }
    };
    for (span, fault) in read.veil.expand(&mut top, lookup) {
        read.faults.push(fault.at(text, span.clone()));
        let mut path = Vec::new();
        if take_out(&mut top, &span, &mut path) {
            path.reverse();
            read.lost.push(path);
        }
    }
    let mut default_pool = DeTable::new();
    for key in POOL_KEYS {
        if let Some((key, value)) = top.remove_entry(key) {
            default_pool.insert(key, value);
        }
    }
    let has_default = !default_pool.is_empty();
    read.file.gateway = read.tolerant(text, top);
    read.file.default_pool = has_default.then(|| read.tolerant(text, default_pool));
    read
}

impl Understood {
    /// Reads a table; what is at fault is taken out and the rest read again.
    fn tolerant<'de, T: Deserialize<'de> + Default>(&mut self, text: &str, mut table: DeTable<'de>) -> T {
        loop {
            let root = toml::de::Deserializer::from(Spanned::new(0..text.len(), table.clone()));
            let error = match T::deserialize(root) {
                Ok(read) => return read,
                Err(error) => error,
            };
            let mut path = Vec::new();
            let taken_out = error.span().is_some_and(|span| take_out(&mut table, &span, &mut path));
            path.reverse();
            let is_expanded = error.span().is_some_and(|span| self.veil.covers(&span));
            let (fault, is_a_stranger) = shape_fault(&error, &path, is_expanded);
            self.faults.push(match error.span() {
                Some(span) => self.veil.hide(fault, &span).at(text, span),
                None => self.veil.hide(fault, &(0..0)),
            });
            if !taken_out || self.faults.len() >= ENOUGH {
                self.lost.push(Vec::new());
                return T::default();
            }
            if !is_a_stranger {
                self.lost.push(path);
            }
        }
    }
}

/// Takes out the entry whose key or value stands at the span, and notes the way there, from its end.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
    let at_fault = table.iter().find(|(key, value)| key.span() == *span || value.span() == *span);
    if let Some(key) = at_fault.map(|(key, _)| key.get_ref().to_string()) {
        let taken_out = table.remove(key.as_str()).is_some();
        path.push(key);
        return taken_out;
    }
    table.iter_mut().any(|(key, value)| {
        let taken_out = take_out_within(value.get_mut(), span, path);
        if taken_out {
            path.push(key.get_ref().to_string());
        }
        taken_out
    })
}

fn take_out_within(value: &mut DeValue<'_>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
    match value {
        DeValue::Table(table) => take_out(table, span, path),
        DeValue::Array(array) if array.iter().any(|element| element.span() == *span) => {
            let mut rest = DeArray::new();
            std::mem::replace(array, DeArray::new())
                .into_iter()
                .filter(|element| element.span() != *span)
                .for_each(|element| rest.push(element));
            *array = rest;
            path.push(ELEMENT.to_owned());
            true
        }
        DeValue::Array(array) => array.iter_mut().any(|element| {
            let taken_out = take_out_within(element.get_mut(), span, path);
            if taken_out {
                path.push(ELEMENT.to_owned());
            }
            taken_out
        }),
        _ => false,
    }
}
