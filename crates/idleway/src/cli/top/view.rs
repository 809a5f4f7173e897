//! What whoever looks has chosen to see: the order, the filter, the selected backend, and what is asked of them.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::backend::Backend;
use super::errand::Errand;
use super::picture::Picture;
use super::pool::Pool;
use super::words;

/// How long the outcome of an order is shown.
const SHOWN: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) order: Order,
    pub(super) filter: String,
    pub(super) dialog: Dialog,
    /// By its pool and its key: it stays selected wherever it moves.
    pub(super) selected: Option<(String, u64)>,
    pub(super) notice: Option<Notice>,
    /// How many rows there is room for, and the first that is shown: as it was drawn last.
    pub(super) page: usize,
    pub(super) first: usize,
}

/// What comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Problems,
    Name,
    Busiest,
    Oldest,
}

/// What keys are read for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Dialog {
    #[default]
    None,
    /// The filter is written.
    Filter,
    /// Whether this is really meant.
    Sure(Errand),
    /// All work of the selected backend, from this line on.
    Work(usize),
    Help,
}

/// What came of an order, or of a key.
#[derive(Debug)]
pub(super) struct Notice {
    /// The backend that it is about, as it may be shortened; nothing where it is about none.
    pub(super) who: String,
    /// What follows that name.
    pub(super) words: String,
    pub(super) is_bad: bool,
    pub(super) since: Instant,
}

/// A line of the list.
#[derive(Debug, Clone, Copy)]
pub(super) enum Row<'a> {
    Pool(&'a str, &'a Pool),
    /// The second line of a pool.
    Rates(&'a Pool),
    Backend(&'a str, u64, &'a Backend),
    Gap,
}

impl Order {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Problems => Self::Name,
            Self::Name => Self::Busiest,
            Self::Busiest => Self::Oldest,
            Self::Oldest => Self::Problems,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Problems => "problems",
            Self::Name => "name",
            Self::Busiest => "busiest",
            Self::Oldest => "oldest work",
        }
    }
}

impl View {
    /// The list: each pool, and below it its backends.
    pub(super) fn rows<'a>(&self, picture: &'a Picture, now: f64) -> Vec<Row<'a>> {
        let filter = self.filter.to_lowercase();
        let mut pools: Vec<_> = picture
            .pools
            .iter()
            .map(|(name, pool)| (&**name, pool, self.backends(name, pool, &filter, now)))
            .filter(|(.., backends)| filter.is_empty() || !backends.is_empty())
            .collect();
        match self.order {
            Order::Problems => pools.sort_by_key(|(_, pool, shown)| {
                let worst = shown.iter().map(|(_, one)| one.rank(now)).min().unwrap_or(u8::MAX);
                (worst != 0, !pool.fares_badly(now), worst)
            }),
            Order::Busiest => {
                pools.sort_by(|(_, one, _), (_, other, _)| other.slots.share().total_cmp(&one.slots.share()));
            }
            Order::Oldest => {
                let since = |all: &[(u64, &Backend)]| {
                    all.iter().map(|(_, one)| since(one)).fold(f64::INFINITY, f64::min)
                };
                pools.sort_by(|(.., one), (.., other)| since(one).total_cmp(&since(other)));
            }
            // By their names they stand in the picture.
            Order::Name => {}
        }
        let mut rows = Vec::new();
        for (name, pool, backends) in pools {
            if !rows.is_empty() {
                rows.push(Row::Gap);
            }
            rows.extend([Row::Pool(name, pool), Row::Rates(pool)]);
            rows.extend(backends.into_iter().map(|(key, backend)| Row::Backend(name, key, backend)));
        }
        rows
    }

    fn backends<'a>(&self, name: &str, pool: &'a Pool, filter: &str, now: f64) -> Vec<(u64, &'a Backend)> {
        let is_pool = name.to_lowercase().contains(filter);
        let shown = pool.backends.iter().filter(|(_, backend)| is_pool || matches(backend, filter));
        let mut shown: Vec<_> = shown.map(|(key, backend)| (*key, backend)).collect();
        shown.sort_by_cached_key(|(_, backend)| natural(&backend.name));
        match self.order {
            Order::Name => {}
            Order::Problems => shown.sort_by_key(|(_, backend)| backend.rank(now)),
            Order::Busiest => shown.sort_by_key(|(_, backend)| Reverse(backend.slots.taken())),
            Order::Oldest => shown.sort_by(|(_, one), (_, other)| since(one).total_cmp(&since(other))),
        }
        shown
    }

    /// Where the selected backend stands in the list; the first one where it does not, or none is selected.
    pub(super) fn selected_row(&self, rows: &[Row<'_>]) -> Option<usize> {
        let is_it = |row: &Row<'_>| match (row, &self.selected) {
            (Row::Backend(pool, key, _), Some((chosen, id))) => pool == chosen && key == id,
            _ => false,
        };
        rows.iter().position(is_it).or_else(|| rows.iter().position(Row::is_backend))
    }

    pub(super) fn selected_backend<'a>(&self, rows: &[Row<'a>]) -> Option<(&'a str, u64, &'a Backend)> {
        match rows.get(self.selected_row(rows)?) {
            Some(Row::Backend(pool, key, backend)) => Some((pool, *key, backend)),
            _ => None,
        }
    }

    /// Selects the backend so many further down.
    pub(super) fn go(&mut self, rows: &[Row<'_>], by: isize) {
        let backends: Vec<_> = (0..rows.len()).filter(|at| rows[*at].is_backend()).collect();
        let Some(last) = backends.len().checked_sub(1) else { return };
        let selected = self.selected_row(rows);
        let at = backends.iter().position(|at| Some(*at) == selected).unwrap_or(0);
        let at = at.saturating_add_signed(by).min(last);
        if let Some(Row::Backend(pool, key, _)) = backends.get(at).and_then(|at| rows.get(*at)) {
            self.selected = Some(((*pool).to_owned(), *key));
        }
    }

    pub(super) fn tell(&mut self, who: String, words: String, is_bad: bool, now: Instant) {
        self.notice = Some(Notice { who, words, is_bad, since: now });
    }

    /// Whether there was a notice that has stood there for long enough. What is bad stands there until a key is pressed.
    pub(super) fn forget(&mut self, now: Instant) -> bool {
        let is_old =
            |notice: &mut Notice| !notice.is_bad && now.saturating_duration_since(notice.since) >= SHOWN;
        self.notice.take_if(is_old).is_some()
    }
}

