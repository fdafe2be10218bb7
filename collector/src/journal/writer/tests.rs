//! What happens when the disk says no: driven without the thread, to reach the connection.

use std::sync::{Condvar, Mutex};

use bytes::Bytes;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::*;
use crate::{
    journal::tail::{Tail, TailEvent},
    otlp::Signal,
};

fn writer(dir: &Path) -> Writer {
    let config = JournalConfig {
        retention: Duration::MAX,
        max_disk_bytes: 1 << 30,
        segment_age: Duration::MAX,
        segment_bytes: 1 << 20,
        ephemeral: false,
        commit_delay: Duration::ZERO,
    };
    let shared = Shared {
        config,
        counters: Arc::default(),
        queue: Mutex::default(),
        queue_changed: Condvar::new(),
        live: Mutex::default(),
        live_changed: Condvar::new(),
        kept: Mutex::default(),
    };
    Writer::open(Directory::open(dir, false).unwrap(), Arc::new(shared)).unwrap()
}

fn commit(writer: &mut Writer, body: Vec<u8>) -> Result<Position, AppendError> {
    let batch = Batch::pack(unix_nanos(), Signal::Traces, 1, vec![], Bytes::from(body)).unwrap();
    let (ack, mut answer) = oneshot::channel();
    writer.commit(vec![(batch, ack)]);
    match answer.try_recv() {
        Ok(answer) => answer,
        Err(TryRecvError::Empty | TryRecvError::Closed) => panic!("no answer"),
    }
}

/// Bytes that do not get smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn a_full_disk_is_told_and_the_writer_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    assert_eq!(commit(&mut writer, vec![1; 10]), Ok(1));
    let full = |writer: &Writer| {
        let connection = writer.segment.as_ref().unwrap().connection();
        connection.query_row("PRAGMA max_page_count = 1", [], |_| Ok(())).unwrap();
    };
    full(&writer);
    let error = commit(&mut writer, noise(100_000)).unwrap_err();
    assert!(matches!(&error, AppendError::Failed(text) if text.contains("full")), "{error}");
    assert_eq!(writer.shared.counters.journal_failures.get(), 1);

    assert_eq!(commit(&mut writer, vec![2; 10]), Ok(2));
    let mut tail = Tail::new(Arc::clone(&writer.shared), 1);
    for (position, byte) in [(1, 1), (2, 2)] {
        match tail.next_timeout(Duration::ZERO) {
            Some(TailEvent::Batch(batch)) => assert_eq!((batch.position, batch.body[0]), (position, byte)),
            other => panic!("{other:?}"),
        }
    }
    assert!(tail.next_timeout(Duration::ZERO).is_none());
}

#[test]
fn a_segment_that_was_sealed_by_a_failing_call_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path());
    assert_eq!(commit(&mut writer, vec![1; 10]), Ok(1));
    let mut index = writer.shared.live().open_index.clone();
    writer.segment.as_mut().unwrap().seal(&mut index).unwrap();
    writer.segment = None;
    assert_eq!(commit(&mut writer, vec![2; 10]), Ok(2));
    let live = writer.shared.live();
    assert_eq!(live.segments.values().map(|segment| segment.last).collect::<Vec<_>>(), [Some(1), None]);
}
