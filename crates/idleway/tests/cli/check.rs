//! `idleway check`.

use super::*;

#[test]
fn check_says_what_a_file_means() {
    let good =
        file("good.toml", "backends = [\"http://10.0.0.1\", { url = \"http://10.0.0.2\", slots = 3 }]");
    let expected = format!(
        "{good} is good: it listens on 127.0.0.1:5000\n\
         pool default: 2 backends, 4 slots, refuses when all are busy\n\
         route / -> default\n"
    );
    assert_eq!(ended(&["check", &good]), (0, expected, String::new()));
}

#[test]
fn a_bad_configuration_ends_with_78_and_its_place() {
    let bad = file("bad.toml", "backends = [\"http://10.0.0.1\"]\ntimeout = 10\n");
    let told = format!(
        "{bad}:2:11: 10 what? a duration carries its unit\n    timeout = 10\n              ^^\n    hint: write \"10s\"\n"
    );
    assert_eq!(ended(&["check", &bad]), (78, String::new(), told.clone()));
    assert_eq!(ended(&["run", "--config", &bad]), (78, String::new(), told));
    for args in [&["check", "missing.toml"][..], &["run", "-c", "missing.toml"], &["run", "10.0.0.1"]] {
        let (code, stdout, stderr) = ended(args);
        assert_eq!((code, stdout.as_str()), (78, ""), "{args:?} said {stderr}");
    }
}

#[test]
fn check_tells_what_is_not_as_it_usually_is() {
    let full = file(
        "full.toml",
        r#"
        trusted = ["10.0.0.0/8"]
        backends = [{ url = "http://gpu", slots = 3 }, "http://10.0.0.1"]
        timeout = "10s"
        deadline = "5m"
        queue = { length = 100, wait = "30s" }
        retry = { attempts = 2, budget = "10%" }
        busy_status = [503, 429]
        health = { path = "/healthz", dedicated = true }
        resolve = "all"
        abandon = "cancel"
        fair_by = "header:x-api-key"
        slots_per_key = 1
        priority = "header:priority"
        [pools.b]
        backends = ["http://10.0.0.2"]
        retry = { attempts = 1 }
        health = { tcp = true, every = "5s" }
        linger = "10m"
        fair_by = "ip"
        priority = "low"
        [[routes]]
        path = "/b"
        pool = "b"
        "#,
    );
    let expected = format!(
        "{full} is good: it listens on 127.0.0.1:5000
pool default: 2 backends, 4 slots, 100 may wait 30s when all are busy
  probes by GET /healthz every 2s, beside the work: out after 2 bad ones, back after 1 good
  tries 2 backends; retries are at most 10% of its requests and 10 a second; 429 or 503 means busy, and a rest of at most 10s
  fair by the field x-api-key; at most 1 slot a key; priority by the field priority
  504 after a silence of 10s; 504 after 300s in all; abandoned work is told to stop
  a backend at each address of gpu, looked up every 5s
pool b: 1 backend, 1 slot, refuses when all are busy
  probes by a connect every 5s: out after 2 bad ones, back after 1 good
  no failover
  fair by the client's address; low priority
  abandoned work may go on for 600s
route /b -> b
route / -> default
"
    );
    assert_eq!(ended(&["check", &full]), (0, expected, String::new()));
}

#[test]
fn several_files_are_checked_at_once_and_one_bad_one_is_enough() {
    let good = file("good-of-two.toml", "backends = [\"http://10.0.0.1\"]");
    let bad = file("bad-of-two.toml", "backends = []");
    let (code, stdout, stderr) = ended(&["check", &bad, &good, "missing.toml"]);
    assert_eq!(code, 78);
    assert!(stdout.starts_with(&format!("{good} is good: ")), "{stdout}");
    assert!(stderr.starts_with(&format!("{bad}:1:12: a pool needs at least one backend\n")), "{stderr}");
    assert!(stderr.contains("\nmissing.toml: cannot be read: "), "{stderr}");
    let (code, _, stderr) = ended(&["check", "--print", &good, &bad]);
    assert_eq!(code, 2, "{stderr}");
}

