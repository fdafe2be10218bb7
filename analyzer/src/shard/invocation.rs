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
    record::{CHATTY, Delta, Ended, Sent, StateUse},
    records::Records,
    sampling::Sampling,
    snapshot::Losses,
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
    children: SmallVec<[Wait; 1]>,
    /// Those of them in which it waited for another function.
    blocked: SmallVec<[(u64, u64); 1]>,
    /// Uses of databases and stores.
    state_calls: u32,
    sampling: Sampling,
    ended: Ended,
    /// True when another invocation waits for this one.
    is_called: bool,
    /// True when it is not a part of another one, and its duration is counted.
    is_certain: bool,
    /// True when its entry span says how long it took.
    is_timed: bool,
    flow: Flow,
    conduct: Conduct,
}

/// A time in which an invocation waited. The highest bit of its end, which no time reaches before the year 2262, says
/// whether it was for a database or another store: there is one for each outbound span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wait {
    start: u64,
    end: u64,
}

impl Wait {
    const STATE: u64 = 1 << 63;

    pub(super) fn of(span: &SpanRecord) -> Self {
        let state = if span.uses_state() { Self::STATE } else { 0 };
        Self { start: span.start.0, end: span.end().0 & !Self::STATE | state }
    }

    fn end(self) -> u64 {
        self.end & !Self::STATE
    }

    fn is_for_state(self) -> bool {
        self.end & Self::STATE != 0
    }
}

impl Invocations {
    pub(super) fn new(config: &Config, capacity: usize) -> Self {
        let lives = Lives::new(config.lateness);
        Self { open: Records::default(), due: VecDeque::new(), lives, settle: config.settle, capacity }
    }

    pub(super) fn rotate(&mut self, now: ArrivalTime, losses: &mut Losses) {
        self.lives.rotate(now, losses);
    }

    pub(super) fn open(&mut self, now: ArrivalTime, key: u64, entry: &SpanRecord, is_certain: bool, flow: Flow) {
        let mut open = Open {
            function: Arc::clone(&entry.function),
            start: entry.start,
            end: entry.end(),
            children: SmallVec::new(),
            blocked: SmallVec::new(),
            state_calls: 0,
            sampling: entry.sampling,
            ended: entry.ended(),
            is_called: false,
            is_certain,
            is_timed: is_certain || entry.kind.is_inbound(),
            flow,
            conduct: Conduct::of(entry),
        };
        if entry.kind.is_outbound() {
            open.wait(Wait::of(entry));
        }
        self.open.insert(key, open);
        self.due.push_back((now.after(self.settle), key));
    }

    /// The invocation waited.
    pub(super) fn add_wait(&mut self, key: u64, wait: Wait) {
        if let Some(open) = self.open.get_mut(key) {
            open.wait(wait);
        }
    }

    /// The invocation of `parent` waited for the one that `child` is the entry of.
    pub(super) fn block(&mut self, child: &SpanRecord, parent: &SpanRecord) {
        let waits = if parent.kind.is_outbound() { parent } else { child };
        if let Some(open) = self.open.get_mut(parent.invocation) {
            open.block((waits.start.0, waits.end().0));
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
            self.add_wait(parent.invocation, Wait { start: child.start.0, end: child.end().0 });
        }
    }

    /// What looked like an invocation is a part of another.
    pub(super) fn merge(&mut self, part: u64, whole: u64) {
        let Some(open) = self.open.remove(part) else { return };
        if let Some(whole) = self.open.get_mut(whole) {
            open.children.into_iter().for_each(|wait| whole.wait(wait));
            open.blocked.into_iter().for_each(|wait| whole.block(wait));
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
            let nanos = open.end.0 - open.start.0;
            let own_nanos = open.self_nanos();
            let function = delta.function(&open.function);
            open.conduct.settle(function, (open.start, open.end), &mut self.lives);
            if open.is_timed {
                function.self_time.add(millis(own_nanos));
                function.billed.settle(nanos, own_nanos, open.blocked_nanos(), open.sampling);
                function.state_use.merge(&open.state_use());
                if !open.is_certain {
                    function.ran(nanos, open.sampling, open.ended);
                }
                if !open.is_called {
                    delta.root_ms += millis(nanos);
                }
            }
        }
    }
}

