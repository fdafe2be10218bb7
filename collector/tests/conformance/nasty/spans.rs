//! Spans that say what cannot be.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value as Any},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Link, SpanKind},
    },
};
use prost::Message as _;
use serde_json::json;

use super::super::{
    house::{House, Said, check_json_status, said_in_json, said_in_protobuf},
    support::{
        http::{JSON, PROTOBUF},
        otlp::{self, Run, Story},
    },
    wire::{self, Signal, field},
};

items! {
    n01_ids_of_zeroes: Advice, "a trace id or span id of zeroes: that span is rejected", "Collector: stored";
    n02_ids_of_wrong_length: Advice,
        "trace ids of 0, 15, 17, 1,000,000 bytes, span ids of 7, 9, 16: that span is rejected",
        "Collector: the whole request fails";
    n03_a_parent_of_zeroes_is_none: Advice, "a parent id of zeroes: a root; of a wrong length: a root and a warning", "";
    n04_its_own_parent: Advice, "a span that is its own parent: kept as a root, a warning", "";
    n05_rings_of_parents: Advice, "A→B→A, and a ring of 20,000 over ten requests: kept, told as an anomaly, no laps are counted", "";
    n06_an_end_before_its_start: Advice, "end before start: kept with no duration, counted", "";
    n07_times_of_zero: Advice, "1970, no end: kept, at the time of their arrival", "";
    n08_times_far_away: Advice, "the year 2554, a day ahead: kept, and the clock of the page stays", "";
    n09_durations_of_all_sizes: Advice, "ten years, nothing: kept", "";
    n10_names_of_all_kinds: Advice,
        "a million characters, none, NUL, line feeds, right to left, emoji, `<script>`: kept, cut at 1 KiB for the engine", "";
    n11_attributes_of_all_sizes: Advice,
        "a key of a million characters, an empty key, a value of 10 MB, 100,000 attributes, one key twice: kept", "";
    n12_text_that_is_no_text: Advice,
        "broken UTF-8: a name costs its span, an attribute itself, JSON its request", "prost: the whole request fails";
    n13_values_nested_deeply: Advice,
        "arrays in arrays, 48 to 20,000 deep: kept, the value is left out where people look", "prost: the whole request fails";
    n14_lists_of_a_million: Advice, "a list of pairs with a million entries: kept", "";
    n15_the_same_span_again: Advice, "in one request, in two, with other content: counted once", "";
    n16_one_id_in_two_places: Advice, "one span id in two traces: two spans", "";
    n17_more_spans_than_a_request_may_have: Advice,
        "300,000 spans in one request: 262,144 are kept, the rest is rejected with a reason; others are served meanwhile", "";
    n18_empty_envelopes: Advice,
        "10,000,000 envelopes of two bytes, 100,000 resources with a span each: bounded memory", "prost: 132 times the bytes";
    n19_a_trace_of_very_many_spans: Advice, "one trace of 60,000 spans: all counted, the page shows a part and says so", "";
    n20_links_of_all_kinds: Advice,
        "to itself, to zeroes, 5,000 of them, in a ring over traces: invalid ones are skipped, 128 are followed", "";
    n21_kinds_and_codes_of_tomorrow: Advice, "kind 99 and -1, status code 7: as if unsaid", "";
    n22_nobody_says_who_it_is: Advice, "no resource, no `service.name`: a function `unknown_service`",
        "Tempo and the Collector's service graph: dropped";
    n23_a_name_that_is_no_text: Advice, "`service.name` as number, list, bytes, empty: the next name in order", "";
    n24_names_that_disagree: Advice, "a function that calls itself by its name: an edge to itself", "";
    n46_json_of_all_kinds: Advice,
        "timestamps as `{low,high}`: 400; ids with 0x: that span is rejected; nulls, NaN, 1e+21, names: accepted", "";
    n47_very_many_functions: Advice,
        "12,000 names of functions: 10,000 are held, those quiet longest go, counted; new ones are never refused", "";
    n48_odd_metrics: Advice,
        "NaN, 20,000 buckets, counts that do not fit their bounds: those data points are rejected; -0, infinity: kept; a \
         metric of no known kind: a warning", "";
    n49_odd_log_records: Advice,
        "a body of a MB, nested, none, no trace id, a severity of 99: kept; a trace id of 3 bytes: kept, not linked", "";
}

