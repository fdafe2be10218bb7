//! What log records say of functions: the reports that AWS Lambda writes at the end of each run, and exceptions.
//!
//! A report is a line of text, as the log stream of a function and the extension of the OpenTelemetry collector have it
//! (`REPORT RequestId: .. Duration: .. ms Billed Duration: ..`), or the same as JSON (`{"type": "platform.report", ..}`), in
//! a text or in pairs of keys and values; `platform.initReport` tells of starts that no run waits for.
//! What other records say stays in the journal. Records are judged by `otlp/volume.rs`; what is made of facts is the
//! analyzer's business (`loopscope_analyzer::facts`). The forms: AWS Lambda Developer Guide, "Lambda Telemetry API".

use std::str;

use loopscope_analyzer::{
    attribute::{Attribute, Attributes},
    facts::{ExceptionRecord, FactRecord},
    identity::{Resource, function_named_by},
    span::{EventTime, SpanId, SpanKind, TraceId},
};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value},
    logs::v1::LogRecord,
};
use prost::Message as _;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{
    EnvelopeError, Signal,
    limits::ItemLimits,
    traces::{
        attributes::{self, Gathered},
        resource_of,
    },
    volume::{each_child, each_group, each_item_of, judge_log_record},
    wire::{Fields, WireError},
};

/// Bytes of a MB in a report.
const MB: f64 = 1_048_576.0;

/// Longest report that is read, bytes; those of the platform have a few hundred.
const REPORT_BYTES: usize = 4096;

/// What the log records of a request say of functions.
#[derive(Debug, Default)]
pub struct Said {
    /// What reports say, in their order; at most one for each record.
    pub facts: Vec<FactRecord>,
    /// Exceptions that name the span that they happened in. Severity alone makes none: the semantic conventions want
    /// `exception.type` or `exception.message` of each.
    pub exceptions: Vec<ExceptionRecord>,
}

/// What the accepted log records of an `ExportLogsServiceRequest` say of functions.
///
/// # Errors
/// When the messages around the log records cannot be read.
pub fn said(request: &[u8], limits: &ItemLimits) -> Result<Said, EnvelopeError> {
    let (mut said, mut left) = (Said::default(), limits.items);
    let walked = each_group(request, &mut |group| {
        let mut resource = None;
        each_item_of(group, &mut |record| {
            // A broken record costs itself, as it does at the door, where none were accepted after the last.
            if left == 0 || judge_log_record(record).is_err() {
                return Ok(());
            }
            left -= 1;
            said.exceptions.extend(exception_of(record).ok().flatten());
            if let Ok((at, Some(body))) = body_of(record)
                && let Some(report) = body.report(record)
                && let Ok(attributes) = attributes_of(record, limits)
            {
                let resource = resource.get_or_insert_with(|| resource_of(group, limits));
                said.facts.extend(report.about(resource, &attributes, at));
            }
            Ok(())
        })
    });
    walked.map_err(|cause| EnvelopeError { signal: Signal::Logs, cause })?;
    Ok(said)
}

