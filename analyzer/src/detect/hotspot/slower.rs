//! What became slower against a baseline: the places whose own times moved most, and most clearly.
//!
//! Whole durations inherit what happens below them, so they are not compared: only a function's own work, the gap between
//! the two ends of a call, and the wait for a resource are. A change counts by its size, relative to what the place took,
//! times the evidence for it. Evidence is the rank test of Mann and Whitney, which asks for no distribution and works from
//! a handful of calls on; few calls make it small and hide nothing. In experiments with 60 places, noise between the two
//! captures and 8 to 30,000 calls, this product had the culprit among the first two as often as any other score, where the
//! size alone is misled by rare calls, the evidence alone by large samples with a slight drift, and the change of the 95th
//! percentile by both.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use super::{
    cause::of_place,
    ranking::{edge, function},
    sums::times_of,
    tail::Seen,
};
use crate::{
    bins::Bins,
    detect::rank_test,
    measured::Measured,
    record::Place,
    sketch::DDSketch,
    snapshot::{Hotspot, HotspotCause, HotspotChange, NodeId},
    window::{merge, quantile, sketch},
};

/// Quantiles of a sketch of which all differences are taken; fewer samples stand for themselves.
const PAIRED: usize = 40;

/// Times below this are noise, milliseconds.
const NOISE_MS: f64 = 0.2;

/// Times below this part of a root invocation matter to nobody.
const NOISE: f64 = 0.005;

/// The z at which evidence is e to the minus first short of full: the noise of 60 places reaches 2.5, that of 200 reaches
/// 3, and most of them have few calls.
const DOUBT: f64 = 3.5;

/// How many times the calls of before a function makes from which on it makes more, rather than other work.
const MORE_CALLS: f64 = 2.0;

/// What was measured in some time, by place.
#[derive(Clone, Default)]
pub struct Baseline {
    places: BTreeMap<Place, Times>,
    /// Time of all roots, milliseconds, and how many there were.
    root_ms: f64,
    roots: f64,
    names: BTreeMap<NodeId, Arc<str>>,
}

/// Times of the calls of a place.
#[derive(Clone)]
struct Times {
    own: DDSketch,
    /// What callers wait in all, where that is more; milliseconds together.
    whole_ms: f64,
}

/// One sign of a change: its size, as the logarithm of how many times as long it takes, and how much of it is believed.
#[derive(Clone, Copy, Default)]
struct Sign {
    size: f64,
    evidence: f64,
}

/// How a place changed.
struct Shift {
    sign: Sign,
    change: HotspotChange,
    has_more_calls: bool,
}

impl Baseline {
    /// What was measured in some time, in which so many roots together took so long.
    pub(crate) fn of(measured: &Measured, root_ms: f64, roots: f64) -> Self {
        let mut baseline = Self { root_ms, roots: roots.max(1.0), ..Self::default() };
        for (id, function) in &measured.functions {
            baseline.add(Place::Own(*id), &function.self_time, 0.0);
        }
        for (key, edge) in &measured.edges {
            if let Some((place, times)) = times_of(*key, edge) {
                baseline.add(place, times, edge.duration.sum().unwrap_or_default());
            }
        }
        baseline
    }

    /// Adds times of a place. `whole_ms` is how long callers wait at the place altogether, what happens below included.
    fn add(&mut self, place: Place, own: &DDSketch, whole_ms: f64) {
        let times = self.places.entry(place).or_insert_with(|| Times { own: sketch(), whole_ms: 0.0 });
        merge(&mut times.own, own);
        times.whole_ms += whole_ms;
    }

