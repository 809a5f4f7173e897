//! The words for what is ordered of a backend.

use idleway_core::Mode;

/// As the admin API has it.
pub(crate) fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Ready => "ready",
        Mode::Drain => "drain",
        Mode::Maintenance => "maintenance",
    }
}

/// The mode that this word stands for.
pub(crate) fn mode_of(word: &str) -> Option<Mode> {
    [Mode::Ready, Mode::Drain, Mode::Maintenance].into_iter().find(|mode| mode_word(*mode) == word)
}
