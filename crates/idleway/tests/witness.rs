//! `idleway witness` before gateways that keep the limit, break it, or are not there.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use idleway::Gateway;
use idleway::config::Overrides;
use serde_json::Value;

/// A witness that has said where its backends are, and waits for them to stand behind a gateway.
struct Witness {
    child: Child,
    /// What it says to whoever sets the gateway up; held, so that it can go on saying it.
    told: BufReader<ChildStderr>,
    backends: Vec<String>,
}

impl Witness {
    fn start(gateway: &TcpListener, args: &[&str]) -> Witness {
        let through = format!("http://{}", gateway.local_addr().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_idleway"));
        command.args(["witness", "--json", "--through", &through]).args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap());
        let mut backends = Vec::new();
        loop {
            let mut line = String::new();
            assert_ne!(
                told.read_line(&mut line).unwrap(),
                0,
                "it ended before it said where its backends are"
            );
            match line.strip_prefix("  http://") {
                Some(address) => backends.push(address.trim_end().to_owned()),
                None if backends.is_empty() => {}
                None => return Witness { child, told, backends },
            }
        }
    }

    /// Its exit code, what it found, what it said meanwhile.
    fn end(mut self) -> (Option<i32>, Value, String) {
        let (mut found, mut told) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut found).unwrap();
        self.told.read_to_string(&mut told).unwrap();
        let code = self.child.wait().unwrap().code();
        (code, serde_json::from_str(&found).unwrap_or_default(), told)
    }
}

#[test]
fn a_gateway_that_keeps_the_limit_is_found_to_do_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let witness = Witness::start(
        &listener,
        &["--backends", "0,0", "--work", "400ms", "--requests", "12", "--clients", "6"],
    );
    let [one, two] = &witness.backends[..] else { panic!("{:?}", witness.backends) };
    let config = format!(
        "backends = [\"http://{one}\", \"http://{two}\"]\ntimeout = \"100ms\"\nqueue = {{ length = 20, wait = \"10s\" }}"
    );
    let plan = Overrides { listen: None, threads: None }.over_toml(&config, "witness.toml").unwrap();
    let gateway = Gateway::start(plan, listener).unwrap();
    let (code, found, told) = witness.end();
    drop(gateway);
    assert_eq!((code, &found["verdict"]), (Some(0), &Value::from("held")), "{found:#}\n{told}");
    for backend in found["backends"].as_array().unwrap() {
        assert_eq!((&backend["peak"], &backend["overlaps"]), (&Value::from(1), &Value::from(0)), "{found:#}");
        assert!(backend["executions"].as_u64().unwrap() > 0, "{found:#}");
    }
    let requests = &found["requests"];
    assert!(requests["given_up"].as_u64().unwrap() > 0, "no work outlived the timeout: {found:#}");
    assert!(requests["left_at_work"].as_u64().unwrap() > 0, "{found:#}");
    assert_eq!(requests["repeated"], 0, "{found:#}");
}

/// It passes every connection on at once, to whichever backend is next.
#[test]
fn a_gateway_that_knows_no_limit_is_found_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let witness = Witness::start(
        &listener,
        &["--backends", "0,0", "--work", "200ms", "--requests", "12", "--clients", "6"],
    );
    let backends = witness.backends.clone();
    let turn = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for client in listener.incoming() {
            let backend = backends[turn.fetch_add(1, Ordering::Relaxed) % backends.len()].clone();
            thread::spawn(move || pass_on(&client.unwrap(), &backend));
        }
    });
    let (code, found, told) = witness.end();
    assert_eq!((code, &found["verdict"]), (Some(1), &Value::from("broken")), "{found:#}\n{told}");
    let peaks = found["backends"].as_array().unwrap().iter().map(|backend| backend["peak"].as_u64().unwrap());
    assert!(peaks.max().unwrap() > 1, "{found:#}");
}

/// The request in one piece, and the answer until it ends.
fn pass_on(mut client: &TcpStream, backend: &str) {
    let mut request = [0; 4096];
    let Ok(read) = client.read(&mut request) else { return };
    let mut backend = TcpStream::connect(backend).unwrap();
    backend.write_all(&request[..read]).unwrap();
    // Either side may leave: that is what the clients do.
    let _ = std::io::copy(&mut backend, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}

#[test]
fn a_gateway_that_lets_nothing_through_shows_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let witness = Witness::start(&listener, &["--backends", "0", "--patience", "300ms"]);
    let (code, found, told) = witness.end();
    assert_eq!((code, found), (Some(3), Value::Null), "{told}");
    assert!(told.contains("no request came through http://127.0.0.1:"), "{told}");
}

#[test]
fn wrong_usage_ends_with_2() {
    for args in [
        &[][..],
        &["--through", "https://gate.example"],
        &["--through", "http://a", "--slots", "0"],
        &["--through", "http://a", "--work", "2h"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_idleway")).arg("witness").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
}
