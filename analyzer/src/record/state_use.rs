//! How much the runs of a function wait for databases and stores, as each run shows it.

use crate::state::state;

/// Uses of stores of one run, one after the other, from which on access is chatty.
pub(crate) const CHATTY: u32 = 10;

/// What settled runs did with databases and stores.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct StateUse {
    /// Runs that were looked at, and their time, milliseconds.
    pub(crate) runs: u64,
    pub(crate) run_ms: f64,
    /// Those that used a store at all.
    pub(crate) using_runs: u64,
    /// Uses.
    pub(crate) calls: u64,
    /// Time in which they waited for at least one, milliseconds.
    pub(crate) waited_ms: f64,
    /// Runs of [`CHATTY`] uses or more that did not overlap.
    pub(crate) chatty_runs: u64,
}

impl StateUse {
    /// Adds what was counted elsewhere, or later.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.run_ms += other.run_ms;
        self.using_runs += other.using_runs;
        self.calls += other.calls;
        self.waited_ms += other.waited_ms;
        self.chatty_runs += other.chatty_runs;
    }
}

state!(StateUse { runs, run_ms, using_runs, calls, waited_ms, chatty_runs });
