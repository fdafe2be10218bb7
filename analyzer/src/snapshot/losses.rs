//! What was counted, and what was let go to stay within bounds.

use crate::state::state;

/// What the engine counted, and what it had to let go to stay within its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Losses {
    /// Spans taken in.
    pub spans: u64,
    /// Spans seen before, counted once.
    pub duplicates: u64,
    /// Invocations whose parent span never came.
    pub orphans: u64,
    /// Spans whose parents form a ring.
    pub parent_rings: u64,
    /// Spans with impossible times or ids that were mended.
    pub mended: u64,
    /// Links beyond the bound of one span.
    pub links_dropped: u64,
    /// Spans, invocations and last runs of instances dropped from an index because it was full.
    pub index_evictions: u64,
    /// Age of the youngest record that was dropped because an index was full, nanoseconds.
    pub youngest_eviction_nanos: Option<u64>,
    /// Functions and resources let go because there were too many.
    pub functions_overflowed: u64,
    /// Edges let go because there were too many, and places that an invocation of unknown cause sends to beyond those that
    /// are told apart.
    pub edges_overflowed: u64,
    /// Loops let go because there were too many.
    pub loops_overflowed: u64,
    /// Keys that could join a cause with what it caused, let go because there were too many.
    pub continuations_dropped: u64,
    /// Paths with more different functions than are counted, so that depths on them may be too small.
    pub paths_trimmed: u64,
    /// Laps that could not be followed back to where they began, because they are too long.
    pub look_backs_cut: u64,
    /// Invocations under which no lap is looked for when their cause comes late, because their chain has too many.
    pub openings_dropped: u64,
    /// Loops of one chain that are not deepened when its cause comes late, because it has too many.
    pub fragment_laps_dropped: u64,
    /// Entities let go while they might still have been handled again, because there were too many.
    pub entities_dropped: u64,
    /// Spans that claim to stand for more than is believed, and count for less; see [`crate::sampling::MOST_ADJUSTED`].
    pub sampling_clipped: u64,
    /// Exceptions of log records whose span did not come in time, or that waited while there were too many.
    pub exceptions_unmatched: u64,
    /// Exceptions of log records that name no span.
    pub exceptions_without_span: u64,
    /// How many of those were joined to a run, by its id or by its instance and the time.
    pub exceptions_joined: u64,
    /// Root operations whose traces were let go because there were too many.
    pub roots_overflowed: u64,
    /// Traces of root operations let go because all together had too many places.
    pub profiles_overflowed: u64,
    /// Traces whose time was measured before all of their spans were here, because too many were looked at.
    pub traces_cut: u64,
    /// Spans of traces that are looked at which are not measured one by one, because their trace has too many.
    pub trace_spans_dropped: u64,
    /// Offsets between the clocks of two instances let go because there were too many.
    pub clock_offsets_dropped: u64,
    /// Pipelines that were not measured to their end, because there were too many.
    pub pipelines_dropped: u64,
    /// Streams of metrics that are not followed any more, because there were too many.
    pub metric_streams_dropped: u64,
    /// Points of metrics about functions that count nothing: those that came again or late, the first of streams that began
    /// long before, and those that name no function.
    pub metric_points_passed_over: u64,
}

state!(Losses {
    spans,
    duplicates,
    orphans,
    parent_rings,
    mended,
    links_dropped,
    index_evictions,
    youngest_eviction_nanos,
    functions_overflowed,
    edges_overflowed,
    loops_overflowed,
    continuations_dropped,
    paths_trimmed,
    look_backs_cut,
    openings_dropped,
    fragment_laps_dropped,
    entities_dropped,
    sampling_clipped,
    exceptions_unmatched,
    exceptions_without_span,
    exceptions_joined,
    roots_overflowed,
    profiles_overflowed,
    traces_cut,
    trace_spans_dropped,
    clock_offsets_dropped,
    pipelines_dropped,
    metric_streams_dropped,
    metric_points_passed_over
});
