//! Cases that were priced by hand, and what holds of every bill.

use std::sync::Arc;

use proptest::prelude::*;

use crate::{
    attribute::{Attributes, Value},
    config::Config,
    engine::Engine,
    facts::FactRecord,
    fixture::{SECOND, START, Story},
    identity::Resource,
    price::{Architecture, CallPrice, FunctionRule, PlatformPrice, PriceTable, tests::table},
    snapshot::{CostReport, EdgeKind, Fit, FunctionCost},
    span::{ArrivalTime, EventTime, Span, SpanId, SpanKind, TraceId},
};

/// Functions of one platform, and what they did.
struct World {
    platform: &'static str,
    spans: Vec<Span>,
}

/// A run, or an outbound span of one.
#[derive(Clone, Copy)]
struct Place {
    trace_id: TraceId,
    span_id: SpanId,
    start: u64,
}

impl World {
    fn of(platform: &'static str) -> Self {
        Self { platform, spans: Vec::new() }
    }

    /// A run that somebody asked for.
    fn run(&mut self, name: &str, ms: f64) -> Place {
        let number = self.spans.len() as u64 + 1;
        let trace_id = TraceId(u128::from(number).to_be_bytes());
        self.add(name, SpanKind::Server, None, trace_id, START.0 - 30 * SECOND, ms)
    }

    /// A run that the outbound span of another caused.
    fn caused(&mut self, name: &str, by: Place, ms: f64) -> Place {
        self.add(name, SpanKind::Server, Some(by.span_id), by.trace_id, by.start, ms)
    }

    /// A span in which a run waits from `at` on for `ms`.
    fn waits(&mut self, name: &str, run: Place, at: u64, ms: f64, pairs: &[(&str, &str)]) -> Place {
        let kind = if pairs.iter().any(|(key, _)| key.starts_with("messaging")) {
            SpanKind::Producer
        } else {
            SpanKind::Client
        };
        let place = self.add(name, kind, Some(run.span_id), run.trace_id, run.start + at * 1_000_000, ms);
        let attributes = &mut self.spans.last_mut().unwrap().attributes;
        pairs.iter().for_each(|(key, value)| attributes.insert(key, Value::Text((*value).into())));
        place
    }

    fn add(
        &mut self,
        name: &str,
        kind: SpanKind,
        parent: Option<SpanId>,
        trace_id: TraceId,
        start: u64,
        ms: f64,
    ) -> Place {
        let mut attributes = Attributes::default();
        for (key, value) in [("faas.name", name), ("cloud.platform", self.platform), ("cloud.resource_id", name)] {
            attributes.insert(key, Value::Text(value.into()));
        }
        let span_id = SpanId((self.spans.len() as u64 + 1).to_be_bytes());
        self.spans.push(Span {
            trace_id,
            span_id,
            parent_span_id: parent,
            kind,
            name: name.into(),
            start: EventTime(start),
            end: EventTime(start + (ms * 1e6) as u64),
            error: false,
            resource: Resource::new(attributes),
            attributes: Attributes::default(),
            links: Vec::new(),
            sampling: None,
        });
        Place { trace_id, span_id, start }
    }

    fn cold(&mut self) {
        self.spans.last_mut().unwrap().attributes.insert("faas.coldstart", Value::Bool(true));
    }

    fn bill(self, rules: Vec<FunctionRule>) -> CostReport {
        bill_of(self.spans, 1, rules)
    }
}

/// What all of it costs, all of which came within the minute that runs.
fn bill_of(spans: Vec<Span>, shards: usize, rules: Vec<FunctionRule>) -> CostReport {
    let mut engine = Engine::new(&Config::recommended(), shards);
    engine.aggregate_mut().set_facts(list_prices(), rules);
    engine.ingest(START, spans);
    let end = ArrivalTime(START.0 + 30 * SECOND);
    engine.tick(end);
    engine.cost(end)
}

fn memory(pattern: &str, memory_mb: u32) -> FunctionRule {
    FunctionRule { pattern: pattern.into(), memory_mb: Some(memory_mb), ..FunctionRule::default() }
}

