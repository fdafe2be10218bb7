//! Everything that is known of one function over some time, put together when somebody asks for it.
//!
//! What is made of the numbers are pure functions, one for each detector (`detect.rs`). They take some hundred
//! microseconds, which is too long for every function in every view. Retry storms are among the loops
//! (`detect/retry.rs`); what the function calls is in the graph.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::{
    detect::{
        cold_start, memory, state_tax,
        throttle::{self, Refusing},
        time_out,
    },
    identity::Function,
    measured::Measured,
    record::{FunctionDelta, Reported, Values},
    snapshot::{Background, FunctionProfile, NodeId, ReportedByMetrics, ValuesOfMetrics},
};

/// Puts together what is known of functions from what was measured in some time, in which their ids were put together.
pub struct Profiler<'a> {
    measured: &'a Measured,
    refusing: Refusing<'a>,
}

impl<'a> Profiler<'a> {
    /// Does what is needed once for all functions.
    pub fn new(measured: &'a Measured) -> Self {
        Self { measured, refusing: Refusing::in_time(measured) }
    }

    /// What is known of one of them.
    pub fn profile(&self, id: NodeId, background: &Background) -> FunctionProfile {
        let (measured, facts) = (self.measured, &background.facts);
        let idle;
        let function = match measured.functions.get(&id) {
            Some(function) => function,
            None => {
                idle = nothing(id);
                &idle
            }
        };
        FunctionProfile {
            id,
            seconds: measured.seconds,
            runs: function.invocations.max(0.0),
            errors: function.errors.max(0.0),
            facts: Arc::clone(facts),
            cold_starts: cold_start::cold_starts(function),
            state: state_tax::state_tax(id, function, measured),
            time_out: time_out::time_out(function, facts, measured.seconds),
            memory: function.observed.as_deref().and_then(|observed| memory::memory(observed, facts)),
            failures_in_logs: function.observed.as_deref().map_or(0, |observed| observed.told_failures),
            metrics: function.reported.as_deref().map(|reported| metrics(reported, function.kept)),
            throttles: throttle::throttles(id, function, facts, &self.refusing, measured.seconds),
            versions: Arc::clone(&background.versions),
        }
    }
}

/// What metrics say, beside so many runs of which spans were kept.
fn metrics(reported: &Reported, kept: i64) -> ReportedByMetrics {
    let counted = reported.invocations + reported.errors;
    let runs = if counted > 0.0 { counted } else { reported.durations.count };
    let traced_share = kept.max(0) as f64 / runs;
    ReportedByMetrics {
        runs,
        errors: reported.errors,
        cold_starts: reported.cold_starts,
        time_outs: reported.time_outs,
        durations: values(&reported.durations),
        inits: values(&reported.inits),
        memory_mb: values(&reported.memory),
        traced_share: (runs > 0.0 && traced_share <= 1.0).then_some(traced_share),
    }
}

fn values(told: &Values) -> Option<ValuesOfMetrics> {
    let p95 = if told.has_buckets { told.values.quantile(0.95) } else { None };
    (told.count > 0.0).then(|| ValuesOfMetrics { count: told.count, mean: told.sum / told.count, p95, max: told.max })
}

/// A function that did nothing in the time that was asked for.
fn nothing(id: NodeId) -> FunctionDelta {
    let (name, environment, platform) = Default::default();
    let function = Function { id, name, environment, platform, app: None, is_app: false, also: SmallVec::new() };
    FunctionDelta::new(&Arc::new(function))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        attribute::Value,
        config::Config,
        engine::Engine,
        facts::{FactRecord, FactSource, FunctionRule},
        fixture::{START, Story, resource},
        price::PriceTable,
        snapshot::Risk,
        span::{EventTime, Span, SpanId, SpanKind, TraceId},
    };

    /// What is known of the function of this name in a capture of these spans.
    pub(crate) fn profile_of(name: &str, spans: Vec<Span>, facts: Vec<FactRecord>) -> FunctionProfile {
        with_rules(name, spans, facts, Vec::new())
    }

    fn with_rules(name: &str, spans: Vec<Span>, facts: Vec<FactRecord>, rules: Vec<FunctionRule>) -> FunctionProfile {
        let mut engine = Engine::new(&Config::for_capture(spans.len()), 1);
        engine.aggregate_mut().set_facts(PriceTable::default(), rules);
        engine.ingest(START, spans);
        engine.learn(START, facts);
        engine.finish(START);
        let snapshot = engine.snapshot(START);
        let place = snapshot.functions.iter().position(|node| &*node.name == name).unwrap();
        let (_, measured) = engine.aggregate_mut().running();
        Profiler::new(measured).profile(snapshot.functions[place].id, &snapshot.backgrounds[place])
    }

    fn about(name: &str) -> FactRecord {
        FactRecord::about(resource(name).function().clone(), EventTime(START.0))
    }

    #[test]
    fn the_start_of_an_instance_is_no_run() {
        let mut spans = Story::parse("f\nf\nf").spans;
        let mut init = spans[0].clone();
        (init.trace_id, init.span_id) = (TraceId([9; 16]), SpanId([9; 8]));
        (init.kind, init.name) = (SpanKind::Internal, "init f".into());
        init.end = EventTime(init.start.0 + 300_000_000);
        init.attributes.insert("faas.coldstart", Value::Bool(true));
        spans.extend([init.clone(), init]);
        let found = profile_of("f", spans, Vec::new());
        assert_eq!((found.runs, found.cold_starts.count), (3.0, 1.0));
        assert!((found.cold_starts.init_p50_ms.unwrap() / 300.0 - 1.0).abs() < 0.011);
    }

    #[test]
    fn facts_of_runs_and_of_the_configuration_come_together() {
        let mut spans = Story::parse("f").spans;
        spans[0].attributes.insert("faas.max_memory", Value::Int(256 << 20));
        let rules = vec![FunctionRule {
            pattern: "*".into(),
            time_out_ms: Some(2_000),
            memory_mb: Some(1),
            ..Default::default()
        }];
        let used = FactRecord { used_memory_bytes: Some(250 << 20), timed_out: true, ..about("f") };
        let found = with_rules("f", spans, vec![used], rules);
        assert_eq!((found.facts.memory_mb, found.facts.sources.memory), (256, FactSource::Observed));
        assert_eq!((found.time_out.limit_ms, found.time_out.seen), (Some(2_000.0), 1.0));
        assert_eq!(found.risks(), [Risk::TimeOut, Risk::MemoryLow]);
        let memory = found.memory.unwrap();
        assert!(memory.is_low && memory.limit_mb == Some(256), "{memory:?}");
    }

    #[test]
    fn a_function_without_spans_is_known_by_its_facts() {
        let found = profile_of("g", Story::parse("f").spans, vec![FactRecord { init_ms: Some(5.0), ..about("g") }]);
        assert_eq!((found.runs, found.cold_starts.count), (0.0, 1.0));
    }

    #[test]
    fn a_time_in_which_nothing_ran_says_nothing() {
        let mut engine = Engine::new(&Config::recommended(), 1);
        engine.ingest(START, Story::parse("f").spans);
        let snapshot = engine.snapshot(START);
        let found = Profiler::new(&Measured::default()).profile(snapshot.functions[0].id, &snapshot.backgrounds[0]);
        assert_eq!((found.runs, found.time_out.max_ms, found.memory), (0.0, 0.0, None));
        assert_eq!((found.cold_starts.share, found.state.share, found.throttles.share), (0.0, 0.0, 0.0));
    }
}
