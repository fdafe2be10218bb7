//! Journals on a real disk: order, reopening, sealing, retention, tails.

use std::{fs, time::SystemTime};

use bytes::Bytes;

use super::{tail::TailEvent, *};
use crate::otlp::Signal;

const SECOND: u64 = 1_000_000_000;

fn config() -> JournalConfig {
    JournalConfig {
        retention: Duration::from_secs(3600),
        max_disk_bytes: 1 << 30,
        segment_age: Duration::from_secs(3600),
        segment_bytes: 64 << 20,
        ephemeral: false,
        commit_delay: Duration::ZERO,
    }
}

fn open(dir: &Path, config: JournalConfig) -> (Journal, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    (Journal::open(dir, config, Arc::clone(&counters)).unwrap(), counters)
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64
}

fn trace(id: u64) -> TraceId {
    TraceId((u128::from(id) + 1).to_be_bytes())
}

/// The body says which batch it is; the rest does not get smaller.
fn body(number: u64, length: usize) -> Bytes {
    let mut state = number + 1;
    let noise = std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    number.to_be_bytes().into_iter().chain(noise).take(length.max(8)).collect()
}

fn batch(received: u64, number: u64, length: usize) -> Batch {
    let keys = [number / 2, number / 2 + 1000].map(|number| trace(number).into()).to_vec();
    Batch::pack(received, Signal::Traces, 1, keys, body(number, length)).unwrap()
}

fn append(journal: &Journal, batch: Batch) -> Result<Position, AppendError> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(journal.append(batch))
}

#[track_caller]
fn next_batch(tail: &mut Tail) -> tail::TailBatch {
    match tail.next_timeout(Duration::from_secs(20)) {
        Some(TailEvent::Batch(batch)) => batch,
        other => panic!("{other:?}"),
    }
}

/// Waits until the writer has done its housekeeping.
#[track_caller]
fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

fn segment_files(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().filter(|entry| entry.as_ref().unwrap().path().extension() == Some("db".as_ref())).count()
}

#[test]
fn what_is_appended_is_read_in_order_live_and_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (journal, counters) = open(dir.path(), config());
        let mut tail = journal.tail_from(1);
        for number in 1..=10 {
            assert_eq!(append(&journal, batch(number * SECOND + now(), number, 1000)), Ok(number));
            let read = next_batch(&mut tail);
            assert_eq!((read.position, read.signal, read.body), (number, Signal::Traces, body(number, 1000)));
        }
        assert_eq!((counters.journal_position.get(), counters.journal_rereads.get()), (10, 0));
    }
    let (journal, counters) = open(dir.path(), config());
    assert_eq!(journal.last_position(), 10);
    assert_eq!(append(&journal, batch(now(), 11, 1000)), Ok(11));
    let mut tail = journal.tail_from(3);
    for number in 3..=11 {
        let read = next_batch(&mut tail);
        assert_eq!((read.position, read.body), (number, body(number, 1000)));
    }
    assert!(tail.next_timeout(Duration::ZERO).is_none());
    assert_eq!(counters.journal_rereads.get(), 9);
}

#[test]
fn segments_are_sealed_by_size_and_traces_are_found_in_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, counters) = open(dir.path(), JournalConfig { segment_bytes: 300 << 10, ..config() });
    let mut tail = journal.tail_from(1);
    for number in 1..=40 {
        assert_eq!(append(&journal, batch(now(), number, 20_000)), Ok(number));
        assert_eq!(next_batch(&mut tail).body, body(number, 20_000));
    }
    wait_until("three segments", || counters.journal_segments.get() >= 3);
    let check = |journal: &Journal| {
        for number in 1..=20 {
            let found = journal.batches_of_trace(trace(number), Signal::Traces).unwrap();
            let positions: Vec<_> = found.batches.iter().map(|batch| batch.position).collect();
            assert_eq!(
                (positions, found.truncated),
                (if number < 20 { vec![2 * number, 2 * number + 1] } else { vec![40] }, false)
            );
            assert_eq!(found.batches[0].body, body(2 * number, 20_000));
        }
        assert!(journal.batches_of_trace(trace(999), Signal::Traces).unwrap().batches.is_empty());
    };
    check(&journal);
    drop(journal);
    let (journal, _) = open(dir.path(), JournalConfig { segment_bytes: 300 << 10, ..config() });
    check(&journal);
    let mut tail = journal.tail_from(1);
    for number in 1..=40 {
        assert_eq!(next_batch(&mut tail).body, body(number, 20_000));
    }
}

