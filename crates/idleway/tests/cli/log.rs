//! The log: for people and for machines; what it says of a request, and what it never says.

use std::collections::BTreeSet;

use super::*;

/// The gateway with this configuration; its log as it writes it.
fn gateway(name: &str, config: &str, args: &[&str]) -> Running {
    let path = file(name, &format!("listen = \"127.0.0.1:0\"\nthreads = 1\n{config}"));
    Running::start_logging_to(Stdio::piped(), &[&["run", "--config", &path], args].concat())
}

/// All that it has logged, once it has ended.
fn log_of(mut gateway: Running) -> String {
    gateway.signal("-TERM");
    let mut log = String::new();
    gateway.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(gateway.exit_code(), Some(0));
    log
}

fn objects(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

/// Every field that is documented is in some line, and every field of a line is documented.
#[test]
fn the_line_of_a_request_has_the_fields_that_are_documented() {
    let backend = Running::backend(&["--delay", "0"]);
    let config = format!(
        "access_log = {{ sample = \"99%\" }}\n[pools.work]\nbackends = [\"{}\"]\n[[routes]]\npath = \"/process\"\npool = \"work\"",
        backend.url
    );
    let gateway = gateway("log-fields.toml", &config, &["--log-format", "json"]);
    for _ in 0..5 {
        assert_eq!(gateway.call("POST /process", "[1]").0, 200);
    }
    assert_eq!(gateway.call("GET /none?secret=hunter2", "").0, 404);
    let lines = objects(&log_of(gateway));
    for line in &lines {
        for field in ["timestamp", "level", "target"] {
            assert!(line[field].is_string(), "{line}");
        }
    }
    let requests: Vec<_> = lines.iter().filter(|line| line["target"] == "idleway::access").collect();
    assert!(requests.len() >= 2, "{lines:?}");
    let written: BTreeSet<_> = requests
        .iter()
        .flat_map(|line| line.as_object().unwrap().keys().map(String::as_str))
        .filter(|field| !["timestamp", "level", "target"].contains(field))
        .collect();
    let documented: BTreeSet<_> = include_str!("../../../../docs/logs.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(field, _)| field)
        // An application's own.
        .filter(|field| *field != "labels")
        .collect();
    assert_eq!(written, documented);
    let served = requests.iter().find(|line| line["status"] == 200).unwrap();
    assert_eq!(
        (&served["path"], &served["pool"], &served["route"]),
        (&json!("/process"), &json!("work"), &json!("/process"))
    );
    assert_eq!(
        (&served["method"], &served["attempts"], &served["phase"]),
        (&json!("POST"), &json!(1), &json!("response begun"))
    );
    assert!(served["total_ms"].is_number() && served.get("reason").is_none(), "{served}");
    let refused = requests.iter().find(|line| line["status"] == 404).unwrap();
    assert_eq!(refused["path"], "/none");
    assert!(refused["reason"].as_str().unwrap().starts_with("no-route: "), "{refused}");
    assert!(refused.get("backend").is_none() && refused.get("pool").is_none(), "{refused}");
}

/// Failures all leave a line; of what went as it should about the share that was ordered.
#[test]
fn a_sample_leaves_out_nothing_that_failed() {
    let backend = Running::backend(&["--delay", "0"]);
    let config = |sample: &str| {
        format!(
            "access_log = {{ sample = {sample:?} }}\n[pools.work]\nbackends = [\"{}\"]\n[[routes]]\npath = \"/process\"\npool = \"work\"",
            backend.url
        )
    };
    for (sample, few, many) in [("0%", 0, 0), ("50%", 5, 35)] {
        let gateway = gateway("log-sample.toml", &config(sample), &["--log-format", "json"]);
        for nth in 0..40 {
            // Ids of their own: they decide.
            let mut stream = connect(&gateway.url).unwrap();
            write!(stream, "POST /process HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Request-Id: id-{nth}\r\nContent-Length: 2\r\n\r\n[]").unwrap();
            assert_eq!(answer(stream).0, 200);
            assert_eq!(gateway.call("GET /none", "").0, 404);
        }
        let lines = objects(&log_of(gateway));
        let of = |status: u16| lines.iter().filter(|line| line["status"] == status).count();
        assert_eq!(of(404), 40);
        assert!((few..=many).contains(&of(200)), "{} of 40 at {sample}", of(200));
    }
}

/// Whatever is said in whichever place of a request: what is secret there is nowhere in the log, at any level.
#[test]
fn no_secret_of_a_request_is_in_the_log() {
    let backend = Running::backend(&["--delay", "0"]);
    let config = format!("backends = [\"{}\"]", backend.url);
    for format in ["json", "human"] {
        let gateway = gateway("log-secrets.toml", &config, &["--log-format", format, "--log", "trace"]);
        for request in [
            "POST /process?key=hunter2 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer hunter2\r\nCookie: a=hunter2\r\nX-Api-Key: hunter2\r\nContent-Length: 9\r\nConnection: close\r\n\r\n\"hunter2\"",
            "GET http://user:hunter2@h/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: h\r\nPrefer: wait=hunter2\r\nConnection: close\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: h\r\nX: a\r\n\thunter2\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: hun ter2 hunter2\r\n\r\n",
            "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nhunter2\r\n",
        ] {
            let mut stream = connect(&gateway.url).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut told = String::new();
            let _ = stream.read_to_string(&mut told);
        }
        let log = log_of(gateway);
        assert!(log.contains("/process"), "{log}");
        assert!(!log.contains("hunter2"), "{log}");
    }
}

/// A pipe that nobody reads is full after a while: requests go on, and what is lost is counted.
#[test]
fn a_log_that_nobody_reads_stops_no_request() {
    let config = "[[routes]]\nanswer = { body = \"{}\" }";
    let mut gateway = gateway("log-unread.toml", config, &["--log-format", "json"]);
    let mut stream = connect(&gateway.url).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    // A pipe holds 64 KiB, and 4096 lines wait in memory.
    for _ in 0..8000 {
        write!(stream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        reader.read_exact(&mut [0; 2]).unwrap();
    }
    // Now somebody does.
    let mut log = BufReader::new(gateway.child.stderr.take().unwrap());
    let told =
        log.by_ref().lines().map_while(Result::ok).find(|line| line.contains("lines of the log were lost"));
    let told = told.unwrap();
    let lost: u64 = told
        .split(' ')
        .find_map(|word| word.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok())
        .unwrap();
    assert!(lost > 1000, "{told}");
    gateway.signal("-TERM");
    std::io::copy(&mut log, &mut std::io::sink()).unwrap();
    assert_eq!(gateway.exit_code(), Some(0));
}

/// Whoever reads the log has gone.
#[test]
fn a_log_whose_reader_has_gone_stops_no_request() {
    let config = "[[routes]]\nanswer = { body = \"{}\" }";
    let mut gateway = gateway("log-gone.toml", config, &[]);
    drop(gateway.child.stderr.take());
    for _ in 0..20 {
        assert_eq!(gateway.call("GET /", "").0, 200);
    }
    gateway.signal("-TERM");
    assert_eq!(gateway.exit_code(), Some(0));
}
