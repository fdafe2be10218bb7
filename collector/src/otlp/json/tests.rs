//! What OTLP/JSON becomes as protobuf.

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::any_value::Value,
    metrics::v1::{metric::Data, number_data_point},
    trace::v1::Span,
};
use prost::Message as _;
use serde_json::json;

use super::*;
use crate::otlp::{traces, wire::Fields};

const TRACE: &str = "5B8EFFF798038103D269B633813FC60C";

#[track_caller]
fn bytes(json: &str) -> Vec<u8> {
    to_protobuf(Signal::Traces, json.as_bytes()).unwrap().protobuf
}

#[track_caller]
fn one_span(span: serde_json::Value) -> Span {
    let json = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).to_string();
    let request = ExportTraceServiceRequest::decode(bytes(&json).as_slice()).unwrap();
    request.resource_spans[0].scope_spans[0].spans[0].clone()
}

#[track_caller]
fn value(any: serde_json::Value) -> Option<Value> {
    let span = one_span(json!({"attributes": [{"key": "k", "value": any}]}));
    span.attributes[0].value.clone().and_then(|any| any.value)
}

#[track_caller]
fn refused(json: &str) -> String {
    to_protobuf(Signal::Traces, json.as_bytes()).unwrap_err().to_string()
}

#[test]
fn empty_requests_are_empty() {
    for json in ["{}", r#"{"resourceSpans":[]}"#, r#"{"resourceSpans":null}"#, r#"{"resource_spans":[{}]}"#] {
        assert_eq!(bytes(json), b"", "{json}");
    }
}

#[test]
fn a_span_with_everything_says_the_same() {
    let span = one_span(json!({
        "traceId": TRACE, "spanId": "eee19b7ec3c1b174", "parentSpanId": "EEE19b7ec3c1b173", "traceState": "a=b",
        "name": "GET /", "kind": 2, "flags": "257", "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": 1_544_712_661_000_000_000_u64, "droppedAttributesCount": "3",
        "attributes": [{"key": "k", "value": {"stringValue": "v"}}],
        "events": [{"timeUnixNano": 7, "name": "e", "attributes": [{"key": "n", "value": {"intValue": "-9"}}]}],
        "links": [{"traceId": TRACE.to_lowercase(), "spanId": "0102030405060708", "flags": 1}],
        "status": {"code": 2, "message": "broken"},
        "someNewField": {"a": [1, {"b": null}]},
    }));
    assert_eq!(span.trace_id, span.links[0].trace_id);
    assert_eq!(span.trace_id[..3], [0x5b, 0x8e, 0xff]);
    assert_eq!(span.parent_span_id[7], 0x73);
    assert_eq!((span.kind, span.flags, span.dropped_attributes_count), (2, 257, 3));
    assert_eq!(span.start_time_unix_nano + 1_000_000_000, span.end_time_unix_nano);
    assert_eq!(span.events[0].attributes[0].value.clone().unwrap().value, Some(Value::IntValue(-9)));
    let status = span.status.unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "broken"));
}

#[test]
fn null_is_the_default_everywhere() {
    let span = one_span(json!({
        "traceId": null, "parentSpanId": null, "name": null, "kind": null, "startTimeUnixNano": null,
        "attributes": null, "status": null, "flags": null, "links": [null],
    }));
    assert_eq!(span, Span { links: vec![Default::default()], ..Default::default() });
}

#[test]
fn enumerations_come_by_number_by_quoted_number_and_by_name() {
    for kind in [json!(3), json!("3"), json!("SPAN_KIND_CLIENT"), json!(3.0)] {
        assert_eq!(one_span(json!({"kind": kind})).kind, 3);
    }
    assert_eq!(one_span(json!({"kind": "SPAN_KIND_OF_TOMORROW"})).kind, 0);
    assert_eq!(one_span(json!({"kind": -1})).kind, -1);
    assert_eq!(one_span(json!({"status": {"code": "STATUS_CODE_ERROR"}})).status.unwrap().code, 2);
}

