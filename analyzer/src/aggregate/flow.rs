//! Invocations of unknown cause of all shards, and the loops that their counts show.
//!
//! Counts are kept by function and by the place that delivers to it, all of them and those of the last minutes. Cycles
//! among them are watched one by one; what their counts say is `detect/flow.rs`'s.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::{
    aggregate::{Aggregate, latent_report},
    detect::{
        cycle::{self, Cycle},
        flow::{Flood, Going, Offspring},
        reentry,
        reproduction::reproduction,
    },
    record::{FlowCounts, FlowKey},
    sampling::part_kept,
    snapshot::{Assessment, Flow, FlowHop, Loop, LoopClass, LoopId, LoopState, NodeId, Reason, ResourceKind, Severity},
    span::ArrivalTime,
    state::state,
};

/// After this time a count weighs a third in what is said of the last minutes.
const WINDOW: Duration = Duration::from_secs(120);
/// Functions by the place that delivers to them; beyond, the tenth that was quiet longest goes.
const SERIES: usize = 20_000;
/// Cycles that are watched; there are rarely more than a few, because most causes are known better.
const CYCLES: usize = 1_000;
/// Functions by place of one component; of larger ones R is not taken.
const STATES: usize = 64;
/// Cycles are watched at most this often.
const INTERVAL: Duration = Duration::from_secs(1);

/// All counts, and the cycles among them.
#[derive(Default)]
pub(super) struct Flows {
    series: BTreeMap<FlowKey, FlowSeries>,
    cycles: BTreeMap<LoopId, FlowCycle>,
    /// True when there are new ways since cycles were looked for.
    is_changed: bool,
    watched_at: ArrivalTime,
}

/// Counts of one function and one place over time.
struct FlowSeries {
    total: FlowCounts,
    recent: Recent,
    first: ArrivalTime,
}

/// Counts that fade.
struct Recent {
    at: ArrivalTime,
    invocations: f64,
    messages: f64,
    sent: SmallVec<[(NodeId, f64); 1]>,
}

/// One cycle that is watched.
pub(super) struct FlowCycle {
    /// In canonical rotation.
    pub(super) functions: Vec<NodeId>,
    /// What carries from each function to the next.
    places: Vec<NodeId>,
    /// Functions of all cycles that share some with this one.
    component: Vec<NodeId>,
    /// By hop, what was counted before.
    seen: Vec<Seen>,
    going: Going,
    flood: Flood,
    /// What was found lasts until then.
    pub(super) open_until: ArrivalTime,
    /// True when nothing between its functions may hold back what is sent, as a filter does.
    pub(super) is_sure: bool,
    pub(super) flow: Option<Flow>,
    /// When an invocation of it came last.
    last: ArrivalTime,
    /// True when most of its invocations are its own, as far as that was known last.
    is_own: bool,
}

/// Invocations of one function of a cycle by what came of them.
#[derive(Clone, Copy, Default)]
struct Seen {
    all: u64,
    once: u64,
    ends: u64,
}

/// What is new of a cycle: laps that began and laps that went on, as the mean over its functions, and invocations that
/// ended.
struct News {
    all: f64,
    went_on: f64,
    ended: f64,
}

/// What goes through one place in the last minutes.
#[derive(Default)]
struct Through {
    sent: f64,
    delivered: f64,
}

impl Aggregate {
    /// Adds what a shard has counted.
    pub(super) fn merge_flows(&mut self, now: ArrivalTime, flows: FxHashMap<FlowKey, FlowCounts>) {
        for (key, counts) in flows {
            let own = |node: NodeId| self.aliases.get(&node).copied().unwrap_or(node);
            let (key, counts) = (FlowKey { function: own(key.function), via: own(key.via) }, counts.renamed(own));
            self.losses.edges_overflowed += self.flows.merge(now, key, &counts);
        }
    }

    /// Looks at the cycles among the counts.
    pub(super) fn watch_flows(&mut self, now: ArrivalTime) {
        let hold = if self.config.is_capture { Duration::MAX } else { reentry::loop_quiet(0.0) };
        let resources = &self.resources;
        self.flows.tick(now, hold, |node| resources.get(&node).map(|(resource, _)| resource.kind));
    }