    /// Adds the places of which only critical paths tell.
    pub(crate) fn add_paths<'a>(&mut self, seen: impl Iterator<Item = Seen<'a>>) {
        // Each run that nobody waits for has a path of its own, and is told once more in every pipeline that leads over it.
        let pieces = seen.flat_map(|seen| seen.profile.pieces.iter().map(|piece| (seen.profile.until, piece)));
        for (until, piece) in pieces.filter(|(_, piece)| piece.critical_ms > 0.0 && piece.critical_ms.is_finite()) {
            let is_first_told = match piece.place {
                Place::ColdStart(_) | Place::Peer(_) => until.is_none(),
                Place::Queue { target, .. } => until == Some(target),
                _ => false,
            };
            if is_first_told {
                let times = self.places.entry(piece.place).or_insert_with(|| Times { own: sketch(), whole_ms: 0.0 });
                times.own.add(piece.critical_ms / f64::from(piece.calls.max(1)));
                times.whole_ms += piece.critical_ms;
            }
        }
    }

    /// What a node is called.
    pub(crate) fn name(&mut self, node: NodeId, name: Arc<str>) {
        self.names.insert(node, name);
    }

    /// With the ids of another time: a node that has none there is the one of its name, if there is only one such. A test
    /// run may be another environment than the one before.
    fn with_ids_of(&self, other: &Self) -> Self {
        let mut by_name: BTreeMap<&str, Option<NodeId>> = BTreeMap::new();
        for (node, name) in &other.names {
            by_name.entry(name).and_modify(|known| *known = None).or_insert(Some(*node));
        }
        let id = |node: NodeId| match self.names.get(&node) {
            Some(name) if !other.names.contains_key(&node) => by_name.get(&**name).copied().flatten().unwrap_or(node),
            _ => node,
        };
        let mut same = Self { root_ms: self.root_ms, roots: self.roots, ..Self::default() };
        for (place, times) in &self.places {
            let place = match place.renamed(id) {
                Place::Resource { function, resource } => Place::Resource { function, resource: id(resource) },
                Place::Queue { resource, target } => Place::Queue { resource: id(resource), target },
                place => place,
            };
            same.add(place, &times.own, times.whole_ms);
        }
        same
    }

    fn runs(&self, function: NodeId) -> f64 {
        self.places.get(&Place::Own(function)).map_or(0.0, |times| times.own.count() as f64)
    }
}

/// Ranks all places of `now`, what became slower first. `on_paths` says what is known of their critical times now.
pub(crate) fn rank(
    now: &Baseline,
    before: &Baseline,
    on_paths: &BTreeMap<Place, Hotspot>,
    name: &dyn Fn(NodeId) -> Arc<str>,
) -> Vec<Hotspot> {
    let before = before.with_ids_of(now);
    let noise_ms = NOISE_MS + NOISE * (before.root_ms / before.roots).max(0.0);
    let mut ranked: Vec<(Place, &Times, Option<Shift>)> = now
        .places
        .iter()
        .filter(|(_, times)| times.own.count() > 0)
        .map(|(place, times)| (*place, times, shift(*place, now, &before, noise_ms)))
        .collect();
    let score = |shift: &Option<Shift>| shift.as_ref().map_or(0.0, |shift| shift.sign.score());
    ranked.sort_by(|a, b| {
        let by_score: Ordering = score(&b.2).total_cmp(&score(&a.2));
        by_score.then_with(|| total_ms(b.1).total_cmp(&total_ms(a.1))).then(a.0.cmp(&b.0))
    });
    (1..)
        .zip(ranked)
        .map(|(rank, (place, times, shift))| {
            let known = on_paths.get(&place);
            let more_calls = shift.as_ref().is_some_and(|shift| shift.has_more_calls);
            Hotspot {
                rank,
                function: function(place),
                name: name(function(place)),
                edge: edge(place),
                cause: match known.map_or(of_place(place), |known| known.cause) {
                    HotspotCause::Gap | HotspotCause::Resource if more_calls => HotspotCause::NPlusOne,
                    cause => cause,
                },
                p95_ms: quantile(&times.own, 0.95),
                baseline_p95_ms: before.places.get(&place).map(|before| quantile(&before.own, 0.95)),
                share: if now.root_ms > 0.0 { (total_ms(times) / now.root_ms).clamp(0.0, 1.0) } else { 0.0 },
                samples: times.own.count() as u64,
                confidence: shift.as_ref().map_or(0.0, |shift| shift.sign.evidence),
                tail: known.and_then(|known| known.tail.clone()),
                change: shift.map(|shift| shift.change),
            }
        })
        .collect()
}

fn total_ms(times: &Times) -> f64 {
    times.own.sum().unwrap_or_default()
}

