//! What is told of messages, next to what serde writes of them.

use std::collections::BTreeSet;

use super::*;
use crate::v1;

fn property(message: &str, field: &str, side: Side) -> Value {
    let components = Schema::load().components(message, side);
    let mut property = components[&component(message, side)]["properties"][field].clone();
    let description = property.as_object_mut().and_then(|it| it.remove("description"));
    assert!(description.is_some_and(|text| text.as_str().is_some_and(|text| text.ends_with('.'))), "{message}.{field}");
    property
}

#[test]
fn every_message_field_and_call_is_explained() {
    let schema = Schema::load();
    assert!(schema.messages.len() > 50 && schema.calls().len() > 10);
    let fields = schema.messages.values().flat_map(|(_, fields)| fields);
    let texts = schema.messages.values().map(|(comment, _)| comment).chain(fields.map(|field| &field.comment));
    for text in texts.chain(schema.calls().iter().map(|call| &call.comment)) {
        let is_sentence = text.ends_with('.') || text.is_empty();
        assert!(is_sentence, "{text:?}");
    }
    let silent = |(name, (comment, fields)): (&String, &(String, Vec<Field>))| {
        let is_ours = !matches!(name.as_str(), ".google.protobuf.Timestamp" | "Timestamp");
        (is_ours && (comment.is_empty() || fields.iter().any(|field| field.comment.is_empty()))).then(|| name.clone())
    };
    assert_eq!(schema.messages.iter().filter_map(silent).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_field_looks_as_it_is_written() {
    assert_eq!(property("Function", "name", Side::Answer), json!({"type": "string"}));
    assert_eq!(
        property("Function", "baseline_p95_ms", Side::Answer),
        json!({"type": ["number", "null"], "format": "double"})
    );
    assert_eq!(property("Function", "last_seen", Side::Answer)["type"], json!(["string", "null"]));
    assert_eq!(property("Verdict", "max_depth", Side::Request)["maximum"], u32::MAX);
    assert_eq!(property("LoopList", "loops", Side::Answer)["items"], reference("Loop", Side::Answer));
    assert_eq!(property("Loop", "cut", Side::Answer)["anyOf"][0], reference("CutAdvice", Side::Answer));
}

#[test]
fn the_words_of_an_enumeration_are_those_of_the_types() {
    let words = property("Loop", "state", Side::Answer)["enum"].clone();
    let known: BTreeSet<_> = words.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect();
    assert!(known.iter().all(|word| v1::LoopState::from_word(word).is_some()));
    let all = (0..).map_while(|number| v1::LoopState::try_from(number).ok()).map(v1::LoopState::word);
    assert_eq!(known, all.collect());
}

#[test]
fn only_answers_have_to_have_all_fields() {
    let schema = Schema::load();
    assert_eq!(schema.components("Verdict", Side::Answer)["Verdict"]["required"].as_array().unwrap().len(), 4);
    assert_eq!(schema.components("Verdict", Side::Request)["VerdictBody"]["required"], json!(["verdict"]));
    assert!(schema.components("Intended", Side::Request)["IntendedBody"].get("required").is_none());
}

#[test]
fn messages_in_messages_are_components_too() {
    let names: Vec<_> = Schema::load().components("HotspotList", Side::Answer).into_keys().collect();
    assert_eq!(names, ["EdgeRef", "Hotspot", "HotspotChange", "HotspotList", "RootOperation", "TimeRange"]);
}
