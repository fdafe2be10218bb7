//! One step of the machine: all loops as they are now come in, and what changed of incidents goes out.

use std::{collections::BTreeMap, time::Duration};

use loopscope_analyzer::{
    intended::Judgement,
    snapshot::{Loop, LoopState, NodeId, Severity},
    span::ArrivalTime,
};

use super::{AlertChange, AlertKind, AlertMachine, GONE_AFTER, MAX_OPEN, REOPEN_WITHIN, Watched, incident_id};
use crate::alert::incident::{Because, Incident, MAX_LOOPS, Member, Told, is_cycle, ordered};

/// Least severity that anybody is told of.
const ALERTING: Severity = Severity::Warning;

/// A bound that broke has to hold for this long, at the least, and for so many times of a slow lap: as long as the
/// engine holds its own alarms.
const QUIET: Duration = Duration::from_secs(15 * 60);
const QUIET_LAPS: f64 = 10.0;

/// What one step sees of an incident.
struct Sight<'a> {
    /// Place of its first loop among all that were seen.
    order: usize,
    /// How it began in this step, when it did.
    begun: Option<AlertKind>,
    has_joined: bool,
    /// The worst of its loops that are bad.
    worst: Option<&'a Loop>,
    /// A loop of it that broke a declared bound, which people do not know.
    broke: Option<&'a Loop>,
    multiplies: bool,
    next_24h: f64,
    /// A loop of it that is bad no more.
    over: Option<&'a Loop>,
    /// True when a loop of it is bad no more, and may be again at any time.
    is_held: bool,
}

/// The open incidents by the functions of their loops.
type ByFunction = BTreeMap<NodeId, Vec<u64>>;

/// What one step keeps count of.
struct Round {
    /// Open incidents.
    open: usize,
    /// Made when a loop needs it.
    by_function: Option<ByFunction>,
}

impl AlertMachine {
    /// Takes in all loops as they are now, the worst first, and says what has changed, in the order of the loops.
    ///
    /// Costs O(n log m) for n loops and m remembered incidents, and once O(m) when a loop is bad that has none.
    pub fn step(&mut self, now: ArrivalTime, loops: &[Loop]) -> Vec<AlertChange> {
        self.suppressed = 0;
        let mut round = Round { open: self.open_count(), by_function: None };
        let mut sights: BTreeMap<u64, Sight<'_>> = BTreeMap::new();
        for (order, found) in loops.iter().enumerate() {
            let Some((key, news)) = self.incident_of(now, found, &mut round) else { continue };
            let sight = sights.entry(key).or_insert_with(|| Sight::new(order));
            match news {
                Some(AlertKind::Joined) => sight.has_joined = true,
                Some(kind) => sight.begun = Some(kind),
                None => {}
            }
            if let Some(watched) = self.watched.get_mut(&key) {
                watched.see(now, found, sight);
            }
        }
        let mut changes: Vec<(usize, AlertChange)> = Vec::new();
        for (key, watched) in &mut self.watched {
            let sight = sights.remove(key);
            let order = sight.as_ref().map_or(usize::MAX, |sight| sight.order);
            let change = sight.and_then(|sight| watched.settle(now, sight));
            changes.extend(change.or_else(|| watched.resolve_if_gone(now)).map(|change| (order, change)));
        }
        self.forget_resolved();
        changes.sort_by_key(|(order, _)| *order);
        changes.into_iter().map(|(_, change)| change).collect()
    }

    /// The open incident of a loop, with what makes it one of its loops if that is new; `None` when it has none.
    fn incident_of(&mut self, now: ArrivalTime, found: &Loop, round: &mut Round) -> Option<(u64, Option<AlertKind>)> {
        let last = self.by_loop.get(&found.id).copied();
        if let Some(key) = last.filter(|key| self.is_open(*key)) {
            return Some((key, None));
        }
        if !self.is_worth_opening(found, last) {
            return None;
        }
        let by_function = round.by_function.get_or_insert_with(|| self.open_by_function());
        if let Some(key) = self.joinable(found, by_function) {
            let is_listed = self.join(key, found, by_function);
            return Some((key, is_listed.then_some(AlertKind::Joined)));
        }
        if round.open >= MAX_OPEN {
            self.suppressed += 1;
            return None;
        }
        round.open += 1;
        let (key, kind) = self.begin(now, found, last);
        list(by_function, key, &self.watched[&key].incident.loops);
        Some((key, Some(kind)))
    }

    fn is_open(&self, key: u64) -> bool {
        self.watched.get(&key).is_some_and(|watched| watched.incident.is_open())
    }