#[test]
fn an_old_segment_is_sealed_and_then_deleted_and_a_tail_says_what_it_misses() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, counters) = open(dir.path(), config());
    let mut late = journal.tail_from(1);
    // Older than a segment may get, but not older than retention: sealed, and kept.
    let old = now() - 3600 * SECOND;
    assert_eq!(append(&journal, batch(old, 1, 100)), Ok(1));
    wait_until("the old segments are gone", || counters.journal_segments_expired.get() == 1);
    assert_eq!(append(&journal, batch(now(), 2, 100)), Ok(2));
    journal.close();
    assert_eq!(append(&journal, batch(now(), 3, 100)), Err(AppendError::Closed));
    // What the ring of recent batches still holds is read from there; a reader without it is told.
    assert_eq!(next_batch(&mut late).position, 1);
    assert_eq!(next_batch(&mut late).position, 2);
    drop((journal, late));
    let (journal, _) = open(dir.path(), config());
    let mut tail = journal.tail_from(1);
    assert!(matches!(tail.next(), TailEvent::Skipped { from: 1, to: 2 }));
    assert_eq!(next_batch(&mut tail).position, 2);
    assert_eq!(segment_files(dir.path()), 1);
}

#[test]
fn the_directory_stays_within_its_bound() {
    let dir = tempfile::tempdir().unwrap();
    let max_disk_bytes = 8 << 20;
    let (journal, counters) = open(dir.path(), JournalConfig { max_disk_bytes, ..config() });
    for number in 1..=60 {
        append(&journal, batch(now(), number, 400_000)).unwrap();
        let bytes: u64 = fs::read_dir(dir.path())
            .unwrap()
            .filter_map(|entry| entry.unwrap().metadata().ok())
            .map(|metadata| metadata.len())
            .sum();
        // Beside the segments there is the shared index of the open one.
        assert!(bytes < max_disk_bytes + (64 << 10), "{bytes} after {number}");
    }
    assert!(counters.journal_segments_expired.get() > 3);
    let mut tail = journal.tail_from(1);
    let mut last = 0;
    while let Some(event) = tail.next_timeout(Duration::ZERO) {
        match event {
            TailEvent::Skipped { from, to } => {
                assert_eq!(from, last + 1);
                last = to - 1;
            }
            TailEvent::Batch(read) => {
                assert_eq!((read.position, &read.body), (last + 1, &body(last + 1, 400_000)));
                last = read.position;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(last, 60);
}

#[test]
fn a_tail_that_falls_behind_reads_from_disk_and_goes_on_live() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, counters) = open(dir.path(), config());
    let length = live::RECENT_BYTES / 4;
    let mut tail = journal.tail_from(1);
    for number in 1..=7 {
        append(&journal, batch(now(), number, length)).unwrap();
    }
    for number in 1..=7 {
        assert_eq!(next_batch(&mut tail).body[..8], u64::to_be_bytes(number)[..]);
    }
    assert!(counters.journal_rereads.get() >= 3);
    append(&journal, batch(now(), 8, 10)).unwrap();
    assert_eq!(next_batch(&mut tail).position, 8);
}

#[test]
fn a_tail_waits_for_the_next_batch_and_reads_to_the_end_when_it_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path(), config());
    let mut tail = journal.tail_from(u64::MAX);
    assert_eq!(tail.position(), 1);
    let stop = tail.stop_handle();
    let reader = std::thread::spawn(move || {
        let first = tail.next();
        (first, tail.next())
    });
    append(&journal, batch(now(), 1, 10)).unwrap();
    stop.stop(Duration::from_secs(60));
    let (first, second) = reader.join().unwrap();
    assert!(matches!(first, TailEvent::Batch(_)), "{first:?}");
    assert!(matches!(second, TailEvent::Stopped), "{second:?}");
}

#[test]
fn a_tail_without_patience_leaves_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path(), config());
    append(&journal, batch(now(), 1, 10)).unwrap();
    let mut tail = journal.tail_from(1);
    tail.stop_handle().stop(Duration::ZERO);
    assert!(matches!(tail.next(), TailEvent::Stopped));
    assert_eq!((tail.position(), tail.last_position()), (1, 1));
}

