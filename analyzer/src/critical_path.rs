//! The critical path of a tree of spans, and how much of it can go before another branch becomes critical.
//!
//! Walking backwards from the end of a span, the child that ended last is what it waited for; before that child began,
//! the one that had ended by then; and so on, down and up (Jaeger's and CRISP's idea: Zhang et al., "CRISP: Critical
//! Path Analysis of Large-Scale Microservice Architectures", USENIX ATC 2022). Between two of them the span worked
//! itself. All of it is whole nanoseconds, so the parts add up to the duration exactly, and nothing recurses: traces of
//! loops are deeper than a stack.
//!
//! The same order says what would be if some work took no time: each child begins when all that had ended before it has
//! ended, and the work in between is done. What the root's end moves by then is the *drag* of that work (Devaux, "The
//! drag efficient", 2012): less than its time on the critical path where another branch is nearly as long.
//!
//! It knows nothing of functions: places are numbers, and who builds the tree says which span waits for which child.

#[cfg(test)]
mod tests;

use std::mem;

use smallvec::SmallVec;

/// Of a child that overlaps with the next by less, the overlap is taken for a clock's error: 2 ms, or less if the parent
/// took less than 200 ms; see [`TOLERANCE_PART`].
const TOLERANCE_NANOS: u64 = 2_000_000;

/// The same as a part of the parent's duration: 1 %.
const TOLERANCE_PART: u64 = 100;

/// Siblings that are looked at to find the one that took over.
const TAKE_OVERS: usize = 64;

/// A span as far as its time goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimedSpan {
    /// Nanoseconds.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// The span that waits for it, as its place in the list; `None` where none does.
    pub(crate) parent: Option<u32>,
}

/// A part of a critical path: a span's own work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The span, as its place in the list.
    pub(crate) span: u32,
    pub(crate) place: u32,
    /// Nanoseconds.
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// Trees of spans that wait for each other.
pub(crate) struct Waits {
    nodes: Vec<Node>,
    /// Parents before children.
    order: Vec<u32>,
    /// The children of each node by their start, those apart that took no time.
    by_start: Vec<u32>,
    /// The same by their end.
    by_end: Vec<u32>,
}

/// How long everything would take if some work took no time.
pub(crate) struct Without<'a> {
    waits: &'a Waits,
    gone: u32,
    /// By node, nanoseconds.
    durations: Vec<u64>,
    /// From the parent's start to its own.
    offsets: Vec<u64>,
}

#[derive(Clone, Copy)]
struct Node {
    /// Clipped to its parent.
    start: u64,
    end: u64,
    parent: Option<u32>,
    /// Its children in the lists.
    first: u32,
    count: u32,
    /// What its parent does itself before it, since the child before it ended.
    lead: u64,
    lead_place: u32,
    /// What it does itself after its last child.
    tail: u64,
    tail_place: u32,
}

impl Waits {
    /// Puts the trees together. `place_of(span, next)` says where the time goes that a span works itself before its child
    /// `next`, or after the last one.
    pub(crate) fn new(spans: &[TimedSpan], place_of: impl Fn(u32, Option<u32>) -> u32) -> Self {
        let parents: Vec<Option<u32>> = spans.iter().map(|span| span.parent).collect();
        let mut nodes: Vec<Node> = spans.iter().map(Node::of).collect();
        let order = parents_first(&parents);
        if order.len() < nodes.len() {
            cut_rings(&mut nodes, &order);
        }
        let mut waits = Self { by_start: vec![0; nodes.len()], by_end: Vec::new(), nodes, order };
        waits.hang();
        for at in 0..waits.order.len() {
            waits.clip_children(waits.order[at], &place_of);
        }
        waits
    }

    /// From the start of a span to its end, once it is clipped to those that wait for it; nanoseconds.
    pub(crate) fn time(&self, span: u32) -> (u64, u64) {
        let node = self.node(span);
        (node.start, node.end)
    }

