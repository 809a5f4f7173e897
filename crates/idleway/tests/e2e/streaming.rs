//! Bodies that arrive when they are sent, and buffers that have an end.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::harness::*;

/// A backend may begin its answer before it reads: what the gateway still holds for it goes on being sent.
#[test]
fn an_upload_goes_on_after_the_answer_has_begun() {
    let backend = Backend::new(|visit| {
        visit.write("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")?;
        let length = visit.body()?.len();
        visit.finish(length.to_string())
    });
    // All of it in the gateway's buffer, and more than the kernel takes at once.
    let gateway = gateway(&[&backend], "request_buffer = \"16MiB\"\ntimeout = \"2s\"");
    let answer = ask(&gateway, post("/", &"x".repeat(8 << 20)));
    assert_eq!(answer.text(), "8388608");
}

#[test]
fn each_server_sent_event_arrives_before_the_next_is_produced() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        visit.write(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        )?;
        for nth in 0..10 {
            door.pass()?;
            visit.write(format!("9\r\ndata: {nth}\n\n\r\n"))?;
        }
        visit.finish("0\r\n\r\n")
    });
    let gateway = gateway(&[&backend], "");
    let mut client = Client::asking(&gateway, get("/events"));
    let head = client.head();
    assert_eq!(head.fields.one("Content-Type"), Some("text/event-stream"));
    for nth in 0..10 {
        gate.pass_one();
        assert_eq!(client.wire.chunk().unwrap().unwrap(), format!("data: {nth}\n\n").as_bytes());
    }
    assert_eq!(client.wire.chunk().unwrap(), None);
    until_all_idle(&gateway, 1);
}

/// The same for a body whose end is the close, which an HTTP/1.0 client gets as it comes.
#[test]
fn a_body_until_close_streams_to_an_http_10_client() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        visit.write("HTTP/1.1 200 OK\r\n\r\n")?;
        for _ in 0..3 {
            door.pass()?;
            visit.write("part")?;
        }
        visit.close()
    });
    let gateway = gateway(&[&backend], "");
    let mut client = Client::asking(&gateway, "GET / HTTP/1.0\r\n\r\n");
    client.head();
    for _ in 0..3 {
        gate.pass_one();
        assert_eq!(client.wire.exactly(4).unwrap(), b"part");
    }
    client.sees_fin();
}

