//! One looked-at trace as trees of spans that wait for each other, each span with the place that its own time counts for.
//!
//! ```text
//!   span of a function         Own
//!   start of an instance       ColdStart: a span that shows it, or what the caller of a cold run waits before it
//!   client, callee is here     Gap
//!   client, names a resource   Resource
//!   client, neither            Peer
//! ```
//!
//! What stands below a client in the same run, as its attempts or the request that it makes, counts for the same place
//! unless it says more. Messages part trees: nobody waits for who handles one. What is made of it is
//! `timing/profile.rs`'s.

use rustc_hash::FxHashMap;

use super::{
    Seen,
    skew::{Round, Skews},
};
use crate::{
    critical_path::{TimedSpan, Waits, parents_first},
    generations::Generations,
    identity::Function,
    record::Place,
    shard::kept::{SpanRecord, is_one_process},
    snapshot::{EdgeKind, NodeId},
    span::SpanKind,
};

/// A looked-at trace.
pub(super) struct Trace<'a> {
    pub(super) spans: &'a [Seen],
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) places: Vec<Place>,
    pub(super) waits: Waits,
    /// The spans of each tree side by side, parents first.
    pub(super) by_tree: Vec<u32>,
    /// By span that begins a cold run, the place of the start.
    cold_starts: Vec<Option<u32>>,
}

/// What a span is within its trace.
pub(super) struct Node<'a> {
    pub(super) function: &'a Function,
    /// The span above it, whether that waits or not.
    pub(super) parent: Option<u32>,
    /// The span that begins its run of a function.
    pub(super) entry: u32,
    /// The topmost span that waits for it.
    pub(super) tree: u32,
    pub(super) place: u32,
    /// The run that a client waits for.
    pub(super) callee: Option<u32>,
    /// True when nobody waits for it although somebody caused it.
    pub(super) is_async: bool,
    /// True where its run started an instance; kept at the entry.
    pub(super) is_cold: bool,
    /// True when its parent was not looked at, so that it may lack others as well.
    pub(super) is_fragment: bool,
    /// By its caller's clock, nanoseconds.
    pub(super) start: u64,
    pub(super) end: u64,
}

/// Traces with no more spans are looked through from the beginning.
const FEW: usize = 16;

/// How many nanoseconds the clock of each span is ahead of that of its root.
type Shifts = Vec<i64>;

impl<'a> Trace<'a> {
    /// Puts the spans of a trace together. What became known of them since they came is in `kept`. Of a trace with too
    /// many spans only those that begin runs are there.
    pub(super) fn of(
        spans: &'a [Seen],
        is_reduced: bool,
        kept: &'a Generations<SpanRecord>,
        skews: &mut Skews,
    ) -> Self {
        let mut nodes = resolve(spans, is_reduced, kept);
        let parents: Vec<Option<u32>> = nodes.iter().map(|node| node.parent).collect();
        let order = parents_first(&parents);
        if order.len() < nodes.len() {
            part_rings(&mut nodes, &order);
        }
        let mut shifts = vec![0; nodes.len()];
        for at in &order {
            stand(*at, spans, &mut nodes, skews, &mut shifts);
        }
        for at in order.iter().rev() {
            tell_callers(*at, spans, &mut nodes);
        }
        let mut places = Places::default();
        for at in &order {
            nodes[*at as usize].place = places.number(place_of(*at, spans, &nodes, &places.list));
        }
        let start_of = |(at, node): (u32, &Node<'_>)| {
            (node.is_cold && node.entry == at).then(|| places.number(Place::ColdStart(node.function.id)))
        };
        let cold_starts: Vec<Option<u32>> = (0..).zip(&nodes).map(start_of).collect();
        let mut by_tree = order;
        by_tree.sort_by_key(|at| nodes[*at as usize].tree);
        Self { spans, waits: wait(&nodes, &cold_starts), nodes, places: places.list, by_tree, cold_starts }
    }

