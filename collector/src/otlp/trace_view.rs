//! Decodes the spans of one trace, and log records, in full, with everything that people want to see.
//!
//! This is the slow way, for one trace at a time; the engine reads spans in `traces.rs`.

use loopscope_analyzer::span::TraceId;
use opentelemetry_proto::tonic::{logs::v1::LogRecord, resource::v1::Resource, trace::v1::Span};
use prost::Message;

use super::{
    limits::ItemLimits,
    subject::{Subject, each_subject},
    traces::{ids, resources_in, walk},
    wire::Fields,
};

/// The spans of one trace among those that were accepted of an `ExportTraceServiceRequest`, each with the resource that ran
/// it.
///
/// Fields that protobuf cannot decode, such as values nested beyond its limit or text that is not UTF-8, are left
/// out; their span stays. A request that cannot be read gives the spans before the broken place.
pub fn spans_of_trace(batch: &[u8], accepted: u64, trace: TraceId) -> Vec<(Resource, Span)> {
    let mut found = Vec::new();
    let mut left = accepted;
    // The error says only that there is nothing more to find; the door has refused such requests already.
    let _ = walk(batch, |group, bytes| {
        let Some((of, _)) = ids(bytes).filter(|_| left > 0) else { return };
        left -= 1;
        if of == trace {
            let mut resource = Resource::default();
            for part in resources_in(group) {
                merge_what_decodes(&mut resource, part);
            }
            let mut span = Span::default();
            merge_what_decodes(&mut span, bytes);
            found.push((resource, span));
        }
    });
    found
}

/// The accepted log records of an `ExportLogsServiceRequest` that are wanted, with whom they are about, with the same
/// care for what cannot be read.
pub fn logs_of(batch: &[u8], limits: &ItemLimits, is_wanted: &dyn Fn(&Subject) -> bool) -> Vec<(Subject, LogRecord)> {
    let mut found = Vec::new();
    let _ = each_subject(batch, limits, &mut |subject, bytes| {
        if is_wanted(&subject) {
            let mut record = LogRecord::default();
            merge_what_decodes(&mut record, bytes);
            found.push((subject, record));
        }
    });
    found
}

/// Decodes on the side first, because a failed merge leaves half of its fields behind.
fn merge_what_decodes<M: Message + Default>(message: &mut M, bytes: &[u8]) {
    if M::decode(bytes).is_ok_and(|_| message.merge(bytes).is_ok()) {
        return;
    }
    let mut fields = Fields::new(bytes);
    let mut rest = bytes;
    while let Ok(Some(_)) = fields.next() {
        let field = &rest[..rest.len() - fields.rest().len()];
        if M::decode(field).is_ok() {
            // What has just been decoded can be merged.
            let _ = message.merge(field);
        }
        rest = fields.rest();
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        collector::trace::v1::ExportTraceServiceRequest,
        common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value},
        trace::v1::{ResourceSpans, ScopeSpans},
    };

    use super::*;

    const TRACE: TraceId = TraceId([7; 16]);

    fn request(spans: Vec<Span>) -> Vec<u8> {
        let attributes = vec![attribute("service.name", Value::StringValue("checkout".into()))];
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource { attributes, ..Default::default() }),
                scope_spans: vec![ScopeSpans { spans, ..Default::default() }],
                ..Default::default()
            }],
        }
        .encode_to_vec()
    }

    fn attribute(key: &str, value: Value) -> KeyValue {
        KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
    }

    fn span(id: u8) -> Span {
        Span { trace_id: TRACE.0.to_vec(), span_id: vec![id; 8], name: "op".into(), ..Default::default() }
    }

    #[test]
    fn only_accepted_spans_of_the_trace_are_given() {
        let other = Span { trace_id: vec![8; 16], ..span(2) };
        let batch = request(vec![span(1), other, span(0), span(3)]);
        let found = spans_of_trace(&batch, 3, TRACE);
        assert_eq!(found.iter().map(|(_, span)| span.span_id[0]).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(spans_of_trace(&batch, 2, TRACE).len(), 1, "the last was not accepted");
        assert!(found.iter().all(|(resource, _)| resource.attributes[0].key == "service.name"));
    }

    #[test]
    fn a_value_that_is_too_deep_costs_itself() {
        let mut deep = Value::BoolValue(true);
        for _ in 0..70 {
            deep = Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(deep) }] });
        }
        let attributes = vec![
            attribute("before", Value::IntValue(1)),
            attribute("deep", deep),
            attribute("after", Value::IntValue(2)),
        ];
        let found = spans_of_trace(&request(vec![Span { attributes, ..span(1) }]), 1, TRACE);
        let keys: Vec<_> = found[0].1.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        assert_eq!(keys, ["before", "after"]);
        assert_eq!(found[0].1.name, "op");
    }
}
