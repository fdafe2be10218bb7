//! Windows from the engine to the disk and back: restarts, rolling, the running minute, and what changed.

use loopscope_analyzer::{
    aggregate::Aggregate,
    attribute::{Attributes, Value},
    config::Config,
    detect::change::{Aspect, Direction},
    engine::Engine,
    identity::Resource,
    span::{EventTime, Span, SpanId, SpanKind, TraceId},
    windows::{ClosedWindow, Length, Range},
};

use super::*;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
/// The begin of an hour.
const START: u64 = 1_700_000_000 / 3_600 * 3_600 * SECOND;

fn at(minute: u64) -> ArrivalTime {
    ArrivalTime(START + minute * MINUTE)
}

/// A run of 20 ms, other than all others.
fn span(number: u64, now: ArrivalTime) -> Span {
    run(number, 20, now)
}

fn run(number: u64, ms: u64, now: ArrivalTime) -> Span {
    let mut attributes = Attributes::default();
    attributes.insert("service.name", Value::Text(format!("function-{}", number % 3).into()));
    Span {
        trace_id: TraceId(u128::from(number + 1).to_be_bytes()),
        span_id: SpanId((number + 1).to_be_bytes()),
        parent_span_id: None,
        kind: SpanKind::Server,
        name: "handle".into(),
        start: EventTime(now.0),
        end: EventTime(now.0 + ms * SECOND / 1_000),
        error: false,
        resource: Resource::new(attributes),
        attributes: Attributes::default(),
        links: Vec::new(),
        sampling: None,
    }
}

/// The minutes of some time in which each second something runs, and what runs at the end of it.
fn minutes(count: u64) -> (Vec<ClosedWindow>, Engine) {
    let mut engine = Engine::new(&Config::recommended(), 1);
    let mut closed = Vec::new();
    for second in 0..count * 60 + 30 {
        let now = ArrivalTime(START + second * SECOND);
        engine.tick(now);
        engine.ingest(now, [span(second, now)]);
        closed.extend(engine.aggregate_mut().take_closed());
    }
    (closed, engine)
}

fn sum<'a>(windows: impl IntoIterator<Item = &'a Measured>) -> Vec<u8> {
    let mut all = Measured::default();
    windows.into_iter().for_each(|window| all.merge(window));
    all.to_bytes()
}

fn measured_of(windows: &[ClosedWindow]) -> impl Iterator<Item = &Measured> {
    windows.iter().map(|window| &window.measured)
}

fn read(windows: &Windows, from: u64, to: u64, now: u64) -> (Vec<u8>, Range) {
    let (measured, range) = windows.measured(Range { from: at(from), to: at(to) }, at(now)).unwrap();
    (measured.to_bytes(), range)
}

#[test]
fn what_was_kept_is_read_once_however_it_is_rolled_and_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let counters = Arc::new(Counters::default());
    let (closed, _) = minutes(130);
    let kept = |length: i64, name: &str| -> i64 {
        let connection = rusqlite::Connection::open(folder.path().join(FILE)).unwrap();
        let found = connection.query_row("SELECT count(*) FROM windows WHERE length = ?1", [length], |row| row.get(0));
        found.unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    // The first stop comes in the middle of an hour, the second writes the last minutes again.
    for (from, to) in [(0, 42), (40, 130), (100, 130)] {
        let (inlet, _) = open(folder.path(), &counters).unwrap();
        inlet.keep(closed[from..to].to_vec());
        drop(inlet);
    }
    assert_eq!((kept(60, "minutes"), kept(300, "five minutes"), kept(3_600, "hours")), (130, 26, 2));
    let (_inlet, windows) = open(folder.path(), &counters).unwrap();
    for (from, to) in [(0, 130), (0, 60), (7, 112), (59, 61), (129, 130)] {
        let (found, range) = read(&windows, from, to, 130);
        assert_eq!(range, Range { from: at(from), to: at(to) });
        assert!(found == sum(measured_of(&closed[from as usize..to as usize])), "{from} to {to}");
    }
    let (old, range) = read(&windows, 7, 12, 1_000);
    assert_eq!(range, Range { from: at(5), to: at(15) });
    assert!(old == sum(measured_of(&closed[5..15])), "minutes are gone for questions, five minutes are not");
    assert_eq!((counters.windows_written.get(), counters.windows_failed.get()), (42 + 90 + 30, 0));
}

