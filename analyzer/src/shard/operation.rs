//! Operations that begin again below themselves, within one trace.
//!
//! Workers that hand a job to each other through a queue in memory go round without leaving their function, often
//! with spans that have no kind. So the shard keeps for each span how often its operation (function and span name)
//! occurs on the path from the root, itself included: the nearest earlier occurrence has counted all before it, so a
//! lap costs a climb over the spans of that lap and no more. What the parents of a span did is summed up in a small
//! Bloom filter, so that spans whose operation is new on their path do not climb at all.
//!
//! A direct child with the name of its parent is a wrapper and no lap, and so is the inner segment that X-Ray writes
//! of one Lambda invocation. Counts are exact where a span comes after its parent, or waits for it as spans without a
//! kind do; below a span that was taken for an entry and turned out to be none, they are lower bounds.

use std::{sync::Arc, time::Duration};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{Shard, SpanRecord};
use crate::{
    attribute::Attribute,
    canonical::{canonical, canonical_operations},
    generations::Generations,
    record::{OperationCycle, OperationLap, Record},
    snapshot::NodeId,
    span::{ArrivalTime, Span},
};

/// Spans that are climbed over to find the earlier occurrence; longer laps are not seen.
const CLIMB: usize = 64;

/// Names of operations that one shard keeps; the oldest go first and come back with their next span.
const NAMES: usize = 65_536;

/// Cycles that one shard keeps ready; they are made again when they are needed after all have gone.
const CYCLES: usize = 4_096;

/// A lap that only says through which operations a loop of functions goes is told this often for each cycle: once
/// would do, but the loop may not be known yet.
const TELL: u32 = 16;

/// What X-Ray calls the segment that the runtime of a function writes, below the segment of the service.
const INNER_SEGMENT: &str = "AWS::Lambda::Function";

/// What is kept of the operation of a span.
#[derive(Clone, Copy, Default)]
pub(super) struct Occurrence {
    /// Identifies function and name.
    operation: u64,
    /// The operations above it, as a Bloom filter.
    above: u64,
    /// Occurrences on the path from the root, this one included.
    count: u32,
    /// True for the inner of two segments of one invocation.
    is_inner: bool,
}

/// What one shard knows of operations.
pub(super) struct Operations {
    names: Generations<Arc<str>>,
    /// With the times each was told of.
    cycles: FxHashMap<u64, (Arc<OperationCycle>, u32)>,
}

/// One span of a lap.
struct Step {
    operation: u64,
    function: NodeId,
    invocation: u64,
}

impl Operations {
    pub(super) fn new() -> Self {
        Self { names: Generations::new(NAMES, Duration::MAX), cycles: FxHashMap::default() }
    }

    pub(super) fn rotate(&mut self, now: ArrivalTime) {
        self.names.rotate(now);
    }

    /// What is known of the operation of a span before its parent is.
    pub(super) fn first(&mut self, function: NodeId, span: &Span) -> Occurrence {
        let operation = xxh3_64_with_seed(span.name.as_bytes(), function.0);
        if !self.names.refresh(operation) {
            self.names.insert(operation, span.name.as_ref().into());
        }
        let is_inner = span.attributes.text(Attribute::XrayOrigin) == Some(INNER_SEGMENT);
        Occurrence { operation, above: 0, count: 1, is_inner }
    }

    /// The name of an operation; `None` when it has gone.
    pub(super) fn name(&self, operation: u64) -> Option<Arc<str>> {
        self.names.get(operation).cloned()
    }

    /// The cycle through these spans, from the earlier occurrence down to the parent of the later, which belongs to
    /// `invocation`; and how often it was asked for.
    fn cycle(&mut self, steps: &[Step], invocation: u64) -> Option<(Arc<OperationCycle>, u32)> {
        let mut bytes = SmallVec::<[u8; 256]>::new();
        for step in steps {
            bytes.extend_from_slice(&step.operation.to_le_bytes());
        }
        let functions = function_cycle(steps, invocation);
        for function in &functions {
            bytes.extend_from_slice(&function.0.to_le_bytes());
        }
        let key = xxh3_64(&bytes);
        if let Some((known, told)) = self.cycles.get_mut(&key) {
            *told = told.saturating_add(1);
            return Some((Arc::clone(known), *told));
        }
        let named: Option<Vec<(NodeId, Arc<str>)>> =
            steps.iter().map(|step| Some((step.function, Arc::clone(self.names.get(step.operation)?)))).collect();
        let (id, rotated) = canonical_operations(&named?);
        let (mut functions_of, operations): (Vec<NodeId>, Vec<Arc<str>>) = rotated.into_iter().unzip();
        functions_of.dedup();
        if functions_of.len() > 1 && functions_of.first() == functions_of.last() {
            functions_of.pop();
        }
        let function_loop = canonical(&functions).0;
        let cycle = Arc::new(OperationCycle { id, operations, functions: functions_of, function_loop });
        if self.cycles.len() >= CYCLES {
            self.cycles.clear();
        }
        self.cycles.insert(key, (Arc::clone(&cycle), 1));
        Some((cycle, 1))
    }
}

