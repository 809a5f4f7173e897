//! `idleway run` and `idleway demo`.

use std::thread;

use super::*;

#[test]
fn a_taken_port_ends_with_1_and_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let port = address.port().to_string();
    for args in [&["run", "--listen", &address.to_string(), "http://10.0.0.1"][..], &["backend", &port]] {
        let (code, stdout, stderr) = ended(args);
        assert_eq!((code, stdout.as_str()), (1, ""), "{args:?}");
        let told = format!(
            "idleway: {address} is taken by another program\n    hint: end it, or choose another port: "
        );
        assert!(stderr.starts_with(&told), "{args:?} said {stderr}");
    }
}

#[test]
fn the_gateway_runs_until_it_is_told_to_stop() {
    let backend = Running::backend(&["--delay", "0"]);
    for signal in ["-TERM", "-INT"] {
        let mut gateway = Running::start(&["run", "--listen", "127.0.0.1:0", "--threads", "1", &backend.url]);
        let done = json!({ "message": "Processed successfully", "data": [1] });
        assert_eq!(gateway.call("POST /process", "[1]"), (200, done));
        gateway.signal(signal);
        assert_eq!(gateway.exit_code(), Some(0), "{signal}");
    }
}

#[test]
fn each_request_leaves_one_line_that_says_where_it_went_and_how_it_ended() {
    let backend = Running::backend(&["--delay", "0"]);
    let args = ["run", "--listen", "127.0.0.1:0", "--threads", "1", &backend.url];
    let mut gateway = Running::start_logging_to(Stdio::piped(), &args);
    let mut log = gateway.child.stderr.take().unwrap();
    assert_eq!(gateway.call("POST /process", "[1]").0, 200);
    assert_eq!(gateway.call("POST /nowhere", "[1]").0, 404);
    gateway.signal("-TERM");
    assert_eq!(gateway.exit_code(), Some(0));
    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("idleway::access")).collect();
    let [done, _] = lines[..] else { panic!("not a line for each of two requests: {text}") };
    let address = backend.url.strip_prefix("http://").unwrap();
    for field in [
        "method=\"POST\"",
        "path=\"/process\"",
        "status=200",
        &format!("backend=\"{address}\""),
        "phase=\"response begun\"",
        "attempts=1",
        "wait_ms=",
        "first_byte_ms=",
        "total_ms=",
        "received=3",
        "sent=",
    ] {
        assert!(done.contains(field), "no {field} in {done}");
    }
    assert!(!done.contains("reason="), "{done}");
}

/// A log that is lost costs no answer, and the program still ends well.
#[test]
fn a_log_that_nobody_reads_stops_no_request() {
    let backend = Running::backend(&["--delay", "0"]);
    let args = ["run", "--listen", "127.0.0.1:0", "--threads", "1", &backend.url];
    for reader_is_gone in [true, false] {
        let mut gateway = Running::start_logging_to(Stdio::piped(), &args);
        let unread = gateway.child.stderr.take().unwrap();
        let unread = if reader_is_gone { None } else { Some(unread) };
        // More lines than the pipe and the lines in waiting hold together would stop a log that blocks; where the
        // reader is gone, one is enough.
        for _ in 0..if reader_is_gone { 3 } else { 1000 } {
            assert_eq!(gateway.call("POST /process", "[1]").0, 200);
        }
        drop(unread);
        gateway.signal("-TERM");
        assert_eq!(gateway.exit_code(), Some(0), "the reader is gone: {reader_is_gone}");
    }
}

/// A gateway that was told to stop while a request is at work for as long as the query says.
fn stopping(query: &str) -> (Running, Running, TcpStream) {
    let backend = Running::backend(&[]);
    let gateway = Running::start(&["run", "--listen", "127.0.0.1:0", &backend.url]);
    let client = send(&gateway.url, &format!("POST /process?{query}"), "1");
    backend.until(|witness| witness["now"] == 1);
    gateway.signal("-TERM");
    let since = Instant::now();
    while connect(&gateway.url).is_ok() {
        assert!(since.elapsed() < PATIENCE, "it goes on accepting");
    }
    (backend, gateway, client)
}

