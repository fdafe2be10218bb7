//! What was measured before and after a moment, and what that says of a suspect.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    BASELINE, Change, Past,
    compare::{self, LEAST_SAMPLES},
    gauge::Direction,
    nanos,
    summed::{SeriesKey, Subject, Sum, Summed},
    summed_over,
};
use crate::{
    snapshot::NodeId,
    span::{ArrivalTime, EventTime},
    state::state,
    window::quantile,
    windows::Range,
};

/// Before the moment in which a sum left zero, the change may have been under way for this long.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// What is looked at of earlier days, on either side of the same moment.
const SAME_HOUR: Duration = Duration::from_secs(30 * 60);
/// Days before at which the same hour is looked at.
const EARLIER_DAYS: [u64; 2] = [1, 7];
/// A version that came so long before a change may be its reason; what is measured lags by two minutes at most.
const VERSION_BEFORE: Duration = Duration::from_secs(3_600);
/// A run of a new version may begin before the minute in which the sum leaves zero.
const VERSION_AFTER: Duration = Duration::from_secs(120);

/// How a series was in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Level {
    /// Runs or calls.
    pub samples: u64,
    /// Median, milliseconds; 0 for shares.
    pub p50_ms: f64,
    /// 95th percentile, milliseconds; 0 for shares.
    pub p95_ms: f64,
    /// Part of the runs that failed, or that started cold; 0 for times.
    pub share: f64,
}

/// A series whose sum is too large.
pub(super) struct Suspect {
    pub(super) key: SeriesKey,
    pub(super) direction: Direction,
    pub(super) since: ArrivalTime,
}

/// What was measured of suspects before and after.
pub(super) struct Evidence {
    before: Summed,
    after: Summed,
    /// The same hour of earlier days, where there is any.
    earlier: Vec<Summed>,
}

impl Evidence {
    pub(super) fn read(suspects: &[Suspect], now: ArrivalTime, past: &impl Past) -> Self {
        let since: BTreeMap<SeriesKey, ArrivalTime> = suspects.iter().map(|it| (it.key, it.since)).collect();
        let functions: BTreeSet<NodeId> = suspects.iter().flat_map(|it| functions_of(it.key.subject)).collect();
        let first = since.values().copied().min().unwrap_or(now);
        let back = |time: ArrivalTime, by: Duration| ArrivalTime(time.0.saturating_sub(nanos(by)));
        let is_suspect = |key: &SeriesKey| since.contains_key(key);
        let mut before = Summed::default();
        past.each(Range { from: back(first, BASELINE), to: back(first, MARGIN) }, &mut |_, window| {
            before.add(window, is_suspect);
            before.add_versions(window, &functions);
        });
        let mut after = Summed::default();
        // Read from one begin to the next, so that no long window lies across one and is left out for it.
        let mut from = back(first, MARGIN);
        let begins: BTreeSet<ArrivalTime> = since.values().copied().chain([now]).collect();
        for to in begins {
            past.each(Range { from, to }, &mut |start, window| {
                after.add(window, |key| since.get(key).is_some_and(|since| *since <= start));
                after.add_versions(window, &functions);
            });
            from = to;
        }
        let earlier = EARLIER_DAYS.map(|days| {
            let same = back(first, BASELINE * u32::try_from(days).unwrap_or(1));
            // Of days ago there may be nothing but whole hours.
            let time = Range { from: back(same, SAME_HOUR), to: same.after(SAME_HOUR) }.snapped(now);
            summed_over(past, time, is_suspect)
        });
        Self { before, after, earlier: earlier.into() }
    }

    /// The probability that a suspect is one by chance; `None` when what it did does not matter.
    pub(super) fn weigh(&self, suspect: &Suspect) -> Option<f64> {
        let after = self.after.get(&suspect.key)?;
        let before = self.before.get(&suspect.key)?;
        let p = compare::differs(before, after, suspect.direction)?;
        let known = self.earlier.iter().filter_map(|hour| hour.get(&suspect.key)).filter(|sum| is_enough(sum));
        let all: Option<Vec<f64>> = known.map(|hour| compare::differs(hour, after, suspect.direction)).collect();
        Some(all?.into_iter().fold(p, f64::max))
    }

    pub(super) fn change(&self, suspect: &Suspect, p: f64, found: ArrivalTime) -> Option<Change> {
        Some(Change {
            series: suspect.key,
            direction: suspect.direction,
            since: suspect.since,
            found,
            until: None,
            settled: None,
            before: Level::of(self.before.get(&suspect.key)?),
            after: Level::of(self.after.get(&suspect.key)?),
            confidence: 1.0 - p,
            version: self.version(suspect),
        })
    }

    /// The newest version that came just before; of an edge, the one that is called comes first.
    fn version(&self, suspect: &Suspect) -> Option<(Arc<str>, EventTime)> {
        let from = suspect.since.0.saturating_sub(nanos(VERSION_BEFORE));
        let to = suspect.since.after(VERSION_AFTER).0;
        functions_of(suspect.key.subject).find_map(|function| {
            let mut versions = self.before.versions(function).cloned().unwrap_or_default();
            // What ran before is not new, however often it began again.
            let is_first = versions.as_slice().is_empty();
            versions.merge(self.after.versions(function)?);
            let new = versions.as_slice().iter().rev();
            new.filter(|(_, first)| (from..=to).contains(&first.0)).find(|_| !is_first).cloned()
        })
    }
}

impl Level {
    fn of(sum: &Sum) -> Self {
        match sum {
            Sum::Times(sketch) => Self {
                samples: sketch.count() as u64,
                p50_ms: quantile(sketch, 0.5),
                p95_ms: quantile(sketch, 0.95),
                share: 0.0,
            },
            Sum::Share { of, events } => {
                Self { samples: of.round() as u64, share: events / of.max(1.0), ..Self::default() }
            }
        }
    }
}

fn is_enough(sum: &Sum) -> bool {
    match sum {
        Sum::Times(sketch) => sketch.count() >= LEAST_SAMPLES,
        Sum::Share { of, .. } => *of >= LEAST_SAMPLES as f64,
    }
}

/// The functions whose versions may be the reason, the likeliest first; an edge may end at a resource, which has none.
fn functions_of(subject: Subject) -> impl Iterator<Item = NodeId> {
    subject.edge.map(|(target, _)| target).into_iter().chain([subject.function])
}

state!(Level { samples, p50_ms, p95_ms, share });
