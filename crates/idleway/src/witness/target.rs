//! Where the gateway is.

use std::fmt;
use std::str::FromStr;

/// A URL of a gateway, and what to ask it for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Host and port, as they were written.
    authority: String,
    /// What is asked for, with its leading slash.
    path: String,
}

impl Target {
    /// What the `Host` field says.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// What the request line asks for.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// What to connect to: with a port.
    pub(super) fn address(&self) -> String {
        let after_host = self.authority.rsplit(']').next().unwrap_or_default();
        if after_host.contains(':') { self.authority.clone() } else { format!("{}:80", self.authority) }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") {
            return Err("TLS is not spoken here: name a plain listener of the gateway, http://…".to_owned());
        }
        let rest = text.strip_prefix("http://").ok_or("write it with its scheme: http://127.0.0.1:8080")?;
        let odd = |c: char| c.is_ascii_control() || c == ' ' || c == '?' || c == '#' || c == '@';
        if rest.contains(odd) {
            return Err("only a host, a port and a path may stand in it".to_owned());
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.is_empty() {
            return Err("it names no host".to_owned());
        }
        let path = if path.len() > 1 { path } else { "/process" };
        Ok(Target { authority: authority.to_owned(), path: path.to_owned() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_named_by_its_url() {
        for (url, address, shown) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "http://127.0.0.1:8080/process"),
            ("http://gate.example/", "gate.example:80", "http://gate.example/process"),
            ("http://[::1]/a/process", "[::1]:80", "http://[::1]/a/process"),
            ("http://[::1]:81", "[::1]:81", "http://[::1]:81/process"),
        ] {
            let target: Target = url.parse().unwrap();
            assert_eq!((target.address().as_str(), target.to_string().as_str()), (address, shown), "{url}");
        }
        for url in [
            "https://gate.example",
            "gate.example",
            "http://",
            "http:///process",
            "http://a/b?c",
            "http://a\r\nb",
        ] {
            assert!(url.parse::<Target>().is_err(), "{url:?}");
        }
    }
}
