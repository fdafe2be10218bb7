//! What goes on and on although no chain goes round: work without progress, and telemetry about the telemetry.
//!
//! Both are shown as loops of one function, of level function and without a lap; `chains` counts what was found: chains
//! that handled an entity again, or exports that were exported.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use rustc_hash::FxHashSet;
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Linker, LoopReport};
use crate::{
    canonical::finding_id,
    config::Config,
    detect::{
        no_progress::{Entity, Habit, REPEATS},
        reentry,
        telemetry::Exports,
    },
    generations::Generations,
    record::Trigger,
    snapshot::{Assessment, LoopClass, LoopId, LoopState, Losses, NodeId, Reason},
    span::{ArrivalTime, EventTime, TraceId},
    state::state,
    window::Rate,
};

/// Entities that are told apart at the same time, about 100 bytes each: an entity of one function.
const ENTITIES: usize = 200_000;
/// How long it is remembered what is usual for a function that is not heard of.
const HABIT: Duration = Duration::from_secs(72 * 3_600);
/// Traces that show a finding.
const EXEMPLARS: usize = 5;

/// All findings, and what they are made of.
pub(super) struct Findings {
    entities: Generations<Entity>,
    habits: Generations<Habit>,
    exports: Generations<Exports>,
    /// Entities to look at, each with its function, in order of time; each is in here once.
    due: VecDeque<(ArrivalTime, (u64, NodeId))>,
    found: BTreeMap<LoopId, Finding>,
    changed: BTreeSet<LoopId>,
    removed: Vec<LoopId>,
    capacity: usize,
    /// How long a finding stays one.
    hold: Duration,
}

/// One finding.
struct Finding {
    function: NodeId,
    class: LoopClass,
    /// What was found: chains, or exports.
    count: u64,
    rate: Rate,
    first_seen: EventTime,
    last_seen: EventTime,
    open_until: ArrivalTime,
    is_open: bool,
    exemplars: VecDeque<TraceId>,
}

/// Where and when something was seen.
#[derive(Clone, Copy)]
struct Sight {
    trace_id: TraceId,
    start: EventTime,
}

impl Findings {
    pub(super) fn new(config: &Config) -> Self {
        let hold = if config.is_capture { Duration::MAX } else { reentry::loop_quiet(0.0) };
        Self {
            entities: Generations::new(ENTITIES, config.lateness),
            habits: Generations::new(2 * config.function_capacity, HABIT),
            exports: Generations::new(2 * config.function_capacity, config.lateness),
            due: VecDeque::new(),
            found: BTreeMap::new(),
            changed: BTreeSet::new(),
            removed: Vec::new(),
            capacity: config.loop_capacity,
            hold,
        }
    }

    /// An invocation handles an entity; true when the function did not do so lately.
    fn handle(
        &mut self,
        now: ArrivalTime,
        function: NodeId,
        entity: u64,
        invocation: u64,
        losses: &mut Losses,
    ) -> bool {
        let key = xxh3_64_with_seed(&entity.to_le_bytes(), function.0);
        if let Some(dropped) = self.entities.rotate(now)
            && dropped.youngest_age.is_some()
        {
            losses.entities_dropped += dropped.records.len() as u64;
        }
        self.habits.rotate(now);
        if !self.habits.refresh(function.0) {
            self.habits.insert(function.0, Habit::new(now));
        }
        let is_fresh = !self.entities.refresh(key);
        if is_fresh {
            self.entities.insert(key, Entity::default());
        }
        if let (Some(habit), Some(entity)) = (self.habits.get_mut(function.0), self.entities.get_mut(key)) {
            habit.handle(now, invocation);
            let due = entity.handle(now, invocation, habit);
            self.due.extend(due.map(|at| (at, (key, function))));
        }
        is_fresh
    }

    /// A span of an export of the function's own telemetry.
    fn export(&mut self, now: ArrivalTime, function: NodeId, sight: Sight) {
        self.exports.rotate(now);
        if !self.exports.refresh(function.0) {
            self.exports.insert(function.0, Exports::default());
        }
        if self.exports.get_mut(function.0).is_some_and(|exports| exports.export(now)) {
            self.find(now, LoopClass::Telemetry, function, &[sight]);
        }
    }

    /// The next entity whose invocations are to be looked at.
    fn next_due(&mut self, until: ArrivalTime) -> Option<(u64, NodeId)> {
        self.due.front().filter(|(at, _)| *at <= until)?;
        self.due.pop_front().map(|(_, due)| due)
    }

    fn find(&mut self, now: ArrivalTime, class: LoopClass, function: NodeId, sights: &[Sight]) {
        let Some(first) = sights.iter().map(|sight| sight.start).min() else { return };
        let id = finding_id(class.word(), function);
        if !self.found.contains_key(&id) && self.found.len() >= self.capacity {
            self.evict();
        }
        let found = self.found.entry(id).or_insert_with(|| Finding::new(function, class, first));
        if !found.is_open {
            (found.first_seen, found.count) = (first, 0);
            found.exemplars.clear();
        }
        found.add(now, sights);
        found.open_until = now.after(self.hold);
        self.changed.insert(id);
    }