#[track_caller]
fn one(house: &House, spoil: impl Fn(&mut Span)) -> [Said; 3] {
    house.export_all(|| {
        let mut story = Story::default();
        story.start("good");
        let run = story.start("bad");
        spoil(story.edit(&run));
        story
    })
}

#[track_caller]
fn each_rejects_one(said: [Said; 3], words: &str) {
    for said in said {
        let (rejected, message) = said.expect("a partial success");
        assert!(rejected == 1 && message.contains(words), "{rejected}: {message}");
    }
}

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn n01_ids_of_zeroes() {
    let house = House::new(&[]);
    each_rejects_one(one(&house, |span| span.trace_id = vec![0; 16]), "trace_id must not be all zeroes");
    each_rejects_one(one(&house, |span| span.span_id = vec![0; 8]), "span_id must not be all zeroes");
    assert_eq!(house.function("good")["invocations"], 6);
    assert_eq!(house.functions().len(), 1);
    house.lives_on();
}

fn n02_ids_of_wrong_length() {
    let house = House::new(&[]);
    for length in [0, 15, 17, 1_000_000] {
        each_rejects_one(one(&house, |span| span.trace_id = vec![1; length]), "trace_id must have 16 bytes");
    }
    for length in [0, 7, 9, 16] {
        each_rejects_one(one(&house, |span| span.span_id = vec![1; length]), "span_id must have 8 bytes");
    }
    assert_eq!(house.function("good")["invocations"], 24);
    house.lives_on();
}

fn n03_a_parent_of_zeroes_is_none() {
    let house = House::new(&[]);
    assert_eq!(one(&house, |span| span.parent_span_id = vec![0; 8]), [None, None, None]);
    for length in [3, 7, 9, 16] {
        for said in one(&house, |span| span.parent_span_id = vec![1; length]) {
            let (rejected, message) = said.expect("a warning");
            assert!(rejected == 0 && message.contains("parent_span_id must have 8 bytes"), "{rejected}: {message}");
        }
    }
    assert_eq!(house.function("bad")["invocations"], 15);
    house.lives_on();
}

fn n04_its_own_parent() {
    let house = House::new(&[]);
    let mut story = Story::default();
    let run = story.start("own");
    story.edit(&run).parent_span_id = story.edit(&run).span_id.clone();
    let (rejected, message) = said_in_protobuf(&house.post_traces(&[], &story.request().encode_to_vec())).unwrap();
    assert!(rejected == 0 && message.contains("the id of another span"), "{message}");
    let status = house.0.caught_up();
    assert!(status["spans_mended"].as_u64() >= Some(1), "{status}");
    assert_eq!(house.trace(&run)["spans"][0]["level"], 0);
    house.lives_on();
}

fn n05_rings_of_parents() {
    let house = House::new(&[]);
    for (length, parts) in [(2, 1), (20_000, 10)] {
        let mut story = Story::default();
        let ring: Vec<Run> = (0..length).map(|_| story.start("ring")).collect();
        let ids: Vec<Vec<u8>> = ring.iter().map(|run| story.edit(run).span_id.clone()).collect();
        let trace_id = story.edit(&ring[0]).trace_id.clone();
        let spans: Vec<Vec<u8>> = ring
            .iter()
            .enumerate()
            .map(|(at, run)| {
                let span = story.edit(run);
                span.trace_id.clone_from(&trace_id);
                span.parent_span_id.clone_from(&ids[(at + 1) % length]);
                // The large ring is work within one function: calls so deep would be a loop, ring or not.
                let kinds = if parts == 1 { [SpanKind::Server, SpanKind::Client] } else { [SpanKind::Internal; 2] };
                span.kind = kinds[at % 2].into();
                span.encode_to_vec()
            })
            .collect();
        for part in spans.chunks(length / parts) {
            let part: Vec<&[u8]> = part.iter().map(Vec::as_slice).collect();
            assert_eq!(said_in_protobuf(&house.post_traces(&[], &wire::request_of_bytes("ring", &part))), None);
        }
        house.0.caught_up();
        assert_eq!(house.trace(&ring[0])["spans_total"], length);
    }
    house.0.until("the ring is told", "/api/v1/anomalies", |list| {
        list["anomalies"].as_array()?.iter().find(|anomaly| anomaly["kind"] == "parent_ring").map(drop)
    });
    let loops = house.0.get_json("/api/v1/loops");
    let counts_nothing = |found: &serde_json::Value| found["laps"] == 0 && found["state"] == "latent";
    assert!(loops["loops"].as_array().unwrap().iter().all(counts_nothing), "{loops}");
    house.lives_on();
}

