//! C1-C16: what holds on both transports.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value},
    trace::v1::{ResourceSpans, Span},
};
use prost::Message as _;
use tonic::Code;

use super::{
    house::{Dress, House, check_protobuf_status, said_in_json, said_in_protobuf},
    items::{Item, Level, Proof},
    rpc,
    support::{
        http::{JSON, PROTOBUF},
        otlp::{self, Story},
        server::Stop,
    },
    wire::{self, GZIP, Signal},
};

items! {
    c01_gzip_means_the_same_as_plain: Must,
        "one payload, plain and gzip, over gRPC and HTTP: all accepted, with the same result", "";
    c02_empty_requests_succeed: Should,
        "0 bytes of protobuf, `{}`, `{\"resourceSpans\":[]}`: success without a partial success, nothing stored", "";
    c03_envelopes_without_items_make_nothing: May,
        "a resource without scopes, a scope without spans: success, nothing stored, no function made of the resource", "";
    c04_success_says_nothing_more: Must,
        "all accepted: the partial success is unset (no bytes; `{}`)", "Rotel: no partial success at all";
    c05_partial_success_counts_exactly: Must,
        "some spans, log records, data points are bad: 200/OK, the exact count of those, and the rest is kept",
        "Collector: a bad length of an id fails the whole request";
    c06_partial_success_says_why_and_how_to_mend_it: Should,
        "the message of C5 names what is wrong and what is right", "";
    c07_a_warning_rejects_nothing: Must,
        "something was mended and nothing rejected: a count of 0 with a message", "";
    c08_what_a_partial_success_accepts_is_durable: Must,
        "the process is killed right after a partial success: what it accepted is there after the next start", "";
    c09_answers_are_small: Must,
        "100,000 rejected spans with distinct reasons: the message is cut at 1 KiB, far below the 4 MiB of a response", "";
    c10_unknown_fields_are_ignored: Must,
        "fields with numbers above 1000 of all wire types, groups too, at every level: accepted", "";
    c11_texts_by_table_are_empty_and_warned_of: Should,
        "`key_strindex` and `string_value_strindex` outside of profiles: not fatal, read as empty, a warning (traces)", "";
    c12_attributes_hold_any_value: Must,
        "empty values, bytes, mixed arrays, lists of pairs, nested: stored and shown (traces)", "";
    c13_a_batch_sent_twice_counts_once: Advice,
        "the same batch again, as after a lost answer: accepted both times, counted once (traces)", "";
    c15_three_services_and_no_others: Must,
        "traces, logs and metrics are served on both transports; others are UNIMPLEMENTED / 404, which nobody retries",
        "Collector: 404 of a disabled signal. Rotel holds a retryable answer for it";
    c16_profiles_get_a_status: Advice,
        "`/v1development/profiles`: 404 with a Status", "";
}

pub(crate) const OTHERS: &[Item] = &[Item {
    name: "c14_success_means_durable",
    level: Level::Advice,
    expected: "an answer of success only after the bytes are on disk: killed under load, nothing acknowledged is lost",
    peers: "",
    proof: Proof::Beside {
        file: "collector/tests/binary/durability.rs",
        test: "crashes_lose_nothing_that_was_acknowledged",
    },
}];

/// Four good spans and three bad ones, in one request.
fn mixed() -> (Story, Vec<otlp::Run>) {
    let mut story = Story::default();
    let good = (0..4).map(|_| story.start("kept")).collect();
    for spoil in [
        |span: &mut Span| span.trace_id = vec![0; 16],
        |span: &mut Span| span.span_id = vec![0; 8],
        |span: &mut Span| span.trace_id = vec![1; 15],
    ] {
        let run = story.start("lost");
        spoil(story.edit(&run));
    }
    (story, good)
}

/// A request without a partial success, over everything.
#[track_caller]
fn succeeds_silently(house: &House, signal: Signal, protobuf: &[u8], json: &[&str]) {
    let answer = house.post(signal.path(), &[PROTOBUF], protobuf);
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b""[..]), "{signal:?}");
    assert_eq!(house.call(signal, &[], &rpc::framed(protobuf)).message(), b"", "{signal:?}");
    for json in json {
        let answer = house.post(signal.path(), &[JSON], json.as_bytes());
        assert_eq!((answer.status, answer.text()), (200, "{}".into()), "{json}");
    }
}

