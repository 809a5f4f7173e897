//! `Expect: 100-continue`, and clients that send a large body without asking whether anybody wants it.

use std::process::{Command, Stdio};

use crate::harness::*;

/// A backend that answers with the number of bytes it was sent, behind a gate where the path says so.
fn counting(gate: &Gate) -> Backend {
    let door = gate.door();
    Backend::new(move |visit| {
        if visit.path() == "/gated" {
            door.pass()?;
        }
        let bytes = visit.body()?.len().to_string();
        visit.finish(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{bytes}", bytes.len()))
    })
}

#[test]
fn the_word_to_continue_comes_when_a_slot_is_granted_and_not_before() {
    let gate = Gate::new();
    let backend = counting(&gate);
    let gateway = gateway(&[&backend], "queue = { length = 5, wait = \"60s\" }");
    let mut first = Client::asking(&gateway, get("/gated"));
    backend.until_at_work();
    let head = head_of("POST", "/", "Expect: 100-continue\r\nContent-Length: 5\r\n");
    let mut waiting = Client::asking(&gateway, head);
    until_slots(&gateway, "one in line", |slots| slots.waiting == 1);
    assert!(waiting.wire.is_silent(), "a word before there is a slot");
    gate.open();
    assert_eq!(first.answer().status(), 200);
    assert_eq!(waiting.head().line, "HTTP/1.1 100 Continue");
    waiting.send("hello");
    assert_eq!(waiting.answer().text(), "5");
    let heads = backend.seen().heads.clone();
    assert_eq!(heads[1].fields.one("Expect"), None, "the backend is asked nothing");
}

#[test]
fn a_refused_upload_gets_its_503_without_a_byte_of_it() {
    let gate = Gate::new();
    let backend = counting(&gate);
    let gateway = gateway(&[&backend], "");
    let mut first = Client::asking(&gateway, get("/gated"));
    backend.until_at_work();
    let head = head_of("POST", "/", &format!("Expect: 100-continue\r\nContent-Length: {}\r\n", 50 << 20));
    let mut client = Client::asking(&gateway, head);
    // The first head that comes is the refusal: no 100 came before it.
    let answer = client.answer();
    assert_eq!((answer.status(), answer.field("Connection")), (503, Some("close")));
    client.sees_fin();
    gate.open();
    assert_eq!(first.answer().status(), 200);
}

#[test]
fn a_client_that_does_not_wait_for_the_word_gets_its_answer_all_the_same() {
    let backend = counting(&Gate::new());
    let gateway = gateway(&[&backend], "");
    let head = head_of("POST", "/", "Expect: 100-continue\r\nContent-Length: 5\r\n");
    let mut client = Client::asking(&gateway, head + "hello");
    let first = client.wire.head().unwrap().unwrap();
    // The word may come or not, as the body has come already (RFC 9110 section 10.1.1).
    let last = if first.word(1) == "100" { client.head() } else { first };
    assert_eq!(last.word(1), "200");
    assert_eq!(client.wire.exactly(1).unwrap(), b"5");
}

#[test]
fn an_http_10_client_is_told_no_word() {
    let backend = counting(&Gate::new());
    let gateway = gateway(&[&backend], "");
    let request = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(ask(&gateway, request).text(), "5");
}

#[test]
fn fifty_mebibytes_to_a_full_gateway_are_answered_503_and_the_client_sees_it() {
    let gate = Gate::new();
    let backend = counting(&gate);
    let gateway = gateway(&[&backend], "");
    let mut first = Client::asking(&gateway, get("/gated"));
    backend.until_at_work();
    let length = 50 << 20;
    let mut client = Client::asking(&gateway, head_of("POST", "/", &format!("Content-Length: {length}\r\n")));
    // Like a client that reads only once it has sent all or can send no more.
    let part = vec![b'x'; 1 << 20];
    let sent = (0..50).take_while(|_| client.wire.write(&part).is_ok()).count();
    assert!(sent < 50, "a gateway without a slot took the whole body");
    let answer = client.answer();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.json()["error"], "All servers are busy. Try again later.");
    gate.open();
    assert_eq!(first.answer().status(), 200);
}

