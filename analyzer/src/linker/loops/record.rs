//! One loop: what is counted of it, what was learned, and what that says.

use std::{sync::Arc, time::Duration};

use smallvec::SmallVec;

use super::{Lap, LoopReport, sampled::Sampled, thresholds::Thresholds};
use crate::{
    detect::{
        fan_out::{self, Branching},
        life_table::{self, LifeTable},
        poison::Failures,
        rate, reentry,
        reproduction::{self, doubling_seconds},
        self_timer::Ingress,
    },
    intended::Verdict,
    linker::{chains::Chain, renewal::Renewal},
    record::Trigger,
    sampling::rounded,
    snapshot::{Assessment, JoinedChain, LoopClass, LoopId, LoopLevel, LoopState, NodeId, Reason, Reproduction},
    span::{ArrivalTime, EventTime, TraceId},
    state::state,
    window::Rate,
};

/// Traces that show a loop.
const EXEMPLARS: usize = 5;
/// Operations that are kept of one loop.
const OPERATIONS: usize = 32;
/// Below this the laps of a chain may well not belong together: nobody is told.
const LEAST_CONFIDENCE: f32 = 0.5;
/// A tree of laps is looked at each time it has grown by this many.
const TREE_STEP: u32 = 4;
/// In this time the chains a day are counted.
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A loop with its statistics.
pub(super) struct LoopRecord {
    id: LoopId,
    level: LoopLevel,
    functions: Vec<NodeId>,
    operations: Vec<Arc<str>>,
    is_covered: bool,
    /// Laps by the function that occurred again; the most of them are the laps of the loop.
    laps_by: SmallVec<[(u32, f64); 2]>,
    state: LoopState,
    max_depth: u32,
    /// Sum of what the laps account for, and of that times how sure they are.
    credit: f64,
    belief: f64,
    crosses_traces: bool,
    stays_in_trace: bool,
    sampled: Sampled,
    /// Chains that began, those that were not kept included.
    chains: f64,
    /// Chains that were kept and may go on.
    open_chains: u64,
    /// Chains of the last day, the older the lighter.
    daily: f64,
    daily_at: ArrivalTime,
    rate: Rate,
    first_seen: EventTime,
    last_seen: EventTime,
    last_lap: ArrivalTime,
    renewal: Renewal,
    table: LifeTable,
    branching: Branching,
    ingress: Ingress,
    failures: Failures,
    thresholds: Thresholds,
    reproduction: Option<Reproduction>,
    statistics_at: ArrivalTime,
    alarm_until: ArrivalTime,
    suspect_until: ArrivalTime,
    reasons: SmallVec<[Reason; 4]>,
    /// Depth and trace, the deepest first.
    exemplars: Vec<(u32, TraceId)>,
    /// The causes of the deepest chain that no trace names; shared with the reports, some 2 KB at most.
    joined: Option<Arc<JoinedChain>>,
}

impl LoopRecord {
    /// A loop of which this is the first lap.
    pub(super) fn new(now: ArrivalTime, id: LoopId, functions: Vec<NodeId>, lap: &Lap, prior: f64) -> Self {
        let table = LifeTable::default();
        Self {
            id,
            level: LoopLevel::Function,
            functions,
            operations: Vec::new(),
            is_covered: false,
            laps_by: SmallVec::new(),
            state: LoopState::Unknown,
            max_depth: 0,
            credit: 0.0,
            belief: 0.0,
            crosses_traces: false,
            stays_in_trace: false,
            sampled: Sampled::default(),
            chains: 0.0,
            open_chains: 0,
            daily: 0.0,
            daily_at: now,
            rate: Rate::default(),
            first_seen: lap.start,
            last_seen: lap.start,
            last_lap: now,
            renewal: Renewal::new(),
            thresholds: Thresholds::of(&table, 1.0, prior),
            table,
            branching: Branching::default(),
            ingress: Ingress::default(),
            failures: Failures::default(),
            reproduction: None,
            statistics_at: ArrivalTime(0),
            alarm_until: ArrivalTime(0),
            suspect_until: ArrivalTime(0),
            reasons: SmallVec::new(),
            exemplars: Vec::new(),
            joined: None,
        }
    }

