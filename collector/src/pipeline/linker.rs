//! The thread of the linker.

use std::sync::{Arc, mpsc::SyncSender};

use loopscope_analyzer::{intended::Verdict, linker::Linker, span::ArrivalTime};
use tokio::sync::watch;

use super::{TICK, ToAggregator, ToLinker};
use crate::{intended::registry::Verdicts, journal::Position};

/// The linker with the one it reports to.
pub(super) struct Stage {
    linker: Linker,
    aggregator: SyncSender<ToAggregator>,
    verdicts: watch::Receiver<Arc<Verdicts>>,
    /// The verdicts that the linker knows.
    taught: Arc<Verdicts>,
    now: ArrivalTime,
    ticked: ArrivalTime,
    /// How far each shard has come.
    positions: Vec<Position>,
    /// Shards that have come to the checkpoint that is under way.
    arrived: usize,
}

impl Stage {
    pub(super) fn new(
        linker: Linker,
        shards: usize,
        (position, now): (Position, ArrivalTime),
        mut verdicts: watch::Receiver<Arc<Verdicts>>,
        aggregator: SyncSender<ToAggregator>,
    ) -> Self {
        verdicts.mark_changed();
        Self {
            linker,
            aggregator,
            verdicts,
            taught: Arc::default(),
            now,
            ticked: now,
            positions: vec![position; shards],
            arrived: 0,
        }
    }

    /// All shards stand at the same position, and nothing comes before what is known here is saved.
    fn checkpoint(&mut self, replay_from: Position) {
        super::Stage::hand_on(self);
        let position = self.positions.iter().copied().min().unwrap_or_default();
        let (now, linker) = (self.now, self.linker.save());
        let _ = self.aggregator.send(ToAggregator::Checkpoint { now, position, replay_from, linker });
    }

    /// Tells the linker what people have said since the last time.
    fn teach(&mut self) {
        if !self.verdicts.has_changed().unwrap_or(false) {
            return;
        }
        let said = Arc::clone(&self.verdicts.borrow_and_update());
        for loop_id in self.taught.keys().filter(|loop_id| !said.contains_key(loop_id)) {
            self.linker.teach(*loop_id, Verdict::Withdrawn);
        }
        for (loop_id, verdict) in said.iter().filter(|(loop_id, verdict)| self.taught.get(loop_id) != Some(verdict)) {
            self.linker.teach(*loop_id, *verdict);
        }
        self.taught = said;
    }
}

impl super::Stage for Stage {
    type Message = ToLinker;

    fn take(&mut self, message: ToLinker) {
        self.now = self.now.max(message.now);
        self.teach();
        self.linker.ingest(self.now, message.records);
        self.positions[message.shard] = message.position;
        if u128::from(self.now.0.saturating_sub(self.ticked.0)) >= TICK.as_nanos() {
            self.ticked = self.now;
            self.linker.tick(self.now);
        }
        if let Some(replay_from) = message.checkpoint {
            self.arrived += 1;
            if self.arrived == self.positions.len() {
                self.arrived = 0;
                self.checkpoint(replay_from);
            }
        }
    }

    fn hand_on(&mut self) {
        let position = self.positions.iter().copied().min().unwrap_or_default();
        let output = self.linker.drain(self.now);
        let _ = self.aggregator.send(ToAggregator::Linked { now: self.now, position, output });
    }
}
