//! The analyzer's values as wire messages: the one place that knows both.
//!
//! Every function is pure. Ids become hexadecimal text, times become timestamps, and numbers that are not finite
//! become zero or absent, because JSON has no word for them.

mod appraisal;
mod change;
mod cost;
mod function;
mod hotspot;
mod pattern;
mod range;

pub(crate) use self::{appraisal::breach, cost::cost_report};
pub use self::{
    change::change,
    function::{function_profile, function_risks, loop_summary},
    hotspot::hotspots,
    pattern::patterns,
    range::range,
};

use loopscope_analyzer::{
    identity::{self, Function},
    snapshot::{Anomaly, AnomalyExemplar, Edge, FunctionNode, Loop, LoopState, ResourceNode, Severity},
    span::{ArrivalTime, EventTime},
};
use loopscope_proto::v1;
use prost_types::Timestamp;

/// A function with its place on the map.
pub fn function(node: &FunctionNode, (x, y): (f64, f64)) -> v1::Function {
    v1::Function {
        id: node.id.to_string(),
        name: node.name.to_string(),
        environment: node.environment.to_string(),
        kind: node.platform.to_string(),
        invocations: node.invocations,
        errors: node.errors,
        cold_starts: node.cold_starts,
        p50_ms: finite(node.p50_ms),
        p95_ms: finite(node.p95_ms),
        baseline_p95_ms: node.baseline_p95_ms.filter(|ms| ms.is_finite()),
        current_p95_ms: node.current_p95_ms.filter(|ms| ms.is_finite()),
        rate_per_second: finite(node.rate_per_second),
        x: finite(x),
        y: finite(y),
        last_seen: event_time(node.last_seen),
        aliases: texts(&node.aliases),
        sampling_probability: node.sampling_probability,
        is_untraced: node.is_untraced,
        is_unnamed: identity::is_unnamed(&node.name),
    }
}

/// A function that is not on the map any more: without the numbers that the map has.
pub fn past_function(function: &Function) -> v1::Function {
    v1::Function {
        id: function.id.to_string(),
        name: function.name.to_string(),
        environment: function.environment.to_string(),
        kind: function.platform.to_string(),
        ..Default::default()
    }
}

/// A resource with its place on the map.
pub fn resource(node: &ResourceNode, (x, y): (f64, f64)) -> v1::Resource {
    v1::Resource {
        id: node.id.to_string(),
        name: node.name.to_string(),
        kind: node.kind.word().to_owned(),
        system: node.system.to_string(),
        x: finite(x),
        y: finite(y),
    }
}

/// An edge.
pub fn edge(edge: &Edge) -> v1::Edge {
    v1::Edge {
        source: edge.source.to_string(),
        target: edge.target.to_string(),
        kind: edge.kind.word().to_owned(),
        calls: edge.calls,
        errors: edge.errors,
        p50_ms: finite(edge.p50_ms),
        p95_ms: finite(edge.p95_ms),
        server_p95_ms: edge.server_p95_ms.filter(|ms| ms.is_finite()),
        gap_p95_ms: edge.gap_p95_ms.filter(|ms| ms.is_finite()),
        rate_per_second: finite(edge.rate_per_second),
        confidence: finite(edge.confidence),
        sampling_probability: edge.sampling_probability,
    }
}

