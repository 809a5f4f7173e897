//! `idleway backend`.

use super::*;

#[test]
fn a_backend_does_what_it_is_asked() {
    let backend = Running::backend(&["--delay", "0"]);
    let done = json!({ "message": "Processed successfully", "data": { "task": "data analysis" } });
    assert_eq!(backend.call("POST /process", "{\"task\": \"data analysis\"}"), (200, done));
    assert_eq!(backend.call("POST /process", "{").0, 400);
    assert_eq!(backend.call("POST /process", "").0, 400);
    assert_eq!(backend.call("POST /process?delay=soon", "1").0, 400);
    assert_eq!(backend.call("GET /process", "").0, 405);
    assert_eq!(backend.call("POST /witness", "").0, 405);
    assert_eq!(backend.call("GET /nothing", "").0, 404);
    assert_eq!(backend.call("GET /", "").0, 200);
    let witness = json!({
        "slots": 1, "now": 0, "peak": 1, "overlaps": 0, "executions": 1, "requests": { "POST /process": 1 }
    });
    assert_eq!(backend.witness(), witness);
}

#[test]
fn a_backend_holds_its_limit_and_counts_who_breaks_it() {
    let backend = Running::backend(&["--slots", "2", "--delay", "10m"]);
    let at_work = [send(&backend.url, "POST /process", "1"), send(&backend.url, "POST /process", "2")];
    backend.until(|witness| witness["now"] == 2);
    let over = json!({ "error": "over the limit: 3 at once, 2 allowed" });
    assert_eq!(backend.call("POST /process", "3"), (500, over));
    let witness = backend.witness();
    assert_eq!((&witness["now"], &witness["peak"], &witness["overlaps"]), (&json!(2), &json!(3), &json!(1)));
    drop(at_work);
}

#[test]
fn a_backend_does_not_notice_a_client_that_leaves() {
    let backend = Running::backend(&[]);
    let since = Instant::now();
    let client = send(&backend.url, "POST /process?delay=400ms", "1");
    backend.until(|witness| witness["now"] == 1);
    drop(client);
    backend.until(|witness| witness["now"] == 0);
    assert!(since.elapsed() >= Duration::from_millis(400), "it ended after {:?}", since.elapsed());
}

#[test]
fn a_backend_can_end_with_who_started_it() {
    let mut backend = Running::backend(&["--until-stdin-ends"]);
    drop(backend.child.stdin.take());
    assert_eq!(backend.exit_code(), Some(0));
}
