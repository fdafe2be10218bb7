//! Requests as exporters send them, and as they should not.

use loopscope_analyzer::{
    attribute::{Attribute, Value},
    span::SpanKind,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, ArrayValue, KeyValue, any_value},
    resource::v1::Resource as WireResource,
    trace::v1::{ResourceSpans, ScopeSpans, Span as WireSpan, Status, span::Link},
};
use proptest::prelude::*;
use prost::Message;
use serde_json::json;

use super::*;
use crate::otlp::json;

fn check(request: &[u8]) -> Result<Checked, EnvelopeError> {
    super::check(request, ItemLimits::default().items)
}

fn spans(request: &[u8]) -> Result<Decoded, EnvelopeError> {
    super::spans(request, &ItemLimits::default())
}

fn span(id: u8) -> WireSpan {
    WireSpan { trace_id: vec![9; 16], span_id: vec![id; 8], name: "op".into(), ..Default::default() }
}

fn request(spans: Vec<WireSpan>) -> Vec<u8> {
    request_of(vec![(vec![], spans)])
}

fn request_of(groups: Vec<(Vec<KeyValue>, Vec<WireSpan>)>) -> Vec<u8> {
    let group = |(attributes, spans)| ResourceSpans {
        resource: Some(WireResource { attributes, ..Default::default() }),
        scope_spans: vec![ScopeSpans { spans, ..Default::default() }],
        ..Default::default()
    };
    ExportTraceServiceRequest { resource_spans: groups.into_iter().map(group).collect() }.encode_to_vec()
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn text(text: &str) -> any_value::Value {
    any_value::Value::StringValue(text.into())
}

/// A request with one span of these raw bytes between two good spans.
fn around(bytes: &[u8]) -> Vec<u8> {
    let len = |number: u8, bytes: &[u8]| {
        let mut field = vec![number << 3 | 2];
        prost::encoding::encode_varint(bytes.len() as u64, &mut field);
        field.extend_from_slice(bytes);
        field
    };
    let spans = [&span(1).encode_to_vec(), bytes, &span(2).encode_to_vec()].map(|bytes| len(2, bytes)).concat();
    len(1, &len(2, &spans))
}

#[track_caller]
fn check_rejected(bytes: &[u8], reason: Rejection) {
    let request = around(bytes);
    let checked = check(&request).unwrap();
    assert_eq!((checked.accepted, checked.rejected, checked.reasons.as_slice()), (2, 1, &[reason][..]));
    assert_eq!(spans(&request).unwrap().spans.len(), 2);
}

#[test]
fn one_bad_span_costs_itself() {
    let with = |change: fn(&mut WireSpan)| {
        let mut span = span(3);
        change(&mut span);
        span.encode_to_vec()
    };
    check_rejected(&[], Rejection::TraceIdLength { length: 0 });
    check_rejected(&with(|s| s.trace_id = vec![1; 15]), Rejection::TraceIdLength { length: 15 });
    check_rejected(&with(|s| s.trace_id = vec![0; 16]), Rejection::TraceIdZero);
    check_rejected(&with(|s| s.span_id = vec![1; 9]), Rejection::SpanIdLength { length: 9 });
    check_rejected(&with(|s| s.span_id = vec![0; 8]), Rejection::SpanIdZero);
    let mut name = with(|_| {});
    let at = name.windows(2).position(|w| w == b"op").unwrap();
    name[at] = 0xff;
    check_rejected(&name, Rejection::Name);
    let mut truncated = with(|s| s.attributes = vec![attribute("k", text("v"))]);
    truncated.pop();
    check_rejected(&truncated, Rejection::Encoding(WireError::Truncated));
    check_rejected(&[with(|_| {}), vec![0x4a, 2, 0x0a, 9]].concat(), Rejection::Encoding(WireError::Truncated));
    check_rejected(&[with(|_| {}), vec![0x3d, 0, 0, 0, 0]].concat(), Rejection::Encoding(WireError::WrongType));
}

#[test]
fn a_broken_envelope_costs_the_request() {
    for bytes in [&b"random text, not protobuf"[..], &[0; 32], &[0x0a, 0xff, 0xff, 0xff, 0x7f], &[0x08, 1]] {
        assert_eq!(check(bytes).unwrap_err(), spans(bytes).unwrap_err());
    }
}

#[test]
fn values_of_any_depth_are_harmless() {
    let mut deep = any_value::Value::BoolValue(true);
    for _ in 0..40 {
        deep = any_value::Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(deep) }] });
    }
    let mut bytes = AnyValue { value: Some(deep) }.encode_to_vec();
    for _ in 0..5_000 {
        let mut outer = vec![0x0a];
        prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
        outer.append(&mut bytes);
        let mut value = vec![0x2a];
        prost::encoding::encode_varint(outer.len() as u64, &mut value);
        value.append(&mut outer);
        bytes = value;
    }
    let mut pair = vec![0x0a, 9];
    pair.extend(b"faas.name");
    pair.push(0x12);
    prost::encoding::encode_varint(bytes.len() as u64, &mut pair);
    pair.extend(bytes);
    let mut raw = span(3).encode_to_vec();
    raw.push(0x4a);
    prost::encoding::encode_varint(pair.len() as u64, &mut raw);
    raw.extend(pair);
    assert_eq!(check(&around(&raw)).unwrap().accepted, 3);
    assert_eq!(spans(&around(&raw)).unwrap().spans[1].attributes.text(Attribute::FaasName), None);
}