#[test]
fn values_come_in_all_forms() {
    assert_eq!(value(json!({"intValue": "42"})), Some(Value::IntValue(42)));
    assert_eq!(value(json!({"intValue": 1.0})), Some(Value::IntValue(1)));
    assert_eq!(value(json!({"intValue": 0})), Some(Value::IntValue(0)));
    assert_eq!(value(json!({"intValue": 1e21})), Some(Value::DoubleValue(1e21)));
    assert_eq!(value(json!({"intValue": "1e+21"})), Some(Value::DoubleValue(1e21)));
    assert_eq!(value(json!({"intValue": u64::MAX})), Some(Value::DoubleValue(u64::MAX as f64)));
    assert_eq!(value(json!({"doubleValue": "1.5"})), Some(Value::DoubleValue(1.5)));
    assert_eq!(value(json!({"doubleValue": "-Infinity"})), Some(Value::DoubleValue(f64::NEG_INFINITY)));
    assert!(matches!(value(json!({"doubleValue": "NaN"})), Some(Value::DoubleValue(nan)) if nan.is_nan()));
    assert_eq!(value(json!({"doubleValue": null})), None);
    assert_eq!(value(json!({"boolValue": false})), Some(Value::BoolValue(false)));
    assert_eq!(value(json!({"stringValue": ""})), Some(Value::StringValue(String::new())));
    assert_eq!(value(json!({"arrayValue": {}})), Some(Value::ArrayValue(Default::default())));
    assert_eq!(value(json!({"kvlistValue": {"values": []}})), Some(Value::KvlistValue(Default::default())));
    assert_eq!(value(json!({})), None);
    for text in ["+/8=", "-_8", "+/8", "-_8="] {
        assert_eq!(value(json!({"bytesValue": text})), Some(Value::BytesValue(vec![0xfb, 0xff])), "{text}");
    }
}

#[test]
fn messages_longer_than_one_length_byte_are_closed_right() {
    for length in [0, 100, 110, 120, 126, 127, 128, 129, 130, 16_000, 16_383, 16_384, 70_000] {
        let text = "x".repeat(length);
        assert_eq!(value(json!({"stringValue": text})), Some(Value::StringValue(text)), "{length}");
    }
}

#[test]
fn an_id_that_is_not_hexadecimal_costs_its_span() {
    let span = |id: serde_json::Value| json!({"traceId": id, "spanId": "0102030405060708", "name": "op"});
    let spans = [
        span(json!(TRACE)),
        span(json!("W47/95gDgQPSabYzgT/GDA==")),
        span(json!("0x5B8EFFF798038103D269B633813FC60C")),
        span(json!("5B8EFFF798038103D269B633813FC60")),
        span(json!("")),
        span(json!(17)),
        span(json!(TRACE)),
    ];
    let request = bytes(&json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string());
    let checked = traces::check(&request, u64::MAX).unwrap();
    assert_eq!((checked.accepted, checked.rejected), (2, 5));
    assert!(checked.message().unwrap().contains("32 hexadecimal digits"));
}

#[test]
fn texts_that_are_not_json_are_refused() {
    for json in [
        "",
        "null",
        "[]",
        "{} {}",
        "{}x",
        "\u{feff}{}",
        r#"{"resourceSpans":[],"resourceSpans":[]}"#,
        r#"{"resourceSpans":{}}"#,
        r#"{"resourceSpans":[{"schemaUrl":5}]}"#,
        r#"{"resourceSpans":[{"schemaUrl":"\ud800"}]}"#,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":[]}]}]}]}"#,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"yesterday"}]}]}]}"#,
    ] {
        assert!(refused(json).contains("OTLP/JSON traces"), "{json}");
    }
}

