//! One cycle among the counts: what is new of it, whether that is an alarm, and how it is told.

use std::{collections::BTreeSet, time::Duration};

use super::{
    series::AllSeries,
    strength::{self, Places},
};
use crate::{
    detect::{
        flow::{Flood, Going},
        reentry,
    },
    record::FlowKey,
    snapshot::{Assessment, Flow, Loop, LoopClass, LoopState, NodeId, Reason, ResourceKind, Severity},
    span::ArrivalTime,
    state::state,
};

/// Above this R the invocations of a cycle are mostly its own.
const ITSELF: f64 = 0.8;

/// How sure a loop is that only counts tell: nobody knows which invocation caused which.
const CONFIDENCE: f64 = 0.8;
/// The same where a filter may stand between its functions.
const FILTERED: f64 = 0.5;

/// One cycle that is watched.
pub(in crate::aggregate) struct FlowCycle {
    /// In canonical rotation.
    pub(super) functions: Vec<NodeId>,
    /// What carries from each function to the next.
    places: Vec<NodeId>,
    /// Functions of all cycles that share some with this one.
    pub(super) component: Vec<NodeId>,
    /// By hop, what was counted before.
    seen: Vec<Seen>,
    going: Going,
    flood: Flood,
    /// What was found lasts until then.
    pub(super) open_until: ArrivalTime,
    /// True when nothing between its functions may hold back what is sent, as a filter does.
    is_sure: bool,
    pub(super) flow: Option<Flow>,
    /// When an invocation of it came last.
    last: ArrivalTime,
    /// True when most of its invocations are its own, as far as that was known last.
    pub(super) is_own: bool,
}

/// Invocations of one function of a cycle by what came of them.
#[derive(Clone, Copy, Default)]
struct Seen {
    began: u64,
    went_on: u64,
    ended: u64,
}

/// What is new of a cycle: laps that began and laps that went on, as the mean over its functions, and invocations that
/// ended.
struct News {
    began: f64,
    went_on: f64,
    ended: f64,
}

/// For each cycle the functions of all that share some with it, over any number of others.
pub(super) fn components<'a>(cycles: impl Iterator<Item = &'a [NodeId]> + Clone) -> Vec<Vec<NodeId>> {
    let mut groups: Vec<BTreeSet<NodeId>> = Vec::new();
    for cycle in cycles.clone() {
        let mut group: BTreeSet<NodeId> = cycle.iter().copied().collect();
        groups.retain(|known| {
            let is_apart = known.is_disjoint(&group);
            if !is_apart {
                group.extend(known);
            }
            is_apart
        });
        groups.push(group);
    }
    let group = |cycle: &[NodeId]| groups.iter().find(|group| cycle.first().is_some_and(|one| group.contains(one)));
    cycles.map(|cycle| group(cycle).into_iter().flatten().copied().collect()).collect()
}

impl FlowCycle {
    /// A cycle through these functions, of which nothing is known.
    pub(super) fn new(functions: Vec<NodeId>) -> Self {
        Self {
            functions,
            places: Vec::new(),
            component: Vec::new(),
            seen: Vec::new(),
            going: Going::default(),
            flood: Flood::default(),
            open_until: ArrivalTime(0),
            is_sure: false,
            flow: None,
            last: ArrivalTime(0),
            is_own: false,
        }
    }