#[test]
fn parents_that_cannot_be_are_dropped() {
    let parent = |parent: Vec<u8>| WireSpan { parent_span_id: parent, ..span(3) };
    let decoded = spans(&request(vec![
        parent(vec![]),
        parent(vec![0; 8]),
        parent(vec![4; 8]),
        parent(vec![4; 7]),
        parent(vec![3; 8]),
    ]))
    .unwrap();
    let parents: Vec<_> = decoded.spans.iter().map(|span| span.parent_span_id).collect();
    assert_eq!(parents, [None, None, Some(SpanId([4; 8])), None, None]);
    assert_eq!(decoded.parents_dropped, 2);
}

#[test]
fn links_are_bounded_and_bad_ones_skipped() {
    let link = |trace: u8| Link { trace_id: vec![trace; 16], span_id: vec![1; 8], ..Default::default() };
    let mut links = vec![link(0), Link { span_id: vec![1; 7], ..link(5) }];
    links.extend((0..ItemLimits::default().links + 10).map(|_| link(6)));
    let decoded = spans(&request(vec![WireSpan { links, ..span(1) }])).unwrap();
    assert_eq!(
        decoded.spans[0].links,
        vec![SpanLink::to(TraceId([6; 16]), SpanId([1; 8])); ItemLimits::default().links]
    );
    assert_eq!(decoded.links_dropped, 10);
}

#[test]
fn a_link_keeps_the_id_of_its_message_and_a_span_its_sampling() {
    let message = |key: &str| Link {
        trace_id: vec![1; 16],
        span_id: vec![1; 8],
        attributes: vec![attribute("other", text("x")), attribute(key, text("m1"))],
        ..Default::default()
    };
    let links = vec![message("messaging.message.id"), message("messaging.message_id"), message("unknown")];
    let sampled = WireSpan { links, trace_state: "ot=th:c".into(), ..span(1) };
    let decoded = spans(&request(vec![sampled])).unwrap();
    let ids: Vec<_> = decoded.spans[0].links.iter().map(|link| link.message_id.as_deref()).collect();
    assert_eq!(ids, [Some("m1"), Some("m1"), None]);
    assert_eq!(decoded.spans[0].sampling, Some(0.25));
}

