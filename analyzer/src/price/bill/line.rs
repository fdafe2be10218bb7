//! One function on the bill.

use std::sync::Arc;

use super::Pricing;
use crate::{
    detect::{
        fit::{self, Habits},
        state_tax::state_tax,
    },
    measured::Measured,
    price::{Architecture, Charge, FunctionFacts, PlatformPrice, Runs, Traffic, break_even},
    record::{Charged, FunctionDelta},
    sketch::DDSketch,
    snapshot::{Costs, FunctionCost, NodeId, PriceUsed},
    window::quantile,
};

/// Seconds of a minute, over which a pace is counted.
const MINUTE: f64 = 60.0;

/// One function on the bill.
pub(super) struct Line<'a> {
    pub(super) id: NodeId,
    pub(super) delta: &'a FunctionDelta,
    pub(super) facts: Arc<FunctionFacts>,
    pub(super) charge: Charge,
    pub(super) costs: Costs,
    pricing: &'a Pricing,
    price: Option<&'a PlatformPrice>,
    measured: &'a Measured,
}

impl<'a> Line<'a> {
    pub(super) fn of(id: NodeId, delta: &'a FunctionDelta, measured: &'a Measured, pricing: &'a Pricing) -> Self {
        let facts = pricing.facts(id, &delta.function.name);
        let price = pricing.prices.platform(&delta.function.platform, facts.architecture);
        let runs = Runs {
            kept: delta.kept.max(0) as f64,
            invocations: delta.invocations,
            cold_starts: delta.cold_starts,
            billed: &delta.billed,
            durations: &delta.duration,
            told: delta.observed.as_deref().map(Charged::of).unwrap_or_default(),
            used_memory_mb: used_memory(delta),
        };
        let charge = price.map(|price| Charge::of(price, facts.memory_mb, runs)).unwrap_or_default();
        let requests = delta.invocations.max(0.0);
        let time = requests * charge.ms_per_run * charge.per_ms;
        let init = requests * charge.init_ms_per_run.min(charge.ms_per_run) * charge.per_ms;
        let running = time - init;
        let waiting = |share: f64| if charge.charges_waiting { running * share } else { 0.0 };
        let costs = Costs {
            time,
            requests: requests * charge.per_run,
            calls: 0.0,
            waiting: waiting(delta.billed.waiting_share()),
            double_billed: waiting(delta.billed.blocked_share()),
            cold: init + running * delta.billed.cold_share(),
        };
        Self { id, delta, facts, charge, costs, pricing, price, measured }
    }

    /// Runs, those that sampling left out included.
    pub(super) fn requests(&self) -> f64 {
        self.delta.invocations.max(0.0)
    }

    /// True for a function that ran, or that used something in a run that began before.
    pub(super) fn is_due(&self) -> bool {
        self.requests() > 0.0 || self.costs.total() > 0.0
    }

    pub(super) fn price_used(&self) -> Option<PriceUsed> {
        let price = self.price?;
        let platform = price.platforms.first()?;
        let processor = match price.architecture {
            Some(Architecture::X86) => " x86_64",
            Some(Architecture::Arm) => " arm64",
            None => "",
        };
        Some(PriceUsed { item: format!("{platform}{processor}"), as_of: Arc::clone(&price.as_of) })
    }

    fn traffic(&self) -> Traffic {
        let per_second = if self.measured.seconds > 0.0 { self.requests() / self.measured.seconds } else { 0.0 };
        let memory_mb = self.facts.memory_mb;
        // With less memory a function has a part of a processor, and can take no more of one.
        let vcpu = match self.price.map_or(0, |price| price.vcpu_mb) {
            0 => 1.0,
            whole => (f64::from(memory_mb) / f64::from(whole)).min(1.0),
        };
        Traffic {
            per_second,
            peak_per_second: per_second.max(self.delta.pace.peak() / MINUTE),
            mean_ms: self.delta.billed.mean_ms(),
            cpu_ms: self.delta.billed.mean_own_ms() * vcpu,
            memory_mb,
            cost_per_run: self.charge.run(),
        }
    }

    pub(super) fn cost(self) -> FunctionCost {
        let (function, requests, traffic) = (&self.delta.function, self.requests(), self.traffic());
        let prices = &self.pricing.prices;
        let minutes = self.measured.seconds / MINUTE;
        let is_assumed = self.facts.is_assumed || !prices.knows(&function.platform);
        // Where nobody pays for a run, there is nothing to compare.
        let containers = prices.containers.as_ref().filter(|_| self.price.is_some());
        let break_even = containers.and_then(|prices| break_even(prices, &traffic));
        let variation = self.delta.pace.variation(requests, minutes);
        let state = state_tax(self.id, self.delta, self.measured);
        let habits = Habits {
            runs: self.delta.kept.max(0) as f64,
            p95_ms: quantile(&self.delta.duration, 0.95),
            time_out_ms: self.facts.time_out_ms,
            used_memory_mb: used_memory(self.delta).map(|used| quantile(used, 0.95)),
            memory_samples: used_memory(self.delta).map_or(0.0, |used| used.count() as f64),
            memory_mb: (!self.facts.is_assumed).then_some(self.facts.memory_mb),
            per_second: traffic.per_second,
            variation,
            minutes,
            break_even,
            is_assumed,
            store_calls: state.calls_per_run,
            store_share: state.share,
            is_chatty: state.is_chatty,
        };
        FunctionCost {
            id: self.id,
            name: Arc::clone(&function.name),
            environment: Arc::clone(&function.environment),
            platform: Arc::clone(&function.platform),
            owner: Arc::clone(&self.facts.owner),
            apps: self.facts.apps.clone(),
            requests,
            gb_seconds: requests * self.charge.ms_per_run / 1_000.0 * self.charge.gib,
            mean_ms: traffic.mean_ms,
            memory_mb: traffic.memory_mb,
            costs: self.costs,
            is_assumed,
            per_second: traffic.per_second,
            peak_per_second: traffic.peak_per_second,
            variation,
            break_even,
            verdicts: fit::judge(&habits),
        }
    }
}

fn used_memory(delta: &FunctionDelta) -> Option<&DDSketch> {
    delta.observed.as_ref().and_then(|observed| observed.used_memory_mb.as_deref())
}
