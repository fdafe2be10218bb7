//! The thread of one shard.

use std::sync::mpsc::SyncSender;

use loopscope_analyzer::{shard::Shard, span::ArrivalTime, windows::Length};

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
    /// How far all that was counted has been handed on.
    counted: Position,
    /// True when a tick has passed since then.
    is_ticked: bool,
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
        Self {
            number,
            shard,
            linker,
            aggregator,
            now: ArrivalTime(0),
            position: 0,
            counted: 0,
            is_ticked: false,
            is_warming,
        }
    }

    /// Hands on all that has gathered, with the first batch to see again when it is for a checkpoint.
    fn tell(&mut self, checkpoint: Option<Position>) {
        self.tell_counts();
        self.tell_records(checkpoint);
    }

    /// The counts go first: when the linker passes this position on, the counts up to it have arrived. A receiver is gone
    /// only when the process ends or a thread has panicked, which is told where the thread is joined.
    fn tell_counts(&mut self) {
        (self.counted, self.is_ticked) = (self.position, false);
        let delta = self.shard.take_delta();
        if !self.is_warming && !delta.is_empty() {
            let _ = self.aggregator.send(ToAggregator::Delta { now: self.now, delta });
        }
    }

    fn tell_records(&mut self, checkpoint: Option<Position>) {
        let records = self.shard.take_records();
        if !self.is_warming {
            let (now, position) = (self.now, self.counted);
            let _ = self.linker.send(ToLinker { now, shard: self.number, position, records, checkpoint });
        }
    }
}

impl super::Stage for Stage {
    type Message = ToShard;

    fn take(&mut self, message: ToShard) {
        // What was counted belongs to the minute that it came in; in a replay the next batch may be hours later.
        if Length::Minute.around(self.now) != Length::Minute.around(message.now) {
            self.tell_counts();
        }
        (self.now, self.position) = (message.now, message.position);
        self.shard.count(&message.losses);
        self.shard.ingest(message.now, message.spans);
        if message.is_tick {
            self.shard.tick(message.now);
            self.is_ticked = true;
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

    /// What happened goes on at once, what was counted when it is due.
    fn hand_on(&mut self) {
        if self.is_ticked || self.shard.is_due() {
            self.tell_counts();
        }
        self.tell_records(None);
    }

    fn end(&mut self) {
        self.tell(None);
    }
}
