//! The scenarios of every class.
//!
//! How deep harmless recursion goes is invented, because nobody has published it; the laws are those that the
//! thresholds of the detectors were derived on, and `chains.rs` shows how hard they are.

use crate::{
    class::{Class, Verdict},
    dice::Dice,
    knobs::Context,
    scenario::{Arrivals, Edge, Flow, Hop, Law, Node, Retry, Rule, Scenario, Stream, Trigger},
};

/// Laps after which somebody stops a runaway chain.
pub const STOPPED_AT: u32 = 80;

/// Invocations after which somebody stops a scenario that multiplies.
pub const MOST_INVOCATIONS: u64 = 4_000;

/// When things happen to a scenario, seconds from the start of its world.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Its harmless chains begin.
    pub from: f64,
    /// Its runaway chains begin.
    pub onset: f64,
    /// Nothing new begins.
    pub to: f64,
}

/// A scenario of a class; `context` is how its causes will be told.
pub fn scenario(class: Class, name: &str, context: Context, times: Times, dice: &mut Dice) -> Scenario {
    let mut scenario = Scenario {
        name: name.to_owned(),
        class,
        context: None,
        flow: flow(class, context, dice),
        benign: None,
        runaway: None,
        deploys: false,
        until: times.to,
        most_invocations: u64::MAX,
        timeout: 900.0,
        names_conversation: dice.chance(0.5),
    };
    match class.verdict() {
        Verdict::Runaway => run_away(&mut scenario, times, dice),
        Verdict::Bounded | Verdict::Control => {
            let rate = if class == Class::DivideDeep { 0.004 } else { 0.05 };
            let arrivals = match class {
                Class::Cron => Arrivals::Every { from: times.from, to: times.to, seconds: 60.0 },
                _ => Arrivals::Rate { from: times.from, to: times.to, per_second: rate },
            };
            scenario.benign = Some(Stream { arrivals, law: law(class, dice) });
        }
    }
    scenario
}

/// How harmless chains of a class go on.
pub fn law(class: Class, dice: &mut Dice) -> Law {
    match class {
        Class::PaginationHalf => Law::Continue(0.5),
        Class::PaginationTwoThirds => Law::Continue(0.67),
        Class::PaginationMany => Law::Continue(0.8),
        Class::PaginationLong => Law::Continue(0.9),
        Class::PaginationLogNormal => Law::LogNormal { median: 3.0, sigma: 1.0 },
        Class::PaginationPareto => Law::Pareto { alpha: 2.0 },
        Class::PaginationUniform => Law::Uniform { low: 1, high: 12 },
        Class::DivideSmall => Law::Tree { branch: 2, depth: 4 },
        Class::DivideDeep => Law::Tree { branch: 2, depth: 10 },
        Class::DivideWide => Law::Tree { branch: 10, depth: 2 },
        Class::Saga => Law::Uniform { low: 2, high: 3 },
        Class::PingPong => {
            let ttl = dice.between(3, 7);
            Law::Uniform { low: ttl - 1, high: ttl }
        }
        _ => Law::Continue(0.0),
    }
}

