//! What a loop costs: its laps, times what each of its functions takes and uses for one.
//!
//! A lap runs every function of the loop once. What an invocation uses is read from the counters of the edges that
//! leave its function, as a mean over all its invocations: those of the loop are not told apart from others.

use crate::{
    aggregate::Aggregate,
    facts::ASSUMED_CONCURRENCY,
    price::{CallRate, Load, LoopCost, project},
    record::EdgeKey,
    snapshot::{EdgeKind, Loop, LoopState, NodeId, Reproduction},
};

/// Laps longer than this are too few a minute to be counted as a rate, seconds.
const SLOW_LAP: f64 = 20.0;

/// Only where R is at least this much for certain do chains that begin pile up.
const LASTING: f64 = 0.9;

/// An R between this and its inverse cannot be told from 1.
const SELF_SUSTAINING: f64 = 1.05;

/// 99th percentile of a normal distribution, in standard deviations.
const Z99: f64 = 2.326;

/// What one lap takes.
struct Lap {
    cost: f64,
    busy_seconds: f64,
    concurrency: f64,
    is_assumed: bool,
}

impl Aggregate {
    /// What the loop costs, from its statistics and the counters of its functions.
    pub(crate) fn loop_cost(&self, found: &Loop) -> LoopCost {
        let lap = self.lap_of(&found.functions);
        let load = load(found, &lap);
        let projection = project(&load);
        LoopCost {
            so_far: found.laps as f64 * lap.cost,
            per_hour: projection.per_hour,
            next_24h: projection.next_24h,
            concurrency_share: projection.concurrency_share,
            seconds_to_saturation: projection.seconds_to_saturation,
            currency: self.prices.currency.clone(),
            is_assumed: lap.is_assumed,
        }
    }

    fn lap_of(&self, functions: &[NodeId]) -> Lap {
        let mut lap = Lap { cost: 0.0, busy_seconds: 0.0, concurrency: f64::INFINITY, is_assumed: false };
        for id in functions {
            let Some(series) = self.functions.get(id) else {
                lap.is_assumed = true;
                continue;
            };
            let (facts, mean_ms) = (series.facts(), series.mean_ms());
            let calls = self.calls_per_invocation(*id, series.invocations());
            lap.cost += series.cost_per_run(&self.prices) + self.prices.cost_of_calls(&calls);
            lap.busy_seconds += mean_ms / 1_000.0;
            lap.concurrency = lap.concurrency.min(f64::from(facts.concurrency));
            lap.is_assumed |= facts.is_assumed || !self.prices.knows(series.platform());
        }
        if lap.concurrency.is_infinite() {
            lap.concurrency = f64::from(ASSUMED_CONCURRENCY);
        }
        lap
    }

    fn calls_per_invocation(&self, function: NodeId, invocations: f64) -> Vec<CallRate<'_>> {
        let first = EdgeKey { source: function, target: NodeId(0), kind: EdgeKind::Call };
        let leaving = self.edges.range(first..).take_while(|(key, _)| key.source == function);
        leaving
            .filter_map(|(key, series)| {
                let (resource, _) = self.resources.get(&key.target)?;
                let per_invocation = series.calls() / invocations.max(1.0);
                Some(CallRate { system: &resource.system, kind: key.kind, per_invocation })
            })
            .collect()
    }
}

fn load(found: &Loop, lap: &Lap) -> Load {
    // Lap times are taken to be log-normal, which two quantiles fix.
    let median = found.lap_p50_ms.unwrap_or_default() / 1_000.0;
    let ratio = found.lap_p99_ms.unwrap_or_default() / found.lap_p50_ms.unwrap_or(1.0).max(f64::MIN_POSITIVE);
    let spread = (ratio.max(1.0).ln() / Z99).min(2.0);
    let mean = median * (spread * spread / 2.0).exp();
    let functions = found.functions.len().max(1) as f64;
    let is_over = matches!(found.state, LoopState::Closed | LoopState::Latent);
    let laps_per_second = found.laps_per_minute / 60.0;
    let active = match () {
        () if is_over => 0.0,
        () if mean > SLOW_LAP => found.open_chains as f64,
        () => laps_per_second * mean,
    };
    Load {
        active,
        r: found.reproduction.map_or(1.0, certain),
        lap_mean_seconds: mean,
        lap_cv: (spread * spread).exp_m1().sqrt(),
        immigration_per_second: if is_over { 0.0 } else { immigration(found) },
        cost_per_lap: lap.cost,
        busy_seconds_per_lap: lap.busy_seconds,
        invocations_per_lap: functions,
        concurrency: lap.concurrency,
    }
}

