//! What log records say of functions: the reports that AWS Lambda writes at the end of each run, and exceptions.
//!
//! A report is a line of text, as the log stream of a function and the extension of the OpenTelemetry collector have it
//! (`REPORT RequestId: .. Duration: .. ms Billed Duration: ..`), or the same as JSON (`{"type": "platform.report", ..}`), in
//! a text or in pairs of keys and values; `platform.initReport` tells of starts that no run waits for.
//! What other records say stays in the journal. Records are judged by `otlp/volume.rs`; what is made of facts is the
//! analyzer's business (`loopscope_analyzer::facts`). The forms: AWS Lambda Developer Guide, "Lambda Telemetry API".

use std::{str, sync::Arc};

use loopscope_analyzer::{
    facts::{ExceptionRecord, FactRecord, RunId},
    identity::is_unnamed,
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
    subject::{Outline, Subject},
    traces::resource_of,
    volume::{each_group, each_item_of, judge_log_record},
    wire::{Fields, WireError},
};

/// Bytes of a MB in a report.
const MB: f64 = 1_048_576.0;

/// What a report calls a run that did not end well.
const FAILURES: [&str; 3] = ["timeout", "error", "failure"];

/// Longest report that is read, bytes; those of the platform have a few hundred.
const REPORT_BYTES: usize = 4096;

/// What the log records of a request say of functions.
#[derive(Debug, Default)]
pub struct Said {
    /// What reports say, and exceptions that name no span, in their order.
    pub facts: Vec<FactRecord>,
    /// Runs that failed, by what they are known.
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
            let Ok(outline) = Outline::of(record) else { return Ok(()) };
            let report = body_of(record).ok().flatten().and_then(|body| body.report(record));
            if report.is_some() || outline.is_exception {
                let resource = resource.get_or_insert_with(|| resource_of(group, limits));
                said.add(report, &Subject::of(&outline, record, resource, limits));
            }
            Ok(())
        })
    });
    walked.map_err(|cause| EnvelopeError { signal: Signal::Logs, cause })?;
    Ok(said)
}

impl Said {
    fn add(&mut self, report: Option<Report>, subject: &Subject) {
        if subject.is_exception {
            let exception = subject.exception();
            self.exceptions.extend(exception);
            // A span says by itself whose run it is; who does not even name a function says nothing.
            let is_known = !subject.function.is_app && !is_unnamed(&subject.function.name);
            if is_known && !matches!(exception, Some(ExceptionRecord::Span { .. })) {
                self.facts
                    .push(FactRecord { failed: true, ..FactRecord::about(Arc::clone(&subject.function), subject.at) });
            }
        }
        let Some(report) = report else { return };
        if let Some(run) = &report.failed_run {
            self.exceptions.push(ExceptionRecord::Run { run: RunId::of(run), at: subject.at });
        }
        self.facts.extend(report.about(subject));
    }
}

/// The body of a log record, where that may be a report.
fn body_of(record: &[u8]) -> Result<Option<Body<'_>>, WireError> {
    const BODY: u32 = 5;
    const BODY_TEXT: u32 = 1;
    const BODY_PAIRS: u32 = 6;
    let mut body = None;
    let mut fields = Fields::new(record);
    while let Some(field) = fields.next()? {
        if field.number != BODY {
            continue;
        }
        let mut value = Fields::new(field.value.len()?);
        while let Some(field) = value.next()? {
            match field.number {
                BODY_TEXT => body = Some(Body::Text(field.value.len()?)),
                BODY_PAIRS => body = Some(Body::Pairs),
                _ => {}
            }
        }
    }
    Ok(body)
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
#[derive(Clone, Debug, Default, PartialEq)]
struct Report {
    init_ms: Option<f64>,
    billed_ms: Option<f64>,
    used_memory_mb: Option<f64>,
    memory_mb: Option<f64>,
    time_out_ms: Option<u64>,
    timed_out: bool,
    /// True when the run failed for whatever reason, and this is what counts it.
    failed: bool,
    /// Id of the run, if it failed.
    failed_run: Option<String>,
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
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    metrics: Metrics,
}

