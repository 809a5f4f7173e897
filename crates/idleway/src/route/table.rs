//! All routes, and which of them takes a request.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Route;
use super::asked::Asked;
use super::hosts::{Hosts, host_of, wildcards};
use super::paths::Paths;
use super::reading::{Reading, decoded, is_ambiguous};

/// All routes, ready to be looked up. Finding one costs a look for each segment of the path, at most as deep as
/// the deepest route, however many routes there are; those of one host and path that differ in method or header
/// fields are tried in turn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    routes: Vec<Route>,
    hosts: HashMap<String, Paths>,
    /// By what stands behind `*.`.
    wildcards: HashMap<String, Paths>,
    longest_wildcard: usize,
    any_host: Paths,
}

/// Two routes that fit some requests equally well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clash {
    /// Where the first of them stood in the list.
    pub first: usize,
    /// Where the second of them stood in the list.
    pub second: usize,
}

impl Routes {
    /// The table of these routes, in any order.
    ///
    /// # Errors
    /// The first two routes of which neither is more specific for some request.
    pub fn new(mut routes: Vec<Route>) -> Result<Self, Clash> {
        let mut table = Routes::default();
        routes.iter_mut().enumerate().for_each(|(nth, route)| route.nth = nth);
        for (index, route) in routes.iter().enumerate() {
            let paths = match &route.hosts {
                Some(Hosts::One(host)) => table.hosts.entry(host.clone()).or_default(),
                Some(Hosts::Below(suffix)) => {
                    table.longest_wildcard = table.longest_wildcard.max(suffix.len());
                    table.wildcards.entry(suffix.clone()).or_default()
                }
                None => &mut table.any_host,
            };
            let same = paths.of(&route.path, route.is_exact);
            if let Some(&first) = same.iter().find(|&&other| routes[other].clashes(route)) {
                return Err(Clash { first, second: index });
            }
            let before = same.partition_point(|&other| routes[other].rank() >= route.rank());
            same.insert(before, index);
        }
        Ok(Routes { routes, ..table })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.routes.len()
    }

    /// The route of a request. None where no route fits, or where programs could disagree which one does.
    pub fn find(&self, asked: &Asked<'_>) -> Option<&Route> {
        let host = self.host_of(asked);
        if self.of_host(&host).all(Paths::take_every_path) {
            return self.most_specific(&host, asked, b"");
        }
        let path = decoded_path(asked);
        if !is_ambiguous(&path) {
            return self.most_specific(&host, asked, &path);
        }
        let mut found = Reading::all().map(|reading| self.most_specific(&host, asked, &reading.of(&path)));
        let first = found.next()??;
        found.all(|other| other.is_some_and(|other| std::ptr::eq(first, other))).then_some(first)
    }

    /// Every route, in the order it was given.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    /// The host that is asked for; empty where no route looks at it.
    fn host_of<'a>(&self, asked: &Asked<'a>) -> Cow<'a, str> {
        if self.hosts.is_empty() && self.wildcards.is_empty() {
            return Cow::Borrowed("");
        }
        host_of(asked.authority)
    }

    /// The routes that take this host, the most specific first.
    fn of_host<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Paths> {
        let names = if self.wildcards.is_empty() { "" } else { host };
        // What is longer than any of them is not even looked up: a host may have thousands of dots.
        let below = wildcards(names).filter(|suffix| suffix.len() <= self.longest_wildcard);
        let below = below.filter_map(|suffix| self.wildcards.get(suffix));
        let exact = if self.hosts.is_empty() { None } else { self.hosts.get(host) };
        exact.into_iter().chain(below).chain([&self.any_host])
    }

    fn most_specific(&self, host: &str, asked: &Asked<'_>, path: &[u8]) -> Option<&Route> {
        self.of_host(host)
            .flat_map(|paths| paths.fitting(path))
            .map(|&index| &self.routes[index])
            .find(|route| route.takes_method(asked.method) && route.unmet(asked.fields).is_none())
    }
}

/// The path that is asked for, without the query.
pub(super) fn decoded_path<'a>(asked: &Asked<'a>) -> Cow<'a, [u8]> {
    decoded(asked.path.split('?').next().unwrap_or_default().as_bytes())
}
