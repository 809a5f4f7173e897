//! What each key does.

use std::time::Instant;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::errand::Errand;
use super::picture::Picture;
use super::view::{Dialog, View};

/// What a key comes to beyond what is seen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing.
    Look,
    /// The screen is written anew.
    Anew,
    /// The picture stands still, or goes on.
    Pause,
    Order(Errand),
    /// The shell gets the terminal for a while.
    Suspend,
    Quit,
}

/// All keys, for people.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("up, down, j, k", "select a backend; PgUp and PgDn by a page, Home and End"),
    ("Enter", "everything the selected backend is at"),
    ("s", "the next order: problems, name, busiest, oldest work"),
    ("/", "show only what contains a text; Enter keeps it, Esc clears it"),
    ("d", "drain: no new requests, what runs goes on"),
    ("r", "bring it back: requests again"),
    ("m", "maintenance: neither requests nor probes"),
    ("p", "hold the picture still, and go on"),
    ("Ctrl-L", "write the screen anew"),
    ("q, Esc", "quit"),
];

/// So long a filter may be.
const LONGEST: usize = 64;

impl View {
    /// `picture` is the one that is seen.
    pub(super) fn key(&mut self, key: KeyEvent, picture: &Picture, now: Instant) -> Act {
        let is_ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        // What came while something is written or asked was not seen yet.
        if !matches!(self.dialog, Dialog::Filter | Dialog::Sure(_)) {
            self.notice = None;
        }
        match (&mut self.dialog, key.code) {
            (_, KeyCode::Char('c')) if is_ctrl => return Act::Quit,
            (_, KeyCode::Char('l')) if is_ctrl => return Act::Anew,
            (_, KeyCode::Char('z')) if is_ctrl => return Act::Suspend,
            (Dialog::Filter, KeyCode::Char('u')) if is_ctrl => self.filter.clear(),
            _ if is_ctrl => {}
            (Dialog::None, code) => return self.choose(code, picture, now),
            (Dialog::Filter, code) => self.write(code),
            (Dialog::Sure(errand), code) => {
                let errand = errand.clone();
                match code {
                    KeyCode::Char('y' | 'Y') => {
                        self.dialog = Dialog::None;
                        return Act::Order(errand);
                    }
                    KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => {
                        self.dialog = Dialog::None;
                        if self.notice.is_none() {
                            self.tell(String::new(), "nothing was done".to_owned(), false, now);
                        }
                    }
                    _ => {}
                }
            }
            (Dialog::Work(from), code) => match code {
                KeyCode::Down | KeyCode::Char('j') => *from = from.saturating_add(1),
                KeyCode::Up | KeyCode::Char('k') => *from = from.saturating_sub(1),
                KeyCode::PageDown | KeyCode::Char(' ') => *from = from.saturating_add(self.page),
                KeyCode::PageUp => *from = from.saturating_sub(self.page),
                KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') => self.dialog = Dialog::None,
                // What can be done to the selected backend can be done here too.
                KeyCode::Char(_) => return self.choose(code, picture, now),
                _ => {}
            },
            (Dialog::Help, _) => self.dialog = Dialog::None,
        }
        Act::Look
    }