#[test]
fn a_dash_is_standard_input() {
    let (code, stdout, _) = ended_on(idleway(&["check", "-"]), "backends = [\"http://10.0.0.1\"]");
    assert_eq!(code, 0);
    assert!(stdout.starts_with("standard input is good: "), "{stdout}");
    let (code, _, stderr) = ended_on(idleway(&["check", "-"]), "backends = [5]");
    assert_eq!(code, 78);
    assert!(stderr.starts_with("standard input:1:13: expected a URL"), "{stderr}");
}

fn faults(args: &[&str]) -> (i32, Value) {
    let (code, stdout, stderr) = ended(args);
    assert_eq!(stderr, "", "{args:?}");
    (code, serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("not one object: {stdout}")))
}

#[test]
fn json_has_every_fault_with_its_place() {
    let bad = file(
        "bad-json.toml",
        "backends = [\"http://10.0.0.1\"]\ntimeout = \"\"\"\nten\"\"\"\nslot = 1 # ü\n",
    );
    let timeout = json!({
        "severity": "error", "message": "`ten` is not a duration",
        "hint": "write a whole number and a unit, like \"250ms\", \"10s\", \"5m\" or \"1h\"",
        "line": 2, "column": 11, "end_line": 3, "end_column": 7, "text": "\"\"\"\nten\"\"\"",
    });
    let slot = json!({
        "severity": "error", "message": "unknown key `slot`", "hint": "did you mean `slots`?",
        "line": 4, "column": 1, "end_line": 4, "end_column": 5, "text": "slot",
    });
    let expected = json!({ "file": bad, "faults": [timeout, slot] });
    assert_eq!(faults(&["check", "--json", &bad]), (78, expected));
}

#[test]
fn json_tells_of_files_that_are_good_or_no_toml_or_not_there() {
    let good = file("good-json.toml", "backends = [\"http://10.0.0.1\"]");
    assert_eq!(faults(&["check", "--json", &good]), (0, json!({ "file": good, "faults": [] })));
    let empty = file("empty.toml", "");
    let (code, told) = faults(&["check", "--json", &empty]);
    assert_eq!((code, &told["faults"][0]["line"]), (78, &Value::Null));
    let odd = file("odd.toml", "backends = [");
    let (code, told) = faults(&["check", "--json", &odd]);
    let message = told["faults"][0]["message"].as_str().unwrap();
    assert!(code == 78 && message.starts_with("not TOML: "), "{told}");
    let (code, told) = faults(&["check", "--json", "missing.toml"]);
    let message = told["faults"][0]["message"].as_str().unwrap();
    assert!(code == 78 && message.starts_with("cannot be read: "), "{told}");
    let latin = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("latin-1.toml");
    std::fs::write(&latin, b"# caf\xe9\nbackends = []").unwrap();
    let (code, told) = faults(&["check", "--json", latin.to_str().unwrap()]);
    let fault = &told["faults"][0];
    assert_eq!((code, &fault["line"], &fault["column"]), (78, &json!(1), &json!(6)), "{told}");
}

#[test]
fn what_is_printed_is_a_file_that_comes_to_the_same() {
    let short = file("short.toml", "backends = [\"http://10.0.0.1\"]");
    let (code, printed, stderr) = ended(&["check", "--print", &short]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        printed.contains(
            "\n[pools.default]\nbackends = [\n    { url = \"http://10.0.0.1:80\", slots = 1 },\n]\n"
        )
    );
    let again = ended_on(idleway(&["check", "--print", "-"]), &printed);
    assert_eq!(again, (0, printed, String::new()));
}

#[test]
fn faults_are_coloured_where_that_is_wanted() {
    let bad = file("bad-colour.toml", "backends = []\n");
    let told = |name: &str, value: &str| {
        let mut command = idleway(&["check", &bad]);
        command.env(name, value);
        ended_on(command, "").2
    };
    let plain = ended(&["check", &bad]).2;
    assert!(!plain.contains('\x1b'), "{plain}");
    let coloured = told("CLICOLOR_FORCE", "1");
    assert!(coloured.contains("\x1b[1;31ma pool needs at least one backend\x1b[0m\n"), "{coloured:?}");
    let mut bare = coloured.clone();
    while let Some(start) = bare.find('\x1b') {
        let end = start + bare[start..].find('m').unwrap();
        bare.replace_range(start..=end, "");
    }
    assert_eq!(bare, plain);
    assert_eq!(told("NO_COLOR", "1"), plain);
}
