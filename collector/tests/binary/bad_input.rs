//! Whatever comes in gets a clear answer, and the next good request works.

use std::io::{Read as _, Write as _};

use flate2::{Compression, write::GzEncoder};
use opentelemetry_proto::tonic::trace::v1::{
    Span,
    span::{Link, SpanKind},
};
use prost::Message as _;
use serde_json::{Value, json};
use tonic::Code;

use super::support::{
    http::{self, Answer, Events, GZIP, JSON, PROTOBUF},
    otlp::{self, Grpc, Run, Story},
    server::Server,
};

/// The limit of a request, as the OTLP specification recommends it.
const LIMIT: usize = 64 << 20;

/// Field numbers of nested attribute values.
const SPAN_ATTRIBUTES: u32 = 9;
const ANY_ARRAY: u32 = 5;
const ARRAY_VALUES: u32 = 1;

/// A server that must live through the test.
struct House(Server);

impl House {
    fn new() -> Self {
        Self(Server::start(&[]))
    }

    fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        http::send(self.0.otlp_http, "POST", "/v1/traces", headers, body).unwrap()
    }

    /// A story whose spans are made bad, through both doors; returns what each door said of it.
    fn export(&self, story: &Story) -> [Option<(i64, String)>; 2] {
        let answer = otlp::post_json(self.0.otlp_http, &story.request()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let partial = &answer.json()["partialSuccess"];
        let by_http = partial["rejectedSpans"]
            .as_str()
            .map(|rejected| (rejected.parse().unwrap(), partial["errorMessage"].as_str().unwrap().to_owned()));
        let by_grpc = Grpc::connect(self.0.otlp_grpc).export(story.request()).unwrap().partial_success;
        [by_http, by_grpc.map(|partial| (partial.rejected_spans, partial.error_message))]
    }

    /// Both doors still work, and what they take is analysed and found again.
    #[track_caller]
    fn lives_on(mut self) {
        let mut story = Story::default();
        let caller = story.start("good");
        let callee = story.call(&caller, "fine");
        otlp::post_well(self.0.otlp_http, &story.request());
        let mut second = Story::default();
        let other = second.start("good");
        let answer = Grpc::connect(self.0.otlp_grpc).export(second.request()).unwrap();
        assert_eq!(answer.partial_success, None);
        self.0.caught_up();
        for (run, spans) in [(&caller, 3), (&other, 1)] {
            assert_eq!(self.trace(run)["spans_total"], spans);
        }
        let graph = self.0.get_json("/api/v1/graph");
        let fine = graph["functions"].as_array().unwrap().iter().find(|node| node["name"] == "fine");
        assert_eq!(fine.unwrap()["invocations"], 1);
        assert!(self.0.lives(), "{}", callee.span());
    }

    #[track_caller]
    fn trace(&self, run: &Run) -> Value {
        self.0.get_json(&format!("/api/v1/traces/{}", run.trace()))
    }
}

/// A length-delimited field of a protobuf message.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut field);
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

/// Bytes of zeros as gzip, without holding them.
fn bomb(bytes: usize) -> Vec<u8> {
    let piece = vec![0; 1 << 20];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    (0..bytes >> 20).for_each(|_| encoder.write_all(&piece).unwrap());
    encoder.finish().unwrap()
}

#[test]
fn headers_that_do_not_end_are_hung_up_on_and_the_live_stream_is_not() {
    let server = Server::start(&[]);
    let mut events = Events::open(server.ui, "/api/v1/live");
    assert!(events.next().is_some());
    let mut slow = http::connect(server.ui).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: ").unwrap();
    // Sooner than the test gives up, and without a word.
    assert_eq!(slow.read(&mut [0; 10]).unwrap(), 0);
    otlp::post_well(server.otlp_http, &Story::parse("late -> later").request());
    let has_it = |event: &Value| event["graph"]["functions"][0]["name"].is_string();
    assert!(std::iter::from_fn(|| events.next()).any(|event| has_it(&event)));
}

