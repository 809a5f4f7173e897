//! Prometheus's own client reads the page.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;

/// A Python that has what reads our files.
pub(super) fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prometheus");
    let packages = ["prometheus-client==0.26.0", "PyYAML==6.0.3"];
    needs("Python with prometheus-client and PyYAML", crate::python::with(&folder, &packages))
}

/// What the script prints of this text.
pub(super) fn run(python: &Path, script: &str, text: &str) -> String {
    let mut command = Command::new(python);
    let mut child =
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// As Prometheus's own client reads it.
#[test]
fn prometheus_reads_it() {
    let Some(python) = python() else { return };
    let a = Backend::answering("a");
    let gateway = gateway(&[&a], "[[routes]]\npath = \"/a%22quote\"");
    assert_eq!(ask(&gateway, get("/a%22quote")).status(), 200);
    until(&gateway, "idleway_requests_total{route=\"/a\\\"quote\",pool=\"default\",code=\"200\"}", 1.0);
    let script = "\
import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.type in ('counter', 'gauge', 'histogram') and family.documentation, family
    for sample in family.samples:
        print(sample.name, family.type, sorted(sample.labels), float(sample.value))
        if sample.name == 'idleway_requests_total':
            print('route', sample.labels['route'])
";
    let text = gateway.handle().metrics();
    let read = run(&python, script, &text);
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    let routes: Vec<_> = read.lines().filter_map(|line| line.strip_prefix("route ")).collect();
    assert_eq!(routes, ["/a\"quote"]);
    assert_eq!(read.lines().count() - routes.len(), samples, "{read}");
    assert!(read.contains("idleway_requests_total counter ['code', 'pool', 'route'] 1.0"), "{read}");
    assert!(
        read.contains("idleway_request_duration_seconds_count histogram ['pool', 'route'] 1.0"),
        "{read}"
    );
}
