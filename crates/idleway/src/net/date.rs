//! The `Date` of answers.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

/// The present as RFC 9110 section 5.6.7 writes it; formatted once a second on each core.
pub(crate) fn date() -> String {
    thread_local! {
        static LAST: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    LAST.with_borrow_mut(|last| {
        if last.0 != second {
            *last = (second, httpdate::fmt_http_date(now));
        }
        last.1.clone()
    })
}
