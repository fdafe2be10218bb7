//! The OTLP messages as a table: for each field its JSON name, its number and how its value is written.
//!
//! Fields that are not listed are ignored, as OTLP/JSON demands of fields that a receiver does not know.

use opentelemetry_proto::tonic::{
    logs::v1::SeverityNumber,
    metrics::v1::AggregationTemporality,
    trace::v1::{span::SpanKind, status::StatusCode},
};

/// A message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    /// The only spelling that OTLP/JSON knows: lowerCamelCase.
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) repeated: bool,
}

/// How a value is read from JSON and written to protobuf.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    /// Bytes in base64.
    Base64,
    /// An id in hexadecimal digits.
    HexId,
    Bool,
    /// Signed or unsigned, as a varint.
    Int,
    /// A signed varint; numbers that do not fit are written to the double field of this number.
    IntOrDouble(u32),
    /// Zigzag.
    Sint,
    Fixed32,
    Fixed64,
    /// Signed, eight bytes; numbers that do not fit are written to the double field of this number.
    Sfixed64OrDouble(u32),
    Double,
    /// A number or a name.
    Enum(fn(&str) -> Option<i32>),
    Message(&'static Message),
}

pub(super) static TRACES: Message =
    Message { name: "ExportTraceServiceRequest", fields: &[many("resourceSpans", 1, Kind::Message(&RESOURCE_SPANS))] };
pub(super) static LOGS: Message =
    Message { name: "ExportLogsServiceRequest", fields: &[many("resourceLogs", 1, Kind::Message(&RESOURCE_LOGS))] };
pub(super) static METRICS: Message = Message {
    name: "ExportMetricsServiceRequest",
    fields: &[many("resourceMetrics", 1, Kind::Message(&RESOURCE_METRICS))],
};

const fn one(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind, repeated: false }
}

const fn many(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind, repeated: true }
}

static RESOURCE: Message = Message {
    name: "Resource",
    fields: &[
        many("attributes", 1, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 2, Kind::Int),
        many("entityRefs", 3, Kind::Message(&ENTITY_REF)),
    ],
};

static ENTITY_REF: Message = Message {
    name: "EntityRef",
    fields: &[
        one("schemaUrl", 1, Kind::Text),
        one("type", 2, Kind::Text),
        many("idKeys", 3, Kind::Text),
        many("descriptionKeys", 4, Kind::Text),
    ],
};

static SCOPE: Message = Message {
    name: "InstrumentationScope",
    fields: &[
        one("name", 1, Kind::Text),
        one("version", 2, Kind::Text),
        many("attributes", 3, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 4, Kind::Int),
    ],
};

static KEY_VALUE: Message =
    Message { name: "KeyValue", fields: &[one("key", 1, Kind::Text), one("value", 2, Kind::Message(&ANY_VALUE))] };

static ANY_VALUE: Message = Message {
    name: "AnyValue",
    fields: &[
        one("stringValue", 1, Kind::Text),
        one("boolValue", 2, Kind::Bool),
        one("intValue", 3, Kind::IntOrDouble(4)),
        one("doubleValue", 4, Kind::Double),
        one("arrayValue", 5, Kind::Message(&ARRAY_VALUE)),
        one("kvlistValue", 6, Kind::Message(&KEY_VALUE_LIST)),
        one("bytesValue", 7, Kind::Base64),
    ],
};

static ARRAY_VALUE: Message = Message { name: "ArrayValue", fields: &[many("values", 1, Kind::Message(&ANY_VALUE))] };

static KEY_VALUE_LIST: Message =
    Message { name: "KeyValueList", fields: &[many("values", 1, Kind::Message(&KEY_VALUE))] };

static RESOURCE_SPANS: Message = Message {
    name: "ResourceSpans",
    fields: &[
        one("resource", 1, Kind::Message(&RESOURCE)),
        many("scopeSpans", 2, Kind::Message(&SCOPE_SPANS)),
        one("schemaUrl", 3, Kind::Text),
    ],
};

static SCOPE_SPANS: Message = Message {
    name: "ScopeSpans",
    fields: &[
        one("scope", 1, Kind::Message(&SCOPE)),
        many("spans", 2, Kind::Message(&SPAN)),
        one("schemaUrl", 3, Kind::Text),
    ],
};