#[test]
fn known_attributes_are_kept_and_lists_joined() {
    let list = any_value::Value::ArrayValue(ArrayValue {
        values: ["orders", "carts"].map(|name| AnyValue { value: Some(text(name)) }).to_vec(),
    });
    let attributes = vec![
        attribute("aws.dynamodb.table_names", list),
        attribute("faas.coldstart", any_value::Value::BoolValue(true)),
        attribute("faas.name", text(&"é".repeat(ItemLimits::default().text_bytes))),
        attribute("my.own", text("not kept")),
    ];
    let resource = vec![attribute("service.name", text("checkout"))];
    let other = vec![attribute("service.name", text("cart"))];
    let decoded =
        spans(&request_of(vec![(resource, vec![WireSpan { attributes, ..span(1) }, span(2)]), (other, vec![span(3)])]))
            .unwrap()
            .spans;
    let first = &decoded[0].attributes;
    assert_eq!(first.text(Attribute::DynamodbTableNames), Some("orders,carts"));
    assert_eq!(first.get(Attribute::FaasColdstart), Some(&Value::Bool(true)));
    assert_eq!(first.text(Attribute::FaasName).map(str::len), Some(ItemLimits::default().text_bytes));
    assert!(Arc::ptr_eq(&decoded[0].resource, &decoded[1].resource));
    let services: Vec<_> =
        decoded.iter().map(|span| span.resource.attributes.text(Attribute::ServiceName).unwrap()).collect();
    assert_eq!(services, ["checkout", "checkout", "cart"]);
}

#[test]
fn status_and_the_error_attribute_both_mean_an_error() {
    let status = |code| WireSpan { status: Some(Status { code, ..Default::default() }), ..span(1) };
    let marked = |value| WireSpan { attributes: vec![attribute("error", value)], ..span(1) };
    let decoded = spans(&request(vec![
        status(2),
        status(1),
        status(7),
        marked(any_value::Value::BoolValue(true)),
        marked(text("true")),
        marked(text("no")),
    ]))
    .unwrap();
    let errors: Vec<_> = decoded.spans.iter().map(|span| span.error).collect();
    assert_eq!(errors, [true, false, false, true, true, false]);
}

#[test]
fn long_names_are_cut_at_a_character() {
    let decoded = spans(&request(vec![WireSpan { name: format!("x{}", "é".repeat(10_000)), ..span(1) }])).unwrap();
    assert_eq!(decoded.spans[0].name.len(), ItemLimits::default().name_bytes - 1);
}

#[test]
fn a_resource_after_its_spans_still_counts() {
    let spans_first = ResourceSpans {
        scope_spans: vec![ScopeSpans { spans: vec![span(1)], ..Default::default() }],
        ..Default::default()
    };
    let resource = ResourceSpans {
        resource: Some(WireResource { attributes: vec![attribute("faas.name", text("late"))], ..Default::default() }),
        ..Default::default()
    };
    let group = [spans_first.encode_to_vec(), resource.encode_to_vec()].concat();
    let mut bytes = vec![0x0a];
    prost::encoding::encode_varint(group.len() as u64, &mut bytes);
    bytes.extend(group);
    let decoded = spans(&bytes).unwrap().spans;
    assert_eq!(decoded[0].resource.attributes.text(Attribute::FaasName), Some("late"));
}

#[test]
fn empty_spans_do_not_amplify_and_the_rest_of_a_huge_request_is_rejected() {
    let empty = around(&[]);
    assert_eq!(check(&empty).unwrap().rejected, 1);
    let request = request(vec![WireSpan { name: String::new(), ..span(1) }; 105]);
    let checked = super::check(&request, 100).unwrap();
    assert_eq!((checked.accepted, checked.rejected), (100, 5));
    assert_eq!(checked.reasons, [Rejection::TooMany { most: 100 }]);
    assert_eq!(checked.trace_ids.len(), 1);
    assert_eq!(super::spans(&request, &ItemLimits::default().of(100)).unwrap().spans.len(), 100);
}

