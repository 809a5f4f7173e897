//! The request target (section 3.2) and the hosts in it.

use std::net::Ipv6Addr;
use std::ops::Range;

use crate::refusal::{Refusal, RefusalReason};

/// A request target, taken apart. Ranges are of the target's bytes.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Target {
    /// Of the absolute form.
    pub(crate) authority: Option<Range<usize>>,
    /// Put before `path`: an absolute target may leave out its path.
    pub(crate) path_prefix: &'static str,
    /// Path and query.
    pub(crate) path: Range<usize>,
}

impl Target {
    pub(crate) fn read(method: &str, target: &[u8]) -> Result<Self, Refusal> {
        match target {
            [b'/', ..] => {
                check_path(target, 0)?;
                Ok(Self { authority: None, path_prefix: "", path: 0..target.len() })
            }
            b"*" if method == "OPTIONS" => Ok(Self { authority: None, path_prefix: "", path: 0..1 }),
            _ => Self::absolute(method, target),
        }
    }

    fn absolute(method: &str, target: &[u8]) -> Result<Self, Refusal> {
        let starts_with = |scheme: &&str| {
            target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
        };
        let Some(scheme) = ["http://", "https://"].iter().find(|scheme| starts_with(scheme)) else {
            return Err(Refusal::new(RefusalReason::BadTarget, 0));
        };
        let rest = &target[scheme.len()..];
        let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let path_at = scheme.len() + length;
        if !is_authority(&rest[..length]) {
            return Err(Refusal::new(RefusalReason::BadHost, scheme.len()));
        }
        check_path(target, path_at)?;
        let path_prefix = match target.get(path_at) {
            Some(b'/') => "",
            None if method == "OPTIONS" => "*",
            _ => "/",
        };
        Ok(Self { authority: Some(scheme.len()..path_at), path_prefix, path: path_at..target.len() })
    }
}

/// Checks path and query, which begin at `from`.
///
/// Visible ASCII alone, no fragment. A query may hold what browsers leave unescaped in it; a path may not hold
/// what no client sends and backends read in different ways: `\`, quotes, angle brackets, NUL and a `%` that
/// begins no escape.
fn check_path(target: &[u8], from: usize) -> Result<(), Refusal> {
    if target[from..].iter().all(|byte| PLAIN[usize::from(*byte)]) {
        return Ok(());
    }
    let bad = |at| Err(Refusal::new(RefusalReason::BadTarget, at));
    let mut query = false;
    for (at, byte) in target.iter().copied().enumerate().skip(from) {
        match byte {
            b'?' => query = true,
            b'#' => return bad(at),
            b'"' | b'<' | b'>' | b'\\' if !query => return bad(at),
            b'%' if !query && !is_escape(&target[at..]) => return bad(at),
            b'!'..=b'~' => {}
            _ => return bad(at),
        }
    }
    Ok(())
}

/// The bytes that are valid anywhere in path and query; most targets hold no others.
static PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        table[byte as usize] = !matches!(byte, b'#' | b'"' | b'<' | b'>' | b'\\' | b'%');
        byte += 1;
    }
    table
};

/// Whether `bytes` begins with `%` and the two digits of any byte but NUL.
fn is_escape(bytes: &[u8]) -> bool {
    match bytes {
        [b'%', high, low, ..] => {
            high.is_ascii_hexdigit() && low.is_ascii_hexdigit() && (*high, *low) != (b'0', b'0')
        }
        _ => false,
    }
}

/// Whether `bytes` is `host[:port]`: a name of letters, digits, `-`, `.`, `_` and `~`, an IPv4 address, or an
/// IPv6 address in brackets.
///
/// RFC 3986 also allows a name with escapes and delimiters, user information and future kinds of address, none of
/// which a host on the web has; they are refused, since programs disagree on where the host is then.
#[must_use]
pub fn is_authority(bytes: &[u8]) -> bool {
    let (host_is_valid, port) = if let [b'[', rest @ ..] = bytes {
        let Some(end) = rest.iter().position(|byte| *byte == b']') else {
            return false;
        };
        let address = str::from_utf8(&rest[..end]).map(str::parse::<Ipv6Addr>);
        (matches!(address, Ok(Ok(_))), &rest[end + 1..])
    } else {
        let end = bytes.iter().position(|byte| *byte == b':').unwrap_or(bytes.len());
        let name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        (end > 0 && bytes[..end].iter().all(name), &bytes[end..])
    };
    host_is_valid && is_port(port)
}

/// Whether `bytes` is a path, perhaps with a query, that a request for it would be read with.
#[must_use]
pub fn is_path(bytes: &[u8]) -> bool {
    bytes.starts_with(b"/") && check_path(bytes, 0).is_ok()
}

/// Nothing, or a colon and a port number, which may be left out (RFC 3986, 3.2.3).
fn is_port(bytes: &[u8]) -> bool {
    match bytes {
        [] | [b':'] => true,
        [b':', digits @ ..] => {
            digits.iter().all(u8::is_ascii_digit)
                && str::from_utf8(digits).is_ok_and(|digits| digits.parse::<u16>().is_ok())
        }
        _ => false,
    }
}
