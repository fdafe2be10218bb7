//! Invocations that are still open: what they wait for, until their self time can be taken.
//!
//! The self time of an invocation is its duration without the time in which it waited for outbound spans. Children are
//! exported before their parents or soon after, so an invocation is settled a little after its entry span came; what
//! comes later still counts everywhere else.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use smallvec::SmallVec;

use super::{SpanRecord, clue::Clues, flow::Flow};
use crate::{
    identity::Function,
    record::Delta,
    records::Records,
    sampling::Sampling,
    span::{ArrivalTime, EventTime},
    window::millis,
};

/// Outbound spans of one invocation whose times are kept apart; further ones extend the last.
const CHILDREN: usize = 256;

/// The open invocations of one shard.
pub(super) struct Invocations {
    open: Records<Open>,
    due: VecDeque<(ArrivalTime, u64)>,
    settle: Duration,
    capacity: usize,
}

struct Open {
    function: Arc<Function>,
    start: EventTime,
    end: EventTime,
    /// Intervals in which it waited.
    children: SmallVec<[(u64, u64); 1]>,
    /// Those of them in which it waited for another function.
    blocked: SmallVec<[(u64, u64); 1]>,
    sampling: Sampling,
    cold_start: bool,
    /// True when another invocation waits for this one.
    is_called: bool,
    /// True when it is not a part of another one, and its duration is counted.
    is_certain: bool,
    /// True when its entry span says how long it took.
    is_timed: bool,
    flow: Flow,
}

impl Invocations {
    pub(super) fn new(settle: Duration, capacity: usize) -> Self {
        Self { open: Records::default(), due: VecDeque::new(), settle, capacity }
    }

    pub(super) fn open(&mut self, now: ArrivalTime, key: u64, entry: &SpanRecord, is_certain: bool, flow: Flow) {
        let mut open = Open {
            function: Arc::clone(&entry.function),
            start: entry.start,
            end: entry.end(),
            children: SmallVec::new(),
            blocked: SmallVec::new(),
            sampling: entry.sampling,
            cold_start: entry.cold_start,
            is_called: false,
            is_certain,
            is_timed: is_certain || entry.kind.is_inbound(),
            flow,
        };
        if entry.kind.is_outbound() {
            open.children.push((entry.start.0, entry.end().0));
        }
        self.open.insert(key, open);
        self.due.push_back((now.after(self.settle), key));
    }

    /// The invocation waited from `start` to `end`.
    pub(super) fn add_child(&mut self, key: u64, start: EventTime, end: EventTime) {
        if let Some(open) = self.open.get_mut(key) {
            add_wait(&mut open.children, (start.0, end.0));
        }
    }

    /// The invocation of `parent` waited for the one that `child` is the entry of.
    pub(super) fn block(&mut self, child: &SpanRecord, parent: &SpanRecord) {
        let waits = if parent.kind.is_outbound() { parent } else { child };
        if let Some(open) = self.open.get_mut(parent.invocation) {
            add_wait(&mut open.blocked, (waits.start.0, waits.end().0));
        }
    }

    /// One of the spans of the invocation knows this of its cause, or of what it sends.
    pub(super) fn see(&mut self, key: u64, clues: &Clues, span: &SpanRecord) {
        // A send that failed is tried again. Who was called by name has run all the same.
        let is_sent = !span.error || span.invokes.get().is_some() || !span.kind.is_outbound();
        if let Some(open) = self.open.get_mut(key).filter(|_| is_sent) {
            open.flow.see(clues, span.kind.is_outbound(), span.delivered());
        }
    }

    /// The invocation is no part of another, which caused it; true when that was not known before, while it is open.
    pub(super) fn make_certain(&mut self, key: u64) -> bool {
        let Some(open) = self.open.get_mut(key) else { return false };
        open.flow.is_known = true;
        !std::mem::replace(&mut open.is_certain, true)
    }

    /// The invocation of `parent` called the one with the key `key` and the entry `child`.
    pub(super) fn called(&mut self, delta: &mut Delta, key: u64, child: &SpanRecord, parent: &SpanRecord) {
        match self.open.get_mut(key) {
            Some(open) => open.is_called = true,
            // Its time was taken for that of a root, because its caller is exported later than it was settled.
            None => delta.root_ms -= millis(child.duration_nanos),
        }
        if !parent.kind.is_outbound() {
            self.add_child(parent.invocation, child.start, child.end());
        }
    }

    /// What looked like an invocation is a part of another.
    pub(super) fn merge(&mut self, part: u64, whole: u64) {
        let Some(open) = self.open.remove(part) else { return };
        if let Some(whole) = self.open.get_mut(whole) {
            open.children.into_iter().for_each(|wait| add_wait(&mut whole.children, wait));
            open.blocked.into_iter().for_each(|wait| add_wait(&mut whole.blocked, wait));
            whole.flow.absorb(open.flow);
        }
    }

    /// Takes the self time of the invocations whose time is up.
    pub(super) fn settle(&mut self, now: ArrivalTime, delta: &mut Delta) {
        while self.due.front().is_some_and(|(due, _)| *due <= now) || self.due.len() > self.capacity {
            let Some((_, key)) = self.due.pop_front() else { break };
            let Some(mut open) = self.open.remove(key) else { continue };
            open.flow.settle(open.function.id, delta);
            if !open.is_timed {
                continue;
            }
            let nanos = open.end.0 - open.start.0;
            let own_nanos = nanos.saturating_sub(covered(&mut open.children, open.start.0, open.end.0));
            let blocked_nanos = covered(&mut open.blocked, open.start.0, open.end.0);
            let function = delta.function(&open.function);
            function.self_time.add(millis(own_nanos));
            function.billed.settle(nanos, own_nanos, blocked_nanos, open.sampling);
            if !open.is_certain {
                function.ran(nanos, open.sampling, open.cold_start);
            }
            if !open.is_called {
                delta.root_ms += millis(nanos);
            }
        }
    }
}

fn add_wait(waits: &mut SmallVec<[(u64, u64); 1]>, wait: (u64, u64)) {
    if waits.len() < CHILDREN {
        waits.push(wait);
    } else if let Some(last) = waits.last_mut() {
        *last = (last.0.min(wait.0), last.1.max(wait.1));
    }
}

/// How much of the time from `start` to `end` the intervals cover, nanoseconds; where several do, it counts once.
fn covered(intervals: &mut [(u64, u64)], start: u64, end: u64) -> u64 {
    intervals.sort_unstable();
    let mut sum = 0;
    let mut covered = start;
    for (from, to) in intervals {
        let (from, to) = ((*from).max(covered), (*to).min(end));
        if to > from {
            sum += to - from;
            covered = to;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_children_are_waited_for_once() {
        // 100       120    140   160   180       200
        //  |---------[======]-----|     |         |
        //  |---------|---[========]-----|         |
        assert_eq!(covered(&mut [(120, 140), (130, 160)], 100, 200), 40);
        assert_eq!(covered(&mut [(130, 160), (120, 140)], 100, 200), 40);
        assert_eq!(covered(&mut [(0, 1_000)], 100, 200), 100);
        assert_eq!(covered(&mut [(300, 400), (10, 20)], 100, 200), 0);
    }
}
