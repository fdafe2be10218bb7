//! Requests of all three signals as bytes, and bytes that no encoder would write.

use std::{
    io::Write as _,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest,
        metrics::v1::ExportMetricsServiceRequest,
        trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse},
    },
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    metrics::v1::{
        Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data, number_data_point::Value,
    },
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};

pub(crate) const GZIP: (&str, &str) = ("content-encoding", "gzip");

/// What a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Logs,
    Metrics,
}

/// Ids are numbers in a row, far from those of the stories.
static NEXT_ID: AtomicU64 = AtomicU64::new(1 << 40);

impl Signal {
    pub(crate) const ALL: [Self; 3] = [Self::Traces, Self::Logs, Self::Metrics];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
            Self::Metrics => "/v1/metrics",
        }
    }

    pub(crate) fn grpc_path(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        }
    }

    /// The only field of the request in JSON.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::Traces => "resourceSpans",
            Self::Logs => "resourceLogs",
            Self::Metrics => "resourceMetrics",
        }
    }

    /// The count of a partial success in JSON.
    pub(crate) fn rejected(self) -> &'static str {
        match self {
            Self::Traces => "rejectedSpans",
            Self::Logs => "rejectedLogRecords",
            Self::Metrics => "rejectedDataPoints",
        }
    }

    /// The counter of accepted items.
    pub(crate) fn received(self) -> &'static str {
        match self {
            Self::Traces => "spans_received",
            Self::Logs => "log_records_received",
            Self::Metrics => "data_points_received",
        }
    }
}

/// A span that nothing is wrong with.
pub(crate) fn span() -> Span {
    let id = NEXT_ID.fetch_add(1, Relaxed);
    Span {
        trace_id: u128::from(id).to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        name: "op".into(),
        ..Default::default()
    }
}

/// Spans as a request, of no resource.
pub(crate) fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] }
}

/// A request for traces with exactly this many bytes.
pub(crate) fn traces_of_bytes(bytes: usize) -> Vec<u8> {
    let of_name = |length: usize| request(vec![Span { name: "x".repeat(length), ..span() }]).encode_to_vec();
    let around = of_name(bytes / 2).len() - bytes / 2;
    let body = (0..8).map(|more| of_name(bytes - around - more)).find(|body| body.len() == bytes);
    body.expect("a length that can be reached")
}

/// A request with so many items that nothing is wrong with.
pub(crate) fn good(signal: Signal, items: usize) -> Vec<u8> {
    let resource = Some(Resource::default());
    match signal {
        Signal::Traces => request((0..items).map(|_| span()).collect()).encode_to_vec(),
        Signal::Logs => {
            let log_records = vec![LogRecord { time_unix_nano: 1, ..Default::default() }; items];
            let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
            let group = ResourceLogs { resource, scope_logs, ..Default::default() };
            ExportLogsServiceRequest { resource_logs: vec![group] }.encode_to_vec()
        }
        Signal::Metrics => {
            let point = NumberDataPoint { time_unix_nano: 1, value: Some(Value::AsInt(1)), ..Default::default() };
            let data = Some(Data::Gauge(Gauge { data_points: vec![point; items] }));
            let metrics = vec![Metric { name: "m".into(), data, ..Default::default() }];
            let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
            let group = ResourceMetrics { resource, scope_metrics, ..Default::default() };
            ExportMetricsServiceRequest { resource_metrics: vec![group] }.encode_to_vec()
        }
    }
}

/// The same in JSON.
pub(crate) fn good_json(signal: Signal, items: usize) -> String {
    let body = good(signal, items);
    let body = body.as_slice();
    match signal {
        Signal::Traces => serde_json::to_string(&ExportTraceServiceRequest::decode(body).unwrap()),
        Signal::Logs => serde_json::to_string(&ExportLogsServiceRequest::decode(body).unwrap()),
        Signal::Metrics => serde_json::to_string(&ExportMetricsServiceRequest::decode(body).unwrap()),
    }
    .unwrap()
}

/// The partial success in an answer; all signals have the same fields.
pub(crate) fn partial(answer: &[u8]) -> Option<ExportTracePartialSuccess> {
    ExportTraceServiceResponse::decode(answer).unwrap().partial_success
}

/// A length-delimited field of a protobuf message.
pub(crate) fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::with_capacity(bytes.len() + 8);
    encode_key(number, WireType::LengthDelimited, &mut field);
    encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

/// Spans as bytes in a request whose resource has this name.
pub(crate) fn request_of_bytes(function: &str, spans: &[&[u8]]) -> Vec<u8> {
    let attributes = ["service.name", "faas.name"].map(|key| super::support::otlp::text(key, function)).to_vec();
    let resource = Resource { attributes, ..Default::default() }.encode_to_vec();
    let spans: Vec<u8> = spans.iter().flat_map(|span| field(2, span)).collect();
    field(1, &[field(1, &resource), field(2, &spans)].concat())
}

/// Fields that no version of the schema has, of every wire type.
pub(crate) fn unknown_fields() -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(1000, WireType::Varint, &mut bytes);
    bytes.push(7);
    encode_key(1001, WireType::SixtyFourBit, &mut bytes);
    bytes.extend([0; 8]);
    bytes.extend(field(1002, b"what is this"));
    encode_key(1003, WireType::ThirtyTwoBit, &mut bytes);
    bytes.extend([0; 4]);
    encode_key(1004, WireType::StartGroup, &mut bytes);
    bytes.extend(field(1, b"in a group"));
    encode_key(1004, WireType::EndGroup, &mut bytes);
    bytes
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// So many MiB of spaces as gzip or zstd, without holding them.
pub(crate) fn bomb(with_zstd: bool, mebibytes: usize) -> Vec<u8> {
    let piece = vec![b' '; 1 << 20];
    if with_zstd {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        (0..mebibytes).for_each(|_| encoder.write_all(&piece).unwrap());
        encoder.finish().unwrap()
    } else {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        (0..mebibytes).for_each(|_| encoder.write_all(&piece).unwrap());
        encoder.finish().unwrap()
    }
}
