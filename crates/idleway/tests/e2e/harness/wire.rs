//! A small strict reader of HTTP/1.1, sharing no line with the one under test.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::PATIENCE;

/// One end of a connection, and what was read ahead.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    ahead: Vec<u8>,
    /// How many bytes are still read from the socket; the kernel keeps what comes behind them.
    left: usize,
}

/// A start line and its fields.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) line: String,
    pub(crate) fields: Fields,
}

/// Fields in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    /// The values of all fields of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The one field of this name; two of them fail the test.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} stands there more than once: {all:?}");
        all.first().copied()
    }

    fn parse(text: &str) -> Self {
        let fields = text.split("\r\n").filter(|line| !line.is_empty()).map(|line| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line:?}"));
            assert!(!name.is_empty() && !name.contains([' ', '\t']), "no name of a field: {name:?}");
            (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
        });
        Self(fields.collect())
    }
}

impl Head {
    fn parse(bytes: &[u8]) -> Self {
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "a bare CR or LF in {text:?}");
        let (line, fields) = text.split_once("\r\n").unwrap();
        Self { line: line.to_owned(), fields: Fields::parse(fields) }
    }

    /// The first, second or third word of the start line.
    pub(crate) fn word(&self, nth: usize) -> &str {
        self.line.splitn(3, ' ').nth(nth).unwrap_or("")
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.fields.one("Transfer-Encoding").is_some_and(|value| value == "chunked")
    }

    pub(crate) fn length(&self) -> Option<usize> {
        self.fields.one("Content-Length").map(|value| value.parse().unwrap())
    }
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, ahead: Vec::new(), left: usize::MAX }
    }

    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// From now on exactly so many bytes are read: what is cut by that looks as if the other side had ended there.
    pub(crate) fn read_only(&mut self, bytes: usize) {
        self.left = bytes;
    }

    /// Waits until a byte has come, and leaves it with the kernel; false where the other side has ended instead.
    pub(crate) fn comes_more(&self) -> io::Result<bool> {
        self.stream.peek(&mut [0]).map(|bytes| bytes > 0)
    }

    /// Whether nothing has come so far.
    pub(crate) fn is_silent(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let seen = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        self.ahead.is_empty() && seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Writes until the other side has taken nothing for a while; says how many bytes it took, at most `most`.
    pub(crate) fn write_until_blocked(&mut self, most: usize) -> usize {
        let part = vec![b'x'; 64 * 1024];
        self.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut sent = 0;
        while sent < most {
            match self.stream.write(&part[..part.len().min(most - sent)]) {
                Ok(taken) => sent += taken,
                Err(error) => {
                    assert!(
                        matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
                        "{error}"
                    );
                    break;
                }
            }
        }
        self.stream.set_write_timeout(Some(PATIENCE)).unwrap();
        sent
    }

    /// FIN: nothing more comes from here.
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// RST: the other side sees a connection that broke.
    pub(crate) fn reset(self) {
        self.reset_at_close();
    }

    /// Once this is dropped the other side sees a connection that broke.
    pub(crate) fn reset_at_close(&self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// A head; nothing where the connection ended in order before one.
    pub(crate) fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n\r\n") {
                let head = Head::parse(&self.ahead[..end + 2]);
                self.ahead.drain(..end + 4);
                return Ok(Some(head));
            }
            if self.fill()? == 0 {
                return if self.ahead.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// The body that this head announces, and its trailers. `None` of both lengths is an empty body.
    pub(crate) fn body(&mut self, head: &Head) -> io::Result<(Vec<u8>, Fields)> {
        match (head.is_chunked(), head.length()) {
            (true, None) => self.chunks(),
            (false, length) => Ok((self.exactly(length.unwrap_or(0))?, Fields::default())),
            (true, Some(_)) => panic!("both lengths in {head:?}"),
        }
    }

    pub(crate) fn exactly(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < bytes {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.ahead.split_off(bytes);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    /// All that comes until the other side's FIN. A reset is an error.
    pub(crate) fn until_end(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.ahead))
    }

    /// Throws away all that comes until the other side's FIN, and says how much it was.
    pub(crate) fn discard_until_end(&mut self) -> io::Result<u64> {
        let mut bytes = 0;
        loop {
            bytes += std::mem::take(&mut self.ahead).len() as u64;
            if self.fill()? == 0 {
                return Ok(bytes);
            }
        }
    }

    fn chunks(&mut self) -> io::Result<(Vec<u8>, Fields)> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk()? {
            body.extend_from_slice(&chunk);
        }
        Ok((body, self.trailers()?))
    }

    /// One chunk; nothing at the last one, behind which the trailers stand.
    pub(crate) fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.line()?;
        let size =
            usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("no size of a chunk: {line:?}"));
        if size == 0 {
            return Ok(None);
        }
        let chunk = self.exactly(size)?;
        assert_eq!(self.line()?, "", "no end of a chunk");
        Ok(Some(chunk))
    }

    /// What comes next of a body whose head this is: a chunk, or in any other framing all of the rest.
    pub(crate) fn chunk_or_end(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        if head.is_chunked() { Ok(self.chunk()?.unwrap_or_default()) } else { self.until_end() }
    }

    fn trailers(&mut self) -> io::Result<Fields> {
        let mut text = String::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Fields::parse(&text));
            }
            text.extend([&line, "\r\n"]);
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n") {
                let line = String::from_utf8(self.ahead[..end].to_vec()).unwrap();
                self.ahead.drain(..end + 2);
                return Ok(line);
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 16 * 1024];
        let room = bytes.len().min(self.left);
        // Of no room nothing is read, as at an end.
        let read = loop {
            match self.stream.read(&mut bytes[..room]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.left -= read;
        self.ahead.extend_from_slice(&bytes[..read]);
        Ok(read)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
