//! The patterns of the whole picture: what detectors find in counts, with what only the aggregate knows.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::Aggregate;
use crate::{
    detect::pattern::{self, Known, Surroundings, Waiting},
    measured::Measured,
    snapshot::{DeadFunction, NodeId, Patterns},
    span::ArrivalTime,
};

/// Patterns are looked for at most this often: they are about hours, and looking takes a look at everything.
const INTERVAL: Duration = Duration::from_secs(5);

/// Seconds of a day.
const DAY: f64 = 86_400.0;

impl Aggregate {
    /// The patterns in what was counted in some time, and the functions that are dead at its end.
    pub fn patterns(&self, measured: &Measured, end: ArrivalTime) -> Patterns {
        let renamed = (!self.aliases.is_empty()).then(|| measured.renamed(|node| super::own(&self.aliases, node)));
        let resources: BTreeMap<NodeId, _> = self.resources.iter().map(|(id, (node, _))| (*id, node.clone())).collect();
        let around = Surroundings { resources: &resources, price: &|function, waiting| self.price(function, waiting) };
        let measured = renamed.as_ref().unwrap_or(measured);
        Patterns { dead: self.dead_functions(end), ..pattern::patterns(measured, &around) }
    }

    /// The patterns of all time, looked for anew when the last look is long ago.
    pub(super) fn recent_patterns(&mut self, now: ArrivalTime) -> Arc<Patterns> {
        if self.patterns_at.0 == 0 || now.since(self.patterns_at) >= INTERVAL {
            self.patterns_at = now;
            self.patterns = Arc::new(self.patterns(&self.measured, now));
        }
        Arc::clone(&self.patterns)
    }

    /// What a day of waiting costs; `None` where there are no prices, or the time was none.
    fn price(&self, function: NodeId, waiting: Waiting) -> Option<f64> {
        let series = self.functions.get(&function)?;
        let run = |ms| self.prices.cost_per_invocation(series.platform(), series.facts(), ms, &[]);
        let each = run(waiting.mean_ms) - run(waiting.mean_ms - waiting.wait_ms);
        let is_known = waiting.seconds > 0.0 && !self.prices.platforms.is_empty();
        is_known.then(|| each.max(0.0) * waiting.runs / waiting.seconds * DAY)
    }

    fn dead_functions(&self, now: ArrivalTime) -> Vec<DeadFunction> {
        let mut edges = BTreeMap::<NodeId, (u32, ArrivalTime)>::new();
        for (key, series) in &self.edges {
            for (end, is_target) in [(key.source, false), (key.target, true)] {
                let (count, last) = edges.entry(end).or_insert((0, ArrivalTime(0)));
                *count += 1;
                // Whoever is called is there, also where its own spans are not.
                *last = if is_target { (*last).max(series.last_call()) } else { *last };
            }
        }
        let met = self.functions.iter().map(|(id, series)| {
            let (count, called) = edges.get(id).copied().unwrap_or_default();
            let is_configured = self.rules.iter().any(|rule| *rule.pattern == **series.name());
            let last = Some(series.last_merge().max(called));
            Known { id: Some(*id), name: Arc::clone(series.name()), is_configured, last, edges: count }
        });
        let is_met = |name: &str| self.functions.values().any(|series| **series.name() == *name);
        let configured = self.rules.iter().filter(|rule| !rule.pattern.contains('*') && !is_met(&rule.pattern));
        let never = configured.map(|rule| Known {
            id: None,
            name: Arc::clone(&rule.pattern),
            is_configured: true,
            last: None,
            edges: 0,
        });
        pattern::dead_functions(met.chain(never), self.since, now)
    }
}
