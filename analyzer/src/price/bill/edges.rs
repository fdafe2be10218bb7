//! The edges on the bill: what they use, how long callers wait over them, and what they cause.

use std::collections::{BTreeMap, BTreeSet};

use super::{Pricing, line::Line};
use crate::{
    detect::pattern::pipeline_paths,
    measured::Measured,
    price::attribution::{Attribution, Flow, Site, attribute},
    record::{EdgeDelta, EdgeKey},
    snapshot::{EdgeCost, EdgeKind, NodeId, PipelineCost, PriceUsed, ResourceKind, ResourceNode, TriggerCost},
};

/// All edges, with the places that they lead to and from.
pub(super) struct Edges<'a> {
    pricing: &'a Pricing,
    all: Vec<EdgeCost>,
    /// What the resources cost that each function uses, in the order of the functions.
    used: Vec<f64>,
    prices: BTreeSet<PriceUsed>,
    /// The functions in their order, then all other ends of edges.
    places: Vec<NodeId>,
    functions: usize,
    /// Ends of each edge, by place.
    ends: Vec<(u32, u32)>,
    runs: Vec<f64>,
    attribution: Attribution,
}

impl<'a> Edges<'a> {
    /// `lines` are ordered by id.
    pub(super) fn of(measured: &Measured, lines: &[Line<'_>], pricing: &'a Pricing) -> Self {
        let mut places: Vec<NodeId> = lines.iter().map(|line| line.id).collect();
        let is_function = |id: NodeId| places.binary_search(&id).is_ok();
        let ends = measured.edges.keys().flat_map(|key| [key.source, key.target]);
        let others: BTreeSet<NodeId> = ends.filter(|id| !is_function(*id)).collect();
        places.extend(&others);
        let numbers: BTreeMap<NodeId, u32> = places.iter().copied().zip(0..).collect();
        let mut runs: Vec<f64> = lines.iter().map(Line::requests).collect();
        runs.resize(places.len(), 0.0);
        let mut edges = Self {
            pricing,
            all: Vec::with_capacity(measured.edges.len()),
            used: vec![0.0; lines.len()],
            prices: BTreeSet::new(),
            functions: lines.len(),
            places,
            ends: Vec::with_capacity(measured.edges.len()),
            runs,
            attribution: Attribution::default(),
        };
        for (key, delta) in &measured.edges {
            let ends = (numbers[&key.source], numbers[&key.target]);
            edges.add(*key, delta, ends, lines.get(ends.0 as usize));
        }
        edges.share_waiting(lines);
        edges
    }

    fn add(&mut self, key: EdgeKey, delta: &EdgeDelta, ends: (u32, u32), caller: Option<&Line<'_>>) {
        let (source, target) = (ends.0 as usize, ends.1 as usize);
        let calls = delta.calls.max(0.0);
        if key.kind == EdgeKind::Deliver && source >= self.functions {
            self.runs[source] = self.runs[source].max(calls);
        }
        let mut edge = EdgeCost {
            source: key.source,
            target: key.target,
            kind: key.kind,
            calls,
            uses: 0.0,
            waiting: 0.0,
            downstream: 0.0,
            is_in_loop: false,
        };
        if caller.is_some() && waits(key.kind) {
            let resource = self.pricing.resources.get(&key.target).filter(|_| target >= self.functions);
            edge.uses = resource.map_or(0.0, |resource| self.use_of(resource, key.kind, calls));
            // Sampled durations are those of what was kept.
            let ms = calls * delta.duration.sum().unwrap_or_default() / delta.duration.count().max(1) as f64;
            // For now it is the time; what that costs is known when all edges of the caller are.
            edge.waiting = ms;
            self.used[source] += edge.uses;
        }
        self.all.push(edge);
        self.ends.push(ends);
    }

    fn use_of(&mut self, resource: &ResourceNode, kind: EdgeKind, calls: f64) -> f64 {
        let Some(price) = self.pricing.prices.call(&resource.system, kind) else { return 0.0 };
        let system = price.systems.first().map_or("", |system| &**system);
        self.prices.insert(PriceUsed { item: format!("{system} {}", kind.word()), as_of: price.as_of.clone() });
        calls * price.per_call
    }

    /// What callers pay while they wait, shared out over the edges by time: calls at the same time are waited for once.
    fn share_waiting(&mut self, lines: &[Line<'_>]) {
        let mut waited_ms = vec![0.0; lines.len()];
        for (edge, (source, _)) in self.all.iter().zip(&self.ends) {
            if edge.waiting > 0.0 {
                waited_ms[*source as usize] += edge.waiting;
            }
        }
        for (edge, (source, _)) in self.all.iter_mut().zip(&self.ends) {
            let Some(line) = lines.get(*source as usize) else { continue };
            let paid = line.costs.waiting;
            let most = waited_ms[*source as usize] * line.charge.per_waiting_ms();
            edge.waiting *= line.charge.per_waiting_ms() * if most > paid { paid / most } else { 1.0 };
        }
    }

    pub(super) fn used(&self) -> &[f64] {
        &self.used
    }

    pub(super) fn prices(&mut self) -> BTreeSet<PriceUsed> {
        std::mem::take(&mut self.prices)
    }

    /// Carries what functions cost back to what causes it.
    pub(super) fn attribute(&mut self, lines: &[Line<'_>]) {
        let own = lines.iter().map(|line| line.costs.total()).chain(std::iter::repeat(0.0));
        let sites: Vec<Site> = own.zip(&self.runs).map(|(own, runs)| Site { own, runs: *runs }).collect();
        let mut flows: BTreeMap<(u32, u32), f64> = BTreeMap::new();
        for (edge, ends) in self.all.iter().zip(&self.ends).filter(|(edge, _)| edge.kind.is_causal()) {
            *flows.entry(*ends).or_default() += edge.calls;
        }
        let listed: Vec<Flow> = flows
            .iter()
            .map(|((source, target), calls)| Flow { source: *source, target: *target, calls: *calls })
            .collect();
        self.attribution = attribute(&sites, &listed);
        let caused: BTreeMap<(u32, u32), (f64, bool, f64)> = listed
            .iter()
            .zip(&self.attribution.caused)
            .map(|(flow, (amount, in_loop))| ((flow.source, flow.target), (*amount, *in_loop, flow.calls)))
            .collect();
        for (edge, ends) in self.all.iter_mut().zip(&self.ends).filter(|(edge, _)| edge.kind.is_causal()) {
            // Edges of several kinds between two places share what they cause by their calls.
            if let Some((amount, in_loop, calls)) = caused.get(ends) {
                edge.downstream = if *calls > 0.0 { amount * edge.calls / calls } else { 0.0 };
                edge.is_in_loop = *in_loop;
            }
        }
    }

    /// What the pipelines cost that the detector of patterns finds.
    pub(super) fn pipelines(&self, measured: &Measured, lines: &[Line<'_>]) -> Vec<PipelineCost> {
        let mut called = vec![0.0; lines.len()];
        for (edge, (source, _)) in self.all.iter().zip(&self.ends) {
            if edge.kind == EdgeKind::Call
                && !edge.is_in_loop
                && let Some(called) = called.get_mut(*source as usize)
            {
                *called += edge.downstream;
            }
        }
        pipeline_paths(measured).iter().map(|path| pipeline(path, lines, &called)).collect()
    }

    pub(super) fn triggers(&self, lines: &[Line<'_>]) -> Vec<TriggerCost> {
        let asked = self.asked(lines);
        let name = |place: u32| {
            let id = self.places[place as usize];
            match lines.get(place as usize) {
                Some(line) => (id, line.delta.function.name.clone(), asked[place as usize]),
                None => match self.pricing.resources.get(&id) {
                    Some(resource) => (id, resource.name.clone(), resource.kind.word()),
                    None => (id, id.to_string().into(), "unknown"),
                },
            }
        };
        let all = self.attribution.set_off.iter().map(|set_off| {
            let (id, name, kind) = name(set_off.site);
            let kind = if set_off.entries > 0.0 { kind } else { "unknown" };
            TriggerCost { id, name, kind, entries: set_off.entries, cost: set_off.cost }
        });
        all.filter(|trigger| trigger.cost > 0.0).collect()
    }

    /// What starts most of each function's runs that no edge explains.
    fn asked(&self, lines: &[Line<'_>]) -> Vec<&'static str> {
        let mut left: Vec<[(&'static str, f64); 4]> = lines
            .iter()
            .map(|line| {
                let nature = &line.delta.nature;
                [
                    ("request", nature.by_request),
                    ("queue", nature.by_queue),
                    ("store", nature.by_store),
                    ("schedule", nature.by_schedule),
                ]
            })
            .collect();
        for (edge, (_, target)) in self.all.iter().zip(&self.ends) {
            let by = match edge.kind {
                EdgeKind::Call => 0,
                EdgeKind::Message => 1,
                EdgeKind::Deliver => match self.pricing.resources.get(&edge.source).map(|resource| resource.kind) {
                    Some(ResourceKind::Bucket | ResourceKind::Table | ResourceKind::Database) => 2,
                    Some(ResourceKind::Schedule) => 3,
                    _ => 1,
                },
                EdgeKind::Publish | EdgeKind::Write | EdgeKind::Read => continue,
            };
            if let Some(left) = left.get_mut(*target as usize) {
                left[by].1 -= edge.calls;
            }
        }
        // The first of equals, so that a function of which nothing is said is asked by requests.
        let most = |left: [(&'static str, f64); 4]| left.into_iter().rev().max_by(|a, b| a.1.total_cmp(&b.1));
        left.into_iter().map(|left| most(left).map_or("request", |(word, _)| word)).collect()
    }

    pub(super) fn list(self) -> Vec<EdgeCost> {
        self.all.into_iter().filter(|edge| edge.total() > 0.0).collect()
    }
}

/// `lines` are ordered by id, and `called` is what each of them has others do while it waits.
fn pipeline(path: &[(NodeId, Option<NodeId>)], lines: &[Line<'_>], called: &[f64]) -> PipelineCost {
    let places = path.iter().filter_map(|(function, _)| lines.binary_search_by_key(function, |line| line.id).ok());
    let places: Vec<usize> = places.collect();
    let stages = || places.iter().map(|place| &lines[*place]);
    PipelineCost {
        path: path.iter().flat_map(|(function, over)| over.iter().chain([function])).copied().collect(),
        names: stages().map(|line| line.delta.function.name.clone()).collect(),
        entries: stages().next().map_or(0.0, Line::requests),
        stages: stages().map(|line| line.costs.total()).sum(),
        called: places.iter().map(|place| called[*place]).sum(),
    }
}

/// True for what its source waits for.
fn waits(kind: EdgeKind) -> bool {
    matches!(kind, EdgeKind::Call | EdgeKind::Publish | EdgeKind::Read | EdgeKind::Write)
}
