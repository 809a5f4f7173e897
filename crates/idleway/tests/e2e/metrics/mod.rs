//! What Prometheus is told: counted against what clients and backends have seen.

mod counts;
mod files;
mod once;
mod reader;

use std::collections::BTreeMap;

use idleway::Gateway;

use crate::harness::*;

/// The page, by `name{labels}`.
fn page(gateway: &Gateway) -> BTreeMap<String, f64> {
    let text = gateway.handle().metrics();
    let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    let all: Vec<_> = samples.collect();
    let count = all.len();
    let page: BTreeMap<_, _> = all.into_iter().collect();
    assert_eq!(page.len(), count, "a series that stands there twice in\n{text}");
    page
}

/// Waits until the sample is this: a request is counted when its task has ended, which its client does not see.
#[track_caller]
fn until(gateway: &Gateway, name: &str, value: f64) {
    eventually(&format!("{name} {value}"), || {
        page(gateway).get(name).is_some_and(|now| (now - value).abs() < 1e-9)
    });
}
