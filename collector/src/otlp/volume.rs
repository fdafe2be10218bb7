//! Judges the items of logs and metrics requests, and counts them.
//!
//! It looks no deeper than it must to judge; what the items say is read by those who need it. As with spans, an item
//! that is rejected costs itself, and stays in the request that the journal holds.

use super::{
    EnvelopeError, Signal,
    traces::REASONS_PER_REQUEST,
    wire::{Fields, Value, WireError},
};

/// Most buckets of a histogram that are taken: SDKs make 160 of exponential ones, and a dozen of the others.
pub const BUCKETS_PER_POINT: usize = 10_000;

/// Why a log record or a data point was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The bytes are not what they should be.
    #[error("the encoding of an item is broken: {0}")]
    Encoding(WireError),
    /// The value of a data point is not a number.
    #[error("a value must be a number, but is NaN; leave the data point out, or set its flag for no recorded value")]
    NotANumber,
    /// A histogram counts more or fewer buckets than its bounds make.
    #[error("a histogram must have one bucket count more than bounds, but has {buckets} and {bounds}")]
    Buckets {
        /// Counts of buckets.
        buckets: usize,
        /// Bounds between them.
        bounds: usize,
    },
    /// A histogram has too many buckets.
    #[error("a histogram may have at most {BUCKETS_PER_POINT} buckets, but has {0}")]
    TooManyBuckets(usize),
    /// The request has too many items.
    #[error("a request may carry at most {most} items; send smaller batches")]
    TooMany {
        /// How many it may.
        most: u64,
    },
}

/// What the door needs to know of a logs or metrics request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Log records or data points that are kept.
    pub accepted: u64,
    /// Those that are not.
    pub rejected: u64,
    /// The first distinct reasons of the rejections, at most [`REASONS_PER_REQUEST`].
    pub reasons: Vec<Rejection>,
    /// Metrics of a kind that is not known, so that their data points cannot be counted.
    pub unknown_metrics: u64,
}

/// Judges the records of an `ExportLogsServiceRequest`, of which at most `most` are accepted.
///
/// # Errors
/// When the messages around the log records cannot be read.
pub fn log_records(request: &[u8], most: u64) -> Result<Counted, EnvelopeError> {
    let mut counted = Counted::default();
    let walked = each_item(request, &mut |record| {
        let judged = counted.bounded(most, judge_log_record(record));
        counted.take(judged);
        Ok(())
    });
    walked.map_err(|cause| EnvelopeError { signal: Signal::Logs, cause })?;
    Ok(counted)
}

/// Judges the data points of an `ExportMetricsServiceRequest`, of which at most `most` are accepted.
///
/// # Errors
/// When the messages around the data points cannot be read.
pub fn data_points(request: &[u8], most: u64) -> Result<Counted, EnvelopeError> {
    let mut counted = Counted::default();
    each_item(request, &mut |metric| data_points_of(metric, most, &mut counted))
        .map_err(|cause| EnvelopeError { signal: Signal::Metrics, cause })?;
    Ok(counted)
}

impl Counted {
    /// What to tell the sender; `None` when all is well.
    pub fn message(&self, signal: Signal) -> Option<String> {
        let mut remarks = Vec::new();
        if self.rejected > 0 {
            let reasons: Vec<String> = self.reasons.iter().map(ToString::to_string).collect();
            let (items, total) = (signal.items(), self.rejected + self.accepted);
            remarks.push(format!("{} of {total} {items} were rejected: {}", self.rejected, reasons.join("; ")));
        }
        if self.unknown_metrics > 0 {
            remarks.push(format!(
                "{} metrics are of no known kind: send gauges, sums, histograms, exponential histograms or summaries",
                self.unknown_metrics
            ));
        }
        (!remarks.is_empty()).then(|| remarks.join(". "))
    }

    /// What is accepted beyond the bound is not.
    fn bounded<T>(&self, most: u64, judged: Result<T, Rejection>) -> Result<T, Rejection> {
        if self.accepted < most { judged } else { judged.and(Err(Rejection::TooMany { most })) }
    }