/// List prices as their pages have them.
fn list_prices() -> PriceTable {
    let aws = table();
    let lambda = aws.platforms[0].clone();
    let of = |name: &str, per_gb_second, per_request, minimum_ms, rounding_ms| PlatformPrice {
        platforms: vec![name.into()],
        architecture: None,
        per_gb_second,
        per_request,
        minimum_ms,
        rounding_ms,
        vcpu_mb: 0,
        ..lambda.clone()
    };
    let others = [
        of("gcp_cloud_functions", 1.65e-5, 4e-7, 100.0, 100.0),
        PlatformPrice { per_second: 2.4e-5, ..of("gcp_cloud_run", 2.5e-6, 4e-7, 100.0, 100.0) },
        PlatformPrice { memory_step_mb: 128, ..of("azure_functions", 1.6e-5, 2e-7, 100.0, 1.0) },
        PlatformPrice { per_second: 2e-5, charges_waiting: false, ..of("cloudflare_workers", 0.0, 3e-7, 0.0, 1.0) },
    ];
    let read = CallPrice { kind: EdgeKind::Read, per_call: 4e-7, ..aws.calls[0].clone() };
    PriceTable {
        platforms: aws.platforms.into_iter().chain(others).collect(),
        calls: aws.calls.into_iter().chain([read]).collect(),
        ..aws
    }
}

#[track_caller]
fn is_within(found: f64, expected: f64) {
    // A hundredth is what is promised; what is counted run by run is exact.
    assert!((found / expected - 1.0).abs() < 1e-6, "{found} is not {expected}");
}

fn function<'a>(report: &'a CostReport, name: &str) -> &'a FunctionCost {
    report.functions.iter().find(|line| &*line.name == name).unwrap()
}

#[test]
fn lambda_on_x86_is_charged_by_the_millisecond() {
    let mut world = World::of("aws_lambda");
    for _ in 0..1_000 {
        world.run("f", 299.2);
    }
    let report = world.bill(vec![memory("f", 1_024)]);
    // 1,000 · (1 GiB · 0.3 s · 0.0000166667 + 0.0000002)
    is_within(report.total.total(), 0.005_200_01);
    let line = function(&report, "f");
    is_within(line.gb_seconds, 300.0);
    is_within(line.costs.requests, 0.000_2);
    assert_eq!((line.requests, line.is_assumed, &*report.currency), (1_000.0, false, "USD"));
    assert_eq!(report.assumed, 0.0);
}

#[test]
fn lambda_on_arm_rounds_each_run_by_itself() {
    let mut world = World::of("aws_lambda");
    for ms in [0.2, 1.5, 10.5, 100.1, 7.0] {
        world.run("f", ms);
    }
    let arm = FunctionRule { architecture: Some(Architecture::Arm), ..memory("f", 512) };
    // 1 + 2 + 11 + 101 + 7 = 122 ms, where a mean of 23.86 would be charged as 120.
    is_within(world.bill(vec![arm]).total.total(), 0.5 * 0.122 * 1.333_34e-5 + 5.0 * 2e-7);
}

#[test]
fn google_is_charged_in_steps_of_a_tenth_of_a_second() {
    let mut world = World::of("gcp_cloud_functions");
    for ms in [1.0, 99.0, 100.0, 101.0, 250.0] {
        world.run("f", ms);
    }
    // 100 + 100 + 100 + 200 + 300 = 800 ms
    is_within(world.bill(vec![memory("f", 256)]).total.total(), 0.25 * 0.8 * 1.65e-5 + 5.0 * 4e-7);
    let mut world = World::of("gcp_cloud_run");
    world.run("f", 120.0);
    is_within(world.bill(vec![memory("f", 512)]).total.total(), 0.2 * (0.5 * 2.5e-6 + 2.4e-5) + 4e-7);
}

#[test]
fn azure_is_charged_a_tenth_of_a_second_and_steps_of_memory_at_least() {
    let mut world = World::of("azure_functions");
    for ms in [20.0, 100.5, 300.0] {
        world.run("f", ms);
    }
    // 192 MiB count as 256, 20 ms as 100: 100 + 101 + 300 ms.
    is_within(world.bill(vec![memory("f", 192)]).total.total(), 0.25 * 0.501 * 1.6e-5 + 3.0 * 2e-7);
    let mut world = World::of("azure_functions");
    world.run("f", 1.0);
    is_within(world.bill(vec![memory("f", 1)]).total.total(), 0.125 * 0.1 * 1.6e-5 + 2e-7);
}

#[test]
fn cloudflare_charges_requests_and_work_but_no_waiting() {
    let mut world = World::of("cloudflare_workers");
    for _ in 0..10 {
        let run = world.run("f", 120.0);
        world.waits("f", run, 10, 100.0, &[]);
    }
    let report = world.bill(vec![memory("f", 128)]);
    is_within(report.total.total(), 10.0 * (0.02 * 2e-5 + 3e-7));
    assert_eq!(report.total.waiting, 0.0);
}