#[test]
fn what_runs_is_finished_before_the_end() {
    let (_backend, mut gateway, client) = stopping("delay=500ms");
    assert_eq!(answer(client).0, 200);
    assert_eq!(gateway.exit_code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let (_backend, mut gateway, _client) = stopping("delay=10m");
    gateway.signal("-TERM");
    assert_eq!(gateway.exit_code(), Some(1));
}

#[test]
fn the_demo_survives_a_dead_backend_and_leaves_none_behind() {
    for signal in ["-TERM", "-KILL"] {
        let mut demo =
            Running::start(&["demo", "--listen", "127.0.0.1:0", "--first-port", "0", "--delay", "0"]);
        let mut backends: Vec<(String, String)> = Vec::new();
        for line in demo.output.by_ref().lines() {
            let line = line.unwrap();
            match line.trim().split_once("  pid ") {
                Some((url, pid)) => backends.push((url.to_owned(), pid.to_owned())),
                None if line.starts_with("Ctrl-C") => break,
                None => {}
            }
        }
        assert_eq!(backends.len(), 5);
        // Two may be dead: the third attempt is the last.
        for (_, pid) in &backends[..2] {
            kill(pid, "-KILL");
        }
        until_gone(&backends[..2]);
        for _ in 0..5 {
            assert_eq!(demo.call("POST /process", "1").0, 200);
        }
        demo.signal(signal);
        assert_eq!(demo.exit_code(), if signal == "-TERM" { Some(0) } else { None });
        until_gone(&backends);
    }
}

/// It serves all the same, and ends when it is told to.
#[test]
fn nobody_has_to_read_what_it_says() {
    let (_reader, writer) = std::io::pipe().unwrap();
    // As much as the system holds for nobody.
    let mut fill = Command::new("head");
    fill.args(["-c", "65536", "/dev/zero"]).stdout(writer.try_clone().unwrap());
    assert!(fill.status().unwrap().success());
    let mut command =
        idleway(&["run", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let mut child = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("the admin API answers here")));
    kill(&child.id().to_string(), "-TERM");
    assert_eq!(exit_code(&mut child), Some(0));
}

#[test]
fn a_load_says_what_became_of_it() {
    let backend = Running::backend(&["--delay", "0"]);
    let gateway = Running::start(&["run", &backend.url, "--listen", "127.0.0.1:0", "--log", "off"]);
    let (code, stdout, stderr) =
        ended(&["load", &gateway.url, "--rate", "50", "--for", "1s", "--clients", "8"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let last = stdout.lines().last().unwrap();
    let answered: u64 = last.split(' ').next().unwrap().parse().unwrap();
    assert!(
        answered > 0 && last.contains(" answered, ") && last.contains(" 0 without an answer, "),
        "{stdout}"
    );
    assert_eq!(backend.witness()["overlaps"], 0);
    assert!(backend.witness()["executions"].as_u64() >= Some(answered), "{stdout}");
    // What is asked for may be done again where a backend dies.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut load = idleway(&["load", &url, "--path", "/render?x=1"]).stdout(Stdio::null()).spawn().unwrap();
    let asked: Vec<_> = BufReader::new(listener.accept().unwrap().0)
        .lines()
        .map(Result::unwrap)
        .take_while(|line| !line.is_empty())
        .collect();
    assert_eq!(asked[0], "POST /render?x=1 HTTP/1.1");
    assert!(asked.iter().any(|line| line.starts_with("Idempotency-Key: load-")), "{asked:?}");
    kill(&load.id().to_string(), "-TERM");
    assert!(exit_code(&mut load).is_some());
    let (code, _, stderr) = ended(&["load", &gateway.url, "--path", "/x y"]);
    assert!(code == 2 && stderr.contains("written as %20"), "{stderr}");
    // No port that the system would give to another test meanwhile.
    let (code, _, stderr) = ended(&["load", "http://127.0.0.1:1", "--rate", "50", "--for", "1s"]);
    assert!(code == 1 && stderr.contains("nobody answers"), "{stderr}");
    let (code, _, stderr) = ended(&["load", "127.0.0.1:5000"]);
    assert!(
        code == 1 && stderr.contains("is not where a gateway listens: write http://127.0.0.1:5000"),
        "{stderr}"
    );
}

/// What broke off is not counted as an answer, and what is whole is one, whether its connection ends or not.
#[test]
fn a_load_tells_an_answer_from_what_is_none() {
    // What comes of each request, whether the connection stays, and which number of the last line counts it.
    let cases = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true, 0),
        ("HTTP/1.1 200 OK\r\n\r\nok", false, 0),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", true, 0),
        ("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", true, 1),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", true, 2),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nok", false, 2),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok", false, 2),
        ("HTTP/1.1 200", false, 3),
        ("", false, 3),
        ("", true, 4),
    ];
    thread::scope(|threads| {
        for (answer, stays, nth) in cases {
            threads.spawn(move || {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let url = format!("http://{}", listener.local_addr().unwrap());
                thread::spawn(move || {
                    let mut held = Vec::new();
                    for mut stream in listener.incoming().map_while(Result::ok) {
                        // All of the request is read first: a connection that ends over what was not read is reset.
                        let read = BufReader::new(&stream).lines().map_while(Result::ok);
                        let is_there = read.take_while(|line| !line.is_empty()).count() > 0;
                        if is_there && stream.write_all(answer.as_bytes()).is_ok() && stays {
                            held.push(stream);
                        }
                    }
                });
                let (code, stdout, _) = ended(&["load", &url, "--rate", "20", "--for", "1s"]);
                let last = stdout.lines().last().unwrap();
                let counts: Vec<u64> =
                    last.split(", ").map(|part| part.split(' ').next().unwrap().parse().unwrap()).collect();
                let others: u64 = (0..4).filter(|other| *other != nth).map(|other| counts[other]).sum();
                assert!(counts[nth] > 0 && others == 0, "{answer:?}: {last}");
                assert_eq!(code, i32::from(nth > 2), "{answer:?}: {last}");
            });
        }
    });
}

