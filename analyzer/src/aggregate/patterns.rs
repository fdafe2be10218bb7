//! What patterns are told with beside counts: the names of resources, what a second costs, and who is dead.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::Aggregate;
use crate::{
    detect::pattern::{self, Known, Surroundings},
    snapshot::{DeadFunction, NodeId, Patterns},
    span::ArrivalTime,
};

/// While no resource is new it is gathered at most this often: it takes a look at everything, and nothing else of it is
/// urgent.
const INTERVAL: Duration = Duration::from_secs(5);

/// Between a run of so long and one of twice as long lies what a second costs; milliseconds.
const SECOND: f64 = 1_000.0;

impl Aggregate {
    /// The patterns of the running window: of all time, in a capture.
    pub fn patterns(&self) -> Patterns {
        pattern::patterns(&self.measured, &self.gather(self.now))
    }

    /// What patterns are told with, gathered anew when that is long ago.
    pub(super) fn surroundings(&mut self, now: ArrivalTime) -> Arc<Surroundings> {
        let is_known = self.surroundings.resources.len() == self.resources.len();
        if self.surroundings_at.0 == 0 || !is_known || now.since(self.surroundings_at) >= INTERVAL {
            self.surroundings_at = now;
            self.surroundings = Arc::new(self.gather(now));
        }
        Arc::clone(&self.surroundings)
    }

    fn gather(&self, now: ArrivalTime) -> Surroundings {
        let is_priced = !self.prices.platforms.is_empty();
        let second = |series: &super::FunctionSeries| {
            let run = |ms| self.prices.cost_per_invocation(series.platform(), series.facts(), ms, &[]);
            run(2.0 * SECOND) - run(SECOND)
        };
        let priced = self.functions.iter().filter(|_| is_priced);
        Surroundings {
            resources: self.resources.iter().map(|(id, (node, _))| (*id, node.clone())).collect(),
            per_second: priced.map(|(id, series)| (*id, second(series))).collect(),
            currency: Arc::clone(&self.prices.currency),
            dead: self.dead_functions(now),
        }
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

#[cfg(test)]
mod tests {
    use crate::{
        config::Config,
        engine::Engine,
        fixture::{START, Story},
    };

    #[test]
    fn a_new_resource_is_named_at_once() {
        let mut engine = Engine::new(&Config::recommended(), 1);
        for (name, wanted) in [("raw", 1), ("cooked", 2)] {
            let mut spans = Story::parse(&format!("a ~{name}~> b")).spans;
            spans.iter_mut().for_each(|span| span.trace_id.0[0] = wanted as u8);
            engine.ingest(START, spans);
            let known = &engine.snapshot(START).surroundings.resources;
            assert!(known.len() == wanted && known.values().any(|resource| &*resource.name == name), "{known:?}");
        }
    }
}
