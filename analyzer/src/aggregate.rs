//! The whole picture: merges what shards and linker hand over, and shows it as a [`Snapshot`].
//!
//! Deltas add up, so neither their order nor the number of shards shows in the result. Detectors that need the whole
//! graph run here.

mod appraisal;
mod attempts;
mod flow;
mod hotspots;
mod money;
mod patterns;
mod pricing;
pub mod roots;
mod series;
mod windows;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    canonical::least_rotation,
    config::Config,
    detect::{
        cycle::{self, Cycle},
        pattern::Surroundings,
        retry::AttemptSeries,
    },
    facts::FunctionRule,
    identity::Function,
    intended::{Intended, Verdict},
    linker::{LinkerOutput, LoopReport},
    measured::Measured,
    price::PriceTable,
    record::{Anomalies, AttemptKey, Delta, EdgeDelta, EdgeKey, FunctionDelta},
    sampling::{Sampling, rounded},
    snapshot::{
        Assessment, EdgeKind, FunctionNode, Loop, LoopClass, LoopId, LoopLevel, LoopState, Losses, NodeId,
        ResourceNode, Snapshot,
    },
    span::{ArrivalTime, EventTime},
    state::{self, state},
    window::{Sums, slot_of},
    windows::ClosedWindow,
};
use flow::Flows;
use hotspots::Rank;
use pricing::Priced;
use roots::Roots;
use series::{EdgeSeries, FunctionSeries};
use windows::Minutes;

/// Cycles are looked for at most this often.
const CYCLE_INTERVAL: Duration = Duration::from_secs(1);

