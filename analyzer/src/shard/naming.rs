//! Names what a span does not name itself: its function, and which of two spans with one id is its parent.
//!
//! The host of an app does not say which of the app's functions it runs, and inner spans of a process seldom do; the
//! spans above and below them do. Zipkin gives a caller and its callee one id, which their children name as well.

use std::sync::Arc;

use super::{Shard, SpanRecord};
use crate::{
    identity::Function,
    record::{Record, SpanKey},
    span::Span,
};

impl Shard {
    /// The parent of a span, where a caller and its callee share one id: the callee stands below the caller.
    pub(super) fn pair(&mut self, key: u64, span: &Span, parent: u64) -> u64 {
        let shared = SpanKey::new(span.trace_id, span.span_id).0;
        if key == shared {
            return parent;
        }
        let Some(other) = self.spans.get_mut(shared) else { return parent };
        if span.kind.is_inbound() {
            other.has_pair = true;
            return shared;
        }
        if other.invocation == 0 {
            other.parent = key;
        }
        parent
    }

    /// What names a shared id as its parent is below the callee, if it runs in its function.
    pub(super) fn find_pair(&mut self, key: u64, span: &mut SpanRecord) {
        let callee = SpanKey(span.parent).pair().0;
        if self.spans.get(span.parent).is_none_or(|parent| !parent.has_pair)
            || callee == key
            || self.spans.get(callee).is_none_or(|callee| !span.runs_in(callee))
        {
            return;
        }
        span.parent = callee;
        if let Some(record) = self.spans.get_mut(key) {
            record.parent = callee;
        }
    }

    /// Names the function of a span that does not itself, by what stands above and below it; false when neither does.
    pub(super) fn learn_name(&mut self, key: u64, span: &mut SpanRecord) -> bool {
        let below = self.waiting.get(key).into_iter().flatten().filter_map(|child| self.spans.get(*child));
        let mut near = self.spans.get(span.parent).into_iter().chain(below);
        let Some(function) = near.find_map(|other| span.named_by(other)) else { return false };
        span.function = Arc::clone(&function);
        self.name(key, function);
        true
    }

    pub(super) fn name(&mut self, key: u64, function: Arc<Function>) {
        if let Some(span) = self.spans.get_mut(key) {
            span.function = function;
        }
    }

    /// Tells under which other names a function may be known, before it is spoken of first.
    pub(super) fn introduce(&mut self, function: &Function) {
        if function.also.is_empty() || self.introduced.contains(&function.id) {
            return;
        }
        if self.introduced.len() >= self.config.function_capacity {
            self.introduced.clear();
        }
        self.introduced.insert(function.id);
        self.records.push(Record::Names { function: function.id, also: function.also.clone() });
    }
}
