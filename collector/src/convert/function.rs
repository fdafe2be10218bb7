//! What is known of one function, as messages.

use std::sync::Arc;

use loopscope_analyzer::{
    facts::FunctionFacts,
    snapshot::{
        ColdStarts, FunctionProfile, Leak, MemoryUse, NodeId, Refusals, ReportedByMetrics, StateTax, StoreUse, TailFit,
        Throttles, TimeOutRisk, ValuesOfMetrics,
    },
};
use loopscope_proto::v1;

use super::{event_time, finite, texts};

/// All that a profile says; the graph and the range are for the sender to fill in. `name` is that of a node.
pub fn function_profile(profile: &FunctionProfile, name: impl Fn(NodeId) -> String) -> v1::FunctionProfile {
    let version = |(version, at): &(Arc<str>, _)| v1::FunctionVersion {
        version: version.to_string(),
        first_seen: event_time(*at),
    };
    v1::FunctionProfile {
        runs: finite(profile.runs),
        errors: finite(profile.errors),
        failures_in_logs: profile.failures_in_logs,
        facts: Some(facts(&profile.facts)),
        cold_starts: Some(cold_starts(&profile.cold_starts)),
        state: Some(state(&profile.state, &name)),
        time_out: Some(time_out(&profile.time_out)),
        memory: profile.memory.as_ref().map(memory),
        throttles: Some(throttles(&profile.throttles, &name)),
        versions: profile.versions.iter().map(version).collect(),
        metrics: profile.metrics.as_ref().map(metrics),
        ..Default::default()
    }
}

fn metrics(told: &ReportedByMetrics) -> v1::ReportedByMetrics {
    v1::ReportedByMetrics {
        runs: finite(told.runs),
        errors: finite(told.errors),
        cold_starts: finite(told.cold_starts),
        time_outs: finite(told.time_outs),
        durations_ms: told.durations.as_ref().map(values),
        inits_ms: told.inits.as_ref().map(values),
        memory_mb: told.memory_mb.as_ref().map(values),
        traced_share: known(told.traced_share),
    }
}

fn values(told: &ValuesOfMetrics) -> v1::ValuesOfMetrics {
    v1::ValuesOfMetrics {
        count: finite(told.count),
        mean: finite(told.mean),
        p95: known(told.p95),
        max: known(told.max),
    }
}

/// What is wrong with a function, in one line.
pub fn function_risks(profile: &FunctionProfile, node: &v1::Function) -> v1::FunctionRisks {
    v1::FunctionRisks {
        id: node.id.clone(),
        name: node.name.clone(),
        environment: node.environment.clone(),
        runs: finite(profile.runs),
        errors: finite(profile.errors),
        risks: profile.risks().into_iter().map(|risk| risk.word().to_owned()).collect(),
        cold_share: finite(profile.cold_starts.share),
        state_share: finite(profile.state.share),
        time_outs_per_day: known(profile.time_out.expected_per_day),
        memory_headroom: known(profile.memory.as_ref().and_then(|memory| memory.headroom)),
        throttled_share: finite(profile.throttles.share),
        is_past: false,
    }
}

/// A loop in one line.
pub fn loop_summary(found: &v1::Loop) -> v1::LoopSummary {
    v1::LoopSummary {
        id: found.id.clone(),
        functions: found.functions.clone(),
        classes: found.classes.clone(),
        state: found.state,
        severity: found.severity,
        max_depth: found.max_depth,
        retry_storm: found.retry_storm.clone(),
    }
}

fn facts(facts: &FunctionFacts) -> v1::FunctionFacts {
    v1::FunctionFacts {
        memory_mb: facts.memory_mb,
        memory_source: facts.sources.memory.word().to_owned(),
        architecture: facts.architecture.word().to_owned(),
        architecture_source: facts.sources.architecture.word().to_owned(),
        time_out_ms: facts.time_out_ms,
        time_out_source: facts.sources.time_out.word().to_owned(),
        concurrency: facts.concurrency,
        concurrency_source: facts.sources.concurrency.word().to_owned(),
        owner: facts.owner.to_string(),
        apps: texts(&facts.apps),
    }
}

