//! J1-J12: OTLP/JSON, which is not quite the JSON of protobuf.

use serde_json::{Value, json};

use super::{
    house::{House, Said, check_json_status, said_in_json},
    support::http::JSON,
    wire::Signal,
};

items! {
    j01_ids_are_hexadecimal_in_any_case: Must,
        "ids in lower, upper and mixed case, of links too: accepted; base64: that span is rejected", "";
    j02_enumerations_by_number_and_by_name: Must,
        "`\"kind\":2`, and leniently `\"2\"` and names: accepted, a batch never fails for it",
        "Collector: lenient too. Rotel: an error";
    j03_unknown_fields_are_ignored: Must, "unknown fields with objects, lists, null, at every level: ignored", "";
    j04_only_lower_camel_case: Must,
        "`resource_spans` is an unknown field: success, nothing stored", "Collector: takes some snake case too";
    j05_numbers_in_every_form: Must,
        "64 and 32 bits bare or quoted, doubles quoted, `\"NaN\"`, `\"Infinity\"`, `\"-Infinity\"`: accepted",
        "Rotel: an error for most";
    j06_null_is_the_default: Must, "`null` for any field: as if it were not there", "Rotel: the whole request fails";
    j07_bytes_in_both_alphabets: Advice, "`bytesValue` in base64, standard and url-safe, padded or not: the same bytes",
        "Rotel: an error for url-safe";
    j08_empty_values: Advice,
        "`{\"arrayValue\":{}}`, `{\"kvlistValue\":{}}`, `{\"value\":{}}`, no `value`: empty values",
        "Rotel: an error for the first two";
    j09_numbers_of_javascript: Advice,
        "`1e+21` and integers above 64 bits as `intValue`, null as `doubleValue`: a double, and no value",
        "Rotel: an error";
    j10_what_is_not_json_is_400: Advice,
        "keys given twice, trailing garbage, a byte order mark, lone surrogates, two texts: 400", "";
    j11_depth_costs_no_stack: Advice,
        "values 64 deep are kept whole, those 100,000 deep cut and counted; unknown fields may be that deep",
        "serde_json: the whole request fails";
    j12_answers_are_canonical: Must,
        "`{}`, and `{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"…\"}}` with the count as text",
        "Rotel: none of it";
}

const TRACE: &str = "5b8efff798038103d269b633813fc60c";
const SPAN: &str = "eee19b7ec3c1b174";

/// A request with these spans of a function.
fn of_spans(spans: &[Value]) -> String {
    let name = json!({"key": "service.name", "value": {"stringValue": "json"}});
    json!({"resourceSpans": [{"resource": {"attributes": [name]}, "scopeSpans": [{"spans": spans}]}]}).to_string()
}

/// A span that is good, with these fields in place of its own.
fn span(fields: &Value) -> Value {
    let mut span = json!({
        "traceId": TRACE, "spanId": SPAN, "name": "op", "kind": 2,
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000100000000",
    });
    span.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    span
}

#[track_caller]
fn said(house: &House, spans: &[Value]) -> Said {
    said_in_json(Signal::Traces, &house.post_json(of_spans(spans)))
}

/// How the trace page shows the attribute of a span that has this value.
#[track_caller]
fn shown(house: &House, id: u32, value: &Value) -> String {
    let trace = format!("{id:032x}");
    let attributes = json!([{"key": "given", "value": value}, {"key": "after", "value": {"intValue": 1}}]);
    let span = span(&json!({"traceId": trace, "attributes": attributes}));
    assert_eq!(said(house, &[span]), None, "{value}");
    house.0.caught_up();
    let trace = house.0.get_json(&format!("/api/v1/traces/{trace}"));
    let attributes = trace["spans"][0]["attributes"].to_string();
    assert!(attributes.contains("after"), "{attributes}");
    attributes
}

