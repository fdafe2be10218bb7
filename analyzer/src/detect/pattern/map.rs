//! Who causes what: functions with what comes in and what goes out, resources as the ways between them.
//!
//! Where messages were followed from sender to receiver, that says who sends to whom, also where several share a queue
//! or a bucket. Who sends to a resource and was never followed from there is taken to send to all whom it delivers to
//! more than others explain: a copy to each, but from a queue, whose receivers share what comes.

use std::collections::BTreeMap;

use super::{Surroundings, named};
use crate::{
    measured::Measured,
    record::{EdgeKey, FunctionDelta},
    snapshot::{EdgeKind, NamedNode, NodeId, ResourceKind},
};

/// What carries less of what comes to a function, or goes from it, is no edge of a pattern.
pub(super) const EDGE_SHARE: f64 = 0.05;

/// Functions with their edges.
pub(super) struct Map<'a> {
    pub(super) measured: &'a Measured,
    pub(super) around: &'a Surroundings,
    /// Functions that ran.
    pub(super) nodes: BTreeMap<NodeId, Node<'a>>,
    /// Resources that deliver to a function, with what they deliver to each.
    pub(super) deliveries: BTreeMap<NodeId, Vec<(NodeId, f64)>>,
    /// Functions that resources deliver to, with what each delivers.
    pub(super) sources: BTreeMap<NodeId, Vec<(NodeId, f64)>>,
}

/// A function that ran.
pub(super) struct Node<'a> {
    pub(super) id: NodeId,
    pub(super) counts: &'a FunctionDelta,
    /// Functions that cause its runs, by calls and by messages.
    pub(super) ins: Vec<Way>,
    /// What its runs cause, by calls and by messages.
    pub(super) outs: Vec<Way>,
    /// Resources that it uses without causing anything by that.
    pub(super) stores: Vec<(NodeId, f64)>,
}

/// What goes from one function to another, or to a resource that is not known to deliver to anybody.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Way {
    /// The other function.
    pub(super) function: Option<NodeId>,
    /// The resource between the two.
    pub(super) over: Option<NodeId>,
    /// True for calls, which are waited for.
    pub(super) is_call: bool,
    /// Calls or messages.
    pub(super) count: f64,
}

/// Messages that were followed from their sender to their receiver, by the resource between them.
#[derive(Default)]
struct Followed {
    sent: BTreeMap<(NodeId, NodeId), f64>,
    delivered: BTreeMap<(NodeId, NodeId), f64>,
}

impl<'a> Map<'a> {
    pub(super) fn of(measured: &'a Measured, around: &'a Surroundings) -> Self {
        let ran = measured.functions.iter().filter(|(_, counts)| counts.invocations > 0.0);
        let nodes = ran
            .map(|(id, counts)| (*id, Node { id: *id, counts, ins: vec![], outs: vec![], stores: vec![] }))
            .collect();
        let mut map = Self { measured, around, nodes, deliveries: BTreeMap::new(), sources: BTreeMap::new() };
        for (key, edge) in measured.edges.iter().filter(|(key, _)| key.kind == EdgeKind::Deliver) {
            map.deliveries.entry(key.source).or_default().push((key.target, edge.calls));
            map.sources.entry(key.target).or_default().push((key.source, edge.calls));
        }
        for (source, target, way) in map.ways() {
            if let Some(node) = map.nodes.get_mut(&source) {
                node.outs.push(way);
            }
            if let Some(node) = target.and_then(|target| map.nodes.get_mut(&target)) {
                node.ins.push(Way { function: Some(source), ..way });
            }
        }
        for (key, edge) in &measured.edges {
            let is_store =
                key.kind == EdgeKind::Read || key.kind == EdgeKind::Write && !map.deliveries.contains_key(&key.target);
            if let Some(node) = map.nodes.get_mut(&key.source).filter(|_| is_store) {
                node.stores.push((key.target, edge.calls));
            }
        }
        map
    }

