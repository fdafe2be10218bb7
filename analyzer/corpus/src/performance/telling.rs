//! Writes the runs of a trace as the exporters of their functions would.
//!
//! A caller's client span is the parent of its callee's server span, so both ends of a call are seen. A message is told
//! by a parent in the same trace, or by a link from a new one. A start shows as `faas.coldstart`, and as a span within
//! the run or as time before it.

use std::sync::Arc;

use loopscope_analyzer::{
    attribute::{Attributes, Value},
    facts::FactRecord,
    identity::Resource,
    span::{EventTime, Span, SpanId, SpanKind, SpanLink, TraceId},
};
use rustc_hash::FxHashMap;

use crate::{
    dice::Dice,
    performance::{
        simulator::{Asked, Cause, Run, Trace, mix},
        system::{Function, Platform, Queue, System, Trigger},
    },
    render::{self, Draft, Exporter, text},
};

/// Writes spans.
pub struct Teller<'a> {
    system: &'a System,
    seed: u64,
    /// Clocks of functions are off by up to this many nanoseconds, those of their instances by a twentieth more or less.
    skew: f64,
    /// Messages start new traces that link back.
    has_links: bool,
    version: &'static str,
    exporters: FxHashMap<u32, Exporter>,
}

/// Ids of the spans of a run.
struct Ids {
    trace_id: TraceId,
    entry: SpanId,
    init: SpanId,
    outs: Vec<SpanId>,
}

impl<'a> Teller<'a> {
    /// Begins to tell of a system; clocks are off by up to `skew` seconds.
    pub fn new(system: &'a System, seed: u64, skew: f64, has_links: bool) -> Self {
        Self { system, seed, skew: skew * 1e9, has_links, version: "1", exporters: FxHashMap::default() }
    }

    /// Every instance that is met from now on runs this version.
    pub fn deploy(&mut self, version: &'static str) {
        self.version = version;
        self.exporters.clear();
    }

    /// The spans of a trace, run by run, each with the end of its run.
    pub fn tell(&mut self, trace: &Trace) -> Vec<(u64, Vec<Span>)> {
        let mut dice = Dice::new(mix(self.seed, trace.number), "ids");
        let root = dice.trace_id();
        let mut ids: Vec<Ids> = Vec::with_capacity(trace.runs.len());
        for run in &trace.runs {
            let trace_id = match run.cause {
                Cause::Outside => root,
                Cause::Messages(..) if self.has_links => dice.trace_id(),
                Cause::Call(caller, _) | Cause::Messages(caller, ..) => ids[caller].trace_id,
            };
            let outs = run.outs.iter().map(|_| dice.span_id()).collect();
            ids.push(Ids { trace_id, entry: dice.span_id(), init: dice.span_id(), outs });
        }
        (0..trace.runs.len()).map(|place| (trace.runs[place].end, self.run(trace, place, &ids, &mut dice))).collect()
    }

    /// What the platform says of instances that started before their first run, and that no span tells.
    pub fn facts(&mut self, trace: &Trace) -> Vec<FactRecord> {
        let started = trace.runs.iter().filter(|run| run.init > 0 && run.starts_outside(self.system));
        started
            .map(|run| {
                let function = Arc::clone(self.exporter(run).resource.function());
                let init_ms = Some(run.init as f64 / 1e6);
                FactRecord { init_ms, ..FactRecord::about(function, EventTime(run.start)) }
            })
            .collect()
    }

    fn run(&mut self, trace: &Trace, place: usize, ids: &[Ids], dice: &mut Dice) -> Vec<Span> {
        let (run, own) = (&trace.runs[place], &ids[place]);
        let by = self.exporter(run);
        let parent = match run.cause {
            Cause::Outside => None,
            Cause::Messages(..) if self.has_links => None,
            Cause::Call(caller, out) | Cause::Messages(caller, out, _) => Some(ids[caller].outs[out]),
        };
        let draft = Draft {
            by: &by,
            trace_id: own.trace_id,
            span_id: own.entry,
            parent,
            kind: SpanKind::Server,
            start: run.start,
            end: run.end,
            error: run.failed,
        };
        let mut spans = Vec::with_capacity(run.outs.len() + 1);
        spans.push(self.entry(&draft, run, ids, trace, dice));
        if run.init > 0 && !run.starts_outside(self.system) {
            let kind = SpanKind::Internal;
            let end = run.start + run.init;
            let draft = Draft { span_id: own.init, parent: Some(own.entry), kind, end, error: false, ..draft };
            spans.push(render::span(&draft, "Initialization".to_owned(), Attributes::default(), Vec::new()));
        }
        for (out, span_id) in run.outs.iter().zip(&own.outs) {
            let draft = Draft {
                span_id: *span_id,
                parent: Some(own.entry),
                kind: SpanKind::Client,
                start: out.start,
                end: out.end,
                error: out.failed,
                ..draft
            };
            spans.push(self.out(draft, out.what));
        }
        spans
    }

