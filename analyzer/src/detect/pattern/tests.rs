//! Every pattern and what is near it, through the whole engine.

use expect_test::{Expect, expect};

use super::world::{World, describe};
use crate::snapshot::{Aspect, Likeness, Patterns};

/// The patterns of one kind in a world.
fn found(kind: &str, world: &str) -> String {
    let found = describe(&World::parse(world).patterns());
    let lines: Vec<&str> = found.lines().filter(|line| line.starts_with(kind)).collect();
    lines.join("\n")
}

fn check(kind: &str, world: &str, expected: Expect) {
    expected.assert_eq(&found(kind, world));
}

#[track_caller]
fn none(kind: &str, world: &str) {
    assert_eq!(found(kind, world), "", "{world}");
}

#[test]
fn a_decorator_passes_each_call_on_and_waits() {
    check(
        "decorator",
        "40 x gate(5 auth(4 api(90) 6) 5)",
        expect!["decorator gate -> auth -> api: 40 runs, own 10 %, waits 90 %"],
    );
    // One request in fifty is turned away, and one caller in thirty is somebody else.
    let most = "49 x gate(5 auth(4 api(90) 6) 5)\ngate(5 auth(4) 5)\nbatch(1 auth(4 api(90) 6))";
    check("decorator", most, expect!["decorator gate -> auth -> api: 51 runs, own 10 %, waits 90 %"]);
}

#[test]
fn what_works_itself_is_no_decorator() {
    none("decorator", "40 x gate(5 auth(20 api(80)) 5)");
}

#[test]
fn what_calls_twice_or_seldom_is_no_decorator() {
    none("decorator", "40 x gate(5 auth(4 2*api(90) 6) 5)");
    none("decorator", "30 x gate(5 cache(4 api(90)) 5)\n10 x gate(5 cache(4) 5)");
}

#[test]
fn what_has_several_callers_or_callees_is_no_decorator() {
    none("decorator", "20 x gate(5 auth(4 api(90) 6))\n20 x shop(5 auth(4 api(90) 6))");
    none("decorator", "40 x gate(5 auth(4 api(50) log(50) 6))");
    // Its callers from outside are not seen, and are callers all the same.
    none("decorator", "20 x gate(5 auth(4 api(90) 6))\n20 x auth(4 api(90) 6)");
    none("decorator", "40 x gate(5 auth(4 :users api(90)) 5)");
}

#[test]
fn what_sends_messages_is_no_decorator() {
    none("decorator", "40 x gate(5 q>auth(4 api(90) 6))");
    none("decorator", "40 x gate(5 auth(1 q>api(90)))");
}

#[test]
fn an_event_handler_is_started_by_messages_or_changes() {
    check("event", "40 x shop(5 orders>mail(20))", expect!["event handler mail (pubsub) of orders"]);
    check("event", "40 x shop(5 pictures/>resize(20))", expect!["event handler resize (datasource) of pictures"]);
    check("event", "40 x orders=> mail(20)", expect!["event handler mail (pubsub) of orders"]);
}

#[test]
fn what_is_called_too_is_no_event_handler() {
    none("event", "30 x shop(5 orders>mail(20))\n10 x admin(5 mail(20))");
    none("event", "30 x shop(5 orders>mail(20))\n10 x mail(20)");
}

#[test]
fn what_a_schedule_or_a_request_starts_is_no_event_handler() {
    none("event", "40 x shop(5 mail(20))");
    let mut world = World::default();
    (0..40).for_each(|_| world.begin("report(20)"));
    for span in &mut world.spans {
        span.attributes.insert("faas.trigger", crate::attribute::Value::Text("timer".into()));
    }
    assert_eq!(describe(&world.patterns()), "");
}

#[test]
fn a_pipeline_is_timed_from_end_to_end() {
    // 10 until it sends, 1 for the send, 20 of waiting; 30, 1, 40; 25.
    check(
        "pipeline",
        "40 x take(10 a>cut(30 b@40>store(25)) 7)",
        expect!["pipeline take cut store: p50 128 ms, p95 128 ms, waits 47 %, slowest cut"],
    );
    check(
        "pipeline",
        "40 x take(10 a/>cut(30 check(5) b/>store(25)))",
        expect!["pipeline take cut store: p50 111 ms, p95 111 ms, waits 36 %, slowest cut"],
    );
    check(
        "pipeline",
        "40 x take(10 ~>cut(30 ~>store(25 c>index(99))))",
        expect!["pipeline take cut store index: p50 228 ms, p95 228 ms, waits 26 %, slowest index"],
    );
}