/// The merged state of all shards and the linker.
pub struct Aggregate {
    config: Config,
    functions: BTreeMap<NodeId, FunctionSeries>,
    resources: BTreeMap<NodeId, (ResourceNode, ArrivalTime)>,
    edges: BTreeMap<EdgeKey, EdgeSeries>,
    /// Ids that turned out to be those of other functions.
    aliases: BTreeMap<NodeId, NodeId>,
    loops: BTreeMap<LoopId, LoopReport>,
    latent: BTreeMap<LoopId, (Cycle, EventTime)>,
    attempts: BTreeMap<AttemptKey, AttemptSeries>,
    flows: Flows,
    root_ms: Sums,
    /// Where the time of traces went.
    roots: Roots,
    /// What was made of them last.
    ranked: Option<Rank>,
    /// What was counted in the running window: this minute, or all of a capture.
    measured: Measured,
    /// What is needed to price it.
    priced: Priced,
    minutes: Minutes,
    /// What patterns are told with beside counts, and when it was gathered last.
    surroundings: Arc<Surroundings>,
    surroundings_at: ArrivalTime,
    /// When the first came.
    since: ArrivalTime,
    anomalies: Anomalies,
    losses: Losses,
    prices: PriceTable,
    rules: Vec<FunctionRule>,
    declared: Vec<Intended>,
    /// What people said of loops; they are people, so there are few.
    verdicts: BTreeMap<LoopId, Verdict>,
    now: ArrivalTime,
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
            aliases: BTreeMap::new(),
            loops: BTreeMap::new(),
            latent: BTreeMap::new(),
            attempts: BTreeMap::new(),
            flows: Flows::default(),
            root_ms: Sums::default(),
            roots: Roots::default(),
            ranked: None,
            measured: Measured::default(),
            priced: Priced::default(),
            minutes: Minutes::default(),
            surroundings: Arc::default(),
            surroundings_at: ArrivalTime(0),
            since: ArrivalTime(0),
            anomalies: Anomalies::default(),
            losses: Losses::default(),
            prices: PriceTable::default(),
            rules: Vec::new(),
            declared: Vec::new(),
            verdicts: BTreeMap::new(),
            now: ArrivalTime(0),
            topology_changed: false,
            cycles_at: ArrivalTime(0),
        }
    }

    /// All that it was told by shards and linker, as bytes.
    pub fn save(&self) -> Vec<u8> {
        state::bytes_of(self)
    }

    /// Goes on where an aggregate with the same bounds was saved; `None` when the bytes are not one. What people say is
    /// not among it: see [`Self::set_facts`] and [`Self::declare`].
    pub fn load(config: &Config, bytes: &[u8]) -> Option<Self> {
        state::value_of::<Self>(bytes).filter(|aggregate| aggregate.config == *config)
    }

    /// Adds what a shard has counted.
    pub fn merge(&mut self, now: ArrivalTime, delta: Delta) {
        let slot = slot_of(now);
        self.now = self.now.max(now);
        if self.since.0 == 0 {
            self.since = now;
        }
        self.losses.merge(&delta.losses);
        self.anomalies.merge(&delta.anomalies);
        self.root_ms.add(slot, delta.root_ms);
        self.pass_to(now);
        let room = (self.config.function_capacity, self.config.edge_capacity);
        self.losses.edges_overflowed += self.measured.add(slot, &delta, |node| own(&self.aliases, node), room);
        self.merge_profiles(now, delta.profiles);
        for (id, resource) in delta.resources {
            self.merge_resource(now, id, resource);
        }
        for (id, function) in delta.functions {
            self.merge_function(now, id, &function);
        }
        self.merge_flows(now, delta.flows);
        for (key, attempts) in delta.attempts {
            self.merge_attempts(now, key, attempts);
        }
        for (key, edge) in delta.edges {
            self.merge_edge(now, key, &edge);
        }
    }

    /// Adds what the linker has found.
    pub fn link(&mut self, now: ArrivalTime, output: LinkerOutput) {
        self.rename(&output.aliases);
        self.verdicts.extend(output.verdicts);
        self.merge(now, output.delta);
        for id in output.removed {
            self.loops.remove(&id);
        }
        for report in output.loops {
            self.latent.remove(&report.id);
            self.loops.insert(report.id, report);
        }
    }

    /// Does what is due at `now`: looks for cycles when the graph has changed.
    pub fn tick(&mut self, now: ArrivalTime) {
        self.pass_to(now);
        if self.topology_changed && now.since(self.cycles_at) >= CYCLE_INTERVAL {
            self.topology_changed = false;
            self.cycles_at = now;
            self.find_cycles();
        }
        self.watch_flows(now);
    }

    /// The minutes that ended since this was asked last, the oldest first; a capture has none. Who asks too rarely misses
    /// some, which [`Self::windows_dropped`] counts.
    pub fn take_closed(&mut self) -> Vec<ClosedWindow> {
        self.minutes.take()
    }

    /// Minutes that nobody took in time.
    pub fn windows_dropped(&self) -> u64 {
        self.minutes.dropped()
    }

    /// What functions and edges did in the running window, and since when: this minute, or all of a capture.
    pub fn running(&self) -> (ArrivalTime, &Measured) {
        (self.minutes.running_since(), &self.measured)
    }

    /// Everything known at `now`.
    pub fn snapshot(&mut self, now: ArrivalTime) -> Snapshot {
        self.now = self.now.max(now);
        let hotspots = self.hotspots(now);
        let functions = self.functions.values_mut().map(|series| series.node(now)).collect();
        let known = |node: NodeId| self.functions.contains_key(&node) || self.resources.contains_key(&node);
        let edges = self
            .edges
            .iter_mut()
            .filter(|(key, _)| known(key.source) && known(key.target))
            .map(|(key, series)| series.edge(*key, now))
            .collect();
        Snapshot {
            functions,
            backgrounds: self.functions.values().map(FunctionSeries::background).collect(),
            resources: self.resources.values().map(|(node, _)| node.clone()).collect(),
            edges,
            loops: self.loops(),
            hotspots,
            pricing: self.pricing(now),
            patterns: if self.config.is_capture { Arc::new(self.patterns()) } else { Arc::default() },
            surroundings: self.surroundings(now),
            anomalies: self.anomalies.list(),
            losses: self.losses,
            roots: self.roots.clone(),
        }
    }

    /// The loops of the snapshot.
    pub fn loops(&self) -> Vec<Loop> {
        let mut loops: Vec<Loop> = self.loops.values().map(|report| self.describe(report)).collect();
        loops.extend(self.latent.values().map(|(cycle, since)| self.describe(&latent_report(cycle, *since))));
        self.show_flows(&mut loops);
        loops.extend(self.retry_storms());
        loops.iter_mut().for_each(|found| self.appraise(found, self.now));
        loops.sort_by_key(|found| (std::cmp::Reverse((found.severity, found.max_depth, found.laps)), found.id));
        loops
    }

    fn pass_to(&mut self, now: ArrivalTime) {
        if self.config.is_capture {
            self.minutes.pass_over_all(now, &mut self.measured);
        } else {
            self.minutes.pass_to(now, &mut self.measured);
        }
    }

    /// Functions turned out to be others: what was counted of either is one.
    fn rename(&mut self, aliases: &[(NodeId, NodeId)]) {
        for (alias, own) in aliases {
            self.aliases.insert(*alias, *own);
            if let Some(series) = self.functions.remove(alias) {
                self.functions.entry(*own).or_insert_with(|| series.empty(*own)).absorb(&series);
                self.topology_changed = true;
            }
        }
        if aliases.is_empty() {
            return;
        }
        self.flows.rename(|node| own(&self.aliases, node));
        self.roots.rename(|node| own(&self.aliases, node));
        self.measured.rename(|node| own(&self.aliases, node));
        let moved: Vec<EdgeKey> = self.edges.keys().filter(|key| self.renamed(**key) != **key).copied().collect();
        for key in moved {
            if let Some(series) = self.edges.remove(&key) {
                self.edges.entry(self.renamed(key)).or_insert_with(EdgeSeries::new).absorb(&series);
                self.topology_changed = true;
            }
        }
    }

    fn renamed(&self, key: EdgeKey) -> EdgeKey {
        EdgeKey { source: own(&self.aliases, key.source), target: own(&self.aliases, key.target), ..key }
    }

    fn merge_resource(&mut self, now: ArrivalTime, id: NodeId, resource: ResourceNode) {
        match self.resources.get_mut(&id) {
            Some((known, last)) => {
                *last = now;
                // A trigger names a store without saying what it is; a span that says so knows better.
                if known.system.is_empty() && !resource.system.is_empty() {
                    *known = resource;
                }
            }
            None => {
                self.make_room_for_nodes();
                self.resources.insert(id, (resource, now));
                self.topology_changed = true;
            }
        }
    }

    fn merge_function(&mut self, now: ArrivalTime, met: NodeId, delta: &FunctionDelta) {
        let id = own(&self.aliases, met);
        if !self.functions.contains_key(&id) {
            self.make_room_for_nodes();
            self.topology_changed = true;
        }
        let series = || {
            let mut series = FunctionSeries::new(FunctionNode { id, ..FunctionNode::named(&delta.function) });
            series.learn_facts(&self.rules);
            series
        };
        let series = self.functions.entry(id).or_insert_with(series);
        series.add_alias(met);
        let told = series.told();
        series.merge(now, delta);
        if series.told() != told {
            series.learn_facts(&self.rules);
        }
    }

    fn merge_edge(&mut self, now: ArrivalTime, key: EdgeKey, delta: &EdgeDelta) {
        let key = if self.aliases.is_empty() { key } else { self.renamed(key) };
        if !self.edges.contains_key(&key) {
            if self.edges.len() >= self.config.edge_capacity {
                let by_age = self.edges.iter().map(|(key, series)| (series.last_call(), *key));
                let old = oldest(by_age, self.config.edge_capacity);
                self.losses.edges_overflowed += old.len() as u64;
                old.iter().for_each(|key| drop(self.edges.remove(key)));
            }
            self.topology_changed = true;
        }
        self.edges.entry(key).or_insert_with(EdgeSeries::new).merge(now, key.kind, delta);
    }

    /// Lets the nodes go that were quiet longest when there are too many, with their edges; a loop that matters keeps
    /// its own. The newest is never refused: it may be the one that loops. What was counted of functions that go is
    /// counted as that of one other.
    fn make_room_for_nodes(&mut self) {
        let capacity = self.config.function_capacity;
        if self.functions.len() + self.resources.len() < capacity {
            return;
        }
        let matters =
            |report: &&LoopReport| report.assessment > Assessment::Unremarkable && report.state != LoopState::Closed;
        let kept: BTreeSet<NodeId> =
            self.loops.values().filter(matters).flat_map(|report| report.functions.iter().copied()).collect();
        let functions = self.functions.iter().map(|(id, series)| (series.last_merge(), *id));
        let resources = self.resources.iter().map(|(id, (_, last))| (*last, *id));
        let by_age = functions.chain(resources).filter(|(_, id)| !kept.contains(id) && *id != Function::OTHER);
        let gone: BTreeSet<NodeId> = oldest(by_age, capacity).into_iter().collect();
        self.losses.functions_overflowed += gone.len() as u64;
        let other = self.functions.remove(&Function::OTHER);
        let mut other = other.unwrap_or_else(|| FunctionSeries::new(FunctionNode::named(&Function::other())));
        gone.iter().filter_map(|id| self.functions.remove(id)).for_each(|series| other.add(&series));
        if other.kept() > 0 {
            self.functions.insert(Function::OTHER, other);
        }
        self.resources.retain(|id, _| !gone.contains(id));
        self.edges.retain(|key, _| !gone.contains(&key.source) && !gone.contains(&key.target));
        self.topology_changed = true;
    }

    fn find_cycles(&mut self) {
        let mut causal: Vec<(NodeId, NodeId, u64)> = Vec::with_capacity(self.edges.len());
        for (key, series) in self.edges.iter().filter(|(key, _)| key.kind.is_causal()) {
            match causal.last_mut() {
                Some((source, target, calls)) if (*source, *target) == (key.source, key.target) => {
                    *calls += rounded(series.calls());
                }
                _ => causal.push((key.source, key.target, rounded(series.calls()))),
            }
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
        if report.level == LoopLevel::Function {
            let first = least_rotation(&names);
            functions.rotate_left(first);
            names.rotate_left(first);
        }
        let shows_depth = report.laps > 0 && !report.hides_depth;
        let seen = Sampling::of(report.next_lap_sampling_probability.map(|seen| seen as f32)).0;
        let environment = functions.first().and_then(|id| self.functions.get(id)).map(FunctionSeries::environment);
        Loop {
            id: report.id,
            level: report.level,
            operations: report.operations.clone(),
            is_covered: report.is_covered,
            path: self.path(&functions),
            functions,
            names,
            environment: environment.unwrap_or_else(|| "".into()),
            classes: report.classes.to_vec(),
            state: report.state,
            assessment: report.assessment,
            reasons: report.reasons.to_vec(),
            severity: report.severity(),
            confidence: report.confidence,
            max_depth: report.max_depth,
            depth_probability: shows_depth.then_some(report.depth_probability),
            alarm_depth: shows_depth.then_some(report.alarm_depth),
            chains: report.chains,
            open_chains: report.open_chains,
            learned_chains: report.learned_chains,
            laps: report.laps,
            reproduction: report.reproduction,
            doubling_seconds: report.doubling_seconds,
            lap_p50_ms: (report.laps > 0).then_some(report.lap_p50_ms),
            lap_p99_ms: (report.laps > 0).then_some(report.lap_p99_ms),
            laps_per_minute: report.laps_per_minute,
            first_seen: report.first_seen,
            last_seen: report.last_seen,
            exemplars: report.exemplars.clone(),
            joined: report.joined.clone(),
            sampling_probability: report.sampling_probability,
            next_lap_sampling_probability: report.next_lap_sampling_probability,
            is_judged_within_traces: shows_depth && !seen.shows_depth(),
            // What people need to judge it is added to all loops alike.
            ..Loop::default()
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
                self.edges.get(&delivery).map(|delivered| (rounded(series.calls().min(delivered.calls())), key.target))
            })
            .max()
            .map(|(_, resource)| resource)
    }
}

