//! Compares what was said with what is true: one [`LoopScore`] for each scenario of a world.

use std::{collections::BTreeMap, ops::Range};

use loopscope_analyzer::snapshot::{Reason, Reproduction};

use crate::{
    class::Class,
    knobs::Context,
    scenario::Law,
    truth::{LoopTruth, nanos},
    watch::{Edges, Moment, Outcome, Rule, Sighting},
};

/// Incidents of one loop within so many seconds are one.
const ONE_INCIDENT: f64 = 24.0 * 3_600.0;

/// Laps from which on a chain has run away without doubt.
const RAN_AWAY_LAPS: u32 = 20;

/// Invocations from which on a tree has run away without doubt.
const RAN_AWAY_INVOCATIONS: u64 = 512;

/// What the rules made of one scenario.
#[derive(Clone, Debug)]
pub struct LoopScore {
    /// Which run of worlds it belongs to.
    pub suite: &'static str,
    /// Which settings of the knobs.
    pub setting: &'static str,
    /// How causes were told.
    pub context: Context,
    /// What it is an example of.
    pub class: Class,
    /// True when a runaway chain came so far that nobody would call it harmless; chains that multiply may die at once.
    pub ran_away: bool,
    /// By rule: the incident that was right.
    pub hits: [Option<Hit>; Rule::ALL.len()],
    /// By rule: incidents that were wrong, after the time to learn.
    pub false_incidents: [u32; Rule::ALL.len()],
    /// By rule: incidents that were wrong, in the time to learn.
    pub early_incidents: [u32; Rule::ALL.len()],
    /// How its harmless chains go on, when they go round.
    pub benign: Option<Law>,
    /// True when something ran away in it at all.
    pub has_runaway: bool,
    /// True R, when it is one number.
    pub r: Option<f64>,
    /// What the engine said wrongly, after the time to learn.
    pub mistakes: Vec<Moment>,
    /// Name of the scenario.
    pub name: String,
    /// What R was taken for.
    pub estimates: Vec<Reproduction>,
    /// Distinct ids under which it was reported rightly.
    pub ids: usize,
    /// Laps of its deepest chain, found and true.
    pub depth: (u32, u32),
    /// Days that it was watched before anything ran away.
    pub quiet_days: f64,
    /// Invocations, counted and true.
    pub counts: (u64, u64),
}

/// A right incident.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Laps that the engine had counted.
    pub laps: f64,
    /// Seconds since the first runaway chain began.
    pub seconds: f64,
    /// Runaway invocations that had begun.
    pub invocations: f64,
    /// Runaway invocations that had arrived.
    pub arrived: f64,
    /// What the engine named first as its reason.
    pub reason: Option<Reason>,
    /// What they cost, US dollars.
    pub dollars: f64,
}

/// Everything that was scored.
#[derive(Debug, Default)]
pub struct Score {
    /// One for each scenario of each world.
    pub loops: Vec<LoopScore>,
    /// Causes by setting, context and class.
    pub edges: BTreeMap<(&'static str, Context, Class), Edges>,
    /// Incidents of functions that belong to no scenario.
    pub background_incidents: u64,
    /// Spans taken in.
    pub spans: u64,
    /// Seconds that the engine took.
    pub engine_seconds: f64,
}

impl Score {
    /// Adds what was scored elsewhere.
    pub fn merge(&mut self, other: Self) {
        self.loops.extend(other.loops);
        for (key, edges) in other.edges {
            self.edges.entry(key).or_default().add(&edges);
        }
        self.background_incidents += other.background_incidents;
        self.spans += other.spans;
        self.engine_seconds += other.engine_seconds;
    }