/// A client that sends on gets no reset, which in many a stack would overtake the answer.
#[test]
fn the_rest_of_a_refused_upload_is_read_away() {
    let gate = Gate::new();
    let backend = counting(&gate);
    let gateway = gateway(&[&backend], "");
    let mut first = Client::asking(&gateway, get("/gated"));
    backend.until_at_work();
    let length = 640 * 1024;
    let mut client = Client::asking(&gateway, head_of("POST", "/", &format!("Content-Length: {length}\r\n")));
    let part = vec![b'x'; 64 * 1024];
    for _ in 0..3 {
        client.send(&part);
    }
    let answer = client.answer();
    assert_eq!((answer.status(), answer.field("Connection")), (503, Some("close")));
    client.sees_fin();
    for _ in 3..10 {
        client.send(&part);
    }
    gate.open();
    assert_eq!(first.answer().status(), 200);
}

#[test]
fn curl_uploads_with_expect_and_sees_a_refusal() {
    let gate = Gate::new();
    let backend = counting(&gate);
    let gateway = gateway(&[&backend], "");
    let curl = |path: &str| {
        let url = format!("http://{}{path}", gateway.address());
        let fields = ["-H", "Expect: 100-continue", "-H", "Content-Type: application/octet-stream"];
        let body = [
            "--data-binary",
            "@-",
            "--expect100-timeout",
            "60",
            "-sS",
            "-w",
            " %{http_code}",
            "--noproxy",
            "*",
        ];
        let curl = Command::new("curl")
            .args(fields)
            .args(body)
            .arg(url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        curl.map(|mut curl| {
            let mut stdin = curl.stdin.take().unwrap();
            // A curl that was refused may end before it has read all.
            let _ = std::io::Write::write_all(&mut stdin, &vec![b'x'; 3 << 20]);
            drop(stdin);
            curl.wait_with_output().unwrap()
        })
    };
    let Some(done) = needs("curl", curl("/")) else { return };
    assert_eq!(String::from_utf8_lossy(&done.stdout), format!("{} 200", 3 << 20), "{done:?}");
    until_all_idle(&gateway, 1);
    let mut first = Client::asking(&gateway, get("/gated"));
    backend.until_at_work();
    let refused = curl("/").unwrap();
    let shown = String::from_utf8_lossy(&refused.stdout);
    assert!(shown.ends_with(" 503") && shown.contains("All servers are busy"), "{refused:?}");
    gate.open();
    assert_eq!(first.answer().status(), 200);
}

/// Python's `requests` reads nothing before it has sent everything or is told that it cannot.
#[test]
fn pythons_requests_sees_the_503_of_a_50_mib_post_without_expect() {
    const SCRIPT: &str = "\
import requests, sys
answer = requests.post(sys.argv[1], data=b'x' * (50 << 20), timeout=20)
print(answer.status_code, answer.json()['error'])
";
    let Some(python) = needs("Python with requests", python_with_requests()) else { return };
    let gate = Gate::new();
    let backend = counting(&gate);
    let gateway = gateway(&[&backend], "");
    let mut first = Client::asking(&gateway, get("/gated"));
    backend.until_at_work();
    for _ in 0..3 {
        let url = format!("http://{}/process", gateway.address());
        let done = Command::new(&python).args(["-c", SCRIPT, &url]).env("NO_PROXY", "*").output().unwrap();
        let shown = String::from_utf8_lossy(&done.stdout);
        assert_eq!(shown.trim(), "503 All servers are busy. Try again later.", "{done:?}");
    }
    gate.open();
    assert_eq!(first.answer().status(), 200);
}

fn python_with_requests() -> std::io::Result<std::path::PathBuf> {
    let home = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("requests");
    crate::python::with(&home, &["requests==2.32.5"])
}
