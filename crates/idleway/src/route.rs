//! Which request goes to which pool.
//!
//! A route asks for a host (exact, whatever its case, its port and the spelling of an IPv6 address), a path (a
//! prefix that ends where a segment ends: `/process` takes `/process`, `/process/x` and `/process?x`, not
//! `/processes`) and methods; what it does not ask for does not matter. Where several routes fit, the more specific one is taken: a host before none, then the
//! longer path, then a method before none.
//!
//! **No request slips past a route by its spelling.** Programs disagree about what some paths mean: one removes
//! `..`, the next looks for a directory of that name. The gateway passes a path on as it came and cannot know how
//! the backend reads it, so it tries the ways in which it could be read (`Reading`), and only where all of them
//! lead to the same route does the request have a route. `/public/..%2Fadmin` finds none as soon as `/public` or
//! `/admin` is a route of its own, and goes through where one route takes every path. Percent-encodings that all
//! programs read alike (RFC 3986 section 6.2.2.2: `%61` is `a`) are decoded before the comparison.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::Ipv6Addr;

use crate::config::{Abandon, Priority};

/// One way from requests to a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The pool, as an index into [`Plan::pools`](crate::config::Plan::pools).
    pub pool: usize,
    host: Option<String>,
    /// Decoded, without a slash at its end: empty for every path.
    path: Vec<u8>,
    /// Empty for every method.
    methods: Vec<String>,
    /// What becomes of its abandoned work, where that is not as its pool says.
    pub abandon: Option<Abandon>,
    /// How urgent its requests are, where that is not as its pool says.
    pub priority: Option<Priority>,
    /// Whether its requests with `Idempotency-Key` may be repeated, where that is not as its pool says.
    pub idempotency_key: Option<bool>,
}

impl Route {
    /// The route of every request to this pool, to be narrowed by what follows.
    pub fn new(pool: usize) -> Self {
        Route {
            pool,
            host: None,
            path: Vec::new(),
            methods: Vec::new(),
            abandon: None,
            priority: None,
            idempotency_key: None,
        }
    }

    /// Only requests for this host, on any port.
    ///
    /// # Errors
    /// What is wrong, where it is not a bare host name or address.
    pub fn host(self, host: &str) -> Result<Self, &'static str> {
        let bare = host_of(host);
        if host.contains("://") {
            return Err("a host has no scheme");
        }
        if host.contains('*') {
            return Err("a host has no wildcard: leave `host` out for every host");
        }
        if bare.trim_end_matches('.').len() != host.trim_end_matches('.').len() {
            return Err("a host has no port: a route takes its host on any port");
        }
        // A Host field writes it in brackets.
        let address = address_of(host).or_else(|| host.parse().ok());
        let odd = |c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c));
        if bare.is_empty() || (address.is_none() && bare.contains(odd)) {
            return Err("this is not a host name");
        }
        let host = address.map_or_else(|| bare.into_owned(), bracketed);
        Ok(Route { host: Some(host), ..self })
    }

    /// Only requests whose path begins with these segments. A slash at the end makes no difference.
    ///
    /// # Errors
    /// What is wrong, where it is not a path, or one whose meaning programs disagree about.
    pub fn path(self, path: &str) -> Result<Self, &'static str> {
        if !path.starts_with('/') {
            return Err("a path begins with `/`");
        }
        if path.contains(['?', '#', '*']) {
            return Err("a path has no query, fragment or wildcard: it is a prefix already");
        }
        if path.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("a path has no blanks");
        }
        let whole = decoded(path.as_bytes());
        let path = whole.strip_suffix(b"/").unwrap_or(&whole);
        let reads_otherwise = |reading: Reading| {
            let read = reading.of(&whole);
            read.strip_suffix(b"/").unwrap_or(&read) != path
        };
        if is_ambiguous(&whole) && Reading::all().any(reads_otherwise) {
            return Err(
                "programs disagree about paths with `.` and `..`, empty segments, `;`, `\\` or `%2F`",
            );
        }
        Ok(Route { path: path.to_vec(), ..self })
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

    /// Whether the route takes every request.
    pub fn takes_all(&self) -> bool {
        self.host.is_none() && self.path.is_empty() && self.methods.is_empty()
    }

    fn takes_method(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|known| known == method)
    }

    /// Two routes of one host and path: whether some request fits both equally well.
    fn clashes(&self, other: &Route) -> bool {
        match (self.methods.is_empty(), other.methods.is_empty()) {
            (true, true) => true,
            (false, false) => self.methods.iter().any(|method| other.methods.contains(method)),
            _ => false,
        }
    }
}

