//! A small language for systems whose times matter, for the tests of patterns.
//!
//! ```text
//!   gate(5 auth(1 api(100) 1) 5)     gate works 5 ms, calls auth and waits, works 5 ms
//!   3*api(10)                        three calls, one after the other
//!   [3*api(10) log(2)]               all of them at one time
//!   -api(5)                          a call that fails
//!   q>work(20)                       a message over the queue q, which work handles 20 ms after it was sent
//!   q@50>work(20)&store(5)           the same for two who handle it, 50 ms after
//!   q>                               a message that nobody is seen to handle
//!   ~>work(20)                       a message of which nobody names the carrier
//!   ?q>work(20)                      a message over the queue q that loses its context
//!   b/>work(20)                      an object is written to the bucket b, which starts work
//!   :users  =users                   users are read, and written
//!   @work                            work is invoked by its name, and its own spans are not here
//!   a(1) b(2) q=> sum(30)            one run of sum handles a message of each
//!   q=> sum(30)                      a message that nobody is seen to send
//! ```
//!
//! A line begins anew; `20 x` before it makes it so many of them, each a second after the other.

use std::{collections::BTreeMap, sync::Arc};

use super::patterns;
use crate::{
    attribute::{Attributes, Value},
    config::Config,
    engine::Engine,
    fixture::{SECOND, START},
    identity::Resource,
    measured::Measured,
    snapshot::{NamedNode, Patterns},
    span::{ArrivalTime, EventTime, Span, SpanId, SpanKind, SpanLink, TraceId},
};

const MS: u64 = 1_000_000;

/// What a run does.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Work(u64),
    Call(Call),
    Fail(Call),
    AtOnce(Vec<Item>),
    Send(Send),
    Read(String),
    Write(String),
    Invoke(String),
    Times(u32, Box<Item>),
}

/// A run of a function.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) items: Vec<Item>,
}

/// A message.
#[derive(Clone, Debug, Default)]
pub(super) struct Send {
    pub(super) over: String,
    pub(super) wait_ms: u64,
    pub(super) is_object: bool,
    pub(super) is_lost: bool,
    pub(super) to: Vec<Call>,
}

/// What starts a run: where it is in its trace, and what says so.
struct Cause {
    trace_id: TraceId,
    parent: Option<SpanId>,
    links: Vec<SpanLink>,
    attributes: Vec<(&'static str, String)>,
    kind: SpanKind,
}

/// A system as it runs.
#[derive(Default)]
pub(super) struct World {
    pub(super) spans: Vec<Span>,
    next: u64,
    clock: u64,
    resources: BTreeMap<String, Arc<Resource>>,
    /// Attributes of the resources of functions, by the beginning of the name.
    pub(super) said: Vec<(&'static str, Vec<(&'static str, String)>)>,
}

