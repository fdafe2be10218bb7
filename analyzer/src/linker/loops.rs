//! The loops that laps were seen of, with their statistics.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use sketches_ddsketch::DDSketch;

use super::fragment::DeepestLap;
use crate::{
    canonical::canonical,
    config::Config,
    detect::reentry::{self, Activity},
    snapshot::{LoopId, LoopState, NodeId, Severity},
    span::{ArrivalTime, EventTime, TraceId},
    window::{Rate, millis, quantile, sketch},
};

/// Traces that show a loop.
const EXEMPLARS: usize = 5;

/// A loop as the linker sees it: everything but names and the resources between the functions.
#[derive(Clone, Debug, PartialEq)]
pub struct LoopReport {
    /// Persistent identity.
    pub id: LoopId,
    /// The functions in the canonical rotation of their ids.
    pub functions: Vec<NodeId>,
    /// How it behaves now.
    pub state: LoopState,
    /// How much it matters.
    pub severity: Severity,
    /// Laps of the deepest chain.
    pub max_depth: u32,
    /// Chains that went round at least once.
    pub chains: u64,
    /// Laps of all chains together.
    pub laps: u64,
    /// How sure it is that its laps are laps, 0 to 1: their mean by what they account for.
    pub confidence: f64,
    /// Median time of a lap, milliseconds.
    pub lap_p50_ms: f64,
    /// Laps a minute over the last minute.
    pub laps_per_minute: f64,
    /// When its first lap began.
    pub first_seen: EventTime,
    /// When its last lap began.
    pub last_seen: EventTime,
    /// Traces that show it, the deepest first.
    pub exemplars: Vec<TraceId>,
}

/// One lap: from one occurrence of a function to its next on the same chain.
pub(super) struct Lap {
    /// When the earlier occurrence began.
    pub(super) start: EventTime,
    /// Time between the two.
    pub(super) nanos: u64,
    /// Trace of the later occurrence.
    pub(super) trace_id: TraceId,
    /// How many laps like it ended at the same time.
    pub(super) times: u32,
    /// How sure it is that it is one: the product over its causes.
    pub(super) confidence: f32,
    /// What part of the later occurrence the earlier accounts for: less than 1 where batches of messages were handled.
    pub(super) credit: f32,
}

/// All loops with laps.
pub(super) struct Loops {
    config: Config,
    records: FxHashMap<u32, LoopRecord>,
    by_id: FxHashMap<LoopId, u32>,
    next: u32,
    /// Places of loops to report.
    changed: BTreeSet<u32>,
    removed: Vec<LoopId>,
}

struct LoopRecord {
    id: LoopId,
    functions: Vec<NodeId>,
    state: LoopState,
    max_depth: u32,
    chains: u64,
    laps: u64,
    /// Sum of what the laps account for, and of that times how sure they are.
    credit: f64,
    belief: f64,
    lap_ms: DDSketch,
    rate: Rate,
    first_seen: EventTime,
    last_seen: EventTime,
    activity: Activity,
    /// Depth and trace, the deepest first.
    exemplars: Vec<(u32, TraceId)>,
}

