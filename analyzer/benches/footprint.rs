//! What the engine costs, as numbers to compare: `cargo bench -p loopscope-analyzer --bench footprint`.
//!
//! Each line is a process of its own, so that memory is that of its case alone: processor seconds, how much more memory
//! the process has in the end (`/proc/self/statm`, so Linux only), and the longest tick, in processor time as well.
//! Spans are decoded already.

use std::{collections::BTreeMap, env, fs, process::Command, sync::Arc};

use loopscope_analyzer::{
    attribute::{Attributes, Value},
    config::Config,
    engine::Engine,
    identity::Resource,
    span::{ArrivalTime, EventTime, Span, SpanId, SpanKind, SpanLink, TraceId},
};

const START: u64 = 1_700_000_000_000_000_000;
const MILLISECOND: u64 = 1_000_000;
const TICK: u64 = 250 * MILLISECOND;
/// Spans that arrive together.
const BATCH: usize = 512;

/// A case: its name, what is counted, and how to run it.
type Case = (&'static str, &'static str, fn(&mut Run) -> u64);

const CASES: [Case; 7] = [
    ("calls and messages, 10,000 spans/s", "span", mixed),
    ("open invocations", "invocation", invocations),
    ("functions", "function", functions),
    ("edges between 10,000 functions", "edge", edges),
    ("a loop of 1,000,000 laps in one trace", "lap", one_trace),
    ("a loop of 100,000 laps, each a trace", "lap", many_traces),
    ("a trace of 100,000 spans", "span", wide_trace),
];

fn main() {
    let wanted = env::var("LOOPSCOPE_FOOTPRINT").ok();
    if let Some((.., run)) = CASES.iter().find(|(name, ..)| wanted.as_deref() == Some(*name)) {
        return measure(*run);
    }
    println!(
        "{:<40} {:>10} {:>12} {:>12} {:>12} {:>12}",
        "case", "items", "CPU s", "CPU us/item", "bytes/item", "tick ms"
    );
    for (name, item, _) in CASES {
        let program = env::current_exe().expect("the program knows where it is");
        let output = Command::new(program).env("LOOPSCOPE_FOOTPRINT", name).output().expect("a case runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name} failed: {}", String::from_utf8_lossy(&output.stderr));
        println!("{name:<40} {text} per {item}");
    }
}

fn measure(case: fn(&mut Run) -> u64) {
    let mut run = Run::new();
    let before = memory();
    let items = case(&mut run);
    let bytes = memory().saturating_sub(before);
    let cpu = run.cpu.as_secs_f64();
    let each = 1.0 / items as f64;
    print!(
        "{items:>10} {cpu:>12.3} {:>12.3} {:>12.0} {:>12.2}",
        cpu * 1e6 * each,
        bytes as f64 * each,
        run.longest_tick * 1e3
    );
}

/// An engine in virtual time.
struct Run {
    engine: Engine,
    now: u64,
    batch: Vec<Span>,
    resources: BTreeMap<u64, Arc<Resource>>,
    cpu: std::time::Duration,
    longest_tick: f64,
    next: u64,
}

impl Run {
    fn new() -> Self {
        Self {
            engine: Engine::new(&Config::recommended(), 1),
            now: START,
            batch: Vec::with_capacity(BATCH),
            resources: BTreeMap::new(),
            cpu: std::time::Duration::ZERO,
            longest_tick: 0.0,
            next: 0,
        }
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        // Ids of real traces are random.
        self.next.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
    }

    fn span(&mut self, function: u64, trace: u64, parent: Option<SpanId>, kind: SpanKind) -> Span {
        let resource = self.resources.entry(function).or_insert_with(|| {
            let mut attributes = Attributes::default();
            attributes.insert("service.name", Value::Text(format!("function-{function}").into()));
            Resource::new(attributes)
        });
        let resource = Arc::clone(resource);
        Span {
            trace_id: TraceId((u128::from(trace) << 64 | u128::from(trace)).to_be_bytes()),
            span_id: SpanId(self.id().to_be_bytes()),
            parent_span_id: parent,
            kind,
            name: "handle".into(),
            start: EventTime(self.now),
            end: EventTime(self.now + 20 * MILLISECOND),
            error: false,
            resource,
            attributes: Attributes::default(),
            links: Vec::new(),
            sampling: None,
        }
    }

    /// Sends a span; `every` is the time until the next.
    fn send(&mut self, span: Span, every: u64) {
        self.batch.push(span);
        let before = self.now;
        self.now += every;
        if self.batch.len() == BATCH {
            self.flush();
        }
        if before / TICK != self.now / TICK {
            self.tick();
        }
    }

    fn flush(&mut self) {
        let begun = cpu();
        let (engine, now) = (&mut self.engine, ArrivalTime(self.now));
        engine.ingest(now, self.batch.drain(..));
        self.cpu += cpu().saturating_sub(begun);
    }

    fn tick(&mut self) {
        let begun = cpu();
        self.engine.tick(ArrivalTime(self.now));
        let took = cpu().saturating_sub(begun);
        self.longest_tick = self.longest_tick.max(took.as_secs_f64());
        self.cpu += took;
    }

    fn settle(&mut self) {
        self.flush();
        for _ in 0..40 {
            self.now += TICK;
            self.tick();
        }
    }
}

