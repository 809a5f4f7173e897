//! Where a backend listens: scheme, host and port, nothing else.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::fault::{Fault, told};

/// The address of a backend as an origin (RFC 6454): equal origins are one backend.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The host, in its canonical spelling.
    pub host: Host,
    /// The port, never 0.
    pub port: u16,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

/// An address, or a name that is looked up at each connect.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// An address; IPv4 written as IPv6 (`::ffff:127.0.0.1`) is IPv4 here.
    Ip(IpAddr),
    /// A host name in lower case, without a trailing dot.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

impl Origin {
    /// Reads `http://HOST[:PORT]`; the port is 80 unless it stands there.
    pub(super) fn parse(url: &str) -> Result<Self, Fault> {
        let not_a_url = || {
            Fault::new(format!("`{}` is not the URL of a backend", told(url)))
                .hint("a backend is \"http://HOST:PORT\"")
        };
        if url.contains('$') {
            return Err(not_a_url().hint("a variable of the environment is written ${NAME}"));
        }
        if url.is_empty() || url.starts_with("unix:") {
            return Err(not_a_url());
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(not_a_url().hint(format!("write \"http://{}\"", told(url.trim_start_matches('/')))));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => {
                return Err(Fault::new("backends over TLS are not there yet")
                    .hint(format!("write \"http://{}\", where the backend speaks plain HTTP", told(rest))));
            }
            _ => return Err(not_a_url()),
        }
        let (authority, extra) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !matches!(extra, "" | "/") {
            return Err(Fault::new(format!(
                "a backend is a host and a port: `{}` does not belong here",
                told(extra)
            ))
            .hint(format!("write \"http://{}\" and put the path on a route", told(authority))));
        }
        if let Some((_, address)) = authority.rsplit_once('@') {
            return Err(Fault::new("a backend's URL has no user and no password")
                .hint(format!("write \"http://{}\"", told(address))));
        }
        let (host, port) = split_port(authority);
        let host = Host::parse(host).ok_or_else(not_a_url)?;
        if let Host::Ip(ip) = &host
            && ip.is_unspecified()
        {
            return Err(Fault::new(format!(
                "`{}` is an address to listen on, not one to connect to",
                told(ip)
            ))
            .hint("write the backend's own address; on this machine \"127.0.0.1\""));
        }
        match port.map(parse_port) {
            None => Ok(Origin { host, port: 80 }),
            Some(Some(port)) => Ok(Origin { host, port }),
            Some(None) => Err(not_a_url().hint("a port is a number from 1 to 65535")),
        }
    }

    /// The origins that are this backend too, under another name: `localhost` is found at both loopback addresses.
    pub(super) fn aliases(&self) -> impl Iterator<Item = Origin> {
        let port = self.port;
        let hosts: &[Host] = match &self.host {
            Host::Name(name) if name == "localhost" => &LOOPBACKS,
            _ => &[],
        };
        std::iter::once(self.clone()).chain(hosts.iter().map(move |host| Origin { host: host.clone(), port }))
    }

    /// Whether a connection to this origin ends at a listener on that address.
    pub(super) fn reaches(&self, listener: SocketAddr) -> bool {
        self.port == listener.port() && self.aliases().any(|alias| alias.host.reaches(listener.ip()))
    }
}

const LOOPBACKS: [Host; 2] =
    [Host::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST)), Host::Ip(IpAddr::V6(Ipv6Addr::LOCALHOST))];

impl Host {
    fn parse(text: &str) -> Option<Self> {
        if let Some(bracketed) = text.strip_prefix('[') {
            let ip: Ipv6Addr = bracketed.strip_suffix(']')?.parse().ok()?;
            return Some(Host::Ip(IpAddr::V6(ip).to_canonical()));
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Some(Host::Ip(IpAddr::V4(ip)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        // `127.1` and `0x7f.1` are addresses to the resolver: the same backend under a second name.
        let last = name.rsplit('.').next().unwrap_or_default();
        if name.len() > 253
            || !name.split('.').all(is_label)
            || last.starts_with(|c: char| c.is_ascii_digit())
        {
            return None;
        }
        Some(Host::Name(name.to_ascii_lowercase()))
    }

    fn reaches(&self, listener: IpAddr) -> bool {
        match self {
            Host::Name(_) => false,
            // A listener on `::` takes IPv4 too, one on `0.0.0.0` no IPv6.
            Host::Ip(ip) if listener.is_unspecified() => {
                ip.is_loopback() && (ip.is_ipv4() || listener.is_ipv6())
            }
            Host::Ip(ip) => *ip == listener.to_canonical(),
        }
    }
}

/// Splits off what follows the last colon, unless that colon stands within brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|&port| is_number && port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_backend_has_one_spelling() {
        for (url, origin) in [
            ("http://127.0.0.1:6000", "http://127.0.0.1:6000"),
            ("HTTP://Example.COM.", "http://example.com:80"),
            ("http://gpu_1.local:8000/", "http://gpu_1.local:8000"),
            ("http://[::ffff:127.0.0.1]:6000", "http://127.0.0.1:6000"),
            ("http://[2001:DB8::1]", "http://[2001:db8::1]:80"),
        ] {
            assert_eq!(Origin::parse(url).unwrap().to_string(), origin);
        }
    }

    #[test]
    fn what_is_not_an_origin_is_refused() {
        for url in [
            "",
            "http://",
            "http://:80",
            "http://a:",
            "http://a:0",
            "http://a:65536",
            "http://a:+1",
            "http://a b",
            "http://[::1",
            "http://::1:80",
            "http://127.1:80",
            "http://0x7f.0x1",
            "http://a..b",
            "http://0.0.0.0:80",
            "http://[::]:80",
            "http://u:p@a",
            "http://a/x",
            "http://a?x",
            "http://a#x",
            "https://a",
            "ftp://a",
            "a:80",
            "http://ä",
        ] {
            assert!(Origin::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_listener_is_found_under_each_of_its_names() {
        let reaches =
            |url: &str, listener: &str| Origin::parse(url).unwrap().reaches(listener.parse().unwrap());
        for (url, listener) in [
            ("http://127.0.0.1:5000", "127.0.0.1:5000"),
            ("http://127.0.0.1:5000", "0.0.0.0:5000"),
            ("http://127.0.0.1:5000", "[::]:5000"),
            ("http://[::1]:5000", "[::]:5000"),
            ("http://localhost:5000", "127.0.0.1:5000"),
            ("http://localhost:5000", "0.0.0.0:5000"),
            ("http://10.0.0.1:5000", "10.0.0.1:5000"),
        ] {
            assert!(reaches(url, listener), "{url} {listener}");
        }
        for (url, listener) in [
            ("http://127.0.0.1:5001", "127.0.0.1:5000"),
            ("http://127.0.0.2:5000", "127.0.0.1:5000"),
            ("http://[::1]:5000", "0.0.0.0:5000"),
            ("http://10.0.0.1:5000", "127.0.0.1:5000"),
        ] {
            assert!(!reaches(url, listener), "{url} {listener}");
        }
    }
}
