//! Shards, linker and aggregate joined for use in one thread.
//!
//! The collector runs the same parts on several threads; this is the whole engine for tests, tools and small programs.

#[cfg(test)]
mod anonymous;
#[cfg(test)]
mod bounds;
#[cfg(test)]
mod chains;
#[cfg(test)]
mod classes;
#[cfg(test)]
mod exceptions;
#[cfg(test)]
mod invocations;
#[cfg(test)]
mod laps;
#[cfg(test)]
mod names;
#[cfg(test)]
mod order;
#[cfg(test)]
mod sampled;

use std::collections::BTreeMap;

use crate::{
    aggregate::Aggregate,
    config::Config,
    facts::{ExceptionRecord, FactRecord},
    intended::Verdict,
    linker::Linker,
    shard::Shard,
    snapshot::{CostReport, Loop, LoopId, Losses, Snapshot},
    span::{ArrivalTime, Span, TraceId},
    windows::Length,
};

/// The whole engine in one value.
pub struct Engine {
    shards: Vec<Shard>,
    linker: Linker,
    aggregate: Aggregate,
    /// When it was told of anything last.
    now: ArrivalTime,
    /// Laps of the deepest chain of each loop, over all its lives.
    deepest: BTreeMap<LoopId, u32>,
}

/// Which of `shards` shards holds a trace.
pub fn shard_of(trace_id: TraceId, shards: usize) -> usize {
    let hash = xxhash_rust::xxh3::xxh3_64(&trace_id.0);
    usize::try_from(hash % shards.max(1) as u64).unwrap_or(0)
}

impl Engine {
    /// Builds an engine with `shards` shards; the number changes nothing in what it finds.
    pub fn new(config: &Config, shards: usize) -> Self {
        let shards = shards.max(1);
        Self {
            shards: (0..shards).map(|_| Shard::new(config, shards)).collect(),
            linker: Linker::new(config),
            aggregate: Aggregate::new(config),
            now: ArrivalTime(0),
            deepest: BTreeMap::new(),
        }
    }

    /// Takes in spans that arrived at `now`. What was counted of what is known goes on with the next
    /// tick; see [`Shard::is_due`].
    pub fn ingest(&mut self, now: ArrivalTime, spans: impl IntoIterator<Item = Span>) {
        self.pass_to(now);
        if let [only] = &mut self.shards[..] {
            only.ingest(now, spans);
        } else {
            let mut parts: Vec<Vec<Span>> = self.shards.iter().map(|_| Vec::new()).collect();
            for span in spans {
                parts[shard_of(span.trace_id, self.shards.len())].push(span);
            }
            for (shard, spans) in self.shards.iter_mut().zip(parts) {
                shard.ingest(now, spans);
            }
        }
        self.collect(now, Shard::is_due);
    }

    /// Counts what was mended or let go before the spans came here.
    pub fn count(&mut self, losses: &Losses) {
        if let Some(shard) = self.shards.first_mut() {
            shard.count(losses);
        }
    }

    /// Does what is due at `now`.
    pub fn tick(&mut self, now: ArrivalTime) {
        self.pass_to(now);
        for shard in &mut self.shards {
            shard.tick(now);
        }
        self.linker.tick(now);
        self.collect_all(now);
        self.aggregate.tick(now);
    }

    /// Ends the input: whoever waits for a span waits no longer, and all that is open is measured.
    pub fn finish(&mut self, now: ArrivalTime) {
        for shard in &mut self.shards {
            shard.finish(now);
        }
        self.collect_all(now);
        self.linker.finish(now);
        self.tick(now);
    }

    /// Laps of the deepest chain that a loop ever had, also before it was closed and went on; 0 for one without laps.
    pub fn deepest(&self, id: LoopId) -> u32 {
        self.deepest.get(&id).copied().unwrap_or_default()
    }

    /// Everything known at `now`.
    pub fn snapshot(&mut self, now: ArrivalTime) -> Snapshot {
        self.collect_all(now);
        self.aggregate.snapshot(now)
    }

