//! What the engine made of the worlds, put together.

use crate::performance::{
    cost::CostScore, hotspots::FaultScore, patterns::PatternScore, regressions::ChangeScore, risks::RiskScore,
    what_if::WhatIfScore,
};
use crate::regressions::{Delays, FalseAlarms};

/// What the engine made of some worlds.
#[derive(Clone, Debug, Default)]
pub struct Score {
    /// Of those in which something became slower.
    pub faults: Vec<FaultScore>,
    /// Of those of which it said what a faster place buys, one for each root.
    pub what_ifs: Vec<WhatIfScore>,
    /// Of series of which only windows were drawn.
    pub drawn: Vec<DrawnScore>,
    /// How soon such series are told: how many times slower, runs a minute, and when.
    pub delays: Vec<(f64, f64, Delays)>,
    /// Of series that were told span by span.
    pub changes: Vec<ChangeScore>,
    /// Of the patterns that were planted.
    pub patterns: Vec<PatternScore>,
    /// Of functions at risk.
    pub risks: Vec<RiskScore>,
    /// Of bills.
    pub costs: Vec<CostScore>,
    /// Spans taken in.
    pub spans: u64,
}

/// Alarms of series that do not change.
#[derive(Clone, Copy, Debug)]
pub struct DrawnScore {
    /// What the windows are like, for people.
    pub words: &'static str,
    /// Series.
    pub series: usize,
    /// Days.
    pub days: u32,
    /// The alarms, before anybody looks into them.
    pub alarms: FalseAlarms,
}

impl DrawnScore {
    /// Alarms for slower a day.
    pub fn regressions_a_day(&self) -> f64 {
        f64::from(self.alarms.regressions) / f64::from(self.days)
    }
}

impl Score {
    /// Adds another.
    pub fn merge(&mut self, other: Self) {
        self.faults.extend(other.faults);
        self.what_ifs.extend(other.what_ifs);
        self.drawn.extend(other.drawn);
        self.delays.extend(other.delays);
        self.changes.extend(other.changes);
        self.patterns.extend(other.patterns);
        self.risks.extend(other.risks);
        self.costs.extend(other.costs);
        self.spans += other.spans;
    }
}
