//! What must hold of the decoders for any bytes, for the fuzzer and for the property test in `tests/decoders.rs`.

use loopscope_collector::otlp::{
    Signal, json as otlp_json,
    key::Key,
    limits::ItemLimits,
    logs, metrics,
    subject::keys,
    trace_view::{logs_of, spans_of_trace},
    traces::{REASONS_PER_REQUEST, check, spans},
    volume::{data_points, log_records},
};
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use prost::Message as _;

/// Traces whose spans are decoded in full: each costs a walk over the whole request.
const TRACES: usize = 8;

/// Items of a request that are accepted: few, so that small inputs reach the bound.
const ITEMS: u64 = 16;

/// Door, engine and page agree on what of a request is accepted, and none of them panics.
pub(crate) fn protobuf(bytes: &[u8]) {
    let limits = ItemLimits { items: ITEMS, attributes: 8, links: 4, name_bytes: 16, text_bytes: 16 };
    match (check(bytes, ITEMS), spans(bytes, &limits)) {
        (Ok(checked), Ok(decoded)) => {
            assert_eq!(checked.accepted, decoded.spans.len() as u64);
            assert_eq!((checked.rejected, checked.parents_dropped), (decoded.rejected, decoded.parents_dropped));
            assert_eq!(checked.reasons.first(), decoded.reason.as_ref());
            assert!(checked.reasons.len() <= REASONS_PER_REQUEST);
            let mut ids: Vec<_> = decoded.spans.iter().map(|span| span.trace_id).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(checked.trace_ids, ids);
            for id in ids.into_iter().take(TRACES) {
                let of_trace = decoded.spans.iter().filter(|span| span.trace_id == id).count();
                assert_eq!(spans_of_trace(bytes, checked.accepted, id).len(), of_trace);
            }
        }
        (Err(door), Err(engine)) => assert_eq!(door, engine),
        (door, engine) => panic!("the door says {door:?}, the engine {engine:?}"),
    }
    for (signal, counted) in [(Signal::Logs, log_records(bytes, ITEMS)), (Signal::Metrics, data_points(bytes, ITEMS))] {
        let Ok(counted) = counted else { continue };
        let is_silent = counted.rejected == 0 && counted.unknown_metrics == 0;
        assert_eq!(counted.message(signal).is_none(), is_silent);
    }
    let points = metrics::records(bytes, &limits).map(|points| points.len() as u64);
    assert_eq!(points.is_ok(), data_points(bytes, ITEMS).is_ok());
    if let (Ok(points), Ok(counted)) = (points, data_points(bytes, ITEMS)) {
        assert!(points <= counted.accepted);
    }
    let told = logs::said(bytes, &limits).map(|said| (said.facts.len().max(said.exceptions.len())) as u64);
    assert_eq!(told.is_ok(), log_records(bytes, ITEMS).is_ok());
    if let (Ok(told), Ok(counted)) = (told, log_records(bytes, ITEMS)) {
        // One record may be a report and tell of an exception.
        assert!(told <= 2 * counted.accepted);
        let all = logs_of(bytes, &limits, &|_| true);
        assert_eq!(all.len() as u64, counted.accepted);
        let keys = keys(bytes, &limits).unwrap_or_default();
        assert!(all.iter().all(|(of, _)| keys.contains(&Key::function(of.function.id))));
        assert!(all.iter().filter_map(|(of, _)| of.trace).all(|trace| keys.contains(&trace.into())));
    }
}

/// What comes out of JSON is protobuf that everybody can read.
pub(crate) fn json(bytes: &[u8]) {
    for signal in Signal::ALL {
        let Ok(converted) = otlp_json::to_protobuf(signal, bytes) else { continue };
        let request = converted.protobuf.as_slice();
        let by_others = match signal {
            Signal::Traces => ExportTraceServiceRequest::decode(request).map(drop),
            Signal::Logs => ExportLogsServiceRequest::decode(request).map(drop),
            Signal::Metrics => ExportMetricsServiceRequest::decode(request).map(drop),
        };
        // Prost follows values within values less far than the door does.
        let by_others =
            by_others.or_else(|error| if error.to_string().contains("recursion limit") { Ok(()) } else { Err(error) });
        assert_eq!(by_others, Ok(()), "{signal:?}");
        let by_door = match signal {
            Signal::Traces => check(request, ITEMS).map(drop),
            Signal::Logs => log_records(request, ITEMS).map(drop),
            Signal::Metrics => data_points(request, ITEMS).map(drop),
        };
        assert_eq!(by_door, Ok(()), "{signal:?}");
        protobuf(request);
    }
}
