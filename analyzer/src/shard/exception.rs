//! Exceptions that log records tell of: the invocation whose span wrote the record has failed.
//!
//! Record and span come in any order and any number of times; an invocation fails once. Where the span is not here yet,
//! or its place is not known, the exception waits for it.

use super::{Shard, touch};
use crate::{facts::ExceptionRecord, record::SpanKey, span::ArrivalTime};

/// Bound on the exceptions of one shard that wait for their spans.
pub(super) const EXCEPTIONS_WAITING: usize = 16_384;

impl Shard {
    /// Takes in exceptions that log records tell of, of traces of this shard.
    pub fn fail(&mut self, now: ArrivalTime, exceptions: impl IntoIterator<Item = ExceptionRecord>) {
        for exception in exceptions {
            self.rotate_exceptions(now);
            let key = SpanKey::new(exception.trace_id, exception.span_id).0;
            match self.spans.get(key).map(|span| span.invocation).filter(|invocation| *invocation != 0) {
                Some(invocation) => self.failed.push(invocation),
                None => self.exceptions.insert(key, ()),
            }
        }
        self.count_failed();
    }

    pub(super) fn rotate_exceptions(&mut self, now: ArrivalTime) {
        if let Some(dropped) = self.exceptions.rotate(now) {
            self.delta.losses.exceptions_unmatched += dropped.records.len() as u64;
        }
    }

    /// Counts the invocations of which an exception was told as failed, each once; after their calls are counted.
    pub(super) fn count_failed(&mut self) {
        while let Some(key) = self.failed.pop() {
            let Some(entry) = self.spans.get_mut(key).filter(|entry| !entry.is_failed) else { continue };
            entry.is_failed = true;
            if std::mem::replace(&mut entry.error, true) {
                continue;
            }
            let entry = entry.clone();
            self.delta.function(&entry.function).errors += entry.sampling.adjusted_count();
            let parent = if entry.is_call_counted { self.spans.get(entry.parent) } else { None };
            touch::fail_call(&mut self.delta, &entry, parent);
        }
    }
}
