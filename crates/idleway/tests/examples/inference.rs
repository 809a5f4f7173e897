//! A worker with four Slots, and clients that come back when they are told to.

use crate::stage::{Program, examples_python, run_client};

#[test]
fn four_at_once_and_everybody_is_served_in_the_end() {
    let Some(python) = examples_python() else { return };
    let worker = Program::script(&python, "inference/worker.py", "0.3");
    let gateway = Program::gateway("inference/idleway.toml", &[&worker]);
    // More than four Slots and a line of eight hold: some are told to come back.
    let said = run_client(&python, "inference/client.py", &gateway.url("/generate"), &["-n", "30"]);
    assert_eq!(said.matches(" tpmorp (asked ").count(), 30, "{said}");
    assert!(
        said.lines().any(|line| !line.contains("(asked 1 times)")),
        "nobody was told to come back: {said}"
    );
    let count = worker.witness();
    let counted = ["most_at_once", "served", "failed"].map(|name| count[name].as_u64().unwrap());
    assert_eq!(counted, [4, 30, 0], "{count}");
}
