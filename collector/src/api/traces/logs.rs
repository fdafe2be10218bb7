//! The log records of a trace, by time, each with the span that it belongs to.

use std::sync::Arc;

use loopscope_analyzer::span::{EventTime, SpanId, TraceId};
use loopscope_proto::v1;
use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::attributes;
use crate::{api::SourceError, convert};

/// Bound on the log records of one answer; what is beyond is counted, not shown.
pub(super) const LOGS_SHOWN: usize = 1_000;

/// Reads the log records of a trace. It may block, and it bounds what it reads.
pub type LogSource = Arc<dyn Fn(TraceId) -> Result<TraceLogs, SourceError> + Send + Sync>;

/// What is kept of the log records of a trace.
#[derive(Clone, Debug, Default)]
pub struct TraceLogs {
    /// The records, in the order of the journal.
    pub records: Vec<LogRecord>,
    /// True when there are more than were read.
    pub truncated: bool,
}

/// Puts the records into the answer that holds the spans. O(n log n).
pub(super) fn add(found: &TraceLogs, trace: &mut v1::Trace) {
    let mut records: Vec<&LogRecord> = found.records.iter().collect();
    records.sort_by_key(|record| time(record));
    trace.logs = records.iter().take(LOGS_SHOWN).map(|record| message(record)).collect();
    trace.logs_total = records.len() as u64;
    trace.truncated |= found.truncated;
}

/// When it happened; when it was seen, for a record that does not say.
fn time(record: &LogRecord) -> u64 {
    if record.time_unix_nano > 0 { record.time_unix_nano } else { record.observed_time_unix_nano }
}

fn message(record: &LogRecord) -> v1::TraceLog {
    let severity = if record.severity_text.is_empty() { word(record.severity_number) } else { &record.severity_text };
    v1::TraceLog {
        span_id: SpanId::from_wire(&record.span_id).map(|id| id.to_string()).unwrap_or_default(),
        time: convert::event_time(EventTime(time(record))),
        severity: severity.to_owned(),
        body: attributes::value_text(record.body.as_ref()),
        event_name: record.event_name.clone(),
        attributes: attributes::texts(&record.attributes),
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
    use super::*;

    #[test]
    fn records_stand_by_time_and_have_a_severity_in_words() {
        let record = |time_unix_nano, observed_time_unix_nano, severity_number| LogRecord {
            time_unix_nano,
            observed_time_unix_nano,
            severity_number,
            span_id: vec![1; 8],
            ..Default::default()
        };
        let found = TraceLogs { records: vec![record(30, 0, 17), record(0, 20, 9), record(25, 1, 0)], truncated: true };
        let mut trace = v1::Trace::default();
        add(&found, &mut trace);
        let severities: Vec<&str> = trace.logs.iter().map(|log| log.severity.as_str()).collect();
        assert_eq!((severities, trace.logs_total, trace.truncated), (vec!["INFO", "", "ERROR"], 3, true));
        assert_eq!(trace.logs[0].span_id, "0101010101010101");
    }

    #[test]
    fn an_answer_holds_no_more_than_it_may() {
        let found = TraceLogs { records: vec![LogRecord::default(); LOGS_SHOWN + 5], truncated: false };
        let mut trace = v1::Trace::default();
        add(&found, &mut trace);
        assert_eq!((trace.logs.len(), trace.logs_total), (LOGS_SHOWN, LOGS_SHOWN as u64 + 5));
    }
}
