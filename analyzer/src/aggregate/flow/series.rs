//! Counts of one function and of the place that delivers to it, over time.

use std::{collections::BTreeMap, time::Duration};

use smallvec::SmallVec;

use crate::{
    record::{FlowCounts, FlowKey},
    snapshot::NodeId,
    span::ArrivalTime,
    state::state,
};

/// After this time a count weighs a third in what is said of the last minutes.
const WINDOW: Duration = Duration::from_secs(120);

/// All series by function and place.
pub(super) type AllSeries = BTreeMap<FlowKey, FlowSeries>;

/// Counts of one function and one place over time.
pub(in crate::aggregate) struct FlowSeries {
    /// All of them.
    pub(super) total: FlowCounts,
    /// Those of the last minutes.
    pub(super) recent: Recent,
    first: ArrivalTime,
}

/// Counts that fade.
pub(super) struct Recent {
    pub(super) at: ArrivalTime,
    /// Those that were kept; all others are of those that these stand for.
    kept: f64,
    invocations: f64,
    messages: f64,
    sent: SmallVec<[(NodeId, f64); 1]>,
}

/// The series of a function.
pub(super) fn of(series: &AllSeries, function: NodeId) -> impl Iterator<Item = (&FlowKey, &FlowSeries)> {
    let range = FlowKey { function, via: NodeId(0) }..=FlowKey { function, via: NodeId(u64::MAX) };
    series.range(range)
}

impl FlowSeries {
    pub(super) fn new(now: ArrivalTime) -> Self {
        let recent = Recent { at: now, kept: 0.0, invocations: 0.0, messages: 0.0, sent: SmallVec::new() };
        Self { total: FlowCounts::default(), recent, first: now }
    }

    /// Adds what a shard has counted; how many places there are too many of.
    pub(super) fn add(&mut self, now: ArrivalTime, delta: &FlowCounts) -> u64 {
        let dropped = self.total.merge(delta);
        let counted = delta.outlets.iter().filter(|outlet| self.total.outlet(outlet.over).is_some());
        let sent = counted.map(|outlet| (outlet.over, outlet.sent));
        self.recent.add(now, delta.kept as f64, delta.invocations, delta.messages, sent);
        dropped
    }

    /// Takes over what was counted under another id.
    pub(super) fn absorb(&mut self, other: Self) {
        self.total.merge(&other.total);
        let mut other_recent = other.recent;
        self.recent.fade(other_recent.at);
        other_recent.fade(self.recent.at);
        let Recent { at, kept, invocations, messages, sent } = other_recent;
        self.recent.add(at, kept, invocations, messages, sent.into_iter());
        self.first = self.first.min(other.first);
    }

    /// Places turned out to be others.
    pub(super) fn rename(&mut self, own: impl Fn(NodeId) -> NodeId) {
        self.total = self.total.renamed(&own);
        let sent: Vec<_> = self.recent.sent.drain(..).map(|(over, sent)| (own(over), sent)).collect();
        self.recent.add(self.recent.at, 0.0, 0.0, 0.0, sent.into_iter());
    }

    /// True when all of it came in the last minutes.
    pub(super) fn is_young(&self, now: ArrivalTime) -> bool {
        now.since(self.first) < WINDOW
    }

    /// The time that the counts of the last minutes stand for, minutes.
    pub(super) fn minutes(&self, now: ArrivalTime) -> f64 {
        let window = WINDOW.as_secs_f64();
        let age = now.since(self.first).as_secs_f64().max(1.0);
        window * (1.0 - (-age / window).exp()) / 60.0
    }
}

impl Recent {
    fn add(
        &mut self,
        now: ArrivalTime,
        kept: f64,
        invocations: f64,
        messages: f64,
        sent: impl Iterator<Item = (NodeId, f64)>,
    ) {
        self.fade(now);
        self.kept += kept;
        self.invocations += invocations;
        self.messages += messages;
        for (over, sent) in sent {
            match self.sent.iter_mut().find(|(known, _)| *known == over) {
                Some((_, known)) => *known += sent,
                None => self.sent.push((over, sent)),
            }
        }
    }

    fn fade(&mut self, now: ArrivalTime) {
        let left = self.left(now);
        self.kept *= left;
        self.invocations *= left;
        self.messages *= left;
        self.sent.iter_mut().for_each(|(_, sent)| *sent *= left);
        self.at = self.at.max(now);
    }

    /// Invocations that were kept.
    pub(super) fn kept(&self, now: ArrivalTime) -> f64 {
        self.kept * self.left(now)
    }

    /// Invocations.
    pub(super) fn invocations(&self, now: ArrivalTime) -> f64 {
        self.invocations * self.left(now)
    }

    /// Messages that they handled.
    pub(super) fn messages(&self, now: ArrivalTime) -> f64 {
        self.messages * self.left(now)
    }

    /// Messages that an invocation handles.
    pub(super) fn batch(&self) -> f64 {
        (self.messages / self.invocations.max(f64::MIN_POSITIVE)).max(1.0)
    }

    /// What was sent, by place.
    pub(super) fn sent(&self, now: ArrivalTime) -> impl Iterator<Item = (NodeId, f64)> {
        let left = self.left(now);
        self.sent.iter().map(move |(over, sent)| (*over, sent * left))
    }

    /// Messages and calls to a place that an invocation makes.
    pub(super) fn sent_each(&self, over: NodeId) -> f64 {
        let sent = self.sent.iter().find(|(known, _)| *known == over).map_or(0.0, |(_, sent)| *sent);
        sent / self.invocations.max(f64::MIN_POSITIVE)
    }

    /// What is left of it by now.
    fn left(&self, now: ArrivalTime) -> f64 {
        (-now.since(self.at).as_secs_f64() / WINDOW.as_secs_f64()).exp()
    }
}

state!(FlowSeries { total, recent, first });
state!(Recent { at, kept, invocations, messages, sent });