    fn take(&mut self, judgement: Result<(), Rejection>) {
        let Err(reason) = judgement else {
            self.accepted += 1;
            return;
        };
        self.rejected += 1;
        if self.reasons.len() < REASONS_PER_REQUEST && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }
}

impl From<WireError> for Rejection {
    fn from(error: WireError) -> Self {
        Self::Encoding(error)
    }
}

/// Hands out the bytes of each item of a request. Resources, scopes and items have the same field numbers in all signals.
pub(super) fn each_item<'a>(
    request: &'a [u8],
    visit: &mut dyn FnMut(&'a [u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    each_group(request, &mut |group| each_item_of(group, visit))
}

/// Hands out the bytes of what each resource has sent.
pub(super) fn each_group<'a>(
    request: &'a [u8],
    visit: &mut dyn FnMut(&'a [u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    each_child(request, 1, visit)
}

/// Hands out the bytes of each item that one resource has sent.
pub(super) fn each_item_of<'a>(
    group: &'a [u8],
    visit: &mut dyn FnMut(&'a [u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    each_child(group, 2, &mut |scope| each_child(scope, 2, visit))
}

/// Hands out the bytes of each message in a field of this number.
pub(super) fn each_child<'a>(
    message: &'a [u8],
    number: u32,
    visit: &mut dyn FnMut(&'a [u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next()? {
        if field.number == number {
            visit(field.value.len()?)?;
        }
    }
    Ok(())
}

/// A record is kept whatever it says; ids that are none leave it without a span.
pub(super) fn judge_log_record(record: &[u8]) -> Result<(), Rejection> {
    const TIME: u32 = 1;
    const BODY: u32 = 5;
    const ATTRIBUTES: u32 = 6;
    const TRACE_ID: u32 = 9;
    const SPAN_ID: u32 = 10;
    const OBSERVED_TIME: u32 = 11;
    let mut fields = Fields::new(record);
    while let Some(field) = fields.next()? {
        match field.number {
            TIME | OBSERVED_TIME => drop(field.value.fixed64()?),
            BODY | ATTRIBUTES | TRACE_ID | SPAN_ID => drop(field.value.len()?),
            _ => {}
        }
    }
    Ok(())
}

fn data_points_of(metric: &[u8], most: u64, counted: &mut Counted) -> Result<(), WireError> {
    let known = each_point(metric, &mut |kind, point| {
        let judged = counted.bounded(most, judge_point(kind, point));
        counted.take(judged);
        Ok(())
    })?;
    counted.unknown_metrics += u64::from(known == Kinds::Unknown);
    Ok(())
}

/// Field numbers of the kinds that a metric may be, each with its points.
pub(super) mod kind {
    pub(in crate::otlp) const GAUGE: u32 = 5;
    pub(in crate::otlp) const SUM: u32 = 7;
    pub(in crate::otlp) const HISTOGRAM: u32 = 9;
    pub(in crate::otlp) const EXPONENTIAL_HISTOGRAM: u32 = 10;
    pub(in crate::otlp) const SUMMARY: u32 = 11;
}

/// What kinds a metric is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kinds {
    /// Such that are known, or none.
    Known,
    /// Only such that are not.
    Unknown,
}

/// Hands out each point of a metric with the field number of its kind.
pub(super) fn each_point<'a>(
    metric: &'a [u8],
    visit: &mut dyn FnMut(u32, &'a [u8]) -> Result<(), WireError>,
) -> Result<Kinds, WireError> {
    const METADATA: u32 = 12;
    let (mut has_points, mut has_unknown) = (false, false);
    let mut fields = Fields::new(metric);
    while let Some(field) = fields.next()? {
        match field.number {
            kind::GAUGE | kind::SUM | kind::HISTOGRAM | kind::EXPONENTIAL_HISTOGRAM | kind::SUMMARY => {
                has_points = true;
                each_child(field.value.len()?, 1, &mut |point| visit(field.number, point))?;
            }
            // Name, description and unit; other numbers may be a kind from a newer version.
            1..=3 | METADATA => {}
            _ => has_unknown = true,
        }
    }
    Ok(if has_unknown && !has_points { Kinds::Unknown } else { Kinds::Known })
}

