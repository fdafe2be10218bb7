//! One invocation: what it does, how it is written, and what it causes.

use std::sync::Arc;

use loopscope_analyzer::span::{Span, SpanId, SpanKind, TraceId};
use smallvec::{SmallVec, smallvec};

use super::{Event, Message, START, Task, World};
use crate::{
    knobs::Context,
    render::{self, Draft, Exporter, Sent, Start, TRIGGER_PREFIX},
    scenario::{Edge, Hop, Retry, Rule},
    truth::{EntryTruth, dollars, nanos},
};

/// Share of invocations that start a new instance.
const COLD: f64 = 0.03;

/// Sigma of the logarithm of durations.
const DURATION_SIGMA: f64 = 0.6;

/// Seconds in which a queue gathers a batch.
const BATCH_WINDOW: f64 = 1.0;

/// An invocation while it is written.
struct Run<'a> {
    at: u64,
    task: &'a Task,
    trace_id: TraceId,
    span_id: SpanId,
    context: Context,
    exporter: Exporter,
    laps: u32,
    place: usize,
    /// Nanoseconds after `at` up to which it has worked.
    cursor: u64,
    spans: Vec<Span>,
}

impl World {
    /// Runs one invocation: decides what it does, writes its spans, and schedules what it causes.
    pub(super) fn run(&mut self, at: u64, task: &Task) {
        let scenario = &self.plan.scenarios[task.scenario];
        let is_over = at > START + nanos(scenario.until)
            || self.truth.loops[task.scenario].all.invocations >= scenario.most_invocations;
        if is_over {
            return;
        }
        let node = scenario.flow.nodes[task.node].clone();
        let is_deployed = scenario.deploys && scenario.onset().is_some_and(|onset| START + nanos(onset) <= at);
        let function = &self.functions[task.scenario][task.node];
        let exporter = if is_deployed { function.deployed.clone() } else { function.exporter.clone() };
        let context = scenario.context.unwrap_or(self.plan.knobs.context);
        let cause = task.messages.iter().find_map(|message| message.sent.as_ref());
        let parent = cause.filter(|_| context == Context::Parent);
        let cold = self.dice.chance(COLD);
        let warm_up = if cold { self.dice.uniform(0.3, 3.0) } else { 0.0 };
        let own = nanos(self.dice.lognormal(node.seconds, DURATION_SIGMA) + warm_up);
        let mut run = Run {
            at,
            task,
            trace_id: parent.map_or_else(|| self.dice.trace_id(), |sent| sent.trace_id),
            span_id: self.dice.span_id(),
            context,
            exporter,
            laps: task.messages.iter().map(|message| message.laps).max().unwrap_or(0),
            place: self.truth.entries.len(),
            cursor: own / 2,
            spans: Vec::with_capacity(4),
        };
        self.work(&node.entity, &node.telemetry_to, &mut run);
        if task.calls_on {
            for edge in &node.edges {
                self.follow(edge, &mut run);
            }
        }
        let timeout = nanos(self.plan.scenarios[task.scenario].timeout);
        let length = run.cursor.max(own);
        let is_timed_out = length > timeout;
        let end = at + length.min(timeout);
        let error = task.fails || is_timed_out || self.dice.chance(node.errors);
        let causes: SmallVec<[&Sent; 1]> = task.messages.iter().filter_map(|message| message.sent.as_ref()).collect();
        let draft = Draft {
            by: &run.exporter,
            trace_id: run.trace_id,
            span_id: run.span_id,
            parent: parent.map(|sent| sent.span_id),
            kind: SpanKind::Server,
            start: at,
            end,
            error,
        };
        let entry = render::Entry {
            start: task.start,
            context,
            causes: &causes,
            request: &task.request,
            cold,
            consumer: self.dice.span_id(),
        };
        render::entry(&draft, &entry, &mut run.spans);
        let (trace_id, span_id, laps) = (run.trace_id, run.span_id, run.laps);
        let spans = run.spans;
        let is_runaway = task.messages.iter().any(|message| message.is_runaway);
        let is_seen = self.export(end, spans, is_runaway.then_some(task.scenario));
        let entry = EntryTruth {
            scenario: task.scenario,
            node: task.node,
            trace_id,
            span_id,
            start: at,
            parents: task.messages.iter().filter_map(|message| message.parent).collect(),
            depth: laps,
            is_runaway,
            is_seen,
        };
        self.truth.loops[task.scenario].count(&entry, dollars(node.memory_mb, end - at));
        if self.plan.keeps_entries {
            self.truth.entries.push(entry);
        }
    }