    /// The loop is one of operations; until a lap says otherwise, its laps are laps of functions too.
    pub(super) fn become_operation(&mut self, operations: &[Arc<str>]) {
        self.level = LoopLevel::Operation;
        self.is_covered = true;
        self.add_operations(operations);
    }

    /// Laps went through these operations.
    pub(super) fn add_operations(&mut self, operations: &[Arc<str>]) {
        for operation in operations {
            if self.operations.len() < OPERATIONS && !self.operations.contains(operation) {
                self.operations.push(Arc::clone(operation));
            }
        }
    }

    pub(super) fn level(&self) -> LoopLevel {
        self.level
    }

    /// A lap is not one of functions, so that nothing else tells of it.
    pub(super) fn uncover(&mut self) {
        self.is_covered = false;
    }

    pub(super) fn id(&self) -> LoopId {
        self.id
    }

    /// When the last lap arrived.
    pub(super) fn last_lap(&self) -> ArrivalTime {
        self.last_lap
    }

    /// True when nothing changes any more without a new lap.
    pub(super) fn is_at_rest(&self) -> bool {
        self.state == LoopState::Closed && self.open_chains == 0
    }

    /// True when the statistics were taken longer ago than this.
    pub(super) fn statistics_are_older(&self, now: ArrivalTime, age: Duration) -> bool {
        now.since(self.statistics_at) >= age
    }

    /// Laps that went on and laps that were the last, as learned.
    pub(super) fn totals(&self) -> (f64, f64) {
        self.table.totals()
    }

    /// How long a chain is quiet until it has ended.
    pub(super) fn chain_quiet(&self) -> Duration {
        reentry::chain_quiet(self.renewal.lap_times().p99_ms)
    }

    /// Counts a lap.
    pub(super) fn lap(&mut self, now: ArrivalTime, lap: &Lap) {
        if self.state == LoopState::Closed {
            // It was over and goes on: what counts is how deep it gets this time.
            self.max_depth = 0;
            self.exemplars.clear();
            self.joined = None;
            self.state = LoopState::Unknown;
            (self.credit, self.belief) = (0.0, 0.0);
        }
        let laps = self.laps();
        match self.laps_by.iter_mut().find(|(function, _)| *function == lap.function) {
            Some((_, laps)) => *laps += lap.adjusted_count(),
            None => self.laps_by.push((lap.function, lap.adjusted_count())),
        }
        // Each function of the cycle occurs again once in a lap; counted is the one that did so most often.
        self.rate.add(now, self.laps() - laps);
        self.sampled.lap(lap);
        self.renewal.lap_time(lap.end(), lap.nanos);
        self.first_seen = self.first_seen.min(lap.start);
        self.last_seen = self.last_seen.max(lap.start);
        self.last_lap = now;
        let credit = f64::from(lap.credit) * f64::from(lap.times);
        self.credit += credit;
        self.belief += credit * f64::from(lap.confidence);
        self.crosses_traces |= lap.crosses_traces;
        self.stays_in_trace |= !lap.crosses_traces;
        self.exemplify(1, lap.trace_id);
        if self.functions.len() == 1 {
            self.ingress.lap(lap.trigger, lap.entries);
        }
        // A call that fails because what it called failed sends nothing again.
        self.failures.lap(lap.failed && matches!(lap.trigger, Trigger::Queue | Trigger::Store));
    }

    /// A chain begins.
    pub(super) fn begin_chain(&mut self, now: ArrivalTime, lap: &Lap) {
        self.chains += lap.adjusted_count() / f64::from(lap.times.max(1));
        self.open_chains += 1;
        self.daily = self.daily * self.day_left(now) + 1.0;
        self.daily_at = now;
    }

    /// A chain that had ended goes on.
    pub(super) fn resume_chain(&mut self) {
        self.open_chains += 1;
    }

    /// A chain is not followed any more, and nothing is learned from it.
    pub(super) fn lose_chain(&mut self) {
        self.open_chains = self.open_chains.saturating_sub(1);
    }

