//! Measured times and shares by series, added up over windows.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    measured::Measured,
    record::{EdgeDelta, EdgeKey, FunctionDelta, Versions},
    sketch::DDSketch,
    snapshot::{EdgeKind, NodeId},
    state::state,
};

/// A function, or an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The function, or where the edge begins.
    pub function: NodeId,
    /// Where the edge ends, and what it stands for; `None` for the function itself.
    pub edge: Option<(NodeId, EdgeKind)>,
}

/// What of a function or an edge changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    /// How long its runs take in all, or for an edge to a resource, how long its calls take.
    Duration,
    /// How long its runs take without what they wait for.
    SelfTime,
    /// How much longer a caller waits than the callee works.
    Gap,
    /// How many runs or calls fail.
    Errors,
    /// How many runs start cold.
    ColdStarts,
}

/// A series: one aspect of one function or edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey {
    /// Of what.
    pub subject: Subject,
    /// Which aspect.
    pub aspect: Aspect,
}

/// What was measured of a series in some time.
#[derive(Clone)]
pub(super) enum Sum {
    Times(DDSketch),
    Share { of: f64, events: f64 },
}

/// What was measured of a series in one window.
#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    Times(&'a DDSketch),
    Share { of: f64, events: f64 },
}

/// What was measured of some series in some time.
#[derive(Default)]
pub(super) struct Summed {
    series: BTreeMap<SeriesKey, Sum>,
    versions: BTreeMap<NodeId, Versions>,
    pub(super) seconds: f64,
}

impl Summed {
    /// Adds what a window holds of the series that are wanted.
    pub(super) fn add(&mut self, window: &Measured, wanted: impl Fn(&SeriesKey) -> bool) {
        self.seconds += window.seconds;
        each_series(window, |key, part| {
            if !wanted(&key) {
                return;
            }
            match (self.series.get_mut(&key), part) {
                (Some(Sum::Times(sum)), Part::Times(more)) => sum.merge(more),
                (Some(Sum::Share { of, events }), Part::Share { of: more, events: more_events }) => {
                    *of += more;
                    *events += more_events;
                }
                (None, Part::Times(times)) => drop(self.series.insert(key, Sum::Times(times.clone()))),
                (None, Part::Share { of, events }) => drop(self.series.insert(key, Sum::Share { of, events })),
                _ => {}
            }
        });
    }

    /// Adds which versions of some functions a window saw.
    pub(super) fn add_versions(&mut self, window: &Measured, functions: &BTreeSet<NodeId>) {
        for id in functions {
            if let Some(function) = window.functions.get(id) {
                self.versions.entry(*id).or_default().merge(&function.versions);
            }
        }
    }

    pub(super) fn get(&self, key: &SeriesKey) -> Option<&Sum> {
        self.series.get(key)
    }

    pub(super) fn versions(&self, function: NodeId) -> Option<&Versions> {
        self.versions.get(&function)
    }
}

/// Goes through the series of a window.
pub(super) fn each_series<'a>(window: &'a Measured, mut take: impl FnMut(SeriesKey, Part<'a>)) {
    for (id, function) in &window.functions {
        let subject = Subject { function: *id, edge: None };
        of_function(function, |aspect, part| take(SeriesKey { subject, aspect }, part));
    }
    for (key, edge) in &window.edges {
        let subject = Subject { function: key.source, edge: Some((key.target, key.kind)) };
        of_edge(*key, edge, |aspect, part| take(SeriesKey { subject, aspect }, part));
    }
}

fn of_function<'a>(function: &'a FunctionDelta, mut take: impl FnMut(Aspect, Part<'a>)) {
    take(Aspect::Duration, Part::Times(&function.duration));
    take(Aspect::SelfTime, Part::Times(&function.self_time));
    let share = |events: f64| share(function.kept as f64, function.invocations, events);
    take(Aspect::Errors, share(function.errors));
    take(Aspect::ColdStarts, share(function.cold_starts));
}

/// What a caller waits for another function is that one's own time or the gap; what it waits for a resource is told by
/// nobody else.
fn of_edge<'a>(key: EdgeKey, edge: &'a EdgeDelta, mut take: impl FnMut(Aspect, Part<'a>)) {
    match key.kind {
        EdgeKind::Call => {
            if let Some(gap) = &edge.gap {
                take(Aspect::Gap, Part::Times(gap));
            }
        }
        EdgeKind::Publish | EdgeKind::Write | EdgeKind::Read => take(Aspect::Duration, Part::Times(&edge.duration)),
        EdgeKind::Deliver | EdgeKind::Message => return,
    }
    take(Aspect::Errors, share(edge.kept as f64, edge.calls, edge.errors));
}

/// Runs that were kept, and so many of them as there are events among all that they stand for: chance works on the
/// former.
fn share(kept: f64, all: f64, events: f64) -> Part<'static> {
    let of = kept.max(0.0);
    let events = if all > 0.0 { (events / all).clamp(0.0, 1.0) * of } else { 0.0 };
    Part::Share { of, events }
}

state!(Subject { function, edge });
state!(
    enum Aspect {
        Duration,
        SelfTime,
        Gap,
        Errors,
        ColdStarts,
    }
);
state!(SeriesKey { subject, aspect });
