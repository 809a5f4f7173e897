//! gunicorn's sync workers, in both ways that the example shows.

use std::path::Path;
use std::process::Command;

use idleway::config::Plan;

use crate::stage::{Program, examples, examples_python, run_client};

/// The Flask application under gunicorn with so many sync workers.
fn gunicorn(python: &Path, workers: &str) -> Program {
    let mut command = Command::new(python);
    command.args(["-m", "gunicorn", "--workers", workers, "--bind", "127.0.0.1:0", "app:app"]);
    command.current_dir(examples().join("flask")).env("WORK_SECONDS", "0.2");
    Program::start_with_log(&mut command)
}

/// All of twelve tasks at once are answered, by three processes, and none of them had two at once.
fn check(python: &Path, gateway: &Program) {
    let said = run_client(python, "client.py", &gateway.url("/process"), &["-n", "12"]);
    assert_eq!(said.matches("Processed successfully").count(), 12, "{said}");
    let mut by: Vec<&str> = said.lines().filter_map(|line| line.rsplit(" by ").next()).collect();
    by.sort_unstable();
    by.dedup();
    assert_eq!(by.len(), 3, "{said}");
}

#[test]
fn one_address_a_process() {
    let Some(python) = examples_python() else { return };
    let backends: Vec<Program> = (0..3).map(|_| gunicorn(&python, "1")).collect();
    let gateway = Program::gateway("gunicorn/idleway.toml", &Vec::from_iter(&backends));
    check(&python, &gateway);
    for backend in &backends {
        let count = backend.witness();
        assert_eq!((&count["most_at_once"], &count["failed"]), (&1.into(), &0.into()), "{count}");
        assert!(count["served"].as_u64() >= Some(1), "{count}");
    }
}

#[test]
fn several_workers_behind_one_port() {
    let Some(python) = examples_python() else { return };
    // As many as the file says Slots: with more of those a request would lie in the backlog behind another.
    let file = std::fs::read_to_string(examples().join("gunicorn/one-port.toml")).unwrap();
    let plan = Plan::from_toml(&file, "one-port.toml").unwrap();
    let backend = gunicorn(&python, &plan.pools[0].backends[0].slots.to_string());
    assert!(!plan.pools[0].keep_alive);
    let gateway = Program::gateway("gunicorn/one-port.toml", &[&backend]);
    check(&python, &gateway);
}
