//! Bounds of the engine, in one place. Thresholds are the detectors' (`detect.rs`), because they are learned.
//!
//! There is no hidden default: whoever builds an engine says what it may hold, and [`Config::recommended`] is what the
//! collector says unless it is told otherwise.

use std::time::Duration;

use crate::state::state;

/// Bounds of the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How late a span may come and still find its parent, its children and its duplicates. Lambda layers hold spans
    /// back for up to five minutes.
    pub lateness: Duration,
    /// How long a span that might be the entry of an invocation waits for the parent that would say so.
    pub park: Duration,
    /// How long after its entry span an invocation waits for its children before its self time is taken.
    pub settle: Duration,
    /// Spans that all shards together keep in their indexes, about 200 bytes each.
    pub span_capacity: usize,
    /// Invocations that the linker keeps, about 300 bytes each.
    pub invocation_capacity: usize,
    /// Functions and resources in the graph; beyond, those quiet longest go.
    pub function_capacity: usize,
    /// Edges in the graph; beyond, those quiet longest go.
    pub edge_capacity: usize,
    /// Loops that are kept; beyond, those quiet longest go.
    pub loop_capacity: usize,
    /// Chains of laps that are kept while they may go on, about 150 bytes each.
    pub chain_capacity: usize,
    /// Traces that are looked at closely at one time, about 120 bytes for each of their spans; beyond, those that rest
    /// longest are measured early.
    pub trace_capacity: usize,
    /// Spans of traces that are looked at closely in a second; of more, fewer traces are. Each costs about as much more
    /// as a span costs otherwise, so that a busy engine spends less than a tenth on them.
    pub trace_spans_per_second: usize,
    /// Spans of one such trace that are measured one by one; of a larger one, those are that begin runs.
    pub spans_per_trace: usize,
    /// Links of one span that are followed.
    pub links_per_span: usize,
    /// How long no span of a trace comes before it is measured where its time went.
    pub quiet: Duration,
    /// True when all spans are at hand from the beginning. Then findings are about all of their time rather than the
    /// last minutes, and operations that begin again together with their function are loops of their own: live, how
    /// deep those are would depend on the order in which spans come.
    pub is_capture: bool,
}

impl Config {
    /// What the collector uses unless it is told otherwise.
    pub fn recommended() -> Self {
        Self {
            lateness: Duration::from_secs(600),
            park: Duration::from_secs(30),
            settle: Duration::from_secs(2),
            span_capacity: 1_000_000,
            invocation_capacity: 300_000,
            function_capacity: 10_000,
            edge_capacity: 100_000,
            loop_capacity: 10_000,
            chain_capacity: 200_000,
            trace_capacity: 20_000,
            trace_spans_per_second: 500,
            spans_per_trace: 2_000,
            links_per_span: 128,
            quiet: Duration::from_secs(30),
            is_capture: false,
        }
    }

    /// For a program that has all its `spans` spans at hand and gives them in the order of their causes: nothing comes
    /// late and nothing is let go, so memory grows with the input, by about 500 bytes a span. Such a program says when
    /// it is at the end; see [`crate::engine::Engine::finish`].
    pub fn for_capture(spans: usize) -> Self {
        // An index turns over when half of it is full.
        let all = spans.saturating_add(1).saturating_mul(2);
        Self {
            lateness: Duration::MAX,
            park: Duration::ZERO,
            settle: Duration::MAX,
            span_capacity: all,
            invocation_capacity: all,
            function_capacity: all,
            edge_capacity: all,
            loop_capacity: all,
            chain_capacity: all,
            trace_capacity: all,
            trace_spans_per_second: usize::MAX,
            spans_per_trace: 2_000,
            links_per_span: 128,
            quiet: Duration::MAX,
            is_capture: true,
        }
    }
}

state!(Config {
    lateness,
    park,
    settle,
    span_capacity,
    invocation_capacity,
    function_capacity,
    edge_capacity,
    loop_capacity,
    chain_capacity,
    trace_capacity,
    trace_spans_per_second,
    spans_per_trace,
    links_per_span,
    quiet,
    is_capture
});
