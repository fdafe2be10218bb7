//! What is true of a world as a document, to stand beside the files of its spans.

use serde::Serialize;

use crate::{
    class::Verdict,
    truth::{EntryTruth, Truth},
    world::Plan,
};

/// What is true of a world.
#[derive(Debug, Serialize)]
pub struct Labels {
    /// Seed that it was made with.
    pub seed: u64,
    /// One for each scenario.
    pub loops: Vec<LoopLabel>,
    /// The invocations of the scenarios in the order of their starts.
    pub entries: Vec<EntryLabel>,
}

/// What is true of a scenario.
#[derive(Debug, Serialize)]
pub struct LoopLabel {
    /// Its name.
    pub name: String,
    /// What it is an example of.
    pub class: &'static str,
    /// `runaway`, `bounded` for what ends by itself, `control` for what does not go round.
    pub verdict: &'static str,
    /// The functions that one lap meets, in order; all functions where nothing goes round.
    pub functions: Vec<String>,
    /// When its first runaway chain began, nanoseconds since 1970.
    pub t0_unix_nanos: Option<u64>,
    /// Re-entries that an entry causes in the mean; none where it depends on the depth.
    pub r: Option<f64>,
    /// All its invocations.
    pub invocations: u64,
    /// Invocations of its runaway chains.
    pub runaway_invocations: u64,
    /// What they cost, US dollars.
    pub runaway_dollars: f64,
    /// Laps of its deepest chain.
    pub depth: u32,
    /// When the deepest runaway chain became how deep: nanoseconds since 1970, laps.
    pub deepening: Vec<(u64, u32)>,
}

/// What is true of an invocation.
#[derive(Debug, Serialize)]
pub struct EntryLabel {
    /// Trace of its entry span.
    pub trace_id: String,
    /// Its entry span.
    pub span_id: String,
    /// Its function.
    pub function: String,
    /// The entry spans of the invocations that caused it.
    pub causes: Vec<SpanLabel>,
    /// Laps of its deepest path.
    pub depth: u32,
    /// True when it belongs to a runaway chain.
    pub is_runaway: bool,
    /// True when its spans stand in the files; others were lost or not sampled.
    pub is_seen: bool,
}

/// Names a span.
#[derive(Debug, Serialize)]
pub struct SpanLabel {
    /// Its trace.
    pub trace_id: String,
    /// Its id.
    pub span_id: String,
}

impl Labels {
    /// Writes down what is true.
    pub fn new(plan: &Plan, truth: &Truth) -> Self {
        let verdict = |verdict| match verdict {
            Verdict::Runaway => "runaway",
            Verdict::Bounded => "bounded",
            Verdict::Control => "control",
        };
        let loops = truth.loops.iter().map(|found| LoopLabel {
            name: found.name.clone(),
            class: found.class.word(),
            verdict: verdict(found.class.verdict()),
            functions: found.functions.clone(),
            t0_unix_nanos: found.t0,
            r: Some(found.r).filter(|r| r.is_finite()),
            invocations: found.all.invocations,
            runaway_invocations: found.runaway.invocations,
            runaway_dollars: found.runaway.dollars,
            depth: found.all.depth,
            deepening: found.deepening.clone(),
        });
        let span =
            |entry: &EntryTruth| SpanLabel { trace_id: entry.trace_id.to_string(), span_id: entry.span_id.to_string() };
        let entries = truth.entries.iter().map(|entry| EntryLabel {
            trace_id: entry.trace_id.to_string(),
            span_id: entry.span_id.to_string(),
            function: plan.scenarios[entry.scenario].function(entry.node),
            causes: entry.parents.iter().map(|parent| span(&truth.entries[*parent])).collect(),
            depth: entry.depth,
            is_runaway: entry.is_runaway,
            is_seen: entry.is_seen,
        });
        Self { seed: plan.seed, loops: loops.collect(), entries: entries.collect() }
    }
}
