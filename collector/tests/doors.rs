//! Both doors over real sockets: what is good is stored, what is bad gets the right answer, and the door lives on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use loopscope_collector::{
    counters::Counters,
    doors::{Admission, Limits, serve_grpc, serve_http},
    journal::{
        Journal, JournalConfig,
        tail::{Tail, TailEvent},
    },
    otlp::traces,
};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{ExportLogsServiceRequest, logs_service_client::LogsServiceClient},
        metrics::v1::{ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient},
        trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse, trace_service_client::TraceServiceClient},
    },
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, codec::CompressionEncoding, transport::Channel};
use tonic_types::{StatusExt as _, pb};

const LIMIT: usize = 64 << 10;
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// A journal with both doors before it.
struct House {
    http: SocketAddr,
    grpc: SocketAddr,
    counters: Arc<Counters>,
    journal: Journal,
    shutdown: CancellationToken,
    doors: Vec<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

async fn house() -> House {
    house_with(256 << 20).await
}

async fn house_with(in_flight_bytes: usize) -> House {
    let dir = tempfile::tempdir().unwrap();
    let config = JournalConfig {
        retention: Duration::from_secs(3600),
        max_disk_bytes: 1 << 30,
        segment_age: Duration::from_secs(3600),
        segment_bytes: 64 << 20,
        ephemeral: false,
    };
    let counters = Arc::new(Counters::default());
    let journal = Journal::open(dir.path(), config, Arc::clone(&counters)).unwrap();
    let admission = Admission::new(journal.clone(), Arc::clone(&counters), in_flight_bytes);
    let limits = Limits { request_bytes: LIMIT, ..Limits::default() };
    let shutdown = CancellationToken::new();
    let (http, grpc) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    House {
        http: http.local_addr().unwrap(),
        grpc: grpc.local_addr().unwrap(),
        counters,
        journal,
        doors: vec![
            tokio::spawn(serve_http(http, admission.clone(), limits.clone(), shutdown.clone())),
            tokio::spawn(serve_grpc(grpc, admission, limits, shutdown.clone())),
        ],
        shutdown,
        _dir: dir,
    }
}

impl House {
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send("POST", path, headers, body).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        let length = ("content-length", &*body.len().to_string());
        let headers: String = [&[("connection", "close"), ("host", "test"), length], headers]
            .concat()
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        stream.write_all(format!("{method} {path} HTTP/1.1\r\n{headers}\r\n").as_bytes()).await.unwrap();
        // The door may answer and hang up before it has everything.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer).await {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
            _ => {}
        }
        let at = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("an answer with a head");
        let head = String::from_utf8(answer[..at].to_vec()).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: answer[at + 4..].to_vec() }
    }

    async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap()
    }

    async fn traces(&self) -> TraceServiceClient<Channel> {
        TraceServiceClient::new(self.channel().await)
    }

    /// The door still works, over both transports.
    #[track_caller]
    fn lives_on(&self) -> impl Future<Output = ()> {
        let before = self.counters.spans_received.get();
        async move {
            let answer =
                self.post("/v1/traces", &[("content-type", PROTOBUF)], &request(vec![span(1)]).encode_to_vec()).await;
            assert_eq!((answer.status, answer.body.len()), (200, 0));
            let answer = self.traces().await.export(request(vec![span(2), span(3)])).await.unwrap().into_inner();
            assert_eq!(answer.partial_success, None);
            assert_eq!(self.counters.spans_received.get(), before + 3);
        }
    }

    async fn close(self) {
        self.shutdown.cancel();
        for door in self.doors {
            door.await.unwrap();
        }
    }
}

impl Answer {
    #[track_caller]
    fn check_json_status(&self, status: u16, text: &str) {
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(self.status, status, "{body}");
        assert!(self.head.contains("content-type: application/json"), "{}", self.head);
        assert!(body["message"].as_str().unwrap().contains(text), "{body}");
    }

    #[track_caller]
    fn check_protobuf_status(&self, status: u16, text: &str) {
        assert_eq!(self.status, status);
        assert!(self.head.contains("content-type: application/x-protobuf"), "{}", self.head);
        let body = pb::Status::decode(self.body.as_slice()).unwrap();
        assert!(body.message.contains(text), "{body:?}");
    }
}

