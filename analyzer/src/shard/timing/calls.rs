//! Counts how often a looked-at trace came by each place: calls, calls of one operation in a row, and calls again.

use super::trace::Trace;
use crate::record::{Piece, Place};

/// How often the trees of a trace came by each place.
pub(super) struct Calls {
    /// By tree and place.
    counts: Vec<Count>,
    /// By span, whether a message that it sent is handled in the trace.
    is_handled: Vec<bool>,
}

#[derive(Clone, Copy)]
struct Count {
    tree: u32,
    place: u32,
    calls: u32,
    in_a_row: u32,
    retries: u32,
}

/// A client span.
struct Call {
    /// The run that calls, whom, and what for.
    key: (u32, u32, u64),
    start: u64,
    end: u64,
    failed: bool,
    tree: u32,
    /// The place of what it calls.
    callee: Option<u32>,
}

impl Calls {
    pub(super) fn of(trace: &Trace<'_>) -> Self {
        let mut counts = Vec::with_capacity(trace.nodes.len());
        let mut calls = Vec::new();
        let mut is_handled = vec![false; trace.nodes.len()];
        for at in trace.by_tree.iter().copied() {
            let (node, span) = (trace.node(at), trace.span(at));
            if node.is_async
                && let Some(sender) = node.parent
            {
                is_handled[sender as usize] = true;
            }
            let is_run = node.entry == at;
            if is_run && node.is_cold {
                let place = trace.cold_start(at);
                counts.extend(place.map(|place| Count { calls: 1, ..Count::none(node.tree, place) }));
            }
            if is_run || span.kind.is_outbound() && !trace.is_inside(at) {
                counts.push(Count { calls: 1, ..Count::none(node.tree, node.place) });
            }
            if span.kind.is_outbound() && !trace.is_inside(at) {
                calls.push(Call {
                    key: (node.entry, node.place, span.operation),
                    start: node.start,
                    end: node.end,
                    failed: span.failed,
                    tree: node.tree,
                    callee: node.callee.map(|callee| trace.node(callee).place),
                });
            }
        }
        calls.sort_unstable_by_key(|call| (call.key, call.start, call.end));
        for same in calls.chunk_by(|one, next| one.key == next.key) {
            follow(same, &mut counts);
        }
        Self { counts: sum(counts), is_handled }
    }

    /// True when somebody handles what the span sent.
    pub(super) fn is_handled(&self, at: u32) -> bool {
        self.is_handled[at as usize]
    }

    /// The places of a tree, without their times.
    pub(super) fn pieces(&self, tree: u32, places: &[Place]) -> impl Iterator<Item = Piece> {
        let from = self.counts.partition_point(|count| count.tree < tree);
        self.counts[from..].iter().take_while(move |count| count.tree == tree).map(|count| count.piece(places))
    }

    /// One place of a tree, without its time.
    pub(super) fn piece(&self, tree: u32, place: u32, places: &[Place]) -> Piece {
        let found = self.counts.binary_search_by_key(&(tree, place), |count| (count.tree, count.place));
        found.map_or(Count::none(tree, place), |at| self.counts[at]).piece(places)
    }
}

impl Count {
    fn none(tree: u32, place: u32) -> Self {
        Self { tree, place, calls: 0, in_a_row: 0, retries: 0 }
    }

    fn piece(&self, places: &[Place]) -> Piece {
        Piece {
            place: places[self.place as usize],
            critical_ms: 0.0,
            drag_ms: 0.0,
            calls: self.calls,
            in_a_row: self.in_a_row,
            retries: self.retries,
        }
    }
}

/// Looks for calls of one run with one purpose that follow each other, and for those that follow one that failed.
fn follow(calls: &[Call], counts: &mut Vec<Count>) {
    let (mut row, mut longest, mut retries) = (0_u32, 0_u32, 0_u32);
    let mut last: Option<&Call> = None;
    for call in calls {
        let follows = last.filter(|last| call.start >= last.end);
        row = if follows.is_some() { row + 1 } else { 1 };
        retries += u32::from(follows.is_some_and(|last| last.failed));
        longest = longest.max(row);
        last = Some(match last {
            Some(last) if last.end > call.end => last,
            _ => call,
        });
    }
    let Some(first) = calls.first() else { return };
    let places = [Some(first.key.1), first.callee];
    let count = |place| Count { in_a_row: longest, retries, ..Count::none(first.tree, place) };
    counts.extend(places.into_iter().flatten().map(count));
}

/// One count for each tree and place, in their order.
fn sum(mut counts: Vec<Count>) -> Vec<Count> {
    counts.sort_unstable_by_key(|count| (count.tree, count.place));
    counts.dedup_by(|next, known| {
        let is_same = (known.tree, known.place) == (next.tree, next.place);
        if is_same {
            known.calls += next.calls;
            known.in_a_row = known.in_a_row.max(next.in_a_row);
            known.retries += next.retries;
        }
        is_same
    });
    counts
}
