//! Tests of cycles among counts, with counts made up.

use super::{Flows, *};
use crate::{config::Config, sampling::Sampling, snapshot::Flow};

const W: NodeId = NodeId(1);
const X: NodeId = NodeId(2);
const P: NodeId = NodeId(10);
const Q: NodeId = NodeId(11);
const R: NodeId = NodeId(12);
const SECOND: u64 = 1_000_000_000;

/// Counts of some seconds.
#[derive(Default)]
struct World {
    flows: Flows,
    second: u64,
}

impl World {
    /// So many invocations of a function in this second, each with so many messages, that send so many on.
    fn run(&mut self, function: NodeId, via: NodeId, invocations: u32, messages: u32, sent: &[(NodeId, u32)]) {
        self.keep(Sampling::default(), (function, via), invocations, messages, sent);
    }

    /// The same, of invocations that were kept of more.
    fn keep(
        &mut self,
        sampling: Sampling,
        (function, via): (NodeId, NodeId),
        invocations: u32,
        messages: u32,
        sent: &[(NodeId, u32)],
    ) {
        let mut counts = FlowCounts::default();
        for _ in 0..invocations {
            counts.count(messages, sent, sampling);
        }
        self.flows.merge(self.now(), FlowKey { function, via }, &counts);
    }

    fn now(&self) -> ArrivalTime {
        ArrivalTime(self.second * SECOND)
    }

    /// The second is over.
    fn tick(&mut self) {
        self.second += 1;
        let now = self.now();
        let kind = |node: NodeId| (node.0 >= P.0).then_some(ResourceKind::Queue);
        self.flows.watch(now, false, kind, |_| false);
    }

    fn cycle(&self, functions: &[NodeId]) -> &FlowCycle {
        &self.flows.cycles[&canonical(functions).0]
    }

    fn is_alarm(&self, functions: &[NodeId]) -> bool {
        self.now() < self.cycle(functions).open_until
    }

    fn flow(&self, functions: &[NodeId]) -> &Flow {
        self.cycle(functions).flow.as_ref().unwrap()
    }
}

/// What somebody found of W and an entity.
fn no_progress() -> Loop {
    Loop {
        functions: vec![W],
        classes: vec![LoopClass::NoProgress],
        severity: Severity::Warning,
        assessment: Assessment::Alarm,
        ..Loop::default()
    }
}

#[test]
fn of_a_batch_the_messages_go_on_and_end() {
    for (sent, is_alarm) in [(20, true), (19, false), (10, false), (1, false)] {
        let mut world = World::default();
        for _ in 0..30 {
            world.run(W, Q, 10, 20, &[(Q, sent)]);
            world.tick();
        }
        assert_eq!(world.is_alarm(&[W]), is_alarm, "{sent} of twenty");
        let r = world.flow(&[W]).reproduction.mean;
        assert!((r - f64::from(sent) / 20.0).abs() < 1e-6, "{r}");
    }
}

#[test]
fn where_others_handle_most_of_what_is_sent_nothing_goes_on_for_ever() {
    let mut world = World::default();
    for _ in 0..60 {
        world.run(W, Q, 10, 1, &[(Q, 1)]);
        world.run(X, Q, 90, 1, &[]);
        world.tick();
    }
    assert!(!world.is_alarm(&[W]), "{:?}", world.flow(&[W]));
}

#[test]
fn what_was_kept_stands_for_all_that_there_was() {
    let mut world = World::default();
    let (one_in_eight, _) = Sampling::of(Some(0.125));
    for _ in 0..60 {
        world.run(W, Q, 80, 1, &[(Q, 1)]);
        world.keep(one_in_eight, (X, Q), 10, 1, &[(P, 1)]);
        world.tick();
    }
    let flow = world.flow(&[W]);
    assert!((flow.reproduction.mean - 0.5).abs() < 1e-6, "half of all goes to X: {flow:?}");
    let mut kept = World::default();
    for _ in 0..60 {
        kept.keep(one_in_eight, (W, Q), 1, 1, &[(Q, 1)]);
        kept.tick();
    }
    let flow = kept.flow(&[W]);
    assert!((flow.laps_per_minute - 480.0).abs() < 48.0 && flow.reproduction.low < 0.97, "{flow:?}");
}

#[test]
fn the_past_of_a_way_is_no_news_of_the_cycle_that_it_closes() {
    let mut world = World::default();
    for _ in 0..200 {
        world.run(W, Q, 500, 1, &[(P, 1)]);
        world.run(X, P, 500, 1, &[(R, 1)]);
        world.tick();
    }
    // Nobody handled what X sends before.
    world.run(W, R, 1, 1, &[(P, 1)]);
    world.tick();
    assert!(!world.is_alarm(&[W, X]));
    // What is young is all of the cycle's.
    let mut young = World::default();
    young.run(W, Q, 200, 1, &[(Q, 1)]);
    young.tick();
    assert!(young.is_alarm(&[W]));
}

