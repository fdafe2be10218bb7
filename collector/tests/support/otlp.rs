//! Stories of functions as OTLP requests, and the ways to send them.
//!
//! ```text
//!   a -> b        a calls b and waits: client span, then server span, in one trace
//!   a ~> b        a causes b by a message: producer span, then consumer span in a new trace, with a span link
//!   a ~q~> b      the same through the queue q
//! ```

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse, trace_service_client::TraceServiceClient,
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Link, SpanKind},
        status::StatusCode,
    },
};
use prost::Message as _;
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use super::http::{self, Answer, JSON, PROTOBUF};

/// The environment of all functions.
pub(crate) const ENVIRONMENT: &str = "test";

const MILLISECOND: u64 = 1_000_000;

/// Ids are numbers in a row, so that no two spans of all tests have the same.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Spans under construction, with the functions that ran them.
#[derive(Clone, Default)]
pub(crate) struct Story {
    spans: Vec<(String, Span)>,
}

/// An invocation of a story.
#[derive(Clone)]
pub(crate) struct Run {
    function: String,
    place: usize,
    trace_id: Vec<u8>,
    span_id: Vec<u8>,
    start: u64,
}

impl Story {
    /// A run of `shop` of 100 ms with twelve reads of one table in a row; every fourth is cold, and the one of number 7
    /// times out after two seconds.
    pub(crate) fn shop(&mut self, number: u64) -> Run {
        let run = self.start("shop");
        last(self.edit(&run), if number == 7 { 2_000 } else { 100 });
        if number.is_multiple_of(4) {
            self.edit(&run).attributes.push(text("faas.coldstart", "true"));
            last(self.edit(&run), 800);
        }
        if number == 7 {
            fail(self.edit(&run));
        }
        for read in 0..12 {
            let table = self.call(&run, "table");
            let span = self.edit_caller(&table);
            span.attributes.extend([text("db.system.name", "postgresql"), text("db.collection.name", "orders")]);
            span.start_time_unix_nano += read * 5_000_000;
            last(span, 4);
            self.drop_last();
        }
        run
    }

    /// One chain in each line.
    pub(crate) fn parse(text: &str) -> Self {
        let mut story = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            let run = story.start(first);
            story.follow(run, rest);
        }
        story
    }

    /// An invocation that nothing caused.
    pub(crate) fn start(&mut self, function: &str) -> Run {
        self.span(function, new_trace_id(), &[], SpanKind::Server, now(), 10)
    }

    /// Goes on from an invocation with arrows and names; returns the last invocation.
    pub(crate) fn follow(&mut self, from: Run, arrows: &str) -> Run {
        let words: Vec<&str> = arrows.split_whitespace().collect();
        words.chunks(2).fold(from, |run, step| match step {
            ["->", function] => self.call(&run, function),
            ["~>", function] => self.message(&run, function, None),
            [queue, function] => self.message(&run, function, Some(queue.trim_matches(['~', '>']))),
            _ => panic!("an arrow without a function: {arrows}"),
        })
    }

    /// An invocation that another called.
    pub(crate) fn call(&mut self, from: &Run, function: &str) -> Run {
        let start = from.start + MILLISECOND;
        let client = self.span(&from.function, from.trace_id.clone(), &from.span_id, SpanKind::Client, start, 8);
        self.span(function, client.trace_id, &client.span_id, SpanKind::Server, start + MILLISECOND, 6)
    }

    /// An invocation in a new trace that a message of another caused.
    pub(crate) fn message(&mut self, from: &Run, function: &str, queue: Option<&str>) -> Run {
        let start = from.start + MILLISECOND;
        let producer = self.span(&from.function, from.trace_id.clone(), &from.span_id, SpanKind::Producer, start, 1);
        let consumer = self.span(function, new_trace_id(), &[], SpanKind::Consumer, start + 5 * MILLISECOND, 6);
        if let Some(queue) = queue {
            for run in [&producer, &consumer] {
                let attributes = &mut self.edit(run).attributes;
                attributes.push(text("messaging.system", "aws_sqs"));
                attributes.push(text("messaging.destination.name", queue));
            }
        }
        let link = Link { trace_id: producer.trace_id, span_id: producer.span_id, ..Default::default() };
        self.edit(&consumer).links.push(link);
        consumer
    }

    /// The same where no link tells: both sides know the id of the message.
    pub(crate) fn unlinked(&mut self, from: &Run, function: &str, queue: &str) -> Run {
        let consumer = self.message(from, function, Some(queue));
        let id = text("messaging.message.id", &format!("m-{}", consumer.span()));
        self.edit_caller(&consumer).attributes.push(id.clone());
        let entry = self.edit(&consumer);
        entry.attributes.push(id);
        entry.links.clear();
        consumer
    }

    /// Laps that double from an invocation on, so many times.
    pub(crate) fn tree(&mut self, from: Run, function: &str, queue: &str, times: usize) {
        let mut leaves = vec![from];
        for _ in 0..times {
            leaves =
                leaves.iter().flat_map(|run| [run; 2]).map(|run| self.message(run, function, Some(queue))).collect();
        }
    }

    /// The entry span of an invocation, to be changed.
    pub(crate) fn edit(&mut self, run: &Run) -> &mut Span {
        &mut self.spans[run.place].1
    }

    /// The client span of a call, or the producer span of a message, to be changed.
    pub(crate) fn edit_caller(&mut self, callee: &Run) -> &mut Span {
        &mut self.spans[callee.place - 1].1
    }

    /// Lets the span go that was made last, as if it had never been exported.
    pub(crate) fn drop_last(&mut self) {
        self.spans.pop();
    }

    /// Makes all of an invocation begin and end this many milliseconds later.
    pub(crate) fn shift(&mut self, run: &Run, ms: u64) {
        let span = self.edit(run);
        span.start_time_unix_nano += ms * MILLISECOND;
        span.end_time_unix_nano += ms * MILLISECOND;
    }

    /// As a sampler lets it through that says so: all spans carry this `tracestate`.
    pub(crate) fn with_trace_state(mut self, trace_state: &str) -> Self {
        self.spans.iter_mut().for_each(|(_, span)| span.trace_state = trace_state.to_owned());
        self
    }

    /// How many spans there are.
    pub(crate) fn len(&self) -> u64 {
        self.spans.len() as u64
    }

    /// All spans as one request.
    pub(crate) fn request(&self) -> ExportTraceServiceRequest {
        let mut resource_spans: Vec<ResourceSpans> = Vec::new();
        for (function, span) in &self.spans {
            let resource = Some(resource(function));
            match resource_spans.iter_mut().find(|group| group.resource == resource) {
                Some(group) => group.scope_spans[0].spans.push(span.clone()),
                None => {
                    let scope_spans = vec![ScopeSpans { spans: vec![span.clone()], ..Default::default() }];
                    resource_spans.push(ResourceSpans { resource, scope_spans, ..Default::default() });
                }
            }
        }
        ExportTraceServiceRequest { resource_spans }
    }

    /// Each span as a request of its own, the last first.
    pub(crate) fn backwards(&self) -> impl Iterator<Item = ExportTraceServiceRequest> {
        self.spans.iter().rev().map(|span| Self { spans: vec![span.clone()] }.request())
    }

    fn span(
        &mut self,
        function: &str,
        trace_id: Vec<u8>,
        parent_span_id: &[u8],
        kind: SpanKind,
        start: u64,
        ms: u64,
    ) -> Run {
        let span_id = NEXT_ID.fetch_add(1, Relaxed).to_be_bytes().to_vec();
        let span = Span {
            trace_id: trace_id.clone(),
            span_id: span_id.clone(),
            parent_span_id: parent_span_id.to_vec(),
            name: format!("{function} works"),
            kind: kind.into(),
            start_time_unix_nano: start,
            end_time_unix_nano: start + ms * MILLISECOND,
            ..Default::default()
        };
        self.spans.push((function.to_owned(), span));
        Run { function: function.to_owned(), place: self.spans.len() - 1, trace_id, span_id, start }
    }
}