    /// Two chains turned out to be one; `are_open` says that both may go on.
    pub(super) fn join_chains(&mut self, are_open: bool) {
        let followed = 1.0 / self.sampled.next_lap_probability();
        self.chains -= self.sampled.adjusted_count() * followed;
        if are_open {
            self.lose_chain();
            // The first lap of the lower chain followed the last of the upper.
            self.renewal.follows_after_all(followed);
        }
    }

    /// A chain has gone round once more, and is `depth` laps deep there.
    pub(super) fn advance(&mut self, now: ArrivalTime, chain: &mut Chain, lap: &Lap, depth: u32) {
        chain.last_lap = now;
        chain.confidence = chain.confidence.min(lap.confidence);
        chain.next_lap_sampling = chain.next_lap_sampling.least(lap.next_lap_sampling);
        if chain.anchor == lap.function {
            chain.guesses = chain.guesses.saturating_add(u32::from(lap.is_guess));
            let weight = f64::from(lap.credit) * f64::from(lap.times);
            let stands_for = lap.next_lap_sampling.adjusted_count();
            self.renewal.lap(now, lap.end(), weight, if depth > 1 { weight * stands_for } else { 0.0 });
            if depth > 1 {
                // As many chains as there are laps that followed none; of these, some follow one that was not kept.
                self.chains -= lap.adjusted_count() * (stands_for - 1.0);
            }
            (0..lap.times).for_each(|_| chain.count(depth));
            if chain.widths.is_some() {
                self.renewal.branches();
            }
        }
    }

    /// A chain was found to be this deep; true when that is deeper than any.
    pub(super) fn deepen(
        &mut self,
        now: ArrivalTime,
        chain: Option<&mut Chain>,
        depth: u32,
        trace_id: TraceId,
    ) -> bool {
        self.exemplify(depth, trace_id);
        if let Some(chain) = chain {
            chain.depth = chain.depth.max(depth);
            self.judge(now, chain);
        }
        let is_deeper = depth > self.max_depth;
        self.max_depth = self.max_depth.max(depth);
        is_deeper
    }

    /// True when no chain is deeper, and laps went over causes that were joined by what both sides know: parents and
    /// links are certain.
    pub(super) fn is_deepest_joined(&self, depth: u32) -> bool {
        depth >= self.max_depth && self.confidence() < 1.0
    }

    pub(super) fn remember_joined(&mut self, joined: Option<JoinedChain>) {
        self.joined = joined.map(Arc::new);
    }

    fn confidence(&self) -> f64 {
        if self.credit > 0.0 { self.belief / self.credit } else { 0.0 }
    }

    fn laps(&self) -> f64 {
        self.laps_by.iter().map(|(_, laps)| *laps).fold(0.0, f64::max)
    }

    fn day_left(&self, now: ArrivalTime) -> f64 {
        (-now.since(self.daily_at).as_secs_f64() / DAY.as_secs_f64()).exp()
    }

    /// Chains that may go on, those that were not kept included: as many as traces for each that is seen.
    fn open_chains_adjusted(&self) -> u64 {
        rounded(self.open_chains as f64 * self.sampled.adjusted_count() * self.sampled.next_lap_probability())
    }

    /// A chain ended; unless it was an alarm, that is how chains of this loop are.
    pub(super) fn end_chain(&mut self, now: ArrivalTime, chain: &Chain, said: Option<Verdict>) {
        self.open_chains = self.open_chains.saturating_sub(1);
        let is_unusual = chain.is_alarm || self.is_alarm(now) && self.reasons.contains(&Reason::Rate);
        // People know better what is as it should be.
        let is_learned = match said {
            Some(Verdict::Expected { max_depth }) if chain.depth <= max_depth => true,
            Some(Verdict::Runaway) => false,
            _ => !is_unusual,
        };
        if !is_learned || chain.confidence < LEAST_CONFIDENCE {
            return;
        }
        if chain.next_lap_sampling.is_sampled() {
            // It may go on where nobody sees it.
            self.sampled.learn(chain);
        } else {
            self.table.learn(now, chain.depth);
            self.branching.learn(&chain.widths());
        }
    }

