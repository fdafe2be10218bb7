//! The newest of something: traces that show a node or an edge, and versions of a function.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::{
    span::{EventTime, TraceId},
    state::state,
};

/// Traces that show a node or an edge.
const EXEMPLARS: usize = 5;

/// The newest traces that show something, the newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exemplars(SmallVec<[TraceId; EXEMPLARS]>);

impl Exemplars {
    pub(crate) fn add(&mut self, trace_id: TraceId) {
        if let Some(place) = self.0.iter().position(|known| *known == trace_id) {
            self.0.remove(place);
        } else if self.0.len() == EXEMPLARS {
            self.0.remove(0);
        }
        self.0.push(trace_id);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for trace_id in &other.0 {
            self.add(*trace_id);
        }
    }

    /// The newest first.
    pub(crate) fn newest_first(&self) -> Vec<TraceId> {
        self.0.iter().rev().copied().collect()
    }
}

/// Versions of a function that are kept.
const VERSIONS: usize = 4;

/// The versions of a function that came last, each with the time it was first seen, the newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Versions(SmallVec<[(Arc<str>, EventTime); 1]>);

impl Versions {
    /// Takes note of a version that ran at `at`.
    pub(crate) fn see(&mut self, version: &str, at: EventTime) {
        match self.0.iter_mut().find(|(known, _)| &**known == version) {
            Some((_, first)) if *first <= at => return,
            Some((_, first)) => *first = at,
            None => self.0.push((version.into(), at)),
        }
        self.0.sort_by_key(|(_, first)| *first);
        if self.0.len() > VERSIONS {
            self.0.remove(0);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (version, at) in &other.0 {
            self.see(version, *at);
        }
    }

    pub(crate) fn as_slice(&self) -> &[(Arc<str>, EventTime)] {
        &self.0
    }
}

state!(Exemplars(inner));
state!(Versions(inner));
