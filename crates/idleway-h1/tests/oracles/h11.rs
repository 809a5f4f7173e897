//! The comparison with h11, an HTTP/1.1 reader of another origin: the corpus and many generated messages.
//!
//! Where the two differ the difference has a name and a reason here; any other is a failure, and so is a
//! difference that nothing shows any more.

use std::collections::HashSet;
use std::env;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::message::Kind;
use crate::{corpus, generate, ours, python};

mod difference;
mod theirs;

use theirs::Theirs;

const H11: &str = "h11==0.16.0";

/// How many generated messages are compared.
const GENERATED: usize = 8000;

#[test]
fn h11_reads_the_same_but_for_known_differences() {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("h11");
    let python = match python::with(&home, &[H11]) {
        Ok(python) => python,
        Err(reason) => {
            assert!(env::var_os("CI").is_none(), "h11 is not to be had: {reason}");
            println!("skipped, h11 is not to be had: {reason}");
            return;
        }
    };
    let messages = messages();
    let answers = ask(&python, &messages).expect("h11's answers");
    assert_eq!(answers.len(), messages.len(), "one answer for each message");

    let mut seen = HashSet::new();
    let mut unknown = Vec::new();
    for ((kind, bytes), answer) in messages.iter().zip(&answers) {
        let ours = ours::read(*kind, bytes, &[]);
        let theirs = Theirs::parse(answer);
        if theirs.agrees(&ours) {
            continue;
        }
        let known = difference::between(&ours, &theirs, bytes);
        if known.is_empty() {
            unknown.push(format!("{}\n  ours: {ours:?}\n  h11:  {theirs:?}", bytes.escape_ascii()));
        }
        seen.extend(known);
    }
    let count = unknown.len();
    unknown.truncate(20);
    assert!(unknown.is_empty(), "{count} unknown differences:\n{}", unknown.join("\n"));
    let gone: Vec<String> = difference::names().filter(|name| !seen.contains(name)).collect();
    assert!(gone.is_empty(), "no message shows these differences: {gone:?}");
}

fn messages() -> Vec<(Kind, Vec<u8>)> {
    let mut runner = TestRunner::deterministic();
    let generated = (0..GENERATED).map(|_| {
        let tree = generate::message().new_tree(&mut runner).expect("a strategy without filters");
        tree.current()
    });
    corpus::cases().map(|case| (case.kind, case.bytes)).chain(generated).collect()
}

/// What h11 makes of each message.
fn ask(python: &Path, messages: &[(Kind, Vec<u8>)]) -> Result<Vec<String>, Box<dyn Error>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/h11_reader.py");
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().ok_or("no standard input")?;
    let mut questions = String::new();
    for (kind, bytes) in messages {
        let kind = match kind {
            Kind::Request => "request",
            Kind::Response => "response",
            Kind::ResponseToHead => "response-to-head",
        };
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        questions.push_str(&format!("{kind} {hex}\n"));
    }
    // Both pipes are bounded: who writes all before reading any would wait for ever.
    let writer = thread::spawn(move || input.write_all(questions.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| "the writer panicked")??;
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}
