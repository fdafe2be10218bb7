//! An incident: one thing that goes wrong, as people are told of it, with all loops that show it.
//!
//! Pure values and rules: which loops belong together, and when people are told again. Who steps through the loops is
//! `machine.rs`, who keeps incidents is `store/incidents.rs`.

use std::{sync::Arc, time::Duration};

use loopscope_analyzer::{
    snapshot::{Loop, LoopClass, LoopId, NodeId, Severity},
    span::{ArrivalTime, EventTime},
};

/// Most loops that are listed for one incident; further ones that belong to it open none of their own either.
pub const MAX_LOOPS: usize = 16;

/// Part of the functions of two loops together that they share, from which on they are one incident. A judgement:
/// loops that share less have different places to be cut.
const SHARED: f64 = 0.5;

/// People are told again of an incident that goes on for this long after they were told last.
pub const AGAIN_AFTER: Duration = Duration::from_secs(4 * 3_600);

/// People are told again when the next 24 hours cost so many times what they were told last.
const COST_FACTOR: f64 = 10.0;

/// Costs below this count as this much, in the currency of the prices: ten times nearly nothing is no news.
const COST_FLOOR: f64 = 1.0;

/// One incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// The same from the opening to the end, and when it begins again soon after.
    pub id: String,
    /// Its loops, the one that opened it first; at least one, and no more than [`MAX_LOOPS`].
    pub loops: Vec<Member>,
    /// The highest severity that was told since it began, or began again.
    pub severity: Severity,
    /// When it was opened.
    pub opened_at: ArrivalTime,
    /// When it was resolved; `None` while it is open.
    pub closed_at: Option<ArrivalTime>,
    /// How often it began again after it had been resolved.
    pub reopened: u32,
    /// What people know.
    pub told: Told,
}

/// A loop of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The loop.
    pub id: LoopId,
    /// Its functions, ordered by id, each once.
    pub functions: Arc<[NodeId]>,
    /// Names of its functions, along the cycle.
    pub names: Arc<[Arc<str>]>,
    /// When its last known lap began.
    pub last_lap: EventTime,
    /// The most laps that it was known to have.
    pub laps: u64,
    /// True when it broke a bound that was declared for it, and people know.
    pub broke_bound: bool,
}

/// What people were told of an incident.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// When the last message was written.
    pub at: ArrivalTime,
    /// True when the last message said that the laps multiply.
    pub multiplies: bool,
    /// What the last message said that the next 24 hours cost, in the currency of the prices.
    pub next_24h: f64,
    /// Messages so far.
    pub messages: u32,
}

/// Why people are told of an open incident again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Because {
    /// A loop of it broke a bound that was declared for it.
    BrokenBound,
    /// Its severity has risen.
    Severity,
    /// Its laps multiply now.
    Growing,
    /// It costs ten times as much as they know.
    Cost,
    /// It goes on, and they were told long ago.
    StillOpen,
}

impl Because {
    /// The lower-case word of the messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::BrokenBound => "broken_bound",
            Self::Severity => "severity",
            Self::Growing => "growing",
            Self::Cost => "cost",
            Self::StillOpen => "still_open",
        }
    }
}

impl Incident {
    /// True until it is resolved.
    pub fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }

    /// The loop with this id; `None` when it is not listed.
    pub fn member_mut(&mut self, id: LoopId) -> Option<&mut Member> {
        self.loops.iter_mut().find(|member| member.id == id)
    }

    /// True when a loop is another sight of this incident: it shares at least half of the functions with one of its
    /// loops. Cycles that share a function are in one strongly connected component, so that needs no look at the graph.
    pub fn includes(&self, functions: &[NodeId]) -> bool {
        self.loops.iter().any(|member| shared(&member.functions, functions) >= SHARED)
    }

    /// Why people have to be told of it again; empty when they know.
    pub fn why_again(&self, now: ArrivalTime, severity: Severity, sight: &Told) -> Vec<Because> {
        let waited = u128::from(now.0.saturating_sub(self.told.at.0));
        [
            (Because::Severity, severity > self.severity),
            (Because::Growing, sight.multiplies && !self.told.multiplies),
            (Because::Cost, sight.next_24h >= COST_FACTOR * self.told.next_24h.max(COST_FLOOR)),
            (Because::StillOpen, waited >= AGAIN_AFTER.as_nanos()),
        ]
        .into_iter()
        .filter_map(|(because, is_so)| is_so.then_some(because))
        .collect()
    }
}

impl Member {
    /// What an incident remembers of a loop.
    pub fn new(found: &Loop) -> Self {
        Self::of(found.id, found.functions.clone(), found.names.clone(), found.last_seen, found.laps)
    }

