//! R of a cycle from the counts of its functions.

use rustc_hash::FxHashMap;

use super::{
    series::{self, AllSeries, FlowSeries},
    watched::FlowCycle,
};
use crate::{
    detect::{flow::Offspring, reproduction::reproduction},
    record::FlowKey,
    snapshot::{Flow, FlowHop, NodeId, ResourceKind},
    span::ArrivalTime,
};

/// Functions by place of one component; in larger ones R is that of the ways of each cycle alone.
const STATES: usize = 64;
/// R is not told beyond this.
const MOST_R: f64 = 1_000.0;

/// The part of what is sent to a place that each function gets, in the last minutes.
pub(super) struct Places {
    shares: FxHashMap<FlowKey, f64>,
}

/// What goes through one place.
#[derive(Default)]
struct Through {
    sent: f64,
    delivered: f64,
}

impl Places {
    /// Shares of all functions.
    pub(super) fn of(all: &AllSeries, now: ArrivalTime, kind: impl Fn(NodeId) -> Option<ResourceKind>) -> Self {
        let mut through: FxHashMap<NodeId, Through> = FxHashMap::default();
        for (key, series) in all {
            through.entry(key.via).or_default().delivered += series.recent.messages(now);
            for (over, sent) in series.recent.sent(now) {
                through.entry(over).or_default().sent += sent;
            }
        }
        let share = |key: &FlowKey, series: &FlowSeries| {
            let all = through.get(&key.via).map_or(0.0, |all| match kind(key.via) {
                None | Some(ResourceKind::Queue) => all.delivered,
                // Whoever subscribes gets all of it, unless it is filtered.
                _ => all.sent,
            });
            let part = (series.recent.messages(now) / all.max(f64::MIN_POSITIVE)).min(1.0);
            if key.via == key.function { 1.0 } else { part }
        };
        Self { shares: all.iter().map(|(key, series)| (*key, share(key, series))).collect() }
    }

    /// The part of what is sent to a place that a function gets.
    fn share(&self, key: &FlowKey) -> f64 {
        self.shares.get(key).copied().unwrap_or(0.0)
    }
}

/// R of all cycles at one moment. What those that share functions have in common is taken once.
pub(super) struct Strengths<'a> {
    now: ArrivalTime,
    all: &'a AllSeries,
    places: Places,
    /// By the first function; no two have a function in common.
    components: FxHashMap<NodeId, Component>,
}

/// Functions of cycles that share some, by what delivers to them.
struct Component {
    states: Vec<FlowKey>,
    /// `None` where there are too many.
    offspring: Option<Offspring>,
    is_branching: bool,
    /// By state, as far as it was asked for.
    strengths: FxHashMap<usize, f64>,
}

impl<'a> Strengths<'a> {
    /// Nothing of it is taken yet.
    pub(super) fn new(now: ArrivalTime, all: &'a AllSeries, places: Places) -> Self {
        Self { now, all, places, components: FxHashMap::default() }
    }

    /// What is counted.
    pub(super) fn all(&self) -> &'a AllSeries {
        self.all
    }

    /// R of a cycle and what it is made of; `None` while there is too little of it.
    ///
    /// Where its functions are entangled with too many others, or these keep themselves alive without it, R is that of
    /// its own ways alone.
    pub(super) fn flow(&mut self, cycle: &FlowCycle) -> Option<Flow> {
        let (now, all) = (self.now, self.all);
        let anchor = anchor(now, cycle, all)?;
        let (strength, is_branching) = self.strength(cycle, anchor)?;
        let hops = hops(cycle, all, &self.places);
        let r = strength.unwrap_or_else(|| own_strength(cycle, &hops, all)).min(MOST_R);
        let series = all.get(&anchor)?;
        let (kept, minutes) = (series.recent.kept(now), series.minutes(now));
        Some(Flow {
            reproduction: reproduction(r * kept, kept, r > 1.0 || is_branching)?,
            laps_per_minute: series.recent.invocations(now) / minutes,
            immigrants_per_minute: immigrants(now, cycle, all, &self.places) / minutes,
            hops,
        })
    }

    /// R over all ways, `None` where nobody can tell, and whether any invocation sends more than it handles.
    fn strength(&mut self, cycle: &FlowCycle, anchor: FlowKey) -> Option<(Option<f64>, bool)> {
        let (all, places) = (self.all, &self.places);
        let component = self
            .components
            .entry(*cycle.component.first()?)
            .or_insert_with(|| Component::of(&cycle.component, all, places));
        let strength = component.offspring.as_ref().and_then(|offspring| {
            let at = component.states.binary_search(&anchor).ok()?;
            Some(*component.strengths.entry(at).or_insert_with(|| offspring.loop_strength(at)))
        });
        Some((strength.filter(|strength| strength.is_finite()), component.is_branching))
    }
}