/// As in the log: `POST api.example.com/process`, `/process`, `/` for every request.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.methods.is_empty() {
            write!(f, "{} ", self.methods.join("|"))?;
        }
        f.write_str(self.host.as_deref().unwrap_or_default())?;
        match self.path.as_slice() {
            b"" => f.write_str("/"),
            path => f.write_str(&String::from_utf8_lossy(path)),
        }
    }
}

/// Two routes that fit the same requests equally well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clash {
    /// Where the first of them stood in the list.
    pub first: usize,
    /// Where the second of them stood in the list.
    pub second: usize,
}

/// All routes, ready to be looked up. Finding one costs a look for each segment of the path, at most as deep as
/// the deepest route, however many routes there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    routes: Vec<Route>,
    hosts: HashMap<String, Paths>,
    any_host: Paths,
}

/// The routes of one host, as indices; where several have one path, those with methods come first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Paths {
    below: HashMap<Vec<u8>, Vec<usize>>,
    /// Bytes of the longest path.
    longest: usize,
    /// Those of every path: the usual case takes no look-up at all.
    every: Vec<usize>,
}

impl Routes {
    /// The table of these routes, in any order.
    ///
    /// # Errors
    /// The first two routes of which neither is more specific for some request.
    pub fn new(routes: Vec<Route>) -> Result<Self, Clash> {
        let mut hosts: HashMap<String, Paths> = HashMap::new();
        let mut any_host = Paths::default();
        for (index, route) in routes.iter().enumerate() {
            let paths = match &route.host {
                Some(host) => hosts.entry(host.clone()).or_default(),
                None => &mut any_host,
            };
            let same = paths.of(&route.path);
            if let Some(&first) = same.iter().find(|&&other| routes[other].clashes(route)) {
                return Err(Clash { first, second: index });
            }
            let last = if route.methods.is_empty() { same.len() } else { 0 };
            same.insert(last, index);
        }
        Ok(Routes { routes, hosts, any_host })
    }

    /// The route of a request: its method, its authority (of the target or of `Host`; may be empty) and its path
    /// with the query, or `*`. None where no route fits, or where programs could disagree which one does.
    pub fn find(&self, method: &str, authority: &str, path_and_query: &str) -> Option<&Route> {
        let paths = self.paths_of(authority);
        if self.any_host.longest == 0 && paths.is_none_or(|paths| paths.longest == 0) {
            return self.most_specific(paths, method, b"");
        }
        let path = path_and_query.split('?').next().unwrap_or_default();
        let path = decoded(path.as_bytes());
        if !is_ambiguous(&path) {
            return self.most_specific(paths, method, &path);
        }
        let mut found = Reading::all().map(|reading| self.most_specific(paths, method, &reading.of(&path)));
        let first = found.next()??;
        found.all(|other| other.is_some_and(|other| std::ptr::eq(first, other))).then_some(first)
    }

    /// Every route, in the order it was given.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    fn paths_of(&self, authority: &str) -> Option<&Paths> {
        if self.hosts.is_empty() {
            return None;
        }
        self.hosts.get(host_of(authority).as_ref())
    }

    fn most_specific(&self, paths: Option<&Paths>, method: &str, path: &[u8]) -> Option<&Route> {
        paths
            .into_iter()
            .chain([&self.any_host])
            .flat_map(|paths| paths.fitting(path))
            .map(|&index| &self.routes[index])
            .find(|route| route.takes_method(method))
    }
}

impl Paths {
    /// The routes of exactly this path, to be added to.
    fn of(&mut self, path: &[u8]) -> &mut Vec<usize> {
        if path.is_empty() {
            return &mut self.every;
        }
        self.longest = self.longest.max(path.len());
        self.below.entry(path.to_vec()).or_default()
    }

    /// The routes whose path is a prefix of this one, the longest first.
    fn fitting(&self, path: &[u8]) -> impl Iterator<Item = &usize> {
        let borders = (1..path.len()).rev().filter(|&at| path[at] == b'/');
        let ends = [path.len()].into_iter().chain(borders).filter(|&end| 0 < end && end <= self.longest);
        ends.filter_map(|end| self.below.get(&path[..end])).flatten().chain(&self.every)
    }
}

