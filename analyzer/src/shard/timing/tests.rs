//! Profiles of whole traces, as one shard makes them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::{
    attribute::Value,
    config::Config,
    fixture::{SECOND, START, resource},
    identity::function_of,
    record::{Piece, Place, TraceProfile},
    shard::Shard,
    snapshot::{Losses, NodeId},
    span::{ArrivalTime, EventTime, Span, SpanId, SpanKind, SpanLink, TraceId},
};
use SpanKind::{Client, Consumer, Internal, Producer, Server};

const MS: u64 = 1_000_000;

/// The spans of some traces.
#[derive(Default)]
struct Spans(Vec<Span>);

impl Spans {
    /// Adds a span of a function from one millisecond to another, below the span with that number; its own.
    fn add(&mut self, kind: SpanKind, function: &str, (start, end): (u64, u64), parent: Option<usize>) -> usize {
        let trace_id =
            parent.map_or(TraceId((self.0.len() as u128 + 1).to_be_bytes()), |parent| self.0[parent].trace_id);
        self.0.push(Span {
            trace_id,
            span_id: SpanId((self.0.len() as u64 + 1).to_be_bytes()),
            parent_span_id: parent.map(|parent| self.0[parent].span_id),
            kind,
            name: function.into(),
            start: EventTime(START.0 + start * MS),
            end: EventTime(START.0 + end * MS),
            error: false,
            resource: resource(function),
            attributes: Default::default(),
            links: Vec::new(),
            sampling: None,
        });
        self.0.len() - 1
    }

    /// A client span, and the server span of who is called; the latter.
    fn call(&mut self, parent: usize, function: &str, outer: (u64, u64), inner: (u64, u64)) -> usize {
        let caller = self.0[parent].resource.function().name.to_string();
        let client = self.add(Client, &caller, outer, Some(parent));
        self.add(Server, function, inner, Some(client))
    }

    fn say(&mut self, at: usize, pairs: &[(&str, &str)]) {
        for (key, value) in pairs {
            self.0[at].attributes.insert(key, Value::Text((*value).into()));
        }
    }

    fn name(&mut self, at: usize, name: &str) {
        self.0[at].name = name.into();
    }

    fn link(&mut self, at: usize, cause: usize) {
        let link = SpanLink::to(self.0[cause].trace_id, self.0[cause].span_id);
        self.0[at].links.push(link);
    }

    /// What one shard makes of them, when they come in this order.
    fn profiles(&self) -> Vec<TraceProfile> {
        let mut shard = Shard::new(&Config::recommended(), 1);
        shard.ingest(START, self.0.iter().cloned());
        for seconds in 1..200 {
            shard.tick(ArrivalTime(START.0 + seconds * SECOND));
        }
        shard.take_delta().profiles
    }

    /// The same as text, with names in place of ids.
    fn tell(&self) -> Vec<String> {
        let mut names: BTreeMap<NodeId, String> = BTreeMap::new();
        for span in &self.0 {
            let function = function_of(span);
            names.insert(function.id, function.name.to_string());
            if let Some(touch) = crate::identity::touch_of(span) {
                names.insert(touch.node.id, touch.node.name.to_owned());
            }
        }
        let name = |id: NodeId| names.get(&id).map_or("?", String::as_str);
        let place = |place: Place| match place {
            Place::Own(function) => name(function).to_owned(),
            Place::ColdStart(function) => format!("start {}", name(function)),
            Place::Gap { source, target } => format!("{}>{}", name(source), name(target)),
            Place::Resource { function, resource } => format!("{}:{}", name(function), name(resource)),
            Place::Peer(function) => format!("{}:?", name(function)),
            Place::Queue { resource, target } => format!("{}>>{}", name(resource), name(target)),
        };
        let one = |piece: &Piece| {
            let drag = if piece.drag_ms == piece.critical_ms { String::new() } else { format!("/{}", piece.drag_ms) };
            let row = if piece.in_a_row > 1 { format!(" row {}", piece.in_a_row) } else { String::new() };
            let again = if piece.retries > 0 { format!(" again {}", piece.retries) } else { String::new() };
            format!("{} {}{drag} x{}{row}{again}", place(piece.place), piece.critical_ms, piece.calls)
        };
        let tell = |profile: &TraceProfile| {
            let sum: f64 = profile.pieces.iter().map(|piece| piece.critical_ms).sum();
            assert!((sum - profile.duration_ms).abs() < 1e-6, "{profile:?}");
            let mut pieces: Vec<String> = profile.pieces.iter().map(one).collect();
            pieces.sort();
            let until = profile.until.map_or(String::new(), |until| format!(" until {}", name(until)));
            format!("{}{until} {}: {}", profile.operation, profile.duration_ms, pieces.join(", "))
        };
        self.profiles().iter().map(tell).collect()
    }
}