/// Streams of a runaway scenario.
fn run_away(scenario: &mut Scenario, times: Times, dice: &mut Dice) {
    let endless = Law::Endless { stopped_at: STOPPED_AT };
    let once = Arrivals::Once { at: times.onset };
    let rate = |per_second| Arrivals::Rate { from: times.onset, to: times.to, per_second };
    let (arrivals, law) = match scenario.class {
        Class::FanOutSlow => (rate(0.2), Law::Branching { mean: 1.2 }),
        Class::FanOutTwo => (rate(0.2), Law::Branching { mean: 2.0 }),
        Class::FanOutFive => (rate(0.2), Law::Branching { mean: 5.0 }),
        Class::Leaky => (rate(0.05), Law::Continue(0.98)),
        Class::AccumulatingSlow => (rate(0.1), endless),
        Class::AccumulatingFast => (rate(1.0), endless),
        Class::Deployed => (rate(0.1), endless),
        Class::NoProgress => (Arrivals::Every { from: times.onset, to: times.to, seconds: 10.0 }, Law::Continue(0.0)),
        Class::Telemetry => (Arrivals::Every { from: times.onset, to: times.to, seconds: 2.0 }, Law::Continue(0.0)),
        _ => (once, endless),
    };
    scenario.runaway = Some(Stream { arrivals, law });
    scenario.benign = match scenario.class {
        Class::Hidden => Some((20.0, Law::Continue(0.0))),
        Class::Deployed => Some((0.1, Law::Uniform { low: 1, high: 3 })),
        Class::NoProgress | Class::Telemetry | Class::TenMinutes | Class::Hour | Class::Day => None,
        // Half of the functions do useful work besides.
        _ => dice.chance(0.5).then_some((0.02, Law::Continue(0.0))),
    }
    .map(|(per_second, law)| {
        let to = if scenario.class == Class::Deployed { times.onset } else { times.to };
        Stream { arrivals: Arrivals::Rate { from: times.from, to, per_second }, law }
    });
    scenario.deploys = scenario.class == Class::Deployed;
    scenario.most_invocations = match scenario.class {
        Class::Hidden => u64::MAX,
        _ => MOST_INVOCATIONS,
    };
    match scenario.class {
        Class::SyncRecursion => scenario.timeout = 30.0,
        Class::CycleCall | Class::CycleMixed | Class::TwelveCycle => scenario.timeout = 6.0,
        _ => {}
    }
}

fn flow(class: Class, context: Context, dice: &mut Dice) -> Flow {
    let lap = dice.lognormal(2.0, 0.4).clamp(0.7, 5.0);
    let long = 2 + dice.below(5);
    // The stream of a table carries no id that its writer knows.
    let store = |dice: &mut Dice| match context {
        Context::MessageId => Hop::Bucket,
        _ => *dice.pick(&[Hop::Bucket, Hop::Table]),
    };
    let any = |dice: &mut Dice| match dice.below(4) {
        0 => Hop::Call,
        1 => Hop::Invoke,
        2 => Hop::Queue,
        _ => store(dice),
    };
    let mut ring = |n: usize, hop: &mut dyn FnMut(&mut Dice) -> Hop| {
        let hops: Vec<Hop> = (0..n).map(|_| hop(dice)).collect();
        Flow::cycle(&hops, lap * (n as f64).sqrt())
    };
    match class {
        Class::SelfInvoke => ring(1, &mut |_| Hop::Invoke),
        Class::SelfBucket => overwriting(ring(1, &mut |_| Hop::Bucket)),
        Class::SelfTable => ring(1, &mut |dice| if context == Context::MessageId { store(dice) } else { Hop::Table }),
        Class::CycleCall => ring(long, &mut |_| Hop::Call),
        Class::CycleQueue => ring(long, &mut |_| Hop::Queue),
        Class::CycleStorage => ring(long, &mut |dice| store(dice)),
        Class::CycleMixed => ring(long, &mut |dice| any(dice)),
        Class::TwelveCycle => ring(12, &mut |dice| any(dice)),
        Class::TenMinutes => slow(600.0),
        Class::Hour => slow(3_600.0),
        Class::Day => slow(86_400.0),
        Class::Hidden | Class::Saga | Class::PingPong => ring(2, &mut |_| Hop::Queue),
        Class::SyncRecursion => Flow::cycle(&[Hop::Call], 0.3),
        Class::Poison => poisoned(ring(1, &mut |_| Hop::Queue)),
        Class::SelfTimer => slow(10.0),
        Class::NoProgress => Flow { nodes: vec![Node { entity: Some("batch-17".to_owned()), ..timer("sync") }] },
        Class::Telemetry => Flow { nodes: vec![Node { telemetry_to: Some("collector".to_owned()), ..timer("agent") }] },
        Class::SdkRetries => sdk_retries(),
        Class::Redelivery => redelivery(),
        Class::AsyncRetries => async_retries(),
        Class::WorkflowPoll => workflow_poll(),
        Class::Cron => Flow { nodes: vec![timer("report")] },
        Class::PrefixFiltered => prefix_filtered(),
        Class::DeadLetterRedrive => dead_letter_redrive(),
        Class::Diamond => diamond(),
        Class::SharedLogger => shared_logger(),
        _ => {
            let hop = *dice.pick(&[Hop::Invoke, Hop::Queue]);
            Flow::cycle(&[hop], lap)
        }
    }
}

