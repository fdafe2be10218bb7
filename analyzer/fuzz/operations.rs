//! Bytes as a list of operations on an engine, and what must hold after each.
//!
//! Ids come from so few that parents, links and names clash all the time. The fuzzer and a property test share it.

use std::{sync::Arc, time::Duration};

use loopscope_analyzer::{
    attribute::{Attributes, Value},
    config::Config,
    engine::Engine,
    identity::Resource,
    snapshot::Snapshot,
    span::{ArrivalTime, EventTime, Span, SpanId, SpanKind, SpanLink, TraceId},
};

const START: u64 = 1_700_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;
/// Attributes with few values each, by which spans are joined in other ways than by parents.
const KEYS: [&str; 12] = [
    "faas.name",
    "faas.invocation_id",
    "faas.invoked_name",
    "faas.trigger",
    "cloud.resource_id",
    "messaging.destination.name",
    "messaging.message.id",
    "messaging.message.conversation_id",
    "aws.s3.bucket",
    "aws.s3.key",
    "rpc.method",
    "aws.xray.origin",
];
const WORDS: [&str; 8] = [
    "a",
    "b",
    "timer",
    "PutObject",
    "arn:aws:lambda:eu:1:function:a",
    "AWS::Lambda",
    "AWS::Lambda::Function",
    "schedule/x",
];

/// Bytes that are read one after the other; zeroes when they are over.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn up_to(&mut self, bound: u8) -> u8 {
        self.next() % bound
    }
}

/// Runs the operations of `bytes`; panics when something does not hold.
pub(crate) fn replay(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let config = config(&mut bytes);
    let shards = 1 + usize::from(bytes.up_to(3));
    let mut engine = Engine::new(&config, shards);
    let mut now = START;
    let mut sent = 0;
    while !bytes.0.is_empty() {
        match bytes.up_to(8) {
            0 => engine.tick(ArrivalTime(now)),
            1 => check(&engine.snapshot(ArrivalTime(now)), &config, sent),
            2 => now += SECOND * u64::from(bytes.next()),
            3 => now = now.saturating_sub(u64::from(bytes.next()) * SECOND / 10),
            4 => engine = saved_and_loaded(engine, &config, shards, now),
            _ => {
                let spans: Vec<Span> = (0..=bytes.up_to(6)).map(|_| span(&mut bytes, now)).collect();
                sent += spans.len() as u64;
                engine.ingest(ArrivalTime(now), spans);
            }
        }
    }
    engine.finish(ArrivalTime(now));
    check(&engine.snapshot(ArrivalTime(now)), &config, sent);
}

/// Bounds so small that they are met.
fn config(bytes: &mut Bytes<'_>) -> Config {
    let mut few = || 2 + usize::from(bytes.next());
    Config {
        lateness: Duration::from_secs(600),
        span_capacity: few(),
        invocation_capacity: few(),
        function_capacity: few(),
        edge_capacity: few(),
        loop_capacity: few(),
        chain_capacity: few(),
        ..Config::recommended()
    }
}

fn span(bytes: &mut Bytes<'_>, now: u64) -> Span {
    let trace_id = |byte: u8| TraceId([1 + byte % 5; 16]);
    let span_id = |byte: u8| SpanId([1 + byte % 40; 8]);
    let mut attributes = Attributes::default();
    for _ in 0..bytes.up_to(4) {
        let (key, word) = (bytes.up_to(KEYS.len() as u8), bytes.up_to(WORDS.len() as u8));
        attributes.insert(KEYS[usize::from(key)], Value::Text(WORDS[usize::from(word)].into()));
    }
    let mut named = Attributes::default();
    named.insert("service.name", Value::Text(format!("service-{}", bytes.up_to(6)).into()));
    let start = match bytes.up_to(16) {
        0 => 0,
        1 => u64::MAX,
        late => now.saturating_sub(u64::from(late) * SECOND / 4),
    };
    let link = |bytes: &mut Bytes<'_>| SpanLink {
        trace_id: trace_id(bytes.next()),
        span_id: span_id(bytes.next()),
        message_id: (bytes.up_to(3) == 0).then(|| WORDS[0].into()),
    };
    Span {
        trace_id: trace_id(bytes.next()),
        span_id: span_id(bytes.next()),
        parent_span_id: (bytes.up_to(4) > 0).then(|| span_id(bytes.next())),
        kind: SpanKind::from_wire(i64::from(bytes.up_to(6))),
        name: WORDS[usize::from(bytes.up_to(3))].into(),
        start: EventTime(start),
        end: EventTime(start.wrapping_add(u64::from(bytes.next()) * SECOND / 100)),
        error: bytes.up_to(2) == 1,
        resource: Arc::clone(&Resource::new(named)),
        attributes,
        links: (0..bytes.up_to(3)).map(|_| link(bytes)).collect(),
        sampling: (bytes.up_to(8) == 0).then_some(0.5),
    }
}

/// What is saved is loaded, and shows the same.
fn saved_and_loaded(mut engine: Engine, config: &Config, shards: usize, now: u64) -> Engine {
    let (linker, aggregate) = engine.save(ArrivalTime(now));
    let before = engine.snapshot(ArrivalTime(now));
    // Without the spans that came before: the shards begin anew, as after a start for which nothing is left of them.
    let mut loaded = Engine::load(config, shards, (&linker, &aggregate), ArrivalTime(now), [])
        .expect("what was saved can be loaded");
    let after = loaded.snapshot(ArrivalTime(now));
    assert_eq!(before.functions, after.functions);
    assert_eq!(before.loops, after.loops);
    loaded
}

fn check(snapshot: &Snapshot, config: &Config, sent: u64) {
    assert!(snapshot.losses.spans <= sent, "spans were made up");
    assert!(snapshot.functions.len() + snapshot.resources.len() <= config.function_capacity + 1);
    assert!(snapshot.edges.len() <= config.edge_capacity);
    for function in &snapshot.functions {
        // A span that sampling kept stands for two here.
        assert!(function.invocations <= 2 * sent && function.p95_ms.is_finite() && function.p50_ms <= function.p95_ms);
    }
    for found in &snapshot.loops {
        assert!(u64::from(found.max_depth) <= sent, "more laps than spans");
        assert!((0.0..=1.0).contains(&found.confidence), "{found:?}");
        assert_eq!(found.functions.len(), found.names.len());
    }
}