#[test]
fn own_work_gaps_and_resources_are_told_apart() {
    let mut spans = Spans::default();
    let front = spans.add(Server, "front", (0, 100), None);
    let orders = spans.call(front, "orders", (10, 70), (15, 65));
    let query = spans.add(Client, "orders", (20, 50), Some(orders));
    spans.say(query, &[("db.system.name", "postgresql"), ("db.collection.name", "rows")]);
    // What the driver of the database writes below is the same wait.
    spans.add(Internal, "orders", (25, 45), Some(query));
    spans.add(Client, "front", (70, 90), Some(front));
    assert_eq!(
        spans.tell(),
        ["front 100: front 20 x1, front:? 20 x1, front>orders 10 x1, orders 20 x1, orders:rows 30 x1"]
    );
}

#[test]
fn of_parallel_branches_the_longer_counts_as_far_as_it_is_longer() {
    let mut spans = Spans::default();
    let front = spans.add(Server, "front", (0, 100), None);
    spans.call(front, "slow", (10, 90), (10, 90));
    spans.call(front, "quick", (10, 70), (10, 70));
    assert_eq!(spans.tell(), ["front 100: front 20 x1, front>quick 0 x1, front>slow 0 x1, quick 0 x1, slow 80/20 x1"]);
}

#[test]
fn calls_in_a_row_and_retries_are_counted() {
    let mut spans = Spans::default();
    let front = spans.add(Server, "front", (0, 100), None);
    for at in 0..5 {
        let query = spans.add(Client, "front", (10 * at, 10 * at + 10), Some(front));
        spans.name(query, "SELECT");
        spans.say(query, &[("db.system.name", "postgresql"), ("db.collection.name", "rows")]);
    }
    for at in 0..3 {
        let get = spans.call(front, "stock", (50 + 10 * at, 60 + 10 * at), (50 + 10 * at, 60 + 10 * at));
        spans.0[get - 1].error = at < 2;
    }
    // At once is not in a row.
    for _ in 0..4 {
        spans.call(front, "mail", (80, 90), (80, 90));
    }
    let told = &spans.tell()[0];
    for part in
        ["front:rows 50 x5 row 5", "front>stock 0 x3 row 3 again 2", "stock 30 x3 row 3 again 2", "mail 10/0 x4"]
    {
        assert!(told.contains(part) || told.contains(&part.replace("/0", "")), "{part} in {told}");
    }
    assert!(!told.contains("mail 10 x4 row") && !told.contains("front>mail 0 x4 row"), "{told}");
}

#[test]
fn a_cold_start_is_what_the_caller_waits_before_it_or_what_a_span_shows() {
    let mut spans = Spans::default();
    let front = spans.add(Server, "front", (0, 1_000), None);
    let cold = spans.call(front, "resize", (0, 900), (800, 890));
    spans.say(cold, &[("faas.coldstart", "true")]);
    assert_eq!(spans.tell(), ["front 1000: front 100 x1, front>resize 10 x1, resize 90 x1, start resize 800 x1"]);

    let mut spans = Spans::default();
    let root = spans.add(Server, "resize", (0, 1_000), None);
    spans.say(root, &[("faas.coldstart", "true")]);
    assert_eq!(
        spans.tell(),
        ["resize 1000: resize 1000 x1, start resize 0 x1"],
        "it is cold, but nothing says how long"
    );
    let start = spans.add(Internal, "resize", (0, 700), Some(root));
    spans.name(start, "Initialization");
    assert_eq!(spans.tell(), ["resize 1000: resize 300 x1, start resize 700 x1"]);
}

