//! The log records of a trace, by time, each with the span that it belongs to.
//!
//! A record names its span, or else the id of the run, or else only the instance and the time; that is OpenTelemetry's
//! order of what joins logs to spans. How records are found in the journal is known to the [`LogSource`] alone.

use std::{collections::HashMap, ops::RangeInclusive, sync::Arc, time::Duration};

use loopscope_analyzer::{
    snapshot::NodeId,
    span::{EventTime, SpanId, TraceId},
};
use loopscope_proto::v1;
use opentelemetry_proto::tonic::{logs::v1::LogRecord, resource::v1::Resource, trace::v1::Span};

use super::{Identity, attributes};
use crate::{
    api::SourceError,
    clock, convert,
    otlp::{key::Key, subject::Subject},
};

/// Bound on the log records of one answer; what is beyond is counted, not shown.
pub(super) const LOGS_SHOWN: usize = 1_000;

/// Bound on the runs of one trace, and on their functions, whose log records are looked for where these name no trace.
const RUNS_LOOKED_FOR: usize = 64;

/// Log records arrive this long before and after the span that they belong to, at most: clocks differ, and both wait for
/// their exporters.
const BEFORE: Duration = Duration::from_secs(60);
const AFTER: Duration = Duration::from_secs(600);

/// Reads the log records that are wanted. It may block, and it bounds what it reads.
pub type LogSource = Arc<dyn Fn(&LogQuery, &dyn Fn(&Subject) -> bool) -> Result<FoundLogs, SourceError> + Send + Sync>;

/// Where log records are looked for.
#[derive(Clone, Debug)]
pub struct LogQuery {
    /// Requests that are found by any of these.
    pub keys: Vec<Key>,
    /// When they arrived, nanoseconds since 1970-01-01 UTC.
    pub received: RangeInclusive<u64>,
}

/// What was found of log records.
#[derive(Clone, Debug, Default)]
pub struct FoundLogs {
    /// The records with whom they are about, in the order of the journal.
    pub records: Vec<(Subject, LogRecord)>,
    /// True when there are more than were read.
    pub truncated: bool,
}

/// The spans that log records without a trace may belong to.
#[derive(Default)]
struct Runs {
    by_id: HashMap<Box<str>, SpanId>,
    of_instances: Vec<OfInstance>,
}

/// A span with its instance.
struct OfInstance {
    instance: Box<str>,
    function: NodeId,
    from: u64,
    to: u64,
    span: SpanId,
}

/// Finds the log records of a trace and puts them into the answer that holds its spans. O(n log n).
pub(super) fn add(
    read: &LogSource,
    trace_id: TraceId,
    spans: &[(Arc<Resource>, Span)],
    identify: &dyn Fn(&Resource, &Span) -> Identity,
    trace: &mut v1::Trace,
) -> Result<(), SourceError> {
    let runs = Runs::of(spans, trace, identify);
    let mut keys = vec![Key::from(trace_id)];
    keys.extend(runs.by_id.keys().map(|run| Key::run(run)));
    let is_of_run =
        |it: &Subject| it.trace.is_none() && it.run.as_deref().is_some_and(|id| runs.by_id.contains_key(id));
    let found = read(&LogQuery { keys, received: 0..=u64::MAX }, &|it| it.trace == Some(trace_id) || is_of_run(it))?;
    let mut logs: Vec<v1::TraceLog> = found.records.iter().map(|(of, record)| joined(of, record, &runs)).collect();
    trace.truncated |= found.truncated;
    if let Some(query) = runs.query() {
        // What names the run was found by it.
        let is_wanted = |it: &Subject| it.trace.is_none() && !is_of_run(it) && runs.by_instance(it).is_some();
        let found = read(&query, &is_wanted)?;
        logs.extend(found.records.iter().map(|(of, record)| joined(of, record, &runs)));
        trace.truncated |= found.truncated;
    }
    logs.sort_by_key(|log| log.time.map(|time| (time.seconds, time.nanos)));
    trace.logs_total = logs.len() as u64;
    logs.truncate(LOGS_SHOWN);
    trace.logs = logs;
    Ok(())
}