static SPAN: Message = Message {
    name: "Span",
    fields: &[
        one("traceId", 1, Kind::HexId),
        one("spanId", 2, Kind::HexId),
        one("traceState", 3, Kind::Text),
        one("parentSpanId", 4, Kind::HexId),
        one("name", 5, Kind::Text),
        one("kind", 6, Kind::Enum(|name| SpanKind::from_str_name(name).map(|kind| kind as i32))),
        one("startTimeUnixNano", 7, Kind::Fixed64),
        one("endTimeUnixNano", 8, Kind::Fixed64),
        many("attributes", 9, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 10, Kind::Int),
        many("events", 11, Kind::Message(&EVENT)),
        one("droppedEventsCount", 12, Kind::Int),
        many("links", 13, Kind::Message(&LINK)),
        one("droppedLinksCount", 14, Kind::Int),
        one("status", 15, Kind::Message(&STATUS)),
        one("flags", 16, Kind::Fixed32),
    ],
};

static EVENT: Message = Message {
    name: "Event",
    fields: &[
        one("timeUnixNano", 1, Kind::Fixed64),
        one("name", 2, Kind::Text),
        many("attributes", 3, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 4, Kind::Int),
    ],
};

static LINK: Message = Message {
    name: "Link",
    fields: &[
        one("traceId", 1, Kind::HexId),
        one("spanId", 2, Kind::HexId),
        one("traceState", 3, Kind::Text),
        many("attributes", 4, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 5, Kind::Int),
        one("flags", 6, Kind::Fixed32),
    ],
};

static STATUS: Message = Message {
    name: "Status",
    fields: &[
        one("message", 2, Kind::Text),
        one("code", 3, Kind::Enum(|name| StatusCode::from_str_name(name).map(|code| code as i32))),
    ],
};

static RESOURCE_LOGS: Message = Message {
    name: "ResourceLogs",
    fields: &[
        one("resource", 1, Kind::Message(&RESOURCE)),
        many("scopeLogs", 2, Kind::Message(&SCOPE_LOGS)),
        one("schemaUrl", 3, Kind::Text),
    ],
};

static SCOPE_LOGS: Message = Message {
    name: "ScopeLogs",
    fields: &[
        one("scope", 1, Kind::Message(&SCOPE)),
        many("logRecords", 2, Kind::Message(&LOG_RECORD)),
        one("schemaUrl", 3, Kind::Text),
    ],
};

static LOG_RECORD: Message = Message {
    name: "LogRecord",
    fields: &[
        one("timeUnixNano", 1, Kind::Fixed64),
        one("severityNumber", 2, Kind::Enum(|name| SeverityNumber::from_str_name(name).map(|number| number as i32))),
        one("severityText", 3, Kind::Text),
        one("body", 5, Kind::Message(&ANY_VALUE)),
        many("attributes", 6, Kind::Message(&KEY_VALUE)),
        one("droppedAttributesCount", 7, Kind::Int),
        one("flags", 8, Kind::Fixed32),
        one("traceId", 9, Kind::HexId),
        one("spanId", 10, Kind::HexId),
        one("observedTimeUnixNano", 11, Kind::Fixed64),
        one("eventName", 12, Kind::Text),
    ],
};

static RESOURCE_METRICS: Message = Message {
    name: "ResourceMetrics",
    fields: &[
        one("resource", 1, Kind::Message(&RESOURCE)),
        many("scopeMetrics", 2, Kind::Message(&SCOPE_METRICS)),
        one("schemaUrl", 3, Kind::Text),
    ],
};

static SCOPE_METRICS: Message = Message {
    name: "ScopeMetrics",
    fields: &[
        one("scope", 1, Kind::Message(&SCOPE)),
        many("metrics", 2, Kind::Message(&METRIC)),
        one("schemaUrl", 3, Kind::Text),
    ],
};

static METRIC: Message = Message {
    name: "Metric",
    fields: &[
        one("name", 1, Kind::Text),
        one("description", 2, Kind::Text),
        one("unit", 3, Kind::Text),
        one("gauge", 5, Kind::Message(&GAUGE)),
        one("sum", 7, Kind::Message(&SUM)),
        one("histogram", 9, Kind::Message(&HISTOGRAM)),
        one("exponentialHistogram", 10, Kind::Message(&EXPONENTIAL_HISTOGRAM)),
        one("summary", 11, Kind::Message(&SUMMARY)),
        many("metadata", 12, Kind::Message(&KEY_VALUE)),
    ],
};

const TEMPORALITY: Kind = Kind::Enum(|name| AggregationTemporality::from_str_name(name).map(|value| value as i32));

static GAUGE: Message = Message { name: "Gauge", fields: &[many("dataPoints", 1, Kind::Message(&NUMBER_DATA_POINT))] };

