//! The feeder: reads the journal in order, decodes spans, and gives each shard its own.
//!
//! It also makes time pass. While it replays, time is when the batches arrived; once it has caught up, it is the clock.

use std::{
    sync::mpsc::SyncSender,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use loopscope_analyzer::{
    engine::shard_of,
    snapshot::Losses,
    span::{ArrivalTime, Span},
};

use super::{TICK, ToShard};
use crate::{
    counters::Counters,
    journal::{
        Position,
        tail::{Tail, TailBatch, TailEvent},
    },
    otlp::{Signal, traces},
};

/// How long to wait before a segment that could not be read is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Reads until the tail is stopped; the shards end when it returns.
pub(super) fn run(mut tail: Tail, shards: &[SyncSender<ToShard>], counters: &Counters) {
    let mut feeder = Feeder { shards, now: ArrivalTime(0), ticked: ArrivalTime(0), position: 0 };
    loop {
        match tail.next_timeout(TICK) {
            Some(TailEvent::Batch(batch)) => feeder.feed(&batch),
            Some(TailEvent::Skipped { from, to }) => {
                tracing::warn!(from, to, "batches of the journal are gone before they were analysed");
                counters.batches_skipped.add(to - from);
                // Nobody must wait for them.
                feeder.position = to - 1;
            }
            Some(TailEvent::Failed(error)) => {
                tracing::error!(%error, "the journal cannot be read; trying again");
                feeder.pass_to(clock());
                std::thread::sleep(RETRY);
            }
            Some(TailEvent::Stopped) => break,
            None => feeder.pass_to(clock()),
        }
    }
    // Tells how far it came also when the last batches held no spans.
    feeder.pass_to(feeder.now);
    let left = (tail.last_position() + 1).saturating_sub(tail.position());
    if left > 0 {
        tracing::warn!(batches = left, "stopped before all of the journal was analysed; the next start goes on");
    }
}

struct Feeder<'a> {
    shards: &'a [SyncSender<ToShard>],
    /// Never goes back, whatever clocks do.
    now: ArrivalTime,
    ticked: ArrivalTime,
    position: Position,
}

impl Feeder<'_> {
    fn feed(&mut self, batch: &TailBatch) {
        let arrived = ArrivalTime(batch.received_unix_nanos);
        if arrived.0.saturating_sub(self.ticked.0) >= nanos(TICK) {
            self.pass_to(arrived);
        }
        // Only now: the tick goes ahead of the spans, and must not say that they have been passed.
        self.position = batch.position;
        self.now = self.now.max(arrived);
        if batch.signal != Signal::Traces {
            return;
        }
        match traces::spans(&batch.body) {
            Ok(decoded) => {
                let losses = Losses {
                    links_dropped: decoded.links_dropped,
                    mended: decoded.parents_dropped,
                    ..Losses::default()
                };
                self.distribute(decoded.spans, losses);
            }
            Err(error) => {
                tracing::error!(position = batch.position, %error, "a batch of the journal cannot be decoded")
            }
        }
    }

    fn distribute(&mut self, spans: Vec<Span>, losses: Losses) {
        let mut parts: Vec<Vec<Span>> = self.shards.iter().map(|_| Vec::new()).collect();
        for span in spans {
            parts[shard_of(span.trace_id, self.shards.len())].push(span);
        }
        let mut losses = Some(losses);
        for (number, spans) in parts.into_iter().enumerate() {
            let losses = losses.take().unwrap_or_default();
            self.send(number, spans, losses, false);
        }
    }

    /// Lets time pass for all shards.
    fn pass_to(&mut self, now: ArrivalTime) {
        self.now = self.now.max(now);
        self.ticked = self.now;
        for number in 0..self.shards.len() {
            self.send(number, Vec::new(), Losses::default(), true);
        }
    }

    fn send(&self, shard: usize, spans: Vec<Span>, losses: Losses, is_tick: bool) {
        let message = ToShard { now: self.now, position: self.position, spans, losses, is_tick };
        if self.shards[shard].send(message).is_err() {
            tracing::error!(shard, "a shard is gone; its spans are not analysed");
        }
    }
}

fn clock() -> ArrivalTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ArrivalTime(nanos(since))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