/// A record, with the span of its run where it names none.
fn joined(of: &Subject, record: &LogRecord, runs: &Runs) -> v1::TraceLog {
    let mut log = message(of, record);
    if of.trace.is_none() {
        let by_id = of.run.as_deref().and_then(|run| runs.by_id.get(run).copied());
        log.span_id = by_id.or_else(|| runs.by_instance(of)).map(|span| span.to_string()).unwrap_or_default();
    }
    log
}

impl Runs {
    /// The runs of the entries of a trace.
    fn of(spans: &[(Arc<Resource>, Span)], trace: &v1::Trace, identify: &dyn Fn(&Resource, &Span) -> Identity) -> Self {
        let mut runs = Self::default();
        let entries = trace.spans.iter().filter(|span| span.entry).take(RUNS_LOOKED_FOR);
        let entries: HashMap<&str, ()> = entries.map(|span| (span.span_id.as_str(), ())).collect();
        for (resource, span) in spans {
            let Some(id) = SpanId::from_wire(&span.span_id).filter(|id| entries.contains_key(id.to_string().as_str()))
            else {
                continue;
            };
            let of = identify(resource, span);
            runs.by_id.extend(of.run.map(|run| (run, id)));
            runs.of_instances.extend(of.instance.map(|instance| OfInstance {
                instance,
                function: of.id,
                from: span.start_time_unix_nano,
                to: span.end_time_unix_nano,
                span: id,
            }));
        }
        runs
    }

    /// Where to look for records that name no more than an instance.
    fn query(&self) -> Option<LogQuery> {
        let from = self.of_instances.iter().map(|it| it.from).min()?;
        let to = self.of_instances.iter().map(|it| it.to).max()?;
        let mut keys: Vec<Key> = self.of_instances.iter().map(|it| Key::function(it.function)).collect();
        keys.sort_unstable();
        keys.dedup();
        let received = from.saturating_sub(clock::nanos(BEFORE))..=to.saturating_add(clock::nanos(AFTER));
        Some(LogQuery { keys, received })
    }

    /// The span that ran on the instance at the time.
    fn by_instance(&self, of: &Subject) -> Option<SpanId> {
        let instance = of.instance.as_deref()?;
        let at = of.at.0;
        let ran = |it: &&OfInstance| *it.instance == *instance && it.from <= at && at <= it.to;
        self.of_instances.iter().find(ran).map(|it| it.span)
    }
}

/// A record as it is shown.
pub(in crate::api) fn message(of: &Subject, record: &LogRecord) -> v1::TraceLog {
    let severity = if record.severity_text.is_empty() { word(record.severity_number) } else { &record.severity_text };
    let by = match (of.trace, of.span, &of.run, &of.instance) {
        (Some(_), Some(_), ..) => "span",
        (Some(_), None, ..) => "trace",
        (_, _, Some(_), _) => "invocation",
        (_, _, _, Some(_)) => "instance",
        _ => "function",
    };
    let text = |text: &Option<Box<str>>| text.as_deref().unwrap_or_default().to_owned();
    v1::TraceLog {
        span_id: of.span.filter(|_| of.trace.is_some()).map(|id| id.to_string()).unwrap_or_default(),
        time: convert::event_time(EventTime(of.at.0)),
        severity: severity.to_owned(),
        body: attributes::value_text(record.body.as_ref()),
        event_name: record.event_name.clone(),
        attributes: attributes::texts(&record.attributes),
        by: by.to_owned(),
        trace_id: of.trace.map(|id| id.to_string()).unwrap_or_default(),
        invocation_id: text(&of.run),
        instance: text(&of.instance),
        is_exception: of.is_exception,
    }
}

