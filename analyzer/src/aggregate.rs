//! The whole picture: merges what shards and linker hand over, and shows it as a [`Snapshot`].
//!
//! Deltas add up, so neither their order nor the number of shards shows in the result. Detectors that need the whole
//! graph run here.

mod series;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    canonical::least_rotation,
    config::Config,
    detect::{
        cycle::{self, Cycle},
        hotspot::{self, Spent},
    },
    linker::{LinkerOutput, LoopReport},
    record::{Delta, EdgeDelta, EdgeKey, FunctionDelta},
    snapshot::{EdgeKind, FunctionNode, Loop, LoopId, LoopState, Losses, NodeId, ResourceNode, Severity, Snapshot},
    span::{ArrivalTime, EventTime},
    window::{Sums, slot_of},
};
use series::{EdgeSeries, FunctionSeries};

/// Cycles are looked for at most this often.
const CYCLE_INTERVAL: Duration = Duration::from_secs(1);

/// The merged state of all shards and the linker.
pub struct Aggregate {
    config: Config,
    functions: BTreeMap<NodeId, FunctionSeries>,
    resources: BTreeMap<NodeId, ResourceNode>,
    edges: BTreeMap<EdgeKey, EdgeSeries>,
    loops: BTreeMap<LoopId, LoopReport>,
    latent: BTreeMap<LoopId, (Cycle, EventTime)>,
    root_ms: Sums,
    losses: Losses,
    topology_changed: bool,
    cycles_at: ArrivalTime,
}

