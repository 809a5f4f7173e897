//! What `${NAME}` and `${file:PATH}` stand for: read everywhere, shown nowhere.

use super::*;

/// Each key that takes a text, `@`, and a value that is right for it.
const KEYS: &[(&str, &str)] = &[
    ("listen = @", "127.0.0.7:7707"),
    ("access_log = { sample = @ }", "77%"),
    ("cold_start = @", "7707s"),
    ("handover = @", "/secret/7707"),
    ("admin = @", "127.0.0.7:7708"),
    ("admin_token = @", "secret-7707-secret-7707"),
    ("drain_delay = @", "7707s"),
    ("drain_timeout = @", "7707s"),
    ("trusted = [@]", "10.77.0.0/16"),
    ("client = { read = @ }", "7707s"),
    ("client = { write = @ }", "7707s"),
    ("client = { rate = @ }", "7707B"),
    ("client = { fin = @ }", "gone"),
    ("limits = { head = @ }", "7707B"),
    ("limits = { target = @ }", "7707B"),
    ("limits = { body = @ }", "7707B"),
    ("limits = { buffered = @ }", "7707B"),
    ("limits = { keep_alive = @ }", "7707s"),
    ("limits = { head_timeout = @ }", "7707s"),
    ("pools.p.backends = [@]", "http://secret.example:7707"),
    ("pools.p.backends = [@]\npools.p.resolve = \"all\"", "http://secret.example"),
    ("pools.p.backends = [{ url = @ }]", "http://10.77.0.7:7707"),
    ("pools.p.backends = [{ url = \"http://a\", resolve = @ }]", "all"),
    ("pools.p.connect_timeout = @", "7707s"),
    ("pools.p.timeout = @", "7707s"),
    ("pools.p.deadline = @", "7707s"),
    ("pools.p.queue = { length = 1, wait = @ }", "7707s"),
    ("pools.p.queue = { length = 1, wait_max = @ }", "7707s"),
    ("pools.p.retry = { budget = @ }", "77%"),
    ("pools.p.busy_status = [503]\npools.p.busy_rest_max = @", "7707s"),
    ("pools.p.health = { path = @ }", "/secret?token=7707"),
    ("pools.p.health = { path = \"/\", method = @ }", "SECRET"),
    ("pools.p.health = { path = \"/\", host = @ }", "Secret.Example:7707"),
    ("pools.p.health = { path = \"/\", status = @ }", "277"),
    ("pools.p.health = { path = \"/\", status = [@, 200] }", "277-377"),
    ("pools.p.health = { path = \"/\", every = @ }", "7707s"),
    ("pools.p.health = { path = \"/\", timeout = @ }", "7707s"),
    ("pools.p.health = { pause = @ }", "7707s"),
    ("pools.p.health = { pause_max = @ }", "7707s"),
    ("pools.p.health = { outlier = @ }", "77%"),
    ("pools.p.health = { panic = @ }", "77%"),
    ("pools.p.health = { slow_start = @ }", "7707s"),
    ("pools.p.resolve = @", "all"),
    (
        "pools.p.backends = [\"http://a\", { url = \"http://b\", resolve = \"one\" }]\npools.p.resolve = @",
        "all",
    ),
    ("pools.p.queue = { length = 1, wait = @ }", "2m"),
    ("pools.p.health = { tcp = true, every = @ }", "2m"),
    ("routes = [{ path = @ }]", "/s%65cret/7707"),
    ("listen = @", "[0:0::7]:7707"),
    ("pools.p.backends = [\"http://a\"]\npools.p.resolve_every = @", "7707s"),
    ("pools.p.keep_idle = @", "7707s"),
    ("pools.p.request_buffer = @", "7707B"),
    ("pools.p.response_buffer = @", "7707B"),
    ("pools.p.abandon = @", "cancel"),
    ("pools.p.cancel_wait = @", "7707s"),
    ("pools.p.linger = @", "7707s"),
    ("pools.p.settle = @", "7707s"),
    ("pools.p.fair_by = @", "header:X-Secret-7707"),
    ("trusted = [\"10.0.0.0/8\"]\npools.p.priority = @", "header:X-Secret-7707"),
    ("pools.p.deadline_header = @", "X-Secret-7707"),
    ("routes = [{ host = @ }]", "Secret.Example"),
    ("routes = [{ path = @ }]", "/secret/7707"),
    ("routes = [{ method = @ }]", "SECRET"),
    ("routes = [{ method = [\"GET\", @] }]", "SECRET"),
    ("routes = [{ pool = @ }]", "p"),
    ("routes = [{ abandon = @ }]", "cancel"),
    ("routes = [{ exact = @ }]", "/secret/7707"),
    ("routes = [{ header = { x-a = @ } }]", "secret-7707"),
    ("routes = [{ path = \"/a\", replace = @ }]", "/secret/7707"),
    ("routes = [{ path = \"/a\", answer = { body = @ } }, { pool = \"p\" }]", "secret-7707"),
    ("routes = [{ path = \"/a\", answer = { type = @ } }, { pool = \"p\" }]", "secret/x-7707"),
    ("routes = [{ path = \"/a\", redirect = { to = @ } }, { pool = \"p\" }]", "https://secret.example/7707"),
    ("routes = [{ request = { host = @ } }]", "secret.example"),
    ("routes = [{ request = { set = { x-a = @ } } }]", "secret-7707"),
    ("routes = [{ request = { add = { x-a = @ } } }]", "secret-7707"),
    ("routes = [{ request = { remove = [@] } }]", "x-secret-7707"),
    ("routes = [{ response = { set = { x-a = @ } } }]", "secret-7707"),
    ("routes = [{ timeout = @ }]", "7707s"),
    ("routes = [{ deadline = @ }]", "7707s"),
    ("routes = [{ max_body = @ }]", "7707B"),
    ("trusted = [\"10.0.0.0/8\"]\nroutes = [{ priority = @ }]", "header:X-Secret-7707"),
];