/// The host of an authority: without port and the dot of a full name, in lower case; an IPv6 address in its one
/// spelling.
fn host_of(authority: &str) -> Cow<'_, str> {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !is_bare_ipv6(authority) => host,
        _ => authority,
    };
    if let Some(address) = address_of(host) {
        return bracketed(address).into();
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|b| b.is_ascii_uppercase()) { host.to_ascii_lowercase().into() } else { host.into() }
}

/// The address in `[::1]`.
fn address_of(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn bracketed(address: Ipv6Addr) -> String {
    format!("[{address}]")
}

/// `::1`, which a Host field would write as `[::1]`.
fn is_bare_ipv6(authority: &str) -> bool {
    !authority.starts_with('[') && authority.matches(':').count() > 1
}

/// Decodes what every program decodes to the same: all but the slash, the backslash and the percent sign, whose
/// encodings stay, in capital letters.
fn decoded(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.contains(&b'%') {
        return path.into();
    }
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let encoded = match (byte, after) {
            (b'%', [high, low, after @ ..]) => hex(*high).zip(hex(*low)).map(|(h, l)| (h << 4 | l, after)),
            _ => None,
        };
        match encoded {
            None => plain.push(byte),
            Some((octet, after)) => {
                rest = after;
                match octet {
                    b'/' => plain.extend_from_slice(b"%2F"),
                    b'\\' => plain.extend_from_slice(b"%5C"),
                    b'%' => plain.extend_from_slice(b"%25"),
                    octet => plain.push(octet),
                }
            }
        }
    }
    plain.into()
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Whether two programs may read a decoded path differently. Says yes too often rather than too seldom.
fn is_ambiguous(path: &[u8]) -> bool {
    let odd = |at: usize| match path[at] {
        b';' | b'\\' => true,
        b'/' => matches!(path.get(at + 1), Some(b'/' | b'.')),
        b'%' => matches!(path.get(at + 1..at + 3), Some(b"2F" | b"5C")),
        _ => false,
    };
    (0..path.len()).any(odd)
}

/// One way to read a path; programs are known for each of these, alone and together.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// `%2F`, `%5C` and `\` are slashes.
    slashes: bool,
    /// A segment ends at its `;` (Java's path parameters).
    parameters: bool,
    /// Several slashes are one.
    merged: bool,
    /// `.` and `..` are steps, not names (RFC 3986 section 5.2.4).
    dots: bool,
    /// As `parameters`, but before encoded slashes are decoded (Tomcat).
    parameters_early: bool,
    /// As `merged`, but once the steps are done (Envoy).
    merged_late: bool,
}

impl Reading {
    fn all() -> impl Iterator<Item = Reading> {
        let readings = (0..64).map(|bits: u8| Reading {
            slashes: bits & 1 != 0,
            parameters: bits & 2 != 0,
            merged: bits & 4 != 0,
            dots: bits & 8 != 0,
            parameters_early: bits & 16 != 0,
            merged_late: bits & 32 != 0,
        });
        // Early and late make a difference only where something lies between.
        readings.filter(|reading| {
            (!reading.parameters_early || (reading.slashes && !reading.parameters))
                && (!reading.merged_late || (reading.dots && !reading.merged))
        })
    }

    /// The path as this program reads it.
    fn of(self, path: &[u8]) -> Vec<u8> {
        let path = if self.parameters_early { without_parameters(path) } else { path.to_vec() };
        let path = if self.slashes { with_slashes(&path) } else { path };
        let mut segments: Vec<&[u8]> = Vec::new();
        for segment in path.split(|&byte| byte == b'/').skip(1) {
            let name = if self.parameters { segment.split(|&byte| byte == b';').next() } else { None };
            match name.unwrap_or(segment) {
                b"" if self.merged => {}
                b"." if self.dots => {}
                b".." if self.dots => {
                    segments.pop();
                }
                name => segments.push(name),
            }
        }
        if self.merged_late {
            segments.retain(|segment| !segment.is_empty());
        }
        segments.iter().flat_map(|segment| [b"/", *segment].concat()).collect()
    }
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    let names = path.split(|&byte| byte == b'/').filter_map(|name| name.split(|&byte| byte == b';').next());
    names.collect::<Vec<_>>().join(&b'/')
}

fn with_slashes(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match rest {
            [b'%', b'2', b'F', after @ ..] | [b'%', b'5', b'C', after @ ..] | [b'\\', after @ ..] => {
                plain.push(b'/');
                after
            }
            _ => {
                plain.push(byte);
                after
            }
        };
    }
    plain
}
