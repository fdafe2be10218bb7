//! What the runs of a function call and send to, each run taken by itself: how much at once, and what goes together.

use smallvec::SmallVec;

use crate::{
    sketch::DDSketch,
    snapshot::{EdgeKind, NodeId},
    state::state,
    window::{merge, millis, sketch},
};

/// Places that the runs of one function go to that are told apart.
const PLACES: usize = 16;

/// Pairs of places that one run goes to both of.
const PAIRS: usize = 48;

/// Where the runs of a function go, and how.
#[derive(Clone, Default)]
pub(crate) struct Outs {
    pub(crate) places: SmallVec<[Out; 4]>,
    pairs: SmallVec<[Pair; 3]>,
    /// Uses of places, places and pairs of them that there was no room for.
    pub(crate) dropped: u64,
}

/// How the runs of a function use one place.
#[derive(Clone)]
pub(crate) struct Out {
    pub(crate) target: NodeId,
    pub(crate) kind: EdgeKind,
    /// Runs that used it, those that sampling left out included, and of these.
    pub(crate) runs: f64,
    /// Calls and messages; what failed counts only where nothing else of the run went there.
    pub(crate) children: f64,
    /// Milliseconds that the calls of runs with several of them took together.
    pub(crate) busy_ms: f64,
    /// Milliseconds from the first of those calls of each run to the end of the last.
    pub(crate) spread_ms: f64,
    /// The longest call of each run with several, milliseconds.
    pub(crate) longest: Option<Box<DDSketch>>,
}

/// Runs that used two places.
#[derive(Clone, Copy)]
struct Pair {
    one: NodeId,
    other: NodeId,
    runs: f64,
}

/// How one run used one place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) target: NodeId,
    pub(crate) kind: EdgeKind,
    /// Calls and messages that did not fail.
    pub(crate) count: u32,
    /// All of its calls took this together, milliseconds.
    pub(crate) busy_ms: f32,
    /// The longest of them, milliseconds.
    pub(crate) longest_ms: f32,
    /// When the first began.
    pub(crate) first: u64,
    /// When the last ended.
    pub(crate) last: u64,
}

impl Sent {
    /// Adds what the same run sent to the same place.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.busy_ms += other.busy_ms;
        self.longest_ms = self.longest_ms.max(other.longest_ms);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }

    fn children(&self) -> f64 {
        f64::from(self.count.max(1))
    }
}

impl Out {
    fn new(target: NodeId, kind: EdgeKind) -> Self {
        Self { target, kind, runs: 0.0, children: 0.0, busy_ms: 0.0, spread_ms: 0.0, longest: None }
    }

    fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.children += other.children;
        self.busy_ms += other.busy_ms;
        self.spread_ms += other.spread_ms;
        if let Some(longest) = &other.longest {
            merge(self.longest.get_or_insert_with(|| Box::new(sketch())), longest);
        }
    }
}

impl Outs {
    /// Counts a run that stands for `weight` of them.
    pub(crate) fn count(&mut self, weight: f64, sent: &[Sent]) {
        for (at, each) in sent.iter().enumerate() {
            match self.place(each.target, each.kind) {
                Some(out) => {
                    out.runs += weight;
                    out.children += weight * each.children();
                    if each.count > 1 {
                        out.busy_ms += weight * f64::from(each.busy_ms);
                        out.spread_ms += weight * millis(each.last.saturating_sub(each.first));
                        out.longest.get_or_insert_with(|| Box::new(sketch())).add(f64::from(each.longest_ms));
                    }
                }
                None => self.dropped += 1,
            }
            for other in &sent[..at] {
                self.pair(each.target, other.target, weight);
            }
        }
    }

    /// Adds what was counted elsewhere, or later.
    pub(crate) fn merge(&mut self, other: &Self) {
        for more in &other.places {
            self.add(more.target, more);
        }
        for pair in &other.pairs {
            self.pair(pair.one, pair.other, pair.runs);
        }
        self.dropped += other.dropped;
    }

    /// True when one of the places turned out to be another.
    pub(crate) fn is_moved(&self, own: impl Fn(NodeId) -> NodeId) -> bool {
        self.places.iter().any(|out| own(out.target) != out.target)
    }

