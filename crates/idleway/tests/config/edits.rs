//! Any edit of a file, however wild, is read or told: nothing stumbles over it, and what is read is printed as it is.

use idleway::config::{Plan, Source};
use proptest::prelude::*;

use super::EVERYTHING;

/// What people and editors leave in files, right or wrong.
const SNIPPETS: [&str; 32] = [
    "",
    "\n",
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "[",
    "]",
    "{",
    "}",
    "[[",
    "]]",
    "=",
    ",",
    ".",
    "#",
    "${",
    "${X}",
    "$${X}",
    "-1",
    "1.5",
    "true",
    "0",
    "ü",
    "\u{2}",
    "\r\n",
    "\t",
    "[pools.a]\n",
    "[[routes]]\n",
    "backends = [\"http://a\"]\n",
    "\\u001b",
    "99999999999999999999",
];

/// The file with some of its parts taken out, doubled or replaced.
fn edited() -> impl Strategy<Value = String> {
    let edit = (0..EVERYTHING.len(), 0..40_usize, proptest::sample::select(&SNIPPETS[..]));
    proptest::collection::vec(edit, 1..4).prop_map(|edits| {
        let mut text = EVERYTHING.to_owned();
        for (at, length, snippet) in edits {
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let end = (at + length).min(text.len());
            let end = (at..=end).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(at);
            text.replace_range(at..end, snippet);
        }
        text
    })
}

/// Lines of the file in another order, so that keys fall into other tables.
fn shuffled() -> impl Strategy<Value = String> {
    let lines: Vec<&str> = EVERYTHING.lines().collect();
    let count = lines.len();
    (Just(lines).prop_shuffle(), 1..=count).prop_map(|(lines, count)| lines[..count].join("\n"))
}

fn is_read_or_told(text: &str) {
    match Plan::from_toml(text, "idleway.toml") {
        Ok(plan) => {
            let printed = Source::new(text, "idleway.toml").print(&plan);
            let again = Plan::from_toml(&printed, "printed.toml");
            assert_eq!(again.as_ref(), Ok(&plan), "{text}\ncame to\n{printed}");
        }
        Err(faults) => {
            let lines = text.split('\n').count();
            assert!(faults.iter().count() > 0, "no fault in\n{text}");
            for fault in faults.iter() {
                let shown = fault.to_string() + &faults.coloured().to_string();
                assert!(
                    !shown.contains(['\u{2}', '\u{3}']) || text.contains("\\u0002"),
                    "a mark in {shown:?}"
                );
                if let (Some(place), Some(end)) = (fault.place(), fault.end()) {
                    assert!(place.line <= lines && end.line <= lines, "beyond the file: {fault}\n{text}");
                    assert!((place.line, place.column) <= (end.line, end.column), "{fault}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_edit_is_read_or_told(text in edited()) {
        is_read_or_told(&text);
    }

    #[test]
    fn any_order_of_lines_is_read_or_told(text in shuffled()) {
        is_read_or_told(&text);
    }
}
