//! Hangs invocations below what caused them, in any order, and finds the laps that come of it.

use smallvec::SmallVec;

use super::{
    Cause, HELD, Invocation, Linker,
    fragment::{DeepestLap, FirstOccurrence, FragmentId},
    loops::Lap,
    path::{self, PathTable},
};
use crate::{
    record::CALL,
    sampling::Sampling,
    snapshot::NodeId,
    span::{ArrivalTime, EventTime, TraceId},
    window::millis,
};

/// Invocations that are looked back over to find the earlier one of a lap: four times the functions of a path table.
const LOOK_BACK: usize = 4 * path::SLOTS;

/// How an invocation that is hung below another relates to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Caused,
    /// It is a part of it.
    Part,
    /// It is another attempt at a run that stands above.
    Retry,
}

/// What stands above an invocation.
pub(super) struct Back {
    /// Functions upwards, without what repeats in between.
    pub(super) functions: SmallVec<[u32; 8]>,
    /// The invocation that was looked for.
    found: Option<Found>,
}

struct Found {
    sampling: Sampling,
    start: EventTime,
    trace_id: TraceId,
    run: u64,
    way: Way,
}

/// What is between two invocations of which one stands above the other.
#[derive(Clone, Copy)]
pub(super) struct Way {
    /// Products over the causes on it.
    confidence: f32,
    credit: f32,
    /// True when one of the causes is merely likely.
    is_guess: bool,
    /// True when one of the invocations failed.
    failed: bool,
    /// How probable it was that the traces it enters were kept.
    sampling: Sampling,
    /// The conversation that told the last cause that one told; 0 before there was one.
    conversation: u32,
}

impl Way {
    /// The way from an invocation to itself.
    pub(super) const START: Self = Self {
        confidence: 1.0,
        credit: 1.0,
        is_guess: false,
        failed: false,
        sampling: Sampling::ALWAYS,
        conversation: 0,
    };

    /// Goes up over a cause. That a conversation is one chain is one assumption, however many causes it tells: the way
    /// is as sure as that, and no less for its length.
    fn up(&mut self, cause: Cause) {
        if cause.conversation == 0 || cause.conversation != self.conversation {
            self.confidence *= cause.confidence;
        }
        if cause.conversation != 0 {
            self.conversation = cause.conversation;
        }
        self.credit *= cause.credit;
        self.is_guess |= cause.is_guess;
    }
}

/// A function on the way up, with the way below it.
type Step = (u32, Way);

impl Linker {
    /// The invocation that a part belongs to; the invocation itself when it is whole.
    pub(super) fn whole(&self, mut key: u64) -> u64 {
        for _ in 0..LOOK_BACK {
            match self.invocations.get(key) {
                Some(invocation) if invocation.is_part => key = invocation.parent,
                _ => break,
            }
        }
        key
    }

    /// Takes in what caused the invocation `child`.
    pub(super) fn cause(&mut self, now: ArrivalTime, child: u64, cause: Cause) {
        let child = self.whole(child);
        if !self.gather(now, child, cause) {
            self.hang_below(now, child, cause);
        }
    }

    /// Hangs the invocation `child` below what caused it, or compares when it hangs below another already.
    pub(super) fn hang_below(&mut self, now: ArrivalTime, child: u64, cause: Cause) {
        let Some((top, path)) = self.path_to(cause.invocation) else { return };
        match self.invocations.get(child).map(|child| child.parent) {
            Some(0) => self.hang(now, child, cause, top, &path, Role::Caused),
            Some(_) => self.compare(now, child, cause, top, &path),
            None => {}
        }
    }

    /// Joins the invocation `part` with the invocation `whole`: they are one, and share what caused either.
    pub(super) fn same(&mut self, now: ArrivalTime, part: u64, whole: u64) {
        let (part, whole) = (self.whole(part), self.whole(whole));
        let (Some(one), Some(other)) = (self.invocations.get(part), self.invocations.get(whole)) else { return };
        let (function, whole_cause) = (one.function, other.parent);
        let part_cause = one.cause();
        // Whichever has no cause of its own becomes the part.
        let (below, above) = if part_cause.invocation == 0 { (part, whole) } else { (whole, part) };
        if part == whole {
            return;
        }
        let Some((top, path)) = self.path_to(above) else { return };
        let path = path.without_last(function);
        if part_cause.invocation != 0 && whole_cause != 0 {
            self.compare(now, whole, part_cause, top, &path);
        } else {
            self.hang(now, below, Cause::certain(above), top, &path, Role::Part);
        }
    }

    /// True when an invocation below `parent` is another attempt at the run of the last invocation of its function.
    pub(super) fn is_retry(&self, path: &PathTable, function: u32, run: u64, parent: u64) -> bool {
        run != 0
            && path.count(function) > 0
            && self.look_back(parent, Some(function), Way::START).found.is_some_and(|found| found.run == run)
    }

