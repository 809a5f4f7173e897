//! Programs on ports of their own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use serde_json::Value;

use crate::python;

/// When a test that still waits has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long a program may take to end itself: one that still streams, because a test has failed, would not.
const GRACE: Duration = Duration::from_secs(5);

/// The folder of the examples.
pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// The Python of all examples, with what their file of requirements names. What this machine lacks is said and not
/// tried; where `CI` is set it has to be there.
pub(crate) fn examples_python() -> Option<PathBuf> {
    let requirements = fs::read_to_string(examples().join("requirements.txt")).unwrap();
    let packages: Vec<&str> = requirements.lines().filter(|line| !line.starts_with('#')).collect();
    match python::with(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples"), &packages) {
        Ok(python) => Some(python),
        Err(error) => {
            assert!(env::var_os("CI").is_none(), "no Python with {packages:?}: {error}");
            println!("not tried, since there is no Python with {packages:?}: {error}");
            None
        }
    }
}

/// A program that serves. It ends with the test.
pub(crate) struct Program {
    child: Child,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
}

impl Program {
    /// Starts a program that says where it listens on its standard output, in its first line.
    pub(crate) fn start(command: &mut Command) -> Program {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Program::listening(child, output)
    }

    /// Starts a program that says it in its log, on standard error.
    pub(crate) fn start_with_log(command: &mut Command) -> Program {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Program::listening(child, log)
    }

    fn listening(child: Child, mut said: impl BufRead + Send + 'static) -> Program {
        let mut program = Program { child, address: String::new() };
        let mut all = String::new();
        loop {
            let start = all.len();
            assert!(said.read_line(&mut all).unwrap() > 0, "it ended, and said: {all}");
            if let Some((_, after)) = all[start..].split_once("http://") {
                let address = after.split_whitespace().next().unwrap();
                program.address = address.to_owned();
                break;
            }
        }
        // Who does not read on stops it at its next words.
        thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        program
    }

    /// A script of the examples that listens on the port it is told: a free one.
    pub(crate) fn script(python: &Path, script: &str, work_seconds: &str) -> Program {
        let mut command = Command::new(python);
        command.arg(examples().join(script)).arg("0").env("WORK_SECONDS", work_seconds);
        Program::start(&mut command)
    }

    /// The gateway with an example's own file, before these backends instead of those on the file's ports.
    pub(crate) fn gateway(file: &str, backends: &[&Program]) -> Program {
        let text = fs::read_to_string(examples().join(file)).unwrap();
        let mut mine = text.clone();
        for (index, backend) in backends.iter().enumerate() {
            let theirs = format!("127.0.0.1:{}\"", 6000 + index);
            assert!(mine.contains(&theirs), "{file} has no {theirs}");
            mine = mine.replace(&theirs, &format!("{}\"", backend.address));
        }
        assert_eq!(mine.matches("\"http://").count(), backends.len(), "{file} has more backends");
        let name = format!("{}-{}", backends[0].address.replace(':', "-"), file.replace('/', "-"));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, mine).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_idleway"));
        command.args(["run", "--listen", "127.0.0.1:0", "--threads", "2", "--config"]).arg(path);
        Program::start(command.env("IDLEWAY_ADMIN_LISTEN", "off"))
    }

    /// What it counts itself.
    pub(crate) fn witness(&self) -> Value {
        let mut stream = ask(self, "GET /witness");
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("not an answer: {text:?}"));
        serde_json::from_str(body).unwrap_or_else(|_| panic!("not JSON: {body:?}"))
    }

    /// Asks the program until its count is so.
    pub(crate) fn until(&self, name: &str, number: u64) {
        eventually(&format!("{name} is {number}"), || self.witness()[name] == number);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // gunicorn's first process ends its workers when it is asked to; killed it would leave them for a while.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let since = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && since.elapsed() < GRACE {
            thread::park_timeout(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request without a body; the answer ends with its connection.
pub(crate) fn ask(program: &Program, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&program.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    stream
}

/// Runs a client of the examples to its end; what it printed.
pub(crate) fn run_client(python: &Path, script: &str, url: &str, more: &[&str]) -> String {
    let mut command = Command::new(python);
    command.arg(examples().join(script)).args(["--url", url]).args(more).env("NO_PROXY", "*");
    let done = command.output().unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

/// Waits until `condition` holds, for what other processes do and nobody here is told.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < PATIENCE, "it did not come to: {what}");
        thread::park_timeout(Duration::from_millis(20));
    }
}
