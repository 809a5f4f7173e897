//! The five backends of the program that Idleway grew from, as a Flask application, and the clients for them.

use crate::client;
use crate::stage::{Program, examples_python, run_client};

/// As long as five threads and a client need to start, and more.
const WORK_SECONDS: &str = "3";

/// "Five at once: 3 s together. Six: the sixth is told at once."
#[test]
fn of_six_at_once_five_are_answered_and_one_is_told() {
    let Some(python) = examples_python() else { return };
    let backends: Vec<Program> =
        (0..5).map(|_| Program::script(&python, "flask/app.py", WORK_SECONDS)).collect();
    let gateway = Program::gateway("flask/idleway.toml", &Vec::from_iter(&backends));

    let said = run_client(&python, "client.py", &gateway.url("/process"), &["-n", "6"]);
    let lines: Vec<&str> = said.lines().collect();
    check(&lines, &backends, 1);
    // Each number once.
    let mut numbers: Vec<&str> = lines.iter().filter_map(|line| line.split(':').next()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, ["1", "2", "3", "4", "5", "6"], "{said}");

    let said = client::ask_together(&gateway.address, 6);
    check(&said.iter().map(String::as_str).collect::<Vec<_>>(), &backends, 2);

    let said = run_client(&python, "client.py", &gateway.url("/process"), &["-n", "5"]);
    assert_eq!(said.matches("Processed successfully").count(), 5, "{said}");
}

/// Five lines of an answer, by five backends, and one of a refusal; the backends have served so many times, and never
/// two at once.
fn check(lines: &[&str], backends: &[Program], times: u64) {
    let served: Vec<&&str> =
        lines.iter().filter(|line| line.contains("Processed successfully by ")).collect();
    assert_eq!((lines.len(), served.len()), (6, 5), "{lines:?}");
    let mut by: Vec<&str> = served.iter().filter_map(|line| line.rsplit(" by ").next()).collect();
    by.sort_unstable();
    by.dedup();
    assert_eq!(by.len(), 5, "{lines:?}");
    let told = lines.iter().find(|line| line.contains("503")).unwrap();
    assert!(told.contains("All servers are busy. Try again later. (in "), "{told}");
    for backend in backends {
        let count = backend.witness();
        let counted =
            [&count["most_at_once"], &count["served"], &count["failed"]].map(|n| n.as_u64().unwrap());
        assert_eq!(counted, [1, times, 0], "{count}");
    }
}
