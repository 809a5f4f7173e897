//! A configuration file as it stands there, and what reading it comes to.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::expand::Lookup;
use super::fault::{Fault, Faults};
use super::meaning::Overrides;
use super::plan::Plan;
use super::print;
use super::read;

/// Bytes of a configuration file.
const LARGEST: u64 = 16 << 20;

/// The text of a configuration, what its faults call it, and whether `${NAME}` and `${file:PATH}` are expanded in it.
///
/// Expanding is a look at the process's environment and at files, at each reading. Only what was read from a file
/// ([`Source::read`]) or was told to ([`Source::expanding`]) does it; anywhere else `${` is a fault. What was expanded
/// is never shown: faults, [`Source::print`] and [`Source::hiding`] say what the file says.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    text: String,
    folder: Option<PathBuf>,
}

impl Source {
    /// A text that expands nothing. `name` is what faults call it.
    pub fn new(text: impl Into<String>, name: impl Into<String>) -> Self {
        Source { name: name.into(), text: text.into(), folder: None }
    }

    /// The text of a file, of at most 16 MiB; `${…}` is expanded, with paths that begin in the file's folder.
    ///
    /// # Errors
    /// Why it cannot be read, or where it is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, Faults> {
        let name = path.display().to_string();
        let text = std::fs::File::open(path)
            .map_err(|error| Fault::new(format!("cannot be read: {error}")))
            .and_then(text_of)
            .map_err(|fault| Faults::new(&name, vec![fault]))?;
        Ok(Source::new(text, name).expanding(path.parent().unwrap_or(Path::new(""))))
    }

    /// As [`Source::read`], from what can be read to an end, with paths that begin in the current folder.
    ///
    /// # Errors
    /// Why it cannot be read, or where it is not UTF-8.
    pub fn read_from(input: impl Read, name: impl Into<String>) -> Result<Self, Faults> {
        let name = name.into();
        let text = text_of(input).map_err(|fault| Faults::new(&name, vec![fault]))?;
        Ok(Source::new(text, name).expanding(""))
    }

    /// The same, with `${NAME}` taken from the process's environment and `${file:PATH}` from files; a path that is
    /// not absolute begins in this folder.
    #[must_use]
    pub fn expanding(self, folder: impl Into<PathBuf>) -> Self {
        Source { folder: Some(folder.into()), ..self }
    }

    /// What faults call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it means.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn plan(&self) -> Result<Plan, Faults> {
        Overrides::default().over(self)
    }

    /// The Plan that it came to, as a file in which every key stands, with what it came to by default or by the
    /// words of the file. Read in the same folder and environment, it comes to the same Plan. What was expanded
    /// stands there as it was written.
    pub fn print(&self, plan: &Plan) -> String {
        print::print(&self.text, plan)
    }

    /// Says texts of the Plan that it came to as the file says them: a whole text that was expanded as it was written, of
    /// any other each value that is expanded in this file as its `${…}`.
    pub fn hiding(&self) -> impl Fn(&str) -> String {
        let veil = read::read(&self.text, self.lookup()).veil;
        move |text| veil.as_written(text)
    }

    /// What it says.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn lookup(&self) -> Lookup<'_> {
        self.folder.as_deref().map_or(Lookup::Nowhere, Lookup::System)
    }
}

fn text_of(input: impl Read) -> Result<String, Fault> {
    let mut bytes = Vec::new();
    input
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Fault::new(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Fault::new(format!("is larger than {} MiB", LARGEST >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let read = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes());
        Fault::new("not UTF-8: save the file in that encoding").at(&text, read..read + 1)
    })
}
