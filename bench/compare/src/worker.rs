//! A backend as a process of its own, so that it can be killed and come back: it works on one request at a time, as long
//! as the request asks for, and says on its standard output what it begins and what it has ended.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Stdio};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::prctl;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime;

use crate::peer;
use crate::rounds::pass;
use crate::wire::{self, Asked};

/// A backend with a port of its own: one process after the other, as it is killed and started again.
pub(crate) struct Worker {
    address: SocketAddr,
    /// Keeps the port while nobody listens: without it an outgoing connection of any program might be given it.
    _port: TcpSocket,
    process: Option<Process>,
    lives: Vec<Life>,
}

struct Process {
    child: Child,
    /// Reads what it says until it is dead.
    life: JoinHandle<io::Result<Life>>,
}

impl Worker {
    /// Takes a free port of 127.0.0.1 and returns when a process listens there.
    pub(crate) fn start() -> Result<Worker> {
        let port = TcpSocket::new_v4()?;
        // Allows the process to listen on it as well; this one never does.
        port.set_reuseaddr(true)?;
        port.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = port.local_addr()?;
        let mut worker = Worker { address, _port: port, process: None, lives: Vec::new() };
        worker.revive()?;
        Ok(worker)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts its next process, and returns when that listens.
    pub(crate) fn revive(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "it lives");
        let mut child = peer::following(&env::current_exe()?)?
            .args(["worker", &self.address.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting a worker")?;
        let mut told = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut first = String::new();
        told.read_line(&mut first)?;
        let life = thread::spawn(move || Life::read(told.lines()));
        self.process = Some(Process { child, life });
        ensure!(first.trim_end() == LISTENING, "a worker did not start");
        Ok(())
    }

    /// Kills its process with SIGKILL, in the midst of whatever it does.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let ended = process.child.try_wait()?;
        process.child.kill()?;
        process.child.wait()?;
        self.lives.push(process.life.join().map_err(|_| anyhow!("the reader panicked"))??);
        ensure!(ended.is_none(), "a worker ended by itself");
        Ok(())
    }

    /// Ends it and says what its processes did, each from its start to its end.
    pub(crate) fn end(mut self) -> Result<Vec<Life>> {
        self.kill()?;
        Ok(std::mem::take(&mut self.lives))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// What one process did.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Life {
    /// The numbers of the requests that it began to work on.
    pub(crate) begun: Vec<usize>,
    /// The one whose answer it had not sent when it died.
    pub(crate) lost: Option<usize>,
}

impl Life {
    fn read(lines: impl Iterator<Item = io::Result<String>>) -> io::Result<Life> {
        let mut life = Life::default();
        for line in lines {
            let line = line?;
            let number = |text: &str| {
                text.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("said: {line}")))
            };
            match line.split_once(' ') {
                Some((BEGIN, text)) => {
                    life.begun.push(number(text)?);
                    life.lost = life.begun.last().copied();
                }
                Some((END, text)) if life.lost == Some(number(text)?) => life.lost = None,
                _ => {}
            }
        }
        Ok(life)
    }
}

/// The words that it says, one line each; behind the last two stands the request's number.
const LISTENING: &str = "listening";
const BEGIN: &str = "begin";
const END: &str = "end";

/// Is the process: serves until it is ended.
pub(crate) fn run(listen: SocketAddr) -> Result<()> {
    // The standard library listens with SO_REUSEADDR: what the process before has left in TIME_WAIT is no hindrance.
    let listener = TcpListener::bind(listen).context("binding")?;
    listener.set_nonblocking(true)?;
    let _ = prctl::set_timerslack(1);
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        say(LISTENING)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A connection that ends in an error shows at its client, which counts it.
            tokio::spawn(serve(stream));
        }
    })
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    while let Some(target) = wire::read_request(&mut stream).await? {
        // The question whether a peer is there asks for nothing.
        let Some(asked) = Asked::read(&target) else {
            stream.write_all(wire::ANSWER).await?;
            continue;
        };
        say(&format!("{BEGIN} {}", asked.number))?;
        // Blocks the one thread: that is what makes it one request at a time.
        pass(asked.service);
        stream.write_all(wire::ANSWER).await?;
        say(&format!("{END} {}", asked.number))?;
    }
    Ok(())
}

/// A line goes out whole and at once: what was said outlives a SIGKILL.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(said: &str) -> io::Result<Life> {
        Life::read(said.lines().map(|line| Ok(line.to_owned())))
    }

    #[test]
    fn what_was_begun_and_not_ended_is_lost() {
        let all_ended = life("begin 1\nend 1\nbegin 4\nend 4").unwrap();
        assert_eq!(all_ended, Life { begun: vec![1, 4], lost: None });
        let one_lost = life("begin 1\nend 1\nbegin 4").unwrap();
        assert_eq!(one_lost, Life { begun: vec![1, 4], lost: Some(4) });
        assert_eq!(life("").unwrap(), Life::default());
    }

    #[test]
    fn a_number_that_is_none_is_told() {
        assert!(life("begin x").is_err());
    }
}
