//! The loops that laps were seen of. What is known of one loop is `loops/record.rs`.

mod operation;
mod record;
mod sampled;
mod thresholds;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{
    chains::{Chain, ChainId, Chains},
    fragment::DeepestLap,
};
use crate::{
    canonical::canonical,
    config::Config,
    detect::life_table,
    generations::Generations,
    intended::Verdict,
    record::Trigger,
    sampling::Sampling,
    snapshot::{
        Assessment, JoinedChain, LoopClass, LoopId, LoopLevel, LoopState, NodeId, Reason, Reproduction, Severity,
    },
    span::{ArrivalTime, EventTime, TraceId},
    state::state,
};
use record::LoopRecord;

/// Statistics of a loop are taken anew at most this often.
const STATISTICS: Duration = Duration::from_secs(1);
/// Loops whose statistics are taken in one tick, so that a tick stays short.
const LOOPS_PER_TICK: usize = 256;
/// What is typical of all loops is taken anew this often.
const PRIOR: Duration = Duration::from_secs(60);

/// A loop as the linker sees it: everything but names and the resources between the functions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoopReport {
    /// Persistent identity.
    pub id: LoopId,
    /// What the cycle is made of.
    pub level: LoopLevel,
    /// The operations that its laps went through; bounded.
    pub operations: Vec<Arc<str>>,
    /// True for a loop of level operation whose laps are laps of a loop of level function as well.
    pub is_covered: bool,
    /// The functions in the canonical rotation of their ids.
    pub functions: Vec<NodeId>,
    /// What kinds of loop it is.
    pub classes: SmallVec<[LoopClass; 4]>,
    /// How it behaves now.
    pub state: LoopState,
    /// What the detectors make of it.
    pub assessment: Assessment,
    /// Which detectors spoke.
    pub reasons: SmallVec<[Reason; 4]>,
    /// How sure it is that its laps are laps, 0 to 1: their mean by what they account for.
    pub confidence: f64,
    /// Laps of the deepest chain.
    pub max_depth: u32,
    /// Probability that a benign chain gets this deep.
    pub depth_probability: f64,
    /// Laps at which a chain is an alarm.
    pub alarm_depth: u32,
    /// Chains that went round at least once.
    pub chains: u64,
    /// Chains that may still go on.
    pub open_chains: u64,
    /// Chains that ended by themselves and were learned from.
    pub learned_chains: u64,
    /// Laps of all chains together.
    pub laps: u64,
    /// Further laps that each lap causes.
    pub reproduction: Option<Reproduction>,
    /// Seconds in which the laps double.
    pub doubling_seconds: Option<f64>,
    /// Median time of a lap, milliseconds.
    pub lap_p50_ms: f64,
    /// 99th percentile of the time of a lap, milliseconds.
    pub lap_p99_ms: f64,
    /// Laps a minute over the last minute.
    pub laps_per_minute: f64,
    /// When its first lap began.
    pub first_seen: EventTime,
    /// When its last lap began.
    pub last_seen: EventTime,
    /// Traces that show it, the deepest first.
    pub exemplars: Vec<TraceId>,
    /// The causes of its deepest chain that no trace names; `None` where parents and links name all.
    pub joined: Option<Arc<JoinedChain>>,
    /// Part of the laps that sampling kept; `None` when all were kept.
    pub sampling_probability: Option<f64>,
    /// Chance that a lap is seen after the one before it was; `None` when it always is.
    pub next_lap_sampling_probability: Option<f64>,
    /// True when so few laps in a row are seen that depth says nothing.
    pub hides_depth: bool,
}

impl LoopReport {
    /// How much it matters: an alarm is worth a look, and one that multiplies is worth waking somebody.
    pub fn severity(&self) -> Severity {
        let multiplies = self.state == LoopState::Growing || self.reasons.contains(&Reason::FanOut);
        match self.assessment {
            Assessment::Alarm if multiplies => Severity::Critical,
            Assessment::Alarm => Severity::Warning,
            _ => Severity::Info,
        }
    }
}

/// What went on of the deepest chain of a loop.
pub(super) struct Deepened {
    /// Its last lap.
    pub(super) lap: DeepestLap,
    /// True when no chain was as deep before; otherwise it may be another chain than the one that is known.
    pub(super) is_deeper: bool,
}

