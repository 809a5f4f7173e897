//! The examples as a reader meets them: started, asked, and ended in order.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use idleway::generic_backend::{GenericBackend, GenericBackendOptions, Over};

/// Far more than anything here takes: only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A backend of one Slot that works so long on each request; lives as long as the test.
fn backend(delay: Duration) -> String {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let options = GenericBackendOptions { slots: 1, delay, over: Over::Refuse };
            let backend = GenericBackend::bind((Ipv4Addr::LOCALHOST, 0).into(), options).await.unwrap();
            tell.send(backend.address()).unwrap();
            backend.run(std::future::pending()).await;
        });
    });
    format!("http://{}", told.recv().unwrap())
}

/// An example that runs. Ends with the test.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(program: &str, args: &[&str]) -> Self {
        let mut child = Command::new(program).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// The address that it says first.
    fn address(&mut self) -> SocketAddr {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// Ends it as Ctrl-C does; what it said after its address.
    fn interrupted(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let since = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < PATIENCE, "it does not end");
            std::thread::yield_now();
        }
        assert!(self.child.wait().unwrap().success());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        rest
    }
}

/// Status line and body of the answer to a request on a connection of its own.
fn ask(address: SocketAddr, head: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{head}\r\nHost: example\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn a_gateway_is_embedded_in_less_than_20_lines() {
    for source in [include_str!("../src/bin/in_tokio.rs"), include_str!("../src/bin/one_line.rs")] {
        let code = source.lines().filter(|line| !line.is_empty() && !line.starts_with("//"));
        assert!(code.count() < 20);
    }
}

#[test]
fn in_tokio() {
    let backend = backend(Duration::ZERO);
    let mut example = Running::start(env!("CARGO_BIN_EXE_in_tokio"), &[&backend]);
    let address = example.address();
    assert_eq!(ask(address, "GET /witness HTTP/1.1").0, "HTTP/1.1 200 OK");
    assert_eq!(example.interrupted(), "0 cut, 0 abandoned\n");
}

/// The port is held on another address meanwhile, so that nobody is given it.
#[cfg(target_os = "linux")]
#[test]
fn one_line() {
    let backend = backend(Duration::ZERO);
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = SocketAddr::from(([127, 83, 7, 1], held.local_addr().unwrap().port()));
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("one_line.toml");
    std::fs::write(&file, format!("listen = \"{address}\"\nbackends = [\"{backend}\"]\n")).unwrap();
    let example = Running::start(env!("CARGO_BIN_EXE_one_line"), &[file.to_str().unwrap()]);
    let since = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(since.elapsed() < PATIENCE, "it does not listen");
        std::thread::yield_now();
    }
    assert_eq!(ask(address, "GET /witness HTTP/1.1").0, "HTTP/1.1 200 OK");
    example.interrupted();
}

#[test]
fn with_axum_and_with_hyper() {
    let backend = backend(Duration::from_secs(1));
    for program in [env!("CARGO_BIN_EXE_with_axum"), env!("CARGO_BIN_EXE_with_hyper")] {
        let mut example = Running::start(program, &[&backend]);
        let address = example.address();
        let post = "POST /process HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        let asks = || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let (line, rest) = post.split_once("\r\n").unwrap();
            write!(stream, "{line}\r\nHost: example\r\nConnection: close\r\n{rest}").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer.split_whitespace().nth(1).unwrap().to_owned()
        };
        // One Slot, two at once: one is served, one is told.
        let mut statuses = std::thread::scope(|threads| {
            let both = [threads.spawn(asks), threads.spawn(asks)];
            both.map(|one| one.join().unwrap())
        });
        statuses.sort();
        assert_eq!(statuses, ["200", "503"], "{program}");
        if program == env!("CARGO_BIN_EXE_with_axum") {
            let (status, body) = ask(address, "GET /slots HTTP/1.1");
            assert_eq!(status, "HTTP/1.1 200 OK");
            assert!(body.starts_with("SlotCounts { idle: 1, busy: 0,"), "{body}");
        }
    }
}

#[test]
fn api_keys() {
    let (paid, free) = (backend(Duration::ZERO), backend(Duration::ZERO));
    let mut example = Running::start(env!("CARGO_BIN_EXE_api_keys"), &[&paid, &free]);
    let address = example.address();
    let (status, body) = ask(address, "GET /witness HTTP/1.1");
    assert_eq!(status, "HTTP/1.1 401 Unauthorized");
    assert!(body.contains("Send your key"), "{body}");
    let with = |key: &str| ask(address, &format!("GET /witness HTTP/1.1\r\nAuthorization: Bearer {key}"));
    assert_eq!(with("key-of-eve").0, "HTTP/1.1 401 Unauthorized");
    assert_eq!(with("key-of-ada").0, "HTTP/1.1 200 OK");
    example.interrupted();
}

#[test]
fn ledger() {
    let backend = backend(Duration::ZERO);
    let mut example = Running::start(env!("CARGO_BIN_EXE_ledger"), &[&backend]);
    let address = example.address();
    for user in ["ada", "ada", "bob"] {
        assert_eq!(ask(address, &format!("GET /witness HTTP/1.1\r\nX-User: {user}")).0, "HTTP/1.1 200 OK");
    }
    let bill = example.interrupted();
    let lines: Vec<&str> = bill.lines().collect();
    assert_eq!(lines.len(), 2, "{bill}");
    assert!(lines[0].starts_with("ada: 2 requests, ") && lines[1].starts_with("bob: 1 requests, "), "{bill}");
}