    /// Adds what came of a world.
    pub fn add(&mut self, suite: &'static str, setting: &'static str, context: Context, outcome: &Outcome) {
        for (scenario, truth) in outcome.truth.loops.iter().enumerate() {
            let sightings: Vec<&Sighting> =
                outcome.sightings.iter().filter(|sighting| sighting.scenario == Some(scenario)).collect();
            let context = context_of(truth, context);
            let score = loop_score(suite, setting, context, truth, &sightings, outcome);
            let counts = (outcome.counted[scenario], truth.all.invocations);
            self.loops.push(LoopScore { counts, ..score });
        }
        self.background_incidents += outcome
            .sightings
            .iter()
            .filter(|sighting| sighting.scenario.is_none() && !sighting.track(Rule::Suspect).risen.is_empty())
            .count() as u64;
        for (truth, edges) in outcome.truth.loops.iter().zip(&outcome.edges) {
            let context = truth.context.unwrap_or(context);
            self.edges.entry((setting, context, truth.class)).or_default().add(edges);
        }
        self.spans += outcome.spans;
        self.engine_seconds += outcome.engine_time.as_secs_f64();
    }
}

/// Scenarios that need no cause to be found are the same in every context.
fn context_of(truth: &LoopTruth, context: Context) -> Context {
    if truth.class.is_without_chain() { Context::None } else { truth.context.unwrap_or(context) }
}

fn loop_score(
    suite: &'static str,
    setting: &'static str,
    context: Context,
    truth: &LoopTruth,
    sightings: &[&Sighting],
    outcome: &Outcome,
) -> LoopScore {
    let is_same = |sighting: &&&Sighting| similarity(truth, sighting) >= 0.5;
    let hits = Rule::ALL.map(|rule| {
        let moments = sightings.iter().filter(is_same).filter_map(|sighting| sighting.track(rule).after_onset);
        moments.min_by_key(|moment| moment.at).and_then(|moment| hit(truth, &moment))
    });
    let learned = crate::world::START + outcome.history;
    let count = |from: u64, to: u64| {
        Rule::ALL.map(|rule| {
            sightings.iter().map(|sighting| false_incidents(truth, sighting, rule, from..to).len() as u32).sum()
        })
    };
    let mistakes = |sighting: &&Sighting| false_incidents(truth, sighting, Rule::Alarm, learned..u64::MAX);
    let deepest = sightings.iter().filter(is_same).map(|sighting| sighting.max_depth).max().unwrap_or(0);
    let ids = sightings.iter().filter(|sighting| sighting.track(Rule::Alarm).after_onset.is_some()).count();
    let end = crate::world::START + nanos(outcome.seconds);
    let quiet = truth.t0.unwrap_or(end).saturating_sub(learned) as f64 / 1e9;
    let has_history = truth.all.invocations > truth.runaway.invocations;
    let estimates = sightings.iter().filter(is_same).flat_map(|sighting| sighting.estimates.iter().copied()).collect();
    LoopScore {
        suite,
        setting,
        context,
        class: truth.class,
        ran_away: ran_away(truth),
        hits,
        false_incidents: count(learned, u64::MAX),
        early_incidents: count(0, learned),
        benign: truth.benign,
        has_runaway: truth.t0.is_some(),
        r: truth.is_uniform.then_some(truth.r),
        estimates,
        mistakes: sightings.iter().flat_map(mistakes).collect(),
        name: truth.name.clone(),
        ids,
        depth: (deepest, truth.all.depth),
        counts: (0, 0),
        quiet_days: if has_history { quiet / 86_400.0 } else { 0.0 },
    }
}

fn ran_away(truth: &LoopTruth) -> bool {
    if truth.t0.is_none() {
        return false;
    }
    truth.class.is_without_chain()
        || truth.runaway.depth >= RAN_AWAY_LAPS
        || truth.runaway.invocations >= RAN_AWAY_INVOCATIONS
}

fn hit(truth: &LoopTruth, moment: &Moment) -> Option<Hit> {
    let t0 = truth.t0?;
    Some(Hit {
        laps: f64::from(moment.depth),
        seconds: moment.at.saturating_sub(t0) as f64 / 1e9,
        invocations: moment.invocations as f64,
        arrived: moment.arrived as f64,
        reason: moment.reason,
        dollars: moment.dollars,
    })
}

/// Incidents while nothing ran away, or of functions that are not those that do.
fn false_incidents(truth: &LoopTruth, sighting: &Sighting, rule: Rule, when: Range<u64>) -> Vec<Moment> {
    let is_other = similarity(truth, sighting) < 0.5;
    let mut last: Option<u64> = None;
    let mut found = Vec::new();
    for moment in sighting.track(rule).risen.iter().filter(|moment| when.contains(&moment.at)) {
        let is_wrong = is_other || !truth.is_runaway_at(moment.at);
        let is_again = last.is_some_and(|last| (moment.at - last) as f64 / 1e9 < ONE_INCIDENT);
        if is_wrong && !is_again {
            found.push(*moment);
            last = Some(moment.at);
        }
    }
    found
}

/// Share of functions that the true and the reported loop have in common.
fn similarity(truth: &LoopTruth, sighting: &Sighting) -> f64 {
    let common = sighting.names.iter().filter(|name| truth.functions.iter().any(|known| **known == ***name)).count();
    let all = truth.functions.len() + sighting.names.len() - common;
    common as f64 / all.max(1) as f64
}

impl Sighting {
    /// What a rule said about it.
    pub fn track(&self, rule: Rule) -> &crate::watch::Track {
        &self.tracks[rule as usize]
    }
}

impl LoopScore {
    /// How far the depth that was found is from the true one, as a part of the true one.
    pub fn depth_error(&self) -> f64 {
        let (found, real) = (f64::from(self.depth.0), f64::from(self.depth.1));
        if real > 0.0 { (found - real).abs() / real } else { found }
    }

    /// The incident of a rule that was right.
    pub fn hit(&self, rule: Rule) -> Option<Hit> {
        self.hits[rule as usize]
    }

    /// Incidents of a rule that were wrong.
    pub fn wrong(&self, rule: Rule) -> u32 {
        self.false_incidents[rule as usize]
    }
}

impl Edges {
    /// Share of the found causes that are true; 1 when none was found.
    pub fn precision(&self) -> f64 {
        share(self.right, self.right + self.wrong)
    }

    /// The same of those that the engine is sure of.
    pub fn sure_precision(&self) -> f64 {
        share(self.surely_right, self.surely_right + self.surely_wrong)
    }

    /// Share of the true causes that were found; 1 when there is none.
    pub fn recall(&self) -> f64 {
        share(self.right, self.right + self.missed)
    }
}

/// A part of a whole; 1 when there is nothing.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// The value below which this part of the values lies, interpolated; none of none.
pub fn quantile(mut values: Vec<f64>, part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = part * values.len().checked_sub(1)? as f64;
    let (low, high) = (values[at.floor() as usize], values[at.ceil() as usize]);
    Some(if low == high { low } else { low + (high - low) * at.fract() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        assert_eq!(quantile(vec![], 0.5), None);
        assert_eq!(quantile(vec![3.0, 1.0, 2.0], 0.5), Some(2.0));
        assert_eq!(quantile(vec![1.0, 2.0], 0.9), Some(1.9));
    }
}