    /// What to make of a chain that has got deeper or wider.
    fn judge(&mut self, now: ArrivalTime, chain: &mut Chain) {
        if chain.confidence < LEAST_CONFIDENCE || self.is_covered {
            return;
        }
        let suspect = self.thresholds.suspect;
        let shows_depth = chain.next_lap_sampling.shows_depth();
        let depth = if shows_depth { chain.sure_depth() } else { 0 };
        let is_slow = self.renewal.lap_times().p50_ms >= reentry::SLOW_MS;
        let reason = if shows_depth && self.thresholds.are_passed(&self.table, chain) {
            Some(Reason::Depth)
        } else if is_slow && depth >= suspect {
            Some(Reason::Slow)
        } else {
            None
        };
        if let Some(reason) = reason
            && (!chain.is_alarm || self.must_renew(now))
        {
            chain.is_alarm = true;
            self.alarm(now, reason);
        } else if reason.is_none() && depth >= suspect {
            self.suspect_until = now.after(self.hold());
        }
        let is_unknown = self.table.chains() < life_table::KNOWN_CHAINS;
        // Two trees that are taken for one are deeper, and no larger than both.
        let is_one = chain.pieces() == 1 || chain.laps / chain.pieces() >= fan_out::LEAST_TREE;
        let seen = chain.next_lap_sampling.probability();
        if is_one
            && (is_unknown || !shows_depth || depth >= suspect)
            && chain.laps.is_multiple_of(TREE_STEP)
            && chain.widths.as_deref().is_some_and(|widths| fan_out::multiplies(widths, &self.branching, seen))
        {
            chain.is_alarm = true;
            self.alarm(now, Reason::FanOut);
        }
    }

    /// True when the alarm would end although its chain goes on.
    fn must_renew(&self, now: ArrivalTime) -> bool {
        now.after(self.hold() / 2) >= self.alarm_until
    }