/// When it was, and the body of a log record, where that may be a report.
fn body_of(record: &[u8]) -> Result<(EventTime, Option<Body<'_>>), WireError> {
    const TIME: u32 = 1;
    const BODY: u32 = 5;
    const BODY_TEXT: u32 = 1;
    const BODY_PAIRS: u32 = 6;
    const OBSERVED_TIME: u32 = 11;
    let (mut time, mut observed, mut body) = (0, 0, None);
    let mut fields = Fields::new(record);
    while let Some(field) = fields.next()? {
        match field.number {
            TIME => time = field.value.fixed64()?,
            OBSERVED_TIME => observed = field.value.fixed64()?,
            BODY => {
                let mut value = Fields::new(field.value.len()?);
                while let Some(field) = value.next()? {
                    match field.number {
                        BODY_TEXT => body = Some(Body::Text(field.value.len()?)),
                        BODY_PAIRS => body = Some(Body::Pairs),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let at = EventTime(if time > 0 { time } else { observed });
    Ok((at, body))
}

/// The exception of a record that names its span.
fn exception_of(record: &[u8]) -> Result<Option<ExceptionRecord>, WireError> {
    const ATTRIBUTES: u32 = 6;
    const TRACE_ID: u32 = 9;
    const SPAN_ID: u32 = 10;
    const KEY: u32 = 1;
    let (mut trace, mut span, mut is_exception) = (None, None, false);
    let mut fields = Fields::new(record);
    while let Some(field) = fields.next()? {
        match field.number {
            TRACE_ID => trace = TraceId::from_wire(field.value.len()?),
            SPAN_ID => span = SpanId::from_wire(field.value.len()?),
            ATTRIBUTES if !is_exception => each_child(field.value.len()?, KEY, &mut |key| {
                is_exception |= matches!(key, b"exception.type" | b"exception.message");
                Ok(())
            })?,
            _ => {}
        }
    }
    let of_span = trace.zip(span).filter(|_| is_exception);
    Ok(of_span.map(|(trace_id, span_id)| ExceptionRecord { trace_id, span_id }))
}

fn attributes_of(record: &[u8], limits: &ItemLimits) -> Result<Attributes, WireError> {
    const ATTRIBUTES: u32 = 6;
    let mut kept = Gathered::default();
    each_child(record, ATTRIBUTES, &mut |bytes| {
        kept.take(&attributes::read(bytes)?, limits);
        Ok(())
    })?;
    Ok(kept.known)
}

/// The body of a record, as far as reports have such.
#[derive(Clone, Copy)]
enum Body<'a> {
    Text(&'a [u8]),
    /// Pairs of keys and values.
    Pairs,
}

impl Body<'_> {
    /// The report in it; one of pairs is the event, or only what is in it while an attribute of the record says `type`.
    fn report(self, record: &[u8]) -> Option<Report> {
        match self {
            Self::Text(text) if text.len() <= REPORT_BYTES => Report::parse(str::from_utf8(text).ok()?),
            Self::Pairs if record.len() <= REPORT_BYTES => {
                let record = LogRecord::decode(record).ok()?;
                let mut body = json_of(record.body?);
                if let (false, Some(kind)) = (body.get("record").is_some(), text_of(&record.attributes, "type")) {
                    body = json!({"type": kind, "record": body});
                }
                Report::of_event(serde_json::from_value(body).ok()?)
            }
            _ => None,
        }
    }
}

fn text_of<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let value = attributes.iter().find(|pair| pair.key == key)?.value.as_ref()?;
    if let Some(any_value::Value::StringValue(text)) = &value.value { Some(text) } else { None }
}

/// A value as JSON; values within values are as deep as protobuf readers follow them.
fn json_of(value: AnyValue) -> Json {
    match value.value {
        Some(any_value::Value::StringValue(text)) => text.into(),
        Some(any_value::Value::BoolValue(truth)) => truth.into(),
        Some(any_value::Value::IntValue(number)) => number.into(),
        Some(any_value::Value::DoubleValue(number)) => number.into(),
        Some(any_value::Value::KvlistValue(list)) => {
            let pairs = list.values.into_iter().filter_map(|pair| Some((pair.key, json_of(pair.value?))));
            Json::Object(pairs.collect())
        }
        Some(any_value::Value::ArrayValue(list)) => list.values.into_iter().map(json_of).collect(),
        _ => Json::Null,
    }
}

/// What a platform says of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Report {
    init_ms: Option<f64>,
    billed_ms: Option<f64>,
    used_memory_mb: Option<f64>,
    memory_mb: Option<f64>,
    time_out_ms: Option<u64>,
    timed_out: bool,
}

/// A report as JSON; its other fields are not needed.
#[derive(Deserialize)]
struct Event {
    r#type: String,
    record: Record,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    #[serde(default)]
    status: String,
    #[serde(default)]
    initialization_type: String,
    metrics: Metrics,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    duration_ms: Option<f64>,
    init_duration_ms: Option<f64>,
    billed_duration_ms: Option<f64>,
    #[serde(rename = "memorySizeMB")]
    memory_size_mb: Option<f64>,
    #[serde(rename = "maxMemoryUsedMB")]
    max_memory_used_mb: Option<f64>,
}

impl Report {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_start();
        if text.starts_with("REPORT RequestId:") {
            Some(Self::of_line(text))
        } else if text.starts_with('{') {
            Self::of_json(text)
        } else {
            Self::of_limit(text)
        }
    }

    fn of_line(text: &str) -> Self {
        Self {
            init_ms: number_after(text, "Init Duration: "),
            billed_ms: number_after(text, "Billed Duration: "),
            used_memory_mb: number_after(text, "Max Memory Used: "),
            memory_mb: number_after(text, "Memory Size: "),
            time_out_ms: None,
            timed_out: text.contains("Status: timeout"),
        }
    }

    fn of_json(text: &str) -> Option<Self> {
        Self::of_event(serde_json::from_str(text).ok()?)
    }

    fn of_event(event: Event) -> Option<Self> {
        let metrics = event.record.metrics;
        match event.r#type.as_str() {
            "platform.report" => Some(Self {
                init_ms: metrics.init_duration_ms,
                billed_ms: metrics.billed_duration_ms,
                used_memory_mb: metrics.max_memory_used_mb,
                memory_mb: metrics.memory_size_mb,
                time_out_ms: None,
                timed_out: event.record.status == "timeout",
            }),
            // Of a start on demand, the report of the first run tells as well, and it counts once.
            "platform.initReport" if !matches!(event.record.initialization_type.as_str(), "" | "on-demand") => {
                Some(Self { init_ms: metrics.duration_ms, ..Self::default() })
            }
            _ => None,
        }
    }

    /// The line that is written before the report of a run that took too long: it alone says what the limit is. The run
    /// itself is counted by its report.
    fn of_limit(text: &str) -> Option<Self> {
        let seconds = number_after(text, "Task timed out after ").filter(|seconds| *seconds > 0.0)?;
        Some(Self { time_out_ms: Some((seconds * 1e3).round() as u64), ..Self::default() })
    }

    /// What it says, if it is about a function and says anything.
    fn about(self, resource: &Resource, own: &Attributes, at: EventTime) -> Option<FactRecord> {
        let function = function_named_by(resource, SpanKind::Server, "", own);
        let instance = [own, &resource.attributes].into_iter().find_map(|it| it.text(Attribute::FaasInstance));
        let bytes = |mb: f64| (mb * MB) as u64;
        (self != Self::default()).then(|| FactRecord {
            instance: instance.map(Into::into),
            init_ms: self.init_ms,
            used_memory_bytes: self.used_memory_mb.map(bytes),
            max_memory_bytes: self.memory_mb.map(bytes),
            billed_ms: self.billed_ms,
            time_out_ms: self.time_out_ms,
            timed_out: self.timed_out,
            ..FactRecord::about(function, at)
        })
    }
}