    /// What made the span take as long as it did, in no order; lengths add up to its duration.
    pub(crate) fn path(&self, span: u32) -> Vec<Segment> {
        let mut path = Vec::new();
        self.walk(span, &mut path);
        path
    }

    /// What made a span get as far as it was at some time, since the start of the root above it; in no order.
    pub(crate) fn path_to(&self, span: u32, until: u64) -> Vec<Segment> {
        let mut path = Vec::new();
        let (mut at, mut until, mut place) = (span, self.inside(span, until), self.node(span).tail_place);
        loop {
            let mut waited_for = SmallVec::<[u32; 16]>::new();
            self.walk_before(at, until, place, &mut path, &mut waited_for);
            waited_for.into_iter().for_each(|child| self.walk(child, &mut path));
            let Some(parent) = self.node(at).parent else { return path };
            (at, until, place) = (parent, self.node(at).start, self.lead_place(parent, at));
        }
    }

    /// True when nothing below the span ran beside its critical path: then the drag of all is all of their time.
    pub(crate) fn is_serial(&self, span: u32, members: &[u32]) -> bool {
        let (start, end) = self.time(span);
        let own: u64 = members.iter().map(|member| self.own(*member)).fold(0, u64::saturating_add);
        own == end - start
    }

    /// How it would be if what was done in one place took no time, for these spans: those of a tree, parents first.
    pub(crate) fn without(&self, gone: u32, members: &[u32]) -> Without<'_> {
        let mut without =
            Without { waits: self, gone, durations: vec![0; self.nodes.len()], offsets: vec![0; self.nodes.len()] };
        for span in members.iter().rev() {
            without.take(*span);
        }
        without
    }

    /// A time, moved into that of a span.
    fn inside(&self, span: u32, time: u64) -> u64 {
        time.clamp(self.node(span).start, self.node(span).end)
    }

    fn node(&self, span: u32) -> &Node {
        &self.nodes[span as usize]
    }

    /// What a span does itself, beside its children or not.
    fn own(&self, span: u32) -> u64 {
        let leads: u64 = self.children(span).iter().map(|child| self.node(*child).lead).sum();
        self.node(span).tail + leads
    }

    fn range(&self, span: u32) -> std::ops::Range<usize> {
        let node = self.node(span);
        node.first as usize..(node.first + node.count) as usize
    }

    fn children(&self, span: u32) -> &[u32] {
        &self.by_start[self.range(span)]
    }

    fn ends(&self, span: u32) -> &[u32] {
        &self.by_end[self.range(span)]
    }

    /// The child that ended last of those that had by then.
    fn ended_by(&self, span: u32, time: u64) -> Option<u32> {
        let ends = self.ends(span);
        ends[..ends.partition_point(|child| self.node(*child).end <= time)].last().copied()
    }

    fn lead_place(&self, parent: u32, child: u32) -> u32 {
        let node = self.node(child);
        if node.is_there() { node.lead_place } else { self.node(parent).tail_place }
    }

    fn walk(&self, span: u32, path: &mut Vec<Segment>) {
        let mut stack = SmallVec::<[u32; 16]>::new();
        stack.push(span);
        while let Some(span) = stack.pop() {
            let node = self.node(span);
            self.walk_before(span, node.end, node.tail_place, path, &mut stack);
        }
    }

    /// The own work of a span before a time, and the children that it waited for until then. What was done right before
    /// that time counts for the given place.
    fn walk_before(
        &self,
        span: u32,
        mut until: u64,
        mut place: u32,
        path: &mut Vec<Segment>,
        stack: &mut SmallVec<[u32; 16]>,
    ) {
        loop {
            let child = self.ended_by(span, until);
            let since = child.map_or(self.node(span).start, |child| self.node(child).end);
            if since < until {
                path.push(Segment { span, place, start: since, end: until });
            }
            let Some(child) = child else { return };
            stack.push(child);
            (until, place) = (self.node(child).start, self.node(child).lead_place);
        }
    }

    /// Gives each node its part of the lists.
    fn hang(&mut self) {
        for at in 0..self.nodes.len() {
            if let Some(parent) = self.nodes[at].parent {
                self.nodes[parent as usize].count += 1;
            }
        }
        let mut first = 0;
        for node in &mut self.nodes {
            node.first = first;
            first += mem::take(&mut node.count);
        }
        for at in 0..self.nodes.len() {
            if let Some(parent) = self.nodes[at].parent {
                let parent = &mut self.nodes[parent as usize];
                self.by_start[(parent.first + parent.count) as usize] = at as u32;
                parent.count += 1;
            }
        }
        self.by_end.clone_from(&self.by_start);
    }

    /// Clips the children of a node that is clipped itself, puts them in order, and says what it does in between.
    fn clip_children(&mut self, span: u32, place_of: &impl Fn(u32, Option<u32>) -> u32) {
        let (parent, range) = (*self.node(span), self.range(span));
        let Self { nodes, by_start, by_end, .. } = self;
        let (by_start, by_end) = (&mut by_start[range.clone()], &mut by_end[range]);
        for child in by_start.iter() {
            let child = &mut nodes[*child as usize];
            child.start = child.start.clamp(parent.start, parent.end);
            child.end = child.end.clamp(child.start, parent.end);
        }
        // What took no time or lay outside is not waited for; it stands behind those that count.
        by_start.sort_unstable_by_key(|child| {
            let node = &nodes[*child as usize];
            (!node.is_there(), node.start, node.end, *child)
        });
        let count = by_start.partition_point(|child| nodes[*child as usize].is_there());
        let (by_start, by_end) = (&by_start[..count], &mut by_end[..count]);
        hand_over(nodes, by_start, (parent.end - parent.start) / TOLERANCE_PART);
        by_end.copy_from_slice(by_start);
        by_end.sort_unstable_by_key(|child| (nodes[*child as usize].end, *child));
        let mut ended = by_end.iter().map(|child| nodes[*child as usize].end).peekable();
        let mut since = parent.start;
        let mut leads = SmallVec::<[u64; 16]>::new();
        for child in by_start {
            let start = nodes[*child as usize].start;
            while let Some(end) = ended.next_if(|end| *end <= start) {
                since = end;
            }
            leads.push(start - since);
        }
        let last = by_end.last().map_or(parent.start, |child| nodes[*child as usize].end);
        for (child, lead) in by_start.iter().zip(leads) {
            let node = &mut nodes[*child as usize];
            (node.lead, node.lead_place) = (lead, place_of(span, Some(*child)));
        }
        let node = &mut nodes[span as usize];
        (node.count, node.tail, node.tail_place) = (count as u32, parent.end - last, place_of(span, None));
    }
}