state!(Aggregate {
    config, functions, resources, edges, aliases, loops, latent, root_ms, anomalies, losses, now, topology_changed, cycles_at, attempts, flows, measured, minutes, since, roots
} else { priced, ranked, surroundings, surroundings_at, prices, rules, declared, verdicts });

/// The tenth of a full map that was quiet longest.
fn oldest<K: Ord>(by_age: impl Iterator<Item = (ArrivalTime, K)>, capacity: usize) -> Vec<K> {
    let mut by_age: Vec<(ArrivalTime, K)> = by_age.collect();
    by_age.sort_unstable();
    by_age.truncate(capacity / 10 + 1);
    by_age.into_iter().map(|(_, key)| key).collect()
}

/// The node that another turned out to be; itself where it is its own.
fn own(aliases: &BTreeMap<NodeId, NodeId>, node: NodeId) -> NodeId {
    aliases.get(&node).copied().unwrap_or(node)
}

fn latent_report(cycle: &Cycle, since: EventTime) -> LoopReport {
    LoopReport {
        id: cycle.id,
        functions: cycle.functions.clone(),
        classes: [LoopClass::Latent].into_iter().collect(),
        state: LoopState::Latent,
        confidence: 1.0,
        first_seen: since,
        last_seen: since,
        ..LoopReport::default()
    }
}