/// R where it is known to be more or less than 1; otherwise the loop is taken to go on at the pace of now.
fn certain(r: Reproduction) -> f64 {
    if r.low > SELF_SUSTAINING || r.high < 1.0 / SELF_SUSTAINING { r.mean } else { 1.0 }
}

/// Chains that began each second, where they are known to last; one that dies out is counted when it goes round.
fn immigration(found: &Loop) -> f64 {
    let seconds = found.last_seen.0.saturating_sub(found.first_seen.0) as f64 / 1e9;
    let lasts = found.reproduction.is_some_and(|reproduction| reproduction.low >= LASTING);
    if lasts && seconds >= 1.0 { found.chains.saturating_sub(1) as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use crate::{
        config::Config,
        engine::Engine,
        facts::FunctionRule,
        fixture::{START, Story},
        price::{LoopCost, tests::table},
    };

    /// The cost of the only loop in a story, all of which came within a second.
    fn cost(story: &str, rules: Vec<FunctionRule>) -> LoopCost {
        let mut engine = Engine::new(&Config::recommended(), 1);
        engine.aggregate_mut().set_facts(table(), rules);
        engine.ingest(START, Story::parse(story).spans);
        engine.tick(START);
        let mut snapshot = engine.snapshot(START);
        assert_eq!(snapshot.loops.len(), 1);
        snapshot.loops.remove(0).cost.unwrap()
    }

    #[test]
    fn laps_cost_what_their_functions_take() {
        // Runs take 10 ms at the start of a chain and 6 ms later on.
        let rule = FunctionRule { pattern: "f".into(), memory_mb: Some(1_024), ..FunctionRule::default() };
        let found = cost(&format!("f{}", " ~> f".repeat(40)), vec![rule.clone()]);
        let lap = (10.0 + 40.0 * 6.0) / 41.0 / 1_000.0 * 1.66667e-5 + 2e-7;
        assert!((found.so_far / (40.0 * lap) - 1.0).abs() < 0.2, "{found:?} {lap}");
        assert!((found.per_hour / (40.0 * 3_600.0 * lap) - 1.0).abs() < 0.3, "{found:?}");
        assert!((found.next_24h / found.per_hour - 24.0).abs() < 0.1, "{found:?}");
        assert_eq!((&*found.currency, found.concurrency_share < 1e-3), ("USD", true));
        assert!(found.is_assumed, "its platform has no price");
        let two = cost(&format!("f{}", " ~> g ~> f".repeat(20)), vec![rule]);
        assert!((two.so_far / found.so_far - 0.75).abs() < 0.2, "20 rounds of two, one of half the memory: {two:?}");
    }

    #[test]
    fn laps_that_sampling_left_out_cost_as_well() {
        let told = |sampling: Option<f32>| {
            let mut story = Story::parse(&format!("f{}", " -> f".repeat(40)));
            story.spans.iter_mut().for_each(|span| span.sampling = sampling);
            let mut engine = Engine::new(&Config::recommended(), 1);
            engine.aggregate_mut().set_facts(table(), Vec::new());
            engine.ingest(START, story.spans);
            engine.tick(START);
            engine.snapshot(START).loops.remove(0).cost.unwrap()
        };
        let (whole, quarter) = (told(None), told(Some(0.25)));
        let amounts = |cost: &LoopCost| [cost.so_far, cost.per_hour, cost.next_24h, cost.concurrency_share];
        for (whole, quarter) in amounts(&whole).into_iter().zip(amounts(&quarter)) {
            assert!(whole > 0.0 && (quarter / whole - 4.0).abs() < 1e-6, "{quarter} for {whole}");
        }
    }

    #[test]
    fn what_a_lap_uses_is_part_of_its_cost() {
        let without = cost(&format!("f{}", " ~> f".repeat(40)), Vec::new());
        let mut story = Story::parse(&format!("f{}", " ~q~> f".repeat(40)));
        for span in &mut story.spans {
            let system = crate::attribute::Value::Text("aws_sqs".into());
            span.attributes.insert("messaging.system", system);
        }
        let mut engine = Engine::new(&Config::recommended(), 1);
        engine.aggregate_mut().set_facts(table(), Vec::new());
        engine.ingest(START, story.spans);
        engine.tick(START);
        let with = engine.snapshot(START).loops.remove(0).cost.unwrap();
        let messages = 40.0 * 40.0 / 41.0 * 1.2e-6;
        assert!(((with.so_far - without.so_far) / messages - 1.0).abs() < 0.02, "{with:?} {without:?}");
    }
}
