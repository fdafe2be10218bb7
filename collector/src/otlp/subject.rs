//! Whom a log record is about: its span, its function, its run, its instance, and when it was.
//!
//! The door makes keys of it, the engine learns by it which run has failed, and pages join records to traces by it. What
//! the record says stays closed (`logs.rs` reads reports, `trace_view.rs` whole records).

use std::sync::Arc;

use loopscope_analyzer::{
    attribute::{Attribute, Attributes},
    facts::{ExceptionRecord, InstanceId, RunId},
    identity::{Function, Resource, function_named_by},
    span::{EventTime, SpanId, SpanKind, TraceId},
};

use super::{
    EnvelopeError, Signal,
    key::Key,
    limits::ItemLimits,
    traces::{
        attributes::{self, Gathered},
        resource_of,
    },
    volume::{each_child, each_group, each_item_of, judge_log_record},
    wire::{Fields, WireError},
};

/// Whom a log record is about, as far as it says so.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its trace.
    pub trace: Option<TraceId>,
    /// The span of that trace which wrote it.
    pub span: Option<SpanId>,
    /// When it happened, or was seen when it does not say; zero when it says neither.
    pub at: EventTime,
    /// The function, by the record and its resource.
    pub function: Arc<Function>,
    /// Id of the run.
    pub run: Option<Box<str>>,
    /// The instance, by the record or its resource.
    pub instance: Option<Box<str>>,
    /// True when it tells of an exception. Severity alone makes none: the semantic conventions want `exception.type` or
    /// `exception.message` of each, or an event that is called so.
    pub is_exception: bool,
}

/// What a log record says outside its body, not looked at closely.
#[derive(Default)]
pub(super) struct Outline {
    time: u64,
    observed: u64,
    pub(super) trace: Option<TraceId>,
    pub(super) span: Option<SpanId>,
    pub(super) is_exception: bool,
    pub(super) has_attributes: bool,
}

impl Outline {
    pub(super) fn of(record: &[u8]) -> Result<Self, WireError> {
        const TIME: u32 = 1;
        const ATTRIBUTES: u32 = 6;
        const TRACE_ID: u32 = 9;
        const SPAN_ID: u32 = 10;
        const OBSERVED_TIME: u32 = 11;
        const EVENT_NAME: u32 = 12;
        const KEY: u32 = 1;
        let mut outline = Self::default();
        let mut fields = Fields::new(record);
        while let Some(field) = fields.next()? {
            match field.number {
                TIME => outline.time = field.value.fixed64()?,
                OBSERVED_TIME => outline.observed = field.value.fixed64()?,
                TRACE_ID => outline.trace = TraceId::from_wire(field.value.len()?),
                SPAN_ID => outline.span = SpanId::from_wire(field.value.len()?),
                EVENT_NAME => outline.is_exception |= field.value.len().is_ok_and(names_exception),
                ATTRIBUTES => {
                    outline.has_attributes = true;
                    // What cannot be read of an attribute costs itself.
                    let _ = each_child(field.value.len()?, KEY, &mut |key| {
                        outline.is_exception |= matches!(key, b"exception.type" | b"exception.message");
                        Ok(())
                    });
                }
                _ => {}
            }
        }
        Ok(outline)
    }

    pub(super) fn at(&self) -> EventTime {
        EventTime(if self.time > 0 { self.time } else { self.observed })
    }
}

/// Events are called `exception`, or by what failed with that word at the end, as `faas.invocation.exception`.
fn names_exception(name: &[u8]) -> bool {
    name == b"exception" || name.ends_with(b".exception")
}

impl Subject {
    /// Reads whom a record of this resource is about.
    pub(super) fn of(outline: &Outline, record: &[u8], resource: &Resource, limits: &ItemLimits) -> Self {
        let own = if outline.has_attributes { attributes_of(record, limits) } else { Attributes::default() };
        Self {
            trace: outline.trace,
            span: outline.span,
            at: outline.at(),
            function: function_named_by(resource, SpanKind::Server, "", &own),
            run: run_of(&own).map(Into::into),
            instance: instance_of(&own).or_else(|| instance_of(&resource.attributes)).map(Into::into),
            is_exception: outline.is_exception,
        }
    }

    /// By what the engine finds the run that failed; `None` when nothing is said of it.
    pub(super) fn exception(&self) -> Option<ExceptionRecord> {
        let at = self.at;
        match (self.trace, self.span, &self.run, &self.instance) {
            (Some(trace_id), Some(span_id), ..) => Some(ExceptionRecord::Span { trace_id, span_id }),
            (_, _, Some(run), _) => Some(ExceptionRecord::Run { run: RunId::of(run), at }),
            (_, _, _, Some(instance)) if at.0 > 0 => {
                Some(ExceptionRecord::Instance { instance: InstanceId::of(instance), at })
            }
            _ => None,
        }
    }
}

/// Id of the run that attributes name.
pub fn run_of(attributes: &Attributes) -> Option<&str> {
    attributes.text(Attribute::FaasInvocationId).or_else(|| attributes.text(Attribute::AwsRequestId))
}

/// The instance that attributes name.
pub fn instance_of(attributes: &Attributes) -> Option<&str> {
    attributes.text(Attribute::FaasInstance)
}

/// What of a record's attributes the analyzer knows.
fn attributes_of(record: &[u8], limits: &ItemLimits) -> Attributes {
    const ATTRIBUTES: u32 = 6;
    let mut kept = Gathered::default();
    // One that cannot be read costs itself; the record was judged before.
    let _ = each_child(record, ATTRIBUTES, &mut |bytes| {
        attributes::read(bytes).into_iter().for_each(|attribute| kept.take(&attribute, limits));
        Ok(())
    });
    kept.known
}