    /// The functions upwards from `key`, without what repeats in between.
    ///
    /// `way` is the way up to there. With `until` they end at the first occurrence of that function; without, or where
    /// there is none, at the root of the fragment or after [`LOOK_BACK`] invocations.
    pub(super) fn look_back(&self, mut key: u64, until: Option<u32>, mut way: Way) -> Back {
        let mut steps = SmallVec::<[Step; 8]>::new();
        let mut found = None;
        for _ in 0..LOOK_BACK {
            let Some(invocation) = self.invocations.get(key) else { break };
            key = invocation.parent;
            let is_sought = until == Some(invocation.function);
            if invocation.is_part || invocation.is_retry && is_sought {
                continue;
            }
            match steps.iter().position(|(known, ..)| *known == invocation.function) {
                Some(place) => {
                    // What repeats within a lap is a lap of another loop, and not on the way.
                    (_, way) = steps[place];
                    steps.truncate(place + 1);
                }
                None => steps.push((invocation.function, way)),
            }
            way.failed |= invocation.failed;
            if is_sought {
                let Invocation { sampling, start, trace_id, run, .. } = *invocation;
                found = Some(Found { sampling, start, trace_id, run, way });
                break;
            }
            way.up(invocation.cause());
            way.sampling = way.sampling.and(self.entered(invocation, invocation.parent));
        }
        Back { functions: steps.iter().map(|(function, ..)| *function).collect(), found }
    }

    /// How probable it was that the trace of an invocation was kept, where its cause is of another.
    fn entered(&self, invocation: &Invocation, cause: u64) -> Sampling {
        let is_entered = invocation.sampling.is_sampled()
            && self.invocations.get(cause).is_some_and(|cause| cause.trace_id != invocation.trace_id);
        if is_entered { invocation.sampling } else { Sampling::ALWAYS }
    }

    /// The invocation has an earlier one of its function on its path over `cause`: it is the `count`th.
    pub(super) fn lap(
        &mut self,
        now: ArrivalTime,
        top: FragmentId,
        occurrence: &FirstOccurrence,
        cause: Cause,
        count: u32,
    ) {
        let Some(invocation) = self.invocations.get(occurrence.invocation) else { return };
        let (function, start, trace_id) = (invocation.function, invocation.start, invocation.trace_id);
        let (trigger, entered) = (invocation.trigger, self.entered(invocation, cause.invocation));
        let mut last = Way::START;
        last.up(cause);
        let back = self.look_back(cause.invocation, Some(function), last);
        let Some(before) = back.found else {
            self.delta.losses.look_backs_cut += 1;
            return;
        };
        let cycle: Option<SmallVec<[NodeId; 8]>> =
            back.functions.iter().rev().map(|index| self.functions.node(*index)).collect();
        let Some(cycle) = cycle else { return };
        let lap = Lap {
            function,
            start: before.start,
            nanos: start.0.saturating_sub(before.start.0),
            trace_id,
            crosses_traces: before.trace_id != trace_id,
            times: occurrence.times,
            confidence: before.way.confidence,
            credit: before.way.credit,
            is_guess: before.way.is_guess,
            trigger,
            failed: before.way.failed,
            sampling: before.sampling,
            next_lap_sampling: before.way.sampling.and(entered),
            entries: if let [own] = cycle[..] { self.functions.entries(own) } else { 0 },
        };
        let Some(loop_index) = self.loops.lap(now, &cycle, &lap) else { return };
        let known = self.fragments.chain(top, loop_index);
        if known.is_none() && self.fragments.is_full(top) {
            self.delta.losses.fragment_laps_dropped += 1;
            return;
        }
        if let Some(chain) = self.loops.advance(now, loop_index, known, &lap, count.saturating_sub(1)) {
            let invocation = occurrence.invocation;
            let deepest = DeepestLap { loop_index, function, count, trace_id, invocation, chain };
            self.remember_lap(top, deepest);
            self.loops.deepen(now, deepest);
        }
    }

    /// Keeps an invocation, and those above it, for as long as a slow answer may take.
    pub(super) fn hold(&mut self, mut key: u64) {
        for _ in 0..HELD {
            let Some(invocation) = self.invocations.get_mut(key) else { break };
            if std::mem::replace(&mut invocation.is_held, true) {
                break;
            }
            key = invocation.parent;
        }
    }