    /// True when the loop is bad now and has laps that its last incident does not know.
    fn is_worth_opening(&self, found: &Loop, last: Option<u64>) -> bool {
        let is_bad = found.severity >= ALERTING && !matches!(found.state, LoopState::Latent | LoopState::Closed);
        let members = last.and_then(|key| self.watched.get(&key)).map(|watched| &watched.incident.loops);
        let member = members.into_iter().flatten().find(|member| member.id == found.id);
        is_bad && member.is_none_or(|member| member.is_behind(found))
    }

    fn open_by_function(&self) -> ByFunction {
        let mut by_function = ByFunction::new();
        for (key, watched) in self.watched.iter().filter(|(_, watched)| watched.incident.is_open()) {
            list(&mut by_function, *key, &watched.incident.loops);
        }
        by_function
    }

    /// The oldest open incident that a loop is another sight of. One that breaks what somebody declared for it is
    /// none: its owner has to be told.
    fn joinable(&self, found: &Loop, by_function: &ByFunction) -> Option<u64> {
        if !is_cycle(found) || is_broken(found) {
            return None;
        }
        let functions = ordered(found.functions.clone());
        let near = functions.iter().filter_map(|function| by_function.get(function)).flatten();
        near.copied().filter(|key| self.watched[key].incident.includes(&functions)).min()
    }

    /// Lists a loop with an incident; false when that has too many.
    fn join(&mut self, key: u64, found: &Loop, by_function: &mut ByFunction) -> bool {
        let Some(watched) = self.watched.get_mut(&key) else { return false };
        if watched.incident.loops.len() >= MAX_LOOPS {
            return false;
        }
        let member = Member::new(found);
        list(by_function, key, std::slice::from_ref(&member));
        watched.incident.loops.push(member);
        self.by_loop.insert(found.id, key);
        true
    }

    /// Opens an incident for a loop, or the last one of it again when that was over a short while ago.
    fn begin(&mut self, now: ArrivalTime, found: &Loop, last: Option<u64>) -> (u64, AlertKind) {
        let by_loop = &self.by_loop;
        if let Some(key) = last
            && let Some(watched) = self.watched.get_mut(&key)
            && watched.incident.closed_at.is_some_and(|at| elapsed(at, now) < REOPEN_WITHIN.as_nanos())
        {
            // Its other loops may belong to a newer incident by now.
            watched.incident.loops.retain(|member| by_loop.get(&member.id) == Some(&key));
            watched.incident.loops.iter_mut().for_each(|member| member.broke_bound = false);
            watched.broken_at = None;
            watched.incident.closed_at = None;
            watched.incident.reopened += 1;
            return (key, AlertKind::Reopened);
        }
        let incident = Incident {
            id: incident_id(found.id, now),
            loops: vec![Member::new(found)],
            severity: found.severity,
            opened_at: now,
            closed_at: None,
            reopened: 0,
            told: Told { at: now, multiplies: false, next_24h: 0.0, messages: 0 },
        };
        (self.add(Watched { incident, alive_at: None, broken_at: None }), AlertKind::Opened)
    }
}

impl Sight<'_> {
    fn new(order: usize) -> Self {
        Self {
            order,
            begun: None,
            has_joined: false,
            worst: None,
            broke: None,
            multiplies: false,
            next_24h: 0.0,
            over: None,
            is_held: false,
        }
    }
}