#[test]
fn garbage_and_wrong_kinds_are_refused_with_a_reason() {
    let house = House::new();
    let garbage: Vec<u8> = (0..4_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (headers, body, status, word) in [
        (&[PROTOBUF][..], garbage.as_slice(), 400, "not a valid OTLP traces request"),
        (&[JSON], &garbage, 400, "JSON"),
        (&[JSON], b"", 400, "JSON"),
        (&[JSON], b"[1, 2", 400, "JSON"),
        (&[PROTOBUF, GZIP], &garbage, 400, "gzip"),
        (&[("content-type", "text/plain")], b"{}", 415, "application/json"),
        (&[], b"{}", 415, "application/x-protobuf"),
        (&[JSON, ("content-encoding", "br")], b"{}", 415, "gzip"),
    ] {
        let answer = house.post(headers, body);
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.text());
        assert!(answer.text().contains(word), "{word} is missing in {}", answer.text());
    }
    for (method, path, status) in [("GET", "/v1/traces", 405), ("POST", "/", 404), ("POST", "/v1/traces/x", 404)] {
        let answer = http::send(house.0.otlp_http, method, path, &[JSON], b"{}").unwrap();
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    }
    for address in [house.0.otlp_http, house.0.otlp_grpc, house.0.ui] {
        // Something that speaks no HTTP at all; whether it is answered or cut off, the door stays open.
        let mut stream = http::connect(address).unwrap();
        let _ = stream.write_all(&garbage).and_then(|()| stream.write_all(b"\r\n\r\n"));
        let _ = http::read_answer(&stream);
    }
    assert!(house.0.get_json("/api/v1/status")["requests_refused"].as_u64().unwrap() >= 5);
    house.lives_on();
}

#[test]
fn what_is_too_large_is_refused_before_it_costs() {
    let house = House::new();
    let large = vec![b' '; LIMIT + (1 << 20)];
    let answer = house.post(&[PROTOBUF], &large);
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(answer.text().contains("smaller batches"), "{}", answer.text());
    let answer = house.post(&[JSON, GZIP], &bomb(LIMIT + (1 << 20)));
    assert_eq!(answer.status, 413, "{}", answer.text());

    let name = String::from_utf8(large).unwrap();
    let mut story = Story::default();
    let run = story.start("large");
    story.edit(&run).name = name;
    let status = Grpc::connect(house.0.otlp_grpc).export(story.request()).unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    let status = house.0.get_json("/api/v1/status");
    assert_eq!((&status["spans_received"], &status["journal_position"]), (&0.into(), &0.into()));
    house.lives_on();
}

#[test]
fn one_bad_span_costs_itself_only() {
    let house = House::new();
    let mut story = Story::default();
    let good = story.start("kept");
    for (at, spoil) in [
        |span: &mut Span| span.trace_id = vec![0; 16],
        |span: &mut Span| span.span_id = vec![0; 8],
        |span: &mut Span| span.trace_id = vec![1; 15],
        |span: &mut Span| span.span_id.clear(),
    ]
    .into_iter()
    .enumerate()
    {
        let run = story.start(&format!("lost-{at}"));
        spoil(story.edit(&run));
    }
    for said in house.export(&story) {
        let (rejected, message) = said.expect("a partial success");
        assert_eq!(rejected, 4, "{message}");
        assert!(message.contains("trace_id") && message.contains("span_id"), "{message}");
    }
    house.0.caught_up();
    assert_eq!(house.trace(&good)["spans_total"], 1);
    let graph = house.0.get_json("/api/v1/graph");
    assert_eq!(graph["functions"].as_array().unwrap().len(), 1, "{graph}");
    house.lives_on();
}

#[test]
fn parents_that_make_no_sense_are_survived_and_counted() {
    let house = House::new();
    let mut story = Story::default();
    let own = story.start("own");
    let id = story.edit(&own).span_id.clone();
    story.edit(&own).parent_span_id = id;
    let ring: Vec<Run> = (0..50).map(|_| story.start("ring")).collect();
    let ids: Vec<Vec<u8>> = ring.iter().map(|run| story.edit(run).span_id.clone()).collect();
    let trace_id = story.edit(&ring[0]).trace_id.clone();
    for (at, run) in ring.iter().enumerate() {
        let span = story.edit(run);
        span.trace_id.clone_from(&trace_id);
        span.parent_span_id.clone_from(&ids[(at + 1) % ids.len()]);
        span.kind = if at % 2 == 0 { SpanKind::Server } else { SpanKind::Client }.into();
    }
    assert_eq!(house.export(&story), [None, None]);
    let status = house.0.caught_up();
    assert!(status["spans_mended"].as_u64().unwrap() >= 1, "{status}");
    assert_eq!(house.trace(&own)["spans"][0]["level"], 0);
    assert_eq!(house.trace(&ring[0])["spans"].as_array().unwrap().len(), 50);
    house.lives_on();
}

#[test]
fn clocks_that_are_wrong_are_mended_and_counted() {
    let house = House::new();
    let mut story = Story::default();
    let times = [(0, 0), (1, 2), (u64::MAX - 1, u64::MAX), (9_000_000_000_000_000_000, 1), (i64::MAX as u64, u64::MAX)];
    let runs: Vec<Run> = times.iter().map(|_| story.start("clock")).collect();
    for (run, (start, end)) in runs.iter().zip(times) {
        let span = story.edit(run);
        (span.start_time_unix_nano, span.end_time_unix_nano) = (start, end);
    }
    assert_eq!(house.export(&story), [None, None]);
    let status = house.0.caught_up();
    assert!(status["spans_mended"].as_u64().unwrap() >= 4, "{status}");
    let graph = house.0.get_json("/api/v1/graph");
    let clock = &graph["functions"][0];
    assert_eq!(clock["invocations"], times.len());
    assert!(clock["last_seen"].as_str().unwrap() < "2200", "{clock}");
    for run in &runs {
        assert_eq!(house.trace(run)["spans_total"], 1);
    }
    house.lives_on();
}