impl Aggregate {
    /// Builds an empty picture.
    pub fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            functions: BTreeMap::new(),
            resources: BTreeMap::new(),
            edges: BTreeMap::new(),
            loops: BTreeMap::new(),
            latent: BTreeMap::new(),
            root_ms: Sums::default(),
            losses: Losses::default(),
            topology_changed: false,
            cycles_at: ArrivalTime(0),
        }
    }

    /// Adds what a shard has counted.
    pub fn merge(&mut self, now: ArrivalTime, delta: Delta) {
        let slot = slot_of(now);
        self.losses.merge(&delta.losses);
        self.root_ms.add(slot, delta.root_ms);
        for (id, resource) in delta.resources {
            self.merge_resource(id, resource);
        }
        for (id, function) in delta.functions {
            self.merge_function(now, id, &function);
        }
        for (key, edge) in delta.edges {
            self.merge_edge(now, key, &edge);
        }
    }

    /// Adds what the linker has found.
    pub fn link(&mut self, now: ArrivalTime, output: LinkerOutput) {
        self.merge(now, output.delta);
        for report in output.loops {
            self.latent.remove(&report.id);
            self.loops.insert(report.id, report);
        }
        while self.loops.len() > self.config.loop_capacity {
            let oldest = self.loops.values().min_by_key(|known| (known.last_seen, known.id)).map(|known| known.id);
            oldest.and_then(|id| self.loops.remove(&id));
        }
    }

    /// Does what is due at `now`: looks for cycles when the graph has changed.
    pub fn tick(&mut self, now: ArrivalTime) {
        if self.topology_changed && now.since(self.cycles_at) >= CYCLE_INTERVAL {
            self.topology_changed = false;
            self.cycles_at = now;
            self.find_cycles();
        }
    }

    /// Everything known at `now`.
    pub fn snapshot(&mut self, now: ArrivalTime) -> Snapshot {
        let functions = self.functions.values_mut().map(|series| series.node(now)).collect();
        let known = |node: NodeId| self.functions.contains_key(&node) || self.resources.contains_key(&node);
        let edges = self
            .edges
            .iter_mut()
            .filter(|(key, _)| known(key.source) && known(key.target))
            .map(|(key, series)| series.edge(*key, now))
            .collect();
        let mut loops: Vec<Loop> = self.loops.values().map(|report| self.describe(report)).collect();
        loops.extend(self.latent.values().map(|(cycle, since)| self.describe(&latent_report(cycle, *since))));
        loops.sort_by_key(|found| (std::cmp::Reverse((found.severity, found.max_depth, found.laps)), found.id));
        Snapshot {
            functions,
            resources: self.resources.values().cloned().collect(),
            edges,
            loops,
            hotspots: self.hotspots(now),
            losses: self.losses,
        }
    }

    fn merge_resource(&mut self, id: NodeId, resource: ResourceNode) {
        let is_full = self.resources.len() >= self.config.function_capacity;
        match self.resources.get_mut(&id) {
            // A trigger names a store without saying what it is; a span that says so knows better.
            Some(known) if known.system.is_empty() && !resource.system.is_empty() => *known = resource,
            Some(_) => {}
            None if is_full => self.losses.functions_overflowed += 1,
            None => {
                self.resources.insert(id, resource);
                self.topology_changed = true;
            }
        }
    }

    fn merge_function(&mut self, now: ArrivalTime, id: NodeId, delta: &FunctionDelta) {
        if let Some(known) = self.functions.get_mut(&id) {
            return known.merge(now, delta);
        }
        let is_full = self.functions.len() >= self.config.function_capacity;
        let function = if is_full {
            self.losses.functions_overflowed += 1;
            FunctionNode::other()
        } else {
            FunctionNode::named(&delta.function)
        };
        self.topology_changed = true;
        self.functions.entry(function.id).or_insert_with(|| FunctionSeries::new(function)).merge(now, delta);
    }

    fn merge_edge(&mut self, now: ArrivalTime, key: EdgeKey, delta: &EdgeDelta) {
        if let Some(known) = self.edges.get_mut(&key) {
            return known.merge(now, delta);
        }
        if self.edges.len() >= self.config.edge_capacity {
            self.losses.edges_overflowed += 1;
            return;
        }
        self.topology_changed = true;
        self.edges.entry(key).or_insert_with(EdgeSeries::new).merge(now, delta);
    }

    fn find_cycles(&mut self) {
        let mut causal: BTreeMap<(NodeId, NodeId), u64> = BTreeMap::new();
        for (key, series) in self.edges.iter().filter(|(key, _)| key.kind.is_causal()) {
            *causal.entry((key.source, key.target)).or_default() += series.calls();
        }
        let cycles = cycle::cycles(&causal, |node| self.functions.contains_key(&node));
        let mut before = std::mem::take(&mut self.latent);
        for cycle in cycles.into_iter().filter(|cycle| !self.loops.contains_key(&cycle.id)) {
            let since = before.remove(&cycle.id).map_or_else(|| self.last_seen(&cycle.functions), |(_, since)| since);
            if self.latent.len() < self.config.loop_capacity {
                self.latent.insert(cycle.id, (cycle, since));
            }
        }
    }

    fn last_seen(&self, functions: &[NodeId]) -> EventTime {
        functions
            .iter()
            .filter_map(|id| self.functions.get(id))
            .map(FunctionSeries::last_seen)
            .max()
            .unwrap_or_default()
    }

    fn name(&self, id: NodeId) -> Arc<str> {
        self.functions.get(&id).map_or_else(|| id.to_string().into(), |series| Arc::clone(series.name()))
    }

    fn describe(&self, report: &LoopReport) -> Loop {
        let mut functions = report.functions.clone();
        let mut names: Vec<Arc<str>> = functions.iter().map(|id| self.name(*id)).collect();
        // Identity rotates by id; people read a cycle from its first name on.
        let first = least_rotation(&names);
        functions.rotate_left(first);
        names.rotate_left(first);
        let environment = functions.first().and_then(|id| self.functions.get(id)).map(FunctionSeries::environment);
        Loop {
            id: report.id,
            path: self.path(&functions),
            functions,
            names,
            environment: environment.unwrap_or_else(|| "".into()),
            state: report.state,
            severity: report.severity,
            max_depth: report.max_depth,
            chains: report.chains,
            laps: report.laps,
            lap_p50_ms: (report.laps > 0).then_some(report.lap_p50_ms),
            laps_per_minute: report.laps_per_minute,
            first_seen: report.first_seen,
            last_seen: report.last_seen,
            exemplars: report.exemplars.clone(),
        }
    }

    /// The nodes of one lap: between two functions without an edge of their own stands the resource that joins them.
    fn path(&self, functions: &[NodeId]) -> Vec<NodeId> {
        let mut path = Vec::with_capacity(functions.len());
        for (place, source) in functions.iter().enumerate() {
            let target = functions[(place + 1) % functions.len()];
            path.push(*source);
            let has = |kind| self.edges.contains_key(&EdgeKey { source: *source, target, kind });
            if !has(EdgeKind::Call) && !has(EdgeKind::Message) {
                path.extend(self.carrier(*source, target));
            }
        }
        path
    }

    fn carrier(&self, source: NodeId, target: NodeId) -> Option<NodeId> {
        let first = EdgeKey { source, target: NodeId(0), kind: EdgeKind::Call };
        self.edges
            .range(first..)
            .take_while(|(key, _)| key.source == source)
            .filter(|(key, _)| matches!(key.kind, EdgeKind::Publish | EdgeKind::Write))
            .filter_map(|(key, series)| {
                let delivery = EdgeKey { source: key.target, target, kind: EdgeKind::Deliver };
                self.edges.get(&delivery).map(|delivered| (series.calls().min(delivered.calls()), key.target))
            })
            .max()
            .map(|(_, resource)| resource)
    }

    fn hotspots(&self, now: ArrivalTime) -> Vec<crate::snapshot::Hotspot> {
        let slot = slot_of(now);
        let own = self.functions.iter().map(|(id, series)| Spent {
            function: *id,
            name: series.name(),
            edge: None,
            time: series.self_time(),
        });
        let between = self.edges.iter().filter_map(|(key, series)| {
            let caller = self.functions.get(&key.source)?;
            Some(Spent {
                function: key.source,
                name: caller.name(),
                edge: Some((key.source, key.target)),
                time: series.gap()?,
            })
        });
        hotspot::hotspots(own.chain(between), slot, self.root_ms.current(slot))
    }
}

fn latent_report(cycle: &Cycle, since: EventTime) -> LoopReport {
    LoopReport {
        id: cycle.id,
        functions: cycle.functions.clone(),
        state: LoopState::Latent,
        severity: Severity::Info,
        max_depth: 0,
        chains: 0,
        laps: 0,
        lap_p50_ms: 0.0,
        laps_per_minute: 0.0,
        first_seen: since,
        last_seen: since,
        exemplars: Vec::new(),
    }
}
