//! The program as a person or a script meets it: what it says, how it ends, and that it leaves nothing behind.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it could not try"
)]

mod admin;
mod backend;
mod check;
#[cfg(unix)]
mod chromium;
#[cfg(unix)]
mod dashboard;
mod gateway;
mod habits;
#[cfg(unix)]
mod handover;
mod log;
#[path = "../../../idleway-h1/tests/oracles/python.rs"]
mod python;
#[cfg(unix)]
mod recording;
mod reload;
mod routes;
mod secrets;
#[cfg(unix)]
mod supervisor;
#[cfg(unix)]
mod top;
mod usage;
#[cfg(target_os = "linux")]
mod user;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Far more than anything here takes: only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

fn idleway(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_idleway"));
    // A folder without an idleway.toml.
    command.args(args).current_dir(env!("CARGO_TARGET_TMPDIR"));
    for name in ["RUST_LOG", "NO_COLOR", "CLICOLOR_FORCE", "XDG_CONFIG_HOME", "HOME"] {
        command.env_remove(name);
    }
    // No test is to meet another one, or a gateway of whoever runs it.
    command
        .env("IDLEWAY_ADMIN_LISTEN", "off")
        .env("IDLEWAY_LOG_FORMAT", "human")
        .env("XDG_RUNTIME_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/runtime"));
    command.env_remove("RUNTIME_DIRECTORY");
    for name in ["CONFIG", "LISTEN", "THREADS", "LOG", "ADMIN", "ADMIN_TOKEN"] {
        command.env_remove(format!("IDLEWAY_{name}"));
    }
    command
}

/// Exit code, standard output, standard error of a program that ends by itself.
fn ended(args: &[&str]) -> (i32, String, String) {
    ended_on(idleway(args), "")
}

/// The same, with this on its standard input.
fn ended_on(mut command: Command, input: &str) -> (i32, String, String) {
    let (stdin, stdout, stderr) = (Stdio::piped(), Stdio::piped(), Stdio::piped());
    let mut child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().unwrap();
    // It may end without reading it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    // More than a pipe holds may come.
    let read = |mut pipe: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            text
        })
    };
    let stdout = read(Box::new(child.stdout.take().unwrap()));
    let stderr = read(Box::new(child.stderr.take().unwrap()));
    let code = exit_code(&mut child).unwrap();
    (code, stdout.join().unwrap(), stderr.join().unwrap())
}

/// None where a signal ended it.
fn exit_code(child: &mut Child) -> Option<i32> {
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if since.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::yield_now();
    }
}

fn file(name: &str, text: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What this machine lacks is said and not tried; where `CI` is set it has to be there.
fn needs<T>(what: &str, found: std::io::Result<T>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "no {what}: {error}");
            println!("not tried, since there is no {what}: {error}");
            None
        }
    }
}

/// A program that runs, and says first where it listens. Ends with the test.
struct Running {
    child: Child,
    url: String,
    output: BufReader<std::process::ChildStdout>,
}

impl Running {
    fn start(args: &[&str]) -> Running {
        Running::start_logging_to(Stdio::null(), args)
    }

    fn start_logging_to(log: Stdio, args: &[&str]) -> Running {
        Running::of(idleway(args).stderr(log))
    }

    fn of(command: &mut Command) -> Running {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut url = String::new();
        output.read_line(&mut url).unwrap();
        assert!(url.starts_with("http://"), "{command:?} began with {url:?}");
        Running { child, url: url.trim_end().to_owned(), output }
    }

    fn backend(args: &[&str]) -> Running {
        Running::start(&[&["backend", "0"], args].concat())
    }

    fn call(&self, request: &str, body: &str) -> (u16, Value) {
        answer(send(&self.url, request, body))
    }

    fn witness(&self) -> Value {
        self.call("GET /witness", "").1
    }

    /// Asks until the witness says so.
    fn until(&self, says: impl Fn(&Value) -> bool) -> Value {
        let since = Instant::now();
        loop {
            let witness = self.witness();
            if says(&witness) {
                return witness;
            }
            assert!(since.elapsed() < PATIENCE, "still {witness}");
        }
    }

    fn signal(&self, signal: &str) {
        kill(&self.child.id().to_string(), signal);
    }

    fn exit_code(&mut self) -> Option<i32> {
        exit_code(&mut self.child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kill(pid: &str, signal: &str) {
    assert!(Command::new("kill").args([signal, pid]).status().unwrap().success());
}

fn connect(url: &str) -> std::io::Result<TcpStream> {
    TcpStream::connect(url.strip_prefix("http://").unwrap())
}

fn send_to(url: &str, request: &str, host: &str) -> TcpStream {
    let mut stream = connect(url).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    stream
}

fn send(url: &str, request: &str, body: &str) -> TcpStream {
    let mut stream = connect(url).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let head =
        format!("{request} HTTP/1.1\r\nHost: test\r\nX-Request-Id: {request}\r\nConnection: close\r\n");
    write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}").unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> (u16, Value) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("not an answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("not JSON: {body:?}")))
}