    /// What an invocation does besides calling others.
    fn work(&mut self, entity: &Option<String>, telemetry_to: &Option<String>, run: &mut Run<'_>) {
        let is_idle = entity.is_none() && telemetry_to.is_none() && self.dice.chance(0.5);
        if is_idle {
            return;
        }
        let start = run.at + run.cursor / 2;
        let timeout = nanos(self.plan.scenarios[run.task.scenario].timeout);
        if run.cursor / 2 >= timeout {
            return;
        }
        let end = (start + nanos(self.dice.lognormal(0.005, 0.5))).min(run.at + timeout);
        run.cursor = run.cursor.max(end - run.at);
        let draft = Draft {
            by: &run.exporter,
            trace_id: run.trace_id,
            span_id: self.dice.span_id(),
            parent: Some(run.span_id),
            kind: SpanKind::Client,
            start,
            end,
            error: false,
        };
        let table = format!("{}-state", run.exporter.name);
        run.spans.push(match (telemetry_to, entity) {
            (Some(address), _) => render::export(&draft, address),
            (None, Some(entity)) => render::update(&draft, &table, entity),
            (None, None) => render::read(&draft, &table),
        });
    }

    fn follow(&mut self, edge: &Edge, run: &mut Run<'_>) {
        let messages = &run.task.messages;
        for message in messages {
            let times = match edge.rule {
                Rule::Always | Rule::Never => 1,
                Rule::Chance(probability) => u32::from(self.dice.chance(probability)),
                Rule::Times(times) => times,
                Rule::Lap => message.remaining.next(&mut self.dice),
            };
            for _ in 0..times {
                let attempts = match edge.retry {
                    Retry::Caller { attempts, failing } => 1 + self.failures(attempts, failing),
                    _ => 1,
                };
                for attempt in 1..=attempts {
                    self.send(edge, message, attempt < attempts, run);
                }
            }
        }
    }

    fn failures(&mut self, attempts: u32, failing: f64) -> u32 {
        (1..attempts).take_while(|_| self.dice.chance(failing)).count() as u32
    }

    /// Writes one outbound span and schedules what it starts.
    fn send(&mut self, edge: &Edge, message: &Message, fails: bool, run: &mut Run<'_>) {
        let is_polling = matches!(edge.rule, Rule::Times(_));
        let delay = nanos(if is_polling { 0.005 } else { self.dice.lognormal(edge.delay, edge.spread) });
        let sending = nanos(self.dice.lognormal(0.008, 0.4));
        let start = run.at + run.cursor;
        if run.cursor >= nanos(self.plan.scenarios[run.task.scenario].timeout) {
            return;
        }
        let target = &self.functions[run.task.scenario][edge.to];
        let destination = match edge.hop {
            Hop::Queue => &target.queue,
            Hop::Bucket => &target.bucket,
            Hop::Table => &target.table,
            Hop::Call | Hop::Invoke | Hop::Schedule => &target.exporter.name,
        };
        let prefix = edge.prefix.unwrap_or(TRIGGER_PREFIX);
        let key = if edge.overwrites { format!("{prefix}state") } else { format!("{prefix}{}", self.dice.uuid()) };
        let sent = Sent {
            trace_id: run.trace_id,
            span_id: self.dice.span_id(),
            message: self.dice.uuid().into(),
            key: key.into(),
            conversation: message.conversation.clone(),
            destination: Arc::clone(destination),
            at: start,
        };
        let waits =
            if edge.hop == Hop::Call { delay + self.waits_for(edge, message, run.task.scenario) } else { sending };
        let timeout = nanos(self.plan.scenarios[run.task.scenario].timeout);
        let end = start + waits.min(timeout.saturating_sub(run.cursor).max(1));
        let draft = Draft {
            by: &run.exporter,
            trace_id: run.trace_id,
            span_id: sent.span_id,
            parent: Some(run.span_id),
            kind: SpanKind::Client,
            start,
            end,
            error: fails || waits > end - start,
        };
        run.spans.push(render::outbound(&draft, edge.hop, run.context, &sent));
        // Whoever asks again and again waits in between; other calls follow each other.
        let pause = if is_polling { nanos(edge.delay) } else { 0 };
        run.cursor += (end - start).max(pause);
        if edge.rule == Rule::Never {
            return;
        }
        let began = if edge.hop == Hop::Call { start + delay } else { end + delay };
        self.start(edge, message, sent, began, fails, run);
    }