/// Sends spans with these times; the function that ran them all.
#[track_caller]
fn with_times(house: &House, times: &[(u64, u64)]) -> serde_json::Value {
    let mut story = Story::default();
    let runs: Vec<Run> = times.iter().map(|_| story.start("clock")).collect();
    for (run, (start, end)) in runs.iter().zip(times) {
        let span = story.edit(run);
        (span.start_time_unix_nano, span.end_time_unix_nano) = (*start, *end);
    }
    otlp::post_well(house.0.otlp_http, &story.request());
    house.0.caught_up();
    for run in &runs {
        assert_eq!(house.trace(run)["spans_total"], 1);
    }
    let clock = house.function("clock");
    assert_eq!(clock["invocations"], times.len());
    // Years as text sort as numbers do.
    let seen = clock["last_seen"].as_str().unwrap();
    assert!(("2024".."2200").contains(&seen), "{clock}");
    clock
}

fn n06_an_end_before_its_start() {
    let house = House::new(&[]);
    with_times(&house, &[(9_000_000_000_000_000_000, 1), (1_700_000_000_000_000_000, 1_600_000_000_000_000_000)]);
    assert!(house.counter("spans_mended") >= 2);
    house.lives_on();
}

fn n07_times_of_zero() {
    let house = House::new(&[]);
    with_times(&house, &[(0, 0), (1, 2), (1_700_000_000_000_000_000, 0)]);
    house.lives_on();
}

fn n08_times_far_away() {
    let house = House::new(&[]);
    with_times(
        &house,
        &[(u64::MAX - 1, u64::MAX), (i64::MAX as u64, u64::MAX), (18_000_000_000_000_000_000, u64::MAX)],
    );
    // What comes afterwards with a good clock is as new as ever.
    let mut story = Story::default();
    story.start("now");
    otlp::post_well(house.0.otlp_http, &story.request());
    assert_eq!(house.function("now")["invocations"], 1);
    house.lives_on();
}

fn n09_durations_of_all_sizes() {
    const NOW: u64 = 1_790_000_000_000_000_000;
    let house = House::new(&[]);
    with_times(&house, &[(NOW - 315_000_000_000_000_000, NOW), (NOW, NOW), (NOW, NOW + 1)]);
    house.lives_on();
}

fn n10_names_of_all_kinds() {
    let house = House::new(&[]);
    let long = "x".repeat(1_000_000);
    for name in [long.as_str(), "", "nul\0nul", "line\nfeed", "\u{202e}left", "🦀", "<script>alert(1)</script>"] {
        let mut story = Story::default();
        let run = story.start(if name.len() > 1000 { "long" } else { name });
        story.edit(&run).name = name.to_owned();
        otlp::post_well(house.0.otlp_http, &story.request());
        house.0.caught_up();
        assert_eq!(house.trace(&run)["spans_total"], 1, "{name:.20}");
    }
    // An empty name says nothing of a function.
    assert_eq!(house.functions().len(), 7);
    assert_eq!(house.function("<script>alert(1)</script>")["invocations"], 1);
    let graph = house.0.get("/api/v1/graph");
    assert!(graph.body.len() < 1 << 20, "{} bytes", graph.body.len());
    house.lives_on();
}