/// Keys that take no text: what stands there is a fault.
const NO_TEXT: &[&str] = &[
    "threads = @",
    "access_log = @",
    "access_log = { query = @ }",
    "limits = @",
    "limits = { fields = @ }",
    "routes = @",
    "nothing = @",
    "pools.p.backends = @",
    "pools.p.slots = @",
    "pools.p.queue = @",
    "pools.p.retry = @",
    "pools.p.health = @",
    "pools.p.keep_alive = @",
    "pools.p.busy_status = [@]",
    "pools.p.fair_by = \"ip\"\npools.p.weights = { \"10.0.0.1\" = @ }",
];

/// Values that are right for no key, each with the pieces that must not be shown.
const WRONG: &[(&str, &[&str])] = &[
    ("hunter2 TopSecret", &["hunter2", "topsecret"]),
    ("http://user:hunter2@10.77.0.7:7707/x-7707?q=TopSecret", &["hunter2", "10.77", "7707", "topsecret"]),
    ("https://hunter2.example/", &["hunter2"]),
    ("header:hunter2 TopSecret", &["hunter2", "topsecret"]),
    ("77hunter2", &["hunter2", "77"]),
    ("770707", &["7707"]),
    ("hunter2:7707", &["hunter2", "7707"]),
    ("/hunter2 TopSecret\"\\", &["hunter2", "topsecret"]),
    ("577-477", &["577", "477"]),
    ("7.707s", &["7707", "7.707"]),
];

/// A file with this line, and all else that it needs.
fn with(line: &str) -> String {
    let mut text = format!("{line}\n");
    for (key, needed) in [
        ("listen =", "listen = \"127.0.0.1:0\"\n"),
        ("pools.p.backends", "pools.p.backends = [\"http://10.0.0.1\"]\n"),
    ] {
        if !line.contains(key) {
            text += needed;
        }
    }
    text
}

fn run(args: &[&str], value: &str, text: &str) -> (i32, String) {
    let mut command = idleway(args);
    command.env("IDLEWAY_TEST_VALUE", value);
    let (code, stdout, stderr) = ended_on(command, text);
    (code, stdout + &stderr)
}

fn hunt(told: &str, pieces: &[&str], about: &str) {
    let lower = told.to_ascii_lowercase();
    for piece in pieces {
        assert!(!lower.contains(&piece.to_ascii_lowercase()), "{about}: `{piece}` is shown in\n{told}");
    }
}