/// Judges a point of a metric of this kind.
pub(super) fn judge_point(kind: u32, point: &[u8]) -> Result<(), Rejection> {
    match kind {
        kind::HISTOGRAM => judge_histogram(point),
        kind::EXPONENTIAL_HISTOGRAM => judge_exponential_histogram(point),
        kind::SUMMARY => judge_summary(point),
        _ => judge_number(point),
    }
}

fn judge_number(point: &[u8]) -> Result<(), Rejection> {
    const AS_DOUBLE: u32 = 4;
    let mut fields = Fields::new(point);
    while let Some(field) = fields.next()? {
        if field.number == AS_DOUBLE && f64::from_bits(field.value.fixed64()?).is_nan() {
            return Err(Rejection::NotANumber);
        }
    }
    Ok(())
}

fn judge_histogram(point: &[u8]) -> Result<(), Rejection> {
    const BUCKET_COUNTS: u32 = 6;
    const EXPLICIT_BOUNDS: u32 = 7;
    let (mut buckets, mut bounds) = (0, 0);
    let mut fields = Fields::new(point);
    while let Some(field) = fields.next()? {
        match field.number {
            BUCKET_COUNTS => buckets += fixed64s_in(field.value)?,
            EXPLICIT_BOUNDS => bounds += fixed64s_in(field.value)?,
            _ => {}
        }
    }
    if buckets > BUCKETS_PER_POINT {
        Err(Rejection::TooManyBuckets(buckets))
    } else if buckets != bounds + 1 && (buckets, bounds) != (0, 0) {
        Err(Rejection::Buckets { buckets, bounds })
    } else {
        Ok(())
    }
}

/// How many numbers of eight bytes a repeated field has here: packed, or one.
fn fixed64s_in(value: Value<'_>) -> Result<usize, WireError> {
    match value {
        Value::Len(packed) if packed.len() % 8 == 0 => Ok(packed.len() / 8),
        Value::Len(_) => Err(WireError::Truncated),
        Value::Fixed64(_) => Ok(1),
        Value::Varint(_) | Value::Fixed32(_) => Err(WireError::WrongType),
    }
}

fn judge_exponential_histogram(point: &[u8]) -> Result<(), Rejection> {
    const POSITIVE: u32 = 8;
    const NEGATIVE: u32 = 9;
    const BUCKET_COUNTS: u32 = 2;
    let mut buckets = 0;
    let mut fields = Fields::new(point);
    while let Some(field) = fields.next()? {
        if !matches!(field.number, POSITIVE | NEGATIVE) {
            continue;
        }
        let mut side = Fields::new(field.value.len()?);
        while let Some(field) = side.next()? {
            if field.number == BUCKET_COUNTS {
                // The last byte of each number, and no other, is below 128.
                let ends = |packed: &[u8]| packed.iter().filter(|byte| **byte < 0x80).count();
                buckets += if let Value::Len(packed) = field.value { ends(packed) } else { 1 };
            }
        }
    }
    if buckets > BUCKETS_PER_POINT { Err(Rejection::TooManyBuckets(buckets)) } else { Ok(()) }
}

