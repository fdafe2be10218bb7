//! The labels: what is true of a world, whatever became of its telemetry.

use loopscope_analyzer::span::{SpanId, TraceId};
use smallvec::SmallVec;

use crate::{
    class::Class,
    knobs::Context,
    scenario::{Law, Scenario},
};

/// Price of one gigabyte-second on x86, US dollars.
pub const DOLLARS_PER_GB_SECOND: f64 = 1.666_67e-5;

/// Price of one request, US dollars.
pub const DOLLARS_PER_REQUEST: f64 = 2e-7;

/// What is true of a world up to a moment.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// One for each scenario, in their order.
    pub loops: Vec<LoopTruth>,
    /// The invocations of the scenarios in the order of their starts; empty unless they were asked for.
    pub entries: Vec<EntryTruth>,
}

/// What is true of one scenario.
#[derive(Clone, Debug)]
pub struct LoopTruth {
    /// Name of the scenario.
    pub name: String,
    /// What it is an example of.
    pub class: Class,
    /// Names of the functions that one lap meets, in order; for a scenario that does not go round, all its functions.
    pub functions: Vec<String>,
    /// True when something closes a lap.
    pub is_cycle: bool,
    /// When its first runaway chain began, nanoseconds since 1970 by a true clock.
    pub t0: Option<u64>,
    /// Re-entries that an entry of a runaway chain causes in the mean, or of a harmless chain where there is no other.
    pub r: f64,
    /// All its invocations.
    pub all: Tally,
    /// Invocations of its runaway chains.
    pub runaway: Tally,
    /// Of these, those whose spans have arrived.
    pub arrived: u64,
    /// How its causes are told, when not as in the rest of the world.
    pub context: Option<Context>,
    /// How its harmless chains go on, when they go round.
    pub benign: Option<Law>,
    /// Invocations after which nothing more is started.
    pub most_invocations: u64,
    /// True when all its chains follow one law without a memory, so that R is one number.
    pub is_uniform: bool,
    /// When the deepest runaway chain became how deep: time in nanoseconds, laps.
    pub deepening: Vec<(u64, u32)>,
}

/// Counts of invocations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Invocations that have begun.
    pub invocations: u64,
    /// Laps of the deepest chain.
    pub depth: u32,
    /// What they cost, US dollars.
    pub dollars: f64,
    /// Chains that have entered.
    pub chains: u64,
}

/// What is true of one invocation.
#[derive(Clone, Debug)]
pub struct EntryTruth {
    /// Place of its scenario.
    pub scenario: usize,
    /// Place of its function in the scenario.
    pub node: usize,
    /// Its entry span.
    pub trace_id: TraceId,
    /// Its entry span.
    pub span_id: SpanId,
    /// When it began, nanoseconds since 1970 by a true clock.
    pub start: u64,
    /// Places of the invocations that caused it, in the list of entries.
    pub parents: SmallVec<[usize; 1]>,
    /// Laps of its deepest path.
    pub depth: u32,
    /// True when it belongs to a runaway chain.
    pub is_runaway: bool,
    /// True when its spans were exported and not lost.
    pub is_seen: bool,
}

impl LoopTruth {
    /// What is true of a scenario before it begins; `start` is the beginning of the world.
    pub fn new(scenario: &Scenario, start: u64) -> Self {
        let cycle = scenario.cycle();
        let is_cycle = !cycle.is_empty();
        let functions = match is_cycle {
            true => cycle.iter().map(|at| scenario.function(*at)).collect(),
            false => (0..scenario.flow.nodes.len()).map(|at| scenario.function(at)).collect(),
        };
        let law = scenario.runaway.or(scenario.benign).map(|stream| stream.law);
        let is_uniform = scenario.runaway.is_none() || scenario.benign.is_none();
        Self {
            name: scenario.name.clone(),
            class: scenario.class,
            functions,
            is_cycle,
            t0: scenario.onset().map(|at| start + nanos(at)),
            r: law.map_or(f64::NAN, Law::r),
            all: Tally::default(),
            runaway: Tally::default(),
            arrived: 0,
            context: scenario.context,
            benign: scenario.benign.map(|stream| stream.law).filter(|law| *law != Law::Continue(0.0)),
            most_invocations: scenario.most_invocations,
            is_uniform: is_uniform && law.is_some_and(Law::is_memoryless),
            deepening: Vec::new(),
        }
    }

    /// True when an incident is right at this moment.
    pub fn is_runaway_at(&self, at: u64) -> bool {
        self.t0.is_some_and(|t0| t0 <= at)
    }

    /// Laps of the deepest runaway chain at this moment.
    pub fn depth_at(&self, at: u64) -> u32 {
        let until = self.deepening.partition_point(|(time, _)| *time <= at);
        until.checked_sub(1).map_or(0, |last| self.deepening[last].1)
    }

    /// Takes in an invocation.
    pub(crate) fn count(&mut self, entry: &EntryTruth, dollars: f64) {
        let tallies = [Some(&mut self.all), entry.is_runaway.then_some(&mut self.runaway)];
        for tally in tallies.into_iter().flatten() {
            tally.invocations += 1;
            tally.dollars += dollars;
            tally.depth = tally.depth.max(entry.depth);
            tally.chains += u64::from(entry.parents.is_empty() && entry.depth == 0);
        }
        if entry.is_runaway && self.deepening.last().is_none_or(|(_, depth)| *depth < entry.depth) {
            self.deepening.push((entry.start, entry.depth));
        }
    }
}

/// What one invocation costs, US dollars.
pub fn dollars(memory_mb: u32, nanos: u64) -> f64 {
    let gigabytes = f64::from(memory_mb) / 1024.0;
    let billed_seconds = nanos.div_ceil(1_000_000) as f64 / 1_000.0;
    gigabytes * billed_seconds * DOLLARS_PER_GB_SECOND + DOLLARS_PER_REQUEST
}

/// Seconds as nanoseconds; negative ones are none.
pub fn nanos(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_one_slow_chain_costs_what_the_price_list_says() {
        // 1 GB, 300 ms, one lap a second.
        let hour = 3_600.0 * dollars(1024, 300_000_000);
        assert!((hour - 0.0187).abs() < 1e-3, "{hour}");
    }
}