    pub(super) fn node(&self, at: u32) -> &Node<'a> {
        &self.nodes[at as usize]
    }

    pub(super) fn span(&self, at: u32) -> &'a Seen {
        &self.spans[at as usize]
    }

    /// The place of the start of the instance, for a span that begins a cold run.
    pub(super) fn cold_start(&self, at: u32) -> Option<u32> {
        self.cold_starts[at as usize]
    }

    /// The trees, each with its spans, the root first.
    pub(super) fn trees(&self) -> impl Iterator<Item = &[u32]> {
        self.by_tree.chunk_by(|one, next| self.node(*one).tree == self.node(*next).tree)
    }

    /// The spans of the tree with this root.
    pub(super) fn tree(&self, root: u32) -> &[u32] {
        let from = self.by_tree.partition_point(|at| self.node(*at).tree < root);
        let to = self.by_tree.partition_point(|at| self.node(*at).tree <= root);
        &self.by_tree[from..to]
    }

    /// True when it is inside a client that counts for the same place.
    pub(super) fn is_inside(&self, at: u32) -> bool {
        let node = self.node(at);
        let is_same = |parent: u32| self.node(parent).place == node.place && self.span(parent).kind.is_outbound();
        node.entry != at && node.parent.is_some_and(is_same)
    }
}

/// Places by number.
#[derive(Default)]
pub(super) struct Places {
    list: Vec<Place>,
    numbers: FxHashMap<Place, u32>,
}

impl Places {
    fn number(&mut self, place: Place) -> u32 {
        let Self { list, numbers } = self;
        if numbers.is_empty() {
            if let Some(known) = list.iter().position(|known| *known == place) {
                return known as u32;
            }
            if list.len() < FEW {
                list.push(place);
                return list.len() as u32 - 1;
            }
            numbers.extend((0..).zip(list.iter()).map(|(number, place)| (*place, number)));
        }
        *numbers.entry(place).or_insert_with(|| {
            list.push(place);
            list.len() as u32 - 1
        })
    }
}

/// Where the spans of a trace stand by their keys. Most traces are so small that a table is not worth making.
enum Index<'a> {
    Few(&'a [Seen]),
    Many(FxHashMap<u64, u32>),
}

impl<'a> Index<'a> {
    fn of(spans: &'a [Seen]) -> Self {
        if spans.len() <= FEW {
            Self::Few(spans)
        } else {
            Self::Many((0..).zip(spans).map(|(at, span)| (span.key, at)).collect())
        }
    }

    fn get(&self, key: u64) -> Option<u32> {
        match self {
            _ if key == 0 => None,
            Self::Few(spans) => spans.iter().position(|span| span.key == key).map(|at| at as u32),
            Self::Many(index) => index.get(&key).copied(),
        }
    }
}

/// Finds parent and function of each span.
fn resolve<'a>(spans: &'a [Seen], is_reduced: bool, kept: &'a Generations<SpanRecord>) -> Vec<Node<'a>> {
    let index = Index::of(spans);
    let node = |(at, span): (u32, &'a Seen)| {
        let record = kept.get(span.key);
        let above = record.map_or(span.parent, |record| record.parent);
        let mut parent = index.get(above).or_else(|| index.get(span.cause));
        let record_above = if parent.is_none() && above != 0 { kept.get(above) } else { None };
        if is_reduced && parent.is_none() {
            parent = record_above.and_then(|record| index.get(record.invocation));
        }
        Node {
            function: record.map_or(&span.function, |record| &record.function),
            parent: parent.filter(|parent| *parent != at),
            entry: at,
            tree: at,
            place: 0,
            callee: None,
            is_async: false,
            is_cold: span.is_cold,
            is_fragment: !is_reduced && record_above.is_some(),
            start: span.start,
            end: span.end,
        }
    };
    (0..).zip(spans).map(node).collect()
}