#[test]
fn a_message_parts_what_is_waited_for_from_the_pipeline() {
    let mut spans = Spans::default();
    let front = spans.add(Server, "front", (0, 100), None);
    let sent = spans.add(Producer, "front", (40, 50), Some(front));
    let work = spans.add(Consumer, "work", (250, 400), Some(sent));
    for at in [sent, work] {
        spans.say(at, &[("messaging.destination.name", "jobs")]);
    }
    assert_eq!(
        spans.tell(),
        [
            "front 100: front 90 x1, front:jobs 10 x1",
            "work 150: work 150 x1",
            "front until work 400: front 40 x1, front:jobs 10 x1, jobs>>work 200 x1, work 150 x1",
        ]
    );
}

#[test]
fn a_pipeline_goes_on_over_links_and_several_traces() {
    let mut spans = Spans::default();
    let front = spans.add(Server, "front", (0, 100), None);
    let first = spans.add(Producer, "front", (40, 50), Some(front));
    // Handled by a server span with a consumer span below, as Lambda does.
    let work = spans.add(Server, "work", (300, 400), None);
    let handled = spans.add(Consumer, "work", (300, 400), Some(work));
    let second = spans.add(Producer, "work", (380, 390), Some(handled));
    let mail = spans.add(Consumer, "mail", (600, 650), None);
    for (at, queue) in [(first, "jobs"), (handled, "jobs"), (second, "mails"), (mail, "mails")] {
        spans.say(at, &[("messaging.destination.name", queue)]);
    }
    spans.link(handled, first);
    spans.link(mail, second);
    let mut told = spans.tell();
    told.sort();
    assert_eq!(
        told,
        [
            "front 100: front 90 x1, front:jobs 10 x1",
            "front until mail 650: front 40 x1, front:jobs 10 x1, jobs>>work 250 x1, mail 50 x1, mails>>mail 210 x1, \
             work 80 x1, work:mails 10 x1",
            "front until work 400: front 40 x1, front:jobs 10 x1, jobs>>work 250 x1, work 90 x1, work:mails 10 x1",
            "mail 50: mail 50 x1",
            "work 100: work 90 x1, work:mails 10 x1",
        ]
    );
}

#[test]
fn of_too_many_pipelines_the_longest_are_told_in_any_order_of_arrival() {
    let mut spans = Spans::default();
    let front = spans.add(Server, "front", (0, 100), None);
    for at in 0..40 {
        let sent = spans.add(Producer, "front", (40, 50), Some(front));
        spans.add(Consumer, &format!("work-{at}"), (60, 200 + at * 10), Some(sent));
    }
    let told = |spans: Vec<Span>| {
        let mut shard = Shard::new(&Config::recommended(), 1);
        shard.ingest(START, spans);
        shard.finish(START);
        let delta = shard.take_delta();
        let pipelines = delta.profiles.iter().filter(|profile| profile.until.is_some());
        let lengths: Vec<f64> = pipelines.map(|profile| profile.duration_ms).collect();
        (lengths, delta.losses.pipelines_dropped)
    };
    let longest: Vec<f64> = (24..40).rev().map(|at| f64::from(200 + at * 10)).collect();
    assert_eq!(told(spans.0.clone()), (longest.clone(), 24));
    assert_eq!(told(spans.0.into_iter().rev().collect()), (longest, 24));
}

#[test]
fn pipelines_with_too_many_stages_do_not_displace_others() {
    let mut spans = Spans::default();
    let front = spans.add(Server, "front", (0, 100), None);
    let sent = spans.add(Producer, "front", (10, 20), Some(front));
    spans.add(Consumer, "work", (60, 90), Some(sent));
    let mut at = front;
    for stage in 0..80 {
        let sent = spans.add(Producer, "front", (50 + stage * 50, 60 + stage * 50), Some(at));
        at = spans.add(Consumer, &format!("lap-{}", stage % 20), (80 + stage * 50, 120 + stage * 50), Some(sent));
    }
    let told = spans.tell();
    assert!(told.iter().any(|line| line.starts_with("front until work 90")), "{told:?}");
}