#[test]
fn the_time_of_a_pipeline_is_that_of_its_chains() {
    // One chain in ten waits for a second: no sum of quantiles of stages tells that.
    let found = World::parse("36 x take(10 a>cut(30 b>store(25)))\n4 x take(10 a@1000>cut(30 b>store(25)))").patterns();
    let end = found.pipelines[0].end_to_end.unwrap();
    let total = 10.0 + 1.0 + 20.0 + 30.0 + 1.0 + 20.0 + 25.0;
    assert!((end.p50_ms / total - 1.0).abs() < 0.02 && (end.p95_ms / (total + 980.0) - 1.0).abs() < 0.02, "{end:?}");
    assert_eq!(end.chains, 40);
}

#[test]
fn what_branches_or_joins_is_no_pipeline() {
    none("pipeline", "20 x take(10 a>cut(30 b>store(25)))\n20 x take(10 a>cut(30 c>bin(25)))");
    none(
        "pipeline",
        "20 x take(10 a>cut(30 b>store(25)))\n20 x scan(10 a>cut(30 b>store(25)))\n20 x push(1 b>store(5))",
    );
}

#[test]
fn who_is_asked_from_outside_as_well_is_no_stage() {
    none("pipeline", "10 x take(10 a>cut(30 b>store(25)))\n90 x cut(30 b>store(25))");
    none("pipeline", "40 x take(10 a>cut(30 b>store(25)))\n40 x b=> store(25)");
    // One in fifty is none.
    check(
        "pipeline",
        "98 x take(10 a>cut(30 b>store(25)))\n2 x cut(30 b>store(25))",
        expect!["pipeline take cut store: p50 107 ms, p95 107 ms, waits 37 %, slowest cut"],
    );
}

#[test]
fn what_handles_several_messages_at_once_is_a_stage() {
    check(
        "pipeline",
        "40 x take(1) take(1) take(2) q=> sum(30 b>store(5))",
        expect!["pipeline take sum store: p50 79 ms, p95 79 ms, waits 51 %, slowest sum"],
    );
}

#[test]
fn many_calls_of_a_stage_hide_no_pipeline() {
    check(
        "pipeline",
        "40 x take(10 25*user(1) a>cut(30 b>store(25)))",
        expect!["pipeline take cut store: p50 133 ms, p95 133 ms, waits 30 %, slowest take"],
    );
}

#[test]
fn two_stages_or_calls_are_no_pipeline() {
    none("pipeline", "40 x take(10 a>cut(30))");
    none("pipeline", "40 x take(10 cut(30 store(25)))");
    none("pipeline", "40 x take(10 a>cut(30 store(25)))");
}