impl Occurrence {
    /// Identifies function and name.
    pub(super) fn operation(self) -> u64 {
        self.operation
    }

    /// Its place in a Bloom filter: two bits, so that a path of ten operations lets one of ten new ones climb in vain.
    fn bits(self) -> u64 {
        1 << (self.operation & 63) | 1 << (self.operation >> 6 & 63)
    }
}

impl Shard {
    /// Counts how often the operation of a span occurs on its path, now that its parent is known.
    pub(super) fn follow_operation(&mut self, key: u64, span: &SpanRecord, parent: &SpanRecord) {
        let mut own = span.occurrence;
        own.above = parent.occurrence.above | parent.occurrence.bits();
        let is_wrapper = own.operation == parent.occurrence.operation;
        if is_wrapper {
            own.count = parent.occurrence.count;
        } else if own.above & own.bits() == own.bits() {
            own.count = self.climb(key, span);
        }
        if let Some(record) = self.spans.get_mut(key) {
            record.occurrence = own;
        }
    }

    /// Climbs to the nearest earlier occurrence and tells of the lap; the occurrences with this one.
    fn climb(&mut self, key: u64, span: &SpanRecord) -> u32 {
        let mut upwards = SmallVec::<[Step; 16]>::new();
        let mut at = span.parent;
        for _ in 0..CLIMB {
            let Some(above) = self.spans.get(at) else { break };
            let operation = above.occurrence.operation;
            // What repeats in between is left out, as in the cycles of functions.
            match upwards.iter().position(|step| step.operation == operation) {
                Some(place) => upwards.truncate(place + 1),
                None => upwards.push(Step { operation, function: above.function.id, invocation: above.invocation }),
            }
            if operation != span.occurrence.operation {
                at = above.parent;
                continue;
            }
            if at == key {
                // Its parents form a ring; nothing began again.
                break;
            }
            if span.occurrence.is_inner && !above.occurrence.is_inner {
                return above.occurrence.count;
            }
            let occurrences = above.occurrence.count.saturating_add(1);
            // It has just been placed, so its own record knows better than the copy.
            let invocation = self.spans.get(key).map_or(0, |span| span.invocation);
            let (start, is_covered) = (above.start, above.invocation != invocation);
            upwards.reverse();
            let cycle = self.operations.cycle(&upwards, invocation);
            let is_evidence_only = is_covered && !self.config.is_capture;
            if let Some((cycle, _)) = cycle.filter(|(_, told)| !is_evidence_only || *told <= TELL) {
                self.records.push(Record::Operation(OperationLap {
                    cycle,
                    operation,
                    trace_id: span.trace_id,
                    start,
                    nanos: span.start.0.saturating_sub(start.0),
                    occurrences,
                    sampling: span.sampling,
                    is_covered,
                }));
            }
            return occurrences;
        }
        1
    }
}

