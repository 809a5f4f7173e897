//! The two messages of the benchmark, and as much HTTP as its clients and backends need to read them.

use std::io;

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

/// Sends the request and reads its answer to the last byte; anything but a 200 is an error.
pub(crate) async fn exchange(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(REQUEST).await?;
    let mut buffer = [0; BUFFER];
    let mut filled = 0;
    loop {
        filled += read_some(stream, &mut buffer[filled..]).await?;
        if let Some(length) = answer_length(&buffer[..filled])?
            && filled >= length
        {
            return if filled == length { Ok(()) } else { Err(invalid("bytes after the answer")) };
        }
    }
}

/// Reads one request without a body; `false` when the peer closed between two requests.
pub(crate) async fn read_request(stream: &mut TcpStream) -> io::Result<bool> {
    let mut buffer = [0; BUFFER];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return if filled == 0 { Ok(false) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        filled += read;
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let parsed = httparse::Request::new(&mut fields).parse(&buffer[..filled]);
        match parsed.map_err(|error| invalid(&error.to_string()))? {
            httparse::Status::Complete(length) if length == filled => return Ok(true),
            httparse::Status::Complete(_) => return Err(invalid("bytes after the request")),
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

/// The length of the whole answer, once its head is complete.
fn answer_length(bytes: &[u8]) -> io::Result<Option<usize>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let head_length = match head.parse(bytes).map_err(|error| invalid(&error.to_string()))? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    if head.code != Some(200) {
        return Err(invalid(&format!("status {:?}", head.code)));
    }
    let body_length = head
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"))
        .and_then(|field| std::str::from_utf8(field.value).ok())
        .and_then(|value| value.parse::<usize>().ok())
        .ok_or_else(|| invalid("no Content-Length"))?;
    Ok(Some(head_length + body_length))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_its_true_length() {
        assert_eq!(answer_length(ANSWER).unwrap(), Some(ANSWER.len()));
    }

    #[test]
    fn an_answer_is_incomplete_until_its_head_ends() {
        let head = ANSWER.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(answer_length(&ANSWER[..head - 1]).unwrap(), None);
        assert_eq!(answer_length(&ANSWER[..head]).unwrap(), Some(ANSWER.len()));
    }

    #[test]
    fn a_refusal_is_an_error() {
        assert!(answer_length(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").is_err());
    }
}