impl Run {
    /// The trace in hexadecimal digits.
    pub(crate) fn trace(&self) -> String {
        hex(&self.trace_id)
    }

    /// The entry span in hexadecimal digits.
    pub(crate) fn span(&self) -> String {
        hex(&self.span_id)
    }
}

/// Makes the span last this long.
pub(crate) fn last(span: &mut Span, ms: u64) {
    span.end_time_unix_nano = span.start_time_unix_nano + ms * MILLISECOND;
}

/// Makes the span end with an error.
pub(crate) fn fail(span: &mut Span) {
    span.status = Some(Status { code: StatusCode::Error.into(), ..Default::default() });
}

/// An attribute.
pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..Default::default() }
}

/// Bytes as the API writes them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Posts protobuf.
pub(crate) fn post(otlp_http: SocketAddr, request: &ExportTraceServiceRequest) -> io::Result<Answer> {
    http::send(otlp_http, "POST", "/v1/traces", &[PROTOBUF], &request.encode_to_vec())
}

/// Posts protobuf that must be accepted as it is.
#[track_caller]
pub(crate) fn post_well(otlp_http: SocketAddr, request: &ExportTraceServiceRequest) {
    let answer = post(otlp_http, request).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b""[..]), "{}", answer.text());
}

/// Posts OTLP/JSON.
pub(crate) fn post_json(otlp_http: SocketAddr, request: &ExportTraceServiceRequest) -> io::Result<Answer> {
    http::send(otlp_http, "POST", "/v1/traces", &[JSON], &serde_json::to_vec(request).unwrap())
}

/// An exporter over gRPC for one thread.
pub(crate) struct Grpc {
    runtime: Runtime,
    client: TraceServiceClient<Channel>,
}

impl Grpc {
    /// Connects.
    pub(crate) fn connect(otlp_grpc: SocketAddr) -> Self {
        // A thread of its own answers the server's pings between two exports.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(TraceServiceClient::connect(format!("http://{otlp_grpc}"))).unwrap();
        Self { runtime, client: client.max_encoding_message_size(usize::MAX) }
    }

    /// Exports, once.
    pub(crate) fn export(
        &mut self,
        request: ExportTraceServiceRequest,
    ) -> Result<ExportTraceServiceResponse, tonic::Status> {
        self.runtime.block_on(self.client.export(request)).map(tonic::Response::into_inner)
    }
}

fn resource(function: &str) -> Resource {
    let attributes = [
        ("service.name", function),
        ("faas.name", function),
        ("cloud.provider", "aws"),
        ("cloud.platform", "aws_lambda"),
        ("deployment.environment.name", ENVIRONMENT),
    ];
    Resource { attributes: attributes.map(|(key, value)| text(key, value)).to_vec(), ..Default::default() }
}

fn new_trace_id() -> Vec<u8> {
    u128::from(NEXT_ID.fetch_add(1, Relaxed)).to_be_bytes().to_vec()
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}
