//! A small receiver of OTLP over HTTP, in place of a collector: it keeps what it is sent, and OpenTelemetry's own package reads it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::harness::*;

pub(super) struct Collector {
    pub(super) backend: Backend,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Collector {
    pub(super) fn new() -> Self {
        let bodies: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let kept = Arc::clone(&bodies);
        let backend = Backend::new(move |visit| {
            let body = visit.body()?;
            let is_right = visit.head.line == "POST /v1/traces HTTP/1.1"
                && visit.head.fields.one("Content-Type") == Some("application/x-protobuf");
            if !is_right {
                return visit.finish("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            }
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(body);
            visit.finish("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        });
        Self { backend, bodies }
    }

    /// What a configuration says of it.
    pub(super) fn line(&self, more: &str) -> String {
        format!("traces = {{ endpoint = {:?}{more} }}\n", self.backend.url())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bodies.lock().unwrap().is_empty()
    }

    /// All spans so far, as OpenTelemetry's package for Python reads them; none where there is no Python.
    pub(super) fn spans(&self) -> Option<Vec<Value>> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("otlp");
        let packages = ["opentelemetry-proto==1.45.2", "protobuf==7.36.2"];
        let python = needs("Python with opentelemetry-proto", crate::python::with(&folder, &packages))?;
        let mut command = Command::new(python);
        let mut child =
            command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let bodies = self.bodies.lock().unwrap().clone();
        let hex = |body: &Vec<u8>| body.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
        let lines: String = bodies.iter().map(hex).collect();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }
}

const SCRIPT: &str = r#"
import json, sys
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest as Request
def plain(pairs):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
for line in sys.stdin:
    request = Request.FromString(bytes.fromhex(line))
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                print(json.dumps({
                    "service": plain(resource.resource.attributes)["service.name"], "scope": scope.scope.name,
                    "trace": span.trace_id.hex(), "span": span.span_id.hex(), "parent": span.parent_span_id.hex(),
                    "name": span.name, "kind": span.kind, "start": span.start_time_unix_nano, "end": span.end_time_unix_nano,
                    "attributes": plain(span.attributes), "status": span.status.code, "message": span.status.message,
                    "events": [{"at": event.time_unix_nano, "name": event.name, "attributes": plain(event.attributes)}
                               for event in span.events],
                }))
"#;