/// The short name of a range of severities; an empty text for a number that has none.
fn word(number: i32) -> &'static str {
    match number {
        1..=4 => "TRACE",
        5..=8 => "DEBUG",
        9..=12 => "INFO",
        13..=16 => "WARN",
        17..=20 => "ERROR",
        21..=24 => "FATAL",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use loopscope_analyzer::{attribute::Attributes, identity};

    use super::*;

    const TRACE: TraceId = TraceId([7; 16]);

    fn subject(trace: Option<TraceId>, run: Option<&str>, instance: Option<&str>, at: u64) -> Subject {
        Subject {
            trace,
            span: trace.map(|_| SpanId([9; 8])),
            at: EventTime(at),
            function: Arc::clone(identity::Resource::new(Attributes::default()).function()),
            run: run.map(Into::into),
            instance: instance.map(Into::into),
            is_exception: false,
        }
    }

    /// What is shown of records, for a trace of one entry that ran from 10 to 20.
    fn shown(records: Vec<(Subject, LogRecord)>, truncated: bool) -> v1::Trace {
        let source: LogSource = Arc::new(move |_, is_wanted| {
            let records = records.iter().filter(|(of, _)| is_wanted(of)).cloned().collect();
            Ok(FoundLogs { records, truncated })
        });
        let span = Span { span_id: vec![1; 8], start_time_unix_nano: 10, end_time_unix_nano: 20, ..Default::default() };
        let identify = |_: &Resource, _: &Span| Identity {
            run: Some("r1".into()),
            instance: Some("one".into()),
            ..Identity::of(NodeId(1), "f".into())
        };
        let entry = v1::TraceSpan { span_id: "0101010101010101".into(), entry: true, ..Default::default() };
        let mut trace = v1::Trace { spans: vec![entry], ..Default::default() };
        add(&source, TRACE, &[(Arc::default(), span)], &identify, &mut trace).unwrap();
        trace
    }

    #[test]
    fn records_stand_by_time_and_have_a_severity_in_words() {
        let record = |severity_number| LogRecord { severity_number, ..Default::default() };
        let of = |at| subject(Some(TRACE), None, None, at);
        let trace = shown(vec![(of(30), record(17)), (of(20), record(9)), (of(25), record(0))], true);
        let severities: Vec<&str> = trace.logs.iter().map(|log| log.severity.as_str()).collect();
        assert_eq!((severities, trace.logs_total, trace.truncated), (vec!["INFO", "", "ERROR"], 3, true));
        assert_eq!((trace.logs[0].span_id.as_str(), trace.logs[0].by.as_str()), ("0909090909090909", "span"));
    }

    #[test]
    fn a_record_without_trace_is_joined_by_its_run_or_by_instance_and_time() {
        let other = Some(TraceId([8; 16]));
        let record = |of| (of, LogRecord::default());
        let trace = shown(
            vec![
                record(subject(None, Some("r1"), None, 12)),
                record(subject(None, None, Some("one"), 13)),
                record(subject(None, Some("r2"), Some("two"), 14)),
                record(subject(None, None, Some("one"), 21)),
                record(subject(None, None, None, 15)),
                record(subject(other, Some("r1"), Some("one"), 16)),
            ],
            false,
        );
        let found: Vec<_> = trace.logs.iter().map(|log| (log.by.as_str(), log.span_id.as_str())).collect();
        assert_eq!(found, [("invocation", "0101010101010101"), ("instance", "0101010101010101")]);
    }

    #[test]
    fn an_answer_holds_no_more_than_it_may() {
        let records = vec![(subject(Some(TRACE), None, None, 1), LogRecord::default()); LOGS_SHOWN + 5];
        let trace = shown(records, false);
        assert_eq!((trace.logs.len(), trace.logs_total), (LOGS_SHOWN, LOGS_SHOWN as u64 + 5));
    }
}