    /// Adds what counts tell to the loops that are known otherwise, and loops that nothing else tells of.
    pub(super) fn show_flows(&self, loops: &mut Vec<Loop>) {
        for (id, cycle) in self.flows.cycles() {
            if cycle.is_own {
                explain_entities(loops, &cycle.functions);
            }
            let Some(flow) = &cycle.flow else { continue };
            let is_open = self.now < cycle.open_until;
            let place = loops.iter().position(|found| found.id == id).or_else(|| {
                let since = self.last_seen(&cycle.functions);
                let latent = Cycle { id, functions: cycle.functions.clone() };
                is_open.then(|| loops.push(self.describe(&latent_report(&latent, since))))?;
                loops.len().checked_sub(1)
            });
            let Some(found) = place.and_then(|place| loops.get_mut(place)) else { continue };
            found.flow = Some(flow.clone());
            if is_open {
                cycle.alarm(self.now, found, flow);
                found.last_seen = found.last_seen.max(self.last_seen(&cycle.functions));
            }
        }
    }
}

/// Above this R the invocations of a cycle are mostly its own.
const ITSELF: f64 = 0.8;

/// How sure a loop is that only counts tell: nobody knows which invocation caused which.
const CONFIDENCE: f64 = 0.8;
/// The same where a filter may stand between its functions.
const FILTERED: f64 = 0.5;

/// A function that sends on what it handles handles it again: that is the loop, and no work without progress.
fn explain_entities(loops: &mut [Loop], functions: &[NodeId]) {
    let is_same = |found: &&mut Loop| {
        found.classes == [LoopClass::NoProgress] && found.functions.iter().all(|own| functions.contains(own))
    };
    for found in loops.iter_mut().filter(is_same) {
        (found.assessment, found.severity) = (Assessment::Unremarkable, Severity::Info);
        found.reasons.clear();
    }
}

impl Flows {
    /// Adds counts of one shard; how many series were let go to make room.
    pub(super) fn merge(&mut self, now: ArrivalTime, key: FlowKey, delta: &FlowCounts) -> u64 {
        let mut evicted = 0;
        if !self.series.contains_key(&key) {
            evicted = self.make_room();
            self.is_changed = true;
        }
        let series = self.series.entry(key).or_insert_with(|| FlowSeries::new(now));
        let outlets = series.total.outlets.len();
        series.add(now, delta);
        self.is_changed |= series.total.outlets.len() > outlets;
        evicted
    }

    /// Nodes turned out to be others.
    pub(super) fn rename(&mut self, own: impl Fn(NodeId) -> NodeId) {
        for (key, mut series) in std::mem::take(&mut self.series) {
            series.rename(&own);
            let key = FlowKey { function: own(key.function), via: own(key.via) };
            match self.series.get_mut(&key) {
                Some(known) => known.absorb(series),
                None => drop(self.series.insert(key, series)),
            }
        }
        self.is_changed = true;
    }

    /// Does what is due: looks for cycles when there are new ways, and at what those that are known do.
    pub(super) fn tick(&mut self, now: ArrivalTime, hold: Duration, kind: impl Fn(NodeId) -> Option<ResourceKind>) {
        if now.since(self.watched_at) < INTERVAL {
            return;
        }
        self.watched_at = now;
        if std::mem::take(&mut self.is_changed) {
            self.find_cycles(&kind);
        }
        if self.cycles.is_empty() {
            return;
        }
        let through = self.through(now);
        let mut cycles = std::mem::take(&mut self.cycles);
        for cycle in cycles.values_mut() {
            self.watch(now, hold, cycle, &through, &kind);
        }
        self.cycles = cycles;
    }

    /// The cycles that are watched.
    pub(super) fn cycles(&self) -> impl Iterator<Item = (LoopId, &FlowCycle)> {
        self.cycles.iter().map(|(id, cycle)| (*id, cycle))
    }