impl World {
    pub(super) fn parse(text: &str) -> Self {
        let mut world = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (times, line) = match line.split_once(" x ") {
                Some((times, rest)) => (times.trim().parse().expect("a number of times"), rest),
                None => (1, line),
            };
            for _ in 0..times {
                world.begin(line);
            }
        }
        world
    }

    /// A world that begins later than others, with ids of its own.
    pub(super) fn at(clock: u64, number: u64) -> Self {
        Self { clock, next: (number + 1) << 32, ..Self::default() }
    }

    /// Runs a line once, a second after the one before.
    pub(super) fn begin(&mut self, line: &str) {
        self.clock += SECOND;
        let at = START.0 + self.clock;
        match line.split_once("=>") {
            Some((senders, receiver)) => {
                let (senders, queue) = senders.trim().rsplit_once(' ').unwrap_or(("", senders.trim()));
                let calls: Vec<Call> = items(senders).into_iter().map(call_of).collect();
                self.gather(at, &calls, queue, &call_of(items(receiver).remove(0)));
            }
            None => {
                let call = call_of(items(line).remove(0));
                self.request(at, &call);
            }
        }
    }

    /// A request from outside; when it is over.
    pub(super) fn request(&mut self, at: u64, call: &Call) -> u64 {
        let trace_id = self.trace();
        let cause = Cause { trace_id, parent: None, links: vec![], attributes: vec![], kind: SpanKind::Server };
        self.run(at, call, cause)
    }

    /// Several requests, of each of which a message goes into one run of another.
    pub(super) fn gather(&mut self, at: u64, senders: &[Call], queue: &str, receiver: &Call) {
        let mut links = Vec::new();
        let mut last = at;
        for sender in senders {
            let first = self.spans.len();
            let end = self.request(at, sender);
            let root = &mut self.spans[first];
            root.end = EventTime(end + MS);
            let (trace_id, parent) = (root.trace_id, root.span_id);
            let span = self.span(&sender.name, trace_id, Some(parent), SpanKind::Producer, (end, end + MS));
            self.say(&[("messaging.destination.name", queue.to_owned())]);
            links.push(SpanLink::to(trace_id, span));
            last = last.max(end + MS);
        }
        let trace_id = self.trace();
        let attributes = vec![("messaging.destination.name", queue.to_owned())];
        self.run(
            last + 20 * MS,
            receiver,
            Cause { trace_id, parent: None, links, attributes, kind: SpanKind::Consumer },
        );
    }

    fn run(&mut self, at: u64, call: &Call, cause: Cause) -> u64 {
        let own = self.spans.len();
        let span_id = self.span(&call.name, cause.trace_id, cause.parent, cause.kind, (at, at));
        self.say(&cause.attributes);
        self.spans[own].links = cause.links;
        let mut now = at;
        for item in &call.items {
            now = self.act(&call.name, (cause.trace_id, span_id), now, item);
        }
        self.spans[own].end = EventTime(now);
        now
    }

    fn act(&mut self, function: &str, place: (TraceId, SpanId), now: u64, item: &Item) -> u64 {
        let (trace_id, parent) = place;
        match item {
            Item::Work(ms) => now + ms * MS,
            Item::Times(times, item) => (0..*times).fold(now, |now, _| self.act(function, place, now, item)),
            Item::AtOnce(items) => {
                let mut last = now;
                for item in items {
                    let (times, item) = if let Item::Times(times, item) = item { (*times, &**item) } else { (1, item) };
                    for _ in 0..times {
                        last = last.max(self.act(function, place, now, item));
                    }
                }
                last
            }
            Item::Call(call) | Item::Fail(call) => {
                let at = self.spans.len();
                let client = self.span(function, trace_id, Some(parent), SpanKind::Client, (now, now));
                let kind = SpanKind::Server;
                let cause = Cause { trace_id, parent: Some(client), links: vec![], attributes: vec![], kind };
                let end = self.run(now, call, cause);
                self.spans[at].end = EventTime(end);
                let is_failed = matches!(item, Item::Fail(_));
                self.spans[at..at + 2].iter_mut().for_each(|span| span.error = is_failed);
                end
            }
            Item::Read(store) | Item::Write(store) => {
                let operation = if matches!(item, Item::Read(_)) { "SELECT" } else { "INSERT" };
                self.span(function, trace_id, Some(parent), SpanKind::Client, (now, now + 2 * MS));
                let system = ("db.system.name", "postgresql".to_owned());
                let table = ("db.collection.name", store.clone());
                self.say(&[system, table, ("db.operation.name", operation.to_owned())]);
                now + 2 * MS
            }
            Item::Invoke(name) => {
                self.span(function, trace_id, Some(parent), SpanKind::Client, (now, now + 9 * MS));
                self.say(&[("faas.invoked_name", name.clone())]);
                now + 9 * MS
            }
            Item::Send(send) => self.send(function, place, now, send),
        }
    }

    fn send(&mut self, function: &str, (trace_id, parent): (TraceId, SpanId), now: u64, send: &Send) -> u64 {
        let end = now + MS;
        let kind = if send.is_object { SpanKind::Client } else { SpanKind::Producer };
        let span = self.span(function, trace_id, Some(parent), kind, (now, end));
        let object = format!("object-{}", self.next);
        let queue = || ("messaging.destination.name", send.over.clone());
        let received = match (send.is_object, send.over.is_empty()) {
            (true, _) => {
                let (bucket, name) = (("aws.s3.bucket", send.over.clone()), ("aws.s3.key", object.clone()));
                self.say(&[bucket, name, ("rpc.method", "PutObject".to_owned())]);
                let collection = ("faas.document.collection", send.over.clone());
                vec![("faas.trigger", "datasource".to_owned()), collection, ("faas.document.name", object)]
            }
            (false, true) => vec![],
            (false, false) => {
                self.say(&[queue()]);
                vec![queue()]
            }
        };
        for call in &send.to {
            let trace = self.trace();
            let links = if send.is_object || send.is_lost { vec![] } else { vec![SpanLink::to(trace_id, span)] };
            let kind = if send.is_object { SpanKind::Server } else { SpanKind::Consumer };
            let cause = Cause { trace_id: trace, parent: None, links, attributes: received.clone(), kind };
            self.run(end + send.wait_ms * MS, call, cause);
        }
        end
    }

    fn say(&mut self, pairs: &[(&str, String)]) {
        let span = self.spans.last_mut().expect("a span");
        for (key, value) in pairs {
            span.attributes.insert(key, Value::Text(value.as_str().into()));
        }
    }

    fn trace(&mut self) -> TraceId {
        self.next += 1;
        TraceId(u128::from(self.next).to_be_bytes())
    }

    fn span(
        &mut self,
        function: &str,
        trace_id: TraceId,
        parent_span_id: Option<SpanId>,
        kind: SpanKind,
        (start, end): (u64, u64),
    ) -> SpanId {
        self.next += 1;
        let span_id = SpanId(self.next.to_be_bytes());
        let resource = self.resource(function);
        self.spans.push(Span {
            trace_id,
            span_id,
            parent_span_id,
            kind,
            name: function.into(),
            start: EventTime(start),
            end: EventTime(end),
            error: false,
            resource,
            attributes: Attributes::default(),
            links: Vec::new(),
            sampling: None,
        });
        span_id
    }

    fn resource(&mut self, function: &str) -> Arc<Resource> {
        let said = &self.said;
        let new = || {
            let mut attributes = Attributes::default();
            attributes.insert("service.name", Value::Text(function.into()));
            if function.starts_with("called") {
                // What is invoked by name is known by that name.
                attributes.insert("faas.name", Value::Text(function.into()));
            }
            for (key, value) in said.iter().filter(|(name, _)| function.starts_with(name)).flat_map(|(_, said)| said) {
                attributes.insert(key, Value::Text(value.as_str().into()));
            }
            Resource::new(attributes)
        };
        Arc::clone(self.resources.entry(function.to_owned()).or_insert_with(new))
    }

    /// From here on all functions run in other instances, or say other things.
    pub(super) fn renew(&mut self) {
        self.resources.clear();
    }

    /// The patterns that a live engine finds, with spans that arrive when they are over.
    pub(super) fn patterns(&self) -> Patterns {
        self.arriving(|_| 0)
    }

    /// The same where spans arrive up to three seconds later, out of order.
    pub(super) fn patterns_late(&self, seed: u64) -> Patterns {
        let late = |span: &Span| xxhash_rust::xxh3::xxh3_64_with_seed(&span.span_id.0, seed) % (3 * SECOND);
        self.arriving(late)
    }

    fn arriving(&self, late: impl Fn(&Span) -> u64) -> Patterns {
        let mut spans: Vec<(u64, &Span)> = self.spans.iter().map(|span| (span.end.0 + late(span), span)).collect();
        spans.sort_by_key(|(at, _)| *at);
        let mut engine = Engine::new(&Config::recommended(), 2);
        let mut all = Measured::default();
        let mut now = START;
        let mut tick = |engine: &mut Engine, now| {
            engine.tick(now);
            let closed = engine.aggregate_mut().take_closed();
            closed.iter().for_each(|minute| all.merge(&minute.measured));
        };
        for batch in spans.chunk_by(|(a, _), (b, _)| a / SECOND == b / SECOND) {
            now = ArrivalTime((batch[0].0 / SECOND + 1) * SECOND);
            engine.ingest(now, batch.iter().map(|(_, span)| (*span).clone()));
            tick(&mut engine, now);
        }
        for _ in 0..5 {
            now.0 += 10 * SECOND;
            tick(&mut engine, now);
        }
        let surroundings = engine.snapshot(now).surroundings;
        all.merge(engine.aggregate_mut().running().1);
        patterns(&all, &surroundings)
    }
}

