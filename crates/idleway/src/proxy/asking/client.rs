//! Where a request comes from: its peer, or the client that trusted peers say they speak for.

use std::net::{IpAddr, SocketAddr};

use idleway_h1::Known;

use crate::config::Network;
use crate::message::Request;

/// The last address of the way to here that is not trusted itself: what stands before it, anyone may have written.
/// Where all are trusted, the first.
pub(super) fn address(request: &Request, trusted: &[Network]) -> IpAddr {
    let peer = request.peer.ip().to_canonical();
    if !request.is_trusted {
        return peer;
    }
    let fields = request.head.fields().filter(|field| field.known == Known::XForwardedFor);
    let chain: Vec<_> = fields.flat_map(|field| field.value.split(|&byte| byte == b',')).collect();
    let mut client = peer;
    for entry in chain.into_iter().rev() {
        // What is unreadable hides what stands before it.
        let Some(before) = forwarded(entry) else { break };
        client = before;
        if !trusted.iter().any(|network| network.contains(client)) {
            break;
        }
    }
    client
}

/// An address as proxies write it: bare, in brackets, or with the port.
fn forwarded(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?.trim_ascii();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::asking::tests::request;

    fn client(is_trusted: bool, values: &[&str]) -> String {
        let fields: Vec<_> = values.iter().map(|value| format!("X-Forwarded-For: {value}")).collect();
        let request = Request { is_trusted, ..request(&fields) };
        let trusted = ["10.0.0.0/8", "::1"].map(|network| network.parse().unwrap());
        address(&request, &trusted).to_string()
    }

    #[test]
    fn the_last_address_that_is_not_trusted_is_the_clients() {
        for (fields, expected) in [
            (&[][..], "10.0.0.1"),
            (&["1.2.3.4"], "1.2.3.4"),
            (&["6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
            (&["6.6.6.6", "1.2.3.4,10.0.0.2", "::1"], "1.2.3.4"),
            (&["1.2.3.4:5678"], "1.2.3.4"),
            (&["::ffff:1.2.3.4"], "1.2.3.4"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["[2001:db8::1]:443, [::1]:80"], "2001:db8::1"),
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (&["1.2.3.4, unknown, 10.0.0.2"], "10.0.0.2"),
            (&["1.2.3.4, "], "10.0.0.1"),
        ] {
            assert_eq!(client(true, fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn whoever_is_not_trusted_comes_from_where_it_comes() {
        assert_eq!(client(false, &["1.2.3.4"]), "10.0.0.1");
    }
}