    /// The same from its parts; the functions may come in any order.
    pub fn of(id: LoopId, functions: Vec<NodeId>, names: Vec<Arc<str>>, last_lap: EventTime, laps: u64) -> Self {
        Self { id, functions: ordered(functions).into(), names: names.into(), last_lap, laps, broke_bound: false }
    }

    /// Takes in how far the loop has come; a replay may show less than is known.
    pub fn follow(&mut self, found: &Loop) {
        self.last_lap = self.last_lap.max(found.last_seen);
        self.laps = self.laps.max(found.laps);
    }

    /// True when the loop has come less far than is known: a replay shows its past.
    pub fn knows_more_than(&self, found: &Loop) -> bool {
        found.last_seen < self.last_lap && found.laps < self.laps
    }

    /// True when the loop has come further than is known.
    pub fn is_behind(&self, found: &Loop) -> bool {
        found.last_seen > self.last_lap || found.laps > self.laps
    }
}

/// Functions as incidents compare them: ordered by id, each once.
pub fn ordered(mut functions: Vec<NodeId>) -> Vec<NodeId> {
    functions.sort_unstable();
    functions.dedup();
    functions
}

/// True for a finding that is a cycle. Storms, work without progress and telemetry are none: what they share with
/// others is a function, and no way round.
pub fn is_cycle(found: &Loop) -> bool {
    use LoopClass::{NoProgress, RetryStorm, Telemetry};
    !found.classes.iter().any(|class| matches!(class, NoProgress | RetryStorm | Telemetry))
}

/// Jaccard's index of two ordered lists: what they share of what they have together, 0 to 1.
fn shared(one: &[NodeId], other: &[NodeId]) -> f64 {
    let both = one.iter().filter(|id| other.binary_search(id).is_ok()).count();
    let all = one.len() + other.len() - both;
    if all == 0 { 0.0 } else { both as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use loopscope_analyzer::snapshot::LoopState;

    use super::*;
    use crate::alert::machine::tests::{found, second};

    const HOUR: u64 = 3_600;

    fn nodes(ids: &[u64]) -> Vec<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    fn incident(loops: &[&[u64]]) -> Incident {
        let member = |functions: &&[u64]| {
            let it = Loop { functions: nodes(functions), ..found(1, LoopState::Growing, Severity::Warning, 18) };
            Member::new(&it)
        };
        Incident {
            id: "inc_1".into(),
            loops: loops.iter().map(member).collect(),
            severity: Severity::Warning,
            opened_at: second(0),
            closed_at: None,
            reopened: 0,
            told: Told { at: second(0), multiplies: false, next_24h: 0.3, messages: 1 },
        }
    }

    #[test]
    fn loops_that_share_half_of_their_functions_are_one_incident() {
        let it = incident(&[&[3, 1], &[1, 2, 3, 4]]);
        for (functions, is_one) in [
            (&[1][..], true),
            (&[2], false),
            (&[2, 4], true),
            (&[1, 2, 5], false),
            (&[1, 2, 3, 4, 5, 6, 7, 8], true),
            (&[1, 2, 3, 4, 5, 6, 7, 8, 9], false),
            (&[], false),
        ] {
            assert_eq!(it.includes(&nodes(functions)), is_one, "{functions:?}");
        }
    }

    #[track_caller]
    fn check(at: u64, severity: Severity, multiplies: bool, next_24h: f64, expected: &[Because]) {
        let sight = Told { at: second(at), multiplies, next_24h, messages: 0 };
        assert_eq!(incident(&[&[1]]).why_again(second(at), severity, &sight), expected);
    }

    #[test]
    fn people_are_told_again_of_what_they_do_not_know() {
        check(4 * HOUR - 1, Severity::Warning, false, 9.99, &[]);
        check(1, Severity::Critical, false, 0.0, &[Because::Severity]);
        check(1, Severity::Info, true, 0.0, &[Because::Growing]);
        check(1, Severity::Warning, false, 10.0, &[Because::Cost]);
        check(4 * HOUR, Severity::Warning, false, 0.0, &[Because::StillOpen]);
        check(
            4 * HOUR,
            Severity::Critical,
            true,
            99.0,
            &[Because::Severity, Because::Growing, Because::Cost, Because::StillOpen],
        );
    }

    #[test]
    fn costs_are_held_against_what_was_told_last() {
        let mut it = incident(&[&[1]]);
        it.told.next_24h = 12.0;
        let sight = |next_24h| Told { at: second(1), multiplies: false, next_24h, messages: 0 };
        assert_eq!(it.why_again(second(1), Severity::Warning, &sight(119.0)), []);
        assert_eq!(it.why_again(second(1), Severity::Warning, &sight(120.0)), [Because::Cost]);
    }
}
