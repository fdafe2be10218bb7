//! The depths at which a chain of one loop is suspect and an alarm, by what the loop has learned.
//!
//! How likely a depth is says `detect/life_table.rs`; what a chain is made of, `linker/chains.rs`.

use crate::{
    detect::life_table::{self, LifeTable},
    linker::chains::Chain,
    state::state,
};

/// Laps at which a chain is suspect, and at which it is an alarm.
#[derive(Clone, Copy)]
pub(super) struct Thresholds {
    pub(super) suspect: u32,
    pub(super) alarm: u32,
    /// The part of the benign chains that may be an alarm, and what is assumed where nothing was learned.
    alpha: f64,
    prior: f64,
}

impl Thresholds {
    pub(super) fn of(table: &LifeTable, chains_per_day: f64, prior: f64) -> Self {
        let alpha = life_table::alpha(chains_per_day);
        let alarm = table.alarm_depth(alpha, prior);
        let suspect = table.rarer_than(life_table::SUSPECT, life_table::LEAST_SUSPECT, prior).min(alarm);
        Self { suspect, alarm, alpha, prior }
    }

    /// True for a chain that is an alarm. Where some of its laps are merely likely, it may be several chains taken for
    /// one; then it is one only if so many benign chains in a row hardly ever are as deep as its pieces.
    pub(super) fn are_passed(&self, table: &LifeTable, chain: &Chain) -> bool {
        let pieces = chain.pieces();
        chain.depth >= self.alarm
            && (pieces == 1 || table.predictive(chain.sure_depth(), self.prior).powf(f64::from(pieces)) <= self.alpha)
    }
}

state!(Thresholds { suspect, alarm, alpha, prior });