    /// Hangs the fragment of which `child` is the root below `path`, which ends at `cause`.
    fn hang(&mut self, now: ArrivalTime, child: u64, cause: Cause, top: FragmentId, path: &PathTable, mut role: Role) {
        let Some(invocation) = self.invocations.get(child) else { return };
        let fragment = invocation.fragment;
        if top == fragment {
            // The child would become its own ancestor: the ids are corrupt, and a chain has no beginning then.
            self.delta.losses.parent_rings += 1;
            return;
        }
        let (function, is_held) = (invocation.function, invocation.is_held);
        let mut offset = path.clone();
        if role == Role::Caused && self.is_retry(path, function, invocation.run, cause.invocation) {
            role = Role::Retry;
            offset = path.without_last(function);
        }
        let Some(invocation) = self.invocations.get_mut(child) else { return };
        invocation.set_cause(cause);
        (invocation.is_part, invocation.is_retry) = (role == Role::Part, role == Role::Retry);
        if is_held {
            self.hold(cause.invocation);
        }
        let (open, laps) = self.fragments.attach(fragment, top, offset.clone());
        for first in open.into_iter().filter(|first| role == Role::Caused || first.invocation != child) {
            self.occur(now, top, &offset, first);
        }
        self.raise(now, top, &offset, &laps);
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
            self.remember_lap(top, deeper);
            self.loops.deepen(now, deeper);
        }
    }

    /// A further cause of an invocation that hangs below another already, as in a batch of messages: the deeper one
    /// counts from here on, and one that an id tells always counts more than one that is merely likely.
    fn compare(&mut self, now: ArrivalTime, child: u64, cause: Cause, top: FragmentId, path: &PathTable) {
        let Some(below) = self.invocations.get_mut(child) else { return };
        if below.parent == cause.invocation {
            below.confidence = below.confidence.max(cause.confidence);
            below.is_guess &= cause.is_guess;
            below.waited_ms = if below.waited_ms < 0.0 { below.waited(cause.sent) } else { below.waited_ms };
            return;
        }
        let (function, fragment, is_root) = (below.function, below.fragment, below.path.is_single());
        let is_guess = below.is_guess && !cause.is_guess;
        if !below.is_guess && cause.is_guess || self.is_ancestor(child, cause.invocation) {
            return;
        }
        if !is_guess && path.count(function) == 0 {
            return;
        }
        let known = self.path_to(child).map_or(0, |(_, path)| path.count(function));
        if !is_guess && path.count(function) < known {
            let occurrence = FirstOccurrence { function, route: 0, invocation: child, times: 1 };
            self.lap(now, top, &occurrence, cause, path.count(function) + 1);
        } else if is_root {
            // All that hangs below the child goes with it.
            self.hang(now, child, cause, top, path, Role::Caused);
        } else if let Some(below) = self.invocations.get_mut(child) {
            (below.fragment, below.path) = (top, path.then(&PathTable::of(function)));
            below.set_cause(cause);
            self.fragments.refer(top);
            self.fragments.release(fragment);
            self.occur(now, top, path, FirstOccurrence { function, route: 0, invocation: child, times: 1 });
        }
    }

    /// Path from the root of the topmost fragment to an invocation, with that fragment.
    pub(super) fn path_to(&mut self, key: u64) -> Option<(FragmentId, PathTable)> {
        let invocation = self.invocations.get(key)?;
        let (fragment, path) = (invocation.fragment, invocation.path.clone());
        let (top, offset) = self.fragments.find(fragment);
        Some((top, offset.then(&path)))
    }

    fn remember_lap(&mut self, top: FragmentId, lap: DeepestLap) {
        let is_kept = self.fragments.remember_lap(top, lap);
        self.delta.losses.fragment_laps_dropped += u64::from(!is_kept);
    }

    fn is_ancestor(&self, ancestor: u64, of: u64) -> bool {
        let mut key = of;
        for _ in 0..LOOK_BACK {
            if key == ancestor {
                return true;
            }
            match self.invocations.get(key) {
                Some(invocation) if invocation.parent != 0 => key = invocation.parent,
                _ => return false,
            }
        }
        false
    }
}

/// When a message was sent that waited so long until `start`; 0 for a call.
pub(super) fn sent_at(start: EventTime, waited_ms: f32) -> EventTime {
    let nanos = (f64::from(waited_ms) * 1e6) as u64;
    if waited_ms < 0.0 { EventTime(0) } else { EventTime(start.0.saturating_sub(nanos)) }
}

impl Invocation {
    pub(super) fn cause(&self) -> Cause {
        Cause {
            invocation: self.parent,
            confidence: self.confidence,
            credit: self.credit,
            is_guess: self.is_guess,
            conversation: self.conversation,
            sent: sent_at(self.start, self.waited_ms),
        }
    }

    fn set_cause(&mut self, cause: Cause) {
        (self.parent, self.confidence, self.credit) = (cause.invocation, cause.confidence, cause.credit);
        (self.is_guess, self.conversation) = (cause.is_guess, cause.conversation);
        self.waited_ms = self.waited(cause.sent);
    }

    /// How long a message waited that was sent then. Clocks differ: nothing waits less than no time.
    fn waited(&self, sent: EventTime) -> f32 {
        if sent.0 == 0 { CALL } else { millis(self.start.0.saturating_sub(sent.0)) as f32 }
    }
}
