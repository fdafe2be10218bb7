//! The decoders of the doors against bytes that are nearly requests. A fuzzer goes on from here: `../fuzz/`.

#[path = "../fuzz/decoders.rs"]
mod decoders;

use std::{env, fs, path::Path};

use loopscope_collector::otlp::{Signal, json as otlp_json};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span::Link},
};
use proptest::{collection::vec, prelude::*, sample::Index};
use prost::Message as _;

/// A request with everything that the decoders look at.
fn request() -> ExportTraceServiceRequest {
    let any = |value| AnyValue { value: Some(value) };
    let pair = |key: &str, value| KeyValue { key: key.into(), value: Some(any(value)), ..Default::default() };
    let attributes = vec![
        pair("service.name", Value::StringValue("checkout".into())),
        pair("faas.coldstart", Value::BoolValue(true)),
        pair(
            "ids",
            Value::ArrayValue(ArrayValue { values: vec![any(Value::IntValue(7)), any(Value::DoubleValue(0.5))] }),
        ),
    ];
    let span = |id: u8| Span {
        trace_id: vec![id % 2 + 1; 16],
        span_id: vec![id; 8],
        parent_span_id: vec![id - 1; 8],
        name: "op".into(),
        kind: 2,
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_100_000_000,
        attributes: attributes.clone(),
        links: vec![Link {
            trace_id: vec![9; 16],
            span_id: vec![9; 8],
            attributes: attributes.clone(),
            ..Default::default()
        }],
        status: Some(Status { code: 2, message: "broken".into() }),
        ..Default::default()
    };
    let scope_spans = vec![ScopeSpans { spans: (1..5).map(span).collect(), ..Default::default() }];
    let resource = Some(Resource { attributes, ..Default::default() });
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { resource, scope_spans, ..Default::default() }] }
}

/// Bytes with some of them replaced, taken out or put in.
fn spoiled(good: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    vec((any::<Index>(), any::<u8>(), 0..3_u8), 1..6).prop_map(move |edits| {
        let mut bytes = good.clone();
        for (at, byte, how) in edits {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        bytes
    })
}

/// The fuzzer begins with these requests; those in protobuf are made from those in JSON.
#[test]
fn seeds_are_good_requests() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (signal, name) in [(Signal::Traces, "traces"), (Signal::Logs, "logs"), (Signal::Metrics, "metrics")] {
        let json = fs::read(seeds.join("json").join(name).with_extension("json")).unwrap();
        let converted = otlp_json::to_protobuf(signal, &json).unwrap().protobuf;
        decoders::json(&json);
        let seed = seeds.join("protobuf").join(name);
        if env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(&seed, &converted).unwrap();
        }
        assert!(fs::read(&seed).is_ok_and(|seed| seed == converted), "{name}: UPDATE_GENERATED=1 makes it again");
    }
}

proptest! {
    #[test]
    fn all_agree_on_any_bytes(bytes in vec(any::<u8>(), 0..300)) {
        decoders::protobuf(&bytes);
        decoders::json(&bytes);
    }

    #[test]
    fn all_agree_on_spoiled_requests(bytes in spoiled(request().encode_to_vec())) {
        decoders::protobuf(&bytes);
    }

    #[test]
    fn json_that_is_taken_is_good_protobuf(bytes in spoiled(serde_json::to_vec(&request()).unwrap_or_default())) {
        decoders::json(&bytes);
    }
}