fn call_of(item: Item) -> Call {
    match item {
        Item::Call(call) => call,
        other => panic!("{other:?} is no run"),
    }
}

/// The items of a text.
pub(super) fn items(text: &str) -> Vec<Item> {
    let mut rest = text.trim();
    let mut items = Vec::new();
    while !rest.is_empty() && !rest.starts_with([')', ']']) {
        let (item, after) = item(rest);
        items.push(item);
        rest = after.trim_start();
    }
    items
}

fn item(text: &str) -> (Item, &str) {
    if let Some(rest) = text.strip_prefix('[') {
        let end = closing(rest, '[', ']');
        return (Item::AtOnce(items(&rest[..end])), &rest[end + 1..]);
    }
    let word = text.find([' ', '(', ')', ']', '*', '>']).unwrap_or(text.len());
    let (head, rest) = text.split_at(word);
    if let Some(rest) = rest.strip_prefix('*') {
        let (item, after) = item(rest);
        return (Item::Times(head.parse().expect("a number of times"), Box::new(item)), after);
    }
    if let Some(rest) = rest.strip_prefix('>') {
        return send(head, rest);
    }
    if let Ok(ms) = head.parse() {
        return (Item::Work(ms), rest);
    }
    match head.split_at(1) {
        ("-", _) => {
            let (call, rest) = call(&text[1..]);
            (Item::Fail(call), rest)
        }
        (":", name) => (Item::Read(name.to_owned()), rest),
        ("@", name) => (Item::Invoke(name.to_owned()), rest),
        ("=", name) => (Item::Write(name.to_owned()), rest),
        _ => {
            let (call, rest) = call(text);
            (Item::Call(call), rest)
        }
    }
}

