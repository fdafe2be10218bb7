//! Throttles: calls that were refused because there were too many, of a function and by it.
//!
//! A refused call leaves no run, so it shows on the caller's span alone (`shard/limit.rs`); platforms report it too.
//! Who is refused mostly tries again: see `detect/retry.rs`. Beside them stands how many instances run at the same time
//! in the mean, by Little's law, against how many may.

use rustc_hash::FxHashMap;

use crate::{
    facts::FunctionFacts,
    measured::Measured,
    record::{EdgeDelta, EdgeKey, FunctionDelta},
    snapshot::{NodeId, Refusals, Throttles},
};

/// Callers, and nodes that are called, that are told apart.
const NODES: usize = 10;

/// The edges over which calls were refused, by the node that they lead to and by the one that they come from.
#[derive(Default)]
pub(crate) struct Refusing<'a> {
    to: FxHashMap<NodeId, Vec<(EdgeKey, &'a EdgeDelta)>>,
    from: FxHashMap<NodeId, Vec<(EdgeKey, &'a EdgeDelta)>>,
}

impl<'a> Refusing<'a> {
    /// Looks through all edges, once for all functions.
    pub(crate) fn in_time(measured: &'a Measured) -> Self {
        let mut found = Self::default();
        for (key, edge) in measured.edges.iter().filter(|(_, edge)| edge.throttles > 0.0) {
            found.to.entry(key.target).or_default().push((*key, edge));
            found.from.entry(key.source).or_default().push((*key, edge));
        }
        found
    }
}

/// Calls of a function that were refused, and those that it made, in so many seconds.
pub(crate) fn throttles(
    id: NodeId,
    function: &FunctionDelta,
    facts: &FunctionFacts,
    refusing: &Refusing<'_>,
    seconds: f64,
) -> Throttles {
    let observed = function.observed.as_deref();
    let of_it = refusing.to.get(&id).map_or(&[][..], Vec::as_slice);
    let by_it = refusing.from.get(&id).map_or(&[][..], Vec::as_slice);
    let refused_by_spans: f64 = of_it.iter().map(|(_, edge)| edge.throttles).sum();
    let refused = refused_by_spans.max(observed.map_or(0.0, |observed| observed.told_throttles as f64));
    let asked = function.invocations.max(0.0) + refused;
    let busy_seconds = function.invocations.max(0.0) * mean_ms(function) / 1_000.0;
    let running = if seconds > 0.0 { busy_seconds / seconds } else { 0.0 };
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

fn most(edges: &[(EdgeKey, &EdgeDelta)], other: impl Fn(&EdgeKey) -> NodeId) -> Vec<Refusals> {
    let refusals =
        |(key, edge): &(EdgeKey, &EdgeDelta)| Refusals { node: other(key), count: edge.throttles, calls: edge.calls };
    let mut found: Vec<Refusals> = edges.iter().map(refusals).collect();
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
        let mut spans = Story::parse("a -> b").spans;
        // It failed because others have refused it something.
        spans[2].error = true;
        spans[2].attributes.insert("error.type", Value::Text("ThrottlingException".into()));
        let found = profile_of("b", spans, Vec::new()).throttles;
        assert_eq!((found.refused, found.share, found.made, found.callers.len()), (0.0, 0.0, 0.0, 0));
    }
}