impl Row<'_> {
    fn is_backend(&self) -> bool {
        matches!(self, Row::Backend(..))
    }
}

/// Since when it has been at its oldest work; where there is none it comes last.
fn since(backend: &Backend) -> f64 {
    backend.oldest_since().unwrap_or(f64::INFINITY)
}

/// Whether anything that is seen of a backend contains the text, which is in small letters.
fn matches(backend: &Backend, filter: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(filter);
    let work = || {
        backend
            .work
            .iter()
            .any(|work| has(&work.route) || has(&work.client) || has(&work.key) || has(&work.method))
    };
    has(&backend.name) || has(&words::state(backend)) || work()
}

/// A name to sort by: numbers in it as numbers, so that port 900 comes before 6000.
fn natural(name: &str) -> Vec<(u64, String)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (word, after) = after.split_at(letters);
        parts.push((number.parse().unwrap_or_default(), word.to_owned()));
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn picture() -> Picture {
        let now = Instant::now();
        let mut picture = Picture::new(now);
        let work = |since: f64| json!([{ "state": "busy", "since_unix_seconds": since, "route": "/train", "method": "POST" }]);
        let told = json!({
            "now_unix_seconds": 100.0,
            "pools": { "images": { "slots": { "all": 4, "busy": 1 } }, "texts": { "slots": { "all": 1, "busy": 1 } } },
            "backends": {
                "images": {
                    "1": { "name": "h:1000" }, "2": { "name": "h:900", "slots": { "busy": 1 }, "work": work(90.0) },
                    "3": { "name": "h:950", "slots": { "busy": 2 }, "work": work(95.0) },
                },
                "texts": { "4": { "name": "t", "health": "down" } },
            },
        });
        picture.apply("whole", &told, now);
        picture
    }

    fn keys(view: &View, picture: &Picture) -> Vec<u64> {
        let keys = view.rows(picture, 100.0).into_iter().filter_map(|row| match row {
            Row::Backend(_, key, _) => Some(key),
            _ => None,
        });
        keys.collect()
    }

    #[test]
    fn each_order_puts_something_else_first() {
        let picture = picture();
        let mut view = View::default();
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push((view.order.word(), keys(&view, &picture)));
            view.order = view.order.next();
        }
        let expected = [
            ("problems", vec![4, 2, 3, 1]),
            ("name", vec![2, 3, 1, 4]),
            ("busiest", vec![4, 3, 2, 1]),
            ("oldest work", vec![2, 3, 1, 4]),
        ];
        assert_eq!(all, expected);
        assert_eq!(view.order, Order::Problems);
    }

    #[test]
    fn a_filter_finds_what_is_seen() {
        let picture = picture();
        let found = |filter: &str| keys(&View { filter: filter.to_owned(), ..View::default() }, &picture);
        assert_eq!(found("IMAGES"), [2, 3, 1]);
        assert_eq!(found("down"), [4]);
        assert_eq!(found("/train"), [2, 3]);
        assert_eq!(found("1000"), [1]);
        assert!(found("nowhere").is_empty());
    }

    #[test]
    fn what_is_selected_stays_so_wherever_it_moves() {
        let mut picture = picture();
        let mut view = View::default();
        let selected =
            |view: &View, picture: &Picture| view.selected_backend(&view.rows(picture, 100.0)).map(|it| it.1);
        assert_eq!(selected(&view, &picture), Some(4));
        for (by, key) in [(1, 2), (-9, 4), (2, 3), (9, 1), (-1, 3)] {
            view.go(&view.rows(&picture, 100.0).clone(), by);
            assert_eq!(selected(&view, &picture), Some(key));
        }
        view.order = Order::Name;
        assert_eq!(selected(&view, &picture), Some(3));
        picture.apply("change", &json!({ "gone_backends": { "images": [3] } }), Instant::now());
        assert_eq!(selected(&view, &picture), Some(2));
        assert_eq!(selected(&view, &Picture::new(Instant::now())), None);
        view.go(&[], 1);
    }

    /// The names of the pools, in this order.
    fn pools(told: &serde_json::Value, order: Order) -> Vec<String> {
        let mut picture = Picture::new(Instant::now());
        picture.apply("whole", told, Instant::now());
        let view = View { order, ..View::default() };
        let names = view.rows(&picture, 100.0).into_iter().filter_map(|row| match row {
            Row::Pool(name, _) => Some(name.to_owned()),
            _ => None,
        });
        names.collect()
    }

    #[test]
    fn where_requests_fare_badly_comes_right_after_what_is_down() {
        let idle = json!({ "1": { "name": "x", "slots": { "idle": 1 } } });
        let told = json!({
            "now_unix_seconds": 100.0,
            "pools": {
                "a-well": {}, "b-drained": {}, "c-lingers": {}, "d-waits": { "queue": { "waiting": 1 } }, "e-fails": {}, "f-refuses": {},
                "g-down": {}, "h-down-and-fails": {}, "i-served": { "queue": { "waiting": 1 } },
            },
            "backends": {
                "a-well": idle, "b-drained": { "1": { "name": "x", "mode": "drain" } },
                "c-lingers": { "1": { "name": "x", "work": [{ "state": "lingering", "since_unix_seconds": 1.0 }] } },
                "d-waits": { "1": { "name": "x", "slots": { "busy": 1 } } },
                "e-fails": idle, "f-refuses": idle, "g-down": { "1": { "name": "x", "health": "down" } },
                "h-down-and-fails": { "1": { "name": "x", "health": "down" } }, "i-served": idle,
            },
            "points": { "a-well": [[95, 9, 0, 0]], "e-fails": [[95, 9, 0, 1]], "f-refuses": [[95, 9, 1, 0]], "h-down-and-fails": [[95, 9, 0, 1]] },
        });
        let expected = [
            "h-down-and-fails",
            "g-down",
            "d-waits",
            "e-fails",
            "f-refuses",
            "c-lingers",
            "b-drained",
            "a-well",
            "i-served",
        ];
        assert_eq!(pools(&told, Order::Problems), expected);
    }

    #[test]
    fn pools_stand_by_their_oldest_work_too() {
        let work =
            |since: f64| json!({ "name": "x", "work": [{ "state": "busy", "since_unix_seconds": since }] });
        let told = json!({
            "now_unix_seconds": 100.0,
            "pools": { "a": {}, "b": {}, "c": {}, "d": {} },
            "backends": { "b": { "1": work(90.0), "2": work(60.0) }, "c": { "1": work(50.0), "2": work(99.0) }, "d": { "1": work(70.0) } },
        });
        assert_eq!(pools(&told, Order::Oldest), ["c", "b", "d", "a"]);
    }
}