    fn choose(&mut self, code: KeyCode, picture: &Picture, now: Instant) -> Act {
        let rows = self.rows(picture, picture.clock(now));
        let page = isize::try_from(self.page.saturating_sub(2).max(1)).unwrap_or(1);
        match code {
            KeyCode::Char('q') => return Act::Quit,
            KeyCode::Esc if self.filter.is_empty() => return Act::Quit,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Down | KeyCode::Char('j') => self.go(&rows, 1),
            KeyCode::Up | KeyCode::Char('k') => self.go(&rows, -1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.go(&rows, page),
            KeyCode::PageUp => self.go(&rows, -page),
            KeyCode::Home | KeyCode::Char('g') => self.go(&rows, isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.go(&rows, isize::MAX),
            KeyCode::Enter if self.selected_backend(&rows).is_some() => {
                // It stays the selected one, also where nobody has chosen it yet.
                self.go(&rows, 0);
                self.dialog = Dialog::Work(0);
            }
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Char('/') => self.dialog = Dialog::Filter,
            KeyCode::Char('?' | 'h') => self.dialog = Dialog::Help,
            KeyCode::Char('p') => return Act::Pause,
            KeyCode::Char(key @ ('d' | 'r' | 'm')) => {
                let Some((pool, id, backend)) = self.selected_backend(&rows) else { return Act::Look };
                let mode = match key {
                    'd' => "drain",
                    'r' => "ready",
                    _ => "maintenance",
                };
                let errand = Errand { pool: pool.to_owned(), backend: backend.name.clone(), mode };
                self.selected = Some((errand.pool.clone(), id));
                self.dialog = Dialog::Sure(errand);
            }
            _ => {}
        }
        Act::Look
    }

    fn write(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.dialog = Dialog::None,
            KeyCode::Esc => {
                self.filter.clear();
                self.dialog = Dialog::None;
            }
            KeyCode::Backspace => _ = self.filter.pop(),
            KeyCode::Char(c) if self.filter.len() < LONGEST => self.filter.push(c),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn picture() -> Picture {
        let now = Instant::now();
        let mut picture = Picture::new(now);
        let told = json!({ "pools": { "a": {} }, "backends": { "a": { "1": { "name": "x" }, "2": { "name": "y" } } } });
        picture.apply("whole", &told, now);
        picture
    }

    fn press(view: &mut View, codes: &[KeyCode]) -> Act {
        let picture = picture();
        let mut act = Act::Look;
        for code in codes {
            act = view.key(KeyEvent::from(*code), &picture, Instant::now());
        }
        act
    }

    use KeyCode::{Backspace, Char, Down, Enter, Esc};

    #[test]
    fn an_order_is_asked_for_and_may_be_taken_back() {
        for (key, mode) in [('d', "drain"), ('r', "ready"), ('m', "maintenance")] {
            let mut view = View::default();
            let errand = Errand { pool: "a".to_owned(), backend: "y".to_owned(), mode };
            assert_eq!(press(&mut view, &[Down, Char(key)]), Act::Look);
            assert_eq!(view.dialog, Dialog::Sure(errand.clone()));
            // Whatever else is pressed is no yes.
            assert_eq!(press(&mut view, &[Enter, Char(' '), Char('d')]), Act::Look);
            assert_eq!(press(&mut view, &[Char('n')]), Act::Look);
            assert_eq!((&view.dialog, view.notice.is_some()), (&Dialog::None, true));
            assert_eq!(press(&mut view, &[Char(key), Char('y')]), Act::Order(errand));
        }
    }

    #[test]
    fn what_came_of_an_order_is_not_lost_behind_a_question() {
        for (open, close) in [('d', Char('n')), ('/', Enter)] {
            let mut view = View::default();
            press(&mut view, &[Char(open)]);
            view.tell("a/x".to_owned(), ": no answer came".to_owned(), true, Instant::now());
            press(&mut view, &[Char(' '), close]);
            assert_eq!(view.notice.as_ref().map(|notice| &*notice.who), Some("a/x"));
            press(&mut view, &[Down]);
            assert!(view.notice.is_none());
        }
    }

    #[test]
    fn a_filter_is_kept_or_cleared() {
        let mut view = View::default();
        press(&mut view, &[Char('/'), Char('q'), Char('y'), Char('z'), Backspace, Enter]);
        assert_eq!((&*view.filter, &view.dialog), ("qy", &Dialog::None));
        assert_eq!(press(&mut view, &[Esc]), Act::Look);
        assert_eq!(view.filter, "");
        press(&mut view, &[Char('/'), Char('x'), Esc]);
        assert_eq!((&*view.filter, &view.dialog), ("", &Dialog::None));
        assert_eq!(press(&mut view, &[Esc]), Act::Quit);
    }

    #[test]
    fn whatever_is_open_closes_before_the_program_does() {
        for open in [Char('?'), Enter] {
            let mut view = View::default();
            press(&mut view, &[open]);
            assert_ne!(view.dialog, Dialog::None);
            assert_eq!(press(&mut view, &[Char('q')]), Act::Look);
            assert_eq!(press(&mut view, &[Char('q')]), Act::Quit);
        }
        let ctrl_c = KeyEvent::new(Char('c'), KeyModifiers::CONTROL);
        for dialog in [Dialog::Filter, Dialog::Help, Dialog::Work(0)] {
            let mut view = View { dialog, ..View::default() };
            assert_eq!(view.key(ctrl_c, &picture(), Instant::now()), Act::Quit);
        }
    }
}