impl Component {
    fn of(functions: &[NodeId], all: &AllSeries, places: &Places) -> Self {
        let found = || functions.iter().flat_map(|function| series::of(all, *function));
        let is_branching = found().any(|(_, series)| series.total.outlets.iter().any(|outlet| outlet.more > 0));
        // In the order of their keys, because the functions are in theirs.
        let states: Vec<(&FlowKey, &FlowSeries)> = found().take(STATES + 1).collect();
        let offspring = (states.len() <= STATES).then(|| offspring(&states, places));
        let states = states.into_iter().map(|(key, _)| *key).collect();
        Self { states, offspring, is_branching, strengths: FxHashMap::default() }
    }
}

fn offspring(states: &[(&FlowKey, &FlowSeries)], places: &Places) -> Offspring {
    let mut offspring = Offspring::new(states.len());
    for (from, (_, series)) in states.iter().enumerate() {
        for (to, (key, delivered)) in states.iter().enumerate() {
            let sent = series.recent.sent_each(key.via);
            if sent > 0.0 {
                offspring.add(from, to, sent * places.share(key) / delivered.recent.batch());
            }
        }
    }
    offspring
}

/// R of the ways of a cycle alone.
fn own_strength(cycle: &FlowCycle, hops: &[FlowHop], all: &AllSeries) -> f64 {
    let batch = |key| all.get(&key).map_or(1.0, |series| series.recent.batch());
    hops.iter().map(|hop| hop.sent * hop.share).product::<f64>() / cycle.keys().map(batch).product::<f64>()
}

/// The function of a cycle that runs the least: what else runs besides the laps dilutes it least.
fn anchor(now: ArrivalTime, cycle: &FlowCycle, all: &AllSeries) -> Option<FlowKey> {
    let runs = cycle.keys().filter_map(|key| Some((all.get(&key)?.recent.invocations(now), key)));
    runs.min_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, key)| key)
}

/// Invocations of the last minutes that nothing in the cycle explains.
fn immigrants(now: ArrivalTime, cycle: &FlowCycle, all: &AllSeries, places: &Places) -> f64 {
    let own = || cycle.functions.iter().flat_map(|function| series::of(all, *function));
    let mut sent: FxHashMap<NodeId, f64> = FxHashMap::default();
    for (over, count) in own().flat_map(|(_, series)| series.recent.sent(now)) {
        *sent.entry(over).or_default() += count;
    }
    own()
        .map(|(key, series)| {
            let sent = sent.get(&key.via).copied().unwrap_or(0.0);
            (series.recent.invocations(now) - sent * places.share(key) / series.recent.batch()).max(0.0)
        })
        .sum()
}

fn hops(cycle: &FlowCycle, all: &AllSeries, places: &Places) -> Vec<FlowHop> {
    let next = cycle.keys().cycle().skip(1);
    let hop = |(from, to): (FlowKey, FlowKey)| FlowHop {
        function: from.function,
        over: to.via,
        sent: all.get(&from).map_or(0.0, |series| series.recent.sent_each(to.via)),
        share: places.share(&to),
    };
    cycle.keys().zip(next).map(hop).collect()
}