/// One lap: from one occurrence of a function to its next on the same chain.
pub(super) struct Lap {
    /// The function that occurred again.
    pub(super) function: u32,
    /// When the earlier occurrence began.
    pub(super) start: EventTime,
    /// Time between the two.
    pub(super) nanos: u64,
    /// Trace of the later occurrence.
    pub(super) trace_id: TraceId,
    /// True when the earlier occurrence is of another trace.
    pub(super) crosses_traces: bool,
    /// How many laps like it ended at the same time.
    pub(super) times: u32,
    /// How sure it is that it is one: the product over its causes.
    pub(super) confidence: f32,
    /// True when one of its causes is merely likely.
    pub(super) is_guess: bool,
    /// What part of the later occurrence the earlier accounts for: less than 1 where batches of messages were handled.
    pub(super) credit: f32,
    /// What started the later occurrence.
    pub(super) trigger: Trigger,
    /// True when an invocation from the earlier occurrence on failed.
    pub(super) failed: bool,
    /// Invocations of the function so far, where it causes itself.
    pub(super) entries: u64,
    /// How probable it was that the earlier occurrence was kept.
    pub(super) sampling: Sampling,
    /// How probable it was that all from there to the later one was kept too: less than 1 where traces are entered.
    pub(super) next_lap_sampling: Sampling,
}

/// All loops with laps.
pub(super) struct Loops {
    config: Config,
    records: FxHashMap<u32, LoopRecord>,
    by_id: FxHashMap<LoopId, u32>,
    next: u32,
    chains: Chains,
    /// Chains of operations, by trace and loop.
    operation_chains: Generations<ChainId>,
    /// Places of loops to report.
    changed: BTreeSet<u32>,
    removed: Vec<LoopId>,
    /// Places of loops that are not closed.
    active: BTreeSet<u32>,
    /// The last loop whose statistics were taken.
    cursor: u32,
    /// The chance to go on of loops without history.
    prior: f64,
    prior_at: ArrivalTime,
    /// Loops whose deepest chain went on over causes that no trace names, with its last lap: one
    /// for each loop at most, until they are taken.
    deepened: FxHashMap<u32, Deepened>,
    /// What people said of loops; they are people, so there are few.
    verdicts: FxHashMap<LoopId, Verdict>,
}

