//! Which request goes where.
//!
//! A route asks for a host (exact, whatever its case and port, or all below a name), a path (a prefix that ends where
//! a segment ends: `/process` takes `/process`, `/process/x` and `/process?x`, not `/processes`; or exactly one),
//! methods and header fields; what it does not ask for does not matter. Where several routes fit, the more specific
//! one is taken: first by host (exact, then the longer wildcard, then any), then by path (exact, then the longer
//! prefix), then a method before none, then more header fields before fewer. Two routes that are equal in all that
//! and fit one request are a [`Clash`]: the order in the file never decides.
//!
//! **No request slips past a route by its spelling.** Programs disagree about what some paths mean: one removes
//! `..`, the next looks for a directory of that name. The gateway passes a path on as it came and cannot know how
//! the backend reads it, so it tries the ways in which it could be read (`Reading`), and only where all of them
//! lead to the same route does the request have a route. `/public/..%2Fadmin` finds none as soon as `/public` or
//! `/admin` is a route of its own, and goes through where one route takes every path. Percent-encodings that all
//! programs read alike (RFC 3986 section 6.2.2.2: `%61` is `a`) are decoded before the comparison, a slash at the end
//! makes no difference, and the name of a header field stands for all spellings that an application may take for it.
//!
//! | file | what it holds |
//! |---|---|
//! | here | [`Route`]: what it asks for, and what holds for its requests |
//! | `table` | [`Routes`]: all of them, and which one takes a request |
//! | `paths`, `hosts`, `condition` | by path, by host, by header field |
//! | `reading` | how programs read a path |
//! | `replacement` | what a backend is sent instead of the path |
//! | `target` | [`Target`]: a pool, a fixed answer, a redirect |
//! | `explain` | [`Explanation`]: why a request has the route that it has |
//! | `spelled` | a route's text, made once |
//! | `asked` | [`Asked`]: a request, as far as routes look at it |

mod asked;
mod condition;
mod explain;
mod hosts;
mod paths;
mod reading;
mod replacement;
mod spelled;
mod table;
mod target;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Abandon, Priority};
use crate::edits::{Authority, Edits};

pub use self::asked::{Asked, Fields, Visible};
pub use self::condition::Wanted;
pub use self::explain::{Explanation, Mismatch, Read};
pub use self::table::{Clash, Routes};
pub use self::target::{Answer, Redirect, Target};

use self::condition::Condition;
use self::hosts::Hosts;
use self::reading::{Reading, bare, decoded, is_ambiguous};
use self::replacement::Replacement;
use self::spelled::Spelled;

/// One way from requests to a pool, or to an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// Where its requests go.
    pub target: Target,
    /// Its place in the table that it is in.
    pub(crate) nth: usize,
    hosts: Option<Hosts>,
    /// Decoded, without a slash at its end: empty for every path, or if it is exact for the root.
    path: Vec<u8>,
    /// It takes this path alone, and none below it.
    is_exact: bool,
    /// Empty for every method.
    methods: Vec<String>,
    conditions: Vec<Condition>,
    replace: Option<Replacement>,
    /// The longest silence of a backend, where that is not as its pool says.
    pub timeout: Option<Duration>,
    /// The whole request from arrival to last byte, where that is not as its pool says.
    pub deadline: Option<Duration>,
    /// The longest wait in line, where that is not as its pool says.
    pub wait: Option<Duration>,
    /// The longest wait that a client may ask for itself, where that is not as its pool says.
    pub wait_max: Option<Duration>,
    /// Bytes that a request body may have, where that is not as [`LimitsPlan::body`](crate::config::LimitsPlan::body).
    pub max_body: Option<u64>,
    /// What becomes of its abandoned work, where that is not as its pool says.
    pub abandon: Option<Abandon>,
    /// How urgent its requests are, where that is not as its pool says.
    pub priority: Option<Priority>,
    /// Whether its requests with `Idempotency-Key` may be repeated, where that is not as its pool says.
    pub idempotency_key: Option<bool>,
    /// Whose name a backend is told in `Host`.
    pub authority: Authority,
    /// What is changed about the fields of a request before a backend gets it.
    pub request: Edits,
    /// What is changed about the fields of a response before the client gets it.
    pub response: Edits,
    spelled: Spelled,
}

impl Route {
    /// The route of every request to this pool, to be narrowed by what follows.
    pub fn new(pool: usize) -> Self {
        Route::to(Target::Pool(pool))
    }

    /// The route of every request to this target, to be narrowed by what follows.
    pub fn to(target: Target) -> Self {
        Route {
            target,
            nth: 0,
            hosts: None,
            path: Vec::new(),
            is_exact: false,
            methods: Vec::new(),
            conditions: Vec::new(),
            replace: None,
            timeout: None,
            deadline: None,
            wait: None,
            wait_max: None,
            max_body: None,
            abandon: None,
            priority: None,
            idempotency_key: None,
            authority: Authority::Client,
            request: Edits::of_request(),
            response: Edits::of_response(),
            spelled: Spelled::default(),
        }
    }