#[test]
fn what_lies_beyond_a_bound_is_counted_and_costs_no_span() {
    let limits = ItemLimits { attributes: 2, name_bytes: 3, text_bytes: 4, ..ItemLimits::default() };
    let named = |name: &str| WireSpan {
        name: name.into(),
        attributes: vec![
            attribute("a", text("long")),
            attribute("faas.name", text("checkout")),
            attribute("b", text("c")),
        ],
        ..span(1)
    };
    let resource =
        vec![attribute("service.name", text("shop")), attribute("x", text("y")), attribute("faas.name", text("f"))];
    let decoded = super::spans(&request_of(vec![(resource, vec![named("get"), named("fetch")])]), &limits).unwrap();
    let names: Vec<&str> = decoded.spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["get", "fet"]);
    assert_eq!(decoded.spans[0].attributes.text(Attribute::FaasName), Some("chec"));
    assert_eq!(decoded.spans[0].resource.attributes.text(Attribute::FaasName), None);
    // A name and two texts are cut; each span and the resource have one attribute too many.
    assert_eq!((decoded.texts_cut, decoded.attributes_dropped), (3, 3));
}

fn any_span() -> impl Strategy<Value = WireSpan> {
    let id = |length: usize| {
        prop_oneof![
            8 => prop::collection::vec(any::<u8>(), length),
            1 => Just(vec![0; length]),
            1 => prop::collection::vec(any::<u8>(), 0..20),
        ]
    };
    let key = prop_oneof![Just("faas.name"), Just("messaging.destination"), Just("error"), Just("other.key")];
    let value = prop_oneof![
        "[a-zé]{0,40}".prop_map(any_value::Value::StringValue),
        any::<bool>().prop_map(any_value::Value::BoolValue),
        any::<i64>().prop_map(any_value::Value::IntValue),
    ];
    let attributes = prop::collection::vec((key, value).prop_map(|(key, value)| attribute(key, value)), 0..6);
    (id(16), id(8), id(8), "[a-zé/ ]{0,60}", -1..8_i32, any::<(u32, u32)>(), attributes, 0..4_i32).prop_map(
        |(trace_id, span_id, parent_span_id, name, kind, (start, length), attributes, code)| WireSpan {
            trace_id,
            span_id,
            parent_span_id,
            name,
            kind,
            start_time_unix_nano: start.into(),
            end_time_unix_nano: u64::from(start) + u64::from(length),
            attributes,
            status: Some(Status { code, ..Default::default() }),
            ..Default::default()
        },
    )
}

fn accepted(spans: &[WireSpan]) -> Vec<&WireSpan> {
    let right = |id: &[u8], length| id.len() == length && id.iter().any(|b| *b != 0);
    spans.iter().filter(|span| right(&span.trace_id, 16) && right(&span.span_id, 8)).collect()
}

