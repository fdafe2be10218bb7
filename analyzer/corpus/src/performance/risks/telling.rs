//! The runs of one function as its exporter and its platform tell them.

use std::sync::Arc;

use loopscope_analyzer::{
    attribute::Attributes,
    facts::FactRecord,
    span::{EventTime, Span, SpanId, SpanKind, TraceId},
};

use super::habit::{Failing, Habit, Memory, SECONDS};
use crate::{
    dice::Dice,
    performance::telling,
    render::{self, Draft, Exporter, text},
    truth::nanos,
    world::START,
};

/// Instances that take turns.
const INSTANCES: usize = 3;

/// Seconds that one use of a store takes, median.
const STORE: f64 = 0.004;

/// What arrives of one run.
pub(super) struct Told {
    /// When, nanoseconds.
    pub(super) at: u64,
    pub(super) spans: Vec<Span>,
    pub(super) facts: Option<FactRecord>,
}

/// An instance of a function.
#[derive(Clone, Copy, Default)]
struct Instance {
    number: u32,
    runs: u32,
    /// The most that it has used, MiB.
    most: f64,
    /// The run of its large request.
    large_at: u32,
}

struct Telling<'a> {
    name: &'a Arc<str>,
    habit: &'a Habit,
    dice: Dice,
    instances: [Instance; INSTANCES],
    started: u32,
}

/// All runs of a function, in the order in which they begin.
pub(super) fn tell(seed: u64, name: &Arc<str>, habit: &Habit) -> Vec<Told> {
    let instances = [Instance::default(); INSTANCES];
    let mut telling = Telling { name, habit, dice: Dice::new(seed, name), instances, started: 0 };
    let (mut told, mut at) = (Vec::new(), 0.0);
    loop {
        at += telling.dice.wait(habit.rate);
        if at >= SECONDS {
            return told;
        }
        told.push(telling.run(START + nanos(at)));
    }
}