/// What stands on a ring of parents has none, and is no trace.
fn part_rings(nodes: &mut [Node<'_>], order: &[u32]) {
    let mut is_reached = vec![false; nodes.len()];
    order.iter().for_each(|at| is_reached[*at as usize] = true);
    for (node, _) in nodes.iter_mut().zip(is_reached).filter(|(_, is_reached)| !is_reached) {
        (node.parent, node.is_fragment) = (None, true);
    }
}

/// Finds out where a span stands whose parent is known to: its run, its tree, its clock.
fn stand(at: u32, spans: &[Seen], nodes: &mut [Node<'_>], skews: &mut Skews, shifts: &mut Shifts) {
    let Some(above) = nodes[at as usize].parent else { return };
    let (span, parent) = (&spans[at as usize], &spans[above as usize]);
    let (node, upper) = (&nodes[at as usize], &nodes[above as usize]);
    let calls_itself = parent.kind.is_outbound() && span.kind.is_inbound();
    let is_part = is_one_process(node.function, upper.function) && !calls_itself;
    let (upper_entry, upper_tree, upper_end) = (upper.entry, upper.tree, upper.end);
    let mut shift = shifts[above as usize];
    let is_message = !is_part && (parent.kind == SpanKind::Producer || span.kind == SpanKind::Consumer);
    let (caller, callee) = (clock(parent, upper), clock(span, node));
    if !is_part && caller != callee {
        let round = Round { caller: (parent.start, parent.end), callee: (span.start, span.end) };
        let is_round = !is_message && parent.kind == SpanKind::Client && span.is_timed && parent.is_timed;
        shift += if is_round { skews.learn(caller, callee, round) } else { skews.offset(caller, callee) };
    }
    shifts[at as usize] = shift;
    let node = &mut nodes[at as usize];
    (node.start, node.end) = (by_clock(span.start, shift), by_clock(span.end, shift));
    // Who is called and begins when its caller is done already was not waited for.
    node.is_async = is_message || !is_part && parent.kind.is_outbound() && node.start >= upper_end;
    node.tree = if node.is_async { at } else { upper_tree };
    if is_part {
        node.entry = upper_entry;
        let is_cold = node.is_cold;
        nodes[upper_entry as usize].is_cold |= is_cold;
    }
}

/// Tells the client above a run, and the client that this is inside, whom it waits for.
fn tell_callers(at: u32, spans: &[Seen], nodes: &mut [Node<'_>]) {
    let node = &nodes[at as usize];
    let callee = if node.entry == at { Some(at).filter(|_| !node.is_async) } else { node.callee };
    let Some((callee, above)) = callee.zip(node.parent) else { return };
    if spans[above as usize].kind.is_outbound() {
        nodes[above as usize].callee = Some(callee);
    }
}

/// Where the own time of a span goes whose parent knows its place.
fn place_of(at: u32, spans: &[Seen], nodes: &[Node<'_>], places: &[Place]) -> Place {
    let (span, node) = (&spans[at as usize], &nodes[at as usize]);
    let function = node.function.id;
    let above = node.parent.filter(|_| node.entry != at).map(|above| places[nodes[above as usize].place as usize]);
    if span.is_start {
        return Place::ColdStart(function);
    }
    if !span.kind.is_outbound() {
        return above.filter(|_| !span.kind.is_inbound()).unwrap_or(Place::Own(function));
    }
    if let Some(callee) = node.callee {
        return Place::Gap { source: function, target: nodes[callee as usize].function.id };
    }
    let is_waiting = |place: &Place| !matches!(place, Place::Own(_) | Place::ColdStart(_) | Place::Peer(_));
    match (span.touches.get(), span.invokes.get()) {
        (Some(resource), _) => Place::Resource { function, resource },
        (None, Some(target)) => Place::Gap { source: function, target },
        (None, None) => above.filter(is_waiting).unwrap_or(Place::Peer(function)),
    }
}

/// Who waits for whom, and where time goes that is between: before a cold run its caller waits for the instance.
fn wait(nodes: &[Node<'_>], cold_starts: &[Option<u32>]) -> Waits {
    let timed = |node: &Node<'_>| {
        let parent = node.parent.filter(|_| !node.is_async);
        TimedSpan { start: node.start, end: node.end, parent }
    };
    let spans: Vec<TimedSpan> = nodes.iter().map(timed).collect();
    let leads_to_callee = |node: &Node<'_>, next: u32| {
        node.callee.is_some_and(|callee| callee == next || nodes[next as usize].callee == Some(callee))
    };
    Waits::new(&spans, |at, next| {
        let node = &nodes[at as usize];
        let start = node.callee.and_then(|callee| cold_starts[callee as usize]);
        start.filter(|_| next.is_some_and(|next| leads_to_callee(node, next))).unwrap_or(node.place)
    })
}

/// What a span sends to.
pub(super) fn sends_to(span: &Seen) -> Option<NodeId> {
    span.touches.get().filter(|_| matches!(span.touch_kind, EdgeKind::Publish | EdgeKind::Write))
}

/// What a span was delivered by.
pub(super) fn delivered_by(span: &Seen) -> Option<NodeId> {
    span.touches.get().filter(|_| span.touch_kind == EdgeKind::Deliver)
}

/// Whose clock a span was timed by: that of its instance, or that of all of its function's where none is named.
pub(super) fn clock(span: &Seen, node: &Node<'_>) -> u64 {
    if span.instance == 0 { node.function.id.0 } else { span.instance }
}

/// A time by another clock, which this one is ahead of.
pub(super) fn by_clock(time: u64, ahead: i64) -> u64 {
    if ahead >= 0 { time.saturating_sub(ahead.unsigned_abs()) } else { time.saturating_add(ahead.unsigned_abs()) }
}