fn cold_starts(starts: &ColdStarts) -> v1::ColdStarts {
    v1::ColdStarts {
        count: finite(starts.count),
        share: finite(starts.share),
        init_p50_ms: known(starts.init_p50_ms),
        init_p95_ms: known(starts.init_p95_ms),
        cold_p50_ms: known(starts.cold_p50_ms),
        warm_p50_ms: known(starts.warm_p50_ms),
        tail_share: known(starts.tail_share),
        p95_gain_ms: known(starts.p95_gain_ms),
        dominates_tail: starts.dominates_tail,
    }
}

fn state(state: &StateTax, name: &impl Fn(NodeId) -> String) -> v1::StateTax {
    let store = |used: &StoreUse| v1::StoreUse {
        resource_id: used.resource.to_string(),
        resource: name(used.resource),
        kind: used.kind.word().to_owned(),
        calls_per_run: finite(used.calls_per_run),
        mean_ms: finite(used.mean_ms),
        share: finite(used.share),
    };
    v1::StateTax {
        share: finite(state.share),
        waited_ms_per_run: finite(state.waited_ms_per_run),
        calls_per_run: finite(state.calls_per_run),
        chatty_share: finite(state.chatty_share),
        is_chatty: state.is_chatty,
        stores: state.stores.iter().map(store).collect(),
    }
}

fn time_out(risk: &TimeOutRisk) -> v1::TimeOutRisk {
    let tail = |fit: &TailFit| v1::TailFit {
        samples: fit.samples,
        threshold_ms: finite(fit.threshold_ms),
        shape: finite(fit.shape),
        scale_ms: finite(fit.scale_ms),
        beyond_limit: known(fit.beyond_limit),
    };
    v1::TimeOutRisk {
        limit_ms: known(risk.limit_ms),
        p99_ms: finite(risk.p99_ms),
        p999_ms: finite(risk.p999_ms),
        max_ms: finite(risk.max_ms),
        seen: finite(risk.seen),
        expected_per_day: known(risk.expected_per_day),
        warm: risk.warm.as_ref().map(tail),
        cold: risk.cold.as_ref().map(tail),
        confidence: risk.confidence.word().to_owned(),
        is_limit_doubtful: risk.is_limit_doubtful,
        is_alarm: risk.is_alarm,
    }
}

fn memory(used: &MemoryUse) -> v1::MemoryUse {
    let leak = |leak: Leak| v1::MemoryLeak {
        instances: leak.instances,
        mb_per_run: finite(leak.mb_per_run),
        runs_until_full: known(leak.runs_until_full),
    };
    v1::MemoryUse {
        limit_mb: used.limit_mb,
        used_p50_mb: finite(used.used_p50_mb),
        used_p999_mb: finite(used.used_p999_mb),
        samples: used.samples,
        headroom: known(used.headroom),
        is_low: used.is_low,
        leak: used.leak.map(leak),
        instances_judged: used.instances_judged,
    }
}

fn throttles(found: &Throttles, name: &impl Fn(NodeId) -> String) -> v1::Throttles {
    let refusals = |list: &[Refusals]| {
        let one = |it: &Refusals| v1::Refusals {
            node_id: it.node.to_string(),
            node: name(it.node),
            count: finite(it.count),
            calls: finite(it.calls),
        };
        list.iter().map(one).collect()
    };
    v1::Throttles {
        refused: finite(found.refused),
        share: finite(found.share),
        callers: refusals(&found.callers),
        made: finite(found.made),
        refused_by: refusals(&found.refused_by),
        running: finite(found.running),
        concurrency_share: finite(found.concurrency_share),
    }
}

