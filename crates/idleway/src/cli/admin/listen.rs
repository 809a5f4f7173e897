//! Messages of the admin API as they come (Server-Sent Events, the HTML standard, section 9.2), over a blocking socket.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use idleway_h1::{BodyReader, Event, Known, Refusal, ResponseHead};
use serde_json::Value;

use super::call::{Caller, Refused, fill, head, rest};

/// The gateway tells something every 2 s. One that is silent for so long is not there any more; and one that has told nothing of use
/// for so long from the beginning is none.
const SILENCE: Duration = Duration::from_secs(10);
/// Bytes of a message.
const LARGEST: usize = 64 << 20;
/// The problems of the admin API are described there, and those of nobody else.
const PROBLEMS: &str = "/docs/admin.md#";

/// What is told, for as long as the connection lasts.
#[derive(Debug)]
pub(in crate::cli) struct Messages<S = Patient> {
    stream: S,
    reader: BodyReader,
    /// What came and is not read yet, as it came and without the framing of HTTP.
    bytes: Vec<u8>,
    text: Vec<u8>,
    /// So much of the text is known to hold no end of a message.
    seen: usize,
    /// The first one, by which it was seen that this is the stream that was asked for.
    first: Option<(String, Value)>,
}

/// A connection that is given up when nothing comes, and in the beginning also when what comes takes too long altogether.
#[derive(Debug)]
pub(in crate::cli) struct Patient {
    stream: TcpStream,
    until: Option<Instant>,
}

impl Read for Patient {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left.unwrap_or(SILENCE)))?;
        self.stream.read(to)
    }
}

impl Caller {
    /// `is_it` says whether the first message is one of the stream that is asked for.
    ///
    /// # Errors
    /// Nobody is there, or somebody else, or what is there answers by a problem.
    pub(in crate::cli) fn listen(
        &self,
        path: &str,
        is_it: impl Fn(&str, &Value) -> bool,
    ) -> Result<Messages, Refused> {
        self.listen_within(SILENCE, path, is_it)
    }

    fn listen_within(
        &self,
        patience: Duration,
        path: &str,
        is_it: impl Fn(&str, &Value) -> bool,
    ) -> Result<Messages, Refused> {
        let stream = self.connect().map_err(Refused::NobodyThere)?;
        let mut stream = Patient { stream, until: Some(Instant::now() + patience) };
        let mut bytes = Vec::new();
        let begun = stream.stream.write_all(&self.request("GET", path, None)).map_err(anyhow::Error::from);
        let begun = begun.and_then(|()| head(&mut stream, &mut bytes, false));
        let (head, reader) = begun.map_err(|error| self.nothing(error))?;
        match (head.status(), &*kind(&head)) {
            (200, "text/event-stream") => {}
            (status, "application/problem+json") if status != 200 => {
                let answer = rest(&mut stream, &mut bytes, reader).map_err(|error| self.nothing(error))?;
                let problem: Value = serde_json::from_slice(&answer).unwrap_or_default();
                let is_ours = problem["type"].as_str().is_some_and(|its| its.contains(PROBLEMS));
                return Err(if is_ours { Refused::Problem(status, problem) } else { self.stranger(&head) });
            }
            _ => return Err(self.stranger(&head)),
        }
        let mut messages = Messages::new(stream, reader, bytes);
        let first = messages.next().map_err(|error| self.nothing(error))?;
        if !is_it(&first.0, &first.1) {
            return Err(Refused::Stranger(self.url(), "it tells of something else".to_owned()));
        }
        messages.stream.until = None;
        messages.first = Some(first);
        Ok(messages)
    }

    /// Nothing came, or nothing that can be read.
    fn nothing(&self, error: anyhow::Error) -> Refused {
        if error.is::<Refusal>() || error.is::<serde_json::Error>() {
            return Refused::Stranger(self.url(), format!("{error:#}"));
        }
        Refused::NobodyThere(silent(error).context(self.url()))
    }

    fn stranger(&self, head: &ResponseHead) -> Refused {
        let answered = format!("{} {}", head.status(), kind(head));
        let how = format!("it answered {}; is that the gateway's own address?", answered.trim_end());
        Refused::Stranger(self.url(), how)
    }
}

/// What the body is said to be, as far as it is fit to be shown: whoever says it may be anybody.
fn kind(head: &ResponseHead) -> String {
    let said = head.get(Known::ContentType).unwrap_or_default();
    let said = said.split(|byte| *byte == b';').next().unwrap_or_default();
    let shown = said.iter().filter(|byte| byte.is_ascii_graphic()).take(64);
    shown.map(|byte| char::from(byte.to_ascii_lowercase())).collect()
}

impl<S: Read> Messages<S> {
    fn new(stream: S, reader: BodyReader, bytes: Vec<u8>) -> Self {
        Self { stream, reader, bytes, text: Vec::new(), seen: 0, first: None }
    }

