//! Streams of FastAPI under uvicorn, and clients that leave in the midst of one.

use std::io::{BufRead, BufReader, Read};
use std::process::Command;

use crate::stage::{Program, ask, examples, examples_python};

#[test]
fn a_client_that_leaves_in_the_midst_of_a_stream_frees_the_slot() {
    let Some(python) = examples_python() else { return };
    let mut command = Command::new(&python);
    command.args(["-m", "uvicorn", "app:app", "--port", "0"]).current_dir(examples().join("fastapi"));
    let backend = Program::start_with_log(&mut command);
    let gateway = Program::gateway("fastapi/idleway.toml", &[&backend]);

    // It would go on for days.
    let mut leaving = BufReader::new(ask(&gateway, "GET /tokens?number=9999999&seconds=0.05"));
    let mut line = String::new();
    while !line.contains("data: token 2") {
        line.clear();
        assert!(leaving.read_line(&mut line).unwrap() > 0, "the stream ended");
    }
    // The next one waits in line, since there is one Slot: nobody but the first is at work.
    let mut next = ask(&gateway, "GET /tokens?number=3&seconds=0.01");
    backend.until("at_work", 1);
    drop(leaving);
    let mut answer = String::new();
    next.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("data: token 2") && answer.contains("data: [DONE]"), "{answer}");
    backend.until("at_work", 0);
    let count = backend.witness();
    let counted = ["most_at_once", "finished", "stopped"].map(|name| count[name].as_u64().unwrap());
    assert_eq!(counted, [1, 1, 1], "{count}");
}