    /// Lets the tenth of the series go that was quiet longest when there are too many; how many went.
    fn make_room(&mut self) -> u64 {
        if self.series.len() < SERIES {
            return 0;
        }
        let gone = super::oldest(self.series.iter().map(|(key, series)| (series.recent.at, *key)), SERIES);
        gone.iter().for_each(|key| drop(self.series.remove(key)));
        gone.len() as u64
    }

    /// The ways that lead on, with what went over them: from functions to places, and from places to functions.
    fn ways(&self) -> Vec<(NodeId, NodeId, u64)> {
        let mut ways: BTreeMap<(NodeId, NodeId), u64> = BTreeMap::new();
        for (key, series) in &self.series {
            if key.via != key.function {
                *ways.entry((key.via, key.function)).or_default() += series.total.invocations;
            }
            for outlet in &series.total.outlets {
                *ways.entry((key.function, outlet.over)).or_default() += outlet.sent;
            }
        }
        ways.into_iter().map(|((source, target), calls)| (source, target, calls)).collect()
    }

    fn find_cycles(&mut self, kind: &impl Fn(NodeId) -> Option<ResourceKind>) {
        let functions: BTreeSet<NodeId> = self.series.keys().map(|key| key.function).collect();
        let mut found = cycle::cycles(&self.ways(), |node| functions.contains(&node));
        found.truncate(CYCLES);
        let components = components(&found);
        let mut before = std::mem::take(&mut self.cycles);
        for (Cycle { id, functions }, component) in found.into_iter().zip(components) {
            let Some(places) = self.places(&functions) else { continue };
            let seen = vec![Seen::default(); functions.len()];
            let mut cycle = before.remove(&id).unwrap_or_else(|| FlowCycle::new(functions));
            if cycle.places != places {
                (cycle.seen, cycle.places) = (seen, places);
            }
            cycle.component = component;
            let is_plain = |(over, next): (&NodeId, NodeId)| *over == next || kind(*over) == Some(ResourceKind::Queue);
            let is_sure = cycle.places.iter().zip(cycle.next()).all(is_plain);
            cycle.is_sure = is_sure;
            self.cycles.insert(id, cycle);
        }
    }

    /// What carries most from each function to the next; `None` where nothing does.
    fn places(&self, functions: &[NodeId]) -> Option<Vec<NodeId>> {
        let carrier = |at: usize| {
            let (function, next) = (functions[at], functions[(at + 1) % functions.len()]);
            let outlets = self.of(function).flat_map(|(_, series)| &series.total.outlets);
            outlets
                .filter_map(|outlet| {
                    let delivered = self.series.get(&FlowKey { function: next, via: outlet.over })?.total.invocations;
                    Some((outlet.sent.min(delivered), outlet.over))
                })
                .max()
                .map(|(_, over)| over)
        };
        (0..functions.len()).map(carrier).collect()
    }

    /// The series of a function.
    fn of(&self, function: NodeId) -> impl Iterator<Item = (&FlowKey, &FlowSeries)> {
        let range = FlowKey { function, via: NodeId(0) }..=FlowKey { function, via: NodeId(u64::MAX) };
        self.series.range(range)
    }

    fn through(&self, now: ArrivalTime) -> FxHashMap<NodeId, Through> {
        let mut through: FxHashMap<NodeId, Through> = FxHashMap::default();
        for (key, series) in &self.series {
            let left = series.recent.left(now);
            through.entry(key.via).or_default().delivered += series.recent.messages * left;
            for (over, sent) in &series.recent.sent {
                through.entry(*over).or_default().sent += sent * left;
            }
        }
        through
    }

