//! Departures as real programs do them: curl and Python, which CI has.

use std::process::{Child, Command, Stdio};

use idleway::config::Fin;

use super::Scene;
use crate::harness::*;

#[test]
fn curl_killed_in_line_never_reaches_a_backend() {
    killed_in_line(|scene| curl(scene, &[]));
}

#[test]
fn curl_killed_at_work_leaves_a_slot_that_lingers() {
    killed_at_work(|scene| curl(scene, &[]));
}

#[test]
fn curl_that_gives_up_in_line_never_reaches_a_backend() {
    let scene = Scene::with_line(Fin::Ask);
    let mut first = scene.at_work();
    let given_up = curl(&scene, &["--max-time", "1", "-w", "%{size_request}"]);
    let done = given_up.wait_with_output().unwrap();
    // 28: its time was over; and it had sent its request before.
    assert_eq!(done.status.code(), Some(28), "{done:?}");
    assert_ne!(String::from_utf8_lossy(&done.stdout), "0", "{done:?}");
    until_slots(&scene.gateway, "nobody in line", |slots| slots.waiting == 0);
    scene.gate.open();
    assert_eq!(first.answer().status(), 200);
    until_all_idle(&scene.gateway, 1);
    assert_eq!(scene.backend.paths(), ["/first"]);
}

/// Python's own client, below `requests` and `urllib3`.
const CLIENT: &str = "\
import http.client, sys
client = http.client.HTTPConnection(sys.argv[1], timeout=float(sys.argv[2]))
client.request('POST', '/it', b'body')
try:
    client.getresponse()
except TimeoutError:
    client.close()
    print('gave up')
    sys.stdout.flush()
    sys.stdin.read()
";

#[test]
fn python_killed_in_line_never_reaches_a_backend() {
    killed_in_line(|scene| python(scene, CLIENT, "60"));
}

#[test]
fn python_killed_at_work_leaves_a_slot_that_lingers() {
    killed_at_work(|scene| python(scene, CLIENT, "60"));
}

/// Its process lives on: only its socket is closed.
#[test]
fn python_that_gives_up_at_work_leaves_a_slot_that_lingers() {
    let scene = Scene::new(Fin::Ask);
    let gave_up = python(&scene, CLIENT, "0.5");
    scene.backend.until_at_work();
    until_slots(&scene.gateway, "the slot lingers", |slots| slots.lingering == 1);
    let done = gave_up.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), "gave up", "{done:?}");
    scene.gate.open();
    until_all_idle(&scene.gateway, 1);
}

/// Sends its request, half-closes and prints all that comes until the end.
const HALF_CLOSING: &str = "\
import socket, sys
host, port = sys.argv[1].split(':')
client = socket.create_connection((host, int(port)), timeout=float(sys.argv[2]))
client.sendall(b'POST /it HTTP/1.1\\r\\nHost: test\\r\\nContent-Length: 4\\r\\n\\r\\nbody')
client.shutdown(socket.SHUT_WR)
while part := client.recv(65536):
    sys.stdout.write(part.decode())
";

#[test]
fn python_that_half_closes_keeps_its_place_and_gets_its_whole_answer() {
    let scene = Scene::with_line(Fin::Ask);
    let mut first = scene.at_work();
    let half_closing = python(&scene, HALF_CLOSING, "20");
    until_slots(&scene.gateway, "one in line", |slots| slots.waiting == 1);
    scene.gate.open();
    assert_eq!(first.answer().status(), 200);
    let done = half_closing.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&done.stdout);
    assert!(shown.contains("HTTP/1.1 200 OK\r\n") && shown.ends_with("\r\n\r\n/it"), "{done:?}");
    until_all_idle(&scene.gateway, 1);
    assert_eq!(scene.backend.paths(), ["/first", "/it"]);
}

fn killed_in_line(run: impl Fn(&Scene) -> Child) {
    let scene = Scene::with_line(Fin::Ask);
    let mut first = scene.at_work();
    let mut leaving = run(&scene);
    until_slots(&scene.gateway, "one in line", |slots| slots.waiting == 1);
    leaving.kill().unwrap();
    leaving.wait().unwrap();
    until_slots(&scene.gateway, "nobody in line", |slots| slots.waiting == 0);
    scene.gate.open();
    assert_eq!(first.answer().status(), 200);
    until_all_idle(&scene.gateway, 1);
    assert_eq!(scene.backend.paths(), ["/first"]);
}

fn killed_at_work(run: impl Fn(&Scene) -> Child) {
    let scene = Scene::new(Fin::Ask);
    let mut leaving = run(&scene);
    scene.backend.until_at_work();
    leaving.kill().unwrap();
    leaving.wait().unwrap();
    until_slots(&scene.gateway, "the slot lingers", |slots| slots.lingering == 1);
    scene.gate.open();
    until_all_idle(&scene.gateway, 1);
    assert_eq!(scene.backend.paths(), ["/it"]);
}

fn curl(scene: &Scene, options: &[&str]) -> Child {
    let url = format!("http://{}/it", scene.gateway.address());
    spawn(Command::new("curl").args(["-sS", "--noproxy", "*"]).args(options).arg(url))
}

fn python(scene: &Scene, script: &str, timeout: &str) -> Child {
    spawn(Command::new("python3").args(["-c", script, &scene.gateway.address().to_string(), timeout]))
}

fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("this test needs {:?}: {error}", command.get_program()))
}
