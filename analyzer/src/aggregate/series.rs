//! A function and an edge over time, and how they look at one moment.

use std::sync::Arc;

use crate::{
    facts::{FunctionFacts, FunctionRule, Told},
    identity::Function,
    price::{Charge, PriceTable, Runs},
    record::{Belief, Billed, Charged, EdgeDelta, EdgeKey, Exemplars, FunctionDelta, Samples, Versions},
    sampling::{part_kept, rounded},
    snapshot::{Background, Edge, EdgeKind, FunctionNode, HotspotCause, NodeId},
    span::{ArrivalTime, EventTime},
    state::state,
    window::{Rate, Series, quantile, slot_of},
};

/// A function over time.
pub(super) struct FunctionSeries {
    node: FunctionNode,
    /// Runs that were kept.
    kept: i64,
    /// Runs that they stand for, and of these.
    invocations: f64,
    errors: f64,
    cold_starts: f64,
    duration: Series,
    self_time: Series,
    billed: Billed,
    charged: Charged,
    rate: Rate,
    exemplars: Exemplars,
    versions: Versions,
    /// Instances that were started, where the time of it was told.
    starts: f64,
    told: Told,
    /// True when logs or metrics tell of it.
    is_reported: bool,
    facts: Arc<FunctionFacts>,
    /// The slot for which the quantiles in `node` were taken; `None` when something came since.
    quantiles_of: Option<u64>,
    last_merge: ArrivalTime,
}

/// An edge over time. What is asked of all edges at once stands apart from the rest, so that they are soon looked through.
pub(super) struct EdgeSeries {
    /// Calls, those that were not kept included.
    calls: f64,
    last_call: ArrivalTime,
    details: Box<EdgeDetails>,
}

struct EdgeDetails {
    /// Calls that were kept.
    kept: u64,
    belief: Belief,
    errors: f64,
    duration: Series,
    gap: Option<Series>,
    rate: Rate,
    exemplars: Exemplars,
    p50_ms: f64,
    p95_ms: f64,
    gap_p95_ms: Option<f64>,
    /// The callee's time, over all time.
    server: Samples,
    server_p95_ms: Option<f64>,
    is_stale: bool,
}

impl FunctionSeries {
    pub(super) fn new(node: FunctionNode) -> Self {
        Self {
            node,
            kept: 0,
            invocations: 0.0,
            errors: 0.0,
            cold_starts: 0.0,
            duration: Series::new(),
            self_time: Series::new(),
            billed: Billed::default(),
            charged: Charged::default(),
            rate: Rate::default(),
            exemplars: Exemplars::default(),
            versions: Versions::default(),
            starts: 0.0,
            told: Told::default(),
            is_reported: false,
            facts: Arc::default(),
            quantiles_of: None,
            last_merge: ArrivalTime(0),
        }
    }

    pub(super) fn merge(&mut self, now: ArrivalTime, delta: &FunctionDelta) {
        let slot = slot_of(now);
        self.kept += delta.kept;
        self.invocations += delta.invocations;
        self.errors += delta.errors;
        self.cold_starts += delta.cold_starts;
        self.rate.add(now, delta.invocations.max(0.0));
        self.duration.merge(slot, &delta.duration);
        self.self_time.merge(slot, &delta.self_time);
        self.billed.merge(&delta.billed);
        self.node.last_seen = self.node.last_seen.max(delta.last_seen);
        self.exemplars.merge(&delta.exemplars);
        self.versions.merge(&delta.versions);
        if let Some(observed) = &delta.observed {
            self.charged.merge(&Charged::of(observed));
            self.starts += observed.starts() as f64;
        }
        self.is_reported |= delta.observed.is_some() || delta.reported.is_some() || delta.told != Told::default();
        self.told.update(delta.told);
        self.quantiles_of = None;
        self.last_merge = now;
    }

    /// A function like it under another id, of which nothing was counted.
    pub(super) fn empty(&self, id: NodeId) -> Self {
        let node = FunctionNode { id, exemplars: Vec::new(), aliases: Vec::new(), ..self.node.clone() };
        Self { facts: Arc::clone(&self.facts), ..Self::new(node) }
    }

