//! Counts the items of logs and metrics requests.
//!
//! It looks no deeper than it must to count; what the items say is read by those who need it.

use super::{
    EnvelopeError, Signal,
    wire::{Fields, WireError},
};

/// The number of log records in an `ExportLogsServiceRequest`.
///
/// # Errors
/// When the messages around the log records cannot be read.
pub fn log_records(request: &[u8]) -> Result<u64, EnvelopeError> {
    let mut count = 0;
    each_item(request, &mut |_| {
        count += 1;
        Ok(())
    })
    .map_err(|cause| EnvelopeError { signal: Signal::Logs, cause })?;
    Ok(count)
}

/// The number of data points in an `ExportMetricsServiceRequest`.
///
/// # Errors
/// When the messages around the data points cannot be read.
pub fn data_points(request: &[u8]) -> Result<u64, EnvelopeError> {
    let mut count = 0;
    each_item(request, &mut |metric| {
        count += data_points_of(metric)?;
        Ok(())
    })
    .map_err(|cause| EnvelopeError { signal: Signal::Metrics, cause })?;
    Ok(count)
}

/// Resources, scopes and items have the same field numbers in all signals.
fn each_item(request: &[u8], visit: &mut dyn FnMut(&[u8]) -> Result<(), WireError>) -> Result<(), WireError> {
    each_child(request, 1, &mut |resource| {
        each_child(resource, 2, &mut |scope| each_child(scope, 2, &mut |item| visit(item)))
    })
}

fn each_child(
    message: &[u8],
    number: u32,
    visit: &mut dyn FnMut(&[u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next()? {
        if field.number == number {
            visit(field.value.len()?)?;
        }
    }
    Ok(())
}

fn data_points_of(metric: &[u8]) -> Result<u64, WireError> {
    const GAUGE: u32 = 5;
    const SUM: u32 = 7;
    const HISTOGRAM: u32 = 9;
    const EXPONENTIAL_HISTOGRAM: u32 = 10;
    const SUMMARY: u32 = 11;
    let mut count = 0;
    let mut fields = Fields::new(metric);
    while let Some(field) = fields.next()? {
        if let GAUGE | SUM | HISTOGRAM | EXPONENTIAL_HISTOGRAM | SUMMARY = field.number {
            each_child(field.value.len()?, 1, &mut |_| {
                count += 1;
                Ok(())
            })?;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        collector::{logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest},
        logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
        metrics::v1::{
            Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
        },
    };
    use prost::Message as _;

    use super::*;

    #[test]
    fn log_records_of_all_scopes_count() {
        let scope = |n| ScopeLogs { log_records: vec![LogRecord::default(); n], ..Default::default() };
        let request = ExportLogsServiceRequest {
            resource_logs: vec![
                ResourceLogs { scope_logs: vec![scope(2), scope(0)], ..Default::default() },
                ResourceLogs { scope_logs: vec![scope(3)], ..Default::default() },
            ],
        };
        assert_eq!(log_records(&request.encode_to_vec()), Ok(5));
        assert_eq!(log_records(&[]), Ok(0));
        assert!(log_records(b"not a request").is_err());
    }

    #[test]
    fn data_points_count_and_not_metrics() {
        let gauge = Data::Gauge(Gauge { data_points: vec![NumberDataPoint::default(); 3] });
        let histogram =
            Data::Histogram(Histogram { data_points: vec![HistogramDataPoint::default(); 2], ..Default::default() });
        let metrics = [Some(gauge), Some(histogram), None].map(|data| Metric { data, ..Default::default() }).to_vec();
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                scope_metrics: vec![ScopeMetrics { metrics, ..Default::default() }],
                ..Default::default()
            }],
        };
        assert_eq!(data_points(&request.encode_to_vec()), Ok(5));
        assert!(data_points(&[0x0a, 9]).is_err());
    }
}
