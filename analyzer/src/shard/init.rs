//! Spans that tell of the start of an instance and of no run.
//!
//! The telemetry API receiver of the Lambda layer writes a span `init <function>` without parent, in a trace of its own
//! with a random id, when an instance starts. It is a fact about the function, and no invocation.

use std::sync::Arc;

use super::Shard;
use crate::{
    attribute::Attribute,
    identity::Function,
    span::{Span, SpanKind},
    window::millis,
};

/// Names of such spans begin with one of these.
const NAMES: [&str; 2] = ["init ", "platform.initRuntimeDone"];

/// Milliseconds that the instance took to start, if that is what the span tells.
pub(super) fn init_ms(span: &Span) -> Option<f64> {
    let is_inner = matches!(span.kind, SpanKind::Internal | SpanKind::Unspecified);
    let is_named = || NAMES.iter().any(|name| span.name.starts_with(name));
    let is_init = is_inner && is_named() && span.attributes.truth(Attribute::FaasColdstart) == Some(true);
    is_init.then(|| millis(span.duration_nanos()))
}

impl Shard {
    /// Counts the start of an instance; true when the span is nothing but that.
    pub(super) fn count_init(&mut self, function: &Arc<Function>, span: &Span) -> bool {
        let Some(init_ms) = init_ms(span) else { return false };
        if !function.is_app {
            self.delta.function(function).observed().start(init_ms);
        }
        span.parent_span_id.is_none()
    }
}