#[test]
fn what_runs_use_is_charged_by_the_call() {
    let mut world = World::of("aws_lambda");
    for _ in 0..20 {
        let run = world.run("f", 200.0);
        for at in 0..3 {
            world.waits("f", run, at * 10, 8.0, &[("aws.s3.bucket", "b"), ("rpc.method", "PutObject")]);
        }
        for at in 4..9 {
            world.waits("f", run, at * 10, 8.0, &[("aws.s3.bucket", "b"), ("rpc.method", "GetObject")]);
        }
        world.waits("f", run, 150, 10.0, &[("messaging.destination.name", "q"), ("messaging.system", "aws_sqs")]);
    }
    let report = world.bill(vec![memory("f", 1_024)]);
    // 3 PUT at 5 and 5 GET at 0.4 millionths, a message at 1.2.
    is_within(report.total.calls, 20.0 * 18.2e-6);
    is_within(report.total.total(), 20.0 * (0.2 * 1.666_67e-5 + 2e-7 + 18.2e-6));
    // It waits 74 of 200 ms.
    is_within(report.total.waiting, 20.0 * 0.074 * 1.666_67e-5);
    let edge = |kind| report.edges.iter().find(|edge| edge.kind == kind).unwrap();
    is_within(edge(EdgeKind::Read).uses, 20.0 * 5.0 * 4e-7);
    is_within(edge(EdgeKind::Write).waiting, 20.0 * 0.024 * 1.666_67e-5);
    let items: Vec<&str> = report.prices.iter().map(|price| &*price.item).collect();
    assert_eq!(items, ["aws_lambda x86_64", "s3 read", "s3 write", "sqs publish"]);
}

#[test]
fn waiting_for_another_function_is_paid_for_twice() {
    let mut world = World::of("aws_lambda");
    for _ in 0..50 {
        let run = world.run("front", 500.0);
        let call = world.waits("front", run, 20, 410.0, &[]);
        world.caused("back", call, 400.0);
    }
    let report = world.bill(vec![memory("front", 1_024), memory("back", 512)]);
    is_within(function(&report, "front").costs.double_billed, 50.0 * 0.41 * 1.666_67e-5);
    let back = 50.0 * (0.5 * 0.4 * 1.666_67e-5 + 2e-7);
    is_within(function(&report, "back").costs.total(), back);
    let [edge] = &report.edges[..] else { panic!("{:?}", report.edges) };
    is_within(edge.downstream, back);
    is_within(edge.waiting, 50.0 * 0.41 * 1.666_67e-5);
    let [trigger] = &report.triggers[..] else { panic!("{:?}", report.triggers) };
    assert_eq!((&*trigger.name, trigger.kind, trigger.entries), ("front", "request", 50.0));
    is_within(trigger.cost, report.total.total());
}

#[test]
fn calls_at_the_same_time_are_waited_for_once() {
    let mut world = World::of("aws_lambda");
    let run = world.run("front", 500.0);
    for back in ["one", "two"] {
        let call = world.waits("front", run, 100, 300.0, &[]);
        world.caused(back, call, 290.0);
    }
    let report = world.bill(vec![memory("*", 1_024)]);
    is_within(report.total.double_billed, 0.3 * 1.666_67e-5);
    is_within(report.edges.iter().map(|edge| edge.waiting).sum(), 0.3 * 1.666_67e-5);
}

#[test]
fn cold_runs_cost_what_they_take_longer() {
    let mut world = World::of("aws_lambda");
    for number in 0..20 {
        world.run("f", if number < 2 { 1_100.0 } else { 100.0 });
        if number < 2 {
            world.cold();
        }
    }
    is_within(world.bill(vec![memory("f", 1_024)]).total.cold, 2.0 * 1.666_67e-5);
}

#[test]
fn what_the_platform_told_is_charged_to_the_function_and_to_its_loop() {
    let mut engine = Engine::new(&Config::recommended(), 1);
    engine.aggregate_mut().set_facts(list_prices(), vec![memory("*", 1_024)]);
    let spans = Story::parse(&format!("f{}", " ~q~> f".repeat(40))).spans;
    let function = Arc::clone(spans[0].resource.function());
    engine.ingest(START, spans);
    let billed = FactRecord { billed_ms: Some(70.0), ..FactRecord::about(function, EventTime(START.0)) };
    engine.learn(START, vec![billed; 41]);
    engine.tick(START);
    let told = engine.snapshot(START).loops.remove(0).cost.unwrap();
    let run = 0.07 * 1.666_67e-5 + 2e-7;
    is_within(engine.cost(START).total.total(), 41.0 * run);
    is_within(told.so_far, 40.0 * run);
}

