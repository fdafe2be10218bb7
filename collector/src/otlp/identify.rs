//! Says which function ran a fully decoded span, as the engine would.

use std::sync::Arc;

use loopscope_analyzer::{
    attribute::{Attributes, Value},
    identity::{self, Function},
};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value as Any},
    resource::v1::Resource,
    trace::v1::Span,
};

/// The function that ran the span.
pub fn function_of(resource: &Resource, span: &Span) -> Arc<Function> {
    let resource = identity::Resource::new(known(&resource.attributes));
    identity::function_named_by(&resource, &known(&span.attributes))
}

fn known(pairs: &[KeyValue]) -> Attributes {
    let mut attributes = Attributes::default();
    for pair in pairs {
        if let Some(value) = pair.value.as_ref().and_then(value) {
            attributes.insert(&pair.key, value);
        }
    }
    attributes
}

fn value(any: &AnyValue) -> Option<Value> {
    match any.value.as_ref()? {
        Any::StringValue(text) => Some(Value::Text(text.as_str().into())),
        Any::IntValue(number) => Some(Value::Int(*number)),
        Any::BoolValue(truth) => Some(Value::Bool(*truth)),
        Any::ArrayValue(list) => {
            let texts = list.values.iter().filter_map(|item| match item.value.as_ref()? {
                Any::StringValue(text) => Some(text.as_str()),
                _ => None,
            });
            Some(Value::Text(texts.collect::<Vec<_>>().join(",").into()))
        }
        _ => None,
    }
}
