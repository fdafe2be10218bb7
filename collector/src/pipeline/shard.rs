//! The thread of one shard.

use std::sync::mpsc::SyncSender;

use loopscope_analyzer::{shard::Shard, span::ArrivalTime};

use super::{ToAggregator, ToLinker, ToShard};
use crate::journal::Position;

/// One shard with those it reports to.
pub(super) struct Stage {
    number: usize,
    shard: Shard,
    linker: SyncSender<ToLinker>,
    aggregator: SyncSender<ToAggregator>,
    now: ArrivalTime,
    position: Position,
}

impl Stage {
    pub(super) fn new(
        number: usize,
        shard: Shard,
        linker: SyncSender<ToLinker>,
        aggregator: SyncSender<ToAggregator>,
    ) -> Self {
        Self { number, shard, linker, aggregator, now: ArrivalTime(0), position: 0 }
    }
}

impl super::Stage for Stage {
    type Message = ToShard;

    fn take(&mut self, message: ToShard) {
        (self.now, self.position) = (message.now, message.position);
        self.shard.count(&message.losses);
        self.shard.ingest(message.now, message.spans);
        if message.is_tick {
            self.shard.tick(message.now);
        }
    }

    fn hand_on(&mut self) {
        let output = self.shard.drain();
        // The delta goes first: when the linker passes this position on, the counts up to it have arrived. A receiver
        // is gone only when the process ends or a thread has panicked, which is told where the thread is joined.
        if !output.delta.is_empty() {
            let _ = self.aggregator.send(ToAggregator::Delta { now: self.now, delta: output.delta });
        }
        let _ = self.linker.send(ToLinker {
            now: self.now,
            shard: self.number,
            position: self.position,
            records: output.records,
        });
    }
}