#[test]
fn a_value_at_fault_is_never_shown() {
    let wrong_for = KEYS.iter().map(|(line, _)| *line).chain(NO_TEXT.iter().copied());
    for (nth, line) in wrong_for.enumerate() {
        // Every value for some keys, and some for every key: each is a start of the program.
        for (value, pieces) in WRONG.iter().skip(nth % 3).step_by(3) {
            let text = with(&line.replace('@', "\"${IDLEWAY_TEST_VALUE}\""));
            // One of both ways: each is a start of the program.
            for args in [&["check", "-"][..], &["check", "--json", "-"]].into_iter().skip(nth % 2).take(1) {
                let (code, told) = run(args, value, &text);
                let is_right = code == 0;
                assert!(is_right || code == 78, "{line}: {code}: {told}");
                let is_plain = args.len() == 2;
                assert!(is_right || !is_plain || told.contains("${IDLEWAY_TEST_VALUE}"), "{line}: {told}");
                hunt(&told, pieces, &format!("{line} with {value}"));
            }
        }
    }
}

/// In texts that say something themselves it is the rest that stays readable.
#[test]
fn a_part_of_a_text_is_hidden_and_the_rest_is_told() {
    let text = "backends = [\"http://${IDLEWAY_TEST_VALUE}/x\"]";
    let (_, told) = run(&["check", "-"], "Hunter2.example", text);
    let expected = "standard input:1:13: a backend is a host and a port: `/x` does not belong here\n    \
                    backends = [\"http://${IDLEWAY_TEST_VALUE}/x\"]\n                \
                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n    \
                    hint: write \"http://${IDLEWAY_TEST_VALUE}\" and put the path on a route\n";
    assert_eq!(told, expected);
}

#[test]
fn a_value_that_is_right_counts_and_is_never_shown() {
    for (line, value) in KEYS {
        let written = with(&line.replace('@', "\"${IDLEWAY_TEST_VALUE}\""));
        let meant = with(&line.replace('@', &format!("\"{value}\"")));
        let (code, printed) = run(&["check", "--print", "-"], value, &written);
        assert_eq!(code, 0, "{line}: {printed}");
        assert!(printed.contains("${IDLEWAY_TEST_VALUE}"), "{line}: {printed}");
        let is_word = value.bytes().all(|b| b.is_ascii_lowercase());
        let needle = if !is_word { (*value).to_owned() } else { format!("\"{value}\"") };
        let pieces = [needle.as_str(), "7707", "277", "377", "secret", "120s"];
        hunt(&printed, &pieces, line);
        let (code, told) = run(&["check", "-"], value, &written);
        assert_eq!(code, 0, "{line}: {told}");
        hunt(&told, &pieces, line);
        // It counts as what it stands for, and what is printed does too.
        let plain = printed.replace("${IDLEWAY_TEST_VALUE}", value);
        let full = |text: &str| run(&["check", "--print", "-"], "", text).1;
        assert_eq!(full(&full(&meant)), full(&plain), "{line}");
    }
}

/// What a route is and does, told by its request.
#[test]
fn which_route_takes_a_request_is_told_without_values() {
    for (line, value, url) in [
        ("host = @", "hunter2.example", "http://hunter2.example/"),
        ("path = @", "/hunter2/7707", "http://h/hunter2/7707/x"),
        ("exact = @", "/hunter2/7707", "http://h/hunter2/7707"),
        ("path = \"/a\"\nreplace = @", "/hunter2/7707", "http://h/a/x"),
        ("request = { host = @ }", "hunter2.example:7707", "http://h/a"),
        ("request = { set = { \"X-Key\" = @ } }", "hunter2 7707", "http://h/a"),
        ("header = { \"X-Key\" = @ }", "hunter2-7707", "http://h/a"),
    ] {
        let line = line.replace('@', "\"${IDLEWAY_TEST_VALUE}\"");
        let text = format!("[pools.p]\nbackends = [\"http://10.0.0.1\"]\n[[routes]]\n{line}\npool = \"p\"\n");
        let args = ["check", "--route", "GET", url, "-H", "X-Key: hunter2-7707", "-"];
        let (code, told) = run(&args, value, &text);
        assert_eq!(code, 0, "{line}: {told}");
        assert!(told.contains("pool p"), "{line}: {told}");
        // What was asked for the asker knows; where the file says the same it is hidden all the same.
        hunt(&told, &["hunter2", "7707"], &line);
    }
    let text = "[pools.p]\nbackends = [\"http://10.0.0.1\"]\n[[routes]]\npool = \"p\"\n[[routes]]\nhost = \"a.example\"\n\
                redirect = { to = \"https://${IDLEWAY_TEST_VALUE}\" }\n";
    let (code, told) =
        run(&["check", "--route", "GET", "http://a.example/x", "-"], "hunter2.example:7707", text);
    assert_eq!(code, 0, "{told}");
    hunt(&told, &["hunter2", "7707"], "a redirect");
}