impl Telling<'_> {
    fn run(&mut self, asked: u64) -> Told {
        let trace_id = self.dice.trace_id();
        let mut spans = Vec::new();
        let fails = self.dice.chance(self.habit.refused.part);
        let how = self.habit.refused.how;
        if fails && how == Failing::Refused {
            self.call(trace_id, asked, asked + nanos(0.02), Some("TooManyRequestsException"), &mut spans);
            return Told { at: asked + nanos(1.0), spans, facts: None };
        }
        let (place, is_cold) = self.take();
        let by = self.exporter(self.instances[place].number);
        let is_outside = how == Failing::Nobody;
        let parent = (!is_outside).then(|| self.dice.span_id());
        let init = if is_cold { self.dice.lognormal(self.habit.init, 0.3) } else { 0.0 };
        let mut start = asked;
        if is_cold && !self.habit.starts_within {
            start += nanos(init);
        }
        let entry = Draft {
            by: &by,
            trace_id,
            span_id: self.dice.span_id(),
            parent,
            kind: SpanKind::Server,
            start,
            end: start,
            error: false,
        };
        let mut now = start;
        if is_cold && self.habit.starts_within {
            now += nanos(init);
            let draft = Draft {
                span_id: self.dice.span_id(),
                parent: Some(entry.span_id),
                kind: SpanKind::Internal,
                end: now,
                ..entry
            };
            spans.push(render::span(&draft, "Initialization".to_owned(), Attributes::default(), Vec::new()));
        }
        now = self.ask(&entry, now, &mut spans);
        let (own, waits) = (self.habit.own, self.habit.waits);
        now += nanos(self.dice.lognormal(own.0, own.1).min(self.habit.longest));
        let is_waiting = self.dice.chance(waits.0);
        now += if is_waiting { nanos(waits.1) } else { 0 };
        let limit = start + nanos(self.habit.time_out);
        let is_ended = now >= limit;
        let end = now.min(limit);
        let mut attributes = Attributes::default();
        attributes.insert("faas.invocation_id", text(&self.dice.uuid()));
        attributes.insert("http.request.method", text("POST"));
        if is_cold {
            attributes.insert("faas.coldstart", loopscope_analyzer::attribute::Value::Bool(true));
        }
        let is_failed = fails && matches!(how, Failing::Fails | Failing::RefusedByTable);
        if is_ended {
            let seconds = self.habit.time_out;
            attributes.insert("otel.status_description", text(&format!("Task timed out after {seconds:.2} seconds")));
        } else if is_waiting {
            attributes.insert("error.type", text("requests.exceptions.ReadTimeout"));
        } else if is_failed {
            attributes.insert("error.type", text("ThrottlingException"));
        }
        if is_failed && how == Failing::RefusedByTable {
            self.refused_by_table(&entry, end, &mut spans);
        }
        if !is_ended || self.habit.tells_time_outs {
            let error = is_ended || is_waiting || is_failed;
            let draft = Draft { end, error, ..entry };
            spans.push(render::span(&draft, format!("POST /{}", self.name), attributes, Vec::new()));
        }
        if let Some(span_id) = parent {
            let error = if fails { Some(if how == Failing::GivenUp { "timeout" } else { "500" }) } else { None };
            self.client(trace_id, span_id, asked, end + nanos(0.004), error, &mut spans);
        }
        let used_mb = self.instances[place].uses(&self.habit.memory, &mut self.dice);
        let function = Arc::clone(by.resource.function());
        let facts = FactRecord {
            instance: Some(format!("instance-{:08}", self.instances[place].number).into()),
            init_ms: (is_cold && !self.habit.starts_within).then_some(init * 1e3),
            used_memory_bytes: Some((used_mb * 1_048_576.0) as u64),
            ..FactRecord::about(function, EventTime(end))
        };
        Told { at: end + nanos(1.0), spans, facts: Some(facts) }
    }

    /// The instance that runs next, and whether it starts with this run.
    fn take(&mut self) -> (usize, bool) {
        let place = self.dice.below(INSTANCES);
        let must_start = self.dice.chance(self.habit.cold);
        let instance = &mut self.instances[place];
        let is_cold = must_start || instance.number == 0 || instance.runs >= self.habit.life;
        if is_cold {
            self.started += 1;
            let large_at = self.dice.between(self.habit.life / 10, self.habit.life * 9 / 10);
            *instance = Instance { number: self.started, runs: 0, most: 0.0, large_at };
        }
        (place, is_cold)
    }

    fn exporter(&self, instance: u32) -> Exporter {
        Exporter { name: Arc::clone(self.name), resource: telling::function(self.name, "1", instance), skew: 0 }
    }

    /// What the run asks of stores, or of a function of somebody else; when it goes on.
    fn ask(&mut self, entry: &Draft<'_>, from: u64, spans: &mut Vec<Span>) -> u64 {
        let state = &self.habit.state;
        if !self.dice.chance(state.part) {
            return from;
        }
        let calls = self.dice.between(state.calls.0, state.calls.1);
        let (mut now, mut last) = (from, from);
        for _ in 0..calls {
            let end = now + nanos(self.dice.lognormal(STORE, 0.4)).max(1);
            let mut attributes = Attributes::default();
            let said: &[(&str, &str)] = if state.is_function {
                &[("http.request.method", "POST"), ("server.address", "api.example.com")]
            } else {
                &[("db.system.name", "postgresql"), ("db.operation.name", "SELECT"), ("db.collection.name", "orders")]
            };
            said.iter().for_each(|(key, value)| attributes.insert(key, text(value)));
            let draft = Draft {
                span_id: self.dice.span_id(),
                parent: Some(entry.span_id),
                kind: SpanKind::Client,
                start: now,
                end,
                ..*entry
            };
            spans.push(render::span(&draft, said[1].1.to_owned(), attributes, Vec::new()));
            last = last.max(end);
            now = if state.at_once { now } else { end };
        }
        last
    }

    fn refused_by_table(&mut self, entry: &Draft<'_>, end: u64, spans: &mut Vec<Span>) {
        let mut attributes = Attributes::default();
        for (key, value) in [
            ("db.system.name", "aws.dynamodb"),
            ("aws.dynamodb.table_names", "orders"),
            ("error.type", "ThrottlingException"),
        ] {
            attributes.insert(key, text(value));
        }
        let (span_id, parent) = (self.dice.span_id(), Some(entry.span_id));
        let start = end.saturating_sub(nanos(0.005)).max(entry.start);
        let draft = Draft { span_id, parent, kind: SpanKind::Client, start, end, error: true, ..*entry };
        spans.push(render::span(&draft, "DynamoDB.PutItem".to_owned(), attributes, Vec::new()));
    }

    /// A call by the caller that leads to no run.
    fn call(&mut self, trace_id: TraceId, start: u64, end: u64, error: Option<&str>, spans: &mut Vec<Span>) {
        let span_id = self.dice.span_id();
        self.client(trace_id, span_id, start, end, error, spans);
    }

    /// The span of the caller, and the run that it is in.
    fn client(
        &mut self,
        trace_id: TraceId,
        span_id: SpanId,
        start: u64,
        end: u64,
        error: Option<&str>,
        spans: &mut Vec<Span>,
    ) {
        let name: Arc<str> = format!("caller-of-{}", self.name).into();
        let by = Exporter { resource: telling::function(&name, "1", 1), name, skew: 0 };
        let run = Draft {
            by: &by,
            trace_id,
            span_id: self.dice.span_id(),
            parent: None,
            kind: SpanKind::Server,
            start: start - nanos(0.002),
            end: end + nanos(0.002),
            error: false,
        };
        let mut attributes = Attributes::default();
        for (key, value) in [
            ("http.request.method", "POST"),
            ("faas.invoked_name", &**self.name),
            ("faas.invoked_provider", "aws"),
            ("faas.invoked_region", "eu-west-1"),
        ] {
            attributes.insert(key, text(value));
        }
        if let Some(kind) = error {
            attributes.insert("error.type", text(kind));
        }
        let parent = Some(run.span_id);
        let draft = Draft { span_id, parent, kind: SpanKind::Client, start, end, error: error.is_some(), ..run };
        spans.push(render::span(&draft, "POST".to_owned(), attributes, Vec::new()));
        spans.push(render::span(&run, format!("POST /{}", by.name), Attributes::default(), Vec::new()));
    }
}

impl Instance {
    /// What its next run uses, MiB, as it is told.
    fn uses(&mut self, memory: &Memory, dice: &mut Dice) -> f64 {
        let runs = f64::from(self.runs);
        let filled = memory.fills.0 * (1.0 - (-runs / memory.fills.1).exp());
        let large = if self.runs == self.large_at { memory.large } else { 0.0 };
        let used = memory.base * (1.0 + filled + large + memory.noise * dice.unit()) + memory.leak * runs;
        self.runs += 1;
        self.most = self.most.max(used);
        if memory.is_high_water { self.most } else { used }
    }
}