fn call(text: &str) -> (Call, &str) {
    let (name, rest) = text.split_once('(').expect("a run has brackets");
    let end = closing(rest, '(', ')');
    (Call { name: name.to_owned(), items: items(&rest[..end]) }, &rest[end + 1..])
}

fn send<'a>(head: &str, mut rest: &'a str) -> (Item, &'a str) {
    let (over, wait) = head.split_once('@').unwrap_or((head, "20"));
    let mut to = Vec::new();
    while !rest.is_empty() && !rest.starts_with([' ', ')', ']']) {
        let (receiver, after) = call(rest.trim_start_matches('&'));
        to.push(receiver);
        rest = after;
    }
    let send = Send {
        over: over.trim_matches(['~', '?', '/']).to_owned(),
        wait_ms: wait.parse().expect("a number of milliseconds"),
        is_object: over.ends_with('/'),
        is_lost: over.starts_with('?'),
        to,
    };
    (Item::Send(send), rest)
}

/// Where the bracket is closed that was opened before the text.
fn closing(text: &str, open: char, close: char) -> usize {
    let mut depth = 1;
    for (at, letter) in text.char_indices() {
        depth += i32::from(letter == open) - i32::from(letter == close);
        if depth == 0 {
            return at;
        }
    }
    panic!("{text} lacks a {close}");
}

/// Patterns as text, without what each function is like.
pub(super) fn describe(found: &Patterns) -> String {
    let names = |nodes: &[NamedNode]| nodes.iter().map(|node| &*node.name).collect::<Vec<_>>().join(" ");
    let share = |share: f64| format!("{:.0} %", share * 100.0);
    let mut lines = Vec::new();
    for it in &found.decorators {
        let (own, waits) = (share(it.self_share), share(it.waiting_share));
        let way = format!("{} -> {} -> {}", it.caller.name, it.function.name, it.callee.name);
        lines.push(format!("decorator {way}: {} runs, own {own}, waits {waits}", it.runs));
    }
    for it in &found.event_handlers {
        let sources: Vec<&str> = it.sources.iter().map(|source| &*source.resource.name).collect();
        lines.push(format!("event handler {} ({}) of {}", it.function.name, it.trigger, sources.join(" ")));
    }
    for it in &found.pipelines {
        let stages: Vec<&str> = it.stages.iter().map(|stage| &*stage.function.name).collect();
        let end = it.end_to_end.map_or("not followed".to_owned(), |end| {
            format!("p50 {:.0} ms, p95 {:.0} ms, waits {}", end.p50_ms, end.p95_ms, share(end.queue_share))
        });
        let slowest = &it.stages[it.slowest].function.name;
        lines.push(format!("pipeline {}: {end}, slowest {slowest}", stages.join(" ")));
    }
    for it in &found.fan_outs {
        let last = it.straggler.map_or(String::new(), |last| format!(", straggler {:.1}", last.ratio));
        let at_once = it.parallelism.map_or(String::new(), |at_once| format!(", {at_once:.1} at once"));
        let to = format!("{} -> {} ({})", it.function.name, it.target.name, names(&it.children));
        lines.push(format!("fan-out {to} x{:.1}{at_once}{last}", it.children_per_run));
    }
    for it in &found.fan_ins {
        let last = it.straggler.map_or(String::new(), |last| format!(", straggler {:.1}", last.ratio));
        lines.push(format!(
            "fan-in {} -> {} x{:.1}{last}",
            names(&it.producers),
            it.function.name,
            it.messages_per_run
        ));
    }
    for it in &found.routers {
        let routes: Vec<String> =
            it.routes.iter().map(|route| format!("{} {}", route.target.name, share(route.share))).collect();
        lines.push(format!("router {} -> {}", it.function.name, routes.join(", ")));
    }
    lines.join("\n")
}
