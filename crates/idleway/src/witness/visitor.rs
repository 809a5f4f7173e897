//! One request and its client, which may leave before it has its answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use idleway::generic_backend::Work;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{self, Instant};

use super::LOOK;
use super::target::Target;

/// Bytes of an answer that are kept: its head is among them.
const KEPT: u64 = 64 << 10;

/// How a client behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Waits for its answer, however long it takes.
    Stays,
    /// Asks for a tenth of the work, and waits: most gateways' timeouts let that pass.
    AsksForLittle,
    /// Leaves as soon as a backend is at work for it.
    LeavesAtWork(Bye),
    /// Leaves after a moment, most likely in the line.
    LeavesSoon(Bye),
}

/// How a client takes its leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bye {
    /// FIN, as a program that ends.
    Close,
    /// RST, as one that is cut off.
    Reset,
}

/// In turn, so that each run has all of them.
const MANNERS: [Manner; 6] = [
    Manner::Stays,
    Manner::LeavesAtWork(Bye::Close),
    Manner::LeavesSoon(Bye::Close),
    Manner::AsksForLittle,
    Manner::LeavesAtWork(Bye::Reset),
    Manner::LeavesSoon(Bye::Reset),
];

/// How a request ended, as its client saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// A backend's answer came.
    Answered,
    /// Some other answer came, or the connection closed, while a backend was at work on it or had been.
    GivenUp,
    /// Some other answer came, or the connection closed, and no backend had got it.
    Refused,
    /// The client left, and a backend was at work on it.
    LeftAtWork,
    /// The client left before a backend had got it.
    LeftInLine,
}

/// One request, to be sent.
#[derive(Debug)]
pub(super) struct Visit {
    to: Target,
    id: String,
    manner: Manner,
    /// The time that the backend is asked to work.
    work: Duration,
}

impl Visit {
    /// The `number`th request of a run.
    pub(super) fn new(to: &Target, id: String, number: u32, work: Duration) -> Self {
        let turn = usize::try_from(number).unwrap_or_default() % MANNERS.len();
        let manner = MANNERS[turn];
        let work = if manner == Manner::AsksForLittle { work / 10 } else { work };
        Visit { to: to.clone(), id, manner, work }
    }

    /// A request for no work, to see whether the gateway is there.
    pub(super) fn hello(to: &Target, id: String) -> Self {
        Visit { to: to.clone(), id, manner: Manner::Stays, work: Duration::ZERO }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn into_id(self) -> String {
        self.id
    }

    /// Sends the request and says what came of it: the first line of the answer.
    pub(super) async fn told(&self) -> io::Result<String> {
        let mut stream = self.send().await?;
        let answer = read_answer(&mut stream).await?;
        Ok(String::from_utf8_lossy(final_head(&answer).unwrap_or(b"an answer that is not HTTP")).into_owned())
    }

    /// Sends the request and waits for its answer, at most until `end`, or leaves in its manner.
    pub(super) async fn pay(&self, works: &[Arc<Work>], end: Instant) -> End {
        let begun = || works.iter().any(|work| work.begun(&self.id) > 0);
        let Ok(mut stream) = self.send().await else { return End::Refused };
        let leave = async {
            match self.manner {
                Manner::Stays | Manner::AsksForLittle => time::sleep_until(end).await,
                Manner::LeavesAtWork(_) => tokio::select! {
                    () = until(begun) => {}
                    () = time::sleep_until(end) => {}
                },
                Manner::LeavesSoon(_) => time::sleep(self.work / 10).await,
            }
        };
        let answer = tokio::select! {
            answer = read_answer(&mut stream) => answer,
            () = leave => {
                if matches!(self.manner, Manner::LeavesAtWork(Bye::Reset) | Manner::LeavesSoon(Bye::Reset)) {
                    // Where it cannot be set, it leaves with a FIN.
                    let _ = stream.set_zero_linger();
                }
                return if begun() { End::LeftAtWork } else { End::LeftInLine };
            }
        };
        let good = answer.is_ok_and(|answer| final_head(&answer).is_some_and(is_good));
        match (good, begun()) {
            (true, true) => End::Answered,
            (_, true) => End::GivenUp,
            (_, false) => End::Refused,
        }
    }

    async fn send(&self) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.to.address()).await?;
        stream.set_nodelay(true)?;
        let (path, host, id) = (self.to.path(), self.to.authority(), &self.id);
        let work = self.work.as_millis();
        let head = format!(
            "POST {path}?delay={work}ms&id={id} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: idleway-witness\r\n\
             X-Request-Id: {id}\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        );
        stream.write_all(head.as_bytes()).await?;
        Ok(stream)
    }
}

/// Until it is so.
async fn until(so: impl Fn() -> bool) {
    let mut looks = time::interval(LOOK);
    while !so() {
        looks.tick().await;
    }
}

/// What comes until the connection ends, as much of it as matters.
async fn read_answer(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    stream.take(KEPT).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// The status line of the first answer that is not an interim one.
fn final_head(answer: &[u8]) -> Option<&[u8]> {
    let mut rest = answer;
    loop {
        let line = rest.split(|&byte| byte == b'\r').next()?;
        let status = line.strip_prefix(b"HTTP/1.")?.get(2..)?;
        if !status.starts_with(b"1") {
            return Some(line);
        }
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n")?;
        rest = &rest[end + 4..];
    }
}

fn is_good(line: &[u8]) -> bool {
    line.get(b"HTTP/1.1 ".len()..).is_some_and(|status| status.starts_with(b"2"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_final_answer_counts() {
        let answer =
            b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        assert_eq!(final_head(answer), Some(&b"HTTP/1.1 200 OK"[..]));
        assert!(is_good(b"HTTP/1.0 204 No Content"));
        assert!(!is_good(b"HTTP/1.1 504 Gateway Timeout"));
        for cut in [&b""[..], b"HTTP/1.1 102 Processing\r\n\r\n", b"SSH-2.0-OpenSSH\r\n"] {
            assert_eq!(final_head(cut), None, "{cut:?}");
        }
    }

    #[test]
    fn every_manner_comes_in_a_run() {
        let to: Target = "http://a".parse().unwrap();
        let seen: Vec<Manner> =
            (6..12).map(|number| Visit::new(&to, String::new(), number, Duration::ZERO).manner).collect();
        assert_eq!(seen, MANNERS);
        let work = |number| Visit::new(&to, String::new(), number, Duration::from_secs(1)).work.as_millis();
        assert_eq!((6..12).map(work).collect::<Vec<_>>(), [1000, 1000, 1000, 100, 1000, 1000]);
    }
}
