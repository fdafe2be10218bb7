//! A small language for causal chains, and their engine's findings as text.
//!
//! ```text
//!   a -> b        a calls b and waits: client span, then server span, in one trace
//!   a ~> b        a causes b by a message: producer span, then consumer span in a new trace, with a span link
//!   a ~q~> b      the same through the queue q
//!   a ~q#~> b     through the queue q without a link: both sides know the id of the message
//!   a ~q@~> b     the same, but both sides know the conversation only
//!   a ~q?~> b     the same, but both sides know the queue only
//!   a ~q/~> b     a writes an object to the bucket q, which triggers b: both sides know its name, a new one each time
//!   a ~q/k~> b    the same, and the object is k
//!   a ~q/k#~> b   the same, and both sides know its version
//!   a ~q+~> b     a sets the schedule q, which triggers b an hour later
//!   a ~s+l~> b    the same with a span link, a ~s+p~> b in the same trace
//!   a => b        a invokes b, and nothing but the id of the run is known to both
//! ```
//!
//! Each line is one chain that starts anew; names are functions.

use std::{fmt::Write as _, sync::Arc};

use crate::{
    attribute::{Attributes, Value},
    config::Config,
    engine::Engine,
    identity::Resource,
    snapshot::{NodeId, Snapshot},
    span::{ArrivalTime, EventTime, Span, SpanId, SpanKind, SpanLink, TraceId},
};

/// When the stories begin.
pub(crate) const START: ArrivalTime = ArrivalTime(1_700_000_000_000_000_000);
pub(crate) const SECOND: u64 = 1_000_000_000;

/// Spans under construction.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) spans: Vec<Span>,
    next: u64,
}

/// An invocation of a story.
#[derive(Clone)]
pub(crate) struct Run {
    name: String,
    trace_id: TraceId,
    span_id: SpanId,
    start: u64,
}

pub(crate) fn resource(name: &str) -> Arc<Resource> {
    let mut attributes = Attributes::default();
    attributes.insert("service.name", Value::Text(name.into()));
    Resource::new(attributes)
}

impl Story {
    pub(crate) fn parse(text: &str) -> Self {
        let mut story = Self::default();
        story.add(text);
        story
    }

