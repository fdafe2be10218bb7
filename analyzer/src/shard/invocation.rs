//! Invocations that are still open: what they wait for, until their self time can be taken.
//!
//! The self time of an invocation is its duration without the time in which it waited for outbound spans. Children are
//! exported before their parents or soon after, so an invocation is settled a little after its entry span came; what
//! comes later still counts everywhere else.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use smallvec::SmallVec;

use super::{
    SpanRecord,
    clue::Clues,
    conduct::{Conduct, Lives},
    flow::Flow,
};
use crate::{
    config::Config,
    identity::Function,
    record::{Delta, Sent},
    records::Records,
    span::{ArrivalTime, EventTime},
    window::millis,
};

/// Outbound spans of one invocation whose times are kept apart; further ones extend the last.
const CHILDREN: usize = 256;

/// The open invocations of one shard.
pub(super) struct Invocations {
    open: Records<Open>,
    due: VecDeque<(ArrivalTime, u64)>,
    lives: Lives,
    settle: Duration,
    capacity: usize,
}

struct Open {
    function: Arc<Function>,
    start: EventTime,
    end: EventTime,
    /// Intervals in which it waited.
    children: SmallVec<[(u64, u64); 1]>,
    /// True when another invocation waits for this one.
    is_called: bool,
    /// True when it is not a part of another one, and its duration is counted.
    is_certain: bool,
    /// True when its entry span says how long it took.
    is_timed: bool,
    flow: Flow,
    conduct: Conduct,
}

impl Invocations {
    pub(super) fn new(config: &Config, capacity: usize) -> Self {
        let lives = Lives::new(config.lateness);
        Self { open: Records::default(), due: VecDeque::new(), lives, settle: config.settle, capacity }
    }

    pub(super) fn rotate(&mut self, now: ArrivalTime) {
        self.lives.rotate(now);
    }

    pub(super) fn open(&mut self, now: ArrivalTime, key: u64, entry: &SpanRecord, is_certain: bool, flow: Flow) {
        let mut open = Open {
            function: Arc::clone(&entry.function),
            start: entry.start,
            end: entry.end(),
            children: SmallVec::new(),
            is_called: false,
            is_certain,
            is_timed: is_certain || entry.kind.is_inbound(),
            flow,
            conduct: Conduct::of(entry),
        };
        if entry.kind.is_outbound() {
            open.children.push((entry.start.0, entry.end().0));
        }
        self.open.insert(key, open);
        self.due.push_back((now.after(self.settle), key));
    }

    /// The invocation waited from `start` to `end`.
    pub(super) fn add_child(&mut self, key: u64, start: EventTime, end: EventTime) {
        let Some(open) = self.open.get_mut(key) else { return };
        if open.children.len() < CHILDREN {
            open.children.push((start.0, end.0));
        } else if let Some(last) = open.children.last_mut() {
            *last = (last.0.min(start.0), last.1.max(end.0));
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

    /// A span of the invocation takes something in.
    pub(super) fn take_in(&mut self, key: u64, is_entry: bool, span: &SpanRecord, clues: Option<&Clues>) {
        if let Some(open) = self.open.get_mut(key) {
            open.conduct.take_in(is_entry, span, clues);
        }
    }

    /// The invocation sends to a place, or calls it.
    pub(super) fn send(&mut self, key: u64, sent: Sent) {
        if let Some(open) = self.open.get_mut(key) {
            open.conduct.send(sent);
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
        for (start, end) in open.children {
            self.add_child(whole, EventTime(start), EventTime(end));
        }
        if let Some(whole) = self.open.get_mut(whole) {
            whole.flow.absorb(open.flow);
            whole.conduct.absorb(open.conduct);
        }
    }

    /// Takes the self time of the invocations whose time is up.
    pub(super) fn settle(&mut self, now: ArrivalTime, delta: &mut Delta) {
        while self.due.front().is_some_and(|(due, _)| *due <= now) || self.due.len() > self.capacity {
            let Some((_, key)) = self.due.pop_front() else { break };
            let Some(mut open) = self.open.remove(key) else { continue };
            open.flow.settle(open.function.id, delta);
            let duration_ms = millis(open.end.0 - open.start.0);
            let self_nanos = open.self_nanos();
            let function = delta.function(&open.function);
            let dropped = open.conduct.settle(function, (open.start, open.end), &mut self.lives);
            if open.is_timed {
                function.self_time.add(millis(self_nanos));
            }
            if open.is_timed && !open.is_certain {
                function.duration.add(duration_ms);
            }
            if open.is_timed && !open.is_called {
                delta.root_ms += duration_ms;
            }
            delta.losses.edges_overflowed += dropped;
        }
    }
}

impl Open {
    fn self_nanos(&mut self) -> u64 {
        self.children.sort_unstable();
        let mut waited = 0;
        let mut covered = self.start.0;
        for (start, end) in &self.children {
            let (start, end) = ((*start).max(covered), (*end).min(self.end.0));
            if end > start {
                waited += end - start;
                covered = end;
            }
        }
        (self.end.0 - self.start.0).saturating_sub(waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(end: u64, children: &[(u64, u64)]) -> Open {
        let resource = crate::identity::Resource::new(crate::attribute::Attributes::default());
        Open {
            function: Arc::clone(resource.function()),
            start: EventTime(100),
            end: EventTime(end),
            children: children.iter().copied().collect(),
            is_called: false,
            is_certain: true,
            is_timed: true,
            flow: Flow::default(),
            conduct: Conduct::default(),
        }
    }

    #[test]
    fn overlapping_children_are_waited_for_once() {
        // 100       120    140   160   180       200
        //  |---------[======]-----|     |         |
        //  |---------|---[========]-----|         |
        assert_eq!(open(200, &[(120, 140), (130, 160)]).self_nanos(), 60);
        assert_eq!(open(200, &[(130, 160), (120, 140)]).self_nanos(), 60);
        assert_eq!(open(200, &[(0, 1_000)]).self_nanos(), 0);
        assert_eq!(open(200, &[(300, 400), (10, 20)]).self_nanos(), 100);
    }
}
