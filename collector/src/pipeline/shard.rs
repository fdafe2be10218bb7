//! The thread of one shard.

use std::sync::mpsc::SyncSender;

use loopscope_analyzer::{shard::Shard, span::ArrivalTime};

use super::{Mark, ToAggregator, ToLinker, ToShard};
use crate::journal::Position;

/// One shard with those it reports to.
pub(super) struct Stage {
    number: usize,
    shard: Shard,
    linker: SyncSender<ToLinker>,
    aggregator: SyncSender<ToAggregator>,
    now: ArrivalTime,
    position: Position,
    /// True while it is fed what was known before: what it says of it is dropped.
    is_warming: bool,
}

impl Stage {
    pub(super) fn new(
        number: usize,
        shard: Shard,
        is_warming: bool,
        linker: SyncSender<ToLinker>,
        aggregator: SyncSender<ToAggregator>,
    ) -> Self {
        Self { number, shard, linker, aggregator, now: ArrivalTime(0), position: 0, is_warming }
    }

    /// Hands on what has gathered, with the first batch to see again when it is for a checkpoint.
    fn tell(&mut self, checkpoint: Option<Position>) {
        let output = self.shard.drain();
        if self.is_warming {
            return;
        }
        // The delta goes first: when the linker passes this position on, the counts up to it have arrived. A receiver
        // is gone only when the process ends or a thread has panicked, which is told where the thread is joined.
        if !output.delta.is_empty() {
            let _ = self.aggregator.send(ToAggregator::Delta { now: self.now, delta: output.delta });
        }
        let (now, position, records) = (self.now, self.position, output.records);
        let _ = self.linker.send(ToLinker { now, shard: self.number, position, records, checkpoint });
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
        match message.mark {
            Some(Mark::Known) => {
                self.tell(None);
                self.is_warming = false;
            }
            Some(Mark::Checkpoint { replay_from }) => self.tell(Some(replay_from)),
            None => {}
        }
    }

    fn hand_on(&mut self) {
        self.tell(None);
    }
}
