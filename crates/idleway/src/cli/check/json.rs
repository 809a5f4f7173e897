//! What a check found, as JSON: `docs/configuration.md` has its keys.

use idleway::config::{Fault, Faults};
use serde_json::{Value, json};

/// One object, in one line.
pub(super) fn of(file: &str, faults: Option<&Faults>) -> String {
    let faults: Vec<Value> = faults.into_iter().flat_map(Faults::iter).map(of_fault).collect();
    json!({ "file": file, "faults": faults }).to_string()
}

fn of_fault(fault: &Fault) -> Value {
    json!({
        // There is no other: what does not stop the gateway is no fault.
        "severity": "error",
        "message": fault.message,
        "hint": fault.hint,
        "line": fault.place().map(|place| place.line),
        "column": fault.place().map(|place| place.column),
        "end_line": fault.end().map(|end| end.line),
        "end_column": fault.end().map(|end| end.column),
        "text": fault.text(),
    })
}