impl Open {
    fn wait(&mut self, wait: Wait) {
        self.state_calls = self.state_calls.saturating_add(u32::from(wait.is_for_state()));
        if self.children.len() < CHILDREN {
            self.children.push(wait);
        } else if let Some(last) = self.children.last_mut() {
            let state = last.end & Wait::STATE;
            *last = Wait { start: last.start.min(wait.start), end: last.end().max(wait.end()) | state };
        }
    }

    fn block(&mut self, wait: (u64, u64)) {
        if self.blocked.len() < CHILDREN {
            self.blocked.push(wait);
        } else if let Some(last) = self.blocked.last_mut() {
            *last = (last.0.min(wait.0), last.1.max(wait.1));
        }
    }

    /// Nanoseconds in which it waited for other functions; for several at the same time they count once.
    fn blocked_nanos(&mut self) -> u64 {
        self.blocked.sort_unstable();
        let (mut blocked, mut covered) = (0, self.start.0);
        for (start, end) in &self.blocked {
            let (start, end) = ((*start).max(covered), (*end).min(self.end.0));
            if end > start {
                blocked += end - start;
                covered = end;
            }
        }
        blocked
    }

    fn self_nanos(&mut self) -> u64 {
        self.children.sort_unstable();
        let (waited, _) = self.waited(|_| true);
        (self.end.0 - self.start.0).saturating_sub(waited)
    }

    /// What it did with databases and stores, once its waits are sorted.
    fn state_use(&self) -> StateUse {
        let run = StateUse { runs: 1, run_ms: millis(self.end.0 - self.start.0), ..StateUse::default() };
        if self.state_calls == 0 {
            return run;
        }
        let (waited, in_a_row) = self.waited(Wait::is_for_state);
        StateUse {
            using_runs: 1,
            calls: u64::from(self.state_calls),
            waited_ms: millis(waited),
            chatty_runs: u64::from(in_a_row >= CHATTY),
            ..run
        }
    }

    /// Nanoseconds in which it waited for any of these, and how many of them did not overlap with one before.
    fn waited(&self, counts: impl Fn(Wait) -> bool) -> (u64, u32) {
        let (mut waited, mut in_a_row) = (0, 0);
        let (mut covered, mut last_end) = (self.start.0, 0);
        for wait in self.children.iter().filter(|wait| counts(**wait)) {
            in_a_row += u32::from(wait.start >= last_end);
            last_end = last_end.max(wait.end());
            let (start, end) = (wait.start.max(covered), wait.end().min(self.end.0));
            if end > start {
                waited += end - start;
                covered = end;
            }
        }
        (waited, in_a_row)
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
            children: children.iter().map(|(start, end)| Wait { start: *start, end: *end }).collect(),
            blocked: SmallVec::new(),
            state_calls: 0,
            sampling: Sampling::ALWAYS,
            ended: Ended::default(),
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
        let mut open = open(200, &[]);
        [(130, 160), (120, 140), (190, 900)].into_iter().for_each(|wait| open.block(wait));
        assert_eq!(open.blocked_nanos(), 50);
    }

    #[test]
    fn uses_of_stores_are_counted_by_run_and_chatty_when_one_follows_the_other() {
        let used = |uses: &[(u64, u64)]| {
            let mut open = open(2_000, &[(150, 900)]);
            uses.iter().for_each(|(start, end)| open.wait(Wait { start: *start, end: end | Wait::STATE }));
            open.self_nanos();
            open.state_use()
        };
        let in_a_row: Vec<(u64, u64)> = (0..10).map(|at| (1_000 + at * 20, 1_010 + at * 20)).collect();
        let found = used(&in_a_row);
        assert_eq!((found.runs, found.using_runs, found.calls, found.chatty_runs), (1, 1, 10, 1));
        assert!((found.waited_ms - millis(100)).abs() < 1e-12, "{found:?}");
        let at_once: Vec<(u64, u64)> = (0..10).map(|at| (1_000 + at, 1_100)).collect();
        let found = used(&at_once);
        assert_eq!((found.calls, found.chatty_runs), (10, 0));
        assert!((found.waited_ms - millis(100)).abs() < 1e-12, "{found:?}");
        assert_eq!(used(&in_a_row[1..]).chatty_runs, 0);
        assert_eq!((used(&[]).runs, used(&[]).using_runs), (1, 0));
    }
}
