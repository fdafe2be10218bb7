//! The linker: joins the invocations of all shards into causal chains and finds the laps on them.
//!
//! One linker sees every invocation once, as a compact record, in any order. It keeps the causal forest as fragments
//! (`linker/fragment.rs`), so that the depth of a chain is exact whichever span came first and whichever shard or
//! trace it came from; of several causes the deepest known counts. A lap is found at every invocation that has an
//! earlier one of the same function on its path; which loop it belongs to is read from the path between the two. What
//! loops look like to the outside is `linker/loops.rs`.

mod chains;
mod fragment;
mod functions;
mod loops;
mod path;
mod renewal;

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::{
    config::Config,
    generations::Generations,
    record::{Delta, EdgeKey, Record, SpanKey},
    snapshot::{EdgeKind, LoopId, NodeId},
    span::{ArrivalTime, EventTime, TraceId},
    window::millis,
};
use fragment::{DeepestLap, FirstOccurrence, FragmentId, Fragments};
use functions::Functions;
pub use loops::LoopReport;
use loops::{Lap, Loops};
use path::PathTable;

/// Invocations that are looked back over to find the earlier one of a lap: four times the functions of a path table.
const LOOK_BACK: usize = 4 * path::SLOTS;

/// Links that wait for one span; further ones are let go.
const WAITING: usize = 4_096;

/// The linker of the engine.
pub struct Linker {
    config: Config,
    invocations: FxHashMap<u64, Invocation>,
    /// Keys in order of arrival; the oldest goes first.
    arrivals: VecDeque<(ArrivalTime, u64)>,
    /// Spans that are not entries, with their invocations; links may name them.
    spans: Generations<Belonging>,
    /// Links whose cause is not here yet.
    waiting: Generations<SmallVec<[PendingLink; 1]>>,
    fragments: Fragments,
    functions: Functions,
    loops: Loops,
    delta: Delta,
}

/// What the linker has to say since it was asked last.
pub struct LinkerOutput {
    /// For the aggregate: edges between functions of different traces.
    pub delta: Delta,
    /// The loops that changed.
    pub loops: Vec<LoopReport>,
    /// Loops that were let go because there were too many.
    pub removed: Vec<LoopId>,
}

struct Entry {
    function: NodeId,
    trace_id: TraceId,
    start: EventTime,
    parent: Option<u64>,
}

struct Invocation {
    fragment: FragmentId,
    /// Path from the root of `fragment` to this invocation.
    path: PathTable,
    function: u32,
    /// Key of the invocation that caused it; 0 while that is not known.
    parent: u64,
    /// True when this is a part of `parent` rather than caused by it.
    is_part: bool,
    start: EventTime,
    trace_id: TraceId,
}

#[derive(Clone, Copy)]
struct Belonging {
    invocation: u64,
    publishes: Option<NodeId>,
    end: EventTime,
}

#[derive(Clone, Copy)]
struct PendingLink {
    child: u64,
    delivered_by: Option<NodeId>,
}

impl Linker {
    /// Builds the linker.
    pub fn new(config: &Config) -> Self {
        Self {
            invocations: FxHashMap::default(),
            arrivals: VecDeque::new(),
            spans: Generations::new(config.span_capacity, config.lateness),
            waiting: Generations::new(config.span_capacity, config.lateness),
            fragments: Fragments::default(),
            functions: Functions::default(),
            loops: Loops::new(config),
            delta: Delta::default(),
            config: config.clone(),
        }
    }

    /// Takes in the records of one shard, in the order in which the shard gave them.
    pub fn ingest(&mut self, now: ArrivalTime, records: impl IntoIterator<Item = Record>) {
        self.rotate(now);
        for record in records {
            match record {
                Record::Entry { key, function, trace_id, start, parent } => {
                    let parent = parent.map(|parent| parent.0);
                    self.enter(now, key.0, &Entry { function, trace_id, start, parent });
                    self.follow_waiting(now, key.0, Belonging { invocation: key.0, publishes: None, end: start });
                }
                Record::Cause { child, parent } => self.cause(now, child.0, parent.0),
                Record::Same { part, whole } => self.same(now, part.0, whole.0),
                Record::Belongs { span, invocation, publishes, end } => {
                    let belonging = Belonging { invocation: invocation.0, publishes, end };
                    self.spans.insert(span.0, belonging);
                    self.follow_waiting(now, span.0, belonging);
                }
                Record::Link { child, cause, delivered_by } => self.link(now, child.0, cause, delivered_by),
            }
        }
    }

    /// Does what is due at `now`: lets old invocations go, and closes loops that are over.
    pub fn tick(&mut self, now: ArrivalTime) {
        self.rotate(now);
        self.loops.tick(now);
    }

