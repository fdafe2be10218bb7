//! One shard: turns the spans of its traces into invocations, counts and records for the linker.
//!
//! All spans of a trace go to one shard. It knows parents and children within a trace and nothing beyond: links across
//! traces, causal depth and loops are the linker's (`linker.rs`). How a span relates to its parent:
//!
//! ```text
//!   parent        child
//!   -----------   -------------------------------------------------------------
//!   none          entry of an invocation
//!   other fn      entry, caused by the parent's invocation
//!   same fn,      entry when the parent is outbound and the child inbound (the
//!   ...           function calls itself), otherwise a part of the same invocation
//!   not here yet  inbound: entry for now, joined or merged when the parent comes;
//!                 other kinds: parked until the parent comes or the time is up
//! ```
//!
//! A span goes through `shard/intake.rs`, which keeps what later spans need (`shard/kept.rs`), `shard/place.rs`, which
//! finds where it stands, and `shard/tell.rs`, which says so to linker and aggregate. Of some traces `shard/timing.rs`
//! keeps all times, to tell where theirs went.

mod anomaly;
mod attempt;
mod clue;
mod conduct;
mod exception;
mod flow;
mod init;
mod intake;
mod invocation;
mod kept;
mod limit;
mod metric;
mod naming;
mod news;
mod operation;
mod place;
mod tell;
mod timing;
mod touch;

use std::{collections::VecDeque, mem};

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use crate::{
    config::Config,
    facts::FactRecord,
    generations::Generations,
    record::{Delta, Record, SpanKey},
    snapshot::{Losses, NodeId},
    span::{ArrivalTime, Span},
};
use attempt::Attempting;
use clue::Clues;
use exception::Exceptions;
use invocation::Invocations;
use kept::SpanRecord;
use metric::Streams;
use news::News;
use operation::Operations;
use timing::Timing;

/// One shard of the engine.
pub struct Shard {
    config: Config,
    spans: Generations<SpanRecord>,
    /// Children that came before their parents.
    waiting: Generations<SmallVec<[u64; 2]>>,
    /// Invocations that stand for a parent which did not come, so that its children are parts of one.
    stand_ins: Generations<u64>,
    /// What spans whose invocation is not known yet know of causes.
    clues: Generations<Clues>,
    parked: VecDeque<(ArrivalTime, u64)>,
    /// Spans that found their place and whose waiting children have not been looked at.
    placed: Vec<u64>,
    /// Spans whose function became known by that of a span below.
    named: Vec<u64>,
    /// Spans that name a function they invoke, until it is clear whether its spans show the call.
    invoking: VecDeque<(ArrivalTime, u64)>,
    /// Functions whose further names were told.
    introduced: FxHashSet<NodeId>,
    exceptions: Exceptions,
    capacity: usize,
    invocations: Invocations,
    operations: Operations,
    attempting: Attempting,
    timing: Timing,
    streams: Streams,
    delta: Delta,
    news: News,
    records: Vec<Record>,
}

impl Shard {
    /// Builds one of `shards` shards.
    pub fn new(config: &Config, shards: usize) -> Self {
        let capacity = (config.span_capacity / shards.max(1)).max(2);
        Self {
            spans: Generations::new(capacity, config.lateness),
            waiting: Generations::new(capacity, config.lateness),
            stand_ins: Generations::new(capacity, config.lateness),
            clues: Generations::new(capacity, config.lateness),
            parked: VecDeque::new(),
            placed: Vec::new(),
            named: Vec::new(),
            invoking: VecDeque::new(),
            introduced: FxHashSet::default(),
            exceptions: Exceptions::new(config, capacity),
            capacity,
            invocations: Invocations::new(config, capacity),
            operations: Operations::new(),
            attempting: Attempting::new(config),
            timing: Timing::new(config, shards),
            streams: Streams::new(shards, config.lateness),
            delta: Delta::default(),
            news: News::new(config),
            records: Vec::new(),
            config: config.clone(),
        }
    }

