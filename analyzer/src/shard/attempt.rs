//! Attempts: outbound spans of one invocation that ask for the same again, because it failed before.
//!
//! An attempt is another when the one before has failed and ended, and function, operation and resource are the same.
//! Only what has failed at least once is counted, so that what works costs one look into a small index. Attempts are
//! told apart in the order of their ends, in which exporters send them.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Shard, SpanRecord};
use crate::{
    config::Config,
    generations::Generations,
    record::{AttemptDelta, AttemptKey},
    snapshot::NodeId,
    span::{ArrivalTime, EventTime},
};

/// What is asked for and has failed, in one shard.
const WATCHED: usize = 4_096;

/// Requests of one shard that have failed and may be tried again.
const OPEN: usize = 65_536;

/// What one shard knows of attempts.
pub(super) struct Attempting {
    /// What has failed before.
    watched: Generations<()>,
    /// Requests whose last attempt has failed.
    open: Generations<Failed>,
}

/// The last attempt at a request.
#[derive(Clone, Copy)]
struct Failed {
    end: EventTime,
    number: u32,
}

impl Attempting {
    pub(super) fn new(config: &Config) -> Self {
        Self { watched: Generations::new(WATCHED, config.lateness), open: Generations::new(OPEN, config.lateness) }
    }

    pub(super) fn rotate(&mut self, now: ArrivalTime) {
        self.watched.rotate(now);
        self.open.rotate(now);
    }
}

impl SpanRecord {
    fn asks(&self) -> AttemptKey {
        AttemptKey { function: self.function.id, operation: self.occurrence.operation(), over: self.touches.get() }
    }
}

impl AttemptKey {
    /// What is asked for, as a hash; the operation says the function too.
    fn place(self) -> u64 {
        self.operation ^ self.over.map_or(0, |NodeId(node)| node.rotate_left(32))
    }
}

impl Shard {
    /// An outbound span belongs to an invocation: it asks for something, perhaps again.
    pub(super) fn count_attempt(&mut self, span: &SpanRecord, invocation: u64) {
        let key = span.asks();
        let place = key.place();
        let is_watched = if span.error { self.attempting.watched.refresh(place) } else { self.is_watched(place) };
        if !is_watched {
            if !span.error {
                return;
            }
            self.attempting.watched.insert(place, ());
        }
        let request = xxh3_64_with_seed(&place.to_le_bytes(), invocation);
        let before = self.attempting.open.remove(request).filter(|before| before.end <= span.start);
        let number = before.map_or(1, |before| before.number.saturating_add(1));
        if span.error {
            self.attempting.open.insert(request, Failed { end: span.end(), number });
        }
        let counts = self.attempts_at(key, span);
        counts.counts.count(number);
        counts.last_seen = counts.last_seen.max(span.start);
        counts.callee = span.invokes.get().or(counts.callee);
        if number > 1 {
            counts.exemplars.add(span.trace_id);
        }
    }

    /// An outbound span that asks was answered by a function.
    pub(super) fn attempt_reached(&mut self, parent: &SpanRecord, callee: NodeId) {
        let key = parent.asks();
        if parent.kind.is_outbound() && self.is_watched(key.place()) {
            self.attempts_at(key, parent).callee = Some(callee);
        }
    }

    fn is_watched(&self, place: u64) -> bool {
        self.attempting.watched.contains(place)
    }

    fn attempts_at(&mut self, key: AttemptKey, span: &SpanRecord) -> &mut AttemptDelta {
        let operations = &self.operations;
        self.delta.attempts.entry(key).or_insert_with(|| {
            let name = operations.name(key.operation).unwrap_or_else(|| Arc::from(""));
            AttemptDelta::new(name, span.start)
        })
    }
}