    /// How long a caller waits for what it called, nanoseconds.
    fn waits_for(&self, edge: &Edge, message: &Message, scenario: usize) -> u64 {
        let scenario = &self.plan.scenarios[scenario];
        let lap: f64 = scenario.cycle().iter().map(|at| scenario.flow.nodes[*at].stay()).sum();
        let laps = if edge.rule == Rule::Lap { message.remaining.laps() } else { message.remaining.laps() + 1 };
        nanos(scenario.flow.nodes[edge.to].seconds * 1.5 + f64::from(laps.min(10_000)) * lap)
    }

    fn start(&mut self, edge: &Edge, message: &Message, sent: Sent, at: u64, fails: bool, run: &Run<'_>) {
        let is_lap = edge.rule == Rule::Lap;
        let next = Message {
            parent: self.plan.keeps_entries.then_some(run.place),
            laps: run.laps + u32::from(is_lap),
            remaining: if is_lap { message.remaining.after_a_lap() } else { message.remaining },
            is_runaway: message.is_runaway,
            conversation: message.conversation.clone(),
            sent: Some(sent),
        };
        let (scenario, node) = (run.task.scenario, edge.to);
        if edge.hop == Hop::Queue && self.plan.knobs.batch > 1 {
            let waiting = self.queues.entry((scenario, node)).or_default();
            waiting.push(next);
            if waiting.len() == 1 {
                self.schedule(at + nanos(BATCH_WINDOW), Event::Flush { scenario, node });
            }
            return;
        }
        // The request id of an asynchronous call is known to the caller, and stays the same when the platform retries.
        let request = next.sent.as_ref().map_or_else(|| self.dice.uuid().into(), |sent| Arc::clone(&sent.message));
        let (attempts, pause) = match edge.retry {
            Retry::Platform { attempts, failing, pause } => (1 + self.failures(attempts, failing), pause),
            _ => (1, 0.0),
        };
        for attempt in 1..=attempts {
            let is_last = attempt == attempts;
            let task = Task {
                scenario,
                node,
                start: Start::Hop(edge.hop),
                messages: smallvec![next.clone()],
                request: if edge.hop == Hop::Queue { self.dice.uuid().into() } else { Arc::clone(&request) },
                fails: fails || !is_last,
                calls_on: is_last,
            };
            self.schedule(at + nanos(pause) * u64::from(attempt - 1), Event::Run(Box::new(task)));
        }
    }

    /// A queue hands over what it has gathered.
    pub(super) fn flush(&mut self, at: u64, scenario: usize, node: usize) {
        let mut waiting = self.queues.remove(&(scenario, node)).unwrap_or_default();
        while !waiting.is_empty() {
            let size = self.dice.between(1, self.plan.knobs.batch as u32) as usize;
            let messages = waiting.drain(..size.min(waiting.len())).collect();
            let task = Task {
                scenario,
                node,
                start: Start::Hop(Hop::Queue),
                messages,
                request: self.dice.uuid().into(),
                fails: false,
                calls_on: true,
            };
            self.run(at, &task);
        }
    }
}