/// The number right after the words; they may also be the end of a longer label, so that a label that is also the end
/// of another must come with what is before it.
fn number_after(text: &str, words: &str) -> Option<f64> {
    let rest = &text[text.find(words)? + words.len()..];
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        collector::logs::v1::ExportLogsServiceRequest,
        common::v1::{KeyValueList, any_value::Value},
        logs::v1::{ResourceLogs, ScopeLogs},
        resource::v1,
    };

    use super::*;

    const ID: &str = "8f5b5b1c-6f0b-4d9a-9a55-0f2f3a1c7e11";

    fn any(text: &str) -> Option<AnyValue> {
        Some(AnyValue { value: Some(Value::StringValue(text.into())) })
    }

    fn pair(key: &str, value: &str) -> KeyValue {
        KeyValue { key: key.into(), value: any(value), ..Default::default() }
    }

    fn told(bodies: &[&str]) -> Vec<FactRecord> {
        told_by(bodies.iter().map(|body| LogRecord { time_unix_nano: 7, body: any(body), ..Default::default() }))
    }

    fn told_by(records: impl Iterator<Item = LogRecord>) -> Vec<FactRecord> {
        let attributes = vec![pair("faas.name", "thumbnails"), pair("faas.instance", "stream-1")];
        let request = ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(v1::Resource { attributes, ..Default::default() }),
                scope_logs: vec![ScopeLogs { log_records: records.collect(), ..Default::default() }],
                ..Default::default()
            }],
        };
        said(&request.encode_to_vec(), &ItemLimits::default()).unwrap().facts
    }

    #[test]
    fn a_report_is_read_as_a_line_and_as_json() {
        let line = format!(
            "REPORT RequestId: {ID}\tDuration: 12.34 ms\tBilled Duration: 163 ms\tMemory Size: 128 MB\tMax Memory Used: 64 \
             MB\tInit Duration: 150.50 ms\t\n"
        );
        let json = format!(
            r#"{{"time":"2026-01-01T00:00:00Z","type":"platform.report","record":{{"requestId":"{ID}","metrics":{{
               "durationMs":12.34,"billedDurationMs":163,"memorySizeMB":128,"maxMemoryUsedMB":64,"initDurationMs":150.5}},
               "status":"success"}}}}"#
        );
        let told = told(&[&line, &json]);
        assert_eq!(told.len(), 2);
        for fact in told {
            assert_eq!(
                (&*fact.function.name, fact.instance.as_deref(), fact.at),
                ("thumbnails", Some("stream-1"), EventTime(7))
            );
            assert_eq!((fact.init_ms, fact.billed_ms, fact.timed_out), (Some(150.5), Some(163.0), false));
            assert_eq!((fact.used_memory_bytes, fact.max_memory_bytes), (Some(64 << 20), Some(128 << 20)));
        }
    }

    #[test]
    fn a_run_that_took_too_long_counts_once_and_tells_its_limit() {
        let report = format!(
            "REPORT RequestId: {ID} Duration: 3000.00 ms Billed Duration: 3000 ms Memory Size: 128 MB Max Memory Used: 9 MB \
             Status: timeout"
        );
        let told = told(&[&format!("2026-01-01T00:00:00.000Z {ID} Task timed out after 3.00 seconds"), &report]);
        assert_eq!(told.iter().map(|fact| fact.timed_out).collect::<Vec<_>>(), [false, true]);
        assert_eq!(told.iter().map(|fact| fact.time_out_ms).collect::<Vec<_>>(), [Some(3_000), None]);
        assert_eq!(told[1].init_ms, None);
    }

    #[test]
    fn events_are_read_from_pairs_with_their_type_in_the_body_or_beside_it() {
        let pairs = |pairs: Vec<(&str, Value)>| {
            let values = pairs.into_iter().map(|(key, value)| KeyValue {
                key: key.into(),
                value: Some(AnyValue { value: Some(value) }),
                ..Default::default()
            });
            Value::KvlistValue(KeyValueList { values: values.collect() })
        };
        let metrics = pairs(vec![
            ("durationMs", Value::DoubleValue(240.5)),
            ("billedDurationMs", Value::IntValue(300)),
            ("memorySizeMB", Value::IntValue(128)),
        ]);
        let record = |kind: &str| {
            pairs(vec![("initializationType", Value::StringValue(kind.into())), ("metrics", metrics.clone())])
        };
        let log = |body: Value, kind: &str| LogRecord {
            body: Some(AnyValue { value: Some(body) }),
            attributes: vec![pair("type", kind)],
            ..Default::default()
        };
        let whole = pairs(vec![("type", Value::StringValue("platform.report".into())), ("record", record(""))]);
        let told = told_by(
            [
                log(whole, "function"),
                log(record(""), "platform.report"),
                log(record("provisioned-concurrency"), "platform.initReport"),
                log(record("on-demand"), "platform.initReport"),
                log(record(""), "platform.runtimeDone"),
                log(Value::KvlistValue(KeyValueList::default()), "platform.report"),
            ]
            .into_iter(),
        );
        let said: Vec<_> = told.iter().map(|fact| (fact.billed_ms, fact.init_ms)).collect();
        assert_eq!(said, [(Some(300.0), None), (Some(300.0), None), (None, Some(240.5))]);
    }

    #[test]
    fn what_is_no_report_says_nothing() {
        let long = format!("REPORT RequestId: {}", " ".repeat(REPORT_BYTES));
        let other = r#"{"type":"platform.start","record":{"metrics":{}}}"#;
        assert!(told(&["", "hello", "{", "REPORT RequestId:", "Task timed out after lunch", other, &long]).is_empty());
        assert!(said(b"not a request", &ItemLimits::default()).is_err());
    }
}