    /// The name of a function or a resource.
    pub(super) fn name(&self, id: NodeId) -> NamedNode {
        let function = self.measured.functions.get(&id).map(|counts| &counts.function.name);
        named(id, function.or_else(|| self.around.resources.get(&id).map(|resource| &resource.name)))
    }

    /// All ways with their ends.
    fn ways(&self) -> Vec<(NodeId, Option<NodeId>, Way)> {
        let mut ways = Vec::new();
        let mut followed = Followed::default();
        for ((source, target), handover) in &self.measured.passing.handovers {
            let over = self.carrier(*source, *target);
            if let Some(over) = over {
                *followed.delivered.entry((over, *target)).or_default() += handover.messages;
                *followed.sent.entry((*source, over)).or_default() += handover.messages;
            }
            let way = Way { function: Some(*target), over, is_call: false, count: handover.messages };
            ways.push((*source, Some(*target), way));
        }
        for (key, edge) in &self.measured.edges {
            let way = Way { function: Some(key.target), over: None, is_call: true, count: edge.calls };
            match key.kind {
                EdgeKind::Call => ways.push((key.source, Some(key.target), way)),
                EdgeKind::Message if !self.measured.passing.handovers.contains_key(&(key.source, key.target)) => {
                    ways.push((key.source, Some(key.target), Way { is_call: false, ..way }));
                }
                EdgeKind::Publish | EdgeKind::Write => self.unfollowed(*key, edge.calls, &followed, &mut ways),
                _ => {}
            }
        }
        ways
    }

    /// What is sent to a resource, as far as no message to its receivers was followed.
    fn unfollowed(&self, key: EdgeKey, count: f64, followed: &Followed, ways: &mut Vec<(NodeId, Option<NodeId>, Way)>) {
        let way = Way { function: None, over: Some(key.target), is_call: false, count };
        if followed.sent.contains_key(&(key.source, key.target)) {
            return;
        }
        let others = |target| followed.delivered.get(&(key.target, target)).copied().unwrap_or_default();
        let deliveries = self.deliveries.get(&key.target).map(Vec::as_slice).unwrap_or_default();
        let unexplained: Vec<(NodeId, f64)> = deliveries
            .iter()
            .map(|(target, count)| (*target, *count, count - others(*target)))
            .filter(|(_, count, left)| *left > EDGE_SHARE * count)
            .map(|(target, _, left)| (target, left))
            .collect();
        let all: f64 = unexplained.iter().map(|(_, left)| left).sum();
        for (target, left) in &unexplained {
            let part = if self.is_shared(key.target) { left / all } else { 1.0 };
            ways.push((key.source, Some(*target), Way { function: Some(*target), count: part * count, ..way }));
        }
        // What is written and triggers nobody is state.
        if unexplained.is_empty() && key.kind == EdgeKind::Publish {
            ways.push((key.source, None, way));
        }
    }

    /// True for a queue: each of its messages goes to one of its receivers.
    fn is_shared(&self, resource: NodeId) -> bool {
        self.around.resources.get(&resource).is_some_and(|it| it.kind == ResourceKind::Queue)
    }

    /// The resource over which most goes from one function to another.
    fn carrier(&self, source: NodeId, target: NodeId) -> Option<NodeId> {
        let first = EdgeKey { source, target: NodeId(0), kind: EdgeKind::Call };
        self.measured
            .edges
            .range(first..)
            .take_while(|(key, _)| key.source == source)
            .filter(|(key, _)| matches!(key.kind, EdgeKind::Publish | EdgeKind::Write))
            .filter_map(|(key, sent)| {
                let delivery = EdgeKey { source: key.target, target, kind: EdgeKind::Deliver };
                let delivered = self.measured.edges.get(&delivery)?;
                Some((sent.calls.min(delivered.calls), key.target))
            })
            .max_by(|(a, one), (b, other)| a.total_cmp(b).then(other.cmp(one)))
            .map(|(_, resource)| resource)
    }
}

