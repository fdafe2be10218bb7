//! Sums a looked-at trace up by place: one profile for each run that nobody waits for, and one for each function that
//! messages led to.
//!
//! The way from the first root to the end of such a run is put together of stages: in each tree the critical path to
//! where the message was sent, then the time that the message waited. The tree before it may be of another trace.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use super::{
    Seen,
    calls::Calls,
    route::{Route, Sent, piece},
    skew::Skews,
    trace::{Trace, by_clock, clock, delivered_by, sends_to},
};
use crate::{
    critical_path::{Segment, Without},
    generations::Generations,
    record::{Piece, TraceProfile},
    snapshot::NodeId,
    span::{EventTime, SpanKind, TraceId},
    window::millis,
};

/// Places of one path whose drag is worked out, those with the most time first; the others have less than one part in
/// so many each, and count as if no other branch were near.
const DRAGS: usize = 64;

/// Functions to which the pipelines of one trace are told, and messages of one trace whose way is kept for another: those
/// that it took longest to come to.
const PIPELINES: usize = 16;

/// Stages of one pipeline. What is longer is a loop, and has other numbers.
const STAGES: usize = 32;

/// A trace, and what is needed to sum it up.
pub(super) struct Summary<'a> {
    pub(super) trace: &'a Trace<'a>,
    pub(super) trace_id: TraceId,
    /// For how many traces it stands by the choice of the shard.
    pub(super) weight: f64,
    /// For how many pairs of traces two of one shard stand.
    pub(super) pairs: f64,
    pub(super) calls: Calls,
    /// The ways of messages of other traces, by the key of the span that sent them.
    pub(super) routes: &'a Generations<Route>,
    pub(super) skews: &'a Skews,
}

/// What is to be said of a trace.
#[derive(Default)]
pub(super) struct Told {
    pub(super) profiles: Vec<TraceProfile>,
    /// The ways of the messages that nobody in the trace handles, by the key of the span that sent them.
    pub(super) routes: Vec<(u64, Route)>,
    /// Pipelines and ways that were left out because there are too many.
    pub(super) left_out: u64,
}

/// Time of one place, nanoseconds.
struct Share {
    place: u32,
    critical: u64,
    drag: u64,
}