    /// The same where places turned out to be others.
    pub(crate) fn renamed(&self, own: impl Fn(NodeId) -> NodeId) -> Self {
        let mut renamed = Self { dropped: self.dropped, ..Self::default() };
        for out in &self.places {
            renamed.add(own(out.target), out);
        }
        for pair in &self.pairs {
            renamed.pair(own(pair.one), own(pair.other), pair.runs);
        }
        renamed
    }

    /// How a place is used.
    pub(crate) fn to(&self, target: NodeId, kind: EdgeKind) -> Option<&Out> {
        self.places.iter().find(|out| out.target == target && out.kind == kind)
    }

    /// Runs that used two of the places, counted once for each pair.
    pub(crate) fn together(&self, is_asked: impl Fn(NodeId) -> bool) -> f64 {
        self.pairs.iter().filter(|pair| is_asked(pair.one) && is_asked(pair.other)).map(|pair| pair.runs).sum()
    }

    fn add(&mut self, target: NodeId, more: &Out) {
        match self.place(target, more.kind) {
            Some(out) => out.merge(more),
            None => self.dropped += 1,
        }
    }

    fn place(&mut self, target: NodeId, kind: EdgeKind) -> Option<&mut Out> {
        let at = self.places.iter().position(|out| out.target == target && out.kind == kind);
        match at {
            Some(at) => self.places.get_mut(at),
            None if self.places.len() < PLACES => {
                self.places.push(Out::new(target, kind));
                self.places.last_mut()
            }
            None => None,
        }
    }

    fn pair(&mut self, a: NodeId, b: NodeId, runs: f64) {
        let (one, other) = (a.min(b), a.max(b));
        if one == other {
            return;
        }
        if let Some(pair) = self.pairs.iter_mut().find(|pair| pair.one == one && pair.other == other) {
            pair.runs += runs;
        } else if self.pairs.len() < PAIRS {
            self.pairs.push(Pair { one, other, runs });
        } else {
            self.dropped += 1;
        }
    }
}

state!(Outs { places, pairs, dropped });
state!(Out { target, kind, runs, children, busy_ms, spread_ms, longest });
state!(Pair { one, other, runs });

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(target: u64, count: u32) -> Sent {
        let (target, kind) = (NodeId(target), EdgeKind::Call);
        Sent { target, kind, count, busy_ms: 30.0, longest_ms: 20.0, first: 0, last: 20_000_000 }
    }

    #[test]
    fn children_and_pairs_are_counted_by_run() {
        let mut outs = Outs::default();
        outs.count(1.0, &[sent(1, 4), sent(2, 1)]);
        outs.count(2.0, &[sent(1, 2)]);
        outs.count(1.0, &[sent(2, 0)]);
        let one = outs.to(NodeId(1), EdgeKind::Call).unwrap();
        assert_eq!((one.runs, one.children, one.busy_ms, one.spread_ms), (3.0, 8.0, 90.0, 60.0));
        let two = outs.to(NodeId(2), EdgeKind::Call).unwrap();
        assert_eq!((two.runs, two.children), (2.0, 2.0));
        assert_eq!(outs.together(|_| true), 1.0);
        assert_eq!(outs.together(|node| node == NodeId(1)), 0.0);
        let mut twice = outs.clone();
        twice.merge(&outs);
        assert_eq!((twice.to(NodeId(1), EdgeKind::Call).unwrap().children, twice.together(|_| true)), (16.0, 2.0));
        let renamed = twice.renamed(|_| NodeId(3));
        assert_eq!((renamed.to(NodeId(3), EdgeKind::Call).unwrap().children, renamed.together(|_| true)), (20.0, 0.0));
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let mut outs = Outs::default();
        let many: Vec<Sent> = (0..20).map(|at| sent(10 + at, 1)).collect();
        outs.count(1.0, &many);
        let dropped = 20 - PLACES as u64 + 20 * 19 / 2 - PAIRS as u64;
        assert_eq!(outs.dropped, dropped);
        let mut others = Outs::default();
        others.count(1.0, &[sent(1, 1)]);
        others.merge(&outs);
        assert_eq!(others.dropped, dropped + 1, "one place has no room beside the other");
        assert_eq!(others.renamed(|node| node).dropped, dropped + 1);
    }
}
