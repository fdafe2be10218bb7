//! What log records say of functions: the reports that AWS Lambda writes at the end of each run.
//!
//! A report is a line of text, as the log stream of a function and the extension of the OpenTelemetry collector have it
//! (`REPORT RequestId: .. Duration: .. ms Billed Duration: ..`), or the same as JSON (`{"type": "platform.report", ..}`).
//! What other records say stays in the journal. Records are judged by `otlp/volume.rs`; what is made of facts is the
//! analyzer's business (`loopscope_analyzer::facts`). The forms: AWS Lambda Developer Guide, "Lambda Telemetry API".

use std::{str, sync::Arc};

use loopscope_analyzer::{
    attribute::{Attribute, Attributes},
    facts::FactRecord,
    identity::{Resource, function_named_by},
    span::{EventTime, SpanKind},
};
use serde::Deserialize;

use super::{
    EnvelopeError, Signal,
    traces::{attributes, resource_of},
    volume::each_child,
    wire::{Fields, WireError},
};

/// Bytes of a MB in a report.
const MB: f64 = 1_048_576.0;

/// Longest report that is read, bytes; those of the platform have a few hundred.
const REPORT_BYTES: usize = 4096;

/// What the log records of an `ExportLogsServiceRequest` say of functions, in their order; at most one for each record.
///
/// # Errors
/// When the messages around the log records cannot be read.
pub fn facts(request: &[u8]) -> Result<Vec<FactRecord>, EnvelopeError> {
    let mut facts = Vec::new();
    let walked = each_child(request, 1, &mut |group| {
        let mut resource = None;
        each_child(group, 2, &mut |scope| {
            each_child(scope, 2, &mut |record| {
                // A broken record costs itself, as it does at the door.
                if let Ok(Some(line)) = read(record)
                    && let Some(report) = Report::parse(line.text)
                {
                    let resource = resource.get_or_insert_with(|| resource_of(group));
                    facts.extend(report.about(resource, &line));
                }
                Ok(())
            })
        })
    });
    walked.map_err(|cause| EnvelopeError { signal: Signal::Logs, cause })?;
    Ok(facts)
}

/// A log record whose body is a text.
struct Line<'a> {
    at: u64,
    text: &'a str,
    attributes: Attributes,
}

fn read(record: &[u8]) -> Result<Option<Line<'_>>, WireError> {
    const TIME: u32 = 1;
    const BODY: u32 = 5;
    const BODY_TEXT: u32 = 1;
    const ATTRIBUTES: u32 = 6;
    const OBSERVED_TIME: u32 = 11;
    let (mut time, mut observed, mut text) = (0, 0, None);
    let mut fields = Fields::new(record);
    while let Some(field) = fields.next()? {
        match field.number {
            TIME => time = field.value.fixed64()?,
            OBSERVED_TIME => observed = field.value.fixed64()?,
            BODY => each_child(field.value.len()?, BODY_TEXT, &mut |body| {
                text = Some(body);
                Ok(())
            })?,
            _ => {}
        }
    }
    let Some(text) = text.filter(|text| text.len() <= REPORT_BYTES).and_then(|text| str::from_utf8(text).ok()) else {
        return Ok(None);
    };
    let mut kept = Attributes::default();
    each_child(record, ATTRIBUTES, &mut |bytes| {
        attributes::read(bytes)?.keep(&mut kept);
        Ok(())
    })?;
    Ok(Some(Line { at: if time > 0 { time } else { observed }, text, attributes: kept }))
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
    metrics: Metrics,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
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
        let event: Event = serde_json::from_str(text).ok()?;
        let metrics = event.record.metrics;
        (event.r#type == "platform.report").then_some(Self {
            init_ms: metrics.init_duration_ms,
            billed_ms: metrics.billed_duration_ms,
            used_memory_mb: metrics.max_memory_used_mb,
            memory_mb: metrics.memory_size_mb,
            time_out_ms: None,
            timed_out: event.record.status == "timeout",
        })
    }

    /// The line that is written before the report of a run that took too long: it alone says what the limit is. The run
    /// itself is counted by its report.
    fn of_limit(text: &str) -> Option<Self> {
        let seconds = number_after(text, "Task timed out after ").filter(|seconds| *seconds > 0.0)?;
        Some(Self { time_out_ms: Some((seconds * 1e3).round() as u64), ..Self::default() })
    }

    /// What it says, if it is about a function and says anything.
    fn about(self, resource: &Arc<Resource>, line: &Line<'_>) -> Option<FactRecord> {
        let function = function_named_by(resource, SpanKind::Server, "", &line.attributes);
        let instance =
            [&line.attributes, &resource.attributes].into_iter().find_map(|it| it.text(Attribute::FaasInstance));
        let bytes = |mb: f64| (mb * MB) as u64;
        (self != Self::default()).then(|| FactRecord {
            instance: instance.map(Into::into),
            init_ms: self.init_ms,
            used_memory_bytes: self.used_memory_mb.map(bytes),
            max_memory_bytes: self.memory_mb.map(bytes),
            billed_ms: self.billed_ms,
            time_out_ms: self.time_out_ms,
            timed_out: self.timed_out,
            ..FactRecord::about(function, EventTime(line.at))
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
        common::v1::{AnyValue, KeyValue, any_value::Value},
        logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
        resource::v1,
    };
    use prost::Message as _;

    use super::*;

    const ID: &str = "8f5b5b1c-6f0b-4d9a-9a55-0f2f3a1c7e11";

    fn any(text: &str) -> Option<AnyValue> {
        Some(AnyValue { value: Some(Value::StringValue(text.into())) })
    }

    fn pair(key: &str, value: &str) -> KeyValue {
        KeyValue { key: key.into(), value: any(value), ..Default::default() }
    }

    fn told(bodies: &[&str]) -> Vec<FactRecord> {
        let record = |body: &&str| LogRecord { time_unix_nano: 7, body: any(body), ..Default::default() };
        let attributes = vec![pair("faas.name", "thumbnails"), pair("faas.instance", "stream-1")];
        let request = ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(v1::Resource { attributes, ..Default::default() }),
                scope_logs: vec![ScopeLogs { log_records: bodies.iter().map(record).collect(), ..Default::default() }],
                ..Default::default()
            }],
        };
        facts(&request.encode_to_vec()).unwrap()
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
    fn what_is_no_report_says_nothing() {
        let long = format!("REPORT RequestId: {}", " ".repeat(REPORT_BYTES));
        let other = r#"{"type":"platform.start","record":{"metrics":{}}}"#;
        assert!(told(&["", "hello", "{", "REPORT RequestId:", "Task timed out after lunch", other, &long]).is_empty());
        assert!(facts(b"not a request").is_err());
    }
}
