//! What a value is beyond its type: bounds of numbers, and what the name of a field says of its text.
//!
//! A rule is for all fields of a name, or for that of one message. Words that may grow by more are no rule: a reader
//! must not break on a kind of resource that it does not know.

use prost_types::field_descriptor_proto::Type;
use serde_json::{Value, json};

/// What a value looks like.
enum Format {
    /// So many hexadecimal digits.
    Hex(usize),
    /// One of these words.
    Word(&'static [&'static str]),
    /// From 0 to 1.
    Part,
    /// From the one to the other.
    Between(u32, u32),
}

/// The rules: the name of a field, or message and field.
const FORMATS: &[(&str, Format)] = &[
    ("Exemplars.trace_ids", Format::Hex(32)),
    ("GetCostRequest.limit", Format::Between(1, 1_000)),
    ("GetExemplarsRequest.node", Format::Hex(16)),
    ("GetExemplarsRequest.source", Format::Hex(16)),
    ("GetExemplarsRequest.target", Format::Hex(16)),
    ("ListHotspotsRequest.limit", Format::Between(1, 1_000)),
    ("ListHotspotsRequest.root", Format::Hex(16)),
    ("Loop.id", Format::Hex(32)),
    ("Verdict.loop_id", Format::Hex(32)),
    ("Verdict.verdict", Format::Word(&["expected", "runaway", "clear"])),
    ("confidence", Format::Part),
    ("exemplar_trace_ids", Format::Hex(32)),
    ("function_id", Format::Hex(16)),
    ("sampling_probability", Format::Part),
    ("share", Format::Part),
    ("span_id", Format::Hex(16)),
    ("trace_id", Format::Hex(32)),
];

/// Fields without which a request makes no sense.
const REQUIRED: &[&str] = &["Verdict.verdict"];

/// True when a request has to have the field.
pub(super) fn is_required(message: &str, field: &str) -> bool {
    REQUIRED.contains(&format!("{message}.{field}").as_str())
}

/// The JSON Schema of a scalar field.
pub(super) fn scalar(kind: Type, message: &str, field: &str) -> Value {
    let mut value = match kind {
        Type::String => json!({"type": "string"}),
        Type::Bool => json!({"type": "boolean"}),
        Type::Double | Type::Float => json!({"type": "number", "format": "double"}),
        Type::Uint32 | Type::Fixed32 => {
            json!({"type": "integer", "format": "uint32", "minimum": 0, "maximum": u32::MAX})
        }
        Type::Uint64 | Type::Fixed64 => json!({"type": "integer", "format": "uint64", "minimum": 0}),
        Type::Int32 | Type::Sint32 | Type::Sfixed32 => {
            json!({"type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX})
        }
        Type::Int64 | Type::Sint64 | Type::Sfixed64 => json!({"type": "integer", "format": "int64"}),
        // `proto/tests/generated.rs` refuses what has no JSON form.
        Type::Bytes | Type::Group | Type::Message | Type::Enum => json!({}),
    };
    match rule(message, field) {
        Some(Format::Hex(digits)) => {
            value["pattern"] = format!("^[0-9a-fA-F]{{{digits}}}$").into();
            value["examples"] = json!([&"4bf92f3577b34da6a3ce929d0e0e4736"[..*digits]]);
        }
        Some(Format::Word(words)) => value["enum"] = json!(words),
        Some(Format::Between(least, most)) => (value["minimum"], value["maximum"]) = (json!(least), json!(most)),
        Some(Format::Part) => (value["minimum"], value["maximum"]) = (json!(0), json!(1)),
        None => {}
    }
    value
}

fn rule(message: &str, field: &str) -> Option<&'static Format> {
    let fits = |name: &str| name.split_once('.').map_or(name == field, |(of, name)| of == message && name == field);
    FORMATS.iter().find(|(name, _)| fits(name)).map(|(_, format)| format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    #[test]
    fn every_rule_is_for_a_field() {
        let schema = Schema::load();
        for name in FORMATS.iter().map(|(name, _)| name).chain(REQUIRED) {
            let (of, name) = name.split_once('.').map_or((None, *name), |(of, name)| (Some(of), name));
            let mut messages = schema.messages.iter().filter(|(message, _)| of.is_none_or(|of| of == *message));
            assert!(messages.any(|(_, (_, fields))| fields.iter().any(|field| field.name == name)), "{name}");
        }
    }
}
