//! The socket on which clients are accepted: how it is made, and why it could not be.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use anyhow::anyhow;
use socket2::{Domain, Protocol, Socket, Type};

/// Clients that have connected and are not accepted yet; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// Listens on the address, also where connections of an earlier run still linger.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // On Windows the same option lets two programs share a port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// How a client on this machine reaches a listener.
pub(crate) fn url(listener: SocketAddr) -> String {
    let mut address = listener;
    if address.ip().is_unspecified() {
        match address {
            SocketAddr::V4(_) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        }
    }
    format!("http://{address}")
}

/// Why nothing can listen there, who it may be, and what to do: `instead` is what to write for another address.
pub(crate) fn explain(
    address: SocketAddr,
    error: &io::Error,
    instead: fn(SocketAddr) -> String,
) -> anyhow::Error {
    let on_port = |port: u16| instead(SocketAddr::new(address.ip(), port));
    let (problem, hint) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            format!("{address} is taken by another program{}", likely_owner(address.port())),
            format!(
                "end it, or choose another port: {}",
                on_port(address.port().checked_add(1).unwrap_or(8080))
            ),
        ),
        io::ErrorKind::PermissionDenied => (
            format!("{address} may not be listened on: ports below 1024 need a right of their own"),
            format!("choose a higher port: {}", on_port(8080)),
        ),
        io::ErrorKind::AddrNotAvailable => (
            format!("{address} is not an address of this machine"),
            format!(
                "choose one that is: {}",
                instead(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()))
            ),
        ),
        _ => return anyhow!("cannot listen on {address}: {error}"),
    };
    anyhow!("{problem}\n    hint: {hint}")
}

fn likely_owner(port: u16) -> &'static str {
    match port {
        5000 if cfg!(target_os = "macos") => {
            ": likely the AirPlay Receiver (System Settings, AirDrop & Handoff), or a Flask application"
        }
        5000 => ": likely a Flask application, or another Idleway",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_its_likely_owner_and_the_way_out() {
        let taken = io::Error::from(io::ErrorKind::AddrInUse);
        let told =
            explain("127.0.0.1:5000".parse().unwrap(), &taken, |to| format!("--listen {to}")).to_string();
        assert!(told.starts_with("127.0.0.1:5000 is taken by another program: likely "), "{told}");
        assert!(told.contains("Flask"), "{told}");
        assert!(told.ends_with("choose another port: --listen 127.0.0.1:5001"), "{told}");
    }

    #[test]
    fn an_address_to_listen_on_is_not_one_to_connect_to() {
        assert_eq!(url("0.0.0.0:5000".parse().unwrap()), "http://127.0.0.1:5000");
        assert_eq!(url("[::]:5000".parse().unwrap()), "http://[::1]:5000");
        assert_eq!(url("10.0.0.1:80".parse().unwrap()), "http://10.0.0.1:80");
    }
}
