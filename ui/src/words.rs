//! What a finding means, in sentences: the same words on the map, in the lists and in details.
//!
//! Pure text from the messages of the schema; how it is shown is up to the pages. `words/loops.rs` says what a loop does,
//! `words/judgement.rs` what the detectors make of it and why, `words/money.rs` what it costs, `words/sampled.rs` what
//! sampling hides, `words/chain.rs` how a chain went and what is declared of it, `words/incidents.rs` what became of an
//! incident, `words/hotspots.rs`, `words/functions.rs`, `words/cost.rs`, `words/patterns.rs` and `words/changes.rs` what the
//! pages of these names say.

pub mod changes;
pub mod cost;
pub mod functions;
pub mod hotspots;
pub mod patterns;

mod chain;
mod incidents;
mod judgement;
mod loops;
mod money;
mod sampled;

use loopscope_proto::v1::{Severity, Status, TimeRange};

use crate::client::Link;
use crate::format;
pub use chain::*;
pub use incidents::*;
pub use judgement::*;
pub use loops::*;
pub use money::*;
pub use sampled::{sampled, sampled_laps};

/// The glyph that doubles the colour of a severity.
pub fn severity_glyph(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "◆",
        Severity::Warning => "▲",
        Severity::Info => "●",
    }
}

/// How fresh the data is: a word for the style sheet, and what the pill says.
pub fn freshness(link: Link, paused: bool, waiting: u32, age_ms: f64, stale: bool) -> (&'static str, String) {
    match (link, paused) {
        (Link::Connecting, _) => ("connecting", "Connecting".into()),
        (Link::Lost, _) => ("lost", format!("Reconnecting · data {} old", format::age(age_ms))),
        (Link::Open, true) => ("paused", format!("Paused · {} waiting", format::count(u64::from(waiting)))),
        (Link::Open, false) if stale => ("lost", format!("Silent · data {} old", format::age(age_ms))),
        (Link::Open, false) => ("live", format!("Live · {}", format::age(age_ms))),
    }
}

/// A range of time, and how much of it was seen.
pub fn time_range(range: &TimeRange) -> String {
    let (from, to) = (format::moment(range.from.as_ref()), format::moment(range.to.as_ref()));
    let seconds = |time: &Option<prost_types::Timestamp>| time.as_ref().map_or(0.0, |time| time.seconds as f64);
    let length = seconds(&range.to) - seconds(&range.from);
    let seen = if range.seen_seconds + 90.0 < length {
        format!(", of which {} were seen", format::duration(range.seen_seconds * 1000.0))
    } else {
        String::new()
    };
    format!("{} – {to}{seen}", from.trim_end_matches(" UTC"))
}

/// How many nodes lie outside of the picture.
pub fn out_of_view(count: usize) -> String {
    format!("{count} out of view · show all")
}

/// What was let go or turned away because of a bound, each with a name; only what has happened.
pub fn losses(status: &Status) -> Vec<(&'static str, u64)> {
    let all = [
        ("index records, too many", status.index_evictions),
        ("functions folded into other", status.functions_overflowed),
        ("edges, too many", status.edges_overflowed),
        ("loops, too many", status.loops_overflowed),
        ("links beyond the bound", status.links_dropped),
        ("keys of causes, too many", status.continuations_dropped),
        ("paths with too many functions", status.paths_trimmed),
        ("laps too long to follow", status.look_backs_cut),
        ("openings of late chains, too many", status.openings_dropped),
        ("loops of late chains, too many", status.fragment_laps_dropped),
        ("entities not watched", status.entities_dropped),
        ("spans sampled too thinly", status.sampling_clipped),
        ("exceptions in logs without their span", status.exceptions_unmatched),
        (
            "exceptions in logs without their run",
            status.exceptions_without_span.saturating_sub(status.exceptions_joined),
        ),
        ("traces measured early", status.traces_cut),
        ("spans of large traces", status.trace_spans_dropped),
        ("clock offsets forgotten", status.clock_offsets_dropped),
        ("pipelines cut off", status.pipelines_dropped),
        ("root operations, too many", status.roots_overflowed),
        ("sampled traces, too many", status.profiles_overflowed),
        ("spans with mended times", status.spans_mended),
        ("invocations without their parent", status.orphans),
        ("rings of parents", status.parent_rings),
        ("journal segments expired", status.journal_segments_expired),
        ("batches gone unanalysed", status.batches_skipped),
        ("writes that failed", status.journal_failures),
        ("engine states not written", status.engine_states_failed),
        ("alerts given up", status.webhooks_failed),
        ("loops nobody was told of", status.incidents_suppressed),
        ("log records refused", status.log_records_rejected),
        ("metric points refused", status.data_points_rejected),
        ("requests too large", status.requests_too_large),
        ("requests too slow", status.requests_timed_out),
        ("connections too slow", status.connections_timed_out),
        ("times the door was full", status.connections_full),
        ("JSON values nested too deep", status.values_cut),
        ("attributes beyond the bound", status.attributes_dropped),
        ("texts cut", status.texts_cut),
        ("metric streams, too many", status.metric_streams_dropped),
        ("pages too slow", status.live_resyncs),
        ("pages turned away", status.live_refused),
        ("questions turned away", status.api_busy),
    ];
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// What is wrong with the input, by the word of an anomaly: its name, and what follows from it.
pub fn anomaly(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "parent_ring" => (
            "Parents that form a ring",
            "Each span names another of the ring as its parent, so none can be first; they are taken as roots.",
        ),
        "broken_clock" => (
            "Times that cannot be",
            "Ends before starts, starts in the future, or runs of a month; the times were mended.",
        ),
        "orphan" => (
            "Spans without their parent",
            "The parent was named and never came, so what caused them is not known: a sampler or a lost export.",
        ),
        "duplicate" => {
            ("Spans seen before", "The same span came again, as exporters do after a timeout; it was counted once.")
        }
        "child_before_parent" => (
            "Children that begin before their parents",
            "The clocks of two machines differ; gaps between the two are not to be trusted.",
        ),
        _ => ("Something else", "This page does not know the word; the API does."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pill_never_calls_old_data_live() {
        assert_eq!(freshness(Link::Open, false, 0, 2_400.0, false), ("live", "Live · 2 s".into()));
        assert_eq!(freshness(Link::Open, true, 41, 2_400.0, false), ("paused", "Paused · 41 waiting".into()));
        assert_eq!(freshness(Link::Lost, false, 0, 14_000.0, true), ("lost", "Reconnecting · data 14 s old".into()));
        assert_eq!(freshness(Link::Open, false, 0, 14_000.0, true).0, "lost");
    }

    #[test]
    fn every_anomaly_of_the_schema_has_words() {
        for kind in ["parent_ring", "broken_clock", "orphan", "duplicate", "child_before_parent"] {
            assert_ne!(anomaly(kind), anomaly("?"), "{kind}");
        }
    }

    #[test]
    fn a_range_says_what_of_it_was_seen() {
        let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let mut range = TimeRange { from: time(1_795_402_800), to: time(1_795_406_400), seen_seconds: 3_600.0 };
        assert_eq!(time_range(&range), "2026-11-23 03:00:00 – 2026-11-23 04:00:00 UTC");
        range.seen_seconds = 600.0;
        assert!(time_range(&range).ends_with("UTC, of which 10 m were seen"));
    }
}
