//! Which worlds are run.

use crate::{
    dice::Dice,
    performance::{
        cost,
        fault::Kind,
        hotspots::{self, World},
        patterns, regressions, risks,
        score::{DrawnScore, Score},
        simulator::mix,
        what_if,
    },
    regressions::{Weather, delays, false_alarms},
    suites::Size,
};

/// Places that become slower.
pub const HOTSPOTS: &str = "hotspots";
/// Places that are made faster.
pub const WHAT_IF: &str = "what-if";
/// Series that become slower, and those that do not.
pub const REGRESSIONS: &str = "regressions";
/// Patterns among what looks like them.
pub const PATTERNS: &str = "patterns";
/// Functions at risk among what looks like it.
pub const RISKS: &str = "risks";
/// Bills.
pub const COST: &str = "cost";

/// Series that share the false alarms of a day.
const SERIES: usize = 10_000;

/// The weather in which a watch runs that has been on for a day.
pub const BASELINE_OF_A_DAY: &str = "a day of baseline";

/// What the windows are like that are drawn: as they are, with a baseline of half an hour, and where all times of a
/// minute go up and down together by 3 %.
const WEATHERS: [(&str, Weather); 3] = [
    (BASELINE_OF_A_DAY, Weather { baseline_minutes: 1_425.0, waves: 0.0 }),
    ("half an hour of baseline", Weather { baseline_minutes: 30.0, waves: 0.0 }),
    ("waves of 3 %", Weather { baseline_minutes: 1_425.0, waves: 0.03 }),
];

/// One world to run.
#[derive(Clone, Copy, Debug)]
pub enum Job {
    /// Something becomes slower.
    Fault(World),
    /// Places are made faster: seed and functions.
    WhatIf(u64, usize),
    /// Days of windows are drawn: seed, place among the weathers, and days.
    Drawn(u64, usize, u32),
    /// How soon drawn windows tell: seed, how many times slower, and runs a minute.
    Delays(u64, f64, f64),
    /// Series are told span by span: seed and hours.
    Changes(u64, f64),
    /// Patterns are planted: seed, and blocks of each.
    Patterns(u64, usize),
    /// Functions at risk are planted: seed, and functions of each risk.
    Risks(u64, usize),
    /// A bill is written: seed and functions.
    Cost(u64, usize),
}

/// All worlds.
pub fn jobs(seed: u64, size: Size) -> Vec<Job> {
    let is_smoke = size == Size::Smoke;
    let pick = |smoke, full| if is_smoke { smoke } else { full };
    let own = |name: &str, round: u64| mix(Dice::new(seed, name).below(usize::MAX) as u64, round);
    let size_of = |seed: u64, largest: u32| Dice::new(seed, "size").between(20, largest) as usize;
    let mut jobs = vec![Job::Changes(own(REGRESSIONS, 0), if is_smoke { 6.0 } else { 48.0 })];
    // The other weathers are harder, and shown in the full form.
    let weathers = if is_smoke { 1 } else { WEATHERS.len() };
    jobs.extend((0..weathers).map(|weather| Job::Drawn(own("drawn", 0), weather, if is_smoke { 1 } else { 5 })));
    for factor in [1.2, 1.5, 3.0] {
        jobs.extend([100.0, 1_000.0].map(|rate| Job::Delays(own("delays", 0), factor, rate)));
    }
    // Tau of one root is known to a tenth, so that it takes several.
    for round in 0..pick(5, 10) {
        let seed = own(WHAT_IF, round);
        jobs.push(Job::WhatIf(seed, size_of(seed, pick(40, 60) as u32)));
    }
    jobs.extend((0..pick(5, 10)).map(|round| Job::Patterns(own(PATTERNS, round), 4)));
    jobs.extend((0..pick(5, 10)).map(|round| Job::Risks(own(RISKS, round), 8)));
    for round in 0..pick(2, 10) {
        let seed = own(COST, round);
        jobs.push(Job::Cost(seed, size_of(seed, pick(60, 200) as u32)));
    }
    for round in 0..pick(2, 30) {
        for (number, kind) in Kind::ALL.into_iter().enumerate() {
            let seed = mix(own(HOTSPOTS, round), number as u64);
            let (largest, requests) = if is_smoke { (40, (900.0, 450.0)) } else { (200, (1_800.0, 900.0)) };
            jobs.push(Job::Fault(World { seed, size: size_of(seed, largest), kind, requests }));
        }
    }
    jobs
}

impl Job {
    /// Which suite it belongs to.
    pub fn suite(&self) -> &'static str {
        match self {
            Self::Fault(_) => HOTSPOTS,
            Self::WhatIf(..) => WHAT_IF,
            Self::Drawn(..) | Self::Delays(..) | Self::Changes(..) => REGRESSIONS,
            Self::Patterns(..) => PATTERNS,
            Self::Risks(..) => RISKS,
            Self::Cost(..) => COST,
        }
    }

    /// What the engine makes of it.
    pub fn run(self) -> Score {
        let mut score = Score::default();
        match self {
            Self::Fault(world) => score.faults = hotspots::run(world).into_iter().collect(),
            Self::WhatIf(seed, size) => score.what_ifs = what_if::run(seed, size),
            Self::Drawn(seed, weather, days) => {
                let (words, weather) = WEATHERS[weather];
                let alarms = false_alarms(seed, SERIES, days, weather);
                score.drawn = vec![DrawnScore { words, series: SERIES, days, alarms }];
            }
            Self::Delays(seed, factor, rate) => {
                score.delays = vec![(factor, rate, delays(seed, factor, rate, SERIES, WEATHERS[0].1))];
            }
            Self::Changes(seed, hours) => score.changes = vec![regressions::watched(seed, 100, hours, 30.0)],
            Self::Patterns(seed, of_each) => score.patterns = vec![patterns::run(seed, of_each)],
            Self::Risks(seed, of_each) => score.risks = vec![risks::run(seed, of_each)],
            Self::Cost(seed, size) => score.costs = vec![cost::run(seed, size)],
        }
        score.spans = score.faults.iter().map(|found| found.spans).sum::<u64>()
            + score.what_ifs.iter().map(|found| found.spans).sum::<u64>()
            + score.changes.iter().map(|found| found.spans).sum::<u64>()
            + score.patterns.iter().map(|found| found.spans).sum::<u64>()
            + score.risks.iter().map(|found| found.spans).sum::<u64>()
            + score.costs.iter().map(|found| found.spans).sum::<u64>();
        score
    }
}