/// A loop.
pub fn loop_(found: &Loop) -> v1::Loop {
    v1::Loop {
        id: found.id.to_string(),
        level: found.level.word().to_owned(),
        functions: texts(&found.names),
        function_ids: texts(&found.functions),
        path: texts(&found.path),
        state: loop_state(found.state).into(),
        severity: severity(found.severity).into(),
        max_depth: found.max_depth,
        chains: found.chains,
        laps: found.laps,
        lap_p50_ms: found.lap_p50_ms.filter(|ms| ms.is_finite()),
        laps_per_minute: finite(found.laps_per_minute),
        first_seen: event_time(found.first_seen),
        last_seen: event_time(found.last_seen),
        exemplar_trace_ids: texts(&found.exemplars),
        environment: found.environment.to_string(),
        classes: found.classes.iter().map(|class| class.word().to_owned()).collect(),
        assessment: found.assessment.word().to_owned(),
        reasons: found.reasons.iter().map(|reason| reason.word().to_owned()).collect(),
        confidence: finite(found.confidence),
        depth_probability: found.depth_probability.filter(|p| p.is_finite()),
        alarm_depth: found.alarm_depth,
        open_chains: found.open_chains,
        learned_chains: found.learned_chains,
        reproduction: found.reproduction.map(appraisal::reproduction),
        doubling_seconds: found.doubling_seconds.filter(|seconds| seconds.is_finite()),
        lap_p99_ms: found.lap_p99_ms.filter(|ms| ms.is_finite()),
        cost: found.cost.as_ref().map(appraisal::cost),
        intended: found.intended.as_ref().map(appraisal::intended),
        // Where to cut it needs the graph, which the view has.
        cut: None,
        changes: found.changes.iter().map(appraisal::change).collect(),
        platform_guard: found.platform_guard.as_ref().map(appraisal::platform_guard),
        operations: texts(&found.operations),
        covered: found.is_covered,
        retry_storm: found.retry_storm.map(|storm| v1::RetryStorm {
            requests: storm.requests,
            attempts: storm.attempts,
            retried: storm.retried,
            attempts_per_request: finite(storm.attempts_per_request),
            amplification: finite(storm.amplification),
            resource_id: storm.over.map(|over| over.to_string()).unwrap_or_default(),
        }),
        sampling_probability: found.sampling_probability,
        next_lap_sampling_probability: found.next_lap_sampling_probability,
        judged_within_traces: found.is_judged_within_traces,
        flow: found.flow.as_ref().map(appraisal::flow),
    }
}

/// Something that cannot be right in the input.
pub fn anomaly(met: &Anomaly) -> v1::Anomaly {
    let exemplar = |place: &AnomalyExemplar| v1::AnomalyExemplar {
        trace_id: place.trace_id.to_string(),
        span_ids: texts(&place.spans),
    };
    v1::Anomaly {
        kind: met.kind.word().to_owned(),
        count: met.count,
        exemplars: met.exemplars.iter().map(exemplar).collect(),
    }
}

/// The state of a loop.
pub fn loop_state(state: LoopState) -> v1::LoopState {
    match state {
        LoopState::Unknown => v1::LoopState::Unknown,
        LoopState::Latent => v1::LoopState::Latent,
        LoopState::Growing => v1::LoopState::Growing,
        LoopState::Persistent => v1::LoopState::Persistent,
        LoopState::Dying => v1::LoopState::Dying,
        LoopState::Closed => v1::LoopState::Closed,
    }
}

/// The severity of a finding.
pub fn severity(severity: Severity) -> v1::Severity {
    match severity {
        Severity::Info => v1::Severity::Info,
        Severity::Warning => v1::Severity::Warning,
        Severity::Critical => v1::Severity::Critical,
    }
}

/// A time by the clock of an instance; the zero of a clock that was never read is absent.
pub fn event_time(time: EventTime) -> Option<Timestamp> {
    (time.0 != 0).then(|| timestamp(time.0))
}

/// A time by the collector's clock.
pub fn arrival_time(time: ArrivalTime) -> Timestamp {
    timestamp(time.0)
}

fn timestamp(unix_nanos: u64) -> Timestamp {
    const SECOND: u64 = 1_000_000_000;
    // Both parts fit: a u64 of nanoseconds is at most some 18 billion seconds.
    Timestamp {
        seconds: i64::try_from(unix_nanos / SECOND).unwrap_or(i64::MAX),
        nanos: i32::try_from(unix_nanos % SECOND).unwrap_or_default(),
    }
}