fn j01_ids_are_hexadecimal_in_any_case() {
    let house = House::new(&[]);
    let upper = TRACE.to_uppercase();
    let mixed = format!("{}{}", &TRACE[..16], &upper[16..]);
    let link = json!([{"traceId": upper, "spanId": SPAN.to_uppercase()}]);
    for (at, id) in [TRACE, &upper, &mixed].into_iter().enumerate() {
        let fields =
            json!({"traceId": id, "spanId": format!("{at:015}A"), "parentSpanId": SPAN.to_uppercase(), "links": link});
        assert_eq!(said(&house, &[span(&fields)]), None, "{id}");
    }
    house.0.caught_up();
    assert_eq!(house.0.get_json(&format!("/api/v1/traces/{TRACE}"))["spans_total"], 3);
    let base64 = json!({"traceId": "W47/95gDgQPSabYzgT/GDA==", "spanId": "7uGbfsPBsXQ="});
    let (rejected, message) = said(&house, &[span(&json!({})), span(&base64)]).unwrap();
    assert_eq!(rejected, 1);
    assert!(message.contains("32 hexadecimal digits"), "{message}");
    for odd in ["0x5B8EFFF798038103D269B633813FC60C", "abcd", "", "5b8efff798038103d269b633813fc60"] {
        assert_eq!(said(&house, &[span(&json!({"traceId": odd}))]).unwrap().0, 1, "{odd}");
    }
    house.lives_on();
}

fn j02_enumerations_by_number_and_by_name() {
    let house = House::new(&[]);
    for (at, kind) in [json!(2), json!("2"), json!("SPAN_KIND_SERVER"), json!(2.0)].into_iter().enumerate() {
        let fields =
            json!({"kind": kind, "traceId": format!("{:032x}", at + 1), "status": {"code": "STATUS_CODE_ERROR"}});
        assert_eq!(said(&house, &[span(&fields)]), None, "{kind}");
    }
    let json = house.function("json");
    assert_eq!((&json["invocations"], &json["errors"]), (&4.into(), &4.into()));
    let newer = json!({"kind": "SPAN_KIND_OF_TOMORROW", "status": {"code": "STATUS_CODE_OF_TOMORROW"}});
    assert_eq!(said(&house, &[span(&newer)]), None);
    house.lives_on();
}

fn j03_unknown_fields_are_ignored() {
    let house = House::new(&[]);
    let unknown = json!({"a": [1, {"b": null}], "c": "d"});
    let with = |mut object: Value| {
        object["someNewField"] = unknown.clone();
        object["another"] = Value::Null;
        object
    };
    let value = with(json!({"stringValue": "v"}));
    let attribute = with(json!({"key": "k", "value": value}));
    let link = with(json!({"traceId": TRACE, "spanId": SPAN}));
    let fields = json!({"attributes": [attribute], "links": [link], "status": with(json!({"code": 1}))});
    let scope = with(json!({"scope": with(json!({})), "spans": [with(span(&fields))]}));
    let group = with(json!({"resource": with(json!({})), "scopeSpans": [scope]}));
    let request = with(json!({"resourceSpans": [group]}));
    assert_eq!(said_in_json(Signal::Traces, &house.post_json(request.to_string())), None);
    assert_eq!(house.counter("spans_received"), 1);
    for signal in [Signal::Logs, Signal::Metrics] {
        let answer = house.post(signal.path(), &[JSON], br#"{"new":[{}],"other":null}"#);
        assert_eq!((answer.status, answer.text()), (200, "{}".into()));
    }
    house.lives_on();
}

fn j04_only_lower_camel_case() {
    let house = House::new(&[]);
    let body = of_spans(&[span(&json!({}))]).replace("resourceSpans", "resource_spans");
    let answer = house.post_json(body);
    assert_eq!((answer.status, answer.text()), (200, "{}".into()));
    assert_eq!(house.counter("journal_position"), 0);
    house.lives_on();
}

fn j05_numbers_in_every_form() {
    let house = House::new(&[]);
    let start = 1_700_000_000_000_000_000_u64;
    for (at, (from, to)) in [
        (json!(start), json!(start + 1_000_000)),
        (json!(start.to_string()), json!((start + 1_000_000).to_string())),
        (json!("1.7e18"), json!("1700000000001000000")),
    ]
    .into_iter()
    .enumerate()
    {
        let fields = json!({
            "traceId": format!("{:032x}", at + 1), "startTimeUnixNano": from, "endTimeUnixNano": to,
            "flags": "257", "droppedAttributesCount": "3", "droppedLinksCount": 4,
        });
        assert_eq!(said(&house, &[span(&fields)]), None);
        house.0.caught_up();
        let trace = house.0.get_json(&format!("/api/v1/traces/{:032x}", at + 1));
        assert_eq!(trace["spans"][0]["duration_ms"], 1.0, "{trace}");
    }
    for (at, (value, text)) in [
        (json!({"intValue": "42"}), "42"),
        (json!({"intValue": -42}), "-42"),
        (json!({"doubleValue": "1.5"}), "1.5"),
        (json!({"doubleValue": "NaN"}), "NaN"),
        (json!({"doubleValue": "Infinity"}), "inf"),
        (json!({"doubleValue": "-Infinity"}), "-inf"),
        (json!({"boolValue": true}), "true"),
    ]
    .into_iter()
    .enumerate()
    {
        let shown = shown(&house, 100 + at as u32, &value).to_lowercase();
        assert!(shown.contains(&text.to_lowercase()), "{value}: {shown}");
    }
    let point = json!({"asInt": "7", "timeUnixNano": 1, "attributes": []});
    let counts = json!({"count": "3", "sum": "1.5", "bucketCounts": ["1", 2], "explicitBounds": ["0.5"]});
    let metrics =
        json!([{"name": "g", "gauge": {"dataPoints": [point]}}, {"name": "h", "histogram": {"dataPoints": [counts]}}]);
    let metrics = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}).to_string();
    assert_eq!(said_in_json(Signal::Metrics, &house.post("/v1/metrics", &[JSON], metrics.as_bytes())), None);
    assert_eq!(house.counter("data_points_received"), 2);
    house.lives_on();
}