/// Until nobody listens there any more: a signal is sent before it works.
fn until_gone(backends: &[(String, String)]) {
    let since = Instant::now();
    while backends.iter().any(|(url, _)| connect(url).is_ok()) {
        assert!(since.elapsed() < PATIENCE, "a backend is still there");
    }
}

/// At three in the morning one wants to know what it waits for, and for how long that may go on.
#[test]
fn a_stop_says_what_it_waits_for() {
    let backend = Running::backend(&["--delay", "3s"]);
    let mut gateway = Running::start_logging_to(
        Stdio::piped(),
        &["run", "--listen", "127.0.0.1:0", "--threads", "1", &backend.url],
    );
    let running = send(&gateway.url, "POST /process", "[1]");
    backend.until(|witness| witness["now"] == 1);
    gateway.signal("-TERM");
    let mut log = BufReader::new(gateway.child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told = log.find(|line| line.contains("waiting for")).unwrap();
    let name = backend.url.strip_prefix("http://").unwrap();
    assert!(told.contains(&format!("waiting for default/{name}: 1 request, ")), "{told}");
    assert!(told.contains(" s so far") && told.contains("seconds_left=2"), "{told}");
    assert_eq!(answer(running).0, 200);
    assert_eq!(gateway.exit_code(), Some(0));
    assert!(log.any(|line| line.ends_with("stopped")));
}

/// Asks on this connection, and reads the answer: whether it says that it is the connection's last. None where the connection
/// was closed before a byte of an answer.
fn asked(reader: &mut BufReader<TcpStream>) -> Option<bool> {
    let sent = write!(reader.get_mut(), "POST /process HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n[]");
    let mut line = String::new();
    if sent.is_err() || reader.read_line(&mut line).map_or(true, |read| read == 0) {
        return None;
    }
    assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
    let (mut length, mut is_last) = (0, false);
    while line != "\r\n" {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the head was cut");
        match line.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("connection", value)) => is_last = value == "close",
            _ => {}
        }
    }
    reader.read_exact(&mut vec![0; length]).expect("the body was cut");
    Some(is_last)
}

/// Whoever is told to go elsewhere and does is answered until nobody is accepted any more; nothing that began is cut.
#[test]
fn a_stop_under_load_cuts_no_answer() {
    let backends: Vec<_> = (0..3).map(|_| Running::backend(&["--delay", "3ms"])).collect();
    let urls: Vec<_> = backends.iter().map(|backend| &backend.url).collect();
    let config = file(
        "stop-under-load.toml",
        &format!(
            "listen = \"127.0.0.1:0\"\nthreads = 2\ndrain_delay = \"300ms\"\nbackends = {urls:?}\nqueue = {{ length = 50, wait = \"60s\" }}"
        ),
    );
    let mut gateway = Running::start(&["run", "--config", &config, "--log", "off"]);
    let url = gateway.url.clone();
    let (served, has_begun) = std::sync::mpsc::sync_channel(1024);
    let total = thread::scope(|threads| {
        let clients: Vec<_> = (0..6)
            .map(|_| {
                let (url, served) = (&url, served.clone());
                threads.spawn(move || {
                    let (mut count, mut was_told) = (0_u32, false);
                    // Until the system lets nobody in.
                    'connections: while let Ok(stream) = connect(url) {
                        stream.set_read_timeout(Some(PATIENCE)).unwrap();
                        let mut reader = BufReader::new(stream);
                        loop {
                            match asked(&mut reader) {
                                Some(is_last) => {
                                    count += 1;
                                    let _ = served.try_send(());
                                    was_told |= is_last;
                                    if is_last {
                                        continue 'connections;
                                    }
                                }
                                // One that had just come when the door was closed.
                                None => {
                                    assert!(was_told, "closed without an answer, and without a word before");
                                    continue 'connections;
                                }
                            }
                        }
                    }
                    count
                })
            })
            .collect();
        (0..100).for_each(|_| has_begun.recv_timeout(PATIENCE).unwrap());
        gateway.signal("-TERM");
        clients.into_iter().map(|client| client.join().unwrap()).sum::<u32>()
    });
    assert_eq!(gateway.exit_code(), Some(0));
    assert!(total > 100, "{total}");
    let executions: u64 =
        backends.iter().map(|backend| backend.witness()["executions"].as_u64().unwrap()).sum();
    // Each answer that was given was read, and nothing was given to nobody.
    assert_eq!(u64::from(total), executions);
}
