//! What functions cost in some time: by function, edge, chain, trigger, application, owner and environment.
//!
//! A pure function of what was measured, the prices, and what is known of functions. Which place causes what is
//! `price/attribution.rs`'s, whether a function should be one `detect/fit.rs`'s, and what a loop costs is told with the
//! loop (`aggregate/money.rs`), by the same cost of a run.

mod edges;
mod line;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{FunctionFacts, FunctionRule, PriceTable};
use crate::{
    measured::Measured,
    snapshot::{CostReport, Costs, FunctionCost, GroupCost, NodeId, PriceUsed, ResourceNode},
};
use edges::Edges;
use line::Line;

/// Bound on each list of a report; the dearest stay. The totals are of all.
pub const LISTED: usize = 1_000;

/// What a bill needs beside what was measured: prices, and what is known of functions and resources.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pricing {
    pub(crate) prices: Arc<PriceTable>,
    /// What is known of functions beyond their spans.
    pub(crate) facts: BTreeMap<NodeId, Arc<FunctionFacts>>,
    /// The same for those that are not among them, because they were let go.
    pub(crate) rules: Arc<[FunctionRule]>,
    pub(crate) resources: BTreeMap<NodeId, ResourceNode>,
}

impl Pricing {
    /// What was measured costs; nothing is said without prices. Functions are under the ids that they turned out to have.
    /// O(functions + edges), some five microseconds each.
    pub fn bill(&self, measured: &Measured) -> CostReport {
        if self.prices.platforms.is_empty() {
            return CostReport::default();
        }
        let line = |(id, delta)| Line::of(id, delta, measured, self);
        let mut lines: Vec<Line<'_>> = measured.functions.iter().map(|(id, delta)| line((*id, delta))).collect();
        let mut edges = Edges::of(measured, &lines, self);
        for (line, used) in lines.iter_mut().zip(edges.used()) {
            line.costs.calls = *used;
        }
        edges.attribute(&lines);
        let mut report = CostReport {
            currency: Arc::clone(&self.prices.currency),
            seconds: measured.seconds,
            pipelines: edges.pipelines(measured, &lines),
            triggers: edges.triggers(&lines),
            prices: used_prices(&lines, edges.prices()),
            containers: self.prices.containers.clone().map(Arc::new),
            edges: edges.list(),
            ..CostReport::default()
        };
        add_groups(&mut report, &lines);
        report.functions = lines.into_iter().filter(|line| line.is_due()).map(Line::cost).collect();
        for line in &report.functions {
            report.total.add(&line.costs);
            report.assumed += if line.is_assumed { line.costs.total() } else { 0.0 };
        }
        trim(&mut report);
        report
    }

    fn facts(&self, id: NodeId, name: &str) -> Arc<FunctionFacts> {
        self.facts.get(&id).map_or_else(|| Arc::new(FunctionFacts::of(name, &self.rules)), Arc::clone)
    }
}

fn add_groups(report: &mut CostReport, lines: &[Line<'_>]) {
    let (mut apps, mut owners, mut environments) = (Groups::default(), Groups::default(), Groups::default());
    for line in lines.iter().filter(|line| line.is_due()) {
        let nobody = [Arc::from("")];
        let of = if line.facts.apps.is_empty() { &nobody[..] } else { &line.facts.apps };
        of.iter().collect::<BTreeSet<_>>().into_iter().for_each(|app| apps.add(app, &line.costs));
        owners.add(&line.facts.owner, &line.costs);
        environments.add(&line.delta.function.environment, &line.costs);
    }
    (report.apps, report.owners, report.environments) = (apps.list(), owners.list(), environments.list());
}

/// Groups of functions, by what they have in common.
#[derive(Default)]
struct Groups(BTreeMap<Arc<str>, (u64, Costs)>);

impl Groups {
    fn add(&mut self, name: &Arc<str>, costs: &Costs) {
        let (functions, sum) = self.0.entry(Arc::clone(name)).or_default();
        *functions += 1;
        sum.add(costs);
    }

    fn list(self) -> Vec<GroupCost> {
        self.0.into_iter().map(|(name, (functions, costs))| GroupCost { name, functions, costs }).collect()
    }
}

fn used_prices(lines: &[Line<'_>], calls: BTreeSet<PriceUsed>) -> Vec<PriceUsed> {
    let platforms = lines.iter().filter(|line| line.is_due()).filter_map(Line::price_used);
    platforms.chain(calls).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Sorts all lists, the dearest first, and leaves out what is beyond their bound.
fn trim(report: &mut CostReport) {
    dearest(&mut report.functions, |it: &FunctionCost| it.costs.total(), |it| it.id);
    dearest(&mut report.edges, |it| it.total(), |it| (it.source, it.target, it.kind));
    dearest(&mut report.pipelines, |it| it.total(), |it| it.path.clone());
    dearest(&mut report.triggers, |it| it.cost, |it| it.id);
    for groups in [&mut report.apps, &mut report.owners, &mut report.environments] {
        dearest(groups, |it| it.costs.total(), |it| Arc::clone(&it.name));
    }
}

fn dearest<T, K: Ord>(list: &mut Vec<T>, amount: impl Fn(&T) -> f64, key: impl Fn(&T) -> K) {
    list.sort_by(|one, other| amount(other).total_cmp(&amount(one)).then_with(|| key(one).cmp(&key(other))));
    list.truncate(LISTED);
}

#[cfg(test)]
mod tests;