    /// Hands over what has changed since the last call.
    pub fn drain(&mut self, now: ArrivalTime) -> LinkerOutput {
        let removed = self.loops.take_removed();
        self.delta.losses.loops_overflowed += removed.len() as u64;
        LinkerOutput { delta: self.delta.take(), loops: self.loops.drain(now), removed }
    }

    /// The invocation that caused the one with this entry span, while both are kept; for tools that compare chains
    /// with what they know to be true.
    pub fn cause_of(&self, entry: SpanKey) -> Option<SpanKey> {
        let cause = self.invocations.get(&self.whole(entry.0))?.parent;
        (cause != 0).then(|| SpanKey(self.whole(cause)))
    }

    fn rotate(&mut self, now: ArrivalTime) {
        if let Some(dropped) = self.spans.rotate(now) {
            self.delta.losses.count_dropped(&dropped);
        }
        if let Some(dropped) = self.waiting.rotate(now) {
            self.delta.losses.count_dropped(&dropped);
        }
        while let Some((arrived, key)) = self.arrivals.front().copied() {
            let age = now.since(arrived);
            let is_full = self.invocations.len() > self.config.invocation_capacity;
            if age < self.config.lateness && !is_full {
                break;
            }
            if is_full && age < self.config.lateness {
                self.delta.losses.count_evicted(1, age);
            }
            self.arrivals.pop_front();
            if let Some(invocation) = self.invocations.remove(&key) {
                self.fragments.release(invocation.fragment);
            }
        }
    }

    fn enter(&mut self, now: ArrivalTime, key: u64, entry: &Entry) {
        let (function, evicted) = self.functions.index(now, entry.function, self.config.function_capacity);
        self.delta.losses.functions_overflowed += evicted;
        let above = entry.parent.and_then(|parent| self.invocations.get(&parent));
        let (top, above) = match above.map(|above| (above.fragment, above.path.clone())) {
            None => (self.fragments.add(), PathTable::default()),
            Some((fragment, path)) => {
                let (top, offset) = self.fragments.find(fragment);
                self.fragments.refer(top);
                (top, offset.then(&path))
            }
        };
        self.keep(now, key, entry, top, above.then(&PathTable::of(function)), function);
        self.occur(now, top, &above, FirstOccurrence { function, route: 0, invocation: key, times: 1 });
    }

    fn keep(
        &mut self,
        now: ArrivalTime,
        key: u64,
        entry: &Entry,
        fragment: FragmentId,
        path: PathTable,
        function: u32,
    ) {
        let Entry { parent, start, trace_id, .. } = *entry;
        let parent = parent.filter(|parent| self.invocations.contains_key(parent)).unwrap_or(0);
        let invocation = Invocation { fragment, path, function, parent, is_part: false, start, trace_id };
        if let Some(before) = self.invocations.insert(key, invocation) {
            self.fragments.release(before.fragment);
        }
        self.arrivals.push_back((now, key));
    }

    /// An invocation stands below `path`: it is the first of its function there, or it ends a lap.
    fn occur(&mut self, now: ArrivalTime, top: FragmentId, path: &PathTable, occurrence: FirstOccurrence) {
        let Some(parent) = self.invocations.get(&occurrence.invocation).map(|invocation| invocation.parent) else {
            return;
        };
        match path.count(occurrence.function) {
            0 => {
                let (upwards, _) = self.look_back(parent, None);
                let route = upwards
                    .iter()
                    .fold(0, |hash, function| xxhash_rust::xxh3::xxh3_64_with_seed(&function.to_le_bytes(), hash));
                self.fragments.remember_open(top, FirstOccurrence { route, ..occurrence });
            }
            count => self.lap(now, top, &occurrence, parent, count + 1),
        }
    }

    /// The invocation that a part belongs to; the invocation itself when it is whole.
    fn whole(&self, mut key: u64) -> u64 {
        for _ in 0..LOOK_BACK {
            match self.invocations.get(&key) {
                Some(invocation) if invocation.is_part => key = invocation.parent,
                _ => break,
            }
        }
        key
    }

    /// Path from the root of the topmost fragment to an invocation, with that fragment.
    fn path_to(&mut self, key: u64) -> Option<(FragmentId, PathTable)> {
        let invocation = self.invocations.get(&key)?;
        let (fragment, path) = (invocation.fragment, invocation.path.clone());
        let (top, offset) = self.fragments.find(fragment);
        Some((top, offset.then(&path)))
    }

    /// Hangs the invocation `child` below the invocation `parent`, or compares when it hangs below another already.
    fn cause(&mut self, now: ArrivalTime, child: u64, parent: u64) {
        let child = self.whole(child);
        let Some((top, path)) = self.path_to(parent) else { return };
        match self.invocations.get(&child).map(|child| child.parent) {
            Some(0) => self.hang(now, child, parent, top, &path, false),
            Some(_) => self.compare(now, child, parent, top, &path),
            None => {}
        }
    }