/// How a place changed; `None` when it was not there before.
fn shift(place: Place, now: &Baseline, before: &Baseline, noise_ms: f64) -> Option<Shift> {
    let is = now.places.get(&place)?;
    let none = Times { own: sketch(), whole_ms: 0.0 };
    let was = match (before.places.get(&place).filter(|was| was.own.count() > 0), place) {
        (Some(was), _) => was,
        // That a function which ran did not start is known, and no gap in what was seen.
        (None, Place::ColdStart(function)) if before.runs(function) > 0.0 => &none,
        (None, _) => return None,
    };
    let delta = rank_test::delta(&was.own, &is.own);
    let (few_before, few_now) = (order(&was.own), order(&is.own));
    let of_all = Sign {
        size: median_of_pairs(&few_before, &few_now, |was, is| ((is + noise_ms) / (was + noise_ms)).ln()),
        evidence: evidence(rank_test::z(delta, was.own.count() as f64, is.own.count() as f64)),
    };
    let of_tail = longer_tail(was, is, noise_ms).unwrap_or_default();
    let of_times = if of_tail.score() > of_all.score() { of_tail } else { of_all };
    let of_calls = more_calls(place, (now, is), (before, was), noise_ms).unwrap_or_default();
    let has_more_calls = of_calls.score() > of_times.score().max(0.0);
    let sign = if has_more_calls { of_calls } else { of_times };
    let change = HotspotChange {
        delta,
        shift_ms: median_of_pairs(&few_before, &few_now, |was, is| is - was),
        added_ms: total_ms(is) / now.roots - total_ms(was) / before.roots,
        baseline_samples: was.own.count() as u64,
    };
    Some(Shift { sign, change, has_more_calls })
}

impl Sign {
    /// What changes are ranked by.
    fn score(self) -> f64 {
        self.size * self.evidence
    }
}

/// That some calls make the mean longer where most take what they took, as when one in ten hangs: the evidence is that more
/// of them than before are above what was the 95th percentile.
fn longer_tail(was: &Times, is: &Times, noise_ms: f64) -> Option<Sign> {
    let (before, now) = (Bins::of(&was.own), Bins::of(&is.own));
    let limit = before.quantile(0.95);
    let above = |bins: &Bins| bins.values().rev().take_while(|(time, _)| *time > limit).map(|it| it.1).sum::<u64>();
    let (n, m) = (was.own.count() as f64, is.own.count() as f64);
    let (above_before, above_now) = (above(&before) as f64, above(&now) as f64);
    let pooled = (above_before + above_now) / (n + m);
    let z = (above_now / m - above_before / n) / (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    if !(z.is_finite() && z > 0.0) {
        return None;
    }
    let mean = |times: &Times, count: f64| total_ms(times) / count + noise_ms;
    Some(Sign { size: (mean(is, m) / mean(was, n)).ln().max(0.0), evidence: evidence(z) })
}

/// That a run of the caller makes more calls: the size is what that does to its time. `None` when they are not clearly more.
fn more_calls(
    place: Place,
    (now, is): (&Baseline, &Times),
    (before, was): (&Baseline, &Times),
    noise_ms: f64,
) -> Option<Sign> {
    let caller = match place {
        // It may start more often, and no start take longer.
        Place::ColdStart(function) => function,
        place => edge(place).map(|(source, _)| source)?,
    };
    let (runs, runs_before) = (now.runs(caller), before.runs(caller));
    let (calls, calls_before) = (is.own.count() as f64, was.own.count() as f64);
    let (rate, rate_before) = (calls / runs, calls_before / runs_before);
    // A function that is not seen has no runs, and nothing can be said of its calls.
    if !(rate.is_finite() && rate_before.is_finite() && rate >= MORE_CALLS * rate_before) {
        return None;
    }
    // Counts vary by about their root.
    let z = (rate - rate_before) / (calls / (runs * runs) + calls_before / (runs_before * runs_before)).sqrt();
    let each_ms = if calls_before > 0.0 { was.whole_ms / calls_before } else { is.whole_ms / calls };
    let size = ((rate * each_ms + noise_ms) / (rate_before * each_ms + noise_ms)).ln();
    Some(Sign { size, evidence: evidence(z) })
}

/// How much of a change of this z is believed, 0 to 1.
fn evidence(z: f64) -> f64 {
    1.0 - (-(z / DOUBT).powi(4)).exp()
}

/// At most [`PAIRED`] order statistics of a sketch.
fn order(sketch: &DDSketch) -> Vec<f64> {
    let count = sketch.count().min(PAIRED);
    let last = count.saturating_sub(1).max(1) as f64;
    (0..count).map(|place| quantile(sketch, place as f64 / last)).collect()
}

/// The median over all pairs (Hodges and Lehmann 1963).
fn median_of_pairs(before: &[f64], now: &[f64], of: impl Fn(f64, f64) -> f64) -> f64 {
    let mut all: Vec<f64> = now.iter().flat_map(|is| before.iter().map(|was| of(*was, *is))).collect();
    let middle = all.len() / 2;
    if all.is_empty() {
        return 0.0;
    }
    let (below, upper, _) = all.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    let lower = below.iter().copied().max_by(f64::total_cmp).filter(|_| (before.len() * now.len()).is_multiple_of(2));
    lower.map_or(upper, |lower| f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests;