/// Hands out whom each accepted record of an `ExportLogsServiceRequest` is about, with its bytes; `limits.items` are
/// accepted. A record that cannot be read costs itself.
///
/// # Errors
/// When the messages around the log records cannot be read.
pub fn each_subject<'a>(
    request: &'a [u8],
    limits: &ItemLimits,
    visit: &mut dyn FnMut(Subject, &'a [u8]),
) -> Result<(), EnvelopeError> {
    let mut left = limits.items;
    let walked = each_group(request, &mut |group| {
        let mut resource = None;
        each_item_of(group, &mut |record| {
            if left == 0 || judge_log_record(record).is_err() {
                return Ok(());
            }
            left -= 1;
            let resource = resource.get_or_insert_with(|| resource_of(group, limits));
            if let Ok(outline) = Outline::of(record) {
                visit(Subject::of(&outline, record, resource, limits), record);
            }
            Ok(())
        })
    });
    walked.map_err(|cause| EnvelopeError { signal: Signal::Logs, cause })
}

/// What the records of a request are found by, each once, in order.
///
/// # Errors
/// When the messages around the log records cannot be read.
pub fn keys(request: &[u8], limits: &ItemLimits) -> Result<Vec<Key>, EnvelopeError> {
    let mut keys = Vec::new();
    let mut add = |key: Key| {
        // Records of one trace and one function often stand side by side; the rest is sorted out below.
        if !keys.iter().rev().take(3).any(|known| *known == key) {
            keys.push(key);
        }
    };
    each_subject(request, limits, &mut |subject, _| {
        add(Key::function(subject.function.id));
        subject.trace.map(Key::from).into_iter().for_each(&mut add);
        subject.run.as_deref().map(Key::run).into_iter().for_each(&mut add);
    })?;
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
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

    fn pair(key: &str, value: &str) -> KeyValue {
        let value = Some(AnyValue { value: Some(Value::StringValue(value.into())) });
        KeyValue { key: key.into(), value, ..Default::default() }
    }

    fn request(records: Vec<LogRecord>) -> Vec<u8> {
        let attributes = vec![pair("faas.name", "shop"), pair("faas.instance", "one")];
        let scope_logs = vec![ScopeLogs { log_records: records, ..Default::default() }];
        let resource = Some(v1::Resource { attributes, ..Default::default() });
        ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource, scope_logs, ..Default::default() }] }
            .encode_to_vec()
    }

    fn record(trace: u8, span: u8, attributes: Vec<KeyValue>) -> LogRecord {
        let id = |byte: u8, length: usize| if byte > 0 { vec![byte; length] } else { Vec::new() };
        LogRecord { time_unix_nano: 7, trace_id: id(trace, 16), span_id: id(span, 8), attributes, ..Default::default() }
    }

    fn subjects(records: Vec<LogRecord>) -> Vec<Subject> {
        let (request, mut found) = (request(records), Vec::new());
        each_subject(&request, &ItemLimits::default(), &mut |subject, _| found.push(subject)).unwrap();
        found
    }

    #[test]
    fn a_record_is_joined_by_its_span_or_its_run_or_its_instance() {
        let run = || vec![pair("faas.invocation_id", "r1"), pair("exception.type", "KeyError")];
        let found = subjects(vec![
            record(1, 1, run()),
            record(1, 0, run()),
            record(0, 0, vec![pair("faas.instance", "two"), pair("exception.message", "no")]),
            LogRecord { event_name: "faas.invocation.exception".into(), ..record(0, 0, vec![]) },
            LogRecord { event_name: "exceptional".into(), ..record(0, 0, vec![pair("aws.request_id", "r2")]) },
        ]);
        let at = EventTime(7);
        let (trace_id, span_id) = (TraceId([1; 16]), SpanId([1; 8]));
        let instance = |id: &str| ExceptionRecord::Instance { instance: InstanceId::of(id), at };
        let expected = [
            ExceptionRecord::Span { trace_id, span_id },
            ExceptionRecord::Run { run: RunId::of("r1"), at },
            instance("two"),
            instance("one"),
            ExceptionRecord::Run { run: RunId::of("r2"), at },
        ];
        assert_eq!(found.iter().filter_map(Subject::exception).collect::<Vec<_>>(), expected);
        let are_exceptions: Vec<bool> = found.iter().map(|subject| subject.is_exception).collect();
        assert_eq!(are_exceptions, [true, true, true, true, false]);
        assert!(found.iter().all(|subject| &*subject.function.name == "shop"));
    }

    #[test]
    fn a_request_is_found_by_its_traces_its_functions_and_its_runs() {
        let run = || vec![pair("faas.invocation_id", "r1")];
        let request =
            request(vec![record(1, 1, vec![]), record(1, 2, run()), record(0, 0, run()), record(2, 0, vec![])]);
        let function = subjects(vec![record(0, 0, vec![])])[0].function.id;
        let limits = ItemLimits { items: 3, ..ItemLimits::default() };
        let mut expected = vec![Key::from(TraceId([1; 16])), Key::function(function), Key::run("r1")];
        expected.sort_unstable();
        assert_eq!(keys(&request, &limits).unwrap(), expected, "the fourth record was not accepted");
        assert!(keys(b"not a request", &limits).is_err());
    }
}