#[test]
fn a_consumer_that_begins_before_the_message_was_sent_did_not_wait() {
    let mut spans = Spans::default();
    let front = spans.add(Server, "front", (0, 100), None);
    let sent = spans.add(Producer, "front", (40, 60), Some(front));
    spans.add(Consumer, "work", (50, 80), Some(sent));
    let told = spans.tell();
    assert_eq!(told[2], "front until work 80: front 40 x1, front:? 10 x1, front>work 0 x1, work 30 x1");
}

#[test]
fn clocks_are_compared_before_times_are() {
    let mut spans = Spans::default();
    let front = spans.add(Server, "front", (0, 100), None);
    // The clock of the callee is 500 ms ahead, and so is that of whom it calls.
    let inner = spans.call(front, "orders", (10, 70), (515, 565));
    spans.call(inner, "rows", (520, 540), (521, 539));
    assert_eq!(
        spans.tell(),
        ["front 100: front 40 x1, front>orders 10 x1, orders 30 x1, orders>rows 2 x1, rows 18 x1"]
    );
}

#[test]
fn a_trace_is_measured_by_its_runs_where_it_has_too_many_spans() {
    let mut spans = Spans::default();
    let front = spans.add(Server, "front", (0, 100), None);
    for _ in 0..Config::recommended().spans_per_trace {
        spans.add(Internal, "front", (5, 5), Some(front));
    }
    let orders = spans.call(front, "orders", (10, 70), (15, 65));
    let query = spans.add(Client, "orders", (20, 50), Some(orders));
    spans.call(query, "rows", (25, 45), (30, 40));
    assert_eq!(spans.tell(), ["front 100: front 50 x1, orders 40 x1, rows 10 x1"]);
}

#[test]
fn what_bounds_cost_is_counted() {
    let mut shard = Shard::new(&Config { trace_capacity: 10, ..Config::recommended() }, 1);
    let mut spans = Spans::default();
    for _ in 0..200 {
        spans.add(Server, "front", (0, 100), None);
    }
    for (span, id) in spans.0.iter_mut().zip(1_u128..) {
        span.trace_id = TraceId(id.to_be_bytes());
    }
    shard.ingest(START, spans.0);
    let delta = shard.take_delta();
    assert!(
        delta.losses.traces_cut > 0 && delta.profiles.len() as u64 == delta.losses.traces_cut,
        "{:?}",
        delta.losses
    );
    let all: f64 = delta.profiles.iter().map(|profile| profile.weight).sum();
    assert!((100.0..400.0).contains(&all), "{all}");

    let most = 50;
    let mut shard = Shard::new(&Config { spans_per_trace: most, ..Config::recommended() }, 1);
    let mut spans = Spans::default();
    let front = spans.add(Server, "front", (0, 100), None);
    for _ in 0..most + 10 {
        spans.add(Server, "deep", (0, 100), Some(front));
    }
    shard.ingest(START, spans.0);
    shard.finish(START);
    let delta = shard.take_delta();
    assert_eq!((delta.losses.trace_spans_dropped, delta.profiles.len()), (most as u64 + 11, 0));
}

#[test]
fn under_load_whole_traces_are_chosen_and_stand_for_all() {
    const TRACES: u64 = 20_000;
    let mut shard = Shard::new(&Config::recommended(), 1);
    let mut one = Spans::default();
    let front = one.add(Server, "front", (0, 100), None);
    one.call(front, "orders", (10, 70), (15, 65));
    // A thousand traces a second, whose spans come half a second apart, the root last.
    let mut profiles = Vec::new();
    for at in 0..TRACES + 1_000 {
        let now = ArrivalTime(START.0 + at * MS);
        for (span, delay) in one.0.iter().zip([1_000, 500, 0]) {
            let Some(trace) = at.checked_sub(delay).filter(|trace| *trace < TRACES) else { continue };
            let trace_id = TraceId((u128::from(trace) + 1).to_be_bytes());
            shard.ingest(now, [Span { trace_id, ..span.clone() }]);
        }
        if at % 250 == 0 {
            shard.tick(now);
            profiles.extend(shard.take_delta().profiles);
        }
    }
    shard.finish(ArrivalTime(START.0 + 60 * SECOND));
    profiles.extend(shard.take_delta().profiles);
    assert!((1_000..8_000).contains(&profiles.len()), "{}", profiles.len());
    assert!(profiles.iter().all(|profile| profile.pieces.len() == 3 && profile.duration_ms == 100.0));
    let all: f64 = profiles.iter().map(|profile| profile.weight).sum();
    assert!((all / TRACES as f64 - 1.0).abs() < 0.15, "{all}");
}

