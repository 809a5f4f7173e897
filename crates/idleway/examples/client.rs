//! Sends some tasks at once, and prints who got what: `examples/client.py` in Rust, with nothing but sockets.
//!
//! ```text
//! cargo run --example client                       # six to 127.0.0.1:5000
//! cargo run --example client -- 127.0.0.1:5000 5
//! ```
//!
//! In front of five backends that take one task each, five are answered after 3 s, together; the sixth is told at
//! once that all are busy, and when to come back.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

#[allow(clippy::print_stdout, reason = "it is a program")]
fn main() {
    let mut args = std::env::args().skip(1);
    let gateway = args.next().unwrap_or_else(|| "127.0.0.1:5000".to_owned());
    let number = args.next().and_then(|number| number.parse().ok()).unwrap_or(6);
    for (number, line) in ask_together(&gateway, number).iter().enumerate() {
        println!("{}: {line}", number + 1);
    }
}

/// What so many tasks that were sent at once came to, in the order in which they were answered.
pub(crate) fn ask_together(gateway: &str, number: usize) -> Vec<String> {
    let together = Barrier::new(number);
    let ask = || {
        together.wait();
        let began = Instant::now();
        let said = ask(gateway).unwrap_or_else(|error| format!("no answer: {error}"));
        (began.elapsed(), said)
    };
    let mut answers: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..number).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    answers.sort();
    answers.into_iter().map(|(took, said)| format!("after {:.1} s: {said}", took.as_secs_f64())).collect()
}

/// Sends one task, and tells the status and what was said.
fn ask(gateway: &str) -> io::Result<String> {
    let task = json!({ "task": "data analysis" }).to_string();
    let mut stream = TcpStream::connect(gateway)?;
    write!(
        stream,
        "POST /process HTTP/1.1\r\nHost: {gateway}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{task}",
        task.len()
    )?;
    let mut lines = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if lines.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    // The answers are short, and the connection ends with them; a chunked one begins with its length.
    let mut body = String::new();
    lines.read_to_string(&mut body)?;
    let body: Value = body.find('{').and_then(|at| body.rfind('}').map(|end| &body[at..=end])).map_or_else(
        || Err(io::Error::other("not JSON")),
        |object| serde_json::from_str(object).map_err(io::Error::other),
    )?;

    let status = head.split(' ').nth(1).unwrap_or_default();
    let said = [&body["message"], &body["error"]].into_iter().find_map(Value::as_str).unwrap_or_default();
    let backend = body["backend"].as_str().map(|backend| format!(" by {backend}")).unwrap_or_default();
    let again = head.lines().find_map(|line| line.strip_prefix("Retry-After: "));
    let again = again.map(|seconds| format!(" (in {seconds} s)")).unwrap_or_default();
    Ok(format!("{status}: {said}{backend}{again}"))
}