    fn entry(&self, draft: &Draft<'_>, run: &Run, ids: &[Ids], trace: &Trace, dice: &mut Dice) -> Span {
        let mut attributes = Attributes::default();
        let mut set = |key, value: &str| attributes.insert(key, text(value));
        let is_service = self.system.functions[run.function].platform == Platform::Service;
        if !is_service {
            set("faas.invocation_id", &dice.uuid());
        }
        let Cause::Messages(sender, first, count) = run.cause else {
            let trigger = match run.cause {
                Cause::Outside => self.system.roots[trace.root].trigger,
                _ => Trigger::Request,
            };
            match trigger {
                Trigger::Request => set("http.request.method", "POST"),
                Trigger::Schedule => set("faas.cron", "rate(1 minute)"),
                Trigger::Object => {
                    set("faas.document.collection", &format!("{}-inbox", draft.by.name));
                    set("faas.document.operation", "insert");
                    set("faas.document.name", &dice.uuid());
                }
            }
            if !is_service {
                set("faas.trigger", word(trigger));
            }
            if run.is_cold {
                attributes.insert("faas.coldstart", Value::Bool(true));
            }
            let name = if trigger == Trigger::Request { "POST /" } else { "" };
            return render::span(draft, format!("{name}{}", draft.by.name), attributes, Vec::new());
        };
        let Asked::Queue(queue) = trace.runs[sender].outs[first].what else {
            return render::span(draft, draft.by.name.to_string(), attributes, Vec::new());
        };
        let queue = &self.system.queues[queue];
        if !is_service {
            set("faas.trigger", "pubsub");
        }
        set("messaging.system", system_of(queue));
        set("messaging.operation.type", "process");
        set("messaging.destination.name", &queue.name);
        if run.is_cold {
            attributes.insert("faas.coldstart", Value::Bool(true));
        }
        if count > 1 {
            attributes.insert("messaging.batch.message_count", Value::Int(count as i64));
        }
        // A parent is one of the messages of a batch; the others need links.
        let linked = if self.has_links || count > 1 { first..first + count } else { 0..0 };
        let links = linked.map(|out| SpanLink::to(ids[sender].trace_id, ids[sender].outs[out])).collect();
        let draft = Draft { kind: SpanKind::Consumer, ..*draft };
        render::span(&draft, format!("process {}", queue.name), attributes, links)
    }

    fn out(&self, draft: Draft<'_>, what: Asked) -> Span {
        let mut attributes = Attributes::default();
        let mut set = |key, value: &str| attributes.insert(key, text(value));
        let (kind, name) = match what {
            Asked::Function(to) => {
                let to = &self.system.functions[to];
                set("http.request.method", "POST");
                if to.platform != Platform::Service {
                    set("faas.invoked_name", &to.name);
                    set("faas.invoked_provider", to.platform.told().1);
                    set("faas.invoked_region", "eu-west-1");
                }
                (SpanKind::Client, "POST".to_owned())
            }
            Asked::Store(store, is_write) => {
                let store = &self.system.stores[store];
                let (service, thing) = if store.is_bucket { ("S3", "Object") } else { ("DynamoDB", "Item") };
                let operation = format!("{}{thing}", if is_write { "Put" } else { "Get" });
                set("rpc.system.name", "aws-api");
                set("rpc.method", &format!("{service}/{operation}"));
                if store.is_bucket {
                    set("aws.s3.bucket", &store.name);
                } else {
                    set("db.system.name", "aws.dynamodb");
                    set("db.operation.name", &operation);
                    set("aws.dynamodb.table_names", &store.name);
                }
                (SpanKind::Client, format!("{service}.{operation}"))
            }
            Asked::Queue(queue) => {
                let name = &self.system.queues[queue].name;
                set("messaging.system", system_of(&self.system.queues[queue]));
                set("messaging.operation.type", "send");
                set("messaging.destination.name", name);
                (SpanKind::Producer, format!("send {name}"))
            }
        };
        render::span(&Draft { kind, ..draft }, name, attributes, Vec::new())
    }

    fn exporter(&mut self, run: &Run) -> Exporter {
        let (system, version) = (self.system, self.version);
        let (seed, skew) = (self.seed, self.skew);
        let new = || {
            let function = &system.functions[run.function];
            // Where a function runs it is the same over the hours, and each instance a little off.
            let clock = Dice::new(mix(system.seed, run.function as u64), "clock").uniform(-skew, skew);
            let mut own = Dice::new(mix(seed, u64::from(run.instance)), "own clock");
            Exporter {
                name: Arc::clone(&function.name),
                resource: resource(function, version, run.instance),
                skew: (clock + own.uniform(-skew, skew) / 20.0) as i64,
            }
        };
        self.exporters.entry(run.instance).or_insert_with(new).clone()
    }
}

fn word(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Request => "http",
        Trigger::Object => "datasource",
        Trigger::Schedule => "timer",
    }
}

fn system_of(queue: &Queue) -> &'static str {
    if queue.is_topic { "aws.sns" } else { "aws_sqs" }
}

/// What the spans of a function are stamped with that is not part of a system.
pub(super) fn function(name: &str, version: &str, instance: u32) -> Arc<Resource> {
    stamped(name, Platform::Lambda, 512, version, instance)
}

/// What the spans of an instance are stamped with.
fn resource(function: &Function, version: &str, instance: u32) -> Arc<Resource> {
    stamped(&function.name, function.platform, function.memory_mb, version, instance)
}

fn stamped(name: &str, platform: Platform, memory_mb: u32, version: &str, instance: u32) -> Arc<Resource> {
    let (word, provider) = platform.told();
    let instance = format!("instance-{instance:08}");
    let mut attributes = Attributes::default();
    let mut set = |key, value: &str| attributes.insert(key, text(value));
    for (key, value) in [
        ("service.name", name),
        ("service.version", version),
        ("service.instance.id", &instance),
        ("cloud.provider", provider),
        ("cloud.platform", word),
        ("cloud.region", "eu-west-1"),
        ("cloud.account.id", "123456789012"),
        ("deployment.environment.name", "production"),
    ] {
        set(key, value);
    }
    if platform != Platform::Service {
        set("faas.name", name);
        set("faas.version", version);
        set("faas.instance", &instance);
        attributes.insert("faas.max_memory", Value::Int(i64::from(memory_mb) << 20));
    }
    Resource::new(attributes)
}
