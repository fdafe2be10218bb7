//! Shards, linker and aggregate joined for use in one thread.
//!
//! The collector runs the same parts on several threads; this is the whole engine for tests, tools and small programs.

use std::collections::BTreeMap;

use crate::{
    aggregate::Aggregate,
    config::Config,
    intended::Verdict,
    linker::Linker,
    shard::Shard,
    snapshot::{Loop, LoopId, Losses, Snapshot},
    span::{ArrivalTime, Span, TraceId},
};

/// The whole engine in one value.
pub struct Engine {
    shards: Vec<Shard>,
    linker: Linker,
    aggregate: Aggregate,
    /// Laps of the deepest chain of each loop, over all its lives.
    deepest: BTreeMap<LoopId, u32>,
}

/// Which of `shards` shards holds a trace.
pub fn shard_of(trace_id: TraceId, shards: usize) -> usize {
    let hash = xxhash_rust::xxh3::xxh3_64(&trace_id.0);
    usize::try_from(hash % shards.max(1) as u64).unwrap_or(0)
}

impl Engine {
    /// Builds an engine with `shards` shards; the number changes nothing in what it finds.
    pub fn new(config: &Config, shards: usize) -> Self {
        let shards = shards.max(1);
        Self {
            shards: (0..shards).map(|_| Shard::new(config, shards)).collect(),
            linker: Linker::new(config),
            aggregate: Aggregate::new(config),
            deepest: BTreeMap::new(),
        }
    }

    /// Takes in spans that arrived at `now`.
    pub fn ingest(&mut self, now: ArrivalTime, spans: impl IntoIterator<Item = Span>) {
        let mut parts: Vec<Vec<Span>> = self.shards.iter().map(|_| Vec::new()).collect();
        for span in spans {
            parts[shard_of(span.trace_id, self.shards.len())].push(span);
        }
        for (shard, spans) in self.shards.iter_mut().zip(parts) {
            shard.ingest(now, spans);
        }
        self.collect(now);
    }

    /// Counts what was mended or let go before the spans came here.
    pub fn count(&mut self, losses: &Losses) {
        if let Some(shard) = self.shards.first_mut() {
            shard.count(losses);
        }
    }

    /// Does what is due at `now`.
    pub fn tick(&mut self, now: ArrivalTime) {
        for shard in &mut self.shards {
            shard.tick(now);
        }
        self.linker.tick(now);
        self.collect(now);
        self.aggregate.tick(now);
    }

    /// Ends the input: whoever waits for a span waits no longer, and all that is open is measured.
    pub fn finish(&mut self, now: ArrivalTime) {
        for shard in &mut self.shards {
            shard.finish(now);
        }
        self.collect(now);
        self.linker.finish(now);
        self.tick(now);
    }

    /// Laps of the deepest chain that a loop ever had, also before it was closed and went on; 0 for one without laps.
    pub fn deepest(&self, id: LoopId) -> u32 {
        self.deepest.get(&id).copied().unwrap_or_default()
    }

    /// Everything known at `now`.
    pub fn snapshot(&mut self, now: ArrivalTime) -> Snapshot {
        self.aggregate.snapshot(now)
    }

    /// The loops of the snapshot alone: what is needed to watch them closely.
    pub fn loops(&self) -> Vec<Loop> {
        self.aggregate.loops()
    }

    /// The linker, for tools that compare chains with what they know to be true.
    pub fn linker(&self) -> &Linker {
        &self.linker
    }

    /// All that it knows but what the shards hold, as bytes: linker, then aggregate.
    pub fn save(&mut self, now: ArrivalTime) -> (Vec<u8>, Vec<u8>) {
        self.collect(now);
        (self.linker.save(), self.aggregate.save())
    }

