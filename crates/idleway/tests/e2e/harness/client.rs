//! A client that sends what it is told, byte by byte, and believes nothing of what comes back.

use std::io;
use std::net::{SocketAddr, TcpStream};

use idleway::Gateway;
use socket2::{Domain, Socket, Type};

use super::wire::{Fields, Head, Wire};

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) wire: Wire,
}

/// A final response, whole.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
}

impl Response {
    pub(crate) fn status(&self) -> u16 {
        self.head.word(1).parse().unwrap()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.fields.one(name)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The name of the reason, where the gateway itself has answered.
    pub(crate) fn reason(&self) -> String {
        let problem = self.json();
        let (_, name) = problem["type"].as_str().unwrap().rsplit_once('#').unwrap();
        name.to_owned()
    }

    /// The whole seconds after which the client was told to come back.
    pub(crate) fn retry_after(&self) -> u64 {
        self.field("Retry-After").unwrap().parse().unwrap()
    }
}

impl Client {
    pub(crate) fn of(gateway: &Gateway) -> Self {
        Self::connect(gateway.address())
    }

    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self { wire: Wire::new(TcpStream::connect(address).unwrap()) }
    }

    /// A client whose kernel takes next to nothing for it: what it does not read waits with the gateway.
    pub(crate) fn with_small_window(gateway: &Gateway) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&gateway.address().into()).unwrap();
        Self { wire: Wire::new(socket.into()) }
    }

    /// A client that has sent `request`.
    pub(crate) fn asking(gateway: &Gateway, request: impl AsRef<[u8]>) -> Self {
        let mut client = Self::of(gateway);
        client.send(request);
        client
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.write(bytes).unwrap();
    }

    /// The next head, interim ones too.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Head {
        let head = self.wire.head().unwrap().expect("the gateway closed without an answer");
        assert!(head.line.starts_with("HTTP/1.1 "), "{head:?}");
        head
    }

    /// A final response to anything but HEAD.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Response {
        self.try_answer("GET").unwrap()
    }

    /// A final response to a request of this method, read by the rules of RFC 9112 section 6.3.
    pub(crate) fn try_answer(&mut self, method: &str) -> io::Result<Response> {
        let head = self.wire.head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status: u16 = head.word(1).parse().unwrap();
        assert!(head.line.starts_with("HTTP/1.1 ") && status >= 200, "no final response: {head:?}");
        let (body, trailers) = if method == "HEAD" || matches!(status, 204 | 304) {
            assert!(!head.is_chunked(), "a body where none may be: {head:?}");
            Default::default()
        } else if head.is_chunked() || head.length().is_some() {
            self.wire.body(&head)?
        } else {
            assert_eq!(head.fields.one("Connection"), Some("close"), "a body without an end: {head:?}");
            (self.wire.until_end()?, Fields::default())
        };
        Ok(Response { head, body, trailers })
    }

    /// The gateway ends the connection in order, without another byte.
    #[track_caller]
    pub(crate) fn sees_fin(&mut self) {
        let rest = self.wire.until_end().unwrap();
        assert!(rest.is_empty(), "more came: {:?}", String::from_utf8_lossy(&rest));
    }

    /// FIN.
    pub(crate) fn half_close(&self) {
        self.wire.half_close();
    }

    /// Is gone, by RST or by FIN.
    pub(crate) fn leave(self, by_reset: bool) {
        if by_reset {
            self.reset();
        }
    }

    /// RST.
    pub(crate) fn reset(self) {
        self.wire.reset();
    }
}

/// One request on a connection of its own.
#[track_caller]
pub(crate) fn ask(gateway: &Gateway, request: impl AsRef<[u8]>) -> Response {
    Client::asking(gateway, request).answer()
}

/// The bytes of a GET.
pub(crate) fn get(path: &str) -> String {
    head_of("GET", path, "")
}

/// The bytes of a POST with a length.
pub(crate) fn post(path: &str, body: &str) -> String {
    head_of("POST", path, &format!("Content-Length: {}\r\n", body.len())) + body
}

/// The bytes of a head; `fields` are whole lines.
pub(crate) fn head_of(method: &str, path: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n")
}
