//! Functions at risk among functions that only look like it, and what the engine says of each.
//!
//! Every function has one habit (`risks/habit.rs`): a risk, or what is easily taken for it. What is true is how it was
//! made, not what the engine's thresholds say of it; habits are chosen so that people would agree. The engine is asked as
//! the API asks it: over the minutes that were kept.

mod habit;
mod telling;

use std::{collections::BTreeMap, sync::Arc};

use loopscope_analyzer::{
    config::Config,
    engine::Engine,
    measured::Measured,
    profile::Profiler,
    snapshot::{FunctionProfile, Risk},
    span::ArrivalTime,
};

use self::{
    habit::{Habit, SECONDS},
    telling::Told,
};
use crate::{dice::Dice, performance::patterns::Found, world::START};

/// Nanoseconds between two ticks of the engine.
const TICK: u64 = 10_000_000_000;

/// Nanoseconds after the last run in which all that is open is settled.
const SETTLED: u64 = 180_000_000_000;

/// The risks that are planted.
pub const RISKS: [Risk; 5] = [Risk::TimeOut, Risk::MemoryLeak, Risk::Throttled, Risk::ColdStarts, Risk::ChattyState];

/// A function of which it is known whether it is at risk.
#[derive(Clone, Debug)]
struct Case {
    name: Arc<str>,
    /// The risk that it has, or that it looks like.
    about: Risk,
    is_at_risk: bool,
    habit: Habit,
    words: &'static str,
}

/// What the engine said of functions at risk and of those that look like it.
#[derive(Clone, Debug, Default)]
pub struct RiskScore {
    /// By risk.
    pub found: BTreeMap<Risk, Found>,
    /// Functions that look like one at this risk and are not.
    pub look_alikes: BTreeMap<Risk, u64>,
    /// What was missed or made up, in words.
    pub mistakes: Vec<String>,
    /// Spans taken in.
    pub spans: u64,
}

/// Runs the engine on so many functions of each risk, and on as many that look like it.
pub fn run(seed: u64, of_each: usize) -> RiskScore {
    let mut dice = Dice::new(seed, "habits");
    let cases = cases(of_each, &mut dice);
    let mut told: Vec<Told> = cases.iter().flat_map(|case| telling::tell(seed, &case.name, &case.habit)).collect();
    told.sort_by_key(|told| told.at);
    let mut engine = Engine::new(&Config::recommended(), 1);
    let rules = cases.iter().map(|case| case.habit.rule(&case.name)).collect();
    engine.aggregate_mut().set_facts(Default::default(), rules);
    let (mut measured, mut tick, mut spans) = (Measured::default(), START + TICK, 0);
    let mut tick_to = |engine: &mut Engine, at: u64| {
        while tick <= at {
            engine.tick(ArrivalTime(tick));
            engine.aggregate_mut().take_closed().iter().for_each(|window| measured.merge(&window.measured));
            tick += TICK;
        }
    };
    for Told { at, spans: told, facts } in told {
        tick_to(&mut engine, at);
        spans += told.len() as u64;
        engine.ingest(ArrivalTime(at), told);
        engine.learn(ArrivalTime(at), facts);
    }
    let end = START + (SECONDS * 1e9) as u64 + SETTLED;
    tick_to(&mut engine, end);
    let snapshot = engine.snapshot(ArrivalTime(end));
    let profiler = Profiler::new(&measured);
    let profiles: BTreeMap<&str, FunctionProfile> = snapshot
        .functions
        .iter()
        .zip(&snapshot.backgrounds)
        .map(|(node, background)| (&*node.name, profiler.profile(node.id, background)))
        .collect();
    RiskScore { spans, ..scored(&cases, &profiles) }
}

fn cases(of_each: usize, dice: &mut Dice) -> Vec<Case> {
    let mut cases = Vec::new();
    for about in RISKS {
        for is_at_risk in [true, false] {
            for number in 0..of_each {
                let (words, habit) = Habit::new(about, is_at_risk, number, dice);
                let kind = if is_at_risk { "is" } else { "looks" };
                let name = format!("{}-{kind}-{number}", about.word().replace('_', "-")).into();
                cases.push(Case { name, about, is_at_risk, habit, words });
            }
        }
    }
    cases
}

fn scored(cases: &[Case], profiles: &BTreeMap<&str, FunctionProfile>) -> RiskScore {
    let mut score = RiskScore::default();
    for case in cases {
        let told = profiles.get(&*case.name).map(FunctionProfile::risks).unwrap_or_default();
        for risk in RISKS {
            let (is_told, is_so) = (told.contains(&risk), case.is_at_risk && case.about == risk);
            let found = Found {
                planted: u64::from(is_so),
                right: u64::from(is_so && is_told),
                wrong: u64::from(is_told && !is_so),
            };
            score.found.entry(risk).or_default().add(found);
            *score.look_alikes.entry(risk).or_default() += u64::from(case.about == risk && !case.is_at_risk);
            if is_told != is_so {
                let mistake = if is_so { "missed" } else { "made up" };
                let told = profiles.get(&*case.name).map_or_else(String::new, |profile| words(risk, profile));
                score.mistakes.push(format!("{mistake} {} | {} | {told}", risk.word(), case.words));
            }
        }
    }
    score
}

/// What the engine knows of a risk.
fn words(risk: Risk, profile: &FunctionProfile) -> String {
    match risk {
        Risk::TimeOut => format!("{:?}", profile.time_out),
        Risk::MemoryLow | Risk::MemoryLeak => format!("{:?}", profile.memory),
        Risk::Throttled => format!("{:?}", profile.throttles),
        Risk::ColdStarts => format!("{:?}", profile.cold_starts),
        Risk::ChattyState => format!("{:?}", profile.state),
    }
}

impl RiskScore {
    /// Adds another.
    pub fn merge(&mut self, other: Self) {
        for (risk, found) in other.found {
            self.found.entry(risk).or_default().add(found);
        }
        for (risk, count) in other.look_alikes {
            *self.look_alikes.entry(risk).or_default() += count;
        }
        self.mistakes.extend(other.mistakes);
        self.spans += other.spans;
    }
}