#[test]
fn a_capture_is_measured_at_its_end() {
    let mut spans = Spans::default();
    let front = spans.add(Server, "front", (0, 100), None);
    spans.call(front, "orders", (10, 70), (15, 65));
    let mut shard = Shard::new(&Config::for_capture(3), 1);
    shard.ingest(START, spans.0.iter().cloned());
    shard.tick(ArrivalTime(START.0 + 3_600 * SECOND));
    assert_eq!(shard.take_delta().profiles, []);
    shard.finish(START);
    assert_eq!(shard.take_delta().profiles, spans.profiles());
}

#[test]
fn half_a_trace_is_no_trace() {
    let mut spans = Spans::default();
    let front = spans.add(Server, "front", (0, 100), None);
    spans.call(front, "orders", (10, 70), (15, 65));
    let mut shard = Shard::new(&Config::recommended(), 1);
    shard.ingest(START, spans.0[..1].iter().cloned());
    shard.tick(ArrivalTime(START.0 + 60 * SECOND));
    assert_eq!(shard.take_delta().profiles.len(), 1);
    // The rest comes when the trace was measured: its parent is known, so it is no trace of its own.
    shard.ingest(ArrivalTime(START.0 + 61 * SECOND), spans.0[1..].iter().cloned());
    shard.tick(ArrivalTime(START.0 + 120 * SECOND));
    assert_eq!(shard.take_delta().profiles, []);
}

proptest! {
    #[test]
    fn parts_add_up_whatever_the_order_and_the_traces(
        nodes in prop::collection::vec(
            (0_usize..5, any::<prop::sample::Index>(), 0_usize..4, 0_u64..300, 0_u64..300, any::<bool>()),
            1..40,
        ),
        order in any::<u64>(),
    ) {
        let mut spans = Spans::default();
        for (at, (kind, parent, function, start, length, cold)) in nodes.iter().enumerate() {
            let kind = [Server, Client, Internal, Producer, Consumer][*kind];
            let parent = if at == 0 || parent.index(9) == 0 { None } else { Some(parent.index(at)) };
            let at = spans.add(kind, ["a", "b", "c", "d"][*function], (*start, start + length), parent);
            if *cold {
                spans.say(at, &[("faas.coldstart", "true")]);
            }
            if let (Some(cause), Consumer) = (at.checked_sub(1), kind) {
                spans.link(at, cause);
            }
        }
        let told = |spans: &Spans| {
            for profile in spans.profiles() {
                let sum: f64 = profile.pieces.iter().map(|piece| piece.critical_ms).sum();
                prop_assert!((sum - profile.duration_ms).abs() < 1e-6);
                let sound = |piece: &Piece| 0.0 <= piece.drag_ms && piece.drag_ms <= piece.critical_ms + 1e-9;
                prop_assert!(profile.pieces.iter().all(sound), "{:?}", profile);
                let mut places: Vec<Place> = profile.pieces.iter().map(|piece| piece.place).collect();
                places.sort_unstable();
                places.dedup();
                prop_assert_eq!(places.len(), profile.pieces.len(), "each place once");
            }
            Ok(())
        };
        told(&spans)?;
        let mut mixed = Spans(spans.0.clone());
        mixed.0.sort_by_key(|span| xxhash_rust::xxh3::xxh3_64_with_seed(&span.span_id.0, order));
        told(&mixed)?;
    }
}

#[test]
fn nothing_is_lost_unsaid() {
    let mut shard = Shard::new(&Config::recommended(), 1);
    let mut spans = Spans::default();
    spans.add(Server, "front", (0, 100), None);
    shard.ingest(START, spans.0);
    shard.finish(START);
    assert_eq!(shard.take_delta().losses, Losses { spans: 1, ..Losses::default() });
}
