//! Tests of what joins invocations into chains, as stories in the language of `fixture.rs`.

use expect_test::{Expect, expect};

use crate::{
    fixture::{Story, analyse, describe},
    span::{Span, SpanId, SpanKind, SpanLink},
};

/// The same in order, backwards, and in batches.
#[track_caller]
fn check(story: &str, expect: Expect) {
    let spans = Story::parse(story).spans;
    let found = describe(&analyse(spans.clone(), 1, 1));
    let backwards = describe(&analyse(spans.iter().rev().cloned().collect(), 2, 3));
    assert_eq!(found, backwards, "the order of arrival shows");
    expect.assert_eq(&found);
}

#[test]
fn calls_are_edges() {
    check(
        "a -> b -> c
         a -> b",
        expect![[r"
            a -call-> b x2
            b -call-> c x1"]],
    );
}

#[test]
fn a_call_back_is_one_lap() {
    check(
        "a -> b -> a",
        expect![[r#"
            a -call-> b x1
            b -call-> a x1
            loop a b (a b) Unknown Info depth 1 chains 1 laps 1"#]],
    );
}

#[test]
fn laps_count_over_traces_that_links_join() {
    check(
        "b ~> a ~> b ~> a ~> b",
        expect![[r#"
            a -message-> b x2
            b -message-> a x2
            loop a b (a b) Unknown Info depth 2 chains 1 laps 2"#]],
    );
}

#[test]
fn a_message_is_drawn_through_its_carrier() {
    check(
        "upload -> store ~uploads~> thumbnail ~uploads~> thumbnail",
        expect![[r#"
            store -publish-> uploads x1
            thumbnail -publish-> uploads x1
            upload -call-> store x1
            uploads -deliver-> thumbnail x2
            loop thumbnail (thumbnail uploads) Unknown Info depth 1 chains 1 laps 1"#]],
    );
}

#[test]
fn a_cycle_that_nothing_went_round_is_latent() {
    check(
        "a -> b
         b -> a",
        expect![[r"
            a -call-> b x1
            b -call-> a x1
            loop a b (a b) Latent Info depth 0 chains 0 laps 0"]],
    );
}

#[test]
fn two_cycles_on_one_chain_are_two_loops() {
    check(
        "a -> b -> a -> c -> a",
        expect![[r#"
            a -call-> b x1
            a -call-> c x1
            b -call-> a x1
            c -call-> a x1
            loop a c (a c) Unknown Info depth 2 chains 1 laps 1
            loop a b (a b) Unknown Info depth 1 chains 1 laps 1"#]],
    );
}

#[test]
fn a_message_without_a_link_is_joined_by_its_id() {
    check(
        "a ~q#~> b ~q#~> a ~q#~> b ~q#~> a",
        expect![[r#"
            a -publish-> q x2
            b -publish-> q x2
            q -deliver-> a x2
            q -deliver-> b x2
            loop a b (a q b q) Unknown Info depth 2 chains 1 laps 2
            loop a (a q) Latent Info depth 0 chains 0 laps 0
            loop b (b q) Latent Info depth 0 chains 0 laps 0"#]],
    );
}

#[test]
fn an_invocation_without_a_parent_is_joined_by_the_id_of_its_run() {
    check(
        "a => b => a => b => a",
        expect![[r#"
            a -call-> b x2
            b -call-> a x2
            loop a b (a b) Unknown Info depth 2 chains 1 laps 2"#]],
    );
}

#[test]
fn an_object_joins_its_writer_with_what_it_triggers() {
    check(
        "a ~uploads/~> a ~uploads/~> a ~uploads/~> a",
        expect![[r#"
            a -write-> uploads x3
            uploads -deliver-> a x3
            loop a (a uploads) Unknown Info depth 3 chains 1 laps 3"#]],
    );
    check(
        "a ~uploads/k#~> a ~uploads/k#~> a ~uploads/k#~> a",
        expect![[r#"
            a -write-> uploads x3
            uploads -deliver-> a x3
            loop a (a uploads) Unknown Info depth 3 chains 1 laps 3"#]],
    );
    check(
        "a ~uploads/k~> a ~uploads/k~> a ~uploads/k~> a",
        expect![[r#"
            a -write-> uploads x3
            uploads -deliver-> a x3
            loop a (a uploads) Unknown Info depth 3 chains 1 laps 3"#]],
    );
}

#[test]
fn a_conversation_joins_its_messages() {
    check(
        "a ~q@~> b ~p@~> a ~q@~> b ~p@~> a",
        expect![[r#"
            a -publish-> q x2
            b -publish-> p x2
            p -deliver-> a x2
            q -deliver-> b x2
            loop a b (a q b p) Unknown Info depth 2 chains 1 laps 2"#]],
    );
}

#[test]
fn a_queue_and_the_time_join_what_nothing_else_does() {
    check(
        "a ~q?~> b ~p?~> a ~q?~> b ~p?~> a",
        expect![[r#"
            a -publish-> q x2
            b -publish-> p x2
            p -deliver-> a x2
            q -deliver-> b x2
            loop a b (a q b p) Unknown Info depth 2 chains 1 laps 2"#]],
    );
}

#[test]
fn links_of_any_span_of_an_invocation_are_its_causes() {
    // The shape of a queue that triggers a Lambda function: the links stand on a consumer below the server span.
    let mut story = Story::parse("a ~> b");
    let links: Vec<SpanLink> = std::mem::take(&mut story.last().links);
    let entry = story.last().clone();
    let consumer = Span {
        span_id: SpanId([7; 8]),
        parent_span_id: Some(entry.span_id),
        kind: SpanKind::Consumer,
        links,
        ..entry.clone()
    };
    story.last().kind = SpanKind::Server;
    story.spans.insert(0, consumer);
    let snapshot = analyse(story.spans, 2, 1);
    expect!["a -message-> b x1"].assert_eq(&describe(&snapshot));
    assert_eq!(snapshot.functions.iter().map(|function| function.invocations).sum::<u64>(), 2);
}

#[test]
fn a_message_with_a_parent_and_a_link_to_it_is_one_message() {
    let mut story = Story::parse("a ~> b");
    let link = story.last().links[0].clone();
    story.last().trace_id = link.trace_id;
    story.last().parent_span_id = Some(link.span_id);
    expect!["a -message-> b x1"].assert_eq(&describe(&analyse(story.spans, 1, 1)));
}

#[test]
fn a_queue_that_triggers_a_lambda_function_loops_in_any_order_of_its_spans() {
    let mut story = Story::default();
    let mut run = story.root("f");
    for _ in 0..12 {
        run = story.handle(&[&run], "f");
    }
    for (order, reverse) in [(0, false), (1, false), (2, false), (0, true), (3, true)] {
        let mut spans = story.spans.clone();
        spans.sort_by_key(|span| xxhash_rust::xxh3::xxh3_64_with_seed(&span.span_id.0, order) * order.min(1));
        if reverse {
            spans.reverse();
        }
        let snapshot = analyse(spans, 2, 1);
        assert_eq!((snapshot.loops[0].max_depth, snapshot.loops[0].chains), (12, 1), "{order} {reverse}");
        assert_eq!(snapshot.functions[0].invocations, 13);
    }
}

#[test]
fn a_batch_of_old_and_new_messages_goes_on_with_the_old() {
    for swap in [false, true] {
        let mut story = Story::default();
        let mut run = story.root("f");
        for _ in 0..20 {
            let fresh = story.root("g");
            let causes = if swap { [&fresh, &run] } else { [&run, &fresh] };
            run = story.handle(&causes, "f");
        }
        let snapshot = analyse(story.spans, 4, 3);
        let found = snapshot.loops.iter().find(|found| found.names.len() == 1).unwrap();
        assert_eq!((found.max_depth, found.chains), (20, 1), "the first of two links decides: {swap}");
    }
}

#[test]
fn a_batch_takes_along_what_it_caused_when_its_deeper_cause_comes_late() {
    // The server span of the last `f`, which goes on, and that of the last `h` before it.
    for back in [3, 6] {
        let mut story = Story::default();
        let mut run = story.root("f");
        let mut late = Vec::new();
        for lap in 0..30 {
            let fresh = story.root("f");
            if lap % 7 == 3 {
                late.push(story.spans.len() - back);
            }
            let handled = story.handle(&[&fresh, &run], "h");
            run = story.handle(&[&handled], "f");
        }
        let mut spans: Vec<(usize, Span)> = story.spans.into_iter().enumerate().collect();
        for place in late {
            // The next laps are known by then.
            spans[place].0 += 20;
        }
        spans.sort_by_key(|(place, _)| *place);
        let snapshot = analyse(spans.into_iter().map(|(_, span)| span).collect(), 2, 1);
        assert_eq!((snapshot.loops[0].max_depth, snapshot.loops[0].chains), (30, 1), "{back}");
    }
}