#[test]
fn depth_and_broken_text_hurt_nobody() {
    let house = House::new();
    let mut story = Story::default();
    let deep = story.start("deep");
    story.edit(&deep).attributes = vec![otlp::text("plain", "shown")];
    // Written by hand, because nobody's encoder goes this deep.
    let nested = (0..10_000).fold(Vec::new(), |value, _| field(ANY_ARRAY, &field(ARRAY_VALUES, &value)));
    let attribute = [field(1, b"nested"), field(2, &nested)].concat();
    let span = [story.edit(&deep).encode_to_vec(), field(SPAN_ATTRIBUTES, &attribute)].concat();
    let resource = story.request().resource_spans[0].resource.as_ref().unwrap().encode_to_vec();
    let group = [field(1, &resource), field(2, &field(2, &span))].concat();
    assert_eq!(house.post(&[PROTOBUF], &field(1, &group)).status, 200);
    house.0.caught_up();
    let shown = house.trace(&deep)["spans"][0]["attributes"].clone();
    assert!(shown.to_string().contains("shown"), "{shown}");

    let json = format!("{{\"resourceSpans\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let answer = house.post(&[JSON], json.as_bytes());
    assert_eq!(answer.status, 400, "{}", answer.text());

    // Text that is not UTF-8: a name that nobody can show is refused, an attribute is left out.
    let mut story = Story::parse("bad-name");
    let run = story.start("bad-attribute");
    story.edit(&run).attributes = vec![otlp::text("key", "broken-value"), otlp::text("other", "shown")];
    let mut bytes = story.request().encode_to_vec();
    for wrong in [&b"bad-name works"[..], b"broken-value"] {
        let at = bytes.windows(wrong.len()).position(|window| window == wrong).unwrap();
        bytes[at] = 0xff;
    }
    let answer = house.post(&[PROTOBUF], &bytes);
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("UTF-8"), "{}", answer.text());
    house.0.caught_up();
    let span = &house.trace(&run)["spans"][0];
    assert!(span["attributes"].to_string().contains("shown"), "{span}");
    house.lives_on();
}

#[test]
fn a_flood_of_names_and_links_is_bounded() {
    let house = House::new();
    let mut story = Story::default();
    for at in 0..2_000 {
        story.start(&format!("function-{at}"));
    }
    let run = story.start("linked");
    let links = std::iter::repeat_with(|| Link { trace_id: vec![7; 16], span_id: vec![7; 8], ..Default::default() });
    story.edit(&run).links = links.take(5_000).collect();
    let long = "x".repeat(1 << 20);
    story.edit(&run).name.clone_from(&long);
    otlp::post_well(house.0.otlp_http, &story.request());
    let status = house.0.caught_up();
    assert!(status["links_dropped"].as_u64().unwrap() > 0, "{status}");
    assert_eq!(house.0.get_json("/api/v1/graph")["functions"].as_array().unwrap().len(), 2_001);
    house.lives_on();
}

#[test]
fn the_api_answers_to_its_own_names_only() {
    let house = House::new();
    let ask =
        |method, headers: &[(&str, &str)]| http::send(house.0.ui, method, "/api/v1/graph", headers, b"{}").unwrap();
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"] {
        let answer = ask("GET", &[("host", host)]);
        assert_eq!(answer.status, 403, "{host}");
        assert_eq!(answer.json()["error"]["code"], "host_not_allowed");
    }
    for host in ["localhost", "127.0.0.1", "[::1]:4319"] {
        assert_eq!(ask("GET", &[("host", host)]).status, 200, "{host}");
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let form = http::send(house.0.ui, "POST", "/api/v1/intended", &form, b"{}").unwrap();
    assert_eq!((form.status, &form.json()["error"]["code"]), (415, &json!("content_type_not_json")));
    assert_eq!(ask("POST", &[JSON]).status, 405);
    let answer = ask("GET", &[]);
    for header in ["content-security-policy: ", "x-content-type-options: nosniff", "x-frame-options: deny"] {
        assert!(answer.head.contains(header), "{header} is missing in {}", answer.head);
    }
    // Health is asked by machines under any name.
    let health = http::send(house.0.ui, "GET", "/healthz", &[("host", "pod-7")], b"").unwrap();
    assert_eq!(health.status, 200);
    house.lives_on();
}
