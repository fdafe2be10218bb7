//! The patterns of a system as wire messages.

use loopscope_analyzer::snapshot::{
    DeadFunction, Decorator, EventHandler, EventSource, FanIn, FanOut, FunctionKind, NamedNode, Patterns, Pipeline,
    PipelineStage, Router, Straggler,
};
use loopscope_proto::v1;

use super::finite;

/// The patterns of some time; the time itself is for the sender to fill in.
pub fn patterns(found: &Patterns) -> v1::PatternReport {
    v1::PatternReport {
        range: None,
        decorators: found.decorators.iter().map(decorator).collect(),
        event_handlers: found.event_handlers.iter().map(event_handler).collect(),
        pipelines: found.pipelines.iter().map(pipeline).collect(),
        fan_outs: found.fan_outs.iter().map(fan_out).collect(),
        fan_ins: found.fan_ins.iter().map(fan_in).collect(),
        routers: found.routers.iter().map(router).collect(),
        dead: found.dead.iter().map(dead).collect(),
        kinds: found.kinds.iter().map(kind).collect(),
        currency: found.currency.to_string(),
        dropped: found.dropped,
    }
}

fn node(node: &NamedNode) -> v1::PatternNode {
    v1::PatternNode { id: node.id.to_string(), name: node.name.to_string() }
}

fn nodes(nodes: &[NamedNode]) -> Vec<v1::PatternNode> {
    nodes.iter().map(node).collect()
}

fn decorator(found: &Decorator) -> v1::Decorator {
    v1::Decorator {
        function: Some(node(&found.function)),
        caller: Some(node(&found.caller)),
        callee: Some(node(&found.callee)),
        runs: found.runs,
        calls_per_run: finite(found.calls_per_run),
        self_share: finite(found.self_share),
        waiting_share: finite(found.waiting_share),
        waiting_ms: finite(found.waiting_ms),
        waiting_cost_per_day: found.waiting_cost_per_day.filter(|cost| cost.is_finite()),
        confidence: finite(found.confidence),
    }
}

fn event_handler(found: &EventHandler) -> v1::EventHandler {
    let source = |source: &EventSource| v1::EventSource {
        resource: Some(node(&source.resource)),
        kind: source.kind.map_or("", |kind| kind.word()).to_owned(),
        deliveries: source.deliveries,
    };
    v1::EventHandler {
        function: Some(node(&found.function)),
        trigger: found.trigger.to_owned(),
        sources: found.sources.iter().map(source).collect(),
        runs: found.runs,
        event_share: finite(found.event_share),
        messages_per_run: found.messages_per_run.filter(|messages| messages.is_finite()),
        confidence: finite(found.confidence),
    }
}

fn pipeline(found: &Pipeline) -> v1::Pipeline {
    let stage = |stage: &PipelineStage| v1::PipelineStage {
        function: Some(node(&stage.function)),
        over: stage.over.as_ref().map(node),
        mean_ms: finite(stage.mean_ms),
        wait_mean_ms: finite(stage.wait_mean_ms),
        p95_ms: finite(stage.p95_ms),
    };
    v1::Pipeline {
        stages: found.stages.iter().map(stage).collect(),
        end_to_end: found.end_to_end.map(|end| v1::EndToEnd {
            p50_ms: finite(end.p50_ms),
            p95_ms: finite(end.p95_ms),
            queue_share: finite(end.queue_share),
            chains: end.chains,
        }),
        slowest_stage: u32::try_from(found.slowest).unwrap_or(u32::MAX),
        runs: found.runs,
        confidence: finite(found.confidence),
    }
}

fn fan_out(found: &FanOut) -> v1::FanOut {
    v1::FanOut {
        function: Some(node(&found.function)),
        target: Some(node(&found.target)),
        children: nodes(&found.children),
        runs: found.runs,
        children_per_run: finite(found.children_per_run),
        way: if found.is_call { "call" } else { "message" }.to_owned(),
        parallelism: found.parallelism.filter(|parallelism| parallelism.is_finite()),
        straggler: found.straggler.map(straggler),
        confidence: finite(found.confidence),
    }
}

fn straggler(found: Straggler) -> v1::Straggler {
    v1::Straggler {
        longest_p95_ms: finite(found.longest_p95_ms),
        p50_ms: finite(found.p50_ms),
        ratio: finite(found.ratio),
        runs: found.runs,
    }
}

fn fan_in(found: &FanIn) -> v1::FanIn {
    v1::FanIn {
        function: Some(node(&found.function)),
        producers: nodes(&found.producers),
        runs: found.runs,
        messages_per_run: finite(found.messages_per_run),
        straggler: found.straggler.map(straggler),
        confidence: finite(found.confidence),
    }
}

fn router(found: &Router) -> v1::Router {
    let routes = found.routes.iter();
    v1::Router {
        function: Some(node(&found.function)),
        routes: routes.map(|way| v1::Route { target: Some(node(&way.target)), share: finite(way.share) }).collect(),
        runs: found.runs,
        co_occurrence: finite(found.co_occurrence),
        confidence: finite(found.confidence),
    }
}

fn dead(found: &DeadFunction) -> v1::DeadFunction {
    v1::DeadFunction {
        id: found.id.map(|id| id.to_string()).unwrap_or_default(),
        name: found.name.to_string(),
        is_configured: found.is_configured,
        quiet_days: found.quiet_days,
        edges: found.edges,
    }
}

fn kind(found: &FunctionKind) -> v1::FunctionKind {
    let evidence = found.evidence.iter();
    v1::FunctionKind {
        function: Some(node(&found.function)),
        likeness: found.likeness.word().to_owned(),
        confidence: finite(found.confidence),
        runs: found.runs,
        evidence: evidence
            .map(|seen| v1::KindEvidence {
                aspect: seen.aspect.word().to_owned(),
                says: seen.says.word().to_owned(),
                seen: seen.seen.clone(),
            })
            .collect(),
    }
}