    /// Adds chains to those that are there.
    pub(crate) fn add(&mut self, text: &str) {
        let story = self;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split_whitespace();
            let mut run = story.root(words.next().expect("a chain starts with a function"));
            while let (Some(arrow), Some(name)) = (words.next(), words.next()) {
                run = match arrow {
                    "->" => story.call(&run, name),
                    "~>" => story.message(&run, name, None),
                    "=>" => story.invoke(&run, name),
                    word if word.contains(['#', '@', '?', '/', '+']) => {
                        story.lose_context(&run, name, word.trim_matches(['~', '>']))
                    }
                    queue => story.message(&run, name, Some(queue.trim_matches(['~', '>']))),
                };
            }
        }
    }

    /// An invocation that nothing caused.
    pub(crate) fn root(&mut self, name: &str) -> Run {
        let trace_id = self.trace();
        let start = START.0 + self.next * 1_000_000;
        self.span(name, trace_id, None, SpanKind::Server, start, 10)
    }

    /// An invocation that another called.
    pub(crate) fn call(&mut self, from: &Run, name: &str) -> Run {
        let client = self.span(&from.name, from.trace_id, Some(from.span_id), SpanKind::Client, from.start + SECOND, 8);
        self.span(name, from.trace_id, Some(client.span_id), SpanKind::Server, client.start + 1_000_000, 6)
    }

    /// An invocation in a new trace that a message of another caused.
    pub(crate) fn message(&mut self, from: &Run, name: &str, queue: Option<&str>) -> Run {
        let producer =
            self.span(&from.name, from.trace_id, Some(from.span_id), SpanKind::Producer, from.start + SECOND, 1);
        self.carry(queue);
        let trace_id = self.trace();
        let consumer = self.span(name, trace_id, None, SpanKind::Consumer, producer.start + 5_000_000, 6);
        self.carry(queue);
        let link = SpanLink::to(producer.trace_id, producer.span_id);
        self.last().links.push(link);
        consumer
    }

    /// An invocation in a new trace of which the caller knows the id of the run.
    pub(crate) fn invoke(&mut self, from: &Run, name: &str) -> Run {
        let id = format!("run-{}", self.next);
        let start = from.start + SECOND;
        let client = self.span(&from.name, from.trace_id, Some(from.span_id), SpanKind::Client, start, 8);
        self.say(&[("faas.execution", &id), ("rpc.service", "Lambda"), ("rpc.method", "Invoke")]);
        let trace_id = self.trace();
        let server = self.span(name, trace_id, None, SpanKind::Server, client.start + 1_000_000, 6);
        self.say(&[("faas.invocation_id", &id)]);
        server
    }

    /// An invocation in a new trace that a resource triggered, without a link to who used the resource.
    pub(crate) fn lose_context(&mut self, from: &Run, name: &str, word: &str) -> Run {
        let (resource, said) = word.split_at(word.find(['#', '@', '?', '/', '+']).expect("a sign of what is known"));
        let id = format!("id-{}", self.next);
        let (kind, hour) = match said.starts_with(['/', '+']) {
            true => (SpanKind::Client, SECOND * if said.starts_with('+') { 3_600 } else { 1 }),
            false => (SpanKind::Producer, SECOND),
        };
        let sender = self.span(&from.name, from.trace_id, Some(from.span_id), kind, from.start + SECOND, 1);
        let object = said.trim_matches(['/', '#']);
        let object = if object.is_empty() { &*id } else { object };
        let queue = [("messaging.destination.name", resource)];
        let bucket = [("aws.s3.bucket", resource), ("rpc.method", "PutObject"), ("aws.s3.key", object)];
        let version = [("aws.s3.version_id", &*id)];
        match said {
            "#" => self.say(&[queue[0], ("messaging.message.id", &id)]),
            "@" => self.say(&[queue[0], ("messaging.message.conversation_id", "talk")]),
            "?" => self.say(&queue),
            "+" | "+l" | "+p" => self.say(&[queue[0], ("messaging.system", "aws.scheduler")]),
            _ => self.say(&bucket),
        }
        if said.ends_with('#') && said.len() > 1 {
            self.say(&version);
        }
        let (trace_id, parent) = match said {
            "+p" => (sender.trace_id, Some(sender.span_id)),
            _ => (self.trace(), None),
        };
        let start = sender.start + hour + 1_000_000;
        let start = if hour == SECOND { sender.start + 150_000_000 } else { start };
        let kind = if kind == SpanKind::Client { SpanKind::Server } else { SpanKind::Consumer };
        let receiver = self.span(name, trace_id, parent, kind, start, 6);
        match said {
            "#" => self.say(&[queue[0], ("messaging.message.id", &id)]),
            "@" => self.say(&[queue[0], ("messaging.message.conversation_id", "talk")]),
            "?" => self.say(&queue),
            "+" | "+l" | "+p" => self.say(&[("faas.trigger", "timer"), ("faas.cron", resource)]),
            _ => self.say(&[
                ("faas.trigger", "datasource"),
                ("faas.document.collection", resource),
                ("faas.document.name", object),
            ]),
        }
        if said.ends_with('#') && said.len() > 1 {
            self.say(&version);
        }
        if said == "+l" {
            self.last().links.push(SpanLink::to(sender.trace_id, sender.span_id));
        }
        receiver
    }

    pub(crate) fn say(&mut self, pairs: &[(&str, &str)]) {
        for (key, value) in pairs {
            self.last().attributes.insert(key, Value::Text((*value).into()));
        }
    }

    /// An invocation in a new trace whose links stand on a consumer span below its server span, as where a queue
    /// triggers a Lambda function; one message from each of the senders.
    pub(crate) fn handle(&mut self, from: &[&Run], name: &str) -> Run {
        let producers: Vec<Run> = from
            .iter()
            .map(|run| self.span(&run.name, run.trace_id, Some(run.span_id), SpanKind::Producer, run.start + SECOND, 1))
            .collect();
        let start = producers.iter().map(|run| run.start).max().unwrap_or(START.0) + 5_000_000;
        let trace_id = self.trace();
        let server = self.span(name, trace_id, None, SpanKind::Server, start, 6);
        self.span(name, trace_id, Some(server.span_id), SpanKind::Consumer, start, 5);
        let link = |run: &Run| SpanLink::to(run.trace_id, run.span_id);
        self.last().links.extend(producers.iter().map(link));
        server
    }

    pub(crate) fn last(&mut self) -> &mut Span {
        self.spans.last_mut().expect("a span was added")
    }

    fn carry(&mut self, queue: Option<&str>) {
        if let Some(queue) = queue {
            self.last().attributes.insert("messaging.destination.name", Value::Text(queue.into()));
        }
    }

    fn trace(&mut self) -> TraceId {
        self.next += 1;
        TraceId(u128::from(self.next).to_be_bytes())
    }

    fn span(
        &mut self,
        name: &str,
        trace_id: TraceId,
        parent: Option<SpanId>,
        kind: SpanKind,
        start: u64,
        ms: u64,
    ) -> Run {
        self.next += 1;
        let span_id = SpanId(self.next.to_be_bytes());
        self.spans.push(Span {
            trace_id,
            span_id,
            parent_span_id: parent,
            kind,
            name: name.into(),
            start: EventTime(start),
            end: EventTime(start + ms * 1_000_000),
            error: false,
            resource: resource(name),
            attributes: Attributes::default(),
            links: Vec::new(),
            sampling: None,
        });
        Run { name: name.to_owned(), trace_id, span_id, start }
    }
}

/// What an engine finds in spans that come in this order, `batch` at a time.
pub(crate) fn analyse(spans: Vec<Span>, shards: usize, batch: usize) -> Snapshot {
    let mut engine = Engine::new(&Config::recommended(), shards);
    let mut now = START;
    let mut spans = spans.into_iter().peekable();
    while spans.peek().is_some() {
        engine.ingest(now, spans.by_ref().take(batch.max(1)));
        now.0 += 1_000_000;
    }
    for _ in 0..4 {
        now.0 += 10 * SECOND;
        engine.tick(now);
    }
    engine.snapshot(now)
}

/// Edges with their calls, then loops with depth and chains.
pub(crate) fn describe(snapshot: &Snapshot) -> String {
    let name = |id: NodeId| {
        let function = snapshot.functions.iter().find(|function| function.id == id).map(|function| &function.name);
        let resource = snapshot.resources.iter().find(|resource| resource.id == id).map(|resource| &resource.name);
        function.or(resource).map_or("?", |name| name).to_owned()
    };
    let mut edges: Vec<String> = snapshot
        .edges
        .iter()
        .map(|edge| format!("{} -{}-> {} x{}", name(edge.source), edge.kind.word(), name(edge.target), edge.calls))
        .collect();
    edges.sort();
    let mut text = edges.join("\n");
    for found in &snapshot.loops {
        let path: Vec<String> = found.path.iter().map(|id| name(*id)).collect();
        let _ = write!(
            text,
            "\nloop {} ({}) {:?} {:?} depth {} chains {} laps {}",
            found.names.join(" "),
            path.join(" "),
            found.state,
            found.severity,
            found.max_depth,
            found.chains,
            found.laps
        );
    }
    text
}
