//! The commented example file: every key stands in it, and what it says of each is true.

use std::collections::BTreeSet;

use idleway::config::Plan;

use super::schema::keys;

const EXAMPLE: &str = include_str!("../../../../docs/idleway.example.toml");

/// From here on everything is an example, and goes together.
const EXAMPLES: &str = "#[pools.gpu]";

fn plan(text: &str) -> Plan {
    Plan::from_toml(text, "idleway.toml").unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

/// A line with a key that is commented out.
struct Line<'a> {
    text: &'a str,
    has_default: bool,
    /// The key without which it means nothing.
    with: Option<&'a str>,
}

impl Line<'_> {
    fn of(line: &str) -> Option<Line<'_>> {
        let text =
            line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))?;
        let remark = text.rsplit_once("  # ").map_or("", |(_, remark)| remark);
        let with = remark.split_once("with ").map(|(_, with)| with);
        Some(Line { text, has_default: !remark.starts_with("no default"), with })
    }
}

fn lines() -> impl Iterator<Item = Line<'static>> {
    defaults().lines().filter_map(Line::of)
}

fn defaults() -> &'static str {
    EXAMPLE.split(EXAMPLES).next().unwrap()
}

/// The file with this line uncommented.
fn with(line: &Line<'_>) -> String {
    let commented = format!("#{}", line.text);
    assert_eq!(EXAMPLE.matches(&commented).count(), 1, "{commented}");
    let with = line.with.map(|with| format!("{with}\n")).unwrap_or_default();
    EXAMPLE.replace(&commented, &format!("{with}{}", line.text))
}

#[test]
fn what_stands_there_is_the_default() {
    let usual = plan(EXAMPLE);
    let backends = "backends = [\"http://127.0.0.1:6000\", \"http://localhost:6001\"]";
    assert_eq!(usual, plan(backends));
    assert!(EXAMPLE.starts_with("#:schema ./idleway.schema.json\n"));
    let mut all = EXAMPLE.to_owned();
    let mut told = 0;
    for line in lines().filter(|line| line.has_default) {
        let without = line
            .with
            .map_or_else(|| usual.clone(), |with| plan(&EXAMPLE.replace(&format!("#{}", line.text), with)));
        assert_eq!(plan(&with(&line)), without, "{}", line.text);
        if line.with.is_none() {
            all = all.replace(&format!("#{}", line.text), line.text);
        }
        told += 1;
    }
    assert_eq!(plan(&all), usual);
    assert!(told > 40, "only {told} defaults");
}

#[test]
fn what_has_no_default_is_an_example_that_counts() {
    let usual = plan(EXAMPLE);
    let mut told = 0;
    for line in lines().filter(|line| !line.has_default) {
        let without = line
            .with
            .map_or_else(|| usual.clone(), |with| plan(&EXAMPLE.replace(&format!("#{}", line.text), with)));
        let threads = line.text.starts_with("threads");
        assert!(threads || plan(&with(&line)) != without, "it is the default: {}", line.text);
        told += 1;
    }
    assert!(told > 8, "only {told} examples");
}

/// What comes last with all its comments taken off, and whether each is still a key.
fn examples() -> String {
    let (_, examples) = EXAMPLE.split_once(EXAMPLES).unwrap();
    let bare: String = examples
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(text) if !text.starts_with(' ') => format!("{text}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    format!("{}{bare}", &EXAMPLES[1..])
}

#[test]
fn the_pool_and_the_routes_at_its_end_are_right() {
    let plan = plan(&format!("{}{}", defaults(), examples()));
    let names: Vec<_> = plan.pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(names, ["default", "gpu"]);
    assert_eq!(plan.routes.iter().count(), 4, "with the one that takes the rest");
}

#[test]
fn every_key_stands_in_it() {
    let mut found = BTreeSet::new();
    let mut table = String::new();
    for line in defaults().lines().chain(examples().lines()) {
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_matches(['[', ']']).to_owned();
        }
        let text = Line::of(line).map_or(line, |line| line.text);
        if let Ok(keys) = toml::from_str::<toml::Table>(text) {
            collect(&table, &toml::Value::Table(keys), &mut found);
        }
    }
    // The keys of a pool are shown once, at the top level.
    let shown = |key: &str| found.contains(key) || found.contains(&key.replace("pools.", ""));
    let of_gpu = |key: &str| found.contains(&key.replace("pools.", "pools.gpu."));
    let of_backend = |key: &str| key.starts_with("backends.") && of_gpu(&format!("pools.{key}"));
    let missing: Vec<_> = keys()
        .into_iter()
        .filter(|key| key != "pools" && !shown(key) && !of_gpu(key) && !of_backend(key))
        .collect();
    assert!(missing.is_empty(), "not in docs/idleway.example.toml: {missing:?}");
}

/// Every key in the value, with the names that lead to it.
fn collect(path: &str, value: &toml::Value, found: &mut BTreeSet<String>) {
    found.insert(path.to_owned());
    match value {
        toml::Value::Table(keys) => {
            for (key, value) in keys {
                collect(&if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, value, found);
            }
        }
        toml::Value::Array(elements) => elements.iter().for_each(|element| collect(path, element, found)),
        _ => {}
    }
}
