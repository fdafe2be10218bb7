//! The spans of a trace as a tree: parents before children, siblings by start, laps counted on the way down.
//!
//! Traces come from outside: parents may be missing or form a ring, and a chain of spans may be as long as the trace.
//! So a span whose parent is missing is a root, a ring is opened at its earliest span, and nothing here recurses.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use loopscope_analyzer::{
    snapshot::NodeId,
    span::{EventTime, SpanId, SpanKind, TraceId},
};
use loopscope_proto::v1;
use opentelemetry_proto::tonic::{
    resource::v1::Resource,
    trace::v1::{Span, status::StatusCode},
};

use super::{Identity, SPANS_SHOWN, attributes};
use crate::convert;

const NANOS_PER_MILLI: f64 = 1e6;

/// A span in the tree, by index.
struct Node<'a> {
    id: SpanId,
    parent: Option<SpanId>,
    span: &'a Span,
    identity: Identity,
    kind: SpanKind,
}

/// Builds the answer. O(n log n); spans without a proper id are left out, and of several with one id the first counts.
pub(in crate::api) fn build(
    trace_id: TraceId,
    spans: &[(Arc<Resource>, Span)],
    identify: &dyn Fn(&Resource, &Span) -> Identity,
) -> v1::Trace {
    let mut seen = HashSet::new();
    let nodes: Vec<Node<'_>> = spans
        .iter()
        .filter_map(|(resource, span)| {
            let id = SpanId::from_wire(&span.span_id).filter(|id| seen.insert(*id))?;
            let parent = SpanId::from_wire(&span.parent_span_id);
            let kind = SpanKind::from_wire(span.kind.into());
            Some(Node { id, parent, span, identity: identify(resource, span), kind })
        })
        .collect();
    let first = nodes.iter().map(|node| node.span.start_time_unix_nano).min().unwrap_or_default();
    let walked = walk(&nodes);
    v1::Trace {
        trace_id: trace_id.to_string(),
        spans: walked.iter().take(SPANS_SHOWN).map(|step| message(&nodes[step.node], step, first)).collect(),
        truncated: nodes.len() > SPANS_SHOWN,
        spans_total: nodes.len() as u64,
        ..v1::Trace::default()
    }
}

/// One span on the way through the tree.
struct Step {
    node: usize,
    level: u32,
    is_entry: bool,
    lap: u32,
}

/// All spans, parents before children.
fn walk(nodes: &[Node<'_>]) -> Vec<Step> {
    let by_id: HashMap<SpanId, usize> = nodes.iter().enumerate().map(|(at, node)| (node.id, at)).collect();
    let parent_of: Vec<Option<usize>> =
        nodes.iter().map(|node| node.parent.and_then(|parent| by_id.get(&parent).copied())).collect();
    let mut in_order: Vec<usize> = (0..nodes.len()).collect();
    in_order.sort_unstable_by_key(|at| (nodes[*at].span.start_time_unix_nano, nodes[*at].id));
    let mut children = vec![Vec::new(); nodes.len()];
    for at in &in_order {
        if let Some(parent) = parent_of[*at] {
            children[parent].push(*at);
        }
    }
    let mut walk = Walk { nodes, children, visited: vec![false; nodes.len()], steps: Vec::new() };
    let roots = ring_openers(&in_order, &parent_of).into_iter();
    let mut roots: Vec<usize> = roots.chain(in_order.iter().copied().filter(|at| parent_of[*at].is_none())).collect();
    roots.sort_unstable_by_key(|at| (nodes[*at].span.start_time_unix_nano, nodes[*at].id));
    for root in roots {
        walk.down_from(root);
    }
    walk.steps
}

/// The earliest span of each ring of parents. O(n): no span is passed twice.
fn ring_openers(in_order: &[usize], parent_of: &[Option<usize>]) -> Vec<usize> {
    let mut rank = vec![0; in_order.len()];
    for (place, at) in in_order.iter().enumerate() {
        rank[*at] = place;
    }
    // The number of the walk that passed a span first.
    let mut passed_by = vec![usize::MAX; in_order.len()];
    let mut openers = Vec::new();
    for start in in_order {
        let mut at = *start;
        while passed_by[at] == usize::MAX {
            passed_by[at] = *start;
            match parent_of[at] {
                Some(parent) => at = parent,
                None => break,
            }
        }
        // Back at a span of this very walk, which did not end at a root: a ring.
        if passed_by[at] == *start && parent_of[at].is_some() {
            let mut earliest = at;
            let mut next = parent_of[at];
            while let Some(member) = next.filter(|member| *member != at) {
                if rank[member] < rank[earliest] {
                    earliest = member;
                }
                next = parent_of[member];
            }
            openers.push(earliest);
        }
    }
    openers
}

struct Walk<'a> {
    nodes: &'a [Node<'a>],
    children: Vec<Vec<usize>>,
    visited: Vec<bool>,
    steps: Vec<Step>,
}

