//! Throttles: calls that were refused because there were too many, of a function and by it.
//!
//! A refused call leaves no run, so it shows on the caller's span alone (`shard/limit.rs`); platforms report it too.
//! Who is refused mostly tries again: see `detect/retry.rs`. Beside them stands how many instances run at the same time
//! in the mean, by Little's law, against how many may.

use crate::{
    facts::FunctionFacts,
    measured::Measured,
    record::{EdgeDelta, EdgeKey, FunctionDelta},
    snapshot::{EdgeKind, NodeId, Refusals, Throttles},
};

/// Callers, and nodes that are called, that are told apart.
const NODES: usize = 10;

/// Calls of a function that were refused, and those that it made.
pub(crate) fn throttles(id: NodeId, function: &FunctionDelta, facts: &FunctionFacts, measured: &Measured) -> Throttles {
    let observed = function.observed.as_deref();
    let of_it: Vec<(EdgeKey, &EdgeDelta)> = edges(measured, |key| key.target == id);
    let by_it: Vec<(EdgeKey, &EdgeDelta)> = edges(measured, |key| key.source == id);
    let refused_by_spans: f64 = of_it.iter().map(|(_, edge)| edge.throttles).sum();
    let refused = refused_by_spans.max(observed.map_or(0.0, |observed| observed.told_throttles as f64));
    let asked = function.invocations.max(0.0) + refused;
    let busy_seconds = function.invocations.max(0.0) * mean_ms(function) / 1_000.0;
    let running = if measured.seconds > 0.0 { busy_seconds / measured.seconds } else { 0.0 };
    Throttles {
        refused,
        share: if asked > 0.0 { refused / asked } else { 0.0 },
        callers: most(of_it, |key| key.source),
        made: observed.map_or(0.0, |observed| observed.refused_calls).max(0.0),
        refused_by: most(by_it, |key| key.target),
        running,
        concurrency_share: (running / f64::from(facts.concurrency.max(1))).min(1.0),
    }
}

fn edges(measured: &Measured, wanted: impl Fn(&EdgeKey) -> bool) -> Vec<(EdgeKey, &EdgeDelta)> {
    let is_asked = |key: &EdgeKey| !matches!(key.kind, EdgeKind::Deliver | EdgeKind::Message);
    measured.edges.iter().filter(|(key, _)| is_asked(key) && wanted(key)).map(|(key, edge)| (*key, edge)).collect()
}

fn most(edges: Vec<(EdgeKey, &EdgeDelta)>, other: impl Fn(&EdgeKey) -> NodeId) -> Vec<Refusals> {
    let refused = edges.into_iter().filter(|(_, edge)| edge.throttles > 0.0);
    let mut found: Vec<Refusals> =
        refused.map(|(key, edge)| Refusals { node: other(&key), count: edge.throttles, calls: edge.calls }).collect();
    found.sort_by(|a, b| b.count.total_cmp(&a.count).then_with(|| a.node.cmp(&b.node)));
    found.truncate(NODES);
    found
}

fn mean_ms(function: &FunctionDelta) -> f64 {
    function.duration.sum().unwrap_or_default() / function.duration.count().max(1) as f64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{
        attribute::{Attributes, Value},
        facts::FactRecord,
        fixture::{START, Story},
        identity::Resource,
        profile::tests::profile_of,
        span::EventTime,
    };

    /// A function of AWS, which is known by the name that its callers use.
    fn lambda(name: &str) -> Arc<Resource> {
        let mut attributes = Attributes::default();
        for (key, value) in
            [("faas.name", name), ("cloud.provider", "aws"), ("cloud.region", "eu"), ("cloud.account.id", "1")]
        {
            attributes.insert(key, Value::Text(value.into()));
        }
        Resource::new(attributes)
    }

    /// Calls of `b` by `a` of which so many are refused, and one write to a table that is.
    fn story(calls: u64, refused: u64) -> Story {
        let mut story = Story::default();
        for call in 0..calls {
            let run = story.root("a");
            story.call(&run, "b");
            if call < refused {
                // It did not run: all that is there is who asked.
                story.spans.pop();
                story.last().error = true;
                story.say(&[("error.type", "TooManyRequestsException"), ("faas.invoked_name", "b")]);
            }
        }
        let run = story.root("a");
        story.call(&run, "t");
        story.spans.pop();
        story.last().error = true;
        story.say(&[("error.type", "ThrottlingException"), ("aws.dynamodb.table_names", "t")]);
        for span in &mut story.spans {
            span.resource = lambda(&span.name);
        }
        story
    }

    #[test]
    fn refused_calls_count_for_both_sides() {
        let profile = |name| profile_of(name, story(40, 10).spans, Vec::new());
        let (a, b) = (profile("a"), profile("b"));
        assert_eq!((b.throttles.refused, b.throttles.share), (10.0, 0.25));
        let [caller] = &b.throttles.callers[..] else { panic!("{:?}", b.throttles) };
        assert_eq!((caller.node, caller.count), (a.id, 10.0));
        assert_eq!((a.throttles.made, a.throttles.refused), (11.0, 0.0));
        let [most, table] = &a.throttles.refused_by[..] else { panic!("{:?}", a.throttles) };
        assert_eq!((most.node, most.count, table.count, table.calls), (b.id, 10.0, 1.0, 1.0));
    }

    #[test]
    fn what_the_platform_tells_is_not_counted_twice() {
        let told = |count| {
            let fact = FactRecord::about(lambda("b").function().clone(), EventTime(START.0));
            vec![FactRecord { throttled: true, ..fact }; count]
        };
        assert_eq!(profile_of("b", story(40, 10).spans, told(8)).throttles.refused, 10.0);
        assert_eq!(profile_of("b", story(40, 10).spans, told(15)).throttles.refused, 15.0);
    }

    #[test]
    fn nothing_is_refused_where_all_is_well() {
        let found = profile_of("b", Story::parse("a -> b").spans, Vec::new()).throttles;
        assert_eq!((found.refused, found.share, found.made, found.callers.len()), (0.0, 0.0, 0.0, 0));
    }
}
