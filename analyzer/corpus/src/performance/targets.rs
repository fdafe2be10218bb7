//! What the engine has to reach in telling where time and money go, as numbers.
//!
//! As with the loops (`crate::targets`), a target that is not reached is shown as such; none is loosened to pass.

use crate::{
    performance::{hotspots::FaultScore, score::Score},
    score::share,
    targets::{Target, Wanted},
};

/// Ranks within which a culprit has to be.
pub const WITHIN: usize = 2;

/// All targets, as far as they were measured.
pub fn targets(score: &Score) -> Vec<Target> {
    let faults: Vec<&FaultScore> = score.faults.iter().collect();
    vec![Target::new(
        "culprits of injected faults within the first two ranks",
        Wanted::AtLeast(0.95),
        (!faults.is_empty()).then(|| found_within(&faults, WITHIN)),
    )]
}

/// Part of the faults whose culprit stands within so many ranks.
pub fn found_within(faults: &[&FaultScore], ranks: usize) -> f64 {
    let found = faults.iter().filter(|fault| fault.rank.is_some_and(|rank| rank <= ranks)).count();
    share(found as u64, faults.len() as u64)
}