#[derive(Default, Deserialize)]
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
        let status = word_after(text, "Status: ");
        let run = word_after(text, "RequestId: ");
        Self {
            init_ms: number_after(text, "Init Duration: "),
            billed_ms: number_after(text, "Billed Duration: "),
            used_memory_mb: number_after(text, "Max Memory Used: "),
            memory_mb: number_after(text, "Memory Size: "),
            time_out_ms: None,
            timed_out: text.contains("Status: timeout"),
            failed: status.is_some_and(|status| FAILURES.contains(&status)),
            failed_run: status.filter(|status| FAILURES.contains(status)).and(run).map(Into::into),
        }
    }

    fn of_json(text: &str) -> Option<Self> {
        Self::of_event(serde_json::from_str(text).ok()?)
    }

    fn of_event(event: Event) -> Option<Self> {
        let Record { status, request_id, metrics, initialization_type } = event.record;
        let failed = FAILURES.contains(&status.as_str());
        let failed_run = (failed && !request_id.is_empty()).then_some(request_id);
        match event.r#type.as_str() {
            "platform.report" => Some(Self {
                init_ms: metrics.init_duration_ms,
                billed_ms: metrics.billed_duration_ms,
                used_memory_mb: metrics.max_memory_used_mb,
                memory_mb: metrics.memory_size_mb,
                time_out_ms: None,
                timed_out: status == "timeout",
                failed,
                failed_run,
            }),
            // The report of the run says the same a little later, and counts it.
            "platform.runtimeDone" => Some(Self { failed_run, ..Self::default() }),
            // Of a start on demand, the report of the first run tells as well, and it counts once.
            "platform.initReport" if !matches!(initialization_type.as_str(), "" | "on-demand") => {
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

    /// What it says of its function, if it says anything.
    fn about(self, subject: &Subject) -> Option<FactRecord> {
        let bytes = |mb: f64| (mb * MB) as u64;
        let says = Self { failed_run: None, ..self };
        (says != Self::default()).then(|| FactRecord {
            instance: subject.instance.as_deref().map(Into::into),
            init_ms: says.init_ms,
            used_memory_bytes: says.used_memory_mb.map(bytes),
            max_memory_bytes: says.memory_mb.map(bytes),
            billed_ms: says.billed_ms,
            time_out_ms: says.time_out_ms,
            timed_out: says.timed_out,
            failed: says.failed,
            ..FactRecord::about(Arc::clone(&subject.function), subject.at)
        })
    }
}

/// The word right after the words.
fn word_after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    text[text.find(words)? + words.len()..].split_whitespace().next()
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
    use loopscope_analyzer::span::EventTime;
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
        said_by(records).facts
    }

    fn said_by(records: impl Iterator<Item = LogRecord>) -> Said {
        let attributes = vec![pair("faas.name", "thumbnails"), pair("faas.instance", "stream-1")];
        let request = ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(v1::Resource { attributes, ..Default::default() }),
                scope_logs: vec![ScopeLogs { log_records: records.collect(), ..Default::default() }],
                ..Default::default()
            }],
        };
        said(&request.encode_to_vec(), &ItemLimits::default()).unwrap()
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
        assert_eq!(told.iter().map(|fact| fact.failed).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_platform_says_that_a_run_failed_and_it_counts_once() {
        let event = |kind: &str, status: &str| {
            format!(
                r#"{{"type":"{kind}","record":{{"requestId":"{ID}","status":"{status}","metrics":{{"durationMs":3}}}}}}"#
            )
        };
        let bodies = [
            event("platform.runtimeDone", "failure"),
            event("platform.runtimeDone", "success"),
            event("platform.report", "error"),
            event("platform.report", "success"),
            format!("REPORT RequestId: {ID}\tDuration: 1.00 ms\tBilled Duration: 2 ms\tStatus: error\tError Type: X"),
        ];
        let records = bodies.iter().map(|body| LogRecord { time_unix_nano: 7, body: any(body), ..Default::default() });
        let said = said_by(records);
        let run = ExceptionRecord::Run { run: RunId::of(ID), at: EventTime(7) };
        assert_eq!(said.exceptions, [run; 3]);
        assert_eq!(said.facts.iter().filter(|fact| fact.failed).count(), 2, "once by each report");
    }

    #[test]
    fn an_exception_counts_for_its_function_where_no_span_is_named() {
        let exception = |trace: u8| LogRecord {
            time_unix_nano: 7,
            trace_id: vec![trace; 16],
            span_id: vec![trace; 8],
            attributes: vec![pair("exception.type", "KeyError")],
            ..Default::default()
        };
        let said = said_by([exception(1), exception(0)].into_iter());
        assert_eq!((said.exceptions.len(), said.facts.len()), (2, 1));
        assert!(said.facts[0].failed && &*said.facts[0].function.name == "thumbnails");
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
