//! The watch behind a whole engine, in virtual time; what false alarms there are in a day of 10,000 series is counted
//! by `loopscope_corpus::regressions`.

use std::{collections::BTreeMap, sync::Arc};

use super::*;
use crate::{
    attribute::{Attributes, Value},
    config::Config,
    engine::Engine,
    identity::Resource,
    snapshot::NodeId,
    span::{Span, SpanId, SpanKind, TraceId},
    windows::Kept,
};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 / 3_600 * 3_600 * SECOND;
const FUNCTIONS: u64 = 12;
const PER_MINUTE: u64 = 60;

/// A run: how long, whether it fails, and of which version.
struct Run {
    ms: f64,
    fails: bool,
    version: &'static str,
}

/// A number between 0 and 1 that looks like chance, the same each time.
fn chance(seed: u64) -> f64 {
    let hash = xxhash_rust::xxh3::xxh3_64(&seed.to_le_bytes());
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// Lognormal around 100 ms, of sigma .4.
fn usual(seed: u64) -> f64 {
    let (a, b) = (chance(seed * 2 + 1).max(1e-12), chance(seed * 2 + 2));
    100.0 * (0.4 * (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()).exp()
}

struct World {
    engine: Engine,
    kept: Kept,
    watch: Watch,
    resources: BTreeMap<(u64, &'static str), Arc<Resource>>,
    next: u64,
}

impl World {
    fn new() -> Self {
        Self {
            engine: Engine::new(&Config::recommended(), 1),
            kept: Kept::new(),
            watch: Watch::new(),
            resources: BTreeMap::new(),
            next: 0,
        }
    }

    fn minute(&mut self, minute: u64, run: impl Fn(u64, f64) -> Run) {
        for second in 0..60 {
            let now = ArrivalTime(START + (minute * 60 + second) * SECOND);
            self.engine.tick(now);
            let spans: Vec<Span> = (0..FUNCTIONS * PER_MINUTE / 60)
                .map(|place| {
                    self.next += 1;
                    let function = place % FUNCTIONS;
                    self.span(function, run(function, usual(self.next)), now)
                })
                .collect();
            self.engine.ingest(now, spans);
            for window in self.engine.aggregate_mut().take_closed() {
                self.kept.keep(&window);
                self.watch.take(&window, &self.kept);
            }
        }
    }

    fn span(&mut self, function: u64, run: Run, now: ArrivalTime) -> Span {
        let resource = self.resources.entry((function, run.version)).or_insert_with(|| {
            let mut attributes = Attributes::default();
            attributes.insert("service.name", Value::Text(format!("f{function}").into()));
            attributes.insert("service.version", Value::Text(run.version.into()));
            Resource::new(attributes)
        });
        let duration = (run.ms * 1e6) as u64;
        Span {
            trace_id: TraceId(u128::from(self.next).to_be_bytes()),
            span_id: SpanId(self.next.to_be_bytes()),
            parent_span_id: None,
            kind: SpanKind::Server,
            name: "handle".into(),
            start: EventTime(now.0 - duration),
            end: EventTime(now.0),
            error: run.fails,
            resource: Arc::clone(resource),
            attributes: Attributes::default(),
            links: Vec::new(),
            sampling: None,
        }
    }

    /// The changes in words, in the order in which they began.
    fn changes(&mut self) -> Vec<String> {
        let (_, running) = self.engine.aggregate_mut().running();
        let name = |id: NodeId| running.functions.get(&id).map_or("?".into(), |it| it.function.name.to_string());
        let minute = |time: ArrivalTime| (time.0 - START) / (60 * SECOND);
        let mut told: Vec<String> = self
            .watch
            .changes()
            .map(|it| {
                let until = it.until.map_or("now".to_owned(), |until| minute(until).to_string());
                let (found, version) = (minute(it.found) - minute(it.since), it.version.as_ref().map(|(name, _)| name));
                let subject = name(it.series.subject.function);
                let what = format!("{subject} {:?} {:?}", it.series.aspect, it.direction);
                format!("{what} since {} until {until}, found after {found}, version {version:?}", minute(it.since))
            })
            .collect();
        told.sort();
        told
    }
}

#[test]
fn what_changed_is_told_once_with_the_version_before_it_and_nothing_else() {
    let mut world = World::new();
    for minute in 0..150 {
        world.minute(minute, |function, ms| match function {
            // Slower with a new version.
            1 if minute >= 100 => Run { ms: ms * 1.5, fails: false, version: "2" },
            // Slower for a time.
            2 if (100..120).contains(&minute) => Run { ms: ms * 2.0, fails: false, version: "1" },
            // Faster.
            3 if minute >= 100 => Run { ms: ms * 0.6, fails: false, version: "1" },
            // A new version that changes nothing.
            4 if minute >= 100 => Run { ms, fails: false, version: "2" },
            // It fails; it was a version of long ago.
            5 => Run { ms, fails: minute >= 110 && ms < 80.0, version: if minute < 20 { "1" } else { "2" } },
            _ => Run { ms, fails: false, version: "1" },
        });
        if minute == 104 {
            // A restart takes in the same minutes again.
            world.watch = Watch::load(&world.watch.save()).unwrap();
            let again = Range { from: ArrivalTime(START), to: world.watch.seen() };
            let measured = world.kept.measured(again);
            world.watch.take(&ClosedWindow { start: ArrivalTime(START + 100 * 60 * SECOND), measured }, &world.kept);
        }
    }
    expect_test::expect![[r#"
        f1 Duration Regression since 100 until now, found after 2, version Some("2")
        f1 SelfTime Regression since 100 until now, found after 2, version Some("2")
        f2 Duration Regression since 100 until 120, found after 2, version None
        f2 SelfTime Regression since 100 until 120, found after 2, version None
        f3 Duration Improvement since 100 until now, found after 3, version None
        f3 SelfTime Improvement since 100 until now, found after 3, version None
        f5 Errors Regression since 110 until now, found after 1, version None"#]]
    .assert_eq(&world.changes().join("\n"));
    assert_eq!(world.watch.losses(), WatchLosses::default());
    // A day later what lasts is the usual, and is not listed in later times any more.
    world.watch.seen = world.watch.seen.after(SETTLED);
    world.watch.close();
    let (day, end) = (world.watch.seen, Duration::from_secs(60));
    let listed = |from: ArrivalTime| {
        let range = Range { from, to: from.after(end) };
        world.watch.changes().filter(|it| it.lasted_in(range)).count()
    };
    assert!(world.watch.changes().all(|it| it.until.is_none() == (it.settled == Some(day))));
    assert_eq!(
        [ArrivalTime(START), ArrivalTime(START + 6_660 * SECOND), day, day.after(end)].map(listed),
        [0, 7, 5, 0]
    );
}

#[test]
fn a_change_is_told_whatever_minute_it_begins_in() {
    for begin in 100..105 {
        let mut world = World::new();
        for minute in 0..begin + 10 {
            world.minute(minute, |function, ms| {
                let is_slow = function == 1 && minute >= begin;
                let is_failing = function == 2 && minute >= begin && ms < 80.0;
                Run { ms: if is_slow { ms * 1.5 } else { ms }, fails: is_failing, version: "1" }
            });
        }
        let told: Vec<String> =
            world.changes().iter().map(|it| it.split(" until").next().unwrap().to_owned()).collect();
        let wanted = |what| format!("{what} Regression since {begin}");
        assert_eq!(told, ["f1 Duration", "f1 SelfTime", "f2 Errors"].map(wanted));
        assert_eq!(world.watch.losses().refused, 0);
    }
}

#[test]
fn quiet_series_make_room_and_busy_ones_stay() {
    let mut watch = Watch::new();
    let minute = |number: u64, functions: std::ops::Range<u64>| {
        let mut engine = Engine::new(&Config::recommended(), 1);
        let mut world = World::new();
        let now = ArrivalTime(START + number * 60 * SECOND);
        let run = || Run { ms: 1.0, fails: false, version: "1" };
        let spans: Vec<Span> = functions
            .map(|function| {
                world.next = function + 1;
                world.span(function, run(), now)
            })
            .collect();
        engine.ingest(now, spans);
        engine.tick(ArrivalTime(now.0 + 60 * SECOND));
        engine.aggregate_mut().take_closed()
    };
    // Each function has four series.
    let many = SERIES as u64 / 4;
    let mut take = |number, functions| {
        minute(number, functions).iter().for_each(|window| watch.take(window, &Kept::new()));
        let losses = watch.losses();
        (watch.series(), losses.series_dropped, losses.series_unwatched)
    };
    assert_eq!(take(0, 0..many), (SERIES, 0, 0));
    assert_eq!(take(1, many..many + 5), (SERIES, 0, 20), "all are busy");
    assert_eq!(take(70, many..many + 5), (20, SERIES as u64, 0), "all were quiet");
}