fn j06_null_is_the_default() {
    let house = House::new(&[]);
    let fields = json!({
        "parentSpanId": null, "traceState": null, "attributes": null, "events": null, "links": null, "status": null,
        "flags": null, "droppedAttributesCount": null, "kind": null, "endTimeUnixNano": null,
    });
    assert_eq!(said(&house, &[span(&fields)]), None);
    assert_eq!(house.counter("spans_received"), 1);
    for body in [
        r#"{"resourceSpans":null}"#.to_owned(),
        r#"{"resourceSpans":[{"resource":null,"scopeSpans":null,"schemaUrl":null}]}"#.to_owned(),
        r#"{"resourceSpans":[null]}"#.to_owned(),
    ] {
        assert_eq!(said_in_json(Signal::Traces, &house.post_json(&body)), None, "{body}");
    }
    assert_eq!(said(&house, &[span(&json!({"traceId": null}))]).unwrap().0, 1);
    house.lives_on();
}

fn j07_bytes_in_both_alphabets() {
    let house = House::new(&[]);
    let forms = ["+/8=", "-_8", "+/8", "-_8="];
    let shown: Vec<_> =
        forms.iter().enumerate().map(|(at, text)| shown(&house, 1 + at as u32, &json!({"bytesValue": text}))).collect();
    assert!(shown.iter().all(|form| *form == shown[0]), "{shown:?}");
    house.lives_on();
}

fn j08_empty_values() {
    let house = House::new(&[]);
    for (at, value) in
        [json!({"arrayValue": {}}), json!({"kvlistValue": {}}), json!({}), json!({"arrayValue": {"values": [null]}})]
            .iter()
            .enumerate()
    {
        shown(&house, 1 + at as u32, value);
    }
    let bare =
        json!({"traceId": format!("{:032x}", 77), "attributes": [{"key": "bare"}, {"key": "empty", "value": {}}]});
    assert_eq!(said(&house, &[span(&bare)]), None);
    house.lives_on();
}

