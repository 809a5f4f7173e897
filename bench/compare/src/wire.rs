//! The two messages of the benchmark, and as much HTTP as its clients and backends need to read them.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What every client sends: eight fields, about what a script's HTTP library sends with a token.
pub(crate) const REQUEST: &[u8] = b"GET /small?item=42 HTTP/1.1\r\n\
    Host: bench.example.com\r\n\
    User-Agent: python-requests/2.32.3\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Accept: application/json\r\n\
    Accept-Language: en-GB,en;q=0.8\r\n\
    Cache-Control: no-cache\r\n\
    Authorization: Bearer 3f8a1c52d94e4b07a6e09b7d5c1f2a38\r\n\
    Connection: keep-alive\r\n\r\n";

/// What every backend answers: 64 bytes of JSON.
pub(crate) const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: bench\r\n\
    Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 64\r\n\r\n\
    {\"id\":42,\"name\":\"a small answer\",\"tags\":[\"fast\",\"cheap\"],\"n\":10}";

/// Both messages, with what a proxy adds to them, fit in this with room to spare.
const BUFFER: usize = 4096;
const FIELDS: usize = 32;

/// The body of a POST.
const BODY: &str = r#"{"prompt":"a small question","steps":20,"seed":42,"size":[64,64]}"#;

/// What a request asks of a backend that works as long as it is asked to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    /// Which request of the measure it is.
    pub(crate) number: usize,
    pub(crate) service: Duration,
}

impl Asked {
    /// The whole request: `REQUEST` with another target.
    pub(crate) fn request(self) -> Vec<u8> {
        self.message("GET", "", "")
    }

    /// The same as a POST with a small body.
    pub(crate) fn post(self) -> Vec<u8> {
        let about = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", BODY.len());
        self.message("POST", &about, BODY)
    }

    fn message(self, method: &str, about: &str, body: &str) -> Vec<u8> {
        let (number, micros) = (self.number, self.service.as_micros());
        let mut message = format!("{method} /asked/{number}/{micros} HTTP/1.1\r\n{about}").into_bytes();
        message
            .extend_from_slice(REQUEST.strip_prefix(b"GET /small?item=42 HTTP/1.1\r\n").unwrap_or_default());
        message.extend_from_slice(body.as_bytes());
        message
    }

    /// What the target asks for, if anything.
    pub(crate) fn read(target: &str) -> Option<Asked> {
        let (number, micros) = target.strip_prefix("/asked/")?.split_once('/')?;
        Some(Asked { number: number.parse().ok()?, service: Duration::from_micros(micros.parse().ok()?) })
    }
}

/// What came back for a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether the connection may be used again.
    pub(crate) persists: bool,
}

/// Sends the usual request and reads its answer to the last byte; anything but a 200 is an error.
pub(crate) async fn exchange(stream: &mut TcpStream) -> io::Result<()> {
    match ask(stream, REQUEST).await? {
        Answer { status: 200, .. } => Ok(()),
        Answer { status, .. } => Err(invalid(&format!("status {status}"))),
    }
}

/// Sends a request and says what came back. That is read to its last byte where it is a 200; otherwise the connection is
/// of no use any more.
pub(crate) async fn ask(stream: &mut TcpStream, request: &[u8]) -> io::Result<Answer> {
    stream.write_all(request).await?;
    let mut buffer = [0; BUFFER];
    let mut filled = 0;
    loop {
        filled += read_some(stream, &mut buffer[filled..]).await?;
        match read_answer(&buffer[..filled])? {
            Some((answer @ Answer { status: 200, .. }, length)) if filled == length => return Ok(answer),
            Some((Answer { status: 200, .. }, length)) if filled > length => {
                return Err(invalid("bytes after the answer"));
            }
            Some((Answer { status: 200, .. }, _)) | None => {}
            Some((answer, _)) => return Ok(answer),
        }
    }
}

/// Reads one request to the end of its body, and says its target; none when the peer closed between two requests.
pub(crate) async fn read_request(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut buffer = [0; BUFFER];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return if filled == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        filled += read;
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut head = httparse::Request::new(&mut fields);
        match head.parse(&buffer[..filled]).map_err(|error| invalid(&error.to_string()))? {
            httparse::Status::Complete(length) => match length + content_length(head.headers).unwrap_or(0) {
                whole if whole == filled => return Ok(Some(head.path.unwrap_or_default().to_owned())),
                whole if whole < filled => return Err(invalid("bytes after the request")),
                _ => {}
            },
            httparse::Status::Partial => {}
        }
    }
}

async fn read_some(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    match stream.read(buffer).await? {
        0 if buffer.is_empty() => Err(invalid("an answer larger than the buffer")),
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => Ok(read),
    }
}

/// An answer and, of a 200, the length of the whole, once its head is complete.
fn read_answer(bytes: &[u8]) -> io::Result<Option<(Answer, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let head_length = match head.parse(bytes).map_err(|error| invalid(&error.to_string()))? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let status = head.code.unwrap_or_default();
    if status != 200 {
        return Ok(Some((Answer { status, persists: false }, head_length)));
    }
    let body_length = content_length(head.headers).ok_or_else(|| invalid("no Content-Length"))?;
    let closes = value(head.headers, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok(Some((Answer { status, persists: !closes }, head_length + body_length)))
}

fn content_length(fields: &[httparse::Header<'_>]) -> Option<usize> {
    value(fields, "content-length")?.parse().ok()
}

fn value<'a>(fields: &[httparse::Header<'a>], name: &str) -> Option<&'a str> {
    let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(field.value).ok()
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_its_true_length() {
        let answer = Answer { status: 200, persists: true };
        assert_eq!(read_answer(ANSWER).unwrap(), Some((answer, ANSWER.len())));
    }

    #[test]
    fn a_connection_that_is_to_close_is_not_used_again() {
        let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        let closes = Answer { status: 200, persists: false };
        assert_eq!(read_answer(answer).unwrap(), Some((closes, answer.len())));
    }

    #[test]
    fn what_is_asked_for_can_be_read() {
        let asked = Asked { number: 7, service: Duration::from_millis(155) };
        let request = String::from_utf8(asked.request()).unwrap();
        assert!(request.ends_with("keep-alive\r\n\r\n"), "{request}");
        let target = request.split(' ').nth(1).unwrap();
        assert_eq!(Asked::read(target), Some(asked));
        assert_eq!(Asked::read("/small?item=42"), None);
        let post = String::from_utf8(asked.post()).unwrap();
        assert_eq!(post.split(' ').nth(1), Some(target));
        let (head, body) = post.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{post}");
    }

    #[test]
    fn an_answer_is_incomplete_until_its_head_ends() {
        let head = ANSWER.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(read_answer(&ANSWER[..head - 1]).unwrap(), None);
        let answer = Answer { status: 200, persists: true };
        assert_eq!(read_answer(&ANSWER[..head]).unwrap(), Some((answer, ANSWER.len())));
    }

    #[test]
    fn a_refusal_is_no_answer() {
        let refusal = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        let refused = Answer { status: 503, persists: false };
        assert_eq!(read_answer(refusal).unwrap(), Some((refused, refusal.len())));
    }
}
