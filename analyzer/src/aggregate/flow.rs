//! Invocations of unknown cause of all shards, and the loops that their counts show.
//!
//! Counts are kept by function and by the place that delivers to it, all of them and those of the last minutes. Cycles
//! among them are watched one by one (`aggregate/flow/watched.rs`), with the R that the counts give
//! (`aggregate/flow/strength.rs`); what that says is `detect/flow.rs`'s.

mod series;
mod strength;
mod watched;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rustc_hash::FxHashMap;

use super::{Aggregate, latent_report, own};
use crate::{
    canonical::canonical,
    detect::{
        cycle::{self, Cycle},
        reentry,
    },
    intended::Verdict,
    record::{FlowCounts, FlowKey},
    sampling::rounded,
    snapshot::{Assessment, Loop, LoopClass, LoopId, LoopState, NodeId, ResourceKind, Severity},
    span::ArrivalTime,
    state::state,
};
use series::{AllSeries, FlowSeries};
use strength::{Places, Strengths};
use watched::{FlowCycle, components};

/// Functions by the place that delivers to them; beyond, the tenth that was quiet longest goes.
const SERIES: usize = 20_000;
/// Cycles that are watched, so that a tick stays short: those that most goes round. There are rarely more than a few,
/// because most causes are known better.
const CYCLES: usize = 256;
/// What carries from function to function is looked at for each cycle once in so many times, because there may be many
/// ways, and they hardly change.
const TURNS: u64 = 8;
/// Another place carries from a function to the next when it carries so many times as much.
const CARRIES_MORE: f64 = 2.0;
/// Cycles are watched at most this often.
const INTERVAL: Duration = Duration::from_secs(1);
/// Laps from which on the chains of a loop are taken to tell of it, ...
const FOLLOWED_LAPS: u64 = 20;
/// ... when they are more certain than what time or a name joins can be.
const FOLLOWED: f64 = 0.97;

/// All counts, and the cycles among them.
#[derive(Default)]
pub(super) struct Flows {
    series: BTreeMap<FlowKey, FlowSeries>,
    cycles: BTreeMap<LoopId, FlowCycle>,
    /// True when there are new ways since cycles were looked for.
    is_changed: bool,
    watched_at: ArrivalTime,
}

impl Aggregate {
    /// Adds what a shard has counted.
    pub(super) fn merge_flows(&mut self, now: ArrivalTime, flows: FxHashMap<FlowKey, FlowCounts>) {
        for (key, counts) in flows {
            let own = |node| own(&self.aliases, node);
            let (key, counts) = (FlowKey { function: own(key.function), via: own(key.via) }, counts.renamed(own));
            self.losses.edges_overflowed += self.flows.merge(now, key, &counts);
        }
    }

    /// Looks at the cycles among the counts.
    pub(super) fn watch_flows(&mut self, now: ArrivalTime) {
        let is_due = self.config.is_capture || now.since(self.flows.watched_at) >= INTERVAL;
        if is_due {
            let (resources, verdicts) = (&self.resources, &self.verdicts);
            let kind = |node| resources.get(&node).map(|(resource, _)| resource.kind);
            let is_expected = |id| matches!(verdicts.get(&id), Some(Verdict::Expected { .. }));
            self.losses.loops_overflowed += self.flows.watch(now, self.config.is_capture, kind, is_expected);
        }
    }

    /// Adds what counts tell to the loops that are known otherwise, and loops that nothing else tells of.
    pub(super) fn show_flows(&self, loops: &mut Vec<Loop>) {
        for (id, cycle) in &self.flows.cycles {
            let is_open = self.now < cycle.open_until;
            if cycle.is_own {
                explain_entities(loops, &cycle.functions);
            }
            let was_open = !is_open && cycle.is_told(self.now);
            let place = loops.iter().position(|found| found.id == *id).or_else(|| {
                let since = self.last_seen(&cycle.functions);
                let latent = Cycle { id: *id, functions: cycle.functions.clone() };
                (is_open || was_open).then(|| loops.push(self.describe(&latent_report(&latent, since))))?;
                loops.len().checked_sub(1)
            });
            let Some(found) = place.and_then(|place| loops.get_mut(place)) else { continue };
            if is_followed(found) {
                continue;
            }
            found.flow.clone_from(&cycle.flow);
            if was_open {
                FlowCycle::close(found);
            }
            let multiplies = cycle.state(self.now) == LoopState::Growing;
            // That it may go on says nothing of how wide it may get.
            let is_expected = matches!(self.verdicts.get(id), Some(Verdict::Expected { .. }));
            if is_open && (multiplies || !is_expected) {
                cycle.alarm(self.now, found);
                found.last_seen = found.last_seen.max(self.last_seen(&cycle.functions));
            }
        }
    }
}