/// The request in JSON as the specification writes it.
fn as_json(spans: &[WireSpan]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let value = |value: &any_value::Value| match value {
        any_value::Value::StringValue(text) => json!({"stringValue": text}),
        any_value::Value::BoolValue(truth) => json!({"boolValue": truth}),
        any_value::Value::IntValue(number) => json!({"intValue": number.to_string()}),
        other => panic!("no JSON for {other:?}"),
    };
    let attribute = |attribute: &KeyValue| {
        let any = attribute.value.as_ref().and_then(|any| any.value.as_ref()).unwrap();
        json!({"key": attribute.key, "value": value(any)})
    };
    let span = |span: &WireSpan| {
        json!({
            "traceId": hex(&span.trace_id), "spanId": hex(&span.span_id), "parentSpanId": hex(&span.parent_span_id),
            "name": span.name, "kind": span.kind, "startTimeUnixNano": span.start_time_unix_nano.to_string(),
            "endTimeUnixNano": span.end_time_unix_nano,
            "attributes": span.attributes.iter().map(attribute).collect::<Vec<_>>(),
            "status": {"code": span.status.as_ref().unwrap().code},
        })
    };
    json!({"resourceSpans": [{"scopeSpans": [{"spans": spans.iter().map(span).collect::<Vec<_>>()}]}]}).to_string()
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_both_walks_agree(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for request in [bytes.clone(), around(&bytes)] {
            match (check(&request), spans(&request)) {
                (Ok(checked), Ok(decoded)) => prop_assert_eq!(checked.accepted, decoded.spans.len() as u64),
                (checked, decoded) => prop_assert_eq!(checked.unwrap_err(), decoded.unwrap_err()),
            }
        }
    }

    #[test]
    fn damaged_requests_never_panic_and_both_walks_agree(
        spans_sent in prop::collection::vec(any_span(), 1..6), damage in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..4)
    ) {
        let mut request = request(spans_sent);
        for (at, byte) in damage {
            let at = at.index(request.len());
            request[at] = byte;
        }
        match (check(&request), spans(&request)) {
            (Ok(checked), Ok(decoded)) => {
                let mut ids: Vec<_> = decoded.spans.iter().map(|span| span.trace_id).collect();
                ids.sort_unstable();
                ids.dedup();
                prop_assert_eq!(checked.accepted, decoded.spans.len() as u64);
                prop_assert_eq!(checked.trace_ids, ids);
            }
            (checked, decoded) => prop_assert_eq!(checked.unwrap_err(), decoded.unwrap_err()),
        }
    }

    #[test]
    fn spans_come_out_as_they_went_in(sent in prop::collection::vec(any_span(), 0..8)) {
        let decoded = spans(&request(sent.clone())).unwrap().spans;
        let expected = accepted(&sent);
        prop_assert_eq!(decoded.len(), expected.len());
        for (got, want) in decoded.iter().zip(expected) {
            prop_assert_eq!(&got.trace_id.0[..], &want.trace_id[..]);
            prop_assert_eq!(&got.span_id.0[..], &want.span_id[..]);
            prop_assert_eq!(&*got.name, want.name.as_str());
            prop_assert_eq!(got.kind, SpanKind::from_wire(want.kind.into()));
            prop_assert_eq!((got.start.0, got.end.0), (want.start_time_unix_nano, want.end_time_unix_nano));
            let known = want.attributes.iter().find(|attribute| attribute.key == "faas.name");
            prop_assert_eq!(got.attributes.get(Attribute::FaasName).is_some(), known.is_some());
        }
    }

    #[test]
    fn json_and_protobuf_of_a_request_give_the_same_spans(sent in prop::collection::vec(any_span(), 0..8)) {
        let from_json = json::to_protobuf(Signal::Traces, as_json(&sent).as_bytes()).unwrap().protobuf;
        let (a, b) = (spans(&from_json).unwrap().spans, spans(&request(sent)).unwrap().spans);
        prop_assert_eq!(format!("{a:?}"), format!("{b:?}"));
    }
}

#[test]
fn what_the_status_says_of_an_error_is_kept_in_short() {
    let status = |code, message: &str| Some(Status { code, message: message.to_owned() });
    let failed = WireSpan { status: status(2, &"Task timed out after 3.00 seconds ".repeat(20)), ..span(1) };
    let fine = WireSpan { status: status(1, "fine"), ..span(2) };
    let silent = WireSpan { status: status(2, ""), ..span(3) };
    let decoded = spans(&request(vec![failed, fine, silent])).unwrap().spans;
    let told = |span: &Span| span.attributes.text(Attribute::StatusDescription).map(str::to_owned);
    let text = told(&decoded[0]).unwrap();
    assert!(text.starts_with("Task timed out") && text.len() == STATUS_BYTES, "{text}");
    assert_eq!((told(&decoded[1]), told(&decoded[2]), decoded[2].error), (None, None, true));
}

#[test]
fn only_the_status_of_too_many_requests_is_kept() {
    let answered = |code| {
        let status = attribute("http.response.status_code", any_value::Value::IntValue(code));
        WireSpan { attributes: vec![status], ..span(u8::try_from(code % 100).unwrap() + 1) }
    };
    let decoded = spans(&request(vec![answered(429), answered(503)])).unwrap().spans;
    let kept: Vec<_> = decoded.iter().map(|span| span.attributes.number(Attribute::HttpStatus)).collect();
    assert_eq!(kept, [Some(429), None]);
}