fn n11_attributes_of_all_sizes() {
    let house = House::new(&[]);
    let mut story = Story::default();
    let run = story.start("wide");
    let many = (0..100_000).map(|at| otlp::text(&format!("key-{at}"), "value"));
    let odd = [
        otlp::text(&"k".repeat(1_000_000), "value"),
        otlp::text("", "of no key"),
        otlp::text("large", &"v".repeat(10 << 20)),
        otlp::text("messaging.system", &"v".repeat(10 << 20)),
        otlp::text("twice", "one"),
        otlp::text("twice", "two"),
    ];
    story.edit(&run).attributes = many.chain(odd).collect();
    otlp::post_well(house.0.otlp_http, &story.request());
    assert_eq!(house.function("wide")["invocations"], 1);
    assert_eq!(house.trace(&run)["spans_total"], 1);
    house.lives_on();
}

fn n12_text_that_is_no_text() {
    let house = House::new(&[]);
    let mut story = Story::parse("bad-name");
    let run = story.start("bad-attribute");
    story.edit(&run).attributes = vec![otlp::text("key", "broken-value"), otlp::text("other", "shown")];
    let mut bytes = story.request().encode_to_vec();
    for wrong in [&b"bad-name works"[..], b"broken-value"] {
        let at = bytes.windows(wrong.len()).position(|window| window == wrong).unwrap();
        bytes[at] = 0xff;
    }
    let (rejected, message) = said_in_protobuf(&house.post_traces(&[], &bytes)).unwrap();
    assert!(rejected == 1 && message.contains("UTF-8"), "{message}");
    house.0.caught_up();
    let span = &house.trace(&run)["spans"][0];
    assert!(span["attributes"].to_string().contains("shown"), "{span}");
    check_json_status(&house.post_json(b"{\"resourceSpans\":[{\"schemaUrl\":\"\xff\"}]}"), 400, "JSON");
    house.lives_on();
}

fn n13_values_nested_deeply() {
    const ANY_ARRAY: u32 = 5;
    let house = House::new(&[]);
    for depth in [48, 64, 100, 20_000] {
        let mut story = Story::default();
        let run = story.start("deep");
        story.edit(&run).attributes = vec![otlp::text("plain", "shown")];
        // Written by hand, because nobody's encoder goes this deep.
        let nested = (0..depth).fold(Vec::new(), |value, _| field(ANY_ARRAY, &field(1, &value)));
        let attribute = [field(1, b"nested"), field(2, &nested)].concat();
        let span = [story.edit(&run).encode_to_vec(), field(9, &attribute)].concat();
        let good = Story::parse("beside").request().resource_spans.remove(0).scope_spans.remove(0).spans.remove(0);
        let body = wire::request_of_bytes("deep", &[&span, &good.encode_to_vec()]);
        assert_eq!(said_in_protobuf(&house.post_traces(&[], &body)), None, "{depth}");
        house.0.caught_up();
        let shown = house.trace(&run)["spans"][0]["attributes"].to_string();
        assert!(shown.contains("shown"), "{depth}: {shown}");
    }
    assert_eq!(house.counter("spans_analysed"), 8);
    house.lives_on();
}

fn n14_lists_of_a_million() {
    let house = House::new(&[]);
    let mut story = Story::default();
    let run = story.start("listed");
    let entry = field(1, &[field(1, b"k"), field(2, &field(1, b"v"))].concat());
    let list = field(6, &entry.repeat(1_000_000));
    let attribute = [field(1, b"list"), field(2, &list)].concat();
    let span = [story.edit(&run).encode_to_vec(), field(9, &attribute)].concat();
    assert_eq!(said_in_protobuf(&house.post_traces(&[], &wire::request_of_bytes("listed", &[&span]))), None);
    assert_eq!(house.function("listed")["invocations"], 1);
    house.lives_on();
}

fn n15_the_same_span_again() {
    let house = House::new(&[]);
    let mut story = Story::default();
    let run = story.start("again");
    let span = story.edit(&run).clone();
    let other = Span { name: "other words".into(), attributes: vec![otlp::text("more", "content")], ..span.clone() };
    let spans = [&span, &span, &other].map(prost::Message::encode_to_vec);
    let spans: Vec<&[u8]> = spans.iter().map(Vec::as_slice).collect();
    for _ in 0..2 {
        assert_eq!(said_in_protobuf(&house.post_traces(&[], &wire::request_of_bytes("again", &spans))), None);
    }
    assert_eq!(house.function("again")["invocations"], 1);
    assert_eq!(house.counter("spans_duplicate"), 5);
    house.lives_on();
}

