//! What was counted waits for the next tick, so that what many spans did is merged once; but a function or an edge that
//! was never told of goes on at once, so that whoever hears of a loop knows its parts.
//!
//! It does not know what was counted. Who asks is the engine, and the collector's thread of a shard.

use rustc_hash::FxHashSet;

use crate::{
    config::Config,
    record::{Delta, EdgeKey},
    snapshot::NodeId,
};

/// After so many spans a delta goes on before the tick. Merging it costs little for each of them by then, and it is some
/// megabytes at most.
const SPANS: u64 = 10_000;

/// The functions and edges that were told of.
pub(super) struct News {
    functions: FxHashSet<NodeId>,
    edges: FxHashSet<EdgeKey>,
    function_capacity: usize,
    edge_capacity: usize,
}

impl News {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            functions: FxHashSet::default(),
            edges: FxHashSet::default(),
            function_capacity: config.function_capacity,
            edge_capacity: config.edge_capacity,
        }
    }

    /// True when there is something new in what has gathered, or a lot. New is said of each but once, or again after so
    /// many others as the graph has room for.
    pub(super) fn are_in(&mut self, delta: &mut Delta) -> bool {
        let mut is_new = false;
        for function in delta.begun.functions.drain(..) {
            is_new |= remember(&mut self.functions, function, self.function_capacity);
        }
        for edge in delta.begun.edges.drain(..) {
            is_new |= remember(&mut self.edges, edge, self.edge_capacity);
        }
        is_new || delta.losses.spans >= SPANS
    }
}

/// Adds one to those that are known; true when it was not.
fn remember<T: Eq + std::hash::Hash>(known: &mut FxHashSet<T>, one: T, capacity: usize) -> bool {
    if known.contains(&one) {
        return false;
    }
    if known.len() >= capacity {
        known.clear();
    }
    known.insert(one)
}

#[cfg(test)]
mod tests {
    use crate::{
        config::Config,
        engine::Engine,
        fixture::{START, Story},
        shard::Shard,
        span::Span,
    };

    /// The spans of a story in traces of their own.
    fn told(story: &str, trace: u8) -> Vec<Span> {
        let mut spans = Story::parse(story).spans;
        spans.iter_mut().for_each(|span| span.trace_id.0[0] = trace);
        spans
    }

    #[test]
    fn what_is_new_is_due_at_once_and_what_is_known_with_the_tick() {
        let mut shard = Shard::new(&Config::recommended(), 1);
        let mut is_due = |spans| {
            shard.ingest(START, spans);
            let is_due = shard.is_due();
            assert_eq!(shard.is_due(), is_due && shard.delta.losses.spans >= super::SPANS, "new things are new once");
            let delta = if is_due { shard.take_delta() } else { Default::default() };
            (is_due, delta.functions.len(), delta.edges.len())
        };
        assert_eq!(is_due(told("a", 1)), (true, 1, 0));
        assert_eq!(is_due(told("a", 2)), (false, 0, 0));
        assert_eq!(is_due(told("a -> b", 3)), (true, 2, 1), "what was known before goes along");
        assert_eq!(is_due(told("a -> b", 4)), (false, 0, 0));
        assert_eq!(is_due(told("b -> a", 5)), (true, 2, 2), "the edge is new");
        let many = (0..super::SPANS).flat_map(|_| told("a", 6)).collect();
        assert_eq!(is_due(many), (true, 1, 0), "it is much");
    }

    #[test]
    fn who_hears_of_a_loop_knows_its_parts() {
        let mut engine = Engine::new(&Config::recommended(), 4);
        engine.ingest(START, Story::parse("a ~> b ~> a ~> b ~> a").spans);
        let found = engine.loops();
        assert_eq!(found.iter().map(|found| found.names.concat()).collect::<Vec<_>>(), ["ab"]);
    }
}