fn known(number: Option<f64>) -> Option<f64> {
    number.filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use loopscope_analyzer::{
        facts::FactSources,
        snapshot::{Confidence, EdgeKind},
        span::EventTime,
    };

    use super::*;

    /// A profile of which each field says something.
    fn full() -> FunctionProfile {
        let tail =
            TailFit { samples: 9_000, threshold_ms: 300.0, shape: 0.1, scale_ms: 90.0, beyond_limit: Some(1e-5) };
        let refusals = Refusals { node: NodeId(2), count: 3.0, calls: 30.0 };
        let used = StoreUse { resource: NodeId(3), kind: EdgeKind::Read, calls_per_run: 4.0, mean_ms: 5.0, share: 1.0 };
        FunctionProfile {
            id: NodeId(1),
            seconds: 3_600.0,
            runs: 9_000.0,
            errors: 2.0,
            facts: Arc::new(FunctionFacts { owner: "media".into(), ..FunctionFacts::default() }),
            cold_starts: ColdStarts { init_p95_ms: Some(f64::NAN), share: 0.5, ..ColdStarts::default() },
            state: StateTax { share: 0.25, is_chatty: true, stores: vec![used], ..StateTax::default() },
            time_out: TimeOutRisk {
                limit_ms: Some(1_000.0),
                expected_per_day: Some(2.0),
                warm: Some(tail),
                confidence: Confidence::Medium,
                is_alarm: true,
                ..TimeOutRisk::default()
            },
            memory: Some(MemoryUse {
                limit_mb: Some(512),
                headroom: Some(0.05),
                is_low: true,
                leak: Some(Leak { instances: 2, mb_per_run: 0.5, runs_until_full: None }),
                ..MemoryUse::default()
            }),
            failures_in_logs: 0,
            metrics: None,
            throttles: Throttles { refused: 3.0, share: 0.1, callers: vec![refusals], ..Throttles::default() },
            versions: [("7".into(), EventTime(1_000_000_000))].into(),
        }
    }

    #[test]
    fn a_profile_keeps_what_was_found() {
        assert_eq!(full().facts.sources, FactSources::default());
        let message = function_profile(&full(), |id| format!("n{}", id.0));
        let shown = format!(
            "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
            message.facts.unwrap(),
            message.cold_starts.unwrap(),
            message.state.unwrap(),
            message.time_out.unwrap(),
            message.memory.unwrap(),
            message.throttles.unwrap(),
            message.versions,
        );
        expect![[r#"
            FunctionFacts { memory_mb: 512, memory_source: "assumed", architecture: "x86_64", architecture_source: "assumed", time_out_ms: None, time_out_source: "assumed", concurrency: 1000, concurrency_source: "assumed", owner: "media", apps: [] }
            ColdStarts { count: 0.0, share: 0.5, init_p50_ms: None, init_p95_ms: None, cold_p50_ms: None, warm_p50_ms: None, tail_share: None, p95_gain_ms: None, dominates_tail: false }
            StateTax { share: 0.25, waited_ms_per_run: 0.0, calls_per_run: 0.0, chatty_share: 0.0, is_chatty: true, stores: [StoreUse { resource_id: "0000000000000003", resource: "n3", kind: "read", calls_per_run: 4.0, mean_ms: 5.0, share: 1.0 }] }
            TimeOutRisk { limit_ms: Some(1000.0), p99_ms: 0.0, p999_ms: 0.0, max_ms: 0.0, seen: 0.0, expected_per_day: Some(2.0), warm: Some(TailFit { samples: 9000, threshold_ms: 300.0, shape: 0.1, scale_ms: 90.0, beyond_limit: Some(1e-5) }), cold: None, confidence: "medium", is_limit_doubtful: false, is_alarm: true }
            MemoryUse { limit_mb: Some(512), used_p50_mb: 0.0, used_p999_mb: 0.0, samples: 0, headroom: Some(0.05), is_low: true, leak: Some(MemoryLeak { instances: 2, mb_per_run: 0.5, runs_until_full: None }), instances_judged: 0 }
            Throttles { refused: 3.0, share: 0.1, callers: [Refusals { node_id: "0000000000000002", node: "n2", count: 3.0, calls: 30.0 }], made: 0.0, refused_by: [], running: 0.0, concurrency_share: 0.0 }
            [FunctionVersion { version: "7", first_seen: Some(Timestamp { seconds: 1, nanos: 0 }) }]"#]].assert_eq(&shown);
    }

    #[test]
    fn a_line_names_what_is_wrong() {
        let node = v1::Function { id: "1".into(), name: "f".into(), ..Default::default() };
        let line = function_risks(&full(), &node);
        assert_eq!(line.risks, ["time_out", "memory_low", "memory_leak", "throttled", "chatty_state"]);
        assert_eq!((line.time_outs_per_day, line.memory_headroom, line.state_share), (Some(2.0), Some(0.05), 0.25));
    }
}
