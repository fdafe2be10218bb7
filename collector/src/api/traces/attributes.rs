//! Attributes as text for people.

use loopscope_proto::v1;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use serde_json::{Map, Value as Json};

/// Longer values are cut, in characters.
const LONGEST_VALUE: usize = 4_096;

/// Attributes ordered by key; structured values are JSON, long ones are cut and end with an ellipsis.
pub(super) fn texts(attributes: &[KeyValue]) -> Vec<v1::Attribute> {
    let mut texts: Vec<v1::Attribute> = attributes
        .iter()
        .map(|attribute| v1::Attribute { key: attribute.key.clone(), value: value_text(attribute.value.as_ref()) })
        .collect();
    texts.sort_by(|a, b| a.key.cmp(&b.key));
    texts
}

/// A value as text: structured values are JSON, long ones are cut and end with an ellipsis.
pub(super) fn value_text(value: Option<&AnyValue>) -> String {
    cut(text(value))
}

fn text(value: Option<&AnyValue>) -> String {
    match json(value) {
        Json::String(text) => text,
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

/// Values nest no deeper than the decoders of requests allow.
fn json(value: Option<&AnyValue>) -> Json {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => Json::String(text.clone()),
        Some(Value::BoolValue(truth)) => Json::Bool(*truth),
        Some(Value::IntValue(number)) => Json::from(*number),
        // JSON has no word for infinities; people can still read them.
        Some(Value::DoubleValue(number)) if !number.is_finite() => Json::String(number.to_string()),
        Some(Value::DoubleValue(number)) => Json::from(*number),
        Some(Value::BytesValue(bytes)) => Json::String(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        Some(Value::ArrayValue(list)) => list.values.iter().map(|value| json(Some(value))).collect(),
        Some(Value::KvlistValue(list)) => {
            let entries = list.values.iter().map(|entry| (entry.key.clone(), json(entry.value.as_ref())));
            Json::Object(entries.collect::<Map<_, _>>())
        }
        Some(Value::StringValueStrindex(_)) | None => Json::Null,
    }
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST_VALUE) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};

    use super::*;

    fn any(value: Value) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    #[track_caller]
    fn check(value: Value, want: &str) {
        assert_eq!(text(Some(&any(value))), want);
    }

    #[test]
    fn every_kind_of_value_has_a_text() {
        check(Value::StringValue("a \"b\"".into()), "a \"b\"");
        check(Value::BoolValue(true), "true");
        check(Value::IntValue(-3), "-3");
        check(Value::DoubleValue(0.5), "0.5");
        check(Value::DoubleValue(f64::INFINITY), "inf");
        check(Value::BytesValue(vec![0, 255]), "00ff");
        let list = vec![any(Value::IntValue(1)), any(Value::StringValue("x".into()))];
        check(Value::ArrayValue(ArrayValue { values: list }), r#"[1,"x"]"#);
        let entry = KeyValue { key: "k".into(), value: Some(any(Value::BoolValue(false))), ..Default::default() };
        check(Value::KvlistValue(KeyValueList { values: vec![entry] }), r#"{"k":false}"#);
        assert_eq!(text(None), "");
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let long = cut("ä".repeat(LONGEST_VALUE + 1));
        assert_eq!(long.chars().count(), LONGEST_VALUE + 1);
        assert!(long.ends_with('…'));
        assert_eq!(cut("ä".repeat(LONGEST_VALUE)), "ä".repeat(LONGEST_VALUE));
    }
}
