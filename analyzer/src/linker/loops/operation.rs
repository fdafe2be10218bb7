//! Loops of level operation, and the operations of loops of level function.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{Lap, Loops};
use crate::{
    linker::chains::ChainId,
    record::{OperationCycle, OperationLap, Trigger},
    sampling::Sampling,
    snapshot::{LoopId, LoopLevel},
    span::ArrivalTime,
};

impl Loops {
    /// Counts a lap of operations; those of one loop in one trace are a chain.
    ///
    /// A lap that is one of functions as well is evidence for that loop and no alarm of its own.
    pub(in crate::linker) fn operation_lap(&mut self, now: ArrivalTime, told: &OperationLap) {
        let cycle = &told.cycle;
        if told.is_covered {
            self.tell_operations(cycle.function_loop, cycle);
            if !self.config.is_capture {
                return;
            }
        }
        // What is let go here only begins another chain.
        self.operation_chains.rotate(now);
        let place = xxh3_64_with_seed(&told.cycle.id.0.to_le_bytes(), xxh3_64(&told.trace_id.0));
        let known = self.operation_chains.get(place).copied();
        if let Some(chain) = self.go_round(now, known, told) {
            self.operation_chains.insert(place, chain);
        }
    }

    fn go_round(&mut self, now: ArrivalTime, known: Option<ChainId>, told: &OperationLap) -> Option<ChainId> {
        let cycle = &told.cycle;
        let lap = Lap::from(told);
        let depth = told.occurrences.saturating_sub(1);
        let index = self.lap_of(now, cycle.id, || cycle.functions.clone(), &lap)?;
        let record = self.records.get_mut(&index)?;
        if record.level() == LoopLevel::Function {
            record.become_operation(&cycle.operations);
        }
        if !told.is_covered {
            record.uncover();
        }
        let chain = self.advance(now, index, known, &lap, depth)?;
        self.records.get_mut(&index)?.deepen(now, self.chains.get_mut(chain), depth, told.trace_id);
        Some(chain)
    }

    fn tell_operations(&mut self, id: LoopId, cycle: &OperationCycle) {
        let index = self.by_id.get(&id);
        if let Some(record) = index.and_then(|index| self.records.get_mut(index)) {
            record.add_operations(&cycle.operations);
        }
    }
}

impl From<&OperationLap> for Lap {
    fn from(told: &OperationLap) -> Self {
        Self {
            // Only told apart from other operations, so the lower half is enough.
            function: (told.operation & u64::from(u32::MAX)) as u32,
            start: told.start,
            nanos: told.nanos,
            trace_id: told.trace_id,
            crosses_traces: false,
            times: 1,
            confidence: 1.0,
            credit: 1.0,
            is_guess: false,
            trigger: Trigger::Request,
            failed: false,
            sampling: told.sampling,
            next_lap_sampling: Sampling::ALWAYS,
            entries: 0,
        }
    }
}