impl Without<'_> {
    /// What the span would take; nanoseconds.
    pub(crate) fn duration(&self, span: u32) -> u64 {
        self.durations[span as usize]
    }

    /// From the start of the root above a span until the span has got as far as it was at some time; nanoseconds.
    pub(crate) fn time_to(&self, span: u32, until: u64) -> u64 {
        let waits = self.waits;
        let mut time = self.reach(span, waits.inside(span, until), waits.node(span).tail_place);
        let mut at = span;
        while let Some(parent) = waits.node(at).parent {
            time += self.reach(parent, waits.node(at).start, waits.lead_place(parent, at));
            at = parent;
        }
        time
    }

    /// From the start of a span until it has got as far as it was at some time.
    fn reach(&self, span: u32, until: u64, place: u32) -> u64 {
        let waits = self.waits;
        let had_ended = waits.ends(span).iter().take_while(|child| waits.node(**child).end <= until);
        let reached = had_ended.map(|child| self.end(*child)).max().unwrap_or(0);
        let since = waits.ended_by(span, until).map_or(waits.node(span).start, |last| waits.node(last).end);
        reached + self.kept(until - since, place)
    }

    fn kept(&self, nanos: u64, place: u32) -> u64 {
        if place == self.gone { 0 } else { nanos }
    }

    /// From the parent's start to its own end.
    fn end(&self, span: u32) -> u64 {
        self.offsets[span as usize] + self.durations[span as usize]
    }

    /// Takes the time of a span whose children are known.
    fn take(&mut self, span: u32) {
        let waits = self.waits;
        let mut ended = waits.ends(span).iter().peekable();
        let (mut reached, mut last) = (0, 0);
        for child in waits.children(span) {
            let node = waits.node(*child);
            while let Some(before) = ended.next_if(|before| waits.node(**before).end <= node.start) {
                reached = self.end(*before).max(reached);
            }
            self.offsets[*child as usize] = reached + self.kept(node.lead, node.lead_place);
            last = self.end(*child).max(last);
        }
        let node = waits.node(span);
        self.durations[span as usize] = last + self.kept(node.tail, node.tail_place);
    }
}