impl Watched {
    /// Takes in a loop of an open incident.
    fn see<'a>(&mut self, now: ArrivalTime, found: &'a Loop, sight: &mut Sight<'a>) {
        let is_over = found.state == LoopState::Closed || found.severity < ALERTING;
        if let Some(member) = self.incident.member_mut(found.id) {
            if is_over && member.knows_more_than(found) {
                // A replay shows the end of an earlier incident of this loop.
                return;
            }
            if found.state != LoopState::Latent {
                member.follow(found);
            }
        }
        if found.state == LoopState::Latent {
            return;
        }
        let judgement = found.intended.as_ref().map(|state| state.judgement);
        if self.broken_at.is_none() && self.incident.loops.iter().any(|member| member.broke_bound) {
            self.broken_at = Some(now);
        }
        if is_over {
            let may_break_again = judgement == Some(Judgement::Within) && found.state != LoopState::Closed;
            if may_break_again && self.broken_at.is_some_and(|at| elapsed(at, now) < quiet(found).as_nanos()) {
                self.alive_at = Some(now);
                sight.is_held = true;
            } else {
                sight.over.get_or_insert(found);
            }
            return;
        }
        self.alive_at = Some(now);
        if is_broken(found) {
            self.broken_at = Some(now);
            if let Some(member) = self.incident.member_mut(found.id).filter(|member| !member.broke_bound) {
                member.broke_bound = true;
                sight.broke.get_or_insert(found);
            }
        }
        sight.multiplies |= found.multiplies();
        sight.next_24h = sight.next_24h.max(found.cost.as_ref().map_or(0.0, |cost| cost.next_24h)).min(f64::MAX);
        if sight.worst.is_none_or(|worst| worst.severity < found.severity) {
            sight.worst = Some(found);
        }
    }

    /// What all that was seen of an incident means.
    fn settle(&mut self, now: ArrivalTime, sight: Sight<'_>) -> Option<AlertChange> {
        let Some(worst) = sight.worst else {
            let over = sight.over.filter(|_| !sight.is_held)?;
            self.incident.closed_at = Some(now);
            return Some(self.tell(now, AlertKind::Resolved, Vec::new(), Some(over)));
        };
        let knowledge = Told { at: now, multiplies: sight.multiplies, next_24h: sight.next_24h, messages: 0 };
        // Who declared a bound is told of the loop that broke it, whichever is the worst.
        let broke = sight.broke.filter(|_| sight.begun.is_none());
        let mut because = match sight.begun {
            Some(_) => Vec::new(),
            None => self.incident.why_again(now, worst.severity, &knowledge),
        };
        because.extend(broke.map(|_| Because::BrokenBound));
        because.sort_unstable();
        let kind = match sight.begun {
            Some(kind) => kind,
            None if because.is_empty() && !sight.has_joined => return None,
            None if because.is_empty() => AlertKind::Joined,
            None if because == [Because::StillOpen] => AlertKind::Reminded,
            None => AlertKind::Escalated,
        };
        self.learn(kind, worst.severity, knowledge);
        Some(self.tell(now, kind, because, Some(broke.unwrap_or(worst))))
    }

    /// Notes what people are told.
    fn learn(&mut self, kind: AlertKind, severity: Severity, knowledge: Told) {
        let Incident { severity: worst, told, .. } = &mut self.incident;
        match kind {
            AlertKind::Opened | AlertKind::Reopened => {
                *worst = severity;
                *told = Told { messages: told.messages, ..knowledge };
            }
            // The numbers fall and rise again; until they are told anew, the worst of them are known.
            AlertKind::Escalated => {
                *worst = severity.max(*worst);
                told.multiplies |= knowledge.multiplies;
                told.next_24h = told.next_24h.max(knowledge.next_24h);
            }
            AlertKind::Reminded => *told = Told { messages: told.messages, ..knowledge },
            AlertKind::Joined | AlertKind::Resolved => {}
        }
    }

    fn resolve_if_gone(&mut self, now: ArrivalTime) -> Option<AlertChange> {
        if !self.incident.is_open() {
            return None;
        }
        let alive_at = *self.alive_at.get_or_insert(now);
        if elapsed(alive_at, now) < GONE_AFTER.as_nanos() {
            return None;
        }
        self.incident.closed_at = Some(now);
        Some(self.tell(now, AlertKind::Resolved, Vec::new(), None))
    }

    fn tell(
        &mut self,
        now: ArrivalTime,
        kind: AlertKind,
        because: Vec<Because>,
        evidence: Option<&Loop>,
    ) -> AlertChange {
        if kind.message_type().is_some() {
            self.incident.told.at = now;
            self.incident.told.messages += 1;
        }
        AlertChange { kind, because, incident: self.incident.clone(), evidence: evidence.cloned() }
    }
}

/// Lists an incident under the functions of loops.
fn list(by_function: &mut ByFunction, key: u64, loops: &[Member]) {
    for function in loops.iter().flat_map(|member| member.functions.iter()) {
        let keys = by_function.entry(*function).or_default();
        if keys.last() != Some(&key) {
            keys.push(key);
        }
    }
}

fn is_broken(found: &Loop) -> bool {
    found.intended.as_ref().is_some_and(|state| matches!(state.judgement, Judgement::Broken(_)))
}

fn quiet(found: &Loop) -> Duration {
    let laps = found.lap_p99_ms.unwrap_or(0.0) / 1e3 * QUIET_LAPS;
    QUIET.max(Duration::try_from_secs_f64(laps).unwrap_or(Duration::MAX))
}

fn elapsed(from: ArrivalTime, to: ArrivalTime) -> u128 {
    u128::from(to.0.saturating_sub(from.0))
}