    /// Takes over what was counted under another id; the newest traces stay its own.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.add(other);
        for id in [&[other.node.id][..], &other.node.aliases].concat() {
            self.add_alias(id);
        }
    }

    /// Adds what was counted of another function.
    pub(super) fn add(&mut self, other: &Self) {
        self.kept += other.kept;
        self.invocations += other.invocations;
        self.errors += other.errors;
        self.cold_starts += other.cold_starts;
        self.rate.absorb(&other.rate);
        self.duration.absorb(&other.duration);
        self.self_time.absorb(&other.self_time);
        self.billed.merge(&other.billed);
        self.charged.merge(&other.charged);
        self.node.last_seen = self.node.last_seen.max(other.node.last_seen);
        self.exemplars.merge(&other.exemplars);
        self.versions.merge(&other.versions);
        self.starts += other.starts;
        self.is_reported |= other.is_reported;
        self.told.update(other.told);
        self.quantiles_of = None;
        self.last_merge = self.last_merge.max(other.last_merge);
    }

    /// Another id was met for the same function.
    pub(super) fn add_alias(&mut self, id: NodeId) {
        if id != self.node.id && !self.node.aliases.contains(&id) {
            self.node.aliases.push(id);
            self.node.aliases.sort_unstable();
        }
    }

    pub(super) fn node(&mut self, now: ArrivalTime) -> FunctionNode {
        let slot = slot_of(now);
        if self.quantiles_of != Some(slot) {
            self.quantiles_of = Some(slot);
            let current = self.duration.current(slot);
            self.node.p50_ms = quantile(&self.duration.total, 0.5);
            self.node.p95_ms = quantile(&self.duration.total, 0.95);
            self.node.current_p95_ms = (current.count() > 0).then(|| quantile(&current, 0.95));
            self.node.baseline_p95_ms = self.duration.baseline(slot).map(|baseline| quantile(&baseline, 0.95));
            self.node.exemplars = self.exemplars.newest_first();
        }
        self.node.invocations = rounded(self.invocations);
        self.node.errors = rounded(self.errors);
        // Some exporters say so of runs, some tell of the start of the instance alone, and some do both.
        self.node.cold_starts = rounded(self.cold_starts.max(self.starts));
        self.node.sampling_probability = part_kept(self.kept as f64, self.invocations);
        self.node.is_untraced = self.is_reported && self.kept <= 0;
        self.node.rate_per_second = self.rate.per_second(now);
        self.node.clone()
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.node.name
    }

    pub(super) fn environment(&self) -> Arc<str> {
        Arc::clone(&self.node.environment)
    }

    pub(super) fn platform(&self) -> &str {
        &self.node.platform
    }

    /// Runs that were kept.
    pub(super) fn kept(&self) -> i64 {
        self.kept
    }

    /// Runs, those that were not kept included.
    pub(super) fn invocations(&self) -> f64 {
        self.invocations.max(0.0)
    }

    /// Mean duration of a run over all time, milliseconds; 0 while none has ended.
    pub(super) fn mean_ms(&self) -> f64 {
        self.billed.mean_ms()
    }

    /// What a run costs at these prices, without the resources it uses; a mean over all time.
    pub(super) fn cost_per_run(&self, prices: &PriceTable) -> f64 {
        let price = prices.platform(self.platform(), self.facts.architecture);
        let durations = &self.duration.total;
        let runs = Runs {
            kept: self.kept.max(0) as f64,
            invocations: self.invocations,
            cold_starts: self.cold_starts,
            billed: &self.billed,
            durations,
            told: self.charged,
            used_memory_mb: None,
        };
        let charge = price.map(|price| Charge::of(price, self.facts.memory_mb, runs));
        charge.map_or(0.0, |charge| charge.run())
    }

    /// Versions that came last, with the time each was first seen, the newest last.
    pub(super) fn versions(&self) -> &[(Arc<str>, EventTime)] {
        self.versions.as_slice()
    }

    /// What is known of it besides its numbers.
    pub(super) fn background(&self) -> Background {
        Background { facts: Arc::clone(&self.facts), versions: self.versions.as_slice().into() }
    }

    pub(super) fn facts(&self) -> &Arc<FunctionFacts> {
        &self.facts
    }

    pub(super) fn learn_facts(&mut self, rules: &[FunctionRule]) {
        self.facts = Arc::new(FunctionFacts::with(&self.node.name, rules, self.told));
    }

    /// What telemetry says of how it is configured.
    pub(super) fn told(&self) -> Told {
        self.told
    }

    pub(super) fn last_seen(&self) -> EventTime {
        self.node.last_seen
    }

    /// When something came last.
    pub(super) fn last_merge(&self) -> ArrivalTime {
        self.last_merge
    }

    pub(super) fn self_time(&self) -> &Series {
        &self.self_time
    }
}

impl EdgeSeries {
    pub(super) fn new() -> Self {
        let details = EdgeDetails {
            kept: 0,
            belief: Belief::default(),
            errors: 0.0,
            duration: Series::new(),
            gap: None,
            rate: Rate::default(),
            exemplars: Exemplars::default(),
            p50_ms: 0.0,
            p95_ms: 0.0,
            gap_p95_ms: None,
            server: Samples::default(),
            server_p95_ms: None,
            is_stale: true,
        };
        Self { calls: 0.0, last_call: ArrivalTime(0), details: Box::new(details) }
    }

