//! What cannot be right in the input, with evidence.

use crate::{
    span::{SpanId, TraceId},
    state::state,
};

/// Something in the input that cannot be right, with evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// What is wrong.
    pub kind: AnomalyKind,
    /// How often it was met.
    pub count: u64,
    /// Where it was met, the first ones.
    pub exemplars: Vec<AnomalyExemplar>,
}

/// One place where an anomaly was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnomalyExemplar {
    /// The trace.
    pub trace_id: TraceId,
    /// The spans: all of a ring, otherwise the one that is wrong.
    pub spans: Vec<SpanId>,
}

/// What is wrong with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnomalyKind {
    /// Spans whose parents form a ring.
    ParentRing,
    /// A time that cannot be: an end before its start, a start of zero or in the future, a run of a month.
    BrokenClock,
    /// A span whose parent never came.
    Orphan,
    /// A span seen before.
    Duplicate,
    /// A span that begins before its parent does.
    ChildBeforeParent,
}

impl AnomalyKind {
    /// All kinds, in the order of snapshots.
    pub const ALL: [Self; 5] =
        [Self::ParentRing, Self::BrokenClock, Self::Orphan, Self::Duplicate, Self::ChildBeforeParent];

    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::ParentRing => "parent_ring",
            Self::BrokenClock => "broken_clock",
            Self::Orphan => "orphan",
            Self::Duplicate => "duplicate",
            Self::ChildBeforeParent => "child_before_parent",
        }
    }
}

state!(Anomaly { kind, count, exemplars });
state!(AnomalyExemplar { trace_id, spans });
state!(
    enum AnomalyKind {
        ParentRing,
        BrokenClock,
        Orphan,
        Duplicate,
        ChildBeforeParent,
    }
);
