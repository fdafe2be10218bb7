//! Says which function ran a fully decoded span, as the engine would.
//!
//! What becomes of a value is decided in `otlp/traces/attributes.rs` alone, which reads wire bytes; so attributes go
//! through their bytes once more. People wait for that, exporters do not.

use std::sync::Arc;

use loopscope_analyzer::{
    attribute::Attributes,
    identity::{self, Function},
    span::SpanKind,
};
use opentelemetry_proto::tonic::{common::v1::KeyValue, resource::v1::Resource, trace::v1::Span};
use prost::Message as _;

use super::{
    limits::ItemLimits,
    subject,
    traces::attributes::{self, Gathered},
};

/// Who ran a span.
#[derive(Clone, Debug)]
pub struct Runner {
    /// The function.
    pub function: Arc<Function>,
    /// Id of the run, if the span names it.
    pub run: Option<Box<str>>,
    /// The instance, if the span or its resource names it.
    pub instance: Option<Box<str>>,
}

/// Who ran the span, within the limits that the engine has.
pub fn runner_of(resource: &Resource, span: &Span, limits: &ItemLimits) -> Runner {
    let resource = identity::Resource::new(known(&resource.attributes, limits));
    let own = known(&span.attributes, limits);
    let kind = SpanKind::from_wire(span.kind.into());
    Runner {
        function: identity::function_named_by(&resource, kind, &span.name, &own),
        run: subject::run_of(&own).map(Into::into),
        instance: [&own, &resource.attributes].into_iter().find_map(subject::instance_of).map(Into::into),
    }
}

/// Attributes as the engine would keep them.
pub(super) fn known(pairs: &[KeyValue], limits: &ItemLimits) -> Attributes {
    let mut known = Gathered::default();
    for pair in pairs {
        // What has just been encoded can be read.
        if let Ok(attribute) = attributes::read(&pair.encode_to_vec()) {
            known.take(&attribute, limits);
        }
    }
    known.known
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        collector::trace::v1::ExportTraceServiceRequest,
        common::v1::{AnyValue, ArrayValue, any_value::Value},
        trace::v1::{ResourceSpans, ScopeSpans},
    };

    use super::*;
    use crate::otlp::traces;

    fn text(text: &str) -> Value {
        Value::StringValue(text.into())
    }

    fn any(value: Value) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    fn pair(key: &str, value: Value) -> KeyValue {
        KeyValue { key: key.into(), value: Some(any(value)), ..Default::default() }
    }

    #[track_caller]
    fn check(value: Value, expected: &str) {
        let resource = Resource { attributes: vec![pair("service.name", value)], ..Default::default() };
        let span = Span { trace_id: vec![1; 16], span_id: vec![1; 8], kind: 2, ..Default::default() };
        let scope_spans = vec![ScopeSpans { spans: vec![span.clone()], ..Default::default() }];
        let group = ResourceSpans { resource: Some(resource.clone()), scope_spans, ..Default::default() };
        let body = ExportTraceServiceRequest { resource_spans: vec![group] }.encode_to_vec();
        let decoded = traces::spans(&body, &ItemLimits::default()).unwrap().spans.remove(0);
        let by_engine = identity::function_of(&decoded);
        let found = runner_of(&resource, &span, &ItemLimits::default()).function;
        assert_eq!((found.id, &*found.name), (by_engine.id, &*by_engine.name));
        assert_eq!(&*found.name, expected);
    }

    #[test]
    fn every_kind_of_value_names_the_same_function_as_in_the_engine() {
        check(text("f"), "f");
        check(Value::IntValue(7), "unknown_service");
        check(Value::BoolValue(true), "unknown_service");
        check(Value::DoubleValue(1.5), "1.5");
        let mixed = [text("a"), Value::IntValue(2), Value::DoubleValue(0.5), Value::ArrayValue(ArrayValue::default())];
        check(Value::ArrayValue(ArrayValue { values: mixed.map(any).into() }), "a,2,0.5");
        let long = "x".repeat(ItemLimits::default().text_bytes);
        check(text(&format!("{long}cut")), &long);
    }
}
