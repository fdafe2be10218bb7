//! Exceptions that log records tell of: the invocation whose span wrote the record has failed.
//!
//! Record and span come in any order and any number of times; an invocation fails once. A record names its span, or else
//! the id of the run, or else only the instance and the time (OpenTelemetry's order of what joins logs to spans). Where
//! the span is not here yet, or its place is not known, the exception waits for it. Traces of one run may be in any shard,
//! so each shard is told of exceptions that name no trace, and the one that has the run finds it.

use std::{collections::VecDeque, time::Duration};

use smallvec::{Array, SmallVec};

use super::{Shard, kept::SpanRecord, touch};
use crate::{
    config::Config,
    facts::{ExceptionRecord, InstanceId, RunId},
    generations::Generations,
    record::SpanKey,
    span::{ArrivalTime, EventTime},
};

/// Bound on the exceptions of one shard that wait for their spans, for each way to name them.
const EXCEPTIONS_WAITING: usize = 16_384;

/// Spans of one run that are remembered, the newest: AWS Lambda tries three times.
const OF_RUN: usize = 4;

/// Spans of one instance that are remembered, the newest.
const OF_INSTANCE: usize = 8;

/// A platform writes that a run failed this long after its span ended, at most.
const SLACK: Duration = Duration::from_secs(2);

/// Exceptions that wait, and what is needed to find the runs that they name.
pub(super) struct Exceptions {
    /// Spans of which an exception was told before their place was known.
    of_spans: Generations<()>,
    /// Times of exceptions by the run that is not here yet.
    of_runs: Generations<SmallVec<[EventTime; 2]>>,
    /// Exceptions by instance, and when it is told which run was there: others may still come.
    of_instances: VecDeque<(ArrivalTime, InstanceId, EventTime)>,
    /// Spans by the id of their run.
    runs: Generations<SmallVec<[u64; OF_RUN]>>,
    /// Spans of functions by their instance.
    instances: Generations<SmallVec<[u64; OF_INSTANCE]>>,
    /// Invocations that failed and are not counted as such yet.
    pub(super) failed: Vec<u64>,
}

impl Exceptions {
    pub(super) fn new(config: &Config, capacity: usize) -> Self {
        Self {
            of_spans: Generations::new(EXCEPTIONS_WAITING, config.lateness),
            of_runs: Generations::new(EXCEPTIONS_WAITING, config.lateness),
            of_instances: VecDeque::new(),
            runs: Generations::new(capacity, config.lateness),
            instances: Generations::new(capacity, config.lateness),
            failed: Vec::new(),
        }
    }
}

impl Shard {
    /// Takes in exceptions that log records tell of: those of traces of this shard, and all that name no trace.
    pub fn fail(&mut self, now: ArrivalTime, exceptions: impl IntoIterator<Item = ExceptionRecord>) {
        for exception in exceptions {
            self.rotate_exceptions(now);
            match exception {
                ExceptionRecord::Span { trace_id, span_id } => {
                    let key = SpanKey::new(trace_id, span_id).0;
                    match self.spans.get(key).map(|span| span.invocation).filter(|invocation| *invocation != 0) {
                        Some(invocation) => self.exceptions.failed.push(invocation),
                        None => self.exceptions.of_spans.insert(key, ()),
                    }
                }
                ExceptionRecord::Run { run, at } => {
                    if !self.fail_run(run, at) {
                        self.await_run(run, at);
                    }
                }
                ExceptionRecord::Instance { instance, at } => {
                    let due = now.after(self.config.park);
                    self.exceptions.of_instances.push_back((due, instance, at));
                }
            }
        }
        self.settle_exceptions(now);
        self.count_failed();
    }

    /// A span found its place: whatever waits for it has failed its invocation.
    pub(super) fn meet_exceptions(&mut self, key: u64, span: &SpanRecord, invocation: u64) {
        if self.exceptions.of_spans.remove(key).is_some() {
            self.exceptions.failed.push(invocation);
        }
        if span.run != 0 {
            remember(&mut self.exceptions.runs, span.run, key);
            for at in self.exceptions.of_runs.remove(span.run).unwrap_or_default() {
                if !self.fail_run(RunId(span.run), at) {
                    self.await_run(RunId(span.run), at);
                }
            }
        }
        if span.instance != 0 && span.is_faas && key == invocation {
            remember(&mut self.exceptions.instances, span.instance.into(), key);
        }
    }

