//! What is read is what serde reads.

use std::collections::BTreeMap;

use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use serde_json::{Value, json};

use super::*;

/// Makes a message of a name with a value in each field, a few in each list.
struct Samples {
    messages: BTreeMap<String, DescriptorProto>,
    made: u32,
}

impl Samples {
    fn load() -> Self {
        let all = FileDescriptorSet::decode(include_bytes!("../generated/loopscope.v1.bin").as_slice()).unwrap();
        let ours = all.file.into_iter().filter(|file| file.package() == "loopscope.v1");
        let messages = ours.flat_map(|file| file.message_type).map(|it| (format!(".loopscope.v1.{}", it.name()), it));
        Self { messages: messages.collect(), made: 0 }
    }

    fn message(&mut self, name: &str) -> Value {
        let fields = self.messages[name].field.clone();
        fields.iter().map(|field| (field.name().to_owned(), self.field(field))).collect()
    }

    fn field(&mut self, field: &FieldDescriptorProto) -> Value {
        if field.label() == Label::Repeated {
            return (0..2).map(|_| self.value(field)).collect();
        }
        // A message that stands in many places would make the sample grow without end.
        let is_left_out = field.proto3_optional() && self.made.is_multiple_of(5);
        if is_left_out {
            self.made += 1;
            Value::Null
        } else {
            self.value(field)
        }
    }

    fn value(&mut self, field: &FieldDescriptorProto) -> Value {
        self.made += 1;
        let made = self.made;
        match field.r#type() {
            Type::Double => {
                [json!(f64::from(made) / 64.0), json!(made), json!(1e-9), json!(-2.5e20)][made as usize % 4].clone()
            }
            Type::Uint32 => made.into(),
            Type::Uint64 => (u64::MAX - u64::from(made)).into(),
            Type::Bool => made.is_multiple_of(2).into(),
            Type::String => format!("\"é\\\n\u{1}\u{1f300}/{made}").into(),
            Type::Message if field.type_name() == ".google.protobuf.Timestamp" => "2026-11-23T02:58:41.125Z".into(),
            Type::Message => self.message(field.type_name()),
            Type::Enum if field.type_name().ends_with("LoopState") => "growing".into(),
            Type::Enum => "critical".into(),
            other => panic!("{other:?}"),
        }
    }
}

#[track_caller]
fn check<M: Read + PartialEq + std::fmt::Debug + serde::de::DeserializeOwned>(name: &str) {
    let sample = Samples::load().message(&format!(".loopscope.v1.{name}"));
    for text in [sample.to_string(), serde_json::to_string_pretty(&sample).unwrap()] {
        let found: M = read(&text).unwrap();
        assert_ne!(found, M::default());
        assert_eq!(found, serde_json::from_str::<M>(&text).unwrap());
    }
}

#[test]
fn every_answer_is_read_as_serde_reads_it() {
    check::<v1::LiveEvent>("LiveEvent");
    check::<v1::Laps>("Laps");
    check::<v1::Trace>("Trace");
    check::<v1::AlertList>("AlertList");
    check::<v1::AnomalyList>("AnomalyList");
    check::<v1::Exemplars>("Exemplars");
    check::<v1::VerdictList>("VerdictList");
    check::<v1::IntendedList>("IntendedList");
    check::<v1::FunctionList>("FunctionList");
    check::<v1::FunctionProfile>("FunctionProfile");
    check::<v1::CostReport>("CostReport");
    check::<v1::PatternReport>("PatternReport");
    check::<v1::ChangeList>("ChangeList");
}

#[test]
fn what_is_missing_or_unknown_does_no_harm() {
    let text = r#" {"new": {"a": [1, "x]", {}, null, true, false]}, "share": 0.5 , "rank": 3, "p95_ms": null} "#;
    let found: v1::Hotspot = read(text).unwrap();
    assert_eq!(found, v1::Hotspot { rank: 3, share: 0.5, ..v1::Hotspot::default() });
    assert_eq!(read::<v1::Hotspot>("{}").unwrap(), v1::Hotspot::default());
    let pair: v1::Hotspot = read(r#"{"function": "\ud83c\udf00 \ud83c \u00e9"}"#).unwrap();
    assert_eq!(pair.function, "\u{1f300} \u{fffd} é");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let deep = "[".repeat(100);
    let cases = [
        ("", "an object expected at byte 0"),
        ("{", "a text expected at byte 1"),
        (r#"{"rank": "x"}"#, "a number expected at byte 9"),
        (r#"{"rank": 1.5}"#, "a number expected at byte 9"),
        (r#"{"rank" 1}"#, "a colon expected at byte 8"),
        (r#"{"function": "x}"#, "the end of a text expected at byte 14"),
        (r#"{"function": "\x"}"#, "an escape expected at byte 15"),
        (r#"{"function": "\u12"}"#, "four hexadecimal digits expected at byte 16"),
        (r#"{"rank": 1} x"#, "the end expected at byte 12"),
        (r#"{"rank": nul}"#, "null expected at byte 9"),
        (&format!(r#"{{"x": {deep}"#), "less depth expected at byte 70"),
    ];
    for (text, error) in cases {
        assert_eq!(read::<v1::Hotspot>(text).unwrap_err().to_string(), error, "{text}");
    }
    assert_eq!(read::<v1::Loop>(r#"{"state": "wild"}"#).unwrap_err().expected, "a known word");
    assert_eq!(read::<v1::Loop>(r#"{"first_seen": "today"}"#).unwrap_err().expected, "a time");
}

#[test]
fn numbers_are_those_of_the_standard_library_to_a_digit() {
    for text in ["0", "-0.5", "12", "0.1", "3.141592653589793", "1e21", "-2.5e-300", "123456789012345678901234", "5E+3"]
    {
        let exact: f64 = text.parse().unwrap();
        let found = number(text).unwrap();
        assert!((found - exact).abs() <= exact.abs() * 1e-15, "{text}: {found}");
    }
    for text in ["", "-", "x", "1x", "1.5.2", "e5", "--1", "NaN", " 1"] {
        assert_eq!(number(text), None, "{text}");
    }
    assert_eq!((number("1e999"), number("1e-999")), (Some(f64::INFINITY), Some(0.0)));
}

#[test]
fn a_text_is_found_where_it_is() {
    let text = r#"{"x": {"message": "no"}, "error": {"code": "bad", "message": "give a bound"}, "y": [1]}"#;
    assert_eq!(text_at(text, &["error", "message"]).as_deref(), Some("give a bound"));
    assert_eq!([text_at(text, &["error"]), text_at(text, &["e"]), text_at("<html>", &["e"])], [None, None, None]);
}
