//! Finds the place of a span: below which parent, in which invocation, or waiting for either.
//!
//! What is said of a span once its place is known is `shard/tell.rs`'s.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use super::{Shard, kept::SpanRecord, touch};
use crate::{
    record::{Record, SpanKey},
    span::ArrivalTime,
};

/// Children of one span that wait for it; further ones count as orphans.
const WAITING: usize = 4_096;

impl Shard {
    /// Finds out what a new span is, as far as its parent tells.
    pub(super) fn place(&mut self, now: ArrivalTime, key: u64) {
        let Some(mut span) = self.spans.get(key).cloned() else { return };
        if span.parent != 0 {
            self.look_for_ring(key);
        }
        if span.function.is_app && !self.learn_name(key, &mut span) {
            // A host does not say which function it runs; the worker below it does.
            if self.spans.get(span.parent).is_none_or(|parent| parent.invocation == 0) && span.parent != 0 {
                self.wait(span.parent, key);
            }
            return self.park(now, key);
        }
        if span.parent == 0 {
            return self.enter(now, key, &span, None, true);
        }
        self.find_pair(key, &mut span);
        match self.spans.get(span.parent).cloned() {
            Some(parent) if parent.invocation != 0 => self.join(now, key, &span, &parent),
            Some(parent) => {
                if let Some(function) = parent.named_by(&span) {
                    self.wait(span.parent, key);
                    self.name(span.parent, function);
                    self.park(now, key);
                    return self.named.push(span.parent);
                }
                self.wait(span.parent, key);
                if span.is_part_of(&parent) {
                    self.park(now, key);
                } else {
                    self.enter(now, key, &span, None, true);
                    // Whose invocation called is not known yet, but which function did mostly is.
                    if !parent.function.is_app {
                        self.count_call(key, &span, &parent);
                    }
                }
            }
            None => {
                self.wait(span.parent, key);
                if span.kind.is_inbound() { self.enter(now, key, &span, None, false) } else { self.park(now, key) }
            }
        }
    }

    fn wait(&mut self, parent: u64, child: u64) {
        match self.waiting.get_mut(parent) {
            Some(children) if children.len() < WAITING => children.push(child),
            Some(_) => self.are_orphans([child]),
            None => self.waiting.insert(parent, SmallVec::from_slice(&[child])),
        }
    }

    fn park(&mut self, now: ArrivalTime, key: u64) {
        self.parked.push_back((now.after(self.config.park), key));
    }

    /// Makes the topmost span that still waits above `key` an entry, so that all below it find their place.
    pub(super) fn promote(&mut self, now: ArrivalTime, key: u64) {
        if self.spans.get(key).is_none_or(|span| span.invocation != 0) {
            return;
        }
        let mut top = key;
        let mut climbed = FxHashSet::default();
        while let Some(parent) = self.spans.get(top).map(|span| span.parent) {
            climbed.insert(top);
            if self.spans.get(parent).is_none_or(|span| span.invocation != 0) {
                break;
            }
            if climbed.contains(&parent) {
                self.has_long_ring(parent, &climbed);
                break;
            }
            top = parent;
        }
        let parent = self.spans.get(top).and_then(|span| self.spans.get(span.parent)).cloned();
        match (parent.filter(|parent| parent.invocation != 0), self.spans.get(top).cloned()) {
            // It waited for its name alone.
            (Some(parent), Some(span)) => self.join(now, top, &span, &parent),
            _ => self.stand_in(now, top),
        }
        self.cascade(now);
    }

    /// Makes a span whose parent does not come an invocation, or a part of the one that stands for that parent.
    fn stand_in(&mut self, now: ArrivalTime, key: u64) {
        let Some(span) = self.spans.get(key).cloned() else { return };
        let place = span.parent ^ span.function.id.0;
        match self.stand_ins.get(place).copied() {
            Some(invocation) => self.belong(now, key, &span, invocation),
            None => {
                self.stand_ins.insert(place, key);
                self.enter(now, key, &span, None, false);
            }
        }
    }

    /// Gives a span whose parent's invocation is known its place.
    fn join(&mut self, now: ArrivalTime, key: u64, span: &SpanRecord, parent: &SpanRecord) {
        if parent.invocation == key {
            // The parent was placed below this very span: a ring, counted when it was broken.
            return;
        }
        let is_placed_elsewhere = span.invocation != 0 && span.invocation != key;
        match (span.is_part_of(parent), span.invocation == key) {
            (true, false) if is_placed_elsewhere => {
                // It stood below a stand-in for this parent, which joins the parent's invocation by itself.
                if let Some(record) = self.spans.get_mut(key) {
                    record.invocation = parent.invocation;
                }
            }
            (true, false) => match span.named_by(parent) {
                None => self.belong(now, key, span, parent.invocation),
                Some(function) => {
                    self.name(key, Arc::clone(&function));
                    let named = SpanRecord { function, ..span.clone() };
                    self.belong(now, key, &named, parent.invocation);
                }
            },
            (true, true) => self.merge(key, span, parent.invocation),
            (false, false) => {
                self.enter(now, key, span, Some((parent.invocation, touch::waited_ms(span, parent))), true);
                self.block(span, parent);
                self.answer(key, parent);
                self.count_call(key, span, parent);
                self.reach(span, parent);
            }
            (false, true) => {
                let (child, cause) = (SpanKey(key), SpanKey(parent.invocation));
                self.records.push(Record::Cause { child, parent: cause, waited_ms: touch::waited_ms(span, parent) });
                self.answer(key, parent);
                self.block(span, parent);
                self.reach(span, parent);
                self.count_duration(key, span);
                if !span.is_call_counted {
                    self.count_call(key, span, parent);
                }
            }
        }
        self.follow_operation(key, span, parent);
        self.compare_clocks(span, parent);
    }

    /// Places the children that waited for spans which found their place; a list, because chains are deep.
    pub(super) fn cascade(&mut self, now: ArrivalTime) {
        loop {
            while let Some(key) = self.placed.pop() {
                self.place_children(now, key);
            }
            let Some(key) = self.named.pop() else { break };
            if self.spans.get(key).is_some_and(|span| span.invocation == 0) {
                self.place(now, key);
            }
        }
    }

    fn place_children(&mut self, now: ArrivalTime, key: u64) {
        let Some(children) = self.waiting.remove(key) else { return };
        let Some(parent) = self.spans.get(key).cloned() else { return };
        for child in children {
            let Some(mut span) = self.spans.get(child).cloned() else { continue };
            let is_vague = span.function.is_app && span.invocation == 0 && !span.runs_in(&parent);
            if !is_vague || self.learn_name(child, &mut span) {
                self.join(now, child, &span, &parent);
            }
        }
    }
}