/// The functions of the invocations between the two occurrences, as the linker sees them.
fn function_cycle(steps: &[Step], invocation: u64) -> SmallVec<[NodeId; 8]> {
    let mut upwards = SmallVec::<[NodeId; 8]>::new();
    let mut last = invocation;
    for step in steps.iter().rev().filter(|step| step.invocation != invocation) {
        if std::mem::replace(&mut last, step.invocation) == step.invocation {
            continue;
        }
        match upwards.iter().position(|known| *known == step.function) {
            Some(place) => upwards.truncate(place + 1),
            None => upwards.push(step.function),
        }
    }
    upwards.reverse();
    upwards
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{
        attribute::{Attributes, Value},
        config::Config,
        engine::Engine,
        fixture::{START, analyse, resource},
        snapshot::{Loop, LoopLevel},
        span::{EventTime, Span, SpanId, SpanKind, TraceId},
    };

    /// A tree of spans of one function without kinds: each with its operation and the place of its parent.
    fn tree(nodes: &[(&str, Option<usize>)]) -> Vec<Span> {
        let id = |place: usize| SpanId((place as u64 + 1).to_be_bytes());
        (0..)
            .zip(nodes)
            .map(|(place, (name, parent))| {
                let start = START.0 + place as u64 * 1_000_000;
                Span {
                    trace_id: TraceId([1; 16]),
                    span_id: id(place),
                    parent_span_id: parent.map(id),
                    kind: SpanKind::Unspecified,
                    name: (*name).into(),
                    start: EventTime(start),
                    end: EventTime(start + 1_000_000),
                    error: false,
                    sampling: None,
                    resource: resource("worker"),
                    attributes: Attributes::default(),
                    links: Vec::new(),
                }
            })
            .collect()
    }

    fn path(names: &[&'static str]) -> Vec<Span> {
        let nodes: Vec<_> = (0..).zip(names).map(|(place, name)| (*name, usize::checked_sub(place, 1))).collect();
        tree(&nodes)
    }

    fn operation_loops(spans: Vec<Span>) -> Vec<Loop> {
        let loops = analyse(spans, 1, 7).loops;
        loops.into_iter().filter(|found| found.level == LoopLevel::Operation).collect()
    }

    #[test]
    fn workers_that_hand_a_job_to_each_other_are_a_loop() {
        let mut names = vec!["start"];
        for _ in 0..21 {
            names.extend(["fetch", "evaluate"]);
        }
        for reverse in [false, true] {
            let mut spans = path(&names);
            if reverse {
                spans.reverse();
            }
            let loops = operation_loops(spans);
            assert_eq!(loops.len(), 1);
            let operations: Vec<&str> = loops[0].operations.iter().map(AsRef::as_ref).collect();
            assert_eq!((operations, loops[0].max_depth), (vec!["evaluate", "fetch"], 20), "{reverse}");
            assert_eq!(loops[0].names, ["worker".into()]);
            assert!(!loops[0].is_covered);
            let again = operation_loops(path(&["fetch", "evaluate", "fetch"]));
            assert_eq!(again[0].id, loops[0].id, "identity does not depend on where one begins");
        }
    }

    #[test]
    fn wrappers_siblings_and_plain_paths_are_none() {
        assert_eq!(operation_loops(path(&["handle", "handle", "handle", "store"])), []);
        assert_eq!(operation_loops(path(&["a", "b", "c", "d"])), []);
        let siblings = [("a", None), ("b", Some(0)), ("b", Some(0)), ("c", Some(1)), ("c", Some(2))];
        assert_eq!(operation_loops(tree(&siblings)), []);
        let wrapped = operation_loops(path(&["a", "a", "b", "b", "a"]));
        assert_eq!((wrapped.len(), wrapped[0].max_depth), (1, 1));
    }

    #[test]
    fn the_segments_of_one_invocation_are_no_lap() {
        let mut spans = path(&["resize", "Attempt #1", "resize"]);
        assert_eq!(operation_loops(spans.clone()).len(), 1);
        spans[2].attributes.insert("aws.xray.origin", Value::Text("AWS::Lambda::Function".into()));
        assert_eq!(operation_loops(spans), []);
    }

    #[test]
    fn a_ring_of_parents_is_no_lap() {
        let mut spans = path(&["a", "b", "c"]);
        spans[0].parent_span_id = Some(spans[2].span_id);
        for kind in [SpanKind::Internal, SpanKind::Server] {
            spans.iter_mut().for_each(|span| span.kind = kind);
            assert_eq!(operation_loops(spans.clone()), []);
        }
    }

    #[test]
    fn a_lap_through_another_function_is_one_of_functions_too() {
        let mut spans = path(&["a", "call", "b", "call", "a"]);
        for span in &mut spans[2..4] {
            span.resource = resource("other");
        }
        let mut engine = Engine::new(&Config::for_capture(5), 1);
        engine.ingest(START, spans.clone());
        let loops = engine.snapshot(START).loops;
        let level = |level| loops.iter().find(|found| found.level == level).unwrap();
        assert!(level(LoopLevel::Operation).is_covered);
        let operations: Vec<&str> = level(LoopLevel::Function).operations.iter().map(AsRef::as_ref).collect();
        assert_eq!(operations.len(), 3, "{operations:?}");
        let live = analyse(spans, 1, 5).loops;
        assert_eq!((live.len(), live[0].operations.len()), (1, 3), "one loop, where nobody asks for more");
    }

    /// The most occurrences of one operation on any path, where neighbours that are the same count once.
    fn most_occurrences(nodes: &[(&str, Option<usize>)]) -> u32 {
        let occurrences = |mut at: usize| {
            let name = nodes[at].0;
            let mut count = 1;
            while let Some(parent) = nodes[at].1 {
                count += u32::from(nodes[parent].0 == name && nodes[at].0 != name);
                at = parent;
            }
            count
        };
        (0..nodes.len()).map(occurrences).max().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn depth_is_exact_in_any_order(
            nodes in prop::collection::vec((0usize..4, any::<prop::sample::Index>()), 2..60),
            order in any::<u64>(),
        ) {
            let nodes: Vec<(&str, Option<usize>)> = (0..)
                .zip(&nodes)
                .map(|(place, (name, parent))| (["a", "b", "c", "d"][*name], (place > 0).then(|| parent.index(place))))
                .collect();
            let mut spans = tree(&nodes);
            spans.sort_by_key(|span| xxhash_rust::xxh3::xxh3_64_with_seed(&span.span_id.0, order));
            let deepest = operation_loops(spans).iter().map(|found| found.max_depth).max().unwrap_or(0);
            prop_assert_eq!(deepest + 1, most_occurrences(&nodes));
        }
    }
}