    /// Goes on where an engine with the same bounds was saved; `None` when the bytes are not one. `recent` are the spans
    /// that came before, as far back as late ones may come, each with its arrival: the shards have to see them again.
    pub fn load(
        config: &Config,
        shards: usize,
        (linker, aggregate): (&[u8], &[u8]),
        now: ArrivalTime,
        recent: impl IntoIterator<Item = (ArrivalTime, Span)>,
    ) -> Option<Self> {
        let mut engine = Self::new(config, shards);
        for (at, span) in recent {
            let number = shard_of(span.trace_id, engine.shards.len());
            engine.shards[number].tick(at);
            engine.shards[number].ingest(at, [span]);
        }
        for shard in &mut engine.shards {
            shard.tick(now);
            // All of it was told before.
            drop(shard.drain());
        }
        engine.linker = Linker::load(config, linker)?;
        engine.aggregate = Aggregate::load(config, aggregate)?;
        Some(engine)
    }

    /// Takes in what somebody says of a loop.
    pub fn teach(&mut self, loop_id: LoopId, verdict: Verdict) {
        self.linker.teach(loop_id, verdict);
    }

    /// The aggregate, to tell it what spans do not say.
    pub fn aggregate_mut(&mut self) -> &mut Aggregate {
        &mut self.aggregate
    }

    fn collect(&mut self, now: ArrivalTime) {
        for shard in &mut self.shards {
            let output = shard.drain();
            self.aggregate.merge(now, output.delta);
            self.linker.ingest(now, output.records);
        }
        let linked = self.linker.drain(now);
        for id in &linked.removed {
            self.deepest.remove(id);
        }
        for report in &linked.loops {
            let deepest = self.deepest.entry(report.id).or_default();
            *deepest = report.max_depth.max(*deepest);
        }
        self.aggregate.link(now, linked);
    }
}

