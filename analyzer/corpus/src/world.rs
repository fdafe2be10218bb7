//! A world in virtual time: what its functions do, and the telemetry in the order in which it arrives.
//!
//! A [`World`] is an iterator of exports. It runs the functions event by event and holds each export back until its
//! time has come, so a world of any length takes little memory. What is true is counted beside it, never read from the
//! spans. How an invocation is written as spans is `render.rs`.

use std::{cmp::Ordering, collections::BinaryHeap, sync::Arc};

use loopscope_analyzer::span::{ArrivalTime, Span, SpanId, SpanKind, TraceId};
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

use crate::{
    background::Background,
    dice::Dice,
    knobs::{Context, Knobs},
    render::{self, Draft, Exporter, Sent, Start, TRIGGER_PREFIX},
    scenario::{Edge, Hop, Remaining, Retry, Rule, Scenario, Stream},
    truth::{EntryTruth, LoopTruth, Truth, dollars, nanos},
};

/// When worlds begin: nanoseconds since 1970.
pub const START: u64 = 1_700_000_000_000_000_000;

/// Share of invocations that start a new instance.
const COLD: f64 = 0.03;

/// Sigma of the logarithm of durations.
const DURATION_SIGMA: f64 = 0.6;

/// Seconds in which a queue gathers a batch.
const BATCH_WINDOW: f64 = 1.0;

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Seed of everything in it.
    pub seed: u64,
    /// How its telemetry arrives.
    pub knobs: Knobs,
    /// What is to be found in it, and what is not.
    pub scenarios: Vec<Scenario>,
    /// Functions that do nothing remarkable.
    pub background_functions: usize,
    /// Their invocations a second.
    pub background_rate: f64,
    /// Seconds after which nothing new begins.
    pub seconds: f64,
    /// Each invocation of a scenario is written down.
    pub keeps_entries: bool,
    /// Seconds in which the engine may learn; incidents until then are counted apart.
    pub history: f64,
    /// Seconds between two looks at the engine where nothing has begun to run away.
    pub tick: f64,
}

/// Spans of one request of an exporter.
#[derive(Clone, Debug)]
pub struct Export {
    /// When it arrives.
    pub at: ArrivalTime,
    /// In the order in which they were written.
    pub spans: Vec<Span>,
}

/// A world that is running.
pub struct World {
    plan: Plan,
    dice: Dice,
    functions: Vec<Vec<Function>>,
    background: Option<Background>,
    events: BinaryHeap<Timed<Event>>,
    exports: BinaryHeap<Timed<Outgoing>>,
    queues: FxHashMap<(usize, usize), Vec<Message>>,
    next: u64,
    truth: Truth,
}

struct Function {
    exporter: Exporter,
    deployed: Exporter,
    /// Where calls of it go, by way.
    queue: Arc<str>,
    bucket: Arc<str>,
    table: Arc<str>,
}

enum Event {
    Run(Box<Task>),
    Enter { scenario: usize, is_runaway: bool },
    Flush { scenario: usize, node: usize },
    Background,
}

struct Task {
    scenario: usize,
    node: usize,
    start: Start,
    messages: SmallVec<[Message; 1]>,
    request: Arc<str>,
    fails: bool,
    calls_on: bool,
}

#[derive(Clone)]
struct Message {
    sent: Option<Sent>,
    parent: Option<usize>,
    laps: u32,
    remaining: Remaining,
    conversation: Option<Arc<str>>,
    is_runaway: bool,
}

struct Outgoing {
    spans: Vec<Span>,
    /// The scenario, when this is the first export of a runaway invocation of one.
    counts_for: Option<usize>,
}

