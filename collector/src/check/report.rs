//! What was found, and which of the loops are tolerated.

use std::collections::{BTreeMap, BTreeSet};

use loopscope_analyzer::{
    snapshot::{Loop, LoopState, Snapshot},
    span::{EventTime, Span, TraceId},
};
use loopscope_proto::v1;

use super::Verdict;
use crate::{intended::file::Intended, view::View};

/// All that a check has to say.
pub(super) struct Report<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) size: Size,
    /// One for each loop of the snapshot, in its order.
    pub(super) judgements: Vec<Judgement<'a>>,
    /// Laps of one chain that are tolerated where nothing else is said.
    pub(super) max_depth: u32,
}

/// How much there was to check.
pub(super) struct Size {
    /// Files, and standard input.
    pub(super) sources: usize,
    pub(super) spans: usize,
    pub(super) traces: usize,
    /// When the first span began.
    pub(super) first: Option<EventTime>,
    /// When the last span began.
    pub(super) last: Option<EventTime>,
}

/// What is made of a loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Judgement<'a> {
    /// No chain went round it.
    Latent,
    /// Operations that begin again together with a function, whose own loop is judged.
    Covered,
    /// Something that is no loop and is worth knowing, such as a retry storm.
    Finding,
    /// No deeper than is tolerated of any.
    Tolerated,
    /// Intended, and no deeper than it may be.
    Intended(&'a Intended),
    /// Deeper than is tolerated.
    Failing,
    /// Intended, and deeper than it may be.
    BeyondIntended(&'a Intended),
    /// Deeper than is tolerated, and intended no more.
    Expired(&'a Intended),
}

impl Size {
    pub(super) fn of(spans: &[Span], sources: usize) -> Self {
        let traces: BTreeSet<TraceId> = spans.iter().map(|span| span.trace_id).collect();
        let starts = || spans.iter().map(|span| span.start).filter(|start| start.0 != 0);
        Self { sources, spans: spans.len(), traces: traces.len(), first: starts().min(), last: starts().max() }
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        size: Size,
        max_depth: u32,
        intended: &'a [Intended],
        now_unix_nanos: u64,
    ) -> Self {
        let now = i64::try_from(now_unix_nanos / 1_000_000_000).unwrap_or(i64::MAX);
        let judgements = snapshot.loops.iter().map(|found| judge(found, max_depth, intended, now)).collect();
        Self { snapshot, size, judgements, max_depth }
    }

    pub(super) fn verdict(&self) -> Verdict {
        if self.judgements.iter().any(|judgement| judgement.fails()) { Verdict::Loops } else { Verdict::Clean }
    }

    /// The report as a message of the API.
    pub(super) fn message(&self) -> v1::CheckReport {
        let view = View::build(self.snapshot, &BTreeMap::new());
        let failing = self.judgements.iter().zip(&view.loops).filter(|(judgement, _)| judgement.fails());
        v1::CheckReport {
            failing_loop_ids: failing.map(|(_, found)| found.id.clone()).collect(),
            graph: Some(view.graph),
            loops: view.loops,
            hotspots: view.hotspots.hotspots,
            anomalies: view.anomalies,
        }
    }
}

impl Judgement<'_> {
    pub(super) fn fails(self) -> bool {
        matches!(self, Self::Failing | Self::BeyondIntended(_) | Self::Expired(_))
    }
}

fn judge<'a>(found: &Loop, max_depth: u32, intended: &'a [Intended], now: i64) -> Judgement<'a> {
    if found.state == LoopState::Latent {
        return Judgement::Latent;
    }
    if found.is_covered {
        return Judgement::Covered;
    }
    if found.max_depth == 0 {
        return Judgement::Finding;
    }
    // Of several entries the most generous one counts.
    let about = || intended.iter().filter(|entry| entry.is_about(found));
    let valid = about().filter(|entry| !entry.is_expired(now)).max_by_key(|entry| entry.max_depth);
    match valid {
        Some(entry) if found.max_depth <= entry.max_depth => Judgement::Intended(entry),
        Some(entry) => Judgement::BeyondIntended(entry),
        None if found.max_depth <= max_depth => Judgement::Tolerated,
        None => about().next().map_or(Judgement::Failing, Judgement::Expired),
    }
}

#[cfg(test)]
mod tests {
    use loopscope_analyzer::snapshot::Severity;

    use super::*;
    use crate::{alert::machine::tests::found, intended::file};

    #[test]
    fn a_bound_of_its_own_counts_before_that_of_all() {
        let intended = file::parse(
            "f",
            "[[loop]]\nfunctions = ['thumbnail']\nmax_depth = 5\n[[loop]]\nfunctions = ['thumbnail']\nmax_depth = 3\n\
             [[loop]]\nid = '00000000000000000000000000000002'\nmax_depth = 9\nexpires = 1999-01-01",
        )
        .unwrap();
        let depth = |id: u128, laps: u64| found(id, LoopState::Growing, Severity::Info, laps);
        let judge = |found: &Loop, max_depth: u32, some: &'static [usize]| {
            let some: Vec<Intended> = some.iter().map(|place| intended[*place].clone()).collect();
            let judgement = super::judge(found, max_depth, &some, 1_800_000_000);
            (judgement.fails(), format!("{judgement:?}").chars().take_while(|c| c.is_alphabetic()).collect::<String>())
        };
        assert_eq!(judge(&depth(1, 5), 0, &[0, 1]), (false, "Intended".to_owned()));
        assert_eq!(judge(&depth(1, 6), 9, &[0, 1]), (true, "BeyondIntended".to_owned()));
        assert_eq!(judge(&depth(2, 6), 0, &[2]), (true, "Expired".to_owned()));
        assert_eq!(judge(&depth(2, 6), 6, &[2]), (false, "Tolerated".to_owned()));
        assert_eq!(judge(&depth(1, 6), 5, &[]), (true, "Failing".to_owned()));
        assert_eq!(judge(&depth(1, 0), 0, &[]), (false, "Finding".to_owned()));
        let covered = Loop { is_covered: true, ..depth(1, 6) };
        assert_eq!(judge(&covered, 0, &[]), (false, "Covered".to_owned()));
        let latent = found(1, LoopState::Latent, Severity::Info, 0);
        assert_eq!(judge(&latent, 0, &[]), (false, "Latent".to_owned()));
    }
}
