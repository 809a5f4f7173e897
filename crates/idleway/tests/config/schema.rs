//! The JSON Schema of the file: it is the code's, and says of a file's shape what `check` says.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use idleway::config::{Plan, schema};
use serde_json::{Value, json};

use super::EVERYTHING;

const COMMITTED: &str = include_str!("../../../../docs/idleway.schema.json");

#[test]
fn the_committed_schema_is_the_codes() {
    let committed: Value = serde_json::from_str(COMMITTED).unwrap();
    assert!(
        committed == schema(),
        "docs/idleway.schema.json is not what the code says; renew it:\n  \
         cargo run -p idleway -- schema > docs/idleway.schema.json"
    );
}

/// Every key of the table and of those below it, as `pools.health.every`; the keys of a pool stand in `pools` too.
pub(super) fn keys() -> Vec<String> {
    let root = schema();
    let mut found = Vec::new();
    walk(&root, &root, "", &mut found);
    found
}

fn walk(root: &Value, table: &Value, path: &str, found: &mut Vec<String>) {
    if !table.is_object() {
        return;
    }
    for part in ["allOf", "anyOf"] {
        table[part].as_array().into_iter().flatten().for_each(|choice| walk(root, choice, path, found));
    }
    if let Some(name) = table["$ref"].as_str() {
        let name = name.strip_prefix("#/definitions/").unwrap();
        walk(root, &root["definitions"][name], path, found);
    }
    for below in ["items", "additionalProperties"] {
        walk(root, &table[below], path, found);
    }
    for (key, below) in table["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        walk(root, below, &path, found);
        found.push(path);
    }
}

#[test]
fn every_key_has_words_and_a_default_or_none() {
    let root = schema();
    let definitions = root["definitions"].as_object().unwrap().values();
    for (key, said) in
        std::iter::once(&root).chain(definitions).flat_map(|t| t["properties"].as_object().unwrap())
    {
        let words = said["description"].as_str().unwrap_or_else(|| panic!("{key} has no words: {said}"));
        // In the words of the file, not of its types.
        assert!(!words.contains("`["), "{key}: {words}");
    }
    assert!(keys().len() > 100 && keys().contains(&"pools.health.every".to_owned()), "{:?}", keys());
}

/// A default that the schema tells is the one that counts.
#[test]
fn the_defaults_that_it_tells_are_those_of_the_plan() {
    let root = schema();
    let base = "backends = [\"http://name\"]\n";
    let usual = |extra: &str| {
        Plan::from_toml(&format!("{base}{extra}"), "idleway.toml")
            .unwrap_or_else(|faults| panic!("{extra}: {faults}"))
    };
    let mut told = 0;
    for (table, place, beside) in [
        (&root["properties"], "", ""),
        (&root["definitions"]["LimitsKeys"]["properties"], "limits.", ""),
        (&root["definitions"]["ClientKeys"]["properties"], "client.", ""),
        (&root["definitions"]["QueueKeys"]["properties"], "queue.", "queue.length = 5\n"),
        (&root["definitions"]["RetryKeys"]["properties"], "retry.", ""),
        (&root["definitions"]["HealthKeys"]["properties"], "health.", "health.path = \"/\"\n"),
    ] {
        for (key, said) in table.as_object().unwrap() {
            let Some(default) = said.get("default") else { continue };
            let beside = if key == "busy_rest_max" { "busy_status = [503]\n" } else { beside };
            let written = format!("{beside}{place}{key} = {default}\n");
            assert_eq!(usual(&written), usual(beside), "{written}");
            told += 1;
        }
    }
    assert!(told >= 50, "only {told} defaults");
}

/// What is wrong by its shape, and so is the schema's to refuse.
const BY_SHAPE: &[&str] = &[
    "unknown key",
    "expected a",
    " what? a",
    "has no unit",
    "is not a duration",
    "is not a size",
    "is not a share",
    "needs its `",
    "is not a choice here",
    "no `busy_status` says",
];

#[test]
fn it_says_of_a_files_shape_what_check_says() {
    let json_of = |text: &str| serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap();
    let good = [
        ("every key", EVERYTHING),
        ("one line", "backends = [\"http://127.0.0.1:6000\"]"),
        ("what is printed", include_str!("printed.toml")),
        (
            "what is expanded",
            "backends = [\"${A}\", { url = \"http://${B}\" }]\ntimeout = \"${file:t}\"\nabandon = \"${C}\"",
        ),
    ];
    let mut cases: Vec<Value> = good
        .iter()
        .map(|(name, text)| json!({ "name": name, "file": json_of(text), "good": true }))
        .collect();
    for case in include_str!("faults.txt").split("=== ").skip(1) {
        let (name, rest) = case.split_once('\n').unwrap();
        let (text, told) = rest.split_once("--- is told\n").unwrap();
        if told.lines().any(|line| BY_SHAPE.iter().any(|shape| line.contains(shape))) {
            cases.push(json!({ "name": name, "file": json_of(text), "good": false }));
        }
    }
    assert!(cases.len() > 25, "{} cases", cases.len());
    let Some(python) = python_with_jsonschema() else {
        assert!(std::env::var_os("CI").is_none(), "there is no Python with jsonschema");
        println!("not tried, since there is no Python with jsonschema");
        return;
    };
    let script = "\
import json, sys
from jsonschema import Draft7Validator
given = json.load(sys.stdin)
Draft7Validator.check_schema(given['schema'])
validator = Draft7Validator(given['schema'])
for case in given['cases']:
    if validator.is_valid(case['file']) != case['good']:
        print(case['name'], [e.message for e in validator.iter_errors(case['file'])])
";
    let mut child = Command::new(python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let given = json!({ "schema": schema(), "cases": cases }).to_string();
    child.stdin.take().unwrap().write_all(given.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success() && done.stdout.is_empty(), "{}", String::from_utf8_lossy(&done.stdout));
}

/// A Python that has `jsonschema`, in an environment of its own that later runs find again.
fn python_with_jsonschema() -> Option<PathBuf> {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("python-jsonschema");
    let python = place.join("bin/python");
    let done = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let has = || done(Command::new(&python).args(["-c", "import jsonschema"]));
    let made = || {
        done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place))
            && done(Command::new(&python).args(["-m", "pip", "install", "--quiet", "jsonschema==4.23.0"]))
    };
    (has() || made() && has()).then_some(python)
}
