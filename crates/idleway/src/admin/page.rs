//! The files of the dashboard, which stand in the program.

use http::Method;

use super::answer::{self, Answer};

/// By their paths, with their media types.
const FILES: &[(&str, &str, &str)] = &[
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("/page/app.js", "text/javascript; charset=utf-8", include_str!("page/app.js")),
    ("/page/board.js", "text/javascript; charset=utf-8", include_str!("page/board.js")),
    ("/page/cards.js", "text/javascript; charset=utf-8", include_str!("page/cards.js")),
    ("/page/charts.js", "text/javascript; charset=utf-8", include_str!("page/charts.js")),
    ("/page/feed.js", "text/javascript; charset=utf-8", include_str!("page/feed.js")),
    ("/page/session.js", "text/javascript; charset=utf-8", include_str!("page/session.js")),
    ("/page/words.js", "text/javascript; charset=utf-8", include_str!("page/words.js")),
    ("/page/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// The file at this path.
pub(super) fn find(method: &Method, path: &str) -> Option<Answer> {
    let is_asked = matches!(*method, Method::GET | Method::HEAD);
    let (_, kind, text) = FILES.iter().find(|(known, ..)| is_asked && *known == path)?;
    Some(answer::file(kind, text))
}