impl Node<'_> {
    /// Its runs.
    pub(super) fn runs(&self) -> f64 {
        self.counts.invocations
    }

    /// Its runs that sampling kept, which is what was seen of it.
    pub(super) fn seen(&self) -> f64 {
        self.counts.kept as f64
    }

    /// What comes in from functions and counts.
    pub(super) fn main_ins(&self) -> Vec<Way> {
        main(&self.ins)
    }

    /// What goes out and counts.
    pub(super) fn main_outs(&self) -> Vec<Way> {
        main(&self.outs)
    }

    /// The messages that it sends and that count among its messages, however often it calls.
    pub(super) fn main_messages(&self) -> Vec<Way> {
        let messages: Vec<Way> = self.outs.iter().filter(|way| !way.is_call).copied().collect();
        main(&messages)
    }

    /// Calls and messages that started its runs, from outside as well: a run that handles several is several.
    pub(super) fn came_in(&self) -> f64 {
        let nature = &self.counts.nature;
        self.runs() + (nature.messages - nature.deliveries).max(0.0)
    }
}

/// Ways that carry their share.
fn main(ways: &[Way]) -> Vec<Way> {
    let total: f64 = ways.iter().map(|way| way.count).sum();
    ways.iter().filter(|way| way.count >= EDGE_SHARE * total && way.count > 0.0).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Call, Delta},
        sampling::Sampling,
        snapshot::ResourceNode,
        span::TraceId,
    };

    const RESOURCE: NodeId = NodeId(100);

    /// Senders and receivers of one resource, with how much each sends or is delivered, and the ways that are found.
    fn ways(kind: ResourceKind, senders: &[u64], receivers: &[u64]) -> Vec<(u64, u64, f64)> {
        let mut delta = Delta::default();
        let mut count = |source, target, kind, count| {
            let call = Call {
                duration_ms: 1.0,
                server_ms: None,
                error: false,
                throttled: false,
                trace_id: TraceId([1; 16]),
                confidence: 1.0,
                sampling: Sampling::ALWAYS,
            };
            (0..count).for_each(|_| delta.call(EdgeKey { source, target, kind }, &call));
        };
        for (id, sent) in (1..).zip(senders) {
            count(NodeId(id), RESOURCE, EdgeKind::Publish, *sent);
        }
        for (id, delivered) in (11..).zip(receivers) {
            count(RESOURCE, NodeId(id), EdgeKind::Deliver, *delivered);
        }
        let mut measured = Measured::default();
        measured.add(0, &delta, |id| id, (100, 100));
        let node = ResourceNode { id: RESOURCE, name: "r".into(), kind, system: "".into() };
        let around = Surroundings { resources: BTreeMap::from([(RESOURCE, node)]), ..Surroundings::default() };
        let map = Map::of(&measured, &around);
        map.ways().into_iter().map(|(from, to, way)| (from.0, to.map_or(0, |to| to.0), way.count)).collect()
    }

    #[test]
    fn each_receiver_has_its_copy_of_a_topic_and_its_part_of_a_queue() {
        let sent = &[30, 10];
        let copies = [(1, 11, 30.0), (1, 12, 30.0), (2, 11, 10.0), (2, 12, 10.0)];
        assert_eq!(ways(ResourceKind::Topic, sent, &[40, 40]), copies);
        let parts = [(1, 11, 22.5), (1, 12, 7.5), (2, 11, 7.5), (2, 12, 2.5)];
        assert_eq!(ways(ResourceKind::Queue, sent, &[30, 10]), parts);
        assert_eq!(ways(ResourceKind::Queue, sent, &[4]), [(1, 11, 30.0), (2, 11, 10.0)], "several in one delivery");
        assert_eq!(ways(ResourceKind::Queue, &[5], &[]), [(1, 0, 5.0)]);
    }
}