    fn watch(
        &self,
        now: ArrivalTime,
        hold: Duration,
        cycle: &mut FlowCycle,
        through: &FxHashMap<NodeId, Through>,
        kind: &impl Fn(NodeId) -> Option<ResourceKind>,
    ) {
        let News { all, went_on, ended } = self.count(cycle);
        if all > 0.0 {
            cycle.last = now;
        }
        let share = |function: NodeId, over: NodeId| {
            let messages = self
                .series
                .get(&FlowKey { function, via: over })
                .map_or(0.0, |s| s.recent.messages * s.recent.left(now));
            let all = through.get(&over).map_or(0.0, |all| match kind(over) {
                None | Some(ResourceKind::Queue) => all.delivered,
                // Whoever subscribes gets all of it, unless it is filtered.
                _ => all.sent,
            });
            if over == function { 1.0 } else { (messages / all.max(f64::MIN_POSITIVE)).min(1.0) }
        };
        cycle.flow = self.flow(now, cycle, &share);
        if let Some(flow) = &cycle.flow {
            cycle.is_own = flow.reproduction.mean > ITSELF;
        }
        let goes_on = cycle.going.step(went_on, ended) && went_on > 0.0;
        let floods = cycle.flood.step(all, ended, cycle.flow.as_ref().map(|flow| flow.reproduction));
        if goes_on || floods {
            cycle.open_until = now.after(hold);
        }
    }

    /// What was counted since this was asked last.
    fn count(&self, cycle: &mut FlowCycle) -> News {
        let (mut all, mut went_on, mut ended) = (0, 0, 0);
        for at in 0..cycle.functions.len() {
            let Some(series) = self.series.get(&cycle.key(at)) else { continue };
            let outlet = series.total.outlet(cycle.places[at]);
            let (once, more) = outlet.map_or((0, 0), |outlet| (outlet.once, outlet.more));
            let ends = series.total.invocations.saturating_sub(once + more);
            let now = Seen { all: series.total.invocations, once, ends };
            let seen = std::mem::replace(&mut cycle.seen[at], now);
            all += now.all.saturating_sub(seen.all);
            went_on += once.saturating_sub(seen.once);
            ended += ends.saturating_sub(seen.ends);
        }
        let hops = cycle.functions.len() as f64;
        News { all: all as f64 / hops, went_on: went_on as f64 / hops, ended: ended as f64 }
    }

    /// R of the cycle and what it is made of; `None` while there is too little of it.
    fn flow(&self, now: ArrivalTime, cycle: &FlowCycle, share: &impl Fn(NodeId, NodeId) -> f64) -> Option<Flow> {
        let states: Vec<(&FlowKey, &FlowSeries)> =
            cycle.component.iter().flat_map(|function| self.of(*function)).take(STATES + 1).collect();
        if states.len() > STATES {
            return None;
        }
        let mut offspring = Offspring::new(states.len());
        for (from, (_, series)) in states.iter().enumerate() {
            for (to, (key, delivered)) in states.iter().enumerate() {
                let batch = delivered.recent.messages / delivered.recent.invocations.max(f64::MIN_POSITIVE);
                let sent = series.recent.sent(key.via) / series.recent.invocations.max(f64::MIN_POSITIVE);
                if sent > 0.0 && batch > 0.0 {
                    offspring.add(from, to, sent * share(key.function, key.via) / batch);
                }
            }
        }
        let anchor = cycle.anchor_key(self)?;
        let at = states.iter().position(|(key, _)| **key == anchor)?;
        let recent = &states[at].1.recent;
        let invocations = recent.invocations * recent.left(now);
        let r = offspring.loop_strength(at).min(MOST_R);
        let is_branching =
            r > 1.0 || states.iter().any(|(_, series)| series.total.outlets.iter().any(|outlet| outlet.more > 0));
        let minutes = states[at].1.minutes(now) / states[at].1.adjusted_count();
        Some(Flow {
            reproduction: reproduction(r * invocations, invocations, is_branching)?,
            laps_per_minute: invocations / minutes,
            immigrants_per_minute: self.immigrants(now, cycle, share) / minutes,
            hops: cycle.hops(self, share),
        })
    }