    /// True when the run is here; of several tries, the one that ran at the time.
    fn fail_run(&mut self, run: RunId, at: EventTime) -> bool {
        let keys = self.exceptions.runs.get(run.0).cloned().unwrap_or_default();
        let mut found = keys.iter().rev().filter_map(|key| self.spans.get(*key));
        let Some(invocation) = found.find(|span| ran_at(span, at)).map(|span| span.invocation) else { return false };
        self.exceptions.failed.push(invocation);
        self.delta.losses.exceptions_joined += 1;
        true
    }

    fn await_run(&mut self, run: RunId, at: EventTime) {
        match self.exceptions.of_runs.get_mut(run.0) {
            Some(times) if times.len() < times.inline_size() => times.push(at),
            Some(_) => {}
            None => self.exceptions.of_runs.insert(run.0, SmallVec::from_slice(&[at])),
        }
    }

    /// Finds the runs of exceptions by instance that waited long enough.
    pub(super) fn settle_exceptions(&mut self, now: ArrivalTime) {
        let is_due = |waiting: &VecDeque<(ArrivalTime, InstanceId, EventTime)>| {
            waiting.front().is_some_and(|(due, ..)| *due <= now) || waiting.len() > EXCEPTIONS_WAITING
        };
        while is_due(&self.exceptions.of_instances)
            && let Some((_, instance, at)) = self.exceptions.of_instances.pop_front()
        {
            self.fail_instance(instance, at);
        }
    }

    fn fail_instance(&mut self, instance: InstanceId, at: EventTime) {
        let Some(keys) = self.exceptions.instances.get(instance.0.into()) else { return };
        let spans = keys.iter().filter_map(|key| self.spans.get(*key));
        let there: SmallVec<[u64; 2]> =
            spans.filter(|span| span.start <= at && at <= span.end()).map(|span| span.invocation).collect();
        // Where an instance runs several at the same time, nobody knows which it was.
        if let [invocation] = there[..] {
            self.exceptions.failed.push(invocation);
            self.delta.losses.exceptions_joined += 1;
        }
    }

    pub(super) fn rotate_exceptions(&mut self, now: ArrivalTime) {
        if let Some(dropped) = self.exceptions.of_spans.rotate(now) {
            self.delta.losses.exceptions_unmatched += dropped.records.len() as u64;
        }
        self.exceptions.of_runs.rotate(now);
        self.exceptions.runs.rotate(now);
        self.exceptions.instances.rotate(now);
    }

    /// Counts the invocations of which an exception was told as failed, each once; after their calls are counted.
    pub(super) fn count_failed(&mut self) {
        while let Some(key) = self.exceptions.failed.pop() {
            let Some(entry) = self.spans.get_mut(key).filter(|entry| !entry.is_failed) else { continue };
            entry.is_failed = true;
            if std::mem::replace(&mut entry.error, true) {
                continue;
            }
            let entry = entry.clone();
            self.delta.function(&entry.function).errors += entry.sampling.adjusted_count();
            let parent = if entry.is_call_counted { self.spans.get(entry.parent) } else { None };
            touch::fail_call(&mut self.delta, &entry, parent);
        }
    }
}

/// Adds a span to those of a run or an instance; the newest stay.
fn remember<A: Array<Item = u64>>(known: &mut Generations<SmallVec<A>>, name: u64, key: u64) {
    if !known.refresh(name) {
        known.insert(name, SmallVec::new());
    }
    if let Some(keys) = known.get_mut(name) {
        if keys.len() == A::size() {
            keys.remove(0);
        }
        keys.push(key);
    }
}

/// True when the time is within the span, or just after, or not known.
fn ran_at(span: &SpanRecord, at: EventTime) -> bool {
    let slack = SLACK.as_nanos() as u64;
    at.0 == 0 || span.start.0 <= at.0.saturating_add(slack) && at.0 <= span.end().0.saturating_add(slack)
}
