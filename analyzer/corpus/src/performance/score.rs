//! What the engine made of the worlds, put together.

use crate::performance::hotspots::FaultScore;

/// What the engine made of some worlds.
#[derive(Clone, Debug, Default)]
pub struct Score {
    /// Of those in which something became slower.
    pub faults: Vec<FaultScore>,
    /// Spans taken in.
    pub spans: u64,
}

impl Score {
    /// Adds another.
    pub fn merge(&mut self, other: Self) {
        self.faults.extend(other.faults);
        self.spans += other.spans;
    }

    /// True when nothing was run.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }
}