    /// Joins the invocation `part` with the invocation `whole`: they are one, and share what caused either.
    fn same(&mut self, now: ArrivalTime, part: u64, whole: u64) {
        let (part, whole) = (self.whole(part), self.whole(whole));
        let (Some(one), Some(other)) = (self.invocations.get(&part), self.invocations.get(&whole)) else { return };
        let (function, part_cause, whole_cause) = (one.function, one.parent, other.parent);
        // Whichever has no cause of its own becomes the part.
        let (below, above) = if part_cause == 0 { (part, whole) } else { (whole, part) };
        if part == whole {
            return;
        }
        let Some((top, path)) = self.path_to(above) else { return };
        let path = path.without_last(function);
        if part_cause != 0 && whole_cause != 0 {
            self.compare(now, whole, part_cause, top, &path);
        } else {
            self.hang(now, below, above, top, &path, true);
        }
    }

    /// Hangs the fragment of which `child` is the root below `path`, which ends at `parent`.
    fn hang(&mut self, now: ArrivalTime, child: u64, parent: u64, top: FragmentId, path: &PathTable, is_part: bool) {
        let Some(invocation) = self.invocations.get_mut(&child) else { return };
        let fragment = invocation.fragment;
        if top == fragment {
            // The child would become its own ancestor: the ids are corrupt, and a chain has no beginning then.
            self.delta.losses.parent_rings += 1;
            return;
        }
        (invocation.parent, invocation.is_part) = (parent, is_part);
        let (open, laps) = self.fragments.attach(fragment, top, path.clone());
        for first in open.into_iter().filter(|first| !is_part || first.invocation != child) {
            self.occur(now, top, path, first);
        }
        self.raise(now, top, path, &laps);
    }

    /// Deepens the laps of a fragment that was hung below a path; chains that both had are one from here on.
    fn raise(&mut self, now: ArrivalTime, top: FragmentId, path: &PathTable, laps: &[DeepestLap]) {
        let mut joined = SmallVec::<[u32; 4]>::new();
        for lap in laps {
            let known = self.fragments.chain(top, lap.loop_index);
            if let Some(upper) = known
                && upper != lap.chain
                && !joined.contains(&lap.loop_index)
            {
                let anchor = self.loops.anchor(lap.chain).unwrap_or(lap.function);
                self.loops.join(lap.loop_index, upper, lap.chain, path.count(anchor));
                joined.push(lap.loop_index);
            }
            let count = lap.count.saturating_add(path.count(lap.function));
            let deeper = DeepestLap { count, chain: known.unwrap_or(lap.chain), ..*lap };
            self.fragments.remember_lap(top, deeper);
            self.loops.deepen(now, deeper);
        }
    }

    /// A further cause of an invocation that hangs below another already, as in a batch of messages: the deeper one
    /// counts from here on.
    fn compare(&mut self, now: ArrivalTime, child: u64, parent: u64, top: FragmentId, path: &PathTable) {
        let Some(below) = self.invocations.get(&child) else { return };
        let (function, fragment, is_root) = (below.function, below.fragment, below.path.is_single());
        if below.parent == parent || path.count(function) == 0 || self.is_ancestor(child, parent) {
            return;
        }
        let known = self.path_to(child).map_or(0, |(_, path)| path.count(function));
        if path.count(function) < known {
            let occurrence = FirstOccurrence { function, route: 0, invocation: child, times: 1 };
            self.lap(now, top, &occurrence, parent, path.count(function) + 1);
        } else if is_root {
            // All that hangs below the child goes with it.
            self.hang(now, child, parent, top, path, false);
        } else if let Some(below) = self.invocations.get_mut(&child) {
            (below.fragment, below.path, below.parent) = (top, path.then(&PathTable::of(function)), parent);
            self.fragments.refer(top);
            self.fragments.release(fragment);
            self.occur(now, top, path, FirstOccurrence { function, route: 0, invocation: child, times: 1 });
        }
    }

    fn is_ancestor(&self, ancestor: u64, of: u64) -> bool {
        let mut key = of;
        for _ in 0..LOOK_BACK {
            if key == ancestor {
                return true;
            }
            match self.invocations.get(&key) {
                Some(invocation) if invocation.parent != 0 => key = invocation.parent,
                _ => return false,
            }
        }
        false
    }