    fn alarm(&mut self, now: ArrivalTime, reason: Reason) {
        if !self.is_alarm(now) {
            self.reasons.clear();
        }
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
            self.reasons.sort_unstable();
        }
        self.alarm_until = now.after(self.hold());
    }

    fn is_alarm(&self, now: ArrivalTime) -> bool {
        now < self.alarm_until
    }

    fn assessment(&self, now: ArrivalTime) -> Assessment {
        if self.is_alarm(now) {
            Assessment::Alarm
        } else if now < self.suspect_until {
            Assessment::Suspect
        } else {
            Assessment::Unremarkable
        }
    }

    /// How long an alarm lasts beyond what caused it.
    fn hold(&self) -> Duration {
        reentry::loop_quiet(self.renewal.lap_times().p99_ms)
    }

    /// Takes R, the state and the thresholds anew; true when there is something to report.
    pub(super) fn take_statistics(&mut self, now: ArrivalTime, prior: f64) -> bool {
        let before = (self.state, self.assessment(self.statistics_at.max(ArrivalTime(1))));
        self.statistics_at = now;
        let learned =
            (self.table.chains() >= life_table::KNOWN_CHAINS).then(|| self.branching.reproduction()).flatten();
        let seen = self.sampled.next_lap_probability();
        self.renewal.tick(now, learned.or_else(|| self.sampled.reproduction()), seen);
        if self.renewal.cusum > rate::ALARM * self.branching.width().max(self.sampled.width())
            && self.confidence() >= f64::from(LEAST_CONFIDENCE)
            && !self.is_covered
        {
            self.renewal.cusum = 0.0;
            self.alarm(now, Reason::Rate);
        }
        let (offspring, exposure, is_branching) = self.renewal.recent();
        self.reproduction = reproduction::thinned(offspring, exposure, is_branching, seen);
        self.state = reentry::state(now, self.last_lap, self.renewal.lap_times().p99_ms, self.reproduction);
        let daily = self.daily * self.day_left(now);
        self.thresholds = Thresholds::of(&self.table, daily, prior);
        before != (self.state, self.assessment(now)) || self.state != LoopState::Closed
    }

    fn classes(&self, now: ArrivalTime) -> SmallVec<[LoopClass; 4]> {
        let branches = self.reproduction.is_some_and(|r| r.low > 1.0) || self.reasons.contains(&Reason::FanOut);
        let is_known = self.table.chains() >= life_table::KNOWN_CHAINS && self.assessment(now) != Assessment::Alarm;
        [
            (LoopClass::Reentry, self.stays_in_trace),
            (LoopClass::CrossTrace, self.crosses_traces),
            (LoopClass::Itself, self.functions.len() == 1),
            (LoopClass::Poison, self.failures.is_poisoned()),
            (LoopClass::FanOut, branches),
            (LoopClass::Bounded, is_known),
            (LoopClass::Slow, self.renewal.lap_times().p50_ms >= reentry::SLOW_MS),
            (LoopClass::SelfTimer, self.ingress.is_own()),
        ]
        .into_iter()
        .filter_map(|(class, is_so)| is_so.then_some(class))
        .collect()
    }

    fn exemplify(&mut self, depth: u32, trace_id: TraceId) {
        match self.exemplars.iter_mut().find(|(_, known)| *known == trace_id) {
            Some((known, _)) => *known = depth.max(*known),
            None => self.exemplars.push((depth, trace_id)),
        }
        self.exemplars.sort_unstable_by_key(|(depth, trace_id)| (std::cmp::Reverse(*depth), *trace_id));
        self.exemplars.truncate(EXEMPLARS);
    }

    /// All of it for the outside.
    pub(super) fn report(&mut self, now: ArrivalTime, prior: f64) -> LoopReport {
        let laps_per_minute = self.rate.per_second(now) * 60.0;
        let lap_times = self.renewal.lap_times();
        let (mean_seconds, spread) = lap_times.mean_and_spread();
        let grows = self.reproduction.filter(|r| r.low > 1.0);
        LoopReport {
            id: self.id,
            level: self.level,
            operations: self.operations.clone(),
            is_covered: self.is_covered,
            functions: self.functions.clone(),
            classes: self.classes(now),
            state: reentry::state(now, self.last_lap, lap_times.p99_ms, self.reproduction),
            assessment: self.assessment(now),
            reasons: if self.is_alarm(now) { self.reasons.clone() } else { SmallVec::new() },
            confidence: self.confidence(),
            max_depth: self.max_depth,
            depth_probability: self.table.predictive(self.max_depth, prior),
            alarm_depth: self.thresholds.alarm,
            chains: rounded(self.chains).max(u64::from(self.sampled.is_sampled())),
            open_chains: self.open_chains_adjusted(),
            learned_chains: self.table.chains(),
            laps: rounded(self.laps()),
            reproduction: self.reproduction,
            doubling_seconds: grows.and_then(|r| doubling_seconds(r.mean, mean_seconds, spread)),
            lap_p50_ms: lap_times.p50_ms,
            lap_p99_ms: lap_times.p99_ms,
            laps_per_minute,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            exemplars: self.exemplars.iter().map(|(_, trace_id)| *trace_id).collect(),
            joined: self.joined.clone(),
            sampling_probability: self.sampled.probability(),
            next_lap_sampling_probability: Some(self.sampled.next_lap_probability()).filter(|part| *part < 1.0 - 1e-9),
            hides_depth: !self.stays_in_trace && self.sampled.hides_depth(),
        }
    }
}

state!(LoopRecord {
    id,
    level,
    functions,
    operations,
    is_covered,
    laps_by,
    state,
    max_depth,
    credit,
    belief,
    crosses_traces,
    stays_in_trace,
    sampled,
    chains,
    open_chains,
    daily,
    daily_at,
    rate,
    first_seen,
    last_seen,
    last_lap,
    renewal,
    table,
    branching,
    ingress,
    failures,
    thresholds,
    reproduction,
    statistics_at,
    alarm_until,
    suspect_until,
    reasons,
    exemplars,
    joined
});