/// A front calls two functions and sends a message with an id to a third, which writes an object.
fn mixed(run: &mut Run) -> u64 {
    let mut spans = 0;
    while spans < 2_000_000 {
        let front = spans % 190;
        let trace = run.id();
        let every = MILLISECOND / 10;
        let root = run.span(front, trace, None, SpanKind::Server);
        let above = Some(root.span_id);
        run.send(root, every);
        for callee in 1..3 {
            let call = run.span(front, trace, above, SpanKind::Client);
            let entry = run.span(front + callee, trace, Some(call.span_id), SpanKind::Server);
            let mut query = run.span(front + callee, trace, Some(entry.span_id), SpanKind::Client);
            query.attributes.insert("db.system.name", text("postgresql"));
            query.attributes.insert("db.collection.name", text("orders"));
            [call, entry, query].into_iter().for_each(|span| run.send(span, every));
        }
        let mut sent = run.span(front, trace, above, SpanKind::Producer);
        let other = run.id();
        let mut received = run.span(front + 3, other, None, SpanKind::Consumer);
        let id = format!("{other:032x}");
        for span in [&mut sent, &mut received] {
            span.attributes.insert("messaging.system", text("aws_sqs"));
            span.attributes.insert("messaging.destination.name", text("jobs"));
            span.attributes.insert("messaging.message.id", text(&id));
        }
        received.links.push(SpanLink { trace_id: sent.trace_id, span_id: sent.span_id, message_id: None });
        let mut write = run.span(front + 3, other, Some(received.span_id), SpanKind::Client);
        write.attributes.insert("rpc.method", text("PutObject"));
        write.attributes.insert("aws.s3.bucket", text("results"));
        write.attributes.insert("aws.s3.key", text(&id));
        [sent, received, write].into_iter().for_each(|span| run.send(span, every));
        spans += 10;
    }
    run.settle();
    spans
}

fn invocations(run: &mut Run) -> u64 {
    let count = Config::recommended().invocation_capacity as u64;
    for number in 0..count {
        let trace = run.id();
        let span = run.span(number % 100, trace, None, SpanKind::Server);
        run.send(span, MILLISECOND / 10);
    }
    run.flush();
    count
}

fn functions(run: &mut Run) -> u64 {
    for number in 0..10_000 {
        let trace = run.id();
        let span = run.span(number, trace, None, SpanKind::Server);
        run.send(span, MILLISECOND / 10);
    }
    run.settle();
    let found = run.engine.snapshot(ArrivalTime(run.now)).functions.len() as u64;
    assert_eq!(found, 10_000);
    found
}

fn edges(run: &mut Run) -> u64 {
    for round in 0..10_u64 {
        for number in 0..10_000_u64 {
            let trace = run.id();
            let call = run.span(number, trace, None, SpanKind::Client);
            let other = (number * 7 + round * 1_237 + 1) % 10_000;
            let entry = run.span(other, trace, Some(call.span_id), SpanKind::Server);
            [call, entry].into_iter().for_each(|span| run.send(span, MILLISECOND / 10));
        }
    }
    run.settle();
    let found = run.engine.snapshot(ArrivalTime(run.now)).edges.len() as u64;
    assert!(found > 90_000, "{found} edges");
    found
}

fn one_trace(run: &mut Run) -> u64 {
    let trace = run.id();
    let mut above = None;
    for _ in 0..1_000_000 {
        let call = run.span(1, trace, above, SpanKind::Client);
        let entry = run.span(1, trace, Some(call.span_id), SpanKind::Server);
        above = Some(entry.span_id);
        [call, entry].into_iter().for_each(|span| run.send(span, MILLISECOND / 10));
    }
    deepest(run, 999_000)
}

fn many_traces(run: &mut Run) -> u64 {
    let mut cause = None;
    for _ in 0..100_000 {
        let trace = run.id();
        let mut entry = run.span(1, trace, None, SpanKind::Consumer);
        entry.links.extend(cause);
        let sent = run.span(1, trace, Some(entry.span_id), SpanKind::Producer);
        cause = Some(SpanLink { trace_id: sent.trace_id, span_id: sent.span_id, message_id: None });
        [entry, sent].into_iter().for_each(|span| run.send(span, MILLISECOND));
    }
    deepest(run, 99_990)
}

fn wide_trace(run: &mut Run) -> u64 {
    let trace = run.id();
    let root = run.span(1, trace, None, SpanKind::Server);
    let above = Some(root.span_id);
    run.send(root, MILLISECOND / 10);
    for number in 0..50_000 {
        let call = run.span(1, trace, above, SpanKind::Client);
        let entry = run.span(2 + number % 10, trace, Some(call.span_id), SpanKind::Server);
        [call, entry].into_iter().for_each(|span| run.send(span, MILLISECOND / 10));
    }
    run.settle();
    100_001
}

fn deepest(run: &mut Run, least: u32) -> u64 {
    run.settle();
    let depth = run.engine.snapshot(ArrivalTime(run.now)).loops.iter().map(|found| found.max_depth).max();
    assert!(depth >= Some(least), "{depth:?} laps");
    u64::from(depth.unwrap_or_default())
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// Processor time of this process.
fn cpu() -> std::time::Duration {
    cpu_time::ProcessTime::now().as_duration()
}

/// Bytes of memory that the process has.
fn memory() -> u64 {
    let pages =
        fs::read_to_string("/proc/self/statm").ok().and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or_default() * 4_096
}