impl Loops {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            records: FxHashMap::default(),
            by_id: FxHashMap::default(),
            next: 0,
            chains: Chains::default(),
            operation_chains: Generations::new(config.chain_capacity, config.lateness),
            changed: BTreeSet::new(),
            removed: Vec::new(),
            active: BTreeSet::new(),
            cursor: 0,
            prior: life_table::UNKNOWN_CONTINUATION,
            prior_at: ArrivalTime(0),
            deepened: FxHashMap::default(),
            verdicts: FxHashMap::default(),
        }
    }

    /// Takes in what somebody says of a loop.
    pub(super) fn teach(&mut self, id: LoopId, verdict: Verdict) {
        match verdict {
            Verdict::Withdrawn => drop(self.verdicts.remove(&id)),
            _ => drop(self.verdicts.insert(id, verdict)),
        }
        self.changed.extend(self.by_id.get(&id));
    }

    /// Counts a lap of the loop through these functions; its place in the list.
    pub(super) fn lap(&mut self, now: ArrivalTime, cycle: &[NodeId], lap: &Lap) -> Option<u32> {
        let (id, functions) = canonical(cycle);
        self.lap_of(now, id, || functions, lap)
    }

    /// The same where the identity is known.
    fn lap_of(
        &mut self,
        now: ArrivalTime,
        id: LoopId,
        functions: impl FnOnce() -> Vec<NodeId>,
        lap: &Lap,
    ) -> Option<u32> {
        let index = match self.by_id.get(&id) {
            Some(index) => *index,
            None => self.add(now, id, functions(), lap)?,
        };
        let record = self.records.get_mut(&index)?;
        record.lap(now, lap);
        self.active.insert(index);
        self.changed.insert(index);
        Some(index)
    }

    /// The chain has gone round once more, and is `depth` laps deep there; a chain that is not known yet begins.
    pub(super) fn advance(
        &mut self,
        now: ArrivalTime,
        loop_index: u32,
        known: Option<ChainId>,
        lap: &Lap,
        depth: u32,
    ) -> Option<ChainId> {
        let record = self.records.get_mut(&loop_index)?;
        let is_open = known.is_some_and(|id| self.chains.get_mut(id).is_some());
        let id = match known {
            Some(id) if is_open => id,
            Some(id) => {
                record.resume_chain();
                self.chains.reopen(id, Chain::new(now, loop_index, depth, lap), now.after(record.chain_quiet()));
                id
            }
            None => {
                record.begin_chain(now, lap);
                let due = now.after(record.chain_quiet());
                let chain = Chain::new(now, loop_index, depth, lap);
                let (id, evicted) = self.chains.open(chain, due, self.config.chain_capacity);
                if let Some(record) = evicted.and_then(|evicted| self.records.get_mut(&evicted.loop_index)) {
                    record.lose_chain();
                }
                id
            }
        };
        self.records.get_mut(&loop_index)?.advance(now, self.chains.get_mut(id)?, lap, depth);
        Some(id)
    }

    /// Two chains of a loop turned out to be one: `lower` begins where the other had gone `deeper_by` laps.
    pub(super) fn join(&mut self, loop_index: u32, upper: ChainId, lower: ChainId, deeper_by: u32) {
        let Some(record) = self.records.get_mut(&loop_index) else { return };
        let are_open = self.chains.get_mut(lower).is_some() && self.chains.get_mut(upper).is_some();
        record.join_chains(are_open);
        self.chains.join(upper, lower, deeper_by);
        self.changed.insert(loop_index);
    }

    /// A chain has gone round this deep.
    pub(super) fn deepen(&mut self, now: ArrivalTime, lap: DeepestLap) {
        let Some(record) = self.records.get_mut(&lap.loop_index) else { return };
        let is_deeper = record.deepen(now, self.chains.get_mut(lap.chain), lap.count.saturating_sub(1), lap.trace_id);
        if is_deeper {
            self.changed.insert(lap.loop_index);
        }
        if record.is_deepest_joined(lap.count.saturating_sub(1)) {
            let was_deeper = self.deepened.get(&lap.loop_index).is_some_and(|before| before.is_deeper);
            self.deepened.insert(lap.loop_index, Deepened { lap, is_deeper: is_deeper || was_deeper });
        }
    }

    /// Hands over the loops with laps over causes that no trace names whose deepest chain went on.
    pub(super) fn take_deepened(&mut self) -> FxHashMap<u32, Deepened> {
        std::mem::take(&mut self.deepened)
    }

    /// Keeps the causes of the deepest chain of a loop that no trace names; `None` when parents and links name all.
    pub(super) fn remember_joined(&mut self, loop_index: u32, joined: Option<JoinedChain>) {
        if let Some(record) = self.records.get_mut(&loop_index) {
            record.remember_joined(joined);
            self.changed.insert(loop_index);
        }
    }

    /// The function whose laps are counted in a chain.
    pub(super) fn anchor(&mut self, chain: ChainId) -> Option<u32> {
        self.chains.get_mut(chain).map(|chain| chain.anchor)
    }

    /// Lets time pass: chains end and are learned from, loops die and close.
    pub(super) fn tick(&mut self, now: ArrivalTime) {
        self.learn_ended(now);
        if now.since(self.prior_at) >= PRIOR {
            self.prior_at = now;
            self.prior = life_table::pooled_continuation(self.records.values().map(LoopRecord::totals));
        }
        let round = self.active.range(self.cursor.saturating_add(1)..).chain(self.active.range(..=self.cursor));
        let due: SmallVec<[u32; LOOPS_PER_TICK]> = round
            .copied()
            .filter(|index| self.records.get(index).is_none_or(|record| record.statistics_are_older(now, STATISTICS)))
            .take(LOOPS_PER_TICK)
            .collect();
        for index in due {
            self.cursor = index;
            match self.records.get_mut(&index) {
                Some(record) => {
                    if record.take_statistics(now, self.prior) {
                        self.changed.insert(index);
                    }
                    if record.is_at_rest() {
                        self.active.remove(&index);
                    }
                }
                None => drop(self.active.remove(&index)),
            }
        }
    }

    /// Reports the loops that changed since the last call.
    pub(super) fn drain(&mut self, now: ArrivalTime) -> Vec<LoopReport> {
        let changed = std::mem::take(&mut self.changed);
        let reports: Vec<LoopReport> = changed
            .into_iter()
            .filter_map(|index| Some(self.records.get_mut(&index)?.report(now, self.prior)))
            .collect();
        reports.into_iter().map(|report| self.overrule(report)).collect()
    }

    /// A report after what people said of its loop.
    pub(super) fn overrule(&self, mut report: LoopReport) -> LoopReport {
        use Reason::{Depth, NoProgress, Slow, Telemetry};
        if let Some(Verdict::Expected { max_depth }) = self.verdicts.get(&report.id)
            && report.max_depth <= *max_depth
        {
            // How deep a chain may go says nothing of how wide it may be; what has no depth is expected as it is.
            report.reasons.retain(|reason| !matches!(reason, Depth | Slow | NoProgress | Telemetry));
            if report.reasons.is_empty() {
                report.assessment = Assessment::Unremarkable;
            }
        }
        report
    }

    /// Loops let go since the last call because there were too many.
    pub(super) fn take_removed(&mut self) -> Vec<LoopId> {
        std::mem::take(&mut self.removed)
    }

    fn learn_ended(&mut self, now: ArrivalTime) {
        let records = &self.records;
        let ended = self.chains.take_ended(now, |chain| {
            let quiet = records.get(&chain.loop_index).map_or(Duration::ZERO, LoopRecord::chain_quiet);
            chain.last_lap.after(quiet)
        });
        for chain in ended {
            if let Some(record) = self.records.get_mut(&chain.loop_index) {
                record.end_chain(now, &chain, self.verdicts.get(&record.id()).copied());
                self.changed.insert(chain.loop_index);
            }
        }
    }

    fn add(&mut self, now: ArrivalTime, id: LoopId, functions: Vec<NodeId>, lap: &Lap) -> Option<u32> {
        if self.records.len() >= self.config.loop_capacity {
            self.evict();
        }
        let index = self.next;
        self.next = self.next.checked_add(1)?;
        self.records.insert(index, LoopRecord::new(now, id, functions, lap, self.prior));
        self.by_id.insert(id, index);
        Some(index)
    }

    /// Lets the tenth of the loops go that were quiet longest: a new loop is always worth more than an old one.
    fn evict(&mut self) {
        let mut by_age: Vec<(ArrivalTime, u32)> =
            self.records.iter().map(|(index, record)| (record.last_lap(), *index)).collect();
        by_age.sort_unstable();
        for (_, index) in by_age.into_iter().take(self.config.loop_capacity / 10 + 1) {
            if let Some(record) = self.records.remove(&index) {
                self.by_id.remove(&record.id());
                self.chains.forget_loop(index);
                self.active.remove(&index);
                self.removed.push(record.id());
            }
        }
    }
}

impl Lap {
    /// For how many laps it stands.
    fn adjusted_count(&self) -> f64 {
        f64::from(self.times) * self.sampling.and(self.next_lap_sampling).adjusted_count()
    }

    /// When the later occurrence began.
    fn end(&self) -> EventTime {
        EventTime(self.start.0.saturating_add(self.nanos))
    }
}

state!(LoopReport {
    id,
    level,
    operations,
    is_covered,
    functions,
    classes,
    state,
    assessment,
    reasons,
    confidence,
    max_depth,
    depth_probability,
    alarm_depth,
    chains,
    open_chains,
    learned_chains,
    laps,
    reproduction,
    doubling_seconds,
    lap_p50_ms,
    lap_p99_ms,
    laps_per_minute,
    first_seen,
    last_seen,
    exemplars,
    joined,
    sampling_probability,
    next_lap_sampling_probability,
    hides_depth
});
state!(Loops { config, records, by_id, next, chains, operation_chains, changed, removed, active, cursor, prior, prior_at } else { deepened, verdicts });