#[test]
fn what_is_known_of_a_cycle_stays_when_its_nodes_turn_out_to_be_others() {
    let mut world = World::default();
    world.run(W, Q, 200, 1, &[(P, 1)]);
    world.run(X, P, 200, 1, &[(Q, 1)]);
    world.tick();
    assert!(world.is_alarm(&[W, X]));
    let other = NodeId(7);
    world.flows.rename(|node| if node == W { other } else { node });
    assert!(world.is_alarm(&[X, other]));
    world.tick();
    assert!(world.is_alarm(&[X, other]) && world.flows.cycles.len() == 1);
}

#[test]
fn counts_that_were_let_go_are_news_when_they_come_back() {
    let mut world = World::default();
    for _ in 0..100 {
        world.run(W, Q, 100, 2, &[(Q, 1)]);
        world.tick();
    }
    assert!(!world.is_alarm(&[W]));
    world.flows.series.clear();
    for _ in 0..50 {
        world.run(W, Q, 10, 1, &[(Q, 1)]);
        world.tick();
    }
    assert!(world.is_alarm(&[W]));
}

#[test]
fn an_alarm_outlasts_the_counts_that_gave_it() {
    let mut world = World::default();
    world.run(W, Q, 200, 1, &[(Q, 1)]);
    world.tick();
    world.flows.series.clear();
    world.run(X, P, 1, 1, &[]);
    world.tick();
    assert!(world.is_alarm(&[W]));
    world.second += 1_900;
    world.run(X, R, 1, 1, &[]);
    world.tick();
    assert!(world.flows.cycles.is_empty());
}

#[test]
fn the_place_that_carries_now_is_watched() {
    let mut world = World::default();
    for _ in 0..100 {
        world.run(W, Q, 1_000, 2, &[(Q, 1)]);
        world.tick();
    }
    world.second += 400;
    for _ in 0..120 {
        world.run(W, P, 100, 1, &[(P, 1)]);
        world.tick();
    }
    assert!(world.is_alarm(&[W]));
    assert_eq!(world.flow(&[W]).hops[0].over, P);
}

#[test]
fn a_cycle_has_the_r_of_its_own_ways_where_another_keeps_itself_alive() {
    let mut world = World::default();
    for _ in 0..100 {
        // One in fifty is sent to X as well, which sends one in two back.
        world.run(W, Q, 98, 1, &[(Q, 1)]);
        world.run(W, Q, 2, 1, &[(Q, 1), (P, 1)]);
        world.run(X, P, 1, 1, &[(Q, 1)]);
        world.run(X, P, 1, 1, &[]);
        world.tick();
    }
    assert!(world.flow(&[W]).reproduction.low > 0.9);
    assert!(world.flow(&[W, X]).reproduction.high < 0.1, "{:?}", world.flow(&[W, X]));
}

#[test]
fn a_loop_of_very_many_ways_is_found() {
    let mut world = World::default();
    for _ in 0..60 {
        (0..70).for_each(|at| world.run(W, NodeId(100 + at), 1, 1, &[]));
        world.run(W, Q, 10, 1, &[(Q, 1)]);
        world.tick();
    }
    assert!(world.is_alarm(&[W]));
    assert!(world.flow(&[W]).reproduction.low > 0.9);
}

#[test]
fn what_is_not_known_any_more_explains_nothing() {
    let mut world = World::default();
    for _ in 0..100 {
        (0..10).for_each(|at| world.run(W, Q, 1, 1, if at == 0 { &[] } else { &[(Q, 1)] }));
        world.tick();
    }
    assert!(world.cycle(&[W]).is_own && !world.is_alarm(&[W]));
    let shown = |world: World| {
        let mut aggregate = Aggregate::new(&Config::recommended());
        let mut loops = vec![no_progress()];
        (aggregate.now, aggregate.flows) = (world.now(), world.flows);
        aggregate.show_flows(&mut loops);
        (loops[0].severity, World { flows: aggregate.flows, second: world.second })
    };
    let (severity, mut world) = shown(world);
    assert_eq!(severity, Severity::Info, "that it handles the same again is how it works");
    world.second += 2_000;
    world.tick();
    assert!(!world.cycle(&[W]).is_own && world.cycle(&[W]).flow.is_none());
    assert_eq!(shown(world).0, Severity::Warning);
}
