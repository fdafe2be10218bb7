//! One cycle among the counts: what is new of it, whether that is an alarm, and how it is told.

use std::{collections::BTreeSet, time::Duration};

use super::{series::AllSeries, strength::Strengths};
use crate::{
    detect::{
        flow::{Flood, Going},
        reentry, reproduction,
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
    /// One for each function.
    hops: Vec<Hop>,
    /// Functions of all cycles that share some with this one.
    pub(super) component: Vec<NodeId>,
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

/// From one function of a cycle to the next.
#[derive(Clone, Copy)]
struct Hop {
    /// The function, and what delivers to it.
    from: FlowKey,
    /// What carries to the next.
    over: NodeId,
    seen: Seen,
}

/// Invocations of one function of a cycle by what came of them, as they were counted before.
#[derive(Clone, Copy, Default)]
struct Seen {
    began: u64,
    went_on: f64,
    ended: f64,
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
            hops: Vec::new(),
            component: Vec::new(),
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

    /// True while it is an alarm, and so long after that everybody learns that it is none any more.
    pub(super) fn is_told(&self, now: ArrivalTime) -> bool {
        now < self.open_until.after(reentry::loop_quiet(0.0)) && self.open_until > ArrivalTime(0)
    }

    /// The loop was an alarm a short time ago, and is none any more: whoever was told of it has to learn that.
    pub(super) fn close(found: &mut Loop) {
        if found.state == LoopState::Latent {
            found.state = LoopState::Closed;
            found.classes.retain(|class| *class != LoopClass::Latent);
            if found.functions.len() == 1 {
                found.classes.push(LoopClass::Itself);
            }
        }
    }

    /// How it behaves, as far as counts tell.
    pub(super) fn state(&self, now: ArrivalTime) -> LoopState {
        reentry::state(now, self.last, 0.0, self.flow.as_ref().map(|flow| flow.reproduction))
    }

    /// What carries from this function to the next, as far as that was looked at.
    pub(super) fn place_from(&self, function: NodeId) -> Option<NodeId> {
        self.hops.iter().find(|hop| hop.from.function == function).map(|hop| hop.over)
    }

    /// These places carry from each of its functions to the next.
    ///
    /// Of a way that is new to the cycle only what came in the last minutes is news: its whole past came at another
    /// time, and may have had nothing to do with the cycle. Of a capture, `is_capture`, nobody has looked at the past.
    pub(super) fn lead(
        &mut self,
        now: ArrivalTime,
        places: &[NodeId],
        all: &AllSeries,
        is_capture: bool,
        kind: impl Fn(NodeId) -> Option<ResourceKind>,
    ) {
        let before = places.iter().cycle().skip(places.len().saturating_sub(1));
        let ways = self.functions.iter().zip(before).zip(places);
        let hop = |((function, via), over): ((&NodeId, &NodeId), &NodeId)| {
            let from = FlowKey { function: *function, via: *via };
            let known = self.hops.iter().find(|hop| (hop.from, hop.over) == (from, *over));
            let is_young = || is_capture || all.get(&from).is_none_or(|series| series.is_young(now));
            let seen = || if is_young() { Seen::default() } else { Seen::of(from, *over, all) };
            Hop { from, over: *over, seen: known.map_or_else(seen, |hop| hop.seen) }
        };
        self.hops = ways.map(hop).collect();
        let is_plain = |key: FlowKey| key.via == key.function || kind(key.via) == Some(ResourceKind::Queue);
        let is_sure = self.keys().all(is_plain);
        self.is_sure = is_sure;
    }

    /// Nodes turned out to be others; counts of both were added up since.
    pub(super) fn rename(&mut self, own: impl Fn(NodeId) -> NodeId, all: &AllSeries) {
        self.functions.iter_mut().for_each(|function| *function = own(*function));
        self.functions.dedup();
        if self.functions.len() > 1 && self.functions.first() == self.functions.last() {
            self.functions.pop();
        }
        for hop in &mut self.hops {
            hop.from = FlowKey { function: own(hop.from.function), via: own(hop.from.via) };
            hop.over = own(hop.over);
            hop.seen = Seen::of(hop.from, hop.over, all);
        }
    }

    /// Looks at what is new of it.
    pub(super) fn watch(&mut self, now: ArrivalTime, hold: Duration, strengths: &mut Strengths<'_>, is_expected: bool) {
        let all = strengths.all();
        let news = self.count(all);
        if news.began > 0.0 {
            self.last = now;
        }
        if now.since(self.last) < reentry::chain_quiet(0.0) {
            self.flow = strengths.flow(self);
        } else if now.since(self.last) >= reentry::loop_quiet(0.0) && now >= self.open_until {
            (self.flow, self.is_own) = (None, false);
        }
        if let Some(flow) = &self.flow {
            self.is_own = flow.reproduction.mean > ITSELF;
        }
        let r = self.flow.as_ref().map(|flow| flow.reproduction);
        // Where most of what is sent goes to functions outside, ends are theirs, and nobody counts them here.
        let dies = reproduction::state(r) == LoopState::Dying;
        let goes_on = self.going.step(news.went_on, news.ended, is_expected) && news.went_on > 0.0 && !dies;
        let floods = self.flood.step(news.began, news.ended, r);
        if goes_on || floods {
            self.open_until = now.after(hold);
        }
    }

    /// Its functions, each with what delivers to it.
    pub(super) fn keys(&self) -> impl Iterator<Item = FlowKey> + Clone {
        self.hops.iter().map(|hop| hop.from)
    }

    /// What was counted since this was asked last.
    fn count(&mut self, all: &AllSeries) -> News {
        let mut news = News { began: 0.0, went_on: 0.0, ended: 0.0 };
        for hop in &mut self.hops {
            let now = Seen::of(hop.from, hop.over, all);
            // Counts that were let go begin anew.
            let before = if now.began < hop.seen.began { Seen::default() } else { hop.seen };
            news.began += (now.began - before.began) as f64;
            news.went_on += (now.went_on - before.went_on).max(0.0);
            news.ended += (now.ended - before.ended).max(0.0);
            hop.seen = now;
        }
        let each = self.hops.len().max(1) as f64;
        News { began: news.began / each, went_on: news.went_on / each, ended: news.ended }
    }
}

impl Seen {
    /// What has been counted so far.
    fn of(from: FlowKey, over: NodeId, all: &AllSeries) -> Self {
        let Some(series) = all.get(&from) else { return Self::default() };
        let began = series.total.kept;
        let (went_on, more) = series.total.outlet(over).map_or((0.0, 0), |outlet| (outlet.once, outlet.more));
        Self { began, went_on, ended: (began.saturating_sub(more) as f64 - went_on).max(0.0) }
    }
}

state!(Seen { began, went_on, ended });
state!(Hop { from, over, seen });
state!(FlowCycle { functions, hops, component, going, flood, open_until, is_sure, flow, last, is_own });