struct Timed<T> {
    at: u64,
    order: u64,
    what: T,
}

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
    /// Begins a world.
    pub fn new(plan: Plan) -> Self {
        let mut dice = Dice::new(plan.seed, "world");
        let skew = nanos(plan.knobs.clock_skew) as f64;
        let functions: Vec<Vec<Function>> = plan
            .scenarios
            .iter()
            .map(|scenario| {
                (0..scenario.flow.nodes.len())
                    .map(|at| {
                        let memory = scenario.flow.nodes[at].memory_mb;
                        Function::new(&scenario.function(at), memory, dice.uniform(-skew, skew) as i64)
                    })
                    .collect()
            })
            .collect();
        let truth = Truth {
            loops: plan.scenarios.iter().map(|scenario| LoopTruth::new(scenario, START)).collect(),
            entries: Vec::new(),
        };
        let background = (plan.background_rate > 0.0).then(|| {
            Background::new(plan.seed, plan.background_functions, plan.background_rate, plan.knobs.context, skew)
        });
        let mut world = Self {
            dice,
            functions,
            background,
            events: BinaryHeap::new(),
            exports: BinaryHeap::new(),
            queues: FxHashMap::default(),
            next: 0,
            truth,
            plan,
        };
        for scenario in 0..world.plan.scenarios.len() {
            world.enter_next(scenario, false, None);
            world.enter_next(scenario, true, None);
        }
        if world.background.is_some() {
            world.schedule(START, Event::Background);
        }
        world
    }

    /// What is true up to the last export that was taken.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// What the world is made of.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    fn schedule(&mut self, at: u64, what: Event) {
        self.next += 1;
        self.events.push(Timed { at, order: self.next, what });
    }

    fn happen(&mut self, at: u64, event: Event) {
        match event {
            Event::Run(task) => self.run(at, &task),
            Event::Enter { scenario, is_runaway } => self.enter(at, scenario, is_runaway),
            Event::Flush { scenario, node } => self.flush(at, scenario, node),
            Event::Background => self.run_background(at),
        }
    }

    fn stream(&self, scenario: usize, is_runaway: bool) -> Option<Stream> {
        let scenario = &self.plan.scenarios[scenario];
        if is_runaway { scenario.runaway } else { scenario.benign }
    }

    fn enter_next(&mut self, scenario: usize, is_runaway: bool, last: Option<f64>) {
        let Some(stream) = self.stream(scenario, is_runaway) else { return };
        if let Some(at) = stream.arrivals.next(last, &mut self.dice).filter(|at| *at < self.plan.seconds) {
            self.schedule(START + nanos(at), Event::Enter { scenario, is_runaway });
        }
    }

    fn enter(&mut self, at: u64, scenario: usize, is_runaway: bool) {
        let Some(stream) = self.stream(scenario, is_runaway) else { return };
        let remaining = stream.law.enter(&mut self.dice);
        let trigger = self.plan.scenarios[scenario].flow.nodes[0].trigger;
        let conversation = self.plan.scenarios[scenario].names_conversation.then(|| self.dice.uuid().into());
        let message = Message { sent: None, parent: None, laps: 0, remaining, conversation, is_runaway };
        let task = Task {
            scenario,
            node: 0,
            start: Start::Outside(trigger),
            messages: smallvec![message],
            request: self.dice.uuid().into(),
            fails: false,
            calls_on: true,
        };
        self.run(at, &task);
        self.enter_next(scenario, is_runaway, Some((at - START) as f64 / 1e9));
    }

    /// Runs one invocation: decides what it does, writes its spans, and schedules what it causes.
    fn run(&mut self, at: u64, task: &Task) {
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
    fn flush(&mut self, at: u64, scenario: usize, node: usize) {
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

    fn run_background(&mut self, at: u64) {
        let Some(mut background) = self.background.take() else { return };
        for (end, spans) in background.trace(at) {
            self.export(end, spans, None);
        }
        let next = at + background.wait();
        self.background = Some(background);
        if next < START + nanos(self.plan.seconds) {
            self.schedule(next, Event::Background);
        }
    }

    /// Sends the spans of an invocation to the collector; false when they never arrive.
    fn export(&mut self, end: u64, mut spans: Vec<Span>, counts_for: Option<usize>) -> bool {
        let knobs = &self.plan.knobs;
        if knobs.sampling < 1.0 {
            spans.iter_mut().for_each(|span| span.sampling = Some(knobs.sampling as f32));
        }
        let is_kept = spans.first().is_some_and(|span| is_sampled(span.trace_id, knobs.sampling));
        if !is_kept || self.dice.chance(knobs.loss) {
            return false;
        }
        let at = end + nanos(knobs.export_delay.draw(&mut self.dice));
        if self.dice.chance(knobs.duplicates) {
            let again = at + nanos(self.dice.uniform(0.1, 5.0));
            self.next += 1;
            self.exports.push(Timed {
                at: again,
                order: self.next,
                what: Outgoing { spans: spans.clone(), counts_for: None },
            });
        }
        self.next += 1;
        self.exports.push(Timed { at, order: self.next, what: Outgoing { spans, counts_for } });
        true
    }
}

impl Iterator for World {
    type Item = Export;

    fn next(&mut self) -> Option<Export> {
        loop {
            let event = self.events.peek().map(|event| event.at);
            match (event, self.exports.peek().map(|export| export.at)) {
                (Some(event), Some(export)) if export <= event => break,
                (None, _) => break,
                _ => {}
            }
            let event = self.events.pop()?;
            self.happen(event.at, event.what);
        }
        let Timed { at, what: Outgoing { spans, counts_for }, .. } = self.exports.pop()?;
        if let Some(scenario) = counts_for {
            self.truth.loops[scenario].arrived += 1;
        }
        Some(Export { at: ArrivalTime(at), spans })
    }
}

/// True when a trace is kept: the last seven bytes of its id are the randomness, as consistent sampling has it.
pub fn is_sampled(trace_id: TraceId, probability: f64) -> bool {
    let mut bytes = [0; 8];
    bytes[1..].copy_from_slice(&trace_id.0[9..]);
    let threshold = (1.0 - probability) * (1_u64 << 56) as f64;
    u64::from_be_bytes(bytes) as f64 >= threshold
}

impl Function {
    fn new(name: &str, memory_mb: u32, skew: i64) -> Self {
        let exporter =
            |version| Exporter { name: name.into(), resource: render::resource(name, version, memory_mb), skew };
        Self {
            exporter: exporter("1"),
            deployed: exporter("2"),
            queue: format!("{name}-queue").into(),
            bucket: format!("{name}-bucket").into(),
            table: format!("{name}-table").into(),
        }
    }
}

impl<T> PartialEq for Timed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Timed<T> {}

impl<T> PartialOrd for Timed<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Timed<T> {
    /// The earliest is the greatest, because heaps hand out the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::{
        catalogue::{self, Times},
        class::Class,
        knobs::ExportDelay,
    };

    /// A world with one scenario of each class, with little going on besides.
    fn plan(knobs: Knobs) -> Plan {
        let mut dice = Dice::new(1, "test");
        let times = Times { from: 0.0, onset: 30.0, to: 240.0 };
        let scenario = |class: Class| catalogue::scenario(class, class.word(), knobs.context, times, &mut dice);
        Plan {
            seed: 7,
            scenarios: Class::ALL.into_iter().map(scenario).collect(),
            knobs,
            background_functions: 30,
            background_rate: 5.0,
            seconds: 240.0,
            keeps_entries: true,
            history: 0.0,
            tick: 1.0,
        }
    }

    fn quiet(context: Context) -> Knobs {
        Knobs { duplicates: 0.0, clock_skew: 0.0, ..Knobs::plain(context) }
    }

    fn spans(knobs: Knobs) -> Vec<Span> {
        World::new(plan(knobs)).flat_map(|export| export.spans).collect()
    }

    fn finish(knobs: Knobs) -> Truth {
        let mut world = World::new(plan(knobs));
        world.by_ref().for_each(drop);
        world.truth
    }

    #[test]
    fn the_same_seed_gives_the_same_world() {
        let text = |plan: Plan| -> Vec<String> { World::new(plan).map(|export| format!("{export:?}")).collect() };
        let knobs = || Knobs { loss: 0.1, batch: 3, ..Knobs::plain(Context::Link) };
        let first = text(plan(knobs()));
        assert_eq!(first, text(plan(knobs())));
        assert_ne!(first, text(Plan { seed: 8, ..plan(knobs()) }));
    }

    #[test]
    fn exports_come_in_order_of_arrival_and_never_before_their_spans_end() {
        let mut last = 0;
        for export in World::new(plan(quiet(Context::Parent))) {
            assert!(export.at.0 >= last);
            last = export.at.0;
            assert!(export.spans.iter().all(|span| span.end.0 <= export.at.0 && span.start <= span.end));
        }
        assert!(last > START + nanos(230.0));
    }

    #[test]
    fn depth_is_what_walking_the_true_causes_gives() {
        for batch in [1, 5] {
            let entries = finish(Knobs { batch, ..quiet(Context::Link) }).entries;
            let mut deepest: Vec<BTreeMap<usize, u32>> = Vec::new();
            for entry in &entries {
                // Of each function the most occurrences on any path to here.
                let mut counts: BTreeMap<usize, u32> = BTreeMap::new();
                for parent in &entry.parents {
                    assert_eq!(entries[*parent].scenario, entry.scenario);
                    for (node, count) in &deepest[*parent] {
                        let known = counts.entry(*node).or_default();
                        *known = (*known).max(*count);
                    }
                }
                let laps = counts.get(&entry.node).copied().unwrap_or(0);
                *counts.entry(entry.node).or_default() += 1;
                assert_eq!(laps, entry.depth, "{}", plan(quiet(Context::Link)).scenarios[entry.scenario].name);
                deepest.push(counts);
            }
            assert!(entries.iter().any(|entry| entry.depth >= 50));
        }
    }

    #[test]
    fn tallies_are_the_sums_of_the_entries() {
        let truth = finish(quiet(Context::Parent));
        for (at, found) in truth.loops.iter().enumerate() {
            let of_it: Vec<&EntryTruth> = truth.entries.iter().filter(|entry| entry.scenario == at).collect();
            assert_eq!(found.all.invocations, of_it.len() as u64);
            assert_eq!(found.all.depth, of_it.iter().map(|entry| entry.depth).max().unwrap_or(0));
            let runaway: Vec<&&EntryTruth> = of_it.iter().filter(|entry| entry.is_runaway).collect();
            assert_eq!(found.runaway.invocations, runaway.len() as u64);
            assert_eq!(found.depth_at(u64::MAX), runaway.iter().map(|entry| entry.depth).max().unwrap_or(0));
            assert!(runaway.iter().all(|entry| found.is_runaway_at(entry.start)));
            assert_eq!(found.arrived, runaway.iter().filter(|entry| entry.is_seen).count() as u64);
        }
    }

    #[test]
    fn every_entry_span_is_there_and_says_its_cause_as_its_context_allows() {
        for context in Context::ALL {
            let mut world = World::new(plan(quiet(context)));
            let spans: Vec<Span> = world.by_ref().flat_map(|export| export.spans).collect();
            let by_id: BTreeMap<SpanId, &Span> = spans.iter().map(|span| (span.span_id, span)).collect();
            let below = spans.iter().filter(|span| span.kind == SpanKind::Consumer);
            let consumers: BTreeMap<SpanId, &Span> =
                below.filter_map(|span| Some((span.parent_span_id?, span))).collect();
            for entry in world.truth.entries.iter().filter(|entry| !entry.parents.is_empty()) {
                let span = by_id[&entry.span_id];
                assert_eq!(span.trace_id, entry.trace_id);
                assert_eq!(span.parent_span_id.is_some(), context == Context::Parent);
                let mut causes: Vec<SpanId> = span.parent_span_id.into_iter().collect();
                let parts = consumers.get(&span.span_id).into_iter();
                causes
                    .extend(std::iter::once(&span).chain(parts).flat_map(|span| &span.links).map(|link| link.span_id));
                assert_eq!(causes.len() == 1, matches!(context, Context::Parent | Context::Link));
                let parents: BTreeSet<SpanId> =
                    entry.parents.iter().map(|parent| world.truth.entries[*parent].span_id).collect();
                // A cause is a span inside the true parent.
                assert!(causes.iter().all(|cause| by_id[cause].parent_span_id.is_some_and(|id| parents.contains(&id))));
            }
        }
    }

    #[test]
    fn loss_duplicates_and_sampling_are_as_large_as_they_say() {
        // Background alone: there chance moves nothing but how much arrives.
        let spans = |knobs| -> Vec<Span> {
            let plan = Plan { scenarios: Vec::new(), background_rate: 50.0, ..plan(knobs) };
            World::new(plan).flat_map(|export| export.spans).collect()
        };
        let whole = spans(quiet(Context::Link)).len() as f64;
        let part = |knobs| spans(knobs).len() as f64 / whole;
        let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.05, "{found} {expected}");
        near(part(Knobs { loss: 0.5, ..quiet(Context::Link) }), 0.5);
        near(part(Knobs { duplicates: 0.5, ..quiet(Context::Link) }), 1.5);
        near(part(Knobs { sampling: 0.5, ..quiet(Context::Link) }), 0.5);
        let traces: BTreeSet<TraceId> =
            spans(Knobs { sampling: 0.5, ..quiet(Context::Parent) }).iter().map(|span| span.trace_id).collect();
        assert!(traces.iter().all(|trace_id| is_sampled(*trace_id, 0.5)));
    }

    #[test]
    fn delays_clocks_and_batches_are_as_far_off_as_they_say() {
        let late = World::new(plan(Knobs { export_delay: ExportDelay::UpTo(300.0), ..quiet(Context::Link) }));
        let waits: Vec<u64> = late
            .map(|export| export.at.0 - export.spans.iter().map(|span| span.end.0).max().unwrap_or(export.at.0))
            .collect();
        assert!(waits.iter().all(|wait| *wait <= nanos(300.0)) && waits.iter().any(|wait| *wait > nanos(250.0)));
        let skewed = World::new(plan(Knobs { clock_skew: 0.2, ..quiet(Context::Link) }));
        let clocks: BTreeSet<i64> =
            skewed.functions.iter().flatten().map(|function| function.exporter.skew / 100_000_000).collect();
        assert!(clocks.contains(&-1) && clocks.contains(&1) && clocks.iter().all(|tenths| tenths.abs() <= 2));
        let links = |batch| {
            spans(Knobs { batch, ..quiet(Context::Link) }).iter().map(|span| span.links.len()).max().unwrap_or(0)
        };
        assert_eq!(links(1), 1);
        assert!((4..=10).contains(&links(10)));
    }
}