    /// Takes in spans that arrived at `now`. Spans seen before are counted and left out.
    pub fn ingest(&mut self, now: ArrivalTime, spans: impl IntoIterator<Item = Span>) {
        self.rotate(now);
        let spans: Vec<Span> = spans.into_iter().collect();
        // All are looked up before any is kept: memory that one waits for comes while the next is looked up.
        let met: Vec<(u64, bool)> = spans.iter().map(|span| self.meet(span)).collect();
        let mut fresh = Vec::with_capacity(spans.len());
        for (span, (mut key, is_known)) in spans.iter().zip(met) {
            self.delta.losses.spans += 1;
            let mut known = if is_known { self.spans.get(key) } else { self.spans.young(key) };
            if known.is_some_and(|known| known.shares_id_with(span.kind)) {
                key = SpanKey(key).pair().0;
                known = self.spans.get(key);
            }
            if known.is_some() {
                self.is_duplicate(span);
            } else if self.keep(now, key, span) {
                fresh.push(key);
            }
        }
        // Placed only when the whole batch is known: children come before their parents within it.
        for key in fresh {
            self.place(now, key);
            self.cascade(now);
        }
        self.count_failed();
    }

    /// Takes in what is said of runs beyond their spans, by whichever shard is asked: it is only counted.
    pub fn learn(&mut self, facts: impl IntoIterator<Item = FactRecord>) {
        facts.into_iter().for_each(|fact| self.delta.learn(&fact));
    }

    fn meet(&self, span: &Span) -> (u64, bool) {
        let key = SpanKey::new(span.trace_id, span.span_id).0;
        (key, self.spans.contains(key))
    }

    /// Counts what was mended or let go before the spans came here.
    pub fn count(&mut self, losses: &Losses) {
        self.delta.losses.merge(losses);
    }

    /// Does what is due at `now`: promotes spans that waited long enough, settles invocations.
    pub fn tick(&mut self, now: ArrivalTime) {
        self.rotate(now);
        while self.parked.front().is_some_and(|(due, _)| *due <= now) || self.parked.len() > self.capacity {
            if let Some((_, key)) = self.parked.pop_front() {
                self.promote(now, key);
            }
        }
        while self.invoking.front().is_some_and(|(due, _)| *due <= now) || self.invoking.len() > self.capacity {
            if let Some((_, key)) = self.invoking.pop_front() {
                self.count_invoke(key);
            }
        }
        self.settle_exceptions(now);
        self.count_failed();
        self.invocations.settle(now, &mut self.delta);
        self.timing.tick(now, &self.spans, &mut self.delta);
    }

    /// Does what is due when no span comes any more: all that waits is promoted, all that is open is settled.
    pub fn finish(&mut self, now: ArrivalTime) {
        while let Some((_, key)) = self.parked.pop_front() {
            self.promote(now, key);
        }
        while let Some((_, key)) = self.invoking.pop_front() {
            self.count_invoke(key);
        }
        self.settle_exceptions(ArrivalTime(u64::MAX));
        self.count_failed();
        self.invocations.settle(ArrivalTime(u64::MAX), &mut self.delta);
        self.timing.finish(&self.spans, &mut self.delta);
        let waiting: Vec<u64> = self.waiting.take_all().flat_map(|(_, children)| children).collect();
        self.are_orphans(waiting);
    }

    /// True when what it counted should go on before the next tick: there is a function, resource or edge in it that was
    /// never told of, or it is large. Merging what each few hundred spans did would cost a tenth of all that a span costs.
    pub fn is_due(&mut self) -> bool {
        self.news.are_in(&mut self.delta)
    }

    /// What it counted since the last call, for the aggregate.
    pub fn take_delta(&mut self) -> Delta {
        // What a tick hands on is told as well.
        self.news.are_in(&mut self.delta);
        self.delta.take()
    }

    /// What happened since the last call, in order, for the linker. Functions and edges of which it speaks are in a delta
    /// that was due no later.
    pub fn take_records(&mut self) -> Vec<Record> {
        mem::take(&mut self.records)
    }

    fn rotate(&mut self, now: ArrivalTime) {
        // Before the spans, so that those who waited can be named.
        if let Some(dropped) = self.waiting.rotate(now) {
            self.are_orphans(dropped.records.into_values().flatten());
        }
        if let Some(dropped) = self.spans.rotate(now) {
            self.delta.losses.count_dropped(&dropped);
        }
        if let Some(dropped) = self.clues.rotate(now) {
            let links: usize = dropped.records.values().map(|clues| clues.links.len()).sum();
            self.delta.losses.links_dropped += links as u64;
        }
        self.rotate_exceptions(now);
        self.stand_ins.rotate(now);
        self.operations.rotate(now);
        self.attempting.rotate(now);
        self.invocations.rotate(now, &mut self.delta.losses);
    }
}