fn n16_one_id_in_two_places() {
    let house = House::new(&[]);
    let mut story = Story::default();
    let (first, second) = (story.start("shared"), story.start("shared"));
    story.edit(&second).span_id = story.edit(&first).span_id.clone();
    otlp::post_well(house.0.otlp_http, &story.request());
    assert_eq!(house.function("shared")["invocations"], 2);
    assert_eq!(house.trace(&first)["spans_total"], 1);
    assert_eq!(house.trace(&second)["spans_total"], 1);
    house.lives_on();
}

fn n17_more_spans_than_a_request_may_have() {
    const KEPT: u64 = 262_144;
    let house = House::new(&[]);
    // One trace, so that the engine has less to do than the door.
    let span = |at: u64| [field(1, &[7; 16]), field(2, &(at + 1).to_be_bytes())].concat();
    let spans: Vec<u8> = (0..300_000).flat_map(|at| field(2, &span(at))).collect();
    let body = field(1, &field(2, &spans));
    std::thread::scope(|scope| {
        let large = scope.spawn(|| house.post_traces(&[], &body));
        for _ in 0..20 {
            assert_eq!(house.post_traces(&[], &wire::good(Signal::Traces, 1)).status, 200);
        }
        let (rejected, message) = said_in_protobuf(&large.join().unwrap()).unwrap();
        assert_eq!(rejected, 300_000 - KEPT.cast_signed());
        assert!(message.contains("at most 262144 spans; send smaller batches"), "{message}");
    });
    assert_eq!(house.counter("spans_received"), KEPT + 20);
    house.lives_on();
}

fn n18_empty_envelopes() {
    /// A few copies of the largest body here, beside what the process takes by itself.
    const MEMORY: u64 = 256 << 20;
    let house = House::new(&[]);
    let empty = field(1, b"").repeat(10_000_000);
    assert_eq!(said_in_protobuf(&house.post_traces(&[], &empty)), None);
    let spans = field(1, &field(2, &field(2, b"").repeat(1_000_000)));
    assert_eq!(said_in_protobuf(&house.post_traces(&[], &spans)).unwrap().0, 1_000_000);
    assert_eq!(house.counter("journal_position"), 0);
    let span = wire::span().encode_to_vec();
    let groups = wire::request_of_bytes("one-of-many", &[&span]).repeat(100_000);
    assert_eq!(said_in_protobuf(&house.post_traces(&[], &groups)), None);
    house.0.caught_up();
    assert!(house.peak_memory().is_none_or(|bytes| bytes < MEMORY), "{:?} bytes", house.peak_memory());
    house.lives_on();
}

fn n19_a_trace_of_very_many_spans() {
    const SPANS: u64 = 60_000;
    let house = House::new(&[]);
    let mut story = Story::default();
    let run = story.start("huge");
    let root = story.edit(&run).clone();
    for part in 0..6 {
        let children = (0..SPANS / 6).map(|at| {
            let id = (1 << 50) + part * SPANS + at;
            let span =
                Span { span_id: id.to_be_bytes().to_vec(), parent_span_id: root.span_id.clone(), ..root.clone() };
            Span { kind: SpanKind::Internal.into(), ..span }.encode_to_vec()
        });
        let spans: Vec<Vec<u8>> = std::iter::once(root.encode_to_vec()).chain(children).collect();
        let spans: Vec<&[u8]> = spans.iter().map(Vec::as_slice).collect();
        assert_eq!(said_in_protobuf(&house.post_traces(&[], &wire::request_of_bytes("huge", &spans))), None);
    }
    house.0.caught_up();
    assert_eq!(house.counter("spans_analysed"), SPANS + 6);
    assert_eq!(house.function("huge")["invocations"], 1);
    let trace = house.trace(&run);
    assert!(trace["spans"].as_array().unwrap().len() < SPANS as usize);
    assert_eq!(trace["truncated"], true);
    house.lives_on();
}