static SUM: Message = Message {
    name: "Sum",
    fields: &[
        many("dataPoints", 1, Kind::Message(&NUMBER_DATA_POINT)),
        one("aggregationTemporality", 2, TEMPORALITY),
        one("isMonotonic", 3, Kind::Bool),
    ],
};

static HISTOGRAM: Message = Message {
    name: "Histogram",
    fields: &[
        many("dataPoints", 1, Kind::Message(&HISTOGRAM_DATA_POINT)),
        one("aggregationTemporality", 2, TEMPORALITY),
    ],
};

static EXPONENTIAL_HISTOGRAM: Message = Message {
    name: "ExponentialHistogram",
    fields: &[
        many("dataPoints", 1, Kind::Message(&EXPONENTIAL_HISTOGRAM_DATA_POINT)),
        one("aggregationTemporality", 2, TEMPORALITY),
    ],
};

static SUMMARY: Message =
    Message { name: "Summary", fields: &[many("dataPoints", 1, Kind::Message(&SUMMARY_DATA_POINT))] };

static NUMBER_DATA_POINT: Message = Message {
    name: "NumberDataPoint",
    fields: &[
        one("startTimeUnixNano", 2, Kind::Fixed64),
        one("timeUnixNano", 3, Kind::Fixed64),
        one("asDouble", 4, Kind::Double),
        many("exemplars", 5, Kind::Message(&EXEMPLAR)),
        one("asInt", 6, Kind::Sfixed64OrDouble(4)),
        many("attributes", 7, Kind::Message(&KEY_VALUE)),
        one("flags", 8, Kind::Int),
    ],
};

static HISTOGRAM_DATA_POINT: Message = Message {
    name: "HistogramDataPoint",
    fields: &[
        one("startTimeUnixNano", 2, Kind::Fixed64),
        one("timeUnixNano", 3, Kind::Fixed64),
        one("count", 4, Kind::Fixed64),
        one("sum", 5, Kind::Double),
        many("bucketCounts", 6, Kind::Fixed64),
        many("explicitBounds", 7, Kind::Double),
        many("exemplars", 8, Kind::Message(&EXEMPLAR)),
        many("attributes", 9, Kind::Message(&KEY_VALUE)),
        one("flags", 10, Kind::Int),
        one("min", 11, Kind::Double),
        one("max", 12, Kind::Double),
    ],
};

static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = Message {
    name: "ExponentialHistogramDataPoint",
    fields: &[
        many("attributes", 1, Kind::Message(&KEY_VALUE)),
        one("startTimeUnixNano", 2, Kind::Fixed64),
        one("timeUnixNano", 3, Kind::Fixed64),
        one("count", 4, Kind::Fixed64),
        one("sum", 5, Kind::Double),
        one("scale", 6, Kind::Sint),
        one("zeroCount", 7, Kind::Fixed64),
        one("positive", 8, Kind::Message(&BUCKETS)),
        one("negative", 9, Kind::Message(&BUCKETS)),
        one("flags", 10, Kind::Int),
        many("exemplars", 11, Kind::Message(&EXEMPLAR)),
        one("min", 12, Kind::Double),
        one("max", 13, Kind::Double),
        one("zeroThreshold", 14, Kind::Double),
    ],
};

static BUCKETS: Message =
    Message { name: "Buckets", fields: &[one("offset", 1, Kind::Sint), many("bucketCounts", 2, Kind::Int)] };

static SUMMARY_DATA_POINT: Message = Message {
    name: "SummaryDataPoint",
    fields: &[
        one("startTimeUnixNano", 2, Kind::Fixed64),
        one("timeUnixNano", 3, Kind::Fixed64),
        one("count", 4, Kind::Fixed64),
        one("sum", 5, Kind::Double),
        many("quantileValues", 6, Kind::Message(&VALUE_AT_QUANTILE)),
        many("attributes", 7, Kind::Message(&KEY_VALUE)),
        one("flags", 8, Kind::Int),
    ],
};

static VALUE_AT_QUANTILE: Message =
    Message { name: "ValueAtQuantile", fields: &[one("quantile", 1, Kind::Double), one("value", 2, Kind::Double)] };

static EXEMPLAR: Message = Message {
    name: "Exemplar",
    fields: &[
        one("timeUnixNano", 2, Kind::Fixed64),
        one("asDouble", 3, Kind::Double),
        one("spanId", 4, Kind::HexId),
        one("traceId", 5, Kind::HexId),
        one("asInt", 6, Kind::Sfixed64OrDouble(3)),
        many("filteredAttributes", 7, Kind::Message(&KEY_VALUE)),
    ],
};