    /// Only requests for this host, on any port; `*.example.com`: for any host below this one.
    ///
    /// # Errors
    /// What is wrong, where it is not a bare host name or address.
    pub fn host(self, host: &str) -> Result<Self, &'static str> {
        Ok(Route { hosts: Some(Hosts::parse(host)?), ..self })
    }

    /// Only requests whose path begins with these segments. A slash at the end makes no difference.
    ///
    /// # Errors
    /// What is wrong, where it is not a path, or one whose meaning programs disagree about.
    pub fn path(self, path: &str) -> Result<Self, &'static str> {
        if path.contains('*') {
            return Err("a path has no wildcard: it takes all that is below it already");
        }
        Ok(Route { path: pattern(path)?, is_exact: false, ..self })
    }

    /// Only requests for this path, none for what is below it. A slash at the end makes no difference.
    ///
    /// # Errors
    /// As of [`Self::path`].
    pub fn exact(self, path: &str) -> Result<Self, &'static str> {
        Ok(Route { path: pattern(path)?, is_exact: true, ..self })
    }

    /// Only requests with this method; called again, with one of these methods.
    ///
    /// # Errors
    /// What is wrong, where it is not a method in capital letters (RFC 9110 section 9.1: case matters).
    pub fn method(mut self, method: &str) -> Result<Self, &'static str> {
        if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-' || b == b'_') {
            return Err("a method is a word in capital letters");
        }
        if !self.methods.iter().any(|known| known == method) {
            self.methods.push(method.to_owned());
        }
        Ok(self)
    }

    /// Only requests of whose field this holds; called again, of all these fields.
    ///
    /// # Errors
    /// What is wrong, where it is no field that can be asked for, or asked for already.
    pub fn header(mut self, name: &str, wanted: Wanted) -> Result<Self, &'static str> {
        let condition = Condition::new(name, wanted)?;
        if self.conditions.iter().any(|known| known.is_about(name)) {
            return Err("this field is asked for already");
        }
        self.conditions.push(condition);
        Ok(self)
    }

    /// Sends this path in place of the one that [`Self::path`] or [`Self::exact`] asks for; `/` strips it.
    ///
    /// # Errors
    /// What is wrong, where it is not a path, or one whose meaning programs disagree about.
    pub fn replace(self, path: &str) -> Result<Self, &'static str> {
        Ok(Route { replace: Some(Replacement::new(path)?), ..self })
    }

    /// Its text, as the log has it; made once.
    pub(crate) fn spelled(&self) -> &Arc<str> {
        self.spelled.0.get_or_init(|| self.to_string().into())
    }

    /// Path and query, or `*`, as a backend is sent them, of a request that this route takes. None where programs would
    /// disagree about what the path becomes: then the request has no route.
    pub fn rewritten<'p>(&self, path: &'p str) -> Option<Cow<'p, str>> {
        match &self.replace {
            None => Some(Cow::Borrowed(path)),
            Some(replacement) => replacement.put(path, &self.path, self.is_exact).map(Cow::Owned),
        }
    }

    /// Where a client is told to ask instead, where the route redirects. None also where programs would disagree about what
    /// the path becomes: then the request has no route.
    pub fn location(&self, path: &str) -> Option<String> {
        match &self.target {
            Target::Redirect(redirect) => redirect.location(path, &self.path, self.is_exact),
            Target::Pool(_) | Target::Answer(_) => None,
        }
    }

    /// The pool it leads to, as an index into [`Plan::pools`](crate::config::Plan::pools).
    pub fn pool(&self) -> Option<usize> {
        match self.target {
            Target::Pool(pool) => Some(pool),
            Target::Answer(_) | Target::Redirect(_) => None,
        }
    }

    /// Whether the route takes every request.
    pub fn takes_all(&self) -> bool {
        self.hosts.is_none()
            && self.path.is_empty()
            && !self.is_exact
            && self.methods.is_empty()
            && self.conditions.is_empty()
    }

    fn takes_method(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|known| known == method)
    }

    /// The first condition that these fields do not meet.
    fn unmet(&self, fields: &dyn Fields) -> Option<&Condition> {
        self.conditions.iter().find(|condition| !condition.holds(fields))
    }

    /// Among the routes of one host and path: greater for what is tried first.
    fn rank(&self) -> (bool, usize) {
        (!self.methods.is_empty(), self.conditions.len())
    }

    /// Two routes of one host and path: whether some request fits both equally well.
    fn clashes(&self, other: &Route) -> bool {
        let one_method =
            self.methods.is_empty() || self.methods.iter().any(|method| other.methods.contains(method));
        let apart = self
            .conditions
            .iter()
            .any(|condition| other.conditions.iter().any(|other| condition.excludes(other)));
        self.rank() == other.rank() && one_method && !apart
    }
}

/// The decoded form of a path that a route asks for.
fn pattern(path: &str) -> Result<Vec<u8>, &'static str> {
    if !path.starts_with('/') {
        return Err("a path begins with `/`");
    }
    if path.contains(['?', '#', '*']) {
        return Err("a path has no query, fragment or wildcard");
    }
    if path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("a path has no blanks");
    }
    let whole = decoded(path.as_bytes());
    let reads_otherwise = |reading: Reading| bare(&reading.of(&whole)) != bare(&whole);
    if is_ambiguous(&whole) && Reading::all().any(reads_otherwise) {
        return Err("programs disagree about paths with `.` and `..`, empty segments, `;`, `\\` or `%2F`");
    }
    Ok(bare(&whole).to_vec())
}

/// As in the log: `POST api.example.com/process`, `/process`, `/` for every request. Of header fields the names alone:
/// a value may be a secret.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.methods.is_empty() {
            write!(f, "{} ", self.methods.join("|"))?;
        }
        if let Some(hosts) = &self.hosts {
            write!(f, "{hosts}")?;
        }
        match self.path.as_slice() {
            b"" => f.write_str("/")?,
            path => f.write_str(&String::from_utf8_lossy(path))?,
        }
        if self.is_exact {
            f.write_str(" (exact)")?;
        }
        for (nth, condition) in self.conditions.iter().enumerate() {
            write!(f, "{}{}", if nth == 0 { " by " } else { ", " }, condition.name)?;
        }
        Ok(())
    }
}