    /// Invocations of the last minutes that nothing in the cycle explains.
    fn immigrants(&self, now: ArrivalTime, cycle: &FlowCycle, share: &impl Fn(NodeId, NodeId) -> f64) -> f64 {
        let sent = |over: NodeId| -> f64 {
            let own = cycle.functions.iter().flat_map(|function| self.of(*function));
            own.map(|(_, series)| series.recent.sent(over) * series.recent.left(now)).sum()
        };
        let all = cycle.functions.iter().flat_map(|function| self.of(*function));
        all.map(|(key, series)| {
            let batch = series.recent.messages / series.recent.invocations.max(f64::MIN_POSITIVE);
            let explained = sent(key.via) * share(key.function, key.via) / batch.max(1.0);
            (series.recent.invocations * series.recent.left(now) - explained).max(0.0)
        })
        .sum()
    }
}

/// R is not told beyond this.
const MOST_R: f64 = 1_000.0;

impl FlowCycle {
    fn new(functions: Vec<NodeId>) -> Self {
        Self {
            functions,
            places: Vec::new(),
            component: Vec::new(),
            seen: Vec::new(),
            going: Going::default(),
            flood: Flood::default(),
            open_until: ArrivalTime(0),
            is_sure: false,
            flow: None,
            last: ArrivalTime(0),
            is_own: false,
        }
    }

    /// The loop is an alarm, or a suspicion where a filter may hold back what is sent.
    fn alarm(&self, now: ArrivalTime, found: &mut Loop, flow: &Flow) {
        let is_known = found.laps > 0;
        let state = reentry::state(now, self.last, 0.0, Some(flow.reproduction));
        let multiplies = state == LoopState::Growing;
        if !self.is_sure {
            found.assessment = found.assessment.max(Assessment::Suspect);
        } else {
            found.assessment = Assessment::Alarm;
            found.severity = found.severity.max(if multiplies { Severity::Critical } else { Severity::Warning });
            found.reasons.push(Reason::Flow);
        }
        // Counts cannot tell that it has ended from what its chains tell, and know better than those how it goes on.
        found.state = if state == LoopState::Unknown { LoopState::Persistent } else { state };
        if !is_known {
            found.classes = Vec::new();
            found.confidence = if self.is_sure { CONFIDENCE } else { FILTERED };
        }
        if self.functions.len() == 1 && !found.classes.contains(&LoopClass::Itself) {
            found.classes.push(LoopClass::Itself);
        }
        if multiplies && !found.classes.contains(&LoopClass::FanOut) {
            found.classes.push(LoopClass::FanOut);
        }
        found.classes.sort_unstable();
        found.laps_per_minute = found.laps_per_minute.max(flow.laps_per_minute);
    }

    fn next(&self) -> impl Iterator<Item = NodeId> {
        self.functions.iter().cycle().skip(1).copied()
    }

    /// The function at a place of the cycle, by what delivers to it.
    fn key(&self, at: usize) -> FlowKey {
        let before = (at + self.places.len() - 1) % self.places.len();
        FlowKey { function: self.functions[at], via: self.places[before] }
    }

    /// The function that runs the least: what else runs besides the laps dilutes it least.
    fn anchor_key(&self, flows: &Flows) -> Option<FlowKey> {
        let keys = (0..self.places.len()).map(|at| self.key(at));
        keys.filter_map(|key| Some((flows.series.get(&key)?, key)))
            .min_by(|one, other| one.0.recent.invocations.total_cmp(&other.0.recent.invocations))
            .map(|(_, key)| key)
    }

    fn hops(&self, flows: &Flows, share: &impl Fn(NodeId, NodeId) -> f64) -> Vec<FlowHop> {
        let hop = |(at, next)| {
            let (function, over) = (self.functions[at], self.places[at]);
            let recent = flows.series.get(&self.key(at)).map(|series| &series.recent);
            let sent = recent.map_or(0.0, |recent| recent.sent(over) / recent.invocations.max(f64::MIN_POSITIVE));
            FlowHop { function, over, sent, share: share(next, over) }
        };
        (0..self.functions.len()).zip(self.next()).map(hop).collect()
    }
}

impl FlowSeries {
    fn new(now: ArrivalTime) -> Self {
        let recent = Recent { at: now, invocations: 0.0, messages: 0.0, sent: SmallVec::new() };
        Self { total: FlowCounts::default(), recent, first: now }
    }