    /// The loop is an alarm, or a suspicion where a filter may hold back what is sent.
    pub(super) fn alarm(&self, now: ArrivalTime, found: &mut Loop) {
        let state = self.state(now);
        let multiplies = state == LoopState::Growing;
        if !self.is_sure {
            found.assessment = found.assessment.max(Assessment::Suspect);
        } else {
            found.assessment = Assessment::Alarm;
            found.severity = found.severity.max(if multiplies { Severity::Critical } else { Severity::Warning });
            found.reasons.push(Reason::Flow);
        }
        if found.state != LoopState::Growing {
            found.state = if state == LoopState::Unknown { LoopState::Persistent } else { state };
        }
        if found.laps == 0 {
            found.confidence = if self.is_sure { CONFIDENCE } else { FILTERED };
        }
        found.classes.retain(|class| !matches!(class, LoopClass::Latent | LoopClass::Bounded));
        if self.functions.len() == 1 && !found.classes.contains(&LoopClass::Itself) {
            found.classes.push(LoopClass::Itself);
        }
        if multiplies && !found.classes.contains(&LoopClass::FanOut) {
            found.classes.push(LoopClass::FanOut);
        }
        found.classes.sort_unstable();
        let laps_per_minute = self.flow.as_ref().map_or(0.0, |flow| flow.laps_per_minute);
        found.laps_per_minute = found.laps_per_minute.max(laps_per_minute);
    }

    /// How it behaves, as far as counts tell.
    pub(super) fn state(&self, now: ArrivalTime) -> LoopState {
        reentry::state(now, self.last, 0.0, self.flow.as_ref().map(|flow| flow.reproduction))
    }

    /// What leads from each of its functions to the next, and which functions are entangled with it.
    pub(super) fn lead(
        &mut self,
        places: Vec<NodeId>,
        component: Vec<NodeId>,
        kind: impl Fn(NodeId) -> Option<ResourceKind>,
    ) {
        if self.places != places {
            self.seen = vec![Seen::default(); places.len()];
            self.places = places;
        }
        self.component = component;
        let is_plain = |key: FlowKey| key.via == key.function || kind(key.via) == Some(ResourceKind::Queue);
        let is_sure = self.keys().all(is_plain);
        self.is_sure = is_sure;
    }

    /// Looks at what is new of it.
    pub(super) fn watch(&mut self, now: ArrivalTime, hold: Duration, all: &AllSeries, places: &Places) {
        let news = self.count(all);
        if news.began > 0.0 {
            self.last = now;
        }
        if now.since(self.last) < reentry::chain_quiet(0.0) {
            self.flow = strength::flow(now, self, all, places);
        } else if now.since(self.last) >= reentry::loop_quiet(0.0) && now >= self.open_until {
            self.flow = None;
        }
        if let Some(flow) = &self.flow {
            self.is_own = flow.reproduction.mean > ITSELF;
        }
        let goes_on = self.going.step(news.went_on, news.ended) && news.went_on > 0.0;
        let floods = self.flood.step(news.began, news.ended, self.flow.as_ref().map(|flow| flow.reproduction));
        if goes_on || floods {
            self.open_until = now.after(hold);
        }
    }

    /// Its functions, each with what delivers to it.
    pub(super) fn keys(&self) -> impl Iterator<Item = FlowKey> + Clone {
        let before = self.places.iter().cycle().skip(self.places.len().saturating_sub(1));
        self.functions.iter().zip(before).map(|(function, via)| FlowKey { function: *function, via: *via })
    }

    /// What was counted since this was asked last.
    fn count(&mut self, all: &AllSeries) -> News {
        let hops: Vec<(FlowKey, NodeId)> = self.keys().zip(self.places.iter().copied()).collect();
        let (mut began, mut went_on, mut ended) = (0, 0, 0);
        for ((key, over), seen) in hops.iter().zip(&mut self.seen) {
            let Some(series) = all.get(key) else { continue };
            let (once, more) = series.total.outlet(*over).map_or((0, 0), |outlet| (outlet.once, outlet.more));
            let invocations = series.total.invocations;
            let now = Seen { began: invocations, went_on: once, ended: invocations.saturating_sub(once + more) };
            began += now.began.saturating_sub(seen.began);
            went_on += now.went_on.saturating_sub(seen.went_on);
            ended += now.ended.saturating_sub(seen.ended);
            *seen = now;
        }
        let each = hops.len().max(1) as f64;
        News { began: began as f64 / each, went_on: went_on as f64 / each, ended: ended as f64 }
    }
}

state!(Seen { began, went_on, ended });
state!(FlowCycle { functions, places, component, seen, going, flood, open_until, is_sure, last, is_own } else { flow });