fn judge_summary(point: &[u8]) -> Result<(), Rejection> {
    const QUANTILE_VALUES: u32 = 6;
    let mut fields = Fields::new(point);
    while let Some(field) = fields.next()? {
        if field.number == QUANTILE_VALUES {
            field.value.len()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        collector::{logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest},
        logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
        metrics::v1::{
            ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
            NumberDataPoint, ResourceMetrics, ScopeMetrics, exponential_histogram_data_point::Buckets, metric::Data,
            number_data_point::Value as Number,
        },
    };
    use prost::Message as _;

    use super::*;

    fn metrics(data: Vec<Option<Data>>) -> Counted {
        let metrics = data.into_iter().map(|data| Metric { data, ..Default::default() }).collect();
        let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
        let group = ResourceMetrics { scope_metrics, ..Default::default() };
        data_points(&ExportMetricsServiceRequest { resource_metrics: vec![group] }.encode_to_vec(), u64::MAX).unwrap()
    }

    fn histogram(buckets: usize, bounds: usize) -> Option<Data> {
        let point = HistogramDataPoint {
            bucket_counts: vec![1; buckets],
            explicit_bounds: vec![0.5; bounds],
            ..Default::default()
        };
        Some(Data::Histogram(Histogram { data_points: vec![point], ..Default::default() }))
    }

    fn gauge(values: &[f64]) -> Option<Data> {
        let point = |value: &f64| NumberDataPoint { value: Some(Number::AsDouble(*value)), ..Default::default() };
        Some(Data::Gauge(Gauge { data_points: values.iter().map(point).collect() }))
    }

    #[test]
    fn log_records_of_all_scopes_count() {
        let scope = |n| ScopeLogs { log_records: vec![LogRecord::default(); n], ..Default::default() };
        let request = ExportLogsServiceRequest {
            resource_logs: vec![
                ResourceLogs { scope_logs: vec![scope(2), scope(0)], ..Default::default() },
                ResourceLogs { scope_logs: vec![scope(3)], ..Default::default() },
            ],
        };
        assert_eq!(log_records(&request.encode_to_vec(), u64::MAX), Ok(Counted { accepted: 5, ..Counted::default() }));
        let bounded =
            Counted { accepted: 3, rejected: 2, reasons: vec![Rejection::TooMany { most: 3 }], ..Counted::default() };
        assert_eq!(log_records(&request.encode_to_vec(), 3), Ok(bounded));
        assert_eq!(log_records(&[], u64::MAX), Ok(Counted::default()));
        assert!(log_records(b"not a request", u64::MAX).is_err());
    }

    #[test]
    fn a_broken_log_record_costs_itself() {
        // Records with nothing, with a time as a varint, and cut off.
        let counted =
            log_records(&[0x0a, 13, 0x12, 11, 0x12, 0, 0x12, 2, 0x08, 1, 0x12, 3, 0x2a, 9, 1], u64::MAX).unwrap();
        assert_eq!((counted.accepted, counted.rejected), (1, 2));
        let message = counted.message(Signal::Logs).unwrap();
        assert!(message.starts_with("2 of 3 log records were rejected: the encoding"), "{message}");
    }

    #[test]
    fn data_points_count_and_not_metrics() {
        let counted = metrics(vec![gauge(&[1.0, -0.0, f64::INFINITY]), histogram(3, 2), histogram(0, 0), None]);
        assert_eq!(counted, Counted { accepted: 5, ..Counted::default() });
        assert_eq!(counted.message(Signal::Metrics), None);
        assert!(data_points(&[0x0a, 9], u64::MAX).is_err());
    }

    #[test]
    fn data_points_that_say_nothing_cost_themselves() {
        let side = Some(Buckets { offset: 0, bucket_counts: vec![300; BUCKETS_PER_POINT + 1] });
        let point = ExponentialHistogramDataPoint { positive: side, ..Default::default() };
        let exponential = ExponentialHistogram { data_points: vec![point], ..Default::default() };
        let counted = metrics(vec![
            gauge(&[1.0, f64::NAN]),
            histogram(3, 3),
            histogram(BUCKETS_PER_POINT + 1, BUCKETS_PER_POINT),
            Some(Data::ExponentialHistogram(exponential)),
        ]);
        assert_eq!((counted.accepted, counted.rejected), (1, 4));
        let many = Rejection::TooManyBuckets(BUCKETS_PER_POINT + 1);
        assert_eq!(counted.reasons, [Rejection::NotANumber, Rejection::Buckets { buckets: 3, bounds: 3 }, many]);
    }

    #[test]
    fn a_metric_of_a_newer_kind_is_told_and_not_refused() {
        let counted = data_points(&[0x0a, 7, 0x12, 5, 0x12, 3, 0xa2, 0x01, 0], u64::MAX).unwrap();
        assert_eq!(counted.unknown_metrics, 1);
        assert!(counted.message(Signal::Metrics).unwrap().contains("no known kind"));
    }
}