fn n20_links_of_all_kinds() {
    let house = House::new(&[]);
    let mut story = Story::default();
    let (own, many) = (story.start("own"), story.start("many"));
    let ring: Vec<Run> = (0..3).map(|at| story.start(&format!("ring-{at}"))).collect();
    let to = |story: &mut Story, run: &Run| {
        let span = story.edit(run);
        Link { trace_id: span.trace_id.clone(), span_id: span.span_id.clone(), ..Default::default() }
    };
    let zero = Link { trace_id: vec![0; 16], span_id: vec![0; 8], ..Default::default() };
    let short = Link { trace_id: vec![1; 3], span_id: vec![1; 8], ..Default::default() };
    story.edit(&own).links = vec![to(&mut story, &own), zero, short];
    let nowhere = Link { trace_id: vec![7; 16], span_id: vec![7; 8], ..Default::default() };
    story.edit(&many).links = vec![nowhere; 5_000];
    for at in 0..3 {
        let next = to(&mut story, &ring[(at + 1) % 3]);
        story.edit(&ring[at]).links.push(next);
    }
    otlp::post_well(house.0.otlp_http, &story.request());
    let status = house.0.caught_up();
    assert!(status["links_dropped"].as_u64() >= Some(5_000 - 128), "{status}");
    assert_eq!(house.functions().len(), 5);
    house.lives_on();
}

fn n21_kinds_and_codes_of_tomorrow() {
    let house = House::new(&[]);
    for (kind, code) in [(99, 7), (-1, -1), (i32::MAX, 0)] {
        let said = one(&house, |span| {
            span.kind = kind;
            span.status = Some(Status { code, ..Default::default() });
        });
        assert_eq!(said[0], None, "{kind}");
        assert_eq!(said, [None, None, None]);
    }
    let bad = house.function("bad");
    assert_eq!((&bad["invocations"], &bad["errors"]), (&9.into(), &0.into()));
    house.lives_on();
}

/// Sends one server span of a resource with these attributes; the only function there is then.
#[track_caller]
fn named_by(resource: Option<Vec<KeyValue>>) -> String {
    let house = House::new(&[]);
    let span = Span { kind: SpanKind::Server.into(), ..wire::span() };
    let resource = resource.map(|attributes| Resource { attributes, ..Default::default() });
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..Default::default() }];
    let mut request = wire::request(vec![]);
    request.resource_spans = vec![ResourceSpans { resource, scope_spans, ..Default::default() }];
    assert_eq!(said_in_protobuf(&house.post_traces(&[], &request.encode_to_vec())), None);
    let functions = house.functions();
    assert_eq!(functions.len(), 1, "{functions:?}");
    let name = functions[0]["name"].as_str().unwrap().to_owned();
    house.lives_on();
    name
}

fn n22_nobody_says_who_it_is() {
    assert_eq!(named_by(None), "unknown_service");
    assert_eq!(named_by(Some(vec![otlp::text("host.name", "here")])), "unknown_service");
}

fn n23_a_name_that_is_no_text() {
    assert_eq!(named_by(Some(vec![otlp::text("service.name", "")])), "unknown_service");
    assert_eq!(named_by(Some(vec![pair("service.name", Any::BytesValue(vec![0xff]))])), "unknown_service");
    let odd = vec![pair("service.name", Any::IntValue(7)), otlp::text("faas.name", "by-faas")];
    assert_eq!(named_by(Some(odd)), "by-faas");
}

fn n24_names_that_disagree() {
    let house = House::new(&[]);
    otlp::post_well(house.0.otlp_http, &Story::parse("echo -> echo -> echo").request());
    assert_eq!(house.function("echo")["invocations"], 3);
    house.0.loop_of(&["echo"], 2);
    house.lives_on();
}

