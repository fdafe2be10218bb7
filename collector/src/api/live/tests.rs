//! The stream under a clock that stands still, so that every wait is exact.

use std::{collections::BTreeSet, time::SystemTime};

use loopscope_proto::v1;
use tokio_stream::StreamExt as _;

use super::*;
use crate::counters::Counters;

/// A running stream with its publisher.
struct Stage {
    views: watch::Sender<Arc<View>>,
    live: Arc<Live>,
}

impl Stage {
    fn new() -> Self {
        let (views, view) = watch::channel(Arc::new(named(&["a"])));
        let status = StatusSource {
            counters: Arc::new(Counters::default()),
            started_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000),
            otlp_grpc: String::new(),
            otlp_http: String::new(),
        };
        let live = Live::new(view, Arc::new(status));
        tokio::spawn(Arc::clone(&live).run());
        Self { views, live }
    }

    fn publish(&self, names: &[&str]) {
        self.views.send_replace(Arc::new(named(names)));
    }

    fn join(&self, last_seen: Option<u64>) -> Reader {
        self.live.join(last_seen, self.live.take_seat().unwrap()).unwrap()
    }

    fn counters(&self) -> &Counters {
        &self.live.status.counters
    }
}

fn named(names: &[&str]) -> View {
    let functions = names.iter().map(|name| v1::Function { id: (*name).to_owned(), ..Default::default() }).collect();
    View { graph: v1::Graph { functions, ..Default::default() }, ..View::default() }
}

/// The next event, the same in both forms.
async fn next(reader: &mut Reader) -> v1::LiveEvent {
    let message = reader.next().await.unwrap();
    let frame = message.frame();
    let (id, data) = std::str::from_utf8(&frame).unwrap().trim_end().split_once('\n').unwrap();
    let event: v1::LiveEvent = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!((id, &event), (format!("id: {}", event.sequence).as_str(), &message.event));
    assert!(event.status.is_some());
    event
}