impl Node {
    fn of(span: &TimedSpan) -> Self {
        Self {
            start: span.start,
            end: span.end.max(span.start),
            parent: span.parent,
            first: 0,
            count: 0,
            lead: 0,
            lead_place: 0,
            tail: 0,
            tail_place: 0,
        }
    }

    /// True when a parent can wait for it.
    fn is_there(&self) -> bool {
        self.start < self.end
    }
}

/// The places of a list with parents, so that each comes after its parent; what is on a ring or below one is left out.
pub(crate) fn parents_first(parents: &[Option<u32>]) -> Vec<u32> {
    let mut first = vec![0_u32; parents.len() + 1];
    for parent in parents.iter().flatten() {
        first[*parent as usize + 1] += 1;
    }
    for at in 1..first.len() {
        first[at] += first[at - 1];
    }
    let mut next = first.clone();
    let mut children = vec![0_u32; first.last().map_or(0, |count| *count as usize)];
    for (child, parent) in (0..).zip(parents) {
        if let Some(parent) = parent {
            children[next[*parent as usize] as usize] = child;
            next[*parent as usize] += 1;
        }
    }
    let mut order: Vec<u32> = (0..).zip(parents).filter(|(_, parent)| parent.is_none()).map(|(at, _)| at).collect();
    let mut at = 0;
    while let Some(parent) = order.get(at).map(|parent| *parent as usize) {
        order.extend_from_slice(&children[first[parent] as usize..first[parent + 1] as usize]);
        at += 1;
    }
    order
}

/// What is on a ring of parents is nobody's child.
fn cut_rings(nodes: &mut [Node], order: &[u32]) {
    let mut is_reached = vec![false; nodes.len()];
    order.iter().for_each(|span| is_reached[*span as usize] = true);
    for (node, _) in nodes.iter_mut().zip(is_reached).filter(|(_, is_reached)| !is_reached) {
        node.parent = None;
    }
}

/// Ends a child where the next begins that takes over from it, if they overlap by no more than clocks are off.
fn hand_over(nodes: &mut [Node], by_start: &[u32], tolerance: u64) {
    let tolerance = tolerance.min(TOLERANCE_NANOS);
    if by_start.len() < 2 || tolerance == 0 {
        return;
    }
    let mut ends = SmallVec::<[(u32, u64); 4]>::new();
    for child in by_start {
        let node = &nodes[*child as usize];
        let from = node.end.saturating_sub(tolerance).max(node.start + 1);
        let after = by_start.partition_point(|other| nodes[*other as usize].start < from);
        let mut others = by_start[after..].iter().map(|other| &nodes[*other as usize]).take(TAKE_OVERS);
        if let Some(next) = others.find(|other| other.start >= node.end || other.end >= node.end)
            && next.start < node.end
        {
            ends.push((*child, next.start));
        }
    }
    for (child, end) in ends {
        nodes[child as usize].end = end;
    }
}