#[test]
fn old_windows_go_and_longer_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (closed, _) = minutes(12);
    let (inlet, _) = open(folder.path(), &Arc::default()).unwrap();
    inlet.keep(closed.clone());
    let later = ClosedWindow { start: at(24 * 60), measured: closed[0].measured.clone() };
    inlet.keep(vec![later]);
    drop(inlet);
    let connection = table::open(&folder.path().join(FILE)).unwrap();
    let kept = table::kept(&connection, Range { from: at(0), to: at(20) }).unwrap();
    let starts: Vec<_> = kept.iter().map(|(length, start)| (*length, start.since(at(0)).as_secs() / 60)).collect();
    assert_eq!(
        starts,
        [(Length::FiveMinutes, 0), (Length::FiveMinutes, 5), (Length::FiveMinutes, 10), (Length::Hour, 0)]
    );
    assert_eq!(table::prune(&connection, Length::FiveMinutes, at(0), 0).unwrap(), 3, "no room at all");
}

#[test]
fn what_a_replay_brings_over_pauses_is_kept_for_as_long() {
    let folder = tempfile::tempdir().unwrap();
    let (closed, _) = minutes(1);
    // Nobody was watching between the batches, so no second of these minutes was seen.
    let unseen = |minute| {
        let mut measured = closed[0].measured.clone();
        measured.seconds = 0.0;
        ClosedWindow { start: at(minute), measured }
    };
    let (inlet, _) = open(folder.path(), &Arc::default()).unwrap();
    inlet.keep([3, 13, 23, 67, 24 * 60].map(unseen).into());
    drop(inlet);
    let connection = table::open(&folder.path().join(FILE)).unwrap();
    let kept = table::kept(&connection, Range { from: at(0), to: at(120) }).unwrap();
    let count = |wanted| kept.iter().filter(|(length, _)| *length == wanted).count();
    assert_eq!([Length::Minute, Length::FiveMinutes, Length::Hour].map(count), [0, 4, 2]);
}

#[test]
fn the_running_minute_is_part_of_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (closed, mut engine) = minutes(3);
    let (inlet, windows) = open(folder.path(), &Arc::default()).unwrap();
    inlet.keep(closed.clone());
    let show = |aggregate: &Aggregate| {
        let (since, measured) = aggregate.running();
        inlet.show(since, measured.clone());
    };
    let now = ArrivalTime(at(3).0 + 30 * SECOND);
    let running = std::thread::scope(|scope| {
        let reader = scope.spawn(|| windows.measured(Range { from: at(1), to: now }, now).unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        while !inlet.is_asked() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        show(engine.aggregate_mut());
        reader.join().unwrap()
    });
    let expected = sum(measured_of(&closed[1..3]).chain([engine.aggregate_mut().running().1]));
    assert!(running.0.to_bytes() == expected);
    assert_eq!(running.1, Range { from: at(1), to: now });
    assert!(running.0.seconds > 140.0, "{}", running.0.seconds);
}

#[test]
fn a_change_is_told_once_over_a_restart_that_brings_minutes_again() {
    let mut engine = Engine::new(&Config::recommended(), 1);
    let mut closed = Vec::new();
    for step in 0..110 * 60 * 3 {
        let now = ArrivalTime(START + step * SECOND / 3);
        // One of three functions becomes slower; all vary.
        let slower = if step % 3 == 0 && step >= 100 * 60 * 3 { 2 } else { 1 };
        engine.tick(now);
        engine.ingest(now, [run(step, (50 + step * 37 % 101) * slower, now)]);
        closed.extend(engine.aggregate_mut().take_closed());
    }
    let folder = tempfile::tempdir().unwrap();
    let counters = Arc::new(Counters::default());
    let told = |windows: &Windows| {
        let minute = |time: ArrivalTime| time.since(at(0)).as_secs() / 60;
        let changes = windows.changes();
        let told = changes.iter().map(|it| (it.series.aspect, it.direction, minute(it.since), minute(it.found)));
        told.collect::<Vec<_>>()
    };
    let expected = [Aspect::Duration, Aspect::SelfTime].map(|aspect| (aspect, Direction::Regression, 100, 102));
    for part in [&closed[..101], &closed[98..106], &closed[100..]] {
        let (inlet, windows) = open(folder.path(), &counters).unwrap();
        inlet.keep(part.to_vec());
        drop(inlet);
        let has_come = part.last().is_some_and(|last| last.start >= at(101));
        assert_eq!(told(&windows), if has_come { &expected[..] } else { &[] });
    }
    let (_inlet, windows) = open(folder.path(), &counters).unwrap();
    assert_eq!(told(&windows), expected);
    assert_eq!((counters.series_watched.get(), counters.changes_refused.get()), (12, 0));
}

#[test]
fn windows_of_another_format_are_let_go_and_other_files_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (closed, _) = minutes(1);
    {
        let (inlet, _) = open(folder.path(), &Arc::default()).unwrap();
        inlet.keep(closed);
    }
    let path = folder.path().join(FILE);
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let (_inlet, windows) = open(folder.path(), &Arc::default()).unwrap();
    assert!(read(&windows, 0, 1, 1).0 == sum([]));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), "this is not a database, it is a sentence").unwrap();
    assert!(matches!(open(folder.path(), &Arc::default()), Err(WindowError::Open { .. })));
}
