//! Tests of which function a span is of, and which one a caller means.

use std::{collections::HashSet, sync::Arc};

use proptest::prelude::*;

use super::Engine;
use crate::{
    attribute::{Attributes, Value},
    config::Config,
    fixture::{SECOND, START, Story, analyse, describe},
    identity::Resource,
    span::{ArrivalTime, EventTime, SpanId, SpanKind},
};

/// What Lambda's instrumentation says of a function.
fn lambda(name: &str) -> Arc<Resource> {
    let mut attributes = Attributes::default();
    let account = ("cloud.account.id", "123456789012");
    for (key, value) in [("faas.name", name), ("cloud.provider", "aws"), ("cloud.region", "eu-west-1"), account] {
        attributes.insert(key, Value::Text(value.into()));
    }
    Resource::new(attributes)
}

/// A resource with these attributes.
fn resource_of(pairs: &[(&str, &str)]) -> Arc<Resource> {
    let mut attributes = Attributes::default();
    for (key, value) in pairs {
        attributes.insert(key, Value::Text((*value).into()));
    }
    Resource::new(attributes)
}

#[test]
fn a_caller_and_a_callee_that_share_an_id_are_two_spans() {
    let mut story = Story::parse("a -> b -> c");
    // b's server span has the id of a's client span, and its parent; b's own client stands below that id.
    let (id, parent) = (story.spans[1].span_id, story.spans[1].parent_span_id);
    (story.spans[2].span_id, story.spans[2].parent_span_id) = (id, parent);
    story.spans[3].parent_span_id = Some(id);
    for rotation in 0..story.spans.len() {
        for batch in [1, 5] {
            let mut spans = story.spans.clone();
            spans.rotate_left(rotation);
            // Whoever is called exports before its caller does.
            spans.sort_by_key(|span| span.resource.function().name == story.spans[0].resource.function().name);
            spans.extend(spans.clone());
            let snapshot = analyse(spans, 1, batch);
            assert_eq!(describe(&snapshot), "a -call-> b x1\nb -call-> c x1", "{rotation} {batch}");
            assert_eq!((snapshot.losses.duplicates, snapshot.losses.orphans), (5, 0));
        }
    }
    let mut spans = story.spans.clone();
    spans.rotate_left(2);
    assert_eq!(describe(&analyse(story.spans, 1, 5)), describe(&analyse(spans, 1, 2)));
}

#[test]
fn a_host_and_its_worker_are_one_invocation() {
    let site = resource_of(&[("service.name", "shop"), ("cloud.platform", "azure_functions")]);
    // The caller's client span, the host's server span, the worker's below it, and a call out of the worker that
    // does not say which function it is of.
    for worker_kind in [SpanKind::Internal, SpanKind::Server] {
        let mut story = Story::parse("caller -> host -> other");
        story.spans[2].resource = site.clone();
        story.spans[3].resource = site.clone();
        story.spans[3].name = "POST other".into();
        let mut worker = story.spans[2].clone();
        worker.kind = worker_kind;
        worker.name = "function Order".into();
        worker.parent_span_id = Some(worker.span_id);
        worker.span_id = SpanId([9; 8]);
        story.spans[3].parent_span_id = Some(worker.span_id);
        story.spans.push(worker);
        for rotation in 0..story.spans.len() {
            for (batch, reverse) in [(1, false), (1, true), (9, false), (2, true)] {
                let mut spans = story.spans.clone();
                spans.rotate_left(rotation);
                if reverse {
                    spans.reverse();
                }
                let snapshot = analyse(spans, 1, batch);
                let found = describe(&snapshot);
                assert_eq!(found, "Order -call-> other x1\ncaller -call-> Order x1", "{rotation} {batch} {reverse}");
                assert_eq!(snapshot.functions.len(), 3);
            }
        }
    }
}

#[test]
fn a_host_without_a_worker_is_an_invocation_of_its_app() {
    let mut story = Story::parse("caller -> host");
    story.spans[2].resource = resource_of(&[("service.name", "shop"), ("cloud.platform", "azure_functions")]);
    assert_eq!(describe(&analyse(story.spans, 1, 1)), "caller -call-> shop x1");
}

#[test]
fn a_function_that_is_told_more_of_later_stays_one() {
    let kinds = tellings();
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
        let mut story = Story::parse("f ~> f ~> f ~> f ~> f ~> f");
        // Each run is a consumer, and the producer of the next.
        for (at, span) in story.spans.iter_mut().enumerate() {
            span.resource = kinds[order[at / 2 % 3]].clone();
        }
        for shards in [1, 4] {
            let snapshot = analyse(story.spans.clone(), shards, 1);
            let functions = &snapshot.functions;
            assert_eq!((functions.len(), functions[0].invocations, functions[0].aliases.len()), (1, 6, 2));
            assert_eq!(snapshot.edges.iter().map(|edge| edge.calls).collect::<Vec<_>>(), [5], "{order:?}");
            let first = kinds[order[0]].function().id;
            assert_eq!((snapshot.loops[0].max_depth, snapshot.loops[0].functions.as_slice()), (5, &[first][..]));
            assert_eq!(functions[0].id, first, "the oldest id stays");
        }
    }
}