#[test]
fn where_one_queue_serves_many_who_sends_to_whom_is_followed() {
    let world = "40 x take(10 bus>cut(30 bus>store(25)))\n40 x read(10 bus>parse(30 bus>index(25)))";
    check(
        "pipeline",
        world,
        expect![[r#"
        pipeline take cut store: p50 107 ms, p95 107 ms, waits 37 %, slowest cut
        pipeline read parse index: p50 107 ms, p95 107 ms, waits 37 %, slowest parse"#]],
    );
}

#[test]
fn a_rare_way_is_no_way() {
    check(
        "pipeline",
        "97 x take(10 a>cut(30 b>store(25)))\n3 x take(10 a>cut(30 c>bin(25)))",
        expect!["pipeline take cut store: p50 107 ms, p95 107 ms, waits 37 %, slowest cut"],
    );
}

#[test]
fn a_loop_is_no_pipeline() {
    none("pipeline", "40 x a(1 p>b(1 q>c(1 r>a(1 p>b(1 q>c(1))))))");
}

#[test]
fn a_fan_out_causes_several_at_once() {
    check(
        "fan-out",
        "40 x split(5 [4*work(20) work(80)] 5)",
        expect!["fan-out split -> work (work) x5.0, 2.0 at once, straggler 4.1"],
    );
    check("fan-out", "40 x split(5 4*q>work(20) 5)", expect!["fan-out split -> q (work) x4.0, straggler 1.0"]);
    check("fan-out", "40 x split(5 4*~>work(20) 5)", expect!["fan-out split -> work (work) x4.0, straggler 1.0"]);
    check(
        "fan-out",
        "40 x split(5 3*q>work(20) q@900>work(20))",
        expect!["fan-out split -> q (work) x4.0, straggler 23.1"],
    );
    check(
        "fan-out",
        "40 x news(5 topic>mail(20)&sms(5)&push(1))",
        expect!["fan-out news -> topic (mail push sms) x3.0"],
    );
    check("fan-out", "40 x chat(5 4*api(20))", expect!["fan-out chat -> api (api) x4.0, 1.0 at once, straggler 1.0"]);
}

#[test]
fn one_or_two_children_are_no_fan_out() {
    none("fan-out", "40 x split(5 [2*work(20)] 5)");
    none("fan-out", "40 x split(5 2*q>work(20))");
    // Three different ones, one each.
    none("fan-out", "40 x split(5 [a(5) b(5) c(5)])\n40 x send(5 p>x(1) q>y(1) r>z(1))");
    none("fan-out", "40 x news(5 topic>mail(20)&sms(5))");
}

#[test]
fn attempts_and_what_is_read_are_no_fan_out() {
    none("fan-out", "40 x pay(5 3*-bank(5) bank(20))");
    none("fan-out", "40 x list(5 5*:users 5*=audit)");
}

#[test]
fn a_fan_in_brings_several_together() {
    check("fan-in", "40 x a(1) b(2) c(9) q=> sum(30)", expect!["fan-in a b c -> sum x3.0, straggler 1.0"]);
    check("fan-in", "20 x a(1 q>sum(3))\n20 x b(1 q>sum(3))\n20 x c(1 q>sum(3))", expect!["fan-in a b c -> sum x1.0"]);
    check("fan-in", "40 x a(1) a(1) a(1) a(2) q=> sum(30)", expect!["fan-in a -> sum x4.0, straggler 1.0"]);
}

#[test]
fn two_senders_or_callers_are_no_fan_in() {
    none("fan-in", "40 x a(1) b(2) q=> sum(30)");
    none("fan-in", "20 x a(1 q>sum(3))\n20 x b(1 q>sum(3))\n1 x c(1 q>sum(3))");
    none("fan-in", "20 x a(1 sum(3))\n20 x b(1 sum(3))\n20 x c(1 sum(3))");
}

#[test]
fn a_router_sends_each_request_one_way() {
    check(
        "router",
        "30 x front(2 cards(20))\n20 x front(2 cash(5))\n10 x front(2 later>invoice(5))",
        expect!["router front -> cards 50 %, cash 33 %, later 17 %"],
    );
}

#[test]
fn who_sends_several_ways_at_once_is_no_router() {
    none("router", "20 x front(2 cards(20))\n20 x front(2 cards(5) cash(2))\n20 x front(2 cash(5))");
    none("router", "20 x front(2 cards(20) log>)\n20 x front(2 cash(5) log>)");
    // The second is tried where the first fails.
    none("router", "40 x front(2 cards(20))\n20 x front(2 cards(3) backup(20))");
}

#[test]
fn who_mostly_answers_or_has_one_way_is_no_router() {
    none("router", "40 x front(2)\n5 x front(2 cards(20))\n5 x front(2 cash(5))");
    none("router", "97 x front(2 cards(20))\n3 x front(2 cash(5))");
    none("router", "20 x front(2 :users)\n20 x front(2 =orders)");
}

fn likeness(found: &Patterns, name: &str) -> Likeness {
    found.kinds.iter().find(|kind| &*kind.function.name == name).unwrap().likeness
}

#[test]
fn functions_and_services_are_told_apart() {
    let mut world = World::default();
    world.said = vec![
        ("fn", vec![("faas.name", "fn".into()), ("cloud.platform", "aws_lambda".into())]),
        ("svc", vec![("service.instance.id", "one".into())]),
        ("both", vec![("faas.name", "both".into()), ("faas.instance", "one".into())]),
    ];
    for _ in 0..60 {
        world.begin("fn(5)");
        world.begin("edge(1 [4*svc(50)])");
        world.begin("edge(1 [4*both(50)])");
    }
    let found = world.patterns();
    assert_eq!(likeness(&found, "fn"), Likeness::Faas);
    assert_eq!(likeness(&found, "svc"), Likeness::Service);
    // It is called a function, and takes several requests at a time.
    assert_eq!(likeness(&found, "both"), Likeness::Service);
    let both = found.kinds.iter().find(|kind| &*kind.function.name == "both").unwrap();
    let says: Vec<(Aspect, Likeness)> = both.evidence.iter().map(|seen| (seen.aspect, seen.says)).collect();
    assert!(says.contains(&(Aspect::Declared, Likeness::Faas)) && says.contains(&(Aspect::Scaling, Likeness::Service)));
}

#[test]
fn instances_that_come_and_go_with_one_run_at_a_time_are_those_of_functions() {
    let mut world = World::default();
    for at in 0..60 {
        if at % 2 == 0 {
            world.said = vec![("job", vec![("service.instance.id", format!("i{at}"))])];
            world.renew();
        }
        world.begin("job(50)");
    }
    for span in world.spans.iter_mut().step_by(2) {
        span.attributes.insert("faas.coldstart", crate::attribute::Value::Bool(true));
    }
    let found = world.patterns();
    let job = &found.kinds[0];
    assert_eq!(job.likeness, Likeness::Faas, "{:?}", job.evidence);
    assert!(job.evidence.iter().any(|seen| seen.seen.ends_with("instances, 2 runs each")), "{:?}", job.evidence);
}

#[test]
fn few_runs_make_a_pattern_unsure_and_do_not_hide_it() {
    let sure = |times: u32| {
        let found = World::parse(&format!("{times} x gate(5 auth(4 api(90) 6) 5)")).patterns();
        found.decorators[0].confidence
    };
    assert!(sure(1) < 0.06 && sure(14) > 0.5 && sure(60) > 0.95);
}
