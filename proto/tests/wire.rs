//! The JSON form of the messages: what scripts and pages rely on.

use loopscope_proto::v1;
use serde_json::json;

#[test]
fn times_are_text_enumerations_are_words_and_absent_is_null() {
    let found = v1::Loop {
        id: "ab".into(),
        functions: vec!["thumbnail".into()],
        state: v1::LoopState::Growing.into(),
        severity: v1::Severity::Critical.into(),
        max_depth: 17,
        first_seen: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 250_000_000 }),
        ..Default::default()
    };
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["state"], "growing");
    assert_eq!(json["severity"], "critical");
    assert_eq!(json["max_depth"], 17);
    assert_eq!(json["first_seen"], "2023-11-14T22:13:20.250Z");
    assert_eq!(json["last_seen"], json!(null));
    assert_eq!(json["lap_p50_ms"], json!(null));
    assert_eq!(serde_json::from_value::<v1::Loop>(json).unwrap(), found);
}

#[test]
fn readers_ignore_what_they_do_not_know_and_fill_in_what_is_missing() {
    let read: v1::Function = serde_json::from_value(json!({"id": "1", "of_a_later_version": {"x": [1]}})).unwrap();
    assert_eq!(read, v1::Function { id: "1".into(), ..Default::default() });
}

#[test]
fn a_wrong_word_is_an_error_that_names_it() {
    let error = serde_json::from_value::<v1::Loop>(json!({"state": "sideways"})).unwrap_err();
    assert!(error.to_string().contains("sideways"), "{error}");
}