#[test]
fn an_ephemeral_journal_that_is_closed_stays_until_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, counters) = open(dir.path(), JournalConfig { ephemeral: true, ..config() });
    let mut tail = journal.tail_from(1);
    let length = live::RECENT_BYTES / 3;
    for number in 1..=4 {
        append(&journal, batch(now(), number, length)).unwrap();
    }
    journal.close();
    tail.stop_handle().stop(Duration::from_secs(60));
    for number in 1..=4 {
        assert_eq!(next_batch(&mut tail).body[..8], u64::to_be_bytes(number)[..]);
    }
    assert!(matches!(tail.next(), TailEvent::Stopped));
    assert!(counters.journal_rereads.get() > 0);
    drop((journal, tail));
    assert!(!dir.path().join("ephemeral").exists());
}

#[test]
fn many_appends_share_syncs_and_keep_their_positions() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, counters) = open(dir.path(), config());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let mut positions: Vec<Position> = runtime.block_on(async {
        let appends: Vec<_> = (1..=200)
            .map(|number| {
                let journal = journal.clone();
                tokio::spawn(async move { (number, journal.append(batch(now(), number, 500)).await.unwrap()) })
            })
            .collect();
        let mut tail = journal.tail_from(1);
        let mut positions = Vec::new();
        let mut numbers = vec![0; 201];
        for append in appends {
            let (number, position) = append.await.unwrap();
            numbers[position as usize] = number;
            positions.push(position);
        }
        for number in &numbers[1..] {
            assert_eq!(next_batch(&mut tail).body, body(*number, 500));
        }
        positions
    });
    positions.sort_unstable();
    assert_eq!(positions, (1..=200).collect::<Vec<_>>());
    assert!(counters.journal_commits.get() <= 200);
}

#[test]
fn a_directory_has_one_user_and_an_ephemeral_journal_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path(), config());
    append(&journal, batch(now(), 1, 10)).unwrap();
    let second = Journal::open(dir.path(), config(), Arc::default());
    assert!(matches!(second.err(), Some(JournalError::Locked { .. })));
    drop(journal);

    let (journal, _) = open(dir.path(), JournalConfig { ephemeral: true, ..config() });
    assert_eq!(append(&journal, batch(now(), 1, 10)), Ok(1));
    assert_eq!(journal.last_position(), 1);
    drop(journal);
    assert!(!dir.path().join("ephemeral").exists());
    let (journal, _) = open(dir.path(), config());
    assert_eq!(journal.last_position(), 1);
}

#[test]
fn a_last_segment_without_its_tables_and_a_torn_log_are_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (journal, _) = open(dir.path(), config());
        append(&journal, batch(now(), 1, 10)).unwrap();
        // A copy of the files as they are, as a crash would leave them, with half a frame at the end of the log.
        for entry in fs::read_dir(dir.path()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.starts_with("segment-") && !name.ends_with("-shm") {
                fs::create_dir_all(dir.path().join("crashed")).unwrap();
                let copy = dir.path().join("crashed").join(name);
                fs::copy(&path, &copy).unwrap();
                if name.ends_with("-wal") {
                    let mut log = fs::read(&copy).unwrap();
                    log.extend([0x5a; 2000]);
                    fs::write(&copy, log).unwrap();
                }
            }
        }
    }
    let crashed = dir.path().join("crashed");
    {
        let (journal, _) = open(&crashed, config());
        assert_eq!(next_batch(&mut journal.tail_from(1)).body, body(1, 10));
    }
    fs::write(crashed.join("segment-00000000000000000002.db"), b"").unwrap();
    let (journal, _) = open(&crashed, config());
    assert_eq!(append(&journal, batch(now(), 2, 10)), Ok(2));
    assert_eq!(journal.batches_of_trace(trace(1), Signal::Traces).unwrap().batches[0].position, 2);
    assert_eq!(segment_files(&crashed), 2);
}

#[test]
fn a_damaged_segment_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("segment-00000000000000000001.db"), [7; 9000]).unwrap();
    let error = Journal::open(dir.path(), config(), Arc::default()).err().unwrap();
    assert!(error.to_string().contains("move it away"), "{error}");
}