fn c01_gzip_means_the_same_as_plain() {
    let house = House::new(&[]);
    for signal in Signal::ALL {
        for items in [1, 3] {
            let body = wire::good(signal, items);
            let packed = wire::gzip(&body);
            for (headers, body) in [(&[][..], &body), (&[GZIP], &packed)] {
                let answer = house.post(signal.path(), &[&[PROTOBUF], headers].concat(), body);
                assert_eq!((answer.status, answer.body.as_slice()), (200, &b""[..]), "{}", answer.text());
            }
            assert_eq!(house.call(signal, &[], &rpc::framed(&body)).message(), b"");
            let headers = [("grpc-encoding", "gzip")];
            assert_eq!(house.call(signal, &headers, &rpc::flagged(1, &packed)).message(), b"");
        }
        assert_eq!(house.counter(signal.received()), 16);
    }
    // The same trace in four dresses looks the same.
    let shown: Vec<_> = (0..4)
        .map(|dress| {
            let mut story = Story::default();
            let run = story.start("dressed");
            let body = story.request().encode_to_vec();
            match dress {
                0 => drop(house.post_traces(&[], &body)),
                1 => drop(house.post_traces(&[GZIP], &wire::gzip(&body))),
                2 => drop(house.call(Signal::Traces, &[], &rpc::framed(&body))),
                _ => {
                    let packed = rpc::flagged(1, &wire::gzip(&body));
                    drop(house.call(Signal::Traces, &[("grpc-encoding", "gzip")], &packed));
                }
            }
            house.0.caught_up();
            let trace = house.trace(&run);
            (trace["spans_total"].clone(), trace["spans"][0]["name"].clone(), trace["spans"][0]["attributes"].clone())
        })
        .collect();
    assert!(shown.iter().all(|trace| trace.0 == 1 && *trace == shown[0]), "{shown:?}");
    house.lives_on();
}

fn c02_empty_requests_succeed() {
    let house = House::new(&[]);
    for signal in Signal::ALL {
        let listed = format!("{{\"{}\":[]}}", signal.field());
        succeeds_silently(&house, signal, b"", &["{}", &listed]);
    }
    assert_eq!(house.counter("journal_position"), 0);
    house.lives_on();
}

fn c03_envelopes_without_items_make_nothing() {
    let house = House::new(&[]);
    let mut request = Story::parse("ghost").request();
    request.resource_spans[0].scope_spans[0].spans.clear();
    request.resource_spans.push(ResourceSpans { scope_spans: vec![], ..request.resource_spans[0].clone() });
    // Logs and metrics have the same numbers and names of fields around their items.
    let body = request.encode_to_vec();
    for signal in Signal::ALL {
        let json = format!(
            "{{\"{}\":[{{\"resource\":{{}}}},{{\"scope{}\":[{{}}]}}]}}",
            signal.field(),
            match signal {
                Signal::Traces => "Spans",
                Signal::Logs => "Logs",
                Signal::Metrics => "Metrics",
            }
        );
        succeeds_silently(&house, signal, &body, &[&json]);
    }
    assert_eq!(house.counter("journal_position"), 0);
    assert!(house.functions().is_empty());
    house.lives_on();
}

fn c04_success_says_nothing_more() {
    let house = House::new(&[]);
    for signal in Signal::ALL {
        succeeds_silently(&house, signal, &wire::good(signal, 2), &[&wire::good_json(signal, 2)]);
        assert_eq!(house.counter(signal.received()), 6);
    }
    house.lives_on();
}

fn c05_partial_success_counts_exactly() {
    let house = House::new(&[]);
    for dress in Dress::ALL {
        let (story, good) = mixed();
        let (rejected, message) = house.export(dress, &story).expect("a partial success");
        assert_eq!(rejected, 3, "{dress:?}: {message}");
        house.0.caught_up();
        for run in good {
            assert_eq!(house.trace(&run)["spans_total"], 1, "{dress:?}");
        }
    }
    let status = house.status();
    assert_eq!((&status["spans_received"], &status["spans_rejected"]), (&12.into(), &9.into()));
    assert_eq!(house.function("kept")["invocations"], 12);

    // Two good log records and one whose time is no time; a gauge of which one value is none.
    let logs = wire::field(1, &wire::field(2, &[0x12, 0, 0x12, 2, 0x08, 1, 0x12, 0]));
    let point = |value: f64| wire::field(1, &[&[0x21][..], &value.to_le_bytes()].concat());
    let points = [point(1.0), point(f64::NAN), point(2.0)].concat();
    let metrics = wire::field(1, &wire::field(2, &wire::field(2, &wire::field(5, &points))));
    for (signal, body) in [(Signal::Logs, logs), (Signal::Metrics, metrics)] {
        let (rejected, message) = said_in_protobuf(&house.post(signal.path(), &[PROTOBUF], &body)).unwrap();
        assert!(rejected == 1 && message.starts_with("1 of 3"), "{message}");
        let call = house.call(signal, &[], &rpc::framed(&body));
        assert_eq!(wire::partial(call.message()).unwrap().rejected_spans, 1);
        assert_eq!(
            (house.counter(signal.received()), house.counter(&signal.received().replace("received", "rejected"))),
            (4, 2)
        );
    }
    house.lives_on();
}