fn span(id: u8) -> Span {
    Span { trace_id: vec![id; 16], span_id: vec![id; 8], name: "op".into(), ..Default::default() }
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] }
}

fn logs(count: usize) -> ExportLogsServiceRequest {
    let scope_logs = vec![ScopeLogs { log_records: vec![LogRecord::default(); count], ..Default::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..Default::default() }] }
}

/// A request whose bytes are more than the limit, and fewer when they are compressed.
fn oversize() -> ExportTraceServiceRequest {
    request(vec![Span { name: "x".repeat(LIMIT), ..span(1) }])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn stored_spans(tail: &mut Tail) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(event) = tail.next_timeout(Duration::ZERO) {
        let TailEvent::Batch(batch) = event else { panic!("{event:?}") };
        names.extend(traces::spans(&batch.body).unwrap().spans.iter().map(|span| span.name.to_string()));
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn good_requests_are_stored_in_every_dress() {
    let house = house().await;
    let named = |name: &str| request(vec![Span { name: name.into(), ..span(1) }]);
    let id = |byte: &str, count| byte.repeat(count);
    let json = json!({"resourceSpans": [{"scopeSpans": [{"spans": [
        {"traceId": id("AB", 16), "spanId": id("cd", 8), "name": "json", "kind": 2, "startTimeUnixNano": "1"}
    ]}]}]})
    .to_string();
    let plain = named("plain").encode_to_vec();
    for (headers, body) in [
        (vec![("content-type", PROTOBUF)], plain),
        (
            vec![("content-type", "Application/X-Protobuf; x=1"), ("content-encoding", "GZIP")],
            gzip(&named("gzip").encode_to_vec()),
        ),
        (vec![("content-type", "application/json; charset=utf-8")], json.clone().into_bytes()),
        (vec![("content-type", JSON), ("content-encoding", "gzip")], gzip(json.as_bytes())),
    ] {
        let answer = house.post("/v1/traces", &headers, &body).await;
        let expected: &[u8] = if answer.head.contains("json") { b"{}" } else { b"" };
        assert_eq!((answer.status, answer.body.as_slice()), (200, expected));
    }
    for client in [house.traces().await, house.traces().await.send_compressed(CompressionEncoding::Gzip)] {
        let answer = client.clone().export(named("grpc")).await.unwrap().into_inner();
        assert_eq!(answer.partial_success, None);
    }
    let mut tail = house.journal.tail_from(1);
    assert_eq!(stored_spans(&mut tail), ["plain", "gzip", "json", "json", "grpc", "grpc"]);
    assert_eq!(house.counters.spans_received.get(), 6);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_and_metrics_have_doors_too() {
    let house = house().await;
    let answer = house.post("/v1/logs", &[("content-type", PROTOBUF)], &logs(3).encode_to_vec()).await;
    assert_eq!(answer.status, 200);
    let json = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "m", "gauge": {"dataPoints": [{"asInt": "1"}, {"asDouble": 2}]}}
    ]}]}]});
    let answer = house.post("/v1/metrics", &[("content-type", JSON)], json.to_string().as_bytes()).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"{}"[..]));
    let channel = house.channel().await;
    LogsServiceClient::new(channel.clone()).export(logs(2)).await.unwrap();
    MetricsServiceClient::new(channel).export(ExportMetricsServiceRequest::default()).await.unwrap();
    assert_eq!((house.counters.log_records_received.get(), house.counters.data_points_received.get()), (5, 2));
    // The empty request left nothing behind.
    assert_eq!(house.journal.last_position(), 3);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_requests_succeed_and_store_nothing() {
    let house = house().await;
    for (kind, body, expected) in [(PROTOBUF, "", ""), (JSON, "{}", "{}"), (JSON, r#"{"resourceSpans":[]}"#, "{}")] {
        let answer = house.post("/v1/traces", &[("content-type", kind)], body.as_bytes()).await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, expected.as_bytes()));
    }
    let answer = house.traces().await.export(ExportTraceServiceRequest::default()).await.unwrap();
    assert_eq!(answer.into_inner(), ExportTraceServiceResponse::default());
    assert_eq!(house.journal.last_position(), 0);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_refused_for_good() {
    let house = house().await;
    let post = |kind, body: &'static [u8]| {
        let house = &house;
        async move { house.post("/v1/traces", &[("content-type", kind)], body).await }
    };
    post(PROTOBUF, b"this is no protobuf").await.check_protobuf_status(400, "not a valid OTLP traces request");
    post(PROTOBUF, &[0; 32]).await.check_protobuf_status(400, "field tag");
    post(PROTOBUF, b"{}").await.check_protobuf_status(400, "traces");
    post(JSON, b"\x0a\x02\x0a\x00").await.check_json_status(400, "OTLP/JSON");
    post(JSON, b"").await.check_json_status(400, "EOF");
    post(JSON, b"{} trailing").await.check_json_status(400, "trailing");
    let headers = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    house.post("/v1/traces", &headers, b"not gzip").await.check_protobuf_status(400, "gzip");

    // What a codec of bytes sends as it is: a message that is no protobuf.
    let mut raw = tonic::client::Grpc::new(house.channel().await);
    raw.ready().await.unwrap();
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export".parse().unwrap();
    let status = raw.unary(tonic::Request::new(vec![0xff_u8; 32]), path, RawCodec).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.message().contains("not a valid OTLP traces request"), "{status}");
    raw.ready().await.unwrap();
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Import".parse().unwrap();
    let status = raw.unary(tonic::Request::new(vec![]), path, RawCodec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status}");

    assert_eq!(house.counters.requests_refused.get(), 8);
    assert_eq!(house.journal.last_position(), 0);
    house.lives_on().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_kinds_paths_and_methods_get_a_status_that_helps() {
    let house = house().await;
    house.post("/v1/traces", &[], b"{}").await.check_json_status(415, "application/json");
    house.post("/v1/traces", &[("content-type", "text/plain")], b"{}").await.check_json_status(415, "x-protobuf");
    let twice = [("content-type", JSON), ("content-type", PROTOBUF)];
    house.post("/v1/traces", &twice, b"{}").await.check_json_status(400, "more than once");
    let brotli = house.post("/v1/traces", &[("content-type", JSON), ("content-encoding", "br")], b"{}").await;
    brotli.check_json_status(415, "gzip");
    assert!(brotli.head.contains("accept-encoding: gzip"), "{}", brotli.head);
    for path in ["/", "/v1/trace", "/v1development/profiles"] {
        house.post(path, &[("content-type", JSON)], b"{}").await.check_json_status(404, "/v1/traces");
        house.post(path, &[("content-type", PROTOBUF)], b"").await.check_protobuf_status(404, "/v1/traces");
    }
    let get = house.send("GET", "/v1/logs", &[], b"").await;
    get.check_json_status(405, "POST");
    assert!(get.head.contains("allow: post"), "{}", get.head);
    assert_eq!(house.post("/v1/traces/", &[("content-type", JSON)], b"{}").await.status, 200);
    house.lives_on().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_the_limit_are_refused_for_good() {
    let house = house().await;
    let large = oversize().encode_to_vec();
    assert!(large.len() > LIMIT);
    let kind = ("content-type", PROTOBUF);
    house.post("/v1/traces", &[kind], &large).await.check_protobuf_status(413, "limit of 65536 bytes");
    let packed = house.post("/v1/traces", &[kind, ("content-encoding", "gzip")], &gzip(&large)).await;
    packed.check_protobuf_status(413, "smaller batches");
    let kind = ("content-type", JSON);
    house.post("/v1/traces", &[kind], &[b' '; LIMIT + 1]).await.check_json_status(413, "limit");

    let name = LIMIT - request(vec![Span { name: "x".repeat(20_000), ..span(1) }]).encode_to_vec().len() + 20_000;
    let exact = request(vec![Span { name: "x".repeat(name), ..span(1) }]);
    assert_eq!(exact.encode_to_vec().len(), LIMIT);
    for (client, request, code) in [
        (house.traces().await, oversize(), Some(Code::ResourceExhausted)),
        (house.traces().await.send_compressed(CompressionEncoding::Gzip), oversize(), Some(Code::ResourceExhausted)),
        (house.traces().await, exact, None),
    ] {
        let answer = client.clone().export(request).await;
        assert_eq!(answer.as_ref().err().map(tonic::Status::code), code);
        if let Err(status) = answer {
            assert!(status.get_details_retry_info().is_none());
        }
    }
    assert_eq!(house.counters.requests_refused.get(), 5);
    house.lives_on().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_spans_cost_themselves_and_are_counted() {
    let house = house().await;
    let zero_trace = Span { trace_id: vec![0; 16], ..span(2) };
    let zero_span = Span { span_id: vec![0; 8], ..span(3) };
    let self_parent = Span { parent_span_id: vec![4; 8], name: "own parent".into(), ..span(4) };
    let mixed = request(vec![span(1), zero_trace, zero_span, self_parent]);

    let partial = house.traces().await.export(mixed.clone()).await.unwrap().into_inner().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 2);
    assert!(partial.error_message.contains("trace_id must not be all zeroes"), "{}", partial.error_message);
    assert!(partial.error_message.contains("span_id must not be all zeroes"), "{}", partial.error_message);

    let answer = house.post("/v1/traces", &[("content-type", PROTOBUF)], &mixed.encode_to_vec()).await;
    assert_eq!(answer.status, 200);
    let response = ExportTraceServiceResponse::decode(answer.body.as_slice()).unwrap();
    assert_eq!(response.partial_success.unwrap().rejected_spans, 2);

    let spans = json!([
        {"traceId": "00000000000000000000000000000000", "spanId": "0102030405060708"},
        {"traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "0102030405060708", "name": "op"},
        {"traceId": "not hexadecimal", "spanId": "0102030405060708"},
    ]);
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string();
    let answer = house.post("/v1/traces", &[("content-type", JSON)], body.as_bytes()).await;
    let response: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &response["partialSuccess"]["rejectedSpans"]), (200, &json!("2")));

    assert_eq!((house.counters.spans_received.get(), house.counters.spans_rejected.get()), (5, 6));
    let mut tail = house.journal.tail_from(1);
    assert_eq!(stored_spans(&mut tail), ["op", "own parent", "op", "own parent", "op"]);
    house.lives_on().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_asks_to_come_again() {
    let house = house_with(500).await;
    let busy = request(vec![Span { name: "x".repeat(1000), ..span(1) }]);
    let status = house.traces().await.export(busy.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
    assert_eq!(retry, Some(Duration::from_secs(1)));
    let answer = house.post("/v1/traces", &[("content-type", PROTOBUF)], &busy.encode_to_vec()).await;
    answer.check_protobuf_status(503, "again later");
    assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
    assert_eq!(house.counters.requests_overloaded.get(), 2);
    house.lives_on().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_journal_is_said_in_words_that_let_the_sender_try_again() {
    let house = house().await;
    house.journal.close();
    let status = house.traces().await.export(request(vec![span(1)])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let answer = house.post("/v1/traces", &[("content-type", PROTOBUF)], &request(vec![span(1)]).encode_to_vec()).await;
    answer.check_protobuf_status(503, "closed");
    assert_eq!(house.counters.spans_received.get(), 0);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_serves_many_requests_at_once_and_ends_with_the_door() {
    let house = house().await;
    let client = house.traces().await;
    let exports: Vec<_> = (0..200)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.export(request(vec![span(1)])).await.map(drop) })
        })
        .collect();
    for export in exports {
        export.await.unwrap().unwrap();
    }
    assert_eq!((house.counters.spans_received.get(), house.journal.last_position()), (200, 200));
    // The open connections do not keep the doors from closing.
    let _idle = TcpStream::connect(house.http).await.unwrap();
    tokio::time::timeout(Duration::from_secs(9), house.close()).await.expect("the doors close in time");
}

/// Sends bytes as they are.
struct RawCodec;

impl tonic::codec::Codec for RawCodec {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl tonic::codec::Encoder for RawCodec {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut tonic::codec::EncodeBuf<'_>) -> Result<(), tonic::Status> {
        bytes::BufMut::put(buffer, item.as_slice());
        Ok(())
    }
}

impl tonic::codec::Decoder for RawCodec {
    type Item = Vec<u8>;
    type Error = tonic::Status;

    fn decode(&mut self, buffer: &mut tonic::codec::DecodeBuf<'_>) -> Result<Option<Vec<u8>>, tonic::Status> {
        let mut bytes = vec![0; bytes::Buf::remaining(buffer)];
        bytes::Buf::copy_to_slice(buffer, &mut bytes);
        Ok(Some(bytes))
    }
}
