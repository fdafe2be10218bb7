//! Cost of the engine for spans that are decoded already: `cargo bench -p loopscope-analyzer`.
//!
//! Each sample takes in 24,000 spans: 2,000 traces of twelve spans, in which a front calls three functions that each
//! read a table. Divide by 24 for the microseconds of a thousand spans.

use std::sync::Arc;

use divan::{Bencher, counter::ItemsCount};
use loopscope_analyzer::{
    attribute::{Attributes, Value},
    config::Config,
    engine::Engine,
    identity::Resource,
    span::{ArrivalTime, EventTime, Span, SpanId, SpanKind, TraceId},
};

const TRACES: u64 = 2_000;
const NOW: ArrivalTime = ArrivalTime(1_700_000_000_000_000_000);

fn main() {
    divan::main();
}

#[divan::bench(args = [1, 4])]
fn front_and_three(bencher: Bencher, shards: usize) {
    let spans = spans();
    bencher.counter(ItemsCount::new(spans.len())).with_inputs(|| spans.clone()).bench_values(|spans| {
        let mut engine = Engine::new(&Config::recommended(), shards);
        let mut spans = spans.into_iter().peekable();
        let mut now = NOW;
        while spans.peek().is_some() {
            engine.ingest(now, spans.by_ref().take(512));
            now.0 += 30_000_000;
        }
        engine.tick(ArrivalTime(now.0 + 40_000_000_000));
        engine.snapshot(now).functions.len()
    });
}

fn spans() -> Vec<Span> {
    let services: Vec<Arc<Resource>> = ["front", "orders", "stock", "mail"].map(resource).into();
    let mut spans = Vec::new();
    for trace in 1..=TRACES {
        let trace_id = TraceId((u128::from(trace) << 64 | u128::from(trace)).to_be_bytes());
        let span = |id: u64, parent: u64, kind, service: usize| Span {
            trace_id,
            span_id: SpanId((trace << 8 | id).to_be_bytes()),
            parent_span_id: (parent > 0).then(|| SpanId((trace << 8 | parent).to_be_bytes())),
            kind,
            name: "operation".into(),
            start: EventTime(NOW.0 + id * 1_000_000),
            end: EventTime(NOW.0 + (40 - id) * 1_000_000),
            error: false,
            resource: Arc::clone(&services[service]),
            attributes: Attributes::default(),
            links: Vec::new(),
            sampling: None,
        };
        spans.push(span(1, 0, SpanKind::Server, 0));
        spans.push(span(2, 1, SpanKind::Internal, 0));
        for service in 1..4 {
            let first = 10 * service as u64;
            spans.push(span(first, 2, SpanKind::Client, 0));
            spans.push(span(first + 1, first, SpanKind::Server, service));
            let mut read = span(first + 2, first + 1, SpanKind::Client, service);
            for (key, value) in [("db.system.name", "postgresql"), ("db.collection.name", "rows")] {
                read.attributes.insert(key, Value::Text(value.into()));
            }
            spans.push(read);
        }
        spans.push(span(50, 1, SpanKind::Internal, 0));
    }
    spans
}

fn resource(name: &str) -> Arc<Resource> {
    let mut attributes = Attributes::default();
    attributes.insert("service.name", Value::Text(name.into()));
    Resource::new(attributes)
}