/// True where chains tell of a loop for certain: then what counts say of the few invocations whose cause is not known,
/// or not known yet, is worth nothing. Where sampling hides laps, chains do not tell.
fn is_followed(found: &Loop) -> bool {
    let is_whole = found.next_lap_sampling_probability.is_none();
    is_whole && found.laps >= FOLLOWED_LAPS && found.confidence > FOLLOWED
}

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
    /// Adds counts of one shard; how many series and places were let go because there are too many.
    pub(super) fn merge(&mut self, now: ArrivalTime, key: FlowKey, delta: &FlowCounts) -> u64 {
        let mut evicted = 0;
        if !self.series.contains_key(&key) {
            evicted = self.make_room();
            self.is_changed = true;
        }
        let series = self.series.entry(key).or_insert_with(|| FlowSeries::new(now));
        let outlets = series.total.outlets.len();
        evicted += series.add(now, delta);
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
        for (_, mut cycle) in std::mem::take(&mut self.cycles) {
            cycle.rename(&own, &self.series);
            let (id, functions) = canonical(&cycle.functions);
            cycle.functions = functions;
            let lasts_longer = |known: &FlowCycle| known.open_until >= cycle.open_until;
            if !self.cycles.get(&id).is_some_and(lasts_longer) {
                self.cycles.insert(id, cycle);
            }
        }
        self.is_changed = true;
    }

    /// Looks for cycles when there are new ways, and at what those that are known do; how many there are too many of.
    fn watch(
        &mut self,
        now: ArrivalTime,
        is_capture: bool,
        kind: impl Fn(NodeId) -> Option<ResourceKind>,
        is_expected: impl Fn(LoopId) -> bool,
    ) -> u64 {
        self.watched_at = now;
        let is_changed = std::mem::take(&mut self.is_changed);
        let dropped = if is_changed { self.find_cycles(now) } else { 0 };
        if !self.cycles.is_empty() {
            let hold = if is_capture { Duration::MAX } else { reentry::loop_quiet(0.0) };
            let mut strengths = Strengths::new(now, &self.series, Places::of(&self.series, now, &kind));
            let turns = now.since(ArrivalTime(0)).as_secs()..;
            for ((id, cycle), turn) in self.cycles.iter_mut().zip(turns) {
                let is_due = is_changed || is_capture || turn.is_multiple_of(TURNS);
                if is_due && let Some((_, places)) = places(&self.series, now, cycle) {
                    cycle.lead(now, &places, &self.series, is_capture, &kind);
                }
                cycle.watch(now, hold, &mut strengths, is_expected(*id));
            }
        }
        dropped
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
                *ways.entry((key.via, key.function)).or_default() += rounded(series.total.invocations);
            }
            for outlet in &series.total.outlets {
                *ways.entry((key.function, outlet.over)).or_default() += rounded(outlet.sent);
            }
        }
        ways.into_iter().map(|((source, target), calls)| (source, target, calls)).collect()
    }

    fn find_cycles(&mut self, now: ArrivalTime) -> u64 {
        let functions: BTreeSet<NodeId> = self.series.keys().map(|key| key.function).collect();
        let found = cycle::cycles(&self.ways(), |node| functions.contains(&node));
        let mut led: Vec<(f64, LoopId, FlowCycle)> = found
            .into_iter()
            .filter_map(|Cycle { id, functions }| {
                let cycle = self.cycles.remove(&id).unwrap_or_else(|| FlowCycle::new(functions));
                let (least, _) = places(&self.series, now, &cycle)?;
                Some((least, id, cycle))
            })
            .collect();
        // Whoever was told of a loop has to learn its end, though nothing may lead round it any more.
        let told = std::mem::take(&mut self.cycles).into_iter().filter(|(_, cycle)| cycle.is_told(now));
        led.extend(
            told.map(|(id, cycle)| (places(&self.series, now, &cycle).map_or(0.0, |(least, _)| least), id, cycle)),
        );
        let dropped = led.len().saturating_sub(CYCLES);
        led.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        led.truncate(CYCLES);
        let components = components(led.iter().map(|(_, _, cycle)| &*cycle.functions));
        let cycles = led.into_iter().zip(components);
        let entangled = cycles.map(|((_, id, mut cycle), component)| {
            cycle.component = component;
            (id, cycle)
        });
        self.cycles = entangled.collect();
        dropped as u64
    }
}

/// What carries most from each function of a cycle to the next in the last minutes, with the least that goes so; `None`
/// where nothing does. What carried most before stays while nothing carries much more.
fn places(all: &AllSeries, now: ArrivalTime, cycle: &FlowCycle) -> Option<(f64, Vec<NodeId>)> {
    let functions = &cycle.functions;
    let (mut least, mut places) = (f64::INFINITY, Vec::with_capacity(functions.len()));
    for (function, next) in functions.iter().zip(functions.iter().cycle().skip(1)) {
        let mut carried: BTreeMap<NodeId, f64> = BTreeMap::new();
        for (over, sent) in series::of(all, *function).flat_map(|(_, series)| series.recent.sent(now)) {
            if let Some(series) = all.get(&FlowKey { function: *next, via: over }) {
                let both = sent.min(series.recent.messages(now));
                let most = carried.entry(over).or_default();
                *most = most.max(both);
            }
        }
        let before = cycle.place_from(*function);
        let weight = |over| if before == Some(over) { CARRIES_MORE } else { 1.0 };
        let by_weight = |one: &(NodeId, f64), other: &(NodeId, f64)| {
            let (one_weighs, other_weighs) = (weight(one.0), weight(other.0));
            (one.1 * one_weighs).total_cmp(&(other.1 * other_weighs)).then(one_weighs.total_cmp(&other_weighs))
        };
        let (over, most) = carried.into_iter().max_by(by_weight)?;
        least = least.min(most);
        places.push(over);
    }
    Some((least, places))
}

state!(Flows { series, cycles, is_changed, watched_at });

#[cfg(test)]
mod tests;