    /// The next one: its name and what it says. Blocks until it is there.
    ///
    /// # Errors
    /// The connection has ended, or what comes is no such stream.
    pub(in crate::cli) fn next(&mut self) -> anyhow::Result<(String, Value)> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
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

/// Nothing came for too long.
#[derive(Debug, thiserror::Error)]
#[error("it is silent")]
struct Silent;

/// A read that takes too long fails with an error that says nothing to people.
fn silent(error: anyhow::Error) -> anyhow::Error {
    use io::ErrorKind::{TimedOut, WouldBlock};
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(TimedOut | WouldBlock) => Silent.into(),
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
    use std::net::TcpListener;
    use std::thread;

    use serde_json::json;

    use super::*;

    /// Gives its bytes a few at a time.
    struct Drops<'a>(&'a [u8], usize);

    impl Read for Drops<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(to.len());
            to[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn told(answer: &str, step: usize) -> (Vec<(String, Value)>, String) {
        let mut stream = Drops(answer.as_bytes(), step);
        let mut bytes = Vec::new();
        let (head, reader) = head(&mut stream, &mut bytes, false).unwrap();
        assert_eq!(head.status(), 200);
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

    /// What is said of somebody who answers so, and the exit code.
    fn said_of(answer: &'static str, patience: Duration) -> (String, u8) {
        // It says no more than that, but stays.
        said_of_one(patience, |mut stream| {
            stream.write_all(answer.as_bytes()).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        })
    }

    fn said_of_one(patience: Duration, answer: impl FnOnce(TcpStream) + Send + 'static) -> (String, u8) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answering = thread::spawn(move || answer(listener.accept().unwrap().0));
        let caller = Caller::new(&url, None, false).unwrap();
        let refused = caller.listen_within(patience, "/v1/watch", |kind, _| kind == "whole").unwrap_err();
        answering.join().unwrap();
        let code = refused.exit_code();
        (refused.words().replace(&url, "URL"), code)
    }

    #[test]
    fn who_is_no_gateway_is_known_at_once() {
        let no = "URL is no admin API of Idleway:";
        let it_answered = |what: &str| format!("{no} it answered {what}; is that the gateway's own address?");
        let problem = "HTTP/1.1 404 Not Found\r\nContent-Type: application/problem+json\r\nContent-Length: ";
        let strangers = [
            (
                "HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; charset=x\r\n\r\nok",
                it_answered("200 text/plain"),
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", it_answered("200")),
            ("HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n", it_answered("404 text/html")),
            ("HTTP/1.1 404 No\r\nContent-Type: a\u{9b}2J b\r\n\r\n", it_answered("404 a2jb")),
            (
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: news\ndata: {}\n\n",
                format!("{no} it tells of something else"),
            ),
        ];
        // Far more than it takes: who has to wait for that fails in the end.
        for (answer, words) in strangers {
            assert_eq!(said_of(answer, Duration::from_secs(60)), (words, 69), "{answer}");
        }
        let gateways_own = r#"{"type":"https://x/docs/answers.md#no-route","title":"No route"}"#;
        let its_own = r#"{"type":"https://x/docs/admin.md#viewers","title":"Too many","detail":"close one"}"#;
        for (body, expected) in [
            (gateways_own, (it_answered("404 application/problem+json"), 69)),
            (its_own, ("Too many: close one".to_owned(), 1)),
        ] {
            let answer: &'static str = format!("{problem}{}\r\n\r\n{body}", body.len()).leak();
            assert_eq!(said_of(answer, Duration::from_secs(60)), expected);
        }
        for (answer, what) in [
            ("SSH-2.0-x\r\n\r\n", "its answer is not HTTP"),
            (
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ok\n\n",
                "what it tells is not JSON",
            ),
        ] {
            let (words, code) = said_of(answer, Duration::from_secs(60));
            assert!(code == 69 && words.starts_with(&format!("{no} {what}")), "{words}");
        }
    }

    #[test]
    fn who_says_nothing_of_use_is_given_up() {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: ping\n\n";
        for answer in ["", "HTTP/1.1 200 OK\r\n", head] {
            let expected = ("URL: it is silent".to_owned(), 69);
            assert_eq!(said_of(answer, Duration::from_millis(50)), expected, "{answer}");
        }
        // Nor is one waited for who goes on with it; here he does for far longer than that.
        let pings = |mut stream: TcpStream| {
            stream.write_all(head.as_bytes()).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
            for _ in 0..1000 {
                let _ = stream.read(&mut [0; 4096]);
                if stream.write_all(b": ping\n\n").is_err() {
                    return;
                }
            }
        };
        assert_eq!(said_of_one(Duration::from_millis(50), pings), ("URL: it is silent".to_owned(), 69));
    }
}