    /// The finding that was quiet longest goes.
    fn evict(&mut self) {
        let oldest = self.found.iter().min_by_key(|(_, found)| found.open_until).map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.found.remove(&id);
            self.removed.push(id);
        }
    }

    /// Closes what is over.
    pub(super) fn tick(&mut self, now: ArrivalTime) {
        for (id, found) in &mut self.found {
            if found.is_open && found.open_until <= now {
                found.is_open = false;
                self.changed.insert(*id);
            }
        }
    }

    /// Somebody has said something of it.
    pub(super) fn touch(&mut self, id: LoopId) {
        if self.found.contains_key(&id) {
            self.changed.insert(id);
        }
    }

    /// Reports what changed since the last call.
    pub(super) fn drain(&mut self, now: ArrivalTime) -> Vec<LoopReport> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().filter_map(|id| Some(self.found.get_mut(&id)?.report(now, id))).collect()
    }

    /// Findings let go since the last call because there were too many.
    pub(super) fn take_removed(&mut self) -> Vec<LoopId> {
        std::mem::take(&mut self.removed)
    }
}

impl Finding {
    fn new(function: NodeId, class: LoopClass, first_seen: EventTime) -> Self {
        Self {
            function,
            class,
            count: 0,
            rate: Rate::default(),
            first_seen,
            last_seen: first_seen,
            open_until: ArrivalTime(0),
            is_open: false,
            exemplars: VecDeque::new(),
        }
    }

    fn add(&mut self, now: ArrivalTime, sights: &[Sight]) {
        self.is_open = true;
        self.count += sights.len() as u64;
        self.rate.add(now, sights.len() as f64);
        for sight in sights {
            self.last_seen = self.last_seen.max(sight.start);
            if !self.exemplars.contains(&sight.trace_id) {
                self.exemplars.push_front(sight.trace_id);
            }
        }
        self.exemplars.truncate(EXEMPLARS);
    }

    fn report(&mut self, now: ArrivalTime, id: LoopId) -> LoopReport {
        let reason = if self.class == LoopClass::Telemetry { Reason::Telemetry } else { Reason::NoProgress };
        LoopReport {
            id,
            functions: vec![self.function],
            classes: SmallVec::from_slice(&[self.class]),
            state: if self.is_open { LoopState::Persistent } else { LoopState::Closed },
            assessment: if self.is_open { Assessment::Alarm } else { Assessment::Unremarkable },
            reasons: if self.is_open { SmallVec::from_slice(&[reason]) } else { SmallVec::new() },
            confidence: 1.0,
            chains: self.count,
            laps_per_minute: self.rate.per_second(now) * 60.0,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            exemplars: self.exemplars.iter().copied().collect(),
            ..LoopReport::default()
        }
    }
}

impl Linker {
    /// An invocation handles an entity: it was delivered, or is changed.
    pub(super) fn handle(&mut self, now: ArrivalTime, invocation: u64, entity: u64) {
        let key = self.whole(invocation);
        let Some(invocation) = self.invocations.get_mut(key) else { return };
        let Some(function) = self.functions.node(invocation.function) else { return };
        // Whoever handles something new makes progress, whatever else it handles.
        invocation.makes_progress |= self.findings.handle(now, function, entity, key, &mut self.delta.losses);
    }

    /// A function exports that it exports.
    pub(super) fn export(&mut self, now: ArrivalTime, function: NodeId, trace_id: TraceId, start: EventTime) {
        self.findings.export(now, self.functions.own(function), Sight { trace_id, start });
    }

    /// Looks at the entities that came often enough until then: how many different chains handled each in vain.
    pub(super) fn judge_entities(&mut self, now: ArrivalTime, until: ArrivalTime) {
        while let Some((entity, function)) = self.findings.next_due(until) {
            let Some(known) = self.findings.entities.get_mut(entity) else { continue };
            let mut recent = known.take();
            let mut chains = FxHashSet::default();
            let (mut sights, mut asked) = (Vec::new(), 0);
            recent.retain(|(_, key)| {
                let Some((chain, run, trigger, sight)) = self.vain(*key) else { return false };
                // Invocations of one chain are a loop or a retry, and so are those of one request.
                let is_new = chains.insert(u64::from(chain)) && (run == 0 || chains.insert(run | 1 << 63));
                if is_new {
                    sights.push(sight);
                    asked += usize::from(trigger == Trigger::Request);
                }
                is_new
            });
            let Findings { entities, habits, .. } = &mut self.findings;
            let Some((known, habit)) = entities.get_mut(entity).zip(habits.get_mut(function.0)) else { continue };
            if habit.is_stuck_on(known, sights.len(), asked) {
                self.findings.find(now, LoopClass::NoProgress, function, &sights);
            } else if sights.len() < REPEATS {
                known.keep(recent);
            }
        }
    }

    /// The chain of an invocation that is known and handled nothing new.
    fn vain(&mut self, key: u64) -> Option<(u32, u64, Trigger, Sight)> {
        let invocation = self.invocations.get(self.whole(key)).filter(|invocation| !invocation.makes_progress)?;
        let sight = Sight { trace_id: invocation.trace_id, start: invocation.start };
        let (fragment, run, trigger) = (invocation.fragment, invocation.run, invocation.trigger);
        Some((self.fragments.find(fragment).0, run, trigger, sight))
    }
}

state!(Findings { entities, habits, exports, due, found, changed, removed, capacity, hold });
state!(Finding { function, class, count, rate, first_seen, last_seen, open_until, is_open, exemplars });