impl Summary<'_> {
    /// All that is to be said of the trace.
    pub(super) fn tell(&self) -> Told {
        let mut told = Told::default();
        // Of each function the run that ends last, of those that messages caused.
        let mut ends: BTreeMap<NodeId, (u64, u64, u32)> = BTreeMap::new();
        let mut sends = Vec::new();
        for tree in self.trace.trees().filter(|tree| self.is_whole(tree[0])) {
            let (root, node) = (tree[0], self.trace.node(tree[0]));
            told.profiles.extend(self.profile(root));
            if self.has_cause(root) {
                let last = ends.entry(node.function.id).or_default();
                *last = (*last).max((node.end, self.trace.span(root).key, root));
            }
            sends.extend(tree.iter().copied().filter(|at| self.is_unhandled(*at)));
        }
        let ends = ends.into_iter().filter_map(|(function, (end, key, root))| {
            // Where it is not known how it came to a run, nothing can be told.
            let is_known = self.trace.node(root).parent.is_some() || self.length_before(root).is_some();
            Some((self.length(root, end).filter(|_| is_known)?, (function, None, key), root))
        });
        let (ends, dropped_ends) = longest(ends);
        let sends = sends.into_iter().filter_map(|at| {
            let (node, span) = (self.trace.node(at), self.trace.span(at));
            let length = self.length(node.tree, self.trace.waits.time(at).1)?;
            Some((length, (node.function.id, sends_to(span), span.key), at))
        });
        let (sends, dropped_sends) = longest(sends);
        told.left_out = dropped_ends + dropped_sends;
        told.profiles.extend(ends.into_iter().filter_map(|root| self.pipeline(root)));
        let key = |at: u32| self.trace.span(at).key;
        told.routes.extend(sends.into_iter().filter_map(|at| Some((key(at), self.way_of(at)?))));
        told
    }

    /// How long it took until a moment of the tree at `root`, from the first root that is known, nanoseconds; `None` where
    /// that has too many stages or was overlooked in part. This only ranks: it measures no path, so that it costs little
    /// for those that are left out.
    fn length(&self, root: u32, until: u64) -> Option<u64> {
        let (mut first, mut stages) = (root, 1);
        while let Some(above) = self.trace.node(first).parent {
            first = self.trace.node(above).tree;
            stages += 1;
            if stages > STAGES {
                return None;
            }
        }
        let length = until.saturating_sub(self.trace.waits.time(first).0);
        self.is_whole(first).then(|| length.saturating_add(self.length_before(first).unwrap_or_default()))
    }

    /// How long it took from the first root of other traces to the root of this one, nanoseconds, where that is known.
    fn length_before(&self, root: u32) -> Option<u64> {
        let route = self.routes.get(self.link(root)?.cause)?;
        Some(route.nanos.saturating_add(self.waited(route, root)))
    }

    /// How long the message at the end of a way waited for the run at this root, nanoseconds.
    fn waited(&self, route: &Route, root: u32) -> u64 {
        let (sent, span) = (route.sent, self.trace.span(root));
        let ahead = self.skews.offset(sent.clock, clock(span, self.trace.node(root)));
        by_clock(span.start, ahead).saturating_sub(sent.at)
    }

    /// True when a tree begins with a run of a function, and no part of it was overlooked.
    fn is_whole(&self, root: u32) -> bool {
        let (span, node) = (self.trace.span(root), self.trace.node(root));
        let begins = span.parent == 0 || node.parent.is_some() || span.kind.is_inbound();
        begins && !node.is_fragment && span.is_timed
    }

    /// True when a message caused the run at this root.
    fn has_cause(&self, root: u32) -> bool {
        self.trace.node(root).parent.is_some() || self.link(root).is_some()
    }

    /// The span of the run at this root that names its cause in another trace.
    fn link(&self, root: u32) -> Option<&Seen> {
        if self.trace.node(root).parent.is_some() {
            return None;
        }
        let run = self.trace.tree(root).iter().filter(|at| self.trace.node(**at).entry == root);
        run.map(|at| self.trace.span(*at)).find(|span| span.cause != 0)
    }

    /// True for a span that sends what nobody in the trace handles.
    fn is_unhandled(&self, at: u32) -> bool {
        let span = self.trace.span(at);
        let sends = span.kind == SpanKind::Producer || span.kind == SpanKind::Client && sends_to(span).is_some();
        sends && !self.calls.is_handled(at)
    }

    /// Where the time of the tree below a root went.
    fn profile(&self, root: u32) -> Option<TraceProfile> {
        let (start, end) = self.trace.waits.time(root);
        if start >= end {
            return None;
        }
        let mut pieces: Vec<Piece> = self.calls.pieces(root, &self.trace.places).collect();
        for share in self.shares(root, &self.trace.waits.path(root), |without| without.duration(root)) {
            let place = self.trace.places[share.place as usize];
            match pieces.iter_mut().find(|piece| piece.place == place) {
                Some(piece) => (piece.critical_ms, piece.drag_ms) = (millis(share.critical), millis(share.drag)),
                None => pieces.push(piece(place, share.critical, share.drag)),
            }
        }
        let profile = self.begin(root).profile(None);
        Some(TraceProfile { duration_ms: millis(end - start), pieces, ..profile })
    }

    /// From the first root to the end of the run at this root.
    fn pipeline(&self, root: u32) -> Option<TraceProfile> {
        let mut route = self.arrive(root)?;
        self.go(&mut route, root, &self.trace.waits.path(root), |without| without.duration(root));
        Some(route.profile(Some(self.trace.node(root).function.id)))
    }

    /// The way of a message that a span sends.
    fn way_of(&self, at: u32) -> Option<Route> {
        let (node, span) = (self.trace.node(at), self.trace.span(at));
        let mut route = if self.has_cause(node.tree) { self.arrive(node.tree) } else { None }.or_else(|| {
            // Where it is not known how the message before came here, the pipeline begins here.
            self.trace.node(node.tree).parent.is_none().then(|| self.begin(node.tree))
        })?;
        self.send(&mut route, at, u64::MAX);
        route.sum_up();
        route.sent = Sent { by: node.function.id, to: sends_to(span), at: span.end, clock: clock(span, node) };
        Some(route)
    }

    /// How it came to the beginning of the run at this root; `None` where that is not known.
    fn arrive(&self, root: u32) -> Option<Route> {
        let mut stages = vec![root];
        let mut first = root;
        while let Some(above) = self.trace.node(first).parent {
            first = self.trace.node(above).tree;
            stages.push(first);
            if stages.len() > STAGES {
                return None;
            }
        }
        if !self.is_whole(first) {
            return None;
        }
        let mut route = match self.cross(first) {
            Some(route) => route,
            None if first == root => return None,
            None => self.begin(first),
        };
        for stage in stages.iter().rev().skip(1) {
            self.hand_on(&mut route, *stage);
        }
        Some(route)
    }

    /// How it came from another trace to the root of this one.
    fn cross(&self, root: u32) -> Option<Route> {
        let (link, node) = (self.link(root)?, self.trace.node(root));
        let mut route = self.routes.get(link.cause)?.clone();
        let sent = route.sent;
        let waited = self.waited(&route, root);
        route.weight *= self.begin(root).weight * self.pairs;
        route.wait(delivered_by(link).or(sent.to), sent.by, node.function.id, waited);
        Some(route)
    }

    /// Goes on to the tree at `root`, which a span of the tree before caused.
    fn hand_on(&self, route: &mut Route, root: u32) {
        let node = self.trace.node(root);
        let Some(above) = node.parent else { return };
        let (span, sender) = (self.trace.span(root), self.trace.span(above));
        let until = self.send(route, above, node.start);
        let over = sends_to(sender).or_else(|| delivered_by(span));
        route.wait(over, self.trace.node(above).function.id, node.function.id, node.start.saturating_sub(until));
        // Both ends have to be kept for the pipeline to be seen.
        route.weight = route.weight.max(self.begin(root).weight);
    }

    /// Goes on to where a span has sent a message, or until that is handled; when that was.
    fn send(&self, route: &mut Route, at: u32, until: u64) -> u64 {
        let (start, end) = self.trace.waits.time(at);
        let until = until.clamp(start, end);
        let path = self.trace.waits.path_to(at, until);
        self.go(route, self.trace.node(at).tree, &path, |without| without.time_to(at, until));
        until
    }

    /// Goes a path through a tree.
    fn go(&self, route: &mut Route, root: u32, path: &[Segment], time: impl Fn(&Without<'_>) -> u64) {
        for share in self.shares(root, path, time) {
            let counted = self.calls.piece(root, share.place, &self.trace.places);
            let (critical_ms, drag_ms) = (millis(share.critical), millis(share.drag));
            route.add(Piece { critical_ms, drag_ms, ..counted }, share.critical);
        }
    }

    /// A way that begins at a root.
    fn begin(&self, root: u32) -> Route {
        let (node, span) = (self.trace.node(root), self.trace.span(root));
        Route {
            function: node.function.id,
            operation: span.name.clone().unwrap_or_else(|| Arc::clone(&node.function.name)),
            trace_id: self.trace_id,
            start: EventTime(span.start),
            weight: self.weight * span.sampling.adjusted_count(),
            nanos: 0,
            pieces: Vec::new(),
            sent: Sent { by: node.function.id, to: None, at: span.start, clock: clock(span, node) },
        }
    }

    /// Sums a path through a tree up by place; `time` says how long it is.
    fn shares(&self, root: u32, path: &[Segment], time: impl Fn(&Without<'_>) -> u64) -> Vec<Share> {
        let waits = &self.trace.waits;
        let mut shares: Vec<Share> = path
            .iter()
            .map(|part| Share { place: part.place, critical: part.end - part.start, drag: part.end - part.start })
            .collect();
        shares.sort_unstable_by_key(|share| share.place);
        shares.dedup_by(|next, known| {
            let is_same = next.place == known.place;
            if is_same {
                known.critical += next.critical;
                known.drag += next.drag;
            }
            is_same
        });
        let members = self.trace.tree(root);
        if !waits.is_serial(root, members) {
            let whole: u64 = shares.iter().map(|share| share.critical).sum();
            shares.sort_unstable_by_key(|share| (Reverse(share.critical), share.place));
            for share in shares.iter_mut().take(DRAGS) {
                share.drag = whole.saturating_sub(time(&waits.without(share.place, members)));
            }
        }
        shares
    }
}

/// The pipelines or ways that are told, those that took longest first, and how many are not. Ties go by who is at the end
/// of them and where that sends to, so that they do not hang on the order in which spans came.
fn longest(of: impl Iterator<Item = (u64, (NodeId, Option<NodeId>, u64), u32)>) -> (Vec<u32>, u64) {
    let mut ranked: Vec<_> = of.collect();
    ranked.sort_unstable_by_key(|(length, end, _)| (Reverse(*length), *end));
    let left_out = ranked.len().saturating_sub(PIPELINES) as u64;
    (ranked.into_iter().take(PIPELINES).map(|(_, _, at)| at).collect(), left_out)
}
