//! Which worlds are run.

use crate::{
    dice::Dice,
    performance::{
        fault::Kind,
        hotspots::{self, World},
        score::Score,
        simulator::mix,
    },
    suites::Size,
};

/// Places that become slower.
pub const HOTSPOTS: &str = "hotspots";

/// One world to run.
#[derive(Clone, Debug)]
pub enum Job {
    /// Something becomes slower.
    Fault(World),
}

/// All worlds.
pub fn jobs(seed: u64, size: Size) -> Vec<Job> {
    let (rounds, largest) = match size {
        Size::Smoke => (2, 60),
        Size::Full => (30, 200),
    };
    let mut jobs = Vec::new();
    for round in 0..rounds {
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            let seed = mix(mix(seed, round), number as u64);
            let size = Dice::new(seed, "size").between(20, largest) as usize;
            jobs.push(Job::Fault(World { seed, size, kind }));
        }
    }
    jobs
}

impl Job {
    /// Which suite it belongs to.
    pub fn suite(&self) -> &'static str {
        match self {
            Self::Fault(_) => HOTSPOTS,
        }
    }

    /// What the engine makes of it.
    pub fn run(self) -> Score {
        match self {
            Self::Fault(world) => {
                let found = hotspots::run(world);
                Score { spans: found.as_ref().map_or(0, |found| found.spans), faults: found.into_iter().collect() }
            }
        }
    }
}