impl Loops {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            records: FxHashMap::default(),
            by_id: FxHashMap::default(),
            next: 0,
            changed: BTreeSet::new(),
            removed: Vec::new(),
        }
    }

    /// Counts a lap of the loop through these functions; its place in the list.
    pub(super) fn lap(&mut self, now: ArrivalTime, cycle: &[NodeId], lap: Lap) -> Option<u32> {
        let (id, functions) = canonical(cycle);
        let index = match self.by_id.get(&id) {
            Some(index) => *index,
            None => self.add(now, id, functions, &lap)?,
        };
        let record = self.records.get_mut(&index)?;
        if record.state == LoopState::Closed {
            record.reopen();
        }
        record.laps += u64::from(lap.times);
        let credit = f64::from(lap.credit) * f64::from(lap.times);
        record.credit += credit;
        record.belief += credit * f64::from(lap.confidence);
        record.lap_ms.add(millis(lap.nanos));
        record.rate.add(now, u64::from(lap.times));
        record.first_seen = record.first_seen.min(lap.start);
        record.last_seen = record.last_seen.max(lap.start);
        record.activity.last_lap = now;
        record.exemplify(1, lap.trace_id);
        self.changed.insert(index);
        Some(index)
    }

    /// A chain went round for the first time.
    pub(super) fn add_chain(&mut self, index: u32) {
        if let Some(record) = self.records.get_mut(&index) {
            record.chains += 1;
        }
    }

    /// Two chains turned out to be one.
    pub(super) fn remove_chain(&mut self, index: u32) {
        if let Some(record) = self.records.get_mut(&index) {
            record.chains = record.chains.saturating_sub(1);
            self.changed.insert(index);
        }
    }

    /// A chain has gone round this deep.
    pub(super) fn deepen(&mut self, now: ArrivalTime, lap: DeepestLap) {
        let Some(record) = self.records.get_mut(&lap.loop_index) else { return };
        let depth = lap.count.saturating_sub(1);
        record.exemplify(depth, lap.trace_id);
        if depth > record.max_depth {
            record.max_depth = depth;
            record.activity.deepened = now;
            self.changed.insert(lap.loop_index);
        }
    }

    /// Lets time pass: loops die and close.
    pub(super) fn tick(&mut self, now: ArrivalTime) {
        for (index, record) in &mut self.records {
            let state = record.judge(now);
            if state != record.state || state != LoopState::Closed {
                self.changed.insert(*index);
            }
            record.state = state;
        }
    }

    /// Reports the loops that changed since the last call.
    pub(super) fn drain(&mut self, now: ArrivalTime) -> Vec<LoopReport> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().filter_map(|index| Some(self.records.get_mut(&index)?.report(now, &self.config))).collect()
    }

    /// Loops let go since the last call because there were too many.
    pub(super) fn take_removed(&mut self) -> Vec<LoopId> {
        std::mem::take(&mut self.removed)
    }

    fn add(&mut self, now: ArrivalTime, id: LoopId, functions: Vec<NodeId>, lap: &Lap) -> Option<u32> {
        if self.records.len() >= self.config.loop_capacity {
            self.evict();
        }
        let index = self.next;
        self.next = self.next.checked_add(1)?;
        let activity = Activity { last_lap: now, deepened: now, lap_p99_ms: 0.0, max_depth: 0 };
        self.records.insert(
            index,
            LoopRecord {
                id,
                functions,
                state: LoopState::Growing,
                max_depth: 0,
                chains: 0,
                laps: 0,
                credit: 0.0,
                belief: 0.0,
                lap_ms: sketch(),
                rate: Rate::default(),
                first_seen: lap.start,
                last_seen: lap.start,
                activity,
                exemplars: Vec::new(),
            },
        );
        self.by_id.insert(id, index);
        Some(index)
    }

    /// Lets the tenth of the loops go that were quiet longest: a new loop is always worth more than an old one.
    fn evict(&mut self) {
        let mut by_age: Vec<(ArrivalTime, u32)> =
            self.records.iter().map(|(index, record)| (record.activity.last_lap, *index)).collect();
        by_age.sort_unstable();
        for (_, index) in by_age.into_iter().take(self.config.loop_capacity / 10 + 1) {
            if let Some(record) = self.records.remove(&index) {
                self.by_id.remove(&record.id);
                self.removed.push(record.id);
            }
        }
    }
}

impl LoopRecord {
    /// A loop that was over goes on: what counts is how deep it gets this time.
    fn reopen(&mut self) {
        self.max_depth = 0;
        self.exemplars.clear();
        self.state = LoopState::Growing;
    }

    fn judge(&mut self, now: ArrivalTime) -> LoopState {
        self.activity.lap_p99_ms = quantile(&self.lap_ms, 0.99);
        self.activity.max_depth = self.max_depth;
        reentry::state(now, &self.activity)
    }

    fn exemplify(&mut self, depth: u32, trace_id: TraceId) {
        match self.exemplars.iter_mut().find(|(_, known)| *known == trace_id) {
            Some((known, _)) => *known = depth.max(*known),
            None => self.exemplars.push((depth, trace_id)),
        }
        self.exemplars.sort_unstable_by_key(|(depth, trace_id)| (std::cmp::Reverse(*depth), *trace_id));
        self.exemplars.truncate(EXEMPLARS);
    }

    fn report(&mut self, now: ArrivalTime, config: &Config) -> LoopReport {
        self.state = self.judge(now);
        LoopReport {
            id: self.id,
            functions: self.functions.clone(),
            state: self.state,
            severity: reentry::severity(self.max_depth, config),
            max_depth: self.max_depth,
            chains: self.chains,
            laps: self.laps,
            confidence: if self.credit > 0.0 { self.belief / self.credit } else { 0.0 },
            lap_p50_ms: quantile(&self.lap_ms, 0.5),
            laps_per_minute: self.rate.per_second(now) * 60.0,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            exemplars: self.exemplars.iter().map(|(_, trace_id)| *trace_id).collect(),
        }
    }
}