/// What the walk does next.
enum Move {
    /// Goes down into a span, below a parent with the invocation that is under way there.
    Enter { node: usize, level: u32, parent: Option<usize>, in_invocation: bool },
    /// Comes back from the entry of a function.
    Leave(NodeId),
}

impl Walk<'_> {
    fn down_from(&mut self, root: usize) {
        let mut entries: HashMap<NodeId, u32> = HashMap::new();
        let mut stack = vec![Move::Enter { node: root, level: 0, parent: None, in_invocation: false }];
        while let Some(next) = stack.pop() {
            let (node, level, parent, in_invocation) = match next {
                Move::Enter { node, level, parent, in_invocation } => (node, level, parent, in_invocation),
                Move::Leave(function) => {
                    if let Some(count) = entries.get_mut(&function) {
                        *count -= 1;
                    }
                    continue;
                }
            };
            if std::mem::replace(&mut self.visited[node], true) {
                continue;
            }
            let function = self.nodes[node].identity.id;
            let goes_on = parent.is_some_and(|parent| self.nodes[parent].identity.id == function) && in_invocation;
            let is_entry = self.is_entry(node, parent, goes_on);
            let count = entries.entry(function).or_default();
            // A span inside of an invocation is on the same lap as its entry.
            let lap = if is_entry { *count } else { count.saturating_sub(1) };
            self.steps.push(Step { node, level, is_entry, lap });
            if is_entry {
                *count += 1;
                stack.push(Move::Leave(function));
            }
            // What leaves the function ends the invocation for those below, even if they are the same function.
            let in_invocation = (goes_on || is_entry) && !self.nodes[node].kind.is_outbound();
            let below = self.children[node].iter().rev();
            stack.extend(below.map(|child| Move::Enter {
                node: *child,
                level: level + 1,
                parent: Some(node),
                in_invocation,
            }));
        }
    }

    /// True for a span that enters a function, unless it is inside of an invocation of the same; a span without kind
    /// enters one when it has no parent or a parent of another function.
    fn is_entry(&self, node: usize, parent: Option<usize>, goes_on: bool) -> bool {
        let node = &self.nodes[node];
        match node.kind {
            SpanKind::Server | SpanKind::Consumer => !goes_on,
            SpanKind::Unspecified => parent.is_none_or(|parent| self.nodes[parent].identity.id != node.identity.id),
            SpanKind::Internal | SpanKind::Client | SpanKind::Producer => false,
        }
    }
}

fn message(node: &Node<'_>, step: &Step, first_nanos: u64) -> v1::TraceSpan {
    let span = node.span;
    let millis = |from: u64, to: u64| to.saturating_sub(from) as f64 / NANOS_PER_MILLI;
    let status = span.status.as_ref();
    v1::TraceSpan {
        span_id: node.id.to_string(),
        parent_span_id: node.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        level: step.level,
        function: node.identity.name.to_string(),
        function_id: node.identity.id.to_string(),
        name: span.name.clone(),
        kind: node.kind.word().to_owned(),
        start: convert::event_time(EventTime(span.start_time_unix_nano)),
        offset_ms: millis(first_nanos, span.start_time_unix_nano),
        duration_ms: millis(span.start_time_unix_nano, span.end_time_unix_nano),
        error: status.is_some_and(|status| status.code == StatusCode::Error as i32),
        status_message: status.map(|status| status.message.clone()).unwrap_or_default(),
        entry: step.is_entry,
        lap: step.lap,
        attributes: attributes::texts(&span.attributes),
        links: span.links.iter().filter_map(link).collect(),
    }
}

fn link(link: &opentelemetry_proto::tonic::trace::v1::span::Link) -> Option<v1::SpanRef> {
    let (trace_id, span_id) = (TraceId::from_wire(&link.trace_id)?, SpanId::from_wire(&link.span_id)?);
    Some(v1::SpanRef { trace_id: trace_id.to_string(), span_id: span_id.to_string() })
}

#[cfg(test)]
mod tests;