/// A request with a span whose second attribute is of so many levels, and a third attribute after it.
fn deep(levels: usize, open: &str, close: &str) -> Converted {
    let attributes = |spans: &str| {
        let attributes = json!([{"key": "a"}, {"key": "deep", "value": "DEEP"}, {"key": "b"}]);
        json!({"resourceSpans": [{spans: [{"spans": [{"attributes": attributes}]}]}]}).to_string()
    };
    let value = open.repeat(levels) + r#"{"intValue":7}"# + &close.repeat(levels);
    let json = attributes("scopeSpans").replace(r#""DEEP""#, &value);
    to_protobuf(Signal::Traces, json.as_bytes()).unwrap()
}

/// How many values lie in one another below the second attribute of the only span, and whether all fields are well.
fn levels(request: &[u8]) -> usize {
    let len = |message, wanted| {
        let mut fields = Fields::new(message);
        std::iter::from_fn(move || fields.next().unwrap())
            .filter(move |field| field.number == wanted)
            .map(|field| field.value)
    };
    let first = |message, number| len(message, number).next().and_then(|value| value.len().ok());
    let span = first(first(first(request, 1).unwrap(), 2).unwrap(), 2).unwrap();
    let attributes: Vec<_> = len(span, 9).map(|value| value.len().unwrap()).collect();
    assert_eq!(attributes.len(), 3);
    let mut value = first(attributes[1], 2).unwrap();
    for level in 0.. {
        let inner = first(value, 5).and_then(|list| first(list, 1));
        let inner = inner.or_else(|| first(value, 6).and_then(|list| first(list, 1)).and_then(|pair| first(pair, 2)));
        match inner {
            Some(inner) => value = inner,
            None => return level,
        }
    }
    unreachable!("the loop has no end")
}

const LIST: (&str, &str) = (r#"{"arrayValue":{"values":["#, "]}}");
const PAIRS: (&str, &str) = (r#"{"kvlistValue":{"values":[{"key":"k","value":"#, "}]}}");

#[test]
fn values_are_followed_further_than_anybody_writes_them() {
    for (open, close) in [LIST, PAIRS] {
        for depth in [1, 30, 64, 128] {
            let converted = deep(depth, open, close);
            assert_eq!((levels(&converted.protobuf), converted.values_cut), (depth, 0));
        }
        for depth in [200, 100_000] {
            let converted = deep(depth, open, close);
            assert_eq!(converted.values_cut, 1);
            assert!((128..200).contains(&levels(&converted.protobuf)));
        }
    }
    // The deepest that others can read as well, and a long text in it, for which all the lengths must be right.
    let json = format!("{}{}{}", LIST.0.repeat(40), json!({"stringValue": "x".repeat(70_000)}), LIST.1.repeat(40));
    let mut any = value(serde_json::from_str(&json).unwrap());
    for _ in 0..40 {
        let Some(Value::ArrayValue(mut list)) = any else { panic!("{any:?}") };
        any = list.values.remove(0).value;
    }
    assert_eq!(any, Some(Value::StringValue("x".repeat(70_000))));
}

#[test]
fn fields_that_nobody_knows_may_be_as_deep_as_they_like() {
    let nested = r#"{"a":["#.repeat(1_000_000) + "1" + &"]}".repeat(1_000_000);
    assert_eq!(bytes(&format!(r#"{{"resourceSpans":[],"unknown":{nested}}}"#)), b"");
}

#[test]
fn numbers_out_of_range_become_the_nearest_in_range() {
    assert_eq!(one_span(json!({"startTimeUnixNano": -5})).start_time_unix_nano, 0);
    assert_eq!(one_span(json!({"startTimeUnixNano": "1e30"})).start_time_unix_nano, u64::MAX);
    assert_eq!(one_span(json!({"startTimeUnixNano": 1.7})).start_time_unix_nano, 1);
    assert_eq!(one_span(json!({"flags": 5_000_000_000_u64})).flags, u32::MAX);
}

#[test]
fn logs_and_metrics_go_by_the_same_table() {
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
        {"timeUnixNano": "5", "severityNumber": 9, "body": {"stringValue": "hello"}, "traceId": TRACE},
        {"severityNumber": "SEVERITY_NUMBER_WARN", "body": null},
    ]}]}]});
    let logs = to_protobuf(Signal::Logs, logs.to_string().as_bytes()).unwrap().protobuf;
    let logs = ExportLogsServiceRequest::decode(logs.as_slice()).unwrap();
    let records = &logs.resource_logs[0].scope_logs[0].log_records;
    assert_eq!((records[0].severity_number, records[1].severity_number), (9, 13));
    assert_eq!(records[0].trace_id.len(), 16);

    let metrics = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "a", "gauge": {"dataPoints": [{"asInt": "-3", "attributes": null}, {"asDouble": "NaN"}]}},
        {"name": "b", "sum": {"aggregationTemporality": "AGGREGATION_TEMPORALITY_DELTA", "isMonotonic": true}},
        {"name": "c", "histogram": {"dataPoints": [{"bucketCounts": ["1", 2], "explicitBounds": [0.5]}]}},
        {"name": "d", "exponentialHistogram": {"dataPoints": [
            {"scale": -2, "positive": {"offset": -1, "bucketCounts": ["7"]}}
        ]}},
        {"name": "e", "summary": {"dataPoints": [{"quantileValues": [{"quantile": 0.5, "value": 9}]}]}},
    ]}]}]});
    let metrics = to_protobuf(Signal::Metrics, metrics.to_string().as_bytes()).unwrap().protobuf;
    let metrics = ExportMetricsServiceRequest::decode(metrics.as_slice()).unwrap();
    let data: Vec<_> =
        metrics.resource_metrics[0].scope_metrics[0].metrics.iter().map(|metric| metric.data.clone()).collect();
    assert!(matches!(&data[0], Some(Data::Gauge(gauge))
        if gauge.data_points[0].value == Some(number_data_point::Value::AsInt(-3))));
    assert!(matches!(&data[1], Some(Data::Sum(sum)) if sum.aggregation_temporality == 1 && sum.is_monotonic));
    assert!(matches!(&data[2], Some(Data::Histogram(histogram))
        if histogram.data_points[0].bucket_counts == [1, 2] && histogram.data_points[0].explicit_bounds == [0.5]));
    assert!(matches!(&data[3], Some(Data::ExponentialHistogram(histogram))
        if histogram.data_points[0].scale == -2
            && histogram.data_points[0].positive.as_ref().is_some_and(|p| p.offset == -1 && p.bucket_counts == [7])));
    assert!(matches!(&data[4], Some(Data::Summary(summary))
        if summary.data_points[0].quantile_values[0].value == 9.0));
}