fn c06_partial_success_says_why_and_how_to_mend_it() {
    let house = House::new(&[]);
    for said in house.export_all(|| mixed().0) {
        let (_, message) = said.expect("a partial success");
        for words in ["3 of 7 spans", "trace_id must not be all zeroes", "trace_id must have 16 bytes", "but has 15"] {
            assert!(message.contains(words), "{words:?} is missing in {message:?}");
        }
    }
    house.lives_on();
}

fn c07_a_warning_rejects_nothing() {
    let house = House::new(&[]);
    for said in house.export_all(|| {
        let mut story = Story::default();
        let run = story.start("odd");
        story.edit(&run).parent_span_id = vec![1; 7];
        story
    }) {
        let (rejected, message) = said.expect("a partial success");
        assert_eq!(rejected, 0);
        assert!(message.contains("parent_span_id must have 8 bytes"), "{message}");
    }
    assert_eq!((house.counter("spans_received"), house.counter("spans_rejected")), (3, 0));
    house.lives_on();
}

fn c08_what_a_partial_success_accepts_is_durable() {
    let House(mut server) = House::new(&[]);
    let (story, good) = mixed();
    let answer = otlp::post(server.otlp_http, &story.request()).unwrap();
    server.signal(Stop::AtOnce);
    assert_eq!(said_in_protobuf(&answer).map(|(rejected, _)| rejected), Some(3));
    server.ended();
    let house = House(server.restart(Stop::AtOnce, &[]));
    house.0.caught_up();
    for run in good {
        assert_eq!(house.trace(&run)["spans_total"], 1);
    }
    house.lives_on();
}

fn c09_answers_are_small() {
    let house = House::new(&[]);
    let spans = (0..100_000).map(|at| Span { trace_id: vec![1; at % 997 + 17], ..Default::default() }).collect();
    let body = wire::request(spans).encode_to_vec();
    let answer = house.post_traces(&[], &body);
    assert!(answer.body.len() < 2048, "{} bytes", answer.body.len());
    let (rejected, message) = said_in_protobuf(&answer).unwrap();
    assert!(rejected == 100_000 && message.len() <= 1024, "{rejected}: {message}");
    let call = house.call(Signal::Traces, &[], &rpc::framed(&body));
    assert!(call.message().len() < 2048);
    // A refusal is as short, also when it tells of what was sent.
    let long = format!("{{\"resourceSpans\":[{{\"schemaUrl\":5,\"{}", "x".repeat(1 << 20));
    let answer = house.post_json(long);
    assert!(answer.status == 400 && answer.body.len() < 4096, "{} bytes", answer.body.len());
    house.lives_on();
}

fn c10_unknown_fields_are_ignored() {
    let house = House::new(&[]);
    let unknown = wire::unknown_fields();
    let mut story = Story::default();
    let run = story.start("newer");
    let span = [story.edit(&run).encode_to_vec(), unknown.clone(), wire::field(9, &unknown)].concat();
    let scope = [wire::field(2, &span), unknown.clone()].concat();
    let resource = story.request().resource_spans[0].resource.as_ref().unwrap().encode_to_vec();
    let resource = [resource, unknown.clone()].concat();
    let group = [wire::field(1, &resource), wire::field(2, &scope), unknown.clone()].concat();
    let body = [wire::field(1, &group), unknown.clone()].concat();
    assert_eq!(said_in_protobuf(&house.post_traces(&[], &body)), None);
    assert_eq!(house.call(Signal::Traces, &[], &rpc::framed(&body)).message(), b"");
    assert_eq!(house.function("newer")["invocations"], 1);
    for signal in [Signal::Logs, Signal::Metrics] {
        let body = [wire::good(signal, 2), unknown.clone()].concat();
        succeeds_silently(&house, signal, &body, &[]);
        assert_eq!(house.counter(signal.received()), 4);
    }
    house.lives_on();
}

