//! What metrics requests say of functions: the points of the `faas.*` instruments.
//!
//! Other metrics are counted by `otlp/volume.rs`, and so is how many points of a request were accepted. How much of a
//! point is new is the analyzer's business (`loopscope_analyzer::metric`).

use std::str;

use loopscope_analyzer::{
    identity::function_named_by,
    metric::{Amount, Measure, MetricRecord, Temporality},
    span::{EventTime, SpanKind},
};
use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{
        DataPointFlags, ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint,
        number_data_point::Value as Number,
    },
    resource::v1::Resource,
};
use prost::Message as _;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{
    EnvelopeError, Signal,
    identify::known,
    limits::ItemLimits,
    traces::{resource_of, resources_in},
    volume::{each_group, each_item_of, each_point, judge_point, kind},
    wire::{Fields, Value, WireError},
};

/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;

/// What the accepted points of an `ExportMetricsServiceRequest` say of functions, in their order.
///
/// # Errors
/// When the messages around the points cannot be read.
pub fn records(request: &[u8], limits: &ItemLimits) -> Result<Vec<MetricRecord>, EnvelopeError> {
    let (mut records, mut left) = (Vec::new(), limits.items);
    let walked = each_group(request, &mut |group| {
        let mut resource = None;
        each_item_of(group, &mut |bytes| {
            let metric = Metric::read(bytes)?;
            let instrument = metric.measure().map(|measure| (measure, metric.scale(measure)));
            each_point(bytes, &mut |kind, point| {
                // A broken point costs itself, as it does at the door, where none were accepted after the last.
                if left == 0 || judge_point(kind, point).is_err() {
                    return Ok(());
                }
                left -= 1;
                let Some((measure, Some(scale))) = instrument else { return Ok(()) };
                let Some(read) = Point::read(kind, point, measure) else { return Ok(()) };
                let (resource, seed) =
                    resource.get_or_insert_with(|| (resource_of(group, limits), resource_hash(group)));
                records.push(MetricRecord {
                    function: function_named_by(resource, SpanKind::Server, "", &known(&read.attributes, limits)),
                    stream: xxh3_64_with_seed(metric.name, *seed ^ hash_of(&read.attributes)),
                    measure,
                    temporality: metric.temporality(kind),
                    start: EventTime(read.start),
                    at: EventTime(read.at),
                    amount: scaled(read.amount, scale, measure),
                });
                Ok(())
            })?;
            Ok(())
        })
    });
    walked.map_err(|cause| EnvelopeError { signal: Signal::Metrics, cause })?;
    Ok(records)
}

/// Attributes as a number, in whatever order they stand.
fn hash_of(attributes: &[KeyValue]) -> u64 {
    attributes.iter().fold(0, |hash: u64, pair| hash.wrapping_add(xxh3_64(&pair.encode_to_vec())))
}

/// The resource that sent a metric, as a number.
fn resource_hash(group: &[u8]) -> u64 {
    let resources = resources_in(group).filter_map(|bytes| Resource::decode(bytes).ok());
    resources.fold(0, |hash, resource| hash ^ hash_of(&resource.attributes))
}

/// What stands in a metric beside its points.
#[derive(Default)]
struct Metric<'a> {
    name: &'a [u8],
    unit: &'a [u8],
    temporality: u64,
    is_monotonic: bool,
    is_sum: bool,
}

