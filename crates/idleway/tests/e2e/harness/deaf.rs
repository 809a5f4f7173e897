//! A backend whose backlog is full: the kernel drops who knocks, as the network does where a host has vanished.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

/// It listens and takes no connection, for as long as this lives.
pub(crate) struct Deaf {
    listening: Socket,
    _knocking: Vec<Socket>,
}

impl Deaf {
    pub(crate) fn new() -> Self {
        let listening = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listening.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listening.listen(0).unwrap();
        let address = listening.local_addr().unwrap();
        let knock = |_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            // In progress, for ever.
            let _ = socket.connect(&address);
            socket
        };
        Self { listening, _knocking: (0..4).map(knock).collect() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listening.local_addr().unwrap().as_socket().unwrap())
    }
}
