//! Why a request has the route that it has, or none.

use std::cmp::Reverse;
use std::fmt;

use super::Route;
use super::asked::Asked;
use super::hosts::{Hosts, host_of};
use super::reading::{Reading, bare, is_ambiguous};
use super::table::{Routes, decoded_path};

/// How a request finds its route. It looks at every route, one by one, and comes to what [`Routes::find`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// Each way in which programs read the path: more than one where they disagree.
    pub readings: Vec<Read<'a>>,
}

/// How it finds its route where its path is read in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read<'a> {
    /// The path as it is read.
    pub path: String,
    /// The routes that come first and do not take it, the most specific first, and what is not theirs.
    pub passed_over: Vec<(&'a Route, Mismatch<'a>)>,
    /// The first that takes it.
    pub route: Option<&'a Route>,
}

/// What of a request a route does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch<'a> {
    /// The host.
    Host,
    /// The path.
    Path,
    /// The method.
    Method,
    /// The header field of this name.
    Header(&'a str),
}

impl fmt::Display for Mismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Host => f.write_str("not for this host"),
            Mismatch::Path => f.write_str("not for this path"),
            Mismatch::Method => f.write_str("not for this method"),
            Mismatch::Header(name) => write!(f, "not for this `{name}`"),
        }
    }
}

impl<'a> Explanation<'a> {
    /// The route: the one that all readings lead to.
    pub fn route(&self) -> Option<&'a Route> {
        let first = self.readings.first()?.route?;
        let agree = |read: &Read<'_>| read.route.is_some_and(|route| std::ptr::eq(route, first));
        self.readings.iter().all(agree).then_some(first)
    }
}

impl Routes {
    /// Why [`Self::find`] finds what it finds. Costs a look at each route, and several where programs disagree about
    /// the path.
    pub fn explain(&self, asked: &Asked<'_>) -> Explanation<'_> {
        let mut routes: Vec<&Route> = self.iter().collect();
        routes.sort_by_key(|route| Reverse(route.place()));
        let path = decoded_path(asked);
        let mut paths = vec![path.to_vec()];
        if is_ambiguous(&path) {
            paths.extend(Reading::all().map(|reading| reading.of(&path)));
        }
        let mut readings: Vec<Read<'_>> = Vec::new();
        for path in paths {
            let read = read(&routes, asked, &path);
            if !readings.iter().any(|known| bare(known.path.as_bytes()) == bare(read.path.as_bytes())) {
                readings.push(read);
            }
        }
        Explanation { readings }
    }
}

fn read<'a>(routes: &[&'a Route], asked: &Asked<'_>, path: &[u8]) -> Read<'a> {
    let path_text = if path.is_empty() { "/".to_owned() } else { String::from_utf8_lossy(path).into_owned() };
    let mut read = Read { path: path_text, passed_over: Vec::new(), route: None };
    for route in routes {
        match route.mismatch(asked, path) {
            Some(mismatch) => read.passed_over.push((route, mismatch)),
            None => {
                read.route = Some(route);
                break;
            }
        }
    }
    read
}

impl Route {
    /// Greater for what is tried first, of all routes.
    fn place(&self) -> (usize, bool, usize, (bool, usize)) {
        (self.hosts.as_ref().map_or(0, Hosts::rank), self.is_exact, self.path.len(), self.rank())
    }

    /// What of a request, whose path is read like this, it does not take.
    fn mismatch(&self, asked: &Asked<'_>, path: &[u8]) -> Option<Mismatch<'_>> {
        if self.hosts.as_ref().is_some_and(|hosts| !hosts.take(&host_of(asked.authority))) {
            return Some(Mismatch::Host);
        }
        let takes_path = match path.strip_prefix(&self.path[..]) {
            Some(rest) if self.is_exact => matches!(rest, b"" | b"/"),
            Some(rest) => self.path.is_empty() || matches!(rest, b"" | [b'/', ..]),
            None => false,
        };
        if !takes_path {
            return Some(Mismatch::Path);
        }
        if !self.takes_method(asked.method) {
            return Some(Mismatch::Method);
        }
        self.unmet(asked.fields).map(|condition| Mismatch::Header(&condition.name))
    }
}