#[test]
fn an_upload_arrives_while_it_is_sent_once_it_is_larger_than_the_buffer() {
    let backend = Backend::new(|visit| {
        while let Some(chunk) = visit.wire.chunk()? {
            visit.tell(chunk.len());
        }
        visit.wire.exactly(2)?;
        visit.finish("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let gateway = gateway(&[&backend], "");
    let mut client = Client::asking(&gateway, head_of("POST", "/", "Transfer-Encoding: chunked\r\n"));
    let part = vec![b'x'; 64 * 1024];
    for nth in 1..=10 {
        client.send([b"10000\r\n", &part[..], b"\r\n"].concat());
        // The first part fills the buffer before a slot is asked for.
        backend.until("this part of the upload", |seen| seen.told == nth * part.len());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.answer().status(), 200);
}

const LARGE: usize = 64 << 20;

/// Bytes that show where one is missing, doubled or out of its place.
fn pattern(length: usize) -> Vec<u8> {
    (0..length / 8).flat_map(|nth| (nth as u64).to_be_bytes()).collect()
}

/// Larger than all buffers, at the pace of a client that takes little at a time.
#[test]
fn large_bodies_come_through_byte_by_byte_in_every_framing() {
    const LENGTH: usize = 6 << 20;
    let content = pattern(LENGTH);
    let expected = content.clone();
    let backend = Backend::new(move |visit| {
        let path = visit.path().to_owned();
        let content = visit.body()?;
        assert!(content == expected, "{path}: not what was sent");
        match &path[..] {
            "/length" => visit.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"))?,
            "/chunked" => {
                visit.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                for part in content.chunks(77_777) {
                    visit.write([format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat())?;
                }
                return visit.finish("0\r\n\r\n");
            }
            _ => {
                visit.write("HTTP/1.1 200 OK\r\n\r\n")?;
                visit.close()?;
            }
        }
        visit.finish(content)
    });
    let gateway = gateway(&[&backend], "");
    for version in ["1.1", "1.0"] {
        for path in ["/length", "/chunked", "/close"] {
            let mut client = Client::with_small_window(&gateway);
            if version == "1.1" && path == "/chunked" {
                client.send(head_of("POST", path, "Transfer-Encoding: chunked\r\n"));
                for part in content.chunks(99_999) {
                    client.send([format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
                }
                client.send("0\r\n\r\n");
            } else {
                client.send(format!(
                    "POST {path} HTTP/{version}\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n"
                ));
                client.send(&content);
            }
            let answer = client.answer();
            assert_eq!(answer.status(), 200, "{version} {path}: {}", String::from_utf8_lossy(&answer.body));
            assert!(answer.body == content, "{version} {path}: not what was sent");
            until_all_idle(&gateway, 1);
        }
    }
}

/// Both bodies at once: the answer begins with the request's first part and ends after its last.
#[test]
fn an_answer_that_follows_its_upload_streams_beside_it() {
    const PARTS: usize = 50;
    let backend = Backend::new(|visit| {
        visit.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        while let Some(part) = visit.wire.chunk()? {
            visit.write([format!("{:x}\r\n", part.len()).as_bytes(), &part, b"\r\n"].concat())?;
        }
        visit.wire.exactly(2)?;
        visit.finish("0\r\n\r\n")
    });
    // No buffer before the slot: a part has to go out when it comes.
    let gateway = gateway(&[&backend], "request_buffer = \"1KiB\"");
    let mut client = Client::asking(&gateway, head_of("POST", "/", "Transfer-Encoding: chunked\r\n"));
    let part = |nth: usize| vec![b'a' + u8::try_from(nth % 26).unwrap(); 4096];
    let mut head = None;
    for nth in 0..PARTS {
        client.send([b"1000\r\n", &part(nth)[..], b"\r\n"].concat());
        if head.is_none() {
            head = Some(client.head());
        }
        let mut echoed = Vec::new();
        while echoed.len() < 4096 {
            echoed.extend(client.wire.chunk().unwrap().expect("more of the answer"));
        }
        assert!(echoed == part(nth), "part {nth}");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.wire.chunk().unwrap(), None);
    until_all_idle(&gateway, 1);
}

/// What the kernels of both connections may hold, and the gateway besides.
const MOST_BUFFERED: usize = 32 << 20;

#[test]
fn an_upload_that_the_backend_does_not_read_blocks_its_client() {
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        door.pass()?;
        assert_eq!(visit.body()?.len(), LARGE);
        visit.finish("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let gateway = gateway(&[&backend], "");
    let mut client = Client::asking(&gateway, head_of("POST", "/", &format!("Content-Length: {LARGE}\r\n")));
    let sent = client.wire.write_until_blocked(LARGE);
    assert!(sent < MOST_BUFFERED, "{sent} bytes were taken for a backend that reads nothing");
    gate.open();
    client.send(vec![b'x'; LARGE - sent]);
    assert_eq!(client.answer().status(), 200);
}

#[test]
fn a_download_that_the_client_does_not_read_blocks_its_backend() {
    let backend = Backend::new(|visit| {
        visit.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"))?;
        let sent = visit.wire.write_until_blocked(LARGE);
        assert!(sent < MOST_BUFFERED, "{sent} bytes were taken for a client that reads nothing");
        visit.tell(1);
        visit.finish(vec![b'x'; LARGE - sent])
    });
    let gateway = gateway(&[&backend], "");
    let mut client = Client::asking(&gateway, get("/"));
    backend.until("a client that takes no more", |seen| seen.told == 1);
    assert_eq!(gateway.slots().busy, 1);
    assert_eq!(client.answer().body.len(), LARGE);
    until_all_idle(&gateway, 1);
}

/// Both ways through the program itself, whose memory the system has measured. What sixteen times as much takes
/// beside the first is what buffers and allocator come to, not the bodies.
#[test]
#[cfg(target_os = "linux")]
fn a_gibibyte_each_way_takes_constant_memory() {
    const GIBIBYTE: usize = 1 << 30;
    let backend = Backend::new(|visit| {
        let part = vec![b'x'; 1 << 20];
        if visit.method() == "POST" {
            for _ in 0..visit.head.length().unwrap() / part.len() {
                visit.wire.exactly(part.len())?;
            }
            return visit.finish("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        let length: usize = visit.path().trim_start_matches('/').parse().unwrap();
        visit.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"))?;
        for _ in 1..length / part.len() {
            visit.write(&part)?;
        }
        visit.finish(part)
    });
    let program = Program::start(&backend.url());
    relay_both_ways(&program, GIBIBYTE / 16);
    let before = program.most_memory();
    relay_both_ways(&program, GIBIBYTE);
    let after = program.most_memory();
    // The kernel adds up what its cores have counted, and may be a few pages short of it.
    assert!(after.saturating_sub(before) < 64 << 20, "{} MiB became {} MiB", before >> 20, after >> 20);
}

#[cfg(target_os = "linux")]
fn relay_both_ways(program: &Program, length: usize) {
    let mut client = Client::connect(program.address);
    client.send(head_of("POST", "/", &format!("Expect: 100-continue\r\nContent-Length: {length}\r\n")));
    assert_eq!(client.head().word(1), "100");
    let part = vec![b'x'; 1 << 20];
    for _ in 0..length / part.len() {
        client.send(&part);
    }
    assert_eq!(client.answer().status(), 200);
    client.send(head_of("GET", &format!("/{length}"), "Connection: close\r\n"));
    assert_eq!(client.head().length(), Some(length));
    assert_eq!(client.wire.discard_until_end().unwrap(), length as u64);
}

/// `idleway run`, ended with the test.
#[cfg(target_os = "linux")]
struct Program {
    child: Child,
    address: SocketAddr,
}

#[cfg(target_os = "linux")]
impl Program {
    fn start(url: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_idleway"))
            .args(["run", "--listen", "127.0.0.1:0", "--admin", "off", "--threads", "2", url])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next());
        let address =
            address.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no address: {line:?}"));
        Self { child, address }
    }

    /// The most memory it has had, in bytes.
    fn most_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }
}

#[cfg(target_os = "linux")]
impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