/// The name of a function or a resource; its id when the graph does not have it any more.
pub(crate) fn node_name(graph: &v1::Graph, id: &str) -> String {
    let functions = graph.functions.iter().map(|node| (&node.id, &node.name));
    let resources = graph.resources.iter().map(|node| (&node.id, &node.name));
    functions.chain(resources).find(|(known, _)| *known == id).map_or_else(|| id.to_owned(), |(_, name)| name.clone())
}

fn finite(number: f64) -> f64 {
    // Adding zero takes the sign from a zero, which JSON would show.
    if number.is_finite() { number + 0.0 } else { 0.0 }
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use loopscope_analyzer::{
        price::LoopCost,
        snapshot::{
            Assessment, EdgeKind, Flow, FlowHop, LoopClass, LoopId, LoopLevel, NodeId, Reason, Reproduction,
            ResourceKind, VersionChange,
        },
        span::TraceId,
    };

    use super::*;

    /// A loop of which each field says something.
    fn full() -> Loop {
        Loop {
            id: LoopId(0xab),
            level: LoopLevel::Operation,
            operations: vec!["poll".into()],
            is_covered: true,
            joined: None,
            retry_storm: None,
            functions: vec![NodeId(1), NodeId(2)],
            names: vec!["a".into(), "b".into()],
            environment: "prod".into(),
            path: vec![NodeId(1), NodeId(3), NodeId(2)],
            state: LoopState::Growing,
            severity: Severity::Critical,
            max_depth: 17,
            chains: 2,
            laps: 20,
            lap_p50_ms: Some(250.0),
            laps_per_minute: f64::NAN,
            first_seen: EventTime(1_500_000_000),
            last_seen: EventTime(0),
            exemplars: vec![TraceId([1; 16])],
            classes: vec![LoopClass::CrossTrace, LoopClass::FanOut],
            assessment: Assessment::Alarm,
            reasons: vec![Reason::Depth, Reason::FanOut],
            confidence: 0.98,
            depth_probability: Some(1e-5),
            alarm_depth: Some(14),
            open_chains: 1,
            learned_chains: 3000,
            reproduction: Some(Reproduction { mean: 2.0, low: 1.8, high: 2.2 }),
            doubling_seconds: Some(f64::INFINITY),
            lap_p99_ms: Some(300.0),
            cost: Some(LoopCost {
                so_far: 0.5,
                per_hour: f64::NAN,
                next_24h: 12.0,
                concurrency_share: 0.25,
                seconds_to_saturation: Some(f64::INFINITY),
                currency: "USD".into(),
                is_assumed: true,
            }),
            intended: None,
            changes: vec![VersionChange {
                function: NodeId(1),
                name: "a".into(),
                from: "7".into(),
                to: "8".into(),
                at: EventTime(1_000_000_000),
            }],
            platform_guard: None,
            sampling_probability: Some(0.25),
            next_lap_sampling_probability: Some(0.5),
            is_judged_within_traces: true,
            flow: Some(Flow {
                reproduction: Reproduction { mean: 1.25, low: 1.0, high: 1.5 },
                laps_per_minute: 60.0,
                immigrants_per_minute: f64::NAN,
                hops: vec![FlowHop { function: NodeId(1), over: NodeId(3), sent: 1.25, share: 1.0 }],
            }),
        }
    }

    #[test]
    fn a_loop_keeps_all_that_was_found() {
        let json = serde_json::to_string_pretty(&loop_(&full())).unwrap();
        expect![[r#"
            {
              "id": "000000000000000000000000000000ab",
              "level": "operation",
              "functions": [
                "a",
                "b"
              ],
              "function_ids": [
                "0000000000000001",
                "0000000000000002"
              ],
              "path": [
                "0000000000000001",
                "0000000000000003",
                "0000000000000002"
              ],
              "state": "growing",
              "severity": "critical",
              "max_depth": 17,
              "chains": 2,
              "laps": 20,
              "lap_p50_ms": 250.0,
              "laps_per_minute": 0.0,
              "first_seen": "1970-01-01T00:00:01.500Z",
              "last_seen": null,
              "exemplar_trace_ids": [
                "01010101010101010101010101010101"
              ],
              "environment": "prod",
              "operations": [
                "poll"
              ],
              "classes": [
                "cross_trace",
                "fan_out"
              ],
              "assessment": "alarm",
              "reasons": [
                "depth",
                "fan_out"
              ],
              "confidence": 0.98,
              "depth_probability": 0.00001,
              "alarm_depth": 14,
              "open_chains": 1,
              "learned_chains": 3000,
              "reproduction": {
                "mean": 2.0,
                "low": 1.8,
                "high": 2.2
              },
              "doubling_seconds": null,
              "lap_p99_ms": 300.0,
              "cost": {
                "so_far": 0.5,
                "per_hour": 0.0,
                "next_24h": 12.0,
                "concurrency_share": 0.25,
                "seconds_to_saturation": null,
                "currency": "USD",
                "is_assumed": true
              },
              "intended": null,
              "cut": null,
              "changes": [
                {
                  "function_id": "0000000000000001",
                  "function": "a",
                  "from": "7",
                  "to": "8",
                  "at": "1970-01-01T00:00:01Z"
                }
              ],
              "platform_guard": null,
              "covered": true,
              "retry_storm": null,
              "sampling_probability": 0.25,
              "next_lap_sampling_probability": 0.5,
              "flow": {
                "reproduction": {
                  "mean": 1.25,
                  "low": 1.0,
                  "high": 1.5
                },
                "laps_per_minute": 60.0,
                "immigrants_per_minute": 0.0,
                "hops": [
                  {
                    "function_id": "0000000000000001",
                    "over": "0000000000000003",
                    "sent": 1.25,
                    "share": 1.0
                  }
                ]
              },
              "judged_within_traces": true
            }"#]]
        .assert_eq(&json);
    }

    #[test]
    fn nodes_and_edges_keep_their_numbers() {
        let node = FunctionNode {
            id: NodeId(7),
            name: "f".into(),
            environment: "dev".into(),
            platform: "aws_lambda".into(),
            invocations: 3,
            errors: 1,
            cold_starts: 2,
            p50_ms: 1.0,
            p95_ms: 2.0,
            current_p95_ms: Some(f64::INFINITY),
            baseline_p95_ms: Some(3.0),
            rate_per_second: 0.5,
            last_seen: EventTime(1),
            exemplars: Vec::new(),
            aliases: vec![NodeId(9)],
            is_untraced: false,
            sampling_probability: Some(0.1),
        };
        let function = function(&node, (4.0, f64::NAN));
        assert_eq!((function.id.as_str(), function.x, function.y), ("0000000000000007", 4.0, 0.0));
        assert_eq!((function.current_p95_ms, function.baseline_p95_ms), (None, Some(3.0)));
        assert_eq!((function.invocations, function.errors, function.cold_starts), (3, 1, 2));
        let bucket =
            ResourceNode { id: NodeId(8), name: "b".into(), kind: ResourceKind::Bucket, system: "aws_s3".into() };
        assert_eq!(resource(&bucket, (1.0, 2.0)).kind, "bucket");
        let write = Edge {
            source: NodeId(7),
            target: NodeId(8),
            kind: EdgeKind::Write,
            calls: 9,
            errors: 0,
            confidence: 0.9,
            p50_ms: 1.0,
            p95_ms: 2.0,
            server_p95_ms: Some(7.0),
            gap_p95_ms: None,
            rate_per_second: 3.0,
            exemplars: Vec::new(),
            sampling_probability: None,
        };
        let message = edge(&write);
        assert_eq!((function.aliases, message.confidence), (vec!["0000000000000009".to_owned()], 0.9));
        assert_eq!((message.kind.as_str(), message.calls, message.gap_p95_ms), ("write", 9, None));
        assert_eq!(message.server_p95_ms, Some(7.0));
    }

    #[test]
    fn the_largest_time_is_a_time() {
        assert_eq!(timestamp(u64::MAX).to_string(), "2554-07-21T23:34:33.709551615Z");
    }
}