#[cfg(test)]
mod anonymous;
#[cfg(test)]
mod classes;

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        fixture::{SECOND, START, Story, analyse, describe, resource},
        snapshot::{Assessment, Loop, Reason, Severity},
        span::{EventTime, SpanKind, SpanLink},
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

    /// What Lambda's instrumentation says of a function.
    fn lambda(name: &str) -> std::sync::Arc<crate::identity::Resource> {
        let mut attributes = crate::attribute::Attributes::default();
        let account = ("cloud.account.id", "123456789012");
        for (key, value) in [("faas.name", name), ("cloud.provider", "aws"), ("cloud.region", "eu-west-1"), account] {
            attributes.insert(key, crate::attribute::Value::Text(value.into()));
        }
        crate::identity::Resource::new(attributes)
    }

    /// A resource with these attributes.
    fn resource_of(pairs: &[(&str, &str)]) -> std::sync::Arc<crate::identity::Resource> {
        let mut attributes = crate::attribute::Attributes::default();
        for (key, value) in pairs {
            attributes.insert(key, crate::attribute::Value::Text((*value).into()));
        }
        crate::identity::Resource::new(attributes)
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
            worker.span_id = crate::span::SpanId([9; 8]);
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
                    assert_eq!(
                        found, "Order -call-> other x1\ncaller -call-> Order x1",
                        "{rotation} {batch} {reverse}"
                    );
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
        let arn = ("cloud.resource_id", "arn:aws:lambda:eu-west-1:123456789012:function:f");
        let region = [("faas.name", "f"), ("cloud.provider", "aws"), ("cloud.region", "eu-west-1")];
        let kinds = [resource_of(&[("faas.name", "f")]), resource_of(&region), resource_of(&[arn])];
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
        for (invoked, by_parent) in [
            ("b", false),
            ("b", true),
            ("b:live", false),
            ("arn:aws:lambda:eu-west-1:123456789012:function:b:7", false),
        ] {
            let mut story = Story::parse(if by_parent { "a -> b" } else { "a => b" });
            for span in &mut story.spans {
                let name = span.resource.function().name.clone();
                span.resource = lambda(&name);
                span.attributes = crate::attribute::Attributes::default();
            }
            story.spans[1].attributes.insert("faas.invoked_name", crate::attribute::Value::Text(invoked.into()));
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
                story.spans[1].attributes.insert("faas.invoked_name", crate::attribute::Value::Text("b".into()));
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

    #[test]
    fn a_lap_is_as_sure_as_its_causes_together() {
        for (story, expected) in [
            ("a -> b ~> a", 1.0),
            ("a => b -> a", 0.98),
            ("a => b ~q#~> a", 0.98 * 0.98),
            ("a ~s/k#~> b ~s/l~> a", 0.95 * 0.95),
            // What repeats within a lap is a lap of its own, and makes the outer one no less sure.
            ("a ~> b => b => b ~> a", 1.0),
        ] {
            let snapshot = analyse(Story::parse(story).spans, 2, 3);
            let longest = snapshot.loops.iter().filter(|found| found.laps > 0).max_by_key(|found| found.names.len());
            let confidence = longest.unwrap().confidence;
            assert!((confidence - expected).abs() < 1e-6, "{story}: {confidence}");
        }
    }

    #[test]
    fn a_batch_shares_its_credit_among_its_messages() {
        // Two laps of one cycle: one alone and known by its id, one as one of four messages with a link.
        let mut story = Story::default();
        let first = story.root("f");
        let second = story.lose_context(&first, "f", "q#");
        let others: Vec<_> = (0..3).map(|_| story.root("g")).collect();
        let causes: Vec<_> = [&second].into_iter().chain(&others).collect();
        story.handle(&causes, "f");
        let snapshot = analyse(story.spans, 1, 50);
        let own = snapshot.loops.iter().find(|found| found.names.len() == 1).unwrap();
        assert_eq!((own.laps, own.max_depth), (2, 2));
        let expected = (0.98 + 0.25) / 1.25;
        assert!((own.confidence - expected).abs() < 1e-6, "{}", own.confidence);
    }

    #[test]
    fn what_is_delivered_again_is_no_lap() {
        for story in ["a ~q#~> b ~q#~> b", "a => b => b", "a ~q?~> b"] {
            let mut spans = Story::parse(story).spans;
            let depth = |spans: &[Span]| {
                let snapshot = analyse(spans.to_vec(), 2, 2);
                let deepest = snapshot.loops.iter().map(|found| found.max_depth).max().unwrap_or(0);
                let runs = snapshot.functions.iter().find(|function| &*function.name == "b").unwrap().invocations;
                (deepest, runs)
            };
            let (once, runs) = depth(&spans);
            let last = spans.last().unwrap().clone();
            for (at, by) in [(1, 40_u64), (2, 90)] {
                let (trace_id, start) = (crate::span::TraceId([90 + at; 16]), EventTime(last.start.0 + by * SECOND));
                spans.push(Span { trace_id, start, end: EventTime(start.0 + SECOND), ..last.clone() });
            }
            assert_eq!(depth(&spans), (once, runs + 2), "{story}");
            spans.reverse();
            assert_eq!(depth(&spans), (once, runs + 2), "{story} backwards");
        }
    }

    #[test]
    fn another_attempt_below_the_first_is_no_lap() {
        let mut story = Story::parse("a -> b -> a -> b");
        for span in story.spans.iter_mut().filter(|span| span.kind == SpanKind::Server) {
            if span.resource.function().name.as_ref() == "a" {
                span.attributes.insert("faas.invocation_id", crate::attribute::Value::Text("one".into()));
            }
        }
        for order in [false, true] {
            if order {
                story.spans.reverse();
            }
            let snapshot = analyse(story.spans.clone(), 1, 1);
            let depths: Vec<_> = snapshot.loops.iter().map(|found| (found.laps, found.max_depth)).collect();
            assert_eq!(depths, [(1, 1)], "b comes round, and a does not");
        }
    }

    #[test]
    fn a_schedule_that_a_function_sets_for_itself_is_a_loop() {
        // An hour a lap: what was an hour ago is long gone, but for what waits for a schedule.
        for story in [
            "a ~s+~> a ~s+~> a ~s+~> a",
            "a ~s+l~> a ~s+l~> a ~s+l~> a",
            "a ~s+p~> a ~s+p~> a ~s+p~> a",
            "a ~s+~> b ~> c ~> a ~s+~> b ~> c ~> a ~s+~> b ~> c ~> a",
        ] {
            let mut engine = Engine::new(&Config::recommended(), 2);
            let mut now = START;
            for span in Story::parse(story).spans {
                while now.0 < span.end.0 {
                    now.0 += 20 * SECOND;
                    engine.tick(now);
                }
                engine.ingest(now, [span]);
            }
            (0..3).for_each(|at| engine.tick(ArrivalTime(now.0 + at * 20 * SECOND)));
            let snapshot = engine.snapshot(now);
            let found: Vec<_> = snapshot.loops.iter().map(|found| (found.names.len(), found.max_depth)).collect();
            assert_eq!(found, [(if story.contains('b') { 3 } else { 1 }, 3)], "{}", describe(&snapshot));
        }
    }

    #[test]
    fn laps_that_double_are_an_alarm_before_300_invocations() {
        for is_message in [true, false] {
            let mut story = Story::default();
            let mut leaves = vec![story.root("a")];
            for _ in 0..5 {
                let next = leaves.iter().flat_map(|run| [run; 2]);
                leaves = next
                    .map(|run| if is_message { story.message(run, "a", None) } else { story.call(run, "a") })
                    .collect();
            }
            let snapshot = analyse(story.spans.clone(), 1, 5);
            assert_eq!(snapshot.loops[0].assessment, Assessment::Unremarkable);
            for run in leaves.iter().take(64).flat_map(|run| [run; 2]) {
                if is_message {
                    story.message(run, "a", None)
                } else {
                    story.call(run, "a")
                };
            }
            let found = &analyse(story.spans, 1, 5).loops[0];
            assert_eq!(found.assessment, Assessment::Alarm, "{found:?}");
            assert_eq!((found.reasons.as_slice(), found.severity), (&[Reason::FanOut][..], Severity::Critical));
        }
    }

    #[test]
    fn a_new_loop_is_suspect_at_7_laps_and_an_alarm_at_18() {
        use Assessment::{Alarm, Suspect, Unremarkable};
        for (laps, expected) in [(4, Unremarkable), (6, Unremarkable), (7, Suspect), (17, Suspect), (18, Alarm)] {
            let snapshot = analyse(Story::parse(&format!("a{}", " ~> a".repeat(laps))).spans, 1, 1);
            let found = &snapshot.loops[0];
            assert_eq!((found.assessment, found.max_depth as usize, found.chains), (expected, laps, 1));
            assert_eq!(found.severity > Severity::Info, expected == Alarm);
        }
    }

    #[test]
    fn a_function_that_calls_itself_is_a_loop_and_its_own_parts_are_not() {
        let mut story = Story::default();
        let run = story.root("a");
        story.call(&run, "a");
        let mut part = story.spans[0].clone();
        part.span_id = crate::span::SpanId([9; 8]);
        part.parent_span_id = Some(story.spans[0].span_id);
        for kind in [SpanKind::Consumer, SpanKind::Server, SpanKind::Internal, SpanKind::Unspecified] {
            let mut spans = story.spans.clone();
            spans.insert(0, Span { kind, ..part.clone() });
            let snapshot = analyse(spans, 1, 1);
            assert_eq!(snapshot.functions[0].invocations, 2, "{kind:?}");
            assert_eq!(snapshot.loops[0].max_depth, 1, "{kind:?}");
        }
    }

    #[test]
    fn links_of_any_span_of_an_invocation_are_its_causes() {
        // The shape of a queue that triggers a Lambda function: the links stand on a consumer below the server span.
        let mut story = Story::parse("a ~> b");
        let links: Vec<SpanLink> = std::mem::take(&mut story.last().links);
        let entry = story.last().clone();
        let consumer = Span {
            span_id: crate::span::SpanId([7; 8]),
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
    fn spans_without_a_kind_enter_where_the_function_changes() {
        let mut story = Story::parse("a -> b -> a");
        for span in &mut story.spans {
            span.kind = SpanKind::Unspecified;
        }
        let found = describe(&analyse(story.spans, 1, 1));
        expect![[r#"
            a -call-> b x1
            b -call-> a x1
            loop a b (a b) Unknown Info depth 1 chains 1 laps 1"#]]
        .assert_eq(&found);
    }

    #[test]
    fn an_internal_span_whose_parent_never_comes_is_an_invocation_in_the_end() {
        let mut story = Story::parse("a");
        story.last().kind = SpanKind::Internal;
        story.last().parent_span_id = Some(crate::span::SpanId([5; 8]));
        assert_eq!(analyse(story.spans, 1, 1).functions[0].invocations, 1);
    }

    #[test]
    fn a_ring_of_parents_ends_and_is_counted() {
        let n: u64 = 1_000;
        let spans: Vec<Span> = (0..n)
            .map(|at| {
                let mut story = Story::parse("a");
                let mut span = story.spans.remove(0);
                span.kind = SpanKind::Internal;
                span.span_id = crate::span::SpanId((at + 1).to_be_bytes());
                span.parent_span_id = Some(crate::span::SpanId(((at + 1) % n + 1).to_be_bytes()));
                span
            })
            .collect();
        let snapshot = analyse(spans, 1, 100);
        assert_eq!(snapshot.losses.parent_rings, 1);
        assert_eq!(snapshot.functions[0].invocations, 1);
    }

    #[test]
    fn broken_clocks_are_mended_and_counted() {
        let mut story = Story::parse("a\na\na");
        story.spans[0].end = EventTime(1);
        story.spans[1].start = EventTime(0);
        story.spans[2].start = EventTime(u64::MAX - 5);
        story.spans[2].end = EventTime(u64::MAX);
        let snapshot = analyse(story.spans, 1, 10);
        assert_eq!(snapshot.losses.mended, 3);
        assert!(snapshot.functions[0].p95_ms < 1.0, "what has no time takes none: {}", snapshot.functions[0].p95_ms);
        assert!(snapshot.functions[0].last_seen.0 < START.0 + 60 * SECOND);
    }

    #[test]
    fn a_long_chain_is_exact_in_any_order_and_flat_on_the_stack() {
        let laps = 20_000;
        let mut spans = Story::parse(&format!("a{}", " -> a".repeat(laps))).spans;
        for _ in 0..2 {
            let found = analyse(spans.clone(), 1, 512).loops;
            assert_eq!((found[0].max_depth as usize, found[0].chains), (laps, 1));
            spans.reverse();
        }
    }

    #[test]
    fn self_time_and_gap_are_told_apart() {
        // a: 10 ms, of which 8 ms in a call whose callee works 6 ms; the call begins a second later in the fixture,
        // so it is moved into its caller first.
        let mut story = Story::parse("a -> b");
        let start = story.spans[0].start.0;
        for (span, (from, to)) in story.spans.iter_mut().zip([(0, 10), (1, 9), (2, 8)]) {
            span.start = EventTime(start + from * 1_000_000);
            span.end = EventTime(start + to * 1_000_000);
        }
        let hotspots = analyse(story.spans, 1, 10).hotspots;
        let found: Vec<String> = hotspots
            .iter()
            .map(|spot| {
                format!("{} {} {} {:.0} ms {:.1}", spot.rank, spot.name, spot.edge.is_some(), spot.p95_ms, spot.share)
            })
            .collect();
        assert_eq!(found[0], "1 b false 6 ms 0.6");
        assert!(found.contains(&"2 a false 2 ms 0.2".to_owned()) || found.contains(&"3 a false 2 ms 0.2".to_owned()));
        assert!(found.iter().any(|spot| spot.ends_with("a true 2 ms 0.2")), "{found:?}");
    }

    #[test]
    fn a_full_index_loses_the_oldest_and_never_the_newest() {
        let config = Config { span_capacity: 64, invocation_capacity: 32, ..Config::recommended() };
        let mut engine = Engine::new(&config, 1);
        let noise = Story::parse(&"x\n".repeat(500)).spans;
        engine.ingest(START, noise);
        let now = ArrivalTime(START.0 + SECOND);
        let mut chain = Story::parse(&format!("a{}", " ~> a".repeat(9))).spans;
        for span in &mut chain {
            span.trace_id.0[0] = 1;
            span.links.iter_mut().for_each(|link| link.trace_id.0[0] = 1);
        }
        engine.ingest(now, chain);
        engine.tick(now);
        let snapshot = engine.snapshot(now);
        assert_eq!(snapshot.loops[0].max_depth, 9);
        assert!(snapshot.losses.index_evictions > 0);
    }

    #[test]
    fn a_flood_of_names_does_not_hide_a_loop() {
        let config = Config { function_capacity: 20, edge_capacity: 20, ..Config::recommended() };
        let mut engine = Engine::new(&config, 1);
        for at in 0..100 {
            let mut story = Story::parse("a -> b");
            for span in &mut story.spans {
                span.trace_id.0[0] = at + 1;
                span.resource = resource(&format!("f{at}"));
            }
            engine.ingest(ArrivalTime(START.0 + u64::from(at)), story.spans);
        }
        let now = ArrivalTime(START.0 + SECOND);
        engine.ingest(now, Story::parse(&format!("loop{}", " ~> loop".repeat(19))).spans);
        let snapshot = engine.snapshot(now);
        assert_eq!((snapshot.loops[0].names.as_slice(), snapshot.loops[0].max_depth), (&["loop".into()][..], 19));
        assert!(snapshot.functions.len() <= 20);
        assert!(snapshot.edges.iter().any(|edge| edge.source == snapshot.loops[0].functions[0]));
        assert_eq!(snapshot.losses.functions_overflowed % 3, 0, "a tenth and one, each counted once");
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
    fn a_message_with_a_parent_and_a_link_to_it_is_one_message() {
        let mut story = Story::parse("a ~> b");
        let link = story.last().links[0].clone();
        story.last().trace_id = link.trace_id;
        story.last().parent_span_id = Some(link.span_id);
        expect!["a -message-> b x1"].assert_eq(&describe(&analyse(story.spans, 1, 1)));
    }

    #[test]
    fn children_of_a_late_parent_are_one_invocation_and_not_measured() {
        let mut story = Story::parse("a -> b");
        let root = story.spans.remove(0);
        let client = story.spans.remove(0);
        let mut engine = Engine::new(&Config::recommended(), 1);
        let clients =
            (0..100_u64).map(|at| Span { span_id: crate::span::SpanId((1_000 + at).to_be_bytes()), ..client.clone() });
        engine.ingest(START, clients);
        let at = |seconds: u64| ArrivalTime(START.0 + seconds * SECOND);
        engine.tick(at(31));
        assert_eq!(engine.snapshot(at(31)).functions[0].invocations, 1);
        engine.ingest(at(36), [Span { end: EventTime(root.start.0 + 60 * SECOND), ..root }]);
        engine.tick(at(60));
        let function = &engine.snapshot(at(60)).functions[0];
        assert_eq!(function.invocations, 1);
        assert!((function.p50_ms - 60_000.0).abs() < 1_200.0, "{}", function.p50_ms);
    }

    #[test]
    fn an_invocation_whose_caller_waits_for_its_own_is_measured_at_once() {
        let mut story = Story::parse("a -> b");
        for span in &mut story.spans {
            span.kind = SpanKind::Unspecified;
        }
        let mut engine = Engine::new(&Config::recommended(), 1);
        engine.ingest(START, story.spans[1..].to_vec());
        let called = engine.snapshot(START).functions.into_iter().find(|function| &*function.name == "b").unwrap();
        assert!((called.p95_ms - 6.0).abs() < 0.1, "{}", called.p95_ms);
    }

    #[test]
    fn a_caller_that_is_exported_late_still_takes_the_time_of_its_callee_from_the_roots() {
        let spans = Story::parse("a -> b").spans;
        let mut engine = Engine::new(&Config::recommended(), 1);
        engine.ingest(START, [spans[2].clone()]);
        let at = |seconds: u64| ArrivalTime(START.0 + seconds * SECOND);
        engine.tick(at(5));
        engine.ingest(at(5), spans[..2].to_vec());
        engine.tick(at(10));
        let share: f64 = engine.snapshot(at(10)).hotspots.iter().find(|spot| &*spot.name == "b").unwrap().share;
        assert!((share - 0.6).abs() < 0.02, "6 of 10 ms, and not of 16: {share}");
    }

    /// A forest of invocations: for each its function, an earlier one that caused it, and how.
    fn forest() -> impl Strategy<Value = Vec<(u8, prop::sample::Index, u8)>> {
        prop::collection::vec((0u8..5, any::<prop::sample::Index>(), 0u8..10), 1..40)
    }

    fn grow(forest: &[(u8, prop::sample::Index, u8)]) -> Vec<Span> {
        let mut story = Story::default();
        let mut runs = Vec::new();
        for (function, cause, how) in forest {
            let name = format!("f{function}");
            let run = match (runs.is_empty(), how) {
                (true, _) | (_, 0) => story.root(&name),
                (_, 1 | 2) => story.call(cause.get(&runs), &name),
                (_, 3) => story.message(cause.get(&runs), &name, None),
                (_, 4) => story.handle(&[cause.get(&runs)], &name),
                (_, 6) => story.invoke(cause.get(&runs), &name),
                (_, 7) => story.lose_context(cause.get(&runs), &name, "p#"),
                (_, 8) => story.lose_context(cause.get(&runs), &name, "uploads/"),
                (_, 9) => story.lose_context(cause.get(&runs), &name, "files/k#"),
                _ => story.message(cause.get(&runs), &name, Some("q")),
            };
            runs.push(run);
        }
        story.spans
    }

    /// Identity, depth and chains of every loop, counts of every node and edge: what must not depend on the way in.
    fn essence(snapshot: &Snapshot) -> String {
        // How a loop behaves is an estimate over time, so the order in which time went by may show in it.
        let edges = |line: &&str| !line.starts_with("loop ");
        let mut lines: Vec<String> = describe(snapshot).lines().filter(edges).map(str::to_owned).collect();
        lines.extend(snapshot.loops.iter().map(|found| {
            let Loop { id, functions, path, max_depth, chains, laps, .. } = found;
            format!("{id} {functions:?} {path:?} depth {max_depth} chains {chains} laps {laps}")
        }));
        lines.extend(snapshot.functions.iter().map(|f| format!("{} {} {}", f.id, f.invocations, f.p95_ms)));
        lines.sort();
        lines.join("\n")
    }

    proptest! {
        #[test]
        fn order_duplicates_batches_and_shards_do_not_show(
            forest in forest(),
            order in any::<u64>(),
            doubled in any::<u64>(),
            batch in 1usize..20,
        ) {
            let spans = grow(&forest);
            let expected = essence(&analyse(spans.clone(), 1, 1));
            let mut shuffled = spans.clone();
            for (at, span) in spans.iter().enumerate() {
                if doubled >> (at % 64) & 1 == 1 {
                    shuffled.push(span.clone());
                }
            }
            shuffled.sort_by_key(|span| {
                xxhash_rust::xxh3::xxh3_64_with_seed(&[span.trace_id.0.as_slice(), &span.span_id.0].concat(), order)
            });
            for shards in [1, 2, 4, 8] {
                let found = essence(&analyse(shuffled.clone(), shards, batch));
                prop_assert_eq!(&found, &expected, "{} shards", shards);
            }
        }

        #[test]
        fn every_lap_in_a_new_trace_is_exact(
            cycle in 1usize..6,
            laps in 1usize..30,
            seed in any::<u64>(),
            shards in prop::sample::select(vec![1usize, 2, 4, 8]),
        ) {
            let story: String = (1..=cycle * laps).map(|at| format!(" ~> f{}", at % cycle)).collect();
            let mut spans = Story::parse(&format!("f0{story}")).spans;
            spans.sort_by_key(|span| xxhash_rust::xxh3::xxh3_64_with_seed(&span.span_id.0, seed));
            let snapshot = analyse(spans, shards, 5);
            prop_assert_eq!(snapshot.loops.len(), 1);
            let found = &snapshot.loops[0];
            prop_assert_eq!((found.functions.len(), found.max_depth as usize, found.chains), (cycle, laps, 1));
        }
    }
}