fn n46_json_of_all_kinds() {
    let house = House::new(&[]);
    let post = |span: &str| {
        let span = format!(r#"{{"spanId":"eee19b7ec3c1b174","traceId":"5b8efff798038103d269b633813fc60c",{span}}}"#);
        house.post_json(format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#))
    };
    for good in [
        r#""name":null,"kind":null,"attributes":null"#,
        r#""attributes":[{"key":"a","value":{"doubleValue":"NaN"}},{"key":"b","value":{"intValue":1e+21}}]"#,
        r#""kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1","endTimeUnixNano":2"#,
        r#""parentSpanId":"","links":[null,{}]"#,
    ] {
        assert_eq!(said_in_json(Signal::Traces, &post(good)), None, "{good}");
    }
    for bad in [
        r#""startTimeUnixNano":{"low":1,"high":2}"#,
        r#""name":"a","name":"b""#,
        r#""name":"\ud800""#,
        r#""kind":[]"#,
        r#""name":{}"#,
        r#""endTimeUnixNano":"tomorrow""#,
    ] {
        check_json_status(&post(bad), 400, "OTLP/JSON");
    }
    let odd = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0x5b8e","spanId":"eee19b7ec3c1b174"}]}]}]}"#;
    assert_eq!(said_in_json(Signal::Traces, &house.post_json(odd)).unwrap().0, 1);
    house.lives_on();
}

fn n47_very_many_functions() {
    const HELD: u64 = 10_000;
    let house = House::new(&[]);
    for part in 0..12 {
        let mut story = Story::default();
        for at in 0..1_000 {
            story.start(&format!("function-{part}-{at}"));
        }
        otlp::post_well(house.0.otlp_http, &story.request());
    }
    let status = house.0.caught_up();
    assert!(status["functions_overflowed"].as_u64() >= Some(12_000 - HELD), "{status}");
    let functions = house.functions();
    assert!(functions.len() as u64 <= HELD, "{}", functions.len());
    assert!(functions.iter().any(|function| function["name"] == "function-11-999"));
    house.lives_on();
}

fn n48_odd_metrics() {
    let house = House::new(&[]);
    let post = |metric: &serde_json::Value| {
        let metrics = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).to_string();
        said_in_json(Signal::Metrics, &house.post("/v1/metrics", &[JSON], metrics.as_bytes()))
    };
    let number = |value: serde_json::Value| json!({"name": "n", "sum": {"dataPoints": [{"asDouble": value}]}});
    let histogram = |buckets: usize, bounds: usize| {
        let point = json!({"bucketCounts": vec!["1"; buckets], "explicitBounds": vec![0.5; bounds], "count": "-1"});
        json!({"name": "h", "histogram": {"dataPoints": [point]}})
    };
    for good in [
        number(json!(-0.0)),
        number(json!("Infinity")),
        number(serde_json::Value::Null),
        histogram(3, 2),
        histogram(0, 0),
    ] {
        assert_eq!(post(&good), None, "{good}");
    }
    for (bad, words) in [
        (number(json!("NaN")), "is NaN"),
        (histogram(3, 3), "one bucket count more than bounds, but has 3 and 3"),
        (histogram(20_000, 19_999), "at most 10000 buckets, but has 20000"),
    ] {
        let (rejected, message) = post(&bad).expect("a partial success");
        assert!(rejected == 1 && message.contains(words), "{message}");
    }
    assert_eq!((house.counter("data_points_received"), house.counter("data_points_rejected")), (5, 3));
    let newer = field(1, &field(2, &field(2, &field(20, b""))));
    let (rejected, message) = said_in_protobuf(&house.post("/v1/metrics", &[PROTOBUF], &newer)).unwrap();
    assert!(rejected == 0 && message.contains("no known kind"), "{message}");
    house.lives_on();
}

fn n49_odd_log_records() {
    let house = House::new(&[]);
    let large = "x".repeat(1 << 20);
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
        {"body": {"stringValue": large}},
        {"body": {"kvlistValue": {"values": [{"key": "a", "value": {"arrayValue": {"values": [{"intValue": 1}]}}}]}}},
        {},
        {"traceId": "", "spanId": "", "severityNumber": 99},
        {"timeUnixNano": "0", "observedTimeUnixNano": "1700000000000000000"},
        {"traceId": "abcdef", "spanId": "eee19b7ec3c1b174"},
    ]}]}]});
    let answer = house.post("/v1/logs", &[JSON], logs.to_string().as_bytes());
    assert_eq!((answer.status, answer.text()), (200, "{}".into()));
    let record = [field(9, &[1, 2, 3]), field(5, &field(1, large.as_bytes()))].concat();
    let body = field(1, &field(2, &field(2, &record)));
    assert_eq!(said_in_protobuf(&house.post("/v1/logs", &[PROTOBUF], &body)), None);
    assert_eq!(house.counter("log_records_received"), 7);
    house.lives_on();
}
