//! Which host a request is for, and which hosts a route takes.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

/// The hosts that a route takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hosts {
    /// This one.
    One(String),
    /// Those that end with a dot and this, with one label or more in front.
    Below(String),
}

impl Hosts {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (is_wildcard, host) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let bare = host_of(host);
        if host.contains("://") {
            return Err("a host has no scheme");
        }
        if host == "*" {
            return Err("leave `host` out for every host");
        }
        if host.contains('*') {
            return Err("a wildcard stands for whole labels in front: write it like \"*.example.com\"");
        }
        if bare.trim_end_matches('.').len() != host.trim_end_matches('.').len() {
            return Err("a host has no port: a route takes its host on any port");
        }
        // A Host field writes it in brackets.
        let address = address_of(host).or_else(|| host.parse().ok()).filter(|_| !is_wildcard);
        let odd = |c: char| !(c.is_ascii_alphanumeric() || "-._".contains(c));
        if bare.is_empty() || bare.starts_with('.') || (address.is_none() && bare.contains(odd)) {
            return Err("this is not a host name");
        }
        let bare = address.map_or_else(|| bare.into_owned(), bracketed);
        Ok(if is_wildcard { Hosts::Below(bare) } else { Hosts::One(bare) })
    }

    pub(super) fn take(&self, host: &str) -> bool {
        match self {
            Hosts::One(one) => one == host,
            Hosts::Below(suffix) => wildcards(host).any(|other| other == suffix),
        }
    }

    /// Greater for what is taken first: one host before many, and a longer end before a shorter one.
    pub(super) fn rank(&self) -> usize {
        match self {
            Hosts::One(_) => usize::MAX,
            Hosts::Below(suffix) => suffix.len(),
        }
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hosts::One(host) => f.write_str(host),
            Hosts::Below(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

/// What may stand behind the `*.` of a wildcard that takes this host, the longest first.
pub(super) fn wildcards(host: &str) -> impl Iterator<Item = &str> {
    host.match_indices('.').filter(|(at, _)| *at > 0).map(|(at, _)| &host[at + 1..])
}

/// The host of an authority: without port and the dot of a full name, in lower case; an IPv6 address in its one
/// spelling.
pub(super) fn host_of(authority: &str) -> Cow<'_, str> {
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
