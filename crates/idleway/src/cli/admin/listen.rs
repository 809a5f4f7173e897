//! Messages of the admin API as they come (Server-Sent Events, the HTML standard, section 9.2), over a blocking socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use idleway_h1::{BodyReader, Event};
use serde_json::Value;

use super::call::{Caller, Refused, fill, head, rest};

/// The gateway tells something every 2 s. One that is silent for so long is not there any more.
const SILENCE: Duration = Duration::from_secs(10);
/// Bytes of a message.
const LARGEST: usize = 64 << 20;

/// What is told, for as long as the connection lasts.
#[derive(Debug)]
pub(in crate::cli) struct Messages<S = TcpStream> {
    stream: S,
    reader: BodyReader,
    /// What came and is not read yet, as it came and without the framing of HTTP.
    bytes: Vec<u8>,
    text: Vec<u8>,
    /// So much of the text is known to hold no end of a message.
    seen: usize,
}

impl Caller {
    /// # Errors
    /// Nobody is there, or what is there answers by a problem.
    pub(in crate::cli) fn listen(&self, path: &str) -> Result<Messages, Refused> {
        let mut stream = self.connect().map_err(Refused::NobodyThere)?;
        let request = self.request("GET", path, None);
        let begun = |stream: &mut TcpStream| {
            stream.write_all(&request)?;
            let mut bytes = Vec::new();
            let (status, reader) = head(stream, &mut bytes, false)?;
            anyhow::Ok((status, reader, bytes))
        };
        let (status, reader, mut bytes) = begun(&mut stream).map_err(Refused::NobodyThere)?;
        if status != 200 {
            let answer = rest(&mut stream, &mut bytes, reader).map_err(Refused::NobodyThere)?;
            let problem = serde_json::from_slice(&answer).unwrap_or(Value::Null);
            return Err(match problem.is_object() {
                true => Refused::Problem(status, problem),
                false => Refused::NobodyThere(anyhow!("it answers {status}: is that an admin API?")),
            });
        }
        let silence = stream.set_read_timeout(Some(SILENCE));
        silence.map_err(|error| Refused::NobodyThere(error.into()))?;
        Ok(Messages::new(stream, reader, bytes))
    }
}

impl<S: Read> Messages<S> {
    fn new(stream: S, reader: BodyReader, bytes: Vec<u8>) -> Self {
        Self { stream, reader, bytes, text: Vec::new(), seen: 0 }
    }

    /// The next one: its name and what it says. Blocks until it is there.
    ///
    /// # Errors
    /// The connection has ended, or what comes is no such stream.
    pub(in crate::cli) fn next(&mut self) -> anyhow::Result<(String, Value)> {
        loop {
            while let Some(block) = self.block() {
                if let Some(message) = message(&block)? {
                    return Ok(message);
                }
            }
            self.more()?;
        }
    }

    /// What stands before the next empty line.
    fn block(&mut self) -> Option<String> {
        let found = self.text[self.seen..].windows(2).position(|pair| pair == b"\n\n");
        let Some(found) = found else {
            self.seen = self.text.len().saturating_sub(1);
            return None;
        };
        let block: Vec<_> = self.text.drain(..self.seen + found + 2).collect();
        self.seen = 0;
        Some(String::from_utf8_lossy(&block).into_owned())
    }

    fn more(&mut self) -> anyhow::Result<()> {
        let step = self.reader.next(&self.bytes).context("its answer is not HTTP")?;
        let had = self.text.len();
        if let Event::Data(range) = &step.event {
            self.text.extend_from_slice(&self.bytes[range.clone()]);
        }
        self.bytes.drain(..step.consumed);
        if self.text.len() > LARGEST {
            bail!("a message is larger than {} MiB", LARGEST >> 20);
        }
        if self.reader.is_done() {
            bail!("it has ended the connection");
        }
        if self.text.len() == had && fill(&mut self.stream, &mut self.bytes).map_err(silent)? == 0 {
            bail!("it has closed the connection");
        }
        Ok(())
    }
}

/// A read that takes too long fails with an error that says nothing to people.
fn silent(error: anyhow::Error) -> anyhow::Error {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    match error.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(TimedOut | WouldBlock) => anyhow!("it says nothing any more"),
        _ => error,
    }
}

/// The message in a block of lines; none where it is a comment.
fn message(block: &str) -> anyhow::Result<Option<(String, Value)>> {
    let (mut name, mut data) = (String::new(), String::new());
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut name),
            "data" => {
                data += value;
                data.push('\n');
            }
            _ => {}
        }
    }
    if data.is_empty() {
        return Ok(None);
    }
    let told = serde_json::from_str(&data).context("what it tells is not JSON")?;
    Ok(Some((name, told)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Gives its bytes a few at a time.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(self.0.len()).min(to.len());
            to[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn told(answer: &str, step: usize) -> (Vec<(String, Value)>, String) {
        let mut stream = Drops(answer.as_bytes(), step);
        let mut bytes = Vec::new();
        let (status, reader) = head(&mut stream, &mut bytes, false).unwrap();
        assert_eq!(status, 200);
        let mut messages = Messages::new(stream, reader, bytes);
        let mut all = Vec::new();
        loop {
            match messages.next() {
                Ok(message) => all.push(message),
                Err(error) => return (all, format!("{error:#}")),
            }
        }
    }

    #[test]
    fn messages_are_read_however_they_come() {
        let text =
            ": hello\n\nevent: whole\ndata: {\"a\":1}\n\nevent: change\ndata:{\"a\":\ndata: 2}\n\nevent: cut";
        let expected = vec![("whole".to_owned(), json!({"a": 1})), ("change".to_owned(), json!({"a": 2}))];
        let (first, second) = text.split_at(20);
        let chunked = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n",
            first.len(),
            second.len()
        );
        let plain = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{text}");
        for step in [1, 2, 7, 1 << 20] {
            for (answer, end) in [
                (&chunked, "it has closed the connection"),
                (&format!("{chunked}0\r\n\r\n"), "it has ended the connection"),
                (&plain, "it has closed the connection"),
            ] {
                assert_eq!(told(answer, step), (expected.clone(), end.to_owned()), "{step} of {answer:?}");
            }
        }
    }

    #[test]
    fn what_is_no_such_stream_is_said() {
        let (all, error) = told("HTTP/1.1 200 OK\r\n\r\ndata: {\n\n", 1000);
        assert!(all.is_empty() && error.starts_with("what it tells is not JSON"), "{error}");
    }
}
