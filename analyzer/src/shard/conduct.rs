//! What an open invocation does that patterns are made of: what started it, what it handles, where it sends.
//!
//! It is counted when the invocation is settled, so that each run is taken as a whole; what patterns that makes is for
//! `detect/pattern.rs`.

use std::time::Duration;

use smallvec::SmallVec;

use super::{SpanRecord, clue::Clues};
use crate::{
    generations::Generations,
    record::{FunctionDelta, Sent, Trigger},
    sampling::Sampling,
    snapshot::{EdgeKind, Losses, NodeId},
    span::{ArrivalTime, EventTime, SpanKind},
    window::millis,
};

/// Places that one invocation sends to that are told apart.
const PLACES: usize = 16;

/// Instances of which the last run is kept, to see whether the next begins before it is over.
const INSTANCES: usize = 16_384;

/// What an open invocation does.
#[derive(Default)]
pub(super) struct Conduct {
    trigger: Trigger,
    is_faas: bool,
    instance: u32,
    /// Messages that its entry span handles.
    own_messages: u32,
    /// Messages that its other spans handle, which may be the same.
    messages: u32,
    sent: SmallVec<[Sent; 2]>,
    /// Uses of further places.
    elsewhere: u64,
    sampling: Sampling,
}

impl Conduct {
    /// What the entry span of an invocation says.
    pub(super) fn of(entry: &SpanRecord) -> Self {
        Self {
            trigger: entry.trigger,
            is_faas: entry.is_faas,
            instance: entry.instance,
            sampling: entry.sampling,
            ..Self::default()
        }
    }

    /// One of its spans was found that takes something in; it may be the entry.
    pub(super) fn take_in(&mut self, is_entry: bool, span: &SpanRecord, clues: Option<&Clues>) {
        self.is_faas |= span.is_faas;
        if self.trigger == Trigger::Request {
            self.trigger = span.trigger;
        }
        let handles = span.kind == SpanKind::Consumer || span.delivered().is_some();
        let (is_linked, messages) = clues.map_or((false, 1), |clues| (!clues.links.is_empty(), clues.messages()));
        if handles || is_linked {
            let known = if is_entry { &mut self.own_messages } else { &mut self.messages };
            *known = known.saturating_add(messages);
        }
    }

    /// It sends to a place, or calls it.
    pub(super) fn send(&mut self, sent: Sent) {
        let is_same = |known: &&mut Sent| known.target == sent.target && known.kind == sent.kind;
        if let Some(known) = self.sent.iter_mut().find(is_same) {
            known.absorb(&sent);
        } else if self.sent.len() < PLACES {
            self.sent.push(sent);
        } else {
            self.elsewhere += 1;
        }
    }

    /// It takes in what was taken for another invocation.
    pub(super) fn absorb(&mut self, part: Self) {
        if self.trigger == Trigger::Request {
            self.trigger = part.trigger;
        }
        self.is_faas |= part.is_faas;
        self.messages = self.messages.saturating_add(part.messages.max(part.own_messages));
        part.sent.into_iter().for_each(|sent| self.send(sent));
        self.elsewhere += part.elsewhere;
    }

    /// Counts the invocation, which lasted from `start` to `end`.
    pub(super) fn settle(&self, counts: &mut FunctionDelta, (start, end): (EventTime, EventTime), lives: &mut Lives) {
        let weight = self.sampling.adjusted_count();
        let nature = &mut counts.nature;
        nature.begin(self.trigger, weight);
        let messages = self.messages.max(self.own_messages);
        if messages > 0 {
            nature.deliveries += weight;
            nature.messages += weight * f64::from(messages);
        }
        nature.faas += if self.is_faas { weight } else { 0.0 };
        if self.instance != 0 {
            let instance = counts.function.id.0 ^ u64::from(self.instance) << 32;
            nature.instances.add(u64::from(self.instance));
            if let Some(is_overlapping) = lives.run(instance, start, end) {
                nature.again += weight;
                nature.overlapping += if is_overlapping { weight } else { 0.0 };
            }
        }
        counts.outs.count(weight, &self.sent);
        counts.outs.dropped += self.elsewhere;
    }
}

/// A use of a place that one span shows; a span that failed shows an attempt.
pub(super) fn sent(target: NodeId, kind: EdgeKind, messages: u32, span: &SpanRecord) -> Sent {
    let ms = millis(span.duration_nanos) as f32;
    let count = if span.error { 0 } else { messages };
    Sent { target, kind, count, busy_ms: ms, longest_ms: ms, first: span.start.0, last: span.end().0 }
}

/// When instances ran last.
pub(super) struct Lives(Generations<(u64, u64)>);

impl Lives {
    pub(super) fn new(lateness: Duration) -> Self {
        Self(Generations::new(INSTANCES, lateness))
    }

    /// An instance that is let go is taken for a new one when it runs again, which says nothing of overlaps.
    pub(super) fn rotate(&mut self, now: ArrivalTime, losses: &mut Losses) {
        if let Some(dropped) = self.0.rotate(now) {
            losses.count_dropped(&dropped);
        }
    }

    /// Whether a run overlaps with the one of the same instance that ends last; `None` for the first run.
    fn run(&mut self, instance: u64, start: EventTime, end: EventTime) -> Option<bool> {
        if !self.0.refresh(instance) {
            self.0.insert(instance, (start.0, end.0));
            return None;
        }
        let known = self.0.get_mut(instance)?;
        let is_overlapping = start.0 < known.1 && known.0 < end.0;
        if end.0 > known.1 {
            *known = (start.0, end.0);
        }
        Some(is_overlapping)
    }
}
