//! The JSON Schema of the file, for editors: made from its [shape](super::file), with the words that stand there.
//!
//! It tells what each key takes by itself; what keys mean together, `check` tells. JSON Schema draft 7, which the editors'
//! extensions for TOML read.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::file::{AccessLogKeys, BackendEntry, BackendKeys, GatewayKeys, PoolKeys};
use super::spanned::Spanned;
use super::value::{AccessLog, Count, Header, Methods, Period, Share, Size, Status, Statuses};

/// The schema of the configuration file, as JSON Schema of draft 7.
pub fn schema() -> Value {
    let mut settings = SchemaSettings::draft07();
    // First: what then is a bare reference may have no words beside it in draft 7, which another one sees to.
    settings.transforms.insert(0, Box::new(without_null));
    let mut generator = settings.into_generator();
    let pool = generator.root_schema_for::<PoolKeys>();
    let mut root = generator.into_root_schema_for::<GatewayKeys>();
    // The pool keys at the top level make a pool of their own.
    let pool_keys = pool.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(Value::Object(keys)) = root.get_mut("properties") {
        keys.extend(pool_keys);
    }
    root.insert("title".to_owned(), "The configuration of Idleway".into());
    root.insert("description".to_owned(), DESCRIPTION.into());
    root.insert("dependencies".to_owned(), pool_dependencies());
    root.to_value()
}

const DESCRIPTION: &str = "The pool keys at the top level make a pool, `default`, which takes every request that no route \
                           sends elsewhere. Durations, sizes and shares carry their unit.";

/// Keys that mean something only beside others.
pub(super) fn pool_dependencies() -> Value {
    json!({ "busy_rest_max": ["busy_status"], "weights": ["fair_by"], "slots_per_key": ["fair_by"] })
}

/// TOML has no null: what need not be there is left out.
fn without_null(schema: &mut Schema) {
    let Some(keys) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = keys.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            keys.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = keys.get_mut("anyOf") {
        choices.retain(|choice| choice != &json!({ "type": "null" }));
        if let [Value::Object(only)] = &choices[..] {
            let only = only.clone();
            keys.remove("anyOf");
            let own: Map<String, Value> = std::mem::take(keys);
            keys.extend(only);
            keys.extend(own);
        }
    }
    transform_subschemas(&mut without_null, schema);
}

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// The schema of a kind of value, which stands at each key that takes it.
macro_rules! value {
    ($kind:ty, $name:expr, $generator:ident => $schema:expr) => {
        impl JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

value!(AccessLog, "AccessLog", generator => {
    json_schema!({ "anyOf": [{ "type": "boolean" }, generator.subschema_for::<AccessLogKeys>()] })
});
value!(Header, "Header", _generator => json_schema!({ "type": ["string", "boolean"] }));

/// A text of this pattern, or one in which something is expanded.
fn text(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": format!(r"{pattern}|\$\{{") })
}

/// The same, or the bare number 0, which needs no unit.
fn quantity(units: &str) -> Schema {
    let text = text(&format!("^[0-9]+ *({units})$|^0+$"));
    json_schema!({ "anyOf": [text, { "const": 0 }] })
}

/// One of these words, or a text in which something is expanded, or one of this pattern.
fn words(words: &[&str], or: Option<&str>) -> Schema {
    let other = or.map_or_else(|| json!({ "type": "string", "pattern": r"\$\{" }), text);
    json_schema!({ "anyOf": [{ "enum": words }, other] })
}

const OF_A_FIELD: &str = "^header:[A-Za-z0-9!#$%&'*+.^_`|~-]+$";

value!(Period, "Duration", _generator => quantity("ms|s|m|h|d"));
value!(Size, "Size", _generator => quantity("B|KiB|MiB|GiB|KB|MB|GB"));
value!(Share, "Share", _generator => {
    json_schema!({ "anyOf": [text("^([0-9]{1,2}|100) *%$|^0+$"), { "const": 0 }] })
});
value!(Count, "Count", _generator => json_schema!({ "type": "integer", "minimum": 0 }));
value!(Methods, "Methods", generator => {
    let one = generator.subschema_for::<Method>();
    json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
});
value!(Status, "Status", _generator => {
    let text = text("^[2-5][0-9][0-9](-[2-5][0-9][0-9])?$|^[2-5]xx$");
    json_schema!({ "anyOf": [text, { "type": "integer", "minimum": 200, "maximum": 599 }] })
});
value!(Statuses, "Statuses", generator => {
    let one = generator.subschema_for::<Status>();
    json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
});
value!(BackendEntry, "Backend", generator => {
    let (url, keys) = (generator.subschema_for::<Url>(), generator.subschema_for::<BackendKeys>());
    json_schema!({ "anyOf": [url, keys] })
});

/// Declares what a text at some keys has to look like.
macro_rules! texts {
    ($($name:ident => $schema:expr;)*) => {
        $(
            #[derive(Debug)]
            pub(super) struct $name;
            value!($name, stringify!($name), _generator => $schema);
        )*
    };
}

fn like(pattern: &str) -> Schema {
    text(pattern).try_into().unwrap_or_default()
}

texts! {
    Admin => json_schema!({ "anyOf": [text(r"^.+:[0-9]{1,5}$"), { "const": false }] });
    Address => like(r"^.+:[0-9]{1,5}$");
    Network => like(r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$");
    Url => like(r"^[Hh][Tt][Tt][Pp]://[^/?#@\s]+/?$");
    Path => like("^/");
    Method => like("^[A-Z0-9!#$%&'*+.^_`|~-]+$");
    Abandon => words(&["linger", "cancel"], None);
    ColdStart => words(&["trust", "prove"], Some("^[0-9]+ *(ms|s|m|h|d)$|^0+$"));
    Fin => words(&["ask", "gone", "answer"], None);
    Resolve => words(&["one", "all"], None);
    FairBy => words(&["none", "ip"], Some(OF_A_FIELD));
    Priority => words(&["high", "normal", "low"], Some(OF_A_FIELD));
}