#[test]
fn a_function_that_is_invoked_by_name_is_joined_by_the_time() {
    for (invoked, by_parent) in
        [("b", false), ("b", true), ("b:live", false), ("arn:aws:lambda:eu-west-1:123456789012:function:b:7", false)]
    {
        let mut story = Story::parse(if by_parent { "a -> b" } else { "a => b" });
        for span in &mut story.spans {
            let name = span.resource.function().name.clone();
            span.resource = lambda(&name);
            span.attributes = Attributes::default();
        }
        story.spans[1].attributes.insert("faas.invoked_name", Value::Text(invoked.into()));
        for order in [false, true] {
            if order {
                story.spans.reverse();
            }
            let snapshot = analyse(story.spans.clone(), 4, 1);
            assert_eq!(describe(&snapshot), "a -call-> b x1", "{invoked}");
            let confidence = snapshot.edges[0].confidence;
            assert_eq!(confidence == 1.0, by_parent, "{confidence}");
        }
    }
}

#[test]
fn what_a_known_invocation_answers_is_no_cause_of_another() {
    // a calls b by name and b knows its parent; shortly after, somebody else runs b.
    for (story, queue) in [("a -> b -> c\nb", false), ("a ~q~> b -> c\nb", true)] {
        let mut story = Story::parse(story);
        for span in &mut story.spans {
            let name = span.resource.function().name.clone();
            span.resource = lambda(&name);
        }
        let own = story.spans[2].clone();
        let stranger = story.spans.last_mut().unwrap();
        stranger.start = EventTime(own.start.0 + 100_000_000);
        if queue {
            (stranger.kind, stranger.attributes) = (own.kind, own.attributes);
            (story.spans[2].trace_id, story.spans[2].parent_span_id, story.spans[2].links) =
                (story.spans[1].trace_id, Some(story.spans[1].span_id), Vec::new());
        } else {
            story.spans[1].attributes.insert("faas.invoked_name", Value::Text("b".into()));
        }
        for reverse in [false, true] {
            if reverse {
                story.spans.reverse();
            }
            let mut engine = Engine::new(&Config::recommended(), 1);
            engine.ingest(START, story.spans.clone());
            (0..4).for_each(|at| engine.tick(ArrivalTime(START.0 + at * 10 * SECOND)));
            let causes: Vec<bool> = story
                .spans
                .iter()
                .filter(|span| span.resource.function().name.as_ref() == "b" && span.kind.is_inbound())
                .map(|span| {
                    engine.linker().cause_of(crate::record::SpanKey::new(span.trace_id, span.span_id)).is_some()
                })
                .collect();
            assert_eq!(causes, if reverse { [false, true] } else { [true, false] }, "{queue}");
        }
    }
}

/// One function, told of by its name alone, with its region, and by its ARN.
fn tellings() -> [Arc<Resource>; 3] {
    let arn = ("cloud.resource_id", "arn:aws:lambda:eu-west-1:123456789012:function:f");
    let region = [("faas.name", "f"), ("cloud.provider", "aws"), ("cloud.region", "eu-west-1")];
    [resource_of(&[("faas.name", "f")]), resource_of(&region), resource_of(&[arn])]
}

proptest! {
    #[test]
    fn whatever_is_told_first_it_is_one_function_with_all_of_its_runs(
        told in prop::collection::vec(0usize..3, 1..12),
        shards in prop::sample::select(vec![1usize, 4]),
        batch in 1usize..6,
    ) {
        let mut spans = Story::parse(&vec!["f"; told.len()].join("\n")).spans;
        prop_assert_eq!(spans.len(), told.len());
        for (span, telling) in spans.iter_mut().zip(&told) {
            span.resource = tellings()[*telling].clone();
        }
        let first = spans[0].resource.function().id;
        let snapshot = analyse(spans, shards, batch);
        let counts: Vec<_> = snapshot.functions.iter().map(|it| it.invocations).collect();
        prop_assert_eq!(counts, [told.len() as u64]);
        let ways: HashSet<usize> = told.iter().copied().collect();
        prop_assert_eq!(snapshot.functions[0].aliases.len(), ways.len() - 1);
        if batch == 1 {
            prop_assert_eq!(snapshot.functions[0].id, first, "the oldest id stays");
        }
    }
}