    pub(super) fn merge(&mut self, now: ArrivalTime, kind: EdgeKind, delta: &EdgeDelta) {
        let (slot, cause) = (slot_of(now), spent_on(kind));
        self.details.kept += delta.kept;
        self.calls += delta.calls;
        self.details.belief.merge(delta.belief);
        self.details.errors += delta.errors;
        self.details.rate.add(now, delta.calls);
        match cause {
            Some(HotspotCause::Resource) => self.details.duration.merge(slot, &delta.duration),
            _ => self.details.duration.merge_total(&delta.duration),
        }
        if let Some(gap) = &delta.gap {
            let known = self.details.gap.get_or_insert_with(Series::new);
            match cause {
                Some(HotspotCause::Gap) => known.merge(slot, gap),
                _ => known.merge_total(gap),
            }
        }
        self.details.server.merge(&delta.server);
        self.details.exemplars.merge(&delta.exemplars);
        self.details.is_stale = true;
        self.last_call = now;
    }

    /// Takes over what was counted between other ids.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.details.kept += other.details.kept;
        self.calls += other.calls;
        self.details.belief.merge(other.details.belief);
        self.details.errors += other.details.errors;
        self.details.rate.absorb(&other.details.rate);
        self.details.duration.absorb(&other.details.duration);
        if let Some(gap) = &other.details.gap {
            self.details.gap.get_or_insert_with(Series::new).absorb(gap);
        }
        self.details.server.merge(&other.details.server);
        self.details.exemplars.merge(&other.details.exemplars);
        self.details.is_stale = true;
        self.last_call = self.last_call.max(other.last_call);
    }

    pub(super) fn edge(&mut self, key: EdgeKey, now: ArrivalTime) -> Edge {
        if self.details.is_stale {
            self.details.is_stale = false;
            self.details.p50_ms = quantile(&self.details.duration.total, 0.5);
            self.details.p95_ms = quantile(&self.details.duration.total, 0.95);
            self.details.server_p95_ms = self.details.server.quantile(0.95);
            self.details.gap_p95_ms = self.details.gap.as_ref().map(|gap| quantile(&gap.total, 0.95));
        }
        Edge {
            source: key.source,
            target: key.target,
            kind: key.kind,
            calls: rounded(self.calls),
            errors: rounded(self.details.errors),
            sampling_probability: part_kept(self.details.kept as f64, self.calls),
            confidence: self.details.belief.confidence(self.details.kept),
            p50_ms: self.details.p50_ms,
            p95_ms: self.details.p95_ms,
            server_p95_ms: self.details.server_p95_ms,
            gap_p95_ms: self.details.gap_p95_ms,
            rate_per_second: self.details.rate.per_second(now),
            exemplars: self.details.exemplars.newest_first(),
        }
    }

    /// Calls, those that were not kept included.
    pub(super) fn calls(&self) -> f64 {
        self.calls
    }

    /// When a call came last.
    pub(super) fn last_call(&self) -> ArrivalTime {
        self.last_call
    }

    /// The time that is spent on such an edge, and what on.
    pub(super) fn spent(&self, kind: EdgeKind) -> Option<(HotspotCause, &Series)> {
        let cause = spent_on(kind)?;
        let time = if cause == HotspotCause::Gap { self.details.gap.as_ref()? } else { &self.details.duration };
        Some((cause, time))
    }
}

/// What the time of an edge is spent on that may make it a hotspot.
fn spent_on(kind: EdgeKind) -> Option<HotspotCause> {
    match kind {
        EdgeKind::Call => Some(HotspotCause::Gap),
        EdgeKind::Publish | EdgeKind::Read | EdgeKind::Write => Some(HotspotCause::Resource),
        EdgeKind::Deliver | EdgeKind::Message => None,
    }
}

impl FunctionNode {
    /// A function that was just met.
    pub(super) fn named(function: &Function) -> Self {
        Self {
            id: function.id,
            name: Arc::clone(&function.name),
            environment: Arc::clone(&function.environment),
            platform: Arc::clone(&function.platform),
            invocations: 0,
            errors: 0,
            cold_starts: 0,
            p50_ms: 0.0,
            p95_ms: 0.0,
            current_p95_ms: None,
            baseline_p95_ms: None,
            rate_per_second: 0.0,
            last_seen: EventTime(0),
            exemplars: Vec::new(),
            aliases: Vec::new(),
            sampling_probability: None,
            is_untraced: false,
        }
    }
}

state!(FunctionSeries { node, kept, invocations, errors, cold_starts, duration, self_time, billed, charged, rate, exemplars, versions, starts, told, is_reported, quantiles_of, last_merge } else { facts });
state!(EdgeSeries { calls, last_call, details });
state!(EdgeDetails {
    kept,
    belief,
    errors,
    duration,
    gap,
    rate,
    exemplars,
    p50_ms,
    p95_ms,
    gap_p95_ms,
    server,
    server_p95_ms,
    is_stale
});
