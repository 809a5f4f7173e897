//! One request to the admin API and its answer, over a blocking socket. What goes on answering is `listen`'s.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use idleway::config::AdminToken;
use idleway_h1::{BodyReader, Event, HeadReader, HeadWriter, Limits, ResponseHead};
use serde_json::Value;

use crate::token;

/// How long the gateway may be silent. A reload may have names to look up.
const SILENCE: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const LARGEST: usize = 256 << 20;

/// Where to ask, and the token that is sent along.
#[derive(Debug)]
pub(in crate::cli) struct Caller {
    authority: String,
    addresses: Vec<SocketAddr>,
    token: Option<AdminToken>,
}

/// Why nothing came of it.
#[derive(Debug)]
pub(in crate::cli) enum Refused {
    NobodyThere(anyhow::Error),
    /// Somebody else is there: at which URL, and how that was seen.
    Stranger(String, String),
    /// The status and what is told about it.
    Problem(u16, Value),
}

impl Caller {
    /// The URL is `http://HOST:PORT`. The token of this user's gateway is only sent where it is needed, and only to this
    /// machine.
    ///
    /// # Errors
    /// The URL is none, its host has no address, or the token cannot be read.
    pub(in crate::cli) fn new(url: &str, token_file: Option<&Path>, changes: bool) -> anyhow::Result<Self> {
        let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let authority = authority.filter(|rest| !rest.is_empty() && !rest.contains(['/', '@', '?', '#']));
        let authority = authority.with_context(|| {
            format!("`{url}` is not where an admin API answers: write http://127.0.0.1:5001")
        })?;
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let place = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let addresses: Vec<_> =
            place.to_socket_addrs().with_context(|| format!("`{authority}` is not found"))?.collect();
        let is_here = |ip: IpAddr| ip.to_canonical().is_loopback();
        let port = addresses.first().map(SocketAddr::port);
        let port = port.filter(|_| changes && addresses.iter().all(|address| is_here(address.ip())));
        Ok(Self { authority: authority.to_owned(), addresses, token: token::find(token_file, port)? })
    }

    pub(in crate::cli) fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refused> {
        let stream = self.connect().map_err(Refused::NobodyThere)?;
        self.call_on(stream, method, path, body)
    }

    /// The same, for whoever has to know until when nothing was sent: what fails from here on may be done all the same.
    pub(in crate::cli) fn call_on(
        &self,
        mut stream: TcpStream,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refused> {
        let (status, answer) =
            self.exchange(&mut stream, method, path, body).map_err(Refused::NobodyThere)?;
        if (200..300).contains(&status) { Ok(answer) } else { Err(Refused::Problem(status, answer)) }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    pub(in crate::cli) fn connect(&self) -> anyhow::Result<TcpStream> {
        let mut last = anyhow!("`{}` has no address", self.authority);
        for address in &self.addresses {
            match TcpStream::connect_timeout(address, CONNECT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(SILENCE))?;
                    stream.set_write_timeout(Some(SILENCE))?;
                    return Ok(stream);
                }
                Err(error) => last = anyhow!("{address}: {error}"),
            }
        }
        Err(last)
    }

    fn exchange(
        &self,
        stream: &mut TcpStream,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(u16, Value)> {
        stream.write_all(&self.request(method, path, body))?;
        let (status, answer) = read(stream, method == "HEAD")?;
        let answer =
            serde_json::from_slice(&answer).context("its answer is not JSON: is that an admin API?")?;
        Ok((status, answer))
    }

    pub(super) fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Vec<u8> {
        let body = body.filter(|body| !body.is_null()).map(ToString::to_string).unwrap_or_default();
        let mut request = Vec::new();
        let mut head = HeadWriter::request(&mut request, method, path);
        head.field("Host", &self.authority)
            .field("Connection", "close")
            .number("Content-Length", body.len() as u64);
        if !body.is_empty() {
            head.field("Content-Type", "application/json");
        }
        if let Some(token) = &self.token {
            head.field("Authorization", format!("Bearer {}", token.as_str()));
        }
        head.end();
        request.extend_from_slice(body.as_bytes());
        request
    }
}

/// A status and a body.
fn read(stream: &mut impl Read, to_head: bool) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut bytes = Vec::new();
    let (head, reader) = head(stream, &mut bytes, to_head)?;
    Ok((head.status(), rest(stream, &mut bytes, reader)?))
}

/// The body.
pub(super) fn rest(
    stream: &mut impl Read,
    bytes: &mut Vec<u8>,
    mut reader: BodyReader,
) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while !reader.is_done() {
        let step = reader.next(bytes).context("its answer is not HTTP")?;
        if let Event::Data(range) = &step.event {
            body.extend_from_slice(&bytes[range.clone()]);
        }
        bytes.drain(..step.consumed);
        if body.len() > LARGEST {
            bail!("its answer is larger than {} MiB", LARGEST >> 20);
        }
        let wants_more = step.event == Event::NeedMore || bytes.is_empty();
        if wants_more && !reader.is_done() && fill(stream, bytes)? == 0 {
            reader.end_of_input().context("its answer broke off")?;
        }
    }
    Ok(body)
}

/// The head, and what reads the body, which begins in the bytes that are left.
pub(super) fn head(
    stream: &mut impl Read,
    bytes: &mut Vec<u8>,
    to_head: bool,
) -> anyhow::Result<(ResponseHead, BodyReader)> {
    let mut reader = HeadReader::new(Limits::default());
    loop {
        match reader.response(bytes, to_head).context("its answer is not HTTP")? {
            Some((head, used)) => {
                bytes.drain(..used);
                if !head.is_interim() {
                    let reader = BodyReader::new(head.framing(), 8 << 10);
                    return Ok((head, reader));
                }
            }
            None if fill(stream, bytes)? == 0 => bail!("it closed the connection without an answer"),
            None => {}
        }
    }
}

pub(super) fn fill(stream: &mut impl Read, bytes: &mut Vec<u8>) -> anyhow::Result<usize> {
    let mut some = [0; 16 << 10];
    loop {
        match stream.read(&mut some) {
            Ok(count) => {
                bytes.extend_from_slice(&some[..count]);
                return Ok(count);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes one by one.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            to[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn an_answer_is_read_however_it_comes() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}",
        ] {
            for whole in [answer.to_owned(), format!("{interim}{answer}")] {
                assert_eq!(read(&mut whole.as_bytes(), false).unwrap(), (200, b"{}".to_vec()), "{whole}");
                assert_eq!(
                    read(&mut Drops(whole.as_bytes()), false).unwrap(),
                    (200, b"{}".to_vec()),
                    "{whole}"
                );
            }
        }
        let broken = [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        ];
        for broken in broken {
            assert!(read(&mut Drops(broken.as_bytes()), false).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_url_is_a_scheme_a_host_and_a_port() {
        for url in
            ["http://127.0.0.1:5001", "http://127.0.0.1:5001/", "http://[::1]:5001", "http://127.0.0.1"]
        {
            assert!(Caller::new(url, None, false).is_ok(), "{url}");
        }
        for url in
            ["", "127.0.0.1:5001", "https://127.0.0.1", "http://", "http://a@127.0.0.1", "http://127.0.0.1/x"]
        {
            assert!(Caller::new(url, None, false).is_err(), "{url}");
        }
    }
}
