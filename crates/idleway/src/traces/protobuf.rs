//! Spans as OpenTelemetry's collectors read them: `ExportTraceServiceRequest` in Protocol Buffers (OTLP 1).

use super::{Span, Value};

/// The bytes of a request to export these spans of a service.
pub(crate) fn encode(service: &str, spans: &[Span]) -> Vec<u8> {
    let mut resource = Vec::new();
    message(&mut resource, 1, &attribute("service.name", &service.into()));
    let mut scope = Vec::new();
    text(&mut scope, 1, "idleway");
    text(&mut scope, 2, env!("CARGO_PKG_VERSION"));
    let mut of_scope = Vec::new();
    message(&mut of_scope, 1, &scope);
    for span in spans {
        message(&mut of_scope, 2, &self::span(span));
    }
    let mut of_resource = Vec::new();
    message(&mut of_resource, 1, &resource);
    message(&mut of_resource, 2, &of_scope);
    let mut request = Vec::new();
    message(&mut request, 1, &of_resource);
    request
}

fn span(span: &Span) -> Vec<u8> {
    /// `STATUS_CODE_ERROR`
    const ERROR: u64 = 2;
    let mut out = Vec::with_capacity(512);
    message(&mut out, 1, &span.trace);
    message(&mut out, 2, &span.span);
    if let Some(parent) = &span.parent {
        message(&mut out, 4, parent);
    }
    text(&mut out, 5, &span.name);
    number(&mut out, 6, span.kind as u64);
    fixed(&mut out, 7, span.start);
    fixed(&mut out, 8, span.end);
    for (key, value) in &span.attributes {
        message(&mut out, 9, &attribute(key, value));
    }
    for event in &span.events {
        let mut inner = Vec::new();
        fixed(&mut inner, 1, event.at);
        text(&mut inner, 2, event.name);
        for (key, value) in &event.attributes {
            message(&mut inner, 3, &attribute(key, value));
        }
        message(&mut out, 11, &inner);
    }
    if let Some(error) = &span.error {
        let mut status = Vec::new();
        text(&mut status, 2, error);
        number(&mut status, 3, ERROR);
        message(&mut out, 15, &status);
    }
    out
}

fn attribute(key: &str, value: &Value) -> Vec<u8> {
    let mut any = Vec::new();
    match value {
        Value::Text(value) => message(&mut any, 1, value.as_bytes()),
        Value::Number(value) => number(&mut any, 3, value.cast_unsigned()),
        Value::Float(value) => fixed(&mut any, 4, value.to_bits()),
    }
    let mut pair = Vec::new();
    text(&mut pair, 1, key);
    message(&mut pair, 2, &any);
    pair
}

/// A field of bytes: a message, a text or bytes.
fn message(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// One that is empty is as good as none.
fn text(out: &mut Vec<u8>, field: u64, text: &str) {
    if !text.is_empty() {
        message(out, field, text.as_bytes());
    }
}

fn number(out: &mut Vec<u8>, field: u64, number: u64) {
    varint(out, field << 3);
    varint(out, number);
}

fn fixed(out: &mut Vec<u8>, field: u64, bits: u64) {
    varint(out, field << 3 | 1);
    out.extend_from_slice(&bits.to_le_bytes());
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}