/// A short value hides itself alone, and not each number or letter that is the same.
#[test]
fn what_only_looks_like_a_value_is_told() {
    let text = "backends = [{ url = \"http://10.0.0.${IDLEWAY_TEST_VALUE}\", slots = 3 }]\n\
                health = { path = \"/healthz\", every = \"${IDLEWAY_TEST_VALUE}s\" }";
    let (code, told) = run(&["check", "-"], "3", text);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("1 backend, 3 slots"), "{told}");
    assert!(told.contains("probes by GET /healthz every ${IDLEWAY_TEST_VALUE}s"), "{told}");
}

#[test]
fn a_number_that_is_no_text_is_told_how_to_be_written() {
    let (code, told) =
        run(&["check", "-"], "3", "backends = [\"http://a\"]\nslots = \"${IDLEWAY_TEST_VALUE}\"");
    assert_eq!(code, 78, "{told}");
    assert!(
        told.contains("hint: `${…}` stands in texts alone: write the number, or the word, itself"),
        "{told}"
    );
}

#[test]
fn the_log_of_the_start_shows_no_value() {
    let text = "listen = \"127.0.0.1:0\"\nbackends = [\"http://${IDLEWAY_TEST_VALUE}\"]\nhealth = { host = \"${IDLEWAY_TEST_VALUE}\" }\n\
                deadline_header = \"X-${file:hunter2.txt}\"";
    let config = file("secret.toml", &text.replace("health", "#health"));
    file("hunter2.txt", "Hunter2-Hidden\r\n");
    let mut command = idleway(&["run", "--config", &config]);
    command.env("IDLEWAY_TEST_VALUE", "hunter2.example:7707").env("RUST_LOG", "trace");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
    kill(&child.id().to_string(), "-TERM");
    assert_eq!(exit_code(&mut child), Some(0), "{url}");
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    // A look-up that fails names what it looked for: that is no start, but the gateway at work.
    let start: String = log.lines().filter(|line| !line.contains("control::members")).collect();
    hunt(&start, &["hunter2-hidden", "7707"], "the log");
}

#[test]
fn files_are_found_beside_the_configuration() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("beside");
    std::fs::create_dir_all(folder.join("keys")).unwrap();
    let large = "x".repeat(65 << 10);
    let latin: &[u8] = b"caf\xe9";
    for (name, content) in
        [("keys/url", b"http://10.0.0.1\n".as_slice()), ("latin", latin), ("large", large.as_bytes())]
    {
        std::fs::write(folder.join(name), content).unwrap();
    }
    let check = |value: &str| {
        let path = folder.join("idleway.toml");
        std::fs::write(&path, format!("backends = [\"{value}\"]")).unwrap();
        let (code, stdout, stderr) = ended(&["check", path.to_str().unwrap()]);
        (code, stdout + &stderr)
    };
    assert_eq!(check("${file:keys/url}").0, 0);
    assert_eq!(check(&format!("${{file:{}}}", folder.join("keys/url").display())).0, 0);
    for (value, says) in [
        ("${file:missing}", "cannot be read: "),
        ("${file:keys}", "is not a file"),
        ("${file:latin}", "is not UTF-8"),
        ("${file:large}", "is larger than 64 KiB"),
        ("${IDLEWAY_TEST_MISSING}", "there is no environment variable `IDLEWAY_TEST_MISSING`"),
        ("${PATH", "`${` is not closed"),
        ("${a b}", "`a b` is not the name of an environment variable"),
    ] {
        let (code, told) = check(value);
        assert_eq!(code, 78, "{value}: {told}");
        assert!(told.contains(":1:13: ") && told.contains(says), "{value}: {told}");
        assert_eq!(
            told.matches("hint: ").count() + told.matches(":1:13: ").count(),
            1 + usize::from(told.contains("hint: ")),
            "one fault: {told}"
        );
    }
    // What they stand for together is bounded too.
    std::fs::write(folder.join("large"), &large[..60 << 10]).unwrap();
    let (code, told) = check(&vec!["${file:large}"; 300].join("\", \""));
    assert!(code == 78 && told.contains("all texts together stand for more than 16 MiB"), "{}", &told[..200]);
    // A dollar doubled means itself.
    let (_, told) = check("$${x}");
    assert!(told.contains("`${x}` is not the URL of a backend"), "{told}");
}