fn timer(name: &str) -> Node {
    Node { trigger: Trigger::Timer, ..Node::new(name) }
}

/// One function that schedules itself, always after the same time.
fn slow(lap: f64) -> Flow {
    let mut flow = Flow::cycle(&[Hop::Schedule], lap);
    flow.nodes[0].seconds = 0.2;
    flow.nodes[0].edges[0].delay = lap;
    flow.nodes[0].edges[0].spread = 0.01;
    flow
}

fn overwriting(mut flow: Flow) -> Flow {
    flow.nodes[0].edges[0].overwrites = true;
    flow
}

fn poisoned(mut flow: Flow) -> Flow {
    flow.nodes[0].errors = 0.95;
    flow
}

/// Three layers, each trying four times.
fn sdk_retries() -> Flow {
    let retry = Retry::Caller { attempts: 4, failing: 0.4 };
    let call = |to| Edge::new(to, Hop::Call, 0.005).retried(retry);
    Flow {
        nodes: vec![
            Node::new("front").with(call(1)),
            Node::new("middle").with(call(2)),
            Node::new("back").with(call(3)),
            Node::new("store"),
        ],
    }
}

fn redelivery() -> Flow {
    let retry = Retry::Platform { attempts: 5, failing: 0.6, pause: 30.0 };
    let queue = |to| Edge::new(to, Hop::Queue, 0.3);
    Flow {
        nodes: vec![
            Node::new("order").with(queue(1).retried(retry)),
            Node::new("pay").with(queue(2)),
            Node::new("ship"),
        ],
    }
}

fn async_retries() -> Flow {
    let retry = Retry::Platform { attempts: 3, failing: 0.6, pause: 60.0 };
    Flow { nodes: vec![Node::new("upload").with(Edge::new(1, Hop::Invoke, 0.1).retried(retry)), Node::new("resize")] }
}

fn workflow_poll() -> Flow {
    let poll = Edge::new(1, Hop::Call, 10.0).when(Rule::Times(12));
    Flow { nodes: vec![Node::new("workflow").with(poll), Node::new("is-it-done")] }
}

/// What it writes lies beside what triggers it.
fn prefix_filtered() -> Flow {
    let mut out = Edge::new(0, Hop::Bucket, 0.3).when(Rule::Never);
    out.prefix = Some("out/");
    let mut upload = Edge::new(1, Hop::Bucket, 0.3);
    upload.overwrites = false;
    let mut convert = out.clone();
    convert.to = 1;
    Flow { nodes: vec![Node::new("upload").with(upload), Node::new("convert").with(convert)] }
}

/// A message fails, lies in a dead-letter queue, and is sent again by a function of its own.
fn dead_letter_redrive() -> Flow {
    let first = Edge::new(1, Hop::Queue, 0.3).retried(Retry::Platform { attempts: 3, failing: 0.9, pause: 20.0 });
    let dead = Edge::new(2, Hop::Queue, 90.0).when(Rule::Chance(0.5));
    let again = Edge::new(1, Hop::Queue, 0.3);
    Flow { nodes: vec![Node::new("order").with(first).with(dead), Node::new("pay"), Node::new("redrive").with(again)] }
}

fn diamond() -> Flow {
    let call = |to| Edge::new(to, Hop::Call, 0.005);
    let queue = |to| Edge::new(to, Hop::Queue, 0.2);
    Flow {
        nodes: vec![
            Node::new("cart").with(call(1)).with(queue(2)),
            Node::new("stock").with(call(3)),
            Node::new("price").with(queue(3)),
            Node::new("item"),
        ],
    }
}

fn shared_logger() -> Flow {
    let log = || Edge::new(3, Hop::Queue, 0.2);
    let call = |to| Edge::new(to, Hop::Call, 0.005);
    Flow {
        nodes: vec![
            Node::new("web").with(call(1)).with(log()),
            Node::new("user").with(call(2)).with(log()),
            Node::new("mail").with(log()),
            Node::new("log"),
        ],
    }
}