impl<'a> Metric<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, WireError> {
        const NAME: u32 = 1;
        const UNIT: u32 = 3;
        const TEMPORALITY: u32 = 2;
        const IS_MONOTONIC: u32 = 3;
        let mut metric = Self::default();
        let mut fields = Fields::new(bytes);
        while let Some(field) = fields.next()? {
            match field.number {
                NAME => metric.name = field.value.len().unwrap_or_default(),
                UNIT => metric.unit = field.value.len().unwrap_or_default(),
                kind::SUM | kind::HISTOGRAM | kind::EXPONENTIAL_HISTOGRAM => {
                    metric.is_sum |= field.number == kind::SUM;
                    let mut data = Fields::new(field.value.len()?);
                    while let Some(field) = data.next()? {
                        match (field.number, field.value) {
                            (TEMPORALITY, Value::Varint(temporality)) => metric.temporality = temporality,
                            (IS_MONOTONIC, Value::Varint(truth)) => metric.is_monotonic = truth != 0,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(metric)
    }

    /// What it measures; nothing where it cannot be read as that, as a count that goes up and down.
    fn measure(&self) -> Option<Measure> {
        let measure = Measure::of(str::from_utf8(self.name).ok()?)?;
        let is_read = !measure.is_count() || self.is_sum && self.is_monotonic;
        is_read.then_some(measure)
    }

    /// By how much a value is multiplied to be in the unit of the measure; without a unit it is that of the conventions.
    fn scale(&self, measure: Measure) -> Option<f64> {
        Some(match (measure, self.unit) {
            (Measure::Duration | Measure::Init, b"s" | b"") => 1e3,
            (Measure::Duration | Measure::Init, b"ms") => 1.0,
            (Measure::Duration | Measure::Init, b"us") => 1e-3,
            (Measure::Duration | Measure::Init, b"ns") => 1e-6,
            (Measure::Memory, b"By" | b"") => 1.0 / MIB,
            (Measure::Memory, b"KiBy") => 1.0 / 1024.0,
            (Measure::Memory, b"MiBy" | b"MB" | b"MBy") => 1.0,
            (Measure::Duration | Measure::Init | Measure::Memory, _) => return None,
            _ => 1.0,
        })
    }

    fn temporality(&self, kind: u32) -> Temporality {
        const DELTA: u64 = 1;
        match (kind, self.temporality) {
            (kind::GAUGE, _) => Temporality::Gauge,
            (_, DELTA) => Temporality::Delta,
            // Who does not say sends what most do.
            _ => Temporality::Cumulative,
        }
    }
}

/// One point.
struct Point {
    attributes: Vec<KeyValue>,
    start: u64,
    at: u64,
    amount: Amount,
}

impl Point {
    /// Reads a point; `None` for one without a value or that cannot be decoded, and for summaries, which do not add up.
    fn read(kind: u32, bytes: &[u8], measure: Measure) -> Option<Self> {
        match kind {
            kind::GAUGE | kind::SUM => {
                let point = NumberDataPoint::decode(bytes).ok().filter(|point| has_value(point.flags))?;
                let value = match point.value? {
                    Number::AsDouble(value) => value,
                    Number::AsInt(value) => value as f64,
                };
                let (start, at) = (point.start_time_unix_nano, point.time_unix_nano);
                Some(Self { attributes: point.attributes, start, at, amount: Amount::number(value, measure) })
            }
            kind::HISTOGRAM => {
                let point = HistogramDataPoint::decode(bytes).ok().filter(|point| has_value(point.flags))?;
                let (count, sum, max) = (point.count as f64, point.sum.unwrap_or_default(), point.max);
                let amount = Amount { count, sum, max, buckets: explicit(&point) };
                let (start, at) = (point.start_time_unix_nano, point.time_unix_nano);
                Some(Self { attributes: point.attributes, start, at, amount })
            }
            kind::EXPONENTIAL_HISTOGRAM => {
                let point = ExponentialHistogramDataPoint::decode(bytes).ok().filter(|point| has_value(point.flags))?;
                let (count, sum, max) = (point.count as f64, point.sum.unwrap_or_default(), point.max);
                let amount = Amount { count, sum, max, buckets: exponential(&point) };
                let (start, at) = (point.start_time_unix_nano, point.time_unix_nano);
                Some(Self { attributes: point.attributes, start, at, amount })
            }
            _ => None,
        }
    }
}

fn has_value(flags: u32) -> bool {
    flags & DataPointFlags::NoRecordedValueMask as u32 == 0
}

/// The value in the middle of each bucket that holds any, with how many.
fn explicit(point: &HistogramDataPoint) -> Vec<(f64, u64)> {
    let bounds = &point.explicit_bounds;
    let middle = |at: usize| {
        let below = at.checked_sub(1).and_then(|at| bounds.get(at)).copied().filter(|below| *below > 0.0);
        match (below, bounds.get(at).copied()) {
            (Some(below), Some(above)) => (below * above).sqrt(),
            (None, Some(above)) => above / 2.0,
            (Some(below), None) => below,
            (None, None) => point.sum.unwrap_or_default() / point.count.max(1) as f64,
        }
    };
    let held = point.bucket_counts.iter().enumerate().filter(|(_, count)| **count > 0);
    held.map(|(at, count)| (middle(at), *count)).collect()
}

/// The same of buckets that grow by a power of two.
fn exponential(point: &ExponentialHistogramDataPoint) -> Vec<(f64, u64)> {
    let zeros = (point.zero_count > 0).then_some((0.0, point.zero_count));
    let positive = point.positive.iter().flat_map(|side| {
        let power = 2_f64.powi(-point.scale);
        let held = side.bucket_counts.iter().enumerate().filter(|(_, count)| **count > 0);
        held.map(move |(at, count)| (2_f64.powf((f64::from(side.offset) + at as f64 + 0.5) * power), *count))
    });
    zeros.into_iter().chain(positive).collect()
}

fn scaled(amount: Amount, scale: f64, measure: Measure) -> Amount {
    if measure.is_count() {
        return amount;
    }
    Amount {
        count: amount.count,
        sum: amount.sum * scale,
        max: amount.max.map(|max| max * scale),
        buckets: amount.buckets.into_iter().map(|(value, count)| (value * scale, count)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        collector::metrics::v1::ExportMetricsServiceRequest,
        common::v1::{AnyValue, any_value::Value as Any},
        metrics::v1::{
            ExponentialHistogram, Gauge, Histogram, Metric as WireMetric, ResourceMetrics, ScopeMetrics, Sum, Summary,
            SummaryDataPoint, exponential_histogram_data_point::Buckets, metric::Data,
        },
    };

    use super::*;

    fn pair(key: &str, value: &str) -> KeyValue {
        let value = Some(AnyValue { value: Some(Any::StringValue(value.into())) });
        KeyValue { key: key.into(), value, ..Default::default() }
    }

    fn metric(name: &str, unit: &str, data: Data) -> WireMetric {
        WireMetric { name: name.into(), unit: unit.into(), data: Some(data), ..Default::default() }
    }

    fn request(attributes: Vec<KeyValue>, metrics: Vec<WireMetric>) -> Vec<u8> {
        let resource = Some(Resource { attributes, ..Default::default() });
        let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
        let group = ResourceMetrics { resource, scope_metrics, ..Default::default() };
        ExportMetricsServiceRequest { resource_metrics: vec![group] }.encode_to_vec()
    }

    fn read(metrics: Vec<WireMetric>) -> Vec<MetricRecord> {
        let attributes = vec![pair("faas.name", "thumbnails"), pair("cloud.platform", "aws_lambda")];
        records(&request(attributes, metrics), &ItemLimits::default()).unwrap()
    }

    fn number(value: f64) -> NumberDataPoint {
        NumberDataPoint {
            start_time_unix_nano: 5,
            time_unix_nano: 7,
            value: Some(Number::AsDouble(value)),
            ..Default::default()
        }
    }

    fn counter(name: &str, points: Vec<NumberDataPoint>) -> WireMetric {
        let sum = Sum { data_points: points, aggregation_temporality: 2, is_monotonic: true };
        metric(name, "{invocation}", Data::Sum(sum))
    }

    #[test]
    fn counters_of_functions_are_read_and_others_are_not() {
        let whole = NumberDataPoint { value: Some(Number::AsInt(3)), ..number(0.0) };
        let empty = NumberDataPoint { flags: 1, ..number(9.0) };
        let told = read(vec![
            counter("faas.errors", vec![whole, empty, NumberDataPoint { value: None, ..number(0.0) }]),
            counter("http.server.active_requests", vec![number(1.0)]),
            metric("faas.invocations", "", Data::Gauge(Gauge { data_points: vec![number(4.0)] })),
        ]);
        assert_eq!(told.len(), 1, "a gauge counts nothing");
        let it = &told[0];
        assert_eq!(
            (&*it.function.name, it.measure, it.temporality),
            ("thumbnails", Measure::Errors, Temporality::Cumulative)
        );
        assert_eq!((it.start, it.at, &it.amount), (EventTime(5), EventTime(7), &Amount::number(3.0, Measure::Errors)));
    }

    #[test]
    fn a_stream_is_its_resource_its_instrument_and_its_attributes_in_any_order() {
        let with = |attributes: &[(&str, &str)]| NumberDataPoint {
            attributes: attributes.iter().map(|(key, value)| pair(key, value)).collect(),
            ..number(1.0)
        };
        let points = [&[("a", "1"), ("b", "2")][..], &[("b", "2"), ("a", "1")], &[("a", "1")]].map(with).to_vec();
        let streams: Vec<u64> = read(vec![counter("faas.errors", points.clone()), counter("faas.timeouts", points)])
            .iter()
            .map(|it| it.stream)
            .collect();
        assert_eq!(
            (streams[0] == streams[1], streams[0] == streams[2], streams[0] == streams[3]),
            (true, false, false)
        );
    }

    #[test]
    fn durations_are_milliseconds_and_memory_is_mebibytes() {
        let point = HistogramDataPoint {
            time_unix_nano: 7,
            count: 6,
            sum: Some(3.0),
            bucket_counts: vec![2, 0, 3, 1],
            explicit_bounds: vec![0.1, 0.2, 0.8],
            max: Some(1.5),
            ..Default::default()
        };
        let seconds = Histogram { data_points: vec![point.clone()], aggregation_temporality: 1 };
        let told = read(vec![
            metric("faas.invoke_duration", "s", Data::Histogram(seconds.clone())),
            metric("faas.invoke_duration", "fortnights", Data::Histogram(seconds)),
            metric("faas.mem_usage", "By", Data::Gauge(Gauge { data_points: vec![number(64.0 * MIB)] })),
        ]);
        assert_eq!(told.len(), 2, "no unit is guessed");
        let amount = &told[0].amount;
        assert_eq!(
            (told[0].temporality, amount.count, amount.sum, amount.max),
            (Temporality::Delta, 6.0, 3_000.0, Some(1_500.0))
        );
        assert_eq!(amount.buckets, [(50.0, 2), (400.0, 3), (800.0, 1)]);
        assert_eq!((told[1].temporality, told[1].amount.sum), (Temporality::Gauge, 64.0));
    }

    #[test]
    fn exponential_buckets_hold_what_lies_between_powers() {
        let positive = Some(Buckets { offset: 3, bucket_counts: vec![1, 0, 2] });
        let point = ExponentialHistogramDataPoint {
            time_unix_nano: 7,
            count: 4,
            sum: Some(100.0),
            zero_count: 1,
            positive,
            ..Default::default()
        };
        let data = ExponentialHistogram { data_points: vec![point], aggregation_temporality: 2 };
        let told = read(vec![metric("faas.init_duration", "ms", Data::ExponentialHistogram(data))]);
        let root = 2_f64.sqrt();
        let expected = [(0.0, 1), (8.0 * root, 1), (32.0 * root, 2)];
        for ((value, count), (wanted, times)) in told[0].amount.buckets.iter().zip(expected) {
            assert!((value - wanted).abs() < 1e-9 && *count == times, "{:?}", told[0].amount);
        }
    }

    #[test]
    fn only_accepted_points_are_read_and_a_broken_one_costs_itself() {
        let points = vec![number(1.0), number(f64::NAN), number(2.0), number(3.0)];
        let summary = Summary { data_points: vec![SummaryDataPoint { time_unix_nano: 1, ..Default::default() }] };
        let metrics = vec![counter("faas.errors", points), metric("faas.invoke_duration", "s", Data::Summary(summary))];
        let body = request(vec![pair("faas.name", "f")], metrics);
        let counts = |items| -> Vec<f64> {
            let told = records(&body, &ItemLimits::default().of(items)).unwrap();
            told.iter().map(|it| it.amount.count).collect()
        };
        assert_eq!(counts(9), [1.0, 2.0, 3.0]);
        assert_eq!(counts(2), [1.0, 2.0]);
        assert!(records(b"not a request", &ItemLimits::default()).is_err());
    }
}
