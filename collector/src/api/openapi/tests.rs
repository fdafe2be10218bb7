//! The document against what is really answered: no route without a word, no word without a route, and every message
//! as its type writes it.

use std::{collections::BTreeSet, fs, path::Path};

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value as Field,
    prost::Message as _,
};

use super::*;
use crate::api::{ENDPOINTS, written};

/// Messages within messages that are filled; what is deeper stays absent.
const DEPTH: usize = 4;

fn whole() -> Value {
    document(&Schema::load(), ENDPOINTS)
}

/// A value of a field that is not its default.
fn filled(field: &FieldDescriptor, depth: usize) -> Field {
    let value = match field.kind() {
        Kind::Double => Field::F64(0.5),
        Kind::Uint32 => Field::U32(u32::MAX),
        Kind::Uint64 => Field::U64(u64::MAX),
        Kind::Bool => Field::Bool(true),
        Kind::String => Field::String("text".to_owned()),
        Kind::Enum(words) => Field::EnumNumber(words.values().last().unwrap().number()),
        Kind::Message(message) => Field::Message(sample(message, depth)),
        other => panic!("{} is {other:?}: fill it here", field.full_name()),
    };
    if field.is_list() { Field::List(vec![value]) } else { value }
}

/// A message with all its fields.
fn sample(message: MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut sample = DynamicMessage::new(message);
    if sample.descriptor().full_name() == "google.protobuf.Timestamp" {
        sample.set_field_by_name("seconds", Field::I64(1_800_000_000));
    } else if depth > 0 {
        for field in sample.descriptor().fields() {
            sample.set_field(&field, filled(&field, depth - 1));
        }
    }
    sample
}

/// Compares a value with its schema, stricter than a validator: an object has neither more nor fewer fields. Patterns
/// and bounds are left to the check of a running server.
fn compare(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let target = document.pointer(name.trim_start_matches('#'));
        return compare(document, target.unwrap_or_else(|| panic!("{place}: {name} leads nowhere")), value, place);
    }
    if let Some(other) = schema["anyOf"].as_array() {
        let wanted = if value.is_null() { 1 } else { 0 };
        return compare(document, &other[wanted], value, place);
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds: Vec<_> = schema["type"].as_array().map_or(vec![&schema["type"]], |kinds| kinds.iter().collect());
    assert!(kinds.contains(&&json!(kind)), "{place} is written as {value}, and told to be {schema}");
    if schema["format"] == "date-time" && !value.is_null() {
        value.as_str().unwrap().parse::<prost_types::Timestamp>().unwrap();
    }
    if let Some(words) =
        schema["enum"].as_array().filter(|_| schema.get("format").is_none() && place.ends_with("state"))
    {
        assert!(words.contains(value), "{place}: {value}");
    }
    for item in value.as_array().into_iter().flatten() {
        compare(document, &schema["items"], item, place);
    }
    if let Some(object) = value.as_object() {
        let told: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(object.keys().collect::<BTreeSet<_>>(), told, "{place}");
        let required = schema["required"].as_array().map_or(0, Vec::len);
        assert_eq!(required, told.len(), "{place}: all fields are written, so all are required");
        for (name, inner) in object {
            compare(document, &schema["properties"][name], inner, &format!("{place}.{name}"));
        }
    }
}

#[test]
fn answers_are_written_as_the_document_tells() {
    let (document, pool) = (whole(), DescriptorPool::decode(loopscope_proto::schema::DESCRIPTORS).unwrap());
    for endpoint in ENDPOINTS {
        let message = pool.get_message_by_name(&format!("loopscope.v1.{}", endpoint.answer)).unwrap();
        for depth in 0..=DEPTH {
            let value = written(endpoint.call, &sample(message.clone(), depth).encode_to_vec());
            compare(&document, &reference(endpoint.answer, Side::Answer), &value, endpoint.answer);
        }
    }
}

/// Rust files of the API, without its tests.
fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            sources(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn every_route_is_in_the_document_and_every_path_of_it_has_a_route() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![("api.rs".to_owned(), fs::read_to_string(source.join("api.rs")).unwrap())];
    sources(&source.join("api"), &mut files);
    let mut routed: BTreeSet<String> = ENDPOINTS.iter().map(|endpoint| endpoint.path.to_owned()).collect();
    for (name, text) in &files {
        // Those of the list are made by the macro, whose route has no path of its own.
        for rest in text.split(".route(").skip(1).filter(|rest| !rest.starts_with("$path")) {
            let path = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next());
            routed.insert(path.unwrap_or_else(|| panic!("{name} has a route whose path is no text")).to_owned());
        }
    }
    let told = whole()["paths"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(told, routed, "left: the document, right: the router");
}

#[test]
fn every_operation_has_a_name_and_a_sentence_and_every_parameter_is_one_value() {
    let document = whole();
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let mut names = BTreeSet::new();
    for operation in operations {
        assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
        assert!(operation["summary"].as_str().unwrap().ends_with('.'), "{operation}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(!parameter["description"].as_str().unwrap().is_empty(), "{parameter}");
            assert!(parameter["schema"]["type"].is_string(), "{parameter}");
        }
    }
    let calls: BTreeSet<_> =
        Schema::load().calls().iter().filter(|it| !it.is_stream).map(|it| it.name.clone()).collect();
    assert!(names.is_superset(&calls), "{names:?} {calls:?}");
}