    /// The invocation has an earlier one of its function on its path over `parent`: it is the `count`th.
    fn lap(&mut self, now: ArrivalTime, top: FragmentId, occurrence: &FirstOccurrence, parent: u64, count: u32) {
        let Some(invocation) = self.invocations.get(&occurrence.invocation) else { return };
        let (function, start, trace_id) = (invocation.function, invocation.start, invocation.trace_id);
        let (upwards, Some(before)) = self.look_back(parent, Some(function)) else { return };
        let cycle: Option<SmallVec<[NodeId; 8]>> =
            upwards.iter().rev().map(|index| self.functions.node(*index)).collect();
        let Some(cycle) = cycle else { return };
        let lap = Lap {
            function,
            start: before.start,
            nanos: start.0.saturating_sub(before.start.0),
            trace_id,
            crosses_traces: before.trace_id != trace_id,
            times: occurrence.times,
            confidence: 1.0,
            weight: 1.0,
        };
        let Some(loop_index) = self.loops.lap(now, &cycle, &lap) else { return };
        let known = self.fragments.chain(top, loop_index);
        if known.is_none() && self.fragments.is_full(top) {
            return;
        }
        if let Some(chain) = self.loops.advance(now, loop_index, known, &lap, count.saturating_sub(1)) {
            let deepest = DeepestLap { loop_index, function, count, trace_id, chain };
            self.fragments.remember_lap(top, deepest);
            self.loops.deepen(now, deepest);
        }
    }

    /// The functions upwards from `key`, without what repeats in between.
    ///
    /// With `until` they end at the first occurrence of that function, which comes with them; without, or where there
    /// is none, at the root of the fragment or after [`LOOK_BACK`] invocations.
    fn look_back(&self, mut key: u64, until: Option<u32>) -> (SmallVec<[u32; 8]>, Option<&Invocation>) {
        let mut upwards = SmallVec::<[u32; 8]>::new();
        for _ in 0..LOOK_BACK {
            let Some(invocation) = self.invocations.get(&key) else { break };
            key = invocation.parent;
            if invocation.is_part {
                continue;
            }
            match upwards.iter().position(|known| *known == invocation.function) {
                Some(place) => upwards.truncate(place + 1),
                None => upwards.push(invocation.function),
            }
            if until == Some(invocation.function) {
                return (upwards, Some(invocation));
            }
        }
        (upwards, None)
    }

    fn link(&mut self, now: ArrivalTime, child: u64, cause: SpanKey, delivered_by: Option<NodeId>) {
        let link = PendingLink { child, delivered_by };
        let known = self.spans.get(cause.0).copied().or_else(|| {
            let start = self.invocations.get(&cause.0)?.start;
            Some(Belonging { invocation: cause.0, publishes: None, end: start })
        });
        match known {
            Some(belonging) => self.follow(now, link, belonging),
            None => match self.waiting.get_mut(cause.0) {
                Some(links) if links.len() < WAITING => links.push(link),
                Some(_) => self.delta.losses.links_dropped += 1,
                None => self.waiting.insert(cause.0, SmallVec::from_slice(&[link])),
            },
        }
    }

    fn follow_waiting(&mut self, now: ArrivalTime, span: u64, belonging: Belonging) {
        for link in self.waiting.remove(span).unwrap_or_default() {
            self.follow(now, link, belonging);
        }
    }

    /// Follows a link from the causing span to the invocation that it caused.
    fn follow(&mut self, now: ArrivalTime, link: PendingLink, cause: Belonging) {
        if link.child == cause.invocation {
            return;
        }
        self.count_message(link, cause);
        self.cause(now, link.child, cause.invocation);
    }

    fn count_message(&mut self, link: PendingLink, cause: Belonging) {
        let (Some(sender), Some(receiver)) =
            (self.invocations.get(&cause.invocation), self.invocations.get(&link.child))
        else {
            return;
        };
        let nodes = self.functions.node(sender.function).zip(self.functions.node(receiver.function));
        let Some((source, target)) = nodes else { return };
        let key = match (cause.publishes, link.delivered_by) {
            (Some(_), Some(_)) => return,
            (Some(node), None) => EdgeKey { source: node, target, kind: EdgeKind::Deliver },
            (None, Some(node)) => EdgeKey { source, target: node, kind: EdgeKind::Publish },
            (None, None) => EdgeKey { source, target, kind: EdgeKind::Message },
        };
        let wait = millis(receiver.start.0.saturating_sub(cause.end.0));
        self.delta.call(key, wait, None, false, receiver.trace_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{SECOND, START, Story},
        shard::Shard,
    };

    #[test]
    fn what_is_old_is_let_go_wholly() {
        let config = Config::recommended();
        let (mut shard, mut linker) = (Shard::new(&config, 1), Linker::new(&config));
        for order in [false, true] {
            let mut spans = Story::parse("a ~> b ~> a -> c -> a\nd").spans;
            if order {
                spans.reverse();
            }
            shard.ingest(START, spans);
            linker.ingest(START, shard.drain().records);
            shard = Shard::new(&config, 1);
        }
        assert!(linker.fragments.len() > 0);
        linker.tick(ArrivalTime(START.0 + 601 * SECOND));
        assert_eq!((linker.fragments.len(), linker.invocations.len(), linker.arrivals.len()), (0, 0, 0));
    }
}
