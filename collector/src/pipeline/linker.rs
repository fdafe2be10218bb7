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
}

impl Stage {
    pub(super) fn new(
        linker: Linker,
        shards: usize,
        mut verdicts: watch::Receiver<Arc<Verdicts>>,
        aggregator: SyncSender<ToAggregator>,
    ) -> Self {
        verdicts.mark_changed();
        Self {
            linker,
            aggregator,
            verdicts,
            taught: Arc::default(),
            now: ArrivalTime(0),
            ticked: ArrivalTime(0),
            positions: vec![0; shards],
        }
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
    }

    fn hand_on(&mut self) {
        let position = self.positions.iter().copied().min().unwrap_or_default();
        let output = self.linker.drain(self.now);
        let _ = self.aggregator.send(ToAggregator::Linked { now: self.now, position, output });
    }
}
