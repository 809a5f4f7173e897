//! A network, as the configuration names it: an address, or all addresses that begin alike.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// All addresses that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether the address is one of the network's. An IPv4 address written as an IPv6 one is that IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = &'static str;

    /// Reads `10.0.0.0/8`, `fd00::/8` or a single address.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Network(address.to_canonical().into()));
        }
        let network: IpNet = text.parse().map_err(|_| "not an address, and not a network")?;
        if network.network() != network.addr() {
            return Err("the address has bits that its network has not");
        }
        Ok(Network(canonical(network)))
    }
}

/// IPv4 addresses written as IPv6 ones are IPv4 addresses.
fn canonical(network: IpNet) -> IpNet {
    let mapped = match network.addr() {
        IpAddr::V6(address) => address.to_ipv4_mapped(),
        IpAddr::V4(_) => None,
    };
    // The 96 bits before the address are the same for all of them.
    let prefix = network.prefix_len().checked_sub(96);
    let narrow = mapped.zip(prefix).and_then(|(address, prefix)| IpNet::new(address.into(), prefix).ok());
    narrow.unwrap_or(network)
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_the_networks_it_begins_like() {
        let of = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        assert!(of("10.0.0.0/8", "10.255.0.1") && !of("10.0.0.0/8", "11.0.0.1"));
        assert!(of("127.0.0.1", "127.0.0.1") && !of("127.0.0.1", "127.0.0.2"));
        assert!(of("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(of("::ffff:10.0.0.0/104", "10.255.0.1") && !of("::ffff:10.0.0.0/104", "11.0.0.1"));
        assert!(of("fd00::/8", "fd00::1") && !of("::1", "::2"));
        assert!(of("0.0.0.0/0", "1.2.3.4") && !of("0.0.0.0/0", "::1"));
    }

    #[test]
    fn what_is_no_network_is_told() {
        for odd in ["", "localhost", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0/8"] {
            assert!(odd.parse::<Network>().is_err(), "{odd}");
        }
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        for text in ["10.0.0.0/8", "127.0.0.1", "fd00::/8"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
    }
}