    /// What was measured in the running window costs: in this minute, or in all of a capture.
    pub fn cost(&mut self, now: ArrivalTime) -> CostReport {
        self.collect_all(now);
        self.aggregate.cost(now)
    }

    #[cfg(test)]
    pub(crate) fn measured(&self) -> &crate::measured::Measured {
        self.aggregate.measured()
    }

    /// The loops of the snapshot alone: what is needed to watch them closely.
    pub fn loops(&self) -> Vec<Loop> {
        self.aggregate.loops()
    }

    /// The linker, for tools that compare chains with what they know to be true.
    pub fn linker(&self) -> &Linker {
        &self.linker
    }

    /// All that it knows but what the shards hold, as bytes: linker, then aggregate.
    pub fn save(&mut self, now: ArrivalTime) -> (Vec<u8>, Vec<u8>) {
        self.collect_all(now);
        (self.linker.save(), self.aggregate.save())
    }

    /// Goes on where an engine with the same bounds was saved; `None` when the bytes are not one. `recent` are the spans
    /// that came before, as far back as late ones may come, each with its arrival: the shards have to see them again.
    pub fn load(
        config: &Config,
        shards: usize,
        (linker, aggregate): (&[u8], &[u8]),
        now: ArrivalTime,
        recent: impl IntoIterator<Item = (ArrivalTime, Span)>,
    ) -> Option<Self> {
        let mut engine = Self::new(config, shards);
        for (at, span) in recent {
            let number = shard_of(span.trace_id, engine.shards.len());
            engine.shards[number].tick(at);
            engine.shards[number].ingest(at, [span]);
        }
        for shard in &mut engine.shards {
            shard.tick(now);
            // All of it was told before.
            drop((shard.take_delta(), shard.take_records()));
        }
        engine.linker = Linker::load(config, linker)?;
        engine.aggregate = Aggregate::load(config, aggregate)?;
        Some(engine)
    }

    /// Takes in what is said of runs beyond their spans, at `now`.
    pub fn learn(&mut self, now: ArrivalTime, facts: impl IntoIterator<Item = FactRecord>) {
        if let Some(shard) = self.shards.first_mut() {
            shard.learn(facts);
        }
        self.collect_all(now);
    }

    /// Takes in exceptions that log records tell of, at `now`.
    pub fn fail(&mut self, now: ArrivalTime, exceptions: impl IntoIterator<Item = ExceptionRecord>) {
        let shards = self.shards.len();
        for exception in exceptions {
            if let ExceptionRecord::Span { trace_id, .. } = exception {
                self.shards[shard_of(trace_id, shards)].fail(now, [exception]);
                continue;
            }
            self.shards[0].count(&Losses { exceptions_without_span: 1, ..Losses::default() });
            self.shards.iter_mut().for_each(|shard| shard.fail(now, [exception]));
        }
        self.collect_all(now);
    }

    /// Takes in what somebody says of a loop.
    pub fn teach(&mut self, loop_id: LoopId, verdict: Verdict) {
        self.linker.teach(loop_id, verdict);
    }

    /// The aggregate, to tell it what spans do not say.
    pub fn aggregate_mut(&mut self) -> &mut Aggregate {
        &mut self.aggregate
    }

    /// What was counted belongs to the minute that it came in.
    fn pass_to(&mut self, now: ArrivalTime) {
        if self.now.0 > 0 && !Length::Minute.around(self.now).holds(now) {
            self.collect_all(self.now);
        }
        self.now = now;
    }

    fn collect_all(&mut self, now: ArrivalTime) {
        self.collect(now, |_| true);
    }

    fn collect(&mut self, now: ArrivalTime, is_due: impl Fn(&mut Shard) -> bool) {
        for shard in &mut self.shards {
            if is_due(shard) {
                self.aggregate.merge(now, shard.take_delta());
            }
            self.linker.ingest(now, shard.take_records());
        }
        let linked = self.linker.drain(now);
        for id in &linked.removed {
            self.deepest.remove(id);
        }
        for report in &linked.loops {
            let deepest = self.deepest.entry(report.id).or_default();
            *deepest = report.max_depth.max(*deepest);
        }
        self.aggregate.link(now, linked);
    }
}