#[test]
fn what_no_edge_explains_is_told_by_what_starts_the_runs() {
    let mut world = World::of("aws_lambda");
    for (name, trigger) in
        [("hourly", "timer"), ("worker", "pubsub"), ("site", "http"), ("site", "timer"), ("site", "http")]
    {
        let run = world.run(name, 100.0);
        world.spans.last_mut().unwrap().attributes.insert("faas.trigger", Value::Text(trigger.into()));
        let call = world.waits(name, run, 10, 50.0, &[]);
        world.caused("below", call, 40.0);
    }
    let report = world.bill(vec![memory("*", 1_024)]);
    let mut told: Vec<_> = report.triggers.iter().map(|it| (&*it.name, it.kind)).collect();
    told.sort_unstable();
    assert_eq!(told, [("hourly", "schedule"), ("site", "request"), ("worker", "queue")]);
}

#[test]
fn owners_applications_and_environments_share_the_total() {
    let mut world = World::of("aws_lambda");
    for name in ["shop-cart", "shop-cart", "shop-cart", "mail"] {
        world.run(name, 100.0);
    }
    let rules = vec![
        FunctionRule {
            owner: Some("web".into()),
            apps: Some(vec!["shop".into(), "all".into()]),
            ..memory("shop-*", 512)
        },
        FunctionRule { apps: Some(vec!["all".into()]), ..memory("mail", 512) },
    ];
    let report = world.bill(rules);
    let part = |groups: &[crate::snapshot::GroupCost]| -> Vec<String> {
        let total = report.total.total();
        groups.iter().map(|it| format!("{:?} {} {:.2}", it.name, it.functions, it.costs.total() / total)).collect()
    };
    assert_eq!(part(&report.apps), [r#""all" 2 1.00"#, r#""shop" 1 0.75"#]);
    assert_eq!(part(&report.owners), [r#""web" 1 0.75"#, r#""" 1 0.25"#]);
    assert_eq!(part(&report.environments), [r#""" 2 1.00"#]);
}

#[test]
fn a_chain_of_messages_is_a_pipeline_with_what_its_stages_call() {
    let mut story = Story::parse(&"get ~q~> resize ~p~> store -> log\n".repeat(30));
    story.add("other -> log");
    let report = bill_of(story.spans, 1, vec![memory("*", 512)]);
    let [pipeline] = &report.pipelines[..] else { panic!("{:?}", report.pipelines) };
    let names: Vec<&str> = pipeline.names.iter().map(|name| &**name).collect();
    assert_eq!((names, pipeline.path.len(), pipeline.entries), (vec!["get", "resize", "store"], 5, 30.0));
    let of = |name| function(&report, name).costs.total();
    is_within(pipeline.stages, of("get") + of("resize") + of("store"));
    is_within(pipeline.called, of("log") * 30.0 / 31.0);
    let first = &report.triggers[0];
    assert_eq!((&*first.name, first.kind, first.entries), ("get", "request", 30.0));
    is_within(first.cost, pipeline.total());
}

#[test]
fn what_is_asked_from_outside_as_well_is_no_pipeline() {
    let chain = "get ~q~> resize ~p~> store\n".repeat(10);
    let report = bill_of(Story::parse(&chain).spans, 1, vec![memory("*", 512)]);
    assert_eq!(report.pipelines.len(), 1);
    let outside = "resize ~p~> store\n".repeat(90);
    let report = bill_of(Story::parse(&(chain + &outside)).spans, 1, vec![memory("*", 512)]);
    assert_eq!(report.pipelines, []);
}

#[test]
fn a_loop_costs_what_its_laps_cost() {
    let mut engine = Engine::new(&Config::recommended(), 1);
    engine.aggregate_mut().set_facts(list_prices(), vec![memory("*", 1_024)]);
    engine.ingest(START, Story::parse(&format!("f{}", " ~q~> g ~p~> f".repeat(40))).spans);
    engine.tick(START);
    let told = engine.snapshot(START).loops.remove(0).cost.unwrap();
    let report = engine.cost(START);
    assert_eq!(report.triggers.len(), 1, "what set it off pays for all of it: {:?}", report.triggers);
    // The chain ran once more than it went round.
    let first = function(&report, "f").costs.total() / 41.0;
    is_within(told.so_far + first, report.total.total());
}

#[test]
fn an_even_load_that_containers_would_serve_for_less_is_told() {
    let prices = super::Pricing {
        prices: Arc::new(list_prices()),
        rules: [memory("f", 1_024)].into(),
        ..super::Pricing::default()
    };
    let mut world = World::of("aws_lambda");
    for _ in 0..600 {
        let run = world.run("f", 200.0);
        world.waits("f", run, 10, 180.0, &[]);
    }
    let mut engine = Engine::new(&Config::recommended(), 1);
    let end = ArrivalTime(START.0 + 30 * SECOND);
    engine.ingest(START, world.spans);
    engine.tick(end);
    // A day of such minutes: twenty runs a second.
    let minute = engine.measured().clone();
    let mut day = crate::measured::Measured::default();
    for number in 0..1_440 {
        let mut minute = minute.clone();
        minute.seconds = 30.0;
        for function in minute.functions.values_mut() {
            function.pace = crate::record::Pace::default();
            function.pace.add(number, 600.0);
        }
        day.merge(&minute);
    }
    let report = prices.bill(&day);
    let line = function(&report, "f");
    let even = line.break_even.unwrap();
    // 20 runs a second at 3.5333 millionths are 186 a month; two tasks of 1 vCPU and a balancer 94.
    is_within(line.per_second, 20.0);
    assert!(
        (even.function_per_month - 185.7).abs() < 0.1 && (even.containers_per_month - 94.0).abs() < 0.1,
        "{even:?}"
    );
    assert_eq!(line.verdicts[0].fit, Fit::SustainedTraffic, "{:?}", line.verdicts);
    assert_eq!(line.verdicts[0].words, "sustained traffic: containers would cost 51 % of this");
}

#[test]
fn nothing_is_said_without_prices() {
    let mut engine = Engine::new(&Config::recommended(), 1);
    engine.ingest(START, Story::parse("a -> b").spans);
    assert_eq!(engine.cost(START), CostReport::default());
}

/// Chains through four functions over calls, messages and writes.
fn story() -> impl Strategy<Value = String> {
    let arrow = prop::sample::select(vec!["->", "~>", "~q~>", "~p~>", "=>", "~b/~>"]);
    let chain = prop::collection::vec((arrow, 0usize..4), 0..6);
    prop::collection::vec((0usize..4, chain), 1..8).prop_map(|chains| {
        let line = |(first, hops): (usize, Vec<(&str, usize)>)| {
            hops.iter().fold(format!("f{first}"), |line, (arrow, to)| format!("{line} {arrow} f{to}"))
        };
        chains.into_iter().map(line).collect::<Vec<_>>().join("\n")
    })
}

proptest! {
    #[test]
    fn parts_add_up_to_the_total(story in story(), sampled in any::<bool>()) {
        let mut spans = Story::parse(&story).spans;
        if sampled {
            spans.iter_mut().for_each(|span| span.sampling = Some(0.25));
        }
        let report = bill_of(spans.clone(), 1, Vec::new());
        let total = report.total.total();
        let near = |sum: f64| (sum - total).abs() <= 1e-9 * total;
        prop_assert!(total > 0.0 && near(report.assumed), "nothing is known of its functions");
        prop_assert!(near(report.functions.iter().map(|it| it.costs.total()).sum()));
        prop_assert!(near(report.triggers.iter().map(|it| it.cost).sum()), "{:?}", report.triggers);
        prop_assert!(near(report.owners.iter().map(|it| it.costs.total()).sum()));
        prop_assert!(near(report.environments.iter().map(|it| it.costs.total()).sum()));
        prop_assert!(report.pipelines.iter().map(|it| it.stages).sum::<f64>() <= total * (1.0 + 1e-9));
        let (waiting, uses): (f64, f64) =
            (report.edges.iter().map(|it| it.waiting).sum(), report.edges.iter().map(|it| it.uses).sum());
        prop_assert!(waiting <= report.total.waiting * (1.0 + 1e-9) && near(uses + total - report.total.calls));
        prop_assert!(report.total.double_billed <= report.total.waiting && report.total.waiting <= report.total.time);
        let sharded = bill_of(spans, 3, Vec::new());
        prop_assert!(near(sharded.total.total()), "{} shards change nothing", 3);
    }
}
