//! What was found, and which of the loops are tolerated.

use std::collections::{BTreeMap, BTreeSet};

use loopscope_analyzer::{
    intended::Judgement::{Broken, Expired, Within},
    snapshot::{Assessment, Loop, LoopState, Reason, Snapshot},
    span::{EventTime, Span, TraceId},
};
use loopscope_proto::v1;

use super::Verdict;
use crate::{convert, view::View};

/// All that a check has to say.
pub(super) struct Report<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) size: Size,
    /// One for each loop of the snapshot, in its order.
    pub(super) judgements: Vec<Judgement>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// No chain went round it.
    Latent,
    /// Operations that begin again together with a function, whose own loop is judged.
    Covered,
    /// Something without laps that is worth knowing and no alarm, such as a retry storm.
    Finding,
    /// No deeper than is tolerated of any.
    Tolerated,
    /// Intended, and no deeper than it may be.
    Intended,
    /// Deeper than is tolerated, or an alarm that has no depth.
    Failing,
    /// Intended, and more than it may be.
    BeyondIntended,
    /// As a failing one, and intended no more.
    Expired,
}

impl Size {
    pub(super) fn of(spans: &[Span], sources: usize) -> Self {
        let traces: BTreeSet<TraceId> = spans.iter().map(|span| span.trace_id).collect();
        let starts = || spans.iter().map(|span| span.start).filter(|start| start.0 != 0);
        Self { sources, spans: spans.len(), traces: traces.len(), first: starts().min(), last: starts().max() }
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, size: Size, max_depth: u32) -> Self {
        let judgements = snapshot.loops.iter().map(|found| judge(found, max_depth)).collect();
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
            hotspot_basis: view.hotspots.basis,
            roots: view.hotspots.roots,
            anomalies: view.anomalies,
            patterns: Some(convert::patterns(&self.snapshot.patterns)),
        }
    }
}

impl Judgement {
    pub(super) fn fails(self) -> bool {
        matches!(self, Self::Failing | Self::BeyondIntended | Self::Expired)
    }
}

/// What is intended of a loop counts before what is tolerated of any.
fn judge(found: &Loop, max_depth: u32) -> Judgement {
    if found.state == LoopState::Latent {
        return Judgement::Latent;
    }
    if found.is_covered {
        return Judgement::Covered;
    }
    if found.retry_storm.is_some() || found.max_depth == 0 && found.assessment != Assessment::Alarm {
        return Judgement::Finding;
    }
    match found.intended.as_ref().map(|intended| intended.judgement) {
        Some(Within) => Judgement::Intended,
        Some(Broken(_)) => Judgement::BeyondIntended,
        _ if !fails_without_depth(found) && found.max_depth <= max_depth => Judgement::Tolerated,
        Some(Expired) => Judgement::Expired,
        None => Judgement::Failing,
    }
}

/// True for an alarm that no depth tolerates: chains are not seen, or counts say that there is more than is seen.
pub(super) fn fails_without_depth(found: &Loop) -> bool {
    found.assessment == Assessment::Alarm && (found.max_depth == 0 || found.reasons.contains(&Reason::Flow))
}

#[cfg(test)]
mod tests {
    use loopscope_analyzer::{
        intended,
        snapshot::{LoopId, RetryStorm, Severity},
        span::ArrivalTime,
    };

    use super::*;
    use crate::{alert::machine::tests::found, intended::file};

    #[test]
    fn a_bound_of_its_own_counts_before_that_of_all() {
        let declared = file::parse(
            "f",
            "[[loop]]\nfunctions = ['thumbnail']\nmax_depth = 5\n\
             [[loop]]\nid = '00000000000000000000000000000002'\nmax_depth = 9\nexpires = 1999-01-01",
        )
        .unwrap();
        let depth = |id: u128, laps: u64| found(id, LoopState::Growing, Severity::Info, laps);
        let judge = |found: Loop, max_depth: u32, place: Option<usize>| {
            let declared: Vec<_> = place.map(|place| declared[place].clone()).into_iter().collect();
            let intended = intended::find(&declared, &found, ArrivalTime(1_800_000_000_000_000_000));
            super::judge(&Loop { intended, ..found }, max_depth)
        };
        assert_eq!(judge(depth(1, 5), 0, Some(0)), Judgement::Intended);
        assert_eq!(judge(depth(1, 6), 9, Some(0)), Judgement::BeyondIntended);
        assert_eq!(judge(depth(2, 6), 0, Some(1)), Judgement::Expired);
        assert_eq!(judge(depth(2, 6), 6, Some(1)), Judgement::Tolerated);
        assert_eq!(judge(depth(1, 6), 5, None), Judgement::Failing);
        assert_eq!(judge(depth(1, 0), 0, None), Judgement::Finding);
        assert_eq!(judge(Loop { is_covered: true, ..depth(1, 6) }, 0, None), Judgement::Covered);
        assert_eq!(judge(found(1, LoopState::Latent, Severity::Info, 0), 0, None), Judgement::Latent);
        let alarm = |laps, reason| Loop { assessment: Assessment::Alarm, reasons: vec![reason], ..depth(1, laps) };
        assert_eq!(judge(alarm(0, Reason::Flow), 99, None), Judgement::Failing, "no chain is seen");
        assert_eq!(judge(alarm(2, Reason::Flow), 99, None), Judgement::Failing, "there is more than is seen");
        assert_eq!(judge(alarm(18, Reason::Depth), 99, None), Judgement::Tolerated);
        assert_eq!(judge(alarm(0, Reason::NoProgress), 99, None), Judgement::Failing);
        assert_eq!(judge(Loop { id: LoopId(2), ..alarm(0, Reason::Flow) }, 99, Some(1)), Judgement::Expired);
        let (requests, attempts, retried, attempts_per_request, amplification) = (4, 12, 4, 3.0, 3.0);
        let storm = RetryStorm { requests, attempts, retried, over: None, attempts_per_request, amplification };
        assert_eq!(judge(Loop { retry_storm: Some(storm), ..depth(1, 0) }, 0, None), Judgement::Finding);
        assert!(Judgement::Failing.fails() && Judgement::BeyondIntended.fails() && Judgement::Expired.fails());
    }
}
