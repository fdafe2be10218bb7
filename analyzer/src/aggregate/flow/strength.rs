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

/// Functions by place of one component; of larger ones R is not taken.
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

/// R of a cycle and what it is made of; `None` while there is too little of it, or where it is too entangled.
pub(super) fn flow(now: ArrivalTime, cycle: &FlowCycle, all: &AllSeries, places: &Places) -> Option<Flow> {
    let states: Vec<(&FlowKey, &FlowSeries)> =
        cycle.component.iter().flat_map(|function| series::of(all, *function)).take(STATES + 1).collect();
    if states.len() > STATES {
        return None;
    }
    let mut offspring = Offspring::new(states.len());
    for (from, (_, series)) in states.iter().enumerate() {
        for (to, (key, delivered)) in states.iter().enumerate() {
            let sent = series.recent.sent_each(key.via);
            if sent > 0.0 {
                offspring.add(from, to, sent * places.share(key) / delivered.recent.batch());
            }
        }
    }
    let anchor = anchor(now, cycle, all)?;
    let at = states.iter().position(|(key, _)| **key == anchor)?;
    let (_, series) = states[at];
    let invocations = series.recent.invocations(now);
    let r = offspring.loop_strength(at).min(MOST_R);
    let branches = |(_, series): &(&FlowKey, &FlowSeries)| series.total.outlets.iter().any(|outlet| outlet.more > 0);
    let a_minute = series.adjusted_count() / series.minutes(now);
    Some(Flow {
        reproduction: reproduction(r * invocations, invocations, r > 1.0 || states.iter().any(branches))?,
        laps_per_minute: invocations * a_minute,
        immigrants_per_minute: immigrants(now, cycle, all, places) * a_minute,
        hops: hops(cycle, all, places),
    })
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
