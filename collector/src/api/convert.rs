//! The engine's values as wire messages.
//!
//! The engine knows nothing of wires, and the messages know nothing of the engine: this is where the two meet.
//! Numbers that are not finite become zero, because JSON has no word for them.

use loopscope_analyzer::{
    snapshot::{Edge, FunctionNode, Hotspot, Loop, LoopState, ResourceNode, Severity},
    span::EventTime,
};
use loopscope_proto::v1;
use prost_types::Timestamp;

/// A function at its place on the map, in map units.
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
        baseline_p95_ms: node.baseline_p95_ms.map(finite),
        current_p95_ms: node.current_p95_ms.map(finite),
        rate_per_second: finite(node.rate_per_second),
        x: finite(x),
        y: finite(y),
        last_seen: timestamp(node.last_seen),
    }
}

/// A resource at its place on the map, in map units.
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
        gap_p95_ms: edge.gap_p95_ms.map(finite),
        rate_per_second: finite(edge.rate_per_second),
    }
}

/// A loop.
pub fn loop_(found: &Loop) -> v1::Loop {
    v1::Loop {
        id: found.id.to_string(),
        level: "function".to_owned(),
        functions: found.names.iter().map(ToString::to_string).collect(),
        function_ids: found.functions.iter().map(ToString::to_string).collect(),
        path: found.path.iter().map(ToString::to_string).collect(),
        state: state(found.state).into(),
        severity: severity(found.severity).into(),
        max_depth: found.max_depth,
        chains: found.chains,
        laps: found.laps,
        lap_p50_ms: found.lap_p50_ms.map(finite),
        laps_per_minute: finite(found.laps_per_minute),
        first_seen: timestamp(found.first_seen),
        last_seen: timestamp(found.last_seen),
        exemplar_trace_ids: found.exemplars.iter().map(ToString::to_string).collect(),
        environment: found.environment.to_string(),
    }
}

/// A hotspot.
pub fn hotspot(spot: &Hotspot) -> v1::Hotspot {
    let edge = spot.edge.map(|(source, target)| v1::EdgeRef { source: source.to_string(), target: target.to_string() });
    v1::Hotspot {
        rank: spot.rank,
        function: spot.name.to_string(),
        function_id: spot.function.to_string(),
        cause: if edge.is_some() { "gap" } else { "self" }.to_owned(),
        edge,
        p95_ms: finite(spot.p95_ms),
        baseline_p95_ms: spot.baseline_p95_ms.map(finite),
        share: finite(spot.share),
        samples: spot.samples,
    }
}

/// A time; `None` for zero, which stands for a time that is not known.
pub fn timestamp(time: EventTime) -> Option<Timestamp> {
    const NANOS_PER_SECOND: u64 = 1_000_000_000;
    (time.0 > 0).then_some(Timestamp {
        // Both fit: 64 bits of nanoseconds are fewer than 2^35 seconds.
        seconds: (time.0 / NANOS_PER_SECOND) as i64,
        nanos: (time.0 % NANOS_PER_SECOND) as i32,
    })
}

fn state(state: LoopState) -> v1::LoopState {
    match state {
        LoopState::Unknown => v1::LoopState::Unknown,
        LoopState::Latent => v1::LoopState::Latent,
        LoopState::Growing => v1::LoopState::Growing,
        LoopState::Persistent => v1::LoopState::Persistent,
        LoopState::Dying => v1::LoopState::Dying,
        LoopState::Closed => v1::LoopState::Closed,
    }
}

fn severity(severity: Severity) -> v1::Severity {
    match severity {
        Severity::Info => v1::Severity::Info,
        Severity::Warning => v1::Severity::Warning,
        Severity::Critical => v1::Severity::Critical,
    }
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}