fn c11_texts_by_table_are_empty_and_warned_of() {
    let house = House::new(&[]);
    let mut story = Story::default();
    let run = story.start("profiled");
    // KeyValue { key_strindex = 3: 1, value = 2: AnyValue { string_value_strindex = 8: 2 } }
    let by_table = [&[0x18, 1][..], &wire::field(2, &[0x40, 2])].concat();
    let span = [story.edit(&run).encode_to_vec(), wire::field(9, &by_table)].concat();
    let body = wire::request_of_bytes("profiled", &[&span]);
    let (rejected, message) = said_in_protobuf(&house.post_traces(&[], &body)).expect("a warning");
    assert_eq!(rejected, 0);
    assert!(message.contains("key_strindex") && message.contains("send key and string_value"), "{message}");
    assert_eq!(
        wire::partial(house.call(Signal::Traces, &[], &rpc::framed(&body)).message()).unwrap().rejected_spans,
        0
    );
    assert_eq!(house.function("profiled")["invocations"], 1);
    assert_eq!(house.trace(&run)["spans_total"], 1);
    house.lives_on();
}

fn c12_attributes_hold_any_value() {
    let house = House::new(&[]);
    let any = |value| AnyValue { value: Some(value) };
    let pair = |key: &str, value| KeyValue { key: key.into(), value, ..Default::default() };
    let list = KeyValueList { values: vec![pair("inner", Some(any(Value::BoolValue(true))))] };
    let mixed = vec![any(Value::IntValue(7)), AnyValue { value: None }, any(Value::StringValue("seven".into()))];
    let nested = any(Value::ArrayValue(ArrayValue { values: vec![any(Value::KvlistValue(list.clone()))] }));
    let attributes = vec![
        pair("absent", None),
        pair("empty", Some(AnyValue { value: None })),
        pair("bytes", Some(any(Value::BytesValue(vec![0, 255])))),
        pair("mixed", Some(any(Value::ArrayValue(ArrayValue { values: mixed })))),
        pair("pairs", Some(any(Value::KvlistValue(list)))),
        pair("nested", Some(nested)),
        pair("double", Some(any(Value::DoubleValue(f64::NAN)))),
    ];
    for dress in [Dress::Protobuf, Dress::Grpc] {
        let mut story = Story::default();
        let run = story.start("any");
        story.edit(&run).attributes = attributes.clone();
        assert_eq!(house.export(dress, &story), None);
        house.0.caught_up();
        let shown = house.trace(&run)["spans"][0]["attributes"].to_string();
        for word in ["bytes", "mixed", "seven", "pairs", "inner", "nested", "double"] {
            assert!(shown.contains(word), "{word} is missing in {shown}");
        }
    }
    house.lives_on();
}

fn c13_a_batch_sent_twice_counts_once() {
    let house = House::new(&[]);
    let story = Story::parse("twice -> once");
    for dress in [Dress::Protobuf, Dress::Grpc, Dress::Json] {
        assert_eq!(house.export(dress, &story), None, "{dress:?}");
    }
    assert_eq!(house.function("twice")["invocations"], 1);
    assert_eq!(house.function("once")["invocations"], 1);
    assert_eq!(house.counter("spans_duplicate"), 6);
    house.lives_on();
}

fn c15_three_services_and_no_others() {
    let house = House::new(&[]);
    for signal in Signal::ALL {
        succeeds_silently(&house, signal, &wire::good(signal, 1), &[]);
    }
    for path in [
        "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
        "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
        "/grpc.health.v1.Health/Check",
    ] {
        let call = rpc::call(house.0.otlp_grpc, path, &[], &rpc::framed(b""));
        assert_eq!(call.code(), Code::Unimplemented, "{path}");
    }
    assert_eq!(house.post("/v1/profiles", &[PROTOBUF], b"").status, 404);
    house.lives_on();
}

fn c16_profiles_get_a_status() {
    let house = House::new(&[]);
    check_protobuf_status(&house.post("/v1development/profiles", &[PROTOBUF], b""), 404, "/v1/traces");
    let answer = house.post("/v1development/profiles", &[JSON], b"{}");
    assert_eq!((answer.status, &answer.json()["code"]), (404, &12.into()));
    assert_eq!(said_in_json(Signal::Traces, &house.post_json("{}")), None);
    house.lives_on();
}
