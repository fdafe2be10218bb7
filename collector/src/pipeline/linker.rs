//! The thread of the linker.

use std::sync::mpsc::SyncSender;

use loopscope_analyzer::{linker::Linker, span::ArrivalTime};

use super::{TICK, ToAggregator, ToLinker};
use crate::journal::Position;

/// The linker with the one it reports to.
pub(super) struct Stage {
    linker: Linker,
    aggregator: SyncSender<ToAggregator>,
    now: ArrivalTime,
    ticked: ArrivalTime,
    /// How far each shard has come.
    positions: Vec<Position>,
}

impl Stage {
    pub(super) fn new(linker: Linker, shards: usize, aggregator: SyncSender<ToAggregator>) -> Self {
        Self { linker, aggregator, now: ArrivalTime(0), ticked: ArrivalTime(0), positions: vec![0; shards] }
    }
}

impl super::Stage for Stage {
    type Message = ToLinker;

    fn take(&mut self, message: ToLinker) {
        self.now = self.now.max(message.now);
        self.linker.ingest(self.now, message.records);
        self.positions[message.shard] = message.position;
        if u128::from(self.now.0.saturating_sub(self.ticked.0)) >= TICK.as_nanos() {
            self.ticked = self.now;
            self.linker.tick(self.now);
        }
    }

    fn hand_on(&mut self) {
        let position = self.positions.iter().copied().min().unwrap_or_default();
        let output = self.linker.drain(self.now);
        let _ = self.aggregator.send(ToAggregator::Linked { now: self.now, position, output });
    }
}