fn j09_numbers_of_javascript() {
    let house = House::new(&[]);
    for (at, text) in [r#"{"intValue":1e+21}"#, r#"{"intValue":"1e+21"}"#, r#"{"intValue":1000000000000000000000}"#]
        .into_iter()
        .enumerate()
    {
        // As JavaScript writes it, which `json!` would not.
        let trace = format!("{:032x}", at + 1);
        let fields = json!({"traceId": trace, "attributes": [{"key": "large", "value": "HERE"}]});
        let body = of_spans(&[span(&fields)]).replace("\"HERE\"", text);
        assert_eq!(said_in_json(Signal::Traces, &house.post_json(body)), None, "{text}");
        house.0.caught_up();
        let shown = house.0.get_json(&format!("/api/v1/traces/{trace}"))["spans"][0]["attributes"].to_string();
        assert!(shown.contains("large") && (shown.contains("1e+21")), "{shown}");
    }
    shown(&house, 50, &json!({"doubleValue": null}));
    shown(&house, 51, &json!({"intValue": 1.0}));
    house.lives_on();
}

fn j10_what_is_not_json_is_400() {
    let house = House::new(&[]);
    for body in [
        "",
        "null",
        "[]",
        "{} {}",
        "{}x",
        "{}\n{}",
        "\u{feff}{}",
        r#"{"resourceSpans":[],"resourceSpans":[]}"#,
        r#"{"resourceSpans":[{"schemaUrl":"\ud800"}]}"#,
        r#"{"resourceSpans":{}}"#,
        "{'resourceSpans':[]}",
    ] {
        check_json_status(&house.post_json(body), 400, "OTLP/JSON traces");
    }
    check_json_status(&house.post_json(b"{\"resourceSpans\":[{\"schemaUrl\":\"\xff\"}]}"), 400, "OTLP/JSON traces");
    house.lives_on();
}

fn j11_depth_costs_no_stack() {
    let house = House::new(&[]);
    let deep = |open: &str, close: &str| open.repeat(100_000) + "1" + &close.repeat(100_000);
    for nested in [deep("[", "]"), deep("{\"a\":", "}"), "[".repeat(1_000_000)] {
        check_json_status(&house.post_json(format!("{{\"resourceSpans\":{nested}}}")), 400, "OTLP/JSON");
        let unknown = house.post_json(format!("{{\"unknown\":{nested}}}"));
        let is_whole = nested.contains('1');
        assert_eq!(unknown.status, if is_whole { 200 } else { 400 }, "{}", unknown.text());
    }
    let values =
        [(r#"{"arrayValue":{"values":["#, "]}}"), (r#"{"kvlistValue":{"values":[{"key":"k","value":"#, "}]}}")];
    for (levels, cut) in [(64, 0), (100_000, 2)] {
        for (open, close) in values {
            let attribute =
                format!("[{{\"key\":\"deep\",\"value\":{}{{}}{}}}]", open.repeat(levels), close.repeat(levels));
            let body = of_spans(&[span(&json!({"attributes": "HERE"}))]).replace("\"HERE\"", &attribute);
            let answer = house.post_json(body);
            assert_eq!((answer.status, answer.text()), (200, "{}".into()), "{levels}");
        }
        assert_eq!(house.counter("values_cut"), cut);
    }
    house.lives_on();
}

fn j12_answers_are_canonical() {
    let house = House::new(&[]);
    let answer = house.post_json(of_spans(&[span(&json!({}))]));
    assert_eq!(answer.text(), "{}");
    let bad: Vec<Value> = (0..3).map(|_| span(&json!({"traceId": ""}))).collect();
    let answer = house.post_json(of_spans(&bad)).json();
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "3");
    assert!(answer["partialSuccess"]["errorMessage"].as_str().unwrap().contains("trace_id"), "{answer}");
    assert_eq!(answer.as_object().unwrap().len(), 1);
    let point = json!({"asDouble": "NaN"});
    let metrics = json!([{"name": "g", "gauge": {"dataPoints": [point, point]}}]);
    let metrics = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}).to_string();
    let answer = house.post("/v1/metrics", &[JSON], metrics.as_bytes()).json();
    assert_eq!(answer["partialSuccess"]["rejectedDataPoints"], "2", "{answer}");
    house.lives_on();
}
