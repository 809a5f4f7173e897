//! What is told has the shape that docs/openapi.json says, and says all of it.

use std::collections::BTreeSet;

use super::*;

/// What is wrong with a value, by this schema of the document.
fn faults(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let pointer = name.strip_prefix('#').unwrap();
        return faults(document, document.pointer(pointer).unwrap(), value, at);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = choices.iter().any(|choice| faults(document, choice, value, at).is_empty());
        return if fits { Vec::new() } else { vec![format!("{at}: {value} is none of its choices")] };
    }
    let kinds: Vec<_> = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => panic!("{at} has no type"),
    };
    let is_of = |kind: &str| match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => panic!("{at}: a kind of its own: {kind}"),
    };
    let mut found = Vec::new();
    if !kinds.into_iter().any(is_of) {
        found.push(format!("{at}: {value} is of another kind"));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        found.push(format!("{at}: {value} is none of its words"));
    }
    for (nth, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(faults(document, &schema["items"], item, &format!("{at}[{nth}]")));
    }
    if let Some(object) = value.as_object() {
        let required = schema["required"].as_array();
        let missing = required
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .filter(|name| !object.contains_key(*name));
        found.extend(missing.map(|name| format!("{at}.{name} is missing")));
        for (name, value) in object {
            match schema["properties"].get(name) {
                Some(schema) => found.extend(faults(document, schema, value, &format!("{at}.{name}"))),
                None if schema["additionalProperties"].is_object() => {
                    let schema = &schema["additionalProperties"];
                    found.extend(faults(document, schema, value, &format!("{at}.{name}")));
                }
                None => found.push(format!("{at}.{name} is not in the document")),
            }
        }
    }
    found
}

#[test]
fn what_is_told_is_what_the_document_says() {
    let document: Value = serde_json::from_str(include_str!("../../../../../docs/openapi.json")).unwrap();
    let gate = Gate::new();
    let door = gate.door();
    let backend = Backend::new(move |visit| {
        door.pass()?;
        visit.answer("done")
    });
    let mut dead = Backend::answering("x");
    dead.kill();
    let gateway = start(&format!(
        "[pools.default]\nbackends = [\"{}\"]\n[pools.dead]\nbackends = [\"{}\"]\n[[routes]]\npath = \"/dead\"\npool = \"dead\"\n[[routes]]\npool = \"default\"\n",
        backend.url(),
        dead.url()
    ));
    let desk = Desk::with(&gateway, |options| options.reload = Some(Box::new(|| Box::pin(async { Ok(()) }))));
    assert_eq!(ask(&gateway, get("/dead")).status(), 502);
    let mut running = Client::asking(&gateway, get("/"));
    backend.until_at_work();
    eventually("there are events", || {
        desk.told("/v1/events")["events"].as_array().is_some_and(|all| !all.is_empty())
    });
    let own = format!("/v1/pools/default/backends/{}", name(&backend));
    let mut asked = BTreeSet::new();
    for (method, path, real, body) in [
        ("get", "/livez", "/livez", ""),
        ("get", "/readyz", "/readyz", ""),
        ("get", "/metrics", "/metrics", ""),
        ("get", "/v1/status", "/v1/status", ""),
        ("get", "/v1/pools", "/v1/pools", ""),
        ("get", "/v1/pools/{pool}", "/v1/pools/default", ""),
        ("get", "/v1/pools/{pool}", "/v1/pools/none", ""),
        ("get", "/v1/pools/{pool}/backends/{backend}", &own, ""),
        ("get", "/v1/pools/{pool}/backends/{backend}", "/v1/pools/default/backends/none", ""),
        ("put", "/v1/pools/{pool}/backends/{backend}/mode", &format!("{own}/mode"), "{\"mode\":\"drain\"}"),
        ("put", "/v1/pools/{pool}/backends/{backend}/mode", &format!("{own}/mode"), "{}"),
        ("put", "/v1/pools/{pool}/backends/{backend}/slots", &format!("{own}/slots"), "{\"slots\":3}"),
        ("delete", "/v1/pools/{pool}/backends/{backend}/slots", &format!("{own}/slots"), ""),
        ("post", "/v1/reload", "/v1/reload", ""),
        ("get", "/v1/errors", "/v1/errors", ""),
        ("get", "/v1/events", "/v1/events", ""),
        ("get", "/v1/session", "/v1/session", ""),
        ("post", "/v1/session", "/v1/session", &format!("{{\"key\":\"{TOKEN}\"}}")),
        ("post", "/v1/session", "/v1/session", "{\"key\":\"wrong\"}"),
        ("delete", "/v1/session", "/v1/session", ""),
        ("get", "/v1/events", "/v1/events?after=-", ""),
    ] {
        let answer = desk.order(&format!("{} {real}", method.to_uppercase()), body);
        let told = &document["paths"][path][method]["responses"][answer.status().to_string()];
        let kind = answer.field("Content-Type").unwrap();
        let schema = &told["content"][kind]["schema"];
        assert!(schema.is_object(), "{method} {real}: {} {kind} is not in the document", answer.status());
        let is_json = kind.starts_with("application/");
        let body = if is_json { answer.json() } else { Value::from(answer.text()) };
        let found = faults(&document, schema, &body, real);
        assert!(found.is_empty(), "{}\n{}", found.join("\n"), answer.text());
        asked.insert((path, method));
    }
    let told = watch::Watch::of(&desk).next();
    let schema = serde_json::json!({ "$ref": "#/components/schemas/Told" });
    let found = faults(&document, &schema, &told.1, "/v1/watch");
    assert!(found.is_empty(), "{}\n{}", found.join("\n"), told.1);
    asked.insert(("/v1/watch", "get"));
    let all: usize =
        document["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum();
    assert_eq!(asked.len(), all, "not everything in the document was asked for");
    gate.open();
    assert_eq!(running.answer().text(), "done");
}