fn functions(event: &v1::LiveEvent) -> BTreeSet<&str> {
    event.graph.iter().flat_map(|graph| &graph.functions).map(|function| function.id.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_reader_gets_a_snapshot_and_then_changes_at_once() {
    let stage = Stage::new();
    let mut reader = stage.join(None);
    let first = next(&mut reader).await;
    assert!(first.snapshot);
    assert_eq!(functions(&first), ["a"].into());
    assert!(first.sequence >= 1_000_000);

    let start = Instant::now();
    stage.publish(&["a", "b"]);
    let second = next(&mut reader).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(!second.snapshot);
    assert_eq!((second.sequence, functions(&second)), (first.sequence + 1, ["b"].into()));
}

#[tokio::test(start_paused = true)]
async fn changes_that_follow_are_sent_together() {
    let stage = Stage::new();
    let mut reader = stage.join(None);
    next(&mut reader).await;
    stage.publish(&["a", "b"]);
    next(&mut reader).await;
    let start = Instant::now();
    for names in [&["a", "b", "c"][..], &["a", "b", "c", "d"], &["a", "c", "d", "e"]] {
        stage.publish(names);
        tokio::task::yield_now().await;
    }
    let event = next(&mut reader).await;
    assert!((PACE..PACE + Duration::from_millis(10)).contains(&start.elapsed()));
    assert_eq!(functions(&event), ["c", "d", "e"].into());
    assert_eq!(event.removed_nodes, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_carries_the_status_when_nothing_changes() {
    let stage = Stage::new();
    let mut reader = stage.join(None);
    let first = next(&mut reader).await;
    stage.counters().spans_received.add(3);
    let start = Instant::now();
    // A view that says the same as the one before is no change.
    stage.publish(&["a"]);
    let beat = next(&mut reader).await;
    assert!(start.elapsed() <= HEARTBEAT + Duration::from_millis(10));
    assert_eq!(beat, v1::LiveEvent { sequence: first.sequence + 1, status: beat.status.clone(), ..Default::default() });
    assert_eq!(beat.status.unwrap().spans_received, 3);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_comes_back_gets_what_it_missed() {
    let stage = Stage::new();
    let mut witness = stage.join(None);
    let seen = next(&mut witness).await.sequence;
    for names in [&["a", "b"][..], &["a", "b", "c"]] {
        stage.publish(names);
        next(&mut witness).await;
    }
    let mut reader = stage.join(Some(seen));
    let missed = [next(&mut reader).await, next(&mut reader).await];
    assert_eq!(missed.each_ref().map(|event| (event.snapshot, event.sequence)), [(false, seen + 1), (false, seen + 2)]);
    assert_eq!(missed.each_ref().map(functions), [["b"].into(), ["c"].into()]);
    // One that has missed nothing gets nothing before the next change.
    let mut current = stage.join(Some(seen + 2));
    stage.publish(&["a", "b", "c", "d"]);
    assert_eq!(functions(&next(&mut current).await), ["d"].into());
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_too_old_or_was_never_sent_leads_to_a_snapshot() {
    let stage = Stage::new();
    let mut witness = stage.join(None);
    let seen = next(&mut witness).await.sequence;
    for _ in 0..=hub::KEPT {
        next(&mut witness).await;
    }
    for id in [seen, 0, u64::MAX, seen + 1_000_000] {
        let event = next(&mut stage.join(Some(id))).await;
        assert!(event.snapshot, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_starts_again_with_a_snapshot() {
    let stage = Stage::new();
    let (mut slow, mut witness) = (stage.join(None), stage.join(None));
    next(&mut slow).await;
    next(&mut witness).await;
    let mut newest = 0;
    for n in 0..=hub::LAG {
        let extra = format!("f{n}");
        stage.publish(&["a", &extra]);
        newest = next(&mut witness).await.sequence;
    }
    let event = next(&mut slow).await;
    assert!(event.snapshot);
    assert_eq!((event.sequence, functions(&event).len()), (newest, 2));
    assert_eq!(stage.counters().live_resyncs.get(), 1);
    stage.publish(&["a", "z"]);
    let after = next(&mut slow).await;
    assert_eq!((after.sequence, functions(&after)), (newest + 1, ["z"].into()));
}

#[tokio::test(start_paused = true)]
async fn readers_are_counted_and_bounded() {
    let stage = Stage::new();
    let readers: Vec<_> = (0..MOST_READERS).map(|_| stage.join(None)).collect();
    assert_eq!(stage.counters().live_readers.get(), MOST_READERS as u64);
    assert!(stage.live.take_seat().is_none());
    drop(readers);
    assert_eq!(stage.counters().live_readers.get(), 0);
    assert!(stage.live.take_seat().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_read_for_long_has_no_gap_for_those_who_come() {
    let stage = Stage::new();
    let seen = next(&mut stage.join(None)).await.sequence;
    tokio::time::sleep(hub::ALONE_FOR + HEARTBEAT * 2).await;
    stage.publish(&["a", "b"]);
    tokio::time::sleep(PACE).await;
    let mut reader = stage.join(Some(seen));
    let event = next(&mut reader).await;
    assert!(event.snapshot);
    assert_eq!(functions(&event), ["a", "b"].into());
    stage.publish(&["a", "b", "c"]);
    let after = next(&mut reader).await;
    assert_eq!((after.sequence, functions(&after)), (event.sequence + 1, ["c"].into()));
}

#[tokio::test(start_paused = true)]
async fn streams_end_when_the_publisher_is_gone() {
    let Stage { views, live } = Stage::new();
    let mut reader = live.join(None, live.take_seat().unwrap()).unwrap();
    next(&mut reader).await;
    drop(views);
    assert!(reader.next().await.is_none());
    assert!(live.join(None, live.take_seat().unwrap()).is_none());
}