    fn add(&mut self, now: ArrivalTime, delta: &FlowCounts) {
        self.total.merge(delta);
        let counted = delta.outlets.iter().filter(|outlet| self.total.outlet(outlet.over).is_some());
        let sent = counted.map(|outlet| (outlet.over, outlet.sent as f64));
        self.recent.add(now, delta.invocations as f64, delta.messages as f64, sent);
    }

    fn absorb(&mut self, other: Self) {
        self.total.merge(&other.total);
        let Recent { at, invocations, messages, sent } = other.recent;
        self.recent.fade(at);
        let left = Recent { at, invocations, messages, sent: sent.clone() }.left(self.recent.at);
        let sent = sent.into_iter().map(|(over, sent)| (over, sent * left));
        self.recent.add(self.recent.at, invocations * left, messages * left, sent);
        self.first = self.first.min(other.first);
    }

    fn rename(&mut self, own: impl Fn(NodeId) -> NodeId) {
        self.total = self.total.renamed(&own);
        let sent: Vec<_> = self.recent.sent.drain(..).map(|(over, sent)| (own(over), sent)).collect();
        self.recent.add(self.recent.at, 0.0, 0.0, sent.into_iter());
    }

    /// For how many invocations one that was kept stands.
    fn adjusted_count(&self) -> f64 {
        part_kept(self.total.invocations as f64, self.total.adjusted).map_or(1.0, f64::recip)
    }

    /// The time that the counts of the last minutes stand for, minutes.
    fn minutes(&self, now: ArrivalTime) -> f64 {
        let window = WINDOW.as_secs_f64();
        let age = now.since(self.first).as_secs_f64().max(1.0);
        window * (1.0 - (-age / window).exp()) / 60.0
    }
}

impl Recent {
    fn add(&mut self, now: ArrivalTime, invocations: f64, messages: f64, sent: impl Iterator<Item = (NodeId, f64)>) {
        self.fade(now);
        self.invocations += invocations;
        self.messages += messages;
        for (over, sent) in sent {
            match self.sent.iter_mut().find(|(known, _)| *known == over) {
                Some((_, known)) => *known += sent,
                None => self.sent.push((over, sent)),
            }
        }
    }

    fn fade(&mut self, now: ArrivalTime) {
        let left = self.left(now);
        self.invocations *= left;
        self.messages *= left;
        self.sent.iter_mut().for_each(|(_, sent)| *sent *= left);
        self.at = self.at.max(now);
    }

    /// What is left of it by now.
    fn left(&self, now: ArrivalTime) -> f64 {
        (-now.since(self.at).as_secs_f64() / WINDOW.as_secs_f64()).exp()
    }

    fn sent(&self, over: NodeId) -> f64 {
        self.sent.iter().find(|(known, _)| *known == over).map_or(0.0, |(_, sent)| *sent)
    }
}

/// For each cycle the functions of all that share some with it, over any number of others.
fn components(cycles: &[Cycle]) -> Vec<Vec<NodeId>> {
    let mut groups: Vec<BTreeSet<NodeId>> = Vec::new();
    for cycle in cycles {
        let mut group: BTreeSet<NodeId> = cycle.functions.iter().copied().collect();
        groups.retain(|known| {
            let is_apart = known.is_disjoint(&group);
            if !is_apart {
                group.extend(known);
            }
            is_apart
        });
        groups.push(group);
    }
    let group =
        |cycle: &Cycle| groups.iter().find(|group| cycle.functions.first().is_some_and(|one| group.contains(one)));
    cycles.iter().map(|cycle| group(cycle).into_iter().flatten().copied().collect()).collect()
}

state!(Flows { series, cycles, is_changed, watched_at });
state!(FlowSeries { total, recent, first });
state!(Seen { all, once, ends });
state!(Recent { at, invocations, messages, sent });
state!(FlowCycle { functions, places, component, seen, going, flood, open_until, is_sure, last, is_own } else { flow });
